//! Taking a snapshot of the own state.

use super::{Home, StoreError};
use crate::base::{Lineage, Lsn};
use crate::disk::{Disk, DiskError};
use crate::replica::SnapshotMeta;
use crate::snapshot::{Builder, Header, Snapshot, SnapshotError, snapshot_name};
use bytes::Bytes;
use std::sync::Arc;

/// A snapshot that is about to be written. May go to another thread, which then has nothing to do
/// with the rest of the store; what comes of it goes back to [`Home::taken`].
#[derive(Debug)]
pub struct Draft<D: Disk> {
    builder: Builder<D>,
    name: String,
}

/// A snapshot that was written, or was not.
#[derive(Debug)]
pub struct Taken {
    name: String,
    written: Result<(), SnapshotError>,
}

impl<D: Disk> Draft<D> {
    /// Writes the state, its pairs in the order of their keys, makes it durable and gives it its
    /// name.
    pub fn write<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Taken {
        self.write_if(pairs, || Ok(()))
    }

    /// The same, if `whole` says in the end that those were all the pairs: where they come from
    /// may have failed.
    pub fn write_if<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
        whole: impl FnOnce() -> Result<(), SnapshotError>,
    ) -> Taken {
        let pushed = pairs
            .into_iter()
            .try_for_each(|(key, value)| self.builder.push(key.as_ref(), value.as_ref()));
        let written = pushed.and_then(|()| whole());
        let written = written.and_then(|()| self.builder.finish().map(drop));
        Taken { name: self.name, written }
    }
}

impl<D: Disk + Clone> Home<D> {
    /// Begins a snapshot of the state that `meta` describes, which is that of the machine at this
    /// moment: call it, and freeze the machine, when all outputs of a drain are carried out and
    /// the next input is not handed in. `None` if one is being written, or one that is as long is
    /// there.
    ///
    /// The file lies beside the others until it is whole. Each draft must come back by
    /// [`taken`](Self::taken); until then there is no other.
    ///
    /// # Errors
    ///
    /// [`StoreError::Snapshot`]. Nothing has changed.
    pub fn take(&mut self, meta: &SnapshotMeta) -> Result<Option<Draft<D>>, StoreError> {
        let below = meta.done.offset();
        if self.draft.is_some() || below <= self.prefix() {
            return Ok(None);
        }
        // The replica has done all of it by itself and will not take it any more.
        self.forget_arrived(below);
        let (committed_at, membership) = match &meta.membership {
            Some((lsn, membership)) => (Some(*lsn), membership.clone()),
            None => (None, self.options.initial.clone()),
        };
        let header = Header {
            cluster: self.identity.cluster,
            replica: self.identity.replica,
            done: meta.done.clone(),
            committed_at,
            membership,
            lineage: Lineage::new(meta.committer),
            sessions: Bytes::new(),
        };
        let name = snapshot_name(&meta.done);
        let builder = Builder::new(self.disk.clone(), &name, &header)?;
        self.draft = Some(below);
        Ok(Some(Draft { builder, name }))
    }

    /// A draft is back. If it was written it is the snapshot in use from now on, the log drops what
    /// it has done, and the replica is to be told with
    /// [`Input::Purge`](crate::replica::Input::Purge). `None` if a longer one has arrived since.
    ///
    /// # Errors
    ///
    /// [`StoreError::Snapshot`] if it was not written: the older one is untouched, try again later.
    /// [`StoreError::Log`].
    pub fn taken(&mut self, taken: Taken) -> Result<Option<Lsn>, StoreError> {
        self.draft = None;
        let Taken { name, written } = taken;
        if let Err(error) = written {
            self.remove(&format!("{name}.aside"))?;
            return Err(error.into());
        }
        let snapshot = Snapshot::open(self.disk.clone(), &name, self.options.cache_bytes)?;
        let below = snapshot.header().done.offset();
        if below <= self.prefix() {
            self.remove(&name)?;
            return Ok(None);
        }
        self.adopt(Arc::new(snapshot));
        self.purge_if_due()?;
        Ok(Some(below))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DiskError> {
        match self.disk.remove(name) {
            Err(DiskError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}
