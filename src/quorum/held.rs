//! What a quorum has, of sets and of prefixes: the commit rule as a function of a quorum system.

use super::{Compiled, Mask};
use crate::base::{Lsn, QuorumSystem, ReplicaId, Tail, TailBitmap};

/// How many positions of a set lie in a word.
const BITS: u64 = 64;

impl QuorumSystem {
    /// The greatest position that every replica of some quorum has reached, `0` if there is none.
    ///
    /// For majorities this is the median of the sorted positions, by which classic Raft commits.
    pub fn reached(&self, ends: &[(ReplicaId, Lsn)]) -> Lsn {
        let mut sorted: Vec<Lsn> = ends.iter().map(|(_, end)| *end).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let has = |least: Lsn| {
            self.is_quorum(&|id| ends.iter().any(|(other, end)| *other == id && *end >= least))
        };
        sorted.into_iter().find(|least| has(*least)).unwrap_or(Lsn::ZERO)
    }

    /// The positions that a quorum has: what is committed, holes and all, when `sets` says what
    /// each replica accepted at one leader id. A prefix is the special case of
    /// [`reached`](Self::reached), and this rests on it twice: below the prefix that a quorum has
    /// nothing need be counted, and above where a quorum ends nothing is there.
    ///
    /// Of more than [`REPLICAS_MAX`](super::REPLICAS_MAX) replicas only the first so many count.
    pub fn held(&self, sets: &[(ReplicaId, &TailBitmap)]) -> TailBitmap {
        let ends = |end: fn(&TailBitmap) -> Lsn| -> Vec<(ReplicaId, Lsn)> {
            sets.iter().map(|(id, set)| (*id, end(set))).collect()
        };
        let first = self.reached(&ends(TailBitmap::offset));
        let end = self.reached(&ends(TailBitmap::end));
        let bit = |id: ReplicaId| {
            let at = sets.iter().position(|(other, _)| *other == id);
            at.and_then(|at| Mask::checked_shl(1, at as u32)).unwrap_or(0)
        };
        let compiled = Compiled::new(self, &bit);
        let mut tail = Tail::new();
        for index in first.0 / BITS..end.0.div_ceil(BITS) {
            let words: Vec<u64> = sets.iter().map(|(_, set)| set.word(index)).collect();
            tail.insert_word(index, compiled.held(&words));
        }
        TailBitmap::from_parts(first, tail)
    }
}
