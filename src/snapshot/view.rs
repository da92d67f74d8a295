//! A snapshot and what changed since, as one state.

use super::{Range, Snapshot, SnapshotError};
use crate::base::{Key, KeyRange};
use crate::disk::Disk;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this value.
    Set(Bytes),
    /// It is gone.
    Removed,
}

/// Changes, sorted by key: the newest of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    changes: BTreeMap<Key, Change>,
}

impl Overlay {
    /// No change.
    pub fn new() -> Overlay {
        Overlay::default()
    }

    /// Gives a key a value.
    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Bytes>) {
        self.changes.insert(key.into(), Change::Set(value.into()));
    }

    /// Removes a key, whether or not anything below has it.
    pub fn remove(&mut self, key: impl Into<Key>) {
        self.changes.insert(key.into(), Change::Removed);
    }

    /// What happened to `key`, if anything did.
    pub fn get(&self, key: &[u8]) -> Option<&Change> {
        self.changes.get(key)
    }

    /// How many keys are changed.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn range(&self, range: &KeyRange) -> btree_map::Range<'_, Key, Change> {
        if range.is_empty() {
            // A map does not take a range whose end comes first.
            return self.changes.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&b""[..])));
        }
        let end = range.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..]));
        self.changes.range::<[u8], _>((Bound::Included(&range.start[..]), end))
    }
}

/// The state as it is and, while a snapshot is being taken, as it was.
///
/// ```text
///   changes      what happened since the last freeze
///   frozen       what happened before it, until the snapshot that holds it is there
///   snapshot     the file
/// ```
#[derive(Debug)]
pub struct Live<D: Disk> {
    changes: Overlay,
    frozen: Option<Arc<Overlay>>,
    snapshot: Option<Arc<Snapshot<D>>>,
}

impl<D: Disk> Live<D> {
    /// The state of a snapshot; the empty state without one.
    pub fn new(snapshot: Option<Arc<Snapshot<D>>>) -> Live<D> {
        Live { changes: Overlay::new(), frozen: None, snapshot }
    }

    /// Where changes go.
    pub fn changes(&mut self) -> &mut Overlay {
        &mut self.changes
    }

    /// The state now.
    pub fn view(&self) -> View<'_, D> {
        let layers = std::iter::once(&self.changes).chain(self.frozen.as_deref());
        View::new(self.snapshot.as_deref(), layers)
    }

    /// Holds the state of this moment fast, without copying it: a swap. What it returns can go to
    /// another thread, which builds a snapshot from its view. `None` while an earlier one is still
    /// held: one snapshot at a time.
    pub fn freeze(&mut self) -> Option<Frozen<D>> {
        if self.frozen.is_some() {
            return None;
        }
        let changes = Arc::new(std::mem::take(&mut self.changes));
        self.frozen = Some(changes.clone());
        Some(Frozen { snapshot: self.snapshot.clone(), changes })
    }

    /// The snapshot that was built from what was frozen takes its place.
    pub fn thaw(&mut self, snapshot: Arc<Snapshot<D>>) {
        self.snapshot = Some(snapshot);
        self.frozen = None;
    }
}

/// The state at the moment of a [`freeze`](Live::freeze).
#[derive(Debug)]
pub struct Frozen<D: Disk> {
    snapshot: Option<Arc<Snapshot<D>>>,
    changes: Arc<Overlay>,
}

impl<D: Disk> Frozen<D> {
    /// That state.
    pub fn view(&self) -> View<'_, D> {
        View::new(self.snapshot.as_deref(), [&*self.changes])
    }
}

/// A snapshot with changes over it, as one state.
#[derive(Debug)]
pub struct View<'a, D: Disk> {
    snapshot: Option<&'a Snapshot<D>>,
    /// The newest first.
    layers: Vec<&'a Overlay>,
}

impl<'a, D: Disk> View<'a, D> {
    /// A snapshot, or nothing, under layers of changes, the newest first.
    pub fn new(
        snapshot: Option<&'a Snapshot<D>>,
        layers: impl IntoIterator<Item = &'a Overlay>,
    ) -> View<'a, D> {
        View { snapshot, layers: layers.into_iter().collect() }
    }

    fn change(&self, key: &[u8]) -> Option<&Change> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// As of [`Snapshot::get`]; none for a key that was changed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, SnapshotError> {
        match self.change(key) {
            Some(Change::Set(value)) => Ok(Some(value.clone())),
            Some(Change::Removed) => Ok(None),
            None => self.snapshot.map_or(Ok(None), |snapshot| snapshot.get(key)),
        }
    }

    /// The pairs whose keys are in `range`, in order.
    pub fn range(&self, range: &KeyRange) -> Merged<'a, D> {
        Merged {
            layers: self.layers.iter().map(|layer| layer.range(range).peekable()).collect(),
            snapshot: self.snapshot.map(|snapshot| snapshot.range(range).peekable()),
        }
    }

    /// The pairs whose keys begin with `prefix`, in order.
    pub fn prefix(&self, prefix: &[u8]) -> Merged<'a, D> {
        self.range(&super::prefix_range(prefix))
    }

    /// How many keys are in `range`. Looks each changed key up in the snapshot, and reads no block.
    ///
    /// # Errors
    ///
    /// As of [`Snapshot::count`].
    pub fn count(&self, range: &KeyRange) -> Result<u64, SnapshotError> {
        let mut count = self.snapshot.map_or(Ok(0), |snapshot| snapshot.count(range))?;
        let changed = self.layers.iter().flat_map(|layer| layer.range(range)).map(|(key, _)| key);
        for key in changed.collect::<BTreeSet<_>>() {
            let was = self.snapshot.map_or(Ok(false), |snapshot| snapshot.contains(key))?;
            let is = matches!(self.change(key), Some(Change::Set(_)));
            count = count + u64::from(is) - u64::from(was);
        }
        Ok(count)
    }
}

/// The pairs of a [`View`], in order. Ends with the first error.
#[derive(Debug)]
pub struct Merged<'a, D: Disk> {
    layers: Vec<Peekable<btree_map::Range<'a, Key, Change>>>,
    snapshot: Option<Peekable<Range<'a, D>>>,
}

impl<D: Disk> Merged<'_, D> {
    /// The least key that any of them has next.
    fn least(&mut self) -> Option<Key> {
        let below = self.snapshot.as_mut().and_then(|pairs| match pairs.peek() {
            Some(Ok((key, _))) => Some(key.clone()),
            _ => None,
        });
        let above = self.layers.iter_mut().filter_map(|layer| layer.peek().map(|(key, _)| *key));
        above.min().into_iter().chain(&below).min().cloned()
    }
}

impl<D: Disk> Iterator for Merged<'_, D> {
    type Item = Result<(Key, Bytes), SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // What the snapshot cannot tell may be less than everything above it.
            let failed = self.snapshot.as_mut().and_then(|pairs| pairs.next_if(Result::is_err));
            if failed.is_some() {
                self.snapshot = None;
                self.layers.clear();
                return failed;
            }
            let key = self.least()?;
            let mut value = None;
            for layer in &mut self.layers {
                if let Some((_, change)) = layer.next_if(|(next, _)| **next == key) {
                    // The first layer that has it is the newest.
                    value = value.or(Some(change.clone()));
                }
            }
            let is_next =
                |next: &Result<(Key, Bytes), _>| next.as_ref().is_ok_and(|(next, _)| *next == key);
            let below = self.snapshot.as_mut().and_then(|pairs| pairs.next_if(is_next));
            match (value, below) {
                (Some(Change::Set(value)), _) => return Some(Ok((key, value))),
                (Some(Change::Removed), _) => {}
                (None, below) => return below,
            }
        }
    }
}
