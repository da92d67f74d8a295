//! What of a snapshot that is to come is here already.

use super::format::{Hash, hash};
use super::parts::Index;
use super::receive::Kind;
use super::{ReceiveError, Receiver, Snapshot};
use crate::disk::{Disk, DiskError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

impl<D: Disk> Receiver<D> {
    /// Finds out what of a segment is missing, and asks for that.
    pub(super) fn plan(&mut self, at: usize) -> Result<(), ReceiveError> {
        let Some(ends) = &self.ends else { return Ok(()) };
        let segment = &ends.segments[at];
        let (span, wanted) = (segment.index_at()..segment.end(), segment.index_hash);
        let bytes = match self.kept(&span, &wanted)? {
            Some(bytes) => Some(bytes),
            None => self.copied_index(&segment.first, &span, &wanted)?,
        };
        match bytes {
            Some(bytes) => {
                self.progress.reused += bytes.len() as u64;
                self.plan_blocks(at, bytes)
            }
            None => {
                self.ask(span, Kind::Index(at), Some(wanted));
                Ok(())
            }
        }
    }

    /// Asks for the blocks of a segment that are not here.
    pub(super) fn plan_blocks(&mut self, at: usize, bytes: Bytes) -> Result<(), ReceiveError> {
        let Some(ends) = &self.ends else { return Ok(()) };
        let segment = &ends.segments[at];
        // The hash fits, so whoever built the file built nonsense.
        let index = Index::decode(bytes, segment).map_err(|_| ReceiveError::Sender)?;
        let here = self.local_blocks(&segment.first, &segment.last);
        for place in &index.blocks {
            let span = place.at..place.at + u64::from(place.bytes);
            let mut found = self.kept(&span, &place.hash)?;
            if found.is_none()
                && let Some((local, from)) = self.local.as_deref().zip(here.get(&place.hash))
            {
                found = self.copied(local, from, &span, &place.hash)?;
            }
            match found {
                Some(bytes) => self.progress.reused += bytes.len() as u64,
                None => self.ask(span, Kind::Block, Some(place.hash)),
            }
        }
        Ok(())
    }

    /// What an earlier transfer left at this place, if it is right.
    fn kept(&self, span: &Range<u64>, wanted: &Hash) -> Result<Option<Bytes>, ReceiveError> {
        if !self.resumed {
            return Ok(None);
        }
        let bytes = self.read(&self.part, span)?;
        Ok(bytes.filter(|bytes| hash(&[bytes]) == *wanted))
    }

    /// The bytes of a span; none if the disk cannot read them.
    pub(super) fn read(
        &self,
        name: &str,
        span: &Range<u64>,
    ) -> Result<Option<Bytes>, ReceiveError> {
        let mut bytes = vec![0; (span.end - span.start) as usize];
        match self.disk.read(name, span.start, &mut bytes) {
            Ok(size) => Ok((size == bytes.len()).then(|| bytes.into())),
            Err(DiskError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies an index from the local snapshot, if the segment with this first key has the same.
    fn copied_index(
        &self,
        first: &[u8],
        span: &Range<u64>,
        wanted: &Hash,
    ) -> Result<Option<Bytes>, ReceiveError> {
        let Some(local) = &self.local else { return Ok(None) };
        let at = local.segments.partition_point(|segment| segment.first < *first);
        match local.segments.get(at).filter(|same| same.index_hash == *wanted) {
            Some(same) => self.copied(local, &(same.index_at()..same.end()), span, wanted),
            None => Ok(None),
        }
    }

    /// Copies a piece from the local snapshot, if it is right there.
    fn copied(
        &self,
        local: &Snapshot<D>,
        from: &Range<u64>,
        to: &Range<u64>,
        wanted: &Hash,
    ) -> Result<Option<Bytes>, ReceiveError> {
        let bytes = self.read(&local.name, from)?.filter(|bytes| hash(&[bytes]) == *wanted);
        if let Some(bytes) = &bytes {
            self.disk.write(&self.part, to.start, bytes)?;
        }
        Ok(bytes)
    }

    /// The blocks of the local snapshot that have keys between these. A damaged index has none.
    fn local_blocks(&self, first: &[u8], last: &[u8]) -> BTreeMap<Hash, Range<u64>> {
        let mut blocks = BTreeMap::new();
        let Some(local) = &self.local else { return blocks };
        let from = local.segments.partition_point(|segment| segment.last < *first);
        let near = local.segments[from..].iter().take_while(|segment| segment.first <= *last);
        for index in (from..from + near.count()).filter_map(|at| local.read_index(at).ok()) {
            let span = |at, bytes| at..at + u64::from(bytes);
            blocks.extend(index.blocks.iter().map(|p| (p.hash, span(p.at, p.bytes))));
        }
        blocks
    }
}
