//! A picture that stands still: time downward, a line for each who takes part, messages as arrows.
//! For a page that is printed; docs/tour.md and design/rejected have some.
//!
//! It fetches nothing, follows the colours of the reader's screen, and says in its title and
//! description what it shows.

use super::page::escaped;
use std::fmt::Write;

const STYLE: &str = include_str!("picture.css");

/// In pixels: a line of text, what is between steps, the column of the commands, one of the others.
const LINE: usize = 16;
const GAP: usize = 14;
const LEFT: usize = 270;
const COLUMN: usize = 190;
/// Above the first step.
const TOP: usize = 34;

/// A position: its box, and how many there are in a row.
const BOX: (usize, usize) = (22, 17);
const BOXES: usize = 7;

/// Characters of a line beside a line of time, and of one at the left.
pub(super) const EVENT_CHARS: usize = 24;
pub(super) const LEFT_CHARS: usize = 36;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) name: String,
    pub(super) about: String,
    /// Who takes part.
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A step.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Lines of text at the left.
    pub(super) left: Vec<Line>,
    /// One for each who takes part.
    pub(super) cells: Vec<Cell>,
    pub(super) arrows: Vec<Arrow>,
}

/// A line of text at the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// What happens.
    Step(String),
    /// What comes of it.
    Then(String),
}

/// One of those who take part, at one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) line: TimeLine,
    /// What it does, each no longer than [`EVENT_CHARS`]. If nothing, the boxes are not drawn.
    pub(super) events: Vec<String>,
    /// What it is, for whoever points at it.
    pub(super) role: String,
    pub(super) boxes: Vec<Position>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TimeLine {
    #[default]
    Up,
    Down,
    /// It is not there yet.
    Absent,
}

/// A position of a log.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) number: u64,
    /// `missing`, `placed`, `accepted`, `settled` or `done`.
    pub(super) state: &'static str,
    /// Which of the colours, if it has an author.
    pub(super) colour: Option<usize>,
}

/// A message that came, by columns and steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The step in which the last of its records was placed; that of its arrival if it has none.
    pub(super) since: usize,
}

/// Where a step is.
#[derive(Clone, Copy)]
struct Place {
    top: usize,
    height: usize,
}

impl Picture {
    /// The picture as SVG.
    pub(super) fn svg(&self) -> String {
        let places = self.places();
        let height = places.last().map_or(TOP, |last| last.top + last.height) + GAP;
        let width = LEFT + COLUMN * self.heads.len();
        let (name, about) = (escaped(&self.name), escaped(&self.about));
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{name}</title>\n\
             <desc>{about}</desc>\n<style>\n{STYLE}</style>\n\
             <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
             <path class=\"head\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        for (column, head) in self.heads.iter().enumerate() {
            let (x, head) = (lane(column) - 7, escaped(head));
            let _ = writeln!(text, "<text class=\"id\" x=\"{x}\" y=\"20\">{head}</text>");
            self.time_line(&mut text, &places, column);
        }
        for (at, row) in self.rows.iter().enumerate() {
            row.arrows.iter().for_each(|arrow| draw_arrow(&mut text, &places, at, arrow));
        }
        for (row, place) in self.rows.iter().zip(&places) {
            row.draw(&mut text, *place);
        }
        text += "</svg>\n";
        text
    }

    fn places(&self) -> Vec<Place> {
        let mut top = TOP;
        let place = |row: &Row| {
            let tall = row.cells.iter().map(|cell| cell.boxes_height() + LINE * cell.events.len());
            let height = tall.max().unwrap_or(0).max(LINE * row.left.len());
            top += height + GAP;
            Place { top: top - height - GAP, height }
        };
        self.rows.iter().map(place).collect()
    }

    /// Dotted while it is down.
    fn time_line(&self, text: &mut String, places: &[Place], column: usize) {
        let x = lane(column);
        for (row, Place { top, height }) in self.rows.iter().zip(places) {
            let class = match row.cells.get(column).map(|cell| cell.line) {
                Some(TimeLine::Up) => "up",
                Some(TimeLine::Down) => "down",
                Some(TimeLine::Absent) | None => continue,
            };
            let end = top + height + GAP;
            let _ = writeln!(
                text,
                "<line class=\"{class}\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{end}\"/>"
            );
        }
    }
}

impl Row {
    fn draw(&self, text: &mut String, Place { top, .. }: Place) {
        for (n, line) in self.left.iter().enumerate() {
            let (class, line) = match line {
                Line::Step(line) => ("command", line),
                Line::Then(line) => ("said", line),
            };
            let (y, line) = (top + LINE * n + 12, escaped(line));
            let _ = writeln!(text, "<text class=\"{class}\" x=\"8\" y=\"{y}\">{line}</text>");
        }
        for (column, cell) in self.cells.iter().enumerate() {
            if !cell.events.is_empty() {
                cell.draw(text, lane(column), top);
            }
        }
    }
}

impl Cell {
    fn boxes_height(&self) -> usize {
        if self.events.is_empty() { 0 } else { self.boxes.len().div_ceil(BOXES) * (BOX.1 + 3) }
    }

    fn draw(&self, text: &mut String, lane: usize, top: usize) {
        let (x, (width, height)) = (lane + 8, BOX);
        for (n, position) in self.boxes.iter().enumerate() {
            let (x, y) = (x + n % BOXES * (width + 2), top + n / BOXES * (height + 3));
            let Position { number, state, colour } = position;
            let colour = colour.map_or("none".into(), |n| format!("a{n}"));
            let _ = writeln!(
                text,
                "<g class=\"{state} {colour}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" \
                 height=\"{height}\" rx=\"3\"/><text x=\"{}\" y=\"{}\">{number}</text></g>",
                x + width / 2,
                y + 13
            );
        }
        for (n, event) in self.events.iter().enumerate() {
            let y = top + self.boxes_height() + LINE * n + 12;
            let event = escaped(event);
            let _ = writeln!(text, "<text class=\"event\" x=\"{x}\" y=\"{y}\">{event}</text>");
        }
        let (y, role) = (top + 6, escaped(&self.role));
        let _ = writeln!(
            text,
            "<circle class=\"dot\" cx=\"{lane}\" cy=\"{y}\" r=\"3\"><title>{role}</title></circle>"
        );
    }
}

/// Where the line of time of a column is.
fn lane(column: usize) -> usize {
    LEFT + COLUMN * column + 10
}

/// From where its newest record was placed, or from just above. What somebody tells itself is not
/// drawn.
fn draw_arrow(text: &mut String, places: &[Place], at: usize, arrow: &Arrow) {
    let Arrow { from, to, since } = *arrow;
    let (Some(row), true) = (places.get(at), from != to) else { return };
    let end = row.top + 6;
    let start = places.get(since).map(|place| place.top + 6).filter(|start| *start < end);
    let start = start.unwrap_or(end - GAP);
    let (x1, x2) = (lane(from), lane(to));
    let _ = writeln!(
        text,
        "<path class=\"arrow\" marker-end=\"url(#head)\" d=\"M{x1} {start} {x2} {end}\"/>"
    );
}

/// Lines no wider than `width` with a blank after it.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// That `drawn` is what is in the file. `BLESS=1` writes it.
    pub(in super::super) fn is_as_committed(path: &str, drawn: &str) {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, drawn).expect("it can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == drawn, "{path} is not what is drawn; BLESS=1 writes it");
    }

    /// It fetches nothing, closes what it opens, and has nothing below its end.
    pub(in super::super) fn is_sound(picture: &str) {
        let inner = picture.replacen("http://www.w3.org/2000/svg", "", 1);
        for fetched in ["http:", "https:", "href", "@import", "url(h"] {
            assert!(!inner.replace("url(#head)", "").contains(fetched), "{fetched}");
        }
        for tag in ["text", "g", "title", "circle"] {
            let opened = picture.matches(&format!("<{tag}>")).count()
                + picture.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, picture.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        let number = |rest: &str| rest.split('"').next().and_then(|n| n.parse::<usize>().ok());
        let height = picture.split_once("height=\"").and_then(|(_, rest)| number(rest));
        let lowest = picture.split(" y=\"").skip(1).filter_map(number).max();
        assert!(lowest.expect("something is drawn") < height.expect("a height"));
    }

    #[test]
    fn long_events_are_wrapped() {
        let lines = wrapped("has 100001 100002 100003 100004", EVENT_CHARS);
        assert_eq!(lines, ["has 100001 100002", "  100003 100004"]);
        assert!(lines.iter().all(|line| line.len() < EVENT_CHARS));
    }

    #[test]
    fn what_is_written_cannot_be_taken_for_a_tag() {
        let row = Row { left: vec![Line::Step("<b> & \"c\"".into())], ..Row::default() };
        let picture = Picture { rows: vec![row], ..Picture::default() }.svg();
        is_sound(&picture);
        assert!(picture.contains(">&lt;b&gt; &amp; &quot;c&quot;</text>"), "{picture}");
    }
}
