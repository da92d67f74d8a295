//! When a snapshot is taken, and what takes the state's place.

use super::Host;
use crate::apply::Stateful;
use crate::disk::Disk;
use crate::replica::SnapshotMeta;
use crate::runtime::bottom::stays;
use crate::runtime::engine::{Effect, NodeError};
use crate::runtime::parts::{Job, Post, Unread};
use crate::store::StoreError;

impl<D: Disk + Clone + Send + Sync + 'static, M: Stateful> Host<D, M> {
    /// What is given out for execution after that comes after it.
    pub(super) fn restore(&mut self, meta: &SnapshotMeta) -> Result<(), NodeError> {
        let below = meta.done.offset();
        let snapshot = self.home.state(&meta.done).ok_or(StoreError::Absent { below })?;
        self.executor.restore(snapshot.clone());
        self.executed = 0;
        self.installed += 1;
        Ok(())
    }

    /// A snapshot is taken after so many commands.
    fn snapshot_due(&self) -> u64 {
        let resident = self.options.resident_bytes_max;
        let own = self.home.snapshot().filter(|own| stays::<D, M>(own, resident));
        own.map_or(0, |own| own.len() / 8).max(self.options.snapshot_records)
    }

    /// If one is due, holds the state fast and gives it out to be written.
    pub(super) fn take_snapshot(
        &mut self,
        emit: &mut dyn FnMut(Effect<Post, Job<D, M>>),
    ) -> Result<(), NodeError> {
        if !self.wanted && self.executed < self.snapshot_due() {
            return Ok(());
        }
        let Some(machine) = self.executor.at_rest() else { return Ok(()) };
        let Some(state) = machine.lock().freeze() else { return Ok(()) };
        match self.home.take(&self.replica.snapshot_meta()) {
            Ok(Some(draft)) => {
                (self.executed, self.wanted, self.drafting) = (0, false, true);
                let unread = Unread(self.executor.fault());
                emit(Effect::Do(Job::Snapshot(Box::new(draft), Box::new(state), unread)));
            }
            // What it would save is saved.
            Ok(None) => {
                (self.executed, self.wanted) = (0, false);
                if !self.drafting {
                    self.orders.saved(Ok(()));
                }
            }
            // A while later again.
            Err(StoreError::Snapshot(error)) => {
                (self.executed, self.wanted) = (0, false);
                self.failed += 1;
                self.orders.saved(Err(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
