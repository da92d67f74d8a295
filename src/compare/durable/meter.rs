//! A disk that notes what is written and synced.

use crate::disk::{Disk, DiskError, RealDisk};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was written between two syncs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The lengths of the writes.
    pub(super) writes: Vec<usize>,
}

impl Group {
    pub(super) fn bytes(&self) -> u64 {
        self.writes.iter().sum::<usize>() as u64
    }
}

#[derive(Debug, Default)]
struct Seen {
    open: Group,
    groups: Vec<Group>,
}

/// A directory of the real disk. Clones are the same, and count together.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    inner: RealDisk,
    seen: Arc<Mutex<Seen>>,
}

impl Meter {
    pub(super) fn new(inner: RealDisk) -> Meter {
        Meter { inner, seen: Arc::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups since the last call.
    pub(super) fn take(&self) -> Vec<Group> {
        std::mem::take(&mut self.seen().groups)
    }
}

impl Disk for Meter {
    type Lock = <RealDisk as Disk>::Lock;

    fn lock(&self) -> Result<Self::Lock, DiskError> {
        self.inner.lock()
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        self.inner.create(name)
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        self.inner.len(name)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.inner.read(name, offset, buffer)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.seen().open.writes.push(bytes.len());
        self.inner.write(name, offset, bytes)
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.inner.preallocate(name, len)
    }

    fn prepare(&self, name: &str, from: u64, to: u64) -> Result<(), DiskError> {
        self.inner.prepare(name, from, to)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.inner.truncate(name, len)
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        let mut seen = self.seen();
        let group = std::mem::take(&mut seen.open);
        seen.groups.push(group);
        drop(seen);
        self.inner.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.inner.sync_dir()
    }
}
