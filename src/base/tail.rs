//! A finite set of positions as words of bits.

use super::Lsn;
use bitvec::prelude::{BitVec, Lsb0};
use std::fmt;

const BITS: u64 = u64::BITS as u64;

/// A finite set of positions: the bits of a record's `depends` and `overrides`, and the part of a
/// [`TailBitmap`](super::TailBitmap) above its offset.
///
/// Canonical: `base` is a multiple of 64 (zero when empty), the first and the last word are not
/// zero. So equality is set equality, and memory follows what is between the least and the
/// greatest member, one bit a position. Operations work word by word.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tail {
    base: u64,
    bits: BitVec<u64, Lsb0>,
}

impl Tail {
    /// The empty set. Does not allocate.
    pub fn new() -> Tail {
        Tail::default()
    }

    /// From words, the first of which stands for positions `64 * first_word ..`. Brought into
    /// canonical form; this is how a set comes from the wire.
    pub fn from_words(first_word: u64, words: Vec<u64>) -> Tail {
        let mut tail = Tail { base: first_word * BITS, bits: BitVec::from_vec(words) };
        tail.trim();
        tail
    }

    /// The number of the first word and the words.
    pub fn words(&self) -> (u64, &[u64]) {
        (self.base / BITS, self.bits.as_raw_slice())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bits.is_empty()
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
        let word = lsn.0 / BITS;
        self.cover(word, word + 1);
        let at = (word - self.base / BITS) as usize;
        let slot = &mut self.raw_mut()[at];
        let bit = 1 << (lsn.0 % BITS);
        let absent = *slot & bit == 0;
        *slot |= bit;
        absent
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

    /// Adds every position of `range`.
    pub fn insert_range(&mut self, from: Lsn, to: Lsn) {
        if from >= to {
            return;
        }
        let (first, last) = (from.0 / BITS, (to.0 - 1) / BITS);
        self.cover(first, last + 1);
        let start = self.base / BITS;
        for word in first..=last {
            self.raw_mut()[(word - start) as usize] |= mask(word, from.0, to.0);
        }
    }

    /// Takes out every position below `lsn`, and gives the memory back.
    pub fn remove_below(&mut self, lsn: Lsn) {
        if lsn.0 <= self.base {
            return;
        }
        let whole = ((lsn.0 / BITS).min(self.limit() / BITS) - self.base / BITS) as usize;
        self.edit(|words| drop(words.drain(..whole)));
        self.base += whole as u64 * BITS;
        if let Some(word) = self.raw_mut().first_mut()
            && lsn.0 > 0
        {
            *word &= !mask_below(lsn.0);
        }
        self.trim();
    }

    /// Adds everything that is in `other`.
    pub fn union_with(&mut self, other: &Tail) {
        if other.is_empty() {
            return;
        }
        self.cover(other.base / BITS, other.limit() / BITS);
        let shift = ((other.base - self.base) / BITS) as usize;
        let mine = &mut self.raw_mut()[shift..];
        mine.iter_mut().zip(other.raw()).for_each(|(a, b)| *a |= b);
    }

    /// Takes out everything that is in `other`.
    pub fn difference_with(&mut self, other: &Tail) {
        self.combine(other, |a, b| a & !b);
    }

    /// Keeps only what is also in `other`.
    pub fn intersect_with(&mut self, other: &Tail) {
        self.combine(other, |a, b| a & b);
    }

    /// Whether a position is in both.
    pub fn intersects(&self, other: &Tail) -> bool {
        let start = self.base.max(other.base) / BITS;
        let end = self.limit().min(other.limit()) / BITS;
        (start..end).any(|w| self.word(w) & other.word(w) != 0)
    }

    /// The positions, least first.
    pub fn iter(&self) -> impl Iterator<Item = Lsn> + '_ {
        let base = self.base;
        self.raw().iter().enumerate().flat_map(move |(i, &w)| ones(base + i as u64 * BITS, w))
    }

    /// The word for positions `64 * index ..`; zero outside.
    pub(crate) fn word(&self, index: u64) -> u64 {
        let first = self.base / BITS;
        if index < first {
            return 0;
        }
        self.raw().get((index - first) as usize).copied().unwrap_or(0)
    }

    /// One past the last position that a stored word stands for.
    pub(crate) fn limit(&self) -> u64 {
        self.base + self.raw().len() as u64 * BITS
    }

    fn raw(&self) -> &[u64] {
        self.bits.as_raw_slice()
    }

    fn raw_mut(&mut self) -> &mut [u64] {
        self.bits.as_raw_mut_slice()
    }

    fn combine(&mut self, other: &Tail, f: impl Fn(u64, u64) -> u64) {
        let first = self.base / BITS;
        for (i, word) in self.bits.as_raw_mut_slice().iter_mut().enumerate() {
            *word = f(*word, other.word(first + i as u64));
        }
        self.trim();
    }

    /// Works on the words as a plain vector. Both conversions keep the buffer and cost nothing.
    fn edit(&mut self, f: impl FnOnce(&mut Vec<u64>)) {
        let mut words = std::mem::take(&mut self.bits).into_vec();
        f(&mut words);
        self.bits = BitVec::from_vec(words);
    }

    /// Makes room for words `first .. end`; the caller then sets a bit in the outermost ones.
    fn cover(&mut self, first: u64, end: u64) {
        if self.is_empty() {
            self.base = first * BITS;
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

    /// Back to canonical form: no zero word at either end, no memory beyond four times the need.
    fn trim(&mut self) {
        let words = self.raw();
        let kept = words.len() - words.iter().rev().take_while(|w| **w == 0).count();
        let lead = words[..kept].iter().take_while(|w| **w == 0).count();
        if kept == 0 {
            *self = Tail::new();
        } else if lead > 0 || kept < words.len() {
            self.edit(|words| {
                words.truncate(kept);
                words.drain(..lead);
                if words.capacity() > 16 && words.capacity() / 4 > words.len() {
                    words.shrink_to(2 * words.len());
                }
            });
            self.base += lead as u64 * BITS;
        }
    }
}

/// The positions of the set bits of `word`, whose bit 0 is position `base`.
pub(crate) fn ones(base: u64, mut word: u64) -> impl Iterator<Item = Lsn> {
    std::iter::from_fn(move || {
        let bit = u64::from(word.trailing_zeros());
        word &= word.wrapping_sub(1);
        (bit < BITS).then_some(Lsn(base + bit))
    })
}

/// The bits of word `index` that stand for positions in `from .. to`.
pub(crate) fn mask(index: u64, from: u64, to: u64) -> u64 {
    let base = index * BITS;
    let low = if from > base { !mask_below(from) } else { !0 };
    let high = if to < base + BITS { mask_below(to) } else { !0 };
    if from >= base + BITS || to <= base { 0 } else { low & high }
}

/// The bits of the word of `position` that stand for positions below it.
fn mask_below(position: u64) -> u64 {
    (1 << (position % BITS)) - 1
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
