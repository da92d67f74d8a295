//! What is going to happen, in order of time.

use super::act::Micros;
use crate::message::Envelope;
use crate::snapshot::Parcel;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens at a moment. `life` is that of the process it is meant for.
pub(super) enum Due {
    Message(Box<Envelope>),
    Parcel(Box<Parcel>),
    Tick {
        at: usize,
        life: u64,
    },
    /// The sync of a disk ends.
    Synced {
        at: usize,
        life: u64,
    },
    /// A command has been executed.
    Applied {
        at: usize,
        life: u64,
    },
    /// A snapshot has been written.
    Written {
        at: usize,
        life: u64,
    },
    /// A process begins.
    Start {
        at: usize,
    },
    /// What had to wait comes now.
    Resume {
        at: usize,
    },
    /// The disk has room again.
    Room {
        at: usize,
    },
    /// The act of this number.
    Act(usize),
    /// A client does something, or gives up waiting: if nothing has changed since.
    Client {
        client: usize,
        turn: u64,
    },
    /// No fault from now on.
    Calm,
    /// Is everything done?
    Look,
}

impl Due {
    /// Its place in the trace.
    pub(super) fn code(&self) -> (u64, u64) {
        match self {
            Due::Message(envelope) => (1, envelope.from.0 << 8 | envelope.to.0),
            Due::Parcel(parcel) => (2, parcel.from.0 << 8 | parcel.to.0),
            Due::Tick { at, .. } => (3, *at as u64),
            Due::Synced { at, .. } => (4, *at as u64),
            Due::Applied { at, .. } => (5, *at as u64),
            Due::Written { at, .. } => (6, *at as u64),
            Due::Start { at } => (7, *at as u64),
            Due::Resume { at } => (8, *at as u64),
            Due::Room { at } => (9, *at as u64),
            Due::Act(number) => (10, *number as u64),
            Due::Client { client, .. } => (11, *client as u64),
            Due::Calm => (12, 0),
            Due::Look => (13, 0),
        }
    }
}

struct Entry {
    at: Micros,
    number: u64,
    due: Due,
}

/// Earliest first; of one moment, in the order in which they were added.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

impl Queue {
    pub(super) fn add(&mut self, at: Micros, due: Due) {
        self.heap.push(Entry { at, number: self.next, due });
        self.next += 1;
    }

    pub(super) fn next(&mut self) -> Option<(Micros, Due)> {
        self.heap.pop().map(|entry| (entry.at, entry.due))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
