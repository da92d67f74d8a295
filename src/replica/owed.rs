//! Whoever passed a command on is told as soon as it is settled (algorithm.md, Committing 3).
//!
//! A follower learns what is settled with whatever the leader sends it next. Where many write that
//! is at once; where nobody else does, it is the next heartbeat, and the client whose command the
//! follower passed on waits for that. So a leader keeps which positions it placed for whom, and
//! sends a message of its own when one of them is settled. This is for speed alone: what it
//! forgets, the next heartbeat says.

use super::lead::Leadership;
use crate::base::{Lsn, ReplicaId, Tail, ones};
use std::fmt;

/// What was placed for a peer and has not been said to be settled.
///
/// It is in what is open at the leader, so at most as wide as that
/// ([`open_positions_max`](super::Options::open_positions_max)), and is empty when nothing is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    /// Not settled.
    open: Tail,
    /// Settled, and nothing has been sent since.
    due: bool,
}

impl Owed {
    /// Whether the peer is to be told something at once.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// Something is sent to it, with all that is settled.
    pub(crate) fn told(&mut self) {
        self.due = false;
    }

    /// These words are settled now. Whether one of its positions is among them.
    fn note(&mut self, news: &[(u64, u64)]) -> bool {
        let before = self.due;
        for &(index, word) in news {
            let paid = word & self.open.word(index);
            self.due |= paid != 0;
            ones(64 * index, paid).for_each(|lsn| {
                self.open.remove(lsn);
            });
        }
        self.due && !before
    }
}

impl fmt::Display for Owed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.open, self.due)
    }
}

impl Leadership {
    /// `lsn` was placed for a client of `to`.
    pub(crate) fn owe(&mut self, to: ReplicaId, lsn: Lsn) {
        let peer = self.peers.iter_mut().find(|peer| peer.id == to && peer.member);
        if let Some(peer) = peer {
            peer.owed.open.insert(lsn);
        }
    }

    /// These words are settled now: whoever waits for one of them is told.
    pub(crate) fn pay(&mut self, news: &[(u64, u64)]) {
        for peer in self.peers.iter_mut().filter(|peer| !peer.owed.open.is_empty()) {
            self.stirred |= peer.owed.note(news);
        }
    }
}
