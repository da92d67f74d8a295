//! The machine that both sides run: a map from key to value, values kept as slices of the command.

use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Bytes of a command: a flag, the key, the value.
pub(crate) const SIZE: usize = 256;

#[derive(Default)]
pub(crate) struct Kv {
    values: FxHashMap<[u8; 16], Bytes>,
}

/// All commands, made beforehand: what is measured is what becomes of them.
pub(crate) static BODIES: LazyLock<Bodies> = LazyLock::new(Bodies::new);

/// The commands by key.
pub(crate) struct Bodies {
    set: Vec<Bytes>,
    hot: [Bytes; 2],
}

impl Bodies {
    fn new() -> Bodies {
        let body = |number: u64, update: bool| {
            let mut body = vec![0_u8; SIZE];
            body[0] = u8::from(update);
            body[1..9].copy_from_slice(b"user....");
            body[9..17].copy_from_slice(&number.to_be_bytes());
            let body = Bytes::from(body);
            // The first clone of a buffer allocates its counter.
            drop(body.clone());
            body
        };
        let set = (0..crate::KEYS).map(|number| body(number, false)).collect();
        Bodies { set, hot: [false, true].map(|update| body(u64::MAX, update)) }
    }

    pub(crate) fn of(&self, item: crate::Item) -> Bytes {
        match item.key {
            Some(number) => self.set[number as usize].clone(),
            None => self.hot[usize::from(item.update)].clone(),
        }
    }
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
