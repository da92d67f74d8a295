//! What has come and gone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that all connections of a replica share.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) dialled: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) displaced: AtomicU64,
}

/// What a network has done so far, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames given to a connection.
    pub sent: u64,
    /// Frames that found no room, or no connection.
    pub dropped: u64,
    /// Frames that came and were handed in.
    pub received: u64,
    /// Calls, or connections over QUIC, that were ended because of what came or who called.
    pub refused: u64,
    /// Own ones that the other end ended so. If it grows, versions, addresses, certificates or
    /// numbers of clusters do not fit.
    pub rejected: u64,
    /// Connections that were made from here.
    pub dialled: u64,
    /// Connections that were made to here, and ended without having shown who they are.
    pub unknown: u64,
    /// Connections that were ended to make room for newer ones.
    pub displaced: u64,
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
            rejected: of(&self.rejected),
            dialled: of(&self.dialled),
            unknown: of(&self.unknown),
            displaced: of(&self.displaced),
        }
    }
}
