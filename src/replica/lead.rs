//! Leading: from a rebuilt log to messages (algorithm.md, Rebuilding and Replicating).

use super::change::Changes;
use super::doubt::Loss;
use super::handover::Handover;
use super::index::Index;
use super::peer::{Peer, Source};
use super::read::Reads;
use super::rebuild::{self, Survey};
use super::snapshot::{Lacking, most_purged};
use super::{Output, Replica, Role};
use crate::base::{
    LeaderId, Lsn, Record, Records, ReplicaId, SharedRecord, Tail, TailBitmap, mask, mutant,
};
use crate::message::{Message, Refuse, Replicate, ReplicateReply};
use crate::quorum::{Compiled, Mask, REPLICAS_MAX};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// What a leader has beyond a follower.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    /// The leader id.
    pub(crate) id: LeaderId,
    /// The next position: above everything that survived and every purge offset of its voters.
    pub(crate) next: Lsn,
    /// The first position that it placed itself.
    pub(crate) start: Lsn,
    /// Positions of its log without a record. They are never voided and never sent.
    pub(crate) empties: Tail,
    /// Which records in flight a command interferes with.
    pub(crate) index: Index,
    /// What it knows settled: it saw it commit, or overridden by what it saw commit, or it lies
    /// below the floor of a record of its log, or it is purged at a voter.
    pub(crate) settled: TailBitmap,
    /// The floor of the last command placed; at first, the greatest in the log.
    pub(crate) floor: Lsn,
    /// Scratch space for what an answer brought: words with their numbers.
    pub(crate) fresh: Vec<(u64, u64)>,
    /// What became settled and was not yet told to the own replica: words with their numbers.
    pub(crate) news: Vec<(u64, u64)>,
    /// Bytes of records placed here and not known settled.
    pub(crate) unsettled_bytes: usize,
    /// What a write quorum of every membership in force has accepted; right above the settled
    /// prefix.
    pub(crate) held: TailBitmap,
    /// By open position: the records that a quorum holds and that wait for it to be settled.
    pub(crate) parked: FxHashMap<Lsn, Vec<Lsn>>,
    /// The newest membership known committed.
    pub(crate) membership_at: Option<Lsn>,
    /// The write systems of the memberships in force.
    pub(crate) quorums: Vec<Compiled>,
    /// The others that count, and the own bit; bits are never reused.
    pub(crate) peers: Vec<Peer>,
    pub(crate) bit: Mask,
    /// Ranges of the own log by the write that makes them durable here.
    pub(crate) own: VecDeque<(u64, Lsn, Lsn)>,
    /// Accepted here: durable.
    pub(crate) own_accepted: TailBitmap,
    /// Overridden by a settled record that is durable here.
    pub(crate) own_covered: Tail,
    /// Records read back from disk for followers.
    pub(crate) loaded: BTreeMap<Lsn, SharedRecord>,
    /// When records were last asked back and have not come, in ticks.
    pub(crate) load_at: Option<u64>,
    /// Reads that wait.
    pub(crate) reads: Reads,
    /// The greatest purge offset of its voters.
    pub(crate) gone: Lsn,
    /// What it has not done and some voter has purged.
    pub(crate) lacking: Option<Lacking>,
    /// Leadership on its way to another.
    pub(crate) handover: Handover,
    /// Changes that clients wait for.
    pub(crate) changes: Changes,
    /// Something may have to be sent.
    pub(crate) stirred: bool,
}

impl Leadership {
    /// Whether it waits for nothing but answers of its followers.
    pub(crate) fn is_asleep(&self) -> bool {
        !self.stirred
            && self.reads.is_empty()
            && self.changes.is_empty()
            && !self.handover.is_under_way()
            && self.changes.complete >= self.membership_at
    }

    /// Whether an answer of this peer may lead to a message, to it or to others. Mostly it has all
    /// that was placed, or all of it is on its way, and nobody reads.
    fn may_send_to(&self, at: usize, purged: Lsn) -> bool {
        let peer = &self.peers[at];
        !self.reads.is_empty()
            || !self.loaded.is_empty()
            || self.lacking.is_some()
            || !peer.member
            || !peer.is_sent_all(self.next)
            || peer.accepted.offset() < peer.gone_below(purged, self.gone)
    }
}

impl Replica {
    /// A quorum has granted and every survivor is at hand: rebuild the log and lead.
    pub(super) fn lead(&mut self, survey: Survey) {
        let Role::Candidate(candidacy) = &self.role else { return };
        let id = candidacy.id;
        let most = most_purged(candidacy.purged());
        let lacking = most.map(|(voter, below)| Lacking::new(below, voter));
        let granted = candidacy.granted();
        let peers = mutant!(MixedLeaders, Vec::new(), candidacy.voters_hold(&survey));
        let rebuilt = rebuild::rebuild(id, &survey, self.log.first(), |lsn| {
            let author = survey.lineage.author(lsn);
            let own = self.log.get(lsn).filter(|record| record.author == author);
            let gathered = || candidacy.gathered(lsn, author).map(|record| (record, false));
            own.map(|record| (record, true)).or_else(gathered)
        });
        // Survivors below what memory covers: done here by what overrides them, never held.
        let passed_over = survey.survivors.intersection(&TailBitmap::below(self.log.first()));
        let author = |lsn| survey.lineage.author(lsn);
        let passed_over: Vec<Record> = passed_over
            .difference_iter(&self.accepted)
            .filter_map(|lsn| candidacy.gathered(lsn, author(lsn)).cloned())
            .collect();
        // The lineage is fixed at this moment, and durable here before the leader counts itself.
        let top = rebuilt.lineage.end();
        self.take_lineage(rebuilt.lineage);
        for record in passed_over.into_iter().chain(rebuilt.records) {
            self.keep(record);
        }
        let floor = mutant!(FloorFalls, rebuilt.floor, Lsn::ZERO);
        let floor = survey.purged.max(self.log.first()).max(floor);
        let next = mutant!(NextBelowPurged, top.max(survey.purged), survey.survivors.end());
        let mut lead = Leadership {
            id,
            next,
            start: next,
            empties: rebuilt.empties,
            index: Index::new(),
            settled: TailBitmap::below(floor),
            floor,
            fresh: Vec::new(),
            news: Vec::new(),
            unsettled_bytes: 0,
            held: TailBitmap::below(floor),
            parked: FxHashMap::default(),
            membership_at: None,
            quorums: Vec::new(),
            peers,
            bit: 1,
            own: VecDeque::from([(self.writes.newest(), Lsn::ZERO, next)]),
            own_accepted: TailBitmap::new(),
            own_covered: Tail::new(),
            loaded: BTreeMap::new(),
            load_at: None,
            reads: Reads::default(),
            gone: survey.purged,
            lacking,
            handover: Handover::new(self.now),
            changes: Changes::default(),
            stirred: true,
        };
        let open = floor.min(self.schedule.done().offset());
        for record in self.log.iter_from(open).filter(|record| record.command().is_some()) {
            lead.index.insert(record, |lsn| self.log.get(lsn));
        }
        self.expect_forwards(lead.id);
        self.change_role(Role::Leader(Box::new(lead)));
        self.settle(&TailBitmap::below(floor));
        self.refresh_memberships();
        self.own_persisted();
        // Whoever granted is alive and comes first: a sender sends one thing after the other, and
        // what goes to the dead helps nobody.
        if let Role::Leader(lead) = &mut self.role {
            lead.peers.sort_by_key(|peer| !granted.contains(&peer.id));
        }
    }

    /// The memberships in force have changed: who is sent to, and what a quorum is.
    pub(super) fn refresh_memberships(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        let me = self.options.id;
        let mut members = self.memberships.members();
        members.extend(lead.changes.guests());
        let voters = self.memberships.voters();
        for peer in &mut lead.peers {
            let (next, settled) = (lead.next, lead.settled.offset());
            peer.member = members.contains(&peer.id);
            peer.waits = false;
            peer.stands(voters.contains(&peer.id), next, settled, &self.options);
        }
        for id in members {
            let known = lead.peers.iter().any(|peer| peer.id == id);
            if id != me && !known {
                // Bits are never reused, so a leader that has seen many come and go gives way.
                if lead.peers.len() + 1 == REPLICAS_MAX {
                    return self.step_down();
                }
                let bit: Mask = 2 << lead.peers.len();
                let counts = voters.contains(&id);
                let next = if counts { lead.next } else { self.purged };
                lead.peers.push(Peer::new(id, bit, next, self.now).counting(counts));
            }
        }
        let bit = |id: ReplicaId| {
            let peer = lead.peers.iter().find(|peer| peer.id == id);
            peer.map_or(if id == me { lead.bit } else { 0 }, |peer| peer.bit)
        };
        let systems = self.memberships.in_force();
        let quorums = systems.iter().map(|m| Compiled::new(&m.write, &bit)).collect();
        let confirm = systems
            .iter()
            .map(|m| (Compiled::new(&m.read, &bit), Compiled::new(&m.write, &bit)))
            .collect();
        lead.reads.set_quorums(confirm);
        lead.membership_at = self.memberships.committed_at();
        lead.requorum(quorums, &self.log);
        lead.stirred = true;
        self.absorb_news();
    }

    /// Writes have become durable: the leader accepts its own records like any follower.
    pub(super) fn own_persisted(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        let durable = self.writes.durable();
        let durable = mutant!(LeaderCountsUndurable, durable, self.writes.newest());
        while lead.own.front().is_some_and(|(write, ..)| *write <= durable) {
            let Some((_, from, to)) = lead.own.pop_front() else { break };
            let from = from.max(lead.own_accepted.offset());
            let mut fresh = std::mem::take(&mut lead.fresh);
            for index in from.0 / 64..to.0.div_ceil(64) {
                // What has left memory is held as well.
                let gone = mask(index, 0, self.log.first().0);
                let held = mask(index, from.0, to.0) & (gone | !lead.empties.word(index));
                lead.own_accepted.insert_word(index, held);
                fresh.push((index, held));
            }
            lead.accepted_at(lead.bit, &fresh, &self.log);
            fresh.clear();
            lead.fresh = fresh;
            lead.own_covered.remove_below(lead.own_accepted.offset());
            if self.options.acknowledge_to_all {
                self.hearing.owes_word();
            }
        }
        self.absorb_news();
    }

    /// A follower's answer: all that it has accepted under this leader.
    pub(super) fn on_replicate_reply(&mut self, from: ReplicaId, message: &ReplicateReply) {
        let Role::Leader(lead) = &mut self.role else { return self.on_overheard(from, message) };
        // Nobody can have what was not placed.
        if lead.id != message.leader || message.accepted.end() > lead.next {
            return;
        }
        let Some(at) = lead.peers.iter().position(|peer| peer.id == from) else { return };
        if !lead.knows_incarnation(at, message, self.now) {
            return;
        }
        let mut fresh = std::mem::take(&mut lead.fresh);
        let peer = &mut lead.peers[at];
        peer.heard_at = self.now;
        peer.window = message.window;
        peer.membership = peer.membership.max(message.committed_membership);
        let accepted = &message.accepted;
        let accepted =
            mutant!(OverriderHoldsVictim, accepted, &super::wrong::union(accepted, &self.log));
        peer.accept(accepted, &self.log, &mut fresh);
        let round = message.round.min(peer.sent_round);
        let confirmed = round > peer.round;
        peer.round = peer.round.max(round);
        let bit = peer.bit;
        lead.accepted_at(bit, &fresh, &self.log);
        fresh.clear();
        lead.fresh = fresh;
        lead.look_whether_repaired(at);
        lead.stirred |= lead.may_send_to(at, self.purged);
        self.absorb_news();
        if confirmed {
            self.confirm_reads();
        }
    }

    /// Membership 2, for the first pending membership and, once it has committed, the next.
    pub(super) fn check_barrier(&mut self) {
        while let Some(m) = self.memberships.first_pending() {
            let Role::Leader(lead) = &mut self.role else { return };
            let mut passed = lead.own_accepted.clone();
            passed.insert_all(&lead.own_covered);
            let past = lead.is_past_barrier(m, passed.offset() > m);
            if !mutant!(JointNeverLeft, past, past && m >= lead.start) {
                return;
            }
            lead.settle_membership(m, &self.log);
            self.absorb_news();
        }
    }

    /// What the leader saw settle, its own replica learns at once: it has taken the lineage.
    pub(super) fn absorb_news(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        if lead.news.is_empty() {
            return;
        }
        let (mut news, start) = (std::mem::take(&mut lead.news), lead.start);
        if news.len() > 1 {
            super::commit::put_in_order(&mut news);
        }
        lead.pay(&news);
        let mut bytes = 0;
        for (index, word) in &mut news {
            let placed = *word & mask(*index, start.0, u64::MAX);
            bytes += self.log.size_of_word(*index, placed);
            *word &= !self.settled.word(*index);
        }
        self.settle_words(&news);
        news.clear();
        if let Role::Leader(lead) = &mut self.role {
            lead.unsettled_bytes = lead.unsettled_bytes.saturating_sub(bytes);
            if lead.news.is_empty() {
                lead.news = news;
            }
        }
    }

    /// A replica has promised a greater leader.
    pub(super) fn on_refuse(&mut self, message: Refuse) {
        self.seen = self.seen.max(message.voted);
        if let Role::Leader(lead) = &self.role
            && lead.id == message.leader
            && message.voted > lead.id
        {
            self.step_down();
        }
    }

    pub(super) fn step_down(&mut self) {
        self.reset_election_timer();
        self.change_role(Role::Follower { leader: LeaderId::NOBODY });
    }

    /// What was placed and is not settled here may or may not survive; what waits to be read is
    /// for another leader to answer.
    pub(super) fn leave_leadership(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        let (id, reads) = (lead.id, lead.reads.take_all());
        let changes = std::mem::take(&mut lead.changes);
        self.outputs.extend(changes.abandon());
        mutant!(ReadAfterPromise, self.fail_reads(reads), self.serve_anyway(reads));
        self.abandon_proposals(id);
    }

    /// Composes what the followers are to be sent now.
    pub(super) fn replicate(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        if !std::mem::take(&mut lead.stirred) {
            return;
        }
        lead.reads.start_round(self.now);
        let mut wanted = Tail::new();
        if self.send_records(&mut wanted) {
            self.send_records(&mut wanted);
        }
        self.load(wanted);
        self.ask_for_state();
    }

    /// At most one message to each follower. Whether there is more to send at once, because a
    /// first message was kept short.
    fn send_records(&mut self, wanted: &mut Tail) -> bool {
        let Role::Leader(lead) = &mut self.role else { return false };
        let (committed_at, round) = (self.memberships.committed_at(), lead.reads.round());
        let (loaded, empties) = (&lead.loaded, &lead.empties);
        let source =
            Source { log: &self.log, loaded, empties, end: lead.next, purged: self.purged };
        let (mut more, mut lacking, gone) = (false, Vec::new(), lead.gone);
        for peer in &mut lead.peers {
            // One that was removed is told so, and nothing else.
            if !peer.member && peer.membership >= committed_at {
                continue;
            }
            let short = peer.is_kept_short();
            let records = match peer.member {
                true => peer.pick(&source, self.now, &self.options),
                false => Records::new(),
            };
            more |= short && !peer.is_kept_short() && peer.next < source.end;
            if peer.wants_loading() {
                wanted.union_with(&peer.take_wanted());
            }
            let below = peer.gone_below(self.purged, gone);
            if peer.member && peer.wants_snapshot(below, self.now, self.options.election_ticks) {
                lacking.push((peer.id, below));
            }
            let quiet = self.now - peer.sent_at;
            let due = peer.owed.is_due() || quiet >= self.options.heartbeat_ticks;
            let greeting = !peer.known && (peer.sent_at == 0 || quiet > self.options.resend_ticks);
            if records.is_empty() && peer.sent_round >= round && !due && !greeting {
                continue;
            }
            peer.sent_at = self.now;
            peer.sent_round = round;
            peer.owed.told();
            let news = (peer.membership < committed_at).then(|| self.memberships.committed());
            let message = Message::Replicate(Replicate {
                leader: lead.id,
                lineage: (!peer.known).then(|| Box::new(self.lineage.clone())),
                records,
                settled: lead.settled.clone(),
                committed_membership: news.flatten().map(Box::new),
                round,
                repaired: peer.loss.as_ref().and_then(Loss::repaired),
            });
            let send = self.boxes.pack(self.options.id, peer.id, message);
            Output::put(&mut self.outputs, || Output::Send(send));
        }
        lacking.into_iter().for_each(|(to, below)| self.give_state(to, below));
        more
    }
}
