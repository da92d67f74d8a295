//! Committing: which records will never be undone (algorithm.md, Words and Membership 2).

use super::lead::Leadership;
use super::log::Log;
use super::peer::Peer;
use crate::base::{Lsn, Payload};
use crate::quorum::Compiled;
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;

/// Who has accepted the record at one position under this leader.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    acks: u64,
    quorum: bool,
}

/// The positions above the settled prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    base: u64,
    slots: VecDeque<Slot>,
}

impl Slots {
    pub(crate) fn new(base: Lsn) -> Slots {
        Slots { base: base.0, slots: VecDeque::new() }
    }

    /// The first position that is tracked.
    pub(crate) fn base(&self) -> Lsn {
        Lsn(self.base)
    }

    fn get(&mut self, lsn: Lsn) -> Option<&mut Slot> {
        let at = lsn.0.checked_sub(self.base)? as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::default());
        }
        self.slots.get_mut(at)
    }

    fn trim(&mut self, below: Lsn) {
        let gone = below.0.saturating_sub(self.base).min(self.slots.len() as u64);
        self.slots.drain(..gone as usize);
        self.base = self.base.max(below.0);
    }
}

impl Leadership {
    /// The replica of `bit` has accepted the record at `lsn` under this leader.
    pub(crate) fn accepted_at(&mut self, bit: u64, lsn: Lsn, log: &Log) {
        if lsn < self.slots.base() || lsn >= self.next {
            self.cover_peer(bit, lsn, log);
            return;
        }
        let Some(slot) = self.slots.get(lsn) else { return };
        slot.acks |= bit;
        let (acks, quorum) = (slot.acks, slot.quorum);
        if self.settled.contains(lsn) {
            self.cover_peer(bit, lsn, log);
        } else if !quorum && self.quorums.iter().all(|q| q.is_quorum(acks)) {
            if let Some(slot) = self.slots.get(lsn) {
                slot.quorum = true;
            }
            self.try_commit(lsn, log);
        }
    }

    /// A quorum at this leader id is one half of committing; every bit of `depends` settled the
    /// other. A membership has its own rule, the barrier, unless it is known to have passed it.
    fn try_commit(&mut self, lsn: Lsn, log: &Log) {
        let Some(brief) = log.brief(lsn) else { return };
        if brief.depends || !brief.command {
            let Some(record) = log.get(lsn) else { return };
            let barred = matches!(record.payload, Payload::Membership(_));
            if barred && Some(lsn) > self.membership_at {
                return;
            }
            if let Some(open) = record.depends.iter().find(|d| !self.settled.contains(*d)) {
                self.parked.entry(open).or_default().push(lsn);
                return;
            }
        }
        self.settle(lsn, log);
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
            for victim in record.overrides.iter() {
                self.note_settled(victim, log, &mut committed);
            }
            let acks = self.slots.get(lsn).map_or(0, |slot| slot.acks);
            for peer in self.peers.iter_mut().filter(|peer| acks & peer.bit != 0) {
                peer.cover(&record.overrides);
            }
            if acks & self.bit != 0 {
                self.own_covered.union_with(&record.overrides);
            }
        }
        self.slots.trim(self.settled.offset());
    }

    fn note_settled(&mut self, lsn: Lsn, log: &Log, committed: &mut SmallVec<[Lsn; 8]>) {
        if !self.settled.insert(lsn) {
            return;
        }
        self.news.push(lsn);
        if self.parked.is_empty() {
            return;
        }
        for waiting in self.parked.remove(&lsn).unwrap_or_default() {
            let Some(record) = log.get(waiting) else { continue };
            match record.depends.iter().find(|d| !self.settled.contains(*d)) {
                Some(open) => self.parked.entry(open).or_default().push(waiting),
                // The quorum may have been lost to a membership that came since.
                None if self.slots.get(waiting).is_some_and(|slot| slot.quorum) => {
                    committed.push(waiting);
                }
                None => {}
            }
        }
    }

    /// The barrier (Membership 2): a membership at `m` commits only when write quorums of every
    /// membership in force have all positions up to `m`, each accepted or covered there. `own`
    /// says whether this replica does.
    pub(crate) fn is_past_barrier(&self, m: Lsn, own: bool) -> bool {
        let has = |mask, peer: &Peer| {
            if peer.passed().offset() > m { mask | peer.bit } else { mask }
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
        self.quorums = quorums;
        for lsn in (self.slots.base().0..self.next.0).map(Lsn) {
            let Some(slot) = self.slots.get(lsn) else { continue };
            let acks = slot.acks;
            let has = self.quorums.iter().all(|q| q.is_quorum(acks));
            if let Some(slot) = self.slots.get(lsn) {
                slot.quorum = has;
            }
            if has && !self.settled.contains(lsn) {
                self.try_commit(lsn, log);
            }
        }
    }

    /// A record that was settled before has reached one more replica.
    fn cover_peer(&mut self, bit: u64, lsn: Lsn, log: &Log) {
        if !log.brief(lsn).is_some_and(|brief| brief.overrides) {
            return;
        }
        let Some(record) = log.get(lsn) else { return };
        if bit == self.bit {
            self.own_covered.union_with(&record.overrides);
        } else if let Some(peer) = self.peers.iter_mut().find(|peer| peer.bit == bit) {
            peer.cover(&record.overrides);
        }
    }
}
