//! What a user can set, with units, defaults and what breaks at the ends.

use crate::base::{Membership, ReplicaId};

/// The settings of one replica. All times are in ticks; the driver decides how long a tick is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which replica this is.
    pub id: ReplicaId,
    /// Which cluster: a number that the user draws once. What is said in another one is not heard.
    /// Default 0, for a cluster that cannot be taken for another.
    pub cluster: u64,
    /// The membership that the cluster started with: the same at every replica, for ever.
    pub initial: Membership,
    /// Ticks between two messages of an idle leader. Default 20. Must be well below
    /// `election_ticks`; at 1 an idle cluster sends a message to each follower every tick.
    pub heartbeat_ticks: u64,
    /// A follower that hears nothing for this long, plus a random part of up to as much again,
    /// asks for votes. Default 150. Below a round trip no leader ever lasts.
    pub election_ticks: u64,
    /// What has not been answered after this long is sent again. Default 30. Below a round trip
    /// everything is sent twice.
    pub resend_ticks: u64,
    /// The most bytes of records on the way to one follower. Default 8 MiB.
    pub in_flight_bytes_max: usize,
    /// The most bytes of backlog on the way to one follower. New records go first, but cannot
    /// overtake what is already queued on the link. Default 32 KiB.
    pub backlog_bytes_max: usize,
    /// The most bytes of records in one message. Default 1 MiB.
    pub message_bytes_max: usize,
    /// The most bytes of records that a vote answer carries. Default 1 MiB.
    pub vote_bytes_max: usize,
    /// The largest command accepted. Default 1 MiB; must not exceed `message_bytes_max`.
    pub command_bytes_max: usize,
    /// The most bytes of records that the leader has placed and does not know settled: beyond it a
    /// proposal is rejected as busy. Default 64 MiB.
    pub unsettled_bytes_max: usize,
    /// The most positions a replica keeps open above its first hole: what lies beyond is not
    /// taken, so that no message can make a replica allocate without bound. Default 16 million.
    pub open_positions_max: u64,
    /// The most bytes that a follower takes before they are durable. Default 64 MiB.
    pub unpersisted_bytes_max: usize,
    /// Records that are done and whose bytes exceed this leave memory, the oldest first; they are
    /// asked back with [`Output::Load`](super::Output::Load). Default 256 MiB.
    pub log_bytes_max: usize,
    /// How many positions below what is settled a new voter may lack and still count as caught up:
    /// it makes up for that while the change commits. Default 1,024. At 0 a change may wait for
    /// ever under load. As long as those that are enough do not have all that is placed, the leader
    /// waits for a moment at which little is on its way, ten election timeouts at most: the less
    /// goes before the change, the sooner it commits (algorithm.md, Membership 6).
    pub behind_positions_max: u64,
    /// Whether leaders hold a lease, and for how long. Default none. Must be the same at every
    /// replica: a lease is what *others* promise.
    pub lease: Option<Lease>,
    /// The most reads waiting at once. Default 100,000.
    pub reads_max: usize,
    /// Whether a replica acknowledges to everybody and not to the leader alone, so that each may
    /// conclude by itself what is settled, without the way back over the leader
    /// (design/everybody-hears.md). Default false: it costs a message from each replica to each
    /// other one, and under a leader that has it a read of several keys may wait longer
    /// (algorithm.md, Reading 3). Replicas with it and without it understand each other.
    pub acknowledge_to_all: bool,
    /// Whether a blind write overrides what it writes again (else it depends on it). Default true.
    pub overriding: bool,
    /// Whether a replica that does not lead passes proposals on (else it names the leader).
    /// Default true.
    pub forwarding: bool,
    /// Where the random part of election timeouts comes from. Different at each replica.
    pub seed: u64,
}

/// A lease: replicas that hear from their leader vote for nobody else for a while, so that the
/// leader may answer reads meanwhile without asking anybody.
///
/// Reads under a lease are linearizable only as long as clocks keep to `drift_permille`, and ticks
/// that pass while a process is paused count like all others. Everything else here is safe whatever
/// clocks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How long a replica that has heard from its leader votes for nobody else. More than
    /// `election_ticks` counts as that.
    pub ticks: u64,
    /// While the clock of one replica counts 1,000 ticks, that of any other counts at most this
    /// many more. 10 stands for one in a hundred, far beyond what quartz does.
    pub drift_permille: u64,
}

impl Lease {
    /// How long after it began a round of asking may the leader rely on those who answered: less by
    /// the drift, and by a tick because clocks are read in whole ones.
    pub(crate) fn usable(&self, election_ticks: u64) -> u64 {
        let granted = self.granted(election_ticks);
        (granted * 1_000 / (1_000 + self.drift_permille)).saturating_sub(1)
    }

    /// How long a follower is bound.
    pub(crate) fn granted(&self, election_ticks: u64) -> u64 {
        self.ticks.min(election_ticks)
    }
}

impl Options {
    /// The defaults for replica `id` in a cluster that starts with `initial`.
    pub fn new(id: ReplicaId, initial: Membership) -> Options {
        Options {
            id,
            cluster: 0,
            initial,
            heartbeat_ticks: 20,
            election_ticks: 150,
            resend_ticks: 30,
            in_flight_bytes_max: 8 << 20,
            backlog_bytes_max: 32 << 10,
            message_bytes_max: 1 << 20,
            vote_bytes_max: 1 << 20,
            command_bytes_max: 1 << 20,
            unsettled_bytes_max: 64 << 20,
            open_positions_max: 16_000_000,
            unpersisted_bytes_max: 64 << 20,
            log_bytes_max: 256 << 20,
            behind_positions_max: 1_024,
            lease: None,
            reads_max: 100_000,
            acknowledge_to_all: false,
            overriding: true,
            forwarding: true,
            seed: id.0,
        }
    }
}
