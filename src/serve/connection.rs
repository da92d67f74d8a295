//! One client's connection, without its socket: bytes in, commands for the state out, replies in
//! order.

use super::command::{Asked, Kind, Known, Refused, Surroundings, known};
use super::operate::{self, Operation};
use super::own::{self, Server};
use super::parse::{parse, scan};
use super::shape::Shape;
use crate::apply::redis::{Answer, Op};
use crate::base::{Command, Footprint};
use crate::resp::{Limits, Protocol, ProtocolError, Requests, Value};
use crate::runtime::Order;
use bytes::Bytes;
use std::collections::VecDeque;

/// The most commands of a connection that are not answered: beyond it nothing more is read.
const UNANSWERED_MAX: usize = 1_024;

/// The most bytes that are kept for a client that does not read before nothing more is read of it.
const OUT_BYTES_MAX: usize = 1 << 20;

/// The most commands between `MULTI` and `EXEC`.
const QUEUED_MAX: usize = 65_536;

/// Something that the replica is asked for.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which reply it is: the connection is told with this number.
    pub slot: u64,
    /// What to do.
    pub what: What,
}

/// What a replica is asked for.
#[derive(Clone, Debug)]
pub enum What {
    /// A command that changes the state.
    Write(Command),
    /// One that only reads.
    Read(Command),
    /// An operator's order.
    Order(Order),
    /// What it knows of itself and of others.
    Survey,
}

impl What {
    /// Whether it has no effect, so that it may be asked again whatever came of it.
    pub fn is_read(&self) -> bool {
        matches!(self, What::Read(_) | What::Survey)
    }

    /// What it touches of the state.
    fn footprint(&self) -> Footprint {
        match self {
            What::Write(command) | What::Read(command) => command.footprint.clone(),
            What::Order(_) | What::Survey => Footprint::default(),
        }
    }
}

/// What came of a [`Task`].
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It was done.
    Done(Bytes),
    /// Something was said.
    Said(Value),
    /// It was not done and never will be, for this reason, which begins with a word in capitals.
    Refused(String),
    /// It may be done or not.
    Unknown,
}

/// A client.
///
/// *Order.* Replies come in the order of requests. Two commands of a connection that interfere take
/// effect in this order, too: either the replica leads and the first one writes, since a leader
/// places commands as they come and reads what was placed; or the second one waits until the first
/// is answered.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    /// What it calls itself.
    pub name: Bytes,
    /// Which version it speaks.
    pub protocol: Protocol,
    /// Whether it has said the password, or there is none.
    pub trusted: bool,
    requests: Requests,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    queue: Option<Queue>,
    /// One that waits for what it interferes with.
    held: Option<Task>,
    out: Vec<u8>,
    /// Nothing more is taken; what is left is sent, and then it ends.
    closing: bool,
}

/// What is to be answered.
#[derive(Debug)]
enum Slot {
    Ready(Value),
    Waiting { shape: Shape, footprint: Footprint, reads: bool },
}

/// Between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
struct Queue {
    bodies: Vec<(Bytes, Shape)>,
    bytes: usize,
    /// One of them was refused.
    spoiled: bool,
}

impl Connection {
    /// A client that has said nothing yet.
    pub fn new(id: u64, limits: Limits, trusted: bool) -> Connection {
        Connection {
            id,
            name: Bytes::new(),
            protocol: Protocol::default(),
            trusted,
            requests: Requests::new(limits),
            slots: VecDeque::new(),
            first: 0,
            queue: None,
            held: None,
            out: Vec::new(),
            closing: false,
        }
    }

    /// Takes what the socket gave.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.requests.feed(bytes);
    }

    /// The client says nothing more.
    pub fn end(&mut self) {
        self.closing = true;
    }

    /// Whether more is taken: if not, leave it in the socket.
    pub fn is_open(&self) -> bool {
        !self.closing
            && self.held.is_none()
            && self.slots.len() < UNANSWERED_MAX
            && self.out.len() < OUT_BYTES_MAX
    }

    /// Whether everything is said and it may end.
    pub fn is_over(&self) -> bool {
        self.closing && self.slots.is_empty() && self.out.is_empty()
    }

    /// What is to be sent. Whoever sends takes what was sent off the front.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// How many commands wait for their results.
    pub fn unanswered(&self) -> usize {
        self.slots.len()
    }

    /// Takes the next command for the state, if there is one that can go now. Answers everything
    /// before it that is not about the state.
    pub fn next(&mut self, server: &mut dyn Server) -> Option<Task> {
        if let Some(task) = self.held.take() {
            return self.release(task, server);
        }
        while self.is_open() {
            // The words lie in there, and what they lead to changes the rest.
            let mut requests =
                std::mem::replace(&mut self.requests, Requests::new(Limits::default()));
            let taken = match requests.next() {
                Ok(None) => {
                    self.requests = requests;
                    return None;
                }
                Ok(Some(words)) => self.take(&words, server),
                Err(error) => self.fail(error),
            };
            self.requests = requests;
            if let Some(task) = taken {
                return self.release(task, server);
            }
        }
        None
    }

    /// Gives a task out, or holds it back.
    fn release(&mut self, task: Task, server: &dyn Server) -> Option<Task> {
        // A leader places writes as they come, and a read there waits for the writes before it. But
        // what comes after a read is not kept from it.
        let ordered = server.keeps_order();
        let (own, own_reads) = (task.what.footprint(), task.what.is_read());
        let stops = |slot: &Slot| match slot {
            Slot::Waiting { footprint, reads, .. } => {
                !(ordered && (own_reads || !*reads)) && footprint.interferes(&own)
            }
            Slot::Ready(_) => false,
        };
        let before = (task.slot - self.first) as usize;
        if self.slots.iter().take(before).any(stops) {
            self.held = Some(task);
            return None;
        }
        Some(task)
    }

    /// Tells what came of the task with this slot; `None` if there is no such slot any more.
    pub fn answer(&mut self, slot: u64, fate: Fate, server: &mut dyn Server) {
        let Some(place) = slot.checked_sub(self.first) else { return };
        let Some(waiting) = self.slots.get_mut(place as usize) else { return };
        let Slot::Waiting { shape, .. } = waiting else { return };
        let value = match fate {
            Fate::Done(result) => match Answer::decode(&result) {
                Ok(answer) => shape.value(answer, &mut |key| server.keep_cursor(key)),
                Err(_) => Value::error("ERR the result is of another version"),
            },
            Fate::Said(value) => value,
            Fate::Refused(why) => Value::error(why),
            Fate::Unknown => {
                Value::error("UNKNOWN the command may have been done or not; read to find out")
            }
        };
        *waiting = Slot::Ready(value);
        self.settle();
    }

    /// Whether no later task of this connection was given out: only then may this one be tried
    /// again without changing their order.
    pub fn is_last(&self, slot: u64) -> bool {
        let later = slot.saturating_sub(self.first) as usize + 1;
        let held = self.held.as_ref().map(|task| task.slot);
        (self.first + later as u64..)
            .zip(self.slots.iter().skip(later))
            .all(|(at, slot)| matches!(slot, Slot::Ready(_)) || held == Some(at))
    }

    fn settle(&mut self) {
        while let Some(Slot::Ready(_)) = self.slots.front() {
            if let Some(Slot::Ready(value)) = self.slots.pop_front() {
                value.encode(self.protocol, &mut self.out);
            }
            self.first += 1;
        }
    }

    fn say(&mut self, value: Value) {
        self.slots.push_back(Slot::Ready(value));
        self.settle();
    }

    fn fail(&mut self, error: ProtocolError) -> Option<Task> {
        self.say(Value::error(format_args!("ERR {error}")));
        self.closing = true;
        None
    }

    /// One request.
    fn take(&mut self, words: &[&[u8]], server: &mut dyn Server) -> Option<Task> {
        let known = match known(words) {
            Ok(known) if self.trusted || own::is_for_strangers(known.name) => known,
            Ok(_) => {
                self.say(Value::error("NOAUTH Authentication required."));
                return None;
            }
            Err(refused) => return self.refuse(&refused),
        };
        if known.kind == Kind::Own {
            return self.own(known, words, server);
        }
        let mut after = Vec::new();
        let around: &dyn Surroundings = server.around();
        let asked = match known.name {
            "scan" => scan(words, around, &mut after).map(Some),
            name => parse(name, words, around),
        };
        match asked {
            Ok(Some(asked)) => self.ask(known, asked, server),
            Ok(None) => self.refuse(&Refused::Unknown(known.name.into())),
            Err(refused) => self.refuse(&refused),
        }
    }

    fn refuse(&mut self, refused: &Refused) -> Option<Task> {
        if let Some(queue) = &mut self.queue {
            queue.spoiled = true;
        }
        self.say(Value::error(refused));
        None
    }

    /// A command for the state: goes out, or into the queue.
    fn ask(&mut self, known: &Known, asked: Asked<'_>, server: &dyn Server) -> Option<Task> {
        if let Some(redirect) = server.redirect(known, &asked.op) {
            self.say(Value::error(redirect));
            return None;
        }
        let command = match asked.op.command() {
            Ok(command) if command.body.len() <= server.command_bytes_max() => command,
            Ok(_) => {
                self.spoil("ERR the command is longer than the store takes");
                return None;
            }
            Err(error) => {
                self.spoil(&format!("ERR {error}"));
                return None;
            }
        };
        if let Some(queue) = &mut self.queue {
            queue.bytes += command.body.len();
            if queue.bytes > server.command_bytes_max() || queue.bodies.len() >= QUEUED_MAX {
                self.spoil("ERR the transaction is longer than the store takes");
                return None;
            }
            queue.bodies.push((command.body, asked.shape));
            self.say(Value::Simple(Bytes::from_static(b"QUEUED")));
            return None;
        }
        let reads = asked.op.is_read();
        let what = if reads { What::Read(command) } else { What::Write(command) };
        Some(self.task(what, asked.shape))
    }

    fn spoil(&mut self, why: &str) {
        if let Some(queue) = &mut self.queue {
            queue.spoiled = true;
        }
        self.say(Value::error(why));
    }

    fn task(&mut self, what: What, shape: Shape) -> Task {
        let slot = self.first + self.slots.len() as u64;
        let (footprint, reads) = (what.footprint(), what.is_read());
        self.slots.push_back(Slot::Waiting { shape, footprint, reads });
        Task { slot, what }
    }

    /// Something for operators.
    fn operate(&mut self, words: &[&[u8]], server: &dyn Server) -> Option<Task> {
        let what = match operate::parse(words, server.around().now()) {
            Ok(Operation::Survey) => What::Survey,
            Ok(Operation::Order(order)) => What::Order(order),
            Ok(Operation::Help) => {
                self.say(Value::Array(
                    operate::HELP.iter().map(|line| Value::text(*line)).collect(),
                ));
                return None;
            }
            Err(why) => {
                self.say(Value::error(why));
                return None;
            }
        };
        Some(self.task(what, Shape::Plain))
    }

    /// A command about the connection or the server.
    fn own(&mut self, known: &Known, words: &[&[u8]], server: &mut dyn Server) -> Option<Task> {
        match known.name {
            "multi" if self.queue.is_some() => {
                self.say(Value::error("ERR MULTI calls can not be nested"));
            }
            "multi" => {
                self.queue = Some(Queue::default());
                self.say(Value::OK);
            }
            "exec" => return self.exec(server),
            "discard" => {
                let value = match self.queue.take() {
                    Some(_) => Value::OK,
                    None => Value::error("ERR DISCARD without MULTI"),
                };
                self.say(value);
            }
            "quit" => {
                self.say(Value::OK);
                self.closing = true;
            }
            "reset" => {
                (self.queue, self.protocol, self.name) = (None, Protocol::Resp2, Bytes::new());
                self.trusted = !server.has_password();
                self.say(Value::Simple(Bytes::from_static(b"RESET")));
            }
            name if self.queue.is_some() && name != "hello" => {
                self.spoil(&format!("ERR {name} is not taken between MULTI and EXEC"));
            }
            // What changes the version must not overtake replies in the old one.
            "hello" if !self.slots.is_empty() => {
                self.say(Value::error("ERR HELLO behind commands that are not answered yet"));
            }
            "traft" => return self.operate(&words[1..], server),
            name => {
                let value = own::answer(self, name, words, server);
                self.say(value);
            }
        }
        None
    }

    fn exec(&mut self, server: &dyn Server) -> Option<Task> {
        let Some(queue) = self.queue.take() else {
            self.say(Value::error("ERR EXEC without MULTI"));
            return None;
        };
        if queue.spoiled {
            let why = "EXECABORT Transaction discarded because of previous errors.";
            self.say(Value::error(why));
            return None;
        }
        if queue.bodies.is_empty() {
            self.say(Value::Array(Vec::new()));
            return None;
        }
        let (bodies, shapes): (Vec<Bytes>, Vec<Shape>) = queue.bodies.into_iter().unzip();
        // They were encoded here: each is one.
        let ops: Vec<Op<'_>> = bodies.iter().filter_map(|body| Op::decode(body).ok()).collect();
        let all = Op::All { ops };
        match all.command() {
            Ok(command) if command.body.len() <= server.command_bytes_max() => {
                let reads = all.is_read();
                let what = if reads { What::Read(command) } else { What::Write(command) };
                Some(self.task(what, Shape::All(shapes)))
            }
            Ok(_) => {
                self.say(Value::error("ERR the transaction is longer than the store takes"));
                None
            }
            Err(error) => {
                self.say(Value::error(format_args!("ERR {error}")));
                None
            }
        }
    }
}
