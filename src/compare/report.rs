//! The same rows for three readers: a table, JSON, comma-separated values.

mod csv;

use super::row::{Document, Row};
use super::wan;
use super::work::{Group, Report};
pub(super) use csv::csv;
use std::fmt::Write;

/// One JSON document on one line.
pub(super) fn json(seed: u64, report: &Report) -> String {
    let rows = report.groups.iter().flat_map(|group| group.rows.iter().cloned()).collect();
    // Numbers, strings and lists: there is nothing in a row that JSON cannot hold.
    let mut text = serde_json::to_string(&Document { seed, rows }).unwrap_or_default();
    text.push('\n');
    text
}

/// What a person reads. Colour marks what is clearly faster or slower than the classic side.
pub(super) fn table(seed: u64, report: &Report, colour: bool) -> String {
    let mut text = format!(
        "traft beside classic Raft (the raft crate at its best). seed {seed}; times in ms, \
         virtual: CPU and disk cost nothing unless a setting says so.\n\
         vs raft: this row's p50 and p99 over those of classic Raft's best link; \
         below 1 is faster. \
         bound: what no protocol beats.\n"
    );
    for group in &report.groups {
        table_group(&mut text, group, colour);
    }
    text
}

fn table_group(text: &mut String, group: &Group, colour: bool) {
    let Some(first) = group.rows.first() else { return };
    let title = format!("{} on {}", first.scenario, first.network);
    let _ = writeln!(text, "\n{}: {}", painted(&title, "1", colour), group.about);
    let _ = writeln!(
        text,
        "{:<27} {:<12} {:<9} {:>7} {:>7} {:>7} {:>8}  {:>11}  {:<20} {:>6} {:>6} {:>6} {:>7}",
        "",
        "side",
        "link",
        "p50",
        "p99",
        "p99.9",
        "max",
        "vs raft",
        "bound 50/99/99.9",
        "msgs/c",
        "sent/c",
        "done/c",
        "bytes/c"
    );
    let mut label = String::new();
    for row in &group.rows {
        let next = row_label(row);
        let shown = if next == label { "" } else { &next };
        table_row(text, shown, row, classic(row, &group.rows), colour);
        label = next;
    }
    change_rows(text, group);
    wan::means(text, group);
}

/// What tells the rows of a group apart, besides side and link.
pub(super) fn row_label(row: &Row) -> String {
    match (&row.param, row.interference) {
        (Some(param), None) => param.clone(),
        (Some(param), Some(percent)) => format!("{percent} % interfere, {param}"),
        (None, Some(percent)) => format!("{percent} % interfere"),
        (None, None) => String::new(),
    }
}

/// The best p50 and p99 of the classic side among the rows of the same setting.
pub(super) fn classic(row: &Row, rows: &[Row]) -> Option<(f64, f64)> {
    best("raft", row, rows)
}

/// The best p50 and p99 of a side among the rows of the same setting.
pub(super) fn best(side: &str, row: &Row, rows: &[Row]) -> Option<(f64, f64)> {
    let same =
        |r: &&Row| r.side == side && (&r.param, r.interference) == (&row.param, row.interference);
    let classic = rows.iter().filter(same).map(|r| (r.p50_ms, r.p99_ms));
    classic.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
}

fn table_row(text: &mut String, label: &str, row: &Row, classic: Option<(f64, f64)>, colour: bool) {
    let bound = if row.link == "ordered" { row.bound_ordered } else { row.bound };
    let bound = bound.map_or("-".into(), |b| {
        format!("{} / {} / {}", figure(b.p50_ms), figure(b.p99_ms), figure(b.p999_ms))
    });
    let per = |n: u64| figure(n as f64 / row.issued.max(1) as f64);
    let _ = write!(
        text,
        "{label:<27} {:<12} {:<9} {:>7} {:>7} {:>7} {:>8}  {}  {bound:<20} {:>6} {:>6} {:>6} {:>7}",
        row.side,
        row.link,
        figure(row.p50_ms),
        figure(row.p99_ms),
        figure(row.p999_ms),
        figure(row.max_ms),
        versus(row, classic, colour),
        per(row.messages),
        per(row.records_sent),
        per(row.records_applied),
        per(row.bytes),
    );
    let mut notes: Vec<String> = closed_notes(row);
    notes.extend(row.terms.map(|n| format!("{n} term{}", if n == 1 { "" } else { "s" })));
    notes.extend(row.detection_ms.map(|ms| format!("detected in {}", figure(ms))));
    notes.extend(row.after_detection_ms.map(|ms| format!("then {}", figure(ms))));
    if row.unfinished > 0 {
        notes.push(format!("{} unfinished", row.unfinished));
    }
    if row.violations > 0 {
        notes.push(painted(&format!("{} VIOLATIONS", row.violations), "1;31", colour));
    }
    let _ = writeln!(text, "  {}", notes.join(", "));
    trim_end(text);
}

/// What a closed loop has besides: how many are answered in a second, and the mean and p99 of its
/// reads and of its writes, in ms.
pub(super) fn closed_notes(row: &Row) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(row.per_second.map(|n| format!("{n:.0}/s")));
    let reads = row.read_mean_ms.zip(row.read_p99_ms);
    let writes = row.write_mean_ms.zip(row.write_p99_ms);
    if let (Some(reads), Some(writes)) = (reads, writes) {
        for (what, (mean, p99)) in [("reads", reads), ("writes", writes)] {
            notes.push(format!("{what} {} / {}", figure(mean), figure(p99)));
        }
    }
    notes
}

/// Below the others: what came of a change of membership, and how it compares.
fn change_rows(text: &mut String, group: &Group) {
    let Some(width) = group.rows.iter().filter_map(|row| row.windows.as_ref()).map(Vec::len).max()
    else {
        return;
    };
    let figures = |row: &Row| [row.caught_up_ms, row.decision_ms, row.complete_ms, row.everyone_ms];
    let classic = group.rows.iter().find(|row| row.side == "raft").map(figures);
    let _ = writeln!(
        text,
        "{:<22} {:>10} {:>11} {:>14} {:>14} {:>14} {:>14}",
        "", "lowest s", "full after", "caught up", "then decided", "complete", "everyone"
    );
    for row in &group.rows {
        let times = figures(row).into_iter().enumerate().map(|(n, ms)| match ms {
            Some(ms) => {
                let other = classic.and_then(|classic| classic[n]).filter(|other| *other > 0.0);
                let ratio = other.map_or(String::new(), |other| format!(" ({:.2})", ms / other));
                format!("{}{ratio}", figure(ms))
            }
            None => "-".into(),
        });
        let times: String = times.map(|time| format!(" {time:>14}")).collect();
        let percent = row.lowest_window.map_or("-".into(), |percent| format!("{percent} %"));
        let full = row.full_after_s.map_or("-".into(), |s| format!("{s} s"));
        let name = format!("{} {}", row.side, row.link);
        let _ = writeln!(text, "{name:<22} {percent:>10} {full:>11}{times}");
    }
    let _ =
        writeln!(text, "answered in each of {width} seconds, in percent of what was asked for:");
    for row in &group.rows {
        let windows = row.windows.iter().flatten();
        let windows: String = windows.map(|percent| format!(" {percent:.0}")).collect();
        let _ = writeln!(text, "  {:<12} {:<9}{windows}", row.side, row.link);
    }
}

/// No blanks before the line break.
fn trim_end(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// `0.98 0.61`, right-aligned.
fn versus(row: &Row, classic: Option<(f64, f64)>, colour: bool) -> String {
    let Some((p50, p99)) = classic.filter(|(p50, p99)| *p50 > 0.0 && *p99 > 0.0) else {
        return format!("{:>11}", "-");
    };
    let ratio = |ratio: f64| {
        let text = match ratio {
            r if r < 0.005 => format!("{r:>5.0e}"),
            r if r < 100.0 => format!("{r:>5.2}"),
            r => format!("{r:>5.0}"),
        };
        match ratio {
            r if r < 0.98 => painted(&text, "32", colour),
            r if r > 1.02 => painted(&text, "31", colour),
            _ => text,
        }
    };
    format!("{} {}", ratio(row.p50_ms / p50), ratio(row.p99_ms / p99))
}

/// Three digits that count, no exponent.
pub(super) fn figure(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 1_000.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn painted(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::row::Bound;
    use super::*;

    pub(in super::super) fn row(
        side: &'static str,
        link: &'static str,
        p50_ms: f64,
        p99_ms: f64,
    ) -> Row {
        Row {
            scenario: "loss",
            network: "lan".into(),
            link,
            side,
            interference: Some(2),
            param: None,
            mean_ms: p50_ms,
            p50_ms,
            p99_ms,
            p999_ms: p99_ms,
            max_ms: p99_ms,
            rtt_ms: 0.5,
            bound: Some(Bound { p50_ms: 0.5, p99_ms: 0.5, p999_ms: 1.5 }),
            bound_ordered: Some(Bound { p50_ms: 0.5, p99_ms: 5.5, p999_ms: 6.0 }),
            ops: 100,
            issued: 100,
            unfinished: 0,
            messages: 400,
            records_sent: 210,
            records_applied: 300,
            bytes: 120_000,
            terms: None,
            detection_ms: None,
            after_detection_ms: None,
            windows: None,
            lowest_window: None,
            full_after_s: None,
            caught_up_ms: None,
            decision_ms: None,
            complete_ms: None,
            everyone_ms: None,
            site_mean_ms: None,
            floor_ms: None,
            per_second: None,
            read_mean_ms: None,
            read_p99_ms: None,
            write_mean_ms: None,
            write_p99_ms: None,
            violations: 0,
        }
    }

    pub(in super::super) fn report(rows: Vec<Row>) -> Report {
        let about = "3 replicas, round trip 0.5 ms".into();
        let command = "traft compare --seed 1 --scenario loss".into();
        let group = Group { about, command, rows };
        Report { groups: vec![group], violations: Vec::new() }
    }

    /// The keys of a JSON object in the order in which they stand in its text.
    pub(super) fn keys(object: &serde_json::Value) -> Vec<String> {
        object.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn json_has_the_promised_fields() {
        let text = json(7, &report(vec![row("raft", "ordered", 0.5, 5.5)]));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["seed"], 7);
        let row = &value["rows"][0];
        let promised = [
            "scenario",
            "network",
            "link",
            "side",
            "interference",
            "param",
            "mean_ms",
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "max_ms",
            "rtt_ms",
            "bound",
            "bound_ordered",
            "ops",
            "unfinished",
            "messages",
            "records_sent",
            "records_applied",
            "bytes",
            "violations",
        ];
        assert!(promised.iter().all(|field| row.get(field).is_some()), "{text}");
        assert_eq!(keys(&row["bound"]), ["p50_ms", "p999_ms", "p99_ms"]);
        assert!(text.ends_with("}\n") && text.lines().count() == 1);
    }

    #[test]
    fn the_ratio_is_to_the_best_link_of_the_classic_side() {
        let rows = vec![
            row("traft", "unordered", 0.5, 1.0),
            row("raft", "unordered", 0.5, 2.0),
            row("raft", "ordered", 1.0, 1.6),
        ];
        let text = table(1, &report(rows), false);
        let header = text.lines().nth(4).expect("names of columns");
        let end = header.find("vs raft").expect("a column of ratios") + "vs raft".len();
        let ratios: Vec<&str> = text.lines().skip(5).map(|line| &line[end - 11..end]).collect();
        assert_eq!(ratios, [" 1.00  0.62", " 1.00  1.25", " 2.00  1.00"], "{text}");
    }

    #[test]
    fn without_a_terminal_there_is_no_colour() {
        let rows = vec![row("traft", "unordered", 0.5, 1.0), row("raft", "ordered", 1.0, 2.0)];
        assert!(!table(1, &report(rows.clone()), false).contains('\x1b'));
        assert!(table(1, &report(rows), true).contains("\x1b[32m"));
    }

    #[test]
    fn rows_fit_on_a_wide_terminal() {
        let mut one = row("traft-serial", "unordered", 12_345.678, 99_999.9);
        one.bound = Some(Bound { p50_ms: 123.4, p99_ms: 123.4, p999_ms: 123.4 });
        let text = table(1, &report(vec![one]), false);
        assert!(text.lines().all(|line| line.len() <= 150), "{text}");
    }
}
