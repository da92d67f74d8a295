//! What must hold at every step, by number, over what the replicas show and do.

use super::node::{Node, State};
use crate::base::*;
use std::collections::BTreeMap;

/// Everything that was ever settled, executed or answered.
#[derive(Default)]
pub(super) struct Checks {
    records: BTreeMap<(Lsn, LeaderId), SharedRecord>,
    /// The author of the record settled at a position, and the least leader that knew.
    settled: BTreeMap<Lsn, (LeaderId, LeaderId)>,
    results: BTreeMap<Lsn, u64>,
    /// By key: the greatest position that a client knows to be written.
    known: BTreeMap<Key, Lsn>,
    reads: BTreeMap<u64, BTreeMap<Key, Lsn>>,
    pub(super) broken: Vec<String>,
}

impl Checks {
    fn fail(&mut self, what: String) {
        self.broken.push(format!("BROKEN {what}"));
    }

    /// Looks at a replica after a step.
    pub(super) fn look(&mut self, node: &mut Node) {
        let replica = &node.replica;
        let news: Vec<Lsn> = replica.settled().difference_iter(&node.seen_settled).collect();
        node.seen_settled = replica.settled().clone();
        for lsn in news {
            let Some(record) = replica.shared_record(lsn) else { continue };
            let leader = replica.lineage().leader();
            let (author, _) = *self.settled.entry(lsn).or_insert((record.author, leader));
            if author != record.author {
                self.fail(format!("I-6 at {lsn} {author} and {} are settled", record.author));
            }
            let known = self.records.entry((lsn, record.author)).or_insert(record.clone());
            if *known != record {
                let both = format!("I-2 {known} and {record}");
                self.fail(both);
            }
        }
        let Some((next, empties, _)) = replica.leading() else { return };
        let id = replica.role().1;
        if node.leads == Some(id) {
            return;
        }
        let lost = |(lsn, (author, leader)): (&Lsn, &(LeaderId, LeaderId))| {
            let held = replica.record(*lsn).map(|record| record.author);
            let gone = empties.contains(*lsn) || *lsn < replica.purged();
            let fine = held == Some(*author) || (held.is_none() && gone);
            (*leader < id && (*lsn >= next || !fine)).then_some(*lsn)
        };
        let lost: Vec<Lsn> = self.settled.iter().filter_map(lost).collect();
        for lsn in lost {
            self.fail(format!("I-5 {id} lacks the record settled at {lsn}"));
        }
    }

    /// I-8, and I-9 for results.
    pub(super) fn applies(&mut self, id: ReplicaId, node: &mut Node, record: &SharedRecord) {
        let interferes = |r: &&SharedRecord| r.lsn >= record.lsn && r.interferes(record);
        if let Some(later) = node.applied.iter().find(interferes) {
            self.fail(format!("I-8 {id} executes {record} after {later}"));
        }
        node.applied.push(record.clone());
        let result = node.state.apply(record);
        if !record.is_blind() && *self.results.entry(record.lsn).or_insert(result) != result {
            self.fail(format!("I-9 two results of {record}"));
        }
    }

    /// A client was told that this record took effect.
    pub(super) fn acknowledged(&mut self, record: &Record) {
        let Some(command) = record.command() else { return };
        for key in command.footprint.writes.points() {
            let known = self.known.entry(key.clone()).or_insert(record.lsn);
            *known = (*known).max(record.lsn);
        }
    }

    pub(super) fn asked(&mut self, read: u64, keys: &[Key]) {
        let known = |key: &Key| Some((key.clone(), *self.known.get(key)?));
        self.reads.insert(read, keys.iter().filter_map(known).collect());
    }

    /// A read sees every write acknowledged before it came, and what earlier reads saw.
    pub(super) fn answered(&mut self, read: u64, state: &State, keys: &[Key]) {
        let Some(at_least) = self.reads.remove(&read) else {
            return self.fail(format!("read {read} is answered twice"));
        };
        for (key, least) in &at_least {
            if state.written(key) < Some(*least) {
                self.fail(format!("read {read} misses the write at {least}"));
            }
        }
        for key in keys {
            if let Some(found) = state.written(key) {
                let known = self.known.entry(key.clone()).or_insert(found);
                *known = (*known).max(found);
            }
        }
    }

    /// What running the settled records one by one gives.
    pub(super) fn one_by_one(&mut self) -> State {
        let mut state = State::default();
        for (lsn, (author, _)) in self.settled.clone() {
            let Some(record) = self.records.get(&(lsn, author)).cloned() else { continue };
            let result = state.apply(&record);
            let given = self.results.get(&lsn).copied();
            if given.is_some_and(|given| given != result) {
                self.fail(format!("I-9 {record} gave another result than one by one"));
            }
        }
        state
    }
}
