//! What stands between processes of replicas: a relay for each pair and direction, which can hold
//! back what is said, say it late, or hang up.

use crate::base::ReplicaId;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What becomes of what is said over a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// It goes on.
    #[default]
    Well,
    /// It goes on so much later.
    Late(Duration),
    /// It waits, and goes on when the mood is better: the connection stays.
    Held,
    /// Connections end, and none comes about.
    Closed,
}

/// How often a relay looks whether something has changed.
const GLANCE: Duration = Duration::from_millis(5);

/// What is taken at once.
const CHUNK_BYTES: usize = 64 << 10;

/// One relay: from one replica to another.
#[derive(Debug)]
struct Relay {
    to: SocketAddr,
    mood: Mutex<Mood>,
    /// Rises when all connections are to end.
    hangs_up: AtomicU64,
    ends: AtomicBool,
}

impl Relay {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        if mood == Mood::Closed {
            self.hangs_up.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Relays between some replicas. Dropped, they end.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<(ReplicaId, ReplicaId), Arc<Relay>>);

impl Drop for Links {
    fn drop(&mut self) {
        self.0.values().for_each(|relay| relay.ends.store(true, Ordering::Release));
    }
}

impl Links {
    /// Adds a relay to this address; gives where it is reached.
    pub(super) fn add(
        &mut self,
        from: ReplicaId,
        towards: ReplicaId,
        to: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let relay = Arc::new(Relay {
            to,
            mood: Mutex::default(),
            hangs_up: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        });
        self.0.insert((from, towards), relay.clone());
        thread::spawn(move || accept(&listener, &relay));
        Ok(address)
    }

    /// What is said from whom to whom, as far as `between` holds, fares like this from now on.
    pub(super) fn set(&self, mood: Mood, between: impl Fn(ReplicaId, ReplicaId) -> bool) {
        let chosen = self.0.iter().filter(|((from, to), _)| between(*from, *to));
        chosen.for_each(|(_, relay)| relay.set(mood));
    }
}

fn accept(listener: &TcpListener, relay: &Arc<Relay>) {
    while !relay.ends.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((near, _)) if relay.mood() != Mood::Closed => {
                // Nobody there: whoever called sees the connection end.
                let _ = relay_between(near, relay);
            }
            Ok(_) => {}
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

fn relay_between(near: TcpStream, relay: &Arc<Relay>) -> io::Result<()> {
    let far = TcpStream::connect(relay.to)?;
    let ends = [(near.try_clone()?, far.try_clone()?), (far, near)];
    for (from, to) in ends {
        from.set_nonblocking(false)?;
        from.set_read_timeout(Some(GLANCE))?;
        to.set_nodelay(true)?;
        let relay = relay.clone();
        thread::spawn(move || {
            // However it went, it is over for both ends.
            let _ = pass_on(&from, &to, &relay);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, relay: &Relay) -> io::Result<()> {
    let began = relay.hangs_up.load(Ordering::Acquire);
    let goes_on =
        || relay.hangs_up.load(Ordering::Acquire) == began && !relay.ends.load(Ordering::Acquire);
    let mut buffer = vec![0; CHUNK_BYTES];
    while goes_on() {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        if let Mood::Late(late) = relay.mood() {
            thread::sleep(late);
        }
        while relay.mood() == Mood::Held && goes_on() {
            thread::sleep(GLANCE);
        }
        if goes_on() {
            to.write_all(&buffer[..count])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    /// Says back what it hears, line by line.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut &socket, &mut &socket));
            }
        });
        address
    }

    fn hear(socket: &TcpStream) -> io::Result<String> {
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).map(|_| line)
    }

    #[test]
    fn a_relay_passes_on_holds_back_and_hangs_up() {
        let mut links = Links::default();
        let (one, two) = (ReplicaId(1), ReplicaId(2));
        let address = links.add(one, two, echo()).expect("a relay");
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.write_all(b"a\n").expect("it is there");
        assert_eq!(hear(&socket).expect("a line"), "a\n");

        links.set(Mood::Held, |from, to| (from, to) == (one, two));
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        socket.write_all(b"b\n").expect("it is there");
        assert!(hear(&socket).is_err(), "it is held back");
        links.set(Mood::Well, |_, _| true);
        socket.set_read_timeout(None).expect("no timeout");
        assert_eq!(hear(&socket).expect("a line"), "b\n", "and not lost");

        links.set(Mood::Closed, |_, _| true);
        assert!(matches!(hear(&socket).as_deref(), Ok("") | Err(_)), "it hangs up");
        links.set(Mood::Late(Duration::from_millis(1)), |_, _| true);
        let mut again = TcpStream::connect(address).expect("it listens");
        again.write_all(b"c\n").expect("it is there");
        assert_eq!(hear(&again).expect("a line"), "c\n");
    }
}
