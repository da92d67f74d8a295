//! Replicas on a stage: what they send waits until the script delivers it.

use super::arrival::Arrival;
use super::checks::Checks;
use super::node::{Disk, Node, State};
use crate::base::*;
use crate::message::*;
use crate::replica::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a leader has said, and so can come in at any later time.
pub(super) struct Said {
    pub(super) lineage: Lineage,
    pub(super) records: BTreeMap<Lsn, SharedRecord>,
    pub(super) settled: TailBitmap,
    shown: TailBitmap,
}

/// What `start:` says besides the membership.
#[derive(Clone, Default)]
pub(super) struct Setup {
    pub(super) initial: Option<Membership>,
    /// Disks and workers of all replicas do at once what they are asked.
    pub(super) quick: bool,
    pub(super) no_overriding: bool,
    pub(super) no_forwarding: bool,
    /// Leaders hold leases.
    pub(super) leases: bool,
    /// Replicas acknowledge to all.
    pub(super) everybody_hears: bool,
    /// A vote answer carries no records: everything is fetched.
    pub(super) bare_votes: bool,
}

/// The stage.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) setup: Setup,
    pub(super) nodes: BTreeMap<ReplicaId, Node>,
    pub(super) mail: Vec<Envelope>,
    /// What the first sends to the second is lost, wherever everything is delivered.
    pub(super) cut: BTreeSet<(ReplicaId, ReplicaId)>,
    pub(super) votes: BTreeMap<LeaderId, Vote>,
    pub(super) said: BTreeMap<LeaderId, Said>,
    pub(super) checks: Checks,
    /// By proposal: its record, once the leader has placed it.
    pub(super) proposals: BTreeMap<u64, SharedRecord>,
    /// By read: its keys, and the round that confirms it.
    pub(super) reads: BTreeMap<u64, (Vec<Key>, u64)>,
    /// Snapshots by number.
    pub(super) snapshots: BTreeMap<u64, (SnapshotMeta, State)>,
    /// How many proposals were made; their numbers.
    pub(super) proposed: u64,
    /// What has come, if somebody draws it.
    pub(super) arrivals: Option<Vec<Arrival>>,
    lines: Vec<String>,
}

impl Stage {
    /// One that keeps what has come.
    pub(super) fn drawn() -> Stage {
        Stage { arrivals: Some(Vec::new()), ..Stage::default() }
    }

    pub(super) fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Broken invariants so far.
    pub(super) fn broken(&self) -> Vec<String> {
        self.checks.broken.clone()
    }

    /// What came of the last command: what was said, then what is newly settled and done.
    pub(super) fn finish_command(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        for (leader, said) in &mut self.said {
            let news = said.settled.difference(&said.shown);
            if !news.is_empty() {
                lines.push(format!("{leader} knows settled {}", set(news.iter())));
                said.shown = said.settled.clone();
            }
        }
        for (id, node) in &mut self.nodes {
            let done = node.replica.done().clone();
            if node.up && done != node.shown_done {
                lines.push(format!("{id} done {}", set(done.difference_iter(&TailBitmap::new()))));
                node.shown_done = done;
            }
        }
        lines
    }

    /// Of what was said, keeps who leads what, what clients heard, and the end.
    pub(super) fn keep_essence(&mut self) {
        let essential = ["leads; log", "proposal", "all below", "the state", "in doubt"];
        self.lines.retain(|line| essential.iter().any(|part| line.contains(part)));
        self.said.values_mut().for_each(|said| said.shown = said.settled.clone());
        let nodes = self.nodes.values_mut();
        nodes.for_each(|node| node.shown_done = node.replica.done().clone());
    }

    fn options(&self, id: ReplicaId) -> Options {
        let initial = self.setup.initial.clone().unwrap_or_else(|| Membership::majority([id]));
        let mut options = Options::new(id, initial);
        options.heartbeat_ticks = 2;
        options.election_ticks = 10;
        options.resend_ticks = 3;
        options.behind_positions_max = 0;
        options.overriding = !self.setup.no_overriding;
        options.forwarding = !self.setup.no_forwarding;
        options.acknowledge_to_all = self.setup.everybody_hears;
        if self.setup.leases {
            options.lease = Some(Lease { ticks: 10, drift_permille: 0 });
        }
        if self.setup.bare_votes {
            options.vote_bytes_max = 0;
        }
        options
    }

    /// The replica `id`; a new one the first time it is named.
    pub(super) fn node(&mut self, id: ReplicaId) -> &mut Node {
        let options = self.options(id);
        self.nodes.entry(id).or_insert_with(|| Node::new(options, Disk::default()))
    }

    /// Starts `id` again from what its disk has.
    pub(super) fn restart(&mut self, id: ReplicaId) {
        let options = self.options(id);
        if let Some(node) = self.nodes.remove(&id) {
            self.nodes.insert(id, Node::new(options, node.disk));
            self.take_outputs(id);
        }
    }

    /// Hands one message over.
    pub(super) fn receive(&mut self, from: ReplicaId, to: ReplicaId, message: Message) {
        self.input(to, Input::Receive(Box::new(Envelope::new(from, to, message))));
    }

    pub(super) fn input(&mut self, id: ReplicaId, input: Input) {
        if self.node(id).up {
            if let (Input::Receive(envelope), Some(arrivals)) = (&input, &mut self.arrivals) {
                arrivals.push(Arrival::of(envelope));
            }
            self.node(id).replica.handle(input);
            self.take_outputs(id);
        }
    }

    fn take_outputs(&mut self, id: ReplicaId) {
        let mut outputs = Vec::new();
        self.node(id).replica.drain(&mut outputs);
        for output in outputs {
            self.take_output(id, output);
        }
        self.look(id);
        // A leader's own writes wait for the script, so that others can be ahead of it.
        let quick = self.setup.quick;
        let node = self.node(id);
        let waits = node.holds || (node.replica.leading().is_some() && !quick);
        if !waits && !node.writes.is_empty() {
            self.persist(id);
        } else if quick && let Some((record, _)) = self.node(id).applying.first() {
            let lsn = record.lsn;
            self.apply(id, lsn);
        }
    }

    fn take_output(&mut self, id: ReplicaId, output: Output) {
        match output {
            Output::Send(envelope) => self.sent(*envelope),
            Output::Persist(write) => {
                if write.repaired {
                    self.say(format!("{id} is in doubt no longer"));
                }
                self.node(id).writes.push(*write);
            }
            Output::Apply(tasks) => {
                for Task { lsn, proposal, after } in tasks {
                    match after {
                        None => self.may_apply(id, lsn, proposal),
                        Some(after) => self.node(id).behind.push((lsn, proposal, after)),
                    }
                }
            }
            Output::Settled { proposal } => self.answer(proposal),
            Output::Rejected { proposal, reason } => {
                self.say(format!("proposal {proposal} is rejected: {}", reject(reason)));
            }
            Output::Unknown { proposal } => {
                self.say(format!("{} has an unknown outcome", self.name(proposal)));
            }
            Output::ReadReady { read } => {
                let (keys, _) = self.reads.get(&read).cloned().unwrap_or_default();
                let state = self.node(id).state.clone();
                self.checks.answered(read, &state, &keys);
                self.say(format!("read {read} returns {}", state.show(&keys)));
            }
            Output::ReadFailed { read, .. } => self.say(format!("read {read} is not served")),
            Output::Load(positions) => {
                let records = self.node(id).disk.read(&positions);
                self.input(id, Input::Loaded(Records::gather(&records)));
            }
            Output::SendSnapshot { to, .. } => {
                self.say(format!("{id} is to send {to} a snapshot"));
                if self.setup.quick {
                    let snapshot = self.snapshot(id);
                    self.install(to, snapshot);
                }
            }
            Output::TakeSnapshot { below } => {
                self.say(format!("{id} is to take a snapshot of all below {below}"));
                if self.setup.quick {
                    self.purge(id, below);
                }
            }
            Output::Restore(meta) => {
                let node = self.node(id);
                let found = node.disk.aside.iter().find(|(aside, _)| *aside == *meta);
                let Some((_, state)) = found else {
                    let what = format!("BROKEN {id} restores what it was not offered");
                    return self.checks.broken.push(what);
                };
                node.state = state.clone();
                node.applied.clear();
                self.say(format!("{id} has the state of the snapshot"));
            }
            Output::TransferFailed { reason } => {
                self.say(format!("{id} does not hand over: {reason}"));
            }
            Output::Role { role, leader } => {
                let led = self.node(id).leads.take_if(|_| role != RoleName::Leader);
                if let Some(led) = led {
                    self.say(format!("{led} steps down"));
                }
                let follows = role == RoleName::Follower && leader != LeaderId::NOBODY;
                if self.setup.quick && follows && leader == self.node(id).replica.voted() {
                    self.say(format!("{id} follows {leader}"));
                }
            }
        }
    }

    /// A snapshot of what `id` has now.
    pub(super) fn snapshot(&mut self, id: ReplicaId) -> (SnapshotMeta, State) {
        let node = self.node(id);
        (node.replica.snapshot_meta(), node.state.clone())
    }

    /// A snapshot has come to `id`, whole.
    pub(super) fn install(&mut self, id: ReplicaId, snapshot: (SnapshotMeta, State)) {
        let meta = Box::new(snapshot.0.clone());
        self.node(id).disk.aside.push(snapshot);
        self.input(id, Input::Install(meta));
    }

    /// Takes a snapshot at `id`, and drops what is below.
    pub(super) fn purge(&mut self, id: ReplicaId, below: Lsn) {
        let (meta, state) = self.snapshot(id);
        self.node(id).disk.keep(meta, state);
        self.input(id, Input::Purge(below));
        let node = self.node(id);
        let purged = node.replica.purged();
        node.disk.purge(purged);
        self.say(format!("{id} has purged what is below {purged}"));
    }

    fn sent(&mut self, envelope: Envelope) {
        let from = envelope.from;
        match &envelope.message {
            Message::Refuse(m) => {
                self.say(format!("{from} refuses {}: it has promised {}", m.leader, m.voted));
            }
            Message::VoteReply(m) if m.grant.is_none() => {
                self.say(format!("{from} refuses {}: it has promised {}", m.candidate, m.voted));
            }
            Message::PreVoteReply(m) if !m.granted => {
                self.say(format!("{from} would not vote for {}", m.candidate));
            }
            Message::Replicate(m) => {
                for (_, round) in self.reads.values_mut().filter(|(_, round)| *round == 0) {
                    *round = m.round;
                }
            }
            _ => {}
        }
        self.mail.push(envelope);
    }

    pub(super) fn name(&self, proposal: u64) -> String {
        match self.proposals.get(&proposal) {
            Some(record) => format!("the proposal at {}", record.lsn),
            None => format!("proposal {proposal}"),
        }
    }

    fn answer(&mut self, proposal: u64) {
        self.say(format!("{} is answered", self.name(proposal)));
        if let Some(record) = self.proposals.get(&proposal).cloned() {
            self.checks.acknowledged(&record);
        }
    }

    /// The oldest write that is out becomes durable.
    pub(super) fn persist(&mut self, id: ReplicaId) {
        let node = self.node(id);
        let write = node.writes.remove(0);
        let number = write.number;
        node.disk.write(write);
        self.input(id, Input::Persisted(number));
    }

    fn may_apply(&mut self, id: ReplicaId, lsn: Lsn, proposal: Option<u64>) {
        if !self.setup.quick {
            self.say(format!("{id} may apply {lsn}"));
        }
        let node = self.node(id);
        match node.replica.shared_record(lsn) {
            Some(record) => node.applying.push((record, proposal)),
            None => self.checks.broken.push(format!("BROKEN {id} gives out {lsn}, not held")),
        }
    }

    /// Executes the record at `lsn`, if it was given out.
    pub(super) fn apply(&mut self, id: ReplicaId, lsn: Lsn) {
        let node = self.node(id);
        let Some(at) = node.applying.iter().position(|(record, _)| record.lsn == lsn) else {
            return self.say(format!("{id} may not apply {lsn}"));
        };
        let (record, proposal) = node.applying.remove(at);
        if let Some(node) = self.nodes.get_mut(&id) {
            self.checks.applies(id, node, &record);
        }
        if let Some(proposal) = proposal {
            self.proposals.entry(proposal).or_insert(record);
            self.answer(proposal);
        }
        let behind = self.node(id).behind.extract_if(.., |(_, _, after)| *after == lsn);
        for (lsn, proposal, _) in behind.collect::<Vec<_>>() {
            self.may_apply(id, lsn, proposal);
        }
        self.input(id, Input::Applied(lsn));
    }

    /// Checks what the replica shows, and notes what it says as a leader.
    fn look(&mut self, id: ReplicaId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        self.checks.look(node);
        let Some((next, empties, settled)) = node.replica.leading() else { return };
        let leader = node.replica.role().1;
        let said = self.said.entry(leader).or_insert_with(|| Said {
            lineage: node.replica.lineage().clone(),
            records: BTreeMap::new(),
            settled: TailBitmap::new(),
            shown: settled.clone(),
        });
        said.settled = settled.clone();
        let from = said.records.keys().next_back().map_or(0, |lsn| lsn.0 + 1);
        let records = (from..next.0).filter_map(|lsn| node.replica.shared_record(Lsn(lsn)));
        said.records.extend(records.map(|record| (record.lsn, record)));
        if node.leads == Some(leader) {
            return;
        }
        node.leads = Some(leader);
        let show = |lsn| match said.records.get(&lsn) {
            Some(r) if r.payload == Payload::Void => format!("{lsn}:void by {}", r.author),
            Some(record) => format!("{lsn}:by {}", record.author),
            None if empties.contains(lsn) => format!("{lsn}:empty"),
            None if lsn < node.replica.purged() => format!("{lsn}:purged"),
            None => format!("{lsn}:?"),
        };
        let log: Vec<String> = (0..next.0).map(|lsn| show(Lsn(lsn))).collect();
        self.say(format!("{leader} leads; log [{}]", log.join(", ")));
    }
}

fn reject(reason: Rejection) -> String {
    match reason {
        Rejection::NotLeader { hint: Some(hint) } => format!("ask {hint}"),
        Rejection::NotLeader { hint: None } => "no leader is known".to_string(),
        other => other.to_string(),
    }
}

/// `{0 1 5}`.
pub(super) fn set(positions: impl Iterator<Item = Lsn>) -> String {
    format!("{{{}}}", positions.map(|lsn| lsn.to_string()).collect::<Vec<_>>().join(" "))
}
