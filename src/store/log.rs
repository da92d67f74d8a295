//! The log, and what it may drop.

use super::{Home, StoreError};
use crate::base::{Record, Tail};
use crate::disk::Disk;
use crate::replica::Write;
use crate::wal::{Flight, Landed, Store as _, WalError};
use std::sync::Arc;

/// What becomes of what was taken and is not durable.
pub enum Departed<D: Disk> {
    /// There is none, or a flight is out.
    Nothing,
    /// It is to be carried out.
    Flight(Flight<D>),
    /// It is durable up to this number already.
    Durable(u64),
}

impl<D: Disk + Clone> Home<D> {
    /// Takes a step; nothing of it is durable yet. A snapshot that comes with it is in its place
    /// already: it was there before the replica was told of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`], and [`StoreError::Absent`].
    pub fn append(&mut self, write: &Write) -> Result<(), StoreError> {
        let taken = match &write.snapshot {
            Some(snapshot) => {
                let below = snapshot.done.offset();
                Some(self.state(&snapshot.done).cloned().ok_or(StoreError::Absent { below })?)
            }
            None => None,
        };
        self.wal.append(write)?;
        self.repaired |= write.repaired;
        if let Some(snapshot) = taken {
            self.adopt(snapshot);
        }
        Ok(())
    }

    /// Makes all steps taken durable; gives the greatest number of a step that is: what to say with
    /// [`Input::Persisted`](crate::replica::Input::Persisted).
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`].
    pub fn sync(&mut self) -> Result<u64, StoreError> {
        let number = self.wal.sync()?;
        if std::mem::take(&mut self.repaired) {
            // Found again, it would be missed again.
            for name in std::mem::take(&mut self.damaged) {
                self.remove(&name)?;
            }
            self.disk.sync_dir()?;
        }
        self.purge_if_due()?;
        Ok(number)
    }

    /// The same without waiting for the disk: what was taken and is not durable goes on a flight,
    /// which another thread carries out and which is then to [`land`](Self::land). One at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`].
    pub fn depart(&mut self) -> Result<Departed<D>, StoreError> {
        if self.wal.is_flying() {
            return Ok(Departed::Nothing);
        }
        // That changes more than a flight carries. It is rare.
        if self.repaired {
            return self.sync().map(Departed::Durable);
        }
        Ok(self.wal.depart()?.map_or(Departed::Nothing, Departed::Flight))
    }

    /// A flight is back; gives what [`sync`](Self::sync) gives.
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`]. If there was no room, the next [`depart`](Self::depart) tries again.
    pub fn land(&mut self, landed: Landed) -> Result<u64, StoreError> {
        self.wal.land(landed)?;
        self.purge_if_due()?;
        Ok(self.wal.durable())
    }

    /// Those of the records asked for that are held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`].
    pub fn load(&mut self, positions: &Tail) -> Result<Vec<Arc<Record>>, StoreError> {
        let mut records = Vec::with_capacity(positions.len());
        for lsn in positions.iter() {
            records.extend(self.wal.load(lsn)?);
        }
        Ok(records)
    }

    /// Lets the log drop what the snapshot in use has done. Without room it waits for the next
    /// time: what is kept too long does no harm.
    pub(super) fn purge_if_due(&mut self) -> Result<(), StoreError> {
        if let Some(below) = self.purge_due.filter(|_| !self.wal.is_flying()) {
            match self.wal.purge(below) {
                Ok(_) => self.purge_due = None,
                Err(WalError::Full) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.clean();
        Ok(())
    }

    /// Nothing is to be done for a while: the time is used for what makes a later start surer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Log`].
    pub fn idle(&mut self) -> Result<(), StoreError> {
        self.purge_if_due()?;
        Ok(self.wal.idle()?)
    }
}
