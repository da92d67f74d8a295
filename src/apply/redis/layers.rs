//! Changes over pairs over a file, as one state.

use super::entry::{Entry, KeptKey};
use super::file::File;
use super::op::RESERVED;
use super::table::{Changes, Pair};
use std::borrow::Cow;
use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

/// The newest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers<'a> {
    pub(super) above: Option<&'a Changes>,
    pub(super) base: &'a Changes,
    pub(super) file: Option<&'a File>,
}

impl<'a> Layers<'a> {
    /// What is in memory of a key; `Some(None)` if it is known to be gone.
    pub(super) fn change(&self, key: &[u8]) -> Option<&'a Option<Entry>> {
        self.above.and_then(|above| above.get(key)).or_else(|| self.base.get(key))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Cow<'a, Entry>> {
        match self.change(key) {
            Some(change) => change.as_ref().map(Cow::Borrowed),
            None => self.file?.get(key).map(Cow::Owned),
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let below = || self.file.is_some_and(|file| file.contains(key));
        self.change(key).map_or_else(below, Option::is_some)
    }

    /// The pairs from a key on.
    pub(super) fn walk(&self, from: Bound<&[u8]>) -> Walk<'a> {
        let changed = self.changed(from).peekable();
        Walk { changed, file: self.file.map(|file| file.walk(from).peekable()) }
    }

    fn changed(&self, from: Bound<&[u8]>) -> Changed<'a> {
        let range = (from, Bound::Unbounded);
        Changed {
            above: self.above.map(|above| above.range::<[u8], _>(range).peekable()),
            base: self.base.range::<[u8], _>(range).peekable(),
        }
    }

    /// Of all pairs of clients. Over a file it looks only at what changed.
    pub(super) fn sum(&self) -> u64 {
        let Some(file) = self.file else {
            let pairs = self.walk(Bound::Unbounded).filter(|(key, _)| !key.starts_with(RESERVED));
            return pairs.fold(0, |sum, (key, entry)| sum.wrapping_add(entry.weight(&key)));
        };
        let changed = self.changed(Bound::Unbounded);
        changed.filter(|(key, _)| !key.starts_with(RESERVED)).fold(file.sum, |sum, (key, entry)| {
            let weight = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.weight(key));
            let was = weight(file.get(key).as_ref());
            sum.wrapping_sub(was).wrapping_add(weight(entry.as_ref()))
        })
    }

    /// Keys with deadlines, the earliest first. `limited` are those in memory.
    pub(super) fn due(
        self,
        limited: impl Iterator<Item = (u64, &'a [u8])> + 'a,
    ) -> impl Iterator<Item = (u64, Cow<'a, [u8]>)> {
        let in_file = self.file.into_iter().flat_map(File::due);
        let in_file = in_file.filter(move |(_, key, _)| self.change(key).is_none());
        let mut in_file = in_file.map(|(at, key, _)| (at, key)).peekable();
        let mut limited = limited.peekable();
        std::iter::from_fn(move || {
            let earlier = |(at, key): &(u64, &[u8])| {
                in_file.peek().is_none_or(|(other, name)| (*at, *key) < (*other, &name[..]))
            };
            if let Some((at, key)) = limited.next_if(earlier) {
                return Some((at, Cow::Borrowed(key)));
            }
            in_file.next().map(|(at, key)| (at, Cow::Owned(key.to_vec())))
        })
    }
}

type Changing<'a> = Peekable<btree_map::Range<'a, KeptKey, Option<Entry>>>;

/// What is in memory, the newest of each key.
struct Changed<'a> {
    above: Option<Changing<'a>>,
    base: Changing<'a>,
}

impl<'a> Iterator for Changed<'a> {
    type Item = (&'a KeptKey, &'a Option<Entry>);

    fn next(&mut self) -> Option<Self::Item> {
        let Some(above) = &mut self.above else { return self.base.next() };
        let Some((changed, _)) = above.peek() else { return self.base.next() };
        let below = self.base.next_if(|(key, _)| key < changed);
        if below.is_some() {
            return below;
        }
        // What it changes is not as it was.
        let _ = self.base.next_if(|(key, _)| key == changed);
        above.next()
    }
}

/// The pairs of all layers.
pub(super) struct Walk<'a> {
    changed: Peekable<Changed<'a>>,
    file: Option<Peekable<Filed<'a>>>,
}

type Filed<'a> = Box<dyn Iterator<Item = (crate::base::Key, Entry)> + 'a>;

impl<'a> Iterator for Walk<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            let changed = self.changed.peek().map(|(key, _)| &key[..]);
            if let Some(file) = &mut self.file {
                let below = file.next_if(|(key, _)| changed.is_none_or(|changed| **key < *changed));
                if let Some((key, entry)) = below {
                    return Some((Cow::Owned(key.to_vec()), Cow::Owned(entry)));
                }
                let _ = file.next_if(|(key, _)| changed == Some(key));
            }
            if let (key, Some(entry)) = self.changed.next()? {
                return Some((Cow::Borrowed(&key[..]), Cow::Borrowed(entry)));
            }
        }
    }
}
