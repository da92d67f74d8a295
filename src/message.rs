//! What replicas say to each other: one struct per message, an enum, an envelope.
//!
//! Any message may be lost, doubled, late or out of order. What a message *promises* is durable at
//! the sender before the message leaves it; the core withholds it until then.

use crate::base::{
    Footprint, LeaderId, Lineage, Lsn, Membership, Records, ReplicaId, Tail, TailBitmap,
};

/// Candidate to voter: would you grant `candidate`? Promises nothing and changes nothing; it keeps
/// a healthy leader in place (algorithm.md, Electing 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreVote {
    /// The leader id that the sender would campaign with.
    pub candidate: LeaderId,
    /// The newest membership that the sender knows committed, so that one who was removed while it
    /// was away hears of it.
    pub committed_membership: Option<Lsn>,
}

/// Voter to candidate: the answer to [`PreVote`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreVoteReply {
    /// The leader id that was asked about.
    pub candidate: LeaderId,
    /// Whether the voter would grant it.
    pub granted: bool,
    /// The voter's promise, so that a candidate far behind catches up in one step.
    pub voted: LeaderId,
    /// The newest membership that the voter knows committed, if the candidate does not know it.
    /// That it is committed is a fact, whoever says so.
    pub committed_membership: Option<Box<(Lsn, Membership)>>,
}

/// Candidate to voter: promise to refuse every leader below `candidate`, and say what you hold.
/// The candidate's own promise to `candidate` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The leader id that is campaigned for.
    pub candidate: LeaderId,
    /// Whose lineage the candidate took last: with it a voter knows which records the candidate's
    /// bitmap speaks of.
    pub lineage: Lineage,
    /// What the candidate holds under that lineage.
    pub accepted: TailBitmap,
    /// The leader that told the candidate to take over. Whoever has granted that leader a lease is
    /// not bound by it: the leader has given it up.
    pub hands_over: Option<LeaderId>,
}

/// Voter to candidate: the answer to [`Vote`], granted or refused. A grant states that the promise
/// is durable; all of it is as of that promise (algorithm.md, Electing 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteReply {
    /// The leader id that was asked for.
    pub candidate: LeaderId,
    /// The voter's promise. Equal to `candidate`: granted. Above: refused.
    pub voted: LeaderId,
    /// What a grant comes with; absent in a refusal.
    pub grant: Option<Box<Grant>>,
}

/// What a voter holds, as of its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lineage that the voter took last; its leader is the voter's committer.
    pub lineage: Lineage,
    /// What the voter has accepted under that lineage.
    pub accepted: TailBitmap,
    /// Below it the voter has dropped its records: their effects are in its durable snapshot.
    pub purged: Lsn,
    /// The newest membership that the voter knows committed, with its position (`None`: the one
    /// the cluster started with), and every later one that it holds.
    pub memberships: Memberships,
    /// Records that the candidate lacks, up to a byte budget; the rest is fetched.
    pub records: Records,
}

/// The memberships that a replica goes by (algorithm.md, Membership 1): in force are the newest
/// one known committed and every later one in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memberships {
    /// Where the newest membership known committed stands; `None`: the cluster started with it.
    pub committed_at: Option<Lsn>,
    /// The newest membership known committed.
    pub committed: Membership,
    /// The later ones, in order of position, with the author of the record each came in.
    pub pending: Vec<(Lsn, LeaderId, Membership)>,
}

/// Candidate to voter, after a grant: send these records, which I lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The leader id that was granted.
    pub candidate: LeaderId,
    /// Which positions; the records are those of the voter's lineage, as in its grant.
    pub positions: Tail,
}

/// Voter to candidate: the answer to [`Fetch`], as much of it as a byte budget allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply {
    /// The leader id that asked.
    pub candidate: LeaderId,
    /// The records.
    pub records: Records,
}

/// Leader to follower: everything that a leader says once it leads. Also its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicate {
    /// The leader.
    pub leader: LeaderId,
    /// The lineage of its log, until the follower has answered under this leader. A follower that
    /// has not taken it refuses the records (algorithm.md, Replicating 1).
    pub lineage: Option<Box<Lineage>>,
    /// Records, in any order.
    pub records: Records,
    /// What the leader knows settled: a hint, believed only under its lineage.
    pub settled: TailBitmap,
    /// The newest membership that the leader knows committed, if the follower may not know it.
    pub committed_membership: Option<Box<(Lsn, Membership)>>,
    /// Counts rounds of asking "am I still your leader?"; echoed in the answer, for reads.
    pub round: u64,
    /// The follower of this incarnation holds all that this leader had placed when it heard of the
    /// loss: it is in doubt no longer (algorithm.md, Doubt).
    pub repaired: Option<u64>,
}

/// Follower to leader: composed only while promise and committer are `leader`, and durable.
///
/// Where everybody hears (design/everybody-hears.md) it goes to all others as well. The leader says
/// the same of itself to all: what it has accepted, and which membership is in force, while none is
/// pending in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicateReply {
    /// The leader that is answered.
    pub leader: LeaderId,
    /// All that is accepted under it, so that a lost answer costs nothing.
    pub accepted: TailBitmap,
    /// The greatest round seen from this leader: at that round the promise was not above it.
    pub round: u64,
    /// How many more bytes of records the follower is ready to take.
    pub window: u64,
    /// The newest membership known committed here, so that the leader can report a change complete.
    pub committed_membership: Option<Lsn>,
    /// Rises whenever the follower has lost something. What an earlier one accepted may be gone.
    pub incarnation: u64,
    /// It waits to be told that it has been given back what it lost.
    pub doubtful: bool,
}

/// Follower to a leader below its promise: step down. Carries no accepted set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// The leader id that is refused.
    pub leader: LeaderId,
    /// The promise that refuses it.
    pub voted: LeaderId,
}

/// Leader to the replica that is to succeed it: campaign now, and do not ask whether you may. The
/// receiver holds all that the leader has placed. Promises nothing: what comes of it is an election
/// like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// The leader that hands over.
    pub leader: LeaderId,
}

/// Follower to leader: I have lost your lineage with other things; begin anew with me
/// (algorithm.md, Doubt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anew {
    /// The leader that is answered.
    pub leader: LeaderId,
    /// The follower's incarnation, which the leader may not know yet.
    pub incarnation: u64,
}

/// What a replica calls a request that it passes on. The number is its driver's, who begins again
/// with each start; so that a leader which outlives several starts takes no request for one of an
/// earlier life, and no answer to that is taken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// Which life of the replica ([`Durable::life`](crate::replica::Durable::life)).
    pub life: u64,
    /// Its driver's number.
    pub number: u64,
}

/// A replica that does not lead to the leader: a client wants to read here; what does the read have
/// to see? Promises nothing and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// What the asking replica calls the read.
    pub ticket: Ticket,
    /// What is going to be read.
    pub footprint: Footprint,
}

/// The leader's answer to [`ReadRequest`], once its leadership was confirmed after that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPoint {
    /// That of the request.
    pub ticket: Ticket,
    /// The leader. The point is of use only while its lineage is the one taken last.
    pub leader: LeaderId,
    /// Everything below the first that interferes with the read, and all of the second, is to be
    /// done. `None`: the receiver does not lead, or as many reads wait as it allows.
    pub point: Option<(Lsn, Tail)>,
    /// Under this leader replicas conclude by themselves what is settled: a read of several keys
    /// shows a beginning of its log, by position (algorithm.md, Reading 4).
    pub by_position: bool,
}

impl ReadPoint {
    /// Somebody who has promised `leader` does not tell.
    pub(crate) fn refusal(ticket: Ticket, leader: LeaderId) -> ReadPoint {
        ReadPoint { ticket, leader, point: None, by_position: false }
    }
}

/// A proposal passed on to the leader by a replica that does not lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The leader that it is meant for. No other places it: of a copy that comes late nobody else
    /// can tell whether this one has.
    pub leader: LeaderId,
    /// What the forwarding replica calls the proposal.
    pub ticket: Ticket,
    /// The command.
    pub command: crate::base::Command,
}

/// The leader's answer to [`Forward`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardReply {
    /// That of the forward.
    pub ticket: Ticket,
    /// What became of it.
    pub outcome: ForwardOutcome,
}

/// To anybody: send a snapshot that has done everything below. A new leader asks a voter that has
/// purged what it has not done (algorithm.md, Rebuilding 2); a leader asks a voter on behalf of one
/// that catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// A state that has not done everything below is of no use.
    pub below: Lsn,
    /// Who needs it, if not the sender.
    pub to: Option<ReplicaId>,
}

/// What became of a forwarded proposal, as far as the leader can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// Placed at this position by this leader. The forwarding replica answers its client when it
    /// learns that the record is settled and has applied it.
    Placed(LeaderId, Lsn),
    /// Not placed and never will be: the receiver does not lead, or is busy.
    Rejected,
}

/// Anything a replica says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named after its struct, which has the text")]
pub enum Message {
    PreVote(PreVote),
    PreVoteReply(PreVoteReply),
    Vote(Vote),
    VoteReply(VoteReply),
    Fetch(Fetch),
    FetchReply(FetchReply),
    Replicate(Replicate),
    ReplicateReply(ReplicateReply),
    Refuse(Refuse),
    Forward(Forward),
    ForwardReply(ForwardReply),
    SnapshotRequest(SnapshotRequest),
    TakeOver(TakeOver),
    ReadRequest(ReadRequest),
    ReadPoint(ReadPoint),
    Anew(Anew),
}

/// A message with its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// In which cluster: a number that its user drew once; 0 if none was.
    pub cluster: u64,
    /// Which life of the sender says it; rises with each one that has lost something.
    pub incarnation: u64,
    /// Who says it.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// What is said.
    pub message: Message,
}

impl Envelope {
    /// Without a cluster, from a sender that never lost anything.
    pub fn new(from: ReplicaId, to: ReplicaId, message: Message) -> Envelope {
        Envelope { cluster: 0, incarnation: 0, from, to, message }
    }
}
