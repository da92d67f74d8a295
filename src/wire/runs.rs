//! Sets of positions, run-length coded; the form is described at `PositionSet` in the schema.

use super::WireError;
use super::put::Sink;
use crate::base::{Lsn, Tail};
use prost::encoding::decode_varint;
use std::ops::Range;

const BITS: u64 = u64::BITS as u64;

/// A word with this many runs of members is written as it is: a run takes two bytes or more, a
/// word takes eight, and up to four say that it comes.
const DENSE_RUNS: u32 = 6;

/// Writes the members of `tail`, all at or above `base`, counting from `base`.
pub(super) fn put<S: Sink>(sink: &mut S, base: Lsn, tail: &Tail) {
    let (Some(first), Some(last)) = (tail.first(), tail.last()) else { return };
    let word = |index| relative_word(tail, base.0 + index * BITS);
    let (mut index, end) = ((first.0 - base.0) / BITS, (last.0 - base.0) / BITS + 1);
    let mut at = 0;
    // A run of members that may go on in the next word.
    let mut open = 0..0;
    while index < end {
        let dense = (index..end).take_while(|index| is_dense(word(*index))).count() as u64;
        if dense == 0 {
            for run in runs(index * BITS, word(index)) {
                if run.start == open.end {
                    open.end = run.end;
                } else {
                    at = put_run(sink, at, &open);
                    open = run;
                }
            }
            index += 1;
        } else {
            at = put_run(sink, at, &open);
            open = 0..0;
            sink.varint(index * BITS - at);
            sink.varint(0);
            sink.varint(8 * dense);
            (index..index + dense).for_each(|index| sink.raw(&word(index).to_le_bytes()));
            index += dense;
            at = index * BITS;
        }
    }
    put_run(sink, at, &open);
}

/// The members in 64 positions from `start` on.
fn relative_word(tail: &Tail, start: u64) -> u64 {
    let (index, shift) = (start / BITS, start % BITS);
    let low = tail.word(index) >> shift;
    if shift == 0 { low } else { low | tail.word(index + 1) << (BITS - shift) }
}

fn is_dense(word: u64) -> bool {
    (word & !(word << 1)).count_ones() >= DENSE_RUNS
}

/// The runs of members in a word whose bit 0 is position `start`.
fn runs(start: u64, mut word: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = start;
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let zeros = word.trailing_zeros();
        let ones = (word >> zeros).trailing_ones();
        word = word.checked_shr(zeros + ones).unwrap_or(0);
        let from = at + u64::from(zeros);
        at = from + u64::from(ones);
        Some(from..at)
    })
}

/// Writes a run, if there is one; says where the next item starts.
fn put_run<S: Sink>(sink: &mut S, at: u64, run: &Range<u64>) -> u64 {
    if run.is_empty() {
        return at;
    }
    sink.varint(run.start - at);
    sink.varint(run.end - run.start);
    run.end
}

/// Reads a set back, counting from `base`. `budget` is how many words it may take.
pub(super) fn take(coded: &[u8], base: Lsn, budget: &mut usize) -> Result<Tail, WireError> {
    // First the extent, so that nothing is allocated for what may not be there.
    let mut extent = None;
    for item in Items::new(coded, base) {
        let Range { start, end } = item?.positions;
        extent = Some(extent.map_or(start, |(first, _)| first)).map(|first| (first, end));
    }
    let Some((first, end)) = extent else { return Ok(Tail::new()) };
    let first_word = first / BITS;
    let size = (end.div_ceil(BITS) - first_word) as usize;
    *budget = budget.checked_sub(size).ok_or(WireError::SetsTooWide)?;
    let mut words = vec![0_u64; size];
    for item in Items::new(coded, base) {
        let Item { positions, pattern } = item?;
        let at = positions.start - first_word * BITS..positions.end - first_word * BITS;
        match pattern {
            None => fill(&mut words, at),
            Some(bytes) => copy(&mut words, at.start, bytes),
        }
    }
    Tail::try_from_words(first_word, words).ok_or(WireError::Position)
}

/// Members in a row, or a pattern of them.
struct Item<'a> {
    positions: Range<u64>,
    pattern: Option<&'a [u8]>,
}

struct Items<'a> {
    coded: &'a [u8],
    at: u64,
}

impl<'a> Items<'a> {
    fn new(coded: &'a [u8], base: Lsn) -> Items<'a> {
        Items { coded, at: base.0 }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        decode_varint(&mut self.coded).map_err(|_| WireError::Runs)
    }

    /// Goes on by so many positions; says where it was.
    fn advance(&mut self, by: u64) -> Result<u64, WireError> {
        let next = self.at.checked_add(by).filter(|next| *next <= Lsn::MAX.0 + 1);
        Ok(std::mem::replace(&mut self.at, next.ok_or(WireError::Position)?))
    }

    fn item(&mut self) -> Result<Item<'a>, WireError> {
        let out = self.varint()?;
        self.advance(out)?;
        let count = self.varint()?;
        let mut pattern = None;
        let mut positions = count;
        if count == 0 {
            let size = usize::try_from(self.varint()?).map_err(|_| WireError::Runs)?;
            let (bytes, rest) = self.coded.split_at_checked(size).ok_or(WireError::Runs)?;
            self.coded = rest;
            pattern = Some(bytes);
            positions = 8 * size as u64;
        }
        let start = self.advance(positions)?;
        Ok(Item { positions: start..self.at, pattern })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.coded.is_empty()).then(|| self.item())
    }
}

/// Sets the bits `at`.
fn fill(words: &mut [u64], at: Range<u64>) {
    let (first, last) = ((at.start / BITS) as usize, ((at.end - 1) / BITS) as usize);
    let low = !0 << (at.start % BITS);
    let high = !0 >> (BITS - 1 - (at.end - 1) % BITS);
    match &mut words[first..=last] {
        [] => {}
        [word] => *word |= low & high,
        [start, inner @ .., end] => {
            *start |= low;
            inner.fill(!0);
            *end |= high;
        }
    }
}

/// Sets the bits of `pattern`, the first of which is bit `at`.
fn copy(words: &mut [u64], at: u64, pattern: &[u8]) {
    for (byte, at) in pattern.iter().zip((at..).step_by(8)) {
        let (index, shift) = ((at / BITS) as usize, at % BITS);
        words[index] |= u64::from(*byte) << shift;
        if shift > BITS - 8 {
            words[index + 1] |= u64::from(*byte) >> (BITS - shift);
        }
    }
}
