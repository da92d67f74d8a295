//! The thread that serves clients: sockets on one side, the replica on the other.

use super::connection::{Connection, Fate, What};
use super::desk::{Desk, Owner, Pending};
use super::figures::Board;
use super::keeper::Keeper;
use super::options::Options;
use super::replica::{Mailbox, Outcome, Reason, Replica};
use crate::resp::{Protocol, Value};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const LISTENER: Token = Token(0);
const BELL: Token = Token(1);
/// The first connection's.
const FIRST: usize = 2;

/// How much is read of a socket at once.
const READ_BYTES: usize = 64 << 10;

/// How often one connection is read before it is another one's turn.
const READS_MAX: usize = 16;

/// A client that does not take its replies is closed when so much waits for it.
const OUT_BYTES_MAX: usize = 64 << 20;

/// After this long what nobody took is tried again.
const RETRY: Duration = Duration::from_millis(3);

/// How long a server that ends waits for what is not answered.
const FAREWELL: Duration = Duration::from_secs(2);

/// A port that clients can connect to, with nobody behind it so far. What a replica answers goes
/// to its [`mailbox`](Self::mailbox).
#[derive(Debug)]
pub struct Door {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    waker: Arc<Waker>,
}

impl Door {
    /// Opens a port; port 0 stands for any that is free.
    ///
    /// # Errors
    ///
    /// What the system says: most often that the port is taken.
    pub fn open(address: SocketAddr) -> io::Result<Door> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), BELL)?);
        let bell = waker.clone();
        // A bell that cannot be rung leaves the letters until the next turn, a moment later.
        let mailbox = Arc::new(Mailbox::new(move || drop(bell.wake())));
        Ok(Door { poll, listener, address, mailbox, waker })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the replica leaves what came of commands.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        self.mailbox.clone()
    }
}

/// What clients have to say from now on (or nothing), if that has changed.
type NewPassword = Arc<Mutex<Option<Option<String>>>>;

/// A server on a thread of its own. Dropped, it takes no more commands, answers what it has for up
/// to two seconds, and ends.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    board: Board,
    stop: Arc<AtomicBool>,
    password: NewPassword,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the clients of a port with this replica.
    pub fn start(door: Door, replica: Box<dyn Replica>, options: Options) -> Server {
        let stop = Arc::new(AtomicBool::new(false));
        let password = NewPassword::default();
        let (address, waker) = (door.address, door.waker.clone());
        let mut hall = Hall {
            desk: Desk::new(replica, options),
            poll: door.poll,
            listener: door.listener,
            mailbox: door.mailbox,
            connections: Vec::new(),
            free: Vec::new(),
            born: 0,
            retries: VecDeque::new(),
            again: Vec::new(),
            keeper: Keeper::new(),
            stop: stop.clone(),
            password: password.clone(),
            buffer: vec![0; READ_BYTES],
            letters: Vec::new(),
            touched: Vec::new(),
        };
        let board = hall.desk.board();
        let thread = Some(thread::spawn(move || hall.run()));
        Server { address, board, stop, password, waker, thread }
    }

    /// Where it leaves its figures.
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on clients have to say this, or nothing. Whoever has been let in stays.
    pub fn set_password(&self, password: Option<String>) {
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = Some(password);
        let _ = self.waker.wake();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.waker.wake();
        // One that panicked has said so on standard error.
        self.thread.take().map(JoinHandle::join);
    }
}

/// A client with its socket.
struct Guest {
    socket: TcpStream,
    client: Connection,
    /// There may be something to read: not after a read that gave less than was asked for.
    readable: bool,
    /// The end may have come behind it: then one reads until there is nothing.
    ending: bool,
}

struct Hall {
    desk: Desk,
    poll: Poll,
    listener: TcpListener,
    mailbox: Arc<Mailbox>,
    connections: Vec<Option<Guest>>,
    free: Vec<usize>,
    born: u64,
    /// What nobody took, and when it is tried again.
    retries: VecDeque<(Instant, Pending)>,
    /// Connections that have more to read than one turn took.
    again: Vec<usize>,
    keeper: Keeper,
    stop: Arc<AtomicBool>,
    password: NewPassword,
    buffer: Vec<u8>,
    letters: Vec<(u64, Outcome)>,
    touched: Vec<usize>,
}

impl Hall {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut until = None;
        loop {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return eprintln!("traft: the server stops: {error}"),
                Ok(()) => {}
            }
            self.desk.standing = self.desk.replica.standing();
            let password = self.password.lock().unwrap_or_else(PoisonError::into_inner).take();
            password.into_iter().for_each(|password| self.desk.options.password = password);
            for event in &events {
                self.event(event);
            }
            for place in std::mem::take(&mut self.again) {
                self.read(place);
            }
            self.hear();
            self.bury();
            self.try_again();
            self.keeper.work(&mut self.desk, Instant::now());
            if self.stop.load(Ordering::Acquire) {
                let until = *until.get_or_insert_with(|| Instant::now() + FAREWELL);
                if self.is_done() || Instant::now() >= until {
                    return;
                }
            }
        }
    }

    fn timeout(&self) -> Duration {
        if !self.again.is_empty() {
            return Duration::ZERO;
        }
        let retry = self.retries.front().map(|(at, _)| *at);
        let next = retry.into_iter().chain([self.keeper.next()]).min();
        let left = next.map_or(RETRY, |at| at.saturating_duration_since(Instant::now()));
        // The system counts milliseconds: what is left of one would be waited for in a circle.
        left + Duration::from_micros(500)
    }

    fn is_done(&self) -> bool {
        self.connections.iter().flatten().all(|guest| guest.client.unanswered() == 0)
    }

    fn event(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.accept(),
            BELL => {}
            Token(token) => {
                let place = token - FIRST;
                if let Some(Some(guest)) = self.connections.get_mut(place) {
                    guest.ending |= event.is_read_closed();
                    guest.readable |= event.is_readable() || guest.ending;
                    self.read(place);
                }
            }
        }
    }

    fn accept(&mut self) {
        // Until there is nobody, or no room: the system tells of new ones once.
        while let Ok((socket, _)) = self.listener.accept() {
            self.desk.figures.accepted += 1;
            let ending = self.stop.load(Ordering::Acquire);
            if ending || self.desk.figures.connections >= self.desk.options.connections_max {
                self.turn_away(socket, ending);
                continue;
            }
            let _ = socket.set_nodelay(true);
            self.admit(socket);
        }
    }

    fn turn_away(&mut self, mut socket: TcpStream, ending: bool) {
        self.desk.figures.turned_away += 1;
        let mut out = Vec::new();
        let full = "ERR max number of clients reached";
        let why = if ending { "TRYAGAIN the replica is being shut down" } else { full };
        Value::error(why).encode(Protocol::Resp2, &mut out);
        // If it does not fit in an empty socket, the client learns it by the end.
        let _ = socket.write(&out);
    }

    fn admit(&mut self, mut socket: TcpStream) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut socket, Token(FIRST + place), interest).is_err() {
            self.free.push(place);
            return;
        }
        self.born += 1;
        let Desk { options, figures, .. } = &mut self.desk;
        let client = Connection::new(self.born, options.limits, options.password.is_none());
        figures.connections += 1;
        self.connections[place] = Some(Guest { socket, client, readable: true, ending: false });
        self.read(place);
    }

    fn close(&mut self, place: usize) {
        if let Some(mut guest) = self.connections.get_mut(place).and_then(Option::take) {
            let _ = self.poll.registry().deregister(&mut guest.socket);
            self.desk.figures.connections -= 1;
            self.free.push(place);
        }
    }

    /// Takes what the socket has and hands over what can go, then sends what there is to send.
    fn read(&mut self, place: usize) {
        let ending = self.stop.load(Ordering::Acquire);
        let Some(Some(guest)) = self.connections.get_mut(place) else { return };
        let mut turns = 0;
        let mut gone = false;
        loop {
            let id = guest.client.id;
            while let Some(task) = guest.client.next(&mut self.desk) {
                self.desk.submit(place, id, task);
            }
            if !guest.readable || ending || !guest.client.is_open() {
                break;
            }
            if turns == READS_MAX {
                self.again.push(place);
                break;
            }
            turns += 1;
            match guest.socket.read(&mut self.buffer) {
                // Whoever has said all it wants to say still hears its replies.
                Ok(0) => {
                    guest.client.end();
                    guest.readable = false;
                }
                Ok(count) => {
                    guest.client.feed(&self.buffer[..count]);
                    guest.readable = guest.ending || count == self.buffer.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => guest.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    gone = true;
                    break;
                }
            }
        }
        if gone || !self.flush(place) {
            self.close(place);
        }
    }

    /// Sends what the socket takes; says whether the connection goes on.
    fn flush(&mut self, place: usize) -> bool {
        let Some(Some(guest)) = self.connections.get_mut(place) else { return true };
        let mut sent = 0;
        let out = guest.client.out();
        let fine = loop {
            if sent == out.len() {
                break true;
            }
            match guest.socket.write(&out[sent..]) {
                Ok(0) => break false,
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        out.drain(..sent);
        fine && out.len() <= OUT_BYTES_MAX && !guest.client.is_over()
    }

    /// Takes what the replica has left.
    fn hear(&mut self) {
        let mut letters = std::mem::take(&mut self.letters);
        self.mailbox.take(&mut letters);
        for (number, outcome) in letters.drain(..) {
            if let Some(pending) = self.desk.pending.remove(&number) {
                self.outcome(pending, outcome);
            }
        }
        self.letters = letters;
        self.touch();
    }

    /// Goes on with the connections that were answered.
    fn touch(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched.drain(..).for_each(|place| self.read(place));
        self.touched = touched;
    }

    /// A replica that has stopped answers nobody. What it said before is heard by now: it says that
    /// it has stopped last.
    fn bury(&mut self) {
        if self.desk.standing.stopped.is_none() || self.desk.pending.is_empty() {
            return;
        }
        for (_, pending) in std::mem::take(&mut self.desk.pending) {
            let refused = Outcome::Refused(Reason::NotNow);
            let outcome = if pending.what.is_read() { refused } else { Outcome::Lost };
            self.outcome(pending, outcome);
        }
        self.touch();
    }

    fn outcome(&mut self, pending: Pending, outcome: Outcome) {
        let (place, id, slot) = match pending.owner {
            Owner::Client { place, id, slot } => (place, id, slot),
            Owner::Keeper(errand) => {
                let result = match &outcome {
                    Outcome::Answer(result) => Some(result),
                    _ => None,
                };
                return self.keeper.hear(&mut self.desk, errand, result);
            }
        };
        let Some(Some(guest)) = self.connections.get_mut(place) else { return };
        if guest.client.id != id {
            return;
        }
        if matches!(pending.what, What::Order(_) | What::Survey) {
            let fate = self.desk.told(&pending.what, outcome);
            guest.client.answer(slot, fate, &mut self.desk);
            return self.touched.push(place);
        }
        let Desk { figures, options, .. } = &mut self.desk;
        let fate = match outcome {
            Outcome::Answer(result) => {
                let times =
                    if pending.what.is_read() { &mut figures.reads } else { &mut figures.writes };
                times.add(pending.since.elapsed());
                Fate::Done(result)
            }
            Outcome::Refused(Reason::NotNow)
                if pending.since.elapsed() < options.patience && guest.client.is_last(slot) =>
            {
                figures.retried += 1;
                return self.retries.push_back((Instant::now() + RETRY, pending));
            }
            Outcome::Refused(why) => {
                figures.refused += 1;
                Fate::Refused(match why {
                    Reason::NotNow | Reason::Elsewhere(_) => {
                        "TRYAGAIN nobody leads, or too much waits".into()
                    }
                    Reason::DiskFull => "MISCONF the disk is full".into(),
                })
            }
            Outcome::Lost => {
                figures.unknown += 1;
                Fate::Unknown
            }
        };
        guest.client.answer(slot, fate, &mut self.desk);
        self.touched.push(place);
    }

    fn try_again(&mut self) {
        let now = Instant::now();
        while let Some((_, pending)) = self.retries.pop_front_if(|(at, _)| *at <= now) {
            self.desk.hand_over(pending);
        }
    }
}
