//! What all replicas together have done: `leading`, `llog`, `base`, `acks`, `committed`.

use super::{Allowed, Refinement};
use crate::base::{
    LeaderId, Lineage, Lsn, Membership, Payload, ReplicaId, SharedRecord, TailBitmap,
};
use std::collections::{BTreeMap, BTreeSet};

/// Every record that ever met the commit rule.
#[derive(Debug, Default)]
pub(super) struct Facts {
    committed: Vec<Option<SharedRecord>>,
    /// Committed, or overridden by something committed.
    pub(super) settled: TailBitmap,
}

impl Facts {
    pub(super) fn committed(&self, lsn: Lsn) -> Option<&SharedRecord> {
        self.committed.get(lsn.0 as usize)?.as_ref()
    }

    /// Whether this very record is settled: another one at its position may be.
    pub(super) fn settles(&self, record: &SharedRecord) -> bool {
        match self.committed(record.lsn) {
            Some(committed) => committed == record,
            None => self.settled.contains(record.lsn),
        }
    }

    /// A record commits: there is no other one at its position (`Agreement`).
    fn commit(&mut self, record: &SharedRecord) -> Allowed {
        let at = record.lsn.0 as usize;
        if at >= self.committed.len() {
            self.committed.resize(at + 1, None);
        }
        if let Some(other) = &self.committed[at] {
            return match other == record {
                true => Ok(()),
                false => Err(format!("I-6 {record} commits, and {other} has")),
            };
        }
        self.settled.insert(record.lsn);
        self.settled.insert_all(&record.overrides);
        self.committed[at] = Some(record.clone());
        Ok(())
    }
}

/// A leader that was elected.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) lineage: Lineage,
    pub(super) log: Vec<Option<SharedRecord>>,
    /// Below it some voter of its has dropped everything.
    pub(super) gone: Lsn,
    /// The greatest floor of its log.
    pub(super) floor: Lsn,
    pub(super) known: Option<(Lsn, Membership)>,
    /// Memberships in its log.
    pub(super) changes: Vec<(Lsn, Membership)>,
    /// What each replica has accepted under it.
    pub(super) acks: BTreeMap<ReplicaId, TailBitmap>,
    /// Accepted by somebody and not committed.
    pub(super) open: BTreeSet<Lsn>,
    /// What it has said is settled, and is.
    pub(super) claimed: TailBitmap,
}

impl Leader {
    pub(super) fn record(&self, lsn: Lsn) -> Option<&SharedRecord> {
        self.log.get(lsn.0 as usize)?.as_ref()
    }

    /// Where the next record goes.
    pub(super) fn next(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// Whether this membership may be one of its log.
    fn knows_of(&self, (lsn, membership): &(Lsn, Membership)) -> bool {
        let is_that =
            |record: &SharedRecord| record.payload == Payload::Membership(membership.clone());
        *lsn < self.next() && self.record(*lsn).is_none_or(is_that)
    }

    pub(super) fn push(&mut self, record: SharedRecord) {
        self.floor = self.floor.max(record.floor);
        if let Payload::Membership(membership) = &record.payload {
            self.changes.push((record.lsn, membership.clone()));
        }
        self.log.push(Some(record));
    }

    /// `InForce`.
    fn in_force<'a>(&'a self, initial: &'a Membership) -> Vec<&'a Membership> {
        let (at, known) = match &self.known {
            Some((lsn, membership)) => (Some(*lsn), membership),
            None => (None, initial),
        };
        let later = self.changes.iter().filter(|(lsn, _)| Some(*lsn) > at).map(|(_, m)| m);
        [known].into_iter().chain(later).collect()
    }

    /// The same, for whoever looks.
    #[cfg(feature = "compare")]
    pub(super) fn memberships(&self, initial: &Membership) -> Vec<Membership> {
        self.in_force(initial).into_iter().cloned().collect()
    }

    fn has(&self, id: ReplicaId, lsn: Lsn) -> bool {
        self.acks.get(&id).is_some_and(|acks| acks.contains(lsn))
    }

    /// Whether what it has at a position is settled; empty there, whatever was there.
    pub(super) fn settles(&self, lsn: Lsn, facts: &Facts) -> bool {
        match self.record(lsn) {
            Some(record) => facts.settles(record),
            None => facts.settled.contains(lsn),
        }
    }

    /// The barrier of a membership: everything up to it is accepted or covered.
    fn has_all(&self, id: ReplicaId, to: Lsn, facts: &Facts) -> bool {
        let Some(acks) = self.acks.get(&id) else { return false };
        let covers = |lsn: Lsn| {
            let mut above = self.log[lsn.0 as usize + 1..].iter().flatten();
            above.any(|o| o.overrides.contains(lsn) && facts.settles(o) && acks.contains(o.lsn))
        };
        acks.holes(to.next()).all(covers)
    }
}

impl Refinement {
    /// A replica has accepted these under a leader; `Chosen`: what commits by that.
    pub(super) fn acknowledge(
        &mut self,
        id: ReplicaId,
        leader: LeaderId,
        accepted: &TailBitmap,
    ) -> Allowed {
        let Some(log) = self.leaders.get_mut(&leader) else { return Ok(()) };
        let acks = log.acks.entry(id).or_default();
        let news: Vec<Lsn> = accepted.difference_iter(acks).collect();
        acks.union_with(accepted);
        if !news.is_empty() {
            let placed = |lsn: &Lsn| log.log.get(lsn.0 as usize).is_some_and(Option::is_some);
            log.open.extend(news.into_iter().filter(placed));
        }
        while self.commit_one(leader)? {}
        Ok(())
    }

    /// Commits what may commit, once through; whether more may follow.
    pub(super) fn commit_one(&mut self, leader: LeaderId) -> Result<bool, String> {
        let Refinement { initial, replicas, leaders, facts, counts } = self;
        let Some(log) = leaders.get_mut(&leader) else { return Ok(false) };
        // What it hears while it leads, of its own log; later it is another's follower, or hears
        // what later leaders have committed.
        let own = replicas.get(&leader.node).filter(|own| own.composed.voted == leader);
        let own = own.and_then(|own| own.composed.known.clone()).filter(|own| log.knows_of(own));
        if own.as_ref().map(|(lsn, _)| lsn) > log.known.as_ref().map(|(lsn, _)| lsn) {
            log.known = own;
        }
        let in_force = log.in_force(initial);
        let mut committed = Vec::new();
        for lsn in &log.open {
            let Some(record) = log.record(*lsn) else { continue };
            let is_change = matches!(record.payload, Payload::Membership(_));
            let known = log.known.as_ref().is_some_and(|(known, _)| known >= lsn);
            let has = |id| match is_change && !known {
                true => log.has_all(id, *lsn, facts),
                false => log.has(id, *lsn),
            };
            let closed = record.depends.iter().all(|d| log.settles(d, facts));
            if closed && in_force.iter().all(|membership| membership.write.is_quorum(&has)) {
                facts.commit(record)?;
                committed.push(record.clone());
                *counts.entry("spec Commit").or_default() += 1;
            }
        }
        for record in &committed {
            log.open.remove(&record.lsn);
            if let Payload::Membership(membership) = &record.payload {
                let newest = log.known.as_ref().map(|(lsn, _)| *lsn);
                if newest < Some(record.lsn) {
                    log.known = Some((record.lsn, membership.clone()));
                }
            }
        }
        Ok(!committed.is_empty())
    }
}
