//! The records that a replica keeps in memory.

use crate::base::{Lsn, Record, Records, Tail};
use std::collections::VecDeque;
use std::sync::Arc;

/// A list of records stays in memory as long as one of them: so many are put in one at most.
const LIST_MAX: usize = 1024;

/// Records by position. Below [`first`](Self::first) they have left memory: they are done, and on
/// disk. Above it a position has a record or not.
///
/// The records themselves lie in the lists that they came in, or in the one that is being made of
/// those that come one by one: a list can be written and sent on as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    /// Oldest first; they are numbered, and this many were there before the first one.
    lists: VecDeque<List>,
    lists_gone: u32,
    /// Put one by one since the last seal: the list of the next number.
    open: List<Vec<Arc<Record>>>,
    /// How many of the latest lists no write has.
    unwritten: usize,
    bytes: usize,
    /// Positions whose record is not plain.
    special: Tail,
}

#[derive(Clone, Debug)]
struct Slot {
    /// The number of its list, and its place there.
    list: u32,
    at: u32,
    brief: Brief,
}

/// Some of the records of the log.
#[derive(Clone, Debug, Default)]
struct List<L = Records> {
    records: L,
    /// How many of them a slot has.
    held: usize,
    /// About how many bytes they take.
    bytes: usize,
    /// The position after the last one, if each of them follows the one before it.
    end: Option<Lsn>,
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
        while self.first < below.0 && self.pop_first() {}
        self.first = self.first.max(below.0);
        self.special.remove_below(Lsn(self.first));
    }

    /// The first position that memory still covers.
    pub(crate) fn first(&self) -> Lsn {
        Lsn(self.first)
    }

    /// The record at `lsn`, if memory has one.
    pub(crate) fn get(&self, lsn: Lsn) -> Option<&Arc<Record>> {
        self.slot(lsn).map(|slot| self.record(slot))
    }

    /// The record at `lsn` with its size, if memory has one.
    pub(crate) fn sized(&self, lsn: Lsn) -> Option<(&Arc<Record>, usize)> {
        self.slot(lsn).map(|slot| (self.record(slot), slot.brief.size as usize))
    }

    /// The records of `from .. end` with their size, if they are just one list.
    pub(crate) fn list(&self, from: Lsn, end: Lsn) -> Option<(&Records, usize)> {
        let slot = self.slot(from).filter(|slot| slot.at == 0)?;
        let list = self.lists.get(slot.list.wrapping_sub(self.lists_gone) as usize)?;
        let whole = list.end == Some(end) && list.held == list.records.len();
        whole.then_some((&list.records, list.bytes))
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

    fn record(&self, slot: &Slot) -> &Arc<Record> {
        match self.lists.get(slot.list.wrapping_sub(self.lists_gone) as usize) {
            Some(list) => &list.records[slot.at as usize],
            None => &self.open.records[slot.at as usize],
        }
    }

    /// Puts a record in its place; what was there is gone. Below `first` it is ignored.
    pub(crate) fn put(&mut self, record: Arc<Record>, size: usize) {
        if record.lsn.0 < self.first {
            return;
        }
        if self.open.records.len() == LIST_MAX {
            self.seal();
        }
        self.open.note(record.lsn, size);
        self.place(self.open.records.len(), &record, size);
        self.open.records.push(record);
    }

    /// Puts records that came together, no two at one position and none below `first`, with their
    /// sizes.
    pub(crate) fn put_all(&mut self, records: &Records, sizes: &[usize]) {
        self.seal();
        let mut list = List::default();
        for (at, (record, size)) in records.iter().zip(sizes).enumerate() {
            list.note(record.lsn, *size);
            self.place(at, record, *size);
        }
        list.records = records.clone();
        self.push(list);
    }

    /// What was put one by one becomes a list.
    pub(crate) fn seal(&mut self) {
        if self.open.records.is_empty() {
            return;
        }
        let List { records, held, bytes, end } = std::mem::take(&mut self.open);
        // The next list is likely to be as long.
        self.open.records.reserve(records.len());
        self.push(List { records: Records::from(records), held, bytes, end });
    }

    fn push(&mut self, list: List) {
        self.lists.push_back(list);
        self.unwritten += 1;
        self.release();
    }

    /// What was put since the last call and is in its place: for the write.
    pub(crate) fn take_unwritten(&mut self) -> Records {
        self.seal();
        let from = self.lists.len() - std::mem::take(&mut self.unwritten).min(self.lists.len());
        let number = |at: usize| self.lists_gone.wrapping_add(at as u32);
        let in_place = |(number, at, record): (u32, usize, &Arc<Record>)| {
            let slot = self.slot(record.lsn);
            let held = slot.is_some_and(|slot| slot.list == number && slot.at == at as u32);
            held.then(|| record.clone())
        };
        match self.lists.range(from..).next() {
            Some(list) if from + 1 == self.lists.len() && list.held == list.records.len() => {
                list.records.clone()
            }
            _ => (from..self.lists.len())
                .flat_map(|at| {
                    let records = self.lists[at].records.iter().enumerate();
                    records.map(move |(place, record)| (number(at), place, record))
                })
                .filter_map(in_place)
                .collect(),
        }
    }

    /// Gives the position of `record` to it, the one at `at` of the list that is made last.
    fn place(&mut self, at: usize, record: &Record, size: usize) {
        let lsn = record.lsn;
        let list = self.lists_gone.wrapping_add(self.lists.len() as u32);
        let brief = Brief::new(record, size);
        if !brief.is_plain() {
            self.special.insert(lsn);
        }
        self.bytes += brief.size as usize;
        let slot = Some(Slot { list, at: at as u32, brief });
        let at = (lsn.0 - self.first) as usize;
        if at == self.slots.len() {
            self.slots.push_back(slot);
            return;
        }
        if at > self.slots.len() {
            self.slots.resize(at + 1, None);
        }
        if let Some(old) = std::mem::replace(&mut self.slots[at], slot) {
            self.let_go(&old);
            if brief.is_plain() {
                self.special.remove(lsn);
            }
        }
    }

    /// A slot does not have its record any more.
    fn let_go(&mut self, slot: &Slot) {
        self.bytes -= slot.brief.size as usize;
        match self.lists.get_mut(slot.list.wrapping_sub(self.lists_gone) as usize) {
            Some(list) => list.held -= 1,
            None => self.open.held -= 1,
        }
    }

    /// Forgets the oldest lists that have nothing in its place.
    fn release(&mut self) {
        while self.lists.front().is_some_and(|list| list.held == 0) {
            self.lists.pop_front();
            self.lists_gone = self.lists_gone.wrapping_add(1);
        }
    }

    /// Takes the record at `lsn` out.
    pub(crate) fn remove(&mut self, lsn: Lsn) {
        let Some(at) = lsn.0.checked_sub(self.first) else { return };
        if let Some(old) = self.slots.get_mut(at as usize).and_then(Option::take) {
            self.let_go(&old);
            self.special.remove(lsn);
        }
        while let Some(None) = self.slots.back() {
            self.slots.pop_back();
        }
        self.release();
    }

    /// Lets what lies below `below` leave memory, the first position first, until the records take
    /// no more than `bytes`.
    pub(crate) fn shrink(&mut self, below: Lsn, bytes: usize) {
        if self.bytes <= bytes {
            return;
        }
        while self.bytes > bytes && self.first < below.0 && self.pop_first() {}
        self.special.remove_below(Lsn(self.first));
    }

    /// Lets the first position leave memory, if there is one.
    fn pop_first(&mut self) -> bool {
        let Some(slot) = self.slots.pop_front() else { return false };
        self.first += 1;
        if let Some(slot) = slot {
            self.let_go(&slot);
            self.release();
        }
        true
    }

    /// The records at and above `from`, in order of position.
    pub(crate) fn iter_from(&self, from: Lsn) -> impl Iterator<Item = &Arc<Record>> {
        let skip = from.0.saturating_sub(self.first).min(self.slots.len() as u64);
        self.slots.range(skip as usize..).flatten().map(|slot| self.record(slot))
    }
}

impl<L> List<L> {
    /// A record comes into it.
    fn note(&mut self, lsn: Lsn, size: usize) {
        let follows = self.bytes == 0 || self.end == Some(lsn);
        self.end = follows.then(|| lsn.next());
        self.held += 1;
        self.bytes += size;
    }
}
