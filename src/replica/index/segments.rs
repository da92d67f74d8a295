//! The parts of the key space that ranges in flight touch.

use super::border::{Border, Span};
use super::stack::Stack;
use crate::base::{Lsn, Record};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A part of the key space in which the same ranges are in flight everywhere. It ends before
/// `end`, or nowhere.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    end: Option<Border>,
    pub(super) stack: Stack,
}

impl Segment {
    /// Whether `key`, not below its start, lies in it.
    pub(super) fn reaches_past(&self, key: &Border) -> bool {
        self.end.as_ref().is_none_or(|end| key < end)
    }
}

/// Disjoint segments by their first key. A range in flight is exactly the union of the segments
/// between its borders, as long as nothing that came later has replaced some of them. Where no
/// range is in flight there is no segment, or one that is swept away some time later: a sweep goes
/// through the map in order, which is cheaper than looking up each range that is trimmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    by_start: BTreeMap<Border, Segment>,
    /// Records below are trimmed.
    start: Lsn,
    /// How many ranges were trimmed since the last sweep.
    trimmed: usize,
}

impl Segments {
    /// Whether no range is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_start.clear();
        self.trimmed = 0;
    }

    /// The segment that `key` lies in.
    pub(super) fn at(&self, key: &Border) -> Option<&Segment> {
        let (_, segment) = self.by_start.range(..=key).next_back()?;
        segment.reaches_past(key).then_some(segment)
    }

    /// The segments that overlap `span`, last first, with their first keys.
    pub(super) fn overlapping<'a>(
        &'a self,
        span: &Span,
    ) -> impl Iterator<Item = (&'a Border, &'a Segment)> {
        let below = self.by_start.range((Bound::Unbounded, span.end_bound())).rev();
        below.take_while(|(_, segment)| segment.reaches_past(&span.start))
    }

    /// Puts a writer on top of every key of `span`.
    pub(super) fn push_writer(&mut self, span: Span, record: &Record, blind: bool) {
        if self.overlapping(&span).next().is_none() {
            self.add(span, Stack::Writer(record.lsn));
            return;
        }
        self.split_at_borders(&span);
        let mut bare = true;
        if blind {
            let start = self.start;
            for (_, segment) in self.by_start.range_mut(span.bounds()) {
                segment.stack.trim(start);
                segment.stack.overwrite(record);
                bare &= segment.stack.is_empty();
            }
        }
        if bare {
            self.replace(span, Stack::Writer(record.lsn));
        } else {
            self.push(span, |stack| stack.push_writer(record, blind));
        }
    }

    /// Puts a reader on top of every key of `span`.
    pub(super) fn push_reader(&mut self, span: Span, lsn: Lsn) {
        if self.overlapping(&span).next().is_none() {
            self.add(span, Stack::Reader(lsn));
            return;
        }
        self.split_at_borders(&span);
        let start = self.start;
        self.push(span, |stack| {
            stack.trim(start);
            stack.push_reader(lsn);
        });
    }

    /// Notes that a record with so many ranges is trimmed, as is everything below `below`.
    pub(super) fn trim(&mut self, ranges: usize, below: Lsn) {
        self.start = below;
        self.trimmed += ranges;
        if self.trimmed > 64 + self.by_start.len() / 2 {
            self.trimmed = 0;
            self.by_start.retain(|_, segment| {
                segment.stack.trim(below);
                !segment.stack.is_empty()
            });
        }
    }

    fn add(&mut self, span: Span, stack: Stack) {
        self.by_start.insert(span.start, Segment { end: span.end, stack });
    }

    /// One segment instead of all in `span`.
    fn replace(&mut self, span: Span, stack: Stack) {
        let starts: Vec<Border> = self.overlapping(&span).map(|(start, _)| start.clone()).collect();
        for start in &starts {
            self.by_start.remove(start);
        }
        self.add(span, stack);
    }

    /// Changes the stack of each segment in `span`, and of new segments where there is none.
    fn push(&mut self, span: Span, change: impl Fn(&mut Stack)) {
        let mut gaps: Vec<Span> = Vec::new();
        let mut next = Some(span.start.clone());
        for (start, segment) in self.by_start.range_mut(span.bounds()) {
            change(&mut segment.stack);
            let from = std::mem::replace(&mut next, segment.end.clone());
            let gap = from.filter(|from| from < start);
            gaps.extend(gap.map(|from| Span { start: from, end: Some(start.clone()) }));
        }
        if let Some(start) = next.filter(|next| span.end.as_ref().is_none_or(|end| next < end)) {
            gaps.push(Span { start, end: span.end });
        }
        for gap in gaps {
            let mut stack = Stack::Empty;
            change(&mut stack);
            self.add(gap, stack);
        }
    }

    fn split_at_borders(&mut self, span: &Span) {
        self.split_at(&span.start);
        if let Some(end) = &span.end {
            self.split_at(end);
        }
    }

    /// Makes `key` the border of two segments, if it lies inside one.
    fn split_at(&mut self, key: &Border) {
        let Some((_, segment)) = self.by_start.range_mut(..key).next_back() else {
            return;
        };
        if segment.reaches_past(key) {
            let end = segment.end.replace(key.clone());
            let stack = segment.stack.clone();
            self.by_start.insert(key.clone(), Segment { end, stack });
        }
    }
}
