//! What a replica needs of whatever keeps its state, and what it finds when it comes back.

use super::recover::{Action, Finding, Row, decide};
use super::{MARK, MARK_SEGMENT, segment_name};
use crate::base::{Lsn, Record};
use crate::disk::SECTOR;
use crate::replica::{self, Durable, Write};
use std::fmt;
use std::sync::Arc;

/// Keeps what a replica must not forget. The contract has numbered clauses;
/// [`check::storage`](crate::check::storage) checks them against any implementation.
pub trait Store {
    /// Why it did not do what was asked.
    type Error: std::error::Error;

    /// Takes a step. Steps take effect in order, each as one. Nothing is durable yet. With a step
    /// that says so, a doubt ends, as by [`repaired`](Self::repaired). A snapshot
    /// that comes with it is not kept here: whoever owns both puts that in its place before the
    /// step is reported durable.
    fn append(&mut self, write: &Write) -> Result<(), Self::Error>;

    /// Makes all steps taken durable; gives the greatest number of a step that is.
    fn sync(&mut self) -> Result<u64, Self::Error>;

    /// The record held at a position, whether it is durable yet or not.
    fn load(&mut self, lsn: Lsn) -> Result<Option<Arc<Record>>, Self::Error>;

    /// Drops every record below `below`, whose effects are in a durable snapshot, and gives space
    /// back; what is appended becomes durable as well. Says how many files went.
    ///
    /// Only a prefix may be dropped (algorithm.md, Purging). What is kept above it does not hold
    /// up the space of what is not, wherever it lies.
    fn purge(&mut self, below: Lsn) -> Result<usize, Self::Error>;

    /// Peers have given back what may have been lost: there is no doubt any more. What is appended
    /// becomes durable as well.
    fn repaired(&mut self) -> Result<(), Self::Error>;

    /// Nothing is to be done for a while. A store may use the time to make sure that it can tell
    /// tomorrow what was durable today.
    fn idle(&mut self) -> Result<(), Self::Error>;

    /// Whether a failure to take or sync a step only means that there is no room: nothing is lost,
    /// and the same call works when there is.
    fn is_full(error: &Self::Error) -> bool;
}

/// What was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What the replica starts from.
    pub durable: Durable,
    /// Below it there are no records: their effects are in a snapshot.
    pub purged: Lsn,
    /// What may be missing. A replica with a doubt must not vote, and what it says it has accepted
    /// must not be counted, until peers have given it back what it lost and
    /// [`Store::repaired`] was called.
    pub doubt: Option<Doubt>,
    /// Everything that was not as it should be, harmless or not, for people and for tests.
    pub flaws: Vec<Flaw>,
}

/// Something acknowledged may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The promise may have been higher than [`Durable::voted`]. Otherwise it is known, and only
    /// records may be missing.
    pub promise: bool,
    /// A lineage later than [`Durable::lineage`] may have been taken.
    pub lineage: bool,
    /// It was found by an earlier life and has not been repaired since.
    pub inherited: bool,
    /// Records that are held and do not belong to the lineage known here. The lineage that they
    /// belong to may be the one that was lost.
    pub strays: Vec<Arc<Record>>,
}

impl Doubt {
    /// What the replica has to know of it.
    pub fn kind(&self) -> replica::Doubt {
        if self.promise { replica::Doubt::Promise } else { replica::Doubt::Records }
    }
}

/// Where something was found that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which row of the table it is.
    pub row: Row,
    /// What was found.
    pub finding: Finding,
    /// In which segment; `u64::MAX` for the mark.
    pub segment: u64,
    /// From which sector on.
    pub sector: u32,
    /// How many sectors, as far as that can be said.
    pub sectors: u32,
}

impl Flaw {
    /// Whether something acknowledged may be missing because of it.
    pub fn is_doubtful(&self) -> bool {
        matches!(decide(self.finding).1, Action::Doubt { .. })
    }

    /// The file that it is in.
    pub fn file_name(&self) -> String {
        if self.segment == MARK_SEGMENT { MARK.into() } else { segment_name(self.segment) }
    }

    /// From which byte of the file on.
    pub fn offset(&self) -> u64 {
        u64::from(self.sector) * SECTOR as u64
    }

    /// What must have happened, and what follows from it.
    pub fn meaning(&self) -> String {
        let follows = match decide(self.finding).1 {
            Action::Ignore | Action::Cut => "",
            Action::Doubt { promise: false } => "; records may be missing",
            Action::Doubt { promise: true } => "; records and a later promise may be missing",
        };
        format!("{}{follows}", self.row.meaning())
    }

    /// Whether the promise may have been in it.
    pub fn loses_promise(&self) -> bool {
        matches!(decide(self.finding).1, Action::Doubt { promise: true })
    }
}

/// `promise 3#2, lineage 2#1[]0, 2 records {4 7}, purged below 4`, the doubt, the flaws.
impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Durable { voted, lineage, records, .. } = &self.durable;
        let held: Vec<String> = records.iter().map(|record| record.lsn.to_string()).collect();
        let (count, held) = (held.len(), held.join(" "));
        write!(f, "promise {voted}, lineage {lineage}, {count} records {{{held}}}")?;
        write!(f, ", purged below {}", self.purged)?;
        self.doubt.iter().try_for_each(|doubt| write!(f, "; {doubt}"))?;
        self.flaws.iter().try_for_each(|flaw| write!(f, "; {flaw}"))
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records may be missing")?;
        if self.promise {
            f.write_str(", the promise may have been higher")?;
        }
        if self.lineage {
            f.write_str(", the newest lineage is unknown")?;
        }
        if self.inherited {
            f.write_str(" (since an earlier start)")?;
        }
        Ok(())
    }
}

/// `checksum: damaged at sector 7 of segment 3`.
impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("{:?}", self.finding.what).to_lowercase();
        let plural =
            if self.sectors > 1 { format!(" ({} sectors)", self.sectors) } else { String::new() };
        write!(f, "{}: {what} at sector {}{plural} of ", self.row, self.sector)?;
        match self.segment {
            u64::MAX => f.write_str("the mark"),
            segment => write!(f, "segment {segment}"),
        }
    }
}
