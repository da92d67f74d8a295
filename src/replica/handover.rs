//! Leader care: a change of membership is reported complete, leadership goes to another, a leader
//! that was removed or whose disk is stuck gives way (algorithm.md, Membership 1 and Electing 3).
//!
//! Handing over is for stability only, like pre-vote. The successor wins an election like any
//! other, so nothing here has to be right for safety. The one exception is a lease: it supposes
//! that nobody campaigns before it has ended, and a successor does.

use super::member::Standing;
use super::peer::Peer;
use super::writes::Writes;
use super::{Output, Rejection, Replica, Role, TransferError};
use crate::base::{LeaderId, Lsn, ReplicaId};
use crate::message::{Message, TakeOver};
use crate::quorum::Compiled;

/// How many election timeouts a leader's oldest write may be on its way to the disk. Less would
/// take a slow disk for a dead one; with more, clients wait for a leader that cannot serve them,
/// while its heartbeats keep everybody else from leading.
const SICK_TIMEOUTS: u64 = 2;

/// What a leader has under way besides replicating.
#[derive(Clone, Debug)]
pub(crate) struct Handover {
    /// Changes that were placed for clients: where, and for whom.
    changes: Vec<(Lsn, u64)>,
    /// The write that makes the newest committed membership durable here.
    membership_write: u64,
    /// The newest membership that a write quorum of its own knows committed.
    complete: Option<Lsn>,
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
        Handover {
            changes: Vec::new(),
            membership_write: 0,
            complete: None,
            transfer: None,
            asked: false,
            durable: 0,
            durable_at: now,
        }
    }

    /// `proposal` is answered when the membership at `lsn` is complete.
    pub(crate) fn await_change(&mut self, lsn: Lsn, proposal: u64) {
        self.changes.push((lsn, proposal));
    }

    /// Takes all who wait for a change.
    pub(crate) fn take_changes(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.changes).into_iter().map(|(_, proposal)| proposal).collect()
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
    /// What a leader looks at after every input.
    pub(super) fn look_after_leadership(&mut self) {
        let Role::Leader(lead) = &self.role else { return };
        if lead.handover.complete < lead.membership_at {
            self.check_complete();
        }
        self.drive_transfer();
    }

    /// Something is known committed. Whoever is not in it any more stops asking for votes.
    pub(super) fn after_membership(&mut self) {
        let newest = self.writes.newest();
        match &mut self.role {
            Role::Leader(lead) => lead.handover.membership_write = newest,
            Role::PreCandidate(_)
                if self.memberships.standing(self.options.id) != Standing::Voter =>
            {
                self.step_down();
            }
            _ => {}
        }
    }

    /// Membership 1: complete when a write quorum of the new membership has it that it is
    /// committed; from then on nobody needs those who left. A leader among them hands over.
    fn check_complete(&mut self) {
        let Some((at, membership)) = self.memberships.committed() else { return };
        let Role::Leader(lead) = &mut self.role else { return };
        let me = self.options.id;
        let bit = |id: ReplicaId| {
            let peer = lead.peers.iter().find(|peer| peer.id == id);
            peer.map_or(if id == me { lead.bit } else { 0 }, |peer| peer.bit)
        };
        let own = self.writes.durable() >= lead.handover.membership_write;
        let own = if own { lead.bit } else { 0 };
        let knows = |mask, peer: &Peer| {
            if peer.membership >= Some(at) { mask | peer.bit } else { mask }
        };
        if !Compiled::new(&membership.write, &bit).is_quorum(lead.peers.iter().fold(own, knows)) {
            return;
        }
        let handover = &mut lead.handover;
        handover.complete = Some(at);
        let done = handover.changes.extract_if(.., |(lsn, _)| *lsn <= at);
        let answers = done.map(|(_, proposal)| Output::Settled { proposal });
        self.outputs.extend(answers);
        if self.memberships.standing(me) != Standing::Voter {
            self.on_transfer(None);
        }
    }

    /// Why nothing is placed at present, if leadership is on its way.
    pub(super) fn transferring(&self) -> Option<Rejection> {
        let Role::Leader(lead) = &self.role else { return None };
        lead.handover.transfer.map(|transfer| Rejection::Transferring { to: transfer.to })
    }

    pub(super) fn on_transfer(&mut self, to: Option<ReplicaId>) {
        if to == Some(self.options.id) && matches!(self.role, Role::Leader(_)) {
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
            let complete = lead.handover.complete >= lead.membership_at;
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
            self.campaign(id);
        }
    }
}
