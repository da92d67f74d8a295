//! A stretch of what the fault simulator does.

use super::{Story, name_of};
use crate::sim::storm::{self, Outcome};
use std::path::Path;

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

fn told(name: String, about: String, outcome: Outcome) -> Result<Story, String> {
    let mut frames = outcome.frames;
    if frames.is_empty() {
        return Err(format!("it is over after {} steps: begin earlier", outcome.steps));
    }
    // It is there to compare the first one with.
    let opening = Some(frames.remove(0));
    let lines = [
        about,
        "Each line: the step, the time in milliseconds, and what happens. Steps that change no \
         replica are left out, and so are positions that all of them had done before."
            .into(),
    ];
    let complain = |found: storm::Violation| {
        let storm::Violation { step, at, what } = found;
        format!("FAIL step {step}, at {at} us: {what}")
    };
    let broken = outcome.violation.map(complain).into_iter().collect();
    Ok(Story { name, about: lines.to_vec(), opening, frames, broken })
}

#[cfg(test)]
mod tests {
    use super::super::page::html;
    use super::super::text::columns;
    use super::*;

    #[test]
    fn a_stretch_of_a_seed_is_drawn() {
        let story = of_seed(0, Some(3_000), 120).expect("it is longer");
        assert!(story.broken.is_empty() && story.frames.len() > 20, "{}", story.frames.len());
        let text = columns(&story, None);
        assert!(text.contains(" has synced\n") && text.contains(" n3 to n5: of 2#3:"), "{text}");
        // Only what changed in it, not what had been done before.
        assert!(text.lines().all(|line| line.len() < 400), "{text}");
        let page = html(&story);
        assert_eq!(page.matches("<tr").count(), 1 + story.frames.len());
        let over = of_seed(0, Some(10_000_000), 10).err().expect("it ends before");
        assert!(over.contains("begin earlier"), "{over}");
    }
}
