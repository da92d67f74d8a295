//! An ordered map of keys, made for a memory that is far away.

mod arena;
mod fan;
mod inner;
#[cfg(test)]
mod tests;

use super::border::{Border, Span};
use arena::Arena;
use fan::{Fan, WIDTH};
use inner::Inner;
use smallvec::SmallVec;
use std::ops::Bound;

/// No leaf.
const NONE: u32 = u32::MAX;

/// An ordered map. What a search in a wide map costs is the cache lines that it has to wait for, so
/// this one is a B+ tree of wide nodes which keep a few bytes of each key ([`Fan`]): a search waits
/// once for each of two or three levels, and then once for the entry that it has found.
///
/// ```text
///   inner     "d"  "k"  "t"          where the leaves after the first one begin
///   leaf      a b    d g h    k m    t w    each knows its neighbours
///   entries   "g" "a" "t" "b" ...    in order of arrival
/// ```
///
/// Entries lie apart from the order in which they are found, so that a node is small and new
/// entries are written side by side.
///
/// A full node gives half of itself away, so 32 splits on one level bring at most one on the next:
/// height `h` takes `32^h` insertions, in whatever order. Nodes in which nothing is left are taken
/// out, others are never joined. Instead all is made anew once there are more than 8 nodes and one
/// for each 8 entries, or more than 64 slots and 4 for each entry: removals have paid for that, a
/// constant each. So memory is at most a constant for each entry, and what [`clear`](Self::clear)
/// keeps.
#[derive(Clone, Debug)]
pub(super) struct Order<V> {
    entries: Arena<Entry<V>>,
    leaves: Arena<Leaf>,
    inners: Arena<Inner>,
    /// An inner node, or a leaf if there is none. Nothing while the map is empty.
    root: u32,
    /// How many levels of inner nodes there are.
    height: u32,
}

#[derive(Clone, Debug, Default)]
struct Entry<V> {
    key: Border,
    value: V,
}

/// What a key in the map stands for.
pub(super) trait Value: Default {
    /// If it says something about the keys from its own key, `start`, on: at most how far the first
    /// 16 bytes of the end of these are from those of `start`. It must not grow in the map.
    fn length(&self, start: &Border) -> u128;
}

/// A key by itself.
impl Value for () {
    fn length(&self, _: &Border) -> u128 {
        0
    }
}

/// Handles of entries. Never empty.
#[derive(Clone, Debug)]
struct Leaf {
    fan: Fan,
    /// At least the length of each value.
    length: u128,
    before: u32,
    after: u32,
}

impl Default for Leaf {
    fn default() -> Leaf {
        Leaf { fan: Fan::default(), length: 0, before: NONE, after: NONE }
    }
}

/// Where an entry is; true until one is put in or taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    leaf: u32,
    at: usize,
}

/// Inner nodes from the root down, with the places taken there.
type Path = SmallVec<[(u32, usize); 6]>;

impl<V> Default for Order<V> {
    fn default() -> Self {
        let (entries, leaves, inners) = (Arena::default(), Arena::default(), Arena::default());
        Order { entries, leaves, inners, root: 0, height: 0 }
    }
}

impl<V: Value> Order<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leaves.width() == 0
    }

    /// Forgets all. Takes as long as there are entries, and keeps the memory unless that was much
    /// more than these took.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.leaves.clear();
        self.inners.clear();
        (self.root, self.height) = (0, 0);
    }

    /// The entry at a place that was just found.
    #[inline]
    pub(super) fn entry(&self, spot: Spot) -> (&Border, &V) {
        let Entry { key, value } = self.entries.get(self.handle(spot));
        (key, value)
    }

    /// Where the last entry below a bound is.
    #[inline]
    pub(super) fn last_below(&self, bound: Bound<&Border>) -> Option<Spot> {
        if self.is_empty() {
            return None;
        }
        let (key, or_at) = match bound {
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
            Bound::Unbounded => return self.step_down(self.end()),
        };
        let leaf = self.leaf_of(key, |_, _| {});
        let at = match self.find_in(leaf, key) {
            Ok(at) => at + usize::from(or_at),
            Err(at) => at,
        };
        self.step_down(Spot { leaf, at })
    }

    /// Whether an entry can say something about `key`, as far as is known without looking at it:
    /// mostly it is not looked at in vain.
    #[inline]
    pub(super) fn may_reach(&self, Spot { leaf, at }: Spot, key: &Border) -> bool {
        let Leaf { fan, length, .. } = self.leaves.get(leaf);
        fan.at_most(at).saturating_add(*length) >= key.prefix()
    }

    /// The value of the last entry below `key`.
    pub(super) fn last_below_mut(&mut self, key: &Border) -> Option<&mut V> {
        let spot = self.last_below(Bound::Excluded(key))?;
        Some(&mut self.entries.get_mut(self.handle(spot)).value)
    }

    /// The entries from one on, last first.
    pub(super) fn down_from(&self, last: Option<Spot>) -> impl Iterator<Item = (&Border, &V)> {
        let mut next = last;
        std::iter::from_fn(move || {
            let spot = next?;
            next = self.step_down(spot);
            Some(self.entry(spot))
        })
    }

    /// The keys in `span`, last first.
    pub(super) fn keys_in<'a>(&'a self, span: &Span) -> impl Iterator<Item = &'a Border> {
        let keys = self.down_from(self.last_below(span.end_bound())).map(|(key, _)| key);
        keys.take_while(|key| **key >= span.start)
    }

    /// Shows `change` each entry in `span`, in order.
    pub(super) fn change_in(&mut self, span: &Span, mut change: impl FnMut(&Border, &mut V)) {
        if self.is_empty() {
            return;
        }
        let mut leaf = self.leaf_of(&span.start, |_, _| {});
        let (Ok(mut at) | Err(mut at)) = self.find_in(leaf, &span.start);
        while leaf != NONE {
            let Leaf { fan, after, .. } = self.leaves.get(leaf);
            for handle in &fan.handles()[at..] {
                let Entry { key, value } = self.entries.get_mut(*handle);
                if span.end.as_ref().is_some_and(|end| *key >= *end) {
                    return;
                }
                change(key, value);
            }
            (leaf, at) = (*after, 0);
        }
    }

    /// Puts an entry in, instead of the one with the same key, if there is one.
    pub(super) fn insert(&mut self, key: Border, value: V) {
        if self.is_empty() {
            self.root = self.leaves.put(Leaf::default());
        }
        let mut path = Path::new();
        let leaf = self.leaf_of(&key, |inner, place| path.push((inner, place)));
        match self.find_in(leaf, &key) {
            Ok(at) => {
                let handle = self.handle(Spot { leaf, at });
                let Leaf { length, .. } = self.leaves.get_mut(leaf);
                *length = value.length(&key).max(*length);
                self.entries.get_mut(handle).value = value;
            }
            Err(at) => {
                let handle = self.entries.put(Entry { key, value });
                if self.leaves.get(leaf).fan.is_full() {
                    self.split(path, leaf, at, handle);
                } else {
                    self.put_in(leaf, at, handle);
                }
            }
        }
    }

    /// Puts an entry in that is next above the one at `below`, if that is known: mostly without
    /// another search.
    pub(super) fn insert_above(&mut self, below: Option<Spot>, key: Border, value: V) {
        if let Some(Spot { leaf, at }) = below {
            let fan = &self.leaves.get(leaf).fan;
            // Between two keys of a leaf: so nobody else can have it.
            if !fan.is_full() && at + 1 < fan.len() {
                let handle = self.entries.put(Entry { key, value });
                return self.put_in(leaf, at + 1, handle);
            }
        }
        self.insert(key, value);
    }

    /// Takes the entry with this key out, if there is one.
    pub(super) fn remove(&mut self, key: &Border) {
        if self.is_empty() {
            return;
        }
        let mut path = Path::new();
        let leaf = self.leaf_of(key, |inner, place| path.push((inner, place)));
        let Ok(at) = self.find_in(leaf, key) else { return };
        let fan = &mut self.leaves.get_mut(leaf).fan;
        let handle = fan.remove(at);
        if fan.len() == 0 {
            self.unlink(path, leaf);
        }
        self.entries.take(handle);
        self.tidy();
    }

    /// Takes out what `keep` does not want, and lets it change the rest. In no order: it goes
    /// through the memory of the entries, then through that of the leaves.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        let gone = self.entries.unwanted(|entry| keep(&mut entry.value));
        let mut emptied = Vec::new();
        for Leaf { fan, .. } in self.leaves.slots_mut() {
            let first = fan.handles().first().copied();
            fan.retain(|handle| !gone.contains(handle));
            emptied.extend(first.filter(|_| fan.len() == 0));
        }
        for handle in emptied {
            let (mut path, key) = (Path::new(), &self.entries.get(handle).key);
            let leaf = self.leaf_of(key, |inner, place| path.push((inner, place)));
            self.unlink(path, leaf);
        }
        self.entries.remove(&gone);
        self.tidy();
    }

    #[inline]
    fn handle(&self, Spot { leaf, at }: Spot) -> u32 {
        self.leaves.get(leaf).fan.handles()[at]
    }

    /// The leaf that `key` is in, if it is anywhere, after each inner node on the way was passed at
    /// a place.
    #[inline]
    fn leaf_of(&self, key: &Border, mut pass: impl FnMut(u32, usize)) -> u32 {
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = self.inners.get(node);
            let place = inner.place(key);
            pass(node, place);
            node = inner.child(place);
        }
        node
    }

    #[inline]
    fn find_in(&self, leaf: u32, key: &Border) -> Result<usize, usize> {
        self.leaves.get(leaf).fan.find(key, |_, handle| &self.entries.get(handle).key)
    }

    /// One past the last entry.
    fn end(&self) -> Spot {
        let mut leaf = self.root;
        for _ in 0..self.height {
            let inner = self.inners.get(leaf);
            leaf = inner.child(inner.last());
        }
        Spot { leaf, at: self.leaves.get(leaf).fan.len() }
    }

    /// The entry before.
    #[inline]
    fn step_down(&self, Spot { leaf, at }: Spot) -> Option<Spot> {
        if let Some(at) = at.checked_sub(1) {
            return Some(Spot { leaf, at });
        }
        let leaf = self.leaves.get(leaf).before;
        (leaf != NONE).then(|| Spot { leaf, at: self.leaves.get(leaf).fan.len() - 1 })
    }

    /// Puts an entry into a leaf that has room.
    fn put_in(&mut self, leaf: u32, at: usize, handle: u32) {
        let Entry { key, value } = self.entries.get(handle);
        let Leaf { fan, length, .. } = self.leaves.get_mut(leaf);
        *length = value.length(key).max(*length);
        fan.insert(at, key, handle, |_, handle| &self.entries.get(handle).key);
    }

    /// Puts an entry into a leaf that has none, which gives its upper half away. The last leaf
    /// gives nothing away to an entry above all others: so rising keys leave full leaves.
    fn split(&mut self, path: Path, leaf: u32, at: usize, handle: u32) {
        let Leaf { fan, length, after, .. } = self.leaves.get_mut(leaf);
        let (length, after) = (*length, *after);
        let rising = at == WIDTH && after == NONE;
        let middle = if rising { WIDTH } else { WIDTH / 2 };
        let fan = fan.split_off(middle);
        let upper = self.leaves.put(Leaf { fan, length, before: leaf, after });
        self.leaves.get_mut(leaf).after = upper;
        if after != NONE {
            self.leaves.get_mut(after).before = upper;
        }
        if rising || at > middle {
            self.put_in(upper, at - middle, handle);
        } else {
            self.put_in(leaf, at, handle);
        }
        for half in [leaf, upper] {
            let key = |_, handle| &self.entries.get(handle).key;
            self.leaves.get_mut(half).fan.refine(key);
        }
        let fence = self.entry(Spot { leaf: upper, at: 0 }).0.clone();
        self.put_above(path, fence, upper, rising);
    }

    /// Puts a new node next to the one that `path` leads to.
    fn put_above(&mut self, mut path: Path, mut fence: Border, mut node: u32, rising: bool) {
        while let Some((inner, place)) = path.pop() {
            let inner = self.inners.get_mut(inner);
            if !inner.is_full() {
                return inner.insert(place, fence, node);
            }
            let (between, upper) = inner.split(place, fence, node, rising);
            (fence, node) = (between, self.inners.put(upper));
        }
        self.root = self.inners.put(Inner::new(self.root, fence, node));
        self.height += 1;
    }

    /// Takes out a leaf that has become empty, and what was above nothing else.
    fn unlink(&mut self, mut path: Path, leaf: u32) {
        let Leaf { before, after, .. } = self.leaves.take(leaf);
        if before != NONE {
            self.leaves.get_mut(before).after = after;
        }
        if after != NONE {
            self.leaves.get_mut(after).before = before;
        }
        while let Some((inner, place)) = path.pop() {
            if self.inners.get_mut(inner).remove(place) {
                return;
            }
            self.inners.take(inner);
        }
    }

    /// Brings height and memory down to what is left.
    fn tidy(&mut self) {
        let len = self.len();
        if len == 0 {
            return self.clear();
        }
        while self.height > 0 && self.inners.get(self.root).last() == 0 {
            self.root = self.inners.take(self.root).first;
            self.height -= 1;
        }
        let nodes = self.leaves.len() + self.inners.len();
        if nodes > 8 + len / 8 || self.entries.width() > 64 + 4 * len {
            self.rebuild();
        }
    }

    /// Makes all anew, in order: leaves are full, and no slot is empty.
    fn rebuild(&mut self) {
        let mut old = std::mem::take(self);
        let mut leaf = (0..old.height).fold(old.root, |node, _| old.inners.get(node).first);
        while leaf != NONE {
            let Leaf { fan, after, .. } = old.leaves.take(leaf);
            for handle in fan.handles() {
                let Entry { key, value } = old.entries.take(*handle);
                self.insert(key, value);
            }
            leaf = after;
        }
    }
}
