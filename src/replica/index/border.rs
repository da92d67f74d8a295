//! Keys as they stand in the ordered maps of the index.

use crate::base::{Key, KeyRange};
use std::ops::Bound;

/// A key with its first 16 bytes at hand: most comparisons in a wide map are decided without
/// following the pointer to the key, which costs a cache miss each. Ordered like the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Border {
    prefix: [u64; 2],
    pub(super) key: Key,
}

impl From<&Key> for Border {
    fn from(key: &Key) -> Border {
        let mut bytes = [0; 16];
        let len = key.len().min(16);
        bytes[..len].copy_from_slice(&key[..len]);
        let prefix = u128::from_be_bytes(bytes);
        Border { prefix: [(prefix >> 64) as u64, prefix as u64], key: key.clone() }
    }
}

/// A key range by its borders. Made once an operation: a copy of a key counts its users, which is
/// dear beside a comparison.
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
