//! The same as a picture that stands still, for a page that is printed: docs/tour.md has some.
//!
//! Time runs downward, a line for each replica. At a step in which a replica changes, its positions
//! stand right of its line, and under them what it did.

use super::super::page::escaped;
use super::Story;
use super::classic::Beside;
use super::drawn::{Arrow, COLOURS, Standing, arrows, authors, role};
use super::events::events;
use super::text::{WIDTH, is_for_clients, replicas, view, wrapped};
use crate::base::{LeaderId, Lsn, ReplicaId};
use crate::check::scenario::{Frame, View};
use std::fmt::Write;

const STYLE: &str = include_str!("picture.css");

/// In pixels: a line of text, what is between steps, the column of the commands, that of a replica.
const LINE: usize = 16;
const GAP: usize = 14;
const LEFT: usize = 270;
const COLUMN: usize = 190;
/// Above the first step.
const TOP: usize = 34;

/// A position: its box, and how many there are in a row.
const BOX: (usize, usize) = (22, 17);
const BOXES: usize = 7;

/// Characters of a command's line.
const COMMAND: usize = 36;

/// What is drawn of a step.
struct Row<'a> {
    frame: &'a Frame,
    /// Lines of text, and whether each is the command and not what came of it.
    left: Vec<(String, bool)>,
    /// Of each replica that changes: itself, and what it did.
    right: Vec<Option<(&'a View, Vec<String>)>>,
    arrows: Vec<Arrow>,
    top: usize,
    height: usize,
}

/// The whole picture.
pub(super) fn svg(story: &Story, beside: &Beside) -> String {
    let (ids, authors) = (replicas(&story.frames), authors(&story.frames));
    let rows = rows(story, beside, &ids);
    let height = rows.last().map_or(TOP, |row| row.top + row.height) + GAP;
    let width = LEFT + COLUMN * ids.len();
    let (name, about) = (escaped(&story.name), escaped(&story.about.join(" ")));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{name}</title>\n\
         <desc>{about}</desc>\n<style>\n{STYLE}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"head\" d=\"M0 0 8 4 0 8z\"/></marker>\
         </defs>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (at, id) in ids.iter().enumerate() {
        let _ = writeln!(text, "<text class=\"id\" x=\"{}\" y=\"20\">{id}</text>", lane(at) - 7);
        lifeline(&mut text, &rows, at, *id);
    }
    for row in &rows {
        row.arrows.iter().for_each(|arrow| arrow_to(&mut text, &rows, row, arrow));
    }
    rows.iter().for_each(|row| draw(&mut text, row, &authors));
    text += "</svg>\n";
    text
}

/// Where the line of a replica is.
fn lane(column: usize) -> usize {
    LEFT + COLUMN * column + 10
}

fn rows<'a>(story: &'a Story, beside: &Beside, ids: &[ReplicaId]) -> Vec<Row<'a>> {
    let mut before: Option<&Frame> = story.opening.as_ref();
    let mut top = TOP;
    let mut rows = Vec::new();
    for (at, frame) in story.frames.iter().enumerate() {
        let mut left: Vec<(String, bool)> =
            wrapped(&frame.command, COMMAND).into_iter().map(|line| (line, true)).collect();
        let said = frame.said.iter().filter(|said| is_for_clients(said));
        left.extend(said.flat_map(|said| wrapped(said, COMMAND)).map(|line| (line, false)));
        if beside.differs.as_ref().is_some_and(|(first, _)| *first == at) {
            left.push(("classic Raft could not do this".into(), false));
        }
        let change = |id: &ReplicaId| {
            let after = view(frame, *id)?;
            let told = events(before.and_then(|before| view(before, *id)), after);
            let lines: Vec<String> = told.iter().flat_map(|told| wrapped(told, WIDTH)).collect();
            (!lines.is_empty()).then_some((after, lines))
        };
        let right: Vec<_> = ids.iter().map(change).collect();
        let tall = right.iter().flatten().map(|(after, lines)| {
            lines.len() * LINE + positions(frame, after).div_ceil(BOXES) * (BOX.1 + 3)
        });
        let height = tall.max().unwrap_or(0).max(left.len() * LINE);
        rows.push(Row { frame, left, right, arrows: arrows(&story.frames, at, ids), top, height });
        top += height + GAP;
        before = Some(frame);
    }
    rows
}

/// How many positions stand at a replica.
fn positions(frame: &Frame, view: &View) -> usize {
    frame.end().0.saturating_sub(view.purged.0) as usize
}

/// From the first step to the last; dotted while the replica is down.
fn lifeline(text: &mut String, rows: &[Row<'_>], column: usize, id: ReplicaId) {
    let x = lane(column);
    for row in rows {
        let Some(view) = view(row.frame, id) else { continue };
        let class = if view.up { "up" } else { "down" };
        let end = row.top + row.height + GAP;
        let _ = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{end}\"/>",
            row.top
        );
    }
}

/// From where its newest record was placed, or from just above.
fn arrow_to(text: &mut String, rows: &[Row<'_>], row: &Row<'_>, arrow: &Arrow) {
    let Arrow { from, to, since } = *arrow;
    if from == to {
        return;
    }
    let end = row.top + 6;
    let start = rows.get(since).map(|row| row.top + 6).filter(|start| *start < end);
    let start = start.unwrap_or(end - GAP);
    let (x1, x2) = (lane(from), lane(to));
    let _ = writeln!(
        text,
        "<path class=\"arrow\" marker-end=\"url(#head)\" d=\"M{x1} {start} {x2} {end}\"/>"
    );
}

fn draw(text: &mut String, row: &Row<'_>, authors: &[LeaderId]) {
    for (n, (line, command)) in row.left.iter().enumerate() {
        let (class, y) = (if *command { "command" } else { "said" }, row.top + LINE * n + 12);
        let _ =
            writeln!(text, "<text class=\"{class}\" x=\"8\" y=\"{y}\">{}</text>", escaped(line));
    }
    for (column, change) in row.right.iter().enumerate() {
        let Some((view, lines)) = change else { continue };
        let x = lane(column) + 8;
        let below = boxes(text, row, view, x, authors);
        for (n, line) in lines.iter().enumerate() {
            let y = below + LINE * n + 12;
            let line = escaped(line);
            let _ = writeln!(text, "<text class=\"event\" x=\"{x}\" y=\"{y}\">{line}</text>");
        }
        let _ = writeln!(
            text,
            "<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"3\"><title>{} {}</title></circle>",
            lane(column),
            row.top + 6,
            view.id,
            role(view)
        );
    }
}

/// The positions of a replica; says where they end.
fn boxes(text: &mut String, row: &Row<'_>, view: &View, x: usize, authors: &[LeaderId]) -> usize {
    let (width, height) = BOX;
    for (n, lsn) in (view.purged.0..row.frame.end().0).map(Lsn).enumerate() {
        let (x, y) = (x + (n % BOXES) * (width + 2), row.top + n / BOXES * (height + 3));
        let slot = view.slots.get(&lsn).or(view.log.get(&lsn));
        let author = slot.and_then(|slot| authors.iter().position(|author| *author == slot.author));
        let colour = author.map_or("none".into(), |n| format!("a{}", n % COLOURS));
        let class = match Standing::of(view, lsn) {
            Standing::Done => "done",
            Standing::Running | Standing::Settled => "settled",
            Standing::Accepted => "accepted",
            Standing::Placed => "placed",
            Standing::Missing => "missing",
        };
        let _ = writeln!(
            text,
            "<g class=\"{class} {colour}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" \
             height=\"{height}\" rx=\"3\"/><text x=\"{}\" y=\"{}\">{lsn}</text></g>",
            x + width / 2,
            y + 13
        );
    }
    row.top + positions(row.frame, view).div_ceil(BOXES) * (height + 3)
}

#[cfg(test)]
mod tests {
    use super::super::classic::beside;
    use super::super::tests::story;
    use super::*;

    /// In docs/tour.md.
    const SHOWN: [&str; 5] = [
        "quorum-commit-above-a-hole",
        "replicate-covered-is-not-sent",
        "elect-switch-in-term",
        "rebuild-from-any-voter",
        "member-joint",
    ];

    fn picture(name: &str) -> String {
        let story = story(name);
        svg(&story, &beside(&story))
    }

    /// `BLESS=1` writes those that differ.
    #[test]
    fn the_pictures_of_the_book_are_what_the_replicas_do() {
        for name in SHOWN {
            let path = format!("{}/docs/pictures/{name}.svg", env!("CARGO_MANIFEST_DIR"));
            let drawn = picture(name);
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&path, &drawn).expect("it can be written");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == drawn, "{path} is not what is drawn; BLESS=1 writes it");
        }
    }

    #[test]
    fn a_picture_fetches_nothing_and_stays_within_itself() {
        for name in SHOWN {
            let picture = picture(name);
            let inner = picture.replacen("http://www.w3.org/2000/svg", "", 1);
            for fetched in ["http:", "https:", "href", "@import", "url(h"] {
                assert!(!inner.contains(fetched), "{name}: {fetched}");
            }
            for tag in ["text", "g", "title", "circle"] {
                let opened = picture.matches(&format!("<{tag}>")).count()
                    + picture.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, picture.matches(&format!("</{tag}>")).count(), "{name}: {tag}");
            }
            let height: usize = picture
                .split_once("height=\"")
                .and_then(|(_, rest)| rest.split('"').next()?.parse().ok())
                .expect("a height");
            let lowest = picture
                .split(" y=\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next().and_then(|y| y.parse::<usize>().ok()));
            assert!(lowest.max().expect("something is drawn") < height, "{name}");
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
