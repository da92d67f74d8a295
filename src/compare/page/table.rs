//! The rows of a group as a table, each with a strip that shows where its times lie.

use super::super::report::{classic, closed_notes, figure, row_label};
use super::super::row::{Bound, Row};
use super::super::work::Group;
use super::{LEVEL, escaped};
use std::fmt::Write;

/// How wide a strip is, in pixels.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 18.0;

const COLUMNS: [&str; 13] = [
    "p50",
    "p99",
    "p99.9",
    "max",
    "vs raft p50",
    "p99",
    "bound p50",
    "p99",
    "p99.9",
    "msgs/c",
    "sent/c",
    "done/c",
    "bytes/c",
];

/// A logarithmic scale that holds every time of a group.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(rows: &[Row]) -> Scale {
        let times = rows.iter().flat_map(|row| [row.p50_ms, row.max_ms]).filter(|ms| *ms > 0.0);
        let (low, high) =
            times.fold((f64::MAX, 0.0), |(l, h): (f64, f64), ms| (l.min(ms), h.max(ms)));
        if high == 0.0 {
            return Scale { low: 0.1, high: 1.0 };
        }
        // Whole powers of ten, so that the ends can be named.
        let low = 10_f64.powf(low.log10().floor());
        Scale { low, high: 10_f64.powf(high.log10().ceil()).max(low * 10.0) }
    }

    fn at(&self, ms: f64) -> f64 {
        let share = (ms.max(self.low) / self.low).log10() / (self.high / self.low).log10();
        4.0 + share.min(1.0) * (WIDTH - 8.0)
    }

    /// The powers of ten.
    fn ticks(&self) -> Vec<f64> {
        let powers = (self.low.log10().round() as i32)..=(self.high.log10().round() as i32);
        powers.map(|power| 10_f64.powi(power)).collect()
    }
}

/// The table of a group.
pub(super) fn rows(text: &mut String, group: &Group) {
    let scale = Scale::of(&group.rows);
    *text += "<div class=\"wide\"><table>\n<caption>times in ms; per command: messages, records \
              sent, records executed, bytes</caption>\n<tr><th class=\"name\">setting</th>\
              <th class=\"name\">side</th><th class=\"name\">link</th>";
    for column in COLUMNS {
        let _ = write!(text, "<th>{column}</th>");
    }
    *text += "<th class=\"strip\">";
    axis(text, &scale);
    *text += "</th><th class=\"name\">notes</th></tr>\n";
    let mut label = String::new();
    for row in &group.rows {
        let next = row_label(row);
        let first = next != label || std::ptr::eq(row, &group.rows[0]);
        one(text, row, if first { &next } else { "" }, first, &group.rows, &scale);
        label = next;
    }
    *text += "</table></div>\n";
}

fn one(text: &mut String, row: &Row, label: &str, first: bool, rows: &[Row], scale: &Scale) {
    let next = if first { " class=\"next\"" } else { "" };
    let _ = write!(
        text,
        "<tr{next}><td class=\"name\">{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td>",
        escaped(label),
        row.side,
        row.link
    );
    for ms in [row.p50_ms, row.p99_ms, row.p999_ms, row.max_ms] {
        let _ = write!(text, "<td>{}</td>", figure(ms));
    }
    let classic = classic(row, rows).filter(|(p50, p99)| *p50 > 0.0 && *p99 > 0.0);
    let versus = classic.map(|(p50, p99)| [row.p50_ms / p50, row.p99_ms / p99]);
    for n in 0..2 {
        let Some(ratio) = versus.map(|versus| versus[n]) else {
            *text += "<td>-</td>";
            continue;
        };
        let class = match ratio {
            r if r < 1.0 - LEVEL => " class=\"good\"",
            r if r > 1.0 + LEVEL => " class=\"bad\"",
            _ => "",
        };
        let _ = write!(text, "<td{class}>{ratio:.2}</td>");
    }
    let bound = bound(row);
    for n in 0..3 {
        let ms = bound.map(|b| figure([b.p50_ms, b.p99_ms, b.p999_ms][n]));
        let _ = write!(text, "<td>{}</td>", ms.as_deref().unwrap_or("-"));
    }
    for count in [row.messages, row.records_sent, row.records_applied, row.bytes] {
        let _ = write!(text, "<td>{}</td>", figure(count as f64 / row.issued.max(1) as f64));
    }
    *text += "<td class=\"strip\">";
    strip(text, row, scale);
    let _ = writeln!(text, "</td><td class=\"note\">{}</td></tr>", escaped(&notes(row)));
}

fn bound(row: &Row) -> Option<Bound> {
    if row.link == "ordered" { row.bound_ordered } else { row.bound }
}

fn notes(row: &Row) -> String {
    let mut notes: Vec<String> = closed_notes(row);
    notes.extend(row.terms.map(|n| format!("{n} term{}", if n == 1 { "" } else { "s" })));
    notes.extend(row.detection_ms.map(|ms| format!("detected in {}", figure(ms))));
    notes.extend(row.after_detection_ms.map(|ms| format!("then {}", figure(ms))));
    notes.extend(row.lowest_window.map(|percent| format!("lowest second {percent} %")));
    notes.extend(row.full_after_s.map(|s| format!("full after {s} s")));
    notes.extend(row.caught_up_ms.map(|ms| format!("caught up in {}", figure(ms))));
    notes.extend(row.decision_ms.map(|ms| format!("decided in {}", figure(ms))));
    notes.extend(row.everyone_ms.map(|ms| format!("everyone in {}", figure(ms))));
    if row.unfinished > 0 {
        notes.push(format!("{} unfinished", row.unfinished));
    }
    if row.violations > 0 {
        notes.push(format!("{} VIOLATIONS", row.violations));
    }
    notes.join(", ")
}

fn axis(text: &mut String, scale: &Scale) {
    let _ = write!(
        text,
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"scale, ms\">"
    );
    let ticks = scale.ticks();
    for (n, ms) in ticks.iter().enumerate() {
        let anchor = match n {
            0 => "start",
            n if n + 1 == ticks.len() => "end",
            _ => "middle",
        };
        let x = scale.at(*ms);
        let _ = write!(text, "<text x=\"{x:.0}\" y=\"13\" text-anchor=\"{anchor}\">{ms}</text>");
    }
    *text += "</svg>";
}

/// From p50 to p99 thick, to the slowest thin; upright lines where the bound has p50 and p99.
fn strip(text: &mut String, row: &Row, scale: &Scale) {
    let (middle, side) = (HEIGHT / 2.0, row.side);
    let _ = write!(
        text,
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"p50 {}, p99 {}, \
         slowest {} ms\">",
        figure(row.p50_ms),
        figure(row.p99_ms),
        figure(row.max_ms)
    );
    for ms in scale.ticks() {
        let x = scale.at(ms);
        let _ = write!(
            text,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{HEIGHT}\"/>"
        );
    }
    let (p50, p99, max) = (scale.at(row.p50_ms), scale.at(row.p99_ms), scale.at(row.max_ms));
    let _ = write!(
        text,
        "<line class=\"whisker {side}\" x1=\"{p50:.1}\" y1=\"{middle}\" x2=\"{max:.1}\" \
         y2=\"{middle}\"/><line class=\"body {side}\" x1=\"{p50:.1}\" y1=\"{middle}\" \
         x2=\"{p99:.1}\" y2=\"{middle}\"/><circle class=\"{side}\" cx=\"{p50:.1}\" \
         cy=\"{middle}\" r=\"3.5\"/>"
    );
    let bound = bound(row);
    for ms in bound.iter().flat_map(|b| [b.p50_ms, b.p99_ms]) {
        let x = scale.at(ms);
        let _ = write!(
            text,
            "<line class=\"bound\" x1=\"{x:.1}\" y1=\"2\" x2=\"{x:.1}\" y2=\"{:.0}\"/>",
            HEIGHT - 2.0
        );
    }
    *text += "</svg>";
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::row;
    use super::*;

    #[test]
    fn a_scale_holds_every_time_between_powers_of_ten() {
        let scale =
            Scale::of(&[row("traft", "unordered", 0.5, 3.0), row("raft", "ordered", 2.0, 80.0)]);
        assert_eq!(scale.ticks(), [0.1, 1.0, 10.0, 100.0]);
        assert_eq!((scale.at(0.1), scale.at(100.0)), (4.0, WIDTH - 4.0));
        assert!((scale.at(1.0) - (4.0 + (WIDTH - 8.0) / 3.0)).abs() < 1e-9);
        // A time of 0, and one beyond, stay on the strip.
        assert_eq!((scale.at(0.0), scale.at(1e9)), (4.0, WIDTH - 4.0));
    }

    #[test]
    fn a_scale_of_nothing_is_one_power() {
        assert_eq!(Scale::of(&[row("traft", "unordered", 0.0, 0.0)]).ticks(), [0.1, 1.0]);
        assert_eq!(Scale::of(&[row("traft", "unordered", 1.0, 1.0)]).ticks(), [1.0, 10.0]);
    }
}
