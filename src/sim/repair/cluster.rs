//! Three replicas, each with its log and snapshots on a simulated disk, in one thread. What is sent
//! arrives at once, in order; what is written is synced at once.

use crate::apply::Machine;
use crate::apply::kv::{Kv, Op};
use crate::base::{Command, KeyRange, Lsn, Membership, ReplicaId};
use crate::disk::SimDisk;
use crate::message::{Envelope, Message};
use crate::replica::{self, Input, Output, Replica};
use crate::snapshot::{Parcel, Snapshot, SnapshotError};
use crate::store::{Heard, Home, Options, StoreError};
use crate::wal::{Identity, Recovered, WalError, WalOptions};
use std::collections::{BTreeSet, VecDeque};

pub(super) const REPLICAS: usize = 3;

/// In so many ticks everything must be as it should be.
const TICKS_MAX: u64 = 600;

/// Whose disk it is.
pub(super) fn identity(at: usize) -> Identity {
    Identity { cluster: 0x7261_6674, replica: ReplicaId(at as u64 + 1) }
}

/// All of them, by majority.
pub(super) fn members() -> Membership {
    Membership::majority((1..=REPLICAS as u64).map(ReplicaId))
}

struct Node {
    replica: Replica,
    home: Home<SimDisk>,
    machine: Kv,
    recovered: Recovered,
    doubted: bool,
    up: bool,
}

/// The replicas and what is on the way between them.
pub(super) struct Cluster {
    nodes: Vec<Node>,
    net: VecDeque<Box<Envelope>>,
    parcels: VecDeque<Parcel>,
    next: u64,
    /// Proposals that were answered as done.
    pub(super) answered: BTreeSet<u64>,
    /// What somebody said who must not, or what failed.
    wrong: Option<(u32, String)>,
}

fn load(snapshot: &Snapshot<SimDisk>) -> Result<Kv, SnapshotError> {
    snapshot.range(&KeyRange::ALL).collect()
}

fn options() -> Options {
    let mut options = Options::new(members());
    options.wal = WalOptions { segment_bytes: 4 << 10, ..WalOptions::default() };
    options
}

impl Node {
    fn open(disk: &SimDisk, at: usize, seed: u64, careful: bool) -> Result<Node, StoreError> {
        match Home::create(disk.clone(), identity(at), options()) {
            Ok(_) | Err(StoreError::Log(WalError::NotEmpty)) => {}
            Err(error) => return Err(error),
        }
        let opened = Home::open(disk.clone(), identity(at), options(), load)?;
        let mut options = replica::Options::new(identity(at).replica, members());
        options.heartbeat_ticks = 2;
        options.election_ticks = 10;
        options.resend_ticks = 3;
        options.seed = seed ^ at as u64;
        let mut durable = opened.recovered.durable.clone();
        if !careful {
            durable.doubt = None;
        }
        Ok(Node {
            replica: Replica::new(options, durable),
            home: opened.home,
            machine: opened.state.unwrap_or_default(),
            doubted: opened.recovered.durable.doubt.is_some(),
            recovered: opened.recovered,
            up: true,
        })
    }
}

impl Cluster {
    /// Starts all from what is on the disks. Those that are not careful do not care for a doubt.
    pub(super) fn open(disks: &[SimDisk], seed: u64, careful: bool) -> Result<Cluster, String> {
        let mut nodes = Vec::new();
        for (at, disk) in disks.iter().enumerate() {
            let opened = Node::open(disk, at, seed, careful);
            nodes.push(opened.map_err(|error| format!("n{} does not start: {error}", at + 1))?);
        }
        let (net, parcels) = Default::default();
        let answered = BTreeSet::new();
        let mut cluster = Cluster { nodes, net, parcels, next: 0, answered, wrong: None };
        (0..disks.len()).for_each(|at| cluster.carry_out(at));
        Ok(cluster)
    }

    pub(super) fn recovered(&self, at: usize) -> &Recovered {
        &self.nodes[at].recovered
    }

    pub(super) fn was_in_doubt(&self, at: usize) -> bool {
        self.nodes[at].doubted
    }

    pub(super) fn machine(&self, at: usize) -> &Kv {
        &self.nodes[at].machine
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |n: &&Node| n.up && n.replica.leading().is_some();
        let leader = self.nodes.iter().filter(leads).max_by_key(|n| n.replica.voted())?;
        Some(leader.replica.id().0 as usize - 1)
    }

    /// Cuts a replica off, or brings it back.
    pub(super) fn set_up(&mut self, at: usize, up: bool) {
        self.nodes[at].up = up;
    }

    /// What a leader is asked, if there is one; gives the number of the proposal.
    pub(super) fn propose(&mut self, op: &Op<'_>) -> Option<u64> {
        let command = op.command();
        self.ask(|proposal| Input::Propose { proposal, command: Command::clone(&command) })
    }

    pub(super) fn ask(&mut self, input: impl FnOnce(u64) -> Input) -> Option<u64> {
        let leader = self.leader()?;
        self.next += 1;
        let input = input(self.next);
        self.input(leader, input);
        self.deliver();
        Some(self.next)
    }

    /// Time passes.
    pub(super) fn tick(&mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].up {
                let mut answers = Vec::new();
                let ticked = self.nodes[at].home.tick(&mut answers);
                self.check(at, ticked);
                self.parcels.extend(answers);
                self.input(at, Input::Tick);
            }
        }
        self.deliver();
    }

    /// Waits until somebody leads, nobody is in doubt and everybody has done everything.
    pub(super) fn settle(&mut self) -> Result<u64, (u32, String)> {
        for ticks in 0..TICKS_MAX {
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
            if self.is_settled() {
                return Ok(ticks);
            }
            self.tick();
        }
        let show = |node: &Node| {
            let replica = &node.replica;
            let (done, doubt) = (replica.done(), replica.doubt());
            format!("{} {:?} done {done} doubt {doubt:?}", replica.id(), replica.role())
        };
        let nodes: Vec<String> = self.nodes.iter().map(show).collect();
        Err((3, format!("not settled after {TICKS_MAX} ticks: {}", nodes.join("; "))))
    }

    fn is_settled(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let Some((next, ..)) = self.nodes[leader].replica.leading() else { return false };
        let fine = |node: &Node| {
            node.replica.doubt().is_none()
                && node.replica.done().offset() >= next
                && node.replica.lineage().leader() == self.nodes[leader].replica.voted()
        };
        self.nodes.iter().filter(|node| node.up).all(fine)
    }

    /// A command that comes now is done everywhere.
    pub(super) fn propose_and_settle(&mut self) -> Result<String, (u32, String)> {
        let op = Op::Set { key: b"after", value: b"all" };
        let proposal = self.propose(&op).ok_or((5, "nobody leads".to_string()))?;
        self.settle()?;
        if !self.answered.contains(&proposal) {
            return Err((5, "a new command was not answered".into()));
        }
        // What was repaired is safe in a snapshot of its own.
        (0..self.nodes.len()).for_each(|at| self.snapshot(at));
        self.wrong.take().map_or(Ok("a new command".into()), Err)
    }

    fn check<T>(&mut self, at: usize, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|error| self.fail(5, format!("the store of n{}: {error}", at + 1))).ok()
    }

    fn fail(&mut self, clause: u32, what: String) {
        self.wrong.get_or_insert((clause, what));
    }

    fn input(&mut self, at: usize, input: Input) {
        self.nodes[at].replica.handle(input);
        self.carry_out(at);
    }

    fn deliver(&mut self) {
        loop {
            if let Some(envelope) = self.net.pop_front() {
                let (from, to) = (envelope.from.0 as usize - 1, envelope.to.0 as usize - 1);
                if self.nodes[to].up && self.nodes[from].up {
                    self.input(to, Input::Receive(envelope));
                }
            } else if let Some(parcel) = self.parcels.pop_front() {
                self.hear(parcel);
            } else {
                return;
            }
        }
    }

    fn hear(&mut self, parcel: Parcel) {
        let (from, to) = (parcel.from.0 as usize - 1, parcel.to.0 as usize - 1);
        if !self.nodes[to].up || !self.nodes[from].up {
            return;
        }
        let mut answers = Vec::new();
        let node = &mut self.nodes[to];
        let done = node.replica.done().clone();
        let heard = node.home.hear(parcel, &done, &mut answers);
        self.parcels.extend(answers);
        match self.check(to, heard) {
            Some(Heard::Arrived(meta)) => self.input(to, Input::Install(meta)),
            Some(Heard::Known) => self.snapshot(to),
            Some(Heard::Nothing) | None => {}
        }
    }

    /// Takes a snapshot of what `at` has now, if that is longer than the one there.
    pub(super) fn snapshot(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let meta = node.replica.snapshot_meta();
        let taken = node.home.take(&meta).and_then(|draft| match draft {
            Some(draft) => {
                let frozen = node.machine.freeze();
                let written = draft.write(frozen.iter().flat_map(|frozen| frozen.pairs()));
                drop(frozen);
                node.home.taken(written)
            }
            None => Ok(None),
        });
        if let Some(below) = self.check(at, taken).flatten() {
            self.input(at, Input::Purge(below));
        }
    }

    fn carry_out(&mut self, at: usize) {
        let (mut outputs, mut inputs) = (Vec::new(), Vec::new());
        let (mut offers, mut own): (Vec<(ReplicaId, Lsn)>, bool) = (Vec::new(), false);
        self.nodes[at].replica.drain(&mut outputs);
        for output in outputs {
            let node = &mut self.nodes[at];
            match output {
                Output::Send(envelope) => {
                    if node.replica.doubt().is_some() && is_forbidden(&envelope.message) {
                        let what = format!("n{} says {:?} in doubt", at + 1, envelope.message);
                        self.fail(2, what);
                    }
                    self.net.push_back(envelope);
                }
                Output::Persist(write) => {
                    let synced = node.home.append(&write).and_then(|()| node.home.sync());
                    inputs.extend(self.check(at, synced).map(Input::Persisted));
                }
                Output::Apply(tasks) => {
                    for task in tasks {
                        if let Some(command) = node.replica.command(task.lsn) {
                            node.machine.apply(&command.body);
                        }
                        inputs.push(Input::Applied(task.lsn));
                        self.answered.extend(task.proposal);
                    }
                }
                Output::Settled { proposal } => {
                    self.answered.insert(proposal);
                }
                Output::Load(positions) => {
                    let loaded = node.home.load(&positions);
                    inputs.extend(
                        self.check(at, loaded).map(|records| Input::Loaded(records.into())),
                    );
                }
                Output::SendSnapshot { to, below } => offers.push((to, below)),
                Output::TakeSnapshot { .. } => own = true,
                Output::Restore(meta) => match node.home.state(&meta.done).map(|s| load(s)) {
                    Some(Ok(state)) => node.machine = state,
                    other => self.fail(5, format!("n{} cannot restore: {other:?}", at + 1)),
                },
                _ => {}
            }
        }
        inputs.into_iter().for_each(|input| self.input(at, input));
        if own {
            self.snapshot(at);
        }
        for (to, below) in offers {
            if self.nodes[at].home.snapshot().is_none_or(|own| own.header().done.offset() < below) {
                self.snapshot(at);
            }
            self.parcels.extend(self.nodes[at].home.offer(to, below));
        }
    }
}

/// What nobody may say in doubt.
fn is_forbidden(message: &Message) -> bool {
    match message {
        Message::Vote(_) | Message::PreVote(_) | Message::Replicate(_) => true,
        Message::VoteReply(reply) => reply.grant.is_some(),
        Message::PreVoteReply(reply) => reply.granted,
        _ => false,
    }
}
