//! What is in flight on one key, or on one segment of the key space.

use crate::base::{Lsn, Record};
use smallvec::SmallVec;

/// The records in flight on one key that a later command can still have to look at: writers, and
/// readers either all above the latest writer or all below the earliest.
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
/// Records that are trimmed stay until they are half of the stack; whoever looks skips them.
#[derive(Clone, Debug, Default)]
pub(super) enum Stack {
    #[default]
    Empty,
    /// One writer.
    Writer(Lsn),
    /// One reader.
    Reader(Lsn),
    /// Anything else.
    Deep(Box<Layers>),
}

/// Both in order of position.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    writers: SmallVec<[Lsn; 4]>,
    readers: SmallVec<[Lsn; 4]>,
}

impl Stack {
    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> bool {
        self.latest().is_none()
    }

    /// The latest record.
    pub(super) fn latest(&self) -> Option<Lsn> {
        self.top(0)
    }

    /// The latest writer once the latest `skipped` are left out.
    pub(super) fn writer(&self, skipped: usize) -> Option<Lsn> {
        self.writers().iter().rev().nth(skipped).copied()
    }

    /// The readers at and above `from`.
    pub(super) fn readers_from(&self, from: Lsn) -> &[Lsn] {
        let readers = self.readers();
        &readers[readers.partition_point(|lsn| *lsn < from)..]
    }

    /// The latest record once the latest `skipped` writers are left out. Readers hide the writers
    /// under them.
    pub(super) fn top(&self, skipped: usize) -> Option<Lsn> {
        if skipped == 0 && self.readers_on_top() {
            return self.readers().last().copied();
        }
        self.writer(skipped).or_else(|| self.readers().last().copied())
    }

    /// Puts a writer on top.
    pub(super) fn push_writer(&mut self, record: &Record, blind: bool) {
        if blind {
            self.overwrite(record);
        }
        if !blind || self.is_empty() {
            *self = Stack::Writer(record.lsn);
        } else {
            self.layers().writers.push(record.lsn);
        }
    }

    /// Puts a reader on top.
    pub(super) fn push_reader(&mut self, lsn: Lsn) {
        if self.is_empty() {
            *self = Stack::Reader(lsn);
            return;
        }
        let on_top = self.readers_on_top();
        let Layers { writers, readers } = self.layers();
        if !on_top {
            readers.clear();
            let under = writers.len() - 1;
            writers.drain(..under);
        }
        readers.push(lsn);
    }

    /// Drops what a blind writer above makes unnecessary.
    pub(super) fn overwrite(&mut self, record: &Record) {
        match self {
            Stack::Empty | Stack::Reader(_) => {}
            Stack::Writer(lsn) => {
                if record.overrides.contains(*lsn) {
                    *self = Stack::Empty;
                }
            }
            Stack::Deep(layers) => layers.overwrite(record),
        }
    }

    /// Drops records below `below`; some may stay while they are fewer than the others, so that a
    /// record is moved at most once for each one that goes.
    pub(super) fn trim(&mut self, below: Lsn) {
        match self {
            Stack::Writer(lsn) | Stack::Reader(lsn) if *lsn < below => *self = Stack::Empty,
            Stack::Deep(layers) => {
                drop_below(&mut layers.writers, below);
                drop_below(&mut layers.readers, below);
            }
            _ => {}
        }
    }

    fn writers(&self) -> &[Lsn] {
        match self {
            Stack::Empty | Stack::Reader(_) => &[],
            Stack::Writer(lsn) => std::slice::from_ref(lsn),
            Stack::Deep(layers) => &layers.writers,
        }
    }

    fn readers(&self) -> &[Lsn] {
        match self {
            Stack::Empty | Stack::Writer(_) => &[],
            Stack::Reader(lsn) => std::slice::from_ref(lsn),
            Stack::Deep(layers) => &layers.readers,
        }
    }

    fn readers_on_top(&self) -> bool {
        self.readers().last() > self.writers().last()
    }

    fn layers(&mut self) -> &mut Layers {
        if !matches!(self, Stack::Deep(_)) {
            let writers = SmallVec::from_slice(self.writers());
            let readers = SmallVec::from_slice(self.readers());
            *self = Stack::Deep(Box::new(Layers { writers, readers }));
        }
        let Stack::Deep(layers) = self else { unreachable!("just made deep") };
        layers
    }
}

impl Layers {
    fn overwrite(&mut self, record: &Record) {
        if self.readers.last() > self.writers.last() {
            self.writers.clear();
        }
        while self.writers.last().is_some_and(|top| record.overrides.contains(*top)) {
            self.writers.pop();
        }
    }
}

fn drop_below(lsns: &mut SmallVec<[Lsn; 4]>, below: Lsn) {
    if lsns.first().is_some_and(|first| *first < below) {
        let dead = lsns.partition_point(|lsn| *lsn < below);
        if 2 * dead >= lsns.len() {
            lsns.drain(..dead);
        }
    }
}
