//! The parts of the key space that ranges in flight touch.

use super::stack::Stack;
use crate::base::{Key, KeyRange, Lsn, Record};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A part of the key space in which the same ranges are in flight everywhere.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    end: Option<Key>,
    pub(super) stack: Stack,
}

impl Segment {
    /// Whether `key`, not below its start, lies in it.
    pub(super) fn reaches_past(&self, key: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| key < &end[..])
    }
}

/// Disjoint segments by their first key. A range in flight is exactly the union of the segments
/// between its borders, as long as nothing that came later has replaced some of them. Where no
/// range is in flight there is no segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    by_start: BTreeMap<Key, Segment>,
}

impl Segments {
    /// Whether no range is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_start.clear();
    }

    /// The segment that `key` lies in.
    pub(super) fn at(&self, key: &[u8]) -> Option<&Segment> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (_, segment) = self.by_start.range::<[u8], _>(upto).next_back()?;
        segment.reaches_past(key).then_some(segment)
    }

    /// The segments that overlap `range`, in order, with their first keys.
    pub(super) fn overlapping<'a>(
        &'a self,
        range: &KeyRange,
    ) -> impl Iterator<Item = (&'a Key, &'a Segment)> + use<'a> {
        let upto = (Bound::Unbounded, Bound::Excluded(&range.start[..]));
        let before = self.by_start.range::<[u8], _>(upto).next_back();
        let before = before.filter(|(_, segment)| segment.reaches_past(&range.start));
        before.into_iter().chain(self.starting_in(range))
    }

    /// The segments that start in `range`, in order.
    pub(super) fn starting_in<'a>(
        &'a self,
        range: &KeyRange,
    ) -> impl Iterator<Item = (&'a Key, &'a Segment)> + use<'a> {
        self.by_start.range::<[u8], _>(bounds(range))
    }

    /// Puts a writer on top of every key of `range`.
    pub(super) fn push_writer(&mut self, range: &KeyRange, record: &Record, blind: bool) {
        self.split_at_borders(range);
        let mut bare = true;
        if blind {
            for (_, segment) in self.by_start.range_mut::<[u8], _>(bounds(range)) {
                segment.stack.overwrite(record);
                bare &= segment.stack.is_empty();
            }
        }
        if bare {
            self.replace(range, Stack::of_writer(record.lsn));
        } else {
            self.push(range, |stack| stack.push_writer(record, blind));
        }
    }

    /// Puts a reader on top of every key of `range`.
    pub(super) fn push_reader(&mut self, range: &KeyRange, lsn: Lsn) {
        self.split_at_borders(range);
        self.push(range, |stack| stack.push_reader(lsn));
    }

    /// Drops records below `below` from the segments in `range`.
    pub(super) fn trim(&mut self, range: &KeyRange, below: Lsn) {
        let mut empty: Vec<Key> = Vec::new();
        for (start, segment) in self.by_start.range_mut::<[u8], _>(bounds(range)) {
            segment.stack.trim(below);
            if segment.stack.is_empty() {
                empty.push(start.clone());
            }
        }
        empty.iter().for_each(|start| drop(self.by_start.remove(start)));
    }

    /// One segment instead of all in `range`.
    fn replace(&mut self, range: &KeyRange, stack: Stack) {
        let starts: Vec<Key> = self.starting_in(range).map(|(start, _)| start.clone()).collect();
        starts.iter().for_each(|start| drop(self.by_start.remove(start)));
        self.by_start.insert(range.start.clone(), Segment { end: range.end.clone(), stack });
    }

    /// Changes the stack of each segment in `range`, and of new segments where there is none.
    fn push(&mut self, range: &KeyRange, change: impl Fn(&mut Stack)) {
        let mut gaps: Vec<KeyRange> = Vec::new();
        let mut next = Some(range.start.clone());
        for (start, segment) in self.by_start.range_mut::<[u8], _>(bounds(range)) {
            change(&mut segment.stack);
            let from = std::mem::replace(&mut next, segment.end.clone());
            gaps.extend(
                from.filter(|from| from < start).map(|from| KeyRange::new(from, start.clone())),
            );
        }
        if let Some(start) = next {
            let last = KeyRange { start, end: range.end.clone() };
            gaps.extend((!last.is_empty()).then_some(last));
        }
        for KeyRange { start, end } in gaps {
            let mut stack = Stack::default();
            change(&mut stack);
            self.by_start.insert(start, Segment { end, stack });
        }
    }

    fn split_at_borders(&mut self, range: &KeyRange) {
        self.split_at(&range.start);
        if let Some(end) = &range.end {
            self.split_at(end);
        }
    }

    /// Makes `key` the border of two segments, if it lies inside one.
    fn split_at(&mut self, key: &Key) {
        let before = (Bound::Unbounded, Bound::Excluded(&key[..]));
        let Some((_, segment)) = self.by_start.range_mut::<[u8], _>(before).next_back() else {
            return;
        };
        if segment.reaches_past(key) {
            let end = segment.end.replace(key.clone());
            let stack = segment.stack.clone();
            self.by_start.insert(key.clone(), Segment { end, stack });
        }
    }
}

/// The bounds of the keys in `range`, which is not empty.
pub(super) fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..]));
    (Bound::Included(&range.start[..]), end)
}
