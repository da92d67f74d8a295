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

/// A session as its client sees it.
#[derive(Clone, Debug)]
pub struct Client {
    session: u64,
    order: Order,
    next: u64,
    /// What it has acknowledged.
    below: u64,
    open: BTreeMap<u64, Command>,
}

impl Client {
    /// For a session under this number, which its [`open`](Self::open) has opened.
    pub fn new(session: u64, order: Order) -> Client {
        Client { session, order, next: 0, below: 0, open: BTreeMap::new() }
    }

    /// The command that opens the session. It may be proposed again whatever came of it.
    pub fn open(&self) -> Command {
        Request::Open { session: self.session }.command(Footprint::default())
    }

    /// Numbers a request: its number, and what to propose. `None` while it is too far above what
    /// was acknowledged with [`have`](Self::have).
    pub fn request(&mut self, command: Command) -> Option<(u64, Command)> {
        if self.next >= self.below + KEPT_MAX {
            return None;
        }
        let (session, request, order) = (self.session, self.next, self.order);
        let Command { footprint, body } = command;
        let command = Request::Do { session, request, body, order }.command(footprint);
        self.next += 1;
        self.open.insert(request, command.clone());
        Some((request, command))
    }

    /// What to do after the proposal of a request came to this end. Proposing it again is always
    /// safe, so an unknown end is one like a rejection.
    pub fn ended(&mut self, request: u64, fate: Fate) -> Next {
        let Some(command) = self.open.get(&request) else { return Next::Stray };
        let Fate::Applied(result) = fate else { return Next::Again(command.clone()) };
        match Outcome::decode(&result).unwrap_or(Outcome::Malformed) {
            // It had no effect, and will once what was acknowledged has arrived.
            Outcome::Ahead => Next::Again(command.clone()),
            outcome => {
                self.open.remove(&request);
                Next::Finished(outcome)
            }
        }
    }

    /// Says that the client has every result below the first request that is open. To be proposed
    /// now and then, or the session keeps everything.
    pub fn have(&mut self) -> Command {
        let below = self.open.keys().next().copied().unwrap_or(self.next);
        self.below = below;
        Request::Have { session: self.session, below }.command(Footprint::default())
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
