//! Identities and positions: field order is the protocol's order.

use std::fmt;

/// Which replica: a number that the user gives once and never reuses. Printed `n2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// Raft's logical clock. Several leader ids can share a term.
pub type Term = u64;

/// A leadership: `(term, node)`, totally ordered, term first. Printed `3#2`.
///
/// A vote for `b` is a durable promise to refuse every leader below `b`. Two leaders can hold the
/// same term; the greater one wins inside it (algorithm.md, Electing 1). The default, `0#0`, is
/// below every leader that ever campaigns and stands for "nobody yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderId {
    /// The term. Zero only in [`LeaderId::NOBODY`].
    pub term: Term,
    /// The replica that leads.
    pub node: ReplicaId,
}

impl LeaderId {
    /// Below every leader that campaigns.
    pub const NOBODY: LeaderId = LeaderId { term: 0, node: ReplicaId(0) };

    /// The leader id `term#node`.
    pub const fn new(term: Term, node: u64) -> LeaderId {
        LeaderId { term, node: ReplicaId(node) }
    }

    /// The smallest leader id of `node` that is above `promise` (algorithm.md, Electing 1): the
    /// same term if `node` is greater than the promised node, else the next term. Of several
    /// candidates in one term the greatest wins inside that term; nobody waits for a new one.
    pub fn next_above(promise: LeaderId, node: ReplicaId) -> LeaderId {
        let term =
            if promise.term > 0 && node > promise.node { promise.term } else { promise.term + 1 };
        LeaderId { term, node }
    }
}

/// A position in the log (not a byte offset, as databases use the word).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The first position of every log.
    pub const ZERO: Lsn = Lsn(0);

    /// The greatest position that may exist, so that sums of positions and lengths never overflow.
    /// Gates refuse a greater one.
    pub const MAX: Lsn = Lsn((1 << 62) - 1);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for LeaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.term, self.node.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
