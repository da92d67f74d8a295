//! The same as a page to step through, with each position at each replica after each step.
//!
//! Without the script it is a table that says everything; the script only moves a mark and shows
//! what a button already says to a screen reader.

use super::super::page::escaped;
use super::super::picture::Arrow;
use super::Story;
use super::classic::{Beside, Told};
use super::drawn::{ARROWS_MAX, COLOURS, Standing, arrows, authors, role};
use super::events::events;
use super::text::{is_for_clients, replicas, view};
use crate::base::{LeaderId, Lsn};
use crate::check::scenario::{Frame, View};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("step.js");

/// The whole page.
pub(super) fn html(story: &Story, beside: &Beside) -> String {
    let mut text = head(story, beside);
    text += "<div class=\"space\">\n<table>\n<thead><tr><th scope=\"col\">step</th>";
    let ids = replicas(&story.frames);
    for id in &ids {
        let _ = write!(text, "<th scope=\"col\">{id}</th>");
    }
    text += "</tr></thead>\n<tbody>\n";
    let authors = authors(&story.frames);
    let mut before: Option<&Frame> = story.opening.as_ref();
    for (at, frame) in story.frames.iter().enumerate() {
        let class =
            if beside.differs.as_ref().is_some_and(|d| d.0 == at) { "differs" } else { "same" };
        step(&mut text, class, frame, &arrows(&story.frames, at, &ids));
        for id in &ids {
            match view(frame, *id) {
                Some(after) => {
                    let earlier = before.and_then(|before| view(before, *id));
                    let twin = beside.steps.get(at).and_then(|step| step.get(id));
                    cell(&mut text, frame, (earlier, after), &authors, twin);
                }
                None => text += "<td class=\"replica\"></td>",
            }
        }
        text += "</tr>\n";
        before = Some(frame);
    }
    let _ = write!(
        text,
        "</tbody>\n</table>\n<svg aria-hidden=\"true\"></svg>\n</div>\n</main>\n\
         <aside id=\"panel\" aria-live=\"polite\">\
         <nav aria-label=\"Steps\"><button id=\"back\">back</button>\
         <button id=\"forth\">forth</button></nav><p id=\"step\"></p><p id=\"why\"></p></aside>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    text
}

/// What stands above the table.
fn head(story: &Story, beside: &Beside) -> String {
    let name = escaped(&story.name);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n<p>"
    );
    for line in &story.about {
        let _ = writeln!(text, "{}", escaped(line));
    }
    text += "</p>\n<p class=\"soft\">Time runs downward, a column for each replica. Each box is a \
             position: dotted, it is not held there; \u{25cb} accepted, \u{25d0} known settled, \
             \u{25cf} done. The colour is that of the author. Choose a box to learn why it is so; \
             arrow keys step. An arrow is a message; one with records begins where the last \
             of them was placed. Below the line in each cell stands what classic Raft would have \
             made of the same messages: filled, it knows that it is committed; dotted, it has \
             come and waits for the one before.</p>\n";
    match &beside.differs {
        Some((at, what)) => {
            let _ = writeln!(
                text,
                "<p>Beside classic Raft: they first differ at step {}. {}</p>",
                at + 1,
                escaped(what)
            );
        }
        None => text += "<p>Beside classic Raft: it could have done all of this, too.</p>\n",
    }
    if beside.steps.len() < story.frames.len() {
        let _ = writeln!(
            text,
            "<p class=\"soft\">The comparison ends with step {}: what follows is many messages at \
             once.</p>",
            beside.steps.len()
        );
    }
    text
}

/// The first cell of a row: what happens, which messages came, what clients hear.
fn step(text: &mut String, class: &str, frame: &Frame, arrows: &[Arrow]) {
    let command = escaped(&frame.command);
    // For the script: from which column to which, and since which row.
    let arrow = |Arrow { from, to, since }: &Arrow| format!("{from},{to},{since}");
    let arrows = arrows.iter().map(arrow).collect::<Vec<_>>().join(" ");
    let _ = write!(
        text,
        "<tr class=\"{class}\" data-step=\"{command}\" data-arrows=\"{arrows}\"><td>\
         <div class=\"command\">{command}</div>"
    );
    for arrival in frame.arrivals.iter().take(ARROWS_MAX) {
        let arrival = arrival.to_string();
        // The simulator names a step by its message.
        if !frame.command.ends_with(&arrival) {
            let _ = write!(text, "<div class=\"came\">{}</div>", escaped(&arrival));
        }
    }
    for said in frame.said.iter().filter(|said| is_for_clients(said)) {
        let _ = write!(text, "<div class=\"said\">{}</div>", escaped(said));
    }
    *text += "</td>";
}

fn cell(
    text: &mut String,
    frame: &Frame,
    (before, after): (Option<&View>, &View),
    authors: &[LeaderId],
    twin: Option<&Told>,
) {
    let down = if after.up { "" } else { " down" };
    let role = role(after);
    let _ = write!(
        text,
        "<td class=\"replica{down}\"><div class=\"who\">{role}; lineage {}</div><div>",
        after.committer
    );
    for lsn in (after.purged.0..frame.end().0).map(Lsn) {
        position(text, frame, after, lsn, authors);
    }
    *text += "</div>";
    for event in events(before, after) {
        let _ = write!(text, "<div class=\"event\">{}</div>", escaped(&event));
    }
    if let Some(twin) = twin {
        under_classic_rules(text, twin, after.purged);
    }
    *text += "</td>";
}

/// What classic Raft would have.
fn under_classic_rules(text: &mut String, twin: &Told, first: Lsn) {
    let Told { events, log, early } = twin;
    let committed: Vec<String> =
        log.iter().filter(|(_, known)| *known).map(|(lsn, _)| lsn.to_string()).collect();
    let _ = write!(
        text,
        "<div class=\"classic\" role=\"group\" aria-label=\"Under classic rules: {} entries, \
         committed {}\">",
        log.len(),
        if committed.is_empty() { "none".into() } else { committed.join(" ") }
    );
    for (lsn, known) in log.iter().filter(|(lsn, _)| *lsn >= first) {
        let class = if *known { "entry known" } else { "entry" };
        let _ = write!(text, "<span class=\"{class}\">{lsn}</span>");
    }
    for lsn in early {
        let _ = write!(text, "<span class=\"entry early\">{lsn}</span>");
    }
    for event in events {
        let _ = write!(text, "<div class=\"event\">{}</div>", escaped(event));
    }
    *text += "</div>";
}

fn position(text: &mut String, frame: &Frame, view: &View, lsn: Lsn, authors: &[LeaderId]) {
    let slot = view.slots.get(&lsn);
    let placed = view.log.get(&lsn);
    let (mark, state) = match Standing::of(view, lsn) {
        Standing::Done => ("\u{25cf}", "done"),
        Standing::Running => ("\u{25d0}", "being executed"),
        Standing::Settled => ("\u{25d0}", "known settled"),
        Standing::Accepted => ("\u{25cb}", "accepted"),
        Standing::Placed => ("", "placed, not accepted here yet"),
        Standing::Missing => ("", "not held"),
    };
    let author = slot.and_then(|slot| authors.iter().position(|author| *author == slot.author));
    let colour = author.map_or("hole".into(), |n| format!("a{}", n % COLOURS));
    let done = if mark == "\u{25cf}" { " done" } else { "" };
    let mut label = format!("Position {lsn} at {}: {state}", view.id);
    if let Some(slot) = slot.or(placed) {
        let _ = write!(label, "; {} by {}", slot.what, slot.author);
        for (word, set) in [("depends on", &slot.depends), ("overrides", &slot.overrides)] {
            if !set.is_empty() {
                let names: Vec<String> = set.iter().map(Lsn::to_string).collect();
                let _ = write!(label, ", {word} {}", names.join(" "));
            }
        }
    }
    let label = escaped(&format!("{label}. {}", frame.why(lsn)));
    let _ = write!(
        text,
        "<button class=\"p {colour}{done}\" aria-pressed=\"false\" aria-label=\"{label}\">\
         {lsn}{mark}</button>"
    );
}

#[cfg(test)]
mod tests {
    use super::super::classic::beside;
    use super::super::tests::story;
    use super::*;

    fn page(name: &str) -> String {
        let story = story(name);
        html(&story, &beside(&story))
    }

    #[test]
    fn a_page_fetches_nothing_and_says_why() {
        let page = page("quorum-commit-above-a-hole");
        for fetched in ["http:", "https:", "src=", "@import", "url(", "<link"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        let why = "aria-label=\"Position 2 at n1: accepted; read a write c by 1#0, depends on 0. \
                   Not settled: a write quorum holds it (n1 n2), but it depends on {0}, which is \
                   not settled.\"";
        assert!(page.contains(why), "{page}");
        assert!(page.contains("they first differ at step"));
        assert_eq!(
            page.matches("<tr").count(),
            1 + story("quorum-commit-above-a-hole").frames.len()
        );
    }

    #[test]
    fn the_ends_of_cells_and_rows_are_there() {
        let page = page("member-joint");
        let (body, _) = page.split_once("<script>").expect("a script at the end");
        for tag in ["tr", "td", "th", "button", "div", "p", "table", "main", "aside", "nav", "span"]
        {
            let opened = body.matches(&format!("<{tag}>")).count()
                + body.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, body.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}
