//! The decision table of recovery: from what was found to what is done about it. Pure; the reasons
//! are in design/wal-recovery.md.
//!
//! Two questions decide. *Could it have been acknowledged?* If a later segment says that it does
//! not count, no. *Could an honest crash have made it?* A crash leaves sectors as they were before,
//! never half of one, and only where nothing says that they were synced. What a crash can have made
//! was never acknowledged and is cut; everything else may have been, and is doubted.

use crate::base::mutant;
use std::fmt;

/// What was found instead of what belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Zeros, or the end of the file: as before any write. Also the unfinished last step.
    Unwritten,
    /// A sector whose checksum is wrong.
    Damaged,
    /// A sector that is right in itself and belongs somewhere else.
    Foreign,
    /// A sector that the disk cannot read.
    Unreadable,
    /// A file that is not there.
    Missing,
    /// Sectors that are right and do not make sense together.
    Garbled,
}

/// What is known about whether it was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// A later segment says that it does not count.
    Superseded,
    /// Nothing says that it was synced.
    Open,
    /// The mark says so.
    Marked,
    /// The log goes on after it, and nothing is written before what precedes it is synced.
    Followed,
}

/// Where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// In a segment, or instead of one.
    Log,
    /// In the file that says what was synced.
    Mark,
}

/// Something that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Where.
    pub area: Area,
    /// What.
    pub what: What,
    /// Whether it was synced.
    pub evidence: Evidence,
    /// Whether no whole step comes after it, so that the newest promise may have been in it.
    pub last: bool,
}

/// The rows of the table, by which a finding is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// What a later segment replaced.
    Leftover,
    /// The end of a write that a crash interrupted.
    TornTail,
    /// Something is missing although the log goes on after it.
    Hole,
    /// The end is missing although it was synced.
    LostTail,
    /// A wrong checksum.
    Checksum,
    /// A write that went to another place, or a file of another replica.
    Misdirected,
    /// A read error.
    Unreadable,
    /// A segment that is not there.
    MissingSegment,
    /// Frames that make no sense: a bug, or damage that the checksums do not see.
    Garbled,
    /// The file that says what was synced is damaged or gone.
    Mark,
}

impl Row {
    /// All rows.
    pub const ALL: [Row; 10] = [
        Row::Leftover,
        Row::TornTail,
        Row::Hole,
        Row::LostTail,
        Row::Checksum,
        Row::Misdirected,
        Row::Unreadable,
        Row::MissingSegment,
        Row::Garbled,
        Row::Mark,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Row::Leftover => "leftover",
            Row::TornTail => "torn-tail",
            Row::Hole => "hole",
            Row::LostTail => "lost-tail",
            Row::Checksum => "checksum",
            Row::Misdirected => "misdirected",
            Row::Unreadable => "unreadable",
            Row::MissingSegment => "missing-segment",
            Row::Garbled => "garbled",
            Row::Mark => "mark",
        }
    }
}

impl Row {
    /// What must have happened, in a clause.
    pub fn meaning(self) -> &'static str {
        match self {
            Row::Leftover => "a later segment replaced it, nothing is lost",
            Row::TornTail => {
                "a crash interrupted a write that nobody was told of, the next start cuts it"
            }
            Row::Hole => "the log goes on after it, so it was synced and the disk has lost it",
            Row::LostTail => "the mark says that it was synced, so the disk has lost it",
            Row::Checksum => "no crash changes a sector that was written, so the disk did",
            Row::Misdirected => "a write of another place or another replica went here",
            Row::Unreadable => "the disk cannot read it",
            Row::MissingSegment => "a file that the log names is gone",
            Row::Garbled => "the checksums are right and the contents make no sense",
            Row::Mark => "what tells how far the log was synced is damaged or gone",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It does not matter.
    Ignore,
    /// It was never acknowledged: the log ends before it.
    Cut,
    /// It may have been acknowledged: the replica must not vote until it is repaired.
    Doubt {
        /// Whether the promise may have been in it.
        promise: bool,
    },
}

/// The table.
pub fn decide(finding: Finding) -> (Row, Action) {
    let Finding { area, what, evidence, last } = finding;
    let doubt = |row| (row, Action::Doubt { promise: last });
    match (area, what, evidence) {
        (_, _, Evidence::Superseded) => (Row::Leftover, Action::Ignore),
        // The newest mark may be gone, and with it the word that the end was synced.
        (Area::Mark, What::Unwritten, Evidence::Open) => (Row::TornTail, Action::Cut),
        (Area::Mark, _, _) => (Row::Mark, Action::Doubt { promise: true }),
        (Area::Log, What::Unwritten | What::Missing, Evidence::Open) => {
            (Row::TornTail, Action::Cut)
        }
        (Area::Log, What::Unwritten, Evidence::Marked) => doubt(Row::LostTail),
        (Area::Log, What::Unwritten, Evidence::Followed) => doubt(Row::Hole),
        (Area::Log, What::Missing, _) => doubt(Row::MissingSegment),
        (Area::Log, What::Damaged, _) => {
            mutant!(DamageIsATornTail, doubt(Row::Checksum), (Row::TornTail, Action::Cut))
        }
        (Area::Log, What::Foreign, _) => {
            mutant!(MisdirectedIsATornTail, doubt(Row::Misdirected), (Row::TornTail, Action::Cut))
        }
        (Area::Log, What::Unreadable, _) => doubt(Row::Unreadable),
        (Area::Log, What::Garbled, _) => doubt(Row::Garbled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: [What; 6] = [
        What::Unwritten,
        What::Damaged,
        What::Foreign,
        What::Unreadable,
        What::Missing,
        What::Garbled,
    ];
    const EVIDENCE: [Evidence; 4] =
        [Evidence::Superseded, Evidence::Open, Evidence::Marked, Evidence::Followed];

    fn all() -> impl Iterator<Item = Finding> {
        [Area::Log, Area::Mark].into_iter().flat_map(|area| {
            WHAT.into_iter().flat_map(move |what| {
                EVIDENCE.into_iter().flat_map(move |evidence| {
                    [false, true].map(|last| Finding { area, what, evidence, last })
                })
            })
        })
    }

    /// The table against the two questions, asked of every input.
    #[test]
    fn only_what_an_honest_crash_can_leave_is_cut() {
        assert_eq!(all().count(), 96);
        for finding in all() {
            let counts = finding.evidence != Evidence::Superseded;
            let by_a_crash = finding.evidence == Evidence::Open
                && (finding.what == What::Unwritten
                    || finding.what == What::Missing && finding.area == Area::Log);
            let (row, action) = decide(finding);
            let expected = match (counts, by_a_crash) {
                (false, _) => Action::Ignore,
                (true, true) => Action::Cut,
                (true, false) => {
                    Action::Doubt { promise: finding.last || finding.area == Area::Mark }
                }
            };
            assert_eq!(action, expected, "{finding:?}");
            assert_eq!(row == Row::Leftover, !counts, "{finding:?}");
        }
    }

    #[test]
    fn every_row_is_reached_and_has_its_name() {
        for row in Row::ALL {
            assert!(all().any(|finding| decide(finding).0 == row), "{row}");
            assert_eq!(Row::ALL.iter().filter(|other| other.name() == row.name()).count(), 1);
        }
    }

    /// What happened to a sector.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum History {
        Unsynced,
        Synced { marked: bool, followed: bool },
    }

    /// The physical world in small: what is then found, and what recovery owes.
    #[test]
    fn nothing_acknowledged_is_cut_and_no_crash_is_doubted() {
        let synced = [(false, true), (true, false), (true, true)];
        let histories = synced
            .map(|(marked, followed)| History::Synced { marked, followed })
            .into_iter()
            .chain([History::Unsynced]);
        for history in histories {
            let evidence = match history {
                History::Unsynced => Evidence::Open,
                History::Synced { followed: true, .. } => Evidence::Followed,
                History::Synced { .. } => Evidence::Marked,
            };
            for what in WHAT {
                // Of what was not synced a crash may leave nothing. All else is a fault.
                let honest =
                    history == History::Unsynced && matches!(what, What::Unwritten | What::Missing);
                for last in [false, true] {
                    let finding = Finding { area: Area::Log, what, evidence, last };
                    let doubted = matches!(decide(finding).1, Action::Doubt { .. });
                    assert_eq!(doubted, !honest, "{history:?} {finding:?}");
                }
            }
        }
    }
}
