//! A snapshot of a store at the bottom of another one.
//!
//! ```text
//!   key ..                             below all that is reserved
//!   \0traft clock                      the clock, as a value
//!   \0traft due DEADLINE NUMBER        each key with a deadline, the earliest first: its name
//!   \0traft sum                        how many keys of clients there are, and their digest
//!   key ..                             above all that is reserved
//! ```
//!
//! Deadlines and the sum say nothing that the pairs do not say. They are there so that a store can
//! start from the file without reading it.

use super::entry::Entry;
use super::op::RESERVED;
use crate::apply::Bottom;
use crate::base::{Key, KeyRange};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// Where the clock lies among the keys.
pub(super) const CLOCK: &[u8] = b"\0traft clock";

/// What the names of keys with deadlines lie behind.
const DUE: &[u8] = b"\0traft due ";

/// The first key above those.
const AFTER_DUE: &[u8] = b"\0traft due!";

const SUM: &[u8] = b"\0traft sum";

/// The first key above all that are reserved.
pub(super) const AFTER_RESERVED: &[u8] = b"\0traft!";

/// Where the `number`th deadline lies.
pub(super) fn due_key(deadline: u64, number: u64) -> Vec<u8> {
    [DUE, &deadline.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// Where the sum lies, and as what.
pub(super) fn sum_pair(count: u64, sum: u64) -> (&'static [u8], Vec<u8>) {
    (SUM, [count.to_le_bytes(), sum.to_le_bytes()].concat())
}

/// Whether a pair says only what others say too.
pub(super) fn is_derived(key: &[u8]) -> bool {
    key == SUM || key.starts_with(DUE)
}

/// The snapshot, and what is known of all of it.
#[derive(Clone, Debug)]
pub(super) struct File {
    bottom: Arc<dyn Bottom>,
    /// How many keys of clients.
    pub(super) count: u64,
    /// Of their weights.
    pub(super) sum: u64,
    /// The deadlines below this one are of keys that have changed since.
    due_from: Key,
}

impl File {
    /// `None` if it has no sum: it was written before there was one.
    pub(super) fn open(bottom: Arc<dyn Bottom>) -> Option<File> {
        let sum = bottom.get(SUM)?;
        let (count, rest) = sum.split_first_chunk::<8>()?;
        let count = u64::from_le_bytes(*count);
        let sum = u64::from_le_bytes(rest.try_into().ok()?);
        Some(File { bottom, count, sum, due_from: Bytes::from_static(DUE) })
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Entry> {
        Entry::decode(&self.bottom.get(key)?)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.bottom.contains(key)
    }

    /// The keys of clients from `from` on, with what is behind them.
    pub(super) fn walk(&self, from: Bound<&[u8]>) -> Box<dyn Iterator<Item = (Key, Entry)> + '_> {
        let start = match from {
            Bound::Unbounded => Bytes::new(),
            Bound::Included(key) => Bytes::copy_from_slice(key),
            // The least key above it.
            Bound::Excluded(key) => [key, &[0]].concat().into(),
        };
        let below = KeyRange { start: start.clone(), end: Some(Bytes::from_static(RESERVED)) };
        let start = start.max(Bytes::from_static(AFTER_RESERVED));
        let above = KeyRange { start, end: None };
        let pairs = self.range(below).chain(self.range(above));
        Box::new(pairs.filter_map(|(key, value)| Some((key, Entry::decode(&value)?))))
    }

    fn range(&self, range: KeyRange) -> Pairs<'_> {
        if range.is_empty() { Pairs(None) } else { Pairs(Some(self.bottom.range(&range))) }
    }

    /// Deadlines and keys, the earliest first, each with where it lies. Those that it leaves out
    /// are of keys that have changed since.
    pub(super) fn due(&self) -> impl Iterator<Item = (u64, Bytes, Key)> + '_ {
        let end = Some(Bytes::from_static(AFTER_DUE));
        let all = self.range(KeyRange { start: self.due_from.clone(), end });
        all.filter_map(|(at, key)| {
            let deadline = at.get(DUE.len()..)?.first_chunk::<8>()?;
            Some((u64::from_be_bytes(*deadline), key, at))
        })
    }

    /// All deadlines up to the one at this place are of keys that have changed.
    pub(super) fn pass(&mut self, at: &Key) {
        self.due_from = [at, &[0][..]].concat().into();
    }
}

/// Pairs of a range, or none.
struct Pairs<'a>(Option<Box<dyn Iterator<Item = (Key, Bytes)> + 'a>>);

impl Iterator for Pairs<'_> {
    type Item = (Key, Bytes);

    fn next(&mut self) -> Option<(Key, Bytes)> {
        self.0.as_mut()?.next()
    }
}
