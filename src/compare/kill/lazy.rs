//! A disk that lies: it says that it is synced and has not even written. Whoever acknowledges on
//! its word loses what was acknowledged when the process is killed, and the check must find out.

use crate::disk::{Disk, DiskError, RealDisk};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many syncs are only claimed before one is carried out.
const CLAIMED: u32 = 64;

#[derive(Debug, Default)]
struct Held {
    writes: Vec<(String, u64, Vec<u8>)>,
    claimed: u32,
}

/// A directory whose writes may be kept in memory. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct LazyDisk {
    inner: RealDisk,
    /// Nothing is kept back if it is honest.
    lies: bool,
    held: Arc<Mutex<Held>>,
}

impl LazyDisk {
    pub(super) fn new(inner: RealDisk, lies: bool) -> LazyDisk {
        LazyDisk { inner, lies, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was kept back.
    fn write_out(&self) -> Result<(), DiskError> {
        let mut held = self.held();
        held.claimed = 0;
        let writes = std::mem::take(&mut held.writes);
        writes.iter().try_for_each(|(name, at, bytes)| self.inner.write(name, *at, bytes))
    }
}

impl Disk for LazyDisk {
    type Lock = <RealDisk as Disk>::Lock;

    fn lock(&self) -> Result<Self::Lock, DiskError> {
        self.inner.lock()
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        self.write_out()?;
        self.inner.create(name)
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        self.write_out()?;
        self.inner.len(name)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.write_out()?;
        self.inner.read(name, offset, buffer)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if !self.lies {
            return self.inner.write(name, offset, bytes);
        }
        self.held().writes.push((name.into(), offset, bytes.into()));
        Ok(())
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.write_out()?;
        self.inner.preallocate(name, len)
    }

    fn prepare(&self, name: &str, from: u64, to: u64) -> Result<(), DiskError> {
        // What is kept back stays so.
        if self.lies { Ok(()) } else { self.inner.prepare(name, from, to) }
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.write_out()?;
        self.inner.truncate(name, len)
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        if self.lies {
            let mut held = self.held();
            held.claimed += 1;
            if held.claimed < CLAIMED {
                return Ok(());
            }
            drop(held);
            self.write_out()?;
        }
        self.inner.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.write_out()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.write_out()?;
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.inner.sync_dir()
    }
}
