//! The places of a node in the ordered map of the index.

use super::super::border::{Border, prefix_of};
use std::cmp::Ordering;

/// How many places a node has.
pub(super) const WIDTH: usize = 64;

/// The mark of a place that is not used; above every other one.
const UNUSED: i32 = i32::MAX;

/// New marks have no more bits than this, so that they stay below it.
const MARK_BITS: u32 = 30;

/// Half a node gets new marks if its outermost ones differ by less.
const COARSE: i32 = 1 << 22;

/// The places of a node: keys in order, and a handle for each. The keys themselves are kept
/// elsewhere, and `nth` of the functions here says what key is at a place with a handle.
///
/// Of each key only a mark stands here: by how much 16 bytes of it, as a number, are above `base`,
/// less the lowest `shift` bits. These are its first 16 bytes; if all keys have the same, those
/// after what all keys begin with. All marks of a node are a few cache lines side by side, and each
/// is compared, whatever the others say: so a search misses them all at once, not one after
/// another, and has nothing to guess. Keys with the same mark are told apart by looking at them.
///
/// A key for which there is no mark here makes all marks anew: around the keys there are, with as
/// much room on each side as they span. So the span at least doubles until that happens again, or
/// what they begin with is shorter: it is rare, if keys rise or fall steadily as well.
#[derive(Clone, Debug)]
pub(super) struct Fan {
    base: u128,
    shift: u32,
    len: u32,
    /// What all keys begin with, if marks are of what comes after it.
    common: Box<[u8]>,
    /// Signed: of such numbers every processor compares many at once.
    marks: [i32; WIDTH],
    handles: [u32; WIDTH],
}

impl Default for Fan {
    fn default() -> Fan {
        Fan {
            base: 0,
            shift: 0,
            len: 0,
            common: Box::default(),
            marks: [UNUSED; WIDTH],
            handles: [0; WIDTH],
        }
    }
}

impl Fan {
    /// How many places are used.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == WIDTH
    }

    /// In order of the keys.
    pub(super) fn handles(&self) -> &[u32] {
        &self.handles[..self.len()]
    }

    /// Where `key` is, or else where it belongs.
    #[inline]
    pub(super) fn find<'a>(
        &self,
        key: &Border,
        nth: impl Fn(usize, u32) -> &'a Border,
    ) -> Result<usize, usize> {
        let mark = match self.mark(key) {
            Ok(mark) => mark,
            Err(Ordering::Less) => return Err(0),
            Err(_) => return Err(self.len()),
        };
        let at = self.marks.iter().map(|other| u32::from(*other < mark)).sum::<u32>() as usize;
        if self.marks.get(at) != Some(&mark) {
            return Err(at);
        }
        let alike = self.marks[at..].partition_point(|other| *other == mark);
        let nth = |place: usize| nth(place, self.handles[place]);
        let (mut low, mut high) = (at, at + alike);
        while low < high {
            let middle = (low + high) / 2;
            if nth(middle) < key { low = middle + 1 } else { high = middle }
        }
        if low < at + alike && nth(low) == key { Ok(low) } else { Err(low) }
    }

    /// The mark of a key; or on which side of all others it is, too far for a mark.
    #[inline]
    fn mark(&self, key: &Border) -> Result<i32, Ordering> {
        let shown = if self.common.is_empty() { key.prefix() } else { self.after_common(key)? };
        let mark = shown.checked_sub(self.base).ok_or(Ordering::Less)? >> self.shift;
        let mark = i32::try_from(mark).ok().filter(|mark| *mark < UNUSED);
        mark.ok_or(Ordering::Greater)
    }

    #[inline(never)]
    fn after_common(&self, key: &Border) -> Result<u128, Ordering> {
        key.with_key(|key| {
            let (start, rest) = key.split_at(key.len().min(self.common.len()));
            match start.cmp(&self.common) {
                Ordering::Equal => Ok(prefix_of(rest)),
                side => Err(side),
            }
        })
    }

    /// What the first 16 bytes of the key at a place are at most, as far as its mark says that.
    #[inline]
    pub(super) fn at_most(&self, at: usize) -> u128 {
        if !self.common.is_empty() {
            return u128::MAX;
        }
        let cut_off = (1 << self.shift) - 1;
        self.base.saturating_add((self.marks[at] as u128) << self.shift | cut_off)
    }

    /// Puts a key where it belongs. The node is not full; `nth` goes by the places before.
    pub(super) fn insert<'a>(
        &mut self,
        at: usize,
        key: &'a Border,
        handle: u32,
        nth: impl Fn(usize, u32) -> &'a Border,
    ) {
        let len = self.len();
        self.marks.copy_within(at..len, at + 1);
        self.handles.copy_within(at..len, at + 1);
        self.handles[at] = handle;
        self.len += 1;
        let nth = |place: usize, handle| match place.cmp(&at) {
            Ordering::Less => nth(place, handle),
            Ordering::Equal => key,
            Ordering::Greater => nth(place - 1, handle),
        };
        match self.mark(key) {
            Ok(mark) if len > 0 => self.marks[at] = mark,
            _ => return self.make_marks(nth),
        }
        if self.len.is_power_of_two() {
            self.refine(nth);
        }
    }

    /// Takes a key out; its handle.
    pub(super) fn remove(&mut self, at: usize) -> u32 {
        let len = self.len();
        let handle = self.handles[at];
        self.marks.copy_within(at + 1..len, at);
        self.handles.copy_within(at + 1..len, at);
        self.marks[len - 1] = UNUSED;
        self.len -= 1;
        handle
    }

    /// Leaves only the handles that `keep` says.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let mut kept = 0;
        for place in 0..self.len() {
            let handle = self.handles[place];
            self.marks[kept] = self.marks[place];
            self.handles[kept] = handle;
            kept += usize::from(keep(handle));
        }
        self.marks[kept..].fill(UNUSED);
        self.len = kept as u32;
    }

    /// Gives away the keys from a place on. Their marks may be coarse until both are refined.
    pub(super) fn split_off(&mut self, at: usize) -> Fan {
        let (base, shift, common) = (self.base, self.shift, self.common.clone());
        let mut upper = Fan { base, shift, common, ..Fan::default() };
        let moved = self.len() - at;
        upper.marks[..moved].copy_from_slice(&self.marks[at..][..moved]);
        upper.handles[..moved].copy_from_slice(&self.handles[at..][..moved]);
        upper.len = moved as u32;
        self.marks[at..].fill(UNUSED);
        self.len = at as u32;
        upper
    }

    /// Makes new marks if these are coarse and others may be less so. Every split leaves them half
    /// as far apart.
    pub(super) fn refine<'a>(&mut self, nth: impl Fn(usize, u32) -> &'a Border) {
        if let [first, .., last] = self.marks[..self.len()]
            && last - first < COARSE
            && (self.shift > 0 || last == first)
        {
            self.make_marks(nth);
        }
    }

    /// Makes the marks of all keys anew.
    fn make_marks<'a>(&mut self, nth: impl Fn(usize, u32) -> &'a Border) {
        let key = |place: usize, handles: &[u32]| nth(place, handles[place]);
        let (first, last) = (key(0, &self.handles), key(self.len() - 1, &self.handles));
        self.common = match first.prefix() == last.prefix() {
            true => common(first, last),
            false => Box::default(),
        };
        let skipped = self.common.len();
        let shown = |key: &Border| match skipped {
            0 => key.prefix(),
            _ => key.with_key(|key| prefix_of(&key[skipped..])),
        };
        let (low, high) = (shown(first), shown(last));
        let span = (high - low).max(1);
        self.base = low.saturating_sub(span);
        let reach = high.saturating_add(span) - self.base;
        self.shift = (u128::BITS - reach.leading_zeros()).saturating_sub(MARK_BITS);
        for place in 0..self.len() {
            let above = shown(key(place, &self.handles)) - self.base;
            self.marks[place] = (above >> self.shift) as i32;
        }
    }
}

/// What two different keys both begin with; nothing for the same key.
fn common(first: &Border, last: &Border) -> Box<[u8]> {
    first.with_key(|first| {
        last.with_key(|last| {
            let alike = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            if alike < last.len() { last[..alike].into() } else { Box::default() }
        })
    })
}
