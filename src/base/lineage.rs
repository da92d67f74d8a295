//! Who authored what in a leader's log.

use super::{LeaderId, Lsn};
use std::fmt;

/// Positions from `start` up to the start of the next run were authored by `author`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The first position of the run.
    pub start: Lsn,
    /// Who created the record there, or the void, or the record that an empty position once held.
    pub author: LeaderId,
}

/// The authors of a leader's log, run-length coded (algorithm.md, Words).
///
/// It is fixed at the moment the leader has rebuilt its log: positions below [`end`](Self::end)
/// have the author of their run, everything at or above it is authored by the leader itself. So
/// `(lsn, author)` tells for every position which record belongs in this leader's log, without
/// naming any content: about one run per leadership.
///
/// Canonical: the first run starts at zero, starts rise, neighbours differ, all below `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lineage {
    leader: LeaderId,
    runs: Vec<Run>,
    end: Lsn,
}

impl Lineage {
    /// The lineage of `leader` over an empty log.
    pub fn new(leader: LeaderId) -> Lineage {
        Lineage { leader, runs: Vec::new(), end: Lsn::ZERO }
    }

    /// From its parts, if they are canonical. This is how a lineage comes from the wire.
    pub fn from_parts(leader: LeaderId, runs: Vec<Run>, end: Lsn) -> Option<Lineage> {
        let starts_at_zero = runs.first().map_or(end == Lsn::ZERO, |run| run.start == Lsn::ZERO);
        let rising = runs.windows(2).all(|w| w[0].start < w[1].start && w[0].author != w[1].author);
        let inside = runs.last().is_none_or(|run| run.start < end);
        (starts_at_zero && rising && inside).then_some(Lineage { leader, runs, end })
    }

    /// Whose log this is.
    pub fn leader(&self) -> LeaderId {
        self.leader
    }

    /// One past the top of the log that the leader rebuilt; from here on it authors itself.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The runs below [`end`](Self::end).
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Who authored position `lsn` of this log.
    pub fn author(&self, lsn: Lsn) -> LeaderId {
        if lsn >= self.end {
            return self.leader;
        }
        let at = self.runs.partition_point(|run| run.start <= lsn);
        self.runs[at - 1].author
    }

    /// Whether all positions of `from .. to`, not empty, lie in one run, which `author` authored.
    pub(crate) fn is_run_of(&self, author: LeaderId, from: Lsn, to: Lsn) -> bool {
        let at = self.runs.partition_point(|run| run.start <= from);
        let end = self.runs.get(at).map_or(self.end, |next| next.start);
        self.author(from) == author && (from >= self.end || to <= end)
    }

    /// Says that positions from the current end up to `end` were authored by `author`. Only the
    /// rebuilding leader calls this, before the lineage leaves it.
    pub fn push(&mut self, author: LeaderId, end: Lsn) {
        if end <= self.end {
            return;
        }
        if self.runs.last().map(|run| run.author) != Some(author) {
            self.runs.push(Run { start: self.end, author });
        }
        self.end = end;
    }
}

/// `2#1[1#0@0 1#2@4]9`: the leader, its runs, the end.
impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.leader)?;
        for (i, run) in self.runs.iter().enumerate() {
            write!(f, "{}{}@{}", if i > 0 { " " } else { "" }, run.author, run.start)?;
        }
        write!(f, "]{}", self.end)
    }
}
