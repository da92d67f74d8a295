//! Omni-Paxos: the `omnipaxos` crate 0.2.4, for ordered links.
//!
//! It counts what its leader sends: of a message that overtakes another one it believes that the
//! other one is lost, and asks for the whole exchange anew. So it runs on ordered links only. What
//! it is given:
//!
//! - `batch_size` 1, the default: what is handed in at an instant leaves in one message anyway, and
//!   a batch would wait for the next tick.
//! - A round of its heartbeats takes half of the election timeout. A replica that does not hear its
//!   leader in a round says so in the next one, and takes over if nobody does: after an election
//!   timeout without a word at the earliest, as on the other sides.
//! - Priorities: the leader of the spec first, then its successor.
//! - It is told that a connection is there again ([`OmniPaxos::reconnected`]) when a replica that
//!   was silent for an election timeout is heard.
//! - Nothing that it says leaves, and nothing that it has decided is executed, before what it wrote
//!   is durable: a leader counts its own log at once. (Where a write takes time this costs it one
//!   that the other sides have beside the way to the followers. In `traft compare` it takes none.)
//! - It knows no reads. They take a place in the log, and are served once all before is executed.
//! - It says nothing about bytes on a wire: numbers count as 8 bytes, bodies as what they are.

pub(crate) mod log;

use super::raft::Unwatched;
use super::{Effect, Input, Replica};
use crate::base::{Lsn, TailBitmap};
use crate::replica::ReadLevel;
use crate::sim::Spec;
use bytes::Bytes;
use log::{Change, Shared, State};
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::PaxosMsg;
use omnipaxos::storage::{self, NoSnapshot};
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// What a place in the log holds.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The replica that it was handed to, and the number of the operation.
    from: usize,
    op: usize,
    /// `None`: a read, which has its place in the log and changes nothing.
    body: Option<Bytes>,
}

impl storage::Entry for Entry {
    type Snapshot = NoSnapshot;
}

/// A write under way: its number, and what it makes durable.
type Under = (u64, Vec<Change<Entry>>);

/// A replica of the crate and its driver.
pub(crate) struct PaxosReplica {
    id: usize,
    paxos: OmniPaxos<Entry, Shared<Entry>>,
    log: Shared<Entry>,
    /// What a crash leaves, and what is being written.
    durable: State<Entry>,
    under_way: VecDeque<Under>,
    tick: u64,
    election_ticks: u64,
    /// When each replica was heard last.
    heard: Vec<u64>,
    /// Operations taken on here and not decided as far as is known.
    mine: FxHashSet<usize>,
    writes: u64,
    /// What waits for a write: what is said, and how much is decided.
    withheld: VecDeque<(u64, Vec<Message<Entry>>, usize)>,
    /// How much of the log was given out for execution.
    handed: usize,
    /// Given out and not executed, by how much of the log is executed with it; reads behind them.
    executing: VecDeque<(u64, Option<usize>)>,
    executed: u64,
    role: Role,
    effects: Vec<Effect<Message<Entry>>>,
}

/// Who leads, as far as it knows, and in which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    round: u32,
    leader: Option<usize>,
    /// It follows what the leader has in its log, or is the leader and has it.
    settled: bool,
}

impl Replica for PaxosReplica {
    type Message = Message<Entry>;
    type Disk = State<Entry>;
    type Audit = Unwatched;

    fn disks(spec: &Spec) -> Vec<State<Entry>> {
        (0..spec.replicas).map(|_| State::default()).collect()
    }

    fn start(spec: &Spec, id: usize, disk: State<Entry>, _: &mut Unwatched) -> PaxosReplica {
        PaxosReplica::new(spec, id, disk)
    }

    fn crash(self) -> State<Entry> {
        self.durable
    }

    fn workers(_spec: &Spec) -> usize {
        1
    }

    fn done(&self) -> TailBitmap {
        TailBitmap::below(Lsn(self.executed))
    }

    fn handle(&mut self, spec: &Spec, input: Input<Message<Entry>>, _: &mut Unwatched) {
        match input {
            Input::Tick => {
                self.tick += 1;
                self.paxos.tick();
            }
            Input::Receive { message } => self.receive(message),
            Input::Propose { op } => {
                self.take_on(op, Some(spec.load.op(op).command.body.clone()));
            }
            Input::Read { op } if spec.read_level == ReadLevel::Stale => {
                self.effects.push(Effect::ReadReady { op });
            }
            Input::Read { op } => self.take_on(op, None),
            Input::Persisted(number) => {
                while let Some((_, changes)) = self.under_way.pop_front_if(|(n, _)| *n <= number) {
                    changes.into_iter().for_each(|change| self.durable.apply(change));
                }
                while let Some((_, messages, decided)) =
                    self.withheld.pop_front_if(|(n, ..)| *n <= number)
                {
                    self.emit(messages, decided);
                }
            }
            Input::Applied(executed) => {
                self.executed = executed;
                self.executing.pop_front();
                self.serve_reads();
            }
            Input::Campaign => self.paxos.try_become_leader(),
            // No spec with memberships is run.
            Input::Change { .. } => {}
        }
        self.note_role();
    }

    fn drain(&mut self, _: &Spec, effects: &mut Vec<Effect<Message<Entry>>>, _: &mut Unwatched) {
        let mut messages = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        let decided = self.paxos.get_decided_idx();
        let changes = self.log.take();
        if !changes.is_empty() {
            self.writes += 1;
            self.under_way.push_back((self.writes, changes));
            self.effects.push(Effect::Persist(self.writes));
            self.withheld.push_back((self.writes, messages, decided));
        } else if let Some((_, withheld, last)) = self.withheld.back_mut() {
            withheld.extend(messages);
            *last = decided;
        } else {
            self.emit(messages, decided);
        }
        self.note_role();
        effects.append(&mut self.effects);
    }
}

impl PaxosReplica {
    fn new(spec: &Spec, id: usize, disk: State<Entry>) -> PaxosReplica {
        let ticks = |time: crate::sim::Time| time.0.div_ceil(spec.tick.0).max(1);
        let election_ticks = ticks(spec.election_timeout);
        let cluster = ClusterConfig {
            configuration_id: 1,
            nodes: (1..=spec.replicas as u64).collect(),
            flexible_quorum: None,
        };
        let server = ServerConfig {
            pid: id as u64 + 1,
            election_tick_timeout: election_ticks.div_ceil(2),
            resend_message_tick_timeout: ticks(spec.resend),
            buffer_size: 64,
            leader_priority: match Some(id) {
                me if me == spec.leader => 2,
                me if me == spec.successor => 1,
                _ => 0,
            },
            ..ServerConfig::default()
        };
        let log = Shared::new(disk.clone());
        let paxos = cluster.build_for_server(server, log.clone()).expect("two or more replicas");
        PaxosReplica {
            id,
            paxos,
            log,
            durable: disk,
            under_way: VecDeque::new(),
            tick: 0,
            election_ticks,
            heard: vec![0; spec.replicas],
            mine: FxHashSet::default(),
            writes: 0,
            withheld: VecDeque::new(),
            handed: 0,
            executing: VecDeque::new(),
            executed: 0,
            role: Role { round: 0, leader: None, settled: false },
            effects: Vec::new(),
        }
    }

    fn receive(&mut self, message: Message<Entry>) {
        let from = message.get_sender();
        let heard = std::mem::replace(&mut self.heard[from as usize - 1], self.tick);
        if self.tick - heard > self.election_ticks {
            self.paxos.reconnected(from);
        }
        self.paxos.handle_incoming(message);
    }

    fn take_on(&mut self, op: usize, body: Option<Bytes>) {
        let role = self.role();
        let entry = Entry { from: self.id, op, body };
        if role.leader != Some(self.id) || !role.settled || self.paxos.append(entry).is_err() {
            let hint = role.leader.filter(|leader| *leader != self.id);
            self.effects.push(Effect::Refused { op, hint });
        } else {
            self.mine.insert(op);
        }
    }

    /// Says what need not wait any more, and gives out what is decided.
    fn emit(&mut self, messages: Vec<Message<Entry>>, decided: usize) {
        for message in messages {
            let to = message.get_receiver() as usize - 1;
            let (bytes, records) = size(&message);
            self.effects.push(Effect::Send { to, message, bytes, records });
        }
        let entries = self.log.entries(self.handed, decided);
        for Entry { from, op, body } in entries {
            self.handed += 1;
            let op = Some(op).filter(|op| from == self.id && self.mine.remove(op));
            let number = self.handed as u64;
            match body {
                Some(body) => {
                    self.effects.extend(op.map(|op| Effect::Committed { op }));
                    self.executing.push_back((number, None));
                    self.effects.push(Effect::Apply { number, body, op });
                }
                None => self.executing.push_back((number, Some(op.unwrap_or(usize::MAX)))),
            }
        }
        self.serve_reads();
    }

    /// The reads before the next command that is not executed.
    fn serve_reads(&mut self) {
        while let Some((number, Some(op))) = self.executing.front().copied() {
            self.executing.pop_front();
            self.executed = number;
            // Somebody else's reads are served there.
            if op != usize::MAX {
                self.effects.push(Effect::ReadReady { op });
            }
        }
    }

    fn role(&self) -> Role {
        let (leader, settled) = match self.paxos.get_current_leader() {
            Some((pid, settled)) => (Some(pid as usize - 1), settled),
            None => (None, false),
        };
        Role { round: self.paxos.get_promise().n, leader, settled }
    }

    /// Tells of a change of leader.
    fn note_role(&mut self) {
        let now = self.role();
        let before = std::mem::replace(&mut self.role, now);
        if now == before {
            return;
        }
        let leads = now.leader == Some(self.id);
        if leads && now.settled {
            self.effects.push(Effect::Leads { term: u64::from(now.round) });
        } else if leads && (before.leader, before.round) != (now.leader, now.round) {
            self.effects.push(Effect::Campaigns);
        } else if now.leader != before.leader && now.leader.is_some() {
            self.effects.push(Effect::Follows);
        }
    }
}

/// Bytes and records of a message.
fn size(message: &Message<Entry>) -> (u64, u64) {
    const NUMBERS: u64 = 8 * 8;
    let entries: &[Entry] = match message {
        Message::SequencePaxos(paxos) => match &paxos.msg {
            PaxosMsg::AcceptDecide(accept) => &accept.entries,
            PaxosMsg::AcceptSync(sync) => &sync.log_sync.suffix,
            PaxosMsg::Promise(promise) => promise.log_sync.as_ref().map_or(&[], |s| &s.suffix),
            _ => &[],
        },
        Message::BLE(_) => &[],
    };
    let bodies = entries.iter().map(|e| 16 + e.body.as_ref().map_or(0, |b| b.len() as u64));
    (NUMBERS + bodies.sum::<u64>(), entries.len() as u64)
}
