//! The same as a picture that stands still.

use super::super::picture::{Cell, EVENT_CHARS, LEFT_CHARS, Line, Picture, Position, Row};
use super::super::picture::{TimeLine, wrapped};
use super::Story;
use super::classic::Beside;
use super::drawn::{COLOURS, Standing, arrows, authors, role};
use super::events::events;
use super::text::{is_for_clients, replicas, view};
use crate::base::{LeaderId, Lsn};
use crate::check::scenario::{Frame, View};

/// The whole story. At a step in which a replica changes its positions are shown, and what it did.
pub(super) fn svg(story: &Story, beside: &Beside) -> String {
    let (ids, authors) = (replicas(&story.frames), authors(&story.frames));
    let mut picture = Picture {
        name: story.name.clone(),
        about: story.about.join(" "),
        heads: ids.iter().map(|id| id.to_string()).collect(),
        rows: Vec::new(),
    };
    let mut before: Option<&Frame> = story.opening.as_ref();
    for (at, frame) in story.frames.iter().enumerate() {
        let differs = beside.differs.as_ref().is_some_and(|(first, _)| *first == at);
        let cell = |id| match view(frame, id) {
            Some(after) => cell(frame, before.and_then(|b| view(b, id)), after, &authors),
            None => Cell { line: TimeLine::Absent, ..Cell::default() },
        };
        picture.rows.push(Row {
            left: left(frame, differs),
            cells: ids.iter().map(|id| cell(*id)).collect(),
            arrows: arrows(&story.frames, at, &ids),
        });
        before = Some(frame);
    }
    picture.svg()
}

/// What happens and what clients hear, and whether it could under classic rules.
fn left(frame: &Frame, differs: bool) -> Vec<Line> {
    let command = wrapped(&frame.command, LEFT_CHARS).into_iter().map(Line::Step);
    let said = frame.said.iter().filter(|said| is_for_clients(said));
    let said = said.flat_map(|said| wrapped(said, LEFT_CHARS)).map(Line::Then);
    let differs = differs.then(|| Line::Then("classic Raft could not do this".into()));
    command.chain(said).chain(differs).collect()
}

fn cell(frame: &Frame, before: Option<&View>, after: &View, authors: &[LeaderId]) -> Cell {
    let told = events(before, after);
    let positions = (after.purged.0..frame.end().0).map(Lsn);
    Cell {
        line: if after.up { TimeLine::Up } else { TimeLine::Down },
        events: told.iter().flat_map(|told| wrapped(told, EVENT_CHARS)).collect(),
        role: format!("{} {}", after.id, role(after)),
        boxes: positions.map(|lsn| position(after, lsn, authors)).collect(),
    }
}

fn position(view: &View, lsn: Lsn, authors: &[LeaderId]) -> Position {
    let slot = view.slots.get(&lsn).or(view.log.get(&lsn));
    let author = slot.and_then(|slot| authors.iter().position(|author| *author == slot.author));
    let state = match Standing::of(view, lsn) {
        Standing::Done => "done",
        Standing::Running | Standing::Settled => "settled",
        Standing::Accepted => "accepted",
        Standing::Placed => "placed",
        Standing::Missing => "missing",
    };
    Position { number: lsn.0, state, colour: author.map(|n| n % COLOURS) }
}

#[cfg(test)]
mod tests {
    use super::super::super::picture::tests::{is_as_committed, is_sound};
    use super::super::classic::beside;
    use super::super::tests::story;
    use super::*;

    fn picture(name: &str) -> String {
        let story = story(name);
        svg(&story, &beside(&story))
    }

    #[test]
    fn the_pictures_of_the_tour_are_what_the_replicas_do() {
        for name in [
            "quorum-commit-above-a-hole",
            "replicate-covered-is-not-sent",
            "elect-switch-in-term",
            "rebuild-from-any-voter",
            "member-joint",
        ] {
            let picture = picture(name);
            is_sound(&picture);
            is_as_committed(&format!("docs/pictures/{name}.svg"), &picture);
        }
    }

    #[test]
    fn a_hole_is_dotted_and_what_is_above_it_settled() {
        let picture = picture("quorum-commit-above-a-hole");
        assert!(picture.contains("<g class=\"missing none\">"), "{picture}");
        assert!(picture.contains("<g class=\"settled a0\">"), "{picture}");
        assert!(picture.contains(">classic Raft could not do this</text>"), "{picture}");
    }
}
