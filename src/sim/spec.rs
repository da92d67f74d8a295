//! What is simulated: plain values.

mod check;

use super::{Network, Preload, Time};
use crate::apply::Machine;
use crate::base::Command;
use crate::replica::ReadLevel;
pub use check::SpecError;

/// Which protocol runs in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// traft.
    Traft,
    /// traft with the footprint of every command replaced by `Everything`: what the bitmaps alone
    /// cost or gain.
    TraftSerial,
    /// The `raft` crate 0.7 at its best settings (feature `compare`).
    Raft,
    /// The same, and what it commits is executed as traft executes: at once what does not
    /// interfere. Without a history and without changes of membership.
    RaftParallel,
    /// The `omnipaxos` crate 0.2.4 at its best settings (feature `compare`): on ordered links,
    /// without a history and without changes of membership.
    OmniPaxos,
}

impl Side {
    /// Every side, in the order in which tables show them.
    pub const ALL: [Side; 5] =
        [Side::Traft, Side::TraftSerial, Side::Raft, Side::RaftParallel, Side::OmniPaxos];

    /// `traft`, `traft-serial`, `raft`, `raft-parallel`, `omnipaxos`.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Traft => "traft",
            Side::TraftSerial => "traft-serial",
            Side::Raft => "raft",
            Side::RaftParallel => "raft-parallel",
            Side::OmniPaxos => "omnipaxos",
        }
    }
}

/// How a directed link treats the messages on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// Every message by itself: what is lost is lost, what is late is overtaken.
    Unordered,
    /// One TCP-like stream: nothing is lost and nothing overtakes; what follows a lost packet
    /// waits until it was sent again.
    Ordered,
}

impl LinkKind {
    /// `unordered`, `ordered`.
    pub const fn name(self) -> &'static str {
        match self {
            LinkKind::Unordered => "unordered",
            LinkKind::Ordered => "ordered",
        }
    }
}

/// Whether an operation changes the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Served without a record where the protocol can (omnipaxos cannot).
    Read,
    /// Goes through the log.
    Write,
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What it does. For a read only `footprint.reads` and the body matter.
    pub command: Command,
    /// Whether it goes through the log.
    pub kind: Kind,
    /// How long it keeps an apply worker busy, at every replica that executes it.
    pub cost: Time,
    /// Free for the caller, so that kinds of operations get rows of their own.
    pub class: u8,
    /// The client stands beside this replica: it hands the operation in there and takes the answer
    /// there, in no time. What happens if that replica does not lead: [`Spec::routing`].
    pub site: usize,
}

/// When operations are issued.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Each at its time, whatever happens to the others. Times must not fall.
    Open {
        /// The operations.
        ops: Vec<(Time, Op)>,
    },
    /// As soon as there are fewer than `depth` unfinished, in the order given.
    Closed {
        /// How many are outstanding at once.
        depth: usize,
        /// The operations.
        ops: Vec<Op>,
    },
    /// At each site that is named, as soon as there are fewer than `depth` unfinished of it, those
    /// of the site in the order given.
    Sites {
        /// How many are outstanding at once at each site.
        depth: usize,
        /// The operations.
        ops: Vec<Op>,
    },
}

impl Load {
    /// How many operations there are.
    pub fn len(&self) -> usize {
        match self {
            Load::Open { ops } => ops.len(),
            Load::Closed { ops, .. } | Load::Sites { ops, .. } => ops.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operation at `index`, in the order given.
    pub fn op(&self, index: usize) -> &Op {
        match self {
            Load::Open { ops } => &ops[index].1,
            Load::Closed { ops, .. } | Load::Sites { ops, .. } => &ops[index],
        }
    }

    /// The operations, in the order given.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        (0..self.len()).map(|index| self.op(index))
    }
}

/// What becomes of an operation that is handed in where no leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The client goes to the leader that the replica names, over a connection of its own that
    /// takes the network's delay both ways and loses nothing. Nobody named: it waits and asks
    /// again.
    Travel,
    /// The client waits until the replica beside it leads.
    Wait,
    /// The replica passes writes on in a message that can be lost; the outcome can then remain
    /// unknown. Where the protocol does not do it, as `Travel`.
    Forward,
}

/// When an operation counts as finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// As soon as the replica that was asked knows that it is committed and may be executed; a
    /// read, as soon as it may be served.
    Committed,
    /// When the client has its answer. A blind command is answered once committed; one that
    /// returns something, once executed.
    Answered,
}

/// Something that happens to the cluster from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The replica stops and loses all that is not durable.
    Crash(usize),
    /// A crashed replica starts again from what is durable.
    Restart(usize),
    /// Packets sent from the first to the second are lost from now on.
    Cut(usize, usize),
    /// The opposite of `Cut`.
    Heal(usize, usize),
    /// Cuts every link to and from the replica.
    Isolate(usize),
    /// Heals every link to and from the replica.
    Rejoin(usize),
    /// The replica campaigns now, without waiting for its election timeout.
    Campaign(usize),
    /// Whoever leads is asked for this one of [`Spec::memberships`]. Replicas that it does not name
    /// are stopped as soon as the change is reported complete.
    Change(usize),
}

/// A machine that is slower than the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    /// Whose.
    pub replica: usize,
    /// Its syncs, its handling of messages and its executing take so many times as long: 1 to
    /// [`Slow::FACTOR_MAX`].
    pub factor: f64,
}

impl Slow {
    /// The most that [`Slow::factor`] may be.
    pub const FACTOR_MAX: f64 = 1_000.0;
}

/// A run: everything that its outcome depends on. Replicas are counted from 0 here; in the
/// protocol replica `r` has the id `r + 1`.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Decides the weather, and whatever a protocol draws.
    pub seed: u64,
    /// How many replicas.
    pub replicas: usize,
    /// Which protocol.
    pub side: Side,
    /// How every link treats messages.
    pub link: LinkKind,
    /// Delays and losses.
    pub network: Network,
    /// The clients.
    pub load: Load,
    /// When an operation counts as finished.
    pub finish: Finish,
    /// What becomes of an operation that is handed in where no leader is.
    pub routing: Routing,
    /// What reads may rely on, where the protocol has a choice.
    pub read_level: ReadLevel,
    /// Whether leaders hold a lease, for an election timeout.
    pub lease: bool,
    /// Whether replicas acknowledge to all, so that each can answer by itself, where the protocol
    /// has that (traft: [`Options::acknowledge_to_all`](crate::replica::Options)).
    pub acknowledge_to_all: bool,
    /// Elected, in good weather, before the load starts. `None`: nobody is, a cold start.
    pub leader: Option<usize>,
    /// These are isolated from before that election until a script says `Rejoin`.
    pub away: Vec<usize>,
    /// If the leader is lost, this replica's election timeout is the shortest; `None`: chance.
    pub successor: Option<usize>,
    /// The least time without a word from the leader after which a replica campaigns.
    pub election_timeout: Time,
    /// The length of a replica's unit of time.
    pub tick: Time,
    /// What was not answered after this long is sent again.
    pub resend: Time,
    /// How long until a write is durable. Writes started at one instant share it.
    pub sync_delay: Time,
    /// The mean of what a sync takes longer than that, exponentially distributed: a pure function
    /// of seed, replica and the time at which the sync begins. Zero: nothing.
    /// [`bound`](super::bound) does not know it.
    pub sync_tail: Time,
    /// A slow machine. [`bound`](super::bound) does not know it.
    pub slow: Option<Slow>,
    /// What handling a message costs. Zero means that protocols are compared by messages and
    /// waiting alone, and is printed as such.
    pub cpu: Time,
    /// How many commands a replica executes at once, where its protocol allows any two.
    pub workers: usize,
    /// The state machine of every replica. Without one nothing is executed and nothing answered,
    /// which takes less time and makes no difference to latencies.
    pub machine: Option<fn() -> Box<dyn Machine>>,
    /// What happens when. Times must not fall.
    pub script: Vec<(Time, Act)>,
    /// The history.
    pub preload: Option<Preload>,
    /// Majorities of these: the cluster starts with the first one, [`Act::Change`] names others.
    /// Without any, with majorities of all replicas. Replicas outside the first one start empty and
    /// wait to be asked in.
    pub memberships: Vec<Vec<usize>>,
    /// The most bytes of records on their way to one follower; `None`: as much as each protocol's
    /// own settings allow. Less keeps the queue of a sender short when there is more to send than
    /// it can.
    pub in_flight_bytes: Option<usize>,
    /// The run ends here at the latest. It ends earlier if every operation is finished and the
    /// script is over, and has been for `linger`.
    pub until: Time,
    /// How long the run goes on when there is nothing left to wait for.
    pub linger: Time,
}

impl Spec {
    /// A spec with the stated defaults: seed 1, leader 0, client's answers count, clients travel,
    /// a tick of 1 ms,
    /// resending after 1.5 times the largest round trip with jitter left out, free syncs and CPU,
    /// four workers, no machine, an empty script, an hour.
    pub fn new(side: Side, link: LinkKind, replicas: usize, network: Network, load: Load) -> Spec {
        let rtt = network.largest_rtt();
        Spec {
            seed: 1,
            replicas,
            side,
            link,
            load,
            finish: Finish::Answered,
            routing: Routing::Travel,
            read_level: ReadLevel::Confirmed,
            lease: false,
            acknowledge_to_all: false,
            leader: Some(0),
            away: Vec::new(),
            successor: None,
            election_timeout: rtt.scaled(3.0).max(Time::ms(150)),
            tick: Time::ms(1),
            resend: rtt.scaled(1.5).max(Time::ms(1)),
            sync_delay: Time::ZERO,
            sync_tail: Time::ZERO,
            slow: None,
            cpu: Time::ZERO,
            workers: 4,
            machine: None,
            script: Vec::new(),
            preload: None,
            memberships: Vec::new(),
            in_flight_bytes: None,
            until: Time::s(3_600),
            linger: Time::ZERO,
            network,
        }
    }

    /// How long `replica` takes for what takes `time` on a machine that is not slow.
    pub(super) fn paced(&self, replica: usize, time: Time) -> Time {
        match self.slow {
            Some(slow) if slow.replica == replica => time.scaled(slow.factor),
            _ => time,
        }
    }

    /// Who votes at the start.
    pub(super) fn voters(&self) -> Vec<usize> {
        self.memberships.first().cloned().unwrap_or_else(|| (0..self.replicas).collect())
    }
}
