//! What a thread of a node drives.

use super::order::Order;
use crate::base::{Command, ReplicaId};
use crate::replica::ReadLevel;
use crate::store::StoreError;
use bytes::Bytes;
use std::fmt;

/// A replica of some protocol with its disk and its machine, driven by one thread. Whatever it says
/// about time is in ticks of a millisecond.
pub trait Engine: Send + 'static {
    /// What replicas send each other.
    type Message: Send + 'static;
    /// Work for another thread.
    type Job: Send + 'static;
    /// What comes of it.
    type Done: Send + 'static;
    /// What it is, for those who watch it.
    type Status: Send + 'static;

    /// Something happened. Everything that has happened is handled before [`work`](Self::work).
    ///
    /// # Errors
    ///
    /// [`NodeError`]: it stops, and must be opened again.
    fn handle(&mut self, event: Event<Self::Message, Self::Done>) -> Result<(), NodeError>;

    /// Carries out what that led to. What waits for a disk again and again is given out as a job.
    ///
    /// # Errors
    ///
    /// [`NodeError`]: it stops, and must be opened again.
    fn work(
        &mut self,
        emit: &mut dyn FnMut(Effect<Self::Message, Self::Job>),
    ) -> Result<(), NodeError>;

    /// What it is now; `None` while its state is being changed by another thread: ask again when
    /// something has happened.
    fn status(&self) -> Option<Self::Status>;

    /// Does a job, on another thread.
    fn run(job: Self::Job) -> Self::Done;

    /// Which thread is to do it.
    fn lane(job: &Self::Job) -> Lane;
}

/// The threads that a node has besides the one that owns its replica. No engine gives a lane a job
/// before the one before it has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Writes the log and syncs it.
    Log,
    /// Executes commands and reads; there may be several, counted from 0.
    Apply(usize),
    /// Writes snapshots: long, and in no hurry.
    Work,
}

/// A name for its thread.
impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lane::Log => f.write_str("log"),
            Lane::Apply(0) => f.write_str("apply"),
            Lane::Apply(worker) => write!(f, "apply{worker}"),
            Lane::Work => f.write_str("work"),
        }
    }
}

/// What happens to a replica.
#[derive(Debug)]
pub enum Event<M, T> {
    /// A millisecond has passed.
    Tick,
    /// A message has come.
    Message(M),
    /// A client wants this done. It gave it the number, and uses none twice.
    Write {
        /// The number.
        number: u64,
        /// What to do.
        command: Command,
    },
    /// A client wants this read.
    Read {
        /// The number.
        number: u64,
        /// What to read.
        command: Command,
        /// What the client may rely on.
        level: ReadLevel,
    },
    /// An operator wants this. It has a number as commands have.
    Order {
        /// The number.
        number: u64,
        /// What to do.
        order: Order,
    },
    /// Try to lead, now.
    Campaign,
    /// A job is done.
    Done(T),
}

/// What a replica wants.
#[derive(Debug)]
pub enum Effect<M, J> {
    /// Send a message.
    Send {
        /// To whom.
        to: ReplicaId,
        /// What.
        message: M,
    },
    /// The answer to a client.
    Answer {
        /// To what.
        number: u64,
        /// What came of it.
        result: Bytes,
    },
    /// It was not done and never will be.
    Refused {
        /// What.
        number: u64,
        /// Why, and what to do.
        why: Refusal,
    },
    /// It may be done or not.
    Lost {
        /// What.
        number: u64,
    },
    /// Do this on the thread of its [`lane`](Engine::lane), and say what came of it.
    Do(J),
}

fn ask(hint: ReplicaId) -> String {
    format!("ask {hint}")
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This replica cannot, because it does not lead. Ask the one named, or later.
    #[error("this replica does not lead; {}", hint.map_or("ask later".into(), ask))]
    NotHere {
        /// Who may know better.
        hint: Option<ReplicaId>,
    },
    /// As much is in flight as the replica allows. Ask again when something has been answered.
    #[error("too much is in flight; ask again when something has been answered")]
    Busy,
    /// It never will be, at any replica.
    #[error("the command is larger than {max} bytes")]
    TooLarge {
        /// The most that is allowed.
        max: usize,
    },
    /// Its disk is full. It goes on by itself when there is room; reads are served all the while.
    #[error("the disk is full")]
    DiskFull,
    /// It is being shut down.
    #[error("the node is being shut down")]
    Closing,
}

/// As many commands and reads are in flight at a node as it allows. Nothing was done: ask again
/// when one of them has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} commands and reads are in flight, which is the most this node takes")]
pub struct Busy {
    /// The limit: [`Limits::in_flight`](super::Limits::in_flight).
    pub limit: usize,
}

/// Why a replica stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Its disk. Open it again to learn what is there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread of it panicked: the machine breaks its contract, or there is a bug here. Standard
    /// error has the message.
    #[error("a thread of the node panicked")]
    Panicked,
    /// A known bug was put back, to see whether it is found: only in a build with the feature
    /// `mutants`, which nobody's data is safe with. Build without it.
    #[error("the known bug `{name}` is switched on; build without the feature `mutants`")]
    Mutant {
        /// Which.
        name: String,
    },
}
