//! One replica with all that it drives: its directory, its machine. Still no thread and no clock.

use super::engine::{Effect, Engine, Event, NodeError, Refusal};
use crate::apply::Machine;
use crate::apply::kv::{Frozen, Kv};
use crate::base::{KeyRange, Lsn, Membership, ReplicaId, TailBitmap};
use crate::disk::Disk;
use crate::message::Envelope;
use crate::replica::{self, Input, Output, ReadLevel, Replica, SnapshotMeta};
use crate::snapshot::{Parcel, Snapshot, SnapshotError};
use crate::store::{self, Draft, Heard, Home, Opened, StoreError, Taken};
use crate::wal::{Identity, Recovered, WalError};
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// What a user can set.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Of the replica; its id is that of the node.
    pub replica: replica::Options,
    /// Of the directory.
    pub store: store::Options,
    /// The cluster: a number that the user draws once.
    pub cluster: u64,
    /// After so many records executed a snapshot is taken.
    pub snapshot_records: u64,
}

impl NodeOptions {
    /// The defaults for replica `id` in a cluster of `members`.
    pub fn new(id: ReplicaId, members: Membership) -> NodeOptions {
        NodeOptions {
            replica: replica::Options::new(id, members.clone()),
            store: store::Options::new(members),
            cluster: 1,
            snapshot_records: 100_000,
        }
    }
}

/// What replicas send each other, snapshots included.
#[derive(Clone, Debug)]
pub enum Post {
    /// Of the algorithm.
    Message(Box<Envelope>),
    /// Of a transfer.
    Parcel(Box<Parcel>),
}

/// A snapshot to be written: on another thread, while the node goes on.
#[derive(Debug)]
pub struct SnapshotWork<D: Disk> {
    draft: Draft<D>,
    state: Frozen,
}

/// What a node is, for those who watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which replica.
    pub id: ReplicaId,
    /// Whether it leads.
    pub leads: bool,
    /// What is done.
    pub done: TailBitmap,
    /// Of the state.
    pub digest: u64,
    /// How many keys the state has.
    pub keys: usize,
    /// Below it the records are dropped.
    pub purged: Lsn,
    /// How many snapshots were taken in this life.
    pub taken: u64,
    /// How many could not be written. The next one is tried as if it had been.
    pub failed: u64,
    /// How many of others took the place of the own state in this life.
    pub installed: u64,
    /// Whether writes are refused because the disk is full.
    pub full: bool,
}

/// A replica, its directory and a key-value machine.
///
/// Everything that has come is handled first, then [`work`](Engine::work) carries out what that led
/// to: so messages and writes of one moment go together. What is to be sent leaves before the disk
/// is synced, and what rests on the sync after it.
pub struct Node<D: Disk> {
    replica: Replica,
    home: Home<D>,
    machine: Kv,
    options: NodeOptions,
    /// Bodies of the reads that wait.
    reads: FxHashMap<u64, Bytes>,
    outputs: Vec<Output>,
    inputs: Vec<Input>,
    parcels: Vec<Parcel>,
    /// Something was taken that is not known durable.
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
}

/// So many ticks of a replica are one of its store.
const STORE_TICKS: u64 = 20;

impl<D: Disk + Clone + Sync> Node<D> {
    /// Opens the directory, or begins it, and starts a replica from what is there.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn open(disk: D, options: NodeOptions) -> Result<(Node<D>, Recovered), NodeError> {
        let identity = Identity { cluster: options.cluster, replica: options.replica.id };
        let store = || options.store.clone();
        let opened = match Home::open(disk.clone(), identity, store(), kv) {
            Err(StoreError::Log(WalError::Empty)) => Opened {
                home: Home::create(disk, identity, store())?,
                recovered: Recovered::default(),
                state: None,
                damaged: Vec::new(),
            },
            opened => opened?,
        };
        let Opened { home, recovered, state, .. } = opened;
        let node = Node {
            replica: Replica::new(options.replica.clone(), recovered.durable.clone()),
            home,
            machine: state.unwrap_or_default(),
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
        };
        Ok((node, recovered))
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

fn kv<D: Disk>(snapshot: &Snapshot<D>) -> Result<Kv, SnapshotError> {
    snapshot.range(&KeyRange::ALL).collect()
}

impl<D: Disk + Clone + Send + Sync + 'static> Engine for Node<D>
where
    D::Lock: Send,
{
    type Message = Post;
    type Job = SnapshotWork<D>;
    type Done = Taken;
    type Status = Status;

    fn handle(&mut self, event: Event<Post, Taken>) -> Result<(), NodeError> {
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
                self.replica.handle(Input::Receive(envelope));
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
                self.replica.handle(Input::Propose { proposal: number, command });
            }
            Event::Read { number, command } => {
                self.reads.insert(number, command.body);
                let (read, footprint) = (number, command.footprint);
                let level = ReadLevel::Confirmed;
                self.replica.handle(Input::Read { read, footprint, level });
            }
            Event::Campaign => self.replica.handle(Input::Campaign),
            Event::Done(taken) => match self.home.taken(taken) {
                Ok(Some(below)) => {
                    self.taken += 1;
                    self.replica.handle(Input::Purge(below));
                }
                Ok(None) => {}
                // The log goes on without it, and another one is due in a while.
                Err(StoreError::Snapshot(_)) => self.failed += 1,
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }

    fn work(
        &mut self,
        emit: &mut dyn FnMut(Effect<Post, SnapshotWork<D>>),
    ) -> Result<(), NodeError> {
        loop {
            loop {
                let mut outputs = std::mem::take(&mut self.outputs);
                self.replica.drain(&mut outputs);
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
            let synced = unless_full(self.home.sync())?;
            self.full = synced.is_none();
            let Some(number) = synced else { break };
            self.replica.handle(Input::Persisted(number));
        }
        for number in self.refused.drain(..) {
            emit(Effect::Refused { number, why: Refusal::DiskFull });
        }
        self.take_snapshot(emit)?;
        for parcel in self.parcels.drain(..) {
            let to = parcel.to;
            emit(Effect::Send { to, message: Post::Parcel(Box::new(parcel)) });
        }
        Ok(())
    }

    fn status(&self) -> Status {
        Status {
            id: self.replica.id(),
            leads: self.replica.leading().is_some(),
            done: self.replica.done().clone(),
            digest: self.machine.digest(),
            keys: self.machine.len(),
            purged: self.replica.purged(),
            taken: self.taken,
            failed: self.failed,
            installed: self.installed,
            full: self.full,
        }
    }

    fn run(job: SnapshotWork<D>) -> Taken {
        job.draft.write(job.state.pairs())
    }
}

impl<D: Disk + Clone> Node<D> {
    fn carry_out(
        &mut self,
        output: Output,
        emit: &mut dyn FnMut(Effect<Post, SnapshotWork<D>>),
    ) -> Result<(), NodeError> {
        match output {
            Output::Send(envelope) => {
                emit(Effect::Send { to: envelope.to, message: Post::Message(envelope) });
            }
            Output::Persist(write) => {
                self.home.append(&write)?;
                self.unsynced = true;
            }
            Output::Apply(tasks) => {
                for task in &tasks {
                    let command = self.replica.command(task.lsn);
                    let result = command.map(|command| self.machine.apply(&command.body));
                    if let Some((number, result)) = task.proposal.zip(result) {
                        emit(Effect::Answer { number, result });
                    }
                }
                self.executed += tasks.len() as u64;
                let executed = tasks.iter().map(|task| task.lsn).collect();
                self.inputs.push(Input::AppliedAll(executed));
            }
            Output::Settled { proposal } => {
                emit(Effect::Answer { number: proposal, result: Bytes::new() });
            }
            Output::ReadReady { read } => {
                if let Some(body) = self.reads.remove(&read) {
                    emit(Effect::Answer { number: read, result: self.machine.read(&body) });
                }
            }
            Output::ReadFailed { read, .. } => {
                self.reads.remove(&read);
                emit(Effect::Refused { number: read, why: Refusal::NotHere });
            }
            Output::Rejected { proposal, .. } => {
                emit(Effect::Refused { number: proposal, why: Refusal::NotHere });
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
            Output::Role { .. } | Output::TransferFailed { .. } => {}
        }
        Ok(())
    }

    fn restore(&mut self, meta: &SnapshotMeta) -> Result<(), NodeError> {
        let below = meta.done.offset();
        let snapshot = self.home.state(&meta.done).ok_or(StoreError::Absent { below })?;
        self.machine = kv(snapshot).map_err(StoreError::Snapshot)?;
        self.executed = 0;
        self.installed += 1;
        Ok(())
    }

    /// If one is due, holds the state fast and gives it out to be written.
    fn take_snapshot(
        &mut self,
        emit: &mut dyn FnMut(Effect<Post, SnapshotWork<D>>),
    ) -> Result<(), NodeError> {
        if !self.wanted && self.executed < self.options.snapshot_records {
            return Ok(());
        }
        let Some(state) = self.machine.freeze() else { return Ok(()) };
        match self.home.take(&self.replica.snapshot_meta()) {
            Ok(Some(draft)) => {
                (self.executed, self.wanted) = (0, false);
                emit(Effect::Do(SnapshotWork { draft, state }));
            }
            // What it would save is saved.
            Ok(None) => (self.executed, self.wanted) = (0, false),
            // A while later again.
            Err(StoreError::Snapshot(_)) => {
                (self.executed, self.wanted) = (0, false);
                self.failed += 1;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
