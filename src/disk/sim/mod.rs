//! A disk in memory, the same twice: it can stop at any moment, and it can go wrong when told to.

mod state;

use super::{Disk, DiskError, SECTOR};
pub use state::{Op, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sync fails: of what was written since the last one, nothing will ever be durable,
    /// though it goes on being visible.
    FailSync,
    /// The write is reported done and has no effect.
    LoseWrite,
}

#[derive(Debug, Default)]
struct Shared {
    state: State,
    ops: Vec<Op>,
    recording: bool,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    /// Sectors that cannot be read, by file: another file of the same name is elsewhere.
    bad: BTreeSet<(u64, u64)>,
    capacity: Option<u64>,
    locked: bool,
}

/// A simulated directory. Clones are the same directory.
///
/// Not simulated: latency, a reordering of what one call writes below a sector, a directory that
/// loses names that were synced.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    shared: Arc<Mutex<Shared>>,
}

/// Holds a [`SimDisk`] against others.
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.shared().locked = false;
    }
}

impl SimDisk {
    /// An empty directory.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// A directory that holds `state`, and that nobody has locked.
    pub fn of(state: State) -> SimDisk {
        let shared = Shared { state, ..Shared::default() };
        SimDisk { shared: Arc::new(Mutex::new(shared)) }
    }

    /// What is on it now.
    pub fn state(&self) -> State {
        self.shared().state.clone()
    }

    /// Begins to write down every change.
    pub fn record(&self) {
        let mut shared = self.shared();
        shared.recording = true;
        shared.ops.clear();
    }

    /// How many changes were written down.
    pub fn recorded(&self) -> usize {
        self.shared().ops.len()
    }

    /// The changes written down.
    pub fn ops(&self) -> Vec<Op> {
        self.shared().ops.clone()
    }

    /// How many writes and syncs there were, those of the directory included.
    pub fn calls(&self) -> u64 {
        self.shared().calls
    }

    /// Lets the `nth` write or sync from now on, counted from zero, go wrong, if the fault is one
    /// of that call.
    pub fn plan(&self, nth: u64, fault: Fault) {
        let mut shared = self.shared();
        let at = shared.calls + nth;
        shared.faults.insert(at, fault);
    }

    /// From now on the sector of the file that holds `offset` cannot be read.
    pub fn fail_reads(&self, name: &str, offset: u64) {
        let mut shared = self.shared();
        if let Some(file) = shared.state.file(name) {
            shared.bad.insert((file, offset / SECTOR as u64));
        }
    }

    /// Sets how many bytes fit; `None` for as many as there is memory.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared().capacity = bytes;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn apply(&mut self, op: Op) {
        self.state.apply(&op);
        if self.recording {
            self.ops.push(op);
        }
    }

    fn file(&self, name: &str) -> Result<u64, DiskError> {
        self.state.file(name).ok_or_else(|| DiskError::NotFound { name: name.into() })
    }

    /// The fault planned for this call, if it is one of `fault`'s kind.
    fn goes_wrong(&mut self, fault: Fault) -> bool {
        self.calls += 1;
        self.faults.remove(&(self.calls - 1)) == Some(fault)
    }

    fn len(&self, name: &str) -> u64 {
        self.state.contents(name).map_or(0, <[u8]>::len) as u64
    }

    /// How long the file may become.
    fn room(&self, name: &str) -> u64 {
        let others = self.state.used() - self.len(name);
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(others))
    }
}

fn failed(what: &'static str, name: &str) -> DiskError {
    DiskError::Failed { what, name: name.into(), why: "input/output error".into() }
}

impl Disk for SimDisk {
    type Lock = SimLock;

    fn lock(&self) -> Result<SimLock, DiskError> {
        if std::mem::replace(&mut self.shared().locked, true) {
            return Err(DiskError::Locked);
        }
        Ok(SimLock { disk: self.clone() })
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.shared().state.names().map(str::to_string).collect())
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        let mut shared = self.shared();
        if shared.file(name).is_ok() {
            return Err(DiskError::Exists { name: name.into() });
        }
        let file = shared.state.next_file();
        shared.apply(Op::Create { name: name.into(), file });
        Ok(())
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        let shared = self.shared();
        shared.file(name)?;
        Ok(shared.len(name))
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let shared = self.shared();
        let file = shared.file(name)?;
        let contents = shared.state.contents(name).unwrap_or_default();
        let from = contents.len().min(offset as usize);
        let to = contents.len().min(offset as usize + buffer.len());
        let bad = |sector| shared.bad.contains(&(file, sector as u64));
        if !shared.bad.is_empty() && (from / SECTOR..to.div_ceil(SECTOR)).any(bad) {
            return Err(failed("read", name));
        }
        buffer[..to - from].copy_from_slice(&contents[from..to]);
        Ok(to - from)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut shared = self.shared();
        let file = shared.file(name)?;
        if shared.goes_wrong(Fault::LoseWrite) {
            return Ok(());
        }
        let room = shared.room(name).max(shared.len(name));
        let mut fits = bytes.len();
        if offset + fits as u64 > room {
            // In whole sectors.
            let end = room / SECTOR as u64 * SECTOR as u64;
            fits = end.saturating_sub(offset) as usize;
        }
        // A disk gives a sector that it could not read another place when it is written.
        let whole = offset.div_ceil(SECTOR as u64)..(offset + fits as u64) / SECTOR as u64;
        shared.bad.retain(|(bad, sector)| *bad != file || !whole.contains(sector));
        if fits > 0 {
            shared.apply(Op::Write { file, offset, bytes: bytes[..fits].into() });
        }
        if fits < bytes.len() { Err(DiskError::Full { name: name.into() }) } else { Ok(()) }
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        let mut shared = self.shared();
        let file = shared.file(name)?;
        if shared.len(name) >= len {
            return Ok(());
        }
        if len > shared.room(name) {
            return Err(DiskError::Full { name: name.into() });
        }
        shared.apply(Op::Len { file, len });
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        let mut shared = self.shared();
        let file = shared.file(name)?;
        if shared.len(name) > len {
            shared.apply(Op::Len { file, len });
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        let mut shared = self.shared();
        let file = shared.file(name)?;
        if shared.goes_wrong(Fault::FailSync) {
            shared.apply(Op::FailedSync { file });
            return Err(failed("sync", name));
        }
        shared.apply(Op::Sync { file });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut shared = self.shared();
        let file = shared.file(from)?;
        if from != to {
            shared.apply(Op::Rename { from: from.into(), to: to.into(), file });
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut shared = self.shared();
        shared.file(name)?;
        shared.apply(Op::Remove { name: name.into() });
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        let mut shared = self.shared();
        if shared.goes_wrong(Fault::FailSync) {
            return Err(failed("sync", "."));
        }
        shared.apply(Op::SyncDir);
        Ok(())
    }
}
