//! The protocols that can run in the world, behind one trait.

#[cfg(feature = "compare")]
pub(super) mod omnipaxos;
#[cfg(feature = "compare")]
pub(super) mod raft;
pub(super) mod traft;

use super::{ChangeStep, Spec};
use crate::base::TailBitmap;
use bytes::Bytes;

/// A replica of some protocol together with its driver. It knows no time but ticks.
pub(super) trait Replica: Sized {
    /// What replicas send each other.
    type Message: Clone;
    /// What outlives a crash.
    type Disk;
    /// What watches all replicas of a run.
    type Audit: Audit;

    /// The disks of all replicas before their first lives: empty, or with the preloaded history.
    fn disks(spec: &Spec) -> Vec<Self::Disk>;

    /// Begins a life.
    fn start(spec: &Spec, id: usize, disk: Self::Disk, audit: &mut Self::Audit) -> Self;

    /// Ends a life: only what is durable is left.
    fn crash(self) -> Self::Disk;

    /// How many commands it lets run at once, of those that the spec offers.
    fn workers(spec: &Spec) -> usize;

    /// How many threads execute reads beside those; `None`: the same threads do.
    fn readers(_spec: &Spec) -> Option<usize> {
        None
    }

    /// What it has done: applied, or need not apply any more.
    fn done(&self) -> TailBitmap;

    /// Something happens to it. Everything of one instant is handled before
    /// [`drain`](Self::drain) is called, so that it can answer all of it at once.
    fn handle(&mut self, spec: &Spec, input: Input<Self::Message>, audit: &mut Self::Audit);

    /// Gives out what it wants done, in order.
    fn drain(
        &mut self,
        spec: &Spec,
        effects: &mut Vec<Effect<Self::Message>>,
        audit: &mut Self::Audit,
    );
}

/// The invariants of a protocol, watched over all replicas of a run.
pub(super) trait Audit {
    /// Before anything has happened.
    fn new(spec: &Spec) -> Self;

    /// What was found violated so far, each beginning with the number of the invariant.
    fn violations(&mut self) -> &mut Vec<String>;
}

/// What happens to a replica.
#[derive(Debug)]
pub(super) enum Input<M> {
    /// One [`Spec::tick`] has passed.
    Tick,
    /// A message arrives.
    Receive { message: M },
    /// A client beside it wants this operation of the load done: a write.
    Propose { op: usize },
    /// Likewise a read.
    Read { op: usize },
    /// Writes up to this one are durable.
    Persisted(u64),
    /// What [`Effect::Apply`] gave out under this number has been executed.
    Applied(u64),
    /// Campaign now.
    Campaign,
    /// An operator wants this one of [`Spec::memberships`].
    Change { to: usize },
}

/// What a replica wants done.
#[derive(Debug)]
pub(super) enum Effect<M> {
    /// Send a message of so many bytes, with so many records in it.
    Send { to: usize, message: M, bytes: u64, records: u64 },
    /// Send a message with a state of so many bytes, in pieces beside all else. One that is on its
    /// way to the same replica is not sent again.
    SendState { to: usize, message: M, bytes: u64 },
    /// Make durable what has this number.
    Persist(u64),
    /// Execute a command. `op`: a client here waits for its result.
    Apply { number: u64, body: Bytes, op: Option<usize> },
    /// An operation of a client here is committed and will never be undone.
    Committed { op: usize },
    /// The read can be served now.
    ReadReady { op: usize },
    /// The operation was not taken on and never will be: the client may hand it in again, best at
    /// `hint`.
    Refused { op: usize, hint: Option<usize> },
    /// An operation may have been taken on, but this replica cannot tell any more. It stays
    /// unfinished.
    Lost,
    /// It leads in this term since now.
    Leads { term: u64 },
    /// It follows another leader than before: refused operations are worth another try.
    Follows,
    /// It begins to campaign, or to ask whether it may.
    Campaigns,
    /// A change of membership that was asked for has come so far; said by the leader.
    Change(ChangeStep),
}

/// How many positions of what is committed a new voter may lack and still count as caught up, on
/// either side.
pub(crate) const BEHIND_MAX: u64 = 1_024;
