//! Committing: which records will never be undone (algorithm.md, Words and Membership 2).

use super::kinds::Kind;
use super::lead::Leadership;
use super::log::Log;
use super::peer::Peer;
use crate::base::{Lsn, Payload, TailBitmap, mask, mutant, ones};
use crate::quorum::{Compiled, Mask};
use smallvec::{SmallVec, smallvec};

impl Leadership {
    /// The replica of `bit` has accepted these under this leader: words with their numbers. What a
    /// quorum has now may commit, 64 positions at a time.
    pub(crate) fn accepted_at(&mut self, bit: Mask, fresh: &[(u64, u64)], log: &Log) {
        for &(index, fresh) in fresh {
            let Kind { special, overriding } = log.kind(index);
            if overriding & fresh != 0 {
                let late = fresh & overriding & self.settled.word(index);
                ones(64 * index, late).for_each(|lsn| self.cover_at(bit, lsn, log));
            }
            let fresh = fresh & !self.held.word(index);
            if fresh == 0 {
                continue;
            }
            let held = self.held_by_quorum_of(index, fresh);
            self.held.insert_word(index, held);
            let plain = held & !special & !self.settled.word(index);
            if self.parked.is_empty() && plain != 0 {
                // Nothing else follows from these.
                self.settled.insert_word(index, plain);
                self.news.push((index, plain));
            } else {
                ones(64 * index, plain).for_each(|lsn| self.settle(lsn, log));
            }
            if held & special != 0 {
                self.try_commit_all(index, held & special, log);
            }
        }
        self.held.insert_below(self.settled.offset());
    }

    /// Those that override first, the last one before the others, because what it overrides is
    /// settled with it; then those that depend, in order, because each may settle the next.
    fn try_commit_all(&mut self, index: u64, held: u64, log: &Log) {
        let overriding = log.kind(index).overriding;
        let mut open = held & overriding & !self.settled.word(index);
        while let Some(bit) = open.checked_ilog2() {
            self.try_commit(Lsn(64 * index + u64::from(bit)), log);
            open &= !(1 << bit) & !self.settled.word(index);
        }
        let rest = ones(64 * index, held & !overriding & !self.settled.word(index));
        rest.for_each(|lsn| self.try_commit(lsn, log));
    }

    /// Which of these positions `64 * index ..` a write quorum of every membership in force has.
    /// For a single one it is enough to know who has it.
    fn held_by_quorum_of(&self, index: u64, word: u64) -> u64 {
        if !word.is_power_of_two() {
            return word & self.held_by_quorum(index);
        }
        let lsn = Lsn(64 * index + u64::from(word.trailing_zeros()));
        let holders = self.holders(lsn);
        let placed = lsn < self.next && !self.empties.contains(lsn);
        let held = placed && self.quorums.iter().all(|quorum| quorum.is_quorum(holders));
        if held { word } else { 0 }
    }

    /// Which of the positions `64 * index ..` of its log a write quorum of every membership in
    /// force has.
    fn held_by_quorum(&self, index: u64) -> u64 {
        // By bit: the peers stand in the order in which they are sent to.
        let (mut few, mut many) = ([0; 8], Vec::new());
        let words = match few.get_mut(..=self.peers.len()) {
            Some(few) => few,
            None => {
                many.resize(self.peers.len() + 1, 0);
                &mut many[..]
            }
        };
        words[self.bit.trailing_zeros() as usize] = self.own_accepted.word(index);
        for peer in &self.peers {
            words[peer.bit.trailing_zeros() as usize] = peer.accepted.word(index);
        }
        let placed = mask(index, 0, self.next.0) & !self.empties.word(index);
        self.quorums.iter().fold(placed, |held, quorum| held & quorum.held(words))
    }

    /// The bits of the replicas that have accepted the record at `lsn`.
    fn holders(&self, lsn: Lsn) -> Mask {
        let own = if self.own_accepted.contains(lsn) { self.bit } else { 0 };
        let has = |peer: &&Peer| peer.accepted.contains(lsn);
        self.peers.iter().filter(has).fold(own, |mask, peer| mask | peer.bit)
    }

    /// A quorum at this leader id is one half of committing; every bit of `depends` settled the
    /// other. A membership has its own rule, the barrier, unless it is known to have passed it.
    fn try_commit(&mut self, lsn: Lsn, log: &Log) {
        let Some(brief) = log.brief(lsn) else { return };
        let only = brief.only_dependency(lsn);
        let ready = only.is_some_and(|only| self.settled.contains(only));
        if (brief.depends && !ready) || !brief.command {
            let Some(record) = log.get(lsn) else { return };
            let barred = matches!(record.payload, Payload::Membership(_));
            if mutant!(MembershipWithoutBarrier, barred, false) && Some(lsn) > self.membership_at {
                return;
            }
            let open = record.depends.iter().find(|d| !self.settled.contains(*d));
            if let Some(open) = mutant!(CommitsBeforeDependencies, open, None) {
                self.parked.entry(open).or_default().push(lsn);
                return;
            }
        }
        self.settle(lsn, log);
    }

    /// Purged at a voter: settled, though it may not have been committed by itself.
    pub(crate) fn settle_below(&mut self, below: Lsn, log: &Log) {
        let open: Vec<Lsn> = self.settled.holes(below).collect();
        let mut committed = SmallVec::new();
        for lsn in open {
            self.note_settled(lsn, log, &mut committed);
            self.cover_at(self.holders(lsn), lsn, log);
        }
        committed.into_iter().for_each(|lsn| self.settle(lsn, log));
        self.held.insert_below(self.settled.offset());
    }

    /// Seen to commit: the record and what it overrides are settled, and with them whatever only
    /// waited for that.
    fn settle(&mut self, lsn: Lsn, log: &Log) {
        let mut committed: SmallVec<[Lsn; 8]> = smallvec![lsn];
        while let Some(lsn) = committed.pop() {
            self.note_settled(lsn, log, &mut committed);
            if !log.brief(lsn).is_some_and(|brief| brief.overrides) {
                continue;
            }
            let Some(record) = log.get(lsn) else { continue };
            for (index, victims) in record.overrides.iter_words() {
                let news = victims & !self.settled.word(index);
                if self.parked.is_empty() && self.empties.is_empty() {
                    // Nothing else follows from these.
                    self.settled.insert_word(index, news);
                    self.note_news(index, news);
                    continue;
                }
                for victim in ones(64 * index, news) {
                    self.note_settled(victim, log, &mut committed);
                    // What it overrides itself is named here too, down to the floor. What lies
                    // below is sent to whoever lacks it, unless it is empty.
                    if !self.empties.is_empty() {
                        self.cover_at(self.holders(victim), victim, log);
                    }
                }
            }
            self.cover_at(self.holders(lsn), lsn, log);
        }
    }

    /// What a settled record overrides is covered at the replicas of `bits`, which have accepted
    /// it, however it came to be settled and whichever came first: what is empty here will never be
    /// accepted there, and a membership's barrier waits for one or the other (Membership 2).
    fn cover_at(&mut self, bits: Mask, lsn: Lsn, log: &Log) {
        let Some(overrides) = log.overrides(lsn) else { return };
        for peer in self.peers.iter_mut().filter(|peer| bits & peer.bit != 0) {
            peer.cover(overrides);
        }
        let open = overrides.last() >= Some(self.own_accepted.offset());
        if open && bits & self.bit != 0 {
            self.own_covered.union_with(overrides);
        }
    }

    fn note_settled(&mut self, lsn: Lsn, log: &Log, committed: &mut SmallVec<[Lsn; 8]>) {
        if !self.settled.insert(lsn) {
            return;
        }
        self.note_news(lsn.0 / 64, 1 << (lsn.0 % 64));
        if self.parked.is_empty() {
            return;
        }
        for waiting in self.parked.remove(&lsn).unwrap_or_default() {
            let Some(record) = log.get(waiting) else { continue };
            match record.depends.iter().find(|d| !self.settled.contains(*d)) {
                Some(open) => self.parked.entry(open).or_default().push(waiting),
                // The quorum may have been lost to a membership that came since.
                None if self.held.contains(waiting) => {
                    committed.push(waiting);
                }
                None => {}
            }
        }
    }

    fn note_news(&mut self, index: u64, news: u64) {
        match self.news.last_mut() {
            Some((last, word)) if *last == index => *word |= news,
            _ if news == 0 => {}
            _ => self.news.push((index, news)),
        }
    }

    /// The barrier (Membership 2): a membership at `m` commits only when write quorums of every
    /// membership in force have all positions up to `m`, each accepted or covered there. `own`
    /// says whether this replica does.
    pub(crate) fn is_past_barrier(&self, m: Lsn, own: bool) -> bool {
        let has = |mask, peer: &Peer| {
            let passed = mutant!(CoveredIsNoHolding, peer.passed(), peer.accepted.clone());
            if passed.offset() > m { mask | peer.bit } else { mask }
        };
        let holders = self.peers.iter().fold(if own { self.bit } else { 0 }, has);
        self.quorums.iter().all(|q| q.is_quorum(holders))
    }

    /// A membership has passed its barrier.
    pub(crate) fn settle_membership(&mut self, lsn: Lsn, log: &Log) {
        self.settle(lsn, log);
    }

    /// The memberships in force have changed: look again at everything that is open.
    pub(crate) fn requorum(&mut self, quorums: Vec<Compiled>, log: &Log) {
        if mutant!(OldQuorumsStay, true, self.quorums.is_empty()) {
            self.quorums = quorums;
        }
        let settled = self.settled.offset();
        self.held = TailBitmap::below(settled);
        for index in settled.0 / 64..self.next.0.div_ceil(64) {
            let held = self.held_by_quorum(index);
            self.held.insert_word(index, held);
            for lsn in ones(64 * index, held & !self.settled.word(index)) {
                self.try_commit(lsn, log);
            }
        }
    }
}

/// Words in order, each number once: what overrides is looked at from the last one down.
pub(crate) fn put_in_order(words: &mut Vec<(u64, u64)>) {
    words.sort_unstable_by_key(|(index, _)| *index);
    words.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 |= if same { next.1 } else { 0 };
        same
    });
}
