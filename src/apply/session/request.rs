//! Bodies and results of a machine with sessions, and the footprints they need.

use super::super::code::{Malformed, Reader, Writer};
use crate::base::{Command, Footprint, Key, KeyRange, KeySet, Lsn};
use bytes::Bytes;

/// What every key of a session begins with. The user's own keys must not.
pub const RESERVED: &[u8] = b"\0traft session\0";

/// The first key that is none of a session's.
const AFTER: &[u8] = b"\0traft session\x01";

/// Whether requests of one session are executed in the order in which the client numbered them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In any order, unless they interfere: independent ones run at the same time.
    #[default]
    Free,
    /// After every earlier one of this session, by their numbers. Pipelined, each waits for the one
    /// before; one that overtakes, because an earlier one was lost, has no effect and is proposed
    /// again ([`Outcome::Ahead`]). All requests of the session are of this kind then.
    Kept,
}

/// A command for a machine with sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command without a session: done as often as it is proposed.
    Plain(Bytes),
    /// Opens a session under a number that nobody else uses: draw 64 random bits. Its result is the
    /// session's *opening*, which [`opening`](Outcome::opening) takes from it.
    Open {
        /// The number.
        session: u64,
    },
    /// Does something once.
    Do {
        /// Whose request.
        session: u64,
        /// Of which opening of that session: another one is not meant, however it came about.
        opening: u64,
        /// Which: the first is 0, then 1 and so on. Not above [`Lsn::MAX`].
        request: u64,
        /// For the user's machine.
        body: Bytes,
        /// How it stands to others of the session.
        order: Order,
    },
    /// The client has the results of all its requests below this one and repeats none of them.
    Have {
        /// Whose.
        session: u64,
        /// As in [`Do`](Self::Do).
        opening: u64,
        /// The first one whose result it may not have.
        below: u64,
    },
    /// Ends the sessions that were not used since so many sweeps.
    Sweep {
        /// How many.
        idle: u64,
    },
}

impl Request {
    /// The command to propose. `footprint` is that of the body for the user's machine, and makes no
    /// difference for the others.
    pub fn command(&self, footprint: Footprint) -> Command {
        let footprint = match self {
            Request::Plain(_) => footprint,
            Request::Do { session, request, order, .. } => {
                let own = key(*session, Some(*request));
                // Whoever keeps the order writes what all of its kind write.
                let kept = (*order == Order::Kept).then(|| key(*session, None));
                with(footprint, KeySet::from_parts([own].into_iter().chain(kept), []))
            }
            // The whole session: nothing of it runs at the same time.
            Request::Open { session } | Request::Have { session, .. } => {
                Footprint::update(KeySet::from_parts([], [whole(*session)]))
            }
            Request::Sweep { .. } => {
                let all = KeyRange::new(RESERVED, AFTER);
                Footprint::update(KeySet::from_parts([], [all]))
            }
        };
        Command { footprint, body: self.encode() }
    }

    fn encode(&self) -> Bytes {
        let writer = Writer::default();
        let writer = match self {
            Request::Plain(body) => writer.byte(0).raw(body),
            Request::Open { session } => writer.byte(1).word(*session),
            Request::Do { session, opening, request, body, order } => {
                let kind = if *order == Order::Kept { 3 } else { 2 };
                writer.byte(kind).word(*session).word(*opening).word(*request).raw(body)
            }
            Request::Have { session, opening, below } => {
                writer.byte(4).word(*session).word(*opening).word(*below)
            }
            Request::Sweep { idle } => writer.byte(5).word(*idle),
        };
        writer.0.into()
    }

    /// The request with this body.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(body: &Bytes) -> Result<Request, Malformed> {
        let mut reader = Reader(body);
        let request = match reader.byte()? {
            0 => return Ok(Request::Plain(body.slice(1..))),
            1 => Request::Open { session: reader.word()? },
            kind @ (2 | 3) => {
                let (session, opening) = (reader.word()?, reader.word()?);
                let request = reader.word()?;
                if request > Lsn::MAX.0 {
                    return Err(Malformed);
                }
                let order = if kind == 3 { Order::Kept } else { Order::Free };
                let body = body.slice(1 + 3 * size_of::<u64>()..);
                return Ok(Request::Do { session, opening, request, body, order });
            }
            4 => {
                let (session, opening) = (reader.word()?, reader.word()?);
                Request::Have { session, opening, below: reader.word()? }
            }
            5 => Request::Sweep { idle: reader.word()? },
            _ => return Err(Malformed),
        };
        reader.end()?;
        Ok(request)
    }
}

/// The key of a request, or of the order of a session.
fn key(session: u64, request: Option<u64>) -> Key {
    let mut key = RESERVED.to_vec();
    key.extend(session.to_be_bytes());
    key.extend(request.into_iter().flat_map(u64::to_be_bytes));
    key.into()
}

/// Every key of a session.
fn whole(session: u64) -> KeyRange {
    let next = session.checked_add(1).map(|next| key(next, None));
    KeyRange { start: key(session, None), end: Some(next.unwrap_or(Key::from_static(AFTER))) }
}

/// Reads and writes these keys, too.
fn with(footprint: Footprint, keys: KeySet) -> Footprint {
    let join = |set: &KeySet| {
        let points = set.points().iter().chain(keys.points()).cloned();
        KeySet::from_parts(points, set.ranges().iter().cloned())
    };
    Footprint { reads: join(&footprint.reads), writes: join(&footprint.writes) }
}

/// What came of a request of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect, now or when it came for the first time; this was the result.
    Done(Bytes),
    /// It took effect, and its client has said that it has the result.
    Forgotten,
    /// The session is not open: it was never opened, or has expired, and perhaps somebody has
    /// opened it anew. This copy had no effect; an earlier one may have had, before the session
    /// expired.
    Expired,
    /// It had no effect: it is too far above what the client has acknowledged, or an earlier one
    /// goes before it and has not come. Acknowledge, and propose it again.
    Ahead,
    /// The body is no request.
    Malformed,
}

impl Outcome {
    /// The opening of a session, which is what became of a [`Request::Open`].
    pub fn opening(&self) -> Option<u64> {
        let Outcome::Done(result) = self else { return None };
        Some(u64::from_be_bytes(result[..].try_into().ok()?))
    }

    pub(super) fn encode(&self) -> Bytes {
        let writer = Writer::default();
        let writer = match self {
            Outcome::Done(result) => writer.byte(0).raw(result),
            Outcome::Forgotten => writer.byte(1),
            Outcome::Expired => writer.byte(2),
            Outcome::Malformed => writer.byte(3),
            Outcome::Ahead => writer.byte(4),
        };
        writer.0.into()
    }

    /// The outcome that these bytes stand for.
    ///
    /// # Errors
    /// They stand for none.
    pub fn decode(result: &Bytes) -> Result<Outcome, Malformed> {
        match result.first() {
            Some(0) => Ok(Outcome::Done(result.slice(1..))),
            Some(1) => Ok(Outcome::Forgotten),
            Some(2) => Ok(Outcome::Expired),
            Some(3) => Ok(Outcome::Malformed),
            Some(4) => Ok(Outcome::Ahead),
            _ => Err(Malformed),
        }
    }
}
