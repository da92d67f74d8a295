//! Reads by read index, once for all reads of an instant.

use super::super::Effect;
use super::RaftReplica;
use super::execute::Executor;
use raft::StateRole;
use std::collections::BTreeMap;

/// Reads by `ReadIndex`.
#[derive(Default)]
pub(super) struct Reads {
    /// Not asked for so far.
    pub(super) new: Vec<usize>,
    /// Asked for under a number.
    pub(super) asked: BTreeMap<u64, Vec<usize>>,
    pub(super) next: u64,
    /// Confirmed; wait for the execution up to an index.
    pub(super) confirmed: BTreeMap<u64, Vec<usize>>,
}

impl RaftReplica {
    /// Asks for a read index, once for all reads of this instant, as soon as it can be given: a
    /// leader must have committed in its term. `here`: a follower asks its leader.
    pub(super) fn ask_reads(&mut self, here: bool) {
        let raft = &self.node.raft;
        let leads = raft.state == StateRole::Leader;
        let knows_leader = raft.leader_id != raft::INVALID_ID;
        if !(leads || here && knows_leader) {
            let ops = std::mem::take(&mut self.reads.new);
            return self.refuse(ops);
        }
        if self.reads.new.is_empty() || leads && !raft.commit_to_current_term() {
            return;
        }
        self.reads.next += 1;
        let number = self.id << 40 | self.reads.next;
        let ops = std::mem::take(&mut self.reads.new);
        self.reads.asked.insert(number, ops);
        self.node.read_index(number.to_be_bytes().to_vec());
    }

    /// Serves the reads that wait for nothing any more: what is committed up to their index is
    /// executed, or, where footprints are known, what of it interferes.
    pub(super) fn serve_reads(&mut self) {
        let reached = self.executor.as_ref().map_or(self.applied, Executor::reached);
        while let Some(first) = self.reads.confirmed.first_entry() {
            if *first.key() > reached {
                break;
            }
            let ops = first.remove();
            match &mut self.executor {
                Some(executor) => executor.block(ops),
                None => self.effects.extend(ops.into_iter().map(|op| Effect::ReadReady { op })),
            }
        }
        let served = self.executor.as_mut().map(Executor::served).unwrap_or_default();
        self.effects.extend(served.into_iter().map(|op| Effect::ReadReady { op }));
    }

    pub(super) fn confirmed(&mut self, index: u64, context: &[u8]) {
        let number = context.try_into().map(u64::from_be_bytes).unwrap_or_default();
        if let Some(ops) = self.reads.asked.remove(&number) {
            self.reads.confirmed.entry(index).or_default().extend(ops);
        }
        self.skip();
    }
}
