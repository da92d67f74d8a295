//! A snapshot in use at the bottom of a machine's state, and what becomes of reads that fail.

use super::sync::{Arc, AtomicUsize, Mutex, Ordering};
use crate::apply::{Bottom, Stateful};
use crate::base::{Key, KeyRange};
use crate::disk::Disk;
use crate::snapshot::{Snapshot, SnapshotError};
use bytes::Bytes;
use std::fmt;

/// The first read that failed, of any snapshot that a machine rests on. What a machine says after
/// that may be wrong: nobody is told, and the replica stops.
#[derive(Debug, Default)]
pub(super) struct Fault {
    failed: AtomicUsize,
    error: Mutex<Option<SnapshotError>>,
}

impl Fault {
    fn note(&self, error: SnapshotError) {
        self.error.lock().get_or_insert(error);
        self.failed.store(1, Ordering::Release);
    }

    /// What failed, if anything did.
    pub(super) fn check(&self) -> Result<(), SnapshotError> {
        if self.failed.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.error.lock().clone().map_or(Ok(()), Err)
    }
}

/// A snapshot that a machine asks.
struct Ground<D: Disk> {
    snapshot: Arc<Snapshot<D>>,
    fault: Arc<Fault>,
}

impl<D: Disk> fmt::Debug for Ground<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ground({})", self.snapshot.name())
    }
}

impl<D: Disk> Ground<D> {
    fn or_note<T>(&self, read: Result<T, SnapshotError>) -> Option<T> {
        read.map_err(|error| self.fault.note(error)).ok()
    }
}

impl<D: Disk + Send + Sync> Bottom for Ground<D> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.or_note(self.snapshot.get(key)).flatten()
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.or_note(self.snapshot.contains(key)).unwrap_or(false)
    }

    fn range(&self, range: &KeyRange) -> Box<dyn Iterator<Item = (Key, Bytes)> + '_> {
        Box::new(self.snapshot.range(range).map_while(|pair| self.or_note(pair)))
    }
}

/// The snapshot, for a machine to ask.
pub(super) fn ground<D: Disk + Send + Sync + 'static>(
    snapshot: &Arc<Snapshot<D>>,
    fault: &Arc<Fault>,
) -> Arc<dyn Bottom> {
    Arc::new(Ground { snapshot: snapshot.clone(), fault: fault.clone() })
}

/// Whether a machine of this kind leaves a snapshot of this size where it lies.
pub(super) fn stays<D: Disk, M: Stateful>(snapshot: &Snapshot<D>, resident_max: u64) -> bool {
    M::ADOPTS && snapshot.layout().file_bytes > resident_max
}

/// Reads all of a snapshot into a machine.
pub(super) fn load<D: Disk, M: Stateful>(
    machine: &mut M,
    snapshot: &Snapshot<D>,
) -> Result<(), SnapshotError> {
    machine.clear();
    for pair in snapshot.range(&KeyRange::ALL) {
        let (key, value) = pair?;
        machine.load(key.as_ref(), value.as_ref());
    }
    Ok(())
}

/// Brings a machine to the state of a snapshot: has it rest on a large one, and reads a small one.
pub(super) fn bring<D: Disk + Send + Sync + 'static, M: Stateful>(
    machine: &mut M,
    snapshot: &Arc<Snapshot<D>>,
    resident_max: u64,
    fault: &Arc<Fault>,
) -> Result<(), SnapshotError> {
    let adopted = stays::<D, M>(snapshot, resident_max) && machine.adopt(ground(snapshot, fault));
    // What could not be read is no reason to think that there is nothing to be adopted.
    fault.check()?;
    if adopted { Ok(()) } else { load(machine, snapshot) }
}
