//! The pairs of a key-value state, and how they are held fast without a copy.
//!
//! ```text
//!   usual          base
//!   frozen         changes over a base that somebody else reads
//!   let go         changes over a base that is our own again: each change made moves some more of
//!                  them down, until there are none
//! ```

use bytes::Bytes;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// A key as it is kept: most fit in place, so that a look-up follows no pointer to compare them
/// and a key keeps no command's memory alive.
pub(super) type KeptKey = SmallVec<[u8; 24]>;

type Pairs = FxHashMap<KeptKey, Bytes>;

/// So many changes move down with each further one: more than one, so that it ends.
const MOVED_AT_ONCE: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Entries {
    base: Arc<Pairs>,
    above: Option<Box<Above>>,
}

/// What happened since the base was frozen.
#[derive(Clone, Debug, Default)]
struct Above {
    /// `None`: the key is gone.
    changes: FxHashMap<KeptKey, Option<Bytes>>,
    /// The keys of the changes.
    queue: Vec<KeptKey>,
    /// How many keys there are, all told.
    count: usize,
}

/// A state of keys and values as it was at one moment. It can go to another thread; as long as it
/// is there, the machine that it is of keeps what changes apart.
#[derive(Clone, Debug)]
pub struct Frozen {
    base: Arc<Pairs>,
}

impl Frozen {
    /// The pairs in the order of their keys: what a snapshot is built from. Sorts them first.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &Bytes)> {
        let mut pairs: Vec<_> = self.base.iter().map(|(key, value)| (&key[..], value)).collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        pairs.into_iter()
    }
}

impl Clone for Entries {
    /// A state of its own.
    fn clone(&self) -> Entries {
        Entries { base: Arc::new(Pairs::clone(&self.base)), above: self.above.clone() }
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.above.as_ref().map_or(self.base.len(), |above| above.count)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        if let Some(above) = &self.above
            && let Some(change) = above.changes.get(key)
        {
            return change.as_ref();
        }
        self.base.get(key)
    }

    /// Gives a key a value; says whether it is new.
    pub(super) fn set(&mut self, key: &[u8], value: Bytes) -> bool {
        if self.above.is_some() {
            return self.change(key, Some(value));
        }
        let base = own(&mut self.base);
        if let Some(slot) = base.get_mut(key) {
            *slot = value;
            return false;
        }
        base.insert(KeptKey::from_slice(key), value);
        true
    }

    /// Removes a key; says whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        if self.above.is_some() {
            return self.get(key).is_some() && self.change(key, None);
        }
        own(&mut self.base).remove(key).is_some()
    }

    /// Makes a change while there are others above the base; says whether the key came or went.
    fn change(&mut self, key: &[u8], value: Option<Bytes>) -> bool {
        let (was, is) = (self.get(key).is_some(), value.is_some());
        let Some(above) = &mut self.above else { return false };
        above.count = above.count + usize::from(is) - usize::from(was);
        match above.changes.get_mut(key) {
            Some(slot) => *slot = value,
            None => {
                let key = KeptKey::from_slice(key);
                above.queue.push(key.clone());
                above.changes.insert(key, value);
            }
        }
        self.settle(MOVED_AT_ONCE);
        was != is
    }

    /// Moves up to `most` changes down, if nobody reads the base any more.
    fn settle(&mut self, most: usize) {
        let Some(above) = &mut self.above else { return };
        let Some(base) = Arc::get_mut(&mut self.base) else { return };
        for _ in 0..most {
            let Some(key) = above.queue.pop() else { break };
            match above.changes.remove(&key).flatten() {
                Some(value) => base.insert(key, value),
                None => base.remove(&key),
            };
        }
        if above.queue.is_empty() {
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

    /// All pairs, in no order.
    pub(super) fn for_each(&self, mut f: impl FnMut(&KeptKey, &Bytes)) {
        let changed = |key: &KeptKey| {
            self.above.as_ref().is_some_and(|above| above.changes.contains_key(key))
        };
        for (key, value) in self.base.iter().filter(|(key, _)| !changed(key)) {
            f(key, value);
        }
        let changes = self.above.iter().flat_map(|above| above.changes.iter());
        for (key, value) in changes.filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            f(key, value);
        }
    }
}

/// Without changes above it, nobody else has the base.
fn own(base: &mut Arc<Pairs>) -> &mut Pairs {
    Arc::make_mut(base)
}
