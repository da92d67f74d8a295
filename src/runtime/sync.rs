//! Locks, channels and threads: all that the runtime shares between threads comes from here, so
//! that another implementation of these few names explores other interleavings.

pub(super) use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
pub(super) use parking_lot::{Condvar, Mutex};
pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(super) use std::thread::{self, JoinHandle};

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

#[cfg(test)]
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
