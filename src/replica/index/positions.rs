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

/// What is known of a position without looking at its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// It has no command.
    Nothing,
    /// A command that touches a single point and nothing else: the hash of the key.
    Point(u64),
    /// Any other command.
    Command,
}

/// The positions from the first one that is not trimmed to the last one inserted, a word each.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    slots: VecDeque<u64>,
    start: Lsn,
}

const NOTHING: u64 = 0;
const COMMAND: u64 = 1;
/// Keeps hashes apart from the two values above.
const HASH_BIT: u64 = 2;

/// The hash of a key, with a fixed hasher.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    rustc_hash::FxBuildHasher.hash_one(key) | HASH_BIT
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

    /// Puts a command at the end.
    pub(super) fn push(&mut self, lsn: Lsn, slot: Slot) {
        assert!(lsn >= self.end(), "{lsn} is not above {}", self.end());
        if self.slots.is_empty() {
            self.start = lsn;
        } else if lsn > self.end() {
            self.slots.resize((lsn.0 - self.start.0) as usize, NOTHING);
        }
        self.slots.push_back(match slot {
            Slot::Nothing => NOTHING,
            Slot::Command => COMMAND,
            Slot::Point(hash) => hash,
        });
    }

    /// Takes all out, below `start`.
    pub(super) fn clear(&mut self, start: Lsn) {
        self.slots.clear();
        self.start = start;
    }

    /// Takes the first position out if it is below `below`, which is below the end.
    pub(super) fn pop_below(&mut self, below: Lsn) -> Option<(Lsn, Slot)> {
        if self.start >= below {
            return None;
        }
        let slot = self.slots.pop_front()?;
        let lsn = self.start;
        self.start = lsn.next();
        Some((lsn, read(slot)))
    }

    /// The positions at and above `from` that have a command, in order.
    pub(super) fn commands_from(&self, from: Lsn) -> impl Iterator<Item = Lsn> {
        let from = from.max(self.start).min(self.end());
        let slots = self.slots.range((from.0 - self.start.0) as usize..);
        slots.zip(from.0..).filter(|(slot, _)| **slot != NOTHING).map(|(_, lsn)| Lsn(lsn))
    }
}

fn read(slot: u64) -> Slot {
    match slot {
        NOTHING => Slot::Nothing,
        COMMAND => Slot::Command,
        hash => Slot::Point(hash),
    }
}

/// Which of the points of a record's footprint, to tell a key without keeping a copy of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointAt {
    written: bool,
    at: u32,
}

impl PointAt {
    /// What `record`, which has `key` among its points, calls it.
    pub(super) fn of(record: &Record, key: &[u8]) -> PointAt {
        let Footprint { reads, writes } = footprint(record);
        let (written, at) = match writes.points().binary_search_by(|point| point[..].cmp(key)) {
            Ok(at) => (true, at),
            Err(_) => (false, reads.points().partition_point(|point| point[..] < *key)),
        };
        PointAt { written, at: at as u32 }
    }

    /// The only point of a footprint, which may be written and read.
    pub(super) fn only(footprint: &Footprint) -> PointAt {
        PointAt { written: !footprint.writes.is_empty(), at: 0 }
    }

    /// Whether the record writes it.
    pub(super) fn is_written(self) -> bool {
        self.written
    }

    /// The key that `record` calls so.
    pub(super) fn key(self, record: &Record) -> &Key {
        let footprint = footprint(record);
        let keys = if self.written { &footprint.writes } else { &footprint.reads };
        &keys.points()[self.at as usize]
    }
}

/// The footprint of a record in the index.
pub(super) fn footprint(record: &Record) -> &Footprint {
    &record.command().expect("only commands are in the index").footprint
}
