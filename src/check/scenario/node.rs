//! One replica with its disk, its workers and its state.

use crate::base::*;
use crate::replica::*;
use std::collections::BTreeMap;

/// What survives a crash.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) durable: Durable,
    records: BTreeMap<Lsn, SharedRecord>,
    /// The state of the snapshot in place.
    pub(super) state: State,
    /// Snapshots of others, whole.
    pub(super) aside: Vec<(SnapshotMeta, State)>,
}

impl Disk {
    pub(super) fn write(&mut self, write: Write) {
        if write.repaired {
            self.durable.doubt = None;
        }
        self.durable.voted = write.voted.unwrap_or(self.durable.voted);
        if let Some(lineage) = write.lineage {
            self.records.retain(|lsn, record| lineage.author(*lsn) == record.author);
            self.durable.lineage = lineage;
        }
        self.records.extend(write.records.iter_shared().map(|record| (record.lsn, record)));
        self.durable.membership = write.membership.or(self.durable.membership.take());
        let found = self.aside.iter().find(|(meta, _)| Some(meta) == write.snapshot.as_deref());
        if let Some((meta, state)) = found.cloned() {
            self.keep(meta, state);
        }
    }

    /// Records are gone.
    pub(super) fn lose(&mut self, positions: &TailBitmap) {
        self.records.retain(|lsn, _| !positions.contains(*lsn));
    }

    /// The snapshot takes the place of the one before, and of the records that it makes needless.
    pub(super) fn keep(&mut self, meta: SnapshotMeta, state: State) {
        self.state = state;
        self.durable.snapshot = Some(Box::new(meta));
    }

    pub(super) fn purge(&mut self, below: Lsn) {
        self.records = self.records.split_off(&below);
    }

    pub(super) fn durable(&self) -> Durable {
        let records = Records::gather(self.records.values());
        Durable { records, ..self.durable.clone() }
    }

    pub(super) fn read(&self, positions: &Tail) -> Vec<SharedRecord> {
        positions.iter().filter_map(|lsn| self.records.get(&lsn)).cloned().collect()
    }
}

/// What commands do: by key, the position that wrote it last, and all that it depended on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State(BTreeMap<Key, (Lsn, u64)>);

impl State {
    /// Executes a command; the result stands for all that it has read.
    pub(super) fn apply(&mut self, record: &Record) -> u64 {
        let Some(command) = record.command() else { return 0 };
        let mut result: u64 = 7;
        for key in command.footprint.reads.points() {
            let value = self.0.get(key).map_or(3, |(_, value)| *value);
            result = (result ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        }
        for key in command.footprint.writes.points() {
            let value = result ^ (record.lsn.0 << 32) ^ record.author.node.0;
            self.0.insert(key.clone(), (record.lsn, value));
        }
        result
    }

    /// `a=the write at 4 b=-`.
    pub(super) fn show(&self, keys: &[Key]) -> String {
        let show = |key: &Key| {
            let name = String::from_utf8_lossy(key);
            match self.0.get(key) {
                Some((lsn, _)) => format!("{name}=the write at {lsn}"),
                None => format!("{name}=-"),
            }
        };
        keys.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.0.keys().cloned().collect()
    }

    /// The position that wrote `key` last.
    pub(super) fn written(&self, key: &Key) -> Option<Lsn> {
        self.0.get(key).map(|(lsn, _)| *lsn)
    }
}

/// One replica.
pub(super) struct Node {
    pub(super) replica: Replica,
    pub(super) disk: Disk,
    pub(super) writes: Vec<Write>,
    pub(super) applying: Vec<(SharedRecord, Option<u64>)>,
    /// Given out, to be executed after another one.
    pub(super) behind: Vec<(Lsn, Option<u64>, Lsn)>,
    pub(super) applied: Vec<SharedRecord>,
    pub(super) state: State,
    pub(super) up: bool,
    /// Its disk does not write until it is told to.
    pub(super) holds: bool,
    /// What was printed and checked last.
    pub(super) shown_done: TailBitmap,
    pub(super) seen_settled: TailBitmap,
    pub(super) leads: Option<LeaderId>,
}

impl Node {
    pub(super) fn new(options: Options, disk: Disk) -> Node {
        Node {
            replica: Replica::new(options, disk.durable()),
            state: disk.state.clone(),
            disk,
            writes: Vec::new(),
            applying: Vec::new(),
            behind: Vec::new(),
            applied: Vec::new(),
            up: true,
            holds: false,
            shown_done: TailBitmap::new(),
            seen_settled: TailBitmap::new(),
            leads: None,
        }
    }
}
