//! `traft nemesis` on the command line.

use crate::serve::nemesis::{self, Fault, Plan, Verdict};
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What follows the options of `traft nemesis --help`.
pub(super) const GUIDE: &str = "\
Starts three replicas in a process of their own, in DIR, and clients that write down every request
and its reply. Meanwhile:
  kill    kill -9 of the process, and a start on the same files
  pause   the process stands still (SIGSTOP)
  cut     one replica hears nobody for a while
  split   two of them: nobody has a majority
With --processes each replica has a process of its own, as `traft serve`, and what they say to each
other goes through relays; faults then concern one replica, and there are three more:
  one-way nobody hears a replica, which hears all others
  slow    what is said to and by a replica comes up to 60 ms late
  restart a process ends in good order, and another one takes its files
and four of its disk, if they are named, which a shim in its process carries out:
  disk-hung   nothing is written for a while; if the replica leads, another one has to take over
  disk-full   there is no room for a while
  disk-slow   each sync takes up to 100 ms longer for a while
  disk-fails  a sync fails: the process ends, and another one takes its files
Cuts then hold back what is said and let it go later, or end the connections. DIR/N.log has what
replica N says.

In the end the record must be linearizable, and all replicas must have the same state.

Examples:
  traft nemesis scratch
      a minute
  traft nemesis --minutes 5 --seed 7 --clients 32 scratch
      another five
  traft nemesis --processes --minutes 10 --seed 3 scratch
      a process for each replica
  traft nemesis --faults cut,split --history run.jsonl scratch
      the record for `traft check history`, and for other checkers

Exit codes:
  0  linearizable, equal states
  1  not so; what does not fit is on standard error
  2  the command line is wrong, or the cluster did not come back: nothing is known";

/// Of `traft nemesis`.
#[derive(Args, Debug)]
pub struct NemesisArgs {
    /// Where the replicas keep their files
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 12,
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    clients: u64,
    /// A process for each replica, and relays between them
    #[cfg(feature = "net")]
    #[arg(long)]
    processes: bool,
    /// Only these faults (listed below)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    faults: Vec<String>,
    /// Decides the faults and the requests; when they meet is decided by real time
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the record to this file
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The longest recovery that is right, in milliseconds; without it, it is only told
    #[arg(long, value_name = "MS")]
    recovery_ms: Option<u64>,
}

/// `traft nemesis`: what came of it as text, and what is wrong.
///
/// # Errors
///
/// One sentence.
pub(super) fn run(args: &NemesisArgs) -> Result<(String, Vec<String>), String> {
    if !(args.minutes > 0.0 && args.minutes <= 10_000.0) {
        return Err(format!("--minutes must be above 0 and at most 10000, not {}", args.minutes));
    }
    let plan = Plan {
        program: std::env::current_exe().map_err(|error| error.to_string())?,
        dir: args.dir.clone(),
        time: Duration::from_secs_f64(args.minutes * 60.0),
        clients: args.clients as usize,
        seed: args.seed,
        faults: faults(&args.faults)?,
        #[cfg(feature = "net")]
        processes: args.processes,
    };
    let mut saved = Ok(());
    let verdict = nemesis::run(
        &plan,
        |when, what| eprintln!("{:8.3} s  {what}", when.as_secs_f64()),
        |events| {
            if let Some(path) = &args.history {
                let lines = events.iter().map(crate::check::history::print);
                let text: String = lines.map(|line| line + "\n").collect();
                saved = std::fs::write(path, text)
                    .map_err(|error| format!("{}: {error}", path.display()));
            }
        },
    );
    let verdict = verdict.map_err(|error| error.to_string())?;
    saved?;
    let mut complaints = verdict.complaints();
    let longest = verdict.recovery.as_millis();
    if let Some(most) = args.recovery_ms.filter(|most| longest > u128::from(*most)) {
        complaints.push(format!("FAIL a recovery took {longest} ms, more than {most}"));
    }
    Ok((text(&verdict), complaints))
}

fn faults(names: &[String]) -> Result<Vec<Fault>, String> {
    let known = || Fault::ALL.map(Fault::name).join(", ");
    let one = |name: &String| {
        let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("unknown fault {name:?}; there are: {}", known()))
    };
    names.iter().map(one).collect()
}

fn text(verdict: &Verdict) -> String {
    let Verdict { history, refused, faults, recovery, digests, .. } = verdict;
    let mut text = String::new();
    let counts: Vec<String> = faults.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let equal = digests.windows(2).all(|two| two[0] == two[1]);
    // Writing to a string does not fail.
    let _ = writeln!(text, "faults      {}", counts.join(", "));
    let _ = writeln!(
        text,
        "requests    {} placed, of these {} of unknown end; {refused} refused",
        history.events, history.unknown
    );
    let _ = writeln!(
        text,
        "history     {} on {} objects, {} steps",
        if history.is_linearizable() { "linearizable" } else { "NOT linearizable" },
        history.objects,
        history.steps
    );
    let _ = writeln!(text, "states      {}", if equal { "equal" } else { "DIFFERENT" });
    let _ = writeln!(text, "recovery    at most {} ms", recovery.as_millis());
    if let Some(longest) = verdict.gave_way {
        let ms = longest.as_millis();
        let _ = writeln!(text, "hung disks  a leader with one gave way after at most {ms} ms");
    }
    text
}
