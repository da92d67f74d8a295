//! What came of a check.

use crate::wal::{Recovered, Row};
use std::collections::BTreeMap;
use std::fmt;

/// With so many violations no more scripts are run.
pub(super) const VIOLATIONS_MAX: usize = 20;

/// So many are kept of one clause: the first ones tell enough.
const OF_A_CLAUSE_MAX: usize = 5;

/// The clauses, each with a few words.
pub const CLAUSES: [(u32, &str); 12] = [
    (1, "what was reported durable is there"),
    (2, "steps are whole and in order"),
    (3, "a crash leaves no doubt"),
    (4, "a crash while opening changes nothing"),
    (5, "what is missing is doubted, what is given is true"),
    (6, "a promise that is not doubted is right"),
    (7, "a doubt stays until it is repaired"),
    (8, "a failed sync is never believed"),
    (9, "a full disk loses nothing"),
    (10, "single records can be read back"),
    (11, "what is kept does not hold up space"),
    (12, "strangers are refused"),
];

/// A clause that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the clause.
    pub clause: u32,
    /// The script that leads there: a plan with this seed and one image runs it first.
    pub seed: u64,
    /// What happened.
    pub what: String,
}

/// `C-3, seed 7: ...`.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C-{}, seed {}: {}", self.clause, self.seed, self.what)
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Scripts that were run.
    pub scripts: usize,
    /// Distinct images of crashed disks that were opened.
    pub images: usize,
    /// Of those, images of disks that crashed again while they were opened.
    pub nested: usize,
    /// Disks that went bad and were opened, by what was done to them.
    pub damaged: BTreeMap<&'static str, usize>,
    /// Of those, how many were doubted; the others had lost nothing.
    pub doubted: BTreeMap<&'static str, usize>,
    /// How often each clause was checked.
    pub clauses: BTreeMap<u32, usize>,
    /// How many openings met each row of the decision table.
    pub rows: BTreeMap<Row, usize>,
    /// How many openings found that the promise may have been higher.
    pub promises: usize,
    /// The clauses that were broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Notes that a clause was checked, and what was wrong, if anything was.
    pub(super) fn note(&mut self, clause: u32, seed: u64, wrong: Option<String>) {
        *self.clauses.entry(clause).or_default() += 1;
        if let Some(what) = wrong
            && self.violations.iter().filter(|v| v.clause == clause).count() < OF_A_CLAUSE_MAX
        {
            self.violations.push(Violation { clause, seed, what });
        }
    }

    /// Notes what an opening found.
    pub(super) fn opened(&mut self, recovered: &Recovered) {
        let mut rows: Vec<Row> = recovered.flaws.iter().map(|flaw| flaw.row).collect();
        rows.sort_unstable();
        rows.dedup();
        rows.into_iter().for_each(|row| *self.rows.entry(row).or_default() += 1);
        self.promises += usize::from(recovered.doubt.as_ref().is_some_and(|d| d.promise));
    }
}
