//! Looking at everything.

use super::keys::{Malformed, Walk};
use super::parts::Index;
use super::{Cause, Damage, Snapshot, SnapshotError};
use crate::disk::Disk;

impl<D: Disk> Snapshot<D> {
    /// Looks at the checksum of every index: whether each key can be found. Reads about a tenth of
    /// the file, one index at a time, and keeps nothing.
    ///
    /// # Errors
    ///
    /// The first damage, and [`SnapshotError::Disk`].
    pub fn check_keys(&self) -> Result<(), SnapshotError> {
        (0..self.segments.len()).try_for_each(|at| self.read_index(at).map(drop))
    }

    /// Reads everything, and looks at every checksum, every hash and every key. Tells `found` what
    /// is damaged and goes on.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Disk`] only.
    pub fn verify(&self, mut found: impl FnMut(Damage)) -> Result<(), SnapshotError> {
        let mut note = |result: Result<(), SnapshotError>| match result {
            Err(SnapshotError::Damaged(damage)) => {
                found(*damage);
                Ok(())
            }
            other => other,
        };
        for at in 0..self.segments.len() {
            let index = match self.read_index(at) {
                Ok(index) => index,
                Err(error) => {
                    note(Err(error))?;
                    continue;
                }
            };
            note(self.check_walk(at, &index))?;
            for nth in 0..index.blocks.len() {
                note(self.read_block(at, &index, nth, true).map(drop))?;
            }
        }
        Ok(())
    }

    /// Goes through the keys of an index.
    fn check_walk(&self, at: usize, index: &Index) -> Result<(), SnapshotError> {
        let segment = &self.segments[at];
        let walked = || {
            let mut walk = Walk::new(index.keys.clone(), b"")?;
            let (mut first, mut last) = (None, Vec::new());
            while let Some((key, _)) = walk.next()? {
                first.get_or_insert_with(|| key.to_vec());
                last.clear();
                last.extend_from_slice(key);
            }
            Ok((first.unwrap_or_default(), last))
        };
        match walked() {
            Ok((first, last)) if segment.first == first && segment.last == last => Ok(()),
            Ok(_) | Err(Malformed) => Err(self.bad_index(at, Cause::Malformed)),
        }
    }
}
