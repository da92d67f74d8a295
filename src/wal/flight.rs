//! A group on its way to the disk.
//!
//! ```text
//!   thread that has the log     append append | depart | append append append | land  depart | ...
//!   another                                   | fly: write, sync              |              | fly
//! ```
//!
//! [`Store::sync`](super::Store::sync) does the three at once. Whoever does them apart composes the
//! next group while the disk is busy with this one: what composing costs, checksums included, is
//! then hidden.

use super::sector::Stream;
use super::{Group, Identity, Wal, WalError, sector, segment_name};
use crate::disk::{Disk, DiskError, SECTOR};
use std::sync::Arc;

/// So many sectors are sealed and written at a time: what was sealed is still in the cache of the
/// processor when it is copied.
const SEALED_AT_ONCE: u32 = 256;

/// The same while another group flies.
const READY_AT_ONCE: u32 = 16;

/// A group that is to be written and synced: [`fly`](Self::fly) it, on any thread, and give what
/// comes of it to [`Wal::land`]. It holds the directory: nobody opens the log while it is out.
///
/// One that is dropped is lost: the log waits for it, and has to be opened again.
#[derive(Debug)]
pub struct Flight<D: Disk> {
    disk: Arc<D>,
    /// Released when the group is where it goes, even if the log is dropped before.
    _lock: Arc<D::Lock>,
    identity: Identity,
    segment_bytes: u64,
    group: Group,
    memory: Vec<u8>,
}

/// What became of a [`Flight`].
#[derive(Debug)]
pub struct Landed {
    group: Group,
    memory: Vec<u8>,
    result: Result<(), DiskError>,
}

impl<D: Disk> Wal<D> {
    /// Sends off what is appended and neither durable nor under way. Gives nothing if there is
    /// nothing, or if a flight is out: one at a time, because a group proves that everything before
    /// it is synced. What is appended from now on is in the next group.
    ///
    /// While it is out, [`append`](super::Store::append) and [`load`](super::Store::load) go on,
    /// and what would have to wait for it fails with [`WalError::InFlight`].
    ///
    /// # Errors
    ///
    /// [`WalError::Broken`].
    pub fn depart(&mut self) -> Result<Option<Flight<D>>, WalError> {
        self.usable()?;
        if self.flying.is_some() {
            return Ok(None);
        }
        let Some(mut group) = self.queue.pop_front() else { return Ok(None) };
        group.sealed = true;
        self.flying = Some((group.segment, group.start, group.stream.clone()));
        Ok(Some(Flight {
            disk: self.disk.clone(),
            _lock: self.lock.clone(),
            identity: self.identity,
            segment_bytes: self.options.segment_bytes,
            group,
            memory: std::mem::take(&mut self.spare.1),
        }))
    }

    /// Takes note of what became of a flight; gives the greatest number of a step that is durable.
    ///
    /// # Errors
    ///
    /// As of [`Store::sync`](super::Store::sync): [`WalError::Full`] if there is no room, and then
    /// it departs again; if the disk failed, the log takes nothing more. [`WalError::InFlight`] if
    /// it is not the flight that is out.
    pub fn land(&mut self, landed: Landed) -> Result<u64, WalError> {
        self.usable()?;
        let Landed { group, memory, result } = landed;
        let own = |flying: &(u64, u32, Arc<Stream>)| Arc::ptr_eq(&flying.2, &group.stream);
        if !self.flying.as_ref().is_some_and(own) {
            return Err(WalError::InFlight);
        }
        self.flying = None;
        self.spare.1 = memory;
        match result {
            Ok(()) => self.after(group)?,
            Err(DiskError::Full { .. }) => {
                self.queue.push_front(group);
                return Err(WalError::Full);
            }
            Err(error) => return Err(self.broke(error)),
        }
        Ok(self.durable)
    }

    /// While the disk is busy with another group, checksums cost nobody any time.
    pub(super) fn seal_ahead(&mut self) {
        let Some(group) = self.queue.back_mut().filter(|_| self.flying.is_some()) else { return };
        let (from, to) = ((group.ready.len() / SECTOR) as u32, group.stream.full_sectors());
        if to >= from + READY_AT_ONCE && !group.sealed {
            if group.ready.capacity() == 0 {
                group.ready = std::mem::take(&mut self.spare.2);
            }
            let tag = sector::tag(self.identity, group.segment);
            group.stream.seal(tag, group.start, from..to, &mut group.ready);
        }
    }

    /// Usable, and nothing is on its way.
    pub(super) fn grounded(&self) -> Result<(), WalError> {
        self.usable()?;
        if self.flying.is_some() { Err(WalError::InFlight) } else { Ok(()) }
    }
}

impl<D: Disk> Flight<D> {
    /// Writes the group and syncs it.
    pub fn fly(mut self) -> Landed {
        let result = self.write();
        Landed { group: self.group, memory: self.memory, result }
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let Group { segment, start, stream, opens, ready, .. } = &self.group;
        let (name, sectors) = (segment_name(*segment), stream.sectors());
        let tag = sector::tag(self.identity, *segment);
        if opens.is_some() {
            match self.disk.create(&name) {
                // By an earlier attempt: numbers are not used twice.
                Ok(()) | Err(DiskError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
            let wanted = self.segment_bytes.max(u64::from(sectors) * SECTOR as u64);
            match self.disk.preallocate(&name, wanted.next_multiple_of(SECTOR as u64)) {
                // There may be room for this group all the same.
                Ok(()) | Err(DiskError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let offset = |sector: u32| u64::from(start + sector) * SECTOR as u64;
        if !ready.is_empty() {
            self.disk.write(&name, offset(0), ready)?;
        }
        let mut from = (ready.len() / SECTOR) as u32;
        while from < sectors {
            let to = sectors.min(from + SEALED_AT_ONCE);
            self.memory.clear();
            stream.seal(tag, *start, from..to, &mut self.memory);
            self.disk.write(&name, offset(from), &self.memory)?;
            from = to;
        }
        self.disk.sync(&name).map_err(certain)?;
        if opens.is_some() {
            self.disk.sync_dir().map_err(certain)?;
        }
        Ok(())
    }
}

/// A sync that finds the disk full has failed like any other: it cannot be tried again.
fn certain(error: DiskError) -> DiskError {
    match error {
        DiskError::Full { name } => {
            DiskError::Failed { what: "sync", name, why: "no space left".into() }
        }
        error => error,
    }
}
