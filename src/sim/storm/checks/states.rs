//! I-9 for the real machine: whoever has done the same set has the same state, at every snapshot
//! and at the end.

use super::super::node::{Alive, Machine};
use super::Check;
use crate::apply::Machine as _;
use crate::base::TailBitmap;
use crate::sim::invariants::Shadow;
use rustc_hash::FxHashMap;

/// States met, by what was done.
#[derive(Default)]
pub(super) struct States {
    known: FxHashMap<TailBitmap, (usize, u64, Shadow)>,
}

impl States {
    /// A replica takes a snapshot.
    pub(super) fn snapshot(
        &mut self,
        at: usize,
        done: &TailBitmap,
        machine: &Machine,
        shadow: &Shadow,
    ) -> Check {
        let digest = machine.digest();
        let known = self.known.entry(done.clone());
        let (other, first, _) = known.or_insert_with(|| (at, digest, shadow.clone()));
        if *first == digest { Ok(()) } else { Err(differ(*other, at, done)) }
    }

    /// The shadow of the snapshot that has done this.
    pub(super) fn shadow(&self, done: &TailBitmap) -> (Shadow, Check) {
        match self.known.get(done) {
            Some((_, _, shadow)) => (shadow.clone(), Ok(())),
            None => {
                let what = format!("a snapshot that nobody took has done {done}");
                (Shadow::new(true), Err(what))
            }
        }
    }

    /// At the end of a run.
    pub(super) fn finish(&mut self, alive: &[&Alive]) -> Check {
        for (at, alive) in alive.iter().enumerate() {
            if alive.applying.is_empty() {
                self.snapshot(at, alive.replica.done(), &alive.machine, &alive.shadow)?;
            }
        }
        Ok(())
    }
}

fn differ(one: usize, other: usize, done: &TailBitmap) -> String {
    format!("I-9 the machines of n{} and n{} have done {done} and differ", one + 1, other + 1)
}
