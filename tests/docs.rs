//! The documents keep their promises: every relative link leads somewhere, every file that
//! `design/invariants.md` names exists and says the number, and `docs/seeds.md` has every row of
//! the seed systems exactly once, each with a link, an issue or a reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every `.md` file of the tree, without what cargo and git keep there.
fn pages(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the tree can be listed") {
        let path = entry.expect("an entry of the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The page without fenced blocks and without code spans.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            prose.push_str(&outside);
            prose.push('\n');
        }
    }
    prose
}

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    ends.filter_map(|rest| Some(rest[..rest.find(')')?].to_string())).collect()
}

/// As the forges make an anchor of a heading: lower case, words joined by dashes.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    assert!(found.len() > 10, "the pages were not found");
    let mut broken = Vec::new();
    for page in &found {
        for link in links(&prose(&read(page))) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let dir = page.parent().expect("a page lies in a directory");
            let target = if path.is_empty() { page.clone() } else { dir.join(path) };
            let missing = !target.exists()
                || !fragment.is_empty()
                    && target.extension().is_some_and(|e| e == "md")
                    && !anchors(&read(&target)).contains(&fragment.to_string());
            if missing {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Rows of the tables of a page whose first cell starts with `prefix`.
fn rows(text: &str, prefix: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| line.starts_with(&format!("| {prefix}")));
    let cells = |line: &str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_string()).collect()
    };
    lines.map(cells).collect()
}

/// What stands in backticks.
fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_invariant_is_where_the_index_says() {
    let index = read(&root().join("design/invariants.md"));
    let rows = rows(&index, "I-");
    let numbers: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let expected: Vec<String> = (1..=13).map(|n| format!("I-{n}")).collect();
    assert_eq!(numbers, expected, "the numbers of design/invariants.md, in order");
    for row in &rows {
        let [number, statement, argument, places @ ..] = &row[..] else { panic!("{row:?}") };
        assert!(statement.len() > 20 && argument.contains("](proof.md)"), "{number}: {row:?}");
        assert_eq!(places.len(), 3, "{number}: assert, check and test");
        for place in places {
            let files: Vec<&str> = spans(place).into_iter().filter(|s| s.contains('/')).collect();
            let excused = place.starts_with("none: ") && place.len() > 20;
            assert_eq!(excused, files.is_empty(), "{number}: files or a reason, not {place:?}");
            for file in files {
                assert!(says(&read(&root().join(file)), number), "{file} does not say {number}");
            }
        }
    }
}

/// Whether `text` has `number` and not only a longer one that starts alike.
fn says(text: &str, number: &str) -> bool {
    let ends = text.match_indices(number).map(|(at, _)| &text[at + number.len()..]);
    ends.into_iter().any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A law's name without case, underscores and the word in front.
fn law(name: &str, front: &str) -> Option<String> {
    Some(name.strip_prefix(front)?.replace('_', "").to_lowercase())
}

#[test]
fn every_law_that_holds_has_its_test() {
    let page = read(&root().join("docs/tinykv-laws.md"));
    let rows = rows(&page, "`Test");
    assert_eq!(rows.len(), 75, "every law of the course's Raft library");
    let kept = rows.iter().filter(|row| row[1] == "H" || row[1] == "T");
    let mut kept: Vec<String> =
        kept.filter_map(|row| law(row[0].trim_matches('`'), "Test")).collect();
    let mut tested = Vec::new();
    for entry in fs::read_dir(root().join("tests/laws")).expect("the tests of the laws") {
        let text = read(&entry.expect("a file of the laws").path());
        let names =
            text.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split('(').next());
        tested.extend(names.filter_map(|name| law(name, "law_")));
    }
    kept.sort_unstable();
    tested.sort_unstable();
    assert_eq!(kept, tested, "the laws that hold, and their tests");
}

#[test]
fn every_row_of_the_seeds_is_accounted_for_once() {
    let page = read(&root().join("docs/seeds.md"));
    let rows = rows(&page, "seed-");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *seen.entry(row[0].as_str()).or_default() += 1;
    }
    for (letter, last) in [('T', 29), ('M', 42), ('K', 17), ('N', 6)] {
        for n in 1..=last {
            let name = format!("seed-{letter}{n}");
            assert_eq!(seen.remove(name.as_str()), Some(1), "{name} in docs/seeds.md");
        }
    }
    assert!(seen.is_empty(), "rows that no seed has: {seen:?}");
    for row in &rows {
        let [name, what, state] = &row[..] else { panic!("{row:?}: name, row, state") };
        let accounted = !links(state).is_empty()
            || state.contains("issue ")
            || state.starts_with("not here: ") && state.len() > 30;
        assert!(!what.is_empty() && accounted, "{name}: a link, an issue or a reason: {state:?}");
    }
}

/// Blocks of `page` that follow a link to a scenario, with the file that they are quoted from.
fn quotations(page: &str) -> Vec<(String, Vec<String>)> {
    let (mut quoted, mut from, mut block) = (Vec::new(), None, None::<Vec<String>>);
    for line in page.lines() {
        match (&mut block, line.starts_with("```")) {
            (None, true) => block = Some(Vec::new()),
            (Some(lines), false) => lines.push(line.into()),
            (Some(lines), true) => {
                let lines = std::mem::take(lines);
                quoted.extend(from.take().map(|file| (file, lines)));
                block = None;
            }
            (None, false) => {
                let file = links(line).into_iter().find(|link| link.ends_with(".txt"));
                from = file.filter(|_| line.starts_with("From [")).or(from);
            }
        }
    }
    quoted
}

#[test]
fn the_tour_quotes_scenarios_as_they_are() {
    let page = read(&root().join("docs/tour.md"));
    let quoted = quotations(&page);
    assert_eq!(quoted.len(), page.lines().filter(|line| line.starts_with("From [")).count());
    assert!(quoted.len() > 10, "{}", quoted.len());
    for (file, lines) in quoted {
        let scenario = read(&root().join("docs").join(&file));
        assert!(!lines.is_empty() && scenario.contains(&lines.join("\n")), "{file}: {lines:?}");
    }
}

/// The book has every page once, and no page that there is not.
#[test]
fn the_table_of_contents_names_every_page() {
    let docs = root().join("docs");
    let mut named = links(&read(&docs.join("SUMMARY.md")));
    named.push("SUMMARY.md".into());
    named.sort_unstable();
    let entries = fs::read_dir(&docs).expect("the pages");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut there: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    there.retain(|name| name.ends_with(".md"));
    there.sort_unstable();
    assert_eq!(named, there, "docs/SUMMARY.md, and the files beside it");
    let book = read(&root().join("book.toml"));
    assert!(book.contains("src = \"docs\""), "{book}");
}
