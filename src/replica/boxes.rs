//! The boxes of messages that were taken in, for those to send: an answer to each message then
//! costs no memory.

use crate::base::{LeaderId, ReplicaId};
use crate::message::{Envelope, Message, TakeOver};

/// How many are kept: what comes in between two drains is mostly not more.
const KEPT_MAX: usize = 8;

/// Empty boxes. They decide nothing, so a copy of a replica begins without any.
#[derive(Debug, Default)]
pub(crate) struct Boxes(#[expect(clippy::vec_box)] Vec<Box<Envelope>>);

impl Clone for Boxes {
    fn clone(&self) -> Boxes {
        Boxes::default()
    }
}

impl Boxes {
    /// Keeps a box whose message was taken out.
    pub(crate) fn keep(&mut self, empty: Box<Envelope>) {
        if self.0.len() < KEPT_MAX {
            self.0.push(empty);
        }
    }

    /// A message to send. Inlined, so that it is written into its box and not copied there.
    #[inline(always)]
    pub(crate) fn pack(
        &mut self,
        from: ReplicaId,
        to: ReplicaId,
        message: Message,
    ) -> Box<Envelope> {
        let Some(mut envelope) = self.0.pop() else {
            return Box::new(Envelope::new(from, to, message));
        };
        (envelope.cluster, envelope.incarnation) = (0, 0);
        (envelope.from, envelope.to) = (from, to);
        envelope.message = message;
        envelope
    }
}

/// What is in a box when its message was taken out.
pub(crate) const NOTHING: Message = Message::TakeOver(TakeOver { leader: LeaderId::NOBODY });
