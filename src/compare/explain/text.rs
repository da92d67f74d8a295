//! A column for each replica, time downward.

use super::super::picture::{EVENT_CHARS, wrapped};
use super::Story;
use super::classic::Beside;
use super::events::events;
use crate::base::{Lsn, ReplicaId};
use crate::check::scenario::{Frame, View};
use std::fmt::Write;

/// Characters of a column.
const WIDTH: usize = EVENT_CHARS;

/// What is told after each step, besides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Why this position is as it is.
    pub(super) why: Option<Lsn>,
    /// What classic Raft would have done.
    pub(super) classic: bool,
}

/// The whole story.
pub(super) fn columns(story: &Story, beside: &Beside, wanted: Wanted) -> String {
    let mut text = String::new();
    for line in &story.about {
        let _ = writeln!(text, "# {line}");
    }
    let ids = replicas(&story.frames);
    let heads: String = ids.iter().map(|id| format!("{:<WIDTH$}", id.to_string())).collect();
    let _ = writeln!(text, "\n      {}", heads.trim_end());
    let mut before: Option<&Frame> = story.opening.as_ref();
    for (at, frame) in story.frames.iter().enumerate() {
        let _ = writeln!(text, "{:>4}  {}", frame.line, frame.command);
        let done = |id: &ReplicaId| {
            let after = view(frame, *id)?;
            Some(events(before.and_then(|before| view(before, *id)), after))
        };
        rows(&mut text, "      ", &ids, done);
        if let Some(step) = beside.steps.get(at).filter(|_| wanted.classic) {
            rows(&mut text, " raft ", &ids, |id| Some(step.get(id)?.events.clone()));
        }
        for said in frame.said.iter().filter(|said| is_for_clients(said)) {
            let _ = writeln!(text, "      => {said}");
        }
        if let Some(lsn) = wanted.why {
            let _ = writeln!(text, "      {lsn}: {}", frame.why(lsn));
        }
        if let Some((_, what)) = beside.differs.as_ref().filter(|(first, _)| *first == at) {
            let _ = writeln!(text, "      !! here classic Raft differs: {what}");
        }
        before = Some(frame);
    }
    text
}

/// What the columns do not show.
pub(super) fn is_for_clients(said: &str) -> bool {
    ["the proposal", "proposal", "read ", "all below", "the state"]
        .iter()
        .any(|start| said.starts_with(start))
}

/// Every replica that is ever named.
pub(super) fn replicas(frames: &[Frame]) -> Vec<ReplicaId> {
    let last = frames.last();
    last.map_or_else(Vec::new, |frame| frame.replicas.iter().map(|view| view.id).collect())
}

pub(super) fn view(frame: &Frame, id: ReplicaId) -> Option<&View> {
    frame.replicas.iter().find(|view| view.id == id)
}

/// What each did; `margin` stands before each line.
fn rows(
    text: &mut String,
    margin: &str,
    ids: &[ReplicaId],
    done: impl Fn(&ReplicaId) -> Option<Vec<String>>,
) {
    let lines =
        |id| done(id).unwrap_or_default().iter().flat_map(|event| wrapped(event, WIDTH)).collect();
    let columns: Vec<Vec<String>> = ids.iter().map(lines).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..height {
        let cells = columns.iter().map(|column| column.get(row).map_or("|", String::as_str));
        let line: String = cells.map(|cell| format!("{cell:<WIDTH$}")).collect();
        let _ = writeln!(text, "{margin}{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::classic::beside;
    use super::super::tests::story;
    use super::*;

    fn told(name: &str, why: Option<Lsn>) -> String {
        let story = story(name);
        columns(&story, &beside(&story), Wanted { why, classic: false })
    }

    #[test]
    fn a_commit_above_a_hole_is_seen_and_explained() {
        let text = told("quorum-commit-above-a-hole", Some(Lsn(2)));
        let wanted = [
            "      n0                      n1                      n2\n",
            "n1 n2 accept 1 2 from 1#0\n      |                       has 1 2",
            "!! here classic Raft differs: n1 holds position 1 and not 0.",
            "=> the proposal at 1 is answered\n      2: Not settled: a write quorum holds it \
             (n1 n2), but it depends on {0}, which is not settled.",
        ];
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}\nin\n{text}");
        }
    }

    #[test]
    fn an_overridden_position_says_by_what() {
        let text = told("replicate-covered-is-not-sent", Some(Lsn(0)));
        assert!(text.contains("0: Settled: 2 overrides it and is settled. Done at"), "{text}");
    }

    #[test]
    fn every_scenario_can_be_drawn_within_its_columns() {
        let dir = format!("{}/tests/scenarios", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(dir).expect("the scenarios") {
            let path = entry.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let story = story(&name);
            assert!(story.broken.is_empty() && !story.about.is_empty(), "{name}");
            let wanted = Wanted { why: None, classic: true };
            let text = columns(&story, &beside(&story), wanted);
            let wide = 6 + WIDTH * replicas(&story.frames).len();
            let drawn = |line: &&str| {
                (line.starts_with("      ") || line.starts_with(" raft "))
                    && !line.contains(['=', '!'])
            };
            let fits = |line: &str| line.len() <= wide;
            assert!(text.lines().filter(drawn).all(fits), "{name}:\n{text}");
        }
    }
}
