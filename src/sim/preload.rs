//! A history from before a run.

use crate::base::{Command, LeaderId, Lsn, Payload, Record, Records, SharedRecord};
use std::sync::{Arc, OnceLock};

/// A history from before the run: all of it committed, and applied where it is held. It is made
/// when a run first needs it; clones share it, so that many runs, both sides and all replicas have
/// one copy in memory.
#[derive(Clone, Debug)]
pub struct Preload {
    count: u64,
    command: fn(u64) -> Command,
    missing: Vec<(usize, u64)>,
    purged: bool,
    records: Arc<OnceLock<Vec<Option<SharedRecord>>>>,
    state_bytes: Arc<OnceLock<u64>>,
}

impl Preload {
    /// How far the floors of the history are apart: what was in flight when it was written.
    const WINDOW: u64 = 64;

    /// `count` commands. `command` gives the one at a position; they must not interfere with each
    /// other. `(replica, n)` in `missing`: this replica misses the last `n` of them; a majority
    /// must miss none.
    pub fn new(count: u64, command: fn(u64) -> Command, missing: Vec<(usize, u64)>) -> Preload {
        let (records, state_bytes) = Default::default();
        Preload { count, command, missing, purged: false, records, state_bytes }
    }

    /// The same history, its records dropped by whoever holds all of it: a snapshot has them. Of
    /// such a history no record is made unless somebody holds a part of it.
    pub fn purged(self) -> Preload {
        Preload { purged: true, ..self }
    }

    /// Whether `replica` has it as a snapshot and not as records.
    pub fn is_snapshot(&self, replica: usize) -> bool {
        self.purged && self.held(replica) == self.count
    }

    /// How many commands there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many commands `replica` holds.
    pub fn held(&self, replica: usize) -> u64 {
        let missing = self.missing.iter().find(|(id, _)| *id == replica);
        self.count.saturating_sub(missing.map_or(0, |(_, n)| *n))
    }

    /// Whether this replica was never there: it holds nothing, and nobody has records for it.
    pub(super) fn is_new(&self, replica: usize) -> bool {
        self.purged && self.held(replica) == 0
    }

    /// How many bytes a state takes that has done all of it: the bodies of its commands. They are
    /// counted without being kept.
    pub(super) fn state_bytes(&self) -> u64 {
        let body = |at| (self.command)(at).body.len() as u64;
        *self.state_bytes.get_or_init(|| (0..self.count).map(body).sum())
    }

    /// Who wrote it: an author of its own, below every leader of the run.
    pub(super) fn author() -> LeaderId {
        LeaderId::new(1, 0)
    }

    /// The records by position.
    pub(super) fn records(&self) -> &[Option<SharedRecord>] {
        let record = |at| {
            let payload = Payload::Command((self.command)(at));
            let mut record = Record::bare(Lsn(at), Preload::author(), payload);
            record.floor = Lsn(at - at % Preload::WINDOW);
            record
        };
        self.records.get_or_init(|| {
            let records: Records = (0..self.count).map(record).collect();
            records.iter_shared().map(Some).collect()
        })
    }
}
