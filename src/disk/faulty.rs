//! A disk that can be made to fail while it is in use: for harnesses of real processes.

use super::{Disk, DiskError};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a disk fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it does by itself.
    #[default]
    Well,
    /// There is no room: nothing is created or reserved, and nothing is written where this process
    /// has not written before. What was written can be written again, and is synced.
    Full,
    /// There is no room, and what is written again needs some: a file system that copies what
    /// changes. What was written is synced.
    Copying,
    /// Whatever changes something waits until the mood is another.
    Hung,
    /// Every sync takes so much longer.
    Late(Duration),
    /// The next sync fails, and the disk is well again: what it was to make durable may be.
    Failing,
}

/// Changes the mood of a [`Faulty`] disk. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    mood: Mutex<Mood>,
    changed: Condvar,
}

/// A disk with a mood. Reading is always well: what is read was proved by checksums, and damage is
/// the business of [`SimDisk`](super::SimDisk).
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    disk: D,
    trouble: Trouble,
    /// How far each file has been written.
    ends: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Trouble {
    /// From now on it fares like this; whoever waits goes on unless it is to wait for this, too.
    pub fn set(&self, mood: Mood) {
        *self.mood() = mood;
        self.0.changed.notify_all();
    }

    /// A mood is whole at every moment, so whoever panicked holding it left it so.
    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.0.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as it hangs.
    fn pass(&self) -> Mood {
        let wait = self.0.changed.wait_while(self.mood(), |mood| *mood == Mood::Hung);
        *wait.unwrap_or_else(PoisonError::into_inner)
    }

    /// What takes room needs some.
    fn with_room(&self, name: &str) -> Result<(), DiskError> {
        match self.pass() {
            Mood::Full | Mood::Copying => Err(DiskError::Full { name: name.into() }),
            _ => Ok(()),
        }
    }

    /// A sync: waits, takes longer, or fails.
    fn sync(&self, name: &str) -> Result<(), DiskError> {
        match self.pass() {
            Mood::Well | Mood::Full | Mood::Copying | Mood::Hung => Ok(()),
            Mood::Late(late) => {
                let end = Instant::now() + late;
                let mut mood = self.mood();
                while *mood == Mood::Late(late) {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.0.changed.wait_timeout(mood, left);
                    mood = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Ok(())
            }
            Mood::Failing => {
                self.set(Mood::Well);
                let why = "it was told to fail".into();
                Err(DiskError::Failed { what: "sync", name: name.into(), why })
            }
        }
    }
}

impl<D> Faulty<D> {
    /// This disk, with a mood that `trouble` changes.
    pub fn new(disk: D, trouble: Trouble) -> Faulty<D> {
        Faulty { disk, trouble, ends: Arc::default() }
    }

    fn ends(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Disk for Faulty<D> {
    type Lock = D::Lock;

    fn lock(&self) -> Result<D::Lock, DiskError> {
        self.disk.lock()
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        self.trouble.with_room(name)?;
        self.disk.create(name)
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(name, offset, buffer)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let end = offset + bytes.len() as u64;
        let again = self.ends().get(name).is_some_and(|written| end <= *written);
        if !again || self.trouble.pass() == Mood::Copying {
            self.trouble.with_room(name)?;
        }
        self.disk.write(name, offset, bytes)?;
        let mut ends = self.ends();
        let written = ends.entry(name.into()).or_default();
        *written = end.max(*written);
        Ok(())
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.trouble.with_room(name)?;
        self.disk.preallocate(name, len)
    }

    fn prepare(&self, name: &str, from: u64, to: u64) -> Result<(), DiskError> {
        self.trouble.with_room(name)?;
        self.disk.prepare(name, from, to)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.trouble.pass();
        self.disk.truncate(name, len)
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        self.trouble.sync(name)?;
        self.disk.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.trouble.pass();
        self.disk.rename(from, to)?;
        let mut ends = self.ends();
        ends.remove(to);
        if let Some(end) = ends.remove(from) {
            ends.insert(to.into(), end);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.trouble.pass();
        self.ends().remove(name);
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.trouble.sync("the directory")?;
        self.disk.sync_dir()
    }
}
