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
    /// Keeps a box. What is left of its message is let go: its records may fill memory.
    pub(crate) fn keep(&mut self, mut envelope: Box<Envelope>) {
        if self.0.len() < KEPT_MAX {
            envelope.message = nothing();
            self.0.push(envelope);
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

/// What is in a box when its message was taken out. Not a constant: all of that would be copied,
/// and of this only the few bytes are written that it has.
#[inline(always)]
pub(crate) fn nothing() -> Message {
    Message::TakeOver(TakeOver { leader: LeaderId::NOBODY })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Lsn, Record, Records};
    use crate::message::FetchReply;

    /// Else the records of a message stayed in memory for as long as nothing is sent.
    #[test]
    fn a_box_that_is_kept_holds_no_records() {
        let candidate = LeaderId::new(1, 1);
        let records = Records::from(vec![Record::void(Lsn(3), candidate)]);
        let message = Message::FetchReply(FetchReply { candidate, records });
        let mut boxes = Boxes::default();
        boxes.keep(Box::new(Envelope::new(ReplicaId(2), ReplicaId(1), message.clone())));
        assert_eq!(boxes.0[0].message, nothing());
        let sent = boxes.pack(ReplicaId(1), ReplicaId(3), message.clone());
        assert_eq!(*sent, Envelope::new(ReplicaId(1), ReplicaId(3), message));
        assert!(boxes.0.is_empty());
    }
}
