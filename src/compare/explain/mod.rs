//! `traft explain`: a scenario, or a stretch of what the fault simulator does, drawn step by step,
//! with the reason for the state of each position.
//!
//! The production replica runs it (`check::scenario`, `sim::storm`); what is drawn is what the
//! replicas hold and know after each command, nothing else.

mod classic;
mod drawn;
mod events;
mod page;
mod picture;
mod run;
mod text;
mod twin;

use crate::base::Membership;
use crate::check::scenario::{self, Frame, Outcome};
use clap::Args;
use classic::Beside;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub(super) const GUIDE: &str = "\
Scenarios are the text files of tests/scenarios; one for each rule of the algorithm, with the rule
in its first lines. The notation is that of design/losing-schedules.md. Seeds and schedules are
those of `traft sim`: of a long run only a stretch is drawn.

Examples:
  traft explain --scenario tests/scenarios/quorum-commit-above-a-hole.txt
      what each replica does at each step, a column each
  traft explain --scenario tests/scenarios/elect-duel.txt --report duel.html
      a page to step through: every position at every replica, and why it is as it is
  traft explain --scenario tests/scenarios/elect-duel.txt --picture duel.svg
      a picture that stands still, for a page of your own
  traft explain --scenario FILE --why 2 --classic
      after each step, the reason for the state of position 2, and what classic Raft would have done
  traft explain --seed 17 --from 4000 --report run.html
      what `traft sim` does from its step 4000 on
  traft explain --schedule tests/schedules/promise-lost-twice.txt
      a schedule that `traft sim --shrink` wrote: the steps before it fails, or the first ones
  traft explain --trace steps/*.jsonl --from 4000 --report run.html
      what processes did: `traft cluster up --trace steps` records it, and `traft nemesis --trace`

Exit codes:
  0  done
  1  an invariant was broken, or a command makes no sense; standard error says which
  2  the command line or a file is wrong";

#[derive(Args, Debug)]
pub(in super::super) struct ExplainArgs {
    /// The scenario
    #[arg(long, value_name = "FILE", required_unless_present_any = ["seed", "schedule", "trace"],
          conflicts_with_all = ["seed", "schedule", "trace"])]
    scenario: Option<PathBuf>,
    /// This seed of the fault simulator
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// This schedule of the fault simulator
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    schedule: Option<PathBuf>,
    /// What the replicas of a cluster have recorded with `--trace DIR`: all of their files
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["seed", "schedule"])]
    trace: Vec<PathBuf>,
    /// The membership that the cluster of the trace began with; else a majority of those in it
    #[arg(long, value_name = "TEXT", requires = "trace")]
    members: Option<Membership>,
    /// From this step on; if not said, up to the one that fails, or from the first
    #[arg(long, value_name = "STEP", conflicts_with = "scenario")]
    from: Option<u64>,
    /// So many steps of the simulator or the trace; those that change no replica are not drawn
    #[arg(long, value_name = "K", default_value_t = 200, conflicts_with = "scenario",
          value_parser = clap::value_parser!(u64).range(1..=run::STEPS_MAX))]
    steps: u64,
    /// Write a page of HTML that can be stepped through
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a picture (SVG): time downward, a line for each replica, messages as arrows
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Say after each step why this position is settled, or is not
    #[arg(long, value_name = "LSN")]
    why: Option<u64>,
    /// Say after each step what classic Raft would have done (the page always does)
    #[arg(long)]
    classic: bool,
}

/// What is to be drawn.
struct Story {
    /// The name of the file, without its ending.
    name: String,
    /// The comment at its top.
    about: Vec<String>,
    /// How it stood before the first step, if it did not begin there.
    opening: Option<Frame>,
    frames: Vec<Frame>,
    broken: Vec<String>,
}

/// The text to print and what is to be complained of.
///
/// # Errors
/// One sentence on what is wrong with the command line or a file.
pub(super) fn run(args: &ExplainArgs) -> Result<(String, Vec<String>), String> {
    let story = match (&args.scenario, &args.schedule, args.seed) {
        _ if !args.trace.is_empty() => {
            run::of_trace(&args.trace, args.members.clone(), args.from, args.steps)?
        }
        (Some(path), ..) => scenario_of(path)?,
        (_, Some(path), _) => run::of_schedule(path, args.from, args.steps)?,
        (.., seed) => run::of_seed(seed.unwrap_or_default(), args.from, args.steps)?,
    };
    let beside = classic::beside(&story);
    let write = |to: &Option<PathBuf>, draw: fn(&Story, &Beside) -> String| match to {
        Some(to) => {
            std::fs::write(to, draw(&story, &beside)).map_err(|e| format!("{}: {e}", to.display()))
        }
        None => Ok(()),
    };
    write(&args.report, page::html)?;
    write(&args.picture, picture::svg)?;
    let why = args.why.map(crate::base::Lsn);
    let text = text::columns(&story, &beside, text::Wanted { why, classic: args.classic });
    Ok((text, story.broken))
}

fn scenario_of(path: &Path) -> Result<Story, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Story::of(name_of(path), &text)
        .map_err(|why| format!("{}: the replicas stopped: {why}", path.display()))
}

/// Of a file, without its ending.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Story {
    fn of(name: String, text: &str) -> Result<Story, String> {
        let about = text.lines().take_while(|line| line.starts_with('#'));
        let about = about.map(|line| line.trim_start_matches(['#', ' ']).to_string()).collect();
        // What the algorithm asserts ends in a panic, and a scenario can be wrong enough for that.
        let watched = catch_unwind(AssertUnwindSafe(|| scenario::watch(text)));
        let (Outcome { broken, .. }, frames) = watched.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            text.unwrap_or_else(|| "an assertion".into())
        })?;
        if frames.is_empty() && broken.is_empty() {
            return Err("there is no command in it".into());
        }
        Ok(Story { name, about, opening: None, frames, broken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn story(name: &str) -> Story {
        let path = format!("{}/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a scenario");
        Story::of(name.into(), &text).expect("it runs")
    }

    #[test]
    fn nonsense_is_told_with_its_line() {
        let story = Story::of("x".into(), "start: membership (n0; read 1, write 1)\nn0 dances\n");
        assert_eq!(story.expect("it runs").broken, ["line 2, n0 dances: unknown"]);
        assert_eq!(
            Story::of("x".into(), "# nothing\n").err(),
            Some("there is no command in it".into())
        );
    }
}
