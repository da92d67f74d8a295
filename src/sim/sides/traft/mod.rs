//! traft: the production replica, driven in virtual time.

mod change;
mod disk;

pub(crate) use disk::TraftDisk;

use super::{Audit, Effect, Input, Replica};
use crate::base::{
    Footprint, KeySet, Lsn, Membership, Records, ReplicaId, SharedRecord, TailBitmap,
};
use crate::message::{Envelope, Message};
use crate::replica::{
    self, Lease, Options, Output, ReadError, RoleName, SnapshotMeta, Task, Write,
};
use crate::sim::invariants::{Auditor, Shadow};
use crate::sim::{Preload, Routing, Side, Spec};
use crate::wire::{self, Version};
use std::collections::VecDeque;

/// What replicas send each other.
#[derive(Clone, Debug)]
pub(crate) enum Post {
    /// Of the algorithm.
    Message(Box<Envelope>),
    /// A state, whole.
    State(Box<SnapshotMeta>),
}

/// A replica, its disk, and what is on its way there.
pub(crate) struct TraftReplica {
    id: usize,
    replica: replica::Replica,
    disk: TraftDisk,
    pending: VecDeque<Write>,
    outputs: Vec<Output>,
    /// Given out, to be executed after another one.
    behind: Vec<Task>,
    /// Distinguishes hand-ins of one operation.
    handed_in: u64,
    /// Ticks without a word from a leader, if this replica is to campaign first.
    silence: Option<u64>,
    election_ticks: u64,
    shadow: Shadow,
    /// Something was executed since the last look.
    executed: bool,
    /// Positions below are history.
    preloaded: Lsn,
    /// A change of membership that is under way.
    change: Option<change::Watch>,
}

impl Replica for TraftReplica {
    type Message = Post;
    type Disk = TraftDisk;
    type Audit = Auditor;

    fn disks(spec: &Spec) -> Vec<TraftDisk> {
        (0..spec.replicas).map(|id| TraftDisk::new(spec, id)).collect()
    }

    fn start(spec: &Spec, id: usize, mut disk: TraftDisk, audit: &mut Auditor) -> TraftReplica {
        audit.starts(id);
        disk.lives += 1;
        let election_ticks = (spec.election_timeout.0 / spec.tick.0).max(1);
        let replica = replica::Replica::new(options(spec, id, election_ticks), disk.durable());
        TraftReplica {
            id,
            replica,
            disk,
            pending: VecDeque::new(),
            outputs: Vec::new(),
            behind: Vec::new(),
            handed_in: 0,
            silence: (spec.successor == Some(id)).then_some(0),
            election_ticks,
            shadow: Shadow::new(has_ranges(spec)),
            executed: false,
            change: None,
            preloaded: Lsn(spec.preload.as_ref().map_or(0, Preload::count)),
        }
    }

    fn crash(self) -> TraftDisk {
        self.disk
    }

    fn workers(spec: &Spec) -> usize {
        spec.workers
    }

    fn done(&self) -> TailBitmap {
        self.replica.done().clone()
    }

    fn handle(&mut self, spec: &Spec, input: Input<Post>, audit: &mut Auditor) {
        let input = match input {
            Input::Tick => return self.tick(),
            Input::Receive { message: Post::Message(message) } => {
                if let (Message::Replicate(_), Some(ticks)) = (&message.message, &mut self.silence)
                {
                    *ticks = 0;
                }
                replica::Input::Receive(message)
            }
            Input::Receive { message: Post::State(state) } => replica::Input::Install(state),
            Input::Change { to } => self.ask_for(spec, to),
            Input::Propose { op } => {
                let mut command = spec.load.op(op).command.clone();
                if spec.side == Side::TraftSerial {
                    command.footprint = Footprint::everything();
                }
                replica::Input::Propose { proposal: self.number(op), command }
            }
            Input::Read { op } => {
                let footprint = match spec.side {
                    Side::TraftSerial => Footprint::everything(),
                    _ => spec.load.op(op).command.footprint.clone(),
                };
                replica::Input::Read { read: self.number(op), footprint, level: spec.read_level }
            }
            Input::Persisted(number) => {
                while let Some(write) = self.pending.pop_front_if(|w| w.number <= number) {
                    self.disk.write(&write);
                    audit.stored(self.id, &write, self.disk.stored());
                }
                replica::Input::Persisted(number)
            }
            Input::Applied(number) => {
                self.executed(Lsn(number), audit);
                self.follow(Lsn(number));
                replica::Input::Applied(Lsn(number))
            }
            Input::Campaign => replica::Input::Campaign,
        };
        self.replica.handle(input);
    }

    fn drain(&mut self, spec: &Spec, effects: &mut Vec<Effect<Post>>, audit: &mut Auditor) {
        let mut outputs = std::mem::take(&mut self.outputs);
        loop {
            self.replica.drain(&mut outputs);
            if outputs.is_empty() {
                break;
            }
            self.audit(&outputs, audit);
            for output in outputs.drain(..) {
                self.carry_out(spec, output, effects);
            }
        }
        self.outputs = outputs;
        self.watch_change(effects);
        let executed = std::mem::take(&mut self.executed).then(|| self.shadow.digest());
        audit.looks(self.id, &self.replica, executed);
    }
}

impl Audit for Auditor {
    fn new(spec: &Spec) -> Auditor {
        Auditor::new(spec)
    }

    fn violations(&mut self) -> &mut Vec<String> {
        &mut self.violations
    }
}

impl TraftReplica {
    /// A number for an operation that was not used before in this life.
    fn number(&mut self, op: usize) -> u64 {
        self.handed_in += 1;
        self.handed_in << 32 | op as u64
    }

    /// The replica that is to campaign first does so as soon as the others would let it. Not before
    /// this tick has passed here: a lease that it has granted binds it until then.
    fn tick(&mut self) {
        self.replica.handle(replica::Input::Tick);
        let Some(ticks) = &mut self.silence else { return };
        *ticks += 1;
        if *ticks == self.election_ticks && self.replica.role().0 != RoleName::Leader {
            self.replica.handle(replica::Input::Campaign);
        }
    }

    /// What comes after the record at `done` may be executed now.
    fn follow(&mut self, done: Lsn) {
        let comes = |task: &mut Task| task.after.take_if(|after| *after == done).is_some();
        let tasks: Vec<Task> = self.behind.extract_if(.., comes).collect();
        if !tasks.is_empty() {
            self.outputs.push(Output::Apply(tasks));
        }
    }

    /// Executes a record on the shadow.
    fn executed(&mut self, lsn: Lsn, audit: &mut Auditor) {
        if lsn < self.preloaded {
            return;
        }
        if let Some(record) = self.replica.record(lsn) {
            let result = self.shadow.execute(record);
            self.executed = true;
            audit.result(self.id, record, result);
        }
    }

    /// Shows what comes out of the replica. A leader's log is looked at before what it authors.
    fn audit(&self, outputs: &[Output], audit: &mut Auditor) {
        let leads =
            |output: &&Output| matches!(output, Output::Role { role: RoleName::Leader, .. });
        if outputs.iter().any(|output| leads(&output)) {
            audit.leads(self.id, &self.replica);
        }
        for output in outputs {
            match output {
                Output::Persist(write) => audit.writes(write),
                Output::Send(envelope) => {
                    audit.says(self.id, &envelope.message, self.disk.stored());
                }
                Output::Apply(tasks) => {
                    for task in tasks.iter().filter(|task| task.after.is_none()) {
                        if let Some(record) = self.replica.shared_record(task.lsn) {
                            audit.applies(self.id, &record);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, spec: &Spec, output: Output, effects: &mut Vec<Effect<Post>>) {
        let Some(output) = self.about_change(output, effects) else { return };
        let op = |number: u64| (number & u64::from(u32::MAX)) as usize;
        effects.push(match output {
            Output::Send(envelope) => Effect::Send {
                to: envelope.to.0 as usize - 1,
                // Never more: what is compared does not change with the newest version.
                bytes: wire::encoded_len(&envelope, Version::One) as u64,
                records: records(&envelope.message),
                message: Post::Message(envelope),
            },
            Output::Persist(write) => {
                let number = write.number;
                self.pending.push_back(*write);
                Effect::Persist(number)
            }
            Output::Apply(tasks) => {
                let (now, behind) = tasks.into_iter().partition(|task| task.after.is_none());
                self.behind.extend::<Vec<Task>>(behind);
                let now: Vec<Task> = now;
                effects.extend(self.replica.commands(&now).map(|(task, command)| {
                    let (body, op) = (command.body.clone(), task.proposal.map(op));
                    Effect::Apply { number: task.lsn.0, body, op }
                }));
                return;
            }
            Output::Settled { proposal } => Effect::Committed { op: op(proposal) },
            Output::Rejected { proposal, reason } => {
                Effect::Refused { op: op(proposal), hint: reason.hint().map(place) }
            }
            Output::Unknown { .. } => Effect::Lost,
            Output::ReadReady { read } => Effect::ReadReady { op: op(read) },
            Output::ReadFailed { read, reason } => {
                let hint = match reason {
                    ReadError::NotLeader { hint } => hint,
                    ReadError::Busy => None,
                };
                Effect::Refused { op: op(read), hint: hint.map(place) }
            }
            Output::Load(positions) => {
                let at = |lsn: Lsn| self.disk.record(lsn);
                let records: Vec<SharedRecord> = positions.iter().filter_map(at).collect();
                let records = Records::gather(&records);
                self.replica.handle(replica::Input::Loaded(records));
                return;
            }
            // The only states here are those of the history.
            Output::SendSnapshot { to, .. } => match (self.disk.state(), &spec.preload) {
                (Some(state), Some(preload)) => Effect::SendState {
                    to: place(to),
                    bytes: preload.state_bytes(),
                    message: Post::State(state),
                },
                _ => return,
            },
            Output::Restore(_) => {
                self.shadow = Shadow::new(has_ranges(spec));
                return;
            }
            Output::TakeSnapshot { .. } | Output::TransferFailed { .. } => return,
            Output::Role { role, leader } => match role {
                RoleName::Leader => Effect::Leads { term: leader.term },
                RoleName::Follower => Effect::Follows,
                RoleName::PreCandidate => Effect::Campaigns,
                RoleName::Candidate => return,
            },
        });
    }
}

fn has_ranges(spec: &Spec) -> bool {
    let ranges = |keys: &KeySet| !keys.ranges().is_empty();
    let has = |f: &Footprint| ranges(&f.reads) || ranges(&f.writes);
    spec.side == Side::TraftSerial || spec.load.ops().any(|op| has(&op.command.footprint))
}

/// Majorities of these.
fn majority(replicas: &[usize]) -> Membership {
    Membership::majority(replicas.iter().map(|r| ReplicaId(*r as u64 + 1)))
}

fn place(id: ReplicaId) -> usize {
    id.0 as usize - 1
}

fn options(spec: &Spec, id: usize, election_ticks: u64) -> Options {
    let me = ReplicaId(id as u64 + 1);
    let mut options = Options::new(me, majority(&spec.voters()));
    options.election_ticks = election_ticks;
    options.heartbeat_ticks = options.heartbeat_ticks.min(election_ticks / 4).max(1);
    options.resend_ticks = spec.resend.0.div_ceil(spec.tick.0).max(1);
    let lease = Lease { ticks: election_ticks, drift_permille: 10 };
    options.lease = spec.lease.then_some(lease);
    options.acknowledge_to_all = spec.acknowledge_to_all;
    if let Some(bytes) = spec.in_flight_bytes {
        options.in_flight_bytes_max = bytes;
    }
    // Like the other side, which knows no such limit: what clients want piles up at the leader.
    options.unsettled_bytes_max = usize::MAX;
    options.forwarding = spec.routing == Routing::Forward;
    options.seed = crate::sim::weather::mix(spec.seed ^ me.0 << 32);
    options
}

/// How many records a message carries.
fn records(message: &Message) -> u64 {
    let records = match message {
        Message::Replicate(m) => m.records.len(),
        Message::FetchReply(m) => m.records.len(),
        Message::VoteReply(m) => m.grant.as_ref().map_or(0, |grant| grant.records.len()),
        _ => 0,
    };
    records as u64
}
