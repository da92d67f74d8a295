//! traft: the production replica, driven in virtual time.

use super::{Audit, Effect, Input, Replica};
use crate::base::{
    Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Records, ReplicaId, SharedRecord,
    TailBitmap,
};
use crate::message::{Envelope, Message};
use crate::replica::{
    self, Durable, Lease, Options, Output, ReadError, RoleName, SnapshotMeta, Task, Write,
};
use crate::sim::invariants::{Auditor, Shadow, Stored};
use crate::sim::{Preload, Routing, Side, Spec};
use crate::wire;
use std::collections::VecDeque;

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
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraftDisk {
    voted: LeaderId,
    lineage: Lineage,
    /// By position.
    records: Vec<Option<SharedRecord>>,
    /// The positions that have a record.
    held: TailBitmap,
    membership: Option<(Lsn, Membership)>,
    snapshot: Option<Box<SnapshotMeta>>,
}

impl TraftDisk {
    /// One atomic step.
    fn write(&mut self, write: &Write) {
        self.voted = write.voted.unwrap_or(self.voted);
        if let Some(lineage) = &write.lineage {
            self.held = TailBitmap::below(self.purged());
            for slot in &mut self.records {
                slot.take_if(|record| lineage.author(record.lsn) != record.author);
                if let Some(record) = slot {
                    self.held.insert(record.lsn);
                }
            }
            self.lineage = lineage.clone();
        }
        for record in write.records.iter_shared() {
            let at = record.lsn.0 as usize;
            if at >= self.records.len() {
                self.records.resize(at + 1, None);
            }
            self.held.insert(record.lsn);
            self.records[at] = Some(record);
        }
        if write.membership.is_some() {
            self.membership = write.membership.clone();
        }
    }

    /// Below it there are no records.
    fn purged(&self) -> Lsn {
        self.snapshot.as_ref().map_or(Lsn::ZERO, |snapshot| snapshot.done.offset())
    }

    fn stored(&self) -> Stored<'_> {
        let TraftDisk { voted, lineage, records, held, .. } = self;
        Stored { voted: *voted, lineage, records, held }
    }

    fn durable(&self) -> Durable {
        Durable {
            voted: self.voted,
            lineage: self.lineage.clone(),
            records: Records::gather(self.records.iter().flatten()),
            membership: self.membership.clone(),
            snapshot: self.snapshot.clone(),
            ..Durable::default()
        }
    }
}

impl Replica for TraftReplica {
    type Message = Box<Envelope>;
    type Disk = TraftDisk;
    type Audit = Auditor;

    fn disks(spec: &Spec) -> Vec<TraftDisk> {
        let mut disks = vec![TraftDisk::default(); spec.replicas];
        let Some(preload) = &spec.preload else { return disks };
        for (id, disk) in disks.iter_mut().enumerate() {
            let held = preload.held(id);
            disk.held = TailBitmap::below(Lsn(held));
            if preload.is_snapshot(id) {
                let (done, committer) = (disk.held.clone(), Preload::author());
                disk.snapshot = Some(Box::new(SnapshotMeta { done, committer, membership: None }));
            } else {
                disk.records = preload.records()[..held as usize].to_vec();
            }
            disk.lineage = Lineage::new(Preload::author());
            disk.voted = Preload::author();
        }
        disks
    }

    fn start(spec: &Spec, id: usize, disk: TraftDisk, audit: &mut Auditor) -> TraftReplica {
        audit.starts(id);
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
            preloaded: Lsn(spec.preload.as_ref().map_or(0, Preload::count)),
        }
    }

    fn crash(self) -> TraftDisk {
        self.disk
    }

    fn workers(offered: usize) -> usize {
        offered
    }

    fn done(&self) -> TailBitmap {
        self.replica.done().clone()
    }

    fn handle(&mut self, spec: &Spec, input: Input<Box<Envelope>>, audit: &mut Auditor) {
        let input = match input {
            Input::Tick => {
                self.tick();
                replica::Input::Tick
            }
            Input::Receive { message } => {
                if let (Message::Replicate(_), Some(ticks)) = (&message.message, &mut self.silence)
                {
                    *ticks = 0;
                }
                replica::Input::Receive(message)
            }
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

    fn drain(
        &mut self,
        _spec: &Spec,
        effects: &mut Vec<Effect<Box<Envelope>>>,
        audit: &mut Auditor,
    ) {
        let mut outputs = std::mem::take(&mut self.outputs);
        loop {
            self.replica.drain(&mut outputs);
            if outputs.is_empty() {
                break;
            }
            self.audit(&outputs, audit);
            for output in outputs.drain(..) {
                self.carry_out(output, effects);
            }
        }
        self.outputs = outputs;
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
    /// A number for an operation that was never used before.
    fn number(&mut self, op: usize) -> u64 {
        self.handed_in += 1;
        self.handed_in << 32 | op as u64
    }

    /// The replica that is to campaign first does so as soon as the others would let it.
    fn tick(&mut self) {
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

    fn carry_out(&mut self, output: Output, effects: &mut Vec<Effect<Box<Envelope>>>) {
        let op = |number: u64| (number & u64::from(u32::MAX)) as usize;
        effects.push(match output {
            Output::Send(envelope) => Effect::Send {
                to: envelope.to.0 as usize - 1,
                bytes: wire::encoded_len(&envelope) as u64,
                records: records(&envelope.message),
                message: envelope,
            },
            Output::Persist(write) => {
                let number = write.number;
                self.pending.push_back(*write);
                Effect::Persist(number)
            }
            Output::Apply(tasks) => {
                let (now, behind) = tasks.into_iter().partition(|task| task.after.is_none());
                self.behind.extend::<Vec<Task>>(behind);
                effects.extend(Vec::into_iter(now).map(|Task { lsn, proposal, .. }| {
                    let command = self.replica.command(lsn);
                    let body = command.map(|command| command.body.clone()).unwrap_or_default();
                    Effect::Apply { number: lsn.0, body, op: proposal.map(op) }
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
                let at = |lsn: Lsn| self.disk.records.get(lsn.0 as usize).cloned().flatten();
                let records: Vec<SharedRecord> = positions.iter().filter_map(at).collect();
                let records = Records::gather(&records);
                self.replica.handle(replica::Input::Loaded(records));
                return;
            }
            // A snapshot is paced behind new records; here it never comes, so that what is measured
            // does without it.
            Output::SendSnapshot { .. } | Output::TakeSnapshot { .. } | Output::Restore(_) => {
                return;
            }
            Output::TransferFailed { .. } => return,
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

fn place(id: ReplicaId) -> usize {
    id.0 as usize - 1
}

fn options(spec: &Spec, id: usize, election_ticks: u64) -> Options {
    let me = ReplicaId(id as u64 + 1);
    let voters = (1..=spec.replicas as u64).map(ReplicaId);
    let mut options = Options::new(me, Membership::majority(voters));
    options.election_ticks = election_ticks;
    options.heartbeat_ticks = options.heartbeat_ticks.min(election_ticks / 4).max(1);
    options.resend_ticks = spec.resend.0.div_ceil(spec.tick.0).max(1);
    let lease = Lease { ticks: election_ticks, drift_permille: 10 };
    options.lease = spec.lease.then_some(lease);
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
