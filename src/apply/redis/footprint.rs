//! The keys that a command touches, exactly.

use super::op::{Op, RESERVED};
use super::{AFTER_RESERVED, CLOCK};
use crate::base::{Footprint, Key, KeyRange, KeySet};
use bytes::Bytes;

/// Keys and ranges, read and written, as they are gathered.
#[derive(Default)]
pub(super) struct Touched<'a> {
    reads: Set<'a>,
    writes: Set<'a>,
}

#[derive(Default)]
struct Set<'a> {
    points: Vec<&'a [u8]>,
    /// Every key of clients above this one; all of them with `Some(None)`.
    above: Option<Option<&'a [u8]>>,
    clock: bool,
}

impl<'a> Touched<'a> {
    pub(super) fn of(op: &Op<'a>) -> Touched<'a> {
        let mut touched = Touched::default();
        touched.add(op);
        touched
    }

    fn add(&mut self, op: &Op<'a>) {
        match op {
            Op::Get { key } | Op::Length { key } | Op::Deadline { key } => {
                self.reads.points.push(key);
            }
            Op::GetMany { keys } | Op::Exists { keys } => self.reads.points.extend(keys),
            Op::Count | Op::Due { .. } | Op::Digest => self.reads.all_above(None),
            Op::Scan { after, .. } => self.reads.all_above(*after),
            Op::Clock => self.reads.clock = true,
            Op::Set { key, .. } => self.writes.points.push(key),
            Op::SetMany { pairs } => self.writes.points.extend(pairs.iter().map(|(key, _)| *key)),
            Op::Clear => self.writes.all_above(None),
            Op::Time { .. } => (self.reads.clock, self.writes.clock) = (true, true),
            Op::All { ops } => ops.iter().for_each(|op| self.add(op)),
            Op::Put { .. }
            | Op::SetManyIfAbsent { .. }
            | Op::Delete { .. }
            | Op::Take { .. }
            | Op::GetAndLimit { .. }
            | Op::Add { .. }
            | Op::Append { .. }
            | Op::Expire { .. }
            | Op::Persist { .. }
            | Op::Evict { .. } => {
                let keys = op.keys();
                self.reads.points.extend(&keys);
                self.writes.points.extend(keys);
            }
        }
    }

    /// As slices of the body that they lie in.
    pub(super) fn footprint(&self, body: &Bytes) -> Footprint {
        Footprint { reads: self.reads.keys(body), writes: self.writes.keys(body) }
    }
}

impl<'a> Set<'a> {
    fn all_above(&mut self, key: Option<&'a [u8]>) {
        self.above = Some(match self.above {
            None => key,
            // `None` is below every key.
            Some(other) => other.min(key),
        });
    }

    fn keys(&self, body: &Bytes) -> KeySet {
        if let ([key], None, false) = (&self.points[..], self.above, self.clock) {
            return KeySet::point(body.slice_ref(key));
        }
        let clock = self.clock.then(|| Key::from_static(CLOCK));
        let points = self.points.iter().map(|key| body.slice_ref(key)).chain(clock);
        KeySet::from_parts(points, self.above.map(ranges).into_iter().flatten())
    }
}

/// Every key of clients above `key`: what is reserved is none of theirs.
fn ranges(above: Option<&[u8]>) -> [KeyRange; 2] {
    let start = above.map_or(Key::new(), |key| Key::from([key, &[0]].concat()));
    let reserved = KeyRange::new(RESERVED, AFTER_RESERVED);
    let second = start.clone().max(Key::from_static(AFTER_RESERVED));
    let first = KeyRange { start, end: Some(reserved.start) };
    [first, KeyRange { start: second, end: None }]
}
