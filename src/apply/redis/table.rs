//! The pairs of the store in the order of their keys, and how they are held fast without a copy.
//!
//! ```text
//!   above    what changed since the state was last held fast, as long as somebody reads that
//!   base     all pairs; or, over a file, those that changed since the file was written
//!   file     a snapshot that is asked where it lies; or nothing
//! ```
//!
//! While somebody reads the base, changes lie above it; once nobody does, each change carries a few
//! of those down, until there are none. When what was held fast has become a file, that takes the
//! place of the file and the base, and what is above is the base over it.

use super::entry::{Entry, KeptKey};
use super::file::{AFTER_RESERVED, CLOCK, File, due_key, sum_pair};
use super::layers::Layers;
use super::op::RESERVED;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::once;
use std::ops::Bound;
use std::sync::Arc;

/// `None`: the key is gone.
pub(super) type Changes = BTreeMap<KeptKey, Option<Entry>>;

/// So many changes move down with each further one: more than one, so that it ends.
const MOVED_AT_ONCE: usize = 8;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    file: Option<File>,
    /// Without a file nothing is gone here.
    base: Arc<Changes>,
    above: Option<Box<Changes>>,
    /// How many keys there are, all told, that of the clock included.
    count: usize,
}

/// A state of the store as it was at one moment. It can go to another thread; as long as it is
/// there, the machine that it is of keeps what changes apart.
#[derive(Clone, Debug)]
pub struct Frozen {
    file: Option<File>,
    base: Arc<Changes>,
    count: usize,
}

impl Frozen {
    fn layers(&self) -> Layers<'_> {
        Layers { above: None, base: &self.base, file: self.file.as_ref() }
    }

    /// The pairs in the order of their keys: what a snapshot is built from. Some are reserved: the
    /// clock, and what lets a store start from the file where it lies.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Vec<u8>)> {
        let layers = self.layers();
        let encoded = |(key, entry): (_, Cow<'_, Entry>)| (key, entry.encode());
        let low = layers.walk(Bound::Unbounded).take_while(|(key, _)| **key < *RESERVED);
        let clock = layers.get(CLOCK).map(|clock| (Cow::Borrowed(CLOCK), clock));
        let mut limited: Vec<(u64, &[u8])> = self
            .base
            .iter()
            .filter_map(|(key, entry)| Some((entry.as_ref()?.deadline?, &key[..])))
            .collect();
        limited.sort_unstable();
        let due = layers.due(limited.into_iter()).zip(0..);
        let due = due.map(|((at, key), n)| (Cow::Owned(due_key(at, n)), key.into_owned()));
        let count = self.count - usize::from(clock.is_some());
        let sum = once(()).map(move |()| sum_pair(count as u64, layers.sum()));
        let high = self.layers().walk(Bound::Included(AFTER_RESERVED));
        let reserved = due.chain(sum.map(|(key, value)| (Cow::Borrowed(key), value)));
        low.chain(clock).map(encoded).chain(reserved).chain(high.map(encoded))
    }
}

impl Table {
    /// The state of a file; `None` if it was written before stores could start from it.
    pub(super) fn over(file: File) -> Table {
        let count = file.count as usize + usize::from(file.contains(CLOCK));
        Table { file: Some(file), count, ..Table::default() }
    }

    fn layers(&self) -> Layers<'_> {
        Layers { above: self.above.as_deref(), base: &self.base, file: self.file.as_ref() }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Cow<'_, Entry>> {
        self.layers().get(key)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.layers().contains(key)
    }

    /// The weights of all keys of clients.
    pub(super) fn sum(&self) -> u64 {
        self.layers().sum()
    }

    /// Pairs from a key on, that of the clock included.
    pub(super) fn walk(&self, from: Bound<&[u8]>) -> impl Iterator<Item = Pair<'_>> {
        self.layers().walk(from)
    }

    /// The keys with deadlines, the earliest first; `limited` are those that are not in the file as
    /// they are now.
    pub(super) fn due<'a>(
        &'a self,
        limited: impl Iterator<Item = (u64, &'a [u8])> + 'a,
    ) -> impl Iterator<Item = (u64, Cow<'a, [u8]>)> {
        self.layers().due(limited)
    }

    /// Goes past deadlines of the file whose keys have changed, so that nobody looks at them again.
    pub(super) fn pass_due(&mut self) {
        let Some(file) = &self.file else { return };
        let layers = self.layers();
        let past = file.due().take_while(|(_, key, _)| layers.change(key).is_some());
        let last = past.last().map(|(_, _, at)| at);
        if let (Some(at), Some(file)) = (last, &mut self.file) {
            file.pass(&at);
        }
    }

    /// Gives a key an entry; gives the deadline of the one before, if that is not in the file.
    pub(super) fn set(&mut self, key: &[u8], entry: Entry) -> Option<u64> {
        if self.above.is_some() || self.file.is_some() {
            return self.change(key, Some(entry));
        }
        let base = Arc::make_mut(&mut self.base);
        if let Some(slot) = base.get_mut(key) {
            return slot.replace(entry)?.deadline;
        }
        base.insert(KeptKey::from_slice(key), Some(entry));
        self.count += 1;
        None
    }

    /// Removes a key; gives what it had.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        if self.above.is_some() || self.file.is_some() {
            let before = self.get(key)?.into_owned();
            self.change(key, None);
            return Some(before);
        }
        let before = Arc::make_mut(&mut self.base).remove(key)?;
        self.count -= 1;
        before
    }

    /// Removes all keys, at once.
    pub(super) fn clear(&mut self) {
        *self = Table::default();
    }

    /// Makes a change that cannot simply be made in the base.
    fn change(&mut self, key: &[u8], entry: Option<Entry>) -> Option<u64> {
        let layers = self.layers();
        let (was, before) = match layers.change(key) {
            Some(change) => (change.is_some(), change.as_ref().and_then(|entry| entry.deadline)),
            None => (layers.contains(key), None),
        };
        self.count = self.count + usize::from(entry.is_some()) - usize::from(was);
        let kept = KeptKey::from_slice(key);
        match &mut self.above {
            Some(above) => drop(above.insert(kept, entry)),
            None => drop(Arc::make_mut(&mut self.base).insert(kept, entry)),
        }
        self.settle(MOVED_AT_ONCE);
        before
    }

    /// Moves up to `most` changes down, if nobody reads the base any more.
    fn settle(&mut self, most: usize) {
        let Some(above) = &mut self.above else { return };
        let Some(base) = Arc::get_mut(&mut self.base) else { return };
        for _ in 0..most {
            match above.pop_first() {
                None => break,
                Some((key, None)) if self.file.is_none() => drop(base.remove(&key)),
                Some((key, entry)) => drop(base.insert(key, entry)),
            }
        }
        if above.is_empty() {
            self.above = None;
        }
    }

    /// Holds the pairs fast; `None` while they are held already.
    pub(super) fn freeze(&mut self) -> Option<Frozen> {
        self.settle(usize::MAX);
        if self.above.is_some() {
            return None;
        }
        self.above = Some(Box::default());
        Some(Frozen { file: self.file.clone(), base: self.base.clone(), count: self.count })
    }

    /// What was held fast is a file now, and lies there from here on; says whether it is what is
    /// held fast.
    pub(super) fn rest_on(&mut self, frozen: &Frozen, file: File) -> bool {
        if !Arc::ptr_eq(&frozen.base, &self.base) {
            return false;
        }
        let Some(above) = self.above.take() else { return false };
        self.base = Arc::new(*above);
        self.file = Some(file);
        true
    }

    /// The keys with deadlines that are not in the file as they are now.
    pub(super) fn limited(&self) -> impl Iterator<Item = (u64, KeptKey)> + '_ {
        let changes = self.base.iter().chain(self.above.iter().flat_map(|above| above.iter()));
        changes.filter_map(|(key, entry)| Some((entry.as_ref()?.deadline?, key.clone())))
    }
}

/// A key and what is behind it.
pub(super) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, Entry>);
