//! The client's side: numbers its requests, and knows which may be proposed again.

use super::{KEPT_MAX, Order, Outcome, Request};
use crate::base::{Command, Footprint};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What the cluster said of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was executed, with this result.
    Applied(Bytes),
    /// It was not placed and never will be.
    Rejected,
    /// It may or may not take effect: an answer was lost, or a leader.
    Unknown,
}

/// What a client does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is over: this came of it.
    Finished(Outcome),
    /// Propose this again, at whatever replica.
    Again(Command),
    /// It is over, and nobody can say whether it took effect. Only without a session.
    InDoubt,
    /// No such request is open.
    Stray,
}

/// A session as its client sees it: [`open`](Self::open) it, then number requests.
#[derive(Clone, Debug)]
pub struct Client {
    session: u64,
    order: Order,
    /// What the opening was, once it is known.
    opening: Option<u64>,
    next: u64,
    /// What it has acknowledged.
    below: u64,
    open: BTreeMap<u64, Command>,
}

impl Client {
    /// For a session under this number, which nobody else uses: draw 64 random bits.
    pub fn new(session: u64, order: Order) -> Client {
        Client { session, order, opening: None, next: 0, below: 0, open: BTreeMap::new() }
    }

    /// The command that opens the session. It may be proposed again whatever came of it.
    pub fn open(&self) -> Command {
        Request::Open { session: self.session }.command(Footprint::default())
    }

    /// What to do after [`open`](Self::open) came to this end. Finished, the session is open.
    pub fn opened(&mut self, fate: Fate) -> Next {
        let Fate::Applied(result) = fate else { return Next::Again(self.open()) };
        let outcome = Outcome::decode(&result).unwrap_or(Outcome::Malformed);
        if self.opening.is_none() {
            self.opening = outcome.opening();
        }
        Next::Finished(outcome)
    }

    /// Whether requests can be numbered.
    pub fn is_open(&self) -> bool {
        self.opening.is_some()
    }

    /// Numbers a request: its number, and what to propose. `None` before the session is open, and
    /// while it is too far above what was acknowledged with [`have`](Self::have).
    pub fn request(&mut self, command: Command) -> Option<(u64, Command)> {
        if self.next >= self.below + KEPT_MAX {
            return None;
        }
        let opening = self.opening?;
        let (session, request, order) = (self.session, self.next, self.order);
        let Command { footprint, body } = command;
        let command = Request::Do { session, opening, request, body, order }.command(footprint);
        self.next += 1;
        self.open.insert(request, command.clone());
        Some((request, command))
    }

    /// What to do after the proposal of a request came to this end. Proposing it again is always
    /// safe, so an unknown end is one like a rejection. [`Outcome::Expired`] is the end of the
    /// session: nobody can say of a request that was repeated whether an earlier copy took effect.
    /// Go on with a new client.
    pub fn ended(&mut self, request: u64, fate: Fate) -> Next {
        let Some(command) = self.open.get(&request) else { return Next::Stray };
        let Fate::Applied(result) = fate else { return Next::Again(command.clone()) };
        match Outcome::decode(&result).unwrap_or(Outcome::Malformed) {
            // It had no effect, and will once what was acknowledged or goes before has arrived.
            Outcome::Ahead => Next::Again(command.clone()),
            outcome => {
                self.open.remove(&request);
                Next::Finished(outcome)
            }
        }
    }

    /// Says that the client has every result below the first request that is open. To be proposed
    /// now and then, or the session keeps everything. `None` before the session is open.
    pub fn have(&mut self) -> Option<Command> {
        let opening = self.opening?;
        let below = self.open.keys().next().copied().unwrap_or(self.next);
        self.below = below;
        let have = Request::Have { session: self.session, opening, below };
        Some(have.command(Footprint::default()))
    }
}

/// The same for a command without a session: what is unknown is never proposed again, since it may
/// be done already.
pub fn next_without_session(command: &Command, fate: Fate) -> Next {
    match fate {
        Fate::Applied(result) => Next::Finished(Outcome::Done(result)),
        Fate::Rejected => Next::Again(command.clone()),
        Fate::Unknown => Next::InDoubt,
    }
}
