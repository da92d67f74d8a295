//! Engines in one process, and one client for all of them: for what is checked by killing it
//! (`traft check kill`) and what is measured on a real disk (`traft compare --durable`).

use super::engine::{Busy, Engine, NodeError};
use super::sync::{JoinHandle, Receiver, Sender, bounded};
use super::thread::{Client, Door, Letter, Limits, Reply, State, Thread, Watcher, What};
use super::transport::{Loopback, Network};
use crate::base::{Command, ReplicaId};
use crate::replica::ReadLevel;
use std::collections::BTreeMap;
use std::time::Duration;

/// A cluster in this process, of any [`Engine`]. Messages go through a [`Loopback`].
///
/// Dropped, it stops all threads and waits for them.
pub struct Local<E: Engine> {
    doors: BTreeMap<ReplicaId, Door<E>>,
    threads: Vec<JoinHandle<()>>,
    reply: Sender<Reply>,
    replies: Receiver<Reply>,
}

/// Tells the client of a replica that stops.
struct Stops {
    id: ReplicaId,
    reply: Sender<Reply>,
}

impl<E: Engine> Watcher<E> for Stops {
    fn look(&mut self, _: &E) {}

    fn ended(&mut self, why: Result<(), NodeError>) {
        if let Err(error) = why {
            // There is room, and whoever does not listen has gone.
            let _ = self.reply.try_send(Reply::Stopped { id: self.id, error });
        }
    }
}

impl<E: Engine> Local<E> {
    /// Starts these replicas.
    pub fn start(engines: Vec<(ReplicaId, E)>) -> Local<E> {
        let limits = Limits::default();
        let (reply, replies) = bounded(engines.len() * (limits.in_flight + 1));
        let network = Loopback::new();
        let (mut doors, mut threads) = (BTreeMap::new(), Vec::new());
        let mut waiting = Vec::new();
        // Everybody can be reached before anybody starts.
        for (id, engine) in engines {
            let (door, inbox) = Door::new(limits);
            let transport = network.join(id, door.inbox());
            doors.insert(id, door.clone());
            waiting.push((id, engine, door, inbox, transport));
        }
        for (id, engine, door, inbox, transport) in waiting {
            let watcher = Box::new(Stops { id, reply: reply.clone() });
            let (lanes, state) = (door.lanes(id.to_string()), State::default());
            let thread = Thread { engine, inbox, lanes, transport, watcher, state };
            threads.push(thread.start(id.to_string()));
        }
        Local { doors, threads, reply, replies }
    }

    fn ask(&self, to: ReplicaId, number: u64, what: What) -> Result<(), Busy> {
        let client = Client::Channel(self.reply.clone());
        self.doors.get(&to).map_or(Ok(()), |door| door.ask(number, what, client))
    }

    /// Hands a command to a replica; the reply comes from [`replies`](Self::replies).
    ///
    /// # Errors
    ///
    /// [`Busy`]: no reply will come.
    pub fn write(&self, to: ReplicaId, number: u64, command: Command) -> Result<(), Busy> {
        self.ask(to, number, What::Write(command))
    }

    /// Asks a replica to read, as [`ReadLevel::Confirmed`].
    ///
    /// # Errors
    ///
    /// [`Busy`]: no reply will come.
    pub fn read(&self, to: ReplicaId, number: u64, command: Command) -> Result<(), Busy> {
        self.ask(to, number, What::Read(command, ReadLevel::Confirmed))
    }

    fn say(&self, to: ReplicaId, letter: Letter<E>) {
        if let Some(door) = self.doors.get(&to) {
            door.say(letter);
        }
    }

    /// Asks a replica to try to lead.
    pub fn campaign(&self, to: ReplicaId) {
        self.say(to, Letter::Campaign);
    }

    /// Cuts a replica off from the others, or joins it to them again.
    pub fn cut(&self, id: ReplicaId, cut: bool) {
        self.say(id, Letter::Cut(cut));
    }

    /// What the client hears, in the order in which it was said.
    pub fn replies(&self) -> &Receiver<Reply> {
        &self.replies
    }

    /// What each replica is; those that have stopped are left out. Waits until each is at rest for
    /// a moment.
    pub fn status(&self) -> Vec<E::Status> {
        let ask = |door: &Door<E>| {
            let (sender, receiver) = bounded(1);
            door.say(Letter::Status(sender));
            receiver
        };
        let asked: Vec<_> = self.doors.values().map(ask).collect();
        asked.into_iter().filter_map(|receiver| receiver.recv().ok()).collect()
    }
}

impl<E: Engine> Drop for Local<E> {
    fn drop(&mut self) {
        self.doors.values().for_each(|door| door.say(Letter::Close(Duration::ZERO)));
        for thread in self.threads.drain(..) {
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}
