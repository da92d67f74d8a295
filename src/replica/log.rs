//! The records that a replica keeps in memory.

use crate::base::{Lsn, Record};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records by position. Below [`first`](Self::first) they have left memory: they are done, and on
/// disk. Above it a position has a record or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    bytes: usize,
}

/// A record and its size, which is asked for more often than the record.
#[derive(Clone, Debug)]
struct Slot {
    record: Arc<Record>,
    size: usize,
}

impl Log {
    /// The first position that memory still covers.
    pub(crate) fn first(&self) -> Lsn {
        Lsn(self.first)
    }

    /// About how many bytes the records take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The record at `lsn`, if memory has one.
    pub(crate) fn get(&self, lsn: Lsn) -> Option<&Arc<Record>> {
        self.slot(lsn).map(|slot| &slot.record)
    }

    /// The size of the record at `lsn`; zero if memory has none.
    pub(crate) fn size(&self, lsn: Lsn) -> usize {
        self.slot(lsn).map_or(0, |slot| slot.size)
    }

    fn slot(&self, lsn: Lsn) -> Option<&Slot> {
        let at = lsn.0.checked_sub(self.first)?;
        self.slots.get(at as usize)?.as_ref()
    }

    /// Puts a record in its place; what was there is gone. Below `first` it is ignored.
    pub(crate) fn put(&mut self, record: Arc<Record>, size: usize) {
        let Some(at) = record.lsn.0.checked_sub(self.first) else { return };
        let at = at as usize;
        self.bytes += size;
        let slot = Some(Slot { record, size });
        if at == self.slots.len() {
            self.slots.push_back(slot);
            return;
        }
        if at > self.slots.len() {
            self.slots.resize(at + 1, None);
        }
        if let Some(old) = std::mem::replace(&mut self.slots[at], slot) {
            self.bytes -= old.size;
        }
    }

    /// Takes the record at `lsn` out.
    pub(crate) fn remove(&mut self, lsn: Lsn) {
        let Some(at) = lsn.0.checked_sub(self.first) else { return };
        if let Some(old) = self.slots.get_mut(at as usize).and_then(Option::take) {
            self.bytes -= old.size;
        }
        while let Some(None) = self.slots.back() {
            self.slots.pop_back();
        }
    }

    /// Lets the first position leave memory.
    pub(crate) fn pop_first(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.first += 1;
            self.bytes -= slot.map_or(0, |slot| slot.size);
        }
    }

    /// The records at and above `from`, in order of position.
    pub(crate) fn iter_from(&self, from: Lsn) -> impl Iterator<Item = &Arc<Record>> {
        let skip = from.0.saturating_sub(self.first).min(self.slots.len() as u64);
        self.slots.range(skip as usize..).flatten().map(|slot| &slot.record)
    }
}
