//! Who is in, and which sets of replicas are enough.

use super::ReplicaId;
use std::collections::BTreeSet;

/// How deep quorum systems may be nested in each other: a list of voters is 1 deep, a majority of
/// zones 2, a joint one of those 3.
pub const SYSTEM_DEPTH_MAX: usize = 8;

/// How many names of replicas a quorum system may list, repeated ones counted each time.
pub const SYSTEM_NAMES_MAX: usize = 1_024;

/// How much the voters of one weighted system may weigh together.
pub const WEIGHT_MAX: u64 = u32::MAX as u64;

/// An upward-closed family of sets of replicas, as data: a superset of a quorum is a quorum. No
/// value of this type is anything else, because replicas only ever count *for* a set.
///
/// What it means is decided in [`quorum`](crate::quorum), its printed form is in
/// [`notation`](super::notation). Voters are sorted and distinct.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QuorumSystem {
    /// At least `need` of `voters`: majorities, and sizes.
    Threshold {
        /// Who counts.
        voters: Vec<ReplicaId>,
        /// How many are enough.
        need: usize,
    },
    /// Voters that weigh at least `need` together.
    Weighted {
        /// Who counts, and how much.
        voters: Vec<(ReplicaId, u64)>,
        /// How much is enough.
        need: u64,
    },
    /// The supersets of the listed sets.
    Explicit(Vec<Vec<ReplicaId>>),
    /// Sets that are a quorum of each of these at once: a joint quorum.
    All(Vec<QuorumSystem>),
    /// Sets that are a quorum of at least `need` of these: a hierarchy.
    Groups {
        /// The quorum system of each group.
        parts: Vec<QuorumSystem>,
        /// How many groups are enough.
        need: usize,
    },
}

/// A membership: read quorums for electing, write quorums for committing.
///
/// Sound if every read quorum meets every write quorum (see
/// [`soundness`](crate::quorum::soundness)); only a sound one may be put in force (algorithm.md,
/// Membership).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Enough to elect a leader, and to confirm one for a read.
    pub read: QuorumSystem,
    /// Enough to commit a record.
    pub write: QuorumSystem,
    /// Who is sent everything and counts for nothing. Sorted, distinct, no voters.
    pub learners: Vec<ReplicaId>,
    /// Which requests led here, and what is to follow. Whoever proposes a membership leaves it
    /// empty; the leader fills it in. It is no part of the printed form.
    pub change: Option<Box<Change>>,
}

/// What a leader notes with a membership that it places, so that any later leader knows a request
/// when it comes again, and goes on with a change that is half done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The numbers of the requests that were carried out, this one first. At most
    /// [`REQUESTS_MAX`].
    pub requests: Vec<u64>,
    /// The membership asked for, if this one only lets its new voters catch up as learners. It has
    /// no `change` of its own.
    pub goal: Option<Membership>,
}

/// How many requests a membership remembers: one that comes again after so many others is taken
/// for a new one.
pub const REQUESTS_MAX: usize = 16;

/// Why a value is no quorum system or membership that can be put in force. It is refused at every
/// gate: the notation, the wire, a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A list of voters, sets or parts has nothing in it.
    #[error("a quorum system needs at least one voter")]
    Empty,
    /// Nothing would be needed, or more than there is, so that nothing is a quorum.
    #[error("{need} of {of} cannot be a quorum")]
    Need {
        /// What is needed.
        need: u64,
        /// What there is.
        of: u64,
    },
    /// A replica is listed twice in one list, or the list is not in order.
    #[error("{0} is listed twice or out of order")]
    Twice(ReplicaId),
    /// A voter without weight: make it a learner.
    #[error("{0} weighs nothing; a replica that does not count is a learner")]
    Weightless(ReplicaId),
    /// The voters together weigh more than [`WEIGHT_MAX`].
    #[error("the voters weigh more than {WEIGHT_MAX} together")]
    Heavy,
    /// Nested deeper than [`SYSTEM_DEPTH_MAX`].
    #[error("quorum systems are nested more than {SYSTEM_DEPTH_MAX} deep")]
    Deep,
    /// More than [`SYSTEM_NAMES_MAX`] names.
    #[error("a quorum system lists more than {SYSTEM_NAMES_MAX} replicas")]
    Large,
    /// More than [`REQUESTS_MAX`] requests, or a goal beyond the goal.
    #[error(
        "a membership remembers more than {REQUESTS_MAX} requests, or has a goal beyond its goal"
    )]
    Change,
    /// A learner that votes.
    #[error("{0} is a voter and a learner")]
    VotingLearner(ReplicaId),
}

impl Membership {
    /// The same quorums for both, and no learners.
    pub fn both(system: QuorumSystem) -> Membership {
        Membership::of(system.clone(), system)
    }

    /// `read` elects, `write` commits; no learners.
    pub fn of(read: QuorumSystem, write: QuorumSystem) -> Membership {
        Membership { read, write, learners: Vec::new(), change: None }
    }

    /// Majorities of `voters` for both.
    pub fn majority(voters: impl IntoIterator<Item = ReplicaId>) -> Membership {
        Membership::both(QuorumSystem::majority(voters))
    }

    /// `read` of `voters` elect, `write` of them commit.
    pub fn flexible(
        voters: impl IntoIterator<Item = ReplicaId>,
        read: usize,
        write: usize,
    ) -> Membership {
        let voters = sorted(voters);
        let system = |need| QuorumSystem::Threshold { voters: voters.clone(), need };
        Membership::of(system(read), system(write))
    }

    /// Voters that weigh `read` elect, voters that weigh `write` commit. A replica that is listed
    /// twice has the weight that comes first.
    pub fn weighted(
        voters: impl IntoIterator<Item = (ReplicaId, u64)>,
        read: u64,
        write: u64,
    ) -> Membership {
        let mut voters: Vec<(ReplicaId, u64)> = voters.into_iter().collect();
        voters.sort_by_key(|(id, _)| *id);
        voters.dedup_by_key(|(id, _)| *id);
        let system = |need| QuorumSystem::Weighted { voters: voters.clone(), need };
        Membership::of(system(read), system(write))
    }

    /// A majority of the zones, each by a majority of its own, for both.
    pub fn hierarchical(zones: impl IntoIterator<Item = Vec<ReplicaId>>) -> Membership {
        let parts: Vec<QuorumSystem> = zones.into_iter().map(QuorumSystem::majority).collect();
        let need = parts.len() / 2 + 1;
        Membership::both(QuorumSystem::Groups { parts, need })
    }

    /// A full row elects, one of each row commits. Sound however long the rows are.
    pub fn grid(rows: impl IntoIterator<Item = Vec<ReplicaId>>) -> Membership {
        let rows: Vec<Vec<ReplicaId>> = rows.into_iter().map(sorted).collect();
        let one = |row: &Vec<ReplicaId>| QuorumSystem::Threshold { voters: row.clone(), need: 1 };
        let write = QuorumSystem::All(rows.iter().map(one).collect());
        Membership::of(QuorumSystem::Explicit(rows), write)
    }

    /// What electing and committing need while all of these are in force: a quorum of each. It has
    /// the learners of each that vote in none.
    pub fn joint<'a>(memberships: impl IntoIterator<Item = &'a Membership>) -> Membership {
        let all: Vec<&Membership> = memberships.into_iter().collect();
        let read = QuorumSystem::All(all.iter().map(|m| m.read.clone()).collect());
        let write = QuorumSystem::All(all.iter().map(|m| m.write.clone()).collect());
        let mut joint = Membership::of(read, write);
        let voters = joint.voters();
        joint.learners = sorted(all.iter().flat_map(|m| m.learners.iter().copied()));
        joint.learners.retain(|id| voters.binary_search(id).is_err());
        joint
    }

    /// Every replica that counts for one or the other, sorted.
    pub fn voters(&self) -> Vec<ReplicaId> {
        sorted(self.read.voters().into_iter().chain(self.write.voters()))
    }

    /// The request that led here, if it is known.
    pub fn request(&self) -> Option<u64> {
        self.change.as_ref()?.requests.first().copied()
    }

    /// What is to follow, once its new voters have caught up.
    pub fn goal(&self) -> Option<&Membership> {
        self.change.as_ref()?.goal.as_ref()
    }

    /// Every replica that is sent the log: voters and learners, sorted.
    pub fn members(&self) -> Vec<ReplicaId> {
        sorted(self.voters().into_iter().chain(self.learners.iter().copied()))
    }

    /// Whether both systems are well-formed and the learners are learners only. Says nothing
    /// about soundness.
    ///
    /// # Errors
    ///
    /// What is wrong, see [`Malformed`].
    pub fn check(&self) -> Result<(), Malformed> {
        self.read.check()?;
        self.write.check()?;
        distinct(self.learners.iter().copied())?;
        if self.learners.len() > SYSTEM_NAMES_MAX {
            return Err(Malformed::Large);
        }
        if let Some(change) = &self.change {
            if change.requests.len() > REQUESTS_MAX {
                return Err(Malformed::Change);
            }
            let goal = change.goal.as_ref();
            goal.map_or(Ok(()), |goal| match goal.change {
                Some(_) => Err(Malformed::Change),
                None => goal.check(),
            })?;
        }
        let voters = self.voters();
        let votes = |id: &&ReplicaId| voters.binary_search(id).is_ok();
        self.learners.iter().find(votes).map_or(Ok(()), |id| Err(Malformed::VotingLearner(*id)))
    }
}

impl QuorumSystem {
    /// More than half of `voters`.
    pub fn majority(voters: impl IntoIterator<Item = ReplicaId>) -> QuorumSystem {
        let voters = sorted(voters);
        let need = voters.len() / 2 + 1;
        QuorumSystem::Threshold { voters, need }
    }

    /// Every replica that counts, sorted.
    pub fn voters(&self) -> Vec<ReplicaId> {
        let mut voters = Vec::new();
        self.collect(&mut voters);
        sorted(voters)
    }

    fn collect(&self, into: &mut Vec<ReplicaId>) {
        match self {
            QuorumSystem::Threshold { voters, .. } => into.extend(voters),
            QuorumSystem::Weighted { voters, .. } => into.extend(voters.iter().map(|(id, _)| *id)),
            QuorumSystem::Explicit(sets) => into.extend(sets.iter().flatten()),
            QuorumSystem::All(parts) | QuorumSystem::Groups { parts, .. } => {
                parts.iter().for_each(|part| part.collect(into));
            }
        }
    }

    /// Whether the system is in canonical form, within its bounds, and has a quorum at all: the
    /// set of all its voters.
    ///
    /// # Errors
    ///
    /// What is wrong, see [`Malformed`].
    pub fn check(&self) -> Result<(), Malformed> {
        let mut names = SYSTEM_NAMES_MAX;
        self.check_within(SYSTEM_DEPTH_MAX, &mut names)
    }

    fn check_within(&self, depth: usize, names: &mut usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::Deep)?;
        let mut list = |len: usize| match names.checked_sub(len) {
            _ if len == 0 => Err(Malformed::Empty),
            Some(left) => {
                *names = left;
                Ok(())
            }
            None => Err(Malformed::Large),
        };
        match self {
            QuorumSystem::Threshold { voters, need } => {
                list(voters.len())?;
                distinct(voters.iter().copied())?;
                enough(*need as u64, voters.len() as u64)
            }
            QuorumSystem::Weighted { voters, need } => {
                list(voters.len())?;
                distinct(voters.iter().map(|(id, _)| *id))?;
                if let Some((id, _)) = voters.iter().find(|(_, weight)| *weight == 0) {
                    return Err(Malformed::Weightless(*id));
                }
                let sum = voters.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
                if sum > WEIGHT_MAX { Err(Malformed::Heavy) } else { enough(*need, sum) }
            }
            QuorumSystem::Explicit(sets) => {
                list(sets.iter().map(Vec::len).sum())?;
                for set in sets {
                    distinct(set.iter().copied())?;
                    if set.is_empty() {
                        return Err(Malformed::Empty);
                    }
                }
                Ok(())
            }
            QuorumSystem::All(parts) => {
                parts.first().ok_or(Malformed::Empty)?;
                parts.iter().try_for_each(|part| part.check_within(depth, names))
            }
            QuorumSystem::Groups { parts, need } => {
                parts.first().ok_or(Malformed::Empty)?;
                enough(*need as u64, parts.len() as u64)?;
                parts.iter().try_for_each(|part| part.check_within(depth, names))
            }
        }
    }
}

fn enough(need: u64, of: u64) -> Result<(), Malformed> {
    if (1..=of).contains(&need) { Ok(()) } else { Err(Malformed::Need { need, of }) }
}

fn distinct(list: impl Iterator<Item = ReplicaId>) -> Result<(), Malformed> {
    let mut last = None;
    for id in list {
        if last >= Some(id) {
            return Err(Malformed::Twice(id));
        }
        last = Some(id);
    }
    Ok(())
}

/// In order and each once.
pub(super) fn sorted(voters: impl IntoIterator<Item = ReplicaId>) -> Vec<ReplicaId> {
    voters.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
