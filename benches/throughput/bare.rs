//! No protocol: each command is handed to three machines, and that is all. What the others cannot
//! be faster than, as long as they run the same machines on one thread.

use crate::Item;
use crate::kv::{BODIES, Kv};
use crate::peer::Peer;
use bytes::Bytes;

#[derive(Default)]
pub(crate) struct Cluster {
    machines: [Kv; 3],
    bodies: Vec<Bytes>,
    answered: u64,
}

impl Peer for Cluster {
    const NAME: &'static str = "(bare)";

    fn new() -> Cluster {
        Cluster::default()
    }

    fn propose(&mut self, _: u64, item: Item) {
        self.bodies.push(BODIES.of(item));
    }

    fn step(&mut self, answered: &mut Vec<u64>) {
        for machine in &mut self.machines {
            for body in &self.bodies {
                std::hint::black_box(machine.apply(body));
            }
        }
        let before = self.answered;
        self.answered += self.bodies.len() as u64;
        self.bodies.clear();
        answered.extend(before + 1..=self.answered);
    }

    fn settle(&mut self) {}
}
