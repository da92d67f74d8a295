//! What becomes durable at a replica: its part of `Elect`, `Accept`, `Install`, `Learn`, `Repair`;
//! and what a life begins with: nothing new, or `Lose`.

use super::store::{Promise, Replica, Store};
use super::{Allowed, Refinement};
use crate::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use crate::replica::{Durable, SnapshotMeta, Write};
use std::collections::VecDeque;

impl Refinement {
    pub(super) fn stores(&mut self, id: ReplicaId, number: u64) -> Allowed {
        loop {
            let pending = &mut self.replica(id)?.pending;
            match pending.pop_front_if(|write| write.number <= number) {
                Some(write) => self.accept(id, &write)?,
                None => return Ok(()),
            }
        }
    }

    /// A write has become durable.
    fn accept(&mut self, id: ReplicaId, write: &Write) -> Allowed {
        let replica = self.replicas.get_mut(&id).ok_or("it has not started")?;
        let old = replica.durable.voted;
        if let Some(voted) = write.voted.filter(|voted| *voted < old) {
            return Err(format!("I-1 the promise {old} falls to {voted}"));
        }
        let before = replica.durable.lineage.leader();
        replica.durable.write(write);
        let Store { voted, lineage, .. } = &replica.durable;
        let (voted, committer) = (*voted, lineage.leader());
        if committer > voted {
            return Err(format!("I-1 the committer is {committer} and the promise {voted}"));
        }
        let taken = write.lineage.is_some();
        let records = || write.records.iter().map(|record| record.lsn).collect();
        let held = if taken { replica.durable.records() } else { records() };
        if let Some(lineage) = &write.lineage {
            let log = self.leader(committer)?;
            if log.lineage != *lineage {
                return Err(format!(
                    "it takes {lineage}, and that of the leader is {}",
                    log.lineage
                ));
            }
            if old > committer || before > committer {
                return Err(format!("it takes the lineage of {committer} and has promised {old}"));
            }
            self.count("spec Accept (first contact)");
        }
        self.is_of_leader(write, old, committer)?;
        if write.voted.is_some() {
            self.count("spec Elect (a promise)");
        }
        if let Some(snapshot) = &write.snapshot {
            self.install(voted, snapshot)?;
        }
        self.learn(write)?;
        if write.repaired {
            self.repair(id, committer)?;
        }
        self.acknowledge(id, committer, &held)?;
        self.has_state(id)
    }

    /// Each record is what the leader has at its position.
    fn is_of_leader(&mut self, write: &Write, old: LeaderId, committer: LeaderId) -> Allowed {
        for record in write.records.iter() {
            let log = self.leader(committer)?;
            if old > committer {
                return Err(format!("it accepts {record} of {committer} and has promised {old}"));
            }
            match log.record(record.lsn) {
                Some(own) if **own == *record => self.count("spec Accept"),
                Some(own) => return Err(format!("it accepts {record}, and {committer} has {own}")),
                // Empty at the leader, and not touched by anybody any more.
                None if self.facts.committed(record.lsn).is_some_and(|own| **own == *record) => {}
                None => return Err(format!("it accepts {record}, and {committer} has none there")),
            }
        }
        Ok(())
    }

    /// `Install`: everything that the state has done is settled, and the promise is not below the
    /// greatest committer behind it.
    fn install(&mut self, voted: LeaderId, snapshot: &SnapshotMeta) -> Allowed {
        if let Some(lsn) = snapshot.done.difference_iter(&self.facts.settled).next() {
            return Err(format!("it installs a state that has done {lsn}, which is not settled"));
        }
        if voted < snapshot.committer {
            let behind = snapshot.committer;
            return Err(format!("it installs a state of {behind}, and promises {voted}"));
        }
        self.count("spec Install");
        Ok(())
    }

    /// `Learn`: that a membership is committed is a fact.
    fn learn(&mut self, write: &Write) -> Allowed {
        let known = write.snapshot.as_ref().and_then(|snapshot| snapshot.membership.as_ref());
        for (lsn, membership) in write.membership.iter().chain(known) {
            let fact = self.facts.committed(*lsn).map(|record| &record.payload);
            if fact != Some(&crate::base::Payload::Membership(membership.clone())) {
                return Err(format!("it learns that {membership} is committed at {lsn}: {fact:?}"));
            }
            self.count("spec Learn");
        }
        Ok(())
    }

    /// `Repair`: it holds all that the leader had placed when it heard of the loss.
    fn repair(&mut self, id: ReplicaId, committer: LeaderId) -> Allowed {
        let log = self.leader(committer)?;
        let Some(replica) = self.replicas.get(&id) else { return Ok(()) };
        let durable = &replica.durable;
        if durable.voted != committer {
            return Err(format!("{committer} repairs it, and it has promised {}", durable.voted));
        }
        let end = replica.need.get(&committer).copied().unwrap_or(log.lineage.end());
        let covers = |lsn: Lsn| {
            let mut above = durable.log.iter().flatten();
            above.any(|o| o.overrides.contains(lsn) && self.facts.settles(o))
        };
        let excused = |lsn: Lsn| log.record(lsn).is_none() && lsn >= log.gone;
        let lacks = durable.held.holes(end).find(|lsn| !covers(*lsn) && !excused(*lsn));
        if let Some(lsn) = lacks {
            return Err(format!("{committer} calls it repaired, and it lacks {lsn}"));
        }
        self.replica(id)?.doubt = false;
        self.count("spec Repair");
        Ok(())
    }

    /// A life begins: with what was durable, and perhaps the first writes that were under way.
    pub(super) fn starts(&mut self, id: ReplicaId, durable: &Durable) -> Allowed {
        let found = Store::of(durable);
        let mut replica = self.replicas.remove(&id).unwrap_or_default();
        let pending = std::mem::take(&mut replica.pending);
        replica.heard.clear();
        replica.incarnation = durable.incarnation;
        replica.passed = Lsn::ZERO;
        replica.done = durable.snapshot.as_ref().map_or(TailBitmap::new(), |own| own.done.clone());
        let unsettled = replica.done.difference_iter(&self.facts.settled).next();
        if let Some(lsn) = unsettled {
            return Err(format!("it starts and has done {lsn}, which is not settled"));
        }
        let was = replica.durable.clone();
        replica.composed = found.clone();
        if durable.doubt.is_some() {
            // What was on its way may be there, too: written before the loss.
            let (committer, held) = (found.lineage.leader(), found.records());
            self.lose(&mut replica, found);
            self.replicas.insert(id, replica);
            self.acknowledge(id, committer, &held)?;
            return self.has_state(id);
        }
        self.replicas.insert(id, replica);
        self.survives(id, was, &found, pending)?;
        let replica = self.replica(id)?;
        replica.durable.drop_below(found.purged);
        replica.composed = replica.durable.clone();
        let (voted, kept) = (replica.durable.voted, replica.durable.clone());
        // What was not written was not promised.
        replica.promises.retain(|promised, _| *promised <= voted);
        replica.promises.insert(voted, Promise { had: kept, taken: None });
        // A snapshot may have become durable of which nobody has said so: what it has is accepted.
        let (committer, held) = (replica.durable.lineage.leader(), replica.durable.records());
        self.acknowledge(id, committer, &held)?;
        self.has_state(id)
    }

    /// What is found is what was durable and the first of the writes under way.
    fn survives(
        &mut self,
        id: ReplicaId,
        mut was: Store,
        found: &Store,
        mut pending: VecDeque<Box<Write>>,
    ) -> Allowed {
        // What ends a doubt need change nothing else.
        while !found.is_like(&was) || self.replica(id)?.doubt {
            let Some(write) = pending.pop_front() else {
                return Err(format!("it starts with {found:?}, and had {was:?}"));
            };
            was.write(&write);
            self.accept(id, &write)?;
        }
        Ok(())
    }

    /// `Lose`. Whatever it promised binds it.
    fn lose(&mut self, replica: &mut Replica, found: Store) {
        let voted = found.voted.max(replica.durable.voted);
        replica.durable = Store { voted, ..found };
        replica.doubt = true;
        let reach = |(id, log): (&LeaderId, &super::Leader)| (*id, log.next());
        replica.need = self.leaders.iter().map(reach).collect();
        self.count("spec Lose");
    }
}
