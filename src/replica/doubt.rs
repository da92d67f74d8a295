//! Doubt (algorithm.md, Doubt): a replica whose disk may have lost what it acknowledged, and the
//! leader that gives it back.

use super::lead::Leadership;
use super::peer::Peer;
use super::{Doubt, Replica, Role};
use crate::base::{LeaderId, Lsn, ReplicaId, mutant};
use crate::message::{Anew, Message, ReplicateReply};

/// How far a promise is raised when the old one is lost, in terms. Each term begins with a promise
/// that a candidate makes durable before it asks for a vote. So a replica would have to have missed
/// this many synced writes of campaigns, one after the other, to have promised more; or a promise
/// that was raised like this before, and then it was in an earlier incarnation.
pub(crate) const TERMS_LOST_MAX: u64 = 1 << 32;

/// A follower that has lost something, as its leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    incarnation: u64,
    /// What was placed when the leader heard of it lies below. What it has placed since, no earlier
    /// life of the follower can have acknowledged.
    below: Lsn,
    repaired: bool,
}

impl Loss {
    /// The incarnation that has been given everything back.
    pub(crate) fn repaired(&self) -> Option<u64> {
        self.repaired.then_some(self.incarnation)
    }
}

impl Replica {
    /// Doubt 1: what was promised is not known, so it promises more than it can have promised. A
    /// promise only refuses; a greater one is always safe.
    pub(super) fn promise_above_what_was_lost(&mut self) {
        let lost = self.doubt == Some(Doubt::Promise);
        if mutant!(StartsBelowLostPromise, lost, false) {
            let above = self.voted.term.saturating_add(TERMS_LOST_MAX);
            let term = above.max(self.incarnation.saturating_mul(TERMS_LOST_MAX));
            self.raise_promise(LeaderId::new(term, 0));
        }
    }

    /// The leader believes that its lineage was taken here, and it is lost.
    pub(super) fn ask_anew(&mut self, leader: LeaderId) {
        let anew = Anew { leader, incarnation: self.incarnation };
        self.send(leader.node, Message::Anew(anew));
    }

    /// Doubt 4: this leader has given back everything, so that everything acknowledged here is here
    /// again. Whoever is told anything that rests on it hears it when it is durable.
    pub(super) fn end_doubt(&mut self, repaired: Option<u64>) {
        if self.doubt.is_some() && repaired == Some(self.incarnation) {
            self.doubt = None;
            self.writes.edit().repaired = true;
        }
    }

    /// A follower has lost this leader's lineage.
    pub(super) fn on_anew(&mut self, from: ReplicaId, message: Anew) {
        let Role::Leader(lead) = &mut self.role else { return };
        if lead.id != message.leader {
            return;
        }
        let Some(at) = lead.peers.iter().position(|peer| peer.id == from) else { return };
        if lead.peers[at].incarnation <= message.incarnation {
            lead.begin_anew(at, message.incarnation, true, self.now);
            lead.stirred = true;
        }
    }
}

impl Leadership {
    /// Doubt 2: whether an answer is to be believed. That of an earlier incarnation is not: it may
    /// speak of what is lost. With the first answer of a new one the leader begins anew.
    pub(super) fn knows_incarnation(&mut self, at: usize, m: &ReplicateReply, now: u64) -> bool {
        let peer = &mut self.peers[at];
        if m.incarnation > peer.incarnation {
            self.begin_anew(at, m.incarnation, m.doubtful, now);
        } else if !m.doubtful && m.incarnation == peer.incarnation {
            peer.loss = None;
        }
        m.incarnation == self.peers[at].incarnation
    }

    /// Forgets what it knew of a follower. What was counted stays counted: that a record was held
    /// by a quorum remains true of the time before the loss, and nobody leads meanwhile without
    /// having it.
    fn begin_anew(&mut self, at: usize, incarnation: u64, doubtful: bool, now: u64) {
        let old = &self.peers[at];
        let loss = doubtful.then_some(Loss { incarnation, below: self.next, repaired: false });
        let mut new = Peer::new(old.id, old.bit, self.next, now);
        (new.incarnation, new.loss, new.round) = (incarnation, loss, old.round);
        (new.member, new.counts) = (old.member, old.counts);
        self.peers[at] = new;
    }

    /// Doubt 3: it holds, or has done, everything that was placed when the leader heard of its
    /// loss, and knows the membership. What others have purged it must have done itself: it may be
    /// the only one left that acknowledged it.
    pub(super) fn look_whether_repaired(&mut self, at: usize) {
        let (gone, newest) = (self.gone, self.membership_at);
        let peer = &self.peers[at];
        let Some(loss) = peer.loss.as_ref().filter(|loss| !loss.repaired) else { return };
        let gone = mutant!(ExcusePurgedElsewhere, gone, Lsn::ZERO);
        let excused = |lsn: Lsn| lsn >= gone && self.empties.contains(lsn);
        let passed = peer.passed();
        let repaired = passed.holes(loss.below).all(excused) && peer.membership >= newest;
        if let Some(loss) = &mut self.peers[at].loss {
            loss.repaired = mutant!(RepairedTooSoon, repaired, true);
        }
    }
}
