//! Omni-Paxos on the same log: the `omnipaxos` crate, whose entries are records of [`Wal`] and
//! whose promise is one in it, appended and synced in the same pattern. How much is decided is not
//! written, as on the other sides.
//!
//! What the leader sends leaves before its own sync; the crate, however, counts the leader's log at
//! once, so that such a message says that no more is decided than is durable here, and no more is
//! executed. What a follower accepts or promises is said after its sync.

use crate::apply::Machine;
use crate::apply::kv::Kv;
use crate::base::{Command, Footprint, LeaderId, Lsn, Payload, Record, ReplicaId};
use crate::disk::Disk;
use crate::replica::Write;
use crate::runtime::{Effect, Engine, Event, Lane, NodeError, Refusal};
use crate::sim::paxos_log::{Change, Shared, State};
use crate::store::StoreError;
use crate::wal::{Flight, Identity, Landed, Store as _, Wal, WalOptions};
use bytes::Bytes;
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::PaxosMsg;
use omnipaxos::storage::{self, NoSnapshot};
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use std::sync::Arc;

/// A command with the number that its client gave it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    number: u64,
    body: Bytes,
}

impl storage::Entry for Entry {
    type Snapshot = NoSnapshot;
}

type Said = Message<Entry>;

/// A replica of the crate with its log on disk and a key-value machine.
pub(super) struct Paxos<D: Disk> {
    id: u64,
    paxos: OmniPaxos<Entry, Shared<Entry>>,
    log: Shared<Entry>,
    wal: Wal<D>,
    machine: Kv,
    /// How much of the log is executed, durable here, and written.
    executed: usize,
    durable: usize,
    written: usize,
    promise: Ballot,
    refused: Vec<u64>,
    /// What waits for a sync that has not begun, and whether there is something to sync.
    waits: Vec<Said>,
    unsynced: bool,
    /// The same of the one that is under way, and how much is durable after it.
    flying: Option<(Vec<Said>, usize)>,
    /// What need not wait any more.
    landed: Vec<Said>,
    writes: u64,
}

impl<D: Disk + Sync> Paxos<D> {
    /// A new replica, in a directory that has none.
    pub(super) fn open(id: ReplicaId, disk: D, wal: WalOptions) -> Result<Self, NodeError> {
        let identity = Identity { cluster: 1, replica: id };
        let wal = Wal::create(disk, identity, wal).map_err(StoreError::Log)?;
        let cluster =
            ClusterConfig { configuration_id: 1, nodes: vec![1, 2, 3], flexible_quorum: None };
        let server = ServerConfig {
            pid: id.0,
            election_tick_timeout: 75,
            resend_message_tick_timeout: 100,
            buffer_size: 64,
            // Replica 1 is asked to lead, and should go on leading.
            leader_priority: u32::from(id.0 == 1),
            ..ServerConfig::default()
        };
        let log = Shared::new(State::default());
        let paxos = cluster.build_for_server(server, log.clone()).expect("the options are valid");
        Ok(Paxos {
            id: id.0,
            paxos,
            log,
            wal,
            machine: Kv::new(),
            executed: 0,
            durable: 0,
            written: 0,
            promise: Ballot::default(),
            refused: Vec::new(),
            waits: Vec::new(),
            unsynced: false,
            flying: None,
            landed: Vec::new(),
            writes: 0,
        })
    }
}

type Emit<'a, D> = &'a mut dyn FnMut(Effect<Said, Flight<D>>);

impl<D: Disk<Lock: Send> + Sync + Send + 'static> Engine for Paxos<D> {
    type Message = Said;
    type Job = Flight<D>;
    type Done = Landed;
    type Status = u64;

    fn handle(&mut self, event: Event<Said, Landed>) -> Result<(), NodeError> {
        match event {
            Event::Tick => self.paxos.tick(),
            Event::Message(message) => self.paxos.handle_incoming(message),
            Event::Write { number, command } => self.propose(number, command.body),
            // Nothing is read here, and nobody operates it.
            Event::Read { .. } | Event::Order { .. } => {}
            Event::Done(landed) => {
                self.wal.land(landed).map_err(StoreError::Log)?;
                if let Some((messages, durable)) = self.flying.take() {
                    self.durable = durable;
                    self.landed.extend(messages);
                }
            }
            Event::Campaign => self.paxos.try_become_leader(),
        }
        Ok(())
    }

    fn work(&mut self, emit: Emit<'_, D>) -> Result<(), NodeError> {
        std::mem::take(&mut self.landed).into_iter().for_each(|message| send(message, emit));
        self.refuse(emit);
        self.write()?;
        let mut messages = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        for message in messages {
            self.say(message, emit);
        }
        self.apply(emit);
        if self.flying.is_none()
            && self.unsynced
            && let Some(flight) = self.wal.depart().map_err(StoreError::Log)?
        {
            self.unsynced = false;
            self.flying = Some((std::mem::take(&mut self.waits), self.written));
            emit(Effect::Do(flight));
        }
        Ok(())
    }

    fn status(&self) -> Option<u64> {
        Some(self.executed as u64)
    }

    fn run(flight: Flight<D>) -> Landed {
        flight.fly()
    }

    fn lane(_: &Flight<D>) -> Lane {
        Lane::Log
    }
}

fn send<D: Disk>(message: Said, emit: Emit<'_, D>) {
    emit(Effect::Send { to: ReplicaId(message.get_receiver()), message });
}

impl<D: Disk> Paxos<D> {
    fn leads(&self) -> bool {
        self.paxos.get_current_leader() == Some((self.id, true))
    }

    fn propose(&mut self, number: u64, body: Bytes) {
        if !self.leads() || self.paxos.append(Entry { number, body }).is_err() {
            self.refused.push(number);
        }
    }

    fn refuse(&mut self, emit: Emit<'_, D>) {
        let why = Refusal::NotHere { hint: None };
        self.refused.drain(..).for_each(|number| emit(Effect::Refused { number, why }));
    }

    /// Appends what has changed to the log.
    fn write(&mut self) -> Result<(), NodeError> {
        let mut write = Write::default();
        for change in self.log.take() {
            match change {
                Change::Promise(ballot) if ballot != self.promise => {
                    self.promise = ballot;
                    write.voted = Some(LeaderId::new(u64::from(ballot.n), ballot.pid));
                }
                Change::Entries(from, entries) => {
                    let author = LeaderId::new(u64::from(self.promise.n), self.promise.pid);
                    self.written = from + entries.len();
                    self.durable = self.durable.min(from);
                    write.records.extend(entries.into_iter().zip(from as u64 + 1..).map(
                        |(entry, lsn)| {
                            let command =
                                Command { footprint: Footprint::default(), body: entry.body };
                            Arc::new(Record::bare(Lsn(lsn), author, Payload::Command(command)))
                        },
                    ));
                }
                Change::Promise(_) | Change::Accepted(_) | Change::Decided(_) => {}
            }
        }
        if write.voted.is_some() || !write.records.is_empty() {
            self.writes += 1;
            write.number = self.writes;
            self.wal.append(&write).map_err(StoreError::Log)?;
            self.unsynced = true;
        }
        Ok(())
    }

    /// Says something as soon as what it rests on is durable, and nothing before what was to be
    /// said earlier: the crate counts what it sends.
    fn say(&mut self, mut message: Said, emit: Emit<'_, D>) {
        let flying = self.flying.as_ref().is_some_and(|(messages, _)| !messages.is_empty());
        let waits = flying || !self.waits.is_empty();
        let decided = match &mut message {
            Message::SequencePaxos(paxos) => match &mut paxos.msg {
                PaxosMsg::AcceptDecide(accept) if !waits => Some(&mut accept.decided_idx),
                PaxosMsg::Decide(decide) if !waits => Some(&mut decide.decided_idx),
                _ => None,
            },
            Message::BLE(_) => return send(message, emit),
        };
        if let Some(decided) = decided {
            *decided = self.durable.min(*decided);
            send(message, emit);
        } else if self.unsynced {
            self.waits.push(message);
        } else if let Some((messages, _)) = &mut self.flying {
            messages.push(message);
        } else {
            send(message, emit);
        }
    }

    fn apply(&mut self, emit: Emit<'_, D>) {
        let leads = self.leads();
        let decided = self.paxos.get_decided_idx().min(self.durable);
        for entry in self.log.entries(self.executed, decided) {
            self.executed += 1;
            let result = self.machine.apply(&entry.body);
            if leads {
                emit(Effect::Answer { number: entry.number, result });
            }
        }
    }
}
