//! Keys as they stand in the ordered maps of the index.

use crate::base::{Key, KeyRange};
use std::cmp::Ordering;
use std::num::NonZeroU8;
use std::ops::Bound;

/// How many bytes of a key stand in the map itself.
const INLINE: usize = 16;

/// A key with its first 16 bytes in place: a wide map is searched without following a pointer to
/// each key, which costs a cache miss. A key that is not longer is wholly in place; a copy of a
/// longer one is kept beside. Ordered like the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Border {
    /// The first bytes, the most significant first, zeros after the end of the key.
    prefix: [u64; 2],
    /// One more than how many bytes are in place, or for a longer key the greatest value: of keys
    /// with the same prefix the shorter one is less.
    length: NonZeroU8,
    long: Option<Box<Key>>,
}

impl From<&Key> for Border {
    fn from(key: &Key) -> Border {
        let mut bytes = [0; INLINE];
        let inline = key.len().min(INLINE);
        bytes[..inline].copy_from_slice(&key[..inline]);
        let prefix = u128::from_be_bytes(bytes);
        let long = (key.len() > INLINE).then(|| Box::new(key.clone()));
        let length = inline as u8 + 1 + u8::from(long.is_some());
        Border {
            prefix: [(prefix >> 64) as u64, prefix as u64],
            length: NonZeroU8::MIN.saturating_add(length - 1),
            long,
        }
    }
}

impl Border {
    /// Looks at the key.
    pub(super) fn with_key<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        if let Some(long) = &self.long {
            return look(long);
        }
        let [high, low] = self.prefix;
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        look(&bytes[..usize::from(self.length.get()) - 1])
    }
}

impl Ord for Border {
    fn cmp(&self, other: &Border) -> Ordering {
        let place = |border: &Border| (border.prefix, border.length);
        place(self).cmp(&place(other)).then_with(|| self.long.cmp(&other.long))
    }
}

impl PartialOrd for Border {
    fn partial_cmp(&self, other: &Border) -> Option<Ordering> {
        Some(self.cmp(other))
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
    /// For looking up the keys in it.
    pub(super) fn bounds(&self) -> (Bound<&Border>, Bound<&Border>) {
        (Bound::Included(&self.start), self.end_bound())
    }

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
