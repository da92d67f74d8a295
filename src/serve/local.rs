//! Replicas of the store in this process, joined to each other or to others by a network.

use super::operate;
use super::replica::{Freshness, Mailbox, Outcome, Reason, Replica, Standing};
use crate::apply::redis::Store;
use crate::base::{Command, ReplicaId};
use crate::replica::{ReadLevel, RoleName};
use crate::runtime::{
    Answered, Busy, Denied, Failure, Network, Node, NodeError, NodeOptions, Order, Pending, Post,
    Raw, Refusal, SharedDisk, Survey, Watch,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// How long a replica may take to say what it is.
const GLANCE: Duration = Duration::from_millis(500);

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
    fn order(&self, number: u64, order: Order);
    fn survey(&self, number: u64);
    fn look(&self) -> Option<Survey>;
    fn standing(&self) -> Standing;
    fn hand_over(&self, patience: Duration);
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

/// Takes the outcome to the mailbox as soon as there is one.
struct Errand<R: Asks> {
    number: u64,
    pending: Mutex<Pending<R>>,
    mailbox: Arc<Mailbox>,
}

/// What somebody waits for, and how its outcome is told.
trait Asks: Answered + Send + 'static {
    fn told(outcome: Result<Self::Answer, Failure>) -> Outcome;
}

impl<R: Asks> Wake for Errand<R> {
    fn wake(self: Arc<Self>) {
        let outcome = locked(&self.pending).outcome();
        if let Some(outcome) = outcome {
            self.mailbox.leave_one(self.number, R::told(outcome));
        }
    }
}

impl Asks for Raw {
    fn told(outcome: Result<Bytes, Failure>) -> Outcome {
        told(outcome)
    }
}

impl Asks for Order {
    fn told(outcome: Result<Result<(), Denied>, Failure>) -> Outcome {
        match outcome {
            Ok(Ok(())) => Outcome::Answer(Bytes::new()),
            Ok(Err(Denied(why))) => Outcome::Answer(why.into()),
            Err(Failure::NotDone(Refusal::NotHere { hint })) => {
                Outcome::Refused(Reason::Elsewhere(hint.map(|hint| hint.0)))
            }
            Err(failure) => told(Err(failure)),
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
    fn ask<R: Asks>(
        &self,
        number: u64,
        ask: impl FnOnce(&Node<D, Store>) -> Result<Pending<R>, Busy>,
    ) {
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
            self.mailbox.leave_one(number, R::told(outcome));
        }
    }
}

impl<D: SharedDisk> Seat for Place<D> {
    fn write(&self, number: u64, command: Command) {
        self.ask(number, |node| node.propose(&Raw(command)));
    }

    fn read(&self, number: u64, command: Command, level: ReadLevel) {
        self.ask(number, |node| node.read_as(level, &Raw(command)));
    }

    fn order(&self, number: u64, order: Order) {
        self.ask(number, |node| node.order(order));
    }

    fn survey(&self, number: u64) {
        let mailbox = self.mailbox.clone();
        let leave = move |survey: Survey| {
            mailbox.leave_one(number, Outcome::Answer(operate::text(&survey).into()));
        };
        match &*locked(&self.node) {
            Some(node) => node.survey(leave),
            None => self.mailbox.leave_one(number, Outcome::Refused(Reason::NotNow)),
        }
    }

    fn look(&self) -> Option<Survey> {
        let (leave, found) = mpsc::sync_channel(1);
        // Whoever does not wait any more does not want to know.
        locked(&self.node).as_ref()?.survey(move |survey| drop(leave.try_send(survey)));
        found.recv_timeout(GLANCE).ok()
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
            full: view.full,
            doubtful: view.doubtful,
            stopped,
        }
    }

    fn hand_over(&self, patience: Duration) {
        let order = Order::Transfer { to: None };
        let asked = locked(&self.node).as_ref().map(|node| node.order(order));
        if let Some(Ok(pending)) = asked {
            // Whatever comes of it, the replica ends.
            let _ = pending.wait_for(patience);
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

    fn order(&self, number: u64, order: Order) {
        self.0.order(number, order);
    }

    fn survey(&self, number: u64) {
        self.0.survey(number);
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
    /// Opens these replicas, has them join the network and starts them; what comes of their
    /// commands goes to their mailboxes.
    ///
    /// # Errors
    ///
    /// That of the first directory that cannot be opened. Those that had started have ended.
    pub fn start<D: SharedDisk>(
        replicas: Vec<(D, NodeOptions, Arc<Mailbox>)>,
        network: &impl Network<Post>,
    ) -> Result<Local, (ReplicaId, NodeError)> {
        let mut local = Local { seats: BTreeMap::new() };
        for (disk, options, mailbox) in replicas {
            let id = options.replica.id;
            let opened = Node::open(disk, options, Store::new(), network);
            let node = opened.map_err(|error| (id, error))?;
            let watch = Mutex::new(node.watch());
            let place = Place { node: Mutex::new(Some(node)), watch, mailbox };
            local.seats.insert(id, Arc::new(place));
        }
        Ok(local)
    }

    /// Which there are.
    pub fn ids(&self) -> impl Iterator<Item = ReplicaId> {
        self.seats.keys().copied()
    }

    /// What each of them is, in order of their numbers.
    pub fn standings(&self) -> Vec<Standing> {
        self.seats.values().map(|seat| seat.standing()).collect()
    }

    /// One of them.
    pub fn replica(&self, id: ReplicaId) -> Option<LocalReplica> {
        self.seats.get(&id).cloned().map(LocalReplica)
    }

    /// If one of them leads, it hands leadership over; waits for that, at most so long.
    pub fn hand_over(&self, patience: Duration) {
        for seat in self.seats.values().filter(|seat| seat.standing().leads) {
            seat.hand_over(patience);
        }
    }

    /// What one of them knows of itself and of others; nothing if it has ended, or is too busy to
    /// say at once.
    pub fn survey(&self, id: ReplicaId) -> Option<Survey> {
        self.seats.get(&id)?.look()
    }

    /// The same, to be asked later.
    pub(super) fn surveyor(&self, id: ReplicaId) -> impl Fn() -> Option<Survey> + use<> {
        let seat = self.seats.get(&id).cloned();
        move || seat.as_ref()?.look()
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
