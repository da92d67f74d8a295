//! The world: what happens next, and to whom.

use super::act::Micros;
use super::checks::Checks;
use super::clients::Clients;
use super::dice::Dice;
use super::frames::Album;
use super::node::{Alive, Node, Post};
use super::plan::{ELECTION, Plan};
use super::queue::{Due, Queue};
use super::{Outcome, Violation};
use crate::base::{Membership, ReplicaId};
use crate::message::Envelope;
use crate::replica::Input;
use crate::sim::weather::mix;
use crate::snapshot::Parcel;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// After the faults have ended, in so many election timeouts everything is done everywhere.
pub(super) const PATIENCE: u64 = 60;

/// How often it is looked whether everything is done.
const LOOK: Micros = 50_000;

/// So many ticks at most pass at once after a pause.
const MISSED_TICKS_MAX: u64 = 60;

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: Micros,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    /// By sender and receiver: nothing passes.
    pub(super) cuts: Vec<bool>,
    pub(super) clients: Clients,
    pub(super) checks: Checks,
    pub(super) dice: Dice,
    /// The faults have ended.
    pub(super) calm: bool,
    /// Everything is done, and the last reads are under way.
    pub(super) finishing: bool,
    pub(super) over: bool,
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// What operators asked for: numbers that they gave their requests, and memberships.
    pub(super) requests: Vec<(u64, Membership)>,
    steps: u64,
    trace: u64,
    text: Option<String>,
    pub(super) album: Option<Box<Album>>,
}

impl World {
    pub(super) fn new(plan: Plan, traced: bool) -> World {
        let mut queue = Queue::default();
        for (number, (at, _)) in plan.acts.iter().enumerate() {
            queue.add(*at, Due::Act(number));
        }
        (0..plan.replicas).for_each(|at| queue.add(0, Due::Start { at }));
        (0..plan.clients as usize).for_each(|client| {
            queue.add(250_000, Due::Client { client, turn: 0 });
        });
        queue.add(plan.until, Due::Calm);
        let luck = plan.luck;
        World {
            now: 0,
            queue,
            nodes: (0..plan.replicas).map(|_| Node::new()).collect(),
            cuts: vec![false; plan.replicas * plan.replicas],
            clients: Clients::new(&plan),
            checks: Checks::new(&plan, plan.mapped),
            dice: Dice::new(luck, "world"),
            calm: false,
            finishing: false,
            over: false,
            counts: BTreeMap::new(),
            requests: Vec::new(),
            steps: 0,
            trace: mix(luck),
            text: traced.then(|| plan.to_string()),
            album: None,
            plan,
        }
    }

    /// Runs to the end, or for so many steps.
    pub(super) fn run(mut self, steps_max: u64) -> Outcome {
        while !self.over && self.steps < steps_max && self.checks.failed.is_none() {
            let Some((at, due)) = self.queue.next() else { break };
            self.now = at;
            self.steps += 1;
            let (kind, whom) = due.code();
            self.note(kind << 32 | whom);
            let seen = self.about_to_happen(&due);
            self.caught(|world| world.happens(due));
            if let Some(what) = seen {
                self.happened(what);
            }
        }
        if self.checks.failed.is_none() && self.steps < steps_max {
            self.caught(|world| world.checks.finish(&world.nodes, &world.clients));
        }
        let World { plan, steps, trace, checks, clients, mut counts, now, text, album, .. } = self;
        checks.count(&mut counts);
        let violation = checks.failed.map(|what| Violation { step: steps, at: now, what });
        Outcome {
            seed: plan.seed,
            steps,
            micros: now,
            trace,
            text: text.unwrap_or_default(),
            acknowledged: clients.acknowledged,
            history: clients.history,
            linear_steps: checks.linear_steps,
            counts,
            frames: album.map_or_else(Vec::new, |album| album.frames),
            violation,
        }
    }

    /// A panic is something that did not hold, and ends the run: what it left is not looked at.
    fn caught(&mut self, step: impl FnOnce(&mut World)) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| step(self))) else { return };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        self.checks.fail(format!("assertion: {text}"));
    }

    /// Adds to what tells runs apart.
    pub(super) fn note(&mut self, what: u64) {
        self.trace = mix(self.trace ^ what ^ self.now << 40);
    }

    /// Adds a line to the trace that people read.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            // Writing to a string does not fail.
            let (now, line) = (self.now, line());
            let _ = writeln!(text, "{:>9}.{:03} {line}", now / 1_000, now % 1_000);
        }
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn text_len(&self) -> usize {
        self.text.as_ref().map_or(0, String::len)
    }

    /// What was said since the text was so long.
    pub(super) fn text_since(&self, len: usize) -> &str {
        self.text.as_ref().and_then(|text| text.get(len..)).unwrap_or_default()
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The process of this life at this machine.
    pub(super) fn alive(&mut self, at: usize, life: u64) -> Option<&mut Alive> {
        let node = &mut self.nodes[at];
        node.alive.as_deref_mut().filter(|_| node.life == life)
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Message(envelope) => self.message(envelope),
            Due::Parcel(parcel) => self.parcel(parcel),
            Due::Tick { at, life } => self.tick(at, life),
            Due::Synced { at, life } => self.synced(at, life),
            Due::Applied { at, life } => self.applied(at, life),
            Due::Written { at, life } => self.written(at, life),
            Due::Start { at } => self.start(at),
            Due::Resume { at } => self.resume(at),
            Due::Room { at } => self.nodes[at].disk.set_capacity(None),
            Due::Act(number) => self.act(number),
            Due::Client { client, turn } => self.client(client, turn),
            Due::Calm => self.calm_down(),
            Due::Look => self.look_for_the_end(),
        }
    }

    /// A message leaves.
    pub(super) fn send(&mut self, envelope: Box<Envelope>) {
        let ends = (envelope.from, envelope.to);
        let Some((first, second)) = self.delays(ends.0, ends.1) else { return };
        if let Some(second) = second {
            self.queue.add(self.now + second, Due::Message(envelope.clone()));
        }
        self.queue.add(self.now + first, Due::Message(envelope));
    }

    pub(super) fn send_parcel(&mut self, parcel: Parcel) {
        let Some((first, second)) = self.delays(parcel.from, parcel.to) else { return };
        if let Some(second) = second {
            self.queue.add(self.now + second, Due::Parcel(Box::new(parcel.clone())));
        }
        self.queue.add(self.now + first, Due::Parcel(Box::new(parcel)));
    }

    /// How long it takes, and its double; `None` if it is lost, or there is nobody.
    fn delays(&mut self, from: ReplicaId, to: ReplicaId) -> Option<(Micros, Option<Micros>)> {
        let replicas = self.plan.replicas;
        let (from, to) = (from.0 as usize - 1, to.0 as usize - 1);
        let net = self.plan.net;
        let mut draw = |calm: bool| match net.late {
            late if !calm && self.dice.chance(late) => self.dice.between(100_000, 1_500_000),
            _ => self.dice.between(net.least, net.most.max(net.least + 1)),
        };
        let (first, second) = (draw(self.calm), draw(self.calm));
        let (lost, doubled) = (self.dice.chance(net.lost), self.dice.chance(net.doubled));
        if to >= replicas || self.cuts[from * replicas + to] {
            return None;
        }
        if self.calm {
            return Some((first, None));
        }
        if lost {
            self.count("lost message");
            return None;
        }
        if doubled {
            self.count("doubled message");
        }
        Some((first, doubled.then_some(second)))
    }

    fn message(&mut self, envelope: Box<Envelope>) {
        let at = envelope.to.0 as usize - 1;
        if self.nodes[at].alive.is_none() {
            return;
        }
        if self.nodes[at].paused_until > self.now {
            self.nodes[at].inbox.push(Post::Message(envelope));
            return;
        }
        self.say(|| format!("{envelope:?}"));
        self.input(at, Input::Receive(envelope));
    }

    fn parcel(&mut self, parcel: Box<Parcel>) {
        let at = parcel.to.0 as usize - 1;
        if self.nodes[at].alive.is_none() {
            return;
        }
        if self.nodes[at].paused_until > self.now {
            self.nodes[at].inbox.push(Post::Parcel(parcel));
            return;
        }
        self.hear(at, *parcel);
    }

    /// The process goes on: what has come meanwhile comes at once.
    fn resume(&mut self, at: usize) {
        if self.nodes[at].paused_until > self.now {
            return;
        }
        // A lease counts on it that the ticks of a pause have passed before anything else happens.
        if self.plan.lease {
            let life = self.nodes[at].life;
            for _ in 0..std::mem::take(&mut self.nodes[at].missed_ticks) {
                self.one_tick(at, life);
            }
        }
        for post in std::mem::take(&mut self.nodes[at].inbox) {
            match post {
                Post::Message(envelope) => self.message(envelope),
                Post::Parcel(parcel) => self.parcel(parcel),
            }
        }
    }

    fn tick(&mut self, at: usize, life: u64) {
        if self.alive(at, life).is_none() {
            return;
        }
        let node = &mut self.nodes[at];
        self.queue.add(self.now + node.tick, Due::Tick { at, life });
        if node.paused_until > self.now {
            node.missed_ticks = (node.missed_ticks + 1).min(MISSED_TICKS_MAX);
            return;
        }
        for _ in 0..=std::mem::take(&mut node.missed_ticks) {
            self.one_tick(at, life);
        }
    }

    pub(super) fn one_tick(&mut self, at: usize, life: u64) {
        let mut answers = Vec::new();
        let Some(alive) = self.alive(at, life) else { return };
        let ticked = alive.home.tick(&mut answers);
        self.store(at, ticked);
        answers.into_iter().for_each(|parcel| self.send_parcel(parcel));
        self.input(at, Input::Tick);
    }

    fn calm_down(&mut self) {
        self.say(|| "no fault from now on".into());
        self.calm = true;
        self.cuts.fill(false);
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            node.disk.set_capacity(None);
            node.slow = (0, 0);
            node.tick = super::plan::TICK;
            if node.paused_until > self.now {
                node.paused_until = self.now;
                self.queue.add(self.now, Due::Resume { at });
            }
            if let Some(alive) = &mut node.alive {
                alive.fuse = None;
            }
        }
        self.queue.add(self.now + LOOK, Due::Look);
    }

    /// Once everything is done everywhere, everything is read; then it is over.
    fn look_for_the_end(&mut self) {
        if self.finishing {
            self.over = self.clients.is_done();
        } else if self.clients.is_quiet() && self.all_done() {
            self.finishing = true;
            self.clients.read_everything(&mut self.queue, self.now, &self.plan);
        }
        if self.now > self.plan.until + PATIENCE * ELECTION && !self.over {
            let shown = self.show();
            self.checks
                .fail(format!("I-12 not everything is done {PATIENCE} timeouts on:\n{shown}"));
        }
        self.queue.add(self.now + LOOK, Due::Look);
    }

    /// One leads, one membership is in force, nobody is in doubt, and whoever votes has done all.
    fn all_done(&self) -> bool {
        let replicas = || self.nodes.iter().filter_map(|node| Some(&node.alive.as_ref()?.replica));
        let leaders = replicas().filter(|replica| replica.leading().is_some());
        let Some(leader) = leaders.max_by_key(|replica| replica.role().1) else { return false };
        let Some((next, ..)) = leader.leading() else { return false };
        let mut voters = leader.memberships().iter().flat_map(|m| m.voters()).collect::<Vec<_>>();
        voters.push(leader.id());
        replicas().count() == self.nodes.len()
            && leader.memberships().len() == 1
            && replicas()
                .filter(|replica| voters.contains(&replica.id()))
                .all(|replica| replica.doubt().is_none() && replica.done().offset() >= next)
    }

    fn show(&self) -> String {
        let one = |node: &Node| match &node.alive {
            None => "down\n".to_string(),
            Some(alive) => {
                let r = &alive.replica;
                let memberships: Vec<String> =
                    r.memberships().iter().map(ToString::to_string).collect();
                format!(
                    "    {} {:?} accepted {} settled {} done {} purged {} doubt {:?} in force {}\n",
                    r.id(),
                    r.role(),
                    r.accepted(),
                    r.settled(),
                    r.done(),
                    r.purged(),
                    r.doubt(),
                    memberships.join(" ")
                )
            }
        };
        self.nodes.iter().map(one).collect::<String>() + &self.clients.show()
    }
}
