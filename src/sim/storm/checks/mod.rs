//! What must hold, one file per property. None but the last knows the rules of the algorithm: they
//! look at what replicas say, write, execute and answer.
//!
//! | property | paper and specification | file |
//! | --- | --- | --- |
//! | I-1 to I-11, counted anew from the disks | algorithm.md, Why it is safe | `sim/invariants` |
//! | I-5, I-6 by what replicas call settled | Raft 5.4.3; Membership.tla | `claims.rs` |
//! | I-9 for the real machine | Raft 5.4.3, State Machine Safety | `states.rs` |
//! | in doubt nobody votes (R-2) | algorithm.md, Doubt | `doubt.rs` |
//! | acknowledged is there, once | Raft 8; dissertation 6.3 | `effects.rs` |
//! | linearizable, over several keys, too; no stale read | Herlihy, Wing 1990 | `linear.rs` |
//! | memory is bounded | replica options | `memory.rs` |
//! | I-12, everything becomes done in time | dissertation 3.9 | `world.rs` |
//! | every step is one of the specifications | Replication, Overrides, Membership | `check/refine` |
//!
//! Where memberships change or disks go bad, the counting of quorums from the disks (I-4 to I-7,
//! I-10, I-11) is left out: it knows majorities of all replicas on disks that keep what they have.

mod claims;
mod doubt;
mod effects;
mod linear;
mod memory;
mod states;

use super::UNDECIDED;
use super::clients::Clients;
use super::mirror::Mirror;
use super::node::{Alive, Node};
use super::plan::Plan;
use crate::base::{Record, ReplicaId, SharedRecord, TailBitmap};
use crate::check::refine::Refinement;
use crate::message::Message;
use crate::replica::{Durable, SnapshotMeta, Step, Write};
use crate::sim::invariants::{Auditor, Shadow};
use std::collections::BTreeMap;

type Check = Result<(), String>;

fn id(at: usize) -> ReplicaId {
    ReplicaId(at as u64 + 1)
}

pub(super) struct Checks {
    plan: Plan,
    auditor: Auditor,
    claims: claims::Claims,
    states: states::States,
    effects: effects::Effects,
    /// If steps are mapped to the specifications.
    refinement: Option<Refinement>,
    pub(super) linear_steps: u64,
    /// So many operations have an unknown outcome that it was not found out whether the history is
    /// linearizable.
    undecided: bool,
    /// The first thing that did not hold.
    pub(super) failed: Option<String>,
}

impl Checks {
    pub(super) fn new(plan: &Plan, mapped: bool) -> Checks {
        let counts = !plan.churn && !plan.damage;
        Checks {
            plan: plan.clone(),
            auditor: Auditor::of(plan.replicas, counts),
            claims: claims::Claims::new(plan.replicas),
            states: states::States::default(),
            effects: effects::Effects::default(),
            refinement: mapped.then(|| Refinement::new(plan.initial.clone())),
            linear_steps: 0,
            undecided: false,
            failed: None,
        }
    }

    pub(super) fn fail(&mut self, what: String) {
        self.failed.get_or_insert(what);
    }

    fn note(&mut self, check: Check) {
        if let Err(what) = check {
            self.fail(what);
        }
        if self.failed.is_none() && !self.auditor.violations.is_empty() {
            self.failed = Some(self.auditor.violations.swap_remove(0));
        }
    }

    /// A replica takes steps: each is one that the specifications allow.
    pub(super) fn steps(&mut self, at: usize, steps: impl IntoIterator<Item = Step>) {
        let Some(refinement) = &mut self.refinement else { return };
        let taken = steps.into_iter().try_for_each(|step| refinement.step(id(at), &step));
        self.note(taken);
    }

    /// A replica sends a message.
    pub(super) fn says(&mut self, at: usize, message: &Message, mirror: &Mirror, in_doubt: bool) {
        self.auditor.says(at, message, mirror.stored());
        self.note(doubt::silent(at, message, in_doubt));
    }

    /// A replica gives out a write.
    pub(super) fn writes(&mut self, write: &Write) {
        self.auditor.writes(write);
        self.note(Ok(()));
    }

    /// A write is durable.
    pub(super) fn stored(&mut self, at: usize, write: &Write, mirror: &Mirror) {
        self.auditor.stored(at, write, mirror.stored());
        self.note(Ok(()));
    }

    /// A record goes out for execution.
    pub(super) fn applies(&mut self, at: usize, record: &SharedRecord) {
        self.auditor.applies(at, record);
        self.note(Ok(()));
    }

    /// A command was executed, with a result of this digest; `answered`: somebody is told of it.
    pub(super) fn executed(&mut self, at: usize, record: &Record, digest: u64, answered: bool) {
        self.auditor.result(at, record, digest);
        if answered {
            self.effects.answered(record);
        }
        self.note(Ok(()));
    }

    /// A replica has handled what came.
    pub(super) fn look(
        &mut self,
        at: usize,
        alive: &Alive,
        executed: bool,
        counts: &mut BTreeMap<&'static str, u64>,
    ) {
        let replica = &alive.replica;
        // What is marked as done and still out is not in the state.
        let digest = (executed && alive.applying.is_empty()).then(|| alive.shadow.digest());
        self.auditor.looks(at, replica, digest);
        let new_leader = self.claims.leads(at, replica);
        if new_leader {
            self.auditor.leads(at, replica);
        }
        let claims = self.claims.look(at, replica, new_leader, counts);
        self.note(claims);
        if let Some(refinement) = &self.refinement {
            let (voted, committer) = (replica.voted(), replica.lineage().leader());
            let same = refinement.agrees(id(at), voted, committer, replica.accepted());
            self.note(same);
        }
    }

    /// A replica takes a snapshot of this state.
    pub(super) fn snapshot(&mut self, at: usize, meta: &SnapshotMeta, alive: &Alive) {
        let same = self.states.snapshot(at, &meta.done, &alive.machine, &alive.shadow);
        self.note(same);
    }

    /// The state is that of a snapshot from now on.
    pub(super) fn restored(&mut self, at: usize, done: &TailBitmap) -> Shadow {
        self.auditor.starts(at);
        let (shadow, known) = self.states.shadow(done);
        self.note(known);
        shadow
    }

    /// A process begins with this.
    pub(super) fn starts(
        &mut self,
        at: usize,
        durable: &Durable,
        mirror: &Mirror,
        is_sound: bool,
    ) -> Shadow {
        self.claims.starts(at);
        if is_sound {
            // What was written and not known synced may have stayed.
            let found = Write { lineage: Some(durable.lineage.clone()), ..Write::default() };
            self.auditor.stored(at, &found, mirror.stored());
        } else {
            self.auditor.lost(at);
        }
        match &durable.snapshot {
            Some(snapshot) => self.restored(at, &snapshot.done),
            None => {
                self.auditor.starts(at);
                Shadow::new(true)
            }
        }
    }

    /// The run is over.
    pub(super) fn finish(&mut self, nodes: &[Node], clients: &Clients) {
        let alive: Vec<&Alive> = nodes.iter().filter_map(|node| node.alive.as_deref()).collect();
        let same = self.states.finish(&alive);
        self.note(same);
        let kept = self.effects.kept(&self.claims, &clients.history);
        self.note(kept);
        let bounded = memory::bounded(&alive, &self.plan);
        self.note(bounded);
        let (steps, linear) = linear::linearizable(&clients.history);
        self.linear_steps = steps;
        self.undecided = linear.is_none();
        self.note(linear.unwrap_or(Ok(())));
    }

    pub(super) fn count(&self, counts: &mut BTreeMap<&'static str, u64>) {
        self.claims.count(counts);
        if let Some(refinement) = &self.refinement {
            counts.extend(refinement.counts());
            counts.insert("mapped to the specifications", 1);
        }
        if self.undecided {
            counts.insert(UNDECIDED, 1);
        }
    }
}
