//! A machine that several workers share, and what is drawn.

use bytes::Bytes;
use std::sync::{Arc, Mutex};
use traft::apply::kv::Kv;
use traft::apply::{Machine, Stateful};

/// A map that gives out hands: batches of several workers are executed in any order here.
#[derive(Clone, Default)]
pub(crate) struct Common(Arc<Mutex<Kv>>);

impl Machine for Common {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        self.0.lock().expect("nobody panics").apply(body)
    }

    fn read(&self, body: &Bytes) -> Bytes {
        self.0.lock().expect("nobody panics").read(body)
    }

    fn digest(&self) -> u64 {
        self.0.lock().expect("nobody panics").digest()
    }
}

impl Stateful for Common {
    type Frozen = <Kv as Stateful>::Frozen;

    fn freeze(&mut self) -> Option<Self::Frozen> {
        self.0.lock().expect("nobody panics").freeze()
    }

    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        Kv::pairs(frozen)
    }

    fn clear(&mut self) {
        self.0.lock().expect("nobody panics").clear();
    }

    fn load(&mut self, key: &[u8], value: &[u8]) {
        self.0.lock().expect("nobody panics").load(key, value);
    }

    fn hand(&self) -> Option<Box<dyn Machine + Send>> {
        Some(Box::new(self.clone()))
    }
}

/// splitmix64
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
