//! Looking at a replica from outside.

use super::{Doubt, Replica, Role, RoleName, SnapshotMeta, Task};
use crate::base::{
    Command, LeaderId, Lineage, Lsn, Membership, Record, ReplicaId, SharedRecord, Tail, TailBitmap,
    mutant,
};

/// A follower as its leader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Follower<'a> {
    /// Which.
    pub id: ReplicaId,
    /// Whether it votes in a membership in force.
    pub votes: bool,
    /// What it is known to have accepted; nothing until it has answered under this leader.
    pub accepted: Option<&'a TailBitmap>,
    /// Ticks since it was last heard.
    pub silent_ticks: u64,
}

/// What a driver, a checker or a trace may look at.
impl Replica {
    /// Which replica this is.
    pub fn id(&self) -> ReplicaId {
        self.options.id
    }

    /// The promise: every leader below it is refused.
    pub fn voted(&self) -> LeaderId {
        self.voted
    }

    /// The lineage taken last; its leader is the committer.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// What it is, and the leader followed, or the id held or campaigned for.
    pub fn role(&self) -> (RoleName, LeaderId) {
        (self.role.name(), self.role.leader())
    }

    /// Who leads, as far as it knows.
    pub fn leader(&self) -> Option<ReplicaId> {
        self.leader_hint()
    }

    /// Accepted under the committer, as of the newest write composed.
    pub fn accepted(&self) -> &TailBitmap {
        &self.accepted
    }

    /// Known settled here.
    pub fn settled(&self) -> &TailBitmap {
        &self.settled
    }

    /// Applied here, or marked as done by what overrides it.
    pub fn done(&self) -> &TailBitmap {
        self.schedule.done()
    }

    /// The record at a position, if memory holds one.
    pub fn record(&self, lsn: Lsn) -> Option<&Record> {
        self.log.get(lsn)
    }

    /// The same, to keep.
    pub fn shared_record(&self, lsn: Lsn) -> Option<SharedRecord> {
        self.log.shared(lsn)
    }

    /// The command at a position, if memory holds one: for a [`Task`].
    pub fn command(&self, lsn: Lsn) -> Option<&Command> {
        self.log.get(lsn).and_then(|record| record.command())
    }

    /// The commands of tasks that were given out, in their order: [`command`](Self::command) of
    /// each, without looking for records that came together one by one. All are there until they
    /// are said to be applied; of others, those that memory does not hold are left out.
    pub fn commands<'a>(
        &'a self,
        tasks: &'a [Task],
    ) -> impl Iterator<Item = (&'a Task, &'a Command)> {
        let mut found: &[Record] = &[];
        tasks.iter().filter_map(move |task| {
            let beside = found.first().and_then(|first| task.lsn.0.checked_sub(first.lsn.0));
            let beside = beside.and_then(|at| found.get(at as usize));
            let record = beside.filter(|record| record.lsn == task.lsn).or_else(|| {
                found = self.log.get_with_next(task.lsn);
                found.first()
            })?;
            Some((task, record.command()?))
        })
    }

    /// Below it the records are dropped; their effects are in the durable snapshot.
    pub fn purged(&self) -> Lsn {
        self.purged
    }

    /// What it may have lost and not been given back: until then it does not vote.
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// What a snapshot of the present state is to say of itself.
    pub fn snapshot_meta(&self) -> SnapshotMeta {
        let done = self.schedule.done().clone();
        let done = mutant!(SnapshotCarriesApplied, done, super::wrong::applied(done, &self.log));
        SnapshotMeta {
            done: mutant!(SnapshotOverHoles, done, TailBitmap::below(done.end())),
            committer: self.behind.max(self.lineage.leader()),
            membership: self.memberships.committed(),
        }
    }

    /// The first position that memory still covers.
    pub fn first_in_memory(&self) -> Lsn {
        self.log.first()
    }

    /// While it leads: the next position, the empty positions, and what it knows settled as a
    /// leader.
    pub fn leading(&self) -> Option<(Lsn, &Tail, &TailBitmap)> {
        match &self.role {
            Role::Leader(lead) => Some((lead.next, &lead.empties, &lead.settled)),
            _ => None,
        }
    }

    /// While it leads: the positions that a write quorum has accepted, settled or not.
    pub fn held(&self) -> Option<&TailBitmap> {
        match &self.role {
            Role::Leader(lead) => Some(&lead.held),
            _ => None,
        }
    }

    /// While it leads: the others, as it knows them.
    pub fn followers(&self) -> impl Iterator<Item = Follower<'_>> {
        let peers = match &self.role {
            Role::Leader(lead) => &lead.peers[..],
            _ => &[],
        };
        peers.iter().map(|peer| Follower {
            id: peer.id,
            votes: peer.counts,
            accepted: peer.known.then_some(&peer.accepted),
            silent_ticks: self.now.saturating_sub(peer.heard_at),
        })
    }

    /// While it leads: below it some voter had purged when it was elected. What is empty here below
    /// it counts as settled (algorithm.md, Rebuilding 2).
    pub fn purged_by_voters(&self) -> Lsn {
        match &self.role {
            Role::Leader(lead) => lead.gone,
            _ => Lsn::ZERO,
        }
    }

    /// The memberships in force here, the committed one first.
    pub fn memberships(&self) -> Vec<Membership> {
        self.memberships.in_force()
    }
}
