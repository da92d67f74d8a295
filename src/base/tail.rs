//! A finite set of positions as words of bits.

use super::Lsn;
use super::words::{BITS, mask, ones};
use bitvec::prelude::{BitVec, Lsb0};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A finite set of positions: the bits of a record's `depends` and `overrides`, and the part of a
/// [`TailBitmap`](super::TailBitmap) above its offset.
///
/// Canonical: `base` is a multiple of 64 (zero when empty), the first and the last word are not
/// zero. So equality is set equality, and memory follows what is between the least and the
/// greatest member, one bit a position: two members far apart cost the distance. Operations work
/// word by word. Positions are at most [`Lsn::MAX`]; a greater one is a bug of the caller.
///
/// A set that lies within one word takes no memory of its own: most sets of records do, and what
/// is accepted or settled above an offset.
#[derive(Default)]
pub struct Tail {
    base: u64,
    words: Words,
}

enum Words {
    /// One word; zero for the empty set.
    One(u64),
    /// Any number of words but none.
    Many(BitVec<u64, Lsb0>),
}

impl Default for Words {
    fn default() -> Words {
        Words::One(0)
    }
}

impl Tail {
    /// The empty set. Does not allocate.
    pub fn new() -> Tail {
        Tail::default()
    }

    /// From words, the first of which stands for positions `64 * first_word ..`. Brought into
    /// canonical form.
    ///
    /// # Panics
    ///
    /// If the words stand for positions above [`Lsn::MAX`]. What comes from outside goes through
    /// [`try_from_words`](Self::try_from_words).
    pub fn from_words(first_word: u64, words: Vec<u64>) -> Tail {
        Tail::try_from_words(first_word, words).expect("positions are at most Lsn::MAX")
    }

    /// [`from_words`](Self::from_words), or `None` if the words stand for positions above
    /// [`Lsn::MAX`]. This is how a set comes from the wire.
    pub fn try_from_words(first_word: u64, words: Vec<u64>) -> Option<Tail> {
        let end = first_word.checked_add(words.len() as u64)?;
        if end > Lsn::MAX.0 / BITS + 1 {
            return None;
        }
        let mut tail = Tail { base: first_word * BITS, words: Words::Many(packed(words)) };
        tail.trim();
        if let [] | [_] = tail.raw() {
            tail.words = Words::One(tail.raw().first().copied().unwrap_or(0));
        }
        Some(tail)
    }

    /// The number of the first word and the words.
    pub fn words(&self) -> (u64, &[u64]) {
        (self.base / BITS, self.raw())
    }

    /// The words that are not zero, each with its number, least first.
    pub fn iter_words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (first, words) = self.words();
        (first..).zip(words.iter().copied()).filter(|(_, word)| *word != 0)
    }

    /// The bytes of memory that it keeps: at most 128, or four times what its words need.
    pub fn memory(&self) -> usize {
        match &self.words {
            Words::One(_) => 0,
            Words::Many(bits) => bits.capacity() / 8,
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        match &self.words {
            Words::One(word) => *word == 0,
            Words::Many(_) => false,
        }
    }

    /// How many positions are in it. Linear in the words.
    pub fn len(&self) -> usize {
        self.raw().iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether `lsn` is in it.
    pub fn contains(&self, lsn: Lsn) -> bool {
        self.word(lsn.0 / BITS) >> (lsn.0 % BITS) & 1 == 1
    }

    /// The least position.
    pub fn first(&self) -> Option<Lsn> {
        let word = self.raw().first()?;
        Some(Lsn(self.base + u64::from(word.trailing_zeros())))
    }

    /// The greatest position.
    pub fn last(&self) -> Option<Lsn> {
        let word = self.raw().last()?;
        Some(Lsn(self.limit() - 1 - u64::from(word.leading_zeros())))
    }

    /// Adds `lsn`; says whether it was absent.
    pub fn insert(&mut self, lsn: Lsn) -> bool {
        let bit = 1 << (lsn.0 % BITS);
        let slot = self.slot(lsn.0 / BITS);
        let absent = *slot & bit == 0;
        *slot |= bit;
        absent
    }

    /// Adds the members of one word: positions `64 * index ..`.
    pub fn insert_word(&mut self, index: u64, word: u64) {
        if word != 0 {
            *self.slot(index) |= word;
        }
    }

    /// Takes `lsn` out; says whether it was present.
    pub fn remove(&mut self, lsn: Lsn) -> bool {
        if !self.contains(lsn) {
            return false;
        }
        let at = (lsn.0 / BITS - self.base / BITS) as usize;
        self.raw_mut()[at] &= !(1 << (lsn.0 % BITS));
        self.trim();
        true
    }

    /// Adds every position of `from .. to`.
    pub fn insert_range(&mut self, from: Lsn, to: Lsn) {
        if from >= to {
            return;
        }
        let (first, last) = (from.0 / BITS, (to.0 - 1) / BITS);
        if first == last {
            return self.insert_word(first, mask(first, from.0, to.0));
        }
        self.cover(first, last + 1);
        let start = self.base / BITS;
        let words = &mut self.raw_mut()[(first - start) as usize..=(last - start) as usize];
        if let [start, inner @ .., end] = words {
            *start |= mask(first, from.0, to.0);
            inner.fill(!0);
            *end |= mask(last, from.0, to.0);
        }
    }

    /// Takes out every position below `lsn`, and gives the memory back.
    pub fn remove_below(&mut self, lsn: Lsn) {
        if lsn.0 <= self.base || self.is_empty() {
            return;
        }
        if lsn.0 >= self.limit() {
            *self = Tail::new();
            return;
        }
        let whole = ((lsn.0 / BITS).min(self.limit() / BITS) - self.base / BITS) as usize;
        if whole > 0 {
            self.edit(|words| drop(words.drain(..whole)));
            self.base += whole as u64 * BITS;
        }
        let below = mask(self.base / BITS, 0, lsn.0);
        if let Some(word) = self.raw_mut().first_mut() {
            *word &= !below;
        }
        self.trim();
    }

    /// What is in it at and above `floor`, and `last`, which lies above all of it. Allocates once.
    #[must_use]
    pub fn copy_above(&self, floor: Lsn, last: Lsn) -> Tail {
        let (first, words) = self.words();
        let (from, end) = (first.max(floor.0 / BITS), last.0 / BITS + 1);
        if words.is_empty() || from + 1 >= end {
            let index = last.0 / BITS;
            let word = self.word(index) & !mask(index, 0, floor.0) | 1 << (last.0 % BITS);
            return Tail { base: index * BITS, words: Words::One(word) };
        }
        let mut copy = Vec::with_capacity((end - from) as usize);
        copy.extend_from_slice(words.get((from - first) as usize..).unwrap_or_default());
        copy.resize((end - from) as usize, 0);
        copy[0] &= !mask(from, 0, floor.0);
        copy[(end - 1 - from) as usize] |= 1 << (last.0 % BITS);
        if copy[0] == 0 {
            return Tail::from_words(from, copy);
        }
        Tail { base: from * BITS, words: Words::Many(BitVec::from_vec(copy)) }
    }

    /// Whether everything in it is in `other`.
    pub fn is_subset(&self, other: &Tail) -> bool {
        let (first, words) = self.words();
        let end = first + words.len() as u64;
        if words.is_empty() || first < other.base / BITS || end > other.limit() / BITS {
            // Neither the first word nor the last one is zero.
            return words.is_empty();
        }
        let both = words.iter().zip(other.slice(first, end));
        both.fold(0, |beside, (mine, theirs)| beside | (mine & !theirs)) == 0
    }

    /// Adds everything that is in `other`.
    pub fn union_with(&mut self, other: &Tail) {
        self.union_above(other, 0);
    }

    /// Adds what is in `other` in the words from `floor` on: below it, nothing is made room for.
    pub(crate) fn union_above(&mut self, other: &Tail, floor: u64) {
        let (first, words) = other.words();
        let skip = floor.saturating_sub(first).min(words.len() as u64);
        let lead = words[skip as usize..].iter().take_while(|w| **w == 0).count();
        let words = &words[skip as usize + lead..];
        if words.is_empty() {
            return;
        }
        let first = first + skip + lead as u64;
        self.cover(first, first + words.len() as u64);
        let shift = (first - self.base / BITS) as usize;
        self.raw_mut()[shift..].iter_mut().zip(words).for_each(|(a, b)| *a |= b);
    }

    /// Takes out everything that is in `other`.
    pub fn difference_with(&mut self, other: &Tail) {
        let (first, end) = self.overlap(other);
        if first < end {
            let theirs = other.slice(first, end);
            self.slice_mut(first, end).iter_mut().zip(theirs).for_each(|(a, b)| *a &= !b);
            self.trim();
        }
    }

    /// Keeps only what is also in `other`.
    pub fn intersect_with(&mut self, other: &Tail) {
        let (first, end) = self.overlap(other);
        if first >= end {
            *self = Tail::new();
            return;
        }
        let words = self.slice(first, end).iter().zip(other.slice(first, end));
        *self = Tail::from_words(first, words.map(|(a, b)| a & b).collect());
    }

    /// Whether a position is in both.
    pub fn intersects(&self, other: &Tail) -> bool {
        let (first, end) = self.overlap(other);
        first < end
            && self.slice(first, end).iter().zip(other.slice(first, end)).any(|(a, b)| a & b != 0)
    }

    /// The positions, least first.
    pub fn iter(&self) -> impl Iterator<Item = Lsn> + '_ {
        let base = self.base;
        self.raw().iter().enumerate().flat_map(move |(i, &w)| ones(base + i as u64 * BITS, w))
    }

    /// The word for positions `64 * index ..`; zero outside.
    pub fn word(&self, index: u64) -> u64 {
        let Some(at) = index.checked_sub(self.base / BITS) else { return 0 };
        match &self.words {
            Words::One(word) if at == 0 => *word,
            Words::One(_) => 0,
            Words::Many(bits) => bits.as_raw_slice().get(at as usize).copied().unwrap_or(0),
        }
    }

    /// One past the last position that a stored word stands for.
    pub(crate) fn limit(&self) -> u64 {
        self.base + self.raw().len() as u64 * BITS
    }

    /// The word for positions `64 * index ..`, made room for; the caller then sets a bit in it.
    #[inline]
    fn slot(&mut self, index: u64) -> &mut u64 {
        match self.words {
            Words::One(word) if word == 0 || index * BITS == self.base => self.base = index * BITS,
            _ if index.wrapping_sub(self.base / BITS) < self.raw().len() as u64 => {}
            _ => self.cover(index, index + 1),
        }
        let at = (index - self.base / BITS) as usize;
        &mut self.raw_mut()[at]
    }

    fn raw(&self) -> &[u64] {
        match &self.words {
            Words::One(0) => &[],
            Words::One(word) => std::slice::from_ref(word),
            Words::Many(bits) => bits.as_raw_slice(),
        }
    }

    /// The stored words; a single word also when it is zero, so that a bit may be set in it.
    fn raw_mut(&mut self) -> &mut [u64] {
        match &mut self.words {
            Words::One(word) => std::slice::from_mut(word),
            Words::Many(bits) => bits.as_raw_mut_slice(),
        }
    }

    /// The words `first .. end` that both store; empty if `first >= end`.
    fn overlap(&self, other: &Tail) -> (u64, u64) {
        let first = self.base.max(other.base) / BITS;
        (first, self.limit().min(other.limit()) / BITS)
    }

    /// The stored words `first .. end`.
    fn slice(&self, first: u64, end: u64) -> &[u64] {
        let start = self.base / BITS;
        &self.raw()[(first - start) as usize..(end - start) as usize]
    }

    fn slice_mut(&mut self, first: u64, end: u64) -> &mut [u64] {
        let start = self.base / BITS;
        &mut self.raw_mut()[(first - start) as usize..(end - start) as usize]
    }

    /// Works on the words as a plain vector. The conversions of many keep the buffer and cost
    /// nothing.
    fn edit(&mut self, f: impl FnOnce(&mut Vec<u64>)) {
        let mut words = match std::mem::take(&mut self.words) {
            Words::One(0) => Vec::new(),
            Words::One(word) => vec![word],
            Words::Many(bits) => bits.into_vec(),
        };
        f(&mut words);
        self.words = Words::Many(packed(words));
    }

    /// Makes room for words `first .. end`; the caller then sets a bit in the outermost ones.
    fn cover(&mut self, first: u64, end: u64) {
        if self.is_empty() {
            self.base = first * BITS;
            if end - first == 1 {
                return;
            }
        }
        let start = self.base / BITS;
        if first < start {
            self.edit(|words| drop(words.splice(0..0, (first..start).map(|_| 0))));
            self.base = first * BITS;
        }
        let wanted = (end - self.base / BITS) as usize;
        if wanted > self.raw().len() {
            self.edit(|words| words.resize(wanted, 0));
        }
    }

    /// Back to canonical form: no zero word at either end.
    fn trim(&mut self) {
        if let Words::One(word) = self.words {
            self.base = if word == 0 { 0 } else { self.base };
            return;
        }
        let words = self.raw();
        let kept = words.len() - words.iter().rev().take_while(|w| **w == 0).count();
        let lead = words[..kept].iter().take_while(|w| **w == 0).count();
        if kept == 0 {
            *self = Tail::new();
        } else if lead > 0 || kept < words.len() {
            self.edit(|words| {
                words.truncate(kept);
                words.drain(..lead);
            });
            self.base += lead as u64 * BITS;
        }
    }
}

/// By words: the bit vector's own copies and compares pass through bit addresses.
impl Clone for Tail {
    #[inline]
    fn clone(&self) -> Tail {
        let words = match &self.words {
            Words::One(word) => Words::One(*word),
            Words::Many(bits) => copied(bits.as_raw_slice()),
        };
        Tail { base: self.base, words }
    }
}

impl PartialEq for Tail {
    fn eq(&self, other: &Tail) -> bool {
        self.words() == other.words()
    }
}

impl Eq for Tail {}

impl Hash for Tail {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
    }
}

fn copied(words: &[u64]) -> Words {
    Words::Many(BitVec::from_vec(words.to_vec()))
}

/// The words as bits; gives memory back if they have become few.
fn packed(mut words: Vec<u64>) -> BitVec<u64, Lsb0> {
    if words.capacity() > 16 && words.capacity() > 4 * words.len() {
        words.shrink_to(2 * words.len());
    }
    BitVec::from_vec(words)
}

impl FromIterator<Lsn> for Tail {
    fn from_iter<I: IntoIterator<Item = Lsn>>(positions: I) -> Tail {
        let mut tail = Tail::new();
        positions.into_iter().for_each(|lsn| {
            tail.insert(lsn);
        });
        tail
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, lsn) in self.iter().enumerate() {
            write!(f, "{}{lsn}", if i > 0 { " " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
