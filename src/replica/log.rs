//! The records that a replica keeps in memory.

use crate::base::{Lsn, Record, Tail};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records by position. Below [`first`](Self::first) they have left memory: they are done, and on
/// disk. Above it a position has a record or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    bytes: usize,
    /// Positions whose record is not plain.
    special: Tail,
}

#[derive(Clone, Debug)]
struct Slot {
    record: Arc<Record>,
    brief: Brief,
}

/// What is asked of a record again and again. It lies beside its neighbours in the log, so that
/// committing and applying a thousand plain records do not fetch each of them from memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    /// The record's floor.
    pub(crate) floor: Lsn,
    /// About how many bytes it takes.
    pub(crate) size: u32,
    /// Whether it carries a command.
    pub(crate) command: bool,
    /// Whether it returns something: it carries a command that is not blind.
    pub(crate) returns: bool,
    /// Whether it depends on something at or above its floor.
    pub(crate) depends: bool,
    /// Whether it overrides something.
    pub(crate) overrides: bool,
}

impl Brief {
    /// A command that neither depends on anything nor overrides anything: nothing needs to be
    /// looked at before it is settled, and nothing follows from it.
    pub(crate) fn is_plain(&self) -> bool {
        self.command && !self.depends && !self.overrides
    }
}

impl Brief {
    fn new(record: &Record, size: usize) -> Brief {
        let command = record.command();
        Brief {
            floor: record.floor,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            command: command.is_some(),
            returns: command.is_some_and(|command| !command.footprint.is_blind()),
            depends: !record.depends.is_empty(),
            overrides: !record.overrides.is_empty(),
        }
    }
}

impl Log {
    /// An empty log; everything below `first` is purged.
    pub(crate) fn starting_at(first: Lsn) -> Log {
        Log { first: first.0, ..Log::default() }
    }

    /// Everything below is purged.
    pub(crate) fn drop_below(&mut self, below: Lsn) {
        while self.first < below.0 && !self.slots.is_empty() {
            self.pop_first();
        }
        self.first = self.first.max(below.0);
        self.special.remove_below(Lsn(self.first));
    }

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

    /// The record at `lsn` with its size, if memory has one.
    pub(crate) fn sized(&self, lsn: Lsn) -> Option<(&Arc<Record>, usize)> {
        self.slot(lsn).map(|slot| (&slot.record, slot.brief.size as usize))
    }

    /// Which of the positions `64 * index ..` have a record that is not plain.
    pub(crate) fn special(&self, index: u64) -> u64 {
        self.special.word(index)
    }

    /// The size of the record at `lsn`; zero if memory has none.
    pub(crate) fn size(&self, lsn: Lsn) -> usize {
        self.slot(lsn).map_or(0, |slot| slot.brief.size as usize)
    }

    /// The record at `lsn` in brief.
    pub(crate) fn brief(&self, lsn: Lsn) -> Option<Brief> {
        self.slot(lsn).map(|slot| slot.brief)
    }

    fn slot(&self, lsn: Lsn) -> Option<&Slot> {
        let at = lsn.0.checked_sub(self.first)?;
        self.slots.get(at as usize)?.as_ref()
    }

    /// Puts a record in its place; what was there is gone. Below `first` it is ignored.
    pub(crate) fn put(&mut self, record: Arc<Record>, size: usize) {
        let Some(at) = record.lsn.0.checked_sub(self.first) else { return };
        let at = at as usize;
        let (lsn, brief) = (record.lsn, Brief::new(&record, size));
        if !brief.is_plain() {
            self.special.insert(lsn);
        }
        self.bytes += brief.size as usize;
        let slot = Some(Slot { record, brief });
        if at == self.slots.len() {
            self.slots.push_back(slot);
            return;
        }
        if at > self.slots.len() {
            self.slots.resize(at + 1, None);
        }
        if let Some(old) = std::mem::replace(&mut self.slots[at], slot) {
            self.bytes -= old.brief.size as usize;
            if brief.is_plain() {
                self.special.remove(lsn);
            }
        }
    }

    /// Takes the record at `lsn` out.
    pub(crate) fn remove(&mut self, lsn: Lsn) {
        let Some(at) = lsn.0.checked_sub(self.first) else { return };
        if let Some(old) = self.slots.get_mut(at as usize).and_then(Option::take) {
            self.bytes -= old.brief.size as usize;
            self.special.remove(lsn);
        }
        while let Some(None) = self.slots.back() {
            self.slots.pop_back();
        }
    }

    /// Lets the first position leave memory.
    pub(crate) fn pop_first(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.first += 1;
            self.bytes -= slot.map_or(0, |slot| slot.brief.size as usize);
            if self.first.is_multiple_of(64) {
                self.special.remove_below(Lsn(self.first));
            }
        }
    }

    /// The records at and above `from`, in order of position.
    pub(crate) fn iter_from(&self, from: Lsn) -> impl Iterator<Item = &Arc<Record>> {
        let skip = from.0.saturating_sub(self.first).min(self.slots.len() as u64);
        self.slots.range(skip as usize..).flatten().map(|slot| &slot.record)
    }
}
