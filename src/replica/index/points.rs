//! The stacks of single keys.

use super::Placed;
use super::border::{Border, Span};
use super::order::Order;
use super::positions::{Log, PointAt, Positions, footprint, hash_of};
use super::stack::Stack;
use crate::base::{Footprint, Lsn, Record};
use hashbrown::hash_table::{HashTable, OccupiedEntry};

/// The points in flight, in two generations: what is put on a point brings it into the young one.
/// As soon as nothing is in flight that was there when the young one began, all of the old one is
/// dropped at once, and the young one becomes the old one. So whatever is trimmed costs nothing by
/// itself: looking for its point would mean a cache miss for each record, wide as the table is.
/// Points without a record in flight stay until then, and whoever looks skips them.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    young: Generation,
    old: Generation,
    /// Where the young ones began: the old ones have only records below.
    turn: Lsn,
    /// Records below are trimmed.
    start: Lsn,
    /// The keys are kept in order, while ranges are in use.
    ordered: bool,
    /// How many records without a range came since the last one with.
    since_range: usize,
}

/// A hash table that nobody iterates. A point is 24 bytes: its key is not copied but looked up in
/// the latest record of its stack, and only where the whole hash agrees.
#[derive(Clone, Debug, Default)]
struct Generation {
    table: HashTable<Point>,
    /// The keys in order, of points that were put here or are no more.
    order: Order<()>,
}

/// Never empty.
#[derive(Clone, Debug)]
struct Point {
    hash: u32,
    /// What the latest record calls the key.
    key: PointAt,
    stack: Stack,
}

/// Where a point is; true until a point is put in or taken out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    Young(usize),
    Old(usize),
}

/// Makes of a hash what the table wants: it looks at the lowest bits and at the highest ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Generation {
    fn put(&mut self, point: Point) {
        self.table.insert_unique(spread(point.hash), point, |point| spread(point.hash));
    }

    fn clear(&mut self) {
        self.order.clear();
        // Clearing a table takes as long as it ever was wide; a wide one is not kept.
        if self.table.capacity() > 1024 + 4 * self.table.len() {
            self.table = HashTable::new();
        } else if !self.table.is_empty() {
            self.table.clear();
        }
    }
}

impl Points {
    /// Whether no point is live or was lately.
    pub(super) fn is_empty(&self) -> bool {
        let none = |all: &Generation| all.table.is_empty() && all.order.is_empty();
        none(&self.young) && none(&self.old)
    }

    /// The stack of `key`, if it is live: its latest record is in flight.
    pub(super) fn get<'l>(&self, hash: u32, key: &[u8], log: &impl Log<'l>) -> Option<&Stack> {
        self.find(hash, key, log).map(|spot| self.stack(spot))
    }

    /// Where the point of `key` is, if it is live.
    pub(super) fn find<'l>(&self, hash: u32, key: &[u8], log: &impl Log<'l>) -> Option<Spot> {
        let is = |point: &Point| {
            let live = || point.stack.latest().filter(|latest| *latest >= self.start);
            let own = || live().map(|latest| point.key.key(log.record(latest)));
            point.hash == hash && own().is_some_and(|own| own == key)
        };
        let young = || self.young.table.find_bucket_index(spread(hash), is).map(Spot::Young);
        let old = || self.old.table.find_bucket_index(spread(hash), is).map(Spot::Old);
        young().or_else(old)
    }

    /// The stack of the point at a place that was just found.
    pub(super) fn stack(&self, spot: Spot) -> &Stack {
        let point = match spot {
            Spot::Young(at) => self.young.table.get_bucket(at),
            Spot::Old(at) => self.old.table.get_bucket(at),
        };
        point.map_or(&Stack::Empty, |point| &point.stack)
    }

    fn entry(&mut self, spot: Spot) -> Option<OccupiedEntry<'_, Point>> {
        match spot {
            Spot::Young(at) => self.young.table.get_bucket_entry(at).ok(),
            Spot::Old(at) => self.old.table.get_bucket_entry(at).ok(),
        }
    }

    /// Puts `record`, the latest one, on the stack of the key that it calls `key`.
    pub(super) fn push(&mut self, placed: Placed, key: PointAt, record: &Record) {
        let Placed { hash, at } = placed;
        if self.ordered {
            self.young.order.insert(Border::from(key.key(record)), ());
        }
        let Some(spot) = at else {
            let lsn = record.lsn;
            let stack = if key.is_written() { Stack::Writer(lsn) } else { Stack::Reader(lsn) };
            return self.young.put(Point { hash, key, stack });
        };
        let start = self.start;
        let Some(mut live) = self.entry(spot) else { return };
        let point = live.get_mut();
        point.key = key;
        point.stack.trim(start);
        match key.is_written() {
            true => point.stack.push_writer(record, record.is_blind()),
            false => point.stack.push_reader(record.lsn),
        }
        if let Spot::Old(_) = spot {
            let (point, _) = live.remove();
            self.young.put(point);
        }
    }

    /// Drops from the points in `span` what a writer of all of it, `record`, makes unnecessary.
    pub(super) fn overwrite<'l>(
        &mut self,
        span: &Span,
        record: &Record,
        blind: bool,
        log: &impl Log<'l>,
    ) {
        let borders: Vec<Border> = self.ordered_in(span).cloned().collect();
        for border in borders {
            if border.with_key(|key| self.overwrite_one(key, record, blind, log)) {
                self.young.order.remove(&border);
                self.old.order.remove(&border);
            }
        }
    }

    /// The same for one key; says whether it is not live any more.
    fn overwrite_one<'l>(
        &mut self,
        key: &[u8],
        record: &Record,
        blind: bool,
        log: &impl Log<'l>,
    ) -> bool {
        let start = self.start;
        let spot = self.find(hash_of(key), key, log);
        let Some(mut live) = spot.and_then(|spot| self.entry(spot)) else { return true };
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

    /// Records below `below` are trimmed; the next one inserted is not below `end`.
    pub(super) fn trim(&mut self, below: Lsn, end: Lsn) {
        self.start = below;
        if below >= self.turn {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.turn = end;
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.ordered = false;
    }

    /// The live points in `span` with their stacks, last first. Nothing unless points are kept in
    /// order.
    pub(super) fn live_in<'a, 'l, L: Log<'l>>(
        &'a self,
        span: &Span,
        log: &'a L,
    ) -> impl Iterator<Item = (&'a Border, &'a Stack)> {
        self.ordered_in(span).filter_map(|border| {
            let stack = border.with_key(|key| self.get(hash_of(key), key, log))?;
            Some((border, stack))
        })
    }

    /// The keys in `span`, last first, each once.
    fn ordered_in<'a>(&'a self, span: &Span) -> impl Iterator<Item = &'a Border> {
        let keys = |all: &'a Generation| all.order.keys_in(span).peekable();
        let (mut young, mut old) = (keys(&self.young), keys(&self.old));
        std::iter::from_fn(move || {
            old.next_if(|key| young.peek() == Some(key));
            let next = young.next_if(|key| old.peek().is_none_or(|old| old < key));
            next.or_else(|| old.next())
        })
    }

    /// Keeps the points in order from now on.
    pub(super) fn keep_order<'l>(&mut self, positions: &Positions, log: &impl Log<'l>) {
        self.since_range = 0;
        if self.ordered {
            return;
        }
        self.ordered = true;
        for lsn in positions.commands_from(positions.start()) {
            let Footprint { reads, writes } = footprint(log.record(lsn));
            for key in reads.points().iter().chain(writes.points()) {
                if self.get(hash_of(key), key, log).is_some() {
                    self.young.order.insert(Border::from(key), ());
                }
            }
        }
    }

    /// Notes a record without a range while no range is in flight. The order is made from all
    /// records at once, so it is given up only after several times as many.
    pub(super) fn lose_order(&mut self, positions: &Positions) {
        self.since_range += 1;
        if self.since_range > 1024 + 4 * positions.len() {
            self.ordered = false;
            self.young.order.clear();
            self.old.order.clear();
        }
    }

    /// Whether the points are kept in order.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered
    }
}
