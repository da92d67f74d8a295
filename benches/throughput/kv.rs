//! The machine that both sides run: a map from key to value, values kept as slices of the command.

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Bytes of a command: a flag, the key, the value.
pub(crate) const SIZE: usize = 256;

#[derive(Default)]
pub(crate) struct Kv {
    values: FxHashMap<[u8; 16], Bytes>,
}

pub(crate) fn encode(item: &crate::Item) -> Bytes {
    let mut body = [0_u8; SIZE];
    body[0] = u8::from(item.update);
    body[1..17].copy_from_slice(&item.key);
    Bytes::copy_from_slice(&body)
}

impl Kv {
    /// A set returns nothing; an update returns the length of what was there.
    pub(crate) fn apply(&mut self, body: &Bytes) -> usize {
        let mut key = [0; 16];
        key.copy_from_slice(&body[1..17]);
        let old = self.values.insert(key, body.slice(17..));
        if body[0] == 1 { old.map_or(0, |old| old.len()) } else { 0 }
    }
}
