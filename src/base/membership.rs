//! Who is in, and which sets of replicas are enough.

use super::ReplicaId;
use std::fmt;

/// An upward-closed family of sets of replicas, as data: a superset of a quorum is a quorum.
///
/// What it means is decided in [`quorum`](crate::quorum). Voters are sorted and distinct.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QuorumSystem {
    /// At least `need` of `voters`.
    Threshold {
        /// Who counts.
        voters: Vec<ReplicaId>,
        /// How many are enough.
        need: usize,
    },
    /// The supersets of the listed sets.
    Explicit(Vec<Vec<ReplicaId>>),
    /// Sets that are a quorum of each of these at once: a joint quorum.
    All(Vec<QuorumSystem>),
}

/// A membership: read quorums for electing, write quorums for committing.
///
/// Sound if every read quorum meets every write quorum (see
/// [`is_sound`](crate::quorum::is_sound)); only a sound one may be put in force (algorithm.md,
/// Membership).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Enough to elect a leader, and to confirm one for a read.
    pub read: QuorumSystem,
    /// Enough to commit a record.
    pub write: QuorumSystem,
}

impl Membership {
    /// Majorities of `voters` for both.
    pub fn majority(voters: impl IntoIterator<Item = ReplicaId>) -> Membership {
        let voters = sorted(voters);
        let need = voters.len() / 2 + 1;
        Membership::flexible(voters, need, need)
    }

    /// `read` of `voters` elect, `write` of them commit.
    pub fn flexible(
        voters: impl IntoIterator<Item = ReplicaId>,
        read: usize,
        write: usize,
    ) -> Membership {
        let voters = sorted(voters);
        let system = |need| QuorumSystem::Threshold { voters: voters.clone(), need };
        Membership { read: system(read), write: system(write) }
    }

    /// Every replica that counts for one or the other, sorted.
    pub fn voters(&self) -> Vec<ReplicaId> {
        sorted(self.read.voters().into_iter().chain(self.write.voters()))
    }
}

impl QuorumSystem {
    /// Every replica that counts, sorted.
    pub fn voters(&self) -> Vec<ReplicaId> {
        match self {
            QuorumSystem::Threshold { voters, .. } => voters.clone(),
            QuorumSystem::Explicit(sets) => sorted(sets.iter().flatten().copied()),
            QuorumSystem::All(parts) => sorted(parts.iter().flat_map(QuorumSystem::voters)),
        }
    }
}

fn sorted(voters: impl IntoIterator<Item = ReplicaId>) -> Vec<ReplicaId> {
    let mut voters: Vec<ReplicaId> = voters.into_iter().collect();
    voters.sort_unstable();
    voters.dedup();
    voters
}

fn names(voters: &[ReplicaId]) -> String {
    voters.iter().map(ReplicaId::to_string).collect::<Vec<_>>().join(" ")
}

/// `2 of (n1 n2 n3)`, `any (n1 n2|n3)`, `all (...; ...)`.
impl fmt::Display for QuorumSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumSystem::Threshold { voters, need } => write!(f, "{need} of ({})", names(voters)),
            QuorumSystem::Explicit(sets) => {
                let sets: Vec<String> = sets.iter().map(|set| names(set)).collect();
                write!(f, "any ({})", sets.join("|"))
            }
            QuorumSystem::All(parts) => {
                let parts: Vec<String> = parts.iter().map(QuorumSystem::to_string).collect();
                write!(f, "all ({})", parts.join("; "))
            }
        }
    }
}

/// `(n1 n2 n3; read 2, write 2)`; quorum systems in full where they are not sizes.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.read, &self.write) {
            (
                QuorumSystem::Threshold { voters, need: read },
                QuorumSystem::Threshold { voters: same, need: write },
            ) if voters == same => write!(f, "({}; read {read}, write {write})", names(voters)),
            (read, write) => write!(f, "(read {read}, write {write})"),
        }
    }
}
