//! A node: what an embedder opens, asks and closes.

use super::engine::{Busy, NodeError};
use super::handle::{Answered, Pending, pending};
use super::host::Host;
use super::order::Order;
use super::parts::{NodeOptions, Post, Status};
use super::stages::Stages;
use super::survey::Survey;
use super::sync::{Arc, AtomicU64, JoinHandle, Ordering, bounded};
use super::thread::{Client, Door, Letter, Limits, State, Thread, Watcher, What};
use super::transport::Network;
use super::watch::{Board, View, Watch};
use crate::apply::{Request, Stateful};
use crate::base::ReplicaId;
use crate::disk::Disk;
use crate::replica::ReadLevel;
use crate::wal::Recovered;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a node that is closed goes on answering what is in flight, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// A disk that several threads may use.
pub trait SharedDisk: Disk<Lock: Send> + Clone + Send + Sync + 'static {}

impl<D: Disk<Lock: Send> + Clone + Send + Sync + 'static> SharedDisk for D {}

/// A replica that runs: its threads, its directory and its machine. Any thread may ask it.
///
/// Dropped, it ends at once, and whoever waits hears that nobody knows; [`close`](Self::close) lets
/// it answer first. Either way its threads have ended and its directory is free when the call
/// returns.
pub struct Node<D: SharedDisk, M: Stateful> {
    id: ReplicaId,
    door: Door<Host<D, M>>,
    next: AtomicU64,
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
    recovered: Recovered,
    stages: Option<Stages>,
}

/// Of this machine's clock: a start that finds a loss counts its incarnation from here (Doubt 1).
/// Nothing else rests on it.
fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Puts what changes on a node's board.
struct Notes(Arc<Board>);

fn view<D: SharedDisk, M: Stateful>(host: &Host<D, M>) -> View {
    let (role, leader, done, full, doubtful) = host.view();
    View { role, leader, done, full, doubtful, ended: None }
}

impl<D: SharedDisk, M: Stateful> Watcher<Host<D, M>> for Notes {
    fn look(&mut self, host: &Host<D, M>) {
        self.0.update(|seen| *seen = view(host));
    }

    fn ended(&mut self, why: Result<(), NodeError>) {
        self.0.update(|seen| seen.ended = Some(why));
    }
}

impl<D: SharedDisk, M: Stateful> Node<D, M> {
    /// Opens the directory `disk`, or begins it, joins `network` and starts.
    ///
    /// # Errors
    ///
    /// What the store says: see [`StoreError`](crate::store::StoreError).
    pub fn open(
        disk: D,
        options: NodeOptions,
        machine: M,
        network: &impl Network<Post>,
    ) -> Result<Node<D, M>, NodeError> {
        Node::with_limits(disk, options, machine, network, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn with_limits(
        disk: D,
        mut options: NodeOptions,
        machine: M,
        network: &impl Network<Post>,
        limits: Limits,
    ) -> Result<Node<D, M>, NodeError> {
        let opened_at = &mut options.store.wal.opened_at;
        *opened_at = seconds_since_1970().max(*opened_at);
        let (id, stages) = (options.replica.id, options.stages.clone());
        let (engine, recovered) = Host::open(disk, options, machine)?;
        let (door, inbox) = Door::new(limits);
        let board = Board::new(view(&engine));
        let thread = Thread {
            engine,
            inbox,
            lanes: door.lanes(id.to_string()),
            transport: network.join(id, door.inbox()),
            watcher: Box::new(Notes(board.clone())),
            state: State::default(),
        };
        let thread = Some(thread.start(id.to_string()));
        Ok(Node { id, door, next: AtomicU64::new(1), board, thread, recovered, stages })
    }

    /// Which replica it is.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// What was in the directory, with everything that was not as it should be.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Has a command done. Any node may be asked: one that does not lead passes it on, unless
    /// [`forwarding`](crate::replica::Options::forwarding) is off.
    ///
    /// # Errors
    ///
    /// [`Busy`]: nothing was done, ask again when something has been answered.
    pub fn propose<R: Request>(&self, request: &R) -> Result<Pending<R>, Busy> {
        self.ask(What::Write(request.command()))
    }

    /// Reads, linearizably ([`ReadLevel::Here`]): any node may be asked, and answers from its own
    /// state.
    ///
    /// # Errors
    ///
    /// As of [`propose`](Self::propose).
    pub fn read<R: Request>(&self, request: &R) -> Result<Pending<R>, Busy> {
        self.read_as(ReadLevel::Here, request)
    }

    /// Reads at a level of the client's choice.
    ///
    /// # Errors
    ///
    /// As of [`propose`](Self::propose).
    pub fn read_as<R: Request>(&self, level: ReadLevel, request: &R) -> Result<Pending<R>, Busy> {
        self.ask(What::Read(request.command(), level))
    }

    /// Has an operator's order carried out: by the node that leads, which is for the caller to find
    /// ([`Refusal::NotHere`](super::Refusal::NotHere) says who may know).
    ///
    /// # Errors
    ///
    /// As of [`propose`](Self::propose).
    pub fn order(&self, order: Order) -> Result<Pending<Order>, Busy> {
        self.ask(What::Order(order))
    }

    fn ask<R: Answered>(&self, what: What) -> Result<Pending<R>, Busy> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (debt, pending) = pending();
        if let (What::Write(_), Some(stages)) = (&what, &self.stages) {
            stages.arrives(number);
        }
        self.door.ask(number, what, Client::Debt(debt))?;
        Ok(pending)
    }

    /// Watches it.
    pub fn watch(&self) -> Watch {
        Watch::new(self.board.clone())
    }

    /// What it is, its state included; `None` if it has ended. Linear in the state. Waits until the
    /// state is at rest for a moment.
    pub fn status(&self) -> Option<Status> {
        let (sender, receiver) = bounded(1);
        self.door.say(Letter::Status(sender));
        receiver.recv().ok()
    }

    /// Gives what it knows of itself and of the others to `then`, on its own thread, a moment
    /// later; or drops `then`, if it has ended.
    pub fn survey(&self, then: impl FnOnce(Survey) + Send + 'static) {
        self.door.say(Letter::Look(Box::new(move |host: &Host<D, M>| then(host.survey()))));
    }

    /// Has it try to lead, now.
    pub fn campaign(&self) {
        self.door.say(Letter::Campaign);
    }

    /// Cuts it off from all others, or joins it to them again: for tests.
    pub fn cut(&self, cut: bool) {
        self.door.say(Letter::Cut(cut));
    }

    /// Takes nothing more, answers what is in flight, for at most two seconds, and ends.
    ///
    /// # Errors
    ///
    /// Why it had ended before.
    pub fn close(self) -> Result<(), NodeError> {
        self.close_within(PATIENCE)
    }

    /// The same with another patience.
    ///
    /// # Errors
    ///
    /// Why it had ended before.
    pub fn close_within(mut self, patience: Duration) -> Result<(), NodeError> {
        self.end(patience);
        self.watch().view().ended.unwrap_or(Err(NodeError::Panicked))
    }

    fn end(&mut self, patience: Duration) {
        if let Some(thread) = self.thread.take() {
            self.door.say(Letter::Close(patience));
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

impl<D: SharedDisk, M: Stateful> Drop for Node<D, M> {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl<D: SharedDisk, M: Stateful> fmt::Debug for Node<D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.id, self.watch().view())
    }
}
