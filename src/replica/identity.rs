//! Who speaks: in every message the cluster, and which life of the sender.

use super::{Output, Replica};
use crate::message::{Envelope, Ticket};

impl Replica {
    /// Whether a message is not for this cluster, or is of a life whose end is known: what that had
    /// promised or accepted may be lost. A message may always be lost, so dropping it is safe.
    pub(super) fn is_of_another_life(&mut self, envelope: &Envelope) -> bool {
        if envelope.cluster != self.options.cluster {
            return true;
        }
        let known = self.lives.get(&envelope.from).copied().unwrap_or_default();
        if envelope.incarnation > known {
            self.lives.insert(envelope.from, envelope.incarnation);
        }
        envelope.incarnation < known
    }

    /// What a request is called that is passed on.
    pub(super) fn ticket(&self, number: u64) -> Ticket {
        Ticket { life: self.life, number }
    }

    /// Says in what is sent who says it.
    pub(super) fn sign(&mut self) {
        let (cluster, incarnation) = (self.options.cluster, self.incarnation);
        if cluster == 0 && incarnation == 0 {
            return;
        }
        for output in &mut self.outputs {
            if let Output::Send(envelope) = output {
                (envelope.cluster, envelope.incarnation) = (cluster, incarnation);
            }
        }
    }
}
