//! Keys and values as they are kept.

use crate::apply::Digest;
use bytes::Bytes;
use smallvec::SmallVec;

/// A key as it is kept: most fit in place, so that a look-up follows no pointer to compare them
/// and a key keeps no command's memory alive.
pub(super) type KeptKey = SmallVec<[u8; 24]>;

/// A value and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    /// In milliseconds since 1970; `None`: never.
    pub(super) deadline: Option<u64>,
}

impl Entry {
    /// One byte, 0, and the value; or 1, the deadline, and the value.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self.deadline {
            None => [&[0], &self.value[..]].concat(),
            Some(at) => [&[1], &at.to_le_bytes()[..], &self.value].concat(),
        }
    }

    /// The value is a slice of the bytes.
    pub(super) fn decode(bytes: &Bytes) -> Option<Entry> {
        match bytes.split_first()? {
            (0, _) => Some(Entry { value: bytes.slice(1..), deadline: None }),
            (1, rest) => {
                let deadline = u64::from_le_bytes(*rest.first_chunk::<8>()?);
                let sound = deadline > 0 && i64::try_from(deadline).is_ok();
                let value = bytes.slice(9..);
                sound.then_some(Entry { value, deadline: Some(deadline) })
            }
            _ => None,
        }
    }

    /// What it adds to the digest of a state, which is a sum: so one pair less and another one more
    /// are a difference and a sum, whatever else is there.
    pub(super) fn weight(&self, key: &[u8]) -> u64 {
        let folded = Digest::new().bytes(key).bytes(&self.value);
        folded.word(self.deadline.unwrap_or(0)).value()
    }
}
