//! Replicas of the store in this process: a thread each, channels between them.

use super::node::{Event, Node, SnapshotWork, Surface};
use super::replica::{Freshness, Mailbox, Outcome, Replica, Standing};
use crate::base::{Command, ReplicaId};
use crate::disk::Disk;
use crate::runtime::{NodeError, NodeOptions, Post};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A tick of a replica.
const TICK: Duration = Duration::from_millis(1);

/// The most ticks that are made up for at once: a thread that was held up has not waited in vain
/// for anybody.
const TICKS_MAX: u32 = 8;

/// The most that is handled before it is carried out.
const BATCH_MAX: usize = 16_384;

enum Letter {
    Event(Event),
    /// From now on nobody hears it and it hears nobody, or no longer so.
    Cut(bool),
    Stop,
}

/// Replicas in this process. Dropped, they stop, and their threads are waited for.
#[derive(Debug)]
pub struct Local {
    seats: BTreeMap<ReplicaId, Sender<Letter>>,
    standings: BTreeMap<ReplicaId, Arc<Mutex<Standing>>>,
    threads: Vec<JoinHandle<()>>,
}

/// A replica of [`Local`], as a server sees it.
#[derive(Clone, Debug)]
pub struct LocalReplica {
    seat: Sender<Letter>,
    standing: Arc<Mutex<Standing>>,
}

/// Cuts replicas of a [`Local`] off from each other, for those who want to see what happens.
#[derive(Clone, Debug)]
pub struct Faults {
    seats: BTreeMap<ReplicaId, Sender<Letter>>,
}

impl Faults {
    /// Cuts a replica off, or joins it to the others again; says whether there is one. Its clients
    /// still reach it.
    pub fn cut(&self, id: ReplicaId, cut: bool) -> bool {
        self.seats.get(&id).is_some_and(|seat| seat.send(Letter::Cut(cut)).is_ok())
    }
}

impl Replica for LocalReplica {
    fn write(&self, number: u64, command: Command) {
        // One that has stopped says so in its standing.
        let _ = self.seat.send(Letter::Event(Event::Write { number, command }));
    }

    fn read(&self, number: u64, command: Command, freshness: Freshness) {
        let _ = self.seat.send(Letter::Event(Event::Read { number, command, freshness }));
    }

    fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Local {
    /// Opens these replicas and starts them; what comes of their commands goes to their mailboxes.
    ///
    /// # Errors
    ///
    /// That of the first directory that cannot be opened. Then none has started.
    pub fn start<D>(
        replicas: Vec<(D, NodeOptions, Arc<Mailbox>)>,
    ) -> Result<Local, (ReplicaId, NodeError)>
    where
        D: Disk + Clone + Send + Sync + 'static,
        D::Lock: Send,
    {
        let (mut seats, mut standings, mut inboxes) = (BTreeMap::new(), BTreeMap::new(), vec![]);
        for (disk, options, mailbox) in replicas {
            let id = options.replica.id;
            let (node, _) = Node::open(disk, options).map_err(|error| (id, error))?;
            let (seat, inbox) = mpsc::channel();
            let standing = Arc::new(Mutex::new(Standing::default()));
            seats.insert(id, seat);
            standings.insert(id, standing.clone());
            inboxes.push((id, node, inbox, mailbox, standing));
        }
        let mut threads = Vec::new();
        for (id, node, inbox, mailbox, standing) in inboxes {
            let hands = Hands::new(id, seats.clone());
            let thread = Thread { node, inbox, hands, mailbox, standing };
            threads.push(thread::spawn(move || thread.run()));
        }
        Ok(Local { seats, standings, threads })
    }

    /// One of them.
    pub fn replica(&self, id: ReplicaId) -> Option<LocalReplica> {
        let (seat, standing) = (self.seats.get(&id)?.clone(), self.standings.get(&id)?.clone());
        Some(LocalReplica { seat, standing })
    }

    /// A way to cut them off from each other.
    pub fn faults(&self) -> Faults {
        Faults { seats: self.seats.clone() }
    }

    /// Stops one of them, as if its process had ended in good order; the others go on.
    pub fn stop(&self, id: ReplicaId) {
        if let Some(seat) = self.seats.get(&id) {
            let _ = seat.send(Letter::Stop);
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for seat in self.seats.values() {
            let _ = seat.send(Letter::Stop);
        }
        for thread in self.threads.drain(..) {
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The thread that owns a replica.
struct Thread<D: Disk> {
    node: Node<D>,
    inbox: Receiver<Letter>,
    hands: Hands,
    mailbox: Arc<Mailbox>,
    standing: Arc<Mutex<Standing>>,
}

/// What a replica reaches.
struct Hands {
    id: ReplicaId,
    seats: BTreeMap<ReplicaId, Sender<Letter>>,
    outcomes: Vec<(u64, Outcome)>,
    jobs: Vec<JoinHandle<()>>,
    cut: bool,
}

impl Hands {
    fn new(id: ReplicaId, seats: BTreeMap<ReplicaId, Sender<Letter>>) -> Hands {
        Hands { id, seats, outcomes: Vec::new(), jobs: Vec::new(), cut: false }
    }
}

impl<D> Surface<D> for Hands
where
    D: Disk + Send + 'static,
{
    fn send(&mut self, to: ReplicaId, post: Post) {
        if self.cut {
            return;
        }
        if let Some(seat) = self.seats.get(&to) {
            let _ = seat.send(Letter::Event(Event::Post(post)));
        }
    }

    fn outcome(&mut self, number: u64, outcome: Outcome) {
        self.outcomes.push((number, outcome));
    }

    fn snapshot(&mut self, work: SnapshotWork<D>) {
        let Some(own) = self.seats.get(&self.id).cloned() else { return };
        self.jobs.retain(|job| !job.is_finished());
        self.jobs.push(thread::spawn(move || {
            let _ = own.send(Letter::Event(Event::Taken(work.write())));
        }));
    }
}

impl<D> Thread<D>
where
    D: Disk + Clone + Send + Sync + 'static,
{
    fn run(mut self) {
        let served = self.serve();
        for job in self.hands.jobs.drain(..) {
            let _ = job.join();
        }
        let why = served.map_or_else(|error| error.to_string(), |()| "asked to".into());
        let stopped = Standing { stopped: Some(why), ..Standing::default() };
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    fn serve(&mut self) -> Result<(), NodeError> {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let now = Instant::now();
            if now >= next_tick {
                let late = (now - next_tick).as_micros() / TICK.as_micros();
                let ticks = TICKS_MAX.min(u32::try_from(late).unwrap_or(TICKS_MAX) + 1);
                (0..ticks).try_for_each(|_| self.node.handle(Event::Tick))?;
                next_tick = now + TICK;
            }
            let mut letter = match self.inbox.recv_timeout(next_tick - now.min(next_tick)) {
                Ok(letter) => Some(letter),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut handled = 0;
            while let Some(one) = letter.take() {
                match one {
                    Letter::Event(Event::Post(_)) if self.hands.cut => {}
                    Letter::Event(event) => self.node.handle(event)?,
                    Letter::Cut(cut) => self.hands.cut = cut,
                    Letter::Stop => return Ok(()),
                }
                handled += 1;
                if handled < BATCH_MAX {
                    letter = self.inbox.try_recv().ok();
                }
            }
            self.node.work(&mut self.hands)?;
            self.tell();
        }
    }

    /// Says what came of commands, and what it is if that has changed.
    fn tell(&mut self) {
        self.mailbox.leave(&mut self.hands.outcomes);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if *standing != *self.node.standing() {
            standing.clone_from(self.node.standing());
        }
    }
}
