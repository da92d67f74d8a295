//! Indexes and blocks as they are kept in memory, behind their checks.

use super::format::{BLOCK_BYTES_MAX, Hash, IndexForm, Malformed, Segment, hash, take_values};
use super::keys::Keys;
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;

/// Where a block lies and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it begins in the file.
    pub(super) at: u64,
    pub(super) bytes: u32,
    /// The rank of its first key in the segment.
    pub(super) rank: u64,
    pub(super) keys: u32,
    pub(super) crc: u32,
    pub(super) hash: Hash,
}

/// The index of a segment.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) keys: Arc<Keys>,
    pub(super) blocks: Vec<Place>,
    pub(super) memory: usize,
}

impl Index {
    /// From the bytes of an index whose checksum was looked at.
    pub(super) fn decode(bytes: Bytes, segment: &Segment) -> Result<Index, Malformed> {
        let memory = bytes.len();
        let form = IndexForm::decode(bytes).map_err(|_| Malformed)?;
        let keys = Keys::new(form.keys).map_err(|_| Malformed)?;
        let (mut at, mut rank) = (segment.at, 0);
        let mut blocks = Vec::with_capacity(form.blocks.len());
        for form in form.blocks {
            if form.keys == 0 || form.bytes > BLOCK_BYTES_MAX {
                return Err(Malformed);
            }
            let hash = form.hash[..].try_into().map_err(|_| Malformed)?;
            let (bytes, keys, crc) = (form.bytes, form.keys, form.crc);
            blocks.push(Place { at, bytes, rank, keys, crc, hash });
            at += u64::from(bytes);
            rank += u64::from(keys);
            if at > segment.index_at() {
                return Err(Malformed);
            }
        }
        let memory = memory + size_of::<Index>() + size_of_val(&blocks[..]);
        let complete = at == segment.index_at() && rank == segment.keys && keys.len() == rank;
        if complete { Ok(Index { keys: Arc::new(keys), blocks, memory }) } else { Err(Malformed) }
    }

    /// The number of the block that has this rank.
    pub(super) fn block_of(&self, rank: u64) -> Option<usize> {
        let after = self.blocks.partition_point(|place| place.rank <= rank);
        let inside = |at: &usize| rank - self.blocks[*at].rank < u64::from(self.blocks[*at].keys);
        after.checked_sub(1).filter(inside)
    }
}

/// A block: values in the order of their keys.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Bytes,
    places: Vec<(u32, u32)>,
}

impl Block {
    pub(super) fn decode(bytes: Bytes, place: &Place) -> Result<Block, Malformed> {
        let places = take_values(&bytes, place.keys)?;
        Ok(Block { bytes, places })
    }

    /// The nth value. Keeps the block alive instead of copying.
    pub(super) fn value(&self, nth: u64) -> Option<Bytes> {
        let (start, end) = *self.places.get(usize::try_from(nth).ok()?)?;
        Some(self.bytes.slice(start as usize..end as usize))
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + size_of::<Block>() + size_of_val(&self.places[..])
    }
}

/// Whether these are the bytes that the place names.
pub(super) fn is_block(bytes: &[u8], place: &Place) -> bool {
    bytes.len() == place.bytes as usize && hash(&[bytes]) == place.hash
}
