//! traft: the production replica, driven in virtual time.

use super::{Effect, Input, Replica};
use crate::base::{Footprint, LeaderId, Lineage, Lsn, Membership, Record, ReplicaId};
use crate::message::{Envelope, Message};
use crate::replica::{self, Durable, Options, Output, ReadError, Rejection, RoleName, Write};
use crate::sim::{Routing, Side, Spec};
use std::collections::VecDeque;
use std::sync::Arc;

/// A replica, its disk, and what is on its way there.
pub(crate) struct TraftReplica {
    replica: replica::Replica,
    disk: TraftDisk,
    pending: VecDeque<Write>,
    outputs: Vec<Output>,
    /// Distinguishes hand-ins of one operation.
    handed_in: u64,
    /// Ticks without a word from a leader, if this replica is to campaign first.
    silence: Option<u64>,
    election_ticks: u64,
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraftDisk {
    voted: LeaderId,
    lineage: Lineage,
    /// By position.
    records: Vec<Option<Arc<Record>>>,
    membership: Option<(Lsn, Membership)>,
}

impl TraftDisk {
    /// One atomic step.
    fn write(&mut self, write: Write) {
        self.voted = write.voted.unwrap_or(self.voted);
        if let Some(lineage) = write.lineage {
            for slot in &mut self.records {
                if slot.as_ref().is_some_and(|r| lineage.author(r.lsn) != r.author) {
                    *slot = None;
                }
            }
            self.lineage = lineage;
        }
        for record in write.records {
            let at = record.lsn.0 as usize;
            if at >= self.records.len() {
                self.records.resize(at + 1, None);
            }
            self.records[at] = Some(record);
        }
        if write.membership.is_some() {
            self.membership = write.membership;
        }
    }

    fn durable(&self) -> Durable {
        Durable {
            voted: self.voted,
            lineage: self.lineage.clone(),
            records: self.records.iter().flatten().cloned().collect(),
            membership: self.membership.clone(),
        }
    }
}

impl Replica for TraftReplica {
    type Message = Box<Envelope>;
    type Disk = TraftDisk;

    fn disks(spec: &Spec) -> Vec<TraftDisk> {
        let mut disks = vec![TraftDisk::default(); spec.replicas];
        let Some(preload) = &spec.preload else { return disks };
        // The history has an author of its own, below every leader of the run: term 1, no node.
        let author = LeaderId::new(1, 0);
        let history: Vec<Option<Arc<Record>>> = (0..preload.count)
            .map(|at| {
                let command = (preload.command)(at);
                let payload = crate::base::Payload::Command(command);
                let mut record = Record::bare(Lsn(at), author, payload);
                record.floor = Lsn(at);
                Some(Arc::new(record))
            })
            .collect();
        for (id, disk) in disks.iter_mut().enumerate() {
            let held = preload.held(id) as usize;
            disk.records = history[..held].to_vec();
            disk.lineage = Lineage::new(author);
            disk.voted = author;
        }
        disks
    }

    fn start(spec: &Spec, id: usize, disk: TraftDisk) -> TraftReplica {
        let election_ticks = (spec.election_timeout.0 / spec.tick.0).max(1);
        let replica = replica::Replica::new(options(spec, id, election_ticks), disk.durable());
        TraftReplica {
            replica,
            disk,
            pending: VecDeque::new(),
            outputs: Vec::new(),
            handed_in: 0,
            silence: (spec.successor == Some(id)).then_some(0),
            election_ticks,
        }
    }

    fn crash(self) -> TraftDisk {
        self.disk
    }

    fn workers(offered: usize) -> usize {
        offered
    }

    fn handle(&mut self, spec: &Spec, input: Input<Box<Envelope>>) {
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
                replica::Input::Read { read: self.number(op), footprint }
            }
            Input::Persisted(number) => {
                while let Some(write) = self.pending.pop_front_if(|w| w.number <= number) {
                    self.disk.write(write);
                }
                replica::Input::Persisted(number)
            }
            Input::Applied(number) => replica::Input::Applied(Lsn(number)),
            Input::Campaign => replica::Input::Campaign,
        };
        self.replica.handle(input);
    }

    fn drain(&mut self, _spec: &Spec, effects: &mut Vec<Effect<Box<Envelope>>>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        loop {
            self.replica.drain(&mut outputs);
            if outputs.is_empty() {
                break;
            }
            for output in outputs.drain(..) {
                self.carry_out(output, effects);
            }
        }
        self.outputs = outputs;
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

    fn carry_out(&mut self, output: Output, effects: &mut Vec<Effect<Box<Envelope>>>) {
        let op = |number: u64| (number & u64::from(u32::MAX)) as usize;
        effects.push(match output {
            Output::Send(envelope) => Effect::Send {
                to: envelope.to.0 as usize - 1,
                bytes: size(&envelope.message),
                records: records(&envelope.message),
                message: envelope,
            },
            Output::Persist(write) => {
                let number = write.number;
                self.pending.push_back(*write);
                Effect::Persist(number)
            }
            Output::Apply { record, proposal } => {
                let body = record.command().map(|command| command.body.clone());
                let body = body.unwrap_or_default();
                Effect::Apply { number: record.lsn.0, body, op: proposal.map(op) }
            }
            Output::Settled { proposal } => Effect::Committed { op: op(proposal) },
            Output::Rejected { proposal, reason } => {
                let hint = match reason {
                    Rejection::NotLeader { hint } => hint,
                    Rejection::Busy | Rejection::TooLarge { .. } | Rejection::Unsound => None,
                };
                Effect::Refused { op: op(proposal), hint: hint.map(place) }
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
                let records = positions.iter().filter_map(at).collect();
                self.replica.handle(replica::Input::Loaded(records));
                return;
            }
            Output::Role { role, leader } => match role {
                RoleName::Leader => Effect::Leads { term: leader.term },
                RoleName::Follower => Effect::Follows,
                RoleName::PreCandidate => Effect::Campaigns,
                RoleName::Candidate => return,
            },
        });
    }
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

/// About how many bytes a message takes.
fn size(message: &Message) -> u64 {
    let sets = |set: &crate::base::TailBitmap| 12 + 8 * set.tail().words().1.len();
    let all = |records: &[Arc<Record>]| records.iter().map(|r| r.size()).sum::<usize>();
    let bytes = 24
        + match message {
            Message::Replicate(m) => all(&m.records) + sets(&m.settled),
            Message::ReplicateReply(m) => sets(&m.accepted) + 16,
            Message::FetchReply(m) => all(&m.records),
            Message::Vote(m) => sets(&m.accepted) + 24 * (1 + m.lineage.runs().len()),
            Message::VoteReply(m) => {
                m.grant.as_ref().map_or(0, |g| sets(&g.accepted) + all(&g.records) + 64)
            }
            _ => 16,
        };
    bytes as u64
}
