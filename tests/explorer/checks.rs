//! What must hold, by number. Knows the replica only by what it shows and does.

use crate::reads::Reads;
use crate::world::Plan;
use std::collections::{BTreeMap, BTreeSet};
use traft::base::*;
use traft::replica::{Durable, Input, Replica};

/// The state of the machine: by key, the position that wrote it last, and the value.
#[derive(Default, Clone, PartialEq, Debug)]
pub(crate) struct State(BTreeMap<Key, (Lsn, u64)>);

impl State {
    /// Executes a command; the result stands for all that it has read.
    fn apply(&mut self, record: &Record) -> u64 {
        let Some(command) = record.command() else { return 0 };
        let mut result = 7;
        for key in command.footprint.reads.points() {
            let value = self.0.get(key).map_or(3, |(_, value)| *value);
            result = (result ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        }
        for key in command.footprint.writes.points() {
            let value = (result ^ record.lsn.0).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            self.0.insert(key.clone(), (record.lsn, value ^ record.author.node.0));
        }
        result
    }
}

/// What is known of one replica.
#[derive(Default)]
struct Seen {
    state: State,
    applied: Vec<SharedRecord>,
    settled: TailBitmap,
    leading: LeaderId,
}

/// Everything that was ever authored, settled, answered.
pub(crate) struct Checks {
    plan: Plan,
    seed: u64,
    seen: Vec<Seen>,
    records: BTreeMap<(Lsn, LeaderId), SharedRecord>,
    /// The author of the record settled at a position, and the least leader that knew.
    settled: BTreeMap<Lsn, (LeaderId, LeaderId)>,
    results: BTreeMap<Lsn, u64>,
    proposals: BTreeMap<u64, Command>,
    acknowledged: BTreeSet<u64>,
    placed: BTreeMap<u64, Lsn>,
    reads: Reads,
    elections: usize,
    restored: usize,
    losses: usize,
    trace: Vec<String>,
}

impl Checks {
    pub(crate) fn new(plan: Plan, seed: u64) -> Checks {
        Checks {
            plan,
            seed,
            seen: (0..plan.replicas).map(|_| Seen::default()).collect(),
            records: BTreeMap::new(),
            settled: BTreeMap::new(),
            results: BTreeMap::new(),
            proposals: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            placed: BTreeMap::new(),
            reads: Reads::default(),
            elections: 0,
            restored: 0,
            losses: 0,
            trace: Vec::new(),
        }
    }

    pub(crate) fn settled_records(&self) -> usize {
        self.settled.len()
    }

    pub(crate) fn elections(&self) -> usize {
        self.elections
    }

    pub(crate) fn snapshots_restored(&self) -> usize {
        self.restored
    }

    pub(crate) fn losses(&self) -> usize {
        self.losses
    }

    pub(crate) fn reads_served(&self) -> usize {
        self.reads.served()
    }

    pub(crate) fn trace(&mut self, at: usize, input: &Input) {
        if std::env::var_os("EXPLORER_TRACE").is_some() && *input != Input::Tick {
            self.trace.push(format!("n{} {input:?}", at + 1));
        }
    }

    pub(crate) fn fail(&self, what: &str) -> ! {
        for line in &self.trace {
            println!("{line}");
        }
        panic!("seed {} of {:?}: {what}", self.seed, self.plan);
    }

    pub(crate) fn proposed(&mut self, proposal: u64, command: &Command) {
        self.proposals.insert(proposal, command.clone());
        self.reads.proposed(proposal);
    }

    /// Looks at a replica after a step.
    pub(crate) fn look(&mut self, at: usize, replica: &Replica) {
        let new: Vec<Lsn> = replica.settled().difference_iter(&self.seen[at].settled).collect();
        self.seen[at].settled = replica.settled().clone();
        for lsn in new {
            let Some(record) = replica.shared_record(lsn) else { continue };
            let leader = replica.lineage().leader();
            let known = *self.settled.entry(lsn).or_insert((record.author, leader));
            if known.0 != record.author {
                self.fail(&format!("I-6 at {lsn} both {} and {} settled", known.0, record.author));
            }
            self.note(&record);
        }
        self.look_at_leader(at, replica);
    }

    /// I-2: `(lsn, author)` names one record.
    fn note(&mut self, record: &SharedRecord) {
        let known = self.records.entry((record.lsn, record.author)).or_insert(record.clone());
        if known != record {
            let both = format!("I-2 {known} and {record}");
            self.fail(&both);
        }
    }

    /// I-5: a committed record is in the log of every later leader, or empty there.
    fn look_at_leader(&mut self, at: usize, replica: &Replica) {
        let Some((next, empties, _)) = replica.leading() else { return };
        let id = replica.role().1;
        if self.seen[at].leading == id {
            return;
        }
        self.seen[at].leading = id;
        self.elections += 1;
        for (lsn, (author, leader)) in &self.settled {
            let held = replica.record(*lsn).map(|r| r.author);
            let gone = *lsn < replica.first_in_memory() && replica.accepted().contains(*lsn);
            let empty = held.is_none() && (gone || empties.contains(*lsn));
            let fine = held == Some(*author) || empty;
            if *leader < id && (*lsn >= next || !fine) {
                self.fail(&format!("I-5 {id} has {held:?} at {lsn}, settled there: {author}"));
            }
        }
    }

    /// I-8: no two interfering records are executed the other way round. I-9: no command returns
    /// two results.
    pub(crate) fn applied(&mut self, at: usize, record: &SharedRecord, proposal: Option<u64>) {
        let later =
            self.seen[at].applied.iter().find(|r| r.lsn >= record.lsn && r.interferes(record));
        if let Some(later) = later {
            self.fail(&format!("I-8 n{} executes {record} after {later}", at + 1));
        }
        self.seen[at].applied.push(record.clone());
        let result = self.seen[at].state.apply(record);
        if !record.is_blind() && *self.results.entry(record.lsn).or_insert(result) != result {
            self.fail(&format!("I-9 two results of {record}"));
        }
        if let Some(proposal) = proposal {
            if self.proposals.get(&proposal) != record.command() {
                self.fail(&format!("proposal {proposal} answered with {record}"));
            }
            self.placed.insert(proposal, record.lsn);
            self.acknowledged(proposal);
        }
    }

    /// What survives is the state of the durable snapshot.
    pub(crate) fn crashed(&mut self, at: usize, state: &State) {
        self.seen[at] = Seen { state: state.clone(), ..Seen::default() };
    }

    /// Its disk has lost something; it was given back since if the run ends well.
    pub(crate) fn lost(&mut self, at: usize, durable: &Durable) {
        self.losses += 1;
        if std::env::var_os("EXPLORER_TRACE").is_some() {
            self.trace.push(format!("n{} lost something: {durable:?}", at + 1));
        }
    }

    /// The state is replaced by that of a snapshot; commands that it lacks run again.
    pub(crate) fn restored(&mut self, at: usize, state: &State) {
        self.seen[at].state = state.clone();
        self.seen[at].applied.clear();
        self.restored += 1;
    }

    pub(crate) fn state(&self, at: usize) -> State {
        self.seen[at].state.clone()
    }

    /// A client was told that its command took effect.
    pub(crate) fn acknowledged(&mut self, proposal: u64) {
        if !self.acknowledged.insert(proposal) {
            self.fail(&format!("proposal {proposal} answered twice"));
        }
        let command = self.proposals.get(&proposal);
        let record = self.settled_commands().find(|record| record.command() == command);
        if let Some(record) = record.cloned() {
            self.reads.learn(&record);
        }
    }

    fn settled_commands(&self) -> impl Iterator<Item = &SharedRecord> {
        let record =
            |(lsn, (author, _)): (&Lsn, &(LeaderId, LeaderId))| self.records.get(&(*lsn, *author));
        self.settled.iter().filter_map(record).filter(|record| record.command().is_some())
    }

    pub(crate) fn asked(&mut self, read: u64, keys: &[Key]) {
        self.reads.asked(read, keys);
    }

    /// The replica says: read now.
    pub(crate) fn read(&mut self, at: usize, read: u64) {
        let state = &self.seen[at].state.0;
        let found = |key: &Key| state.get(key).map_or(Lsn::ZERO, |(lsn, _)| *lsn);
        let settled: Vec<SharedRecord> = self.settled_commands().cloned().collect();
        let settled = settled.iter().map(|record| &**record);
        if let Err(what) = self.reads.show(read, found, settled) {
            self.fail(&format!("n{} serves a {what}", at + 1));
        }
    }

    /// I-9 and nothing lost: every replica's state equals running the settled records one by one,
    /// with the results that were given; every acknowledged command is among them.
    pub(crate) fn finish(&self, replicas: &[&Replica]) {
        let mut state = State::default();
        let mut commands = Vec::new();
        for (lsn, (author, _)) in &self.settled {
            let record = &self.records[&(*lsn, *author)];
            let result = state.apply(record);
            commands.extend(record.command().cloned());
            let given = self.results.get(lsn);
            if given.is_some_and(|given| *given != result) {
                self.fail(&format!("I-9 {record} gave {given:?}, one by one {result}"));
            }
        }
        let newest = replicas.iter().map(|r| r.lineage().leader()).max().unwrap_or_default();
        for (at, replica) in replicas.iter().enumerate() {
            if replica.lineage().leader() == newest && self.seen[at].state != state {
                let held = &self.seen[at].state;
                // Not all that is settled needs a record here: what is covered need not be held.
                let last = self.settled.last_key_value().map(|(lsn, _)| *lsn);
                if last.is_some_and(|last| replica.done().offset() > last) {
                    self.fail(&format!("I-9 n{} holds {held:?}, expected {state:?}", at + 1));
                }
            }
        }
        for proposal in &self.acknowledged {
            let lsn = self.placed.get(proposal);
            if lsn.is_some_and(|lsn| !self.settled.contains_key(lsn)) {
                self.fail(&format!("acknowledged proposal {proposal} is lost"));
            }
        }
    }
}
