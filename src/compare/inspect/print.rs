//! How sets of positions, and damage, are written.

use crate::base::{Lsn, TailBitmap};
use crate::snapshot::{Damage, range_text};
use crate::wal::{Evidence, Flaw};
use serde_json::{Value, json};
use std::path::Path;

/// More than so many of anything are counted and not listed, unless all were asked for.
pub(super) const LISTED_MAX: usize = 100;

/// So many runs of positions are written out.
const RUNS_MAX: usize = 32;

/// The runs of rising positions, each with its end, which does not belong to it.
pub(super) fn runs(positions: impl IntoIterator<Item = Lsn>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for Lsn(lsn) in positions {
        match runs.last_mut() {
            Some((_, end)) if *end == lsn => *end += 1,
            _ => runs.push((lsn, lsn + 1)),
        }
    }
    runs
}

/// `{4 7..9}`, and how many runs more if there are too many.
pub(super) fn set(runs: &[(u64, u64)]) -> String {
    let run = |(start, end): &(u64, u64)| {
        if start + 1 == *end { start.to_string() } else { format!("{start}..{end}") }
    };
    let mut words: Vec<String> = runs.iter().take(RUNS_MAX).map(run).collect();
    if runs.len() > RUNS_MAX {
        words.push(format!("and {} runs more", runs.len() - RUNS_MAX));
    }
    format!("{{{}}}", words.join(" "))
}

/// `{..42 45 50..60}`.
pub(super) fn bitmap(positions: &TailBitmap) -> String {
    let text = set(&runs(positions.tail().iter()));
    match positions.offset() {
        Lsn(0) => text,
        below if text == "{}" => format!("{{..{below}}}"),
        below => format!("{{..{below} {}", &text[1..]),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a log at one place, for people.
pub(super) fn flaw_line(dir: &Path, flaw: &Flaw) -> String {
    let (file, offset) = (dir.join(flaw.file_name()), flaw.offset());
    format!("{}: byte {offset}: {flaw}; {}", file.display(), flaw.meaning())
}

/// The same for programs.
pub(super) fn flaw_document(flaw: &Flaw) -> Value {
    let evidence = match flaw.finding.evidence {
        Evidence::Superseded => "superseded",
        Evidence::Open => "open",
        Evidence::Marked => "marked",
        Evidence::Followed => "followed",
    };
    json!({
        "row": flaw.row.name(),
        "file": flaw.file_name(),
        "sector": flaw.sector,
        "sectors": flaw.sectors,
        "offset": flaw.offset(),
        "evidence": evidence,
        "doubtful": flaw.is_doubtful(),
        "promise_doubtful": flaw.loses_promise(),
        "meaning": flaw.meaning(),
    })
}

/// What is wrong with a part of a snapshot, for people.
pub(super) fn damage_line(path: &Path, damage: &Damage) -> String {
    format!("{}: {damage}; {}", path.display(), damage.meaning())
}

/// The same for programs.
pub(super) fn damage_document(found: &Damage) -> Value {
    json!({
        "part": found.part.to_string(),
        "offset": found.offset,
        "bytes": found.bytes,
        "keys": range_text(&found.keys),
        "cause": found.cause.to_string(),
        "meaning": found.meaning(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_runs() {
        let text = |positions: &[u64]| set(&runs(positions.iter().map(|lsn| Lsn(*lsn))));
        assert_eq!(text(&[]), "{}");
        assert_eq!(text(&[4]), "{4}");
        assert_eq!(text(&[0, 1, 2, 7, 9, 10]), "{0..3 7 9..11}");
        let odd: Vec<u64> = (0..40).map(|n| 2 * n).collect();
        assert!(text(&odd).ends_with(" 62 and 8 runs more}"), "{}", text(&odd));
        let mut done = TailBitmap::below(Lsn(42));
        assert_eq!(bitmap(&done), "{..42}");
        done.insert_range(Lsn(50), Lsn(60));
        assert_eq!(bitmap(&done), "{..42 50..60}");
        assert_eq!(bitmap(&TailBitmap::default()), "{}");
    }
}
