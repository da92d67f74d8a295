//! `traft check trace`: whether the recorded steps of a cluster are those of the specifications.

use crate::base::Membership;
use crate::check::refine::{Line, Traced, check, parse};
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct TraceArgs {
    /// What the replicas of one cluster have recorded, all of them, from their first start on
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The membership that the cluster started with; else a majority of those that have recorded
    #[arg(long, value_name = "TEXT")]
    members: Option<Membership>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
A cluster that was started with `--trace DIR` has recorded each step of its replicas there: what it
wrote, what became durable, what it said of that, what it executed. Each step has to be an action of
the specifications in design/, with its guard, and to do what that does: a leader's log is computed
anew from what its voters had when they promised, what commits is counted anew, what a record
depends on is looked at anew.

The times in all files have to be of one clock: of processes on one machine they are.

Examples:
  traft cluster up --trace steps store
      record; Ctrl-c after a while, or kill -9
  traft check trace steps/*.jsonl
      are they those of the specifications?

Exit codes:
  0  every step is one that the specifications allow
  1  one is not; it is on standard error, and is the first
  2  a file is wrong";

/// What came of it: the text for standard output, and complaints for standard error. Or what is
/// wrong with a file.
pub(super) fn run(args: &TraceArgs) -> Result<(String, Vec<String>), String> {
    let mut lines: Vec<Line> = Vec::new();
    for file in &args.files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        lines.extend(parse(&text).map_err(|error| format!("{name}: {error}"))?);
    }
    let Traced { steps, replicas, counts, wrong } = check(lines, args.members.clone());
    let wrong = wrong.map(|wrong| format!("FAIL {wrong}"));
    let text = if args.json {
        let document =
            json!({ "steps": steps, "replicas": replicas, "actions": counts, "wrong": wrong });
        format!("{document:#}\n")
    } else {
        let mut text = format!("{steps} steps of {replicas} replicas\n");
        for (action, count) in counts {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {action:<28} {count:>10}");
        }
        text
    };
    Ok((text, wrong.into_iter().collect()))
}
