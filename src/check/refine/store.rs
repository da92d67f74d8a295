//! The variables of one replica: `voted`, `committer` with its lineage, `log`, `purged`, `known`,
//! `doubt` and `need`; and what was written and is not durable.

use super::elect::Heard;
use crate::base::{LeaderId, Lineage, Lsn, Membership, ReplicaId, SharedRecord, TailBitmap};
use crate::replica::{Durable, Write};
use std::collections::{BTreeMap, VecDeque};

/// What a disk says.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) voted: LeaderId,
    pub(super) lineage: Lineage,
    /// By position.
    pub(super) log: Vec<Option<SharedRecord>>,
    /// Below it everything is dropped.
    pub(super) purged: Lsn,
    /// The positions of the log, and all that is dropped.
    pub(super) held: TailBitmap,
    /// The newest membership known committed.
    pub(super) known: Option<(Lsn, Membership)>,
}

impl Store {
    pub(super) fn of(durable: &Durable) -> Store {
        let mut store = Store {
            voted: durable.voted,
            lineage: durable.lineage.clone(),
            known: durable.membership.clone(),
            ..Store::default()
        };
        let snapshot = durable.snapshot.as_deref();
        let below = snapshot.map_or(Lsn::ZERO, |snapshot| snapshot.done.offset());
        store.drop_below(below);
        store.learn(snapshot.and_then(|snapshot| snapshot.membership.as_ref()));
        durable.records.iter_shared().for_each(|record| store.put(record));
        store
    }

    /// The positions of the log.
    pub(super) fn records(&self) -> TailBitmap {
        self.log.iter().flatten().map(|record| record.lsn).collect()
    }

    pub(super) fn record(&self, lsn: Lsn) -> Option<&SharedRecord> {
        self.log.get(lsn.0 as usize)?.as_ref()
    }

    /// One past the last record.
    pub(super) fn end(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// What a write does.
    pub(super) fn write(&mut self, write: &Write) {
        self.voted = self.voted.max(write.voted.unwrap_or_default());
        if let Some(lineage) = &write.lineage {
            self.lineage = lineage.clone();
            self.held = TailBitmap::below(self.purged);
            let log = std::mem::take(&mut self.log);
            let fits = |record: &SharedRecord| lineage.author(record.lsn) == record.author;
            log.into_iter().flatten().filter(fits).for_each(|record| self.put(record));
        }
        write.records.iter_shared().for_each(|record| self.put(record));
        self.learn(write.membership.as_ref());
        if let Some(snapshot) = &write.snapshot {
            self.drop_below(snapshot.done.offset());
            self.learn(snapshot.membership.as_ref());
        }
    }

    pub(super) fn drop_below(&mut self, below: Lsn) {
        if below > self.purged {
            let end = (below.0 as usize).min(self.log.len());
            self.log[..end].fill(None);
            self.purged = below;
            self.held.insert_below(below);
        }
    }

    fn learn(&mut self, known: Option<&(Lsn, Membership)>) {
        let newest = self.known.as_ref().map(|(lsn, _)| *lsn);
        if let Some(known) = known.filter(|(lsn, _)| Some(*lsn) > newest) {
            self.known = Some(known.clone());
        }
    }

    fn put(&mut self, record: SharedRecord) {
        let at = record.lsn.0 as usize;
        if record.lsn < self.purged {
            return;
        }
        if at >= self.log.len() {
            self.log.resize(at + 1, None);
        }
        self.held.insert(record.lsn);
        self.log[at] = Some(record);
    }

    /// Whether it is what another one is, as far as logs go. What is dropped may be more: a
    /// snapshot is durable by itself.
    pub(super) fn is_like(&self, other: &Store) -> bool {
        let mut held = other.held.clone();
        held.insert_below(self.purged);
        self.voted == other.voted
            && self.lineage == other.lineage
            && self.purged >= other.purged
            && self.held == held
    }
}

/// A replica.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// What is on its disk for certain.
    pub(super) durable: Store,
    /// What will be when everything that it has asked for is written.
    pub(super) composed: Store,
    pub(super) pending: VecDeque<Box<Write>>,
    /// By leader id. One write may promise several: see `promise_at`.
    pub(super) promises: BTreeMap<LeaderId, Promise>,
    /// The grants that have come to it as this candidate.
    pub(super) candidate: LeaderId,
    pub(super) heard: Vec<(ReplicaId, Heard)>,
    /// Given out for execution, or marked by that.
    pub(super) done: TailBitmap,
    /// Below it everything is done or covered.
    pub(super) passed: Lsn,
    pub(super) incarnation: u64,
    pub(super) doubt: bool,
    /// How far the logs of leaders reached when it lost something.
    pub(super) need: BTreeMap<LeaderId, Lsn>,
}

/// That a replica has promised.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    /// What it had at that moment.
    pub(super) had: Store,
    /// Whose lineage it took with the same write. It had not when it promised, and may have
    /// accepted something in between, so `had` is the least that it had.
    pub(super) taken: Option<LeaderId>,
}

impl Replica {
    /// Its promise to `candidate`. If it promised a greater one before that was written, one write
    /// promised both, and it had the same at both; and whoever promises the greater one may promise
    /// the other at the same moment, since nothing changes in between.
    pub(super) fn promise_at(&self, candidate: LeaderId) -> Option<&Promise> {
        self.promises.range(candidate..).next().map(|(_, promise)| promise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by `traft nemesis --seeds`: both grants of one write are said.
    #[test]
    fn one_write_may_promise_two_candidates() {
        let (mut replica, promised) = (Replica::default(), LeaderId::new(2, 3));
        let promise = Promise { had: Store::default(), taken: None };
        replica.promises.insert(promised, promise);
        assert!(replica.promise_at(LeaderId::new(2, 1)).is_some());
        assert!(replica.promise_at(promised).is_some());
        assert!(replica.promise_at(LeaderId::new(3, 1)).is_none());
    }
}
