//! Watching what a node is.

use super::engine::NodeError;
use super::sync::{Arc, Condvar, Instant, Mutex};
use crate::base::{Lsn, ReplicaId};
use crate::replica::RoleName;
use std::time::Duration;

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its role.
    pub role: RoleName,
    /// Who leads, as far as it knows.
    pub leader: Option<ReplicaId>,
    /// Everything below is done here.
    pub done: Lsn,
    /// Writes are refused because the disk is full.
    pub full: bool,
    /// It does not vote, because something acknowledged may be missing, until peers have given it
    /// back.
    pub doubtful: bool,
    /// It has ended: orderly, or with an error.
    pub ended: Option<Result<(), NodeError>>,
}

#[derive(Debug)]
struct Seen {
    view: View,
    version: u64,
}

/// What is shared by those who watch and the one that is watched.
#[derive(Debug)]
pub(super) struct Board {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Board {
    pub(super) fn new(view: View) -> Arc<Board> {
        Arc::new(Board { seen: Mutex::new(Seen { view, version: 1 }), changed: Condvar::new() })
    }

    /// Changes what is seen; tells those who wait if it is another.
    pub(super) fn update(&self, change: impl FnOnce(&mut View)) {
        let mut seen = self.seen.lock();
        let before = seen.view.clone();
        change(&mut seen.view);
        if seen.view != before {
            seen.version += 1;
            drop(seen);
            self.changed.notify_all();
        }
    }
}

/// Watches a node, each watcher for itself. A change that is followed by another before anybody
/// looks is not seen: what is seen is always the newest.
#[derive(Debug)]
pub struct Watch {
    board: Arc<Board>,
    version: u64,
}

impl Watch {
    pub(super) fn new(board: Arc<Board>) -> Watch {
        Watch { board, version: 0 }
    }

    /// What the node is now.
    pub fn view(&mut self) -> View {
        let seen = self.board.seen.lock();
        self.version = seen.version;
        seen.view.clone()
    }

    /// Waits until it is something else than what this watcher saw last, at most so long; `None` if
    /// it is not by then.
    pub fn changed(&mut self, patience: Duration) -> Option<View> {
        let version = self.version;
        self.wait(patience, |seen| seen.version != version)
    }

    /// Waits until it is as wanted, at most so long; `None` if it is not by then.
    pub fn until(&mut self, patience: Duration, wanted: impl Fn(&View) -> bool) -> Option<View> {
        self.wait(patience, |seen| wanted(&seen.view))
    }

    fn wait(&mut self, patience: Duration, wanted: impl Fn(&Seen) -> bool) -> Option<View> {
        let end = Instant::now() + patience;
        let mut seen = self.board.seen.lock();
        while !wanted(&seen) {
            if self.board.changed.wait_until(&mut seen, end).timed_out() && !wanted(&seen) {
                return None;
            }
        }
        self.version = seen.version;
        Some(seen.view.clone())
    }
}

#[cfg(all(test, not(feature = "explore")))]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_seen_once() {
        let view = View {
            role: RoleName::Follower,
            leader: None,
            done: Lsn::ZERO,
            full: false,
            doubtful: false,
            ended: None,
        };
        let board = Board::new(view.clone());
        let mut watch = Watch::new(board.clone());
        assert_eq!(watch.changed(Duration::ZERO), Some(view.clone()));
        assert_eq!(watch.changed(Duration::ZERO), None);
        board.update(|view| view.full = true);
        board.update(|view| view.done = Lsn(3));
        board.update(|view| view.done = Lsn(3));
        assert_eq!(watch.changed(Duration::ZERO), Some(View { full: true, done: Lsn(3), ..view }));
        assert_eq!(watch.changed(Duration::ZERO), None);
        assert!(watch.until(Duration::ZERO, |view| view.full).is_some());
        assert_eq!(watch.until(Duration::ZERO, |view| view.doubtful), None);
    }
}
