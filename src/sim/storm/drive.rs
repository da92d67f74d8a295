//! What a process does: it hands inputs to its replica and carries out what that asks for, with the
//! log, the snapshots and the machine that a server has.

use super::act::{Micros, Tear};
use super::node::{Alive, Applying, load, pairs};
use super::queue::Due;
use super::world::World;
use crate::apply::Machine as _;
use crate::base::{Command, Lsn, SharedRecord};
use crate::replica::{Input, Output, ReadLevel, SnapshotMeta, Step, Task};
use crate::snapshot::Parcel;
use crate::store::{Heard, StoreError};
use bytes::Bytes;

/// What a client hears.
pub(super) enum Reply {
    Answer(Bytes),
    /// It was not placed; ask there, if there is a there.
    Rejected(Option<usize>),
    Unknown,
}

/// A sync on a disk that is well.
const SYNC: Micros = 400;

/// A replica that hears nothing new wants nothing after so many drains.
const DRAINS_MAX: u64 = 10_000;

/// After a failure a process comes back so much later.
const BACK: Micros = 50_000;

impl World {
    /// A client hands a command in.
    pub(super) fn propose(&mut self, at: usize, proposal: u64, command: Command) {
        match &self.nodes[at].alive {
            Some(alive) if alive.full => self.reply(at, proposal, Reply::Rejected(None)),
            Some(_) => self.input(at, Input::Propose { proposal, command }),
            None => {}
        }
    }

    /// A client wants to read.
    pub(super) fn read(&mut self, at: usize, read: u64, command: Command, level: ReadLevel) {
        let Some(alive) = &mut self.nodes[at].alive else { return };
        alive.reads.insert(read, command.body);
        self.input(at, Input::Read { read, footprint: command.footprint, level });
    }

    /// Something happens to a replica.
    pub(super) fn input(&mut self, at: usize, input: Input) {
        let Some(alive) = &mut self.nodes[at].alive else { return };
        if self.plan.mapped {
            self.checks.steps(at, Step::of_input(&input));
        }
        alive.replica.handle(input);
        self.settle(at);
    }

    /// Carries out what it wants, until it wants nothing.
    pub(super) fn settle(&mut self, at: usize) {
        let life = self.nodes[at].life;
        let mut executed = false;
        let mut outputs = Vec::new();
        for drains in 0.. {
            let Some(alive) = self.alive(at, life) else { break };
            alive.replica.drain(&mut outputs);
            if outputs.is_empty() {
                break;
            }
            if self.plan.mapped {
                self.checks.steps(at, Step::of_drain(&outputs));
            }
            if drains == DRAINS_MAX {
                self.checks.fail(format!("I-12 n{} does not come to rest", at + 1));
            }
            if self.checks.failed.is_some() {
                return;
            }
            let mut inputs = Vec::new();
            for output in outputs.drain(..) {
                if self.burns(at) {
                    return;
                }
                self.carry_out(at, output, &mut inputs, &mut executed);
            }
            let Some(alive) = self.alive(at, life) else { return };
            inputs.into_iter().for_each(|input| alive.replica.handle(input));
        }
        self.begin_sync(at);
        self.take_snapshot(at);
        let World { checks, nodes, counts, .. } = self;
        if let Some(alive) = &nodes[at].alive {
            checks.look(at, alive, executed, counts);
        }
        self.repaired(at);
    }

    /// Whether the process ends here.
    fn burns(&mut self, at: usize) -> bool {
        let Some(alive) = &mut self.nodes[at].alive else { return true };
        match &mut alive.fuse {
            Some((0, tear, away)) => {
                let (tear, away) = (*tear, *away);
                self.crash(at, tear, away);
                true
            }
            Some((left, ..)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn carry_out(
        &mut self,
        at: usize,
        output: Output,
        inputs: &mut Vec<Input>,
        executed: &mut bool,
    ) {
        let World { nodes, checks, .. } = self;
        let node = &mut nodes[at];
        let Some(alive) = &mut node.alive else { return };
        match output {
            Output::Send(envelope) => {
                checks.says(at, &envelope.message, &node.mirror, alive.replica.doubt().is_some());
                self.send(envelope);
            }
            Output::Persist(write) => {
                checks.writes(&write);
                let written = alive.home.append(&write);
                alive.unsynced = true;
                node.mirror.write(write);
                self.store(at, written);
            }
            Output::Apply(tasks) => {
                *executed |= self.plan.apply == 0;
                let one_by_one = tasks.iter().map(|task| (task, alive.replica.command(task.lsn)));
                let together = alive.replica.commands(&tasks).map(|(task, c)| (task, Some(c)));
                assert!(together.eq(one_by_one), "looked up together: {tasks:?}");
                for task in tasks {
                    inputs.extend(self.run_task(at, task));
                }
            }
            Output::Settled { proposal } => self.reply(at, proposal, Reply::Answer(Bytes::new())),
            Output::Rejected { proposal, reason } => {
                let hint = reason.hint().map(|id| id.0 as usize - 1);
                self.reply(at, proposal, Reply::Rejected(hint));
            }
            Output::Unknown { proposal } => self.reply(at, proposal, Reply::Unknown),
            Output::ReadReady { read } => {
                if let Some(body) = alive.reads.remove(&read) {
                    let result = alive.machine.read(&body);
                    self.reply(at, read, Reply::Answer(result));
                }
            }
            Output::ReadFailed { read, .. } => {
                alive.reads.remove(&read);
                self.reply(at, read, Reply::Rejected(None));
            }
            Output::Load(positions) => {
                let loaded = alive.home.load(&positions);
                let loaded = self.store(at, loaded);
                inputs.extend(loaded.map(|records| Input::Loaded(records.into())));
            }
            Output::SendSnapshot { to, below } => match alive.home.offer(to, below) {
                Some(offer) => self.send_parcel(offer),
                None => alive.wanted = true,
            },
            Output::TakeSnapshot { .. } => alive.wanted = true,
            Output::Restore(meta) => {
                *executed = true;
                self.restore(at, &meta);
            }
            Output::Role { role, leader } => {
                self.say(|| format!("n{} is {role:?} of {leader}", at + 1));
            }
            Output::TransferFailed { .. } => {}
        }
    }

    /// A store has failed: the process ends, and another begins on what is there. A full disk is no
    /// failure.
    pub(super) fn store<T>(&mut self, at: usize, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if error.is_full() => {
                self.count("disk was full");
                None
            }
            Err(error) => {
                self.say(|| format!("the store of n{} fails: {error}", at + 1));
                self.count("store failed");
                self.crash(at, Tear::Some, BACK);
                None
            }
        }
    }

    /// A command goes out for execution, which may take a while.
    fn run_task(&mut self, at: usize, task: Task) -> Option<Input> {
        let Task { lsn, proposal, after } = task;
        let node = &mut self.nodes[at];
        let alive = node.alive.as_mut()?;
        let Some(record) = alive.replica.shared_record(lsn) else {
            self.checks.fail(format!("n{} gives out {lsn} and lacks it", at + 1));
            return None;
        };
        self.checks.applies(at, &record);
        if self.plan.apply == 0 {
            self.execute(at, &record, proposal);
            return Some(Input::Applied(lsn));
        }
        alive.applying.push(Applying { record, proposal, after });
        let (life, takes) = (node.life, 1 + self.dice.below(self.plan.apply));
        self.queue.add(self.now + takes, Due::Applied { at, life });
        None
    }

    fn execute(&mut self, at: usize, record: &SharedRecord, proposal: Option<u64>) {
        let Some(alive) = &mut self.nodes[at].alive else { return };
        let Some(command) = record.command() else { return };
        let result = alive.machine.apply(&command.body);
        let shadow = alive.shadow.execute(record);
        self.checks.executed(at, record, shadow, proposal.is_some());
        if let Some(proposal) = proposal {
            self.reply(at, proposal, Reply::Answer(result));
        }
    }

    /// One of those that are out has been executed: any that needs not wait for another.
    pub(super) fn applied(&mut self, at: usize, life: u64) {
        let Some(alive) = self.alive(at, life) else { return };
        let out = |lsn: Option<Lsn>| alive.applying.iter().any(|o| Some(o.record.lsn) == lsn);
        let may: Vec<usize> =
            (0..alive.applying.len()).filter(|at| !out(alive.applying[*at].after)).collect();
        if may.is_empty() {
            return;
        }
        let pick = self.dice.pick(&may);
        let Some(alive) = self.alive(at, life) else { return };
        let Applying { record, proposal, .. } = alive.applying.swap_remove(pick);
        self.execute(at, &record, proposal);
        let Some(alive) = self.alive(at, life) else { return };
        alive.replica.handle(Input::Applied(record.lsn));
        let World { checks, nodes, counts, .. } = self;
        if let Some(alive) = &nodes[at].alive {
            checks.look(at, alive, true, counts);
        }
        self.settle(at);
    }

    fn begin_sync(&mut self, at: usize) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        let Some(alive) = &mut node.alive else { return };
        if alive.unsynced && !alive.syncing {
            alive.syncing = true;
            let takes = if node.slow.1 > now { node.slow.0 } else { SYNC };
            let takes = takes.min(node.slow.1.saturating_sub(now).max(SYNC));
            self.queue.add(now + takes, Due::Synced { at, life: node.life });
        }
    }

    pub(super) fn synced(&mut self, at: usize, life: u64) {
        let Some(alive) = self.alive(at, life) else { return };
        (alive.syncing, alive.unsynced) = (false, false);
        let synced = alive.home.sync();
        let is_full = synced.as_ref().is_err_and(StoreError::is_full);
        let Some(number) = self.store(at, synced) else {
            if let Some(alive) = self.alive(at, life).filter(|_| is_full) {
                (alive.full, alive.unsynced, alive.syncing) = (true, true, true);
                self.queue.add(self.now + BACK, Due::Synced { at, life });
            }
            return;
        };
        if let Some(alive) = self.alive(at, life) {
            alive.full = false;
        }
        // One after the other, so that what is said is held against the disk of that moment.
        while self.alive(at, life).is_some() {
            let World { checks, nodes, .. } = self;
            let mirror = &mut nodes[at].mirror;
            let Some(write) = mirror.sync(number) else { break };
            checks.stored(at, &write, mirror);
            self.input(at, Input::Written(write));
        }
    }

    /// If one is wanted, holds the state fast; it is written a while later.
    fn take_snapshot(&mut self, at: usize) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        let Some(alive) = node.alive.as_mut().filter(|a| a.wanted && a.draft.is_none()) else {
            return;
        };
        alive.wanted = false;
        let meta = alive.replica.snapshot_meta();
        match alive.home.take(&meta) {
            Ok(Some(draft)) => {
                self.checks.snapshot(at, &meta, alive);
                alive.draft = Some((draft, pairs(&alive.machine)));
                let life = node.life;
                let takes = self.dice.between(500, 60_000);
                self.queue.add(now + takes, Due::Written { at, life });
            }
            // What it would save is saved; or a while later again.
            Ok(None) | Err(StoreError::Snapshot(_)) => {}
            Err(error) => drop(self.store::<()>(at, Err(error))),
        }
    }

    pub(super) fn written(&mut self, at: usize, life: u64) {
        let Some(alive) = self.alive(at, life) else { return };
        let Some((draft, pairs)) = alive.draft.take() else { return };
        let taken = alive.home.taken(draft.write(pairs));
        match taken {
            Ok(Some(below)) => {
                self.count("snapshot taken");
                self.nodes[at].mirror.purge(below);
                self.input(at, Input::Purge(below));
            }
            Ok(None) | Err(StoreError::Snapshot(_)) => {}
            Err(error) => drop(self.store::<()>(at, Err(error))),
        }
    }

    pub(super) fn hear(&mut self, at: usize, parcel: Parcel) {
        let Some(alive) = &mut self.nodes[at].alive else { return };
        let mut answers = Vec::new();
        let done = alive.replica.done().clone();
        let heard = alive.home.hear(parcel, &done, &mut answers);
        let heard = self.store(at, heard);
        answers.into_iter().for_each(|parcel| self.send_parcel(parcel));
        match heard {
            Some(Heard::Arrived(meta)) => self.input(at, Input::Install(meta)),
            Some(Heard::Known) => {
                if let Some(alive) = &mut self.nodes[at].alive {
                    alive.wanted = true;
                }
                self.take_snapshot(at);
            }
            Some(Heard::Nothing) | None => {}
        }
    }

    fn restore(&mut self, at: usize, meta: &SnapshotMeta) {
        self.count("snapshot installed");
        let Some(alive) = &mut self.nodes[at].alive else { return };
        if !alive.applying.is_empty() {
            return self.checks.fail("a state is replaced under a running command".into());
        }
        let state = alive.home.state(&meta.done).map(|snapshot| load(snapshot));
        match state {
            Some(Ok(machine)) => {
                alive.machine = machine;
                alive.shadow = self.checks.restored(at, &meta.done);
            }
            other => {
                let why = other.map(|result| result.err());
                self.checks.fail(format!("n{} cannot restore {}: {why:?}", at + 1, meta.done));
            }
        }
    }

    /// Peers have given back what was lost.
    fn repaired(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let fine = |alive: &Alive| alive.replica.doubt().is_none() && alive.doubted;
        if node.damaged && node.mirror.is_synced() && node.alive.as_deref().is_some_and(fine) {
            node.damaged = false;
            self.count("repaired by peers");
        }
    }
}
