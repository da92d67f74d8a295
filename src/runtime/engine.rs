//! What a driver with threads drives.

use crate::base::{Command, ReplicaId};
use crate::store::StoreError;
use bytes::Bytes;

/// A replica of some protocol with its disk and its machine, driven by one thread. Whatever it says
/// about time is in ticks of a millisecond.
pub trait Engine: Send + 'static {
    /// What replicas send each other.
    type Message: Send;
    /// Work for another thread.
    type Job: Send + 'static;
    /// What comes of it.
    type Done: Send;
    /// What it is, for those who watch it.
    type Status: Send;

    /// Something happened. Everything that has happened is handled before [`work`](Self::work).
    ///
    /// # Errors
    ///
    /// [`NodeError`]: it stops, and must be opened again.
    fn handle(&mut self, event: Event<Self::Message, Self::Done>) -> Result<(), NodeError>;

    /// Carries out what that led to, disk included.
    ///
    /// # Errors
    ///
    /// [`NodeError`]: it stops, and must be opened again.
    fn work(
        &mut self,
        emit: &mut dyn FnMut(Effect<Self::Message, Self::Job>),
    ) -> Result<(), NodeError>;

    /// What it is now.
    fn status(&self) -> Self::Status;

    /// Does a job, on another thread.
    fn run(job: Self::Job) -> Self::Done;
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
    /// Do this on another thread.
    Do(J),
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This replica cannot: it does not lead, or too much is in flight. Ask another one, or later.
    #[error("not here, or not now")]
    NotHere,
    /// Its disk is full. It goes on by itself when there is room; reads are served all the while.
    #[error("the disk is full")]
    DiskFull,
}

/// Why a replica stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Its disk. Open it again to learn what is there.
    #[error(transparent)]
    Store(#[from] StoreError),
}
