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
use std::fmt::Write as _;

/// How wide a column is.
const WIDTH: usize = 16;

/// The rows of a diagram.
struct Drawing {
    text: String,
    leaders: u8,
}

impl Drawing {
    /// The column of a leader, and of a replica.
    fn leader(leader: u8) -> usize {
        (leader - 1) as usize
    }

    fn replica(&self, replica: usize) -> usize {
        self.leaders as usize + replica
    }

    /// A row: texts in columns, with a line from one to another if they are one step.
    fn row(&mut self, step: usize, line: bool, cells: &[(usize, String)], note: &str) {
        let mut row = String::new();
        let mut cells = cells.to_vec();
        cells.sort_by_key(|(column, _)| *column);
        for (nth, (column, text)) in cells.iter().enumerate() {
            let fill = if line && nth > 0 { '-' } else { ' ' };
            let start = column * WIDTH;
            if line && nth > 0 {
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
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{step:>4}   {}", row.trim_end());
        if !note.is_empty() {
            let _ = writeln!(self.text, "       {note}");
        }
    }
}

/// Draws what happens until something is wrong.
pub(super) fn draw<S: Spec>(spec: &S, wrong: &Wrong) -> String {
    let steps = replay(spec, wrong);
    let leaders = steps.iter().map(|(action, ..)| leader_of(*action)).max().unwrap_or(1).max(1);
    let mut drawing = Drawing { text: String::new(), leaders };
    let names = (1..=leaders).map(|b| format!("leader {b}"));
    let replicas = (0..R).map(|r| format!("n{}", r + 1));
    let head: String = names.chain(replicas).map(|name| format!("{name:<WIDTH$}")).collect();
    let _ = writeln!(drawing.text, "       {}", head.trim_end());
    for (nth, (action, before, after)) in steps.iter().enumerate() {
        step(spec, &mut drawing, nth + 1, *action, before, after);
    }
    let _ = writeln!(drawing.text, "       {}", wrong.what);
    drawing.text
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
    drawing: &mut Drawing,
    nth: usize,
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
            let mut cells = vec![(Drawing::leader(b), "elected".to_string())];
            cells.extend(bits(q).map(|r| (drawing.replica(r), "votes".to_string())));
            let log = spec.log_of(after, b);
            let found = if log.is_empty() { "nothing".into() } else { log.join(", ") };
            drawing.row(nth, true, &cells, &format!("leader {b} finds: {found}"));
        }
        Action::Place(b, l) => {
            drawing.row(nth, false, &[(Drawing::leader(b), place(b, l))], &note);
        }
        Action::Accept(b, r, l) => {
            let cells =
                [(Drawing::leader(b), format!("@{l}")), (drawing.replica(r), format!("has @{l}"))];
            drawing.row(nth, true, &cells, &note);
        }
        Action::Lose(r) => {
            let lost = spec.lost(before, after, r);
            let cells = [(drawing.replica(r), "restarts".to_string())];
            drawing.row(nth, false, &cells, &format!("n{} has lost {lost}", r + 1));
        }
        Action::Purge(r, l) => {
            drawing.row(nth, false, &[(drawing.replica(r), format!("purges @{l}"))], "");
        }
        Action::Install(r, from) => {
            let cells = [
                (drawing.replica(from), "snapshot".to_string()),
                (drawing.replica(r), "installs it".to_string()),
            ];
            drawing.row(nth, true, &cells, "");
        }
        Action::Hear(b, r) | Action::Repair(b, r) => {
            let what = if matches!(action, Action::Hear(..)) { "asks" } else { "is repaired" };
            let cells =
                [(Drawing::leader(b), "hears".to_string()), (drawing.replica(r), what.into())];
            drawing.row(nth, true, &cells, "");
        }
        Action::Learn(r) => {
            let cells = [(drawing.replica(r), "hears of it".to_string())];
            drawing.row(nth, false, &cells, "");
        }
    }
}
