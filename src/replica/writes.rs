//! Holding promises back until what they rest on is durable.

use super::io::{Output, Write};
use crate::base::{Lsn, Records};
use crate::message::Envelope;
use std::collections::VecDeque;
use std::fmt;

/// The write being composed, the writes that are out, and the outputs that wait for them.
///
/// All changes of one drain go into one [`Write`], numbered when it leaves. An output that rests
/// on durable state waits for the newest write composed so far; writes take effect in order, so a
/// number tells the whole story and no driver has an order to remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    /// All of the write but records of the log, if there is anything.
    current: Option<Box<Write>>,
    /// A box to use again.
    spare: Option<Box<Write>>,
    dirty: bool,
    bytes: usize,
    issued: u64,
    durable: u64,
    withheld: VecDeque<(u64, Box<Envelope>)>,
    sizes: VecDeque<(u64, usize)>,
    unpersisted: usize,
}

impl Writes {
    /// The write being composed.
    pub(crate) fn edit(&mut self) -> &mut Write {
        self.dirty = true;
        self.current.get_or_insert_with(|| self.spare.take().unwrap_or_default())
    }

    /// Takes back a box.
    pub(crate) fn keep(&mut self, mut write: Box<Write>) {
        let Write { number: _, voted, lineage, records, membership, repaired, snapshot } =
            &mut *write;
        *records = Records::new();
        *repaired = false;
        (*voted, *lineage, *membership, *snapshot) = (None, None, None, None);
        self.spare = Some(write);
    }

    /// Records of so many bytes were put into the log, and are to be written.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.unpersisted += bytes;
        self.dirty = true;
    }

    /// Records below need not be written: they are purged.
    pub(crate) fn drop_below(&mut self, below: Lsn) {
        if let Some(write) = &mut self.current {
            write.records.retain(|record| record.lsn >= below);
        }
    }

    /// Whether there is a write being composed.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The number of the write that everything decided so far rests on.
    pub(crate) fn newest(&self) -> u64 {
        self.issued + u64::from(self.dirty)
    }

    /// The greatest number known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// How far a write is from the last durable one; zero if it is durable.
    pub(crate) fn since_durable(&self, number: u64) -> u64 {
        number.saturating_sub(self.durable)
    }

    /// What it will let go when ([`Replica::write_state`](super::Replica::write_state)).
    pub(crate) fn write_state(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{} writes are out ", self.since_durable(self.issued))?;
        if self.dirty {
            write!(out, "{:?} ", self.current.as_deref().unwrap_or(&Write::default()))?;
        }
        for (needs, send) in &self.withheld {
            write!(out, "{} {send:?} ", self.since_durable(*needs))?;
        }
        Ok(())
    }

    /// Bytes of records that are not yet durable.
    pub(crate) fn unpersisted(&self) -> usize {
        self.unpersisted
    }

    /// Lets a message go once all that was decided before it is durable.
    pub(crate) fn promise(&mut self, send: Box<Envelope>, outputs: &mut Vec<Output>) {
        let needs = self.newest();
        if needs <= self.durable {
            Output::put(outputs, || Output::Send(send));
        } else {
            self.withheld.push_back((needs, send));
        }
    }

    /// Sends the composed write out, with these records of the log.
    pub(crate) fn issue(&mut self, mut records: Records, outputs: &mut Vec<Output>) {
        self.dirty = false;
        self.issued += 1;
        if self.bytes > 0 {
            self.sizes.push_back((self.issued, std::mem::take(&mut self.bytes)));
        }
        let mut write = self.current.take().or_else(|| self.spare.take()).unwrap_or_default();
        write.number = self.issued;
        if !write.records.is_empty() {
            records.append(std::mem::take(&mut write.records));
        }
        write.records = records;
        Output::put(outputs, || Output::Persist(write));
    }

    /// Every write up to `number` is durable: releases what waited for them. A number that was
    /// never given out means nothing more than the newest that was.
    pub(crate) fn persisted(&mut self, number: u64, outputs: &mut Vec<Output>) {
        self.durable = self.durable.max(number.min(self.issued));
        while let Some((_, send)) = self.withheld.pop_front_if(|(needs, _)| *needs <= self.durable)
        {
            Output::put(outputs, || Output::Send(send));
        }
        while let Some((_, size)) = self.sizes.pop_front_if(|(number, _)| *number <= self.durable) {
            self.unpersisted -= size;
        }
    }
}
