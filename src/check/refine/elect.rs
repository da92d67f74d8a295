//! `Elect`: the log of a new leader, computed anew from what its voters had when they promised.

use super::facts::Leader;
use super::store::{Promise, Store};
use super::{Allowed, Refinement};
use crate::base::{
    LeaderId, Lineage, Lsn, Membership, Payload, ReplicaId, SharedRecord, Tail, TailBitmap,
};
use crate::replica::Write;
use std::collections::{BTreeMap, BTreeSet};

/// A grant, as it has come to a candidate.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) incarnation: u64,
    pub(super) purged: Lsn,
    pub(super) known: Option<(Lsn, Membership)>,
}

/// A vote: what somebody had when it promised, without what it had dropped when it said so.
struct Vote<'a> {
    had: &'a Store,
    purged: Lsn,
    known: Option<&'a (Lsn, Membership)>,
}

impl Vote<'_> {
    fn record(&self, lsn: Lsn) -> Option<&SharedRecord> {
        self.had.record(lsn).filter(|_| lsn >= self.purged)
    }
}

/// `Filled(Emptied(Merged(Q)))`.
struct Rebuilt {
    log: Vec<Option<SharedRecord>>,
    /// Whose lineage counts.
    lineage: Lineage,
    gone: Lsn,
    /// What survivors override.
    covered: Tail,
}

impl Refinement {
    pub(super) fn campaigns(&mut self, id: ReplicaId, candidate: LeaderId) -> Allowed {
        let replica = self.replica(id)?;
        if replica.doubt {
            return Err("it campaigns and is in doubt".into());
        }
        if replica.durable.voted < candidate {
            return Err(format!("it campaigns as {candidate} and has not promised that"));
        }
        Ok(())
    }

    /// A grant says what was there at the promise: less would lose it, more was never there.
    pub(super) fn grants(
        &mut self,
        id: ReplicaId,
        candidate: LeaderId,
        committer: LeaderId,
        accepted: &TailBitmap,
        purged: Lsn,
    ) -> Allowed {
        let replica = self.replica(id)?;
        if replica.doubt {
            return Err(format!("it grants {candidate} and is in doubt"));
        }
        if committer == candidate {
            // It follows that one already: nothing comes of the vote.
            return self.accepts(id, candidate, accepted);
        }
        let promised = replica.promise_at(candidate);
        let Some(promise) = promised.filter(|_| replica.durable.voted >= candidate) else {
            return Err(format!("it grants {candidate} and has not promised that"));
        };
        let Promise { had, taken } = promise;
        let leader = had.lineage.leader();
        if taken.is_some() && (leader..candidate).contains(&committer) && leader != committer {
            // Promise and lineage became durable in one step, and so did one in between.
            return Ok(());
        }
        if leader != committer {
            return Err(format!("it grants {candidate} as of {committer}, and took {leader}"));
        }
        let mut held = had.held.clone();
        held.insert_below(purged);
        let lost = held.difference_iter(accepted).next();
        let more = accepted.difference_iter(&held).next().filter(|_| taken.is_none());
        match lost.or(more) {
            Some(lsn) => Err(format!("it grants {candidate} and is wrong about {lsn}")),
            None => Ok(()),
        }
    }

    pub(super) fn hears(
        &mut self,
        id: ReplicaId,
        from: ReplicaId,
        candidate: LeaderId,
        vote: Heard,
    ) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        if candidate > replica.candidate {
            replica.candidate = candidate;
            replica.heard.clear();
        }
        if candidate == replica.candidate {
            // In the order in which they were first heard.
            match replica.heard.iter_mut().find(|(known, _)| *known == from) {
                Some((_, known)) => *known = vote,
                None => replica.heard.push((from, vote)),
            }
        }
    }

    /// It takes a lineage of its own.
    pub(super) fn elect(&mut self, id: ReplicaId, write: &Write, lineage: &Lineage) -> Allowed {
        let leader = lineage.leader();
        if self.leaders.contains_key(&leader) {
            return Err(format!("it leads as {leader} once more"));
        }
        let own = self.replicas.get(&id).ok_or("it has not started")?;
        if own.durable.voted < leader {
            return Err(format!("it leads as {leader} before it has promised that"));
        }
        let heard = if own.candidate == leader { &own.heard[..] } else { &[] };
        let fresh = |(from, vote): &&(ReplicaId, Heard)| {
            vote.incarnation >= self.replicas.get(from).map_or(0, |voter| voter.incarnation)
        };
        let elected = |votes: Vec<&(ReplicaId, Heard)>| self.elected(id, write, lineage, &votes);
        // Those that came after it had enough may be on record before its write is: a driver hands
        // several messages over before it carries out what comes of them. And a vote of a life that
        // is known to be over may have been left out. Any read quorum will do (`Elect`).
        let fewer = || {
            (0..=heard.len()).rev().find_map(|count| {
                let first = || heard[..count].iter();
                elected(first().collect())
                    .or_else(|_| elected(first().filter(fresh).collect()))
                    .ok()
            })
        };
        let elected = elected(heard.iter().collect()).or_else(|why| fewer().ok_or(why))?;
        self.leaders.insert(leader, elected);
        self.count("spec Elect");
        Ok(())
    }

    /// The leader that these votes make, if it is the one that was made.
    fn elected(
        &self,
        id: ReplicaId,
        write: &Write,
        lineage: &Lineage,
        heard: &[&(ReplicaId, Heard)],
    ) -> Result<Leader, String> {
        let (leader, own) = (lineage.leader(), &self.replicas[&id]);
        let itself = Vote {
            had: &own.composed,
            purged: own.composed.purged,
            known: own.composed.known.as_ref(),
        };
        let mut votes = BTreeMap::from([(id, itself)]);
        for (from, vote) in heard.iter().filter(|(from, _)| *from != id) {
            let voter = self.replicas.get(from).and_then(|voter| voter.promise_at(leader));
            let promise = voter.ok_or_else(|| format!("{from} has never promised {leader}"))?;
            let (had, purged, known) = (&promise.had, vote.purged, vote.known.as_ref());
            votes.insert(*from, Vote { had, purged, known });
        }
        let known = votes.values().filter_map(|vote| vote.known).max_by_key(|(lsn, _)| *lsn);
        let rebuilt = rebuild(&votes.values().collect::<Vec<_>>());
        let voters: BTreeSet<ReplicaId> = votes.keys().copied().collect();
        self.is_elected(leader, known, &rebuilt, &voters)?;
        let mut after = own.composed.clone();
        after.write(write);
        let log = self.same(lineage, &rebuilt, &after)?;
        let changes = log.iter().flatten().filter_map(|record| match &record.payload {
            Payload::Membership(membership) => Some((record.lsn, membership.clone())),
            _ => None,
        });
        Ok(Leader {
            lineage: lineage.clone(),
            gone: rebuilt.gone,
            floor: log.iter().flatten().map(|record| record.floor).max().unwrap_or_default(),
            known: known.cloned(),
            changes: changes.collect(),
            log,
            acks: BTreeMap::new(),
            open: BTreeSet::new(),
            claimed: TailBitmap::new(),
        })
    }

    /// `Need`: a read quorum of the newest membership known committed and of every later one that
    /// is alive.
    fn is_elected(
        &self,
        leader: LeaderId,
        known: Option<&(Lsn, Membership)>,
        rebuilt: &Rebuilt,
        voters: &BTreeSet<ReplicaId>,
    ) -> Allowed {
        let at = known.map(|(lsn, _)| *lsn);
        let later = rebuilt.log.iter().flatten().filter_map(|record| match &record.payload {
            Payload::Membership(membership) if Some(record.lsn) > at => Some(membership),
            _ => None,
        });
        let first = known.map_or(&self.initial, |(_, membership)| membership);
        let mut needed = [first].into_iter().chain(later);
        match needed.find(|membership| !membership.read.is_quorum(&|id| voters.contains(&id))) {
            Some(membership) => {
                Err(format!("{voters:?} make {leader} a leader, and {membership} is in force"))
            }
            None => Ok(()),
        }
    }

    /// Whether the lineage that was taken is that of the log that had to be, and its records are
    /// there; with the voids.
    fn same(
        &self,
        lineage: &Lineage,
        rebuilt: &Rebuilt,
        after: &Store,
    ) -> Result<Vec<Option<SharedRecord>>, String> {
        let leader = lineage.leader();
        let end = Lsn(rebuilt.log.len() as u64).max(rebuilt.gone);
        if lineage.end() != end {
            return Err(format!("the log of {leader} ends at {}, not at {end}", lineage.end()));
        }
        let mut log = rebuilt.log.clone();
        log.resize(end.0 as usize, None);
        for lsn in (0..end.0).map(Lsn) {
            let survivor = log[lsn.0 as usize].as_ref();
            let empty = lsn < rebuilt.gone || rebuilt.covered.contains(lsn);
            let author = match survivor {
                Some(record) => record.author,
                None if empty => rebuilt.lineage.author(lsn),
                None => leader,
            };
            if lineage.author(lsn) != author {
                let other = lineage.author(lsn);
                return Err(format!("{leader} has {other} at {lsn}, and {author} is what is left"));
            }
            match (survivor, after.record(lsn)) {
                (Some(record), Some(held)) if record == held => {}
                (Some(_), None) if self.facts.settled.contains(lsn) => {}
                (Some(record), held) => {
                    return Err(format!("{leader} has {held:?} in place of {record}"));
                }
                (None, _) if empty => {}
                (None, Some(void)) if void.payload == Payload::Void => {
                    log[lsn.0 as usize] = Some(void.clone());
                }
                (None, held) => return Err(format!("{leader} has {held:?} in place of a void")),
            }
        }
        Ok(log)
    }
}

/// Rebuilding 1 to 3.
fn rebuild(votes: &[&Vote<'_>]) -> Rebuilt {
    let newest = votes.iter().map(|vote| &vote.had.lineage).max_by_key(|lineage| lineage.leader());
    let lineage = newest.cloned().unwrap_or_default();
    let gone = votes.iter().map(|vote| vote.purged).max().unwrap_or_default();
    let end = votes.iter().map(|vote| vote.had.end()).max().unwrap_or_default();
    let survivor = |lsn: Lsn| {
        let fits = |record: &&SharedRecord| record.author == lineage.author(lsn);
        votes.iter().find_map(|vote| vote.record(lsn).filter(fits)).cloned()
    };
    let mut log: Vec<Option<SharedRecord>> = (0..end.0).map(|lsn| survivor(Lsn(lsn))).collect();
    let covered = loop {
        let mut covered = Tail::new();
        log.iter().flatten().for_each(|record| covered.union_with(&record.overrides));
        let is_there = |d: Lsn| log.get(d.0 as usize).is_some_and(Option::is_some);
        let lost = |d: Lsn| d >= gone && !is_there(d);
        let bad = log
            .iter()
            .flatten()
            .filter(|record| record.depends.iter().any(lost) && !covered.contains(record.lsn));
        let bad: Vec<usize> = bad.map(|record| record.lsn.0 as usize).collect();
        if bad.is_empty() {
            break covered;
        }
        bad.into_iter().for_each(|at| log[at] = None);
    };
    let used = log.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    log.truncate(used);
    Rebuilt { log, lineage, gone, covered }
}
