//! Keys as they stand in the ordered maps of the index.

use crate::base::{Key, KeyRange};
use std::ops::Bound;

/// How many bytes of a key stand in the map itself.
const INLINE: usize = 16;

/// A key with its first 16 bytes in place, zeros after its end: a wide map is searched without
/// following a pointer to each key, which costs a cache miss. A key that is longer, or whose own
/// zeros at its end would be taken for those, is kept beside. Ordered like the keys: of those with
/// the same 16 bytes the one in place is the shortest, and all others begin with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Border {
    /// The most significant first.
    prefix: [u64; 2],
    whole: Option<Box<Key>>,
}

/// The first 16 bytes as a number, zeros after the end.
pub(super) fn prefix_of(bytes: &[u8]) -> u128 {
    let mut first = [0; INLINE];
    let inline = bytes.len().min(INLINE);
    first[..inline].copy_from_slice(&bytes[..inline]);
    u128::from_be_bytes(first)
}

impl From<&Key> for Border {
    fn from(key: &Key) -> Border {
        let prefix = prefix_of(key);
        let beside = key.len() > INLINE || key.last() == Some(&0);
        let whole = beside.then(|| Box::new(key.clone()));
        Border { prefix: [(prefix >> 64) as u64, prefix as u64], whole }
    }
}

impl Border {
    /// The first 16 bytes, as a number.
    #[inline]
    pub(super) fn prefix(&self) -> u128 {
        let [high, low] = self.prefix;
        u128::from(high) << 64 | u128::from(low)
    }

    /// Looks at the key.
    pub(super) fn with_key<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        if let Some(key) = &self.whole {
            return look(key);
        }
        let prefix = self.prefix();
        look(&prefix.to_be_bytes()[..INLINE - prefix.trailing_zeros() as usize / 8])
    }
}

/// A key range by its borders.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) start: Border,
    pub(super) end: Option<Border>,
}

impl From<&KeyRange> for Span {
    fn from(range: &KeyRange) -> Span {
        Span { start: Border::from(&range.start), end: range.end.as_ref().map(Border::from) }
    }
}

impl Span {
    /// For looking up the keys below its end.
    pub(super) fn end_bound(&self) -> Bound<&Border> {
        self.end.as_ref().map_or(Bound::Unbounded, Bound::Excluded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn borders_are_ordered_like_keys(
            a in proptest::collection::vec(0..2_u8, 0..20),
            b in proptest::collection::vec(0..2_u8, 0..20),
            zeros in 0..20_usize,
        ) {
            let keys = [a.clone(), b, [a, vec![0; zeros]].concat()].map(Key::from);
            let borders = keys.each_ref().map(Border::from);
            for (x, at) in keys.iter().zip(&borders) {
                prop_assert!(at.with_key(|key| key == x));
                for (y, to) in keys.iter().zip(&borders) {
                    prop_assert_eq!(x.cmp(y), at.cmp(to));
                    prop_assert_eq!(x == y, at == to);
                }
            }
        }
    }
}
