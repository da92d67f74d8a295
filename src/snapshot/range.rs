//! Pairs in order.

use super::keys::Walk;
use super::parts::{Block, Index};
use super::read::Snapshot;
use super::{Cause, SnapshotError};
use crate::base::{Key, KeyRange};
use crate::disk::Disk;
use bytes::Bytes;
use std::sync::Arc;

/// The pairs of a range of keys, in order. Holds one index and one block at a time.
///
/// Ends with the first error; a range from behind the keys that it names goes on.
#[derive(Debug)]
pub struct Range<'a, D: Disk> {
    snapshot: &'a Snapshot<D>,
    range: KeyRange,
    /// The segment to be entered next; none after the end.
    next: Option<usize>,
    inside: Option<Inside>,
}

/// Where it is in a segment.
#[derive(Debug)]
struct Inside {
    at: usize,
    index: Arc<Index>,
    walk: Walk,
    /// A block, and its number.
    block: Option<(usize, Arc<Block>)>,
}

impl<'a, D: Disk> Range<'a, D> {
    pub(super) fn new(snapshot: &'a Snapshot<D>, range: KeyRange) -> Range<'a, D> {
        let at = snapshot.segments.partition_point(|segment| segment.last < range.start);
        let next = (!range.is_empty()).then_some(at);
        Range { snapshot, range, next, inside: None }
    }

    /// Enters the next segment, if it has keys of the range.
    fn enter(&mut self) -> Result<bool, SnapshotError> {
        let Some(at) = self.next else { return Ok(false) };
        let segment = self.snapshot.segments.get(at);
        let has = |first: &Key| self.range.end.as_ref().is_none_or(|end| first < end);
        if !segment.is_some_and(|segment| has(&segment.first)) {
            self.next = None;
            return Ok(false);
        }
        let index = self.snapshot.index(at)?;
        let walk = Walk::new(index.keys.clone(), &self.range.start)
            .map_err(|_| self.snapshot.bad_index(at, Cause::Malformed))?;
        self.inside = Some(Inside { at, index, walk, block: None });
        self.next = Some(at + 1);
        Ok(true)
    }

    fn pair(&mut self) -> Result<Option<(Key, Bytes)>, SnapshotError> {
        loop {
            let Some(inside) = &mut self.inside else {
                if self.enter()? {
                    continue;
                }
                return Ok(None);
            };
            let bad = || self.snapshot.bad_index(inside.at, Cause::Malformed);
            let Some((key, rank)) = inside.walk.next().map_err(|_| bad())? else {
                self.inside = None;
                continue;
            };
            if self.range.end.as_ref().is_some_and(|end| key >= &end[..]) {
                (self.inside, self.next) = (None, None);
                return Ok(None);
            }
            let key = Bytes::copy_from_slice(key);
            let nth = inside.index.block_of(rank).ok_or_else(bad)?;
            let block = match &inside.block {
                Some((at, block)) if *at == nth => block.clone(),
                _ => {
                    let block = self.snapshot.block(inside.at, &inside.index, nth)?;
                    inside.block = Some((nth, block.clone()));
                    block
                }
            };
            let value = block.value(rank - inside.index.blocks[nth].rank).ok_or_else(bad)?;
            return Ok(Some((key, value)));
        }
    }
}

impl<D: Disk> Iterator for Range<'_, D> {
    type Item = Result<(Key, Bytes), SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pair();
        if pair.is_err() {
            (self.inside, self.next) = (None, None);
        }
        pair.transpose()
    }
}
