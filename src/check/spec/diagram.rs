//! A schedule as a space-time diagram in text: time goes down, leaders and replicas stand side by
//! side.
//!
//! ```text
//!        leader 1        leader 2        n1              n2
//!    1   elected ----------------------- votes --------- votes
//!    2   @1 write x
//!    3   @1 ---------------------------------------------> has @1
//! ```

use super::{Action, Place, R, Spec, bits};
use crate::check::search::Wrong;
use std::fmt;

/// How wide a column is.
const WIDTH: usize = 16;

/// A schedule that breaks something. Written out it is a diagram of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// Leaders, then replicas: the columns.
    pub heads: Vec<String>,
    /// What happens, in order.
    pub rows: Vec<Row>,
    /// What is wrong in the end.
    pub wrong: String,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What is said in which column, by number of the column.
    pub cells: Vec<(usize, String)>,
    /// What goes from which column to which.
    pub arrows: Vec<(usize, usize)>,
    /// What comes of it; may be empty.
    pub note: String,
}

impl Diagram {
    fn new(leaders: u8) -> Diagram {
        let names = (1..=leaders).map(|b| format!("leader {b}"));
        let replicas = (0..R).map(|r| format!("n{}", r + 1));
        let heads = names.chain(replicas).collect();
        Diagram { heads, rows: Vec::new(), wrong: String::new() }
    }

    /// The column of a leader, and of a replica.
    fn leader(leader: u8) -> usize {
        (leader - 1) as usize
    }

    fn replica(&self, replica: usize) -> usize {
        self.heads.len() - R + replica
    }

    /// A step in which the first column tells the others something.
    fn row(&mut self, cells: &[(usize, String)], note: &str) {
        let (cells, note) = (cells.to_vec(), note.into());
        let arrows = cells.iter().skip(1).map(|(to, _)| (cells[0].0, *to)).collect();
        self.rows.push(Row { cells, arrows, note });
    }

    /// A step in which the others tell the first column something.
    fn answers(&mut self, cells: &[(usize, String)], note: &str) {
        self.row(cells, note);
        let arrows = self.rows.last_mut().map(|row| &mut row.arrows);
        arrows.into_iter().flatten().for_each(|(from, to)| std::mem::swap(from, to));
    }
}

impl fmt::Display for Diagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: String = self.heads.iter().map(|name| format!("{name:<WIDTH$}")).collect();
        writeln!(f, "       {}", head.trim_end())?;
        for (Row { cells, note, .. }, step) in self.rows.iter().zip(1..) {
            writeln!(f, "{step:>4}   {}", in_columns(cells).trim_end())?;
            if !note.is_empty() {
                writeln!(f, "       {note}")?;
            }
        }
        writeln!(f, "       {}", self.wrong)
    }
}

/// Texts in columns, with a line from one to the next.
fn in_columns(cells: &[(usize, String)]) -> String {
    let mut row = String::new();
    let mut cells = cells.to_vec();
    cells.sort_by_key(|(column, _)| *column);
    for (nth, (column, text)) in cells.iter().enumerate() {
        let fill = if nth > 0 { '-' } else { ' ' };
        let start = column * WIDTH;
        if nth > 0 {
            row.push(' ');
        }
        while row.chars().count() + 1 < start {
            row.push(fill);
        }
        if row.chars().count() < start {
            row.push(' ');
        }
        row.push_str(text);
    }
    row
}

/// Draws what happens until something is wrong.
pub(super) fn draw<S: Spec>(spec: &S, wrong: &Wrong) -> Diagram {
    let steps = replay(spec, wrong);
    let leaders = steps.iter().map(|(action, ..)| leader_of(*action)).max().unwrap_or(1).max(1);
    let mut drawing = Diagram::new(leaders);
    for (action, before, after) in &steps {
        step(spec, &mut drawing, *action, before, after);
    }
    drawing.wrong = wrong.what.clone();
    drawing
}

/// The actions of a path, each with the states before and after it.
fn replay<S: Spec>(spec: &S, wrong: &Wrong) -> Vec<(Action, S::State, S::State)> {
    let mut steps = Vec::new();
    let mut state = spec.first();
    for wanted in &wrong.path {
        let (mut nth, mut found) = (0, None);
        spec.next(&state, &mut |next, action| {
            if nth == *wanted {
                found = Some((action, next));
            }
            nth += 1;
        });
        let Some((action, next)) = found else { break };
        steps.push((action, std::mem::replace(&mut state, next.clone()), next));
    }
    steps
}

fn leader_of(action: Action) -> u8 {
    match action {
        Action::Elect(b, _)
        | Action::Place(b, _)
        | Action::Accept(b, ..)
        | Action::Hear(b, _)
        | Action::Repair(b, _) => b,
        Action::Purge(..) | Action::Install(..) | Action::Lose(_) | Action::Learn(_) => 0,
    }
}

fn step<S: Spec>(
    spec: &S,
    drawing: &mut Diagram,
    action: Action,
    before: &S::State,
    after: &S::State,
) {
    let place = |b: u8, l: u8| {
        let Place { what, author } = spec.place(after, b, l);
        if author == b { format!("@{l} {what}") } else { format!("@{l} {what} of {author}") }
    };
    let known = spec.committed(before);
    let news = spec.committed(after).into_iter().filter(|commit| !known.contains(commit));
    let news: Vec<String> = news.map(|(l, what)| format!("@{l} {what}")).collect();
    let note = match news.is_empty() {
        true => String::new(),
        false => format!("committed: {}", news.join(", ")),
    };
    match action {
        Action::Elect(b, q) => {
            let mut cells = vec![(Diagram::leader(b), "elected".to_string())];
            cells.extend(bits(q).map(|r| (drawing.replica(r), "votes".to_string())));
            let log = spec.log_of(after, b);
            let found = if log.is_empty() { "nothing".into() } else { log.join(", ") };
            drawing.answers(&cells, &format!("leader {b} finds: {found}"));
        }
        Action::Place(b, l) => {
            drawing.row(&[(Diagram::leader(b), place(b, l))], &note);
        }
        Action::Accept(b, r, l) => {
            let cells =
                [(Diagram::leader(b), format!("@{l}")), (drawing.replica(r), format!("has @{l}"))];
            drawing.row(&cells, &note);
        }
        Action::Lose(r) => {
            let lost = spec.lost(before, after, r);
            let cells = [(drawing.replica(r), "restarts".to_string())];
            drawing.row(&cells, &format!("n{} has lost {lost}", r + 1));
        }
        Action::Purge(r, l) => {
            drawing.row(&[(drawing.replica(r), format!("purges @{l}"))], "");
        }
        Action::Install(r, from) => {
            let cells = [
                (drawing.replica(from), "snapshot".to_string()),
                (drawing.replica(r), "installs it".to_string()),
            ];
            drawing.row(&cells, "");
        }
        Action::Hear(b, r) | Action::Repair(b, r) => {
            let what = if matches!(action, Action::Hear(..)) { "asks" } else { "is repaired" };
            let cells =
                [(Diagram::leader(b), "hears".to_string()), (drawing.replica(r), what.into())];
            drawing.answers(&cells, "");
        }
        Action::Learn(r) => {
            let cells = [(drawing.replica(r), "hears of it".to_string())];
            drawing.row(&cells, "");
        }
    }
}
