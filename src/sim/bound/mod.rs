//! What no protocol can beat.
//!
//! A model of its own: it shares the spec and the dice of the weather with the world, and nothing
//! with any replica, link or event loop. In it there is one leader from the start and
//!
//! - a command is committed when the fastest majority holds it (the leader included) and what it
//!   depends on is settled: its latest interfering predecessors, blind writes that it writes over
//!   left out;
//! - every answer of a follower carries all that the follower holds, so that a later one stands in
//!   for one that was lost;
//! - unordered links: what was not answered after [`Spec::resend`] is sent again. Ordered links: a
//!   stream recovers by itself, and an answer or a command waits for what precedes it;
//! - a read is confirmed by a majority asked at or after its arrival, and sees every interfering
//!   command that was on its way when it came;
//! - an operation handed in at another replica travels to the leader and its answer travels back
//!   in the least time.
//!
//! Left out, so that it stays below everybody: bytes (egress and headers take no time), CPU, the
//! number of apply workers, ticks, elections, and the script. A side can come in below it only by
//! luck: it sends other packets, and so meets other dice.

mod deps;
mod link;

use super::weather::Weather;
use super::{Finish, Kind, LinkKind, Load, Spec, Time};
use deps::{Deps, Step};
use link::{Link, Packet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The least latency of each operation; `None` where it is not finished at [`Spec::until`] or
/// there is no leader.
pub(super) fn bound(spec: &Spec, kind: LinkKind) -> Vec<Option<Time>> {
    match spec.leader {
        Some(leader) => Model::new(spec, kind, leader).run(),
        None => vec![None; spec.load.len()],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Operations are due.
    Issue,
    /// An operation reaches the leader.
    Reach(usize),
    /// A packet of a link arrives, or a lost one of a stream is noticed.
    Packet(usize, link::Event),
    /// What a follower has received at some instant is durable.
    Held(usize),
    /// An operation is durable at the leader.
    Own(usize),
    /// An operation was not answered in time.
    Late(usize),
    /// A command that costs something has been executed.
    Executed(usize),
}

/// What the leader and a follower know of each other.
#[derive(Debug, Default)]
struct Follower {
    /// What it holds, in order of arrival.
    received: Vec<usize>,
    seen: Vec<bool>,
    /// How many of those are durable, and when the others will be.
    durable: Vec<(Time, usize)>,
    /// The latest send time among the packets that have come.
    asked: Option<Time>,
    /// It has something to answer at this instant.
    answers: bool,
    /// What the leader will send at this instant: operations, and whether it asks anyhow.
    outgoing: Vec<usize>,
    asks: bool,
    /// How many of `received` the leader has heard of.
    heard: usize,
    /// The latest question that it has answered.
    confirmed: Option<Time>,
}

struct Model<'a> {
    spec: &'a Spec,
    leader: usize,
    /// Followers needed besides the leader.
    need: usize,
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    puts: u64,
    /// To each follower, then from each.
    links: Vec<Link>,
    followers: Vec<Follower>,
    /// When each operation issued so far was.
    issued: Vec<Time>,
    finished: Vec<Option<Time>>,
    unfinished: usize,
    /// Per operation: how many followers have it, as far as the leader knows.
    holders: Vec<usize>,
    own: Vec<bool>,
    deps: Deps,
    /// Reads that are not confirmed: operation and when the leader got it.
    reads: Vec<(usize, Time)>,
}

impl<'a> Model<'a> {
    fn new(spec: &'a Spec, kind: LinkKind, leader: usize) -> Model<'a> {
        let n = spec.replicas;
        let weather = Weather::new(spec.seed, &spec.network);
        let link = |from, to| Link::new(kind, weather.clone(), &spec.network, (from, to));
        let there = (0..n).map(|to| link(leader, to));
        let back = (0..n).map(|from| link(from, leader));
        let ops = spec.load.len();
        Model {
            spec,
            leader,
            need: n / 2,
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            puts: 0,
            links: there.chain(back).collect(),
            followers: (0..n).map(|_| Follower::default()).collect(),
            issued: Vec::with_capacity(ops),
            finished: vec![None; ops],
            unfinished: 0,
            holders: vec![0; ops],
            own: vec![false; ops],
            deps: Deps::new(ops),
            reads: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Option<Time>> {
        self.put(Time::ZERO, Event::Issue);
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            if at > self.spec.until {
                break;
            }
            self.now = at;
            self.happen(event);
            let next = self.queue.peek().map(|Reverse((next, _, _))| *next);
            if next != Some(at) {
                self.end_instant();
            }
        }
        let latency = |(finished, issued): (&Option<Time>, &Time)| finished.map(|f| f - *issued);
        let mut latencies: Vec<Option<Time>> =
            self.finished.iter().zip(&self.issued).map(latency).collect();
        latencies.resize(self.spec.load.len(), None);
        latencies
    }

    fn put(&mut self, at: Time, event: Event) {
        self.puts += 1;
        self.queue.push(Reverse((at, self.puts, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Issue => self.issue(),
            Event::Reach(op) => self.reach(op),
            Event::Packet(link, event) => self.packet(link, event),
            Event::Held(follower) => {
                self.followers[follower].answers = true;
            }
            Event::Own(op) => {
                self.own[op] = true;
                self.count(op);
            }
            Event::Late(op) => self.late(op),
            Event::Executed(op) => {
                self.finish(op);
                let steps = self.deps.executed(op);
                self.take(steps);
            }
        }
    }

    /// Issues what is due.
    fn issue(&mut self) {
        loop {
            let op = self.issued.len();
            let due = match &self.spec.load {
                Load::Open { ops } => match ops.get(op) {
                    Some((at, _)) if *at > self.now => {
                        self.put(*at, Event::Issue);
                        return;
                    }
                    next => next.is_some(),
                },
                // As if all sites shared one loop: no scenario asks for more.
                Load::Closed { depth, ops } | Load::Sites { depth, ops } => {
                    op < ops.len() && self.unfinished < *depth
                }
            };
            if !due {
                return;
            }
            self.issued.push(self.now);
            self.unfinished += 1;
            let site = self.spec.load.op(op).site;
            if site == self.leader {
                self.reach(op);
            } else {
                self.put(self.now + self.spec.network.one_way[site][self.leader], Event::Reach(op));
            }
        }
    }

    /// An operation is at the leader: the followers get it, or are asked.
    fn reach(&mut self, op: usize) {
        let issued = self.spec.load.op(op);
        match issued.kind {
            Kind::Write => {
                self.deps.place(op, &issued.command.footprint);
                for follower in self.others() {
                    self.followers[follower].outgoing.push(op);
                }
                self.put(self.now + self.spec.sync_delay, Event::Own(op));
            }
            Kind::Read => {
                self.deps.read(op, &issued.command.footprint);
                self.reads.push((op, self.now));
                for follower in self.others() {
                    self.followers[follower].asks = true;
                }
                self.confirm_reads();
            }
        }
        self.put(self.now + self.spec.resend, Event::Late(op));
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let leader = self.leader;
        (0..self.followers.len()).filter(move |follower| *follower != leader)
    }

    /// Nothing waits within an instant: what came at it is answered and passed on together.
    fn end_instant(&mut self) {
        for follower in self.others() {
            let link = &mut self.followers[follower];
            if !link.outgoing.is_empty() || std::mem::take(&mut link.asks) {
                link.asks = false;
                let ops = std::mem::take(&mut link.outgoing);
                let packet = Packet::Question { ops, sent: self.now };
                self.send(follower, packet);
            }
            let link = &mut self.followers[follower];
            if std::mem::take(&mut link.answers) {
                let now = self.now;
                let held = link.durable.iter().rev().find(|(at, _)| *at <= now);
                let packet =
                    Packet::Answer { held: held.map_or(0, |(_, n)| *n), asked: link.asked };
                self.send(self.followers.len() + follower, packet);
            }
        }
    }

    fn send(&mut self, link: usize, packet: Packet) {
        let (at, event) = self.links[link].send(self.now, packet);
        self.put_link(link, at, event);
    }

    fn put_link(&mut self, link: usize, at: Time, event: link::Event) {
        self.put(at, Event::Packet(link, event));
    }

    fn packet(&mut self, link: usize, event: link::Event) {
        let (arrived, next) = self.links[link].happen(self.now, event);
        for (at, event) in next {
            self.put_link(link, at, event);
        }
        for packet in arrived {
            match packet {
                Packet::Question { ops, sent } => self.question(link, ops, sent),
                Packet::Answer { held, asked } => {
                    self.answer(link - self.followers.len(), held, asked);
                }
            }
        }
    }

    /// A follower is told of commands.
    fn question(&mut self, follower: usize, ops: Vec<usize>, sent: Time) {
        let durable = self.now + self.spec.sync_delay;
        let it = &mut self.followers[follower];
        it.asked = it.asked.max(Some(sent));
        it.seen.resize(self.finished.len(), false);
        for op in ops {
            if !std::mem::replace(&mut it.seen[op], true) {
                it.received.push(op);
            }
        }
        it.durable.retain(|(at, _)| *at >= self.now);
        it.durable.push((durable, it.received.len()));
        self.put(durable, Event::Held(follower));
    }

    /// The leader hears what a follower holds.
    fn answer(&mut self, follower: usize, held: usize, asked: Option<Time>) {
        let it = &mut self.followers[follower];
        it.confirmed = it.confirmed.max(asked);
        let new = it.received[it.heard.min(held)..held].to_vec();
        it.heard = it.heard.max(held);
        for op in new {
            self.holders[op] += 1;
            self.count(op);
        }
        self.confirm_reads();
    }

    /// Whether a majority holds `op` now.
    fn count(&mut self, op: usize) {
        if self.holders[op] + usize::from(self.own[op]) > self.need {
            let steps = self.deps.held(op);
            self.take(steps);
        }
    }

    fn confirm_reads(&mut self) {
        let mut confirmed: Vec<Option<Time>> =
            self.others().map(|f| self.followers[f].confirmed).collect();
        confirmed.sort_unstable_by(|a, b| b.cmp(a));
        let since = match self.need {
            0 => Some(self.now),
            need => confirmed[need - 1],
        };
        let (done, left) = self.reads.iter().partition(|(_, at)| Some(*at) <= since);
        self.reads = left;
        let done: Vec<(usize, Time)> = done;
        for (op, _) in done {
            let steps = self.deps.held(op);
            self.take(steps);
        }
    }

    /// What was not answered in time is sent again, by unordered links: streams do it themselves.
    fn late(&mut self, op: usize) {
        if self.links[0].kind() == LinkKind::Ordered || self.deps.is_settled(op) {
            return;
        }
        for follower in self.others() {
            let it = &mut self.followers[follower];
            match self.spec.load.op(op).kind {
                Kind::Read => it.asks = true,
                Kind::Write => {
                    if !it.received[..it.heard].contains(&op) {
                        it.outgoing.push(op);
                    }
                }
            }
        }
        self.put(self.now + self.spec.resend, Event::Late(op));
    }

    /// Carries out what follows from something that was held, settled or executed.
    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            let (op, settled) = match step {
                Step::Settled(op) => (op, true),
                Step::Ready(op) => (op, false),
            };
            let it = self.spec.load.op(op);
            if settled {
                let blind = it.command.footprint.is_blind();
                if it.kind == Kind::Write && (blind || self.spec.finish == Finish::Committed) {
                    self.finish(op);
                }
            } else if it.cost == Time::ZERO {
                self.finish(op);
                let steps = self.deps.executed(op);
                self.take(steps);
            } else {
                self.put(self.now + it.cost, Event::Executed(op));
            }
        }
    }

    fn finish(&mut self, op: usize) {
        if self.finished[op].is_some() {
            return;
        }
        let site = self.spec.load.op(op).site;
        let back = self.spec.network.one_way[self.leader][site];
        let back = if site == self.leader { Time::ZERO } else { back };
        self.finished[op] = Some(self.now + back);
        self.unfinished -= 1;
        if !matches!(self.spec.load, Load::Open { .. }) {
            self.put(self.now + back, Event::Issue);
        }
    }
}
