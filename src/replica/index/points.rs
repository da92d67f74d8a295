//! The stacks of single keys.

use super::Placed;
use super::border::{Border, Span};
use super::positions::{Log, PointAt, Positions, footprint, hash_of};
use super::stack::Stack;
use crate::base::{Footprint, Lsn, Record};
use hashbrown::hash_table::HashTable;
use std::collections::BTreeMap;

/// Live points: those with something on their stacks. A hash table that nobody iterates. A point
/// is 32 bytes: its key is not copied but looked up in the latest record of its stack, and only
/// where the whole hash agrees.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    table: HashTable<Point>,
    /// The keys in order, while ranges are in use, each with the latest record that was put there.
    /// Keys that are not live any more are swept away some time after that record is trimmed.
    ordered: Option<BTreeMap<Border, Lsn>>,
    /// How many points were trimmed since the last sweep.
    trimmed: usize,
    /// How many records without a range came since the last one with.
    since_range: usize,
}

/// Never empty; the latest record on its stack is not trimmed.
#[derive(Clone, Debug)]
struct Point {
    hash: u64,
    /// What the latest record calls the key.
    key: PointAt,
    stack: Stack,
}

impl Point {
    fn is<'l>(&self, hash: u64, key: &[u8], log: &impl Log<'l>) -> bool {
        let latest = || self.stack.latest().map(|lsn| self.key.key(log.record(lsn)));
        self.hash == hash && latest().is_some_and(|own| own == key)
    }
}

impl Points {
    /// Whether no point is live.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.ordered.as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// The stack of `key`, if it is live.
    pub(super) fn get<'l>(&self, hash: u64, key: &[u8], log: &impl Log<'l>) -> Option<&Stack> {
        self.table.find(hash, |point| point.is(hash, key, log)).map(|point| &point.stack)
    }

    /// Where the point of `key` is, if it is live; true until a point is put in or taken out.
    pub(super) fn find<'l>(&self, hash: u64, key: &[u8], log: &impl Log<'l>) -> Option<usize> {
        self.table.find_bucket_index(hash, |point| point.is(hash, key, log))
    }

    /// The stack of the point at a place that was just found.
    pub(super) fn stack(&self, at: usize) -> &Stack {
        self.table.get_bucket(at).map_or(&Stack::Empty, |point| &point.stack)
    }

    /// Puts `record`, the latest one, on the stack of the key that it calls `key`.
    pub(super) fn push(&mut self, placed: Placed, key: PointAt, record: &Record) {
        let (Placed { hash, at }, written) = (placed, key.is_written());
        match at.and_then(|at| self.table.get_bucket_mut(at)) {
            Some(point) => {
                match written {
                    true => point.stack.push_writer(record, record.is_blind()),
                    false => point.stack.push_reader(record.lsn),
                }
                point.key = key;
            }
            None => {
                let lsn = record.lsn;
                let stack = if written { Stack::Writer(lsn) } else { Stack::Reader(lsn) };
                let point = Point { hash, key, stack };
                self.table.insert_unique(hash, point, |point| point.hash);
            }
        }
        if let Some(ordered) = &mut self.ordered {
            ordered.insert(Border::from(key.key(record)), record.lsn);
        }
    }

    /// Drops from the points in `span` what a writer of all of it, `record`, makes unnecessary.
    pub(super) fn overwrite<'l>(
        &mut self,
        span: &Span,
        record: &Record,
        blind: bool,
        start: Lsn,
        log: &impl Log<'l>,
    ) {
        let borders: Vec<Border> = self.ordered_in(span, start).cloned().collect();
        for border in borders {
            let dissolved =
                border.with_key(|key| self.overwrite_one(key, record, blind, start, log));
            if dissolved && let Some(ordered) = &mut self.ordered {
                ordered.remove(&border);
            }
        }
    }

    /// The same for one key; says whether it is not live any more.
    fn overwrite_one<'l>(
        &mut self,
        key: &[u8],
        record: &Record,
        blind: bool,
        start: Lsn,
        log: &impl Log<'l>,
    ) -> bool {
        let hash = hash_of(key);
        let Ok(mut live) = self.table.find_entry(hash, |point| point.is(hash, key, log)) else {
            return true;
        };
        let point = live.get_mut();
        if blind {
            point.stack.overwrite(record);
        }
        // What is trimmed does not come to the top again.
        let latest = point.stack.latest().filter(|latest| blind && *latest >= start);
        match latest {
            Some(latest) => point.key = PointAt::of(log.record(latest), key),
            None => drop(live.remove()),
        }
        latest.is_none()
    }

    /// Drops the record at `lsn`, just trimmed, from the stack of one of its points, and from a
    /// deeper stack what is below `below`.
    pub(super) fn trim(&mut self, hash: u64, lsn: Lsn, below: Lsn) {
        // With the hash, the record on top tells a point from all others but those of the same
        // record, and each of these goes once.
        let last = |point: &Point| point.hash == hash && point.stack.latest() == Some(lsn);
        if let Ok(point) = self.table.find_entry(hash, last) {
            point.remove();
            self.trimmed += 1;
        } else if let Some(point) = self.table.find_mut(hash, |point| point.hash == hash) {
            // The latest record stays until its own turn: it tells whose point this is.
            let latest = point.stack.latest().unwrap_or(below);
            point.stack.trim(below.min(latest));
        }
    }

    /// Drops keys from the order that nothing was put on since `start`, once there are many.
    pub(super) fn sweep(&mut self, start: Lsn) {
        if let Some(ordered) = &mut self.ordered
            && self.trimmed > 64 + ordered.len() / 2
        {
            self.trimmed = 0;
            ordered.retain(|_, latest| *latest >= start);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.ordered = None;
        // Clearing a table takes as long as it ever was wide; a wide one is not kept.
        if self.table.capacity() > 1024 + 4 * self.table.len() {
            self.table = HashTable::new();
        } else if !self.table.is_empty() {
            self.table.clear();
        }
    }

    /// The live points in `span` with their stacks, last first. Nothing unless points are kept in
    /// order.
    pub(super) fn live_in<'a, 'l, L: Log<'l>>(
        &'a self,
        span: &Span,
        start: Lsn,
        log: &'a L,
    ) -> impl Iterator<Item = (&'a Border, &'a Stack)> + use<'a, 'l, L> {
        self.ordered_in(span, start).rev().filter_map(|border| {
            let stack = border.with_key(|key| self.get(hash_of(key), key, log))?;
            Some((border, stack))
        })
    }

    fn ordered_in<'a>(
        &'a self,
        span: &Span,
        start: Lsn,
    ) -> impl DoubleEndedIterator<Item = &'a Border> + use<'a> {
        let keys = self.ordered.as_ref().map(|keys| keys.range(span.bounds()));
        let keys = keys.into_iter().flatten();
        keys.filter(move |(_, latest)| **latest >= start).map(|(border, _)| border)
    }

    /// Keeps the points in order from now on.
    pub(super) fn keep_order<'l>(&mut self, positions: &Positions, log: &impl Log<'l>) {
        self.since_range = 0;
        if self.ordered.is_some() {
            return;
        }
        let mut ordered = BTreeMap::new();
        for lsn in positions.commands_from(positions.start()) {
            let Footprint { reads, writes } = footprint(log.record(lsn));
            for key in reads.points().iter().chain(writes.points()) {
                if self.get(hash_of(key), key, log).is_some() {
                    ordered.insert(Border::from(key), lsn);
                }
            }
        }
        self.ordered = Some(ordered);
    }

    /// Notes a record without a range while no range is in flight. The order is made from all
    /// records at once, so it is given up only after several times as many.
    pub(super) fn lose_order(&mut self, positions: &Positions) {
        self.since_range += 1;
        if self.since_range > 1024 + 4 * positions.len() {
            self.ordered = None;
        }
    }

    /// Whether the points are kept in order.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered.is_some()
    }
}
