//! Steps of the production code, mapped to the specifications of `design` and held against them.
//!
//! A [`Refinement`] keeps the variables of `Replication.tla`, with the overriding records of
//! `Overrides.tla` and the memberships of `Membership.tla`, for any number of replicas, leaders and
//! positions. Each [`Step`] of a replica is one action there or several, or none: the guard of the
//! action must hold, and what the replica did must be what the action does.
//!
//! - It asks to write a lineage of its own: `Elect`. The log is computed anew from what its voters
//!   had when they promised, and must be the same.
//! - It asks to write records of its own: `Propose`. Position, floor, overrides and dependencies
//!   are looked at anew.
//! - A write becomes durable: the half of `Elect` that is a voter's; `Accept`, for first contact
//!   and for each record; `Install`, `Learn`, `Repair`. What commits by that is counted anew.
//! - It drops a prefix: `Purge`.
//! - It starts: nothing, or `Lose`.
//! - It gives a record out for execution, which is no action there: the record must be settled, and
//!   what it has to follow done.
//! - It says something, which is none either: what it says must be so.
//!
//! | what | file |
//! | --- | --- |
//! | the variables of a replica | `store.rs` |
//! | those of all, and what commits | `facts.rs` |
//! | `Elect` | `elect.rs` |
//! | `Propose` | `propose.rs` |
//! | `Accept` and what comes with it | `accept.rs` |
//! | executing, purging | `apply.rs` |
//! | steps as lines of a file | `lines.rs` |
//! | all steps of a cluster | `trace.rs` |
//! | a stretch of them as pictures | `watch.rs` |
//!
//! Where it is wider than a specification: an action that one replica has not heard of yet counts
//! as known (a membership is in force for a leader no longer than the specification would have it).

mod accept;
mod apply;
mod elect;
mod facts;
#[cfg(feature = "compare")]
mod lines;
mod propose;
mod store;
#[cfg(feature = "compare")]
mod trace;
#[cfg(feature = "compare")]
mod watch;

#[cfg(feature = "compare")]
pub use lines::{BadStep, Line, parse, print};
#[cfg(feature = "compare")]
pub use trace::{Traced, check};
#[cfg(feature = "compare")]
pub use watch::{Stretch, watch};

use crate::base::{LeaderId, Lsn, Membership, ReplicaId, TailBitmap};
use crate::replica::Step;
use facts::{Facts, Leader};
use std::collections::BTreeMap;
use store::Replica;

/// A step is allowed, or says what the specification does not allow.
type Allowed = Result<(), String>;

/// The variables of the specifications, moved by the steps of replicas.
#[derive(Debug)]
pub struct Refinement {
    /// The membership that the cluster starts with.
    initial: Membership,
    replicas: BTreeMap<ReplicaId, Replica>,
    leaders: BTreeMap<LeaderId, Leader>,
    facts: Facts,
    /// How many steps were which action.
    counts: BTreeMap<&'static str, u64>,
}

impl Refinement {
    /// `Init`.
    pub fn new(initial: Membership) -> Refinement {
        Refinement {
            initial,
            replicas: BTreeMap::new(),
            leaders: BTreeMap::new(),
            facts: Facts::default(),
            counts: BTreeMap::new(),
        }
    }

    /// A replica takes a step.
    ///
    /// # Errors
    /// A sentence: what no action of the specifications does.
    pub fn step(&mut self, id: ReplicaId, step: &Step) -> Allowed {
        let taken = match step {
            Step::Starts(durable) => self.starts(id, durable),
            Step::Writes(write) => self.writes(id, write),
            Step::Stores(number) => self.stores(id, *number),
            Step::Purges(below) => self.purges(id, *below),
            Step::Applies(lsns) => self.applies(id, lsns),
            Step::Restores(done) => self.restores(id, done),
            Step::Campaigns(candidate) => self.campaigns(id, *candidate),
            Step::Grants { candidate, committer, accepted, purged } => {
                self.grants(id, *candidate, *committer, accepted, *purged)
            }
            Step::Hears { from, incarnation, candidate, purged, known } => {
                let vote = elect::Heard {
                    incarnation: *incarnation,
                    purged: *purged,
                    known: known.clone(),
                };
                self.hears(id, *from, *candidate, vote);
                Ok(())
            }
            Step::Accepts { leader, accepted } => self.accepts(id, *leader, accepted),
            Step::Leads { leader, lineage, records, settled } => {
                self.leads(id, *leader, lineage.as_ref(), records, settled)
            }
        };
        taken.map_err(|what| format!("refinement: {id}: {what}"))
    }

    /// Whether the variables of a replica have these values: no step of it went unmapped.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub fn agrees(
        &self,
        id: ReplicaId,
        voted: LeaderId,
        committer: LeaderId,
        accepted: &TailBitmap,
    ) -> Allowed {
        let Some(known) = self.replicas.get(&id) else { return Ok(()) };
        let composed = &known.composed;
        if (composed.voted, composed.lineage.leader()) != (voted, committer) {
            return Err(format!(
                "refinement: {id} has promise and committer {voted} and {committer}, and by its \
                 steps {} and {}",
                composed.voted,
                composed.lineage.leader()
            ));
        }
        if composed.held != *accepted {
            let by_steps = &composed.held;
            return Err(format!(
                "refinement: {id} has accepted {accepted}, and by its steps {by_steps}"
            ));
        }
        Ok(())
    }

    /// How often each action was taken.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    fn count(&mut self, action: &'static str) {
        *self.counts.entry(action).or_default() += 1;
    }

    /// What is known of a replica that has started.
    fn replica(&mut self, id: ReplicaId) -> Result<&mut Replica, String> {
        self.replicas.get_mut(&id).ok_or_else(|| "it has not started".into())
    }

    fn leader(&self, id: LeaderId) -> Result<&Leader, String> {
        self.leaders.get(&id).ok_or_else(|| format!("nobody has elected {id}"))
    }

    /// What a follower says it has accepted, it has: `acks`.
    fn accepts(&mut self, id: ReplicaId, leader: LeaderId, accepted: &TailBitmap) -> Allowed {
        let nothing = TailBitmap::new();
        let acks = self.leader(leader)?.acks.get(&id).unwrap_or(&nothing);
        let durable = &self.replicas.get(&id).ok_or("it has not started")?.durable;
        let follows = durable.lineage.leader() == leader;
        let held = if follows { &durable.held } else { acks };
        let unfounded = accepted.difference_iter(acks).chain(accepted.difference_iter(held)).next();
        match unfounded {
            Some(lsn) => Err(format!("it says to {leader} that it has accepted {lsn}")),
            None => Ok(()),
        }
    }

    /// What a leader says is so: `llog`, and what is settled.
    fn leads(
        &mut self,
        id: ReplicaId,
        leader: LeaderId,
        lineage: Option<&crate::base::Lineage>,
        records: &[(Lsn, LeaderId)],
        settled: &TailBitmap,
    ) -> Allowed {
        let log = self.leader(leader)?;
        if leader.node != id {
            return Err(format!("it speaks for {leader}"));
        }
        if let Some(said) = lineage.filter(|said| **said != log.lineage) {
            return Err(format!("it says that its lineage is {said}, not {}", log.lineage));
        }
        for (lsn, author) in records {
            if log.record(*lsn).is_none_or(|record| record.author != *author) {
                return Err(format!(
                    "it sends {author}'s record at {lsn}, which is not in its log"
                ));
            }
        }
        let unsettled = |this: &Refinement| {
            let log = this.leaders.get(&leader)?;
            settled.difference_iter(&log.claimed).find(|lsn| !log.settles(*lsn, &this.facts))
        };
        if unsettled(self).is_some() {
            // It may have learned, by a snapshot for instance, that fewer memberships are in force.
            while self.commit_one(leader)? {}
        }
        if let Some(lsn) = unsettled(self) {
            return Err(format!("{leader} says that {lsn} is settled, and nobody settled it"));
        }
        if let Some(log) = self.leaders.get_mut(&leader) {
            log.claimed.union_with(settled);
        }
        Ok(())
    }
}
