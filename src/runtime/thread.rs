//! The thread that owns a replica, and how others reach it.

use super::engine::{Busy, Effect, Engine, Event, NodeError, Refusal};
use super::handle::{Debt, Failure};
use super::lanes::Lanes;
use super::order::Order;
use super::sync::{
    Arc, Bug, Gate, Instant, JoinHandle, Permit, Receiver, RecvTimeoutError, Sender, TrySendError,
    bounded, has, thread,
};
use super::transport::{Inbox, Transport};
use crate::base::{Command, ReplicaId};
use crate::replica::ReadLevel;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A tick.
const TICK: Duration = Duration::from_millis(1);

/// The most ticks that are made up for at once, and the most that a replica is told of together: a
/// thread that was held up has not waited in vain for anybody.
const TICKS_MAX: u32 = 8;

/// The most that is handled before it is carried out.
const BATCH_MAX: usize = 16_384;

/// Room in an inbox for what is not counted: what lanes and owners say.
const OTHERS: usize = 64;

/// How much a node takes at once. What is beyond is refused, or dropped, and costs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands and reads that are not answered yet. Beyond it [`Busy`]. Default 16,384.
    pub in_flight: usize,
    /// Messages of other replicas that are not handled yet. Beyond it they are dropped, as a
    /// network may, and sent again later. Default 4,096.
    pub messages: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { in_flight: 16_384, messages: 4_096 }
    }
}

/// Who wants something.
pub(super) struct Ask {
    /// The number that it has at this replica, used for nothing else.
    pub(super) number: u64,
    pub(super) what: What,
    pub(super) client: Client,
    pub(super) permit: Permit,
}

/// What somebody wants.
pub(super) enum What {
    Write(Command),
    Read(Command, ReadLevel),
    Order(Order),
}

/// Who waits.
pub(super) enum Client {
    /// Somebody who holds the other end.
    Debt(Debt),
    /// A channel that takes all replies.
    Channel(Sender<Reply>),
}

/// What a client of a [`Local`](super::Local) hears.
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

impl Client {
    fn hear(self, number: u64, outcome: Result<Bytes, Failure>) {
        match self {
            Client::Debt(debt) => debt.pay(outcome),
            Client::Channel(replies) => {
                let reply = match outcome {
                    Ok(result) => Reply::Answer { number, result },
                    Err(Failure::NotDone(why)) => Reply::Refused { number, why },
                    Err(Failure::Unknown) => Reply::Lost { number },
                };
                // It has room for as many as are in flight; whoever does not listen has gone.
                let _ = replies.try_send(reply);
            }
        }
    }
}

/// What comes to the thread.
pub(super) enum Letter<E: Engine> {
    Message(E::Message, Permit),
    Ask(Ask),
    Campaign,
    /// From now on nobody hears it and it hears nobody, or no longer so.
    Cut(bool),
    Status(Sender<E::Status>),
    /// Somebody wants to look at it, as it is now.
    Look(Box<dyn FnOnce(&E) + Send>),
    Done(E::Done),
    /// A lane has.
    Panicked,
    /// Answer what is in flight, for at most so long, and end.
    Close(Duration),
}

/// The way to a node's thread. Clones lead to the same one.
pub(super) struct Door<E: Engine> {
    letters: Sender<Letter<E>>,
    asks: Arc<Gate>,
    messages: Arc<Gate>,
}

impl<E: Engine> Clone for Door<E> {
    fn clone(&self) -> Door<E> {
        let Door { letters, asks, messages } = self;
        Door { letters: letters.clone(), asks: asks.clone(), messages: messages.clone() }
    }
}

impl<E: Engine> Door<E> {
    /// A door, and what is behind it.
    pub(super) fn new(limits: Limits) -> (Door<E>, Receiver<Letter<E>>) {
        let (letters, inbox) = bounded(limits.in_flight + limits.messages + OTHERS);
        let (asks, messages) = (Gate::new(limits.in_flight), Gate::new(limits.messages));
        (Door { letters, asks, messages }, inbox)
    }

    /// Hands something in. Whoever wants it is told what came of it, also if nobody is there.
    pub(super) fn ask(&self, number: u64, what: What, client: Client) -> Result<(), Busy> {
        let Some(permit) = self.asks.enter() else {
            if let Client::Debt(debt) = client {
                debt.pay(Err(Failure::NotDone(Refusal::Busy)));
            }
            return Err(Busy { limit: self.asks.limit() });
        };
        let letter = Letter::Ask(Ask { number, what, client, permit });
        let Err(error) = self.letters.try_send(letter) else { return Ok(()) };
        let (TrySendError::Full(letter) | TrySendError::Disconnected(letter)) = error;
        if let Letter::Ask(ask) = letter {
            ask.client.hear(number, Err(Failure::NotDone(Refusal::Closing)));
        }
        Ok(())
    }

    /// Whatever is not counted. Waits for room; whoever has stopped does not hear it.
    pub(super) fn say(&self, letter: Letter<E>) {
        let _ = self.letters.send(letter);
    }

    /// Where messages for it go.
    pub(super) fn inbox(&self) -> Inbox<E::Message> {
        let Door { letters, messages, .. } = self.clone();
        Inbox::new(move |message| {
            messages
                .enter()
                .is_some_and(|permit| letters.try_send(Letter::Message(message, permit)).is_ok())
        })
    }

    pub(super) fn lanes(&self, name: String) -> Lanes<E> {
        Lanes::new(name, self.letters.clone())
    }
}

/// What is told of a node's thread to whoever owns it.
pub(super) trait Watcher<E: Engine>: Send {
    /// Something may have changed.
    fn look(&mut self, engine: &E);

    /// It has ended.
    fn ended(&mut self, why: Result<(), NodeError>);
}

/// The thread that owns a replica.
pub(super) struct Thread<E: Engine> {
    pub(super) engine: E,
    pub(super) inbox: Receiver<Letter<E>>,
    pub(super) lanes: Lanes<E>,
    pub(super) transport: Box<dyn Transport<E::Message>>,
    pub(super) watcher: Box<dyn Watcher<E>>,
    pub(super) state: State<E>,
}

/// What it keeps in mind.
pub(super) struct State<E: Engine> {
    cut: bool,
    waiting: FxHashMap<u64, (Client, Permit)>,
    /// Who wants to know what it is.
    asked: Vec<Sender<E::Status>>,
    /// It ends when everything is answered, and then at the latest.
    closes: Option<Instant>,
}

impl<E: Engine> Default for State<E> {
    fn default() -> State<E> {
        State { cut: false, waiting: FxHashMap::default(), asked: Vec::new(), closes: None }
    }
}

impl<E: Engine> Thread<E> {
    /// Starts it under this name.
    pub(super) fn start(self, name: String) -> JoinHandle<()> {
        let started = thread::Builder::new().name(name).spawn(move || self.run());
        // A system that has no thread to give has none for anything.
        started.expect("the system gives a thread")
    }

    fn run(mut self) {
        // Whatever it left half done is dropped: those who wait and those who watch are told.
        let ended = match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Err(panic) if has(Bug::NobodyEnds) => resume_unwind(panic),
            ended => ended.unwrap_or(Err(NodeError::Panicked)),
        };
        let Thread { engine, inbox, lanes, transport, mut watcher, state } = self;
        // In this order: nobody can hand anything in, lanes end what they do, and then the
        // directory is free.
        drop(transport);
        for letter in inbox.try_iter() {
            if let Letter::Ask(ask) = letter {
                ask.client.hear(ask.number, Err(Failure::NotDone(Refusal::Closing)));
            }
        }
        drop(inbox);
        lanes.close();
        drop(engine);
        // Whoever waits is told that nobody knows.
        for (number, (client, _permit)) in state.waiting {
            client.hear(number, Err(Failure::Unknown));
        }
        watcher.ended(ended);
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
                self.letter(one)?;
                handled += 1;
                if handled < BATCH_MAX {
                    letter = self.inbox.try_recv().ok();
                }
            }
            // Before anything new is given out: now its state may be at rest.
            self.tell();
            self.work()?;
            let waits = !self.state.waiting.is_empty();
            if self.state.closes.is_some_and(|end| !waits || Instant::now() >= end) {
                return Ok(());
            }
        }
    }

    /// Says what it is to those who want to know, if it can.
    fn tell(&mut self) {
        while let Some(asker) = self.state.asked.pop() {
            match self.engine.status() {
                // Whoever does not listen any more has gone.
                Some(status) => drop(asker.try_send(status)),
                None => {
                    self.state.asked.push(asker);
                    return;
                }
            }
        }
    }

    fn letter(&mut self, letter: Letter<E>) -> Result<(), NodeError> {
        let Thread { engine, state, .. } = self;
        match letter {
            Letter::Message(..) if state.cut => Ok(()),
            Letter::Message(message, _permit) => engine.handle(Event::Message(message)),
            Letter::Ask(ask) if state.closes.is_some() => {
                ask.client.hear(ask.number, Err(Failure::NotDone(Refusal::Closing)));
                Ok(())
            }
            Letter::Ask(Ask { number, what, client, permit }) => {
                state.waiting.insert(number, (client, permit));
                engine.handle(match what {
                    What::Write(command) => Event::Write { number, command },
                    What::Read(command, level) => Event::Read { number, command, level },
                    What::Order(order) => Event::Order { number, order },
                })
            }
            Letter::Campaign => engine.handle(Event::Campaign),
            Letter::Cut(cut) => {
                state.cut = cut;
                Ok(())
            }
            Letter::Status(to) => {
                state.asked.push(to);
                Ok(())
            }
            Letter::Look(look) => {
                look(engine);
                Ok(())
            }
            Letter::Done(done) => engine.handle(Event::Done(done)),
            Letter::Panicked => Err(NodeError::Panicked),
            Letter::Close(patience) => {
                state.closes = Some(Instant::now() + patience);
                Ok(())
            }
        }
    }

    fn work(&mut self) -> Result<(), NodeError> {
        let Thread { engine, lanes, transport, watcher, state, .. } = self;
        let mut given = Ok(());
        engine.work(&mut |effect| {
            let (number, outcome) = match effect {
                Effect::Send { to, message } => {
                    if !state.cut {
                        transport.send(to, message);
                    }
                    return;
                }
                Effect::Do(job) => {
                    let result = lanes.give(job);
                    given = std::mem::replace(&mut given, Ok(())).and(result);
                    return;
                }
                Effect::Answer { number, result } => (number, Ok(result)),
                Effect::Refused { number, why } => (number, Err(Failure::NotDone(why))),
                Effect::Lost { number } => (number, Err(Failure::Unknown)),
            };
            if let Some((client, permit)) = state.waiting.remove(&number) {
                // First: whoever has been answered finds room for the next.
                let mut permit = Some(permit);
                let late = permit.take_if(|_| has(Bug::AnswersBeforeRoom));
                drop(permit);
                client.hear(number, outcome);
                drop(late);
            }
        })?;
        given?;
        transport.flush();
        watcher.look(engine);
        Ok(())
    }
}
