//! The log, and what it may drop.

use super::{Home, StoreError};
use crate::base::{Record, Tail};
use crate::disk::Disk;
use crate::replica::Write;
use crate::wal::{Store as _, WalError};
use std::sync::Arc;

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
        if let Some(below) = self.purge_due {
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
