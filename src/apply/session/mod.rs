//! Sessions: a command takes effect exactly once, however often it is proposed.
//!
//! A proposal can come to an unknown end: placed, and the leader lost track of it. Proposing it
//! again may do it twice. With a session it may not: the [`Sessions`] machine around the user's own
//! keeps which requests of which session are finished, and their results, *in the state*. So they
//! are replicated, executed in the same order everywhere, and part of every snapshot
//! ([`Sessions::pairs`]); the replica knows nothing of them.
//!
//! Each request has a key of its own in the footprint, read and written. So two copies of a request
//! are in order with each other, and a request is never blind: nothing overrides it, and it is
//! executed before its client is answered. Requests of one session that do not interfere otherwise
//! run in any order, unless the client asks for [`Order::Kept`]. Then none has an effect before all
//! earlier ones had theirs: one that was lost and is proposed again stands behind those that were
//! proposed meanwhile, and they are answered [`Outcome::Ahead`] (`Sessions.tla`,
//! `broken/SessionOvertaken`).
//!
//! A session has an *opening*: how many sweeps there were before it. Its requests name it, so that
//! a late copy of the command that once opened a session, placed when that one has expired, opens
//! nothing in which a late copy of a request could take effect again
//! (`Sessions.tla`, `broken/ReopenedSession`). No opening is given twice: a session is used when it
//! is opened, so it ends at a later sweep than that.
//!
//! Nothing here looks at a clock. Results are dropped when the client says that it has them, and
//! sessions when a [`Request::Sweep`] finds that nobody has used them since so many sweeps. Whoever
//! drives the cluster proposes a sweep every so many commands.

mod client;
mod request;

pub use client::{Client, Fate, Next, next_without_session};
pub use request::{Order, Outcome, RESERVED, Request};

use super::code::{Malformed, Reader, Writer};
use super::{Digest, Machine};
use crate::base::{Lsn, TailBitmap, mutant};
use bytes::Bytes;
use std::collections::BTreeMap;

/// How far a request may be above the first one whose result the client may not have: so much a
/// session keeps at most. A client has to acknowledge before it goes further.
pub const KEPT_MAX: u64 = 1 << 12;

/// A machine in which requests of sessions take effect once.
#[derive(Clone, Debug, Default)]
pub struct Sessions<M> {
    inner: M,
    /// How many sweeps there were.
    sweeps: u64,
    sessions: BTreeMap<u64, Session>,
}

/// What is kept of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    /// The number of sweeps when it was opened.
    opening: u64,
    /// The requests that took effect. Positions are request numbers here.
    finished: TailBitmap,
    /// The client has the results of all requests below. Only [`Request::Have`] raises it, which is
    /// in order with every request; so what is too far above it is the same everywhere.
    below: u64,
    /// The first request whose turn has not come, of those whose order is kept. Only they and
    /// [`Request::Have`] raise it, which are all in order with each other.
    turn: u64,
    /// The results that the client may not have.
    results: BTreeMap<u64, Bytes>,
    /// The number of sweeps when it was last used.
    used: u64,
}

impl<M: Machine> Machine for Sessions<M> {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        match Request::decode(body) {
            Err(Malformed) => Outcome::Malformed.encode(),
            Ok(Request::Plain(body)) => self.inner.apply(&body),
            Ok(Request::Open { session }) => self.open(session).encode(),
            Ok(Request::Do { session, opening, request, body, order }) => {
                self.request((session, opening), request, order, &body).encode()
            }
            Ok(Request::Have { session, opening, below }) => {
                self.forget((session, opening), below).encode()
            }
            Ok(Request::Sweep { idle }) => {
                self.sweep(idle);
                Outcome::Done(Bytes::new()).encode()
            }
        }
    }

    fn read(&self, body: &Bytes) -> Bytes {
        match Request::decode(body) {
            Ok(Request::Plain(body)) => self.inner.read(&body),
            _ => Outcome::Malformed.encode(),
        }
    }

    fn digest(&self) -> u64 {
        let digest = Digest::new().word(self.inner.digest());
        self.pairs().fold(digest, |digest, (key, value)| digest.bytes(&key).bytes(&value)).value()
    }
}

impl<M> Sessions<M> {
    /// No sessions around `inner`.
    pub fn new(inner: M) -> Sessions<M> {
        Sessions { inner, sweeps: 0, sessions: BTreeMap::new() }
    }

    /// The user's machine.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What a snapshot has to hold besides the user's own pairs, in order of key: the number of
    /// sweeps under the empty key, and each session under its number.
    pub fn pairs(&self) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
        let sweeps = (Bytes::new(), Bytes::copy_from_slice(&self.sweeps.to_be_bytes()));
        let session = |(id, session): (&u64, &Session)| {
            (Bytes::copy_from_slice(&id.to_be_bytes()), session.encode())
        };
        let most = mutant!(SessionsNotInSnapshot, usize::MAX, 0);
        [sweeps].into_iter().chain(self.sessions.iter().take(most).map(session))
    }

    /// The machine whose [`pairs`](Self::pairs) these are.
    ///
    /// # Errors
    /// A key or value that `pairs` does not give: the snapshot is damaged or of something else.
    pub fn from_pairs(
        inner: M,
        pairs: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Sessions<M>, Malformed> {
        let mut machine = Sessions::new(inner);
        for (key, value) in pairs {
            if key.is_empty() {
                machine.sweeps = u64::from_be_bytes((*value).try_into().map_err(|_| Malformed)?);
            } else {
                let id = u64::from_be_bytes((*key).try_into().map_err(|_| Malformed)?);
                machine.sessions.insert(id, Session::decode(&value)?);
            }
        }
        Ok(machine)
    }

    /// Opening again is harmless: the first may have had an unknown end. Gives the opening.
    fn open(&mut self, session: u64) -> Outcome {
        let sweeps = self.sweeps;
        let new = || Session { opening: sweeps, ..Session::default() };
        let session = self.sessions.entry(session).or_insert_with(new);
        session.used = sweeps;
        Outcome::Done(Bytes::copy_from_slice(&session.opening.to_be_bytes()))
    }

    /// The client has the results of all requests below.
    fn forget(&mut self, session: (u64, u64), below: u64) -> Outcome {
        let Some(session) = used(&mut self.sessions, session, self.sweeps) else {
            return Outcome::Expired;
        };
        session.below = session.below.max(below.min(Lsn::MAX.0));
        session.turn = session.turn.max(session.below);
        session.results = session.results.split_off(&session.below);
        session.finished.insert_below(Lsn(session.below));
        Outcome::Done(Bytes::new())
    }

    fn sweep(&mut self, idle: u64) {
        self.sweeps += 1;
        let sweeps = self.sweeps;
        self.sessions.retain(|_, session| session.used.saturating_add(idle) >= sweeps);
    }
}

impl<M: Machine> Sessions<M> {
    fn request(
        &mut self,
        session: (u64, u64),
        request: u64,
        order: Order,
        body: &Bytes,
    ) -> Outcome {
        let Some(session) = used(&mut self.sessions, session, self.sweeps) else {
            return Outcome::Expired;
        };
        let number = Lsn(request);
        if session.finished.contains(number) {
            return match session.results.get(&request) {
                Some(result) => Outcome::Done(result.clone()),
                None => Outcome::Forgotten,
            };
        }
        let kept = order == Order::Kept;
        if request >= session.below + KEPT_MAX || kept && request > session.turn {
            return Outcome::Ahead;
        }
        if kept {
            session.turn = request + 1;
        }
        let result = self.inner.apply(body);
        mutant!(SessionForgets, session.finished.insert(number), false);
        session.results.insert(request, result.clone());
        Outcome::Done(result)
    }
}

/// The session of this number and opening, used now.
fn used(
    sessions: &mut BTreeMap<u64, Session>,
    (session, opening): (u64, u64),
    sweeps: u64,
) -> Option<&mut Session> {
    let session = sessions.get_mut(&session).filter(|session| session.opening == opening)?;
    session.used = sweeps;
    Some(session)
}

impl Session {
    fn encode(&self) -> Bytes {
        let tail: Vec<u64> = self.finished.tail().iter().map(|lsn| lsn.0).collect();
        let results: Vec<(&u64, &Bytes)> = self.results.iter().collect();
        let writer = Writer::default().word(self.opening).word(self.used);
        let writer = writer.word(self.below).word(self.turn).word(self.finished.offset().0);
        let writer = writer.list(&tail, |writer, number| writer.word(*number));
        let writer =
            writer.list(&results, |writer, (number, result)| writer.word(**number).bytes(result));
        writer.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Session, Malformed> {
        let mut reader = Reader(bytes);
        let (opening, used, below) = (reader.word()?, reader.word()?, reader.word()?);
        let end = position(below)?.0 + KEPT_MAX;
        let number = |number: u64| if number <= end { Ok(Lsn(number)) } else { Err(Malformed) };
        let turn = number(reader.word()?)?.0;
        let mut finished = TailBitmap::below(number(reader.word()?)?);
        for member in reader.list(Reader::word)? {
            finished.insert(number(member)?);
        }
        let result =
            |reader: &mut Reader| Ok((reader.word()?, Bytes::copy_from_slice(reader.bytes()?)));
        let results = reader.list(result)?.into_iter().collect();
        reader.end()?;
        Ok(Session { opening, finished, below, turn, results, used })
    }
}

/// A request number that a set can hold.
fn position(number: u64) -> Result<Lsn, Malformed> {
    if number <= Lsn::MAX.0 { Ok(Lsn(number)) } else { Err(Malformed) }
}
