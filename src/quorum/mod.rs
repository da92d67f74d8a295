//! Which sets of replicas are enough: pure arithmetic on [`QuorumSystem`] and
//! [`Membership`](crate::base::Membership).
//!
//! A quorum system is upward closed: adding a replica to a quorum leaves a quorum. Electing needs
//! a read quorum and committing a write quorum *in each membership in force*; that any two of them
//! meet is what I-10 rests on (algorithm.md, Membership). [`soundness`] decides it for one
//! membership, [`plan`](fn@plan) says what changing to another takes.

mod compiled;
mod held;
mod plan;
mod sound;
mod tally;

pub use compiled::{Compiled, Mask, REPLICAS_MAX};
pub use plan::{End, Outlook, Phase, Plan, PlanError, Stage, plan};
pub use sound::{EXACT_VOTERS_MAX, Unsound, soundness, soundness_within};
pub use tally::{Tally, Verdict};

use crate::base::{QuorumSystem, ReplicaId};

impl QuorumSystem {
    /// Whether the replicas for which `has` holds are a quorum.
    pub fn is_quorum(&self, has: &impl Fn(ReplicaId) -> bool) -> bool {
        match self {
            QuorumSystem::Threshold { voters, need } => {
                voters.iter().filter(|v| has(**v)).count() >= *need
            }
            QuorumSystem::Weighted { voters, need } => {
                let counted = voters.iter().filter(|(id, _)| has(*id));
                counted.fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight)) >= *need
            }
            QuorumSystem::Explicit(sets) => sets.iter().any(|set| set.iter().all(|v| has(*v))),
            QuorumSystem::All(parts) => parts.iter().all(|part| part.is_quorum(has)),
            QuorumSystem::Groups { parts, need } => {
                parts.iter().filter(|part| part.is_quorum(has)).count() >= *need
            }
        }
    }
}
