//! Purging, and snapshots that take the place of records (algorithm.md, Purging).

use super::lead::Leadership;
use super::peer::Peer;
use super::{Output, Replica, Role, SnapshotMeta};
use crate::base::{Lsn, ReplicaId, Tail, TailBitmap, mutant};
use crate::message::{Message, SnapshotRequest};

/// For how many election timeouts the same voter is to send a state to one that joins. A state may
/// take long, and each transfer that is given up has sent something for nothing.
const TURN_TIMEOUTS: u64 = 64;

/// The state of a new leader that has not done what a voter of its has purged (Rebuilding 2). It
/// proposes and commits; what lies above a gap waits to be applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lacking {
    /// It needs a state that has done everything below.
    below: Lsn,
    /// Whom to ask next: first the voter that has purged most, later whoever comes next.
    ask: ReplicaId,
    /// When somebody was last asked, in ticks.
    asked_at: Option<u64>,
}

impl Lacking {
    pub(crate) fn new(below: Lsn, ask: ReplicaId) -> Lacking {
        Lacking { below, ask, asked_at: None }
    }
}

impl Replica {
    /// Drops a prefix of what is done here and in the durable snapshot. Only a prefix: of any two
    /// purged sets one contains the other, so one voter always has what all have dropped.
    pub(super) fn on_purge(&mut self, below: Lsn) {
        let below = below.min(self.schedule.done().offset());
        if below > self.purged {
            self.settle(&TailBitmap::below(below));
            self.purge_below(below);
        }
    }

    /// What is purged here counts as accepted and is settled, whatever leader comes.
    fn purge_below(&mut self, below: Lsn) {
        self.purged = below;
        self.settled.insert_below(below);
        self.accepted.insert_below(below);
        if let Role::Leader(lead) = &mut self.role {
            lead.settle_below(below, &self.log);
            lead.own_accepted.insert_below(below);
            lead.stirred = true;
        }
        self.absorb_news();
        self.trim_all();
        self.log.drop_below(below);
        self.writes.drop_below(below);
    }

    /// Whoever sends a snapshot misses something here that it has purged. If that is done here, it
    /// counts as accepted once the own snapshot has it and it is purged here too.
    pub(super) fn on_install(&mut self, snapshot: Box<SnapshotMeta>) {
        let (theirs, done) = (snapshot.done.offset(), self.schedule.done().offset());
        if self.can_install(&snapshot) {
            self.installing = Some(snapshot);
        } else if theirs > self.purged && done > self.purged {
            self.outputs.push(Output::TakeSnapshot { below: done.min(theirs) });
        }
    }

    /// Only a longer prefix is of use, and nothing that is done here and not there may be lost: it
    /// is held, and runs again, or covered by something that is.
    fn can_install(&self, snapshot: &SnapshotMeta) -> bool {
        let done = self.schedule.done();
        let longer = snapshot.done.offset() > done.offset();
        let covered = self.covered_by_held();
        let kept = |lsn| self.log.get(lsn).is_some() || covered.contains(lsn);
        let held = done.difference_iter(&snapshot.done).all(kept);
        let fits = longer && mutant!(InstallWithoutHeldCheck, held, true);
        mutant!(OlderSnapshotInstalled, fits, true)
    }

    /// What the settled records that are held override. The schedule does not know it of those
    /// that the state at the start had done: they were never offered for execution.
    fn covered_by_held(&self) -> Tail {
        let held = self.log.iter_from(self.schedule.done().offset());
        let settled = held.filter(|record| self.settled.contains(record.lsn));
        settled.fold(Tail::new(), |mut all, record| {
            all.union_with(&record.overrides);
            all
        })
    }

    /// Nothing is out for execution: the snapshot takes the state's place. In the same durable step
    /// the promise rises to the greatest committer behind it: this replica now shows effects that
    /// no leader below knows of.
    pub(super) fn restore(&mut self) {
        let Some(snapshot) = self.installing.take().filter(|s| self.can_install(s)) else { return };
        let below = snapshot.done.offset();
        self.behind = self.behind.max(snapshot.committer);
        self.writes.edit().snapshot = Some(snapshot.clone());
        let behind = mutant!(PromiseStaysAtInstall, snapshot.committer, self.voted);
        self.raise_promise(self.voted.max(behind));
        let own = matches!(self.role, Role::Leader(_) | Role::Candidate(_));
        if own && self.role.leader() < self.voted {
            self.step_down();
        }
        let known = snapshot.membership.clone();
        if let Some((lsn, membership)) = mutant!(StaleMembershipAfterSnapshot, known, None) {
            self.commit_membership(lsn, membership);
        }
        // The results are in no state that this replica ever had.
        let unknown = self.proposals.take_below(below);
        self.outputs.extend(unknown.into_iter().map(|proposal| Output::Unknown { proposal }));
        // The state may show what the leader answered after it said what these have to see.
        self.fail_reads_here();
        self.schedule.restore(&snapshot.done);
        self.purge_below(below);
        // What was done here and is not done there runs again.
        let again: Vec<(u64, u64)> = self.settled.difference_words(&snapshot.done).collect();
        self.settle_words(&again);
        self.outputs.push(Output::Restore(snapshot));
        self.reply_due = true;
    }

    /// Anybody may ask for a state: it is nothing but settled commands.
    pub(super) fn on_snapshot_request(&mut self, from: ReplicaId, message: SnapshotRequest) {
        let (to, below) = (message.to.unwrap_or(from), message.below);
        if self.schedule.done().offset() >= below && to != self.options.id {
            self.outputs.push(Output::SendSnapshot { to, below });
        }
    }

    /// Sees to it that a follower gets the state that it lacks. One that does not count is sent it
    /// by a voter, always the same one for a while: everything else passes the link of the leader,
    /// and several that join get theirs from several.
    pub(super) fn give_state(&mut self, to: ReplicaId, below: Lsn) {
        let Role::Leader(lead) = &self.role else { return };
        let recent = self.now.saturating_sub(self.options.election_ticks);
        let able = |peer: &&Peer| {
            let sound = peer.known && peer.heard_at >= recent && peer.loss.is_none();
            peer.counts && sound && peer.accepted.offset() >= below
        };
        let mut able: Vec<ReplicaId> = lead.peers.iter().filter(able).map(|p| p.id).collect();
        able.sort_unstable();
        let joins = lead.peers.iter().any(|peer| peer.id == to && !peer.counts);
        let turn = to.0.wrapping_add(self.now / (TURN_TIMEOUTS * self.options.election_ticks));
        match turn.checked_rem(able.len() as u64) {
            Some(nth) if joins => {
                let request = SnapshotRequest { below, to: Some(to) };
                self.send(able[nth as usize], Message::SnapshotRequest(request));
            }
            _ => self.outputs.push(Output::SendSnapshot { to, below }),
        }
    }

    /// Asks for the state that a new leader lacks, one replica after the other.
    pub(super) fn ask_for_state(&mut self) {
        let done = self.schedule.done().offset();
        let patience = self.options.election_ticks;
        let Role::Leader(lead) = &mut self.role else { return };
        let Some(mut lacking) = lead.lacking.filter(|lacking| lacking.below > done) else {
            lead.lacking = None;
            return;
        };
        if lacking.asked_at.is_some_and(|at| self.now < at + patience) {
            return;
        }
        let (to, below) = (lacking.ask, lacking.below);
        lacking.asked_at = Some(self.now);
        lacking.ask = lead.peer_after(to);
        lead.lacking = Some(lacking);
        self.send(to, Message::SnapshotRequest(SnapshotRequest { below, to: None }));
    }
}

impl Leadership {
    /// Whoever comes after `id` among the others.
    fn peer_after(&self, id: ReplicaId) -> ReplicaId {
        let ids = || self.peers.iter().map(|peer| peer.id);
        ids().filter(|other| *other > id).min().or_else(|| ids().min()).unwrap_or(id)
    }
}

/// Which voter has purged most, if any has purged anything.
pub(crate) fn most_purged<'a>(
    purged: impl Iterator<Item = (&'a ReplicaId, Lsn)>,
) -> Option<(ReplicaId, Lsn)> {
    let most = purged.max_by_key(|(_, below)| *below)?;
    (most.1 > Lsn::ZERO).then_some((*most.0, most.1))
}
