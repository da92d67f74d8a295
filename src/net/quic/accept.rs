//! Connections from outside, and what comes on them.

use super::config::{self, DISPLACED, RELOAD};
use crate::net::counts::add;
use crate::net::credentials::who;
use crate::net::crowd::{Gone, Seat};
use crate::net::ear::{Ear, LARGEST, Refused, Speaker, Who};
use crate::net::hub::Hub;
use bytes::Bytes;
use quinn::{Connection, Endpoint, Incoming, RecvStream};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// Lets in whoever comes, until the endpoint is closed.
pub(super) async fn accept(endpoint: Endpoint, hub: Arc<Hub>) {
    while let Some(incoming) = endpoint.accept().await {
        // Nothing is kept, and little is answered, before the sender has shown that it receives at
        // its address: so nobody is flooded through here, and nobody takes room in others' names.
        if !incoming.remote_address_validated() {
            match incoming.may_retry() {
                true => drop(incoming.retry()),
                false => incoming.refuse(),
            }
            continue;
        }
        let (seat, gone) = hub.greet(incoming.remote_address().ip());
        tokio::spawn(greet(incoming, seat, gone, hub.clone()));
    }
}

async fn greet(incoming: Incoming, seat: Seat<IpAddr>, gone: Gone, hub: Arc<Hub>) {
    let keys = hub.keys();
    let Ok(connecting) = incoming.accept() else { return add(&hub.counts.unknown, 1) };
    let shaken = tokio::select! {
        _ = gone => None,
        shaken = tokio::time::timeout(hub.options.guests.handshake, connecting) => {
            shaken.ok().and_then(Result::ok)
        }
    };
    let Some(connection) = shaken else { return add(&hub.counts.unknown, 1) };
    let who = who(config::certificate(&connection).as_ref());
    let (_place, gone) = hub.seat(who);
    drop(seat);
    // Whom the new credentials do not believe might have been let in by the old ones.
    if !hub.are_current(&keys) {
        return connection.close(RELOAD, b"the credentials have changed");
    }
    if let Who::Replica(id) = who {
        // It calls from the socket at which it listens.
        hub.newcomers.learn(&hub, id, &connection.remote_address().to_string());
    }
    let heard = tokio::select! {
        _ = gone => {
            let (code, why) = match hub.are_current(&keys) {
                true => (DISPLACED, &b"others need the room"[..]),
                false => (RELOAD, &b"the credentials have changed"[..]),
            };
            return connection.close(code, why);
        }
        heard = hear(&connection, hub.ear(), who, hub.options.guests.unfinished_bytes) => heard,
    };
    if let Err(why) = heard {
        add(&hub.counts.refused, 1);
        connection.close(config::code(&why), why.to_string().as_bytes());
    }
}

/// Hands in what comes until the other end goes, or says something that it may not.
async fn hear(
    connection: &Connection,
    ear: Ear,
    who: Who,
    unfinished_max: usize,
) -> Result<(), Refused> {
    let mut speaker = Speaker::new(who)?;
    let unfinished = Arc::new(Unfinished { bytes: AtomicUsize::new(0), max: unfinished_max });
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => drop(streams.spawn(read(stream, unfinished.clone()))),
                Err(_) => return Ok(()),
            },
            Some(Ok(frame)) = streams.join_next(), if !streams.is_empty() => {
                if let Some(frame) = frame? {
                    let kind = config::kind(frame.first().copied().unwrap_or_default())?;
                    ear.take(kind, frame.slice(1.min(frame.len())..), &mut speaker)?;
                }
            }
        }
    }
}

/// What has come of frames that have not come whole.
struct Unfinished {
    bytes: AtomicUsize,
    max: usize,
}

/// The share of one frame. Dropped, it is given back.
struct Share {
    of: Arc<Unfinished>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, more: usize) -> Result<(), Refused> {
        self.bytes += more;
        let all = self.of.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if all > self.of.max { Err(Refused::TooMuch(self.of.max)) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All that a stream says; none if it is taken back. The bytes are copied: what is received lies in
/// the buffer of a whole packet or more, which a record must not keep alive.
async fn read(
    mut stream: RecvStream,
    unfinished: Arc<Unfinished>,
) -> Result<Option<Bytes>, Refused> {
    let mut share = Share { of: unfinished, bytes: 0 };
    let mut frame = Vec::new();
    loop {
        match stream.read_chunk(LARGEST, true).await {
            Ok(Some(chunk)) => {
                share.grow(chunk.bytes.len())?;
                if frame.len() + chunk.bytes.len() > LARGEST + 1 {
                    return Err(Refused::TooMuch(LARGEST));
                }
                frame.extend_from_slice(&chunk.bytes);
            }
            Ok(None) => return Ok(Some(frame.into())),
            Err(_) => return Ok(None),
        }
    }
}
