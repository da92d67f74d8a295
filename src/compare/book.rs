//! Every command in the pages is one: its words are those that the program takes.
//!
//! What it does is run by the tests of each command; here it is only read, since some run for
//! minutes, and some need a cluster.

use super::cli::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};

/// Where readers find commands.
const PLACES: [&str; 5] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "design"];

/// How commands begin.
const BEGINNINGS: [&str; 3] =
    ["traft ", "cargo run --release -- ", "cargo run --release --features mutants -- "];

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    let mut places: Vec<PathBuf> = PLACES.iter().map(|place| root.join(place)).collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            let entries = std::fs::read_dir(&place).expect("a directory");
            places.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if place.extension().is_some_and(|ending| ending == "md") {
            pages.push(place);
        }
    }
    pages
}

/// The commands of a page: those on lines of their own, and those in code within a sentence.
fn commands(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut spans) = (Vec::new(), Vec::new());
    let page = page.replace("\\\n", " ");
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let indented = is_code || line.starts_with("    ");
        let text = line.trim_start().trim_start_matches("$ ");
        if let (true, Some(command)) = (indented, command(text)) {
            // What stands behind it, in a column of its own, says what it does.
            lines.push(command.split("  ").next().unwrap_or_default().into());
        }
    }
    for (nth, span) in page.split('`').enumerate() {
        // Every second one is between two marks; blocks are the empty ones between three.
        if nth % 2 == 1 && !span.contains("\n\n") {
            spans.extend(command(&span.replace('\n', " ")).map(str::to_string));
        }
    }
    (lines, spans)
}

fn command(text: &str) -> Option<&str> {
    let rest = BEGINNINGS.iter().find_map(|beginning| text.strip_prefix(beginning))?;
    // An equals sign is that of a manifest, a word in capitals alone no command.
    let first = rest.split_whitespace().next()?;
    first.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-').then_some(rest)
}

/// The words of a command, with something in the place of what a reader has to fill in.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    let end = command.find([';', '|', '>']).filter(|_| !command.contains('\''));
    for letter in command[..end.unwrap_or(command.len())].trim_end_matches(" &").chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (mark, Some(open)) if mark == open => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(letter),
        }
    }
    let filled = |word: String| match word.trim_end_matches("...").trim_end_matches(',') {
        "N" | "LSN" | "STEP" | "SEED" | "K" => "1".into(),
        "A..B" => "0..1".into(),
        "ADDRESS" => "127.0.0.1:6379".into(),
        word => word.into(),
    };
    words.into_iter().filter(|word| !word.is_empty()).map(filled).collect()
}

/// What is wrong with it. Within a sentence it may end early: `traft member add`.
fn complaint(command: &str, may_end_early: bool) -> Option<String> {
    // The bug bank is there in a build with its bugs alone.
    let of_bugs = command.starts_with("check mutants") || command.contains(" --bug ");
    if of_bugs && !cfg!(feature = "mutants") {
        return None;
    }
    let error = Cli::try_parse_from(["traft".into()].into_iter().chain(words(command))).err()?;
    let early = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // `--trace` without its FILE.
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues => {
            may_end_early && error.to_string().contains("a value is required")
        }
        kind => may_end_early && early.contains(&kind),
    };
    (!is_fine).then(|| format!("traft {command}: {}", error.to_string().replace('\n', " ")))
}

#[test]
fn every_command_of_the_pages_is_one() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        let (lines, spans) = commands(&text);
        count += lines.len() + spans.len();
        let lines = lines.iter().filter_map(|line| complaint(line, false));
        let found = lines.chain(spans.iter().filter_map(|span| complaint(span, true)));
        wrong.extend(found.map(|what| format!("{}: {what}", page.display())));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(count > 150, "only {count} were found");
}

#[test]
fn what_is_no_command_is_found() {
    let (lines, spans) = commands(
        "`traft member add` and `traft nonsense`\n\n```text\ntraft compare --no-such  a table\n\
         $ traft sim --seed N\n```\n\n    traft load --clients x\n",
    );
    assert_eq!(lines, ["compare --no-such", "sim --seed N", "load --clients x"]);
    assert_eq!(spans, ["member add", "nonsense"]);
    assert_eq!(complaint(&spans[0], true), None);
    assert!(complaint(&spans[0], false).is_some() && complaint(&spans[1], true).is_some());
    assert!(complaint(&lines[0], false).is_some() && complaint(&lines[2], false).is_some());
    assert_eq!(complaint(&lines[1], false), None);
}
