//! Which sets of replicas are enough: pure arithmetic on [`QuorumSystem`] and [`Membership`].
//!
//! A quorum system is upward closed: adding a replica to a quorum leaves a quorum. Electing needs
//! a read quorum and committing a write quorum *in each membership in force*; that any two of them
//! meet is what I-10 rests on (algorithm.md, Membership).

mod compiled;
mod tally;

pub use compiled::Compiled;
pub use tally::{Tally, Verdict};

use crate::base::{Membership, QuorumSystem, ReplicaId};

impl QuorumSystem {
    /// Whether the replicas for which `has` holds are a quorum.
    pub fn is_quorum(&self, has: &impl Fn(ReplicaId) -> bool) -> bool {
        match self {
            QuorumSystem::Threshold { voters, need } => {
                voters.iter().filter(|v| has(**v)).count() >= *need
            }
            QuorumSystem::Explicit(sets) => sets.iter().any(|set| set.iter().all(|v| has(*v))),
            QuorumSystem::All(parts) => parts.iter().all(|part| part.is_quorum(has)),
        }
    }
}

/// The most voters for which [`is_sound`] enumerates subsets.
pub const EXACT_VOTERS_MAX: usize = 20;

/// Whether every read quorum meets every write quorum: `None` if that is undecided, because the
/// systems are not plain sizes over one set of voters and there are more than
/// [`EXACT_VOTERS_MAX`] of them.
///
/// Upward closure makes one test enough: the membership is unsound exactly if some set is a read
/// quorum while its complement is a write quorum.
pub fn is_sound(membership: &Membership) -> Option<bool> {
    use QuorumSystem::Threshold;
    if let (Threshold { voters, need: r }, Threshold { voters: same, need: w }) =
        (&membership.read, &membership.write)
        && voters == same
    {
        return Some(r.saturating_add(*w) > voters.len());
    }
    let voters = membership.voters();
    if voters.len() > EXACT_VOTERS_MAX {
        return None;
    }
    let at = |v: ReplicaId| voters.binary_search(&v).unwrap_or(voters.len());
    Some((0_u32..1 << voters.len()).all(|set| {
        let inside = |v: ReplicaId| set >> at(v) & 1 == 1;
        let outside = |v: ReplicaId| set >> at(v) & 1 == 0;
        !(membership.read.is_quorum(&inside) && membership.write.is_quorum(&outside))
    }))
}
