//! A quorum system over bits instead of names: what the leader asks for each record.

use crate::base::{QuorumSystem, ReplicaId};

/// A [`QuorumSystem`] whose voters are bits of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// At least `need` of the bits of `mask`.
    Threshold {
        /// Who counts.
        mask: u64,
        /// How many are enough.
        need: u32,
    },
    /// The supersets of any of these masks.
    Explicit(Vec<u64>),
    /// A quorum of each.
    All(Vec<Compiled>),
}

impl Compiled {
    /// Compiles `system`; `bit` gives the mask of a replica.
    pub fn new(system: &QuorumSystem, bit: &impl Fn(ReplicaId) -> u64) -> Compiled {
        let mask = |voters: &[ReplicaId]| voters.iter().fold(0, |mask, v| mask | bit(*v));
        match system {
            QuorumSystem::Threshold { voters, need } => {
                Compiled::Threshold { mask: mask(voters), need: *need as u32 }
            }
            QuorumSystem::Explicit(sets) => {
                Compiled::Explicit(sets.iter().map(|set| mask(set)).collect())
            }
            QuorumSystem::All(parts) => {
                Compiled::All(parts.iter().map(|part| Compiled::new(part, bit)).collect())
            }
        }
    }

    /// Whether the replicas in `mask` are a quorum.
    pub fn is_quorum(&self, have: u64) -> bool {
        match self {
            Compiled::Threshold { mask, need } => (mask & have).count_ones() >= *need,
            Compiled::Explicit(sets) => sets.iter().any(|set| set & have == *set),
            Compiled::All(parts) => parts.iter().all(|part| part.is_quorum(have)),
        }
    }
}
