//! A quorum system over bits instead of names: what the leader asks for each record.

use super::EXACT_VOTERS_MAX;
use crate::base::{QuorumSystem, ReplicaId};

/// A set of replicas, a bit for each.
pub type Mask = u128;

/// How many replicas a [`Mask`] has room for.
pub const REPLICAS_MAX: usize = Mask::BITS as usize;

/// A [`QuorumSystem`] whose voters are bits of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// At least `need` of the bits of `mask`.
    Threshold {
        /// Who counts.
        mask: Mask,
        /// How many are enough.
        need: u32,
    },
    /// Bits that weigh at least `need` together.
    Weighted {
        /// A bit, and what it weighs.
        voters: Vec<(Mask, u64)>,
        /// How much is enough.
        need: u64,
    },
    /// The supersets of any of these masks.
    Explicit(Vec<Mask>),
    /// A quorum of each.
    All(Vec<Compiled>),
    /// A quorum of at least `need` of the parts.
    Groups {
        /// The quorum system of each group.
        parts: Vec<Compiled>,
        /// How many groups are enough.
        need: u32,
    },
}

/// The numbers of the bits of a word, the lowest first.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = word.trailing_zeros() as usize;
        let some = word != 0;
        word &= word.wrapping_sub(1);
        some.then_some(at)
    })
}

/// The numbers of the bits of a mask. Mostly all of them are in one word.
fn numbers(mask: Mask) -> impl Iterator<Item = usize> {
    let half = u64::BITS as usize;
    ones(mask as u64).chain(ones((mask >> half) as u64).map(move |at| half + at))
}

/// Whether a mask has at least so many bits: few are needed, and counting all of them is slow.
fn has_ones(mut mask: Mask, need: u32) -> bool {
    for _ in 0..need {
        if mask == 0 {
            return false;
        }
        mask &= mask - 1;
    }
    true
}

/// More than can be counted are more than there are.
fn count(need: usize) -> u32 {
    u32::try_from(need).unwrap_or(u32::MAX)
}

impl Compiled {
    /// Compiles `system`; `bit` gives the mask of a replica. One without a bit counts for nothing.
    pub fn new(system: &QuorumSystem, bit: &impl Fn(ReplicaId) -> Mask) -> Compiled {
        let mask = |voters: &[ReplicaId]| voters.iter().fold(0, |mask, v| mask | bit(*v));
        let compile = |parts: &[QuorumSystem]| -> Vec<Compiled> {
            parts.iter().map(|part| Compiled::new(part, bit)).collect()
        };
        match system {
            QuorumSystem::Threshold { voters, need } => {
                Compiled::Threshold { mask: mask(voters), need: count(*need) }
            }
            QuorumSystem::Weighted { voters, need } => {
                let voters = voters.iter().map(|(id, weight)| (bit(*id), *weight)).collect();
                Compiled::Weighted { voters, need: *need }
            }
            QuorumSystem::Explicit(sets) => {
                // A set with a replica that has no bit can never be seen complete.
                let seen = sets.iter().filter(|set| set.iter().all(|id| bit(*id) != 0));
                Compiled::Explicit(seen.map(|set| mask(set)).collect())
            }
            QuorumSystem::All(parts) => Compiled::All(compile(parts)),
            QuorumSystem::Groups { parts, need } => {
                Compiled::Groups { parts: compile(parts), need: count(*need) }
            }
        }
    }

    /// Every bit that counts.
    pub fn mask(&self) -> Mask {
        match self {
            Compiled::Threshold { mask, .. } => *mask,
            Compiled::Weighted { voters, .. } => voters.iter().fold(0, |mask, (bit, _)| mask | bit),
            Compiled::Explicit(sets) => sets.iter().fold(0, |mask, set| mask | set),
            Compiled::All(parts) | Compiled::Groups { parts, .. } => {
                parts.iter().fold(0, |mask, part| mask | part.mask())
            }
        }
    }

    /// Whether the replicas in `mask` are a quorum.
    pub fn is_quorum(&self, have: Mask) -> bool {
        match self {
            Compiled::Threshold { mask, need } => has_ones(mask & have, *need),
            Compiled::Weighted { voters, need } => {
                let counted = voters.iter().filter(|(bit, _)| bit & have != 0);
                counted.fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight)) >= *need
            }
            Compiled::Explicit(sets) => sets.iter().any(|set| set & have == *set),
            Compiled::All(parts) => parts.iter().all(|part| part.is_quorum(have)),
            Compiled::Groups { parts, need } => {
                parts.iter().filter(|part| part.is_quorum(have)).count() >= *need as usize
            }
        }
    }

    /// [`is_quorum`](Self::is_quorum) of 64 positions at once: bit `p` of `words[r]` says whether
    /// the replica of bit `r` has position `p`, and bit `p` of the answer whether a quorum has it.
    /// So a thousand records commit in as many steps as there are words.
    pub fn held(&self, words: &[u64]) -> u64 {
        let of = |number: usize| words.get(number).copied().unwrap_or(0);
        match self {
            Compiled::Threshold { mask, need } => {
                // at_least[n]: what more than n of the voters looked at so far have.
                let mut few = [0; 4];
                let mut many = Vec::new();
                let at_least = match *need as usize {
                    need if need <= few.len() => &mut few[..need],
                    need if need <= REPLICAS_MAX => {
                        many.resize(need, 0);
                        &mut many[..]
                    }
                    _ => return 0,
                };
                for voter in numbers(*mask) {
                    at_least.iter_mut().fold(of(voter), |carry, level| {
                        let both = *level & carry;
                        *level |= carry;
                        both
                    });
                }
                // Nobody is needed: everything is held.
                at_least.last().copied().unwrap_or(!0)
            }
            Compiled::Weighted { voters, need } => {
                let mut sums = Sums::new();
                let of = |bit: &Mask| of(bit.trailing_zeros() as usize);
                voters.iter().for_each(|(bit, weight)| sums.add(of(bit), *weight));
                sums.at_least(*need)
            }
            Compiled::Explicit(sets) => sets
                .iter()
                .map(|set| numbers(*set).fold(!0, |have, voter| have & of(voter)))
                .fold(0, |held, by_set| held | by_set),
            Compiled::All(parts) => parts.iter().fold(!0, |held, part| held & part.held(words)),
            Compiled::Groups { parts, need } => {
                let mut sums = Sums::new();
                parts.iter().for_each(|part| sums.add(part.held(words), 1));
                sums.at_least(u64::from(*need))
            }
        }
    }

    /// The quorums that no smaller quorum is part of, in rising order: the system as a list of
    /// bitmaps, so that [`Explicit`](Self::Explicit) of them has the same quorums. For majorities
    /// of n that is every choice of n/2 + 1. `None` above [`EXACT_VOTERS_MAX`] voters, where there
    /// may be too many.
    pub fn minimal(&self) -> Option<Vec<Mask>> {
        let mask = self.mask();
        if mask.count_ones() as usize > EXACT_VOTERS_MAX {
            return None;
        }
        let mut found = Vec::new();
        let mut set: Mask = 0;
        loop {
            if self.is_quorum(set) && !numbers(set).any(|at| self.is_quorum(set & !(1 << at))) {
                found.push(set);
            }
            // The next subset of the mask: counting with the bits between held up.
            set = set.wrapping_sub(mask) & mask;
            if set == 0 {
                return Some(found);
            }
        }
    }
}

/// A sum for each of 64 positions, in binary: bit `p` of `planes[k]` is bit `k` of the sum at `p`.
struct Sums {
    planes: [u64; u64::BITS as usize],
    /// Where the sum does not fit: more than any need.
    over: u64,
}

impl Sums {
    fn new() -> Sums {
        Sums { planes: [0; u64::BITS as usize], over: 0 }
    }

    /// Adds `weight` at the positions of `at`.
    fn add(&mut self, at: u64, weight: u64) {
        for bit in ones(weight) {
            let mut carry = at;
            for plane in self.planes.iter_mut().skip(bit) {
                let both = *plane & carry;
                *plane ^= carry;
                carry = both;
                if carry == 0 {
                    break;
                }
            }
            self.over |= carry;
        }
    }

    /// Where the sum is at least `need`, decided from the lowest bit up.
    fn at_least(&self, need: u64) -> u64 {
        let enough = self.planes.iter().zip(0..).fold(!0, |enough, (plane, bit)| {
            if need >> bit & 1 == 1 { plane & enough } else { plane | enough }
        });
        enough | self.over
    }
}
