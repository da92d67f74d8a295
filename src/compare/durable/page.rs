//! `--durable DIR --report FILE.html`: the rows on one page, with how sure each figure is.

use super::super::page::escaped;
use super::print::figures;
use super::{Report, Row, TURNS};
use std::fmt::Write;

const STYLE: &str = include_str!("../page/style.css");

/// In pixels: the scale, the room for names left of it and for figures right of it, a bar.
const SCALE: f64 = 460.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 130.0;
const BAR: f64 = 26.0;

/// The whole page. `command` is what was asked.
pub(in crate::compare) fn html(command: &str, report: &Report) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>traft on a real disk</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>traft on a real disk</h1>\n\
         <p>Generalized Raft, classic Raft (the <code>raft</code> crate) and Omni-Paxos on the \
         same log, in <strong>real time</strong>: no two runs are alike; a figure is one of this \
         machine and this disk. One process, three replicas with a thread and a log each; blind \
         writes of 256 bytes. Each side had {TURNS} turns, in alternation: shown is the median, \
         and from the least to the greatest of the turns, which has the true median in it with a \
         confidence of {:.0} %.</p>\n<p><code>{}</code></p>\n",
        100.0 * confidence(),
        escaped(command)
    );
    verdict(&mut text, report);
    let mut depths: Vec<usize> = report.rows.iter().map(|row| row.in_flight).collect();
    depths.dedup();
    for depth in depths {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.in_flight == depth).collect();
        let _ = writeln!(text, "<h2>{depth} in flight</h2>");
        bars(&mut text, &rows);
        table(&mut text, &rows);
    }
    text += "<p class=\"soft\">limit: three threads that only write and sync the same groups, \
             measured right after each turn.</p>\n</main>\n<footer><p>traft ";
    text += env!("CARGO_PKG_VERSION");
    text += "</p></footer>\n</body>\n</html>\n";
    text
}

/// That the median of what the turns are drawn from is outside of all turns takes that all are on
/// the same side of it.
fn confidence() -> f64 {
    1.0 - 2.0 * 0.5_f64.powi(TURNS as i32)
}

/// Another p99 that is lower by less than this is level.
const LEVEL: f64 = 0.02;

/// The rows in which another side is ahead: with more commits, and whether that is more than the
/// turns differ, or with a lower p99 in the median turn.
fn verdict(text: &mut String, report: &Report) {
    *text += "<h2>Where others win</h2>\n<ul>\n";
    for own in report.rows.iter().filter(|row| row.side == "traft") {
        let others = report.rows.iter().filter(|row| row.in_flight == own.in_flight);
        let lower = |row: &&Row| row.p99_ms < (1.0 - LEVEL) * own.p99_ms;
        for other in others.clone().filter(lower) {
            let _ = writeln!(
                text,
                "<li>{} in flight: {} has a p99 of {:.2} ms, traft {:.2}</li>",
                own.in_flight, other.side, other.p99_ms, own.p99_ms
            );
        }
        for other in others.filter(|row| row.commits_per_s > own.commits_per_s) {
            let sure = other.least_per_s > own.most_per_s;
            let _ = writeln!(
                text,
                "<li>{} in flight: {} has {:.2} times the commits{}</li>",
                own.in_flight,
                other.side,
                other.commits_per_s / own.commits_per_s,
                if sure { "" } else { "; the turns overlap, so it may be chance" }
            );
        }
    }
    if text.ends_with("<ul>\n") {
        *text += "<li>In no row of this report.</li>\n";
    }
    *text += "</ul>\n";
}

/// A bar for each side up to its median, a line from its least to its greatest turn, and a mark
/// where its limit is.
fn bars(text: &mut String, rows: &[&Row]) {
    let most = rows.iter().map(|row| row.most_per_s.max(row.limit_per_s)).fold(1.0, f64::max);
    let x = |per_s: f64| LEFT + SCALE * per_s / most;
    let (width, height) = (LEFT + SCALE + RIGHT, BAR * rows.len() as f64 + 4.0);
    let _ = writeln!(
        text,
        "<figure><svg role=\"img\" aria-label=\"Commits per second of each side\" \
         viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">"
    );
    for (row, n) in rows.iter().zip(0_u32..) {
        let (side, y) = (row.side, BAR * f64::from(n) + 14.0);
        let (low, median, high) = (x(row.least_per_s), x(row.commits_per_s), x(row.most_per_s));
        let (limit, top, bottom) = (x(row.limit_per_s), y - 10.0, y + 10.0);
        let _ = writeln!(
            text,
            "<text class=\"{side}\" x=\"0\" y=\"{}\">{side}</text>\n\
             <line class=\"{side} body\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{median:.1}\" y2=\"{y}\"/>\n\
             <line class=\"{side}\" x1=\"{low:.1}\" y1=\"{y}\" x2=\"{high:.1}\" y2=\"{y}\" \
             stroke-width=\"2\"/>\n\
             <line class=\"bound\" x1=\"{limit:.1}\" y1=\"{top}\" x2=\"{limit:.1}\" \
             y2=\"{bottom}\"/>\n<text x=\"{:.1}\" y=\"{}\">{:.0}</text>",
            y + 4.0,
            LEFT + SCALE + 8.0,
            y + 4.0,
            row.commits_per_s
        );
    }
    *text += "</svg>\n<figcaption>Commits per second: the median of the turns, from the least to \
              the greatest; the upright line is the limit of the disk.</figcaption></figure>\n";
}

/// The columns of a table, and how many decimals each has.
const COLUMNS: [(&str, usize); 11] = [
    ("commits/s", 0),
    ("from", 0),
    ("to", 0),
    ("p50 ms", 2),
    ("p99 ms", 2),
    ("max ms", 1),
    ("syncs/s", 0),
    ("a sync", 1),
    ("bytes", 0),
    ("limit/s", 0),
    ("of limit", 2),
];

fn table(text: &mut String, rows: &[&Row]) {
    *text += "<div class=\"wide\"><table>\n<thead><tr><th class=\"name\" scope=\"col\">side</th>";
    for (head, _) in COLUMNS {
        let _ = write!(text, "<th scope=\"col\">{head}</th>");
    }
    *text += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let _ = write!(text, "<tr><td class=\"name\">{}</td>", row.side);
        for (figure, (_, places)) in figures(row).into_iter().zip(COLUMNS) {
            let _ = write!(text, "<td>{figure:.places$}</td>");
        }
        *text += "</tr>\n";
    }
    *text += "</tbody>\n</table></div>\n";
}

#[cfg(test)]
mod tests {
    use super::super::print::tests::row;
    use super::*;

    #[test]
    fn a_page_says_how_sure_it_is_and_where_others_win() {
        let ahead = |least| Row {
            side: "omnipaxos",
            commits_per_s: 13_000.0,
            least_per_s: least,
            most_per_s: 13_500.0,
            ..row()
        };
        let page = |other| {
            let rows = vec![row(), other];
            html("traft compare <x>", &Report { real_time: true, dir: "data".into(), rows })
        };
        let sure = page(ahead(12_900.0));
        assert!(sure.contains("confidence of 94 %") && sure.contains("real time"), "{sure}");
        assert!(sure.contains("omnipaxos has 1.05 times the commits</li>"), "{sure}");
        assert!(sure.contains("traft compare &lt;x&gt;"), "{sure}");
        let row = "traft</td><td>12346</td><td>12000</td><td>12500</td><td>1.50</td><td>2.50</td>\
                   <td>30.0</td><td>400</td><td>30.0</td><td>1024</td><td>15000</td><td>0.80</td>";
        assert!(sure.contains(row), "{sure}");
        assert!(page(ahead(12_000.0)).contains("it may be chance"));
        assert!(!sure.contains("has a p99"), "{sure}");
        let quick = page(Row { commits_per_s: 9_000.0, p99_ms: 2.0, ..ahead(8_000.0) });
        assert!(quick.contains("omnipaxos has a p99 of 2.00 ms, traft 2.50</li>"), "{quick}");
        for fetched in ["http:", "https:", "src=", "@import", "url(", "<link"] {
            assert!(!sure.contains(fetched), "{fetched}");
        }
    }
}
