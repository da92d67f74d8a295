//! Classic Raft: the `raft` crate 0.7, at the best settings that were found for it.
//!
//! On the calibration network (three replicas, 10 ms one way, 1,000 commands/s for 60 s, resend
//! after 30 ms, a clock of 1 ms), p50/p99/p99.9 in ms and what is sent per command:
//!
//! | settings | 1 % loss | 1 % loss, 0-5 ms jitter | records sent |
//! | --- | --- | --- | --- |
//! | **these** | 20/32/38 | 27.2/43.4/47.2 | 3.3, 11 |
//! | heartbeat every tick | 20/33/38 | 25.5/43.2/48.1 | 12, 39 |
//! | heartbeat every resend timeout | 20/34/38 | 27.5/43.9/47.6 | 2.7, 8.6 |
//! | `max_size_per_msg` 0, the default | 20/48/58 | 30.8/57/74 | 2.4, 3.7 |
//! | `skip_bcast_commit` off | 20/32/38 | 27.1/42.7/46.8 | 3.2, 11; twice the messages |
//! | followers hold early appends back for 5 ms | 20/36/42 | 24.9/45.4/51.6 | 2.8, 3.3 |
//! | followers hold them until the resend timeout | 20/55/66 | 25.4/68/77 | 3.1, 3.9 |
//! | `Config::default()`, nothing resent | 20/59/81 | | |
//!
//! So: large messages and a deep pipeline; a heartbeat three times per resend timeout, whose
//! answers make the leader look whether a follower lags; what is rejected is rejected at once,
//! since a rejection is the fastest news of a loss; a follower that has not acknowledged anything
//! for the resend timeout is reported unreachable, which probes it again. Proposals of an instant
//! go in one message, reads of an instant in one `ReadIndex` (`Safe`).
//!
//! - `batch_append` stays off although it would save messages: in 0.7 it adds entries to a queued
//!   message without entries whatever index that one follows, and a follower that takes such a
//!   message acknowledges entries that it does not hold. It was met on ordered links within 3 s.
//! - Rewinding a follower's `Progress` on a rejection instead of letting the crate probe gives
//!   20/29/37 and 25/35/41 for 13 and 36 records sent per command. That is another replication
//!   algorithm than the crate's, so it is not used.
//! - A prefix is applied in order, so commands are executed one at a time, in log order: a slow
//!   one holds up all that follow. Reads are executed beside them, by all other workers: a read
//!   that may be served waits for no command behind its index.

mod change;
mod egress;
mod execute;
mod log;
mod reads;
mod settings;

use super::{Audit, Effect, Input, Replica};
use crate::base::{Lsn, TailBitmap};
use crate::replica::ReadLevel;
use crate::sim::{Side, Spec};
use bytes::Bytes;
use egress::Egress;
use execute::Executor;
use log::Log;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType, Message, MessageType};
use raft::{RawNode, Ready, StateRole};
use reads::Reads;
use rustc_hash::FxHashSet;
use settings::{config, election_ticks};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// After how many resend timeouts without a word a follower is left to the heartbeats.
const SILENT_AFTER: u64 = 4;

/// A replica of the crate and its driver.
pub(crate) struct RaftReplica {
    id: u64,
    node: RawNode<Log>,
    tick: u64,
    resend_ticks: u64,
    /// Operations handed in at this instant.
    proposals: Vec<usize>,
    /// Operations proposed here and not committed as far as is known.
    mine: FxHashSet<usize>,
    reads: Reads,
    /// Committed entries in order, given out for execution if they need any.
    handed: VecDeque<(u64, Handed)>,
    applied: u64,
    /// Executed out of order, in `raft-parallel`: indexes above `applied`.
    ahead: BTreeSet<u64>,
    /// In `raft-parallel`.
    executor: Option<Executor>,
    /// Messages that wait for writes up to one.
    withheld: VecDeque<(u64, Vec<Message>)>,
    /// Per follower: the last index it has acknowledged, and since when.
    progress: BTreeMap<u64, (u64, u64)>,
    /// Per replica: when it was heard last, in ticks.
    heard: BTreeMap<u64, u64>,
    egress: Egress,
    /// A change of membership that was asked for.
    change: Option<change::Change>,
    /// How many messages go to a voter at once, if that is bounded by the spec.
    window: Option<usize>,
    role: (StateRole, u64, u64),
    effects: Vec<Effect<Message>>,
}

/// What a committed entry needs.
#[derive(Debug)]
enum Handed {
    /// It is executed; so many bytes of it go into the state.
    Command(u64),
    /// It changes the configuration.
    Change(ConfChangeV2),
    Nothing,
}

/// The crate is somebody else's: its latency is measured, its invariants are not checked.
#[derive(Default)]
pub(crate) struct Unwatched {
    none: Vec<String>,
}

impl Audit for Unwatched {
    fn new(_spec: &Spec) -> Unwatched {
        Unwatched::default()
    }

    fn violations(&mut self) -> &mut Vec<String> {
        &mut self.none
    }
}

impl Replica for RaftReplica {
    type Message = Message;
    type Disk = Log;
    type Audit = Unwatched;

    fn disks(spec: &Spec) -> Vec<Log> {
        (0..spec.replicas).map(|id| Log::new(spec, id)).collect()
    }

    fn start(spec: &Spec, id: usize, disk: Log, _audit: &mut Unwatched) -> RaftReplica {
        RaftReplica::new(spec, id, disk)
    }

    fn crash(self) -> Log {
        self.node.store().clone().crash()
    }

    fn workers(spec: &Spec) -> usize {
        if is_parallel(spec) { spec.workers } else { 1 }
    }

    /// A read that waits for nothing any more need not wait for what is committed after it.
    fn readers(spec: &Spec) -> Option<usize> {
        (!is_parallel(spec)).then(|| spec.workers.saturating_sub(1).max(1))
    }

    fn done(&self) -> TailBitmap {
        let mut done = TailBitmap::below(Lsn(self.applied));
        self.ahead.iter().for_each(|index| _ = done.insert(Lsn(*index)));
        done
    }

    fn handle(&mut self, spec: &Spec, input: Input<Message>, _audit: &mut Unwatched) {
        match input {
            Input::Tick => self.on_tick(),
            Input::Receive { message } => self.receive(message),
            Input::Propose { op } => self.proposals.push(op),
            Input::Read { op } if spec.read_level == ReadLevel::Stale => {
                self.effects.push(Effect::ReadReady { op });
            }
            Input::Read { op } => {
                if let Some(executor) = &mut self.executor {
                    executor.look(op, spec.load.op(op).command.footprint.clone());
                }
                self.reads.new.push(op);
            }
            Input::Persisted(number) => self.persisted(number),
            Input::Applied(index) => self.on_applied(index),
            Input::Campaign => {
                let _ = self.node.campaign();
            }
            Input::Change { to } => self.change = Some(change::Change::new(spec, to)),
        }
        self.note_role(spec);
    }

    fn drain(&mut self, spec: &Spec, effects: &mut Vec<Effect<Message>>, _audit: &mut Unwatched) {
        self.propose(spec);
        self.drive_change();
        self.ask_reads(spec.read_level == ReadLevel::Here);
        while self.node.has_ready() {
            let ready = self.node.ready();
            self.carry_out(spec, ready);
        }
        self.note_role(spec);
        effects.append(&mut self.effects);
    }
}

impl RaftReplica {
    fn new(spec: &Spec, id: usize, disk: Log) -> RaftReplica {
        let resend_ticks = spec.resend.0.div_ceil(spec.tick.0).max(1);
        let config = config(spec, id, resend_ticks, disk.preloaded());
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let applied = disk.preloaded();
        let node = RawNode::new(&config, disk, &logger).expect("the options are valid");
        RaftReplica {
            id: config.id,
            node,
            tick: 0,
            resend_ticks,
            proposals: Vec::new(),
            mine: FxHashSet::default(),
            reads: Reads::default(),
            handed: VecDeque::new(),
            applied,
            ahead: BTreeSet::new(),
            executor: is_parallel(spec).then(Executor::default),
            withheld: VecDeque::new(),
            progress: BTreeMap::new(),
            heard: BTreeMap::new(),
            egress: Egress::new(spec),
            change: None,
            window: spec.in_flight_bytes.map(|_| config.max_inflight_msgs),
            role: (StateRole::Follower, 0, 0),
            effects: Vec::new(),
        }
    }

    fn on_tick(&mut self) {
        self.tick += 1;
        self.node.tick();
        self.resend();
    }

    fn receive(&mut self, message: Message) {
        self.heard.insert(message.from, self.tick);
        // It refuses what is stale, and a refusal has no consequence here.
        let _ = self.node.step(message);
    }

    /// Probes a follower again that has not answered for the resend timeout: with everything after
    /// the last entry that it acknowledged. One that was silent for several timeouts is left to the
    /// heartbeats: the crate goes on as soon as it answers one, and a dead one is not sent the log
    /// again and again. What has not left this replica yet is not late.
    fn resend(&mut self) {
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader {
            return;
        }
        let leaving = self.egress.is_busy(self.tick);
        for (id, pr) in raft.prs().iter().filter(|(id, _)| **id != self.id) {
            let idle = pr.next_idx == pr.matched + 1 && !pr.paused;
            let entry = self.progress.entry(*id).or_insert((pr.matched, self.tick));
            if entry.0 != pr.matched || idle || leaving {
                *entry = (pr.matched, self.tick);
            }
        }
        let prs = raft.prs();
        self.progress.retain(|id, _| prs.get(*id).is_some());
        for (follower, (_, since)) in &mut self.progress {
            if self.tick - *since >= self.resend_ticks {
                let heard = self.heard.get(follower).copied().unwrap_or_default();
                *since = self.tick;
                if self.tick - heard > SILENT_AFTER * self.resend_ticks {
                    continue;
                }
                self.node.report_unreachable(*follower);
                if let Some(pr) = self.node.raft.mut_prs().get_mut(*follower) {
                    pr.resume();
                }
                self.node.raft.send_append(*follower);
            }
        }
    }

    /// Proposes what was handed in, as one batch.
    fn propose(&mut self, spec: &Spec) {
        if self.proposals.is_empty() {
            return;
        }
        let ops = std::mem::take(&mut self.proposals);
        let mut taken = self.node.raft.state == StateRole::Leader;
        if taken {
            let entry = |op: &usize| Entry {
                data: spec.load.op(*op).command.body.clone(),
                context: context(self.id, *op),
                ..Entry::default()
            };
            let mut message = Message::default();
            message.set_msg_type(MessageType::MsgPropose);
            message.from = self.id;
            message.set_entries(ops.iter().map(entry).collect::<Vec<_>>().into());
            taken = self.node.raft.step(message).is_ok();
        }
        if taken {
            self.mine.extend(ops);
        } else {
            self.refuse(ops);
        }
    }

    fn refuse(&mut self, ops: Vec<usize>) {
        let hint = self.node.raft.leader_id.checked_sub(1).map(|id| id as usize);
        self.effects.extend(ops.into_iter().map(|op| Effect::Refused { op, hint }));
    }

    fn carry_out(&mut self, spec: &Spec, mut ready: Ready) {
        let number = ready.number();
        for message in ready.take_messages() {
            self.send(message);
        }
        let must_sync = ready.must_sync();
        let store = self.node.mut_store();
        store.restore(ready.snapshot());
        store.append(ready.entries());
        if let Some(hard_state) = ready.hs() {
            store.hard_state = hard_state.clone();
        }
        if must_sync {
            store.write(number);
        }
        let promises = ready.take_persisted_messages();
        let committed = ready.take_committed_entries();
        for state in ready.take_read_states() {
            self.confirmed(state.index, &state.request_ctx);
        }
        self.node.advance_append_async(ready);
        if must_sync || !self.withheld.is_empty() {
            self.withheld.push_back((number, promises));
            self.effects.push(Effect::Persist(number));
        } else {
            self.node.on_persist_ready(number);
            promises.into_iter().for_each(|message| self.send(message));
        }
        self.hand_out(spec, committed);
    }

    fn persisted(&mut self, number: u64) {
        self.node.mut_store().persisted(number);
        self.node.on_persist_ready(number);
        // A snapshot counts as applied once it is durable.
        self.applied = self.applied.max(self.node.store().preloaded());
        self.skip();
        while let Some((_, messages)) = self.withheld.pop_front_if(|(n, _)| *n <= number) {
            messages.into_iter().for_each(|message| self.send(message));
        }
    }

    /// Gives committed entries out for execution.
    fn hand_out(&mut self, spec: &Spec, committed: Vec<Entry>) {
        for entry in committed {
            let id = parse(&entry.context);
            let own = id.filter(|(replica, _)| *replica == self.id);
            let op = own.map(|(_, op)| op).filter(|op| self.mine.remove(op));
            if let Some(op) = op {
                self.effects.push(Effect::Committed { op });
            }
            let handed = match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => Handed::Nothing,
                EntryType::EntryNormal => Handed::Command(entry.data.len() as u64),
                _ => Handed::Change(change::parse(&entry)),
            };
            let executes = matches!(handed, Handed::Command(_));
            let (number, body) = (entry.index, entry.data);
            self.handed.push_back((number, handed));
            match (&mut self.executor, id) {
                (Some(executor), Some((_, handed_in))) if executes => {
                    let footprint = spec.load.op(handed_in).command.footprint.clone();
                    self.effects.extend(executor.enter(number, footprint, body, op));
                }
                _ if executes => self.effects.push(Effect::Apply { number, body, op }),
                _ => {}
            }
            self.executor.iter_mut().for_each(|executor| executor.reach(number));
        }
        self.skip();
    }

    /// Passes over what is executed, and serves the reads that waited.
    fn skip(&mut self) {
        while let Some((index, handed)) = self.pass() {
            self.applied = index;
            match handed {
                Handed::Command(bytes) => self.node.mut_store().applied_bytes += bytes,
                Handed::Change(change) => self.reconfigure(&change),
                Handed::Nothing => {}
            }
        }
        self.node.mut_store().applied = self.applied;
        if self.applied > self.node.raft.raft_log.applied {
            self.node.advance_apply_to(self.applied);
        }
        self.serve_reads();
    }

    fn send(&mut self, message: Message) {
        let to = (message.to - 1) as usize;
        if let Some(bytes) = self.node.store().beside(&message) {
            return self.effects.push(Effect::SendState { to, message, bytes });
        }
        let bytes = u64::from(message.compute_size());
        self.egress.send(self.tick, bytes);
        let effect = Effect::Send { to, bytes, records: message.entries.len() as u64, message };
        self.effects.push(effect);
    }

    /// Tells of a change of role or leader. What was asked of the crate for reads is forgotten by
    /// it with every change.
    fn note_role(&mut self, spec: &Spec) {
        let timeout = election_ticks(spec, self.id, self.node.raft.term);
        self.node.raft.set_randomized_election_timeout(timeout);
        let raft = &self.node.raft;
        let now = (raft.state, raft.term, raft.leader_id);
        let before = std::mem::replace(&mut self.role, now);
        if now == before {
            return;
        }
        let asked = std::mem::take(&mut self.reads.asked);
        self.reads.new.extend(asked.into_values().flatten());
        let campaigns = |state| matches!(state, StateRole::PreCandidate | StateRole::Candidate);
        match now.0 {
            StateRole::Leader if before.0 != StateRole::Leader => {
                self.progress.clear();
                self.effects.push(Effect::Leads { term: raft.term });
            }
            StateRole::Follower if now.2 != before.2 && now.2 != raft::INVALID_ID => {
                self.effects.push(Effect::Follows);
            }
            state if campaigns(state) && !campaigns(before.0) => {
                self.effects.push(Effect::Campaigns);
            }
            _ => {}
        }
    }
}

/// Whether what does not interfere is executed at once.
fn is_parallel(spec: &Spec) -> bool {
    spec.side == Side::RaftParallel
}

/// Names the operation an entry comes from: the replica it was handed to, and its number.
fn context(id: u64, op: usize) -> Bytes {
    Bytes::copy_from_slice(&(id << 40 | op as u64).to_be_bytes())
}

fn parse(context: &[u8]) -> Option<(u64, usize)> {
    let number = u64::from_be_bytes(context.try_into().ok()?);
    Some((number >> 40, (number & ((1 << 40) - 1)) as usize))
}
