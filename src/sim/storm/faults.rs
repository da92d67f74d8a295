//! Acts, carried out.

use super::act::{Act, Micros, Tear};
use super::drive::Reply;
use super::mirror::Mirror;
use super::node::Alive;
use super::queue::Due;
use super::world::World;
use crate::base::{Membership, ReplicaId};
use crate::disk::{Fault, SimDisk};
use crate::message::{Envelope, Message, TakeOver};
use crate::replica::{Input, Step};

/// So many bytes still fit on a disk that is filled.
const ROOM: u64 = 2_000;

/// So many of the latest changes that were asked for may still come to be, more or less.
const ASKED_OF_LATE: usize = 8;

/// So many times in a row a process may fail to begin.
const STARTS_MAX: u64 = 5;

impl World {
    pub(super) fn act(&mut self, number: usize) {
        let act = self.plan.acts[number].1.clone();
        if self.calm {
            return;
        }
        self.say(|| format!("-- {act}"));
        self.count(act.kind());
        if act.is_fault() {
            self.count("faults");
        }
        match act {
            Act::Cut { .. } | Act::Isolate { .. } | Act::Heal => self.links(&act),
            Act::Crash { at, outputs: 0, tear, away } => self.crash(at, tear, away),
            Act::Crash { at, outputs, tear, away } => {
                if let Some(alive) = &mut self.nodes[at].alive {
                    alive.fuse = Some((outputs, tear, away));
                }
            }
            Act::Flip { at, away } => self.damage(at, false, away),
            Act::Wipe { at, away } => self.damage(at, true, away),
            Act::Pause { at, lasts } => {
                self.nodes[at].paused_until = self.now + lasts;
                self.queue.add(self.now + lasts, Due::Resume { at });
            }
            Act::Slow { at, sync, lasts } => self.nodes[at].slow = (sync, self.now + lasts),
            Act::FailSync { at } => {
                for nth in 0..3 {
                    self.nodes[at].disk.plan(nth, Fault::FailSync);
                }
            }
            Act::Fill { at, lasts } => {
                let disk = &self.nodes[at].disk;
                disk.set_capacity(Some(disk.state().used() + ROOM));
                self.queue.add(self.now + lasts, Due::Room { at });
            }
            Act::Rate { at, tick } => self.nodes[at].tick = tick,
            Act::Jump { at, ticks } => {
                let life = self.nodes[at].life;
                if self.nodes[at].paused_until <= self.now {
                    (0..ticks).for_each(|_| self.one_tick(at, life));
                }
            }
            Act::Snapshot { at } => {
                if let Some(alive) = &mut self.nodes[at].alive {
                    alive.wanted = true;
                    self.settle(at);
                }
            }
            Act::Offer { from, to } => {
                let to = crate::base::ReplicaId(to as u64 + 1);
                let alive = self.nodes[from].alive.as_mut();
                if let Some(offer) = alive.and_then(|a| a.home.offer(to, crate::base::Lsn::ZERO)) {
                    self.send_parcel(offer);
                }
            }
            Act::Campaign { at } => self.input(at, Input::Campaign),
            Act::Usurp { at } => self.usurp(at),
            Act::Transfer { .. } | Act::Change { .. } | Act::Cancel => self.operate(act),
        }
    }

    /// Whoever is told so campaigns without asking whether anybody hears from a leader: two leaders
    /// at work at the same time.
    fn usurp(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some(alive) = node.alive.as_ref().filter(|_| node.paused_until <= self.now) else {
            return;
        };
        let leader = alive.replica.lineage().leader();
        let sender = leader.node.0.checked_sub(1).and_then(|at| self.nodes.get(at as usize));
        let Some(sender) = sender.and_then(|node| node.alive.as_ref()) else { return };
        let message = Message::TakeOver(TakeOver { leader });
        let mut envelope = Envelope::new(leader.node, alive.replica.id(), message);
        envelope.incarnation = sender.incarnation;
        self.input(at, Input::Receive(Box::new(envelope)));
    }

    fn links(&mut self, act: &Act) {
        let n = self.plan.replicas;
        match act {
            Act::Cut { from, to } => self.cuts[from * n + to] = true,
            Act::Isolate { at, hears, speaks } => {
                for other in (0..n).filter(|other| other != at) {
                    self.cuts[at * n + other] |= !speaks;
                    self.cuts[other * n + at] |= !hears;
                }
            }
            _ => self.cuts.fill(false),
        }
    }

    /// What an operator asks of whoever leads.
    fn operate(&mut self, act: Act) {
        let leads = |at: &usize| {
            self.nodes[*at].alive.as_ref().is_some_and(|alive| alive.replica.leading().is_some())
        };
        let Some(at) = (0..self.nodes.len()).rev().find(leads) else { return };
        let proposal = self.nodes[at].number();
        self.clients.forget(at, proposal);
        let request = self.requests.len() as u64 + 1;
        let input = match act {
            Act::Transfer { to } => {
                let to = to.map(|to| ReplicaId(to as u64 + 1));
                Input::Transfer { to }
            }
            Act::Change { membership, force } => {
                // Nor would anybody who is told that a replica doubts make it indispensable.
                if self.nodes.iter().any(|node| node.damaged) && !self.elects_without(&membership) {
                    return self.count("change that needs a damaged disk, not asked");
                }
                self.requests.push((request, membership.clone()));
                Input::Change { proposal, request, membership, force }
            }
            _ => match self.requests.last() {
                Some((request, _)) => Input::CancelChange { proposal, request: *request },
                None => return,
            },
        };
        self.input(at, input);
    }

    /// Whether those whose disks are whole can elect: others give back only what they have.
    fn elects_without(&self, membership: &Membership) -> bool {
        let whole = |id: ReplicaId| self.nodes.get(id.0 as usize - 1).is_some_and(|n| !n.damaged);
        membership.read.is_quorum(&whole)
    }

    /// The process ends, and another one begins after a while.
    pub(super) fn crash(&mut self, at: usize, tear: Tear, away: Micros) {
        let node = &mut self.nodes[at];
        if node.alive.is_none() {
            return;
        }
        node.stop(tear, &mut self.dice);
        self.say(|| format!("n{} is down", at + 1));
        self.queue.add(self.now + away, Due::Start { at });
    }

    /// A disk loses something, unless another one has and was not repaired, or the others could not
    /// elect without it by every membership that is in force somewhere or was asked for.
    fn damage(&mut self, at: usize, all: bool, away: Micros) {
        if self.nodes[at].alive.is_none() || self.nodes.iter().any(|node| node.damaged) {
            return;
        }
        self.nodes[at].damaged = true;
        if self.plan.churn && !self.memberships().iter().all(|one| self.elects_without(one)) {
            self.nodes[at].damaged = false;
            return;
        }
        self.count("damaged");
        self.crash(at, Tear::Some, away);
        let node = &mut self.nodes[at];
        (node.damaged, node.suspect) = (true, true);
        if all {
            node.disk = SimDisk::new();
        } else {
            node.flip(&mut self.dice);
        }
    }

    /// In force at some replica, and what was asked for of late, which may come to be.
    fn memberships(&self) -> Vec<Membership> {
        let alive = self.nodes.iter().filter_map(|node| node.alive.as_deref());
        let mut all: Vec<_> = alive.flat_map(|alive| alive.replica.memberships()).collect();
        let goals: Vec<_> = all.iter().filter_map(|one| one.goal().cloned()).collect();
        all.extend(goals);
        all.extend(self.requests.iter().rev().take(ASKED_OF_LATE).map(|(_, asked)| asked.clone()));
        all
    }

    pub(super) fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.alive.is_some() {
            return;
        }
        let begun = match node.open(at, &self.plan, &mut self.dice, self.now) {
            Ok(begun) => begun,
            Err(error) => {
                node.failed_starts += 1;
                // A sync that fails, or no room, may pass; nothing else may.
                if node.failed_starts > STARTS_MAX {
                    self.checks.fail(format!("n{} does not start: {error}", at + 1));
                }
                self.say(|| format!("n{} does not start: {error}", at + 1));
                self.count("start failed");
                self.nodes[at].stop(Tear::Some, &mut self.dice);
                self.queue.add(self.now + 50_000, Due::Start { at });
                return;
            }
        };
        if node.life > 0 {
            *self.counts.entry("restart").or_default() += 1;
        }
        let (durable, purged) = (&begun.recovered.durable, begun.recovered.purged);
        let is_sound = !node.suspect;
        if is_sound && let Err(what) = node.mirror.survives(durable, purged) {
            return self.checks.fail(format!("n{}: {what}", at + 1));
        }
        if durable.doubt.is_some() {
            *self.counts.entry("start in doubt").or_default() += 1;
            if !node.suspect {
                return self.checks.fail(format!("n{} doubts, and nothing was damaged", at + 1));
            }
            node.damaged = true;
        }
        let purged = durable.snapshot.as_ref().map_or(purged, |own| own.done.offset());
        node.mirror = Mirror::of(durable, purged);
        let shadow = self.checks.starts(at, durable, &node.mirror, is_sound);
        if self.plan.mapped {
            self.checks.steps(at, [Step::Starts(Box::new(durable.clone()))]);
        }
        node.alive = Some(Box::new(Alive::new(begun, shadow)));
        (node.missed_ticks, node.failed_starts) = (0, 0);
        let life = node.life;
        let first = 1 + self.dice.below(node.tick);
        self.queue.add(self.now + first, Due::Tick { at, life });
        self.say(|| format!("n{} is up", at + 1));
        self.settle(at);
    }

    /// A client gets its answer, unless it has given up.
    pub(super) fn reply(&mut self, at: usize, number: u64, reply: Reply) {
        let World { clients, queue, now, dice, .. } = self;
        clients.hear(at, number, reply, *now, queue, dice);
    }
}
