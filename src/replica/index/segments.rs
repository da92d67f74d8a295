//! The parts of the key space that ranges in flight touch.

use super::border::{Border, Span};
use super::order::{Order, Value};
use super::stack::Stack;
use crate::base::{Lsn, Record};
use std::ops::Bound;

/// A part of the key space in which the same ranges are in flight everywhere. It ends before
/// `end`, or nowhere.
#[derive(Clone, Debug, Default)]
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

impl Value for Segment {
    fn length(&self, start: &Border) -> u128 {
        self.end.as_ref().map_or(u128::MAX, |end| end.prefix().saturating_sub(start.prefix()))
    }
}

/// Disjoint segments by their first key. A range in flight is exactly the union of the segments
/// between its borders, as long as nothing that came later has replaced some of them. Where no
/// range is in flight there is no segment, or one that is swept away some time later: a sweep goes
/// through the memory of the map from end to end, which is cheaper than looking up each range that
/// is trimmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    by_start: Order<Segment>,
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
        let spot = self.by_start.last_below(Bound::Included(key))?;
        let (_, segment) = self.by_start.may_reach(spot, key).then(|| self.by_start.entry(spot))?;
        segment.reaches_past(key).then_some(segment)
    }

    /// The segments that overlap `span`, last first, with their first keys.
    pub(super) fn overlapping<'a>(
        &'a self,
        span: &Span,
    ) -> impl Iterator<Item = (&'a Border, &'a Segment)> {
        let last = self.by_start.last_below(span.end_bound());
        let last = last.filter(|spot| self.by_start.may_reach(*spot, &span.start));
        let down = self.by_start.down_from(last);
        down.take_while(|(_, segment)| segment.reaches_past(&span.start))
    }

    /// Puts a writer on top of every key of `span`.
    pub(super) fn push_writer(&mut self, span: Span, record: &Record, blind: bool) {
        let Some(span) = self.add_alone(span, Stack::Writer(record.lsn)) else { return };
        self.split_at_borders(&span);
        let mut bare = true;
        if blind {
            let start = self.start;
            self.by_start.change_in(&span, |_, segment| {
                segment.stack.trim(start);
                segment.stack.overwrite(record);
                bare &= segment.stack.is_empty();
            });
        }
        if bare {
            self.replace(span, Stack::Writer(record.lsn));
        } else {
            self.push(span, |stack| stack.push_writer(record, blind));
        }
    }

    /// Puts a reader on top of every key of `span`.
    pub(super) fn push_reader(&mut self, span: Span, lsn: Lsn) {
        let Some(span) = self.add_alone(span, Stack::Reader(lsn)) else { return };
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
        if ranges > 0 && self.trimmed > 64 + self.by_start.len() / 2 {
            self.trimmed = 0;
            self.by_start.retain(|segment| {
                segment.stack.trim(below);
                !segment.stack.is_empty()
            });
        }
    }

    /// Adds a segment where there is none; gives `span` back where one overlaps it.
    fn add_alone(&mut self, span: Span, stack: Stack) -> Option<Span> {
        let below = self.by_start.last_below(span.end_bound());
        let near = below.filter(|spot| self.by_start.may_reach(*spot, &span.start));
        let segment = near.map(|spot| self.by_start.entry(spot).1);
        if segment.is_some_and(|segment| segment.reaches_past(&span.start)) {
            return Some(span);
        }
        self.by_start.insert_above(below, span.start, Segment { end: span.end, stack });
        None
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
        self.by_start.change_in(&span, |start, segment| {
            change(&mut segment.stack);
            let from = std::mem::replace(&mut next, segment.end.clone());
            let gap = from.filter(|from| from < start);
            gaps.extend(gap.map(|from| Span { start: from, end: Some(start.clone()) }));
        });
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
        let Some(segment) = self.by_start.last_below_mut(key) else {
            return;
        };
        if segment.reaches_past(key) {
            let end = segment.end.replace(key.clone());
            let stack = segment.stack.clone();
            self.by_start.insert(key.clone(), Segment { end, stack });
        }
    }
}
