//! Sets of positions in words of bits.

use super::Lsn;

/// How many positions a word stands for.
pub(super) const BITS: u64 = u64::BITS as u64;

/// The positions of the set bits of `word`, whose bit 0 is position `base`.
pub(crate) fn ones(base: u64, mut word: u64) -> impl Iterator<Item = Lsn> {
    std::iter::from_fn(move || {
        let bit = u64::from(word.trailing_zeros());
        word &= word.wrapping_sub(1);
        (bit < BITS).then_some(Lsn(base + bit))
    })
}

/// The bits of word `index` that stand for positions in `from .. to`.
#[inline]
pub(crate) fn mask(index: u64, from: u64, to: u64) -> u64 {
    let base = index * BITS;
    below(to.saturating_sub(base)) & !below(from.saturating_sub(base))
}

/// The lowest `count` bits of a word; all of them if it has no more.
#[inline]
fn below(count: u64) -> u64 {
    if count < BITS { (1 << count) - 1 } else { !0 }
}
