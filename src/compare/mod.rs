//! `traft compare`: generalized and classic Raft on the same workload, network and clock.
//!
//! ```text
//!  cli ──> scenario (cells: which specs, what is measured) ──> work ──> row ──> report
//!            │ place, workload, trace, matrix                   └─ sim::run, sim::bound
//! ```
//!
//! Nothing here knows either protocol: a side is a name in a [`Spec`](crate::sim::Spec), and both
//! get the same one. What the figures mean is in `docs/compare.md`.

mod ablate;
#[cfg(test)]
mod book;
mod cell;
mod change;
mod cli;
#[cfg(unix)]
mod durable;
mod explain;
mod guide;
mod history;
mod inspect;
#[cfg(unix)]
mod kill;
mod matrix;
mod memory;
#[cfg(unix)]
mod model;
#[cfg(all(feature = "mutants", unix))]
mod mutants;
mod page;
mod picture;
mod place;
#[cfg(unix)]
mod recover;
mod report;
mod rng;
mod row;
mod scenario;
mod simulate;
mod steps;
mod storage;
mod trace;
mod wan;
mod work;
mod workload;
mod zipf;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{CheckTask, Cli, CompareArgs, Task};
use indicatif::{ProgressBar, ProgressStyle};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// An invariant was violated; the line that replays it is on standard error.
const VIOLATION: u8 = 1;

/// The change of membership that was asked about cannot be made now, or the loss was not accepted.
const REFUSED: u8 = 1;

/// There is no such key.
#[cfg(all(feature = "serve", unix))]
const NOTHING: u8 = 1;

/// The command line or a file is wrong; one sentence on standard error says what.
const BAD_INPUT: u8 = 2;

/// The program `traft` with these arguments, the first being its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(args) {
        #[cfg(unix)]
        Ok(Cli {
            command: Task::Compare(ref args @ CompareArgs { durable: Some(ref dir), .. }),
        }) => durable(args, dir),
        Ok(Cli { command: Task::Compare(args) }) => compare(&args),
        Ok(Cli { command: Task::Plan(args) }) => match change::run(&args) {
            Ok((text, works)) => {
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
                if works { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
            }
            Err(error) => bad_input(&error.to_string()),
        },
        Ok(Cli { command: Task::Sim(args) }) => {
            let (text, complaints) = simulate::run(&args);
            finish(&text, &complaints)
        }
        Ok(Cli { command: Task::Ablate(args) }) => match ablate::run(&args) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(error) => bad_input(&error.to_string()),
        },
        #[cfg(unix)]
        Ok(Cli { command: Task::Recover(args) }) => match recover::run(&args) {
            Ok((text, done)) => {
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
                if done { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
            }
            Err(error) => bad_input(&error.to_string()),
        },
        Ok(Cli { command: Task::Check(CheckTask::Storage(args)) }) => {
            let (text, complaints) = storage::run(&args);
            finish(&text, &complaints)
        }
        Ok(Cli { command: Task::Check(CheckTask::History(args)) }) => match history::run(&args) {
            Ok((text, complaints, undecided)) => {
                let code = finish(&text, &complaints);
                let wrong = complaints.iter().any(|complaint| complaint.starts_with("FAIL"));
                if undecided && !wrong { ExitCode::from(BAD_INPUT) } else { code }
            }
            Err(sentence) => bad_input(&sentence),
        },
        Ok(Cli { command: Task::Check(CheckTask::Trace(args)) }) => match steps::run(&args) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(sentence) => bad_input(&sentence),
        },
        #[cfg(unix)]
        Ok(Cli { command: Task::Check(CheckTask::Model(args)) }) => match model::run(&args) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(error) => bad_input(&error.to_string()),
        },
        #[cfg(all(feature = "mutants", unix))]
        Ok(Cli { command: Task::Check(CheckTask::Mutants(args)) }) => match mutants::run(&args) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(sentence) => bad_input(&sentence),
        },
        #[cfg(unix)]
        Ok(Cli { command: Task::Check(CheckTask::Kill(args)) }) => check_kill(&args),
        Ok(Cli { command: Task::Inspect(task) }) => match inspect::run(&task) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(sentence) => bad_input(&sentence),
        },
        Ok(Cli { command: Task::Explain(args) }) => match explain::run(&args) {
            Ok((text, complaints)) => finish(&text, &complaints),
            Err(sentence) => bad_input(&sentence),
        },
        #[cfg(all(feature = "serve", unix))]
        Ok(Cli { command: Task::Store(task) }) => store(&task),
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => bad_input(&sentence(&error)),
    }
}

fn compare(args: &CompareArgs) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => return bad_input(&error.to_string()),
    };
    if let Err(error) = memory::admit(&plan, memory::free()) {
        return bad_input(&error.to_string());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = progress_bar();
    let report = work::run(&plan, threads, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = match report {
        Ok(report) => report,
        Err(error) => return bad_input(&error.to_string()),
    };
    if let Some(path) = &args.report {
        if let Err(error) = std::fs::write(path, page::html(plan.seed, &report)) {
            return bad_input(&format!("{}: {error}", path.display()));
        }
        eprintln!("traft: every row, with pictures, is in {}", path.display());
    }
    let text = match () {
        () if args.json => report::json(plan.seed, &report),
        () if args.csv => report::csv(&report),
        () => report::table(plan.seed, &report, colour()),
    };
    let mut complaints: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    complaints.extend(memory::judge(&plan, memory::peak()));
    finish(&text, &complaints)
}

/// In real time, on a real disk.
#[cfg(unix)]
fn durable(args: &CompareArgs, dir: &std::path::Path) -> ExitCode {
    let choice = match args.durable_choice() {
        Ok(choice) => choice,
        Err(error) => return bad_input(&error.to_string()),
    };
    let bar = progress_bar();
    let report = durable::run(dir, &choice, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    if let (Some(path), Ok(report)) = (&args.report, &report) {
        let page = durable::html(&choice.command(dir), report);
        if let Err(error) = std::fs::write(path, page) {
            return bad_input(&format!("{}: {error}", path.display()));
        }
    }
    match report {
        Ok(report) if args.json => finish(&durable::json(&report), &[]),
        Ok(report) if args.csv => finish(&durable::csv(&report), &[]),
        Ok(report) => finish(&durable::table(&report), &[]),
        Err(error) => bad_input(&format!("{}: {error}", dir.display())),
    }
}

/// The store and its clients.
#[cfg(all(feature = "serve", unix))]
fn store(task: &crate::serve::cli::StoreTask) -> ExitCode {
    use crate::serve::cli::{Ended, run};
    match run(task) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Nothing) => ExitCode::from(NOTHING),
        Ok(Ended::Judged(text, complaints)) => finish(&text, &complaints),
        Ok(Ended::Failed(sentence)) => finish("", &[format!("traft: {sentence}")]),
        Err(sentence) => bad_input(&sentence),
    }
}

#[cfg(unix)]
fn check_kill(args: &kill::KillArgs) -> ExitCode {
    let bar = progress_bar();
    let checked = kill::run(args, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    match checked {
        Ok((text, complaints)) => finish(&text, &complaints),
        Err(sentence) => bad_input(&sentence),
    }
}

/// Prints what came of it.
fn finish(text: &str, complaints: &[String]) -> ExitCode {
    // The reader may have seen enough (`| head`): a closed pipe is no reason to fail.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    for complaint in complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATION) }
}

/// On a terminal that was not told otherwise (<https://no-color.org>).
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// On standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn bad_input(sentence: &str) -> ExitCode {
    eprintln!("traft: {sentence}");
    ExitCode::from(BAD_INPUT)
}

/// The parser's own complaint on one line: its first paragraph, without usage and advice.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing; try `traft compare` or `traft --help`".into();
    }
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let words: Vec<&str> = first.split_whitespace().collect();
    // The usage names the command that was meant, if any was.
    let usage = text.split("Usage: ").nth(1).unwrap_or_default().split_whitespace();
    let command: Vec<&str> =
        usage.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
    let command = if command.is_empty() { "traft".into() } else { command.join(" ") };
    format!("{}; try `{command} --help`", words.join(" "))
}
