//! The records that a replica keeps in memory.

use super::departed::Departed;
use super::kinds::{Kind, Kinds};
use crate::base::{
    BATCH_MAX, Batch, Brief, Lsn, Record, Records, SharedRecord, Tail, TailBitmap, ones,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records by position. Below [`first`](Self::first) they have left memory: they are done, and on
/// disk. Above it a position has a record or not.
///
/// The records themselves lie in the batches that they came in, or in the one that is being made of
/// those that come one by one: a batch can be written and sent on as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    first: u64,
    slots: VecDeque<Slot>,
    /// Oldest first; they are numbered, and this many were there before the first one.
    lists: VecDeque<List>,
    lists_gone: u32,
    /// Put one by one since the last seal: the list of the next number.
    open: Batch,
    open_held: usize,
    /// How many of the latest lists no write has.
    unwritten: usize,
    bytes: usize,
    /// Which positions have a record that is not plain.
    kinds: Kinds,
    departed: Departed,
}

/// Where the record of a position is: the number of its list, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    list: u32,
    at: u32,
}

/// So many bytes leave memory at once, or a record: looking costs as much for one as for several,
/// and many would make somebody wait.
const SHRUNK_AT_ONCE: usize = 4 << 10;

/// The position has no record.
const EMPTY: Slot = Slot { list: 0, at: u32::MAX };

/// Some of the records of the log.
#[derive(Clone, Debug)]
struct List {
    batch: Arc<Batch>,
    /// How many of them a slot has.
    held: usize,
}

impl List {
    fn is_whole(&self) -> bool {
        self.held == self.batch.records().len()
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
        self.departed.drop_below(below);
        self.forget_below_first();
    }

    /// The first position that memory still covers.
    pub(crate) fn first(&self) -> Lsn {
        Lsn(self.first)
    }

    /// The record at `lsn`, if memory has one.
    pub(crate) fn get(&self, lsn: Lsn) -> Option<&Record> {
        self.slot(lsn).map(|slot| &self.batch(slot).records()[slot.at as usize])
    }

    /// The same with those that came with it and follow it, as far as each is in its place; nothing
    /// if memory has no record at `lsn`.
    pub(crate) fn get_with_next(&self, lsn: Lsn) -> &[Record] {
        let Some(slot) = self.slot(lsn) else { return &[] };
        let records = &self.batch(slot).records()[slot.at as usize..];
        if self.is_whole(slot) { records } else { &records[..1] }
    }

    /// The record at `lsn`, to keep; a copy while it lies in the batch that is being made.
    pub(crate) fn shared(&self, lsn: Lsn) -> Option<SharedRecord> {
        let slot = self.slot(lsn)?;
        let list = self.lists.get(slot.list.wrapping_sub(self.lists_gone) as usize);
        Some(match list {
            Some(list) => SharedRecord::new(list.batch.clone(), slot.at),
            None => self.open.records()[slot.at as usize].clone().into(),
        })
    }

    /// The record at `lsn` in brief.
    pub(crate) fn brief(&self, lsn: Lsn) -> Option<Brief> {
        self.slot(lsn).map(|slot| self.batch(slot).briefs()[slot.at as usize])
    }

    /// The size of the record at `lsn`; zero if memory has none.
    pub(crate) fn size(&self, lsn: Lsn) -> usize {
        self.brief(lsn).map_or(0, |brief| brief.size as usize)
    }

    /// The sizes of the records at these of the positions `64 * index ..`.
    pub(crate) fn size_of_word(&self, index: u64, word: u64) -> usize {
        if word == 0 {
            return 0;
        }
        if word.is_power_of_two() {
            return self.size(Lsn(64 * index + u64::from(word.trailing_zeros())));
        }
        match self.side_by_side(index, word) {
            Some((batch, at)) => {
                let (skipped, end) = (word.trailing_zeros(), word.ilog2() + 1);
                let briefs = batch.briefs()[at..].iter().zip(skipped..end);
                briefs.map(|(brief, bit)| (word >> bit & 1) as usize * brief.size as usize).sum()
            }
            None => ones(64 * index, word).map(|lsn| self.size(lsn)).sum(),
        }
    }

    /// Whether the records at these of the positions `64 * index ..` are all here, and none has a
    /// floor above `floor`.
    pub(crate) fn has_floors_up_to(&self, floor: Lsn, index: u64, word: u64) -> bool {
        let low = |lsn| self.brief(lsn).is_some_and(|brief| brief.floor <= floor);
        if word.is_power_of_two() {
            return low(Lsn(64 * index + u64::from(word.trailing_zeros())));
        }
        match self.side_by_side(index, word) {
            Some((batch, _)) if batch.summary().floor <= floor => true,
            _ => ones(64 * index, word).all(low),
        }
    }

    /// Mostly the positions from the first to the last of these of `64 * index ..` are those of one
    /// batch, and each has its record: the batch, and where in it the first one is.
    fn side_by_side(&self, index: u64, word: u64) -> Option<(&Batch, usize)> {
        let first = Lsn(64 * index + u64::from(word.trailing_zeros()));
        let last = Lsn(64 * index + u64::from(word.checked_ilog2()?));
        let slot = self.slot(first)?;
        let batch = self.batch(slot);
        let (_, end, _) = batch.run()?;
        (last < end && self.is_whole(slot)).then_some((batch, slot.at as usize))
    }

    /// Whether all records of its batch are in their places.
    fn is_whole(&self, slot: Slot) -> bool {
        match self.lists.get(slot.list.wrapping_sub(self.lists_gone) as usize) {
            Some(list) => list.is_whole(),
            None => self.open_held == self.open.records().len(),
        }
    }

    /// The records of `from .. end` with their size, if they are just some batches, each one whole.
    pub(crate) fn batches(&self, from: Lsn, end: Lsn) -> Option<(Records, usize)> {
        // Mostly it is the latest one.
        if let Some(List { batch, held }) = self.lists.back()
            && batch.run().is_some_and(|(first, after, _)| first == from && after == end)
            && *held == batch.records().len()
        {
            return Some((Records::of_batch(batch.clone()), batch.summary().bytes));
        }
        let slot = self.slot(from)?;
        let (mut records, mut bytes, mut next) = (Records::new(), 0, from);
        let lists = self.lists.range(slot.list.wrapping_sub(self.lists_gone) as usize..);
        for list in lists {
            let (first, after, _) = list.batch.run().filter(|_| list.is_whole())?;
            if first != next {
                return None;
            }
            bytes += list.batch.summary().bytes;
            records.push_batch(list.batch.clone());
            next = after;
            if next >= end {
                break;
            }
        }
        (next == end).then_some((records, bytes))
    }

    /// Which of the positions `64 * index ..` have a record that is not plain, and which have one
    /// that overrides something, as far as [`overrides`](Self::overrides) knows it.
    #[inline]
    pub(crate) fn kind(&self, index: u64) -> Kind {
        let Kind { special, overriding } = self.kinds.word(index);
        Kind { special, overriding: overriding | self.departed.word(index) }
    }

    /// What the record at `lsn` overrides, if it does; of one that has left memory only what is
    /// not held here.
    pub(crate) fn overrides(&self, lsn: Lsn) -> Option<&Tail> {
        match self.brief(lsn) {
            Some(brief) if brief.overrides => self.get(lsn).map(|record| &record.overrides),
            Some(_) => None,
            None => self.departed.overrides(lsn),
        }
    }

    fn slot(&self, lsn: Lsn) -> Option<Slot> {
        let at = lsn.0.checked_sub(self.first)?;
        self.slots.get(at as usize).copied().filter(|slot| *slot != EMPTY)
    }

    fn batch(&self, slot: Slot) -> &Batch {
        match self.lists.get(slot.list.wrapping_sub(self.lists_gone) as usize) {
            Some(list) => &list.batch,
            None => &self.open,
        }
    }

    /// The number of the list that is made last.
    fn newest(&self) -> u32 {
        self.lists_gone.wrapping_add(self.lists.len() as u32)
    }

    /// Puts a record in its place, which is not below `first`; what was there is gone. Inlined,
    /// because a call by value copies the record.
    #[inline(always)]
    pub(crate) fn put(&mut self, record: Record) -> Brief {
        let lsn = record.lsn;
        let slot = Slot { list: self.newest(), at: self.open.records().len() as u32 };
        let brief = self.open.push(record);
        self.open_held += 1;
        self.place(lsn, slot, brief);
        if self.open.records().len() == BATCH_MAX {
            self.close_open();
        }
        brief
    }

    /// Puts records that came together, no two at one position and none below `first`.
    pub(crate) fn put_batch(&mut self, batch: &Arc<Batch>) {
        self.seal();
        let (list, count) = (self.newest(), batch.records().len());
        let next = self.first + self.slots.len() as u64;
        if batch.run().is_some_and(|(from, ..)| from.0 == next) {
            match count {
                1 => self.slots.push_back(Slot { list, at: 0 }),
                _ => self.slots.extend((0..count as u32).map(|at| Slot { list, at })),
            }
            if !batch.summary().special.is_empty() {
                self.kinds.insert_all(&batch.summary().special, &batch.summary().overriding);
            }
            self.bytes += batch.summary().bytes;
        } else {
            for (at, (record, brief)) in batch.records().iter().zip(batch.briefs()).enumerate() {
                self.place(record.lsn, Slot { list, at: at as u32 }, *brief);
            }
        }
        self.push(List { batch: batch.clone(), held: count });
    }

    /// What was put one by one becomes a batch.
    #[inline]
    pub(crate) fn seal(&mut self) {
        if !self.open.is_empty() {
            self.close_open();
        }
    }

    fn close_open(&mut self) {
        let batch = Arc::new(std::mem::take(&mut self.open));
        // The next one is likely to be as long.
        self.open.reserve(batch.records().len());
        let held = std::mem::take(&mut self.open_held);
        self.push(List { batch, held });
    }

    fn push(&mut self, list: List) {
        self.lists.push_back(list);
        self.unwritten += 1;
        self.release();
    }

    /// What was put since the last call and is in its place: for the write.
    pub(crate) fn take_unwritten(&mut self) -> Records {
        self.seal();
        let count = std::mem::take(&mut self.unwritten).min(self.lists.len());
        // Mostly there is one.
        if let (1, Some(list)) = (count, self.lists.back())
            && list.is_whole()
        {
            return Records::of_batch(list.batch.clone());
        }
        let mut records = Records::new();
        let from = self.lists.len() - count;
        for (list, number) in self.lists.range(from..).zip(from as u32..) {
            if list.is_whole() {
                records.push_batch(list.batch.clone());
                continue;
            }
            let list = (list.batch.records(), self.lists_gone.wrapping_add(number));
            let in_place = list.0.iter().zip(0..).filter(|(record, at)| {
                self.slot(record.lsn) == Some(Slot { list: list.1, at: *at })
            });
            records.extend(in_place.map(|(record, _)| record.clone()));
        }
        records
    }

    /// Gives a position to a record of the list that is made last.
    #[inline]
    fn place(&mut self, lsn: Lsn, slot: Slot, brief: Brief) {
        if !brief.is_plain() {
            self.kinds.insert(lsn, brief.overrides);
        }
        self.bytes += brief.size as usize;
        let at = (lsn.0 - self.first) as usize;
        if at == self.slots.len() {
            self.slots.push_back(slot);
        } else {
            self.place_within(lsn, at, slot, brief);
        }
    }

    /// The same where there was a record before, or is none right below.
    fn place_within(&mut self, lsn: Lsn, at: usize, slot: Slot, brief: Brief) {
        if at > self.slots.len() {
            self.slots.resize(at + 1, EMPTY);
        }
        let old = std::mem::replace(&mut self.slots[at], slot);
        if old != EMPTY {
            self.let_go(old);
            if brief.is_plain() {
                self.kinds.remove(lsn);
            }
        }
    }

    /// A slot does not have its record any more.
    fn let_go(&mut self, slot: Slot) {
        self.bytes -= self.batch(slot).briefs()[slot.at as usize].size as usize;
        match self.lists.get_mut(slot.list.wrapping_sub(self.lists_gone) as usize) {
            Some(list) => list.held -= 1,
            None => self.open_held -= 1,
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
        if let Some(slot) = self.slots.get_mut(at as usize) {
            let old = std::mem::replace(slot, EMPTY);
            if old != EMPTY {
                self.let_go(old);
                self.kinds.remove(lsn);
            }
        }
        while let Some(&EMPTY) = self.slots.back() {
            self.slots.pop_back();
        }
        self.release();
    }

    /// About how many bytes the records take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// If the records take more than `most` bytes, lets what lies below `below` leave memory, the
    /// oldest batch first, and a little more than must: it is worth the while. Of holes among what
    /// is `accepted` it is remembered who overrides them.
    pub(crate) fn shrink(&mut self, below: Lsn, most: usize, accepted: &TailBitmap) {
        if self.bytes <= most {
            return;
        }
        let bytes = most - SHRUNK_AT_ONCE.min(most / 64);
        let holes = accepted.offset() < below;
        while self.bytes > bytes && self.first < below.0 {
            if holes {
                self.note_departure(accepted);
            }
            // With holes one by one: each record may override one.
            if (holes || !self.pop_list(below)) && !self.pop_first() {
                break;
            }
        }
        self.forget_below_first();
    }

    /// The first record is about to leave memory.
    fn note_departure(&mut self, accepted: &TailBitmap) {
        let lsn = Lsn(self.first);
        if let Some(overrides) = self.overrides(lsn).cloned() {
            self.departed.note(lsn, overrides, accepted);
        }
    }

    fn forget_below_first(&mut self) {
        self.kinds.remove_below(Lsn(self.first));
    }

    /// Lets the first list leave memory at one stroke, if it is whole, stands first and lies below.
    fn pop_list(&mut self, below: Lsn) -> bool {
        let Some(list) = self.lists.front().filter(|list| list.is_whole()) else { return false };
        let Some((from, to, _)) = list.batch.run() else { return false };
        if from.0 != self.first || to > below {
            return false;
        }
        self.bytes -= list.batch.summary().bytes;
        match list.held {
            1 => drop(self.slots.pop_front()),
            held => drop(self.slots.drain(..held)),
        }
        self.first = to.0;
        self.lists.pop_front();
        self.lists_gone = self.lists_gone.wrapping_add(1);
        self.release();
        true
    }

    /// Lets the first position leave memory, if there is one.
    fn pop_first(&mut self) -> bool {
        let Some(slot) = self.slots.pop_front() else { return false };
        self.first += 1;
        if slot != EMPTY {
            self.let_go(slot);
            self.release();
        }
        true
    }

    /// The records at and above `from`, in order of position.
    pub(crate) fn iter_from(&self, from: Lsn) -> impl Iterator<Item = &Record> {
        let skip = from.0.saturating_sub(self.first).min(self.slots.len() as u64);
        let held = self.slots.range(skip as usize..).filter(|slot| **slot != EMPTY);
        held.map(|slot| &self.batch(*slot).records()[slot.at as usize])
    }
}
