//! What goes into a replica and what comes out.
//!
//! ```text
//!          Tick  Receive  Propose  Read  Persisted  Applied  Loaded  Purge  Campaign  Transfer
//!             \_____\________\_______\_______\_________|________/______/________/_________/
//!                                         Replica (pure)
//!              _____/________/_______/_______/_________|________\______\_______\_________\
//!          Send  Persist  Apply  Settled  Rejected  Unknown  ReadReady  Load  Restore  Role
//! ```

use crate::base::{
    Command, Footprint, LeaderId, Lineage, Lsn, Malformed, Membership, Records, ReplicaId, Tail,
    TailBitmap,
};
use crate::message::Envelope;
use crate::quorum::Unsound;

/// What a driver tells its replica. Any order is allowed, and none of them must come: a lost input
/// costs progress, never safety.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// One unit of time has passed; its length is the driver's choice (1 ms unless said).
    Tick,
    /// A message came in. It may be old, doubled or addressed to an earlier life of this replica.
    Receive(Box<Envelope>),
    /// A client wants `command` done. `proposal` is the driver's number for it, not used
    /// before in this life ([`Durable::life`]).
    Propose {
        /// The driver's number.
        proposal: u64,
        /// What to do.
        command: Command,
    },
    /// Put a membership in force, jointly with the present ones until it commits. New voters first
    /// learn until they have caught up; any later leader goes on with that. It is answered with
    /// [`Output::Settled`] when it is complete: those who left may be switched off.
    Change {
        /// The driver's number.
        proposal: u64,
        /// The operator's number for the change, never used for another one. Asking again with the
        /// same number, of whatever leader, is asking for the same change.
        request: u64,
        /// The membership; refused unless it is known to be sound. Its `change` is ignored.
        membership: Membership,
        /// Place it at once, though new voters may be dead or lack everything. While a write quorum
        /// of it is not there, nothing commits.
        force: bool,
    },
    /// Take back a change that has not committed. While its new voters catch up it is dropped, and
    /// they stay learners. Once it is pending, the membership before it is put on top: that commits
    /// after it, so it needs a write quorum of it all the same.
    CancelChange {
        /// The driver's number.
        proposal: u64,
        /// The number that the change was asked for with.
        request: u64,
    },
    /// A client wants to read `footprint.reads`. `read` is the driver's number for it, not
    /// used before in this life.
    Read {
        /// The driver's number.
        read: u64,
        /// What is going to be read.
        footprint: Footprint,
        /// What the client may rely on.
        level: ReadLevel,
    },
    /// Every [`Write`] up to and with the one of this number is durable. What rests on it is
    /// released now, not before.
    Persisted(u64),
    /// The same of this write and those before it. The box is taken back, and used for a later one.
    Written(Box<Write>),
    /// The command of a [`Task`] has been executed; said before of the one that it came
    /// after.
    Applied(Lsn),
    /// The same of several at once.
    AppliedAll(Tail),
    /// The same of the tasks of an [`Output::Apply`], as they were given out. The list is taken
    /// back, and used for the next ones.
    AppliedTasks(Vec<Task>),
    /// The records asked for by [`Output::Load`], or those that could be read.
    Loaded(Records),
    /// The durable snapshot of this replica has done everything below this position: the records
    /// there may be dropped (algorithm.md, Purging). More than is done here without a gap is not
    /// believed.
    Purge(Lsn),
    /// A snapshot of another replica is on this disk, whole and durable, beside the own one. If it
    /// has something to give, a [`Write`] with it and [`Output::Restore`] follow, once nothing is
    /// out for execution.
    Install(Box<SnapshotMeta>),
    /// Campaign now, without waiting for the election timeout. A learner never does, and neither
    /// does whoever has granted a lease that has not ended.
    Campaign,
    /// Hand leadership over. No command is placed meanwhile; those that are get
    /// [`Rejection::Transferring`]. It ends with another leader, or after an election timeout with
    /// [`Output::TransferFailed`].
    Transfer {
        /// To this voter of the newest membership in force; `None`: to the one that holds most of
        /// what is placed, of those that were heard of lately. This replica itself: it keeps it.
        to: Option<ReplicaId>,
    },
}

/// What a read may rely on, and so what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadLevel {
    /// Linearizable: the leader asks a quorum whether it still leads, once for all reads that wait.
    /// One round trip; no clock has to be right.
    #[default]
    Confirmed,
    /// Linearizable as long as clocks keep to [`Lease::drift_permille`](super::Lease): the leader
    /// answers at once while its lease lasts, else as `Confirmed`. No message.
    Lease,
    /// Linearizable, at any replica: it asks the leader what the read has to see, and waits until
    /// that is done here: only for what interferes. A round trip to the leader, during which the
    /// leader asks a quorum.
    Here,
    /// What is done here, however old: at once, at any replica, and neither linearizable nor
    /// monotonic from one replica to another.
    Stale,
}

/// What a replica asks of its driver. Outputs may be carried out in any order, except that writes
/// take effect in the order of their numbers, and that what comes `after` another one is executed
/// after it; only messages may be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message. Everything that it promises is durable already.
    Send(Box<Envelope>),
    /// Make this durable, then say [`Input::Persisted`], or give it back with [`Input::Written`].
    Persist(Box<Write>),
    /// Execute these. Records that are out for execution at the same time do not interfere, unless
    /// one comes [`after`](Task::after) the other: whoever executes them in the order in which they
    /// are given out need not look at that, and all others may run in any order or in parallel. A
    /// record without a command executes nothing and is never given out.
    Apply(Vec<Task>),
    /// The blind command of this proposal will never be undone: answer its client. (Its result is
    /// nothing; it is executed later, or never if it is overridden.)
    Settled {
        /// The proposal.
        proposal: u64,
    },
    /// The proposal was not placed and never will be.
    Rejected {
        /// The proposal.
        proposal: u64,
        /// Why, and what to do.
        reason: Rejection,
    },
    /// The proposal was placed, but this replica lost track of it: it may or may not take effect.
    Unknown {
        /// The proposal.
        proposal: u64,
    },
    /// Read now, before the next input: the state has everything that the read must see
    /// (algorithm.md, Reading 3). It may have commands that are out for execution, too, each whole
    /// or not at all, but none that is given out later.
    ReadReady {
        /// The read.
        read: u64,
    },
    /// The read was not served.
    ReadFailed {
        /// The read.
        read: u64,
        /// Why, and what to do.
        reason: ReadError,
    },
    /// Read these records from disk; they have left memory. Answer with [`Input::Loaded`].
    Load(Box<Tail>),
    /// Send a snapshot to this replica: what it lacks is purged here. Asked again from time to time
    /// while that is so; a transfer that is on its way need not be begun again.
    SendSnapshot {
        /// To whom.
        to: ReplicaId,
        /// It is of no use unless it has done everything below.
        below: Lsn,
    },
    /// Take a snapshot and say [`Input::Purge`]: the leader cannot know that this replica has done
    /// everything below, because it has dropped the records that would tell.
    TakeSnapshot {
        /// Done here without a gap.
        below: Lsn,
    },
    /// The state is that of this snapshot from now on, and what was executed here is gone with the
    /// old one. Nothing is out for execution.
    Restore(Box<SnapshotMeta>),
    /// An [`Input::Transfer`] came to nothing; this replica takes commands again if it leads.
    TransferFailed {
        /// Why, and what to do.
        reason: TransferError,
    },
    /// The role or the leader changed: for traces and for routing clients.
    Role {
        /// What this replica is now.
        role: RoleName,
        /// The leader it follows, or the leader id it holds or campaigns for.
        leader: LeaderId,
    },
}

impl Output {
    /// Adds one to `outputs`, made where it is to lie. One that is made before is copied there, and
    /// a processor waits before it copies at once what was just written in parts.
    #[inline(always)]
    pub(super) fn put(outputs: &mut Vec<Output>, make: impl FnOnce() -> Output) {
        outputs.extend(std::iter::once_with(make));
    }
}

/// A command to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The position of the [`command`](super::Replica::command), which the replica holds until you
    /// say [`Input::Applied`].
    pub lsn: Lsn,
    /// Whom to answer with the result.
    pub proposal: Option<u64>,
    /// Not before this one, given out earlier, has been executed.
    pub after: Option<Lsn>,
}

/// What must become durable in one atomic step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Rises by one with each write of a replica's life.
    pub number: u64,
    /// The promise, if it rose.
    pub voted: Option<LeaderId>,
    /// The lineage just taken: its leader is the committer from now on, and every record held
    /// whose author does not match it is to be dropped.
    pub lineage: Option<Lineage>,
    /// Records accepted; one at the same position is replaced.
    pub records: Records,
    /// The newest membership known committed, if it changed.
    pub membership: Option<(Lsn, Membership)>,
    /// There is no doubt any more: peers have given back what was lost ([`Durable::doubt`]).
    pub repaired: bool,
    /// This snapshot takes the place of the own one in the same durable step, unless the own one
    /// has meanwhile done more; whatever the log holds below its done prefix may go.
    pub snapshot: Option<Box<SnapshotMeta>>,
}

/// What is told of a snapshot: a state together with its done set (algorithm.md, Purging).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// What the state has done: applied, or marked by what overrides it.
    pub done: TailBitmap,
    /// The greatest committer behind the state: whoever has it refuses every leader below.
    pub committer: LeaderId,
    /// The newest membership known committed, unless it is the one the cluster started with.
    pub membership: Option<(Lsn, Membership)>,
}

/// What a replica starts from: what its earlier life made durable. The default is a new replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The promise.
    pub voted: LeaderId,
    /// The lineage taken last; its leader is the committer.
    pub lineage: Lineage,
    /// Every record held, in order of position. All of them match the lineage.
    pub records: Records,
    /// The newest membership known committed, unless it is the one the cluster started with.
    pub membership: Option<(Lsn, Membership)>,
    /// The durable snapshot that the driver has brought its state to, if there is one. Everything
    /// below its done prefix counts as purged.
    pub snapshot: Option<Box<SnapshotMeta>>,
    /// Rises with each start in doubt, for ever. It tells what an earlier life has accepted from
    /// what this one has.
    pub incarnation: u64,
    /// Rises with each start, for ever: it tells the requests of this life from those of earlier
    /// ones. May stay the same if the driver gives no proposal or read a number of an earlier life.
    pub life: u64,
    /// What may be missing of the above; none after a crash, however hard.
    pub doubt: Option<Doubt>,
}

/// Something that this replica has acknowledged may be missing (algorithm.md, Doubt). It follows
/// whoever leads, and neither votes nor campaigns, until a leader has given everything back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Records, and perhaps the lineage and the snapshot. The promise is what it was.
    Records,
    /// The promise too: it may have been higher.
    Promise,
}

/// Why a proposal was not placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// This replica does not lead. Ask `hint`, if there is one; else try again later.
    #[error("not the leader; {}", ask(*hint))]
    NotLeader {
        /// Who leads, as far as this replica knows.
        hint: Option<ReplicaId>,
    },
    /// The membership has a read quorum and a write quorum that do not meet, here they are, or has
    /// too many voters to tell. Trying again is of no use.
    #[error("the membership is not sound: {0}")]
    Unsound(Box<Unsound>),
    /// No gate lets such a membership through. Trying again is of no use.
    #[error("the membership is malformed: {0}")]
    Malformed(Box<Malformed>),
    /// A leader counts at most 128 replicas at once. Remove some first.
    #[error("the change would take {replicas} replicas, and a leader counts at most 128")]
    TooManyReplicas {
        /// All members of the memberships in force and of this one.
        replicas: usize,
    },
    /// This new voter has not answered for two election timeouts. Start it, or force the change.
    #[error("{replica} would vote and does not answer; start it, or force the change")]
    Silent {
        /// Which one; the least of them.
        replica: ReplicaId,
    },
    /// The change was taken back before its new voters had answered.
    #[error("the change was taken back")]
    Cancelled,
    /// No change of this number is under way: it has committed, or was never asked for.
    #[error("no change of this number is under way")]
    NoSuchChange,
    /// The leader is handing over to this replica: ask it a round trip later, or this one after
    /// an election timeout, when it gives up.
    #[error("leadership is on its way to {to}; ask there, or here again later")]
    Transferring {
        /// Who is to lead next.
        to: ReplicaId,
    },
    /// As much is in flight as the options allow. Try again when something has been answered.
    #[error("too much in flight; try again when an earlier command has been answered")]
    Busy,
    /// The command is larger than the options allow. Make it smaller; trying again is of no use.
    #[error("the command takes {size} bytes and at most {max} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
}

impl Rejection {
    /// Whom to ask instead, if somebody is known.
    pub fn hint(&self) -> Option<ReplicaId> {
        match self {
            Rejection::NotLeader { hint } => *hint,
            Rejection::Transferring { to } => Some(*to),
            _ => None,
        }
    }
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This replica does not lead. Ask `hint`, if there is one.
    #[error("not the leader; {}", ask(*hint))]
    NotLeader {
        /// Who leads, as far as this replica knows.
        hint: Option<ReplicaId>,
    },
    /// The replica does not vote in the newest membership in force. Choose one that does.
    #[error("{to} does not vote in the newest membership")]
    NotVoter {
        /// Who was asked for.
        to: ReplicaId,
    },
    /// No other voter was heard of for an election timeout. Try again when one is back.
    #[error("no other voter was heard of lately")]
    NobodyHeard,
    /// It did not lead within an election timeout: it lacks much, or cannot be reached, or others
    /// do not hear it. Choose another, or try again when it has caught up.
    #[error("{to} did not take over in time")]
    Silent {
        /// Who was asked for.
        to: ReplicaId,
    },
}

/// Why a read was not served. Reads have no effect, so every one may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This replica does not lead, or stopped leading. Ask `hint`, if there is one.
    #[error("not the leader; {}", ask(*hint))]
    NotLeader {
        /// Who leads, as far as this replica knows.
        hint: Option<ReplicaId>,
    },
    /// As many reads wait as the options allow.
    #[error("too many reads wait; try again when an earlier one has been answered")]
    Busy,
}

fn ask(hint: Option<ReplicaId>) -> String {
    hint.map_or("no leader is known".to_string(), |hint| format!("ask {hint}"))
}

/// What a replica is, for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a leader or waits for one.
    Follower,
    /// Asks whether it would be granted.
    PreCandidate,
    /// Campaigns, or fetches what its log lacks after having won.
    Candidate,
    /// Leads.
    Leader,
}
