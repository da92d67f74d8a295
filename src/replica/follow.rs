//! Following: first contact, accepting, learning (algorithm.md, Replicating).

use super::kinds::Kind;
use super::rebuild::agreement;
use super::{Output, Replica, Role};
use crate::base::{
    Batch, Brief, LeaderId, Lineage, Lsn, Payload, Record, Records, ReplicaId, TailBitmap, mutant,
    ones,
};
use crate::message::{Message, Refuse, Replicate, ReplicateReply};
use std::sync::Arc;

impl Replica {
    pub(super) fn on_replicate(&mut self, from: ReplicaId, message: &mut Replicate) {
        let leader = message.leader;
        if mutant!(LowerLeaderAccepted, leader < self.voted, self.goes_back(leader)) {
            let refuse = Refuse { leader, voted: self.voted };
            return self.send(from, Message::Refuse(refuse));
        }
        if leader.node != from || leader.node == self.options.id {
            return;
        }
        mutant!(SettledFromAnybody, (), self.settle(&message.settled));
        // Nothing is accepted under a leader before its lineage is taken (Replicating 1).
        if self.lineage.leader() != leader {
            match message.lineage.take() {
                Some(lineage) if lineage.leader() == leader => self.take_lineage(*lineage),
                _ => return self.ask_anew(leader),
            }
        }
        if !matches!(self.role, Role::Follower { leader: followed } if followed == leader) {
            self.change_role(Role::Follower { leader });
        }
        self.heard_leader_at = self.now;
        self.grant_lease();
        self.reset_election_timer();
        if let Some(known) = message.committed_membership.take() {
            let (lsn, membership) = *known;
            self.commit_membership(lsn, membership);
        }
        self.accept_all(&message.records);
        // Believed because it comes from the leader whose lineage was taken last (Replicating 3).
        self.settle(&message.settled);
        self.round = self.round.max(message.round);
        self.end_doubt(message.repaired);
        self.reply_due = true;
    }

    /// First contact (Replicating 1): in one durable step the promise rises to the leader, the
    /// committer becomes the leader, each record whose author matches is kept and every other one
    /// dropped. What was kept counts as accepted under the leader at once.
    pub(super) fn take_lineage(&mut self, lineage: Lineage) {
        let leader = lineage.leader();
        self.raise_promise(leader);
        assert!(self.lineage.leader() <= leader, "I-1 the committer would fall to {leader}");
        // What has left memory is settled: such a record belongs in every later log.
        let kept = self.accepted.intersection(&TailBitmap::below(self.log.first()));
        let mut kept = mutant!(AdoptionKeepsAll, kept, self.accepted.clone());
        kept.insert_below(self.purged);
        let end = mutant!(AdoptionErases, self.accepted.end(), Lsn::ZERO);
        for (from, to) in agreement(&self.lineage, &lineage, end) {
            let mut part = TailBitmap::new();
            part.insert_range(from, to);
            kept.union_with(&part.intersection(&self.accepted));
        }
        let dropped: Vec<Lsn> = self.accepted.difference_iter(&kept).collect();
        for lsn in dropped {
            self.log.remove(lsn);
        }
        self.accepted = kept;
        let write = self.writes.edit();
        write.records.retain(|record| lineage.author(record.lsn) == record.author);
        write.lineage = Some(lineage.clone());
        self.memberships.retain(|lsn, author| lineage.author(lsn) == author);
        let lost = self.proposals.take_placed(|lsn, author| lineage.author(lsn) != author);
        self.outputs.extend(lost.into_iter().map(|proposal| Output::Unknown { proposal }));
        self.lineage = lineage;
        self.round = 0;
        self.hearing.begin();
        self.fail_reads_here();
    }

    /// Accepts records that came together. Mostly all of a batch are welcome, and are kept as the
    /// one batch that they are.
    fn accept_all(&mut self, records: &Records) {
        for batch in records.batches() {
            if self.is_welcome(batch) {
                self.accept_batch(batch);
            } else {
                batch.records().iter().for_each(|record| self.accept(record));
            }
        }
    }

    /// Whether each record of a batch would be accepted, and they follow each other above all that
    /// is accepted here.
    fn is_welcome(&self, batch: &Batch) -> bool {
        let Some((from, to, author)) = batch.run() else { return false };
        let far = self.accepted.offset().0.saturating_add(self.options.open_positions_max);
        let bytes = self.writes.unpersisted() + batch.summary().bytes;
        from >= self.accepted.end().max(self.log.first())
            && to.0 <= far
            && bytes <= self.options.unpersisted_bytes_max
            && self.lineage.is_run_of(author, from, to)
    }

    fn accept_batch(&mut self, batch: &Arc<Batch>) {
        let Some((from, to, _)) = batch.run() else { return };
        self.log.put_batch(batch);
        let summary = batch.summary();
        self.writes.expect(summary.bytes);
        if summary.membership {
            for record in batch.records() {
                self.memberships.note(record);
            }
        }
        self.accepted.insert_range(from, to);
        if from >= self.settled.end() {
            // Mostly none of them is known settled yet.
            self.settle_floor(summary.floor);
        } else {
            let records = batch.records().iter();
            records.for_each(|record| self.note_kept(record.lsn, record.floor));
        }
    }

    /// Accepts a record by itself, in any order (Replicating 2). What does not belong in this
    /// leader's log, or is more than this replica may hold, is left; the answer says so by not
    /// having it.
    fn accept(&mut self, record: &Record) {
        let lsn = record.lsn;
        let far = self.accepted.offset().0.saturating_add(self.options.open_positions_max);
        let full = self.writes.unpersisted() > self.options.unpersisted_bytes_max;
        let belongs = self.lineage.author(lsn) == record.author;
        if self.accepted.contains(lsn) || !belongs || lsn.0 >= far || full {
            return;
        }
        self.keep(record.clone());
    }

    /// Takes a record into the log and into the write being composed.
    pub(super) fn keep(&mut self, record: Record) {
        let (lsn, floor) = (record.lsn, record.floor);
        if lsn >= self.log.first() {
            let brief = self.log.put(record);
            return self.note_put(lsn, brief);
        }
        // Done here without having been held: memory does not cover it, the disk does.
        self.memberships.note(&record);
        self.writes.expect(record.size());
        self.writes.edit().records.push(record);
        self.note_kept(lsn, floor);
    }

    /// A record has come into the log, and is to be written.
    pub(super) fn note_put(&mut self, lsn: Lsn, brief: Brief) {
        self.writes.expect(brief.size as usize);
        if !brief.command
            && let Some(record) = self.log.get(lsn)
        {
            self.memberships.note(record);
        }
        self.note_kept(lsn, brief.floor);
    }

    /// A record is held here from now on.
    fn note_kept(&mut self, lsn: Lsn, floor: Lsn) {
        self.accepted.insert(lsn);
        self.settle_floor(floor);
        if self.settled.contains(lsn)
            && let Some(brief) = self.log.brief(lsn)
        {
            self.on_settled(lsn, brief);
        }
    }

    /// Everything below a floor is settled, and that is a fact for whoever sees the record.
    fn settle_floor(&mut self, floor: Lsn) {
        if floor > self.settled.offset() {
            self.settle(&TailBitmap::below(floor));
        }
    }

    /// Learns that positions are settled.
    pub(super) fn settle(&mut self, settled: &TailBitmap) {
        let mut news = std::mem::take(&mut self.scratch);
        self.settled.take_in(settled, &mut news);
        if !news.is_empty() {
            self.note_settled(&news);
            news.clear();
        }
        self.scratch = news;
    }

    /// Learns that the positions of these words, none of them known settled before, are settled.
    pub(super) fn settle_words(&mut self, news: &[(u64, u64)]) {
        news.iter().for_each(|(index, word)| self.settled.insert_word(*index, *word));
        self.note_settled(news);
    }

    /// The positions of these words are settled now. Those that override come first, the last one
    /// before the others: what is covered need not run. The others come in order: each may run
    /// after the one before it.
    fn note_settled(&mut self, news: &[(u64, u64)]) {
        for &(index, word) in news.iter().rev() {
            let mut overriding = word & self.log.kind(index).overriding;
            while overriding != 0 {
                let bit = overriding.ilog2();
                overriding ^= 1 << bit;
                self.settle_record(Lsn(64 * index + u64::from(bit)));
            }
        }
        let waited_for = !self.proposals.is_empty();
        for &(index, word) in news {
            // What depends on another one comes after it; a plain one depends on none.
            let Kind { special, overriding } = self.log.kind(index);
            let plain = word & !special;
            if waited_for {
                ones(64 * index, plain).for_each(|lsn| self.answer_settled(lsn));
            }
            self.schedule.offer_plain(index, plain, &self.log);
            let others = word & special & !overriding;
            if others != 0 {
                ones(64 * index, others).for_each(|lsn| self.settle_record(lsn));
            }
        }
    }

    /// The one at `lsn` is settled, if it is here.
    fn settle_record(&mut self, lsn: Lsn) {
        if let Some(brief) = self.log.brief(lsn) {
            self.on_settled(lsn, brief);
        }
    }

    /// A record that is here is settled: its client may be answered, and it may run.
    pub(super) fn on_settled(&mut self, lsn: Lsn, brief: Brief) {
        if !self.proposals.is_empty() {
            self.answer_settled(lsn);
        }
        self.schedule.offer(lsn, brief, &self.log);
        if !brief.command
            && let Some(Payload::Membership(membership)) = self.log.get(lsn).map(|r| &r.payload)
        {
            let membership = membership.clone();
            self.commit_membership(lsn, membership);
        }
    }

    /// What returns nothing is answered as soon as it is settled.
    fn answer_settled(&mut self, lsn: Lsn) {
        let returns = || self.log.brief(lsn).is_none_or(|brief| brief.returns);
        let author = || self.log.get(lsn).map(|record| record.author);
        if let Some(proposal) = self.proposals.take_settled(lsn, returns, author) {
            self.outputs.push(Output::Settled { proposal });
        }
    }

    /// A membership is known committed: durable before anybody is told so (Membership 1).
    pub(super) fn commit_membership(&mut self, lsn: Lsn, membership: crate::base::Membership) {
        if self.memberships.commit(lsn, membership) {
            self.writes.edit().membership = self.memberships.committed();
            self.refresh_memberships();
            self.after_membership();
        }
    }

    /// One answer for all that came since the last drain: it carries the whole accepted set, so
    /// that a lost answer costs nothing. Composed only while promise and committer are the leader.
    pub(super) fn reply(&mut self) {
        if !std::mem::take(&mut self.reply_due) {
            return;
        }
        let Role::Follower { leader } = self.role else { return };
        if leader != self.voted || leader != self.lineage.leader() {
            return;
        }
        // Made twice here, so that mostly, where it is not, it is written straight into its box.
        if self.options.acknowledge_to_all {
            self.acknowledge_to_all(&self.answer(leader));
        }
        let reply = Message::ReplicateReply(self.answer(leader));
        let send = self.boxes.pack(self.options.id, leader.node, reply);
        let outputs = &mut self.outputs;
        mutant!(
            AcceptBeforeDurable,
            self.writes.promise(send, outputs),
            outputs.push(Output::Send(send))
        );
    }

    /// What a follower of `leader` says of itself.
    #[inline(always)]
    fn answer(&self, leader: LeaderId) -> ReplicateReply {
        let room = self.options.unpersisted_bytes_max.saturating_sub(self.writes.unpersisted());
        ReplicateReply {
            leader,
            accepted: self.accepted.clone(),
            round: self.round,
            window: room as u64,
            committed_membership: self.memberships.committed_at(),
            incarnation: self.incarnation,
            doubtful: self.doubt.is_some(),
        }
    }
}
