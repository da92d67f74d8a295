//! The connections of a load.

use super::mix::{Kind, Requests};
use super::report::{Progress, Report, Times};
use super::{Arrivals, Plan};
use crate::resp::{Limits, Protocol, ProtocolError, Replies, Value};
use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Why a load does not begin, or ends early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no reply.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The server does not let it in.
    #[error("{0}")]
    Denied(String),
    /// Nobody could be reached when it began.
    #[error("no connection: {0}")]
    Nobody(io::Error),
    /// A key could not be written before it began.
    #[error("filling was answered with {0}")]
    Fill(String),
}

/// A connection that was lost is tried again after this long.
const AGAIN: Duration = Duration::from_millis(50);

/// In an open loop, the most that waits for a connection; what comes then is not sent.
const BEHIND_MAX: usize = 1 << 20;

/// The most that one connection has in flight in an open loop.
const DEPTH_MAX: usize = 64;

/// Connections that are filled have so much in flight.
const FILL_DEPTH: usize = 32;

const READ_BYTES: usize = 64 << 10;

/// A request that is not answered.
#[derive(Clone, Copy, Debug)]
enum Sent {
    /// To be let in; not counted.
    Hello,
    /// To have a key before it begins; not counted.
    Fill,
    Request {
        kind: Kind,
        key: u64,
        since: Instant,
    },
    /// The second half of a [`Kind::ReadModifyWrite`].
    Second {
        since: Instant,
    },
}

struct Line {
    socket: Option<TcpStream>,
    /// Which address is next.
    turn: usize,
    replies: Replies,
    out: Vec<u8>,
    sent: VecDeque<Sent>,
    again: Instant,
}

struct Engine<'a> {
    plan: &'a Plan,
    requests: Requests,
    poll: Poll,
    lines: Vec<Line>,
    began: Instant,
    /// In an open loop: requests that wait for a connection, by when they came.
    waiting: VecDeque<Instant>,
    arrived: u64,
    /// The next key to be written before it begins.
    fill: u64,
    filled: u64,
    reads: Times,
    writes: Times,
    modifies: Times,
    second: Times,
    errors: BTreeMap<String, u64>,
    lost: u64,
    buffer: Vec<u8>,
}

/// Puts the load on. Every second it is told how things are.
///
/// # Errors
///
/// [`LoadError`].
pub fn run(plan: &Plan, mut progress: impl FnMut(&Progress)) -> Result<Report, LoadError> {
    let mut engine = Engine::new(plan)?;
    engine.connect_all()?;
    if plan.fill {
        let end = Instant::now() + Duration::from_secs(600);
        while engine.filled < engine.requests.keys() && Instant::now() < end {
            engine.turn(true)?;
        }
    }
    engine.began = Instant::now();
    let (mut measured, mut shown) = (false, 1);
    while engine.began.elapsed() < plan.time {
        engine.turn(false)?;
        let elapsed = engine.began.elapsed();
        if !measured && elapsed >= plan.warm_up {
            measured = true;
            engine.reads.clear();
            engine.writes.clear();
            engine.modifies.clear();
            engine.errors.clear();
        }
        if elapsed >= Duration::from_secs(shown) {
            shown = elapsed.as_secs() + 1;
            let failed = engine.lost + engine.errors.values().sum::<u64>();
            progress(&Progress { elapsed, last: engine.second.summary(), failed });
            engine.second.clear();
        }
    }
    Ok(Report {
        time: plan.time.saturating_sub(plan.warm_up),
        reads: engine.reads.summary(),
        writes: engine.writes.summary(),
        modifies: engine.modifies.summary(),
        errors: engine.errors,
        lost: engine.lost,
        behind: engine.waiting.len() as u64,
    })
}

impl<'a> Engine<'a> {
    fn new(plan: &'a Plan) -> Result<Engine<'a>, LoadError> {
        let now = Instant::now();
        let line = |turn| Line {
            socket: None,
            turn,
            replies: Replies::new(Limits::default()),
            out: Vec::new(),
            sent: VecDeque::new(),
            again: now,
        };
        Ok(Engine {
            plan,
            requests: plan.requests.clone(),
            poll: Poll::new()?,
            lines: (0..plan.clients).map(line).collect(),
            began: now,
            waiting: VecDeque::new(),
            arrived: 0,
            fill: 0,
            filled: 0,
            reads: Times::new(),
            writes: Times::new(),
            modifies: Times::new(),
            second: Times::new(),
            errors: BTreeMap::new(),
            lost: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// The first connections wait: whoever cannot reach anybody is to know why.
    fn connect_all(&mut self) -> Result<(), LoadError> {
        for at in 0..self.lines.len() {
            let address = self.plan.addresses[at % self.plan.addresses.len()];
            let socket = std::net::TcpStream::connect(address).map_err(LoadError::Nobody)?;
            socket.set_nonblocking(true)?;
            self.join(at, TcpStream::from_std(socket))?;
        }
        Ok(())
    }

    fn join(&mut self, at: usize, mut socket: TcpStream) -> io::Result<()> {
        let _ = socket.set_nodelay(true);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(at), interest)?;
        let line = &mut self.lines[at];
        line.turn += 1;
        line.socket = Some(socket);
        line.replies = Replies::new(Limits::default());
        line.out.clear();
        if let Some(password) = &self.plan.password {
            let word = |word: &str| Value::Bulk(Bytes::copy_from_slice(word.as_bytes()));
            let auth = Value::Array(vec![word("AUTH"), word(password)]);
            auth.encode(Protocol::Resp2, &mut line.out);
            line.sent.push_back(Sent::Hello);
        }
        Ok(())
    }

    /// One turn: what has come, what is due, what can be sent.
    fn turn(&mut self, filling: bool) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(1_024);
        let due = self.arrive(filling);
        for at in 0..self.lines.len() {
            self.refill(at, filling);
            self.flush(at);
        }
        match self.poll.poll(&mut events, Some(due)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &events {
            self.read(event.token().0)?;
        }
        Ok(())
    }

    /// In an open loop: what has come by now. Gives how long nothing is to be done.
    fn arrive(&mut self, filling: bool) -> Duration {
        const IDLE: Duration = Duration::from_millis(20);
        let Arrivals::Open { rate } = self.plan.arrivals else { return IDLE };
        if filling {
            return IDLE;
        }
        loop {
            let next = self.began + Duration::from_secs_f64(self.arrived as f64 / rate);
            let left = next.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return left.min(IDLE);
            }
            self.arrived += 1;
            if self.waiting.len() < BEHIND_MAX {
                self.waiting.push_back(next);
            }
        }
    }

    /// Adds requests to what a connection has in flight.
    fn refill(&mut self, at: usize, filling: bool) {
        let now = Instant::now();
        if self.lines[at].socket.is_none() {
            if now >= self.lines[at].again {
                self.reconnect(at, now);
            }
            return;
        }
        let line = &mut self.lines[at];
        while filling && self.fill < self.requests.keys() && line.sent.len() < FILL_DEPTH {
            self.requests.set(self.fill, &mut line.out);
            line.sent.push_back(Sent::Fill);
            self.fill += 1;
        }
        if filling {
            return;
        }
        let depth = match self.plan.arrivals {
            Arrivals::Closed { depth } => depth,
            Arrivals::Open { .. } => DEPTH_MAX,
        };
        while line.sent.len() < depth {
            let since = match self.plan.arrivals {
                Arrivals::Closed { .. } => now,
                Arrivals::Open { .. } => match self.waiting.pop_front() {
                    Some(came) => came,
                    None => break,
                },
            };
            let (kind, key) = self.requests.another();
            match kind {
                Kind::Read | Kind::ReadModifyWrite => self.requests.get(key, &mut line.out),
                Kind::Update | Kind::Insert => self.requests.set(key, &mut line.out),
            }
            line.sent.push_back(Sent::Request { kind, key, since });
            // Requests of an open loop spread over the connections.
            if matches!(self.plan.arrivals, Arrivals::Open { .. }) {
                break;
            }
        }
    }

    fn reconnect(&mut self, at: usize, now: Instant) {
        let address = self.plan.addresses[self.lines[at].turn % self.plan.addresses.len()];
        self.lines[at].again = now + AGAIN;
        let joined = TcpStream::connect(address).and_then(|socket| self.join(at, socket));
        if joined.is_err() {
            self.lines[at].turn += 1;
        }
    }

    fn end(&mut self, at: usize) {
        let line = &mut self.lines[at];
        if let Some(mut socket) = line.socket.take() {
            let _ = self.poll.registry().deregister(&mut socket);
        }
        let asked = |sent: &&Sent| !matches!(sent, Sent::Hello | Sent::Fill);
        self.lost += line.sent.iter().filter(asked).count() as u64;
        line.sent.clear();
        line.again = Instant::now() + AGAIN;
    }

    fn flush(&mut self, at: usize) {
        let line = &mut self.lines[at];
        let Some(socket) = &mut line.socket else { return };
        let mut sent = 0;
        let fine = loop {
            if sent == line.out.len() {
                break true;
            }
            match socket.write(&line.out[sent..]) {
                Ok(0) => break false,
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Not connected so far, or full.
                Err(error) => {
                    let wait = [ErrorKind::WouldBlock, ErrorKind::NotConnected];
                    break wait.contains(&error.kind());
                }
            }
        };
        line.out.drain(..sent);
        if !fine {
            self.end(at);
        }
    }

    fn read(&mut self, at: usize) -> Result<(), LoadError> {
        loop {
            let Some(socket) = self.lines[at].socket.as_mut() else { return Ok(()) };
            match socket.read(&mut self.buffer) {
                Ok(0) => {
                    self.end(at);
                    return Ok(());
                }
                Ok(count) => {
                    self.lines[at].replies.feed(&self.buffer[..count]);
                    while let Some(value) = self.lines[at].replies.next()? {
                        self.answered(at, &value)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => {
                    self.end(at);
                    return Ok(());
                }
            }
        }
    }

    fn answered(&mut self, at: usize, value: &Value) -> Result<(), LoadError> {
        let Some(sent) = self.lines[at].sent.pop_front() else { return Ok(()) };
        let error = match value {
            Value::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let (kind, since) = match (sent, error) {
            (Sent::Hello, Some(why)) => return Err(LoadError::Denied(why)),
            (Sent::Fill, Some(why)) => return Err(LoadError::Fill(why)),
            (Sent::Hello, None) => return Ok(()),
            (Sent::Fill, None) => {
                self.filled += 1;
                return Ok(());
            }
            (_, Some(why)) => {
                let word = why.split(' ').next().unwrap_or_default().to_string();
                *self.errors.entry(word).or_default() += 1;
                return Ok(());
            }
            (Sent::Request { kind: Kind::ReadModifyWrite, key, since }, None) => {
                let line = &mut self.lines[at];
                self.requests.set(key, &mut line.out);
                line.sent.push_back(Sent::Second { since });
                return Ok(());
            }
            (Sent::Request { kind, since, .. }, None) => (kind, since),
            (Sent::Second { since }, None) => (Kind::ReadModifyWrite, since),
        };
        let time = since.elapsed();
        match kind {
            Kind::Read => self.reads.add(time),
            Kind::Update | Kind::Insert => self.writes.add(time),
            Kind::ReadModifyWrite => self.modifies.add(time),
        }
        self.second.add(time);
        Ok(())
    }
}
