//! Holding promises back until what they rest on is durable.

use super::io::{Output, Write};
use crate::base::{Lsn, Record};
use std::collections::VecDeque;
use std::sync::Arc;

/// The write being composed, the writes that are out, and the outputs that wait for them.
///
/// All changes of one drain go into one [`Write`], numbered when it leaves. An output that rests
/// on durable state waits for the newest write composed so far; writes take effect in order, so a
/// number tells the whole story and no driver has an order to remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    current: Write,
    dirty: bool,
    bytes: usize,
    issued: u64,
    durable: u64,
    withheld: VecDeque<(u64, Output)>,
    sizes: VecDeque<(u64, usize)>,
    unpersisted: usize,
}

impl Writes {
    /// The write being composed.
    pub(crate) fn edit(&mut self) -> &mut Write {
        self.dirty = true;
        &mut self.current
    }

    /// Adds a record to the write being composed.
    pub(crate) fn record(&mut self, record: Arc<Record>, size: usize) {
        self.bytes += size;
        self.unpersisted += size;
        self.edit().records.push(record);
    }

    /// Records below need not be written: they are purged.
    pub(crate) fn drop_below(&mut self, below: Lsn) {
        self.current.records.retain(|record| record.lsn >= below);
    }

    /// That many records may follow.
    pub(crate) fn expect(&mut self, records: usize) {
        self.current.records.reserve(records);
    }

    /// The number of the write that everything decided so far rests on.
    pub(crate) fn newest(&self) -> u64 {
        self.issued + u64::from(self.dirty)
    }

    /// The greatest number known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Bytes of records that are not yet durable.
    pub(crate) fn unpersisted(&self) -> usize {
        self.unpersisted
    }

    /// Lets `output` go once all that was decided before it is durable.
    pub(crate) fn promise(&mut self, output: Output, outputs: &mut Vec<Output>) {
        let needs = self.newest();
        if needs <= self.durable {
            outputs.push(output);
        } else {
            self.withheld.push_back((needs, output));
        }
    }

    /// Sends the composed write out, if there is one.
    pub(crate) fn issue(&mut self, outputs: &mut Vec<Output>) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        self.issued += 1;
        if self.bytes > 0 {
            self.sizes.push_back((self.issued, std::mem::take(&mut self.bytes)));
        }
        // The next write is likely to be as wide.
        let records = Vec::with_capacity(self.current.records.len().min(1024));
        let next = Write { records, ..Write::default() };
        let mut write = std::mem::replace(&mut self.current, next);
        write.number = self.issued;
        outputs.push(Output::Persist(Box::new(write)));
    }

    /// Every write up to `number` is durable: releases what waited for them. A number that was
    /// never given out means nothing more than the newest that was.
    pub(crate) fn persisted(&mut self, number: u64, outputs: &mut Vec<Output>) {
        self.durable = self.durable.max(number.min(self.issued));
        while self.withheld.front().is_some_and(|(needs, _)| *needs <= self.durable) {
            outputs.extend(self.withheld.pop_front().map(|(_, output)| output));
        }
        while self.sizes.front().is_some_and(|(number, _)| *number <= self.durable) {
            self.unpersisted -= self.sizes.pop_front().map_or(0, |(_, size)| size);
        }
    }
}
