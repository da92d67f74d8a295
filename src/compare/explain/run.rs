//! A stretch of what the fault simulator does, or of what processes have recorded.

use super::{Story, name_of};
use crate::base::Membership;
use crate::check::refine::{self, Line, Stretch};
use crate::check::scenario::Frame;
use crate::sim::storm::{self, Outcome};
use std::path::{Path, PathBuf};

/// More than this nobody looks at, and each is a picture of every replica.
pub(super) const STEPS_MAX: u64 = 5_000;

/// Where the stretch begins if nobody says: so that it ends with what fails.
fn begins(from: Option<u64>, steps: u64, fails_at: impl FnOnce() -> Option<u64>) -> u64 {
    from.unwrap_or_else(|| fails_at().map_or(0, |at| (at + 1).saturating_sub(steps)))
}

pub(super) fn of_seed(seed: u64, from: Option<u64>, steps: u64) -> Result<Story, String> {
    let fails_at = || storm::run_mapped(seed, None, false).violation.map(|found| found.step);
    let from = begins(from, steps, fails_at);
    let outcome = storm::watch(seed, from, from.saturating_add(steps));
    let about = format!("Seed {seed} of the fault simulator, from its step {from} on.");
    told(format!("seed-{seed}"), about, outcome)
}

pub(super) fn of_schedule(path: &Path, from: Option<u64>, steps: u64) -> Result<Story, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let whole = storm::replay(&text, false).map_err(|e| wrong(e.to_string()))?;
    let from = begins(from, steps, || whole.violation.map(|found| found.step));
    let outcome = storm::watch_schedule(&text, from, from.saturating_add(steps));
    let about = format!("A schedule of the fault simulator, from its step {from} on.");
    told(name_of(path), about, outcome.map_err(|e| wrong(e.to_string()))?)
}

pub(super) fn of_trace(
    files: &[PathBuf],
    members: Option<Membership>,
    from: Option<u64>,
    steps: u64,
) -> Result<Story, String> {
    let mut lines: Vec<Line> = Vec::new();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        lines.extend(refine::parse(&text).map_err(|error| format!("{name}: {error}"))?);
    }
    let fails_at = || refine::watch(lines.clone(), members.clone(), 0, 0).wrong.map(|(at, _)| at);
    let from = begins(from, steps, fails_at);
    let found = refine::watch(lines, members, from, from.saturating_add(steps));
    let Stretch { frames, steps, wrong } = found;
    let about = format!("What processes have recorded, from step {from} on, of {steps}.");
    let broken = wrong.map(|(_, what)| format!("FAIL {what}")).into_iter().collect();
    story("trace".into(), about, frames, broken).ok_or_else(|| over(steps))
}

fn over(steps: u64) -> String {
    format!("it is over after {steps} steps: begin earlier")
}

fn told(name: String, about: String, outcome: Outcome) -> Result<Story, String> {
    let complain = |found: storm::Violation| {
        let storm::Violation { step, at, what } = found;
        format!("FAIL step {step}, at {at} us: {what}")
    };
    let broken = outcome.violation.map(complain).into_iter().collect();
    story(name, about, outcome.frames, broken).ok_or_else(|| over(outcome.steps))
}

/// `None` if there is nothing to see.
fn story(
    name: String,
    about: String,
    mut frames: Vec<Frame>,
    broken: Vec<String>,
) -> Option<Story> {
    if frames.is_empty() {
        return None;
    }
    // It is there to compare the first one with.
    let opening = Some(frames.remove(0));
    let lines = [
        about,
        "Each line: the step, the time in milliseconds, and what happens. Steps that change no \
         replica are left out, and so are positions that all of them had done before."
            .into(),
    ];
    Some(Story { name, about: lines.to_vec(), opening, frames, broken })
}

#[cfg(test)]
mod tests {
    use super::super::classic::beside;
    use super::super::page::html;
    use super::super::text::{Wanted, columns};
    use super::*;

    #[test]
    fn a_stretch_of_a_seed_is_drawn() {
        let story = of_seed(0, Some(3_000), 120).expect("it is longer");
        assert!(story.broken.is_empty() && story.frames.len() > 20, "{}", story.frames.len());
        let beside = beside(&story);
        let text = columns(&story, &beside, Wanted::default());
        assert!(text.contains(" has synced\n") && text.contains(" n3 to n5: of 2#3:"), "{text}");
        // Only what changed in it, not what had been done before.
        assert!(text.lines().all(|line| line.len() < 400), "{text}");
        let page = html(&story, &beside);
        assert_eq!(page.matches("<tr").count(), 1 + story.frames.len());
        let over = of_seed(0, Some(10_000_000), 10).err().expect("it ends before");
        assert!(over.contains("begin earlier"), "{over}");
    }
}
