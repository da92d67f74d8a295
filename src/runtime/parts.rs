//! What goes in and out of a host.

use super::bottom::Fault;
use super::execute::{Batch, Executed};
use super::stages::Stages;
use super::sync::Arc;
use crate::apply::Stateful;
use crate::base::{Lsn, Membership, ReplicaId, TailBitmap};
use crate::disk::Disk;
use crate::message::Envelope;
use crate::replica;
use crate::snapshot::Parcel;
use crate::store::{self, Draft, Flight, Landed, Taken};
use std::fmt;

/// What a user can set.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Of the replica; its id is that of the node.
    pub replica: replica::Options,
    /// Of the directory.
    pub store: store::Options,
    /// The cluster: a number that the user draws once. Every message and every file has it.
    pub cluster: u64,
    /// What a directory without a log means. [`Start::Again`] unless said otherwise.
    pub start: Start,
    /// After so many records executed a snapshot is taken; while the state rests on a snapshot in
    /// its file, not before an eighth of that one's keys, or most of the work would be copying it.
    pub snapshot_records: u64,
    /// A snapshot that is longer than this, in bytes, stays in its file, if the machine can ask it
    /// there ([`Stateful::ADOPTS`]): in memory is what changed since. A shorter one is read into
    /// memory, which is faster to ask. Default 256 MiB.
    pub resident_bytes_max: u64,
    /// So many threads execute commands that do not interfere, if the machine has
    /// [hands](Stateful::hand) for more than one. Default 1: it takes commands that cost more than
    /// handing them over, several microseconds, for more to be of use.
    pub apply_workers: usize,
    /// Where it leaves how long records take to reach each stage, if somebody wants to know.
    pub stages: Option<Stages>,
    /// Who is told of each step of the replica. Nobody unless said otherwise.
    pub recorder: Option<Recorder>,
}

/// Is told of each step of a replica, in order, by the thread that owns it and before anybody else
/// can know of it: so it should not take long. What was recorded of all replicas of a cluster can
/// be held against the specifications (`traft check trace`).
#[derive(Clone)]
pub struct Recorder(Arc<Record>);

type Record = dyn Fn(ReplicaId, &replica::Step) + Send + Sync;

impl Recorder {
    /// One that does this with each step.
    pub fn new(record: impl Fn(ReplicaId, &replica::Step) + Send + Sync + 'static) -> Recorder {
        Recorder(Arc::new(record))
    }

    pub(super) fn record(&self, id: ReplicaId, step: &replica::Step) {
        (self.0)(id, step);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl NodeOptions {
    /// The defaults for replica `id` in a cluster of `members`.
    pub fn new(id: ReplicaId, members: Membership) -> NodeOptions {
        NodeOptions {
            replica: replica::Options::new(id, members.clone()),
            store: store::Options::new(members),
            cluster: 1,
            start: Start::default(),
            snapshot_records: 100_000,
            resident_bytes_max: 256 << 20,
            stages: None,
            recorder: None,
            apply_workers: 1,
        }
    }
}

/// What it means if the directory of a replica has no log. Only whoever runs it can know. Where
/// there is a log, all of these open it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The replica has never lived: the log is begun. To be said by whoever creates a cluster, or
    /// adds a replica, and not from then on: as if it were new, one that has lost its directory
    /// could vote a second time, or for a leader that lacks what it has acknowledged.
    First,
    /// The replica has lived, so its log was lost, and it does not start. The default, because
    /// taking a new replica for an old one costs a message and the opposite costs acknowledged
    /// writes.
    #[default]
    Again,
    /// The replica has lived, and what it had is lost. It follows in doubt and does not vote until
    /// a leader has given it everything back.
    Wiped {
        /// At least the life and the incarnation of each of its lives so far: seconds since 1970
        /// are.
        after: u64,
    },
}

/// What replicas send each other, snapshots included.
#[derive(Clone, Debug)]
pub enum Post {
    /// Of the algorithm.
    Message(Box<Envelope>),
    /// Of a transfer.
    Parcel(Box<Parcel>),
}

/// What another thread does for a host.
pub enum Job<D: Disk, M: Stateful> {
    /// Write a group of the log and sync it.
    Sync(Flight<D>),
    /// Execute commands and reads, in this order.
    Execute(Batch<D, M>),
    /// Write a snapshot of a state that is held fast.
    Snapshot(Box<Draft<D>>, Box<M::Frozen>, Unread),
}

/// Whether what a state rests on could be read.
pub struct Unread(pub(super) Arc<Fault>);

/// What came of a [`Job`].
pub enum Done<F> {
    /// A group is durable, or not.
    Landed(Landed),
    /// Commands and reads are executed.
    Executed(Executed),
    /// A snapshot of this state is written, or not.
    Taken(Taken, Box<F>),
}

/// What a node is, for those who watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which replica.
    pub id: ReplicaId,
    /// Whether it leads.
    pub leads: bool,
    /// What is done.
    pub done: TailBitmap,
    /// Of the state.
    pub digest: u64,
    /// Below it the records are dropped.
    pub purged: Lsn,
    /// How many snapshots were taken in this life.
    pub taken: u64,
    /// How many could not be written. The next one is tried as if it had been.
    pub failed: u64,
    /// How many of others took the place of the own state in this life.
    pub installed: u64,
    /// Whether writes are refused because the disk is full.
    pub full: bool,
}
