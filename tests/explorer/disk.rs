//! What a replica of the explorer has on disk.

use crate::checks::State;
use std::collections::BTreeMap;
use traft::base::*;
use traft::replica::*;

/// A snapshot: what it says of itself, and the state.
pub(crate) type Snapshot = (SnapshotMeta, State);

/// What survives a crash.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) durable: Durable,
    pub(crate) records: BTreeMap<Lsn, SharedRecord>,
    pub(crate) state: State,
    /// Snapshots of others, whole.
    pub(crate) aside: Vec<Snapshot>,
    /// Promises and lineages of old.
    old: Vec<(LeaderId, Lineage)>,
}

impl Disk {
    pub(crate) fn write(&mut self, write: Write) {
        if write.voted.is_some() || write.lineage.is_some() {
            self.old.push((self.durable.voted, self.durable.lineage.clone()));
        }
        if write.repaired {
            self.durable.doubt = None;
        }
        if let Some(voted) = write.voted {
            self.durable.voted = voted;
        }
        if let Some(lineage) = write.lineage {
            self.records.retain(|lsn, r| lineage.author(*lsn) == r.author);
            self.durable.lineage = lineage;
        }
        self.records.extend(write.records.iter_shared().map(|r| (r.lsn, r)));
        if write.membership.is_some() {
            self.durable.membership = write.membership;
        }
        if let Some(meta) = write.snapshot {
            let found = self.aside.iter().find(|(aside, _)| *aside == *meta);
            let (_, state) = found.expect("a replica restores only what it was offered");
            let own = self.durable.snapshot.as_ref().map(|own| own.done.offset());
            if own < Some(meta.done.offset()) {
                let state = state.clone();
                self.keep(*meta, state);
            }
        }
    }

    /// Loses records, and by the bits of `what` the lineage, the snapshot, the promise.
    pub(crate) fn lose(&mut self, mut keep: impl FnMut(&Lsn) -> bool, what: u64) {
        let mut doubt = Doubt::Records;
        self.records.retain(|lsn, _| keep(lsn));
        let older = self.old.len().checked_sub(1 + (what / 4) as usize);
        if let Some((voted, lineage)) = older.map(|at| self.old[at].clone()) {
            if what & 1 != 0 {
                self.records.retain(|lsn, record| lineage.author(*lsn) == record.author);
                self.durable.lineage = lineage;
            }
            if what & 2 != 0 {
                doubt = Doubt::Promise;
                self.durable.voted = voted.max(self.durable.lineage.leader());
            }
        }
        if what & 8 != 0 {
            (self.durable.snapshot, self.state) = (None, State::default());
            self.durable.membership = None;
        }
        self.durable.doubt = self.durable.doubt.max(Some(doubt));
    }

    /// A life begins.
    pub(crate) fn wake(&mut self) {
        self.durable.incarnation += u64::from(self.durable.doubt.is_some());
    }

    /// The snapshot stands in its place. What it has done without a gap may be dropped.
    pub(crate) fn keep(&mut self, meta: SnapshotMeta, state: State) {
        self.state = state;
        self.durable.snapshot = Some(Box::new(meta));
    }

    pub(crate) fn purge(&mut self, below: Lsn) {
        self.records = self.records.split_off(&below);
    }

    pub(crate) fn durable(&self) -> Durable {
        let records = Records::gather(self.records.values());
        Durable { records, ..self.durable.clone() }
    }
}
