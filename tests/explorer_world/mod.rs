//! The world of the explorer: replicas, their disks, a bag of messages, and the checks.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use traft::base::*;
use traft::message::Envelope;
use traft::replica::*;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub replicas: u64,
    /// 0 none, 1 loss and duplication, 2 and crashes, 3 and many of them.
    pub faults: u64,
    pub keys: u64,
    pub steps: u64,
    pub membership: bool,
}

#[derive(Default)]
struct Disk {
    durable: Durable,
    records: BTreeMap<Lsn, Arc<Record>>,
}

impl Disk {
    fn write(&mut self, write: Write) {
        if let Some(voted) = write.voted {
            self.durable.voted = voted;
        }
        if let Some(lineage) = write.lineage {
            self.records.retain(|lsn, r| lineage.author(*lsn) == r.author);
            self.durable.lineage = lineage;
        }
        self.records.extend(write.records.into_iter().map(|r| (r.lsn, r)));
        if write.membership.is_some() {
            self.durable.membership = write.membership;
        }
    }

    fn durable(&self) -> Durable {
        Durable { records: self.records.values().cloned().collect(), ..self.durable.clone() }
    }
}

#[derive(Default, Clone, PartialEq, Debug)]
struct State {
    /// By key: the position that wrote it last, and the value.
    values: BTreeMap<Bytes, (Lsn, u64)>,
}

impl State {
    fn apply(&mut self, record: &Record) -> u64 {
        let Some(command) = record.command() else { return 0 };
        let mut hash = record.lsn.0 ^ (record.author.term << 32) ^ (record.author.node.0 << 48);
        for key in command.footprint.reads.points() {
            hash = mix(hash ^ self.values.get(key).map_or(7, |(_, value)| *value));
        }
        for key in command.footprint.writes.points() {
            self.values.insert(key.clone(), (record.lsn, mix(hash)));
        }
        hash
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^ (x >> 29)
}

struct Node {
    replica: Replica,
    disk: Disk,
    writes: Vec<Write>,
    applying: Vec<(Arc<Record>, Option<u64>)>,
    /// Executed in this life: position -> record.
    applied: BTreeMap<Lsn, Arc<Record>>,
    state: State,
    seen_settled: TailBitmap,
    leading: Option<LeaderId>,
}

struct Read {
    keys: Vec<Bytes>,
    /// By key: the greatest position that was acknowledged, or read, before the read came.
    at_least: BTreeMap<Bytes, Lsn>,
}

pub struct World {
    plan: Plan,
    seed: u64,
    random: u64,
    nodes: Vec<Node>,
    net: Vec<Envelope>,
    next: u64,
    /// I-2: every record ever authored.
    records: BTreeMap<(Lsn, LeaderId), Arc<Record>>,
    /// I-6: the author of the record settled at a position.
    settled: BTreeMap<Lsn, LeaderId>,
    results: BTreeMap<Lsn, u64>,
    proposals: BTreeMap<u64, Command>,
    acknowledged: u64,
    /// By key: the greatest position that a client knows to be written.
    known: BTreeMap<Bytes, Lsn>,
    reads: BTreeMap<u64, Read>,
    served: u64,
    elections: u64,
    trace: Vec<String>,
    calm: bool,
}

impl World {
    pub fn new(plan: Plan, seed: u64) -> World {
        let mut world = World {
            plan,
            seed,
            random: mix(seed.wrapping_add(1)),
            nodes: Vec::new(),
            net: Vec::new(),
            next: 0,
            records: BTreeMap::new(),
            settled: BTreeMap::new(),
            results: BTreeMap::new(),
            proposals: BTreeMap::new(),
            acknowledged: 0,
            known: BTreeMap::new(),
            reads: BTreeMap::new(),
            served: 0,
            elections: 0,
            trace: Vec::new(),
            calm: false,
        };
        let initial = world.draw_membership(true);
        for id in 1..=plan.replicas {
            let options = world.options(id, initial.clone());
            world.nodes.push(Node {
                replica: Replica::new(options, Durable::default()),
                disk: Disk::default(),
                writes: Vec::new(),
                applying: Vec::new(),
                applied: BTreeMap::new(),
                state: State::default(),
                seen_settled: TailBitmap::new(),
                leading: None,
            });
        }
        world.initial = Some(initial);
        world
    }
}
