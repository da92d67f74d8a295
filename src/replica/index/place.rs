//! What a command depends on and overrides (algorithm.md, Authoring).

#[cfg(feature = "mutants")]
use self::wrong::{held, if_blind};
use super::border::{Border, Span};
use super::positions::{Log, hash_of};
use super::stack::Stack;
use super::{Index, Placement, tail_of};
use crate::base::{Footprint, Key, KeyRange, KeySet, Lsn, Tail, mutant};
use smallvec::SmallVec;
use std::collections::BinaryHeap;

/// With at most this many dependencies, those that another one names are taken out again. With
/// more it would cost more than the bits, which are safe and merely say what is implied.
const PRUNED_MAX: usize = 16;

/// A stack that a command has to look into.
struct Cell<'a> {
    stack: &'a Stack,
    /// A segment; otherwise a point.
    segment: bool,
    /// For a point: the cell of the segment that it lies in.
    within: Option<usize>,
    /// The command writes here; otherwise it only reads.
    written: bool,
    /// What is found here counts; otherwise the segment is only looked at for a point in it.
    counts: bool,
    /// How many of the latest writers are victims.
    skipped: usize,
    /// The record under those victims is not one, so nothing under it is.
    blocked: bool,
    /// For a segment: the same is true of a point in it.
    blocked_inside: bool,
}

/// The search of one command through the stacks of its keys.
pub(super) struct Search<'a, L> {
    index: &'a Index,
    log: &'a L,
    floor: Lsn,
    cells: SmallVec<[Cell<'a>; 2]>,
    victims: SmallVec<[Lsn; 4]>,
}

impl<'a, 'l, L: Log<'l>> Search<'a, L> {
    /// The stacks of a command with a single key, whose point has been looked up.
    pub(super) fn of_point(
        index: &'a Index,
        log: &'a L,
        key: &Key,
        point: Option<&'a Stack>,
        written: bool,
        floor: Lsn,
    ) -> Self {
        let (cells, victims) = (SmallVec::new(), SmallVec::new());
        let mut search = Search { index, log, floor, cells, victims };
        search.add_found(key, point, written);
        search
    }

    /// The stacks of everything that `footprint` touches.
    pub(super) fn new(index: &'a Index, log: &'a L, footprint: &Footprint, floor: Lsn) -> Self {
        let (cells, victims) = (SmallVec::new(), SmallVec::new());
        let mut search = Search { index, log, floor, cells, victims };
        let Footprint { reads, writes } = footprint;
        writes.points().iter().for_each(|key| search.add_point(key, true));
        writes.ranges().iter().for_each(|range| search.add_range(range, true));
        let only_read = |key: &&Key| writes.points().binary_search(key).is_err();
        reads.points().iter().filter(only_read).for_each(|key| search.add_point(key, false));
        let only_read = |range: &&KeyRange| !writes.ranges().contains(range);
        reads.ranges().iter().filter(only_read).for_each(|range| search.add_range(range, false));
        search
    }

    /// `depends` and `overrides` of a command with `footprint` above everything in the index.
    pub(super) fn place(mut self, footprint: &Footprint, overriding: bool) -> Placement {
        if overriding && mutant!(ReadingCommandOverrides, footprint.is_blind(), true) {
            self.find_victims(&footprint.writes);
        }
        let overrides = self.overrides();
        let depends = self.depends();
        let depends = mutant!(IncrementsCommute, depends, if_blind(footprint, depends));
        let placement = Placement { depends, overrides };
        mutant!(OnlyReadersBetween, placement, self.behind(footprint, placement, overriding))
    }

    /// The victims and what they override.
    fn overrides(&self) -> Tail {
        let mut overrides = Tail::new();
        self.victims.iter().for_each(|victim| self.add_victim(*victim, &mut overrides));
        overrides.remove_below(self.floor);
        overrides
    }

    /// A victim with what it overrides. Mostly there is one, and of several the latest one, which
    /// was found first, overrides most: so that is copied in one piece.
    fn add_victim(&self, victim: Lsn, overrides: &mut Tail) {
        let theirs = &self.log.record(victim).overrides;
        let here = mutant!(EmptyVictimForgotten, theirs, &held(self.log, theirs));
        if overrides.is_empty() {
            *overrides = here.copy_above(self.floor, victim);
        } else {
            overrides.insert(victim);
            overrides.union_above(here, self.floor.0 / 64);
        }
    }

    /// What the stacks have on top under the victims, less what other dependencies name.
    pub(super) fn depends(&self) -> Tail {
        let mut found: SmallVec<[Lsn; 8]> = SmallVec::new();
        for cell in self.cells.iter().filter(|cell| cell.counts) {
            if !mutant!(VictimsDependenciesImplied, false, cell.skipped > 0) {
                self.top_layer(cell, &mut found);
            }
        }
        let mut found = mutant!(DependsOnOverridden, found, self.with_overridden(found));
        if let [] | [_] = found[..] {
            return tail_of(&found);
        }
        found.sort_unstable();
        found.dedup();
        let mut depends = tail_of(&found);
        if (2..=PRUNED_MAX).contains(&found.len()) {
            for lsn in &found {
                depends.difference_with(&self.log.record(*lsn).depends);
            }
        }
        depends
    }

    fn add_point(&mut self, key: &Key, written: bool) {
        self.add_found(key, self.index.points.get(hash_of(key), key, self.log), written);
    }

    /// The stacks of a key with its point, if that is live.
    fn add_found(&mut self, key: &Key, point: Option<&'a Stack>, written: bool) {
        let segments = &self.index.segments;
        let segment = if segments.is_empty() { None } else { segments.at(&Border::from(key)) };
        if let Some(segment) = segment {
            self.add(&segment.stack, true, written).counts = point.is_none();
        }
        if let Some(stack) = point {
            let within = segment.map(|_| self.cells.len() - 1);
            self.add(stack, false, written).within = within;
        }
    }

    fn add_range(&mut self, range: &KeyRange, written: bool) {
        let index = self.index;
        let span = Span::from(range);
        let mut points = index.points.live_in(&span, self.log).peekable();
        for (start, segment) in index.segments.overlapping(&span) {
            while let Some((_, point)) = points.next_if(|(key, _)| !segment.reaches_past(key)) {
                self.add(point, false, written);
            }
            self.add(&segment.stack, true, written);
            let at = self.cells.len() - 1;
            while let Some((_, point)) = points.next_if(|(key, _)| *key >= start) {
                self.add(point, false, written).within = Some(at);
            }
        }
        for (_, point) in points {
            self.add(point, false, written);
        }
    }

    fn add(&mut self, stack: &'a Stack, segment: bool, written: bool) -> &mut Cell<'a> {
        let (skipped, blocked, blocked_inside) = (0, false, false);
        self.cells.push(Cell {
            stack,
            segment,
            within: None,
            written,
            counts: true,
            skipped,
            blocked,
            blocked_inside,
        });
        self.cells.last_mut().expect("just pushed")
    }

    /// Walks from the latest record down on all stacks at once, and no further on a stack than to
    /// the first record that is not a victim.
    ///
    /// A record that interferes with a victim is on a stack of one of the victim's keys, all of
    /// which are written here: so a record is a victim if it is blind, all its keys are among
    /// these, and no stack of its keys had anything but victims above it.
    fn find_victims(&mut self, writes: &KeySet) {
        if self.cells.len() <= 1 {
            return self.find_victims_of_one(writes);
        }
        let mut queue: BinaryHeap<(Lsn, usize)> = BinaryHeap::with_capacity(self.cells.len());
        queue.extend((0..self.cells.len()).filter_map(|at| self.next(at)));
        let mut group: SmallVec<[usize; 4]> = SmallVec::new();
        while let Some((lsn, at)) = queue.pop() {
            group.clear();
            group.push(at);
            while queue.peek().is_some_and(|top| top.0 == lsn) {
                group.extend(queue.pop().map(|(_, at)| at));
            }
            if self.is_victim(lsn, &group, writes) {
                self.victims.push(lsn);
                for &at in &group {
                    self.cells[at].skipped += 1;
                    queue.extend(self.next(at));
                }
            } else {
                group.iter().for_each(|at| self.block(*at));
            }
        }
    }

    /// The same where a single stack is looked into.
    fn find_victims_of_one(&mut self, writes: &KeySet) {
        while !self.cells.is_empty()
            && let Some((lsn, at)) = self.next(0)
        {
            if !self.is_victim(lsn, &[at], writes) {
                return self.block(at);
            }
            self.victims.push(lsn);
            self.cells[at].skipped += 1;
        }
    }

    /// The next record to look at in a cell.
    fn next(&self, at: usize) -> Option<(Lsn, usize)> {
        let cell = &self.cells[at];
        let lsn = cell.stack.top(cell.skipped)?;
        (lsn >= self.floor).then_some((lsn, at))
    }

    fn block(&mut self, at: usize) {
        self.cells[at].blocked = true;
        if let Some(segment) = self.cells[at].within {
            self.cells[segment].blocked_inside = true;
        }
    }

    /// Whether the record at `lsn`, now on top of the open stacks in `group`, is a victim. If
    /// `group` has fewer stacks than the record has keys, it lies under something elsewhere, or
    /// has a key that is not written here.
    fn is_victim(&self, lsn: Lsn, group: &[usize], writes: &KeySet) -> bool {
        let record = self.log.record(lsn);
        let Some(command) = record.command().filter(|command| command.footprint.is_blind()) else {
            return false;
        };
        let open = |at: &usize| {
            let cell = &self.cells[*at];
            !cell.blocked_inside && !cell.within.is_some_and(|at| self.cells[at].blocked)
        };
        let theirs = &command.footprint.writes;
        let segments = group.iter().filter(|at| self.cells[**at].segment).count();
        let pieces = |range| self.index.segments.overlapping(&Span::from(range)).count();
        group.len() - segments == theirs.points().len()
            && group.iter().all(open)
            && theirs.ranges().iter().all(|r| writes.ranges().iter().any(|own| own.covers(r)))
            && theirs.ranges().iter().map(pieces).sum::<usize>() == segments
    }

    /// What a cell has on top under the victims: for one who reads, the latest writer; for one who
    /// writes, the readers above it, or the writer if there are none. These reach or override all
    /// that is under them.
    fn top_layer(&self, cell: &Cell<'_>, found: &mut SmallVec<[Lsn; 8]>) {
        let around = cell.within.map(|at| &self.cells[at]);
        let own = cell.stack.writer(cell.skipped);
        let outer = around.and_then(|around| around.stack.writer(around.skipped));
        let writer = own.max(outer).filter(|lsn| *lsn >= self.floor);
        if !cell.written {
            found.extend(writer);
            return;
        }
        let from = writer.map_or(self.floor, Lsn::next);
        let readers = cell.stack.readers_from(from);
        let outer_readers = around.map_or(&[][..], |around| around.stack.readers_from(from));
        found.extend_from_slice(readers);
        let counted = around.is_some_and(|around| around.counts);
        if !counted {
            found.extend_from_slice(outer_readers);
        }
        if readers.is_empty() && outer_readers.is_empty() && !(counted && own < outer) {
            found.extend(writer);
        }
    }
}

/// Wrong rules of the bug bank (`base::Mutant`).
#[cfg(feature = "mutants")]
mod wrong {
    use super::*;

    /// `EmptyVictimForgotten`: those that the log holds.
    pub(super) fn held<'l>(log: &impl Log<'l>, victims: &Tail) -> Tail {
        victims.iter().filter(|lsn| log(*lsn).is_some()).collect()
    }

    /// `IncrementsCommute`.
    pub(super) fn if_blind(footprint: &Footprint, depends: Tail) -> Tail {
        if footprint.is_blind() { depends } else { Tail::new() }
    }

    impl<'l, L: Log<'l>> Search<'_, L> {
        /// `OnlyReadersBetween`: blind writes whose keys are all written again, though a
        /// dependency that is a writer lies between.
        pub(super) fn behind(
            &self,
            footprint: &Footprint,
            mut placement: Placement,
            overriding: bool,
        ) -> Placement {
            let covered = |lsn: &Lsn| {
                let command = (self.log)(*lsn).and_then(|record| record.command());
                let blind = command.filter(|command| command.footprint.is_blind());
                let again = |key: &Key| footprint.writes.points().binary_search(key).is_ok();
                blind.is_some_and(|command| {
                    let writes = &command.footprint.writes;
                    writes.ranges().is_empty() && writes.points().iter().all(again)
                })
            };
            let between = placement.depends.iter().filter_map(|lsn| (self.log)(lsn));
            let under = between.flat_map(|record| record.depends.iter());
            let victims: Tail = under.filter(|lsn| *lsn >= self.floor).filter(covered).collect();
            if overriding && footprint.is_blind() {
                placement.overrides.union_with(&victims);
            }
            placement
        }

        /// `DependsOnOverridden`: and what the dependencies found override.
        pub(super) fn with_overridden(&self, mut found: SmallVec<[Lsn; 8]>) -> SmallVec<[Lsn; 8]> {
            let records = found.iter().filter_map(|lsn| (self.log)(*lsn));
            let overridden = records.flat_map(|record| record.overrides.iter());
            let open = overridden.filter(|lsn| *lsn >= self.floor && (self.log)(*lsn).is_some());
            let more: Vec<Lsn> = open.filter(|lsn| !self.victims.contains(lsn)).collect();
            found.extend(more);
            found
        }
    }
}
