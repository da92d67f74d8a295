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
use super::{Group, Wal, WalError, segment_name};
use crate::base::mutant;
use crate::disk::{Disk, DiskError, SECTOR};
use std::ops::Range;
use std::sync::Arc;

/// A group that is to be written and synced: [`fly`](Self::fly) it, on any thread, and give what
/// comes of it to [`Wal::land`]. It holds the directory: nobody opens the log while it is out.
///
/// One that is dropped is lost: the log waits for it, and has to be opened again.
#[derive(Debug)]
pub struct Flight<D: Disk> {
    disk: Arc<D>,
    /// Released when the group is where it goes, even if the log is dropped before.
    _lock: Arc<D::Lock>,
    segment_bytes: u64,
    /// Bytes after the group that are to be prepared.
    ahead: Range<u64>,
    group: Group,
}

/// Groups of so many sectors and fewer have what comes after them prepared: larger ones would take
/// longer to write it twice than they save.
const SMALL: u32 = 160;

/// So many sectors are prepared at once.
const AHEAD: u32 = 2_048;

/// What became of a [`Flight`].
#[derive(Debug)]
pub struct Landed {
    group: Group,
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
        Arc::make_mut(&mut group.stream).finish();
        self.flying = Some((group.segment, group.start, group.stream.clone()));
        let ahead = self.ahead(&group);
        Ok(Some(Flight {
            disk: self.disk.clone(),
            _lock: self.lock.clone(),
            segment_bytes: self.options.segment_bytes,
            ahead,
            group,
        }))
    }

    /// What a group that departs should prepare for those after it.
    fn ahead(&mut self, group: &Group) -> Range<u64> {
        let sectors = group.stream.sectors();
        let end = group.start + sectors;
        if sectors > SMALL || (group.segment, end) <= self.prepared {
            return 0..0;
        }
        let all = u32::try_from(self.options.segment_bytes / SECTOR as u64).unwrap_or(u32::MAX);
        let to = end.saturating_add(AHEAD).min(all).max(end);
        self.prepared = (group.segment, to);
        let bytes = |sectors| u64::from(sectors) * SECTOR as u64;
        bytes(end)..bytes(to)
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
        let Landed { group, result } = landed;
        let own = |flying: &(u64, u32, Arc<Stream>)| Arc::ptr_eq(&flying.2, &group.stream);
        if !self.flying.as_ref().is_some_and(own) {
            return Err(WalError::InFlight);
        }
        self.flying = None;
        match result {
            Ok(()) => {
                self.after(group)?;
                // With more to send off the disk must not wait: the mark is for when it is busy.
                if self.queue.is_empty() {
                    self.note()?;
                }
            }
            Err(DiskError::Full { .. }) => {
                self.queue.push_front(group);
                return Err(WalError::Full);
            }
            Err(error) => return Err(self.broke(error)),
        }
        Ok(self.durable)
    }

    /// Whether a flight is out.
    pub fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// The greatest number of a step that is durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Usable, and nothing is on its way.
    pub(super) fn grounded(&self) -> Result<(), WalError> {
        self.usable()?;
        if self.flying.is_some() { Err(WalError::InFlight) } else { Ok(()) }
    }
}

impl<D: Disk> Flight<D> {
    /// Writes the group and syncs it.
    pub fn fly(self) -> Landed {
        let result = self.write();
        Landed { group: self.group, result }
    }

    fn write(&self) -> Result<(), DiskError> {
        let Group { segment, start, stream, opens, .. } = &self.group;
        let (name, sealed) = (segment_name(*segment), stream.sealed());
        if opens.is_some() {
            match self.disk.create(&name) {
                // By an earlier attempt: numbers are not used twice.
                Ok(()) | Err(DiskError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
            let wanted = self.segment_bytes.max(sealed.len() as u64);
            match self.disk.preallocate(&name, wanted.next_multiple_of(SECTOR as u64)) {
                // There may be room for this group all the same.
                Ok(()) | Err(DiskError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.disk.write(&name, u64::from(*start) * SECTOR as u64, sealed)?;
        // After the group, which must not lack the room that this takes.
        if !self.ahead.is_empty() {
            match self.disk.prepare(&name, self.ahead.start, self.ahead.end) {
                Ok(()) | Err(DiskError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        mutant!(UnsyncedLog, self.disk.sync(&name), Ok(())).map_err(certain)?;
        if opens.is_some() {
            mutant!(NewSegmentUnsynced, self.disk.sync_dir(), Ok(())).map_err(certain)?;
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
