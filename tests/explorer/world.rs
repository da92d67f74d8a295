//! Replicas, their disks, a bag of messages, and chance.

use crate::apply::Applying;
use crate::checks::Checks;
use crate::disk::{Disk, Snapshot};
use crate::reads::body;
use traft::base::*;
use traft::message::Envelope;
use traft::replica::*;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) replicas: u64,
    /// 0 none, 1 loss and duplication, 2 crashes too, 3 and many of them.
    pub(crate) faults: u64,
    pub(crate) keys: u64,
    pub(crate) steps: u64,
    /// Whether the membership is changed; quorums are then of different sizes too.
    pub(crate) membership: bool,
    /// Whether replicas take snapshots, purge, and send their snapshots to each other.
    pub(crate) snapshots: bool,
    /// Whether disks lose what they had, one at a time.
    pub(crate) losses: bool,
    /// Whether replicas acknowledge to all.
    pub(crate) hearing: bool,
}

pub(crate) struct Node {
    replica: Replica,
    pub(crate) disk: Disk,
    writes: Vec<Write>,
    pub(crate) applying: Vec<Applying>,
}

/// One run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    random: u64,
    initial: Membership,
    pub(crate) nodes: Vec<Node>,
    net: Vec<Envelope>,
    /// Snapshots on their way.
    moving: Vec<(usize, Snapshot)>,
    next: u64,
    requests: Vec<u64>,
    pub(crate) checks: Checks,
    calm: bool,
}

pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl World {
    pub(crate) fn new(plan: Plan, seed: u64) -> World {
        let mut world = World {
            plan,
            random: mix(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1)),
            initial: Membership::majority([]),
            nodes: Vec::new(),
            net: Vec::new(),
            moving: Vec::new(),
            next: 0,
            requests: Vec::new(),
            checks: Checks::new(plan, seed),
            calm: false,
        };
        world.initial = match plan.membership {
            true => world.draw_membership(),
            false => Membership::majority((1..=plan.replicas).map(ReplicaId)),
        };
        for id in 1..=plan.replicas {
            let replica = world.start(id, Durable::default());
            let disk = Disk::default();
            world.nodes.push(Node { replica, disk, writes: Vec::new(), applying: Vec::new() });
        }
        world
    }

    pub(crate) fn settled_records(&self) -> usize {
        self.checks.settled_records()
    }

    pub(crate) fn elections(&self) -> usize {
        self.checks.elections()
    }

    pub(crate) fn snapshots_restored(&self) -> usize {
        self.checks.snapshots_restored()
    }

    pub(crate) fn losses(&self) -> usize {
        self.checks.losses()
    }

    pub(crate) fn reads_served(&self) -> usize {
        self.checks.reads_served()
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..self.plan.steps {
            self.step();
        }
        self.heal();
        let replicas: Vec<&Replica> = self.nodes.iter().map(|n| &n.replica).collect();
        self.checks.finish(&replicas);
    }

    pub(crate) fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.random) % below.max(1)
    }

    fn draw_membership(&mut self) -> Membership {
        let mut voters = Vec::new();
        while voters.is_empty() {
            voters = (1..=self.plan.replicas).filter(|_| self.draw(5) < 3).collect();
        }
        let n = voters.len() as u64;
        let write = 1 + self.draw(n) as usize;
        let others = (1..=self.plan.replicas).filter(|id| !voters.contains(id));
        let learners = others.filter(|_| self.draw(2) == 0).map(ReplicaId).collect();
        let voters = voters.iter().copied().map(ReplicaId);
        Membership { learners, ..Membership::flexible(voters, n as usize + 1 - write, write) }
    }

    fn start(&mut self, id: u64, durable: Durable) -> Replica {
        let mut options = Options::new(ReplicaId(id), self.initial.clone());
        options.heartbeat_ticks = 2;
        options.election_ticks = 12;
        options.resend_ticks = 3;
        options.acknowledge_to_all = self.plan.hearing;
        options.behind_positions_max = self.draw(4);
        options.seed = self.draw(u64::MAX);
        options.forwarding = self.draw(2) == 0;
        options.overriding = self.draw(5) > 0;
        if self.draw(3) == 0 {
            options.vote_bytes_max = 100;
            options.message_bytes_max = 150;
        }
        if self.draw(4) == 0 {
            options.in_flight_bytes_max = 200;
        }
        if self.draw(3) == 0 {
            options.log_bytes_max = 400;
        }
        Replica::new(options, durable)
    }

    fn step(&mut self) {
        let at = self.draw(self.nodes.len() as u64) as usize;
        if self.plan.snapshots && self.draw(12) == 0 {
            return self.move_snapshots(at);
        }
        let crash = [0, 0, 2, 6][self.plan.faults as usize];
        match self.draw(1000) {
            0..500 => self.deliver(),
            500..640 => self.input(at, Input::Tick),
            640..760 => self.propose(at),
            760..790 => self.read(at),
            790..880 => self.persist(at),
            880..960 => self.apply(at),
            960..966 => self.input(at, Input::Campaign),
            966..970 => {
                let to = match self.draw(3) {
                    0 => Some(ReplicaId(1 + self.draw(self.nodes.len() as u64))),
                    _ => None,
                };
                self.input(at, Input::Transfer { to });
            }
            970..980 if self.plan.membership => {
                let membership = self.draw_membership();
                let (proposal, force) = (self.number(), self.draw(2) == 0);
                let request = self.draw(self.next) + 1;
                self.requests.push(request);
                if self.draw(4) == 0 {
                    let pick = self.draw(self.requests.len() as u64) as usize;
                    let request = self.requests[pick];
                    return self.input(at, Input::CancelChange { proposal, request });
                }
                self.input(at, Input::Change { proposal, request, membership, force });
            }
            x if x >= 1000 - crash => self.crash(at),
            _ => self.deliver(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn draw_keys(&mut self) -> Vec<Key> {
        let keys = self.plan.keys;
        let mut set = Vec::new();
        while set.is_empty() {
            set = (0..keys).filter(|_| self.draw(2) == 0).collect();
        }
        set.into_iter().map(|k| Key::from(vec![b'a' + k as u8])).collect()
    }

    fn propose(&mut self, at: usize) {
        let keys = self.draw_keys();
        let set = KeySet::from_parts(keys, []);
        let footprint = match self.draw(4) {
            0 => Footprint { reads: KeySet::from_parts(self.draw_keys(), []), writes: set },
            1 => Footprint::update(set),
            _ => Footprint::write(set),
        };
        let proposal = self.number();
        let command = Command { footprint, body: body(proposal) };
        self.checks.proposed(proposal, &command);
        self.input(at, Input::Propose { proposal, command });
    }

    fn read(&mut self, at: usize) {
        let keys = self.draw_keys();
        let read = self.number();
        self.checks.asked(read, &keys);
        let footprint = Footprint::read(KeySet::from_parts(keys, []));
        // A lease is of no use here: no time is kept.
        let level = match self.draw(2) {
            0 => ReadLevel::Confirmed,
            _ => ReadLevel::Here,
        };
        self.input(at, Input::Read { read, footprint, level });
    }

    fn deliver(&mut self) {
        if self.net.is_empty() {
            return;
        }
        let at = self.draw(self.net.len() as u64) as usize;
        let fate = if self.calm || self.plan.faults == 0 { 99 } else { self.draw(100) };
        let envelope = match fate {
            0..10 => return drop(self.net.swap_remove(at)),
            10..18 => self.net[at].clone(),
            _ => self.net.swap_remove(at),
        };
        let to = (envelope.to.0 - 1) as usize;
        self.input(to, Input::Receive(Box::new(envelope)));
    }

    fn persist(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.writes.is_empty() {
            return;
        }
        let write = node.writes.remove(0);
        let number = write.number;
        node.disk.write(write);
        self.input(at, Input::Persisted(number));
    }

    /// Snapshots come and go at any time, wanted or not.
    fn move_snapshots(&mut self, at: usize) {
        match self.draw(3) {
            0 => self.snapshot(at),
            1 => self.arrive(),
            _ => {
                let to = ReplicaId(1 + self.draw(self.nodes.len() as u64));
                if to.0 as usize != at + 1 {
                    self.send_snapshot(at, to, Lsn::ZERO);
                }
            }
        }
    }

    /// Takes a snapshot, and may purge what it has done.
    fn snapshot(&mut self, at: usize) {
        let meta = self.nodes[at].replica.snapshot_meta();
        let state = self.checks.state(at);
        self.nodes[at].disk.keep(meta.clone(), state);
        if self.draw(3) > 0 {
            let below = Lsn(meta.done.offset().0.saturating_sub(self.draw(3)));
            self.nodes[at].disk.purge(below);
            self.input(at, Input::Purge(below));
        }
    }

    /// A snapshot has come to where it was sent.
    fn arrive(&mut self) {
        if self.moving.is_empty() {
            return;
        }
        let pick = self.draw(self.moving.len() as u64) as usize;
        let (to, snapshot) = match self.draw(4) {
            0 if !self.calm => self.moving[pick].clone(),
            _ => self.moving.swap_remove(pick),
        };
        let meta = Box::new(snapshot.0.clone());
        self.nodes[to].disk.aside.push(snapshot);
        self.input(to, Input::Install(meta));
    }

    /// Sends the durable snapshot, or a new one if that has not done enough.
    fn send_snapshot(&mut self, from: usize, to: ReplicaId, below: Lsn) {
        let enough = |meta: &SnapshotMeta| meta.done.offset() >= below;
        if !self.nodes[from].disk.durable.snapshot.as_deref().is_some_and(enough) {
            let meta = self.nodes[from].replica.snapshot_meta();
            let state = self.checks.state(from);
            self.nodes[from].disk.keep(meta, state);
        }
        let disk = &self.nodes[from].disk;
        let Some(meta) = &disk.durable.snapshot else { return };
        self.moving.push(((to.0 - 1) as usize, ((**meta).clone(), disk.state.clone())));
    }

    /// Part of the writes that are out may have become durable; the rest is lost with memory.
    fn crash(&mut self, at: usize) {
        let kept = self.draw(self.nodes[at].writes.len() as u64 + 1) as usize;
        let node = &mut self.nodes[at];
        for write in node.writes.drain(..).take(kept) {
            node.disk.write(write);
        }
        node.applying.clear();
        self.lose(at);
        let node = &mut self.nodes[at];
        node.disk.wake();
        let durable = node.disk.durable();
        self.checks.crashed(at, &node.disk.state);
        self.nodes[at].replica = self.start(at as u64 + 1, durable);
        self.outputs(at);
    }

    pub(crate) fn input(&mut self, at: usize, input: Input) {
        self.checks.trace(at, &input);
        self.nodes[at].replica.handle(input);
        self.outputs(at);
    }

    fn outputs(&mut self, at: usize) {
        let mut outputs = Vec::new();
        let mut loaded = Vec::new();
        let (mut asked, mut own, mut executed) = (Vec::new(), None, Vec::new());
        self.nodes[at].replica.drain(&mut outputs);
        self.checks.look(at, &self.nodes[at].replica);
        for output in outputs {
            let node = &mut self.nodes[at];
            match output {
                Output::Send(envelope) => self.net.push(*envelope),
                Output::Persist(write) => node.writes.push(*write),
                Output::Apply(tasks) => {
                    for Task { lsn, proposal, after } in tasks {
                        let record = node.replica.shared_record(lsn);
                        let record = record.expect("held until it is applied");
                        node.applying.push(Applying { record, proposal, after });
                    }
                }
                Output::Settled { proposal } => self.checks.acknowledged(proposal),
                Output::ReadReady { read } => executed.extend(self.serve(at, read)),
                Output::Load(positions) => {
                    let records = positions.iter().filter_map(|l| node.disk.records.get(&l));
                    loaded.extend(records.cloned());
                }
                Output::SendSnapshot { to, below } => asked.push((to, below)),
                Output::TakeSnapshot { below } => own = Some(below),
                Output::Restore(meta) => {
                    assert!(
                        node.applying.is_empty(),
                        "a state is replaced under a running command"
                    );
                    let found = node.disk.aside.iter().find(|(aside, _)| *aside == *meta);
                    let (_, state) = found.expect("a replica restores only what it was offered");
                    self.checks.restored(at, state);
                }
                _ => {}
            }
        }
        self.executed(at, executed);
        asked.into_iter().for_each(|(to, below)| self.send_snapshot(at, to, below));
        if !loaded.is_empty() {
            self.input(at, Input::Loaded(Records::gather(&loaded)));
        }
        if let Some(below) = own {
            let meta = self.nodes[at].replica.snapshot_meta();
            let state = self.checks.state(at);
            self.nodes[at].disk.keep(meta, state);
            self.nodes[at].disk.purge(below);
            self.input(at, Input::Purge(below));
        }
    }

    /// Faults stop; every disk and every worker is quick; then everything must be done everywhere.
    fn heal(&mut self) {
        self.calm = true;
        for round in 0..4000 {
            for at in 0..self.nodes.len() {
                while !self.nodes[at].writes.is_empty() {
                    self.persist(at);
                }
                while !self.nodes[at].applying.is_empty() {
                    self.apply(at);
                }
                self.input(at, Input::Tick);
            }
            while !self.net.is_empty() {
                self.deliver();
            }
            while !self.moving.is_empty() {
                self.arrive();
            }
            if round % 8 == 0 && self.all_done() {
                return;
            }
        }
        let show = |n: &Node| {
            let r = &n.replica;
            let lead =
                r.leading().map(|(next, e, s)| format!("leads: next {next} empty {e} settled {s}"));
            let force: Vec<String> = r.memberships().iter().map(|m| m.to_string()).collect();
            let log: Vec<String> = (0..r.accepted().end().0)
                .filter_map(|l| r.record(Lsn(l)))
                .map(|r| r.to_string())
                .collect();
            format!(
                "{} {:?} accepted {} settled {} done {} {lead:?} {force:?}\n   {}",
                r.id(),
                r.role(),
                r.accepted(),
                r.settled(),
                r.done(),
                log.join(" ")
            )
        };
        let shown: Vec<String> = self.nodes.iter().map(show).collect();
        self.checks.fail(&format!("I-12 not everything is done:\n{}", shown.join("\n")));
    }

    /// There is one leader, and every replica that counts has done its whole log.
    fn all_done(&self) -> bool {
        let leader = self.nodes.iter().filter(|n| n.replica.leading().is_some());
        let Some(leader) = leader.max_by_key(|n| n.replica.role().1) else { return false };
        let Some((next, ..)) = leader.replica.leading() else { return false };
        let mut voters: Vec<ReplicaId> =
            leader.replica.memberships().iter().flat_map(Membership::voters).collect();
        voters.push(leader.replica.id());
        leader.replica.memberships().len() == 1
            && self.nodes.iter().all(|node| node.replica.doubt().is_none())
            && voters.iter().all(|id| {
                let done = self.nodes[id.0 as usize - 1].replica.done();
                done.offset() >= next
            })
    }
}
