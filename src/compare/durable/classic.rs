//! Classic Raft on the same log: the `raft` crate, whose entries are records of [`Wal`] and whose
//! vote is a promise in it, appended and synced in the same pattern.
//!
//! An entry carries the body of a command without its footprint, which it has no use for. What the
//! leader sends leaves before its own sync; what a follower promises waits for its sync.

use crate::apply::Machine;
use crate::apply::kv::Kv;
use crate::base::{Command, Footprint, LeaderId, Lsn, Payload, Record, ReplicaId};
use crate::disk::Disk;
use crate::replica::Write;
use crate::runtime::{Effect, Engine, Event, Lane, NodeError, Refusal};
use crate::store::StoreError;
use crate::wal::{Flight, Identity, Landed, Store as _, Wal, WalOptions};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Message, MessageType, Snapshot};
use raft::{
    Config, Error, GetEntriesContext, RaftState, RawNode, Ready, StateRole, Storage, StorageError,
};
use std::sync::Arc;

/// What the crate reads back: all entries, in memory.
#[derive(Default)]
struct Log {
    /// Index 1 and on.
    entries: Vec<Entry>,
    hard_state: HardState,
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let mut voters = ConfState::default();
        voters.set_voters(vec![1, 2, 3]);
        Ok(RaftState::new(self.hard_state.clone(), voters))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let mut room = max_size.into().unwrap_or(u64::MAX);
        let range = low as usize - 1..high as usize - 1;
        let entries = self.entries.get(range).ok_or(Error::Store(StorageError::Unavailable))?;
        let mut taken = Vec::new();
        for entry in entries {
            let size = u64::from(protobuf::Message::compute_size(entry));
            if size > room && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let Some(at) = index.checked_sub(1) else { return Ok(0) };
        let entry = self.entries.get(at as usize);
        entry.map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.entries.len() as u64)
    }

    fn snapshot(&self, _index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

/// A replica of the crate with its log on disk and a key-value machine.
pub(super) struct Classic<D: Disk> {
    id: u64,
    node: RawNode<Log>,
    wal: Wal<D>,
    machine: Kv,
    proposals: Vec<Entry>,
    /// The newest ready whose entries are in the log and not synced, and what waits for it.
    unsynced: Option<u64>,
    promises: Vec<Message>,
    /// The same of those that are under way to the disk.
    flying: Option<(u64, Vec<Message>)>,
    /// What need not wait any more.
    landed: Vec<Message>,
    writes: u64,
}

impl<D: Disk + Sync> Classic<D> {
    /// A new replica, in a directory that has none.
    pub(super) fn open(id: ReplicaId, disk: D, wal: WalOptions) -> Result<Self, NodeError> {
        let identity = Identity { cluster: 1, replica: id };
        let wal = Wal::create(disk, identity, wal).map_err(StoreError::Log)?;
        let config = Config {
            id: id.0,
            election_tick: 150,
            heartbeat_tick: 20,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 4096,
            max_committed_size_per_ready: u64::MAX,
            skip_bcast_commit: true,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, Log::default(), &logger).expect("the options are valid");
        Ok(Classic {
            id: id.0,
            node,
            wal,
            machine: Kv::new(),
            proposals: Vec::new(),
            unsynced: None,
            promises: Vec::new(),
            flying: None,
            landed: Vec::new(),
            writes: 0,
        })
    }
}

type Emit<'a, D> = &'a mut dyn FnMut(Effect<Message, Flight<D>>);

impl<D: Disk<Lock: Send> + Sync + Send + 'static> Engine for Classic<D> {
    type Message = Message;
    type Job = Flight<D>;
    type Done = Landed;
    type Status = u64;

    fn handle(&mut self, event: Event<Message, Landed>) -> Result<(), NodeError> {
        match event {
            Event::Tick => {
                self.node.tick();
            }
            // It refuses what is stale, and a refusal has no consequence here.
            Event::Message(message) => drop(self.node.step(message)),
            Event::Write { number, command } => self.proposals.push(Entry {
                data: command.body,
                context: Bytes::copy_from_slice(&number.to_be_bytes()),
                ..Entry::default()
            }),
            // Nothing is read here, and nobody operates it.
            Event::Read { .. } | Event::Order { .. } => {}
            Event::Done(landed) => {
                self.wal.land(landed).map_err(StoreError::Log)?;
                if let Some((number, promises)) = self.flying.take() {
                    self.node.on_persist_ready(number);
                    self.landed.extend(promises);
                }
            }
            Event::Campaign => drop(self.node.campaign()),
        }
        Ok(())
    }

    fn work(&mut self, emit: Emit<'_, D>) -> Result<(), NodeError> {
        std::mem::take(&mut self.landed).into_iter().for_each(|message| send(message, emit));
        self.propose(emit);
        while self.node.has_ready() {
            let ready = self.node.ready();
            self.carry_out(ready, emit)?;
        }
        if self.flying.is_none()
            && let Some(number) = self.unsynced.take()
            && let Some(flight) = self.wal.depart().map_err(StoreError::Log)?
        {
            self.flying = Some((number, std::mem::take(&mut self.promises)));
            emit(Effect::Do(flight));
        }
        Ok(())
    }

    fn status(&self) -> Option<u64> {
        Some(self.node.raft.raft_log.applied)
    }

    fn run(flight: Flight<D>) -> Landed {
        flight.fly()
    }

    fn lane(_: &Flight<D>) -> Lane {
        Lane::Log
    }
}

fn send<D: Disk>(message: Message, emit: Emit<'_, D>) {
    emit(Effect::Send { to: ReplicaId(message.to), message });
}

fn number(entry: &Entry) -> Option<u64> {
    (&entry.context[..]).try_into().ok().map(u64::from_be_bytes)
}

impl<D: Disk> Classic<D> {
    /// Proposes all that has come, in one message.
    fn propose(&mut self, emit: Emit<'_, D>) {
        if self.proposals.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.proposals);
        let numbers: Vec<u64> = entries.iter().filter_map(number).collect();
        let mut message = Message { from: self.id, ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(entries.into());
        let leads = self.node.raft.state == StateRole::Leader;
        if !leads || self.node.raft.step(message).is_err() {
            let why = Refusal::NotHere { hint: None };
            numbers.into_iter().for_each(|number| emit(Effect::Refused { number, why }));
        }
    }

    fn carry_out(&mut self, mut ready: Ready, emit: Emit<'_, D>) -> Result<(), NodeError> {
        let number = ready.number();
        ready.take_messages().into_iter().for_each(|message| send(message, emit));
        let must_sync = ready.must_sync();
        if must_sync {
            let write = self.write(&ready);
            self.wal.append(&write).map_err(StoreError::Log)?;
        }
        let log = self.node.mut_store();
        if let Some(first) = ready.entries().first() {
            log.entries.truncate(first.index as usize - 1);
            log.entries.extend_from_slice(ready.entries());
        }
        if let Some(hard_state) = ready.hs() {
            log.hard_state = hard_state.clone();
        }
        let promises = ready.take_persisted_messages();
        let committed = ready.take_committed_entries();
        self.node.advance_append_async(ready);
        if must_sync || self.unsynced.is_some() || self.flying.is_some() {
            self.unsynced = Some(number);
            self.promises.extend(promises);
        } else {
            self.node.on_persist_ready(number);
            promises.into_iter().for_each(|message| send(message, emit));
        }
        self.apply(committed, emit);
        Ok(())
    }

    /// The step of the log that makes a ready durable.
    fn write(&mut self, ready: &Ready) -> Write {
        self.writes += 1;
        let record = |entry: &Entry| {
            let command = Command { footprint: Footprint::default(), body: entry.data.clone() };
            let author = LeaderId::new(entry.term, 1);
            Arc::new(Record::bare(Lsn(entry.index), author, Payload::Command(command)))
        };
        Write {
            number: self.writes,
            voted: ready.hs().map(|state| LeaderId::new(state.term, state.vote)),
            records: ready.entries().iter().map(record).collect(),
            ..Write::default()
        }
    }

    fn apply(&mut self, committed: Vec<Entry>, emit: Emit<'_, D>) {
        let Some(last) = committed.last().map(|entry| entry.index) else { return };
        let leads = self.node.raft.state == StateRole::Leader;
        for entry in committed.iter().filter(|entry| !entry.data.is_empty()) {
            let result = self.machine.apply(&entry.data);
            if let Some(number) = number(entry).filter(|_| leads) {
                emit(Effect::Answer { number, result });
            }
        }
        self.node.advance_apply_to(last);
    }
}
