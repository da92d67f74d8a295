//! Leader care: leadership goes to another; a leader that was removed or whose disk is stuck gives
//! way (algorithm.md, Electing 3 and 4).
//!
//! Handing over is for stability only, like pre-vote. The successor wins an election like any
//! other, so nothing here has to be right for safety. The one exception is a lease: it supposes
//! that nobody campaigns before it has ended, and a successor does.

use super::member::Standing;
use super::peer::Peer;
use super::writes::Writes;
use super::{Output, Rejection, Replica, Role, TransferError};
use crate::base::{LeaderId, ReplicaId};
use crate::message::{Message, TakeOver};

/// How many election timeouts a leader's oldest write may be on its way to the disk. Less would
/// take a slow disk for a dead one; with more, clients wait for a leader that cannot serve them,
/// while its heartbeats keep everybody else from leading.
const SICK_TIMEOUTS: u64 = 2;

/// What a leader has under way besides replicating.
#[derive(Clone, Debug)]
pub(crate) struct Handover {
    transfer: Option<Transfer>,
    /// Somebody was asked to take over under this leader id. The message may be late, so whoever
    /// it was may campaign at any time from then on.
    pub(crate) asked: bool,
    /// The greatest durable write when it was last looked, and since when, in ticks.
    durable: u64,
    durable_at: u64,
}

/// Leadership on its way.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    to: ReplicaId,
    since: u64,
    asked_at: Option<u64>,
}

impl Handover {
    /// Nothing is under way.
    pub(crate) fn new(now: u64) -> Handover {
        Handover { transfer: None, asked: false, durable: 0, durable_at: now }
    }

    /// Whether leadership is on its way to another.
    pub(crate) fn is_under_way(&self) -> bool {
        self.transfer.is_some()
    }

    /// Whether a write has been on its way to the own disk for so long that the disk must be stuck.
    pub(crate) fn is_sick(&mut self, writes: &Writes, now: u64, patience: u64) -> bool {
        if writes.durable() == writes.newest() || writes.durable() > self.durable {
            self.durable = writes.durable();
            self.durable_at = now;
        }
        now > self.durable_at + SICK_TIMEOUTS * patience
    }
}

impl Replica {
    /// Check-quorum: a leader that has not heard a write quorum for an election timeout steps
    /// down, so that clients go elsewhere. For stability only.
    pub(super) fn tick_leader(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        let recent = self.now.saturating_sub(self.options.election_ticks);
        let heard =
            |mask, peer: &Peer| if peer.heard_at >= recent { mask | peer.bit } else { mask };
        let heard = lead.peers.iter().fold(lead.bit, heard);
        if !lead.quorums.iter().all(|q| q.is_quorum(heard)) {
            return self.step_down();
        }
        for peer in &mut lead.peers {
            peer.time_out(self.now, &self.options);
        }
        if lead.handover.is_sick(&self.writes, self.now, self.options.election_ticks) {
            return self.step_down();
        }
        lead.reads.again(self.now, self.options.resend_ticks);
        if self.options.lease.is_some() {
            lead.reads.renew(self.now, self.options.heartbeat_ticks);
        }
        lead.stirred = true;
    }

    /// What a leader looks at before it sends.
    pub(super) fn look_after_leadership(&mut self) {
        if matches!(self.role, Role::Leader(_)) {
            self.drive_changes();
            self.drive_transfer();
        }
    }

    /// Why nothing is placed at present, if leadership is on its way.
    pub(super) fn transferring(&self) -> Option<Rejection> {
        let Role::Leader(lead) = &self.role else { return None };
        lead.handover.transfer.map(|transfer| Rejection::Transferring { to: transfer.to })
    }

    pub(super) fn on_transfer(&mut self, to: Option<ReplicaId>) {
        if let Role::Leader(lead) = &mut self.role
            && to == Some(lead.id.node)
        {
            lead.handover.transfer = None;
            return;
        }
        match self.successor(to) {
            Ok(to) => {
                if let Role::Leader(lead) = &mut self.role
                    && lead.handover.transfer.is_none_or(|transfer| transfer.to != to)
                {
                    let transfer = Transfer { to, since: self.now, asked_at: None };
                    lead.handover.transfer = Some(transfer);
                    lead.stirred = true;
                }
            }
            Err(reason) => self.fail_transfer(reason),
        }
    }

    /// Whom to hand over to: the wanted one, or the one that lacks least of what is placed.
    fn successor(&self, wanted: Option<ReplicaId>) -> Result<ReplicaId, TransferError> {
        let Role::Leader(lead) = &self.role else {
            return Err(TransferError::NotLeader { hint: self.leader_hint() });
        };
        let voters = self.memberships.newest().voters();
        if let Some(to) = wanted {
            let known = lead.peers.iter().any(|peer| peer.id == to);
            let fit = known && voters.contains(&to);
            return if fit { Ok(to) } else { Err(TransferError::NotVoter { to }) };
        }
        let recent = self.now.saturating_sub(self.options.election_ticks);
        // Whoever has lost something must not campaign.
        let sound = |p: &Peer| p.known && p.heard_at >= recent && p.loss.is_none();
        let fit = |p: &&Peer| sound(p) && voters.binary_search(&p.id).is_ok();
        let lacks = |peer: &&Peer| (peer.passed().holes(lead.next).count(), peer.id);
        let best = lead.peers.iter().filter(fit).min_by_key(lacks);
        best.map(|peer| peer.id).ok_or(TransferError::NobodyHeard)
    }

    /// Asks the successor as soon as it holds all that is placed, again if that was lost, and gives
    /// up after an election timeout. A leader that no membership counts steps down then.
    fn drive_transfer(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        let Some(transfer) = &mut lead.handover.transfer else { return };
        let to = transfer.to;
        if self.now >= transfer.since + self.options.election_ticks {
            return self.fail_transfer(TransferError::Silent { to });
        }
        if transfer.asked_at.is_some_and(|at| self.now <= at + self.options.resend_ticks) {
            return;
        }
        let empties = &lead.empties;
        let holds = |peer: &Peer| {
            peer.id == to && peer.passed().holes(lead.next).all(|lsn| empties.contains(lsn))
        };
        if lead.peers.iter().any(holds) {
            transfer.asked_at = Some(self.now);
            lead.handover.asked = true;
            let leader = lead.id;
            self.send(to, Message::TakeOver(TakeOver { leader }));
        }
    }

    fn fail_transfer(&mut self, reason: TransferError) {
        if let Role::Leader(lead) = &mut self.role {
            lead.handover.transfer = None;
            let complete = lead.changes.complete >= lead.membership_at;
            let counts = self.memberships.standing(self.options.id) == Standing::Voter;
            if complete && !counts {
                self.step_down();
            }
        }
        self.outputs.push(Output::TransferFailed { reason });
    }

    /// The leader that is followed here hands over: campaign, without a pre-vote, which everybody
    /// who hears from that leader would refuse.
    pub(super) fn on_take_over(&mut self, from: ReplicaId, message: TakeOver) {
        let leader = message.leader;
        let follows =
            matches!(self.role, Role::Follower { leader: followed } if followed == leader);
        let newest = leader == self.voted && leader == self.lineage.leader();
        let votes = self.memberships.standing(self.options.id) == Standing::Voter;
        if follows && newest && votes && self.doubt.is_none() && leader.node == from {
            let id = LeaderId::next_above(self.voted.max(self.seen), self.options.id);
            self.campaign(id, Some(leader));
        }
    }
}
