//! The pairs of the store in the order of their keys, and how they are held fast without a copy.
//!
//! As in the key-value machine: while somebody reads the base, changes lie above it; once nobody
//! does, each change carries a few of those down, until there are none.

use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// A key as it is kept: most fit in place, so that a look-up follows no pointer to compare them
/// and a key keeps no command's memory alive.
pub(super) type KeptKey = SmallVec<[u8; 24]>;

/// A value and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    /// In milliseconds since 1970; `None`: never.
    pub(super) deadline: Option<u64>,
}

type Pairs = BTreeMap<KeptKey, Entry>;
type Changes = BTreeMap<KeptKey, Option<Entry>>;

/// So many changes move down with each further one: more than one, so that it ends.
const MOVED_AT_ONCE: usize = 8;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    base: Arc<Pairs>,
    above: Option<Box<Above>>,
}

/// What happened since the base was frozen.
#[derive(Clone, Debug, Default)]
struct Above {
    /// `None`: the key is gone.
    changes: Changes,
    /// How many keys there are, all told.
    count: usize,
}

/// A state of the store as it was at one moment. It can go to another thread; as long as it is
/// there, the machine that it is of keeps what changes apart.
#[derive(Clone, Debug)]
pub struct Frozen {
    base: Arc<Pairs>,
}

impl Frozen {
    /// The pairs in the order of their keys: what a snapshot is built from.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
        self.base.iter().map(|(key, entry)| (&key[..], entry.encode()))
    }
}

impl Entry {
    /// One byte, 0, and the value; or 1, the deadline, and the value.
    fn encode(&self) -> Vec<u8> {
        match self.deadline {
            None => [&[0], &self.value[..]].concat(),
            Some(at) => [&[1], &at.to_le_bytes()[..], &self.value].concat(),
        }
    }

    /// The value is a slice of the bytes.
    pub(super) fn decode(bytes: &Bytes) -> Option<Entry> {
        match bytes.split_first()? {
            (0, _) => Some(Entry { value: bytes.slice(1..), deadline: None }),
            (1, rest) => {
                let deadline = u64::from_le_bytes(*rest.first_chunk::<8>()?);
                let sound = deadline > 0 && i64::try_from(deadline).is_ok();
                let value = bytes.slice(9..);
                sound.then_some(Entry { value, deadline: Some(deadline) })
            }
            _ => None,
        }
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.above.as_ref().map_or(self.base.len(), |above| above.count)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        if let Some(above) = &self.above
            && let Some(change) = above.changes.get(key)
        {
            return change.as_ref();
        }
        self.base.get(key)
    }

    /// Gives a key an entry; gives the deadline of the one before.
    pub(super) fn set(&mut self, key: &[u8], entry: Entry) -> Option<u64> {
        if self.above.is_some() {
            return self.change(key, Some(entry));
        }
        let base = Arc::make_mut(&mut self.base);
        if let Some(slot) = base.get_mut(key) {
            return std::mem::replace(slot, entry).deadline;
        }
        base.insert(KeptKey::from_slice(key), entry);
        None
    }

    /// Removes a key; gives what it had.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        if self.above.is_some() {
            let before = self.get(key)?.clone();
            self.change(key, None);
            return Some(before);
        }
        Arc::make_mut(&mut self.base).remove(key)
    }

    /// Removes all keys, at once.
    pub(super) fn clear(&mut self) {
        *self = Table::default();
    }

    /// Makes a change while there are others above the base; gives the deadline before.
    fn change(&mut self, key: &[u8], entry: Option<Entry>) -> Option<u64> {
        let before = self.get(key).map(|entry| entry.deadline);
        if let Some(above) = &mut self.above {
            above.count =
                above.count + usize::from(entry.is_some()) - usize::from(before.is_some());
            above.changes.insert(KeptKey::from_slice(key), entry);
        }
        self.settle(MOVED_AT_ONCE);
        before.flatten()
    }

    /// Moves up to `most` changes down, if nobody reads the base any more.
    fn settle(&mut self, most: usize) {
        let Some(above) = &mut self.above else { return };
        let Some(base) = Arc::get_mut(&mut self.base) else { return };
        for _ in 0..most {
            match above.changes.pop_first() {
                None => break,
                Some((key, Some(entry))) => drop(base.insert(key, entry)),
                Some((key, None)) => drop(base.remove(&key)),
            }
        }
        if above.changes.is_empty() {
            self.above = None;
        }
    }

    /// Holds the pairs fast; `None` while they are held already.
    pub(super) fn freeze(&mut self) -> Option<Frozen> {
        self.settle(usize::MAX);
        if self.above.is_some() {
            return None;
        }
        let count = self.base.len();
        self.above = Some(Box::new(Above { count, ..Above::default() }));
        Some(Frozen { base: self.base.clone() })
    }

    /// The pairs above `after`, in the order of their keys; all of them without it.
    pub(super) fn above(&self, after: Option<&[u8]>) -> Walk<'_> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (start, Bound::Unbounded);
        let changes = self.above.as_ref().map(|above| above.changes.range::<[u8], _>(range));
        Walk {
            base: self.base.range::<[u8], _>(range).peekable(),
            changes: changes.map(Iterator::peekable),
        }
    }
}

/// Pairs and the changes above them, as one.
pub(super) struct Walk<'a> {
    base: Peekable<btree_map::Range<'a, KeptKey, Entry>>,
    changes: Option<Peekable<btree_map::Range<'a, KeptKey, Option<Entry>>>>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a KeptKey, &'a Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(changes) = &mut self.changes else { return self.base.next() };
            let Some((changed, _)) = changes.peek() else { return self.base.next() };
            let below = self.base.next_if(|(key, _)| key < changed);
            if below.is_some() {
                return below;
            }
            // What it changes is not as it was.
            let _ = self.base.next_if(|(key, _)| key == changed);
            if let Some((key, Some(entry))) = changes.next() {
                return Some((key, entry));
            }
        }
    }
}
