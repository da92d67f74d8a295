//! `traft check kill`: a process with three replicas under load, killed again and again.
//!
//! ```text
//!   parent   starts a child, reads what it says, kills it with SIGKILL at a random moment, again
//!   child    opens three directories, elects, reads everything back, then writes until it is dead
//! ```
//!
//! The parent keeps what was acknowledged and believes nothing else. What a killed process has
//! written is in the memory of the system, not lost: this is about a process that dies, at any
//! instruction, and not about power. For that there is `traft check storage`.

mod child;
mod lazy;
mod load;
mod parent;

use clap::Args;
use parent::Report;
use serde_json::json;
use std::path::PathBuf;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct KillArgs {
    /// How often the process is killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    rounds: u64,
    /// Where the replicas keep their files; made if it is not there, and kept [default: a new
    /// directory, removed unless something is wrong]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Decides when the process is killed, as far as anything can
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The disks do not write what they report synced: the check must find out
    #[arg(long, hide = true)]
    unwritten: bool,
    /// Be the process that is killed
    #[arg(long, hide = true, value_name = "DIR", conflicts_with_all = ["dir", "json"])]
    child: Option<PathBuf>,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Three replicas in one process, each with a log and snapshots of its own, under load: every key is
written by one client that waits for its answer. The process is killed (SIGKILL) at a random
moment, sometimes while it starts. After each start every key must have the value that was
acknowledged last, or the one that was on its way, and all three states must be equal. Snapshots
are taken, the logs are purged, and now and then a replica is cut off until it needs a snapshot of
another.

Examples:
  traft check kill
      200 times
  traft check kill --rounds 1000 --seed 7 --dir /mnt/disk/traft
      more, and others, on that disk
  traft check kill --json
      for other programs

Exit codes:
  0  done
  1  something acknowledged was lost, or the states differ; standard error says what
  2  the command line is wrong, or the directory cannot be used";

/// What came of it: the text for standard output, and complaints for standard error; or why it
/// could not be done. `tick` is told how many rounds are done.
pub(super) fn run(
    args: &KillArgs,
    tick: impl Fn(u64, u64),
) -> Result<(String, Vec<String>), String> {
    if let Some(dir) = &args.child {
        return child::run(dir, args.seed, args.unwritten)
            .map(|()| (String::new(), Vec::new()))
            .map_err(|error| error.to_string());
    }
    let own = std::env::temp_dir().join(format!("traft-check-kill-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or_else(|| own.clone());
    let plan =
        parent::Plan { dir, rounds: args.rounds, seed: args.seed, unwritten: args.unwritten };
    let report = parent::run(&plan, tick).map_err(|error| error.to_string())?;
    let mut complaints = report.violations.clone();
    if args.dir.is_none() {
        match complaints.is_empty() {
            // What cannot be removed is left to the system.
            true => drop(std::fs::remove_dir_all(&own)),
            false => complaints.push(format!("the files are in {}", own.display())),
        }
    }
    Ok((if args.json { document(&plan, &report) } else { table(&plan, &report) }, complaints))
}

fn rows(report: &Report) -> [(&'static str, u64); 10] {
    [
        ("killed", report.killed),
        ("of them while it started", report.killed_early),
        ("writes acknowledged", report.acknowledged),
        ("values read back", report.values),
        ("starts with equal states", report.equal),
        ("snapshots taken", report.taken),
        ("snapshots of another installed", report.installed),
        ("records dropped from the logs", report.purged),
        ("longest start in ms, election included", report.start_ms_max),
        ("violations", report.violations.len() as u64),
    ]
}

fn table(plan: &parent::Plan, report: &Report) -> String {
    let mut text = format!("kill -9, seed {}: three replicas in one process\n", plan.seed);
    for (name, count) in rows(report) {
        text += &format!("  {name:<42} {count:>10}\n");
    }
    text
}

fn document(plan: &parent::Plan, report: &Report) -> String {
    let document = json!({
        "seed": plan.seed,
        "real_time": true,
        "killed": report.killed,
        "killed_early": report.killed_early,
        "acknowledged": report.acknowledged,
        "values": report.values,
        "equal": report.equal,
        "taken": report.taken,
        "installed": report.installed,
        "purged": report.purged,
        "start_ms_max": report.start_ms_max,
        "violations": report.violations,
    });
    format!("{document:#}\n")
}
