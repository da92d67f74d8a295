//! What a server asks of its replica, and how it is told what came of it.

use crate::base::Command;
use crate::runtime::Order;
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Which state a read may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Everything acknowledged before the question.
    Linearizable,
    /// Whatever is here.
    Stale,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody leads, as far as the replica knows, or too much is in flight. Later it may be done.
    NotNow,
    /// The replica's disk is full.
    DiskFull,
    /// An operator's order is for the replica that leads: this one, if somebody is known.
    Elsewhere(Option<u64>),
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result.
    Answer(Bytes),
    /// It was not done and never will be.
    Refused(Reason),
    /// It may be done or not.
    Lost,
}

/// What a replica is, for those who watch it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it leads.
    pub leads: bool,
    /// The number of the replica that leads, as far as it knows.
    pub leader: Option<u64>,
    /// Whether writes are refused because its disk is full.
    pub full: bool,
    /// Whether it does not vote, because it has lost something and waits to be given it back.
    pub doubtful: bool,
    /// Why it has stopped, if it has.
    pub stopped: Option<String>,
}

/// A replica, seen from the thread that serves its clients. Each number is used once.
pub trait Replica: Send {
    /// Hands a command over.
    fn write(&self, number: u64, command: Command);

    /// Asks for a result without changing anything.
    fn read(&self, number: u64, command: Command, freshness: Freshness);

    /// Hands an operator's order over. Its answer is empty if it was carried out, else why not.
    fn order(&self, number: u64, order: Order);

    /// Asks what it knows of itself and of others, as lines of text.
    fn survey(&self, number: u64);

    /// What it is.
    fn standing(&self) -> Standing;
}

/// Where a replica leaves what came of commands, and the server finds it.
pub struct Mailbox {
    letters: Mutex<Vec<(u64, Outcome)>>,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

impl Mailbox {
    /// An empty one. `ring` is called when there is something in it; it must not block.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Mailbox {
        Mailbox { letters: Mutex::default(), ring: Box::new(ring) }
    }

    /// Leaves outcomes, and takes them out of the list.
    pub fn leave(&self, outcomes: &mut Vec<(u64, Outcome)>) {
        if outcomes.is_empty() {
            return;
        }
        let was_empty = {
            let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            let was_empty = letters.is_empty();
            letters.append(outcomes);
            was_empty
        };
        // Otherwise the bell has rung and nobody has come yet.
        if was_empty {
            (self.ring)();
        }
    }

    /// Leaves one.
    pub fn leave_one(&self, number: u64, outcome: Outcome) {
        self.leave(&mut vec![(number, outcome)]);
    }

    /// Takes all that is there.
    pub fn take(&self, into: &mut Vec<(u64, Outcome)>) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut letters);
    }
}
