//! `traft check mutants`: known bugs put back one at a time, and checks that do not know them.

use crate::base::{Mutant, switch_mutant};
use crate::check::model::{Model, Setting};
use crate::check::scenario;
use crate::check::search::one_by_one;
use crate::check::storage::check_log;
use crate::sim::storm;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct MutantsArgs {
    /// Only these bugs (separate several by commas); all of them otherwise
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    name: Vec<String>,
    /// Which seeds: each hunt takes an equal part, from its beginning
    #[arg(long, value_name = "A..B", default_value = "0..1000000",
        value_parser = super::simulate::range)]
    seeds: (u64, u64),
    /// How many hunts there are for each bug, each in other seeds; the median is of them
    #[arg(long, value_name = "N", default_value_t = 5)]
    hunts: u64,
    /// How much processor time one hunt may take, in seconds
    #[arg(long, value_name = "S", default_value_t = 300.0)]
    cpu_seconds: f64,
    /// How many hunts run at once; as many as there are processors
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Do not make the schedules short
    #[arg(long)]
    no_shrink: bool,
    /// Write each short schedule into this directory, named after its bug
    #[arg(long, value_name = "DIR")]
    schedules: Option<PathBuf>,
    /// Instead of hunting, say which bugs there are
    #[arg(long)]
    list: bool,
    /// Print one JSON document
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table of docs/mutants.md
    #[arg(long)]
    markdown: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Each bug of the bank (`--list`) is switched on by itself, and the checks that look for anything
wrong run until they find it: the fault simulator (`traft sim`) over seeds, and for what is in the
log on disk the crash images (`traft check storage`) as well. What 100 seeds do not find is looked
for in the same seeds with each step held against the specifications (`traft sim --mapped`), then in
the first states of the model (`traft check model`), then by the text scenarios that were written
for bugs which chance hardly ever meets; then come more seeds. Time is that of the processor.

Examples:
  traft check mutants
      all of them, five hunts each
  traft check mutants --name closure-off --hunts 1
      one
  traft check mutants --markdown
      the table of docs/mutants.md

Exit codes:
  0  every hunt found its bug
  1  a bug was not found in time; its name is on standard error
  2  the command line is wrong";

/// What one hunt came to.
#[derive(Clone, Debug)]
struct Hunt {
    /// What was found first, and by which check.
    found: Option<Found>,
    /// How many seeds were looked at, the one that found it included.
    seeds: u64,
    cpu_seconds: f64,
}

#[derive(Clone, Debug)]
struct Found {
    by: &'static str,
    seed: u64,
    what: String,
    /// Acts of the schedule, before and after it was made short.
    acts: Option<(usize, usize)>,
    /// The short schedule.
    schedule: Option<String>,
}

impl Found {
    fn new(by: &'static str, seed: u64, what: String) -> Found {
        Found { by, seed, what, acts: None, schedule: None }
    }
}

/// How much processor time this thread has taken, in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The bugs that are asked for.
fn chosen(args: &MutantsArgs) -> Result<Vec<Mutant>, String> {
    let named = |name: &String| {
        let known = Mutant::ALL.iter().copied().find(|mutant| mutant.name() == *name);
        known.ok_or(format!("unknown bug {name:?}; `traft check mutants --list` has them"))
    };
    match args.name.is_empty() {
        true => Ok(Mutant::ALL.to_vec()),
        false => args.name.iter().map(named).collect(),
    }
}

/// After so many seeds the others are asked.
const SEEDS_FIRST: u64 = 100;

/// How many states of each setting the model looks at.
const MODEL_STATES: u64 = 100_000;

/// What the model finds, or the scenarios.
fn elsewhere(seed: u64) -> Option<Found> {
    for setting in Setting::all() {
        let name = setting.name;
        let report = Model::new(setting).search(MODEL_STATES, &one_by_one, &|_| {});
        if let Some(wrong) = report.wrong {
            let steps = wrong.path.len();
            let what = format!("{} ({name}, after {steps} steps)", wrong.what);
            let acts = Some((steps, steps));
            return Some(Found { acts, ..Found::new("model", seed, what) });
        }
    }
    let broken = scenario::RARE.iter().find_map(|(name, text)| {
        let run = catch_unwind(AssertUnwindSafe(|| scenario::run(text).failure(text)));
        let failure = run.unwrap_or(Some("a panic".into()))?;
        Some(format!("{name}: {failure}"))
    });
    broken.map(|what| Found::new("scenario", seed, what))
}

/// What a seed finds; for what is in the log on disk the crash images are looked at, too.
fn seed_finds(mutant: Mutant, seed: u64) -> Option<Found> {
    let found = storm::run(seed, None, false).violation;
    if let Some(violation) = found {
        return Some(Found::new("sim", seed, violation.what));
    }
    if !mutant.file().starts_with("wal/") {
        return None;
    }
    let first = check_log(seed, 1).violations.into_iter().next();
    first.map(|first| Found::new("storage", seed, first.to_string()))
}

/// The same seeds, with each step held against the specifications.
fn mapping_finds(from: u64, seeds: u64) -> Option<Found> {
    (from..from + seeds).find_map(|seed| {
        let violation = storm::run_mapped(seed, None, false).violation?;
        Some(Found::new("mapping", seed, violation.what))
    })
}

/// One hunt, in the seeds from `from` up to below `to`, while the bug is on.
fn hunt(mutant: Mutant, (from, to): (u64, u64), budget: f64, shrink: bool) -> Hunt {
    let begun = cpu();
    let mut seeds = 0;
    for seed in from..to {
        let mut found = None;
        if seeds == SEEDS_FIRST {
            found = mapping_finds(from, SEEDS_FIRST).or_else(|| elsewhere(seed));
        }
        if found.is_none() {
            seeds += 1;
            found = seed_finds(mutant, seed);
        }
        let cpu_seconds = cpu() - begun;
        if let Some(mut found) = found {
            let is_seed = ["sim", "mapping"].contains(&found.by);
            if shrink
                && is_seed
                && let Some(short) = storm::shrink(found.seed, found.by == "mapping")
            {
                found.acts = Some((short.acts_before, short.acts));
                found.schedule = Some(short.text);
            }
            return Hunt { found: Some(found), seeds, cpu_seconds };
        }
        if cpu_seconds >= budget {
            break;
        }
    }
    Hunt { found: None, seeds, cpu_seconds: cpu() - begun }
}

/// All hunts for one bug.
fn hunts(args: &MutantsArgs, mutant: Mutant) -> Vec<Hunt> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let ((from, to), count) = (args.seeds, args.hunts.max(1));
    let part = ((to - from) / count).max(1);
    let all: Mutex<Vec<Option<Hunt>>> = Mutex::new(vec![None; count as usize]);
    let next = AtomicUsize::new(0);
    switch_mutant(Some(mutant));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at as u64 >= count {
                        return;
                    }
                    let begin = from + part * at as u64;
                    let seeds = (begin, (begin + part).min(to));
                    let found = hunt(mutant, seeds, args.cpu_seconds, !args.no_shrink && at == 0);
                    all.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[at] = Some(found);
                }
            });
        }
    });
    switch_mutant(None);
    all.into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .into_iter()
        .flatten()
        .collect()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// What is told of one bug.
struct Line {
    mutant: Mutant,
    hunts: Vec<Hunt>,
}

impl Line {
    fn found(&self) -> usize {
        self.hunts.iter().filter(|hunt| hunt.found.is_some()).count()
    }

    fn cpu_seconds(&self) -> f64 {
        median(self.hunts.iter().map(|hunt| hunt.cpu_seconds).collect())
    }

    fn seeds(&self) -> f64 {
        median(self.hunts.iter().map(|hunt| hunt.seeds as f64).collect())
    }

    /// The checks that found it, most frequent first, each by its number or first words.
    fn by(&self) -> String {
        let mut names: Vec<(usize, String)> = Vec::new();
        for found in self.hunts.iter().filter_map(|hunt| hunt.found.as_ref()) {
            let name = check_name(found);
            match names.iter_mut().find(|(_, known)| *known == name) {
                Some((count, _)) => *count += 1,
                None => names.push((1, name)),
            }
        }
        names.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        names.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(", ")
    }

    fn acts(&self) -> Option<(usize, usize)> {
        self.hunts.iter().find_map(|hunt| hunt.found.as_ref()?.acts)
    }

    /// Writes the short schedule down.
    fn keep(&self, folder: &Path) -> Result<(), String> {
        let mut schedules =
            self.hunts.iter().filter_map(|hunt| hunt.found.as_ref()?.schedule.as_ref());
        let Some(schedule) = schedules.next() else { return Ok(()) };
        let file = folder.join(format!("{}.txt", self.mutant.name()));
        let text = format!("# {}\n{schedule}", self.mutant.about());
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn document(&self) -> Value {
        let hunt = |hunt: &Hunt| {
            json!({
                "seeds": hunt.seeds,
                "cpu_seconds": hunt.cpu_seconds,
                "by": hunt.found.as_ref().map(|found| found.by),
                "seed": hunt.found.as_ref().map(|found| found.seed),
                "what": hunt.found.as_ref().map(|found| found.what.clone()),
            })
        };
        json!({
            "name": self.mutant.name(),
            "about": self.mutant.about(),
            "of": self.mutant.of(),
            "file": format!("src/{}", self.mutant.file()),
            "found": self.found(),
            "median_seeds": self.seeds(),
            "median_cpu_seconds": self.cpu_seconds(),
            "acts": self.acts().map(|(before, after)| json!({ "drawn": before, "short": after })),
            "hunts": self.hunts.iter().map(hunt).collect::<Vec<_>>(),
        })
    }
}

/// What a person calls the check: `I-5`, `C-2 of storage`, `history`.
fn check_name(found: &Found) -> String {
    let numbered = |word: &&str| {
        let word = word.as_bytes();
        word.len() > 2 && word[0].is_ascii_uppercase() && word[1] == b'-'
    };
    // At the beginning, or after the name of a replica.
    let words = found.what.split_whitespace().take(2);
    let number = words.map(|word| word.trim_end_matches([',', ':'])).find(numbered);
    let names = [
        ("linearizable", "history"),
        ("took effect", "effects"),
        ("was answered", "effects"),
        ("gives out", "what runs is held"),
        ("keeps", "memory"),
        ("does not start", "starts again"),
        ("a snapshot that nobody took", "states"),
        ("restore", "restores"),
        ("doubts", "no doubt without damage"),
    ];
    let name = names.iter().find(|(words, _)| found.what.contains(words)).map(|(_, name)| *name);
    match (found.by, number) {
        ("storage", Some(number)) => format!("{number} of storage"),
        ("model", Some(number)) => format!("{number} of the model"),
        ("mapping", _) if found.what.starts_with("refinement") => "the specifications".into(),
        ("scenario", _) => match found.what.split_once(':') {
            Some((name, _)) => format!("scenario {name}"),
            None => "a scenario".into(),
        },
        (_, Some(number)) => number.to_string(),
        _ if found.what.starts_with("assertion") => "assertion".into(),
        _ => name.unwrap_or("another check").into(),
    }
}

fn table(lines: &[Line], markdown: bool) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let head = ["bug", "found", "by", "seeds", "CPU s", "acts"];
    let _ = match markdown {
        true => writeln!(
            text,
            "| bug | what it does | of | where | found by | seeds | CPU s | acts |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |"
        ),
        false => writeln!(
            text,
            "{:<30} {:>5}  {:<28} {:>7} {:>7} {:>9}",
            head[0], head[1], head[2], head[3], head[4], head[5]
        ),
    };
    for line in lines {
        let (name, by) = (line.mutant.name(), line.by());
        let (seeds, cpu) = (line.seeds(), line.cpu_seconds());
        let found = format!("{}/{}", line.found(), line.hunts.len());
        let acts = line.acts().map_or("-".into(), |(drawn, short)| format!("{drawn} to {short}"));
        let _ = match markdown {
            true => {
                let (about, of, file) = (line.mutant.about(), line.mutant.of(), line.mutant.file());
                let by = if line.found() == 0 { "**nobody**".into() } else { by };
                writeln!(
                    text,
                    "| `{name}` | {about} | {of} | [{file}](../src/{file}) | {by} | {seeds:.0} | \
                     {cpu:.1} | {acts} |"
                )
            }
            false => {
                writeln!(text, "{name:<30} {found:>5}  {by:<28} {seeds:>7.0} {cpu:>7.1} {acts:>9}")
            }
        };
    }
    let times = lines.iter().map(Line::cpu_seconds).collect();
    let all = lines.iter().filter(|line| line.found() == line.hunts.len()).count();
    let _ = writeln!(
        text,
        "\n{} bugs, {all} found by every hunt; in the median a hunt takes {:.1} CPU seconds.",
        lines.len(),
        median(times)
    );
    text
}

fn list() -> String {
    let line = |mutant: &Mutant| {
        let (name, about, of) = (mutant.name(), mutant.about(), mutant.of());
        format!("{name}\n    {about}\n    {of}; src/{}\n", mutant.file())
    };
    Mutant::ALL.iter().map(line).collect()
}

/// What came of it: the text for standard output, and complaints for standard error.
///
/// # Errors
///
/// A sentence: there is no such bug.
pub(super) fn run(args: &MutantsArgs) -> Result<(String, Vec<String>), String> {
    if args.list {
        return Ok((list(), Vec::new()));
    }
    let mutants = chosen(args)?;
    // Panics are expected here, and told by the name of the bug.
    std::panic::set_hook(Box::new(|_| {}));
    let bar = ProgressBar::new(mutants.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    let mut lines = Vec::new();
    for mutant in mutants {
        bar.set_message(mutant.name());
        let line = Line { mutant, hunts: hunts(args, mutant) };
        if let Some(folder) = &args.schedules {
            line.keep(folder)?;
        }
        lines.push(line);
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(std::panic::take_hook());
    let missed = |line: &&Line| line.found() < line.hunts.len();
    let complaint = |line: &Line| {
        let (name, found, hunts) = (line.mutant.name(), line.found(), line.hunts.len());
        format!("FAIL {name} was found by {found} of {hunts} hunts")
    };
    let complaints = lines.iter().filter(missed).map(complaint).collect();
    let text = match args.json {
        true => format!("{:#}\n", json!(lines.iter().map(Line::document).collect::<Vec<_>>())),
        false => table(&lines, args.markdown),
    };
    Ok((text, complaints))
}
