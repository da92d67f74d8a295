//! Everything that one replica keeps on disk: its log and its snapshots, in one directory.
//!
//! ```text
//!   Persist(Write) ... append, append, sync      one group of the log: durable up to a number
//!                 or ... depart -> Flight -> land  the same, while the next ones are appended
//!   Load           ... load
//!   TakeSnapshot   ... take -> Draft -> taken    a file is built beside the log; then Purge
//!   SendSnapshot   ... offer -> hear             parcels come and go; then Install
//!   Restore        ... state
//! ```
//!
//! Carries out what a [`Replica`](crate::replica::Replica) asks for and knows nothing of why. No
//! thread and no clock: whoever drives it calls it when something is to be done and [`tick`] from
//! time to time, on a real disk or on a simulated one. Only a [`Draft`] may go to another thread.
//!
//! Log and snapshots are two files, and there is no step that changes both. None is needed: the
//! argument is in design/store.md.
//!
//! [`tick`]: Home::tick

mod log;
mod open;
mod recover;
mod take;
mod transfer;

pub use crate::wal::{Flight, Identity, Landed};
pub use log::Departed;
pub use open::Opened;
pub use recover::{LossAccepted, Prospect, RecoverError, Survivor, prospect, recover};
pub use take::{Draft, Taken};
pub use transfer::Heard;

use crate::base::{Lsn, Membership, TailBitmap};
use crate::disk::{Disk, DiskError};
use crate::replica::SnapshotMeta;
use crate::snapshot::{Header, Snapshot, SnapshotError, TransferOptions, snapshot_name};
use crate::wal::{Wal, WalError, WalOptions};
use std::sync::Arc;

/// What a user can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The membership that the cluster started with, as in
    /// [`replica::Options`](crate::replica::Options::initial): a snapshot says it.
    pub initial: Membership,
    /// Of the log.
    pub wal: WalOptions,
    /// Of receiving snapshots. Ticks are calls of [`Home::tick`].
    pub transfer: TransferOptions,
    /// How much of the snapshot in use is kept in memory once it was read, in bytes. Default 1 MiB:
    /// a state that is in memory reads it once.
    pub cache_bytes: usize,
}

impl Options {
    /// The defaults, in a cluster that starts with `initial`.
    pub fn new(initial: Membership) -> Options {
        Options {
            initial,
            wal: WalOptions::default(),
            transfer: TransferOptions::default(),
            cache_bytes: 1 << 20,
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The log. See [`WalError`] for what to do; [`is_full`](Self::is_full) for what passes by
    /// itself.
    #[error(transparent)]
    Log(#[from] WalError),
    /// A snapshot could not be made or read. The log and the older snapshot are untouched, and
    /// trying again later is of use.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The directory could not be listed or changed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A snapshot in the directory is another cluster's. Nothing was changed. Use the right one.
    #[error("a snapshot in the directory is that of cluster {found}")]
    Cluster {
        /// Whose it is.
        found: u64,
    },
    /// A write names a snapshot that is not here: it was not said to have arrived, or not by this
    /// store. Drop the replica and open the store again.
    #[error("the snapshot of everything below {below} is not here")]
    Absent {
        /// Its done prefix.
        below: Lsn,
    },
}

impl StoreError {
    /// Whether there is only no room: nothing is lost, and the same call works when there is.
    pub fn is_full(&self) -> bool {
        let full = |error: &DiskError| matches!(error, DiskError::Full { .. });
        match self {
            StoreError::Log(error) => matches!(error, WalError::Full),
            StoreError::Disk(error) | StoreError::Snapshot(SnapshotError::Disk(error)) => {
                full(error)
            }
            _ => false,
        }
    }
}

/// The directory of one replica. Owned by one thread; locked against a second owner.
///
/// *Invariant:* what the log has dropped, [`snapshot`](Self::snapshot) has done. No two snapshots
/// that are read have the same name, because each one begun is longer than all that are here.
pub struct Home<D: Disk> {
    disk: D,
    identity: Identity,
    options: Options,
    wal: Wal<D>,
    /// The one with the longest done prefix that the replica has taken or made.
    own: Option<Arc<Snapshot<D>>>,
    /// One of another replica: whole, durable, and so far not taken.
    arrived: Option<Arc<Snapshot<D>>>,
    /// Older ones that somebody may still read.
    retired: Vec<Arc<Snapshot<D>>>,
    /// Names of damaged ones that were longer than what could be used.
    damaged: Vec<String>,
    /// A step that was taken says that there is no doubt any more.
    repaired: bool,
    /// The done prefix of the draft that is out.
    draft: Option<Lsn>,
    incoming: Option<transfer::Incoming<D>>,
    /// The snapshot that others are being sent, and for how many ticks nobody has asked for it.
    outgoing: Option<(Arc<Snapshot<D>>, u32)>,
    /// What the log may drop as soon as it can.
    purge_due: Option<Lsn>,
}

impl<D: Disk + std::fmt::Debug> std::fmt::Debug for Home<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Home { disk, identity, own, arrived, .. } = self;
        let names = [own, arrived].map(|one| one.as_ref().map(|snapshot| snapshot.name()));
        write!(f, "Home({identity:?} in {disk:?}, snapshots {names:?})")
    }
}

/// What a replica is told of a snapshot.
pub fn meta(header: &Header) -> SnapshotMeta {
    SnapshotMeta {
        done: header.done.clone(),
        committer: header.lineage.leader(),
        membership: header.committed_at.map(|lsn| (lsn, header.membership.clone())),
    }
}

impl<D: Disk + Clone> Home<D> {
    /// The snapshot in use: what is below its done prefix need not be in the log.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot<D>>> {
        self.own.as_ref()
    }

    /// The snapshot that the replica was told of with this done set: where the state of an
    /// [`Output::Restore`](crate::replica::Output::Restore) is read from.
    pub fn state(&self, done: &TailBitmap) -> Option<&Arc<Snapshot<D>>> {
        let all = self.arrived.iter().chain(&self.own).chain(&self.retired);
        all.into_iter().find(|snapshot| snapshot.header().done == *done)
    }

    /// The done prefix of the snapshot in use.
    fn prefix(&self) -> Lsn {
        self.own.as_ref().map_or(Lsn::ZERO, |own| own.header().done.offset())
    }

    /// `snapshot` is the one in use from now on, unless it is shorter.
    fn adopt(&mut self, snapshot: Arc<Snapshot<D>>) {
        let below = snapshot.header().done.offset();
        if below <= self.prefix() {
            return;
        }
        self.retired.extend(self.own.replace(snapshot));
        self.purge_due = Some(below);
        self.forget_arrived(below);
        // One of the same name is replaced.
        let name = snapshot_name(&TailBitmap::below(below));
        self.damaged.retain(|damaged| *damaged != name);
    }

    /// A snapshot that arrived brings nothing any more once everything below `below` is in another.
    fn forget_arrived(&mut self, below: Lsn) {
        let short = |other: &Arc<Snapshot<D>>| other.header().done.offset() <= below;
        self.retired.extend(self.arrived.take_if(|arrived| short(arrived)));
    }

    /// Removes the files of older snapshots that nobody reads any more. What a crash brings back is
    /// removed by the next start.
    fn clean(&mut self) {
        let Home { disk, own, arrived, retired, draft, .. } = self;
        // Another one may have taken the name, or be about to.
        let draft = draft.map(|below| snapshot_name(&TailBitmap::below(below)));
        let kept: Vec<&str> = own.iter().chain(arrived.iter()).map(|kept| kept.name()).collect();
        retired.retain(|old| {
            let is_read = Arc::strong_count(old) > 1;
            let replaced = kept.contains(&old.name()) || draft.as_deref() == Some(old.name());
            let gone =
                || matches!(disk.remove(old.name()), Ok(()) | Err(DiskError::NotFound { .. }));
            is_read || !(replaced || gone())
        });
    }
}
