//! What is in flight on one key, or on one segment of the key space.

use crate::base::{Lsn, Record};
use smallvec::SmallVec;

/// The records in flight on one key that a later command can still have to look at, in order of
/// position: writers, and readers either all above the latest writer or all below the earliest.
///
/// Everything else is dropped as records come in, because it can neither become a dependency (a
/// remaining record reaches or overrides it) nor a victim (a record that can never be a victim
/// lies above it):
///
/// * under a writer that is not blind, everything: it depends on all of it;
/// * under the latest writer, everything, once a reader lies above: a later writer stops at the
///   readers, a later reader at that writer;
/// * under readers, every writer, once a writer lies above: it stops at the readers as well;
/// * what a new writer overrides. Its victims are on top of the stack, as every record between a
///   victim and its overrider that interferes is a victim too.
///
/// Records below the floor stay until they are more than half; whoever looks skips them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stack {
    writers: SmallVec<[Lsn; 2]>,
    readers: SmallVec<[Lsn; 1]>,
}

impl Stack {
    /// A stack with nothing but a writer.
    pub(super) fn of_writer(lsn: Lsn) -> Stack {
        Stack { writers: SmallVec::from_slice(&[lsn]), readers: SmallVec::new() }
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> bool {
        self.writers.is_empty() && self.readers.is_empty()
    }

    /// The latest writer once the latest `skipped` are left out.
    pub(super) fn writer(&self, skipped: usize) -> Option<Lsn> {
        self.writers.iter().rev().nth(skipped).copied()
    }

    /// The readers at and above `from`.
    pub(super) fn readers_from(&self, from: Lsn) -> &[Lsn] {
        &self.readers[self.readers.partition_point(|lsn| *lsn < from)..]
    }

    /// The latest record once the latest `skipped` writers are left out. Readers hide the writers
    /// under them.
    pub(super) fn top(&self, skipped: usize) -> Option<Lsn> {
        if skipped == 0 && self.readers_on_top() {
            return self.readers.last().copied();
        }
        self.writer(skipped).or_else(|| self.readers.last().copied())
    }

    /// Puts a writer on top.
    pub(super) fn push_writer(&mut self, record: &Record, blind: bool) {
        if blind {
            self.overwrite(record);
        } else {
            self.writers.clear();
            self.readers.clear();
        }
        self.writers.push(record.lsn);
    }

    /// Puts a reader on top.
    pub(super) fn push_reader(&mut self, lsn: Lsn) {
        if !self.readers_on_top() {
            self.readers.clear();
            let under = self.writers.len().saturating_sub(1);
            self.writers.drain(..under);
        }
        self.readers.push(lsn);
    }

    /// Drops what a blind writer above makes unnecessary.
    pub(super) fn overwrite(&mut self, record: &Record) {
        if self.readers_on_top() {
            self.writers.clear();
        }
        while self.writers.last().is_some_and(|top| record.overrides.contains(*top)) {
            self.writers.pop();
        }
    }

    /// Drops records below `below`; some may stay while they are fewer than the others, so that a
    /// record is moved at most once for each one that goes.
    pub(super) fn trim(&mut self, below: Lsn) {
        drop_below(&mut self.writers, below);
        drop_below(&mut self.readers, below);
    }

    fn readers_on_top(&self) -> bool {
        self.readers.last() > self.writers.last()
    }
}

fn drop_below<const N: usize>(lsns: &mut SmallVec<[Lsn; N]>, below: Lsn)
where
    [Lsn; N]: smallvec::Array<Item = Lsn>,
{
    if lsns.first().is_none_or(|first| *first >= below) {
        return;
    }
    let dead = lsns.partition_point(|lsn| *lsn < below);
    if 2 * dead >= lsns.len() {
        lsns.drain(..dead);
    }
}
