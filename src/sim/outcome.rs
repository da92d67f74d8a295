//! What came of a run.

use super::{Kind, Time};
use crate::base::TailBitmap;
use bytes::Bytes;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpResult {
    /// When the client issued it.
    pub issued: Time,
    /// When it was finished; `None` if it was not when the run ended.
    pub finished: Option<Time>,
    /// Its [`Op::class`](super::Op::class).
    pub class: u8,
    /// Its [`Op::kind`](super::Op::kind).
    pub kind: Kind,
}

impl OpResult {
    /// How long it took; of an unfinished one, its age at the end of the run.
    pub fn latency(&self, ended: Time) -> Time {
        self.finished.unwrap_or(ended) - self.issued
    }
}

/// A replica became leader, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When.
    pub at: Time,
    /// The term.
    pub term: u64,
    /// Which replica, counted from 0.
    pub replica: usize,
}

/// How far a change of membership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeStep {
    /// So many new voters have caught up that what was asked for has been proposed.
    Proposed,
    /// It alone is in force, as the leader knows.
    Decided,
    /// Reported complete: whoever left may be switched off.
    Complete,
    /// Every new voter holds what is committed, or at most 1,024 positions less, as the leader
    /// knows. Before it is complete, or after.
    Everyone,
}

/// The end of a replica that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaEnd {
    /// What it has done. For a protocol that applies a prefix, that prefix.
    pub done: TailBitmap,
    /// The digest of its machine, if it has one.
    pub state: Option<u64>,
}

/// What came of a run. Counts are of the time from the start of the load on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// One per operation that was issued, in the order of the load.
    pub ops: Vec<OpResult>,
    /// With a machine, one per operation of the load: its result, if it was executed for its
    /// client. A blind command has none before it is executed, and returns nothing.
    pub answers: Vec<Option<Bytes>>,
    /// Messages handed to links, lost ones included, doubles not.
    pub messages: u64,
    /// Records (raft: entries) in those messages.
    pub records_sent: u64,
    /// Commands executed, over all replicas.
    pub records_applied: u64,
    /// Bytes of those messages, headers and stream retransmissions included.
    pub bytes: u64,
    /// Every change of leader, in order of time; without the one before the load.
    pub leaders: Vec<LeaderChange>,
    /// The steps of changes of membership, in order of time.
    pub changes: Vec<(Time, ChangeStep)>,
    /// The term of the leader elected before the load; 0 after a cold start.
    pub term_before: u64,
    /// When a replica began to campaign (or to ask whether it may), and which.
    pub campaigns: Vec<(Time, usize)>,
    /// Operations of which a replica lost track: they may or may not have taken effect. They are
    /// among the unfinished.
    pub unknown: u64,
    /// Violated invariants, each beginning with its number; the first one ended the run.
    pub violations: Vec<String>,
    /// How each replica ended; `None` for one that is down.
    pub ends: Vec<Option<ReplicaEnd>>,
    /// When the run ended.
    pub ended: Time,
    /// Events handled, for the world's own speed.
    pub events: u64,
}
