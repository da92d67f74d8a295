//! `raft-parallel`: what is committed in order is executed as traft executes. A command begins once
//! every interfering one before it is executed, a read once every interfering one is that is
//! committed here. What is left between the two protocols is the order in which they commit.

use super::{Effect, Handed, RaftReplica};
use crate::base::Footprint;
use bytes::Bytes;
use raft::eraftpb::Message;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// The committed commands that are not executed, and the reads that wait for them.
#[derive(Default)]
pub(super) struct Executor {
    /// By index.
    open: BTreeMap<u64, Open>,
    /// The greatest index that is committed here.
    reached: u64,
    /// What the reads look at that wait for their index.
    looks: FxHashMap<usize, Footprint>,
    /// Reads whose index is reached.
    blocked: Vec<(usize, Footprint)>,
}

struct Open {
    footprint: Footprint,
    /// How many earlier ones it waits for.
    waits_for: usize,
    /// Later ones that wait for it.
    before: Vec<u64>,
    body: Bytes,
    op: Option<usize>,
}

impl Open {
    fn begin(&self, index: u64) -> Effect<Message> {
        Effect::Apply { number: index, body: self.body.clone(), op: self.op }
    }
}

impl RaftReplica {
    pub(super) fn on_applied(&mut self, index: u64) {
        if let Some(executor) = &mut self.executor {
            self.effects.extend(executor.executed(index));
        }
        self.ahead.insert(index);
        self.skip();
    }

    /// The first entry, if it is executed or has nothing to execute.
    pub(super) fn pass(&mut self) -> Option<(u64, Handed)> {
        let ahead = &mut self.ahead;
        self.handed.pop_front_if(|(index, handed)| match handed {
            Handed::Command(_) => ahead.remove(index),
            Handed::Change(_) | Handed::Nothing => true,
        })
    }
}

impl Executor {
    /// Entries up to `index` are committed.
    pub(super) fn reach(&mut self, index: u64) {
        self.reached = index;
    }

    /// The greatest index that is committed here.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// The command at `index` is committed; what can begin because of it.
    pub(super) fn enter(
        &mut self,
        index: u64,
        footprint: Footprint,
        body: Bytes,
        op: Option<usize>,
    ) -> Option<Effect<Message>> {
        let mut waits_for = 0;
        for earlier in self.open.values_mut().filter(|o| o.footprint.interferes(&footprint)) {
            earlier.before.push(index);
            waits_for += 1;
        }
        let open = Open { footprint, waits_for, before: Vec::new(), body, op };
        let begins = (waits_for == 0).then(|| open.begin(index));
        self.open.insert(index, open);
        begins
    }

    /// The command at `index` is executed; what can begin because of it.
    pub(super) fn executed(&mut self, index: u64) -> Vec<Effect<Message>> {
        let before = self.open.remove(&index).map(|open| open.before).unwrap_or_default();
        let mut begin = Vec::new();
        for later in before {
            if let Some(open) = self.open.get_mut(&later) {
                open.waits_for -= 1;
                begin.extend((open.waits_for == 0).then(|| open.begin(later)));
            }
        }
        begin
    }

    /// A client reads this.
    pub(super) fn look(&mut self, op: usize, footprint: Footprint) {
        self.looks.insert(op, footprint);
    }

    /// The index of these reads is reached.
    pub(super) fn block(&mut self, ops: Vec<usize>) {
        let looks = &mut self.looks;
        self.blocked.extend(ops.into_iter().filter_map(|op| Some((op, looks.remove(&op)?))));
    }

    /// The reads that wait for nothing any more.
    pub(super) fn served(&mut self) -> Vec<usize> {
        let open = &self.open;
        let free = |(_, looks): &mut (usize, Footprint)| {
            !open.values().any(|o| o.footprint.interferes(looks))
        };
        self.blocked.extract_if(.., free).map(|(op, _)| op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::KeySet;

    fn key(name: &str) -> Footprint {
        let keys = KeySet::point(name.as_bytes().to_vec());
        Footprint { reads: keys.clone(), writes: keys }
    }

    #[test]
    fn only_what_interferes_waits() {
        let mut executor = Executor::default();
        let mut enter = |index, name| executor.enter(index, key(name), Bytes::new(), None);
        assert!(enter(1, "a").is_some() && enter(2, "b").is_some());
        assert!(enter(3, "a").is_none() && enter(4, "a").is_none() && enter(5, "c").is_some());
        executor.look(9, key("a"));
        executor.block(vec![9]);
        let begun = |effects: Vec<Effect<Message>>| -> Vec<u64> {
            let number = |effect| match effect {
                Effect::Apply { number, .. } => number,
                other => panic!("{other:?}"),
            };
            effects.into_iter().map(number).collect()
        };
        assert_eq!(begun(executor.executed(2)), [0; 0]);
        assert_eq!(begun(executor.executed(1)), [3]);
        assert_eq!(executor.served(), [0; 0]);
        assert_eq!(begun(executor.executed(3)), [4], "in the order of the log");
        assert_eq!(begun(executor.executed(4)), [0; 0]);
        assert_eq!(executor.served(), [9], "c is open, and does not interfere");
    }
}
