//! Coming to life: for the first time, or again.

use super::{Home, Options, StoreError, meta};
use crate::base::{Lsn, mutant};
use crate::disk::{Disk, DiskError};
use crate::snapshot::{Snapshot, SnapshotError, newest_first, suspect, sweep};
use crate::wal::{Doubt, Identity, Recovered, Wal, WalError};
use std::sync::Arc;

/// A store, with what was in it.
#[derive(Debug)]
pub struct Opened<D: Disk, T> {
    /// The store.
    pub home: Home<D>,
    /// What the replica starts from, the snapshot included, and what may be missing.
    pub recovered: Recovered,
    /// What came of the snapshot; without one the machine begins with an empty state.
    pub state: Option<T>,
    /// Snapshots that should be there and cannot be used, each with what is wrong. Then the replica
    /// is in doubt.
    pub damaged: Vec<(String, SnapshotError)>,
}

impl<D: Disk + Clone + Sync> Home<D> {
    /// The store of a new replica, in a directory that has none.
    ///
    /// # Errors
    ///
    /// [`WalError::NotEmpty`] if there is a log or a snapshot. An interrupted `create` may be
    /// repeated.
    pub fn create(disk: D, identity: Identity, options: Options) -> Result<Home<D>, StoreError> {
        if !newest_first(&disk)?.is_empty() {
            return Err(WalError::NotEmpty.into());
        }
        let wal = Wal::create(disk.clone(), identity, options.wal)?;
        Ok(Home::new(disk, identity, options, wal))
    }

    /// The directory of a replica that lived before and lost all of it: [`open`](Self::open) then
    /// finds it in doubt. `after` is at least the incarnation of each earlier life.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create).
    pub fn create_wiped(
        disk: D,
        identity: Identity,
        options: Options,
        after: u64,
    ) -> Result<(), StoreError> {
        if !newest_first(&disk)?.is_empty() {
            return Err(WalError::NotEmpty.into());
        }
        Wal::create_wiped(disk, identity, options.wal, after)?;
        Ok(())
    }

    /// The store of a replica that lived before. `load` makes a state of a snapshot; it is called
    /// with the one that has the longest done prefix, and with the next one only if that is
    /// damaged.
    ///
    /// What was begun and not finished is removed, except what has arrived of a snapshot that can
    /// still be of use.
    ///
    /// A snapshot that is gone or damaged takes what was dropped from the log with it. Then the
    /// replica is in doubt like one that has lost a part of its log, and the log keeps what it is
    /// given back.
    ///
    /// # Errors
    ///
    /// [`WalError::Empty`] if there is no log, [`StoreError::Cluster`], and whatever the disk says.
    pub fn open<T>(
        disk: D,
        identity: Identity,
        options: Options,
        mut load: impl FnMut(&Snapshot<D>) -> Result<T, SnapshotError>,
    ) -> Result<Opened<D, T>, StoreError> {
        let (wal, mut recovered) = Wal::open(disk.clone(), identity, options.wal)?;
        let mut home = Home::new(disk, identity, options, wal);
        let mut damaged = Vec::new();
        let mut state = None;
        for name in newest_first(&home.disk)? {
            match home.read(&name, recovered.purged, &mut load) {
                Ok(Some((snapshot, loaded))) => {
                    (home.own, state) = (Some(Arc::new(snapshot)), Some(loaded));
                    break;
                }
                // Older than what the log has dropped, and so are all that follow.
                Ok(None) => break,
                Err(StoreError::Snapshot(
                    error @ (SnapshotError::Damaged(_) | SnapshotError::NotSnapshot),
                )) => damaged.push((name, error)),
                Err(error) => return Err(error),
            }
        }
        home.damaged = damaged.iter().map(|(name, _)| name.clone()).collect();
        sweep(&home.disk, home.own.as_ref().map_or("", |own| own.name()))?;
        let lost = home.prefix() < recovered.purged || !damaged.is_empty();
        if mutant!(LostSnapshotUnnoticed, lost, false) {
            recovered.purged = recovered.purged.min(home.prefix());
            recovered.durable.incarnation = home.wal.lose(recovered.purged)?;
            let doubt = recovered.doubt.get_or_insert_with(Doubt::default);
            recovered.durable.doubt = Some(doubt.kind());
        }
        if home.prefix() > recovered.purged {
            home.purge_due = Some(home.prefix());
        }
        let own = home.own.as_ref().map(|own| Box::new(meta(own.header())));
        recovered.durable.snapshot = own;
        Ok(Opened { home, recovered, state, damaged })
    }

    /// A snapshot and what came of it; none if it has not done what the log has dropped.
    fn read<T>(
        &self,
        name: &str,
        purged: Lsn,
        load: &mut impl FnMut(&Snapshot<D>) -> Result<T, SnapshotError>,
    ) -> Result<Option<(Snapshot<D>, T)>, StoreError> {
        let snapshot = Snapshot::open(self.disk.clone(), name, self.options.cache_bytes)?;
        let (found, below) = (snapshot.header().cluster, snapshot.header().done.offset());
        if found != self.identity.cluster {
            return Err(StoreError::Cluster { found });
        }
        if below < purged {
            return Ok(None);
        }
        self.look_if_suspect(&snapshot)?;
        let state = load(&snapshot)?;
        Ok(Some((snapshot, state)))
    }

    /// A read of the snapshot in use failed: the next [`open`](Self::open) looks at all of it
    /// before it uses it, and takes it for damaged if it is. To be called before the store is
    /// given up.
    ///
    /// # Errors
    ///
    /// [`StoreError::Disk`]: the next one will fail at the same read.
    pub fn suspect(&self) -> Result<(), StoreError> {
        for snapshot in self.own.iter().chain(&self.arrived) {
            match self.disk.create(&suspect(snapshot.name())) {
                Ok(()) | Err(DiskError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.disk.sync_dir()?)
    }

    fn look_if_suspect(&self, snapshot: &Snapshot<D>) -> Result<(), StoreError> {
        let mark = suspect(snapshot.name());
        if !self.disk.list()?.contains(&mark) {
            return Ok(());
        }
        let mut first = None;
        snapshot.verify(|damage| {
            first.get_or_insert(damage);
        })?;
        if let Some(damage) = first {
            return Err(SnapshotError::Damaged(Box::new(damage)).into());
        }
        // What failed has passed.
        self.remove(&mark)?;
        Ok(())
    }

    fn new(disk: D, identity: Identity, options: Options, wal: Wal<D>) -> Home<D> {
        Home {
            disk,
            identity,
            options,
            wal,
            own: None,
            arrived: None,
            retired: Vec::new(),
            damaged: Vec::new(),
            repaired: false,
            draft: None,
            incoming: None,
            outgoing: None,
            purge_due: None,
        }
    }
}
