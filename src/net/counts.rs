//! What has come and gone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that all connections of a replica share.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dialled: AtomicU64,
}

/// What [`Counts`] came to, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames given to a connection.
    pub sent: u64,
    /// Frames that found no room, or no connection.
    pub dropped: u64,
    /// Frames that came and were handed in.
    pub received: u64,
    /// Calls that were ended because of what came or who called.
    pub refused: u64,
    /// Connections that were made.
    pub dialled: u64,
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn totals(&self) -> Totals {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            sent: of(&self.sent),
            dropped: of(&self.dropped),
            received: of(&self.received),
            refused: of(&self.refused),
            dialled: of(&self.dialled),
        }
    }
}
