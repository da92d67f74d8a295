//! `traft nemesis` on the command line.

use crate::base::{Membership, ReplicaId};
use crate::replica::Options;
use crate::serve::nemesis::{self, Bounds, Campaign, Fault, NemesisError, Plan, Summary, Verdict};
use clap::Args;
use std::collections::BTreeMap;
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
  churn   one replica is no voter for a while; half of the time something is killed meanwhile
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

In the end the record must be linearizable, and all replicas must have the same state. With --trace
each step of each replica must be one that the specifications allow.

With --seeds there is a cluster for each seed, one after the other, in DIR/seed-N: the seed draws
which of the faults there are, and how fast they come. Those of disks are among them, and steps are
recorded. DIR/seed-N is left if something is wrong with it.

Examples:
  traft nemesis scratch
      a minute
  traft nemesis --minutes 5 --seed 7 --clients 32 scratch
      another five
  traft nemesis --processes --minutes 10 --seed 3 scratch
      a process for each replica
  traft nemesis --processes --seeds 0..1000 --minutes 10 scratch
      as many clusters as there is time for, and what all of them came to
  traft nemesis --faults cut,split --history run.jsonl scratch
      the record for `traft check history`, and for other checkers

Exit codes:
  0  linearizable, equal states, allowed steps, memory and recoveries within their bounds
  1  not so; what does not fit is on standard error
  2  the command line is wrong, or the cluster did not come back (without --seeds)";

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
    /// Many clusters: these seeds, from the first up to below the second, while there is time
    #[arg(long, value_name = "A..B", value_parser = range,
          conflicts_with_all = ["seed", "history"])]
    seeds: Option<(u64, u64)>,
    /// For how long each of them
    #[arg(long, value_name = "S", default_value_t = 12.0)]
    each_seconds: f64,
    /// Record the steps of replicas in DIR/steps, and hold them against the specifications
    #[arg(long)]
    trace: bool,
    /// Write the record to this file
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The longest recovery that is right, in milliseconds: ten election timeouts unless said
    #[arg(long, value_name = "MS", default_value_t = 10 * election_ms())]
    recovery_ms: u64,
    /// The most memory of one process that is right, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1_024)]
    memory_mib: u64,
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
        time: minutes(args.minutes),
        clients: args.clients as usize,
        seed: args.seed,
        faults: faults(&args.faults)?,
        pause: Duration::from_millis(500),
        trace: args.trace,
        #[cfg(feature = "net")]
        processes: args.processes,
    };
    match args.seeds {
        Some(seeds) => many(args, plan, seeds),
        None => single(args, &plan),
    }
}

fn minutes(minutes: f64) -> Duration {
    Duration::from_secs_f64(minutes * 60.0)
}

fn single(args: &NemesisArgs, plan: &Plan) -> Result<(String, Vec<String>), String> {
    let mut saved = Ok(());
    let verdict = nemesis::run(
        plan,
        |when, what| eprintln!("{:8.3} s  {what}", when.as_secs_f64()),
        |events| {
            if let Some(path) = &args.history {
                saved = nemesis::keep(path, events)
                    .map_err(|error| format!("{}: {error}", path.display()));
            }
        },
    );
    let verdict = verdict.map_err(|error| error.to_string())?;
    saved?;
    let mut complaints = verdict.complaints();
    complaints.extend(bounds(args).exceeded(&verdict));
    Ok((text(&verdict), complaints))
}

fn bounds(args: &NemesisArgs) -> Bounds {
    let recovery_max = Duration::from_millis(args.recovery_ms);
    Bounds { recovery_max, memory_max: args.memory_mib.saturating_mul(1 << 20) }
}

fn many(
    args: &NemesisArgs,
    plan: Plan,
    (from, to): (u64, u64),
) -> Result<(String, Vec<String>), String> {
    if !(args.each_seconds > 0.0 && args.each_seconds <= 86_400.0) {
        let given = args.each_seconds;
        return Err(format!("--each-seconds must be above 0 and at most 86400, not {given}"));
    }
    let each = Plan { time: Duration::from_secs_f64(args.each_seconds), trace: true, ..plan };
    let time = minutes(args.minutes);
    let campaign = Campaign { each, seeds: from..to, time, bounds: bounds(args) };
    let summary = campaign.run(|seed, came| eprintln!("{}", line(seed, came)));
    let summary = summary.map_err(|error| error.to_string())?;
    let wrong = summary.wrong.iter().map(|(seed, what)| format!("seed {seed}: {what}")).collect();
    Ok((sums(&summary), wrong))
}

/// How one of many seeds went.
fn line(seed: u64, came: &Result<Verdict, NemesisError>) -> String {
    match came {
        Err(error) => format!("seed {seed}: {error}"),
        Ok(verdict) => format!(
            "seed {seed}: {} faults, {} requests, {} steps, recovery at most {} ms, {} MiB: {}",
            verdict.faults.values().sum::<u64>(),
            verdict.history.events,
            verdict.traced.as_ref().map_or(0, |traced| traced.steps),
            verdict.recovery().as_millis(),
            verdict.memory >> 20,
            if verdict.complaints().is_empty() { "well" } else { "NOT WELL" },
        ),
    }
}

/// `A..B`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)));
    parsed.filter(|(from, to)| from < to).ok_or("two numbers, the second greater: 0..1000".into())
}

fn faults(names: &[String]) -> Result<Vec<Fault>, String> {
    let known = || Fault::ALL.map(Fault::name).join(", ");
    let one = |name: &String| {
        let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("unknown fault {name:?}; there are: {}", known()))
    };
    names.iter().map(one).collect()
}

fn counted(faults: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = faults.iter().map(|(name, n)| format!("{n} {name}")).collect();
    counts.join(", ")
}

/// An election timeout, whose ticks are milliseconds.
fn election_ms() -> u64 {
    let one = ReplicaId(1);
    Options::new(one, Membership::majority([one])).election_ticks
}

fn timeouts(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0 / election_ms() as f64
}

fn text(verdict: &Verdict) -> String {
    let Verdict { history, refused, faults, .. } = verdict;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "faults      {}", counted(faults));
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
    let equal = if verdict.states_are_equal() { "equal" } else { "DIFFERENT" };
    let _ = writeln!(text, "states      {equal}");
    if let Some(traced) = &verdict.traced {
        let allowed = if traced.wrong.is_none() { "all allowed" } else { "NOT all allowed" };
        let _ = writeln!(text, "steps       {} of {}, {allowed}", traced.steps, traced.replicas);
    }
    let longest = verdict.recovery();
    let (ms, all) = (longest.as_millis(), timeouts(longest));
    let _ = writeln!(text, "recovery    at most {ms} ms, {all:.1} election timeouts");
    let _ = writeln!(text, "memory      at most {} MiB in a process", verdict.memory >> 20);
    hung(&mut text, verdict.gave_way);
    text
}

fn hung(text: &mut String, gave_way: Option<Duration>) {
    if let Some(longest) = gave_way {
        let ms = longest.as_millis();
        let _ = writeln!(text, "hung disks  a leader with one gave way after at most {ms} ms");
    }
}

fn sums(summary: &Summary) -> String {
    let Summary { seeds, faults, events, unknown, refused, steps, .. } = summary;
    let mut text = String::new();
    let count: u64 = faults.values().sum();
    let wrong: std::collections::BTreeSet<u64> = summary.wrong.iter().map(|(s, _)| *s).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "seeds       {seeds}, something is wrong with {}", wrong.len());
    let _ = writeln!(text, "faults      {count}: {}", counted(faults));
    let _ = writeln!(
        text,
        "requests    {events} placed, of these {unknown} of unknown end; {refused} refused"
    );
    let _ = writeln!(text, "steps       {steps} held against the specifications");
    let [half, most, longest] = [0.5, 0.99, 1.0].map(|part| summary.recovery(part));
    let _ = writeln!(
        text,
        "recovery    in half of all cases {} ms, in 99 of 100 {}, at most {}: {:.1} election \
         timeouts",
        half.as_millis(),
        most.as_millis(),
        longest.as_millis(),
        timeouts(longest)
    );
    if let Some(seed) = summary.slowest() {
        let _ = writeln!(text, "            the longest with seed {seed}");
    }
    let _ = writeln!(text, "memory      at most {} MiB in a process", summary.memory >> 20);
    hung(&mut text, summary.gave_way);
    text
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn seeds_are_two_numbers_of_which_the_second_is_greater() {
        assert_eq!(range("3..7"), Ok((3, 7)));
        for text in ["", "3", "7..7", "7..3", "a..b", "1..2..3"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
