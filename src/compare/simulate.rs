//! `traft sim`: the production replica under faults, from seeds.

use crate::sim::storm::{self, Outcome};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct SimArgs {
    /// Which seeds: from the first up to below the second
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = range)]
    seeds: (u64, u64),
    /// Stop after so many minutes, however many seeds are left
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// How many seeds run at once; as many as there are processors
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Only this seed, with a trace of what happens
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes", "jobs"])]
    seed: Option<u64>,
    /// Only so many steps of it; what would show at the end is not checked then
    #[arg(long, value_name = "K", requires = "seed")]
    steps: Option<u64>,
    /// Map the steps of every seed to the specifications, and hold them against these
    #[arg(long)]
    mapped: bool,
    /// Make the schedule of what fails first short, and write it into this file, as text
    #[arg(long, value_name = "FILE")]
    shrink: Option<PathBuf>,
    /// Only this schedule, as --shrink writes one, with a trace of what happens
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["seeds", "minutes", "jobs", "seed", "shrink"])]
    schedule: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Runs the replica that a server runs, with its log, snapshots, machine and sessions, on simulated
disks and a simulated network, in virtual time. Each seed draws a cluster, clients, and which kinds
of faults there are: lost, doubled and late messages, links cut in one direction, crashes with torn
writes, pauses, clocks that are wrong, disks that are slow, full, fail, forget or are emptied,
changes of membership, snapshots at any moment. Then the faults end, and everything must become
done.
Checked: I-1 to I-12, equal states, nothing acknowledged lost, once each, linearizable histories;
of every hundredth seed that each step is one that the specifications allow, with --mapped of all.

Examples:
  traft sim
      a thousand seeds
  traft sim --seeds 0..1000000 --minutes 10
      as many as there is time for
  traft sim --seed 17 --steps 4000
      what happens in one, and where it ends
  traft sim --seed 17 --shrink short.txt
      if it fails: with as few acts as possible, and what happens then
  traft sim --schedule short.txt
      that schedule again
  traft sim --seeds 0..3000 --mapped
      each step of each seed held against the specifications
  traft sim --json
      every count, for other programs

Exit codes:
  0  everything held
  1  something did not; the line that replays it is on standard error
  2  the command line is wrong";

/// `A..B`.
pub(super) fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)));
    parsed.filter(|(from, to)| from < to).ok_or("two numbers, the second greater: 0..1000".into())
}

/// Sums over all seeds.
#[derive(Default)]
struct Sums {
    steps: u64,
    micros: u64,
    timeouts: u64,
    acknowledged: u64,
    events: u64,
    counts: BTreeMap<&'static str, u64>,
    /// Of each seed: acknowledged, leaders, restarts, changes of membership, snapshots installed.
    each: Vec<[u64; 5]>,
    failed: Vec<(u64, storm::Violation)>,
}

/// What the median is of.
const MEDIANS: [&str; 5] =
    ["acknowledged", "leaders", "restart", "membership changed", "snapshot installed"];

impl Sums {
    fn add(&mut self, outcome: Outcome) {
        self.steps += outcome.steps;
        self.micros += outcome.micros;
        self.timeouts += outcome.election_timeouts();
        self.acknowledged += outcome.acknowledged;
        self.events += outcome.checked();
        let [_, others @ ..] = MEDIANS.map(|name| outcome.reached(name));
        let [leaders, restarts, changes, installed] = others;
        self.each.push([outcome.acknowledged, leaders, restarts, changes, installed]);
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.failed.extend(outcome.violation.map(|violation| (outcome.seed, violation)));
    }

    fn median(&self, which: usize) -> u64 {
        let mut all: Vec<u64> = self.each.iter().map(|each| each[which]).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    }

    fn table(&self, seconds: f64) -> String {
        let seeds = self.each.len();
        let faults = self.counts.get("faults").copied().unwrap_or(0);
        let mut text = format!(
            "{seeds} seeds, {} steps, {:.1} simulated hours, {faults} faults (one in {:.1} \
             election timeouts), {} operations checked, {seconds:.1} s\n",
            self.steps,
            self.micros as f64 / 3.6e9,
            self.timeouts as f64 / faults.max(1) as f64,
            self.events,
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n  {:<28} {:>10}", "in the median seed", "");
        for (which, name) in MEDIANS.iter().enumerate() {
            let _ = writeln!(text, "  {name:<28} {:>10}", self.median(which));
        }
        let _ = writeln!(text, "\n  {:<28} {:>10}", "reached", "times");
        for (what, count) in &self.counts {
            let _ = writeln!(text, "  {what:<28} {count:>10}");
        }
        text
    }

    fn document(&self) -> Value {
        let medians: BTreeMap<&str, u64> =
            MEDIANS.iter().enumerate().map(|(which, name)| (*name, self.median(which))).collect();
        let failed = |(seed, violation): &(u64, storm::Violation)| {
            json!({
                "seed": seed, "step": violation.step, "at_us": violation.at,
                "what": violation.what,
            })
        };
        json!({
            "seeds": self.each.len(),
            "steps": self.steps,
            "simulated_us": self.micros,
            "election_timeouts": self.timeouts,
            "acknowledged": self.acknowledged,
            "operations": self.events,
            "median": medians,
            "reached": self.counts,
            "violations": self.failed.iter().map(failed).collect::<Vec<_>>(),
        })
    }
}

fn complaint(seed: u64, mapped: bool, violation: &storm::Violation) -> String {
    let storm::Violation { step, at, what } = violation;
    let mapped = if mapped { " --mapped" } else { "" };
    format!(
        "FAIL seed {seed}, step {step}, at {at} us: {what}\n  \
         replay: traft sim --seed {seed}{mapped}"
    )
}

/// Of the seeds of a campaign these are mapped to the specifications, too: one in a hundred.
const MAPPED_EVERY: u64 = 100;

fn is_mapped(args: &SimArgs, seed: u64) -> bool {
    args.mapped || (args.seed.is_none() && seed.is_multiple_of(MAPPED_EVERY))
}

fn run_one(args: &SimArgs, seed: u64, traced: bool) -> storm::Outcome {
    match is_mapped(args, seed) {
        true => storm::run_mapped(seed, args.steps, traced),
        false => storm::run(seed, args.steps, traced),
    }
}

/// Writes the short schedule of a seed that fails; says what came of it.
fn shrink(seed: u64, mapped: bool, file: &PathBuf) -> String {
    let Some(short) = storm::shrink(seed, mapped) else { return format!("seed {seed} holds") };
    let storm::Short { acts_before, acts, runs, text, trace, .. } = short;
    let trace: String = trace.lines().map(|line| format!("# {line}\n")).collect();
    let whole = format!("{text}\n{trace}");
    match std::fs::write(file, whole) {
        Ok(()) => {
            format!("  {acts} acts of {acts_before} are left after {runs} runs: {}", file.display())
        }
        Err(error) => format!("  {} cannot be written: {error}", file.display()),
    }
}

/// Runs a schedule from a file.
fn replay(file: &PathBuf) -> Result<(String, Vec<String>), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let outcome = storm::replay(&text, true).map_err(|error| error.to_string())?;
    let complaint = outcome.violation.map(|found| {
        let storm::Violation { step, at, what } = found;
        format!("FAIL step {step}, at {at} us: {what}")
    });
    Ok((outcome.text, complaint.into_iter().collect()))
}

/// What came of it: the text for standard output, and complaints for standard error.
pub(super) fn run(args: &SimArgs) -> (String, Vec<String>) {
    if let Some(file) = &args.schedule {
        let replayed = replay(file);
        return replayed.unwrap_or_else(|why| {
            (String::new(), vec![format!("{} cannot be run: {why}", file.display())])
        });
    }
    let (text, mut complaints, failed) = run_seeds(args);
    if let (Some(seed), Some(file)) = (failed, &args.shrink) {
        complaints.push(shrink(seed, is_mapped(args, seed), file));
    }
    (text, complaints)
}

/// The same, and the first seed that fails.
fn run_seeds(args: &SimArgs) -> (String, Vec<String>, Option<u64>) {
    if let Some(seed) = args.seed {
        let outcome = run_one(args, seed, !args.json);
        let complain = |found| complaint(seed, args.mapped, found);
        let complaints = outcome.violation.iter().map(complain).collect();
        let failed = outcome.violation.is_some().then_some(seed);
        let (trace, steps) = (outcome.trace, outcome.steps);
        let mut text = format!("{}trace {trace:016x} after {steps} steps\n", outcome.text);
        if args.json {
            let mut sums = Sums::default();
            sums.add(outcome);
            text = format!("{:#}\n", sums.document());
        }
        return (text, complaints, failed);
    }
    let begun = Instant::now();
    let sums = campaign(args);
    let mut complaints: Vec<String> = Vec::new();
    let complain =
        |(seed, found): &(u64, storm::Violation)| complaint(*seed, is_mapped(args, *seed), found);
    complaints.extend(sums.failed.iter().map(complain));
    let text = match args.json {
        true => format!("{:#}\n", sums.document()),
        false => sums.table(begun.elapsed().as_secs_f64()),
    };
    let failed = sums.failed.first().map(|(seed, _)| *seed);
    (text, complaints, failed)
}

fn campaign(args: &SimArgs) -> Sums {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let limit = args.minutes.map(|minutes| Duration::from_secs_f64((minutes * 60.0).max(0.0)));
    let begun = Instant::now();
    let (from, to) = args.seeds;
    let (next, over) = (AtomicU64::new(from), AtomicBool::new(false));
    let sums = Mutex::new(Sums::default());
    let bar = bar(to - from);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || limit.is_some_and(|limit| begun.elapsed() >= limit) {
                        return;
                    }
                    let outcome = run_one(args, seed, false);
                    if outcome.violation.is_some() {
                        over.store(true, Ordering::Relaxed);
                    }
                    let mut sums = sums.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    sums.add(outcome);
                    show(&bar, &sums, begun.elapsed());
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut sums = sums.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    sums.failed.sort_by_key(|(seed, _)| *seed);
    sums
}

/// On standard error, and only if that is a terminal.
fn bar(seeds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seeds);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, sums: &Sums, elapsed: Duration) {
    let seeds = sums.each.len() as u64;
    let rate = seeds as f64 / elapsed.as_secs_f64().max(0.001);
    let faults = sums.counts.get("faults").copied().unwrap_or(0);
    let hours = sums.micros as f64 / 3.6e9;
    bar.set_position(seeds);
    bar.set_message(format!("{rate:.0} seeds/s, {hours:.1} simulated hours, {faults} faults"));
}
