//! `Propose`: where a record is placed, and what it is said to override and to depend on.

use super::facts::Leader;
use super::store::Promise;
use super::{Allowed, Refinement};
use crate::base::{LeaderId, Lsn, Payload, Record, ReplicaId, SharedRecord, Tail};
use crate::replica::Write;
use std::collections::BTreeSet;

impl Refinement {
    /// A replica asks for a write: it leads by it, and places what it has authored itself.
    pub(super) fn writes(&mut self, id: ReplicaId, write: &Write) -> Allowed {
        self.replica(id)?;
        if let Some(lineage) = write.lineage.as_ref().filter(|l| l.leader().node == id) {
            self.elect(id, write, lineage)?;
        }
        for record in write.records.iter_shared() {
            let leads = record.author.node == id && self.leaders.contains_key(&record.author);
            if leads && record.lsn >= self.leaders[&record.author].next() {
                self.propose(&record)?;
            }
        }
        let replica = self.replica(id)?;
        // What a grant speaks of is what there was at the promise: what is written with it, unless
        // that is of a leader whose lineage is taken, which comes after it.
        let taken = write.lineage.as_ref().map(|lineage| lineage.leader());
        let before = taken.and(write.voted).map(|_| replica.composed.clone());
        replica.composed.write(write);
        if write.voted.is_some() {
            let had = before.unwrap_or_else(|| replica.composed.clone());
            replica.promises.insert(replica.composed.voted, Promise { had, taken });
        }
        replica.pending.push_back(Box::new(write.clone()));
        match &write.snapshot {
            // It is durable by itself, before anything is written about it.
            Some(snapshot) => {
                replica.durable.drop_below(snapshot.done.offset());
                self.has_state(id)
            }
            None => Ok(()),
        }
    }

    fn propose(&mut self, record: &SharedRecord) -> Allowed {
        let author: LeaderId = record.author;
        let Refinement { leaders, facts, .. } = self;
        let Some(leader) = leaders.get_mut(&author) else { return Ok(()) };
        if record.lsn != leader.next() {
            return Err(format!("{record} is placed, and {} comes next", leader.next()));
        }
        let wrong = |what: &str| Err(format!("{record} is placed: {what}"));
        match &record.payload {
            Payload::Void => return wrong("above what was rebuilt there are no voids"),
            Payload::Membership(_) => {}
            Payload::Command(_) => {
                if record.floor < leader.floor {
                    return wrong(&format!("I-11 a floor was {} before", leader.floor));
                }
                if record.floor > facts.settled.offset() {
                    let open = facts.settled.offset();
                    return wrong(&format!("I-11 {open} is below its floor and not settled"));
                }
                overrides(leader, record)?;
                depends(leader, record)?;
            }
        }
        if !record.is_well_formed() {
            return wrong("it is not well-formed");
        }
        leader.push(record.clone());
        self.count("spec Propose");
        Ok(())
    }
}

/// The records of a leader's log from a record's floor to below it that it interferes with.
fn meets<'a>(leader: &'a Leader, record: &'a Record) -> impl Iterator<Item = &'a SharedRecord> {
    let window = &leader.log[(record.floor.0 as usize).min(leader.log.len())..];
    window.iter().flatten().filter(|other| other.interferes(record))
}

/// Authoring 2: each victim is a blind write whose keys are written again, and whatever stands
/// between and interferes with it is a victim, too; or it is a victim of a victim. No victim's
/// victim is left out.
fn overrides(leader: &Leader, record: &Record) -> Allowed {
    let wrong =
        |lsn: Lsn, what: &str| Err(format!("{record} is placed and overrides {lsn}: {what}"));
    let mut inherited = Tail::new();
    for victim in record.overrides.iter().filter_map(|lsn| leader.record(lsn)) {
        inherited.union_with(&victim.overrides);
    }
    inherited.remove_below(record.floor);
    if let Some(lost) = inherited.iter().find(|lsn| !record.overrides.contains(*lsn)) {
        return Err(format!("{record} is placed and forgets {lost}, which a victim overrides"));
    }
    let Some(command) = record.command() else { return Ok(()) };
    for lsn in record.overrides.iter() {
        if inherited.contains(lsn) {
            continue;
        }
        let Some(victim) = leader.record(lsn) else { return wrong(lsn, "nothing is there") };
        let Some(old) = victim.command().filter(|old| old.footprint.is_blind()) else {
            return wrong(lsn, "it is no blind write");
        };
        if !command.footprint.is_blind() || !command.footprint.writes.covers(&old.footprint.writes)
        {
            return wrong(lsn, "its keys are not all written blindly");
        }
        let between = leader.log[lsn.0 as usize + 1..].iter().flatten();
        let mut met = between.filter(|other| other.interferes(victim));
        if let Some(other) = met.find(|other| !record.overrides.contains(other.lsn)) {
            return wrong(lsn, &format!("{} lies between", other.lsn));
        }
    }
    Ok(())
}

/// Authoring 3: whatever it meets is a victim, or done before it: by a bit, by a path of such, or
/// because another one that it meets overrides it.
fn depends(leader: &Leader, record: &Record) -> Allowed {
    let live: Vec<&SharedRecord> =
        meets(leader, record).filter(|other| !record.overrides.contains(other.lsn)).collect();
    let mut covered = Tail::new();
    live.iter().for_each(|other| covered.union_with(&other.overrides));
    let mut reached = BTreeSet::new();
    let mut open: Vec<Lsn> = record.depends.iter().collect();
    while let Some(lsn) = open.pop() {
        if reached.insert(lsn)
            && let Some(other) = leader.record(lsn)
        {
            open.extend(other.depends.iter());
        }
    }
    let loose =
        |other: &&SharedRecord| !reached.contains(&other.lsn) && !covered.contains(other.lsn);
    if let Some(other) = live.into_iter().find(loose) {
        return Err(format!("{record} is placed, and nothing orders it after {other}"));
    }
    match record.depends.iter().find(|lsn| covered.contains(*lsn)) {
        Some(lsn) => Err(format!(
            "{record} is placed and depends on {lsn}, which another one that it meets overrides"
        )),
        None => Ok(()),
    }
}
