//! From a footprint to the records in flight that a command must depend on or may override.

mod border;
mod order;
mod place;
mod points;
mod positions;
mod segments;
mod stack;

use crate::base::{Footprint, Key, KeyRange, KeySet, Lsn, Record, Tail};
use border::Span;
use place::Search;
use points::{Points, Spot};
use positions::{Log, PointAt, Positions, footprint, hash_of};
use segments::Segments;
use smallvec::SmallVec;

/// So many positions are forgotten at once: clearing costs as much for one as for all of them.
const TRIMMED_AT_ONCE: u64 = 64;

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
///   points   "a": 7r 9r          latest on the right; a stack holds what can still matter
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
/// The order among single points is kept only from the first range command on. A command that
/// reads something and writes every key clears all and is remembered apart.
///
/// It keeps no records: whoever calls it says how to look one up in the log, which must hold every
/// record inserted and not trimmed.
///
/// Memory: one entry a key and record, from [`insert`](Self::insert) until something makes it
/// unnecessary, or until as much as was in flight with it has been trimmed once more.
#[derive(Clone, Debug, Default)]
pub struct Index {
    positions: Positions,
    points: Points,
    segments: Segments,
    /// The latest record that interferes with everything before and after it.
    barrier: Option<Lsn>,
    frontier: Frontier,
    /// Of the command just placed, if it has a single point and nothing else.
    placed: Option<Placed>,
}

/// What placing a command has found out about its only key.
#[derive(Clone, Copy, Debug)]
struct Placed {
    hash: u32,
    /// Where the point of the key is, if it is live.
    at: Option<Spot>,
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

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
            && self.points.is_empty()
            && self.segments.is_empty()
            && self.barrier.is_none()
    }

    /// Notes a record above every one inserted before; `log` may have it already. What has no
    /// footprint (voids, memberships, commands that touch nothing) interferes with nothing and
    /// leaves no trace.
    pub fn insert<'l>(&mut self, record: &'l Record, log: impl Fn(Lsn) -> Option<&'l Record>) {
        let placed = self.placed.take();
        let Some(command) = record.command() else { return };
        let footprint = &command.footprint;
        self.positions.push(record.lsn, footprint);
        let log = |lsn| if lsn == record.lsn { Some(record) } else { log(lsn) };
        let found = || only_point(footprint).map(|key| self.look_up(key, &log));
        if let Some(placed) = placed.or_else(found) {
            self.points.push(placed, PointAt::only(footprint), record);
        } else {
            if is_barrier(footprint) {
                self.set_barrier(record.lsn);
                return;
            }
            if has_ranges(footprint) {
                self.points.keep_order(&self.positions, &log);
            }
            self.insert_reads(footprint, record, &log);
            self.insert_writes(footprint, record, &log);
        }
        if self.segments.is_empty() && self.points.is_ordered() {
            self.points.lose_order(&self.positions);
        }
    }

    /// `depends` and `overrides` of a command with `footprint` placed above everything inserted,
    /// bits at and above `floor`. The next record inserted, if any before a trim, is the one of
    /// this command. Without `overriding` it depends instead of overriding anything.
    ///
    /// Rests on two facts of the log: the floors of the records inserted are not above `floor`
    /// (I-11), and what a record inserted has in `depends` is inserted as well, unless it lies
    /// below `floor`, or the record is itself overridden by one inserted (closure).
    pub fn place<'l>(
        &mut self,
        footprint: &Footprint,
        floor: Lsn,
        overriding: bool,
        log: impl Fn(Lsn) -> Option<&'l Record>,
    ) -> Placement {
        if is_barrier(footprint) {
            return Placement { depends: self.frontier(floor, &log), overrides: Tail::new() };
        }
        let key = only_point(footprint);
        self.placed = key.map(|key| self.look_up(key, &log));
        let mut placement = Placement::default();
        match key.zip(self.placed) {
            Some((_, Placed { at: None, .. })) if self.segments.is_empty() => {}
            Some((key, Placed { at, .. })) => {
                let point = at.map(|at| self.points.stack(at));
                let written = !footprint.writes.is_empty();
                let search = Search::of_point(self, &log, key, point, written, floor);
                placement = search.place(footprint, overriding);
            }
            None => {
                if has_ranges(footprint) {
                    self.points.keep_order(&self.positions, &log);
                }
                let search = Search::new(self, &log, footprint, floor);
                placement = search.place(footprint, overriding);
            }
        }
        // Every record above the barrier depends on it or on one that does, so it is named only
        // where no other is.
        if let Some(barrier) = self.barrier.filter(|lsn| *lsn >= floor)
            && placement.depends.is_empty()
            && touches(footprint)
        {
            placement.depends.insert(barrier);
        }
        placement
    }

    /// The latest records at and above `from` that write one of the keys `reads`. Once these are
    /// done, so is every record inserted that does: applied before them, or marked by one that
    /// overrides it (algorithm.md, Reading 1).
    pub fn latest_writers<'l>(
        &mut self,
        reads: &KeySet,
        from: Lsn,
        log: impl Fn(Lsn) -> Option<&'l Record>,
    ) -> SmallVec<[Lsn; 4]> {
        let footprint = Footprint::read(reads.clone());
        self.place(&footprint, from, false, log).depends.iter().collect()
    }

    /// A trim below this is worth the while: so many positions are there to forget.
    pub(crate) fn trim_at(&self) -> Lsn {
        Lsn(self.positions.start().0.saturating_add(TRIMMED_AT_ONCE))
    }

    /// Forgets the records below `below`, for good: no later floor may be less. Constant time
    /// amortized for each record and range.
    pub fn trim(&mut self, below: Lsn) {
        if below <= self.positions.start() {
            return;
        }
        self.placed = None;
        if below >= self.positions.end() {
            return self.forget_all(below);
        }
        let ranges = self.positions.trim(below);
        self.barrier = self.barrier.filter(|barrier| *barrier >= below);
        self.segments.trim(ranges, below);
        self.points.trim(below, self.positions.end());
    }

    /// All that was in flight is done: no record has to be looked at by itself.
    fn forget_all(&mut self, below: Lsn) {
        self.positions.clear(below);
        self.segments.clear();
        self.points.clear();
        self.barrier = None;
    }

    fn look_up<'l>(&self, key: &Key, log: &impl Log<'l>) -> Placed {
        let hash = hash_of(key);
        Placed { hash, at: self.points.find(hash, key, log) }
    }

    fn insert_point<'l>(&mut self, key: &Key, record: &Record, log: &impl Log<'l>) {
        let name = PointAt::of(record, key);
        self.points.push(self.look_up(key, log), name, record);
    }

    fn insert_reads<'l>(&mut self, footprint: &Footprint, record: &Record, log: &impl Log<'l>) {
        let Footprint { reads, writes } = footprint;
        for key in reads.points() {
            if writes.points().binary_search(key).is_err() {
                self.insert_point(key, record, log);
            }
        }
        for range in reads.ranges().iter().filter(|range| !writes.ranges().contains(range)) {
            self.segments.push_reader(Span::from(range), record.lsn);
        }
    }

    fn insert_writes<'l>(&mut self, footprint: &Footprint, record: &Record, log: &impl Log<'l>) {
        for key in footprint.writes.points() {
            self.insert_point(key, record, log);
        }
        let blind = footprint.is_blind();
        for range in footprint.writes.ranges() {
            let span = Span::from(range);
            self.points.overwrite(&span, record, blind, log);
            self.segments.push_writer(span, record, blind);
        }
    }

    fn set_barrier(&mut self, lsn: Lsn) {
        self.barrier = Some(lsn);
        self.frontier = Frontier { latest: Tail::from_iter([lsn]), next: lsn.next() };
        self.segments.clear();
        self.points.clear();
    }

    /// What a command that interferes with everything depends on.
    fn frontier<'l>(&mut self, floor: Lsn, log: &impl Log<'l>) -> Tail {
        let Frontier { latest, next } = &mut self.frontier;
        latest.remove_below(floor);
        let from = floor.max(*next);
        for lsn in self.positions.commands_from(from) {
            let record = log.record(lsn);
            record.depends.iter().chain(record.overrides.iter()).for_each(|lsn| {
                latest.remove(lsn);
            });
            if touches(footprint(record)) {
                latest.insert(lsn);
            }
        }
        *next = from.max(self.positions.end());
        latest.clone()
    }
}

/// Whether a footprint reads something and writes every key.
fn is_barrier(footprint: &Footprint) -> bool {
    !footprint.is_blind() && footprint.writes.ranges() == [KeyRange::ALL]
}

/// The key of a footprint that is read, written or both, and the only one.
fn only_point(footprint: &Footprint) -> Option<&Key> {
    let Footprint { reads, writes } = footprint;
    match (reads.points(), writes.points()) {
        _ if has_ranges(footprint) => None,
        ([], [key]) | ([key], []) => Some(key),
        ([read], [key]) if read == key => Some(key),
        _ => None,
    }
}

fn has_ranges(footprint: &Footprint) -> bool {
    !footprint.reads.ranges().is_empty() || !footprint.writes.ranges().is_empty()
}

fn touches(footprint: &Footprint) -> bool {
    !footprint.reads.is_empty() || !footprint.writes.is_empty()
}

/// A set from positions in rising order. The last one first: the set then grows downward once.
fn tail_of(rising: &[Lsn]) -> Tail {
    if let [only] = rising {
        return Tail::new().copy_above(Lsn::ZERO, *only);
    }
    rising.last().into_iter().chain(rising).copied().collect()
}
