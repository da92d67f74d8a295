//! Replicas of the store in this process, joined by a loopback.

use super::replica::{Freshness, Mailbox, Outcome, Reason, Replica, Standing};
use crate::apply::Request;
use crate::apply::redis::Store;
use crate::base::{Command, ReplicaId};
use crate::replica::{ReadLevel, RoleName};
use crate::runtime::{
    Busy, Failure, Loopback, Node, NodeError, NodeOptions, Pending, Refusal, SharedDisk, Watch,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Replicas in this process. Dropped, they answer what they have and end.
pub struct Local {
    seats: BTreeMap<ReplicaId, Arc<dyn Seat>>,
}

/// A replica of [`Local`], as a server sees it.
#[derive(Clone)]
pub struct LocalReplica(Arc<dyn Seat>);

/// Cuts replicas of a [`Local`] off from each other, for those who want to see what happens.
#[derive(Clone)]
pub struct Faults(BTreeMap<ReplicaId, Arc<dyn Seat>>);

/// A node on whatever disk.
trait Seat: Send + Sync {
    fn write(&self, number: u64, command: Command);
    fn read(&self, number: u64, command: Command, level: ReadLevel);
    fn standing(&self) -> Standing;
    fn cut(&self, cut: bool);
    fn close(&self);
}

struct Place<D: SharedDisk> {
    /// Nothing once it is closed.
    node: Mutex<Option<Node<D, Store>>>,
    watch: Mutex<Watch>,
    mailbox: Arc<Mailbox>,
}

/// Whoever panicked with it left nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command as it is, and its result as bytes.
struct Plain(Command);

impl Request for Plain {
    type Answer = Bytes;

    fn command(&self) -> Command {
        self.0.clone()
    }

    fn answer(result: &Bytes) -> Bytes {
        result.clone()
    }
}

/// Takes the outcome to the mailbox as soon as there is one.
struct Errand {
    number: u64,
    pending: Mutex<Pending<Plain>>,
    mailbox: Arc<Mailbox>,
}

impl Wake for Errand {
    fn wake(self: Arc<Self>) {
        let outcome = locked(&self.pending).outcome();
        if let Some(outcome) = outcome {
            self.mailbox.leave_one(self.number, told(outcome));
        }
    }
}

fn told(outcome: Result<Bytes, Failure>) -> Outcome {
    match outcome {
        Ok(result) => Outcome::Answer(result),
        Err(Failure::NotDone(Refusal::DiskFull)) => Outcome::Refused(Reason::DiskFull),
        Err(Failure::NotDone(_)) => Outcome::Refused(Reason::NotNow),
        Err(Failure::Unknown) => Outcome::Lost,
    }
}

impl<D: SharedDisk> Place<D> {
    /// Asks, and sees to it that the outcome comes to the mailbox.
    fn ask(&self, number: u64, ask: impl FnOnce(&Node<D, Store>) -> Result<Pending<Plain>, Busy>) {
        let asked = locked(&self.node).as_ref().map(ask);
        let Some(Ok(pending)) = asked else {
            // Closed, or too much is in flight.
            return self.mailbox.leave_one(number, Outcome::Refused(Reason::NotNow));
        };
        let (pending, mailbox) = (Mutex::new(pending), self.mailbox.clone());
        let errand = Arc::new(Errand { number, pending, mailbox });
        let waker = Waker::from(errand.clone());
        let now = Pin::new(&mut *locked(&errand.pending)).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(outcome) = now {
            self.mailbox.leave_one(number, told(outcome));
        }
    }
}

impl<D: SharedDisk> Seat for Place<D> {
    fn write(&self, number: u64, command: Command) {
        self.ask(number, |node| node.propose(&Plain(command)));
    }

    fn read(&self, number: u64, command: Command, level: ReadLevel) {
        self.ask(number, |node| node.read_as(level, &Plain(command)));
    }

    fn standing(&self) -> Standing {
        let view = locked(&self.watch).view();
        let stopped = view.ended.map(|ended| match ended {
            Ok(()) => "asked to".to_string(),
            Err(error) => error.to_string(),
        });
        Standing {
            leads: view.role == RoleName::Leader,
            leader: view.leader.map(|leader| leader.0),
            stopped,
        }
    }

    fn cut(&self, cut: bool) {
        if let Some(node) = &*locked(&self.node) {
            node.cut(cut);
        }
    }

    fn close(&self) {
        let node = locked(&self.node).take();
        if let Some(node) = node {
            // Why it had ended before, if it had, is in its standing.
            let _ = node.close();
        }
    }
}

impl Replica for LocalReplica {
    fn write(&self, number: u64, command: Command) {
        self.0.write(number, command);
    }

    fn read(&self, number: u64, command: Command, freshness: Freshness) {
        let level = match freshness {
            Freshness::Linearizable => ReadLevel::Here,
            Freshness::Stale => ReadLevel::Stale,
        };
        self.0.read(number, command, level);
    }

    fn standing(&self) -> Standing {
        self.0.standing()
    }
}

impl Faults {
    /// Cuts a replica off, or joins it to the others again; says whether there is one. Its clients
    /// still reach it.
    pub fn cut(&self, id: ReplicaId, cut: bool) -> bool {
        let seat = self.0.get(&id);
        seat.into_iter().for_each(|seat| seat.cut(cut));
        seat.is_some()
    }
}

impl Local {
    /// Opens these replicas and starts them; what comes of their commands goes to their mailboxes.
    ///
    /// # Errors
    ///
    /// That of the first directory that cannot be opened. Those that had started have ended.
    pub fn start<D: SharedDisk>(
        replicas: Vec<(D, NodeOptions, Arc<Mailbox>)>,
    ) -> Result<Local, (ReplicaId, NodeError)> {
        let network = Loopback::new();
        let mut local = Local { seats: BTreeMap::new() };
        for (disk, options, mailbox) in replicas {
            let id = options.replica.id;
            let opened = Node::open(disk, options, Store::new(), &network);
            let node = opened.map_err(|error| (id, error))?;
            let watch = Mutex::new(node.watch());
            let place = Place { node: Mutex::new(Some(node)), watch, mailbox };
            local.seats.insert(id, Arc::new(place));
        }
        Ok(local)
    }

    /// One of them.
    pub fn replica(&self, id: ReplicaId) -> Option<LocalReplica> {
        self.seats.get(&id).cloned().map(LocalReplica)
    }

    /// A way to cut them off from each other.
    pub fn faults(&self) -> Faults {
        Faults(self.seats.clone())
    }

    /// Ends one of them in good order; the others go on.
    pub fn stop(&self, id: ReplicaId) {
        if let Some(seat) = self.seats.get(&id) {
            seat.close();
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.seats.values().for_each(|seat| seat.close());
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.seats.keys()).finish()
    }
}

impl fmt::Debug for LocalReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalReplica")
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}
