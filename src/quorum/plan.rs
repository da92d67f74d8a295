//! What a change of membership requires, before anybody proposes it (algorithm.md, Membership 5).
//!
//! A change goes through three phases: `from` alone is in force, then both, then `to` alone.
//! Whatever quorum systems they are, there is no other way and no second entry.

use super::sound::{Unsound, soundness};
use crate::base::{Malformed, Membership, QuorumSystem, ReplicaId};

/// The phases of a change, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before the record of the change is placed.
    Before,
    /// From then until it commits: everything needs a quorum of both.
    Pending,
    /// Once it has committed.
    After,
}

/// What works in one phase, with the replicas that are up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Which phase.
    pub stage: Stage,
    /// The quorums that it needs, joint ones included.
    pub membership: Membership,
    /// Whether a leader can be elected.
    pub elects: bool,
    /// Whether a record can commit.
    pub commits: bool,
    /// Voters that are up, without any single one of which something stops that works. Sorted.
    pub critical: Vec<ReplicaId>,
}

impl Phase {
    fn new(stage: Stage, membership: Membership, down: &[ReplicaId]) -> Phase {
        let works = |system: &QuorumSystem, but: Option<ReplicaId>| {
            system.is_quorum(&|id| !down.contains(&id) && Some(id) != but)
        };
        let (elects, commits) = (works(&membership.read, None), works(&membership.write, None));
        let stops = |id: &ReplicaId| {
            elects && !works(&membership.read, Some(*id))
                || commits && !works(&membership.write, Some(*id))
        };
        let critical = membership.voters().into_iter().filter(stops).collect();
        Phase { stage, membership, elects, commits, critical }
    }

    /// Whether both electing and committing work.
    pub fn works(&self) -> bool {
        self.elects && self.commits
    }
}

/// Whether a change can be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is in force already.
    Nothing,
    /// Every phase elects and commits.
    Works,
    /// The present membership lacks a quorum: no change can be made until replicas come back.
    Lost,
    /// The present membership works and the new one lacks a quorum. Proposing the change would stop
    /// the cluster until replicas of the new one come back.
    WouldLose,
}

/// What a change of membership requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Before, pending, after.
    pub phases: [Phase; 3],
    /// Voters of the new membership that do not vote now: they begin with nothing, unless they
    /// have been learners, and have to catch up. Sorted.
    pub joining: Vec<ReplicaId>,
    /// Those of [`joining`](Self::joining) that learn already. Sorted.
    pub promoted: Vec<ReplicaId>,
    /// Members that the new membership no longer sends anything. They have to be kept running
    /// until the change is reported complete. Sorted.
    pub leaving: Vec<ReplicaId>,
    /// Joining replicas without which no write quorum of the new membership is up: the change does
    /// not commit before each of these has every position below it (Membership 2). Sorted.
    pub needed: Vec<ReplicaId>,
    /// Joining replicas whose catching up is enough for the change to commit, if all voters that
    /// stay and are up have everything: none of them can be left out. Empty if nobody has to be
    /// waited for. `None` if not even all are enough. Sorted.
    pub enough: Option<Vec<ReplicaId>>,
    /// Replicas that were given as down and that neither membership knows. Sorted.
    pub strangers: Vec<ReplicaId>,
}

/// Which of the two memberships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The present one.
    From,
    /// The new one.
    To,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            End::From => "the present membership",
            End::To => "the new membership",
        })
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A membership that no gate lets through.
    #[error("{0} is malformed: {1}")]
    Malformed(End, Malformed),
    /// A membership that may not be in force.
    #[error("{0} is not sound: {1}")]
    Unsound(End, Unsound),
}

/// What it takes to change from one membership to another while the replicas of `down` are down.
///
/// # Errors
///
/// One of the memberships may not be in force, see [`PlanError`].
pub fn plan(from: &Membership, to: &Membership, down: &[ReplicaId]) -> Result<Plan, PlanError> {
    for (end, membership) in [(End::From, from), (End::To, to)] {
        membership.check().map_err(|wrong| PlanError::Malformed(end, wrong))?;
        soundness(membership).map_err(|wrong| PlanError::Unsound(end, wrong))?;
    }
    let without = |ids: Vec<ReplicaId>, other: &[ReplicaId]| -> Vec<ReplicaId> {
        ids.into_iter().filter(|id| !other.contains(id)).collect()
    };
    let joining = without(to.voters(), &from.voters());
    let enough = fewest(to, &joining, down);
    let spare = |but: ReplicaId| to.write.is_quorum(&|id| id != but && !down.contains(&id));
    let needed = match enough {
        Some(_) => joining.iter().copied().filter(|id| !spare(*id)).collect(),
        None => Vec::new(),
    };
    let mut strangers = without(without(down.to_vec(), &from.members()), &to.members());
    strangers.sort_unstable();
    strangers.dedup();
    Ok(Plan {
        phases: [
            Phase::new(Stage::Before, from.clone(), down),
            Phase::new(Stage::Pending, Membership::joint([from, to]), down),
            Phase::new(Stage::After, to.clone(), down),
        ],
        promoted: joining.iter().copied().filter(|id| from.learners.contains(id)).collect(),
        leaving: without(from.members(), &to.members()),
        joining,
        needed,
        enough,
        strangers,
    })
}

/// Leaves out of the joining ones who are up whoever is not missed, the last first.
fn fewest(to: &Membership, joining: &[ReplicaId], down: &[ReplicaId]) -> Option<Vec<ReplicaId>> {
    let quorum = |joined: &[ReplicaId]| {
        let has = |id| !down.contains(&id) && (!joining.contains(&id) || joined.contains(&id));
        to.write.is_quorum(&has)
    };
    let mut joined: Vec<ReplicaId> =
        joining.iter().copied().filter(|id| !down.contains(id)).collect();
    if !quorum(&joined) {
        return None;
    }
    for at in (0..joined.len()).rev() {
        let id = joined.remove(at);
        if !quorum(&joined) {
            joined.insert(at, id);
        }
    }
    Some(joined)
}

impl Plan {
    /// Whether the change can be made now.
    pub fn outlook(&self) -> Outlook {
        let [before, pending, after] = &self.phases;
        if before.membership == after.membership {
            Outlook::Nothing
        } else if !before.works() {
            Outlook::Lost
        } else if pending.works() && after.works() {
            Outlook::Works
        } else {
            Outlook::WouldLose
        }
    }
}
