//! Locks, channels, threads and the clock: all that the runtime shares between threads comes from
//! here, so that another implementation of these few names explores other interleavings
//! (`explore.rs`, in tests with the feature `explore`).

#[cfg(all(test, feature = "explore"))]
pub(super) mod explored;

#[cfg(all(test, feature = "explore"))]
pub(super) use explored::{
    AtomicU64, AtomicUsize, Condvar, Instant, JoinHandle, Mutex, Receiver, RecvTimeoutError,
    Sender, TrySendError, bounded, thread,
};
pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::Ordering;
#[cfg(not(all(test, feature = "explore")))]
pub(super) use {
    crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded},
    parking_lot::{Condvar, Mutex},
    std::sync::atomic::{AtomicU64, AtomicUsize},
    std::thread::{self, JoinHandle},
    std::time::Instant,
};

/// A known bug, which an exploration puts back to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Whoever is answered hears of it before there is room for what it asks next.
    AnswersBeforeRoom,
    /// A lane that panics goes without a word.
    SilentPanic,
    /// A panic of the thread that owns the replica goes past those who watch it.
    NobodyEnds,
}

/// Whether it is there: never, except in explorations.
#[cfg(not(all(test, feature = "explore")))]
pub(super) const fn has(_: Bug) -> bool {
    false
}

#[cfg(all(test, feature = "explore"))]
pub(super) use super::explore::has;

/// Lets so many in, and no more.
#[derive(Debug)]
pub(super) struct Gate {
    limit: usize,
    inside: AtomicUsize,
}

/// One that was let in. Dropped, it makes room.
#[derive(Debug)]
pub(super) struct Permit(Arc<Gate>);

impl Gate {
    pub(super) fn new(limit: usize) -> Arc<Gate> {
        Arc::new(Gate { limit, inside: AtomicUsize::new(0) })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Lets one in, if there is room.
    pub(super) fn enter(self: &Arc<Gate>) -> Option<Permit> {
        let more = |inside: usize| (inside < self.limit).then_some(inside + 1);
        let entered = self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| Permit(self.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(feature = "explore")))]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_as_many_as_it_says() {
        let gate = Gate::new(2);
        let permits = [gate.enter(), gate.enter()];
        assert!(permits.iter().all(Option::is_some) && gate.enter().is_none());
        drop(permits);
        assert!([gate.enter(), gate.enter()].iter().all(Option::is_some));
    }
}
