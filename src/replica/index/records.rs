//! The commands in flight by position.

use crate::base::{Footprint, Key, Lsn, Record};
use std::collections::VecDeque;
use std::sync::Arc;

/// Every record inserted and not trimmed. Positions without a command cost two words each; the
/// log itself keeps more for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    slots: VecDeque<Slot>,
    start: Lsn,
}

/// A position.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) record: Option<Arc<Record>>,
    /// The hash of the key of a record that touches a single point and nothing else, so that
    /// trimming need not look at the record, long out of the cache; zero for any other record.
    pub(super) hash: u64,
}

/// Which of the points of a record's footprint, to tell a key without keeping a copy of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointAt {
    written: bool,
    at: u32,
}

impl Records {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The number of positions kept.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The first position that is not trimmed.
    pub(super) fn start(&self) -> Lsn {
        self.start
    }

    /// One past the last record; not below the start.
    pub(super) fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.slots.len() as u64)
    }

    /// Puts a record at the end.
    pub(super) fn push(&mut self, record: &Arc<Record>, hash: u64) {
        assert!(record.lsn >= self.end(), "{record} is not above {}", self.end());
        if self.slots.is_empty() {
            self.start = record.lsn;
        }
        while self.end() < record.lsn {
            self.slots.push_back(Slot::default());
        }
        self.slots.push_back(Slot { record: Some(Arc::clone(record)), hash });
    }

    /// Takes the first position out if it is below `below`.
    pub(super) fn pop_below(&mut self, below: Lsn) -> Option<(Lsn, Slot)> {
        if self.start >= below {
            return None;
        }
        let Some(slot) = self.slots.pop_front() else {
            self.start = below;
            return None;
        };
        let lsn = self.start;
        self.start = lsn.next();
        Some((lsn, slot))
    }

    /// The record at a position that a stack names.
    pub(super) fn get(&self, lsn: Lsn) -> &Record {
        let at = (lsn.0 - self.start.0) as usize;
        self.slots[at].record.as_ref().expect("a stack names only records inserted")
    }

    /// The records at and above `from`, in order.
    pub(super) fn iter_from(&self, from: Lsn) -> impl Iterator<Item = &Record> {
        let skipped = from.0.saturating_sub(self.start.0).min(self.slots.len() as u64) as usize;
        self.slots.range(skipped..).filter_map(|slot| slot.record.as_deref())
    }

    /// The key that a record calls so.
    pub(super) fn key(&self, lsn: Lsn, point: PointAt) -> &Key {
        let footprint = footprint(self.get(lsn));
        let keys = if point.written { &footprint.writes } else { &footprint.reads };
        &keys.points()[point.at as usize]
    }
}

impl PointAt {
    /// What `record`, which has `key` among its points, calls it.
    pub(super) fn of(record: &Record, key: &Key) -> PointAt {
        let Footprint { reads, writes } = footprint(record);
        let (written, at) = match writes.points().binary_search(key) {
            Ok(at) => (true, at),
            Err(_) => (false, reads.points().partition_point(|read| read < key)),
        };
        PointAt { written, at: at as u32 }
    }
}

fn footprint(record: &Record) -> &Footprint {
    &record.command().expect("only commands are inserted").footprint
}
