//! What a replica's disk holds for certain, kept beside it: what was synced, by what it was told to
//! write.

use crate::base::{LeaderId, Lineage, Lsn, SharedRecord, TailBitmap};
use crate::replica::{Durable, Write};
use crate::sim::invariants::Stored;
use std::collections::VecDeque;

/// A twin of the disk of one replica that knows nothing of files.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) voted: LeaderId,
    pub(super) lineage: Lineage,
    /// By position.
    records: Vec<Option<SharedRecord>>,
    held: TailBitmap,
    purged: Lsn,
    /// Written and not known synced.
    pending: VecDeque<Box<Write>>,
}

impl Mirror {
    /// What a restart has found.
    pub(super) fn of(durable: &Durable, purged: Lsn) -> Mirror {
        let mut mirror = Mirror {
            voted: durable.voted,
            lineage: durable.lineage.clone(),
            held: TailBitmap::below(purged),
            purged,
            ..Mirror::default()
        };
        durable.records.iter_shared().for_each(|record| mirror.keep(&record));
        mirror
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            voted: self.voted,
            lineage: &self.lineage,
            records: &self.records,
            held: &self.held,
        }
    }

    pub(super) fn write(&mut self, write: Box<Write>) {
        self.pending.push_back(write);
    }

    /// The first write that is not known synced becomes so, if its number is not above this one.
    pub(super) fn sync(&mut self, number: u64) -> Option<Box<Write>> {
        let write = self.pending.pop_front_if(|write| write.number <= number)?;
        self.voted = self.voted.max(write.voted.unwrap_or_default());
        if let Some(lineage) = &write.lineage {
            self.lineage = lineage.clone();
            let fits = |record: &SharedRecord| lineage.author(record.lsn) == record.author;
            let kept: Vec<SharedRecord> =
                self.records.drain(..).flatten().filter(|record| fits(record)).collect();
            self.held = TailBitmap::below(self.purged);
            kept.iter().for_each(|record| self.keep(record));
        }
        write.records.iter_shared().for_each(|record| self.keep(&record));
        if let Some(snapshot) = &write.snapshot {
            self.purge(snapshot.done.offset());
        }
        Some(write)
    }

    /// The positions of records that are on their way to the disk.
    pub(super) fn written(&self) -> TailBitmap {
        self.pending.iter().flat_map(|write| write.records.iter()).map(|r| r.lsn).collect()
    }

    /// Nothing is on its way to the disk.
    pub(super) fn is_synced(&self) -> bool {
        self.pending.is_empty()
    }

    /// Everything below is in a durable snapshot.
    pub(super) fn purge(&mut self, below: Lsn) {
        self.purged = self.purged.max(below);
        self.held.insert_below(self.purged);
    }

    /// Whether everything that is certain is in what was found.
    pub(super) fn survives(&self, durable: &Durable, purged: Lsn) -> Result<(), String> {
        if durable.voted < self.voted || durable.lineage.leader() < self.lineage.leader() {
            let found = (durable.voted, durable.lineage.leader());
            return Err(format!(
                "I-1 promise and committer were {} and {} when it stopped, and are {} and {}",
                self.voted,
                self.lineage.leader(),
                found.0,
                found.1
            ));
        }
        let fits = |r: &&SharedRecord| durable.lineage.author(r.lsn) == r.author && r.lsn >= purged;
        let mut certain = self.records.iter().flatten().filter(fits);
        let found: TailBitmap = durable.records.iter().map(|record| record.lsn).collect();
        match certain.find(|record| !found.contains(record.lsn)) {
            Some(lost) => Err(format!("I-1 {} was synced and is gone", **lost)),
            None => Ok(()),
        }
    }

    fn keep(&mut self, record: &SharedRecord) {
        let at = record.lsn.0 as usize;
        if at >= self.records.len() {
            self.records.resize(at + 1, None);
        }
        self.records[at] = Some(record.clone());
        self.held.insert(record.lsn);
    }
}
