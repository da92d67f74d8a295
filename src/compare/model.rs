//! `traft check model`: all that can happen to three production replicas, within stated bounds.

use super::cli::BadInput;
use crate::check::model::{Model, SOMETIMES, Setting};
use crate::check::search::Report;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct ModelArgs {
    /// Only these settings (listed below; separate several by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    setting: Vec<String>,
    /// Stop after so many distinct states of each setting; smaller ones come to their end before
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    states: u64,
    /// How many threads; as many as there are processors
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Put this known bug back (`traft check mutants --list`)
    #[cfg(feature = "mutants")]
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) fn guide() -> String {
    let settings: String = Setting::all()
        .iter()
        .map(|setting| format!("  {:<12} {}\n", setting.name, setting.about))
        .collect();
    format!(
        "Drives three replicas, the code that a server runs, through every order of events, breadth
first: campaigns, commands, every message that was ever sent at any later time, again or never,
writes that become durable or not, crashes, snapshots, a change of membership. Checked at every
step: I-1 to I-9 and I-11. What fails is printed as a schedule, and there is none shorter.

Settings:
{settings}
Examples:
  traft check model
      some of each
  traft check model --setting tiny --states 100000000
      one to its end
  traft check model --setting writes --states 10000000
      the documented run
  traft check model --json
      every count, for other programs

Exit codes:
  0  everything held
  1  something did not; the schedule is on standard error
  2  the command line is wrong"
    )
}

/// What came of one setting.
struct Line {
    name: &'static str,
    report: Report,
    /// States of single replicas, and steps of single replicas that were run.
    sizes: (usize, usize),
    cpu_seconds: f64,
}

impl Line {
    fn shown(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let shown = self.report.shown;
        SOMETIMES.iter().enumerate().map(move |(bit, name)| (*name, shown & 1 << bit != 0))
    }

    fn text(&self) -> String {
        let Report { states, steps, depth, whole, .. } = &self.report;
        let end = if *whole { "all there are" } else { "there are more" };
        let (nodes, runs) = self.sizes;
        let mut text = format!(
            "{}: {states} states ({end}), {steps} steps, depth {depth}; {nodes} states of one \
             replica, {runs} calls of it, {:.1} CPU s\n",
            self.name, self.cpu_seconds
        );
        for (name, shown) in self.shown() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {:<8} {name}", if shown { "reached" } else { "never" });
        }
        text
    }

    fn document(&self) -> Value {
        let sometimes: serde_json::Map<String, Value> =
            self.shown().map(|(name, shown)| (name.into(), shown.into())).collect();
        json!({
            "setting": self.name,
            "states": self.report.states,
            "steps": self.report.steps,
            "depth": self.report.depth,
            "whole": self.report.whole,
            "replica_states": self.sizes.0,
            "replica_steps": self.sizes.1,
            "cpu_seconds": self.cpu_seconds,
            "sometimes": sometimes,
            "violation": self.report.wrong.as_ref().map(|wrong| wrong.what.clone()),
        })
    }
}

/// Seconds of processor time of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Calls `work` with each number below `count`, on so many threads.
fn on_threads(jobs: usize, count: usize, work: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(count) {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        nth if nth < count => work(nth),
                        _ => return,
                    }
                }
            });
        }
    });
}

/// Searches one setting; also gives the schedule of what does not hold.
fn search(setting: Setting, states: u64, jobs: usize, bar: &ProgressBar) -> (Line, Option<String>) {
    let (begun, name) = (cpu(), setting.name);
    let model = Model::new(setting);
    bar.set_message(name);
    let report = model.search(states, &|count, work| on_threads(jobs, count, work), &|report| {
        bar.set_position(report.states);
        bar.set_message(format!("{name}, depth {}", report.depth));
    });
    let story = report.wrong.as_ref().map(|wrong| model.story(wrong));
    let cpu_seconds = cpu() - begun;
    (Line { name, report, sizes: model.sizes(), cpu_seconds }, story)
}

/// What came of it: the text for standard output, and complaints for standard error.
///
/// # Errors
///
/// There is no such setting.
pub(super) fn run(args: &ModelArgs) -> Result<(String, Vec<String>), BadInput> {
    let all = Setting::all();
    if let Some(name) = args.setting.iter().find(|name| all.iter().all(|s| s.name != **name)) {
        let known: Vec<&str> = all.iter().map(|setting| setting.name).collect();
        let (name, known) = (name.clone(), known.join(", "));
        return Err(BadInput::Unknown { what: "setting", name, known });
    }
    #[cfg(feature = "mutants")]
    if let Some(name) = &args.bug {
        use crate::base::{Mutant, switch_mutant};
        let found = Mutant::ALL.iter().copied().find(|mutant| mutant.name() == *name);
        let known = || "see `traft check mutants --list`".to_string();
        let unknown = || BadInput::Unknown { what: "bug", name: name.clone(), known: known() };
        switch_mutant(Some(found.ok_or_else(unknown)?));
        // Panics are expected here, and told as what does not hold.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let bar = ProgressBar::new(args.states);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    let (mut lines, mut complaints) = (Vec::new(), Vec::new());
    for setting in all {
        let name = setting.name;
        if args.setting.is_empty() || args.setting.iter().any(|wanted| wanted == name) {
            let (line, story) = search(setting, args.states, jobs, &bar);
            lines.push(line);
            complaints.extend(story.map(|story| format!("FAIL {name}\n{story}")));
        }
    }
    bar.finish_and_clear();
    let text = match args.json {
        true => format!("{:#}\n", json!(lines.iter().map(Line::document).collect::<Vec<_>>())),
        false => lines.iter().map(Line::text).collect(),
    };
    Ok((text, complaints))
}
