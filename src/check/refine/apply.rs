//! What is executed, and what is dropped: no action of the specifications but `Purge`, whose guard
//! says what is done (algorithm.md, Applying and Purging).

use super::facts::Facts;
use super::store::Replica;
use super::{Allowed, Refinement};
use crate::base::{Lsn, ReplicaId, SharedRecord, TailBitmap};

impl Refinement {
    pub(super) fn applies(&mut self, id: ReplicaId, lsns: &[Lsn]) -> Allowed {
        let Refinement { replicas, facts, .. } = self;
        let replica = replicas.get_mut(&id).ok_or("it has not started")?;
        for lsn in lsns {
            replica.apply(*lsn, facts)?;
        }
        *self.counts.entry("spec (executed)").or_default() += lsns.len() as u64;
        Ok(())
    }

    pub(super) fn restores(&mut self, id: ReplicaId, done: &TailBitmap) -> Allowed {
        if let Some(lsn) = done.difference_iter(&self.facts.settled).next() {
            return Err(format!("its state has done {lsn}, which is not settled"));
        }
        let replica = self.replica(id)?;
        (replica.done, replica.passed) = (done.clone(), Lsn::ZERO);
        Ok(())
    }

    /// `Purge`: a prefix of what it has done.
    pub(super) fn purges(&mut self, id: ReplicaId, below: Lsn) -> Allowed {
        let Refinement { replicas, facts, .. } = self;
        let replica = replicas.get_mut(&id).ok_or("it has not started")?;
        let open = |lsn: &Lsn| !replica.has_done(*lsn, facts);
        if let Some(lsn) = (replica.composed.purged.0..below.0).map(Lsn).find(open) {
            return Err(format!("it drops all below {below} and has not done {lsn}"));
        }
        replica.composed.drop_below(below);
        replica.durable.drop_below(below);
        self.count("spec Purge");
        self.has_state(id)
    }

    /// What a replica has dropped counts as accepted under a leader whose log has the same there:
    /// all of it is settled, so nothing commits by that but a membership whose barrier it was. A
    /// state of a greater leader has other records than that log, where the log lost.
    pub(super) fn has_state(&mut self, id: ReplicaId) -> Allowed {
        let Some(replica) = self.replicas.get(&id) else { return Ok(()) };
        let (committer, below) = (replica.durable.lineage.leader(), replica.durable.purged);
        let Some(log) = self.leaders.get(&committer) else { return Ok(()) };
        let nothing = TailBitmap::new();
        let acks = log.acks.get(&id).unwrap_or(&nothing);
        let dropped = acks.holes(below);
        let same: TailBitmap = dropped.filter(|lsn| log.settles(*lsn, &self.facts)).collect();
        self.acknowledge(id, committer, &same)
    }
}

impl Replica {
    /// A record without a command is done when it is settled: there is nothing to execute.
    fn has_done(&self, lsn: Lsn, facts: &Facts) -> bool {
        let is_void = |r: &SharedRecord| r.command().is_none() && facts.settles(r);
        self.done.contains(lsn)
            || lsn < self.composed.purged
            || self.composed.record(lsn).is_some_and(is_void)
    }

    /// Overridden by a settled record that is held here.
    fn is_covered(&self, lsn: Lsn, facts: &Facts) -> bool {
        let above = self.composed.log.iter().skip(lsn.0 as usize + 1).flatten();
        let mut covering = above.filter(|record| record.overrides.contains(lsn));
        covering.any(|record| facts.settles(record))
    }

    fn apply(&mut self, lsn: Lsn, facts: &Facts) -> Allowed {
        let Some(record) = self.composed.record(lsn).cloned() else {
            return Err(format!("it executes {lsn} and does not hold it"));
        };
        let wrong = |what: String| Err(format!("it executes {record}: {what}"));
        if !facts.settles(&record) {
            return wrong("it is not settled".into());
        }
        if self.done.contains(lsn) {
            return wrong("it was done before".into());
        }
        if let Some(first) = record.depends.iter().find(|d| !self.has_done(*d, facts)) {
            return wrong(format!("I-8 it depends on {first}, which is not done"));
        }
        while self.has_done(self.passed, facts) || self.is_covered(self.passed, facts) {
            self.passed = self.passed.next();
        }
        if self.passed < record.floor {
            return wrong(format!("I-8 {} is below its floor and not done", self.passed));
        }
        let mut marked = vec![lsn];
        while let Some(lsn) = marked.pop() {
            self.done.insert(lsn);
            if let Some(record) = self.composed.record(lsn) {
                let victims = record.overrides.iter().filter(|victim| !self.done.contains(*victim));
                marked.extend(victims.collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}
