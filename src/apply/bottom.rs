//! A state that stays in its file.

use crate::base::{Key, KeyRange};
use bytes::Bytes;
use std::fmt::Debug;

/// The pairs of a snapshot, asked where they lie: what a machine can have at the bottom of its
/// state instead of reading all of it into memory ([`Stateful::adopt`](super::Stateful::adopt)).
///
/// Reading may fail, and a machine has no answer to that which the others would give too (rule 5 of
/// [`Machine`](super::Machine)). So what cannot be read looks as if it were not there, and is
/// remembered here: whoever drives the machine asks after each call whether something failed, tells
/// nobody what the call gave, and stops the replica.
pub trait Bottom: Debug + Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Option<Bytes>;

    /// Whether a key is there. Cheaper than its value.
    fn contains(&self, key: &[u8]) -> bool;

    /// The pairs whose keys are in a range, in order.
    fn range(&self, range: &KeyRange) -> Box<dyn Iterator<Item = (Key, Bytes)> + '_>;
}
