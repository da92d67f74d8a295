//! The event loop.

mod faults;
mod service;
mod transfer;

use super::clients::Clients;
use super::disk::{Disk, sync_time};
use super::net::{Arrived, Links, Wire};
use super::queue::Queue;
use super::sides::{Audit, Effect, Input, Replica};
use super::workers::Workers;
use super::{Finish, LeaderChange, Outcome, ReplicaEnd, Spec, Time};
use crate::apply::Machine;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use transfer::Transfers;

/// What can happen.
#[derive(Debug)]
enum Event {
    /// A unit of time has passed at every replica.
    Tick,
    /// The leader of the spec campaigns, before the load.
    Elect,
    /// An open load has an operation due.
    Issue,
    /// A client that travels comes to a replica with its operation.
    HandIn { op: u32, replica: u32 },
    /// A client that travelled is back with its answer.
    Back { op: u32 },
    /// The next act of the script is due.
    Act,
    /// Something on a link.
    Wire(Wire),
    /// The replica has come to the message at the head of its inbox (only with CPU time).
    Handle { replica: u32, life: u32 },
    /// A sync has ended.
    Synced { replica: u32, life: u32 },
    /// The next piece of a state is due at its sender.
    Piece { replica: u32, life: u32 },
    /// All of a state has arrived.
    State { from: u32, to: u32, life: u32 },
    /// A command has been executed that cost something.
    Executed { replica: u32, life: u32, job: Box<Job> },
}

/// Something that an apply worker does.
#[derive(Debug)]
struct Job {
    /// The number to report to the replica; none for a read.
    number: Option<u64>,
    /// Who waits for the result.
    op: Option<usize>,
    body: Bytes,
}

/// A replica and what belongs to it.
struct Node<R: Replica> {
    /// Absent while crashed.
    replica: Option<R>,
    /// Present while crashed.
    left: Option<R::Disk>,
    /// Rises with each crash, so that events of an earlier life are ignored.
    life: u32,
    /// The state, if the spec wants one; it is volatile.
    machine: Option<Box<dyn Machine>>,
    disk: Disk,
    workers: Workers<Job>,
    /// They execute reads, if the workers do not.
    readers: Option<Workers<Job>>,
    /// When it has handled all that it was given.
    busy_until: Time,
    inbox: std::collections::VecDeque<Arrived<R::Message>>,
    transfers: Transfers<R::Message>,
}

impl<R: Replica> Node<R> {
    /// The next job that somebody is free for.
    fn begin(&mut self) -> Option<(Time, Job)> {
        self.workers.begin().or_else(|| self.readers.as_mut()?.begin())
    }

    /// Who does this job.
    fn pool(&mut self, job: &Job) -> &mut Workers<Job> {
        match &mut self.readers {
            Some(readers) if job.number.is_none() => readers,
            _ => &mut self.workers,
        }
    }
}

/// A run.
pub(super) struct World<'a, R: Replica> {
    spec: &'a Spec,
    /// Internal time of the start of the load.
    origin: Time,
    now: Time,
    queue: Queue<Event>,
    nodes: Vec<Node<R>>,
    audit: R::Audit,
    links: Links<R::Message>,
    clients: Clients,
    /// How many acts of the script are over.
    acts: usize,
    /// The membership that was asked for last.
    asked: usize,
    /// What executing a body costs, for those that cost something.
    costs: FxHashMap<Bytes, Time>,
    /// Replicas that have handled something and were not drained.
    dirty: BTreeSet<usize>,
    outcome: Outcome,
    effects: Vec<Effect<R::Message>>,
    arrived: Vec<Arrived<R::Message>>,
}

/// Runs `spec` with replicas of kind `R`.
pub(super) fn run<R: Replica>(spec: &Spec) -> Outcome {
    let mut world: World<'_, R> = World::new(spec);
    world.prepare();
    world.go();
    world.finish()
}

impl<'a, R: Replica> World<'a, R> {
    fn new(spec: &'a Spec) -> World<'a, R> {
        let origin = warm_up(spec);
        let mut audit = R::Audit::new(spec);
        let node = |(id, disk)| Node {
            replica: Some(R::start(spec, id, disk, &mut audit)),
            left: None,
            life: 0,
            machine: spec.machine.map(|new| new()),
            disk: Disk::default(),
            workers: Workers::new(R::workers(spec)),
            readers: R::readers(spec).map(Workers::new),
            busy_until: Time::ZERO,
            inbox: std::collections::VecDeque::new(),
            transfers: Transfers::default(),
        };
        let costly = spec.load.ops().filter(|op| op.cost > Time::ZERO);
        World {
            spec,
            origin,
            now: Time::ZERO,
            queue: Queue::new(),
            nodes: R::disks(spec).into_iter().enumerate().map(node).collect(),
            audit,
            links: Links::new(&spec.network, spec.link, spec.seed, origin, spec.replicas),
            clients: Clients::new(spec),
            acts: 0,
            asked: 0,
            costs: costly.map(|op| (op.command.body.clone(), op.cost)).collect(),
            dirty: BTreeSet::new(),
            outcome: Outcome::default(),
            effects: Vec::new(),
            arrived: Vec::new(),
        }
    }

    fn prepare(&mut self) {
        for away in &self.spec.away {
            self.isolate(*away, true);
        }
        if self.spec.leader.is_some() {
            self.queue.put(Time::ZERO, Event::Elect);
        }
        self.queue.put(self.spec.tick, Event::Tick);
        self.queue.put(self.origin, Event::Issue);
        if let Some((at, _)) = self.spec.script.first() {
            self.queue.put(self.origin + *at, Event::Act);
        }
    }

    fn go(&mut self) {
        let mut end = self.origin + self.spec.until;
        while let Some(at) = self.queue.next_at() {
            if at > end {
                break;
            }
            self.now = at;
            while self.queue.next_at() == Some(at) {
                if let Some((_, event)) = self.queue.take() {
                    self.outcome.events += 1;
                    self.happen(event);
                }
            }
            self.settle();
            self.outcome.violations.append(self.audit.violations());
            if !self.outcome.violations.is_empty() {
                return;
            }
            if self.is_over() {
                end = end.min(at + self.spec.linger);
                if end == at {
                    return;
                }
            }
        }
        self.now = end;
    }

    /// Whether nothing is left to wait for. A run without operations goes on to its end.
    fn is_over(&self) -> bool {
        !self.spec.load.is_empty()
            && self.acts == self.spec.script.len()
            && self.clients.are_done(&self.spec.load)
    }

    fn finish(mut self) -> Outcome {
        let end = |node: &Node<R>| {
            let replica = node.replica.as_ref()?;
            let state = node.machine.as_ref().map(|machine| machine.digest());
            Some(ReplicaEnd { done: replica.done(), state })
        };
        self.outcome.ends = self.nodes.iter().map(end).collect();
        self.outcome.violations.extend(same_states(&self.outcome.ends));
        (self.outcome.ops, self.outcome.answers) = self.clients.into_outcome();
        self.outcome.ended = self.now - self.origin;
        self.outcome.bytes = self.links.bytes;
        self.outcome
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick => {
                for replica in 0..self.nodes.len() {
                    self.give(replica, Input::Tick);
                    self.retry(replica);
                }
                self.queue.put(self.now + self.spec.tick, Event::Tick);
            }
            Event::Elect => {
                if let Some(leader) = self.spec.leader {
                    self.give(leader, Input::Campaign);
                }
            }
            Event::Issue => self.begin_load(),
            Event::HandIn { op, replica } => self.hand_in(op as usize, replica as usize),
            Event::Back { op } => self.done(op as usize),
            Event::Act => self.act(),
            Event::Wire(wire) => self.wire(wire),
            Event::Handle { replica, life } => self.handle_inbox(replica as usize, life),
            Event::Synced { replica, life } => self.synced(replica as usize, life),
            Event::Piece { replica, life } => self.piece(replica as usize, life),
            Event::State { from, to, life } => self.state(from as usize, to as usize, life),
            Event::Executed { replica, life, job } => {
                let replica = replica as usize;
                if self.nodes[replica].life == life {
                    self.nodes[replica].pool(&job).end();
                    self.executed(replica, *job);
                    self.execute(replica);
                }
            }
        }
    }

    /// Hands `input` to a replica, unless it is down.
    fn give(&mut self, replica: usize, input: Input<R::Message>) {
        if let Some(alive) = self.nodes[replica].replica.as_mut() {
            alive.handle(self.spec, input, &mut self.audit);
            self.dirty.insert(replica);
        }
    }

    /// Carries out what the replicas want done, until nothing more comes of it at this instant.
    fn settle(&mut self) {
        while let Some(replica) = self.dirty.pop_first() {
            let mut effects = std::mem::take(&mut self.effects);
            if let Some(alive) = self.nodes[replica].replica.as_mut() {
                alive.drain(self.spec, &mut effects, &mut self.audit);
            }
            for effect in effects.drain(..) {
                self.carry_out(replica, effect);
            }
            self.effects = effects;
        }
    }

    fn carry_out(&mut self, replica: usize, effect: Effect<R::Message>) {
        match effect {
            Effect::Send { to, message, bytes, records } => {
                if self.now >= self.origin {
                    self.outcome.messages += 1;
                    self.outcome.records_sent += records;
                }
                let queue = &mut self.queue;
                let mut later = |at, wire| queue.put(at, Event::Wire(wire));
                self.links.send(self.now, (replica, to), message, bytes, &mut later);
            }
            Effect::SendState { to, message, bytes } => {
                self.send_state((replica, to), message, bytes);
            }
            Effect::Persist(number) => {
                let Node { disk, life, .. } = &mut self.nodes[replica];
                let spec = self.spec;
                let due = disk.write(self.now, number, |begins| sync_time(spec, replica, begins));
                if due > self.now {
                    let event = Event::Synced { replica: replica as u32, life: *life };
                    self.queue.put(due, event);
                } else {
                    self.synced(replica, self.nodes[replica].life);
                }
            }
            Effect::Apply { number, body, op } => {
                if let Some(op) = op.filter(|_| self.spec.finish == Finish::Committed) {
                    self.answer(replica, op);
                }
                let cost = self.costs.get(&body).copied().unwrap_or_default();
                self.take_on(replica, cost, Job { number: Some(number), op, body });
            }
            Effect::Committed { op } => {
                let blind = self.spec.load.op(op).command.footprint.is_blind();
                if blind || self.spec.finish == Finish::Committed {
                    self.answer(replica, op);
                }
            }
            Effect::ReadReady { op } => {
                if self.spec.finish == Finish::Committed {
                    self.answer(replica, op);
                }
                let read = self.spec.load.op(op);
                let body = read.command.body.clone();
                self.take_on(replica, read.cost, Job { number: None, op: Some(op), body });
            }
            Effect::Refused { op, hint } => self.refused(replica, op, hint),
            Effect::Lost => self.outcome.unknown += 1,
            Effect::Leads { term } => {
                self.retry(replica);
                if self.now >= self.origin {
                    let at = self.now - self.origin;
                    self.outcome.leaders.push(LeaderChange { at, term, replica });
                } else {
                    self.outcome.term_before = self.outcome.term_before.max(term);
                }
            }
            Effect::Follows => self.retry(replica),
            Effect::Change(step) => self.changed(step),
            Effect::Campaigns => {
                if self.now >= self.origin {
                    self.outcome.campaigns.push((self.now - self.origin, replica));
                }
            }
        }
    }

    fn synced(&mut self, replica: usize, life: u32) {
        if self.nodes[replica].life != life {
            return;
        }
        if let Some(number) = self.nodes[replica].disk.durable(self.now) {
            self.give(replica, Input::Persisted(number));
        }
    }

    fn wire(&mut self, wire: Wire) {
        let queue = &mut self.queue;
        let mut later = |at, wire| queue.put(at, Event::Wire(wire));
        let mut arrived = std::mem::take(&mut self.arrived);
        self.links.happen(self.now, wire, &mut later, &mut arrived);
        for message in arrived.drain(..) {
            self.receive(message);
        }
        self.arrived = arrived;
    }

    fn receive(&mut self, Arrived { to, message }: Arrived<R::Message>) {
        if self.spec.cpu == Time::ZERO {
            self.give(to, Input::Receive { message });
            return;
        }
        let node = &mut self.nodes[to];
        if node.replica.is_some() {
            let takes = self.spec.paced(to, self.spec.cpu);
            node.busy_until = node.busy_until.max(self.now) + takes;
            node.inbox.push_back(Arrived { to, message });
            let event = Event::Handle { replica: to as u32, life: node.life };
            self.queue.put(node.busy_until, event);
        }
    }

    fn handle_inbox(&mut self, replica: usize, life: u32) {
        if self.nodes[replica].life != life {
            return;
        }
        if let Some(Arrived { message, .. }) = self.nodes[replica].inbox.pop_front() {
            self.give(replica, Input::Receive { message });
        }
    }
}

/// I-9, on the real machines: same done set, same state.
fn same_states(ends: &[Option<ReplicaEnd>]) -> Option<String> {
    let alive = ends.iter().enumerate().filter_map(|(id, end)| Some((id, end.as_ref()?)));
    let pairs: Vec<(usize, &ReplicaEnd)> = alive.collect();
    for (at, (id, end)) in pairs.iter().enumerate() {
        let differs =
            |other: &&(usize, &ReplicaEnd)| other.1.done == end.done && other.1.state != end.state;
        if let Some((other, _)) = pairs[..at].iter().find(differs) {
            let done = &end.done;
            return Some(format!("I-9 replicas {other} and {id} have done {done}, other states"));
        }
    }
    None
}

/// How long before the load the election is held: enough for several elections to fail, in whole
/// ticks, so that the clock of the load is the same for every protocol.
fn warm_up(spec: &Spec) -> Time {
    if spec.leader.is_none() {
        return Time::ZERO;
    }
    let least = spec.network.largest_rtt().scaled(10.0) + spec.election_timeout.scaled(3.0);
    Time(least.0.div_ceil(spec.tick.0) * spec.tick.0)
}
