//! Rebuilding the log: the lineage rule (algorithm.md, Rebuilding). Pure.

use crate::base::{LeaderId, Lineage, Lsn, Record, ReplicaId, Tail, TailBitmap, mutant};
use crate::message::Grant;
use std::collections::BTreeMap;

/// What the granted votes say about the log: the newest lineage, and who holds which survivor.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The lineage of the greatest committer among the grants.
    pub(crate) lineage: Lineage,
    /// Positions whose record some voter holds with the author that the lineage names.
    pub(crate) survivors: TailBitmap,
    /// The greatest purge offset.
    pub(crate) purged: Lsn,
}

/// Rebuilding 1: at each position the record survives whose author matches the lineage of the
/// greatest committer, from *any* voter that has it. One that this committer did not adopt is
/// dead, whoever still holds it.
pub(crate) fn survey(grants: &BTreeMap<ReplicaId, Grant>) -> Survey {
    let newest = grants.values().map(|g| &g.lineage).max_by_key(|lineage| lineage.leader());
    let lineage = newest.cloned().unwrap_or_default();
    let lineage =
        mutant!(PerPosition, lineage, super::wrong::per_position(grants, lineage.leader()));
    let mut survivors = TailBitmap::new();
    for grant in grants.values() {
        let held = held(grant, &lineage);
        let held = mutant!(TraftRule, held, super::wrong::of_the_newest(grant, &lineage, held));
        survivors.union_with(&held);
    }
    let purged = grants.values().map(|g| g.purged).max().unwrap_or_default();
    Survey { lineage, survivors, purged }
}

/// The positions at which `grant`'s voter holds the record that `lineage` names. A purged
/// position is not held.
pub(crate) fn held(grant: &Grant, lineage: &Lineage) -> TailBitmap {
    let mut held = TailBitmap::new();
    let end = grant.accepted.end();
    for (from, to) in agreement(&grant.lineage, lineage, end) {
        let from = from.max(mutant!(OffersAboveOffset, grant.purged, grant.accepted.offset()));
        if from < to {
            let mut part = TailBitmap::new();
            part.insert_range(from, to);
            held.union_with(&part.intersection(&grant.accepted));
        }
    }
    held
}

/// The ranges below `end` in which two lineages name the same authors, in order.
pub(crate) fn agreement(a: &Lineage, b: &Lineage, end: Lsn) -> Vec<(Lsn, Lsn)> {
    let starts =
        |l: &Lineage| l.runs().iter().map(|r| r.start).chain([l.end()]).collect::<Vec<_>>();
    let mut cuts: Vec<Lsn> = starts(a).into_iter().chain(starts(b)).chain([Lsn::ZERO]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.retain(|cut| *cut < end);
    cuts.push(end);
    let mut ranges: Vec<(Lsn, Lsn)> = Vec::new();
    for pair in cuts.windows(2) {
        if a.author(pair[0]) != b.author(pair[0]) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.1 == pair[0] => last.1 = pair[1],
            _ => ranges.push((pair[0], pair[1])),
        }
    }
    ranges
}

/// The log of a new leader.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    /// Its lineage, fixed at this moment.
    pub(crate) lineage: Lineage,
    /// What survived and is not held here, and the voids, in order of position, above what has left
    /// memory.
    pub(crate) records: Vec<Record>,
    /// The greatest floor of all that survived there.
    pub(crate) floor: Lsn,
    /// Positions without a record that are never voided: purged, or overridden by a survivor.
    pub(crate) empties: Tail,
}

/// Rebuilding 2 to 4, for leader `id`. `record` gives the survivor at a position, and whether it is
/// held here; otherwise a voter has sent it. Everything below
/// `settled` is known settled here and may have left memory: such a record survives and is never
/// dropped (I-5, I-7), and such a hole is empty, because a settled position without a record was
/// overridden. So the outcome is the rule's, without reading that part of the log.
pub(crate) fn rebuild<'a>(
    id: LeaderId,
    survey: &Survey,
    settled: Lsn,
    record: impl Fn(Lsn) -> Option<(&'a Record, bool)>,
) -> Rebuilt {
    let known = settled.max(survey.purged);
    let mut alive: BTreeMap<Lsn, (&Record, bool)> = BTreeMap::new();
    for lsn in survey.survivors.difference_iter(&TailBitmap::below(settled)) {
        alive.extend(record(lsn).map(|record| (lsn, record)));
    }
    let overridden = close(&mut alive, known);
    let survivor_end = alive.keys().next_back().map_or(Lsn::ZERO, |last| last.next());
    let top = survivor_end.max(known);
    let mut rebuilt = Rebuilt {
        lineage: Lineage::new(id),
        records: Vec::new(),
        floor: alive.values().map(|(record, _)| record.floor).max().unwrap_or_default(),
        empties: Tail::new(),
    };
    copy_authors(&mut rebuilt.lineage, &survey.lineage, settled);
    for hole in survey.survivors.holes(settled) {
        rebuilt.empties.insert(hole);
    }
    for lsn in (settled.0..top.0).map(Lsn) {
        let covered = mutant!(OverriddenHoleIsVoided, overridden.contains(lsn), false);
        let empty = lsn < survey.purged || covered;
        let kept = survey.lineage.author(lsn);
        let author = match alive.remove(&lsn) {
            Some((record, held)) => {
                if !held {
                    rebuilt.records.push(record.clone());
                }
                kept
            }
            None if mutant!(HolesStayEmpty, empty, true) => {
                rebuilt.empties.insert(lsn);
                kept
            }
            None => {
                rebuilt.records.push(Record::void(lsn, id));
                id
            }
        };
        rebuilt.lineage.push(author, lsn.next());
    }
    rebuilt
}

/// Rebuilding 3, the closure: a record with a bit of `depends` that neither survived nor is known
/// settled is dropped, unless a survivor overrides that record, and so on until nothing changes.
/// Returns what the survivors override. What lies below a floor does not count.
///
/// A record depends on what lies below it, so in order of position a chain falls in one pass,
/// however long it is. A further pass is for those that were kept by what overrides them alone.
fn close(alive: &mut BTreeMap<Lsn, (&Record, bool)>, known: Lsn) -> Tail {
    loop {
        let mut overridden = Tail::new();
        for (record, _) in alive.values() {
            overridden.union_with(&record.overrides);
        }
        let mut dropped = Tail::new();
        for (record, _) in alive.values() {
            let gone = |d| d >= known && (dropped.contains(d) || !alive.contains_key(&d));
            let bit = record.depends.iter().any(gone);
            let kept = overridden.contains(record.lsn);
            let lost =
                mutant!(ClosureBelowFloor, bit, bit || (0..record.floor.0).map(Lsn).any(gone));
            if lost && !mutant!(ClosureDropsOverridden, kept, false) {
                dropped.insert(record.lsn);
            }
        }
        if mutant!(ClosureOff, dropped.is_empty(), true) {
            return overridden;
        }
        for lsn in dropped.iter() {
            alive.remove(&lsn);
        }
    }
}

fn copy_authors(lineage: &mut Lineage, older: &Lineage, end: Lsn) {
    let starts = older.runs().iter().skip(1).map(|run| run.start).chain([older.end(), end]);
    for stop in starts {
        let stop = stop.min(end);
        if stop > lineage.end() {
            lineage.push(older.author(lineage.end()), stop);
        }
    }
}
