//! How messages get from one replica to another.

use super::sync::{Arc, Mutex};
use crate::base::ReplicaId;
use std::collections::BTreeMap;
use std::fmt;

/// Takes messages to other replicas. It may lose them, double them, and let one overtake another:
/// what a replica misses it asks for again. Owned by the thread of one replica, which it never
/// makes wait: what cannot go now is dropped.
pub trait Transport<M>: Send {
    /// Sends a message, or begins to.
    fn send(&mut self, to: ReplicaId, message: M);

    /// Nothing more comes for a moment: what was held back to go together goes now.
    fn flush(&mut self) {}
}

/// Where messages for one replica are handed in, by any thread. Clones lead to the same replica.
pub struct Inbox<M>(Arc<dyn Fn(M) -> bool + Send + Sync>);

impl<M> Inbox<M> {
    pub(super) fn new(take: impl Fn(M) -> bool + Send + Sync + 'static) -> Inbox<M> {
        Inbox(Arc::new(take))
    }

    /// Hands a message in. False if it was dropped: the replica has stopped, or as many messages
    /// wait as [`Limits::messages`](super::Limits::messages) says. Never waits.
    pub fn deliver(&self, message: M) -> bool {
        (self.0)(message)
    }
}

impl<M> Clone for Inbox<M> {
    fn clone(&self) -> Inbox<M> {
        Inbox(self.0.clone())
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// A network that a node can join.
pub trait Network<M> {
    /// Messages for `id` go to `inbox` from now on; whoever was `id` before hears no more.
    fn join(&self, id: ReplicaId, inbox: Inbox<M>) -> Box<dyn Transport<M>>;
}

/// A network inside one process: a message is handed over as it is, nothing is copied, and messages
/// from one replica to another keep their order. Clones are the same network.
#[derive(Debug)]
pub struct Loopback<M>(Arc<Mutex<BTreeMap<ReplicaId, Inbox<M>>>>);

impl<M> Default for Loopback<M> {
    fn default() -> Loopback<M> {
        Loopback(Arc::default())
    }
}

impl<M> Clone for Loopback<M> {
    fn clone(&self) -> Loopback<M> {
        Loopback(self.0.clone())
    }
}

impl<M> Loopback<M> {
    /// A network without anybody.
    pub fn new() -> Loopback<M> {
        Loopback::default()
    }
}

impl<M: Send + 'static> Network<M> for Loopback<M> {
    fn join(&self, id: ReplicaId, inbox: Inbox<M>) -> Box<dyn Transport<M>> {
        self.0.lock().insert(id, inbox);
        Box::new(self.clone())
    }
}

impl<M: Send> Transport<M> for Loopback<M> {
    fn send(&mut self, to: ReplicaId, message: M) {
        let inbox = self.0.lock().get(&to).cloned();
        if let Some(inbox) = inbox {
            inbox.deliver(message);
        }
    }
}

#[cfg(all(test, not(feature = "explore")))]
mod tests {
    use super::*;
    use crate::runtime::sync::bounded;

    #[test]
    fn a_loopback_hands_over_and_forgets_who_was_there_before() {
        let network = Loopback::new();
        let join = |id, room| {
            let (sender, receiver) = bounded::<u32>(room);
            let inbox = Inbox::new(move |message| sender.try_send(message).is_ok());
            (network.join(ReplicaId(id), inbox), receiver)
        };
        let ((mut one, _), (_two, before)) = (join(1, 1), join(2, 2));
        (0..3).for_each(|n| one.send(ReplicaId(2), n));
        one.send(ReplicaId(3), 9);
        assert_eq!(before.try_iter().collect::<Vec<_>>(), [0, 1], "what finds no room is dropped");
        let (_again, after) = join(2, 2);
        one.send(ReplicaId(2), 5);
        assert_eq!((before.try_recv().ok(), after.try_recv()), (None, Ok(5)));
    }
}
