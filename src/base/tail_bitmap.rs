//! A set of positions with a full prefix.

use super::Lsn;
use super::tail::Tail;
use super::words::{BITS, mask, ones};
use std::cmp::Ordering;
use std::fmt;

/// A set of positions: every position below `offset`, then the members of a tail of bits.
///
/// ```text
///  position   0 1 2 3 4 5 6 7 8 9
///             x x x x x . . x . x      {..5 7 9}   offset 5, tail {7 9}
/// ```
///
/// Canonical: `offset` itself is never in the set, so it is the first hole, and equality is set
/// equality. What is accepted, settled or done at a replica is such a set (algorithm.md, Words).
/// Adding the position at the offset is constant time amortized; all else is linear in the words
/// between the offset and the greatest member, and their memory returns as the offset advances.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TailBitmap {
    offset: u64,
    tail: Tail,
}

impl TailBitmap {
    /// The empty set. Does not allocate.
    pub fn new() -> TailBitmap {
        TailBitmap::default()
    }

    /// Every position below `offset`, and nothing else.
    pub fn below(offset: Lsn) -> TailBitmap {
        TailBitmap { offset: offset.0, tail: Tail::new() }
    }

    /// Every position below `offset`, and the members of `tail`.
    pub fn from_parts(offset: Lsn, tail: Tail) -> TailBitmap {
        let mut set = TailBitmap { offset: offset.0, tail };
        set.advance();
        set
    }

    /// The first position that is not in the set: all below it are.
    pub fn offset(&self) -> Lsn {
        Lsn(self.offset)
    }

    /// The members above the offset.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// One past the greatest member; zero when empty.
    pub fn end(&self) -> Lsn {
        self.tail.last().map_or(Lsn(self.offset), Lsn::next)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.offset == 0 && self.tail.is_empty()
    }

    /// How many positions are in it.
    pub fn len(&self) -> u64 {
        self.offset + self.tail.len() as u64
    }

    /// Whether `lsn` is in it.
    pub fn contains(&self, lsn: Lsn) -> bool {
        lsn.0 < self.offset || self.tail.contains(lsn)
    }

    /// Whether every position of `other` is in it.
    pub fn contains_all(&self, other: &Tail) -> bool {
        let (first, words) = other.words();
        let below = (self.offset / BITS).saturating_sub(first).min(words.len() as u64);
        words[below as usize..].iter().zip(first + below..).all(|(w, i)| w & !self.word(i) == 0)
    }

    /// Adds `lsn`; says whether it was absent.
    pub fn insert(&mut self, lsn: Lsn) -> bool {
        if lsn.0 == self.offset {
            self.offset += 1;
            self.advance();
            true
        } else {
            lsn.0 > self.offset && self.tail.insert(lsn)
        }
    }

    /// Adds the members of one word: positions `64 * index ..`.
    pub fn insert_word(&mut self, index: u64, word: u64) {
        if index != self.offset / BITS {
            if index > self.offset / BITS {
                self.tail.insert_word(index, word);
            }
            return;
        }
        // Mostly they come in order, and all of them lie at the offset.
        let at = self.offset % BITS;
        let run = u64::from((word >> at).trailing_ones());
        self.offset += run;
        let ahead = if at + run < BITS { word & (!0 << (at + run)) } else { 0 };
        if ahead != 0 {
            self.tail.insert_word(index, ahead);
        }
        if run > 0 {
            self.advance();
        }
    }

    /// Adds every position below `offset`.
    #[inline]
    pub fn insert_below(&mut self, offset: Lsn) {
        if offset.0 > self.offset {
            self.offset = offset.0;
            self.advance();
        }
    }

    /// Adds every position in `from .. to`.
    pub fn insert_range(&mut self, from: Lsn, to: Lsn) {
        if from.0 <= self.offset {
            self.insert_below(to);
        } else {
            self.tail.insert_range(from, to);
        }
    }

    /// Adds the members of `tail`.
    pub fn insert_all(&mut self, tail: &Tail) {
        self.tail.union_above(tail, self.offset / BITS);
        self.advance();
    }

    /// Adds everything that is in `other`.
    pub fn union_with(&mut self, other: &TailBitmap) {
        self.offset = self.offset.max(other.offset);
        self.insert_all(&other.tail);
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &TailBitmap) -> TailBitmap {
        let (low, high) = if self.offset <= other.offset { (self, other) } else { (other, self) };
        let (first, end) = (low.offset / BITS, low.limit().div_ceil(BITS));
        let mut words = low.unpack(first, end);
        words.iter_mut().zip(high.unpack(first, end)).for_each(|(a, b)| *a &= b);
        TailBitmap::from_parts(Lsn(low.offset), Tail::from_words(first, words))
    }

    /// What is in this one and not in `other`: a finite set. Linear in the words between the
    /// smaller offset and the greatest member.
    #[must_use]
    pub fn difference(&self, other: &TailBitmap) -> Tail {
        let first = other.offset / BITS;
        let end = self.limit().div_ceil(BITS).max(first);
        let mut words = self.unpack(first, end);
        words.iter_mut().zip(other.unpack(first, end)).for_each(|(a, b)| *a &= !b);
        Tail::from_words(first, words)
    }

    /// The members of [`difference`](Self::difference), least first, without building it.
    pub fn difference_iter<'a>(&'a self, other: &'a TailBitmap) -> impl Iterator<Item = Lsn> + 'a {
        let first = other.offset / BITS;
        let end = self.limit().div_ceil(BITS);
        (first..end).flat_map(move |i| ones(i * BITS, self.word(i) & !other.word(i)))
    }

    /// The words of [`difference`](Self::difference) that are not zero, each with its number,
    /// least first.
    pub fn difference_words<'a>(
        &'a self,
        other: &'a TailBitmap,
    ) -> impl Iterator<Item = (u64, u64)> + 'a {
        let (first, end) = (other.offset / BITS, self.limit().div_ceil(BITS));
        let diff = |i| (i, self.word(i) & !other.word(i));
        (first..end).map(diff).filter(|(_, word)| *word != 0)
    }

    /// Adds everything that is in `other`. Puts the words that are new into `news`, each with its
    /// number, least first.
    pub fn take_in(&mut self, other: &TailBitmap, news: &mut Vec<(u64, u64)>) {
        if self.tail.is_empty() && other.tail.is_empty() {
            // Mostly there are no holes.
            let (from, to) = (self.offset, other.offset);
            if from < to {
                let words = from / BITS..(to - 1) / BITS + 1;
                news.extend(words.map(|index| (index, mask(index, from, to))));
                self.offset = to;
            }
            return;
        }
        for index in self.offset / BITS..other.limit().div_ceil(BITS) {
            let word = other.word(index) & !self.word(index);
            if word != 0 {
                news.push((index, word));
                self.insert_word(index, word);
            }
        }
    }

    /// The positions below `end` that are not in the set, least first.
    pub fn holes(&self, end: Lsn) -> impl Iterator<Item = Lsn> + '_ {
        let first = self.offset / BITS;
        (first..end.0.div_ceil(BITS).max(first))
            .flat_map(move |i| ones(i * BITS, !self.word(i) & mask(i, self.offset, end.0)))
    }

    /// The positions in `from .. end` that are neither in the set nor in `also`, least first.
    pub fn holes_beside<'a>(
        &'a self,
        also: &'a Tail,
        from: Lsn,
        end: Lsn,
    ) -> impl Iterator<Item = Lsn> + 'a {
        let from = from.0.max(self.offset);
        let first = from / BITS;
        (first..end.0.div_ceil(BITS).max(first)).flat_map(move |i| {
            ones(i * BITS, !(self.word(i) | also.word(i)) & mask(i, from, end.0))
        })
    }

    /// No word from here on holds a member.
    fn limit(&self) -> u64 {
        self.tail.limit().max(self.offset)
    }

    /// The word for positions `64 * index ..`.
    #[inline]
    pub fn word(&self, index: u64) -> u64 {
        let below = match index.cmp(&(self.offset / BITS)) {
            Ordering::Less => return !0,
            Ordering::Equal => (1 << (self.offset % BITS)) - 1,
            Ordering::Greater => 0,
        };
        below | self.tail.word(index)
    }

    /// The words `first .. end`: a loop over plain words is many times faster than one that asks
    /// for each of them.
    fn unpack(&self, first: u64, end: u64) -> Vec<u64> {
        let mut words = vec![0; (end - first) as usize];
        let full = (self.offset / BITS).clamp(first, end);
        words[..(full - first) as usize].fill(!0);
        if (first..end).contains(&(self.offset / BITS)) {
            words[(full - first) as usize] = mask(full, 0, self.offset);
        }
        let (start, tail) = self.tail.words();
        let (from, to) = (start.max(first), (start + tail.len() as u64).min(end));
        if from < to {
            let tail = &tail[(from - start) as usize..(to - start) as usize];
            words[(from - first) as usize..].iter_mut().zip(tail).for_each(|(a, b)| *a |= b);
        }
        words
    }

    /// Back to canonical form: the offset itself is not in the set.
    #[inline]
    fn advance(&mut self) {
        if !self.tail.is_empty() {
            self.swallow();
        }
    }

    /// Takes the run of members at the offset, and all below it, out of the tail.
    fn swallow(&mut self) {
        while self.tail.contains(Lsn(self.offset)) {
            let ahead = self.tail.word(self.offset / BITS) >> (self.offset % BITS);
            self.offset += u64::from(ahead.trailing_ones());
        }
        self.tail.remove_below(Lsn(self.offset));
    }
}

impl FromIterator<Lsn> for TailBitmap {
    fn from_iter<I: IntoIterator<Item = Lsn>>(positions: I) -> TailBitmap {
        TailBitmap::from_parts(Lsn(0), positions.into_iter().collect())
    }
}

impl fmt::Display for TailBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        if self.offset > 0 {
            write!(f, "..{}", self.offset)?;
        }
        for (i, lsn) in self.tail.iter().enumerate() {
            write!(f, "{}{lsn}", if i > 0 || self.offset > 0 { " " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for TailBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
