//! What a crash leaves of a replica.

use crate::base::{LeaderId, Lineage, Lsn, Membership, Records, SharedRecord, TailBitmap};
use crate::replica::{Durable, SnapshotMeta, Write};
use crate::sim::invariants::Stored;
use crate::sim::{Preload, Spec};

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraftDisk {
    /// How often a replica was started from it.
    pub(super) lives: u64,
    voted: LeaderId,
    lineage: Lineage,
    /// No position below it ever had a record.
    base: Lsn,
    /// By position, from `base` on.
    records: Vec<Option<SharedRecord>>,
    /// The positions that have a record.
    held: TailBitmap,
    membership: Option<(Lsn, Membership)>,
    snapshot: Option<Box<SnapshotMeta>>,
}

impl TraftDisk {
    /// Of replica `id` before its first life: empty, or with the preloaded history.
    pub(super) fn new(spec: &Spec, id: usize) -> TraftDisk {
        let mut disk = TraftDisk::default();
        let Some(preload) = &spec.preload else { return disk };
        let held = preload.held(id);
        disk.held = TailBitmap::below(Lsn(held));
        if preload.is_new(id) {
            disk.base = Lsn(preload.count());
            return disk;
        }
        if preload.is_snapshot(id) {
            let (done, committer) = (disk.held.clone(), Preload::author());
            disk.base = done.offset();
            disk.snapshot = Some(Box::new(SnapshotMeta { done, committer, membership: None }));
        } else {
            disk.records = preload.records()[..held as usize].to_vec();
        }
        disk.lineage = Lineage::new(Preload::author());
        disk.voted = Preload::author();
        disk
    }

    /// The record at a position, if there is one.
    pub(super) fn record(&self, lsn: Lsn) -> Option<SharedRecord> {
        let at = lsn.0.checked_sub(self.base.0)?;
        self.records.get(at as usize).cloned().flatten()
    }

    /// The state that it has of the history.
    pub(super) fn state(&self) -> Option<Box<SnapshotMeta>> {
        self.snapshot.clone()
    }

    /// One atomic step.
    pub(super) fn write(&mut self, write: &Write) {
        self.voted = write.voted.unwrap_or(self.voted);
        if let Some(lineage) = &write.lineage {
            self.held = TailBitmap::below(self.purged());
            for slot in &mut self.records {
                slot.take_if(|record| lineage.author(record.lsn) != record.author);
                if let Some(record) = slot {
                    self.held.insert(record.lsn);
                }
            }
            self.lineage = lineage.clone();
        }
        for record in write.records.iter_shared() {
            let at = (record.lsn.0 - self.base.0) as usize;
            if at >= self.records.len() {
                self.records.resize(at + 1, None);
            }
            self.held.insert(record.lsn);
            self.records[at] = Some(record);
        }
        if write.membership.is_some() {
            self.membership = write.membership.clone();
        }
        if let Some(snapshot) = &write.snapshot {
            let below = snapshot.done.offset();
            self.snapshot = Some(snapshot.clone());
            self.held.insert_below(below);
            let gone = below.0.saturating_sub(self.base.0) as usize;
            self.records.iter_mut().take(gone).for_each(|slot| *slot = None);
        }
    }

    /// Below it there are no records.
    fn purged(&self) -> Lsn {
        self.snapshot.as_ref().map_or(Lsn::ZERO, |snapshot| snapshot.done.offset())
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        let TraftDisk { voted, lineage, records, held, .. } = self;
        Stored { voted: *voted, lineage, records, held }
    }

    pub(super) fn durable(&self) -> Durable {
        Durable {
            voted: self.voted,
            lineage: self.lineage.clone(),
            records: Records::gather(self.records.iter().flatten()),
            membership: self.membership.clone(),
            snapshot: self.snapshot.clone(),
            life: self.lives,
            ..Durable::default()
        }
    }
}
