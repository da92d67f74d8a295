//! Everybody hears (design/everybody-hears.md): replicas acknowledge to all, and each may conclude
//! by itself what is settled.
//!
//! That a record is committed is a fact about who has accepted it under one leader id, not about
//! who has counted. The leader counts in `commit.rs`; here a follower does, for the records that it
//! holds. What it needs from the leader is one word: what the leader has accepted itself, said only
//! while no membership is pending in its log, and which membership that is.

use super::{Replica, Role};
use crate::base::{LeaderId, Lsn, Payload, ReplicaId, Tail, TailBitmap, mutant, ones};
use crate::message::{Message, ReplicateReply};
use crate::quorum::{Compiled, Mask};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// What a replica has heard of the acknowledgements of others, under the leader whose lineage it
/// took last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing {
    /// Own answers that rest on a write: its number, and what they call accepted.
    own: VecDeque<(u64, TailBitmap)>,
    /// Accepted here and durable.
    mine: TailBitmap,
    /// What each other one said that it has accepted. Acknowledgements are never taken back: what
    /// was said once under a leader id stays true of it.
    heard: BTreeMap<ReplicaId, TailBitmap>,
    /// Where the membership stands that the leader named with its own word.
    told: Option<Option<Lsn>>,
    /// That membership's voters and write quorums.
    counted: Option<Counted>,
    /// Something was heard or became durable here, that may conclude something.
    stirred: bool,
    /// At the leader: it has accepted more than it has said.
    due: bool,
}

/// Who counts.
#[derive(Clone, Debug)]
struct Counted {
    at: Option<Lsn>,
    voters: Vec<ReplicaId>,
    quorum: Compiled,
}

impl Hearing {
    /// Another lineage: what was heard was said of other records (Replicating 3).
    pub(super) fn begin(&mut self) {
        let heard = mutant!(HeardUnderAnyLeader, BTreeMap::new(), std::mem::take(&mut self.heard));
        *self = Hearing { heard, ..Hearing::default() };
    }

    /// Whether a drain has something to look at.
    pub(super) fn is_stirred(&self) -> bool {
        self.stirred || self.due
    }

    /// The leader has accepted more.
    pub(super) fn owes_word(&mut self) {
        self.due = true;
    }

    /// Writes up to this one are durable, and the answers that rested on them have left.
    pub(super) fn persisted(&mut self, durable: u64) {
        while self.own.front().is_some_and(|(number, _)| *number <= durable) {
            if let Some((_, accepted)) = self.own.pop_front() {
                self.mine = accepted;
                self.stirred = true;
            }
        }
    }

    /// What it decides by ([`Replica::write_state`]).
    pub(super) fn write_state(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let Hearing { own, mine, heard, told, counted: _, stirred, due } = self;
        write!(out, "hears {own:?} {mine} {heard:?} {told:?} {stirred} {due} ")
    }
}

impl Replica {
    /// The others that are to hear what this replica acknowledges.
    fn listeners(&self, leader: LeaderId) -> Vec<ReplicaId> {
        let mut members = self.memberships.members();
        members.retain(|id| *id != self.options.id && *id != leader.node);
        members
    }

    /// An answer to the leader goes to everybody else as well, as soon as it may leave.
    pub(super) fn acknowledge_to_all(&mut self, reply: &ReplicateReply) {
        let me = self.options.id;
        for to in self.listeners(reply.leader) {
            let send = self.boxes.pack(me, to, Message::ReplicateReply(reply.clone()));
            self.writes.promise(send, &mut self.outputs);
        }
        self.hearing.own.push_back((self.writes.newest(), reply.accepted.clone()));
        self.hearing.persisted(self.writes.durable());
    }

    /// The leader says what it has accepted itself. Only while no membership is pending: so that
    /// for all of it the membership that it names was in force alone.
    pub(super) fn say_own_word(&mut self) {
        let Role::Leader(lead) = &self.role else { return };
        if !self.hearing.due || self.memberships.first_pending().is_some() {
            return;
        }
        self.hearing.due = false;
        let word = ReplicateReply {
            leader: lead.id,
            accepted: lead.own_accepted.clone(),
            round: 0,
            window: 0,
            committed_membership: lead.membership_at,
            incarnation: self.incarnation,
            doubtful: false,
        };
        for to in self.listeners(word.leader) {
            self.send(to, Message::ReplicateReply(word.clone()));
        }
    }

    /// An acknowledgement to another leader than this replica: one that it follows, or a stray.
    pub(super) fn on_overheard(&mut self, from: ReplicaId, message: &ReplicateReply) {
        if !self.options.acknowledge_to_all || !self.is_followed(message.leader) {
            return;
        }
        let far = self.accepted.offset().0.saturating_add(self.options.open_positions_max);
        if message.accepted.end().0 > far {
            return;
        }
        self.hearing.heard.entry(from).or_default().union_with(&message.accepted);
        if from == message.leader.node {
            self.hearing.told = self.hearing.told.max(Some(message.committed_membership));
        }
        self.hearing.stirred = true;
    }

    /// Promise, committer and role are that of a follower of `leader`.
    fn is_followed(&self, leader: LeaderId) -> bool {
        let follows =
            matches!(self.role, Role::Follower { leader: followed } if followed == leader);
        follows && self.voted == leader && self.lineage.leader() == leader
    }

    /// What a write quorum has accepted under the leader, as far as this replica holds it, is
    /// committed if all that it depends on is settled.
    pub(super) fn conclude(&mut self) {
        if !std::mem::take(&mut self.hearing.stirred) || !self.is_followed(self.lineage.leader()) {
            return;
        }
        let at = self.memberships.committed_at();
        let asks = mutant!(HeardWithoutTheLeader, true, false);
        if asks && self.hearing.told != Some(at) {
            return;
        }
        if self.hearing.counted.as_ref().is_none_or(|counted| counted.at != at) {
            let membership = self.memberships.known_committed();
            let voters = membership.voters();
            let first: Mask = 1;
            let bit = |id| {
                let place = voters.iter().position(|voter| *voter == id);
                place.and_then(|place| first.checked_shl(place as u32)).unwrap_or(0)
            };
            let quorum = Compiled::new(&membership.write, &bit);
            self.hearing.counted = Some(Counted { at, voters, quorum });
        }
        let held = self.held_by_those_heard(asks);
        let news = self.concluded(held);
        let news: Vec<(u64, u64)> = news
            .iter_words()
            .map(|(index, word)| (index, word & !self.settled.word(index)))
            .filter(|(_, word)| *word != 0)
            .collect();
        self.settle_words(&news);
    }

    /// What is not known settled, held here, and accepted by the leader and a write quorum: words
    /// with their numbers.
    fn held_by_those_heard(&self, asks: bool) -> Vec<(u64, u64)> {
        let Hearing { mine, heard, counted, .. } = &self.hearing;
        let Some(Counted { voters, quorum, .. }) = counted else { return Vec::new() };
        let none = TailBitmap::new();
        let said = |id: &ReplicaId| heard.get(id).unwrap_or(&none);
        let sets: Vec<&TailBitmap> =
            voters.iter().map(|id| if *id == self.options.id { mine } else { said(id) }).collect();
        let word = said(&self.lineage.leader().node);
        let mut held = Vec::new();
        for index in self.settled.offset().0 / 64..mine.end().0.div_ceil(64) {
            let by_leader = if asks { word.word(index) } else { !0 };
            let open = mine.word(index) & by_leader & !self.settled.word(index);
            if open != 0 {
                let words: Vec<u64> = sets.iter().map(|set| set.word(index)).collect();
                held.push((index, open & quorum.held(&words)));
            }
        }
        held
    }

    /// Of what a quorum holds, what is committed, and what that overrides. Each may settle others:
    /// one that overrides what another depends on, one that another depends on.
    fn concluded(&self, held: Vec<(u64, u64)>) -> Tail {
        let mut news = Tail::new();
        let mut open: Vec<Lsn> =
            held.into_iter().flat_map(|(index, word)| ones(64 * index, word)).collect();
        loop {
            let before = open.len();
            open.retain(|lsn| !self.is_concluded(*lsn, &mut news));
            if open.is_empty() || open.len() == before {
                return news;
            }
        }
    }

    fn is_concluded(&self, lsn: Lsn, news: &mut Tail) -> bool {
        let Some(brief) = self.log.brief(lsn) else { return false };
        if !brief.is_plain() {
            let Some(record) = self.log.get(lsn) else { return false };
            // A membership has its own rule, the barrier, which the leader looks after.
            if matches!(record.payload, Payload::Membership(_)) {
                return false;
            }
            let is_settled = |lsn: Lsn| self.settled.contains(lsn) || news.contains(lsn);
            let waits = record.depends.iter().any(|lsn| !is_settled(lsn));
            if mutant!(HeardBeforeDependencies, waits, false) {
                return false;
            }
            news.union_with(&record.overrides);
        }
        news.insert(lsn);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_durable_is_not_counted() {
        let mut hearing = Hearing::default();
        hearing.own.push_back((3, TailBitmap::below(Lsn(1))));
        hearing.own.push_back((4, TailBitmap::below(Lsn(2))));
        hearing.persisted(2);
        assert!(hearing.mine.is_empty() && !hearing.is_stirred());
        hearing.persisted(3);
        assert_eq!(hearing.mine, TailBitmap::below(Lsn(1)));
        assert!(hearing.is_stirred());
    }
}
