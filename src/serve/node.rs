//! One replica of the store with its directory, as something that a thread drives.

use super::replica::{Freshness, Outcome, Reason, Standing};
use crate::apply::Machine;
use crate::apply::redis::{Frozen, Malformed, Store};
use crate::base::{Command, KeyRange, ReplicaId};
use crate::disk::Disk;
use crate::replica::{Input, Output, ReadLevel, Replica, RoleName, SnapshotMeta};
use crate::runtime::{NodeError, NodeOptions, Post};
use crate::snapshot::{Parcel, Snapshot, SnapshotError};
use crate::store::{Draft, Heard, Home, Opened, StoreError, Taken};
use crate::wal::{Identity, Recovered, WalError};
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// What happens to a replica.
#[derive(Debug)]
pub(super) enum Event {
    Tick,
    Post(Post),
    Write { number: u64, command: Command },
    Read { number: u64, command: Command, freshness: Freshness },
    Taken(Taken),
}

/// Where what a replica does goes.
pub(super) trait Surface<D: Disk> {
    fn send(&mut self, to: ReplicaId, post: Post);
    fn outcome(&mut self, number: u64, outcome: Outcome);
    fn snapshot(&mut self, work: SnapshotWork<D>);
}

/// A snapshot to be written, on another thread.
#[derive(Debug)]
pub(super) struct SnapshotWork<D: Disk> {
    draft: Draft<D>,
    state: Frozen,
}

impl<D: Disk> SnapshotWork<D> {
    pub(super) fn write(self) -> Taken {
        self.draft.write(self.state.pairs())
    }
}

/// A replica, its directory and the store. What has come is handled first, then
/// [`work`](Self::work) carries out what that led to; what is to be sent leaves before the disk is
/// synced, and what rests on the sync after it.
pub(super) struct Node<D: Disk> {
    replica: Replica,
    home: Home<D>,
    machine: Store,
    snapshot_records: u64,
    /// Bodies of the reads that wait.
    reads: FxHashMap<u64, Bytes>,
    standing: Standing,
    outputs: Vec<Output>,
    inputs: Vec<Input>,
    parcels: Vec<Parcel>,
    unsynced: bool,
    full: bool,
    refused: Vec<u64>,
    executed: u64,
    wanted: bool,
    ticks: u64,
}

/// So many ticks of a replica are one of its files.
const STORE_TICKS: u64 = 20;

impl<D: Disk + Clone + Sync> Node<D> {
    /// Opens the directory, or begins it.
    pub(super) fn open(disk: D, options: NodeOptions) -> Result<(Node<D>, Recovered), NodeError> {
        let identity = Identity { cluster: options.cluster, replica: options.replica.id };
        let files = || options.store.clone();
        let opened = match Home::open(disk.clone(), identity, files(), load) {
            Err(StoreError::Log(WalError::Empty)) => Opened {
                home: Home::create(disk, identity, files())?,
                recovered: Recovered::default(),
                state: None,
                damaged: Vec::new(),
            },
            opened => opened?,
        };
        let Opened { home, recovered, state, .. } = opened;
        let node = Node {
            replica: Replica::new(options.replica, recovered.durable.clone()),
            home,
            machine: state.unwrap_or_default(),
            snapshot_records: options.snapshot_records,
            reads: FxHashMap::default(),
            standing: Standing::default(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            parcels: Vec::new(),
            unsynced: false,
            full: false,
            refused: Vec::new(),
            executed: 0,
            wanted: false,
            ticks: 0,
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

/// Why a snapshot is not the state of a store.
enum Unusable {
    Snapshot(SnapshotError),
    Malformed,
}

impl From<SnapshotError> for Unusable {
    fn from(error: SnapshotError) -> Unusable {
        Unusable::Snapshot(error)
    }
}

impl From<Malformed> for Unusable {
    fn from(_: Malformed) -> Unusable {
        Unusable::Malformed
    }
}

fn load<D: Disk>(snapshot: &Snapshot<D>) -> Result<Store, SnapshotError> {
    let pairs = snapshot.range(&KeyRange::ALL).map(|pair| pair.map_err(Unusable::from));
    Store::from_pairs(pairs).map_err(|error| match error {
        Unusable::Snapshot(error) => error,
        // Whole, and of another machine.
        Unusable::Malformed => SnapshotError::NotSnapshot,
    })
}

impl<D: Disk + Clone> Node<D> {
    /// Something happened.
    pub(super) fn handle(&mut self, event: Event) -> Result<(), NodeError> {
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
            Event::Post(Post::Message(envelope)) => self.replica.handle(Input::Receive(envelope)),
            Event::Post(Post::Parcel(parcel)) => {
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
            Event::Read { number, command, freshness } => {
                self.reads.insert(number, command.body);
                let level = match freshness {
                    Freshness::Linearizable => ReadLevel::Here,
                    Freshness::Stale => ReadLevel::Stale,
                };
                let (read, footprint) = (number, command.footprint);
                self.replica.handle(Input::Read { read, footprint, level });
            }
            Event::Taken(taken) => match self.home.taken(taken) {
                Ok(Some(below)) => self.replica.handle(Input::Purge(below)),
                // The log goes on without it, and another one is due in a while.
                Ok(None) | Err(StoreError::Snapshot(_)) => {}
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }

    /// Carries out what that led to, disk included.
    pub(super) fn work(&mut self, surface: &mut dyn Surface<D>) -> Result<(), NodeError> {
        loop {
            loop {
                let mut outputs = std::mem::take(&mut self.outputs);
                self.replica.drain(&mut outputs);
                let any = !outputs.is_empty();
                for output in outputs.drain(..) {
                    self.carry_out(output, surface)?;
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
            surface.outcome(number, Outcome::Refused(Reason::DiskFull));
        }
        self.take_snapshot(surface)?;
        for parcel in self.parcels.drain(..) {
            surface.send(parcel.to, Post::Parcel(Box::new(parcel)));
        }
        Ok(())
    }

    /// What it is now.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    fn carry_out(&mut self, output: Output, surface: &mut dyn Surface<D>) -> Result<(), NodeError> {
        match output {
            Output::Send(envelope) => surface.send(envelope.to, Post::Message(envelope)),
            Output::Persist(write) => {
                self.home.append(&write)?;
                self.unsynced = true;
            }
            Output::Apply(tasks) => {
                for task in &tasks {
                    let command = self.replica.command(task.lsn);
                    let result = command.map(|command| self.machine.apply(&command.body));
                    if let Some((number, result)) = task.proposal.zip(result) {
                        surface.outcome(number, Outcome::Answer(result));
                    }
                }
                self.executed += tasks.len() as u64;
                let executed = tasks.iter().map(|task| task.lsn).collect();
                self.inputs.push(Input::AppliedAll(executed));
            }
            Output::Settled { proposal } => {
                surface.outcome(proposal, Outcome::Answer(Bytes::new()));
            }
            Output::ReadReady { read } => {
                if let Some(body) = self.reads.remove(&read) {
                    surface.outcome(read, Outcome::Answer(self.machine.read(&body)));
                }
            }
            Output::ReadFailed { read, .. } => {
                self.reads.remove(&read);
                surface.outcome(read, Outcome::Refused(Reason::NotNow));
            }
            Output::Rejected { proposal, .. } => {
                surface.outcome(proposal, Outcome::Refused(Reason::NotNow));
            }
            Output::Unknown { proposal } => surface.outcome(proposal, Outcome::Lost),
            Output::Load(positions) => {
                self.inputs.push(Input::Loaded(self.home.load(&positions)?.into()));
            }
            Output::SendSnapshot { to, below } => match self.home.offer(to, below) {
                Some(offer) => self.parcels.push(offer),
                None => self.wanted = true,
            },
            Output::TakeSnapshot { .. } => self.wanted = true,
            Output::Restore(snapshot) => self.restore(&snapshot)?,
            Output::Role { role, leader } => {
                self.standing.leads = role == RoleName::Leader;
                self.standing.leader = Some(leader.node.0);
            }
            Output::TransferFailed { .. } => {}
        }
        Ok(())
    }

    fn restore(&mut self, meta: &SnapshotMeta) -> Result<(), NodeError> {
        let below = meta.done.offset();
        let snapshot = self.home.state(&meta.done).ok_or(StoreError::Absent { below })?;
        self.machine = load(snapshot).map_err(StoreError::Snapshot)?;
        self.executed = 0;
        Ok(())
    }

    /// If one is due, holds the state fast and gives it out to be written.
    fn take_snapshot(&mut self, surface: &mut dyn Surface<D>) -> Result<(), NodeError> {
        if !self.wanted && self.executed < self.snapshot_records {
            return Ok(());
        }
        let Some(state) = self.machine.freeze() else { return Ok(()) };
        let draft = match self.home.take(&self.replica.snapshot_meta()) {
            // A while later again.
            Err(StoreError::Snapshot(_)) => None,
            taken => taken?,
        };
        (self.executed, self.wanted) = (0, false);
        if let Some(draft) = draft {
            surface.snapshot(SnapshotWork { draft, state });
        }
        Ok(())
    }
}
