//! What a replica knows of itself and of the others: for operators.

use crate::base::{LeaderId, Lsn, Membership, ReplicaId, TailBitmap};
use crate::replica::{Follower, Replica, RoleName};

/// A replica at one moment, without its state. Linear in its holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Which.
    pub id: ReplicaId,
    /// What it is.
    pub role: RoleName,
    /// The leader that it follows, or the id that it holds or campaigns for.
    pub leader: LeaderId,
    /// Every leader below it is refused.
    pub voted: LeaderId,
    /// Under whom it has accepted what it has.
    pub committer: LeaderId,
    /// The memberships in force, the committed one first.
    pub memberships: Vec<Membership>,
    /// What it has accepted.
    pub accepted: TailBitmap,
    /// What it knows settled.
    pub settled: TailBitmap,
    /// What is done here.
    pub done: TailBitmap,
    /// Below it the records are dropped.
    pub purged: Lsn,
    /// While it leads: the next position.
    pub next: Option<Lsn>,
    /// While it leads: the others, as it knows them.
    pub followers: Vec<Other>,
    /// It does not vote, because it has lost something.
    pub doubtful: bool,
    /// Its disk is full.
    pub full: bool,
    /// Snapshots taken in this life, and snapshots of others installed.
    pub snapshots: (u64, u64),
}

/// A follower as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Which.
    pub id: ReplicaId,
    /// Whether it votes in a membership in force.
    pub votes: bool,
    /// What it is known to have accepted; nothing until it has answered this leader.
    pub accepted: Option<TailBitmap>,
    /// Ticks since it was last heard.
    pub silent_ticks: u64,
}

impl Survey {
    /// What the replica says of itself; the rest is what its driver knows.
    pub(super) fn of(replica: &Replica, full: bool, snapshots: (u64, u64)) -> Survey {
        let (role, leader) = replica.role();
        let other = |follower: Follower<'_>| Other {
            id: follower.id,
            votes: follower.votes,
            accepted: follower.accepted.cloned(),
            silent_ticks: follower.silent_ticks,
        };
        Survey {
            id: replica.id(),
            role,
            leader,
            voted: replica.voted(),
            committer: replica.lineage().leader(),
            memberships: replica.memberships(),
            accepted: replica.accepted().clone(),
            settled: replica.settled().clone(),
            done: replica.done().clone(),
            purged: replica.purged(),
            next: replica.leading().map(|(next, ..)| next),
            followers: replica.followers().map(other).collect(),
            doubtful: replica.doubt().is_some(),
            full,
            snapshots,
        }
    }
}
