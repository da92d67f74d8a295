//! One replica with all that it drives: its directory, its machine. Still no thread and no clock:
//! what takes time is given out as jobs.

mod operate;
mod record;
mod snapshots;

use super::bottom::{Fault, bring, load, stays};
use super::engine::{Effect, Engine, Event, Lane, NodeError, Refusal};
use super::execute::Executor;
use super::order::Orders;
use super::parts::{Done, Job, NodeOptions, Post, Start, Status, Unread};
use super::stages::Stopwatch;
use super::sync::Arc;
use super::trail::Trail;
use crate::apply::Stateful;
use crate::base::{LeaderId, Lsn, ReplicaId, mutant_on};
use crate::disk::Disk;
use crate::replica::{self, Input, Output, ReadError, Rejection, Replica, RoleName};
use crate::snapshot::Parcel;
use crate::store::{Departed, Heard, Home, Opened, StoreError};
use crate::wal::{Identity, Recovered, WalError};
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// A replica, its directory and a machine.
///
/// Everything that has come is handled first, then [`work`](Engine::work) carries out what that led
/// to: so messages and writes of one moment go together. What is to be sent leaves before the disk
/// is synced, and what rests on the sync after it.
pub struct Host<D: Disk, M: Stateful> {
    replica: Replica,
    home: Home<D>,
    executor: Executor<D, M>,
    options: NodeOptions,
    /// Bodies of the reads that wait.
    reads: FxHashMap<u64, Bytes>,
    outputs: Vec<Output>,
    inputs: Vec<Input>,
    parcels: Vec<Parcel>,
    /// Something was taken that is neither durable nor under way.
    unsynced: bool,
    /// There was no room for it.
    full: bool,
    /// Writes that came meanwhile.
    refused: Vec<u64>,
    /// Executed since the last snapshot.
    executed: u64,
    /// A snapshot is asked for.
    wanted: bool,
    ticks: u64,
    taken: u64,
    failed: u64,
    installed: u64,
    /// A snapshot is being written.
    drafting: bool,
    orders: Orders,
    stopwatch: Stopwatch,
    trail: Trail,
}

/// So many ticks of a replica are one of its store.
const STORE_TICKS: u64 = 20;

impl<D: Disk + Clone + Send + Sync + 'static, M: Stateful> Host<D, M> {
    /// Opens the directory, or begins it if [`NodeOptions::start`] says so, and starts a replica
    /// from what is there. `machine` takes the state of the snapshot, if there is one, and is as
    /// before its first command otherwise.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn open(
        disk: D,
        options: NodeOptions,
        mut machine: M,
    ) -> Result<(Host<D, M>, Recovered), NodeError> {
        if let Some(name) = mutant_on() {
            return Err(NodeError::Mutant { name });
        }
        let identity = Identity { cluster: options.cluster, replica: options.replica.id };
        let store = || options.store.clone();
        let resident = options.resident_bytes_max;
        let mut load = |snapshot: &_| match stays::<D, M>(snapshot, resident) {
            true => Ok(()),
            false => load(&mut machine, snapshot),
        };
        let found = Home::open(disk.clone(), identity, store(), &mut load);
        let opened = match (found, options.start) {
            (Err(StoreError::Log(WalError::Empty)), Start::First) => Opened {
                home: Home::create(disk, identity, store())?,
                recovered: Recovered::default(),
                state: None,
                damaged: Vec::new(),
            },
            (Err(StoreError::Log(WalError::Empty)), Start::Wiped { after }) => {
                Home::create_wiped(disk.clone(), identity, store(), after)?;
                Home::open(disk, identity, store(), load)?
            }
            (opened, _) => opened?,
        };
        let Opened { home, recovered, state, .. } = opened;
        let fault = Arc::new(Fault::default());
        match home.snapshot() {
            _ if state.is_none() => machine.clear(),
            Some(own) if stays::<D, M>(own, resident) => {
                bring(&mut machine, own, resident, &fault).map_err(|error| {
                    // The next start looks at all of it.
                    home.suspect().err().unwrap_or(StoreError::Snapshot(error))
                })?;
            }
            _ => {}
        }
        let trail = Trail { replica: options.replica.id, life: recovered.durable.life };
        let host = Host {
            replica: Replica::new(
                replica::Options { cluster: options.cluster, ..options.replica.clone() },
                recovered.durable.clone(),
            ),
            home,
            executor: Executor::new(machine, options.apply_workers, fault, resident),
            stopwatch: Stopwatch::new(options.stages.clone()),
            options,
            reads: FxHashMap::default(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            parcels: Vec::new(),
            unsynced: false,
            full: false,
            refused: Vec::new(),
            executed: 0,
            wanted: false,
            ticks: 0,
            taken: 0,
            failed: 0,
            installed: 0,
            drafting: false,
            orders: Orders::default(),
            trail,
        };
        host.record_start(&recovered.durable);
        Ok((host, recovered))
    }

    /// How many snapshots were taken, and how many of others installed, in this life.
    pub fn snapshots(&self) -> (u64, u64) {
        (self.taken, self.installed)
    }

    /// What it is, without its state: role, the leader it knows, the done set's offset, whether its
    /// disk is full, whether it is in doubt. Cheap.
    pub(super) fn view(&self) -> (RoleName, Option<ReplicaId>, Lsn, bool, bool) {
        let replica = &self.replica;
        let doubtful = replica.doubt().is_some();
        (replica.role().0, replica.leader(), replica.done().offset(), self.full, doubtful)
    }
}

/// Without room nothing is lost, and nothing has happened.
fn unless_full<T>(result: Result<T, StoreError>) -> Result<Option<T>, NodeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_full() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl<D: Disk<Lock: Send> + Clone + Send + Sync + 'static, M: Stateful> Engine for Host<D, M> {
    type Message = Post;
    type Job = Job<D, M>;
    type Done = Done<M::Frozen>;
    type Status = Status;

    fn handle(&mut self, event: Event<Post, Done<M::Frozen>>) -> Result<(), NodeError> {
        self.trail.event(&event);
        match event {
            Event::Tick => {
                self.ticks += 1;
                if self.ticks.is_multiple_of(STORE_TICKS) {
                    unless_full(self.home.tick(&mut self.parcels))?;
                    // Perhaps there is room now.
                    self.unsynced |= self.full;
                }
                self.replica.handle(Input::Tick);
            }
            Event::Message(Post::Message(envelope)) => {
                self.input(Input::Receive(envelope));
            }
            Event::Message(Post::Parcel(parcel)) => {
                let done = self.replica.done();
                match unless_full(self.home.hear(*parcel, done, &mut self.parcels))? {
                    None | Some(Heard::Nothing) => {}
                    Some(Heard::Arrived(snapshot)) => {
                        self.replica.handle(Input::Install(snapshot));
                    }
                    Some(Heard::Known) => self.wanted = true,
                }
            }
            Event::Write { number, .. } if self.full => self.refused.push(number),
            Event::Write { number, command } => {
                let timed = self.stopwatch.before(number, &self.replica);
                self.replica.handle(Input::Propose { proposal: number, command });
                if let Some(lsn) = timed {
                    self.stopwatch.after(number, lsn, &self.replica);
                }
            }
            Event::Read { number, command, level } => {
                self.reads.insert(number, command.body);
                let (read, footprint) = (number, command.footprint);
                self.replica.handle(Input::Read { read, footprint, level });
            }
            Event::Order { number, order } => self.order(number, order),
            Event::Campaign => self.replica.handle(Input::Campaign),
            Event::Done(done) => self.done(done)?,
        }
        Ok(())
    }

    fn work(&mut self, emit: &mut dyn FnMut(Effect<Post, Job<D, M>>)) -> Result<(), NodeError> {
        let trail = self.trail;
        let emit = &mut |effect| {
            trail.effect(&effect);
            emit(effect);
        };
        loop {
            loop {
                let mut outputs = std::mem::take(&mut self.outputs);
                self.replica.drain(&mut outputs);
                self.record_drain(&outputs);
                let any = !outputs.is_empty();
                for output in outputs.drain(..) {
                    self.carry_out(output, emit)?;
                }
                self.outputs = outputs;
                for input in self.inputs.drain(..) {
                    self.replica.handle(input);
                }
                if !any {
                    break;
                }
            }
            if !std::mem::take(&mut self.unsynced) {
                break;
            }
            match unless_full(self.home.depart())? {
                Some(Departed::Nothing) => break,
                Some(Departed::Flight(flight)) => emit(Effect::Do(Job::Sync(flight))),
                Some(Departed::Durable(number)) => self.durable(number),
                None => {
                    self.full = true;
                    break;
                }
            }
        }
        self.stopwatch.look(&self.replica);
        for (number, result) in self.executor.answers() {
            emit(Effect::Answer { number, result });
        }
        for (number, word) in self.orders.words() {
            emit(word.effect(number));
        }
        for number in self.refused.drain(..) {
            emit(Effect::Refused { number, why: Refusal::DiskFull });
        }
        // Before anything more is executed: the state is what the replica knows of it.
        self.take_snapshot(emit)?;
        for batch in self.executor.depart() {
            emit(Effect::Do(Job::Execute(batch)));
        }
        for parcel in self.parcels.drain(..) {
            let to = parcel.to;
            emit(Effect::Send { to, message: Post::Parcel(Box::new(parcel)) });
        }
        Ok(())
    }

    fn status(&self) -> Option<Status> {
        Some(Status {
            id: self.replica.id(),
            leads: self.replica.leading().is_some(),
            done: self.replica.done().clone(),
            digest: self.executor.at_rest()?.lock().digest(),
            purged: self.replica.purged(),
            taken: self.taken,
            failed: self.failed,
            installed: self.installed,
            full: self.full,
        })
    }

    fn run(job: Job<D, M>) -> Done<M::Frozen> {
        match job {
            Job::Sync(flight) => Done::Landed(flight.fly()),
            Job::Execute(batch) => Done::Executed(batch.run()),
            Job::Snapshot(draft, state, Unread(fault)) => {
                Done::Taken(draft.write_if(M::pairs(&state), || fault.check()), state)
            }
        }
    }

    fn lane(job: &Job<D, M>) -> Lane {
        match job {
            Job::Sync(_) => Lane::Log,
            Job::Execute(batch) => Lane::Apply(batch.worker()),
            Job::Snapshot(..) => Lane::Work,
        }
    }
}

impl<D: Disk + Clone + Send + Sync + 'static, M: Stateful> Host<D, M> {
    fn durable(&mut self, number: u64) {
        self.full = false;
        // There may be more.
        self.unsynced = true;
        self.stopwatch.durable(number);
        self.input(Input::Persisted(number));
    }

    fn done(&mut self, done: Done<M::Frozen>) -> Result<(), NodeError> {
        match done {
            Done::Landed(landed) => match unless_full(self.home.land(landed))? {
                Some(number) => self.durable(number),
                None => self.full = true,
            },
            Done::Executed(executed) => {
                let applied = self.executor.land(executed).map_err(|error| {
                    // The next start looks at all of it.
                    self.home.suspect().map_or_else(NodeError::from, |()| error)
                })?;
                self.executed += applied.len() as u64;
                if !applied.is_empty() {
                    self.replica.handle(Input::AppliedAll(applied.into_iter().collect()));
                }
            }
            Done::Taken(taken, state) => {
                self.drafting = false;
                match self.home.taken(taken) {
                    Ok(below) => {
                        self.taken += u64::from(below.is_some());
                        if let Some(own) = self.home.snapshot().filter(|_| below.is_some()) {
                            self.executor.rest_on(state, own);
                        }
                        self.orders.saved(Ok(()));
                        below.into_iter().for_each(|at| self.input(Input::Purge(at)));
                    }
                    // The log goes on without it, and another one is due in a while.
                    Err(StoreError::Snapshot(error)) => {
                        self.failed += 1;
                        self.orders.saved(Err(error.to_string()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        output: Output,
        emit: &mut dyn FnMut(Effect<Post, Job<D, M>>),
    ) -> Result<(), NodeError> {
        match output {
            Output::Send(envelope) => {
                emit(Effect::Send { to: envelope.to, message: Post::Message(envelope) });
            }
            Output::Persist(write) => {
                let has = |lsn| write.records.iter().any(|record| record.lsn == lsn);
                self.stopwatch.writes(write.number, has);
                self.home.append(&write)?;
                self.unsynced = true;
            }
            Output::Apply(tasks) => {
                for (task, command) in self.replica.commands(&tasks) {
                    self.executor.apply(*task, command.body.clone());
                }
            }
            Output::Settled { proposal } if self.orders.came(proposal, Ok(())) => {}
            Output::Rejected { proposal, reason }
                if self.orders.came(proposal, Err(Some(&reason))) => {}
            Output::Unknown { proposal } if self.orders.came(proposal, Err(None)) => {}
            Output::Settled { proposal } => {
                emit(Effect::Answer { number: proposal, result: Bytes::new() });
            }
            Output::ReadReady { read } => {
                if let Some(body) = self.reads.remove(&read) {
                    self.executor.read(read, body);
                }
            }
            Output::ReadFailed { read, reason } => {
                self.reads.remove(&read);
                let why = match reason {
                    ReadError::NotLeader { hint } => Refusal::NotHere { hint },
                    ReadError::Busy => Refusal::Busy,
                };
                emit(Effect::Refused { number: read, why });
            }
            Output::Rejected { proposal, reason } => {
                emit(Effect::Refused { number: proposal, why: refusal(&reason) });
            }
            Output::Unknown { proposal } => emit(Effect::Lost { number: proposal }),
            Output::Load(positions) => {
                self.inputs.push(Input::Loaded(self.home.load(&positions)?.into()));
            }
            Output::SendSnapshot { to, below } => match self.home.offer(to, below) {
                Some(offer) => self.parcels.push(offer),
                None => self.wanted = true,
            },
            Output::TakeSnapshot { .. } => self.wanted = true,
            Output::Restore(snapshot) => self.restore(&snapshot)?,
            Output::TransferFailed { reason } => self.orders.transferred(Err(reason)),
            Output::Role { role, leader } => {
                let own = leader.node == self.replica.id();
                if role == RoleName::Follower && leader != LeaderId::NOBODY && !own {
                    self.orders.transferred(Ok(()));
                }
            }
        }
        Ok(())
    }
}

fn refusal(reason: &Rejection) -> Refusal {
    match reason {
        Rejection::Busy => Refusal::Busy,
        Rejection::TooLarge { max, .. } => Refusal::TooLarge { max: *max },
        other => Refusal::NotHere { hint: other.hint() },
    }
}
