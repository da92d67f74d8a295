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

/// The single bits of a mask.
fn bits(mut mask: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = mask & mask.wrapping_neg();
        mask ^= bit;
        (bit != 0).then_some(bit)
    })
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

    /// [`is_quorum`](Self::is_quorum) of 64 positions at once: bit `p` of `words[r]` says whether
    /// the replica of bit `r` has position `p`, and bit `p` of the answer whether a quorum has it.
    /// So a thousand records commit in as many steps as there are words.
    pub fn held(&self, words: &[u64]) -> u64 {
        let of = |bit: u64| words.get(bit.trailing_zeros() as usize).copied().unwrap_or(0);
        match self {
            Compiled::Threshold { mask, need } => {
                // at_least[n]: what more than n of the voters looked at so far have.
                let mut at_least = [0; u64::BITS as usize];
                let Some(last) = need.checked_sub(1) else { return !0 };
                let Some(levels) = at_least.get_mut(..=last as usize) else { return 0 };
                for voter in bits(*mask) {
                    levels.iter_mut().fold(of(voter), |carry, level| {
                        let both = *level & carry;
                        *level |= carry;
                        both
                    });
                }
                levels.last().copied().unwrap_or(0)
            }
            Compiled::Explicit(sets) => sets
                .iter()
                .map(|set| bits(*set).fold(!0, |have, voter| have & of(voter)))
                .fold(0, |held, by_set| held | by_set),
            Compiled::All(parts) => parts.iter().fold(!0, |held, part| held & part.held(words)),
        }
    }
}
