//! Replicas in one process: a thread each, channels between them.

use super::engine::{Effect, Engine, Event, NodeError, Refusal};
use crate::base::{Command, ReplicaId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A tick.
const TICK: Duration = Duration::from_millis(1);

/// The most ticks that are made up for at once, and the most that a replica is told of together: a
/// thread that was held up has not waited in vain for anybody.
const TICKS_MAX: u32 = 8;

/// The most that is handled before it is carried out.
const BATCH_MAX: usize = 16_384;

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What came of it.
    Answer {
        /// To what.
        number: u64,
        /// What came of it; nothing of what returns nothing.
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
    /// A replica has stopped.
    Stopped {
        /// Which.
        id: ReplicaId,
        /// Why.
        error: NodeError,
    },
}

enum Letter<E: Engine> {
    Event(Event<E::Message, E::Done>),
    /// From now on nobody hears it and it hears nobody, or no longer so.
    Cut(bool),
    Status(Sender<E::Status>),
    Stop,
}

/// A cluster in this process. Messages go through channels, which lose nothing and keep their
/// order; a replica that is slow finds them all when it is back.
///
/// Dropped, it stops all threads and waits for them.
pub struct Local<E: Engine> {
    seats: BTreeMap<ReplicaId, Sender<Letter<E>>>,
    threads: Vec<JoinHandle<()>>,
    replies: Receiver<Reply>,
}

impl<E: Engine> Local<E> {
    /// Starts these replicas.
    pub fn start(engines: Vec<(ReplicaId, E)>) -> Local<E> {
        let (reply, replies) = mpsc::channel();
        let (mut seats, mut inboxes) = (BTreeMap::new(), Vec::new());
        for (id, engine) in engines {
            let (seat, inbox) = mpsc::channel();
            seats.insert(id, seat);
            inboxes.push((id, engine, inbox));
        }
        let mut threads = Vec::new();
        for (id, engine, inbox) in inboxes {
            let thread = Thread {
                id,
                engine,
                inbox,
                seats: seats.clone(),
                reply: reply.clone(),
                cut: false,
                jobs: Vec::new(),
            };
            threads.push(thread::spawn(move || thread.run()));
        }
        Local { seats, threads, replies }
    }

    fn letter(&self, to: ReplicaId, letter: Letter<E>) {
        // One that has stopped says so by itself.
        if let Some(seat) = self.seats.get(&to) {
            let _ = seat.send(letter);
        }
    }

    /// Hands a command to a replica; the reply comes from [`replies`](Self::replies).
    pub fn write(&self, to: ReplicaId, number: u64, command: Command) {
        self.letter(to, Letter::Event(Event::Write { number, command }));
    }

    /// Asks a replica to read.
    pub fn read(&self, to: ReplicaId, number: u64, command: Command) {
        self.letter(to, Letter::Event(Event::Read { number, command }));
    }

    /// Asks a replica to try to lead.
    pub fn campaign(&self, to: ReplicaId) {
        self.letter(to, Letter::Event(Event::Campaign));
    }

    /// Cuts a replica off from the others, or joins it to them again.
    pub fn cut(&self, id: ReplicaId, cut: bool) {
        self.letter(id, Letter::Cut(cut));
    }

    /// What clients hear, in the order in which it was said.
    pub fn replies(&self) -> &Receiver<Reply> {
        &self.replies
    }

    /// What each replica is; those that have stopped are left out.
    pub fn status(&self) -> Vec<E::Status> {
        let ask = |seat: &Sender<Letter<E>>| {
            let (sender, receiver) = mpsc::channel();
            seat.send(Letter::Status(sender)).ok().map(|()| receiver)
        };
        let asked: Vec<_> = self.seats.values().filter_map(ask).collect();
        asked.into_iter().filter_map(|receiver| receiver.recv().ok()).collect()
    }
}

impl<E: Engine> Drop for Local<E> {
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
struct Thread<E: Engine> {
    id: ReplicaId,
    engine: E,
    inbox: Receiver<Letter<E>>,
    seats: BTreeMap<ReplicaId, Sender<Letter<E>>>,
    reply: Sender<Reply>,
    cut: bool,
    jobs: Vec<JoinHandle<()>>,
}

impl<E: Engine> Thread<E> {
    fn run(mut self) {
        let stopped = self.serve();
        for job in self.jobs.drain(..) {
            let _ = job.join();
        }
        if let Err(error) = stopped {
            let _ = self.reply.send(Reply::Stopped { id: self.id, error });
        }
    }

    fn serve(&mut self) -> Result<(), NodeError> {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let now = Instant::now();
            if now >= next_tick {
                let late = (now - next_tick).as_micros() / TICK.as_micros();
                let ticks = TICKS_MAX.min(u32::try_from(late).unwrap_or(TICKS_MAX) + 1);
                for _ in 0..ticks {
                    self.engine.handle(Event::Tick)?;
                }
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
                    Letter::Event(Event::Message(_)) if self.cut => {}
                    Letter::Event(event) => self.engine.handle(event)?,
                    Letter::Cut(cut) => self.cut = cut,
                    Letter::Status(to) => drop(to.send(self.engine.status())),
                    Letter::Stop => return Ok(()),
                }
                handled += 1;
                if handled < BATCH_MAX {
                    letter = self.inbox.try_recv().ok();
                }
            }
            self.work()?;
        }
    }

    fn work(&mut self) -> Result<(), NodeError> {
        let Thread { id, engine, seats, reply, cut, jobs, .. } = self;
        jobs.retain(|job| !job.is_finished());
        engine.work(&mut |effect| match effect {
            Effect::Send { to, message } if !*cut => {
                if let Some(seat) = seats.get(&to) {
                    let _ = seat.send(Letter::Event(Event::Message(message)));
                }
            }
            Effect::Send { .. } => {}
            Effect::Answer { number, result } => {
                let _ = reply.send(Reply::Answer { number, result });
            }
            Effect::Refused { number, why } => {
                let _ = reply.send(Reply::Refused { number, why });
            }
            Effect::Lost { number } => drop(reply.send(Reply::Lost { number })),
            Effect::Do(job) => {
                let Some(own) = seats.get(id).cloned() else { return };
                jobs.push(thread::spawn(move || {
                    let _ = own.send(Letter::Event(Event::Done(E::run(job))));
                }));
            }
        })
    }
}
