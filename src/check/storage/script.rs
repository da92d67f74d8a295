//! What is done to a store: a random history that a replica could have had, and what it owes after
//! each step.

use crate::base::{
    Command, Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record, ReplicaId,
};
use crate::replica::{Durable, Write};
use crate::wal::Recovered;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// splitmix64's output function: neighbours are unrelated.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mix(self.0)) * n as u128) >> 64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What a replica should find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) voted: LeaderId,
    pub(super) lineage: Lineage,
    pub(super) membership: Option<(Lsn, Membership)>,
    pub(super) records: BTreeMap<Lsn, Arc<Record>>,
    pub(super) purged: Lsn,
}

impl Model {
    fn apply(&mut self, write: &Write) {
        self.voted = write.voted.unwrap_or(self.voted);
        if let Some(lineage) = &write.lineage {
            self.records.retain(|lsn, record| record.author == lineage.author(*lsn));
            self.lineage = lineage.clone();
        }
        self.membership = write.membership.clone().or(self.membership.take());
        let records = write.records.iter();
        self.records.extend(records.map(|record| (record.lsn, Arc::new(record.clone()))));
    }

    fn purge(&mut self, below: Lsn) {
        self.purged = self.purged.max(below);
        self.records = self.records.split_off(&self.purged);
    }

    /// Whether this is what was found.
    pub(super) fn is(&self, found: &Recovered) -> bool {
        let Durable { voted, lineage, records, membership, .. } = &found.durable;
        (self.voted, self.purged) == (*voted, found.purged)
            && (&self.lineage, &self.membership) == (lineage, membership)
            && self.records.values().map(|record| &**record).eq(records)
    }

    /// One step that leads here from anywhere.
    pub(super) fn as_write(&self, number: u64) -> Write {
        Write {
            number,
            voted: Some(self.voted),
            lineage: Some(self.lineage.clone()),
            records: self.records.values().cloned().collect(),
            membership: self.membership.clone(),
            ..Write::default()
        }
    }
}

/// The one record that `author` ever put at `lsn` (I-2).
pub(super) fn true_record(lsn: Lsn, author: LeaderId) -> Arc<Record> {
    let mut chance = Chance(mix(lsn.0 ^ author.term << 32 ^ author.node.0 << 48));
    let payload = match chance.below(10) {
        0 => Payload::Void,
        1 => Payload::Membership(Membership::majority((0..=lsn.0 % 5).map(ReplicaId))),
        n => {
            let size = [0, 3, 40, 200, 472, 500, 1_100, 2_700][(n + chance.below(8)) % 8];
            // Zeros as well: a block device writes many.
            let zeros = chance.one_in(3);
            let byte = |at: usize| if zeros { 0 } else { (at as u64 ^ lsn.0) as u8 };
            let body = Bytes::from_iter((0..size).map(byte));
            let footprint = Footprint::write(KeySet::point(vec![b'k', lsn.0 as u8]));
            Payload::Command(Command { footprint, body })
        }
    };
    let floor = Lsn(lsn.0.saturating_sub(20));
    Arc::new(Record { floor, ..Record::bare(lsn, author, payload) })
}

/// One thing that is done to a store.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Step(Box<Write>),
    Sync,
    Purge(Lsn),
    Idle,
    /// An orderly restart.
    Restart,
}

/// A history, and what is owed after each of its steps.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) seed: u64,
    pub(super) actions: Vec<Action>,
    /// What is owed after so many steps and purges.
    pub(super) models: Vec<Model>,
}

impl Script {
    /// A history of some forty steps. Ends synced and at rest.
    pub(super) fn random(seed: u64) -> Script {
        let mut chance = Chance(mix(seed));
        let mut script = Script { seed, actions: Vec::new(), models: vec![Model::default()] };
        for number in 1..=30 + chance.below(20) as u64 {
            let mut model = script.models[script.models.len() - 1].clone();
            let write = write(&mut chance, &model, number);
            model.apply(&write);
            script.models.push(model);
            script.actions.push(Action::Step(Box::new(write)));
            if chance.one_in(2) {
                script.actions.push(Action::Sync);
            }
            if chance.one_in(9) {
                let mut model = script.models[script.models.len() - 1].clone();
                let held: Vec<Lsn> = model.records.keys().copied().collect();
                let below = held.get(held.len() / 2).map_or(Lsn::ZERO, |lsn| *lsn);
                model.purge(below);
                script.models.push(model);
                script.actions.push(Action::Purge(below));
            }
            if chance.one_in(7) {
                script.actions.push(Action::Idle);
            }
            if chance.one_in(12) {
                script.actions.extend([Action::Sync, Action::Restart]);
            }
        }
        script.actions.extend([Action::Sync, Action::Idle]);
        script
    }
}

/// A step that a replica in this state could take.
fn write(chance: &mut Chance, model: &Model, number: u64) -> Write {
    let mut write = Write { number, ..Write::default() };
    let adopts = model.lineage.leader() == LeaderId::NOBODY || chance.one_in(8);
    if adopts || chance.one_in(6) {
        let above = LeaderId::next_above(model.voted, ReplicaId(chance.below(3) as u64));
        write.voted = Some(above);
        if adopts {
            let top = model.records.keys().next_back().map_or(0, |lsn| lsn.0 + 1);
            let end = Lsn(top.saturating_sub(chance.below(4) as u64)).max(model.purged);
            write.lineage = Some(adopted(&model.lineage, above, end));
        }
    }
    let lineage = write.lineage.as_ref().unwrap_or(&model.lineage);
    let top = model.records.keys().next_back().map_or(model.purged.0, |lsn| lsn.0 + 1);
    for _ in 0..chance.below(5) {
        let lsn = Lsn((top + 3).saturating_sub(chance.below(7) as u64)).max(model.purged);
        let author = lineage.author(lsn);
        if author > LeaderId::NOBODY && write.records.iter().all(|record| record.lsn != lsn) {
            write.records.push(true_record(lsn, author).into());
        }
    }
    if chance.one_in(10) {
        let voters = (0..=chance.below(5) as u64).map(ReplicaId);
        write.membership = Some((Lsn(top), Membership::majority(voters)));
    }
    // Where nothing is in doubt it says nothing.
    write.repaired = chance.one_in(9);
    write
}

/// The lineage of `leader`, who found in the log below `end` what `old` says.
fn adopted(old: &Lineage, leader: LeaderId, end: Lsn) -> Lineage {
    let mut lineage = Lineage::new(leader);
    let ends = old.runs().iter().skip(1).map(|run| run.start).chain([old.end()]);
    for (run, run_end) in old.runs().iter().zip(ends) {
        lineage.push(run.author, run_end.min(end));
    }
    lineage.push(old.leader(), end);
    lineage
}
