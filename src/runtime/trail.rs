//! Where a request goes, said to whoever listens with `tracing`.

use super::engine::{Effect, Event};
use super::parts::Post;
use crate::base::ReplicaId;
use crate::message::{Envelope, ForwardOutcome, Message, Ticket};
use std::fmt;
use tracing::{Level, debug, enabled};

/// Under this name it is said, at the level of `debug`.
const TARGET: &str = "traft::request";

/// What a request of a client is called by every replica that has to do with it. Nothing is sent
/// for it: a [`Ticket`] crosses the wire anyway, and says the same together with its sender. No
/// two requests of a cluster are called the same, whatever was restarted in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestId {
    /// Whom the client asked.
    at: ReplicaId,
    /// What that one calls it.
    ticket: Ticket,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.at, self.ticket.life, self.ticket.number)
    }
}

/// What a replica says of requests. If nobody listens, it costs a look at a flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trail {
    /// Who says it.
    pub(super) replica: ReplicaId,
    /// Which life of it.
    pub(super) life: u64,
}

impl Trail {
    fn own(self, number: u64) -> RequestId {
        RequestId { at: self.replica, ticket: Ticket { life: self.life, number } }
    }

    /// Something has happened, and is not handled yet.
    pub(super) fn event<T>(self, event: &Event<Post, T>) {
        if !enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        let replica = self.replica;
        let (number, what, bytes) = match event {
            Event::Write { number, command } => (*number, "write", command.size()),
            Event::Read { number, command, .. } => (*number, "read", command.size()),
            Event::Order { number, .. } => (*number, "order", 0),
            Event::Message(Post::Message(envelope)) => return self.heard(envelope),
            _ => return,
        };
        debug!(target: TARGET, request = %self.own(number), %replica, what, bytes, "asked");
    }

    fn heard(self, envelope: &Envelope) {
        let (replica, from) = (self.replica, envelope.from);
        let (at, ticket, what) = match &envelope.message {
            Message::Forward(m) => (from, m.ticket, "asked to place it"),
            Message::ReadRequest(m) => (from, m.ticket, "asked what it has to see"),
            Message::ForwardReply(m) => (replica, m.ticket, "told what became of it"),
            Message::ReadPoint(m) => (replica, m.ticket, "told what it has to see"),
            _ => return,
        };
        let request = RequestId { at, ticket };
        debug!(target: TARGET, %request, %replica, %from, "{what}");
    }

    /// What is wanted of others.
    pub(super) fn effect<J>(self, effect: &Effect<Post, J>) {
        if !enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        let replica = self.replica;
        match effect {
            Effect::Send { message: Post::Message(envelope), .. } => self.sent(envelope),
            Effect::Answer { number, result } => {
                let (request, bytes) = (self.own(*number), result.len());
                debug!(target: TARGET, %request, %replica, bytes, "answered");
            }
            Effect::Refused { number, why } => {
                debug!(target: TARGET, request = %self.own(*number), %replica, %why, "not done");
            }
            Effect::Lost { number } => {
                debug!(target: TARGET, request = %self.own(*number), %replica, "done or not");
            }
            Effect::Send { .. } | Effect::Do(_) => {}
        }
    }

    fn sent(self, envelope: &Envelope) {
        let (replica, to) = (self.replica, envelope.to);
        let (at, ticket, what) = match &envelope.message {
            Message::Forward(m) => (replica, m.ticket, "passed on"),
            Message::ReadRequest(m) => (replica, m.ticket, "asks what it has to see"),
            Message::ReadPoint(m) => (to, m.ticket, "says what it has to see"),
            Message::ForwardReply(m) => match m.outcome {
                ForwardOutcome::Placed(leader, lsn) => {
                    let request = RequestId { at: to, ticket: m.ticket };
                    debug!(target: TARGET, %request, %replica, %to, %leader, %lsn, "placed");
                    return;
                }
                ForwardOutcome::Rejected => (to, m.ticket, "not placed"),
            },
            _ => return,
        };
        debug!(target: TARGET, request = %RequestId { at, ticket }, %replica, %to, "{what}");
    }
}
