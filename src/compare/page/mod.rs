//! `--report FILE.html`: every row of a comparison on one page that needs nothing but itself.
//!
//! Each group of rows is a table whose last column draws the row on a scale that the group shares,
//! and curves of whatever the group varies. The command that makes the group again stands over it,
//! and the rows in which traft is not ahead stand at the top of the page. The text depends on the
//! seed and the options alone: two runs give the same bytes.

mod chart;
mod table;

use super::report::{best, figure, row_label};
use super::row::Row;
use super::work::{Group, Report};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Nearer than this to classic Raft is level with it.
const LEVEL: f64 = 0.02;

/// Further than this above the bound is told.
const ABOVE_BOUND: f64 = 0.05;

/// The whole page.
pub(super) fn html(seed: u64, report: &Report) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>traft beside classic Raft, seed {seed}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>traft beside classic Raft</h1>\n"
    );
    let _ = writeln!(
        text,
        "<p>Generalized Raft and the <code>raft</code> crate at its best settings ran the same \
         operations on the same simulated network, clock and weather. Times are virtual \
         milliseconds; CPU and disk cost nothing unless a setting says so, so that what shows is \
         the protocol. Every figure comes from seed {seed}: the command over each table gives it \
         again, on any machine. What columns, scenarios and bounds mean is in \
         <code>docs/compare.md</code>.</p>"
    );
    verdict(&mut text, report);
    contents(&mut text, report);
    for (n, group) in report.groups.iter().enumerate() {
        section(&mut text, n, group);
    }
    text += "</main>\n<footer><p>traft ";
    text += env!("CARGO_PKG_VERSION");
    text += "</p></footer>\n</body>\n</html>\n";
    text
}

/// How often traft is ahead, and every row in which it is not as good as another or as the bound.
fn verdict(text: &mut String, report: &Report) {
    let own = || {
        let groups = report.groups.iter();
        let all = groups.flat_map(|group| group.rows.iter().map(|row| (row, &group.rows[..])));
        all.filter(|(row, _)| row.side == "traft")
    };
    let beside = |side: &'static str| {
        own().filter_map(move |(row, rows)| Some((row, ratios(side, row, rows)?)))
    };
    let rows = || beside("raft");
    let behind = |(p50, p99): (f64, f64)| p50 > 1.0 + LEVEL || p99 > 1.0 + LEVEL;
    let ahead = |(p50, p99): (f64, f64)| p50 < 1.0 - LEVEL || p99 < 1.0 - LEVEL;
    let (total, won) = (rows().count(), rows().filter(|(_, r)| !behind(*r) && ahead(*r)).count());
    let lost = |side| beside(side).filter(move |(_, ratios)| behind(*ratios));
    let behind_raft = lost("raft").count();
    let level = total - won - behind_raft;
    let _ = write!(
        text,
        "<p>Of {total} rows of traft that have a row of classic Raft beside them, {won} are ahead \
         of its best link at p50 or p99 and behind at neither, {level} are level (within 2 %), \
         {behind_raft} are behind.</p>\n<h2>Where others win</h2>\n<ul>\n"
    );
    for (name, side) in [("classic Raft", "raft"), ("raft-parallel", "raft-parallel")] {
        for (row, (p50, p99)) in lost(side) {
            let _ = writeln!(
                text,
                "<li>{}: p50 {p50:.2} and p99 {p99:.2} times those of {name}</li>",
                escaped(&place(row))
            );
        }
    }
    for (row, _) in own() {
        let bound = if row.link == "ordered" { row.bound_ordered } else { row.bound };
        let Some(bound) = bound.filter(|bound| bound.p99_ms > 0.0) else { continue };
        let over = row.p99_ms / bound.p99_ms - 1.0;
        if over > ABOVE_BOUND {
            let percent = over * 100.0;
            let _ = writeln!(
                text,
                "<li>{}: p99 {} ms, {percent:.0} % above what the bound allows</li>",
                escaped(&place(row)),
                figure(row.p99_ms)
            );
        }
    }
    if text.ends_with("<ul>\n") {
        *text += "<li>In no row of this report.</li>\n";
    }
    *text += "</ul>\n";
}

/// Where a row stands, in words.
fn place(row: &Row) -> String {
    let label = row_label(row);
    let label = if label.is_empty() { label } else { format!(", {label}") };
    format!("{} on {}{label}, {}", row.scenario, row.network, row.link)
}

/// Its p50 and p99 over those of a side's best link in the same setting.
fn ratios(side: &str, row: &Row, rows: &[Row]) -> Option<(f64, f64)> {
    let (p50, p99) = best(side, row, rows).filter(|(p50, p99)| *p50 > 0.0 && *p99 > 0.0)?;
    Some((row.p50_ms / p50, row.p99_ms / p99))
}

fn contents(text: &mut String, report: &Report) {
    *text += "<nav aria-label=\"Contents\"><ul>\n";
    for (n, group) in report.groups.iter().enumerate() {
        let _ = writeln!(text, "<li><a href=\"#g{n}\">{}</a></li>", escaped(&title(group)));
    }
    *text += "</ul></nav>\n";
}

fn title(group: &Group) -> String {
    let first = group.rows.first();
    first.map_or(String::new(), |row| format!("{} on {}", row.scenario, row.network))
}

fn section(text: &mut String, n: usize, group: &Group) {
    let _ = write!(
        text,
        "<section id=\"g{n}\">\n<h2>{}</h2>\n<p class=\"soft\">{}</p>\n<p><code>{}</code></p>\n",
        escaped(&title(group)),
        escaped(&group.about),
        escaped(&group.command)
    );
    table::rows(text, group);
    if let Some(lines) = super::wan::lines(group) {
        *text +=
            "<p>Means in ms, by percent that interfere, and what the ways alone take:</p>\n<pre>";
        lines.iter().for_each(|line| *text += &(escaped(line) + "\n"));
        *text += "</pre>\n";
    }
    chart::of(text, group);
    *text += "</section>\n";
}

/// Text that no reader of HTML takes for markup.
pub(super) fn escaped(text: &str) -> String {
    let entity = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        c => c.to_string(),
    };
    text.chars().map(entity).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, row};
    use super::*;

    /// Every tag that is opened is closed, in order; what has no end tag is listed.
    fn assert_balanced(html: &str) {
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            let name = tag.split([' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "in {tag}"),
                None if tag.ends_with('/') => {}
                None if ["!doctype", "meta"].contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_page_is_whole_and_fetches_nothing() {
        let mut rows = vec![row("traft", "unordered", 0.5, 1.0), row("raft", "ordered", 1.0, 2.0)];
        rows[0].network = "a<b>&\"c\"".into();
        let page = html(9, &report(rows));
        assert_balanced(&page);
        assert!(page.contains("a&lt;b&gt;&amp;&quot;c&quot;") && !page.contains("a<b>"));
        for fetched in ["http:", "https:", "src=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        assert!(page.contains("seed 9"));
    }

    #[test]
    fn rows_in_which_another_wins_are_told_first() {
        let behind =
            report(vec![row("traft", "unordered", 0.5, 3.0), row("raft", "ordered", 0.5, 2.0)]);
        let page = html(1, &behind);
        let told = "loss on lan, 2 % interfere, unordered: p50 1.00 and p99 1.50 times";
        assert!(page.find(told) < page.find("<section"), "{page}");
        assert!(page.contains(told) && page.contains("1 are behind"), "{page}");
        assert!(page.contains("500 % above what the bound allows"));

        let of_parallel = report(vec![
            row("traft", "unordered", 0.5, 3.0),
            row("raft", "ordered", 5.0, 20.0),
            row("raft-parallel", "ordered", 0.5, 2.0),
        ]);
        let page = html(1, &of_parallel);
        assert!(page.contains("and p99 1.50 times those of raft-parallel"), "{page}");
        assert!(page.contains("1 are ahead") && page.contains("0 are behind"), "{page}");

        let mut ahead = vec![row("traft", "unordered", 0.5, 0.5), row("raft", "ordered", 0.6, 2.0)];
        let page = html(1, &report(ahead.clone()));
        assert!(page.contains("In no row of this report") && page.contains("1 are ahead"));
        // As slow, within 2 %.
        ahead[0].p50_ms = 0.605;
        ahead[0].p99_ms = 2.01;
        ahead[0].bound = None;
        assert!(html(1, &report(ahead)).contains("1 are level"));
    }

    #[test]
    fn every_row_is_in_its_table() {
        let rows = vec![row("traft", "unordered", 0.123, 456.7), row("raft", "ordered", 1.0, 2.0)];
        let page = html(1, &report(rows));
        assert_eq!(page.matches("<tr").count(), 1 + 2);
        assert!(page.contains(">0.12<") && page.contains(">456.7<"), "{page}");
        assert!(page.contains("<code>traft compare --seed 1 --scenario loss</code>"));
    }
}
