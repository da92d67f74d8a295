//! The positions in flight, and names for the keys that stand there.

use crate::base::{Footprint, Key, Lsn, Record};
use std::collections::VecDeque;

/// The records of the log that surrounds the index, by position. It keeps none itself: they are
/// long out of the cache when they are trimmed, and most are never looked at again.
pub(super) trait Log<'l>: Fn(Lsn) -> Option<&'l Record> {
    /// The record at a position that is in the index.
    fn record(&self, lsn: Lsn) -> &'l Record {
        self(lsn).expect("the log holds what is in the index")
    }
}

impl<'l, F: Fn(Lsn) -> Option<&'l Record>> Log<'l> for F {}

/// The positions from the first one that is not trimmed to the last one inserted: what has to be
/// known of a record when it is trimmed, without looking at it.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    /// How many ranges a command touches, if there is one that touches anything.
    slots: VecDeque<Option<u32>>,
    start: Lsn,
}

/// The hash of a key, with a fixed hasher.
pub(super) fn hash_of(key: &[u8]) -> u32 {
    use std::hash::BuildHasher;
    rustc_hash::FxBuildHasher.hash_one(key) as u32
}

impl Positions {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The first position that is not trimmed.
    pub(super) fn start(&self) -> Lsn {
        self.start
    }

    /// One past the last one inserted; not below the start.
    pub(super) fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.slots.len() as u64)
    }

    /// Puts a command with this footprint at the end.
    pub(super) fn push(&mut self, lsn: Lsn, footprint: &Footprint) {
        assert!(lsn >= self.end(), "{lsn} is not above {}", self.end());
        if self.slots.is_empty() {
            self.start = lsn;
        } else if lsn > self.end() {
            self.slots.resize((lsn.0 - self.start.0) as usize, None);
        }
        let Footprint { reads, writes } = footprint;
        let ranges = (reads.ranges().len() + writes.ranges().len()) as u32;
        let touches = !reads.is_empty() || !writes.is_empty();
        self.slots.push_back(touches.then_some(ranges));
    }

    /// Takes all out, below `start`.
    pub(super) fn clear(&mut self, start: Lsn) {
        self.slots.clear();
        self.start = start;
    }

    /// Takes out what is below `below`, which is below the end. How many ranges that touches.
    pub(super) fn trim(&mut self, below: Lsn) -> usize {
        let gone = below.0.saturating_sub(self.start.0);
        self.start = self.start.max(below);
        self.slots.drain(..gone as usize).flatten().map(|ranges| ranges as usize).sum()
    }

    /// The positions at and above `from` that have a command which touches something, in order.
    pub(super) fn commands_from(&self, from: Lsn) -> impl Iterator<Item = Lsn> {
        let from = from.max(self.start).min(self.end());
        let slots = self.slots.range((from.0 - self.start.0) as usize..);
        slots.zip(from.0..).filter(|(slot, _)| slot.is_some()).map(|(_, lsn)| Lsn(lsn))
    }
}

/// Which of the points of a record's footprint, to tell a key without keeping a copy of it: twice
/// the place among those that are written or among those that are only read, and one if written.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointAt(u32);

impl PointAt {
    /// What `record`, which has `key` among its points, calls it.
    pub(super) fn of(record: &Record, key: &[u8]) -> PointAt {
        let Footprint { reads, writes } = footprint(record);
        let (written, at) = match writes.points().binary_search_by(|point| point[..].cmp(key)) {
            Ok(at) => (true, at),
            Err(_) => (false, reads.points().partition_point(|point| point[..] < *key)),
        };
        PointAt::new(written, at)
    }

    /// The only point of a footprint, which may be written and read.
    pub(super) fn only(footprint: &Footprint) -> PointAt {
        PointAt::new(!footprint.writes.is_empty(), 0)
    }

    fn new(written: bool, at: usize) -> PointAt {
        PointAt(2 * at as u32 + u32::from(written))
    }

    /// Whether the record writes it.
    pub(super) fn is_written(self) -> bool {
        self.0 % 2 == 1
    }

    /// The key that `record` calls so.
    pub(super) fn key(self, record: &Record) -> &Key {
        let footprint = footprint(record);
        let keys = if self.is_written() { &footprint.writes } else { &footprint.reads };
        &keys.points()[self.0 as usize / 2]
    }
}

/// The footprint of a record in the index.
pub(super) fn footprint(record: &Record) -> &Footprint {
    &record.command().expect("only commands are in the index").footprint
}
