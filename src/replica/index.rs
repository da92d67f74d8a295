//! From a footprint to the records in flight that a command must depend on or may override.

mod place;
mod segments;
mod stack;

use crate::base::{Footprint, Key, KeyRange, KeySet, Lsn, Record, Tail};
use place::Search;
use rustc_hash::FxHashMap;
use segments::{Segments, bounds};
use smallvec::SmallVec;
use stack::Stack;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Where a command stands among the records in flight (algorithm.md, Authoring). Both sets hold
/// bits at and above the floor only, and share none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// What must be done before the command is applied: what interferes with it, less its victims,
    /// less what a remaining one overrides, less what a remaining one reaches through `depends`.
    /// Of a command with several keys, a few that another one reaches may be left: safe, and
    /// already implied.
    pub depends: Tail,
    /// What need not be applied once the command is: its victims and what those override.
    pub overrides: Tail,
}

/// The interference index of a leader: the commands in flight by the keys they touch.
///
/// ```text
///   points   "a": 7r 9r          latest on top; a stack holds what can still matter
///            "c": 4w 8w
///   segments ["b" "d"): 2w 6r    what ranges in flight do to every key between two borders
/// ```
///
/// A command looks into the stacks of its points, of the segments that its points lie in or its
/// ranges overlap, and of the live points inside its ranges. Of each it takes what is on top:
/// what lies deeper is reached through that. So a command costs the logarithm of what is in
/// flight, plus the segments and points it touches, plus the size of the answer; a command with
/// points alone, while no range is in flight, costs one hash look-up a key.
///
/// Keys of single points live in a hash map with a fixed hasher that nobody iterates. The order
/// among them is kept only from the first range command on. A command that reads something and
/// writes every key clears all and is remembered apart.
///
/// Memory: one entry a key and record, from [`insert`](Self::insert) until something makes it
/// unnecessary or [`trim`](Self::trim) passes it.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Every record inserted and not trimmed; the front is at position `start`.
    records: VecDeque<Option<Arc<Record>>>,
    start: Lsn,
    points: FxHashMap<Key, Stack>,
    /// The keys of `points` in order, while ranges are in use.
    ordered: Option<BTreeSet<Key>>,
    /// How many records without a range came since the last one with.
    since_range: usize,
    segments: Segments,
    /// The latest record that interferes with everything before and after it.
    barrier: Option<Lsn>,
    frontier: Frontier,
}

/// The records that no later one depends on or overrides: what a command that interferes with
/// everything depends on. Brought up to date only when such a command comes.
#[derive(Clone, Debug, Default)]
struct Frontier {
    latest: Tail,
    next: Lsn,
}

impl Index {
    /// Nothing is in flight.
    pub fn new() -> Index {
        Index::default()
    }

    /// Notes a record of the log, above every one inserted before. What has no footprint (voids,
    /// memberships, commands that touch nothing) interferes with nothing and leaves no trace.
    pub fn insert(&mut self, record: &Arc<Record>) {
        let end = Lsn(self.start.0 + self.records.len() as u64);
        assert!(record.lsn >= end, "{record} comes after {end}");
        let Some(command) = record.command() else { return };
        let footprint = &command.footprint;
        if self.records.is_empty() {
            self.start = record.lsn;
        }
        // Positions without a command cost one word each; the log itself keeps more for them.
        self.records.resize((record.lsn.0 - self.start.0) as usize, None);
        self.records.push_back(Some(Arc::clone(record)));
        if is_barrier(footprint) {
            self.set_barrier(record.lsn);
        } else {
            self.note_ranges(footprint);
            self.insert_reads(footprint, record.lsn);
            self.insert_writes(&footprint.writes, record, footprint.is_blind());
        }
    }

    /// `depends` and `overrides` of a command with `footprint` placed above everything inserted,
    /// bits at and above `floor`. Without `overriding` it depends instead of overriding anything.
    ///
    /// Rests on two facts of the log: the floors of the records inserted are not above `floor`
    /// (I-11), and what a record inserted has in `depends` or `overrides` is inserted as well,
    /// unless it lies below `floor`, or the record is itself overridden by one inserted (closure).
    pub fn place(&mut self, footprint: &Footprint, floor: Lsn, overriding: bool) -> Placement {
        if is_barrier(footprint) {
            return Placement { depends: self.frontier(floor), overrides: Tail::new() };
        }
        self.order_points_for(footprint);
        let mut placement = Search::new(self, footprint, floor).place(footprint, overriding);
        // Every record above the barrier depends on it or on one that does, so it is named only
        // where no other is.
        if placement.depends.is_empty()
            && let Some(barrier) = self.barrier.filter(|lsn| *lsn >= floor)
            && !(footprint.reads.is_empty() && footprint.writes.is_empty())
        {
            placement.depends.insert(barrier);
        }
        placement
    }

    /// The latest records at and above `from` that write one of the keys `reads`. Once these are
    /// done, so is every record inserted that does: applied before them, or marked by one that
    /// overrides it (algorithm.md, Reading 1).
    pub fn latest_writers(&mut self, reads: &KeySet, from: Lsn) -> SmallVec<[Lsn; 4]> {
        let footprint = Footprint::read(reads.clone());
        let placement = self.place(&footprint, from, false);
        placement.depends.iter().collect()
    }

    /// Forgets the records below `below`, for good: no later floor may be less. Constant time
    /// amortized for each key of a record.
    pub fn trim(&mut self, below: Lsn) {
        while self.start < below && !self.records.is_empty() {
            let gone = self.records.pop_front().flatten();
            self.start = self.start.next();
            if let Some(record) = gone
                && self.barrier.is_none_or(|barrier| barrier < record.lsn)
                && let Some(command) = record.command()
            {
                self.trim_stacks(&command.footprint, below);
            }
        }
        self.start = self.start.max(below);
        self.barrier = self.barrier.filter(|barrier| *barrier >= below);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.points.is_empty()
            && self.ordered.as_ref().is_none_or(BTreeSet::is_empty)
            && self.segments.is_empty()
            && self.barrier.is_none()
    }

    /// The record at a position that a stack names.
    fn record(&self, lsn: Lsn) -> &Record {
        let at = (lsn.0 - self.start.0) as usize;
        self.records[at].as_ref().expect("stacks hold only positions of records inserted")
    }

    /// The live points in `range`, in order. Points are in order whenever a range is in flight.
    fn live_in<'a>(&'a self, range: &KeyRange) -> impl Iterator<Item = &'a Key> + use<'a> {
        let keys = self.ordered.as_ref().map(|keys| keys.range::<[u8], _>(bounds(range)));
        keys.into_iter().flatten()
    }

    fn insert_reads(&mut self, footprint: &Footprint, lsn: Lsn) {
        let Footprint { reads, writes } = footprint;
        for key in reads.points() {
            if writes.points().binary_search(key).is_err() {
                self.stack(key).push_reader(lsn);
            }
        }
        for range in reads.ranges() {
            self.segments.push_reader(range, lsn);
        }
    }

    fn insert_writes(&mut self, writes: &KeySet, record: &Record, blind: bool) {
        for key in writes.points() {
            self.stack(key).push_writer(record, blind);
        }
        for range in writes.ranges() {
            self.overwrite_points(range, record, blind);
            self.segments.push_writer(range, record, blind);
        }
    }

    /// Drops from the points in `range` what a writer of the range makes unnecessary.
    fn overwrite_points(&mut self, range: &KeyRange, record: &Record, blind: bool) {
        let keys: Vec<Key> = self.live_in(range).cloned().collect();
        for key in keys {
            let stack = self.stack(&key);
            if blind {
                stack.overwrite(record);
            }
            if !blind || stack.is_empty() {
                self.remove_point(&key);
            }
        }
    }

    fn trim_stacks(&mut self, footprint: &Footprint, below: Lsn) {
        let Footprint { reads, writes } = footprint;
        for key in reads.points().iter().chain(writes.points()) {
            if let Some(stack) = self.points.get_mut(key) {
                stack.trim(below);
                if stack.is_empty() {
                    self.remove_point(key);
                }
            }
        }
        for range in reads.ranges().iter().chain(writes.ranges()) {
            self.segments.trim(range, below);
        }
    }

    /// The stack of a point, which becomes live.
    fn stack(&mut self, key: &Key) -> &mut Stack {
        if let Some(ordered) = &mut self.ordered
            && !self.points.contains_key(key)
        {
            ordered.insert(key.clone());
        }
        self.points.entry(key.clone()).or_default()
    }

    fn remove_point(&mut self, key: &Key) {
        self.points.remove(key);
        if let Some(ordered) = &mut self.ordered {
            ordered.remove(key);
        }
    }

    fn set_barrier(&mut self, lsn: Lsn) {
        self.barrier = Some(lsn);
        self.frontier = Frontier { latest: Tail::from_iter([lsn]), next: lsn.next() };
        self.segments.clear();
        self.ordered = None;
        // Clearing a map takes as long as it ever was wide; a wide one is not kept.
        if self.points.capacity() > 1024 + 4 * self.points.len() {
            self.points = FxHashMap::default();
        } else if !self.points.is_empty() {
            self.points.clear();
        }
    }

    /// What a command that interferes with everything depends on.
    fn frontier(&mut self, floor: Lsn) -> Tail {
        let Frontier { latest, next } = &mut self.frontier;
        latest.remove_below(floor);
        let from = floor.max(*next).max(self.start);
        for record in self.records.iter().skip((from.0 - self.start.0) as usize).flatten() {
            record.depends.iter().chain(record.overrides.iter()).for_each(|lsn| {
                latest.remove(lsn);
            });
            if record.command().is_some_and(|command| touches(&command.footprint)) {
                latest.insert(record.lsn);
            }
        }
        *next = from.max(Lsn(self.start.0 + self.records.len() as u64));
        latest.clone()
    }

    /// Puts the live points in order if `footprint` has a range to look them up by.
    fn order_points_for(&mut self, footprint: &Footprint) {
        if !has_ranges(footprint) || self.ordered.is_some() {
            return;
        }
        let live = |key: &&Key| self.points.contains_key(*key);
        let footprints = self.records.iter().flatten().filter_map(|record| record.command());
        let points = footprints.flat_map(|command| {
            let Footprint { reads, writes } = &command.footprint;
            reads.points().iter().chain(writes.points())
        });
        self.ordered = Some(points.filter(live).cloned().collect());
    }

    /// Decides whether the order of points is worth keeping: it is made from all records at once,
    /// so it is given up only after several times as many records without a range.
    fn note_ranges(&mut self, footprint: &Footprint) {
        self.order_points_for(footprint);
        if has_ranges(footprint) {
            self.since_range = 0;
        } else if self.ordered.is_some() {
            self.since_range += 1;
            if self.segments.is_empty() && self.since_range > 1024 + 4 * self.records.len() {
                self.ordered = None;
            }
        }
    }
}

/// Whether a footprint reads something and writes every key.
fn is_barrier(footprint: &Footprint) -> bool {
    !footprint.is_blind() && footprint.writes.ranges() == [KeyRange::ALL]
}

fn has_ranges(footprint: &Footprint) -> bool {
    !footprint.reads.ranges().is_empty() || !footprint.writes.ranges().is_empty()
}

fn touches(footprint: &Footprint) -> bool {
    !footprint.reads.is_empty() || !footprint.writes.is_empty()
}

fn tail_of(lsns: &[Lsn]) -> Tail {
    let mut tail = Tail::new();
    // The greatest first: the set then grows downward once, to its least member.
    if let (Some(first), Some(last)) = (lsns.iter().min(), lsns.iter().max()) {
        tail.insert(*last);
        tail.insert(*first);
    }
    lsns.iter().for_each(|lsn| {
        tail.insert(*lsn);
    });
    tail
}
