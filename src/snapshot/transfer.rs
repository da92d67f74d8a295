//! What two replicas say to each other to move a snapshot, and the side that has it.
//!
//! ```text
//!   sender                           receiver
//!     Offer  ----------------------->   may it be installed? what is here already?
//!            <-----------------------  Want    some spans of the file
//!     Chunk, Chunk, Chunk  --------->   each checked; a piece that is whole is checked by its hash
//!            <-----------------------  Want    ... until nothing is missing: installed
//! ```
//!
//! The file is a tree of hashes: the offer has that of header and directory, the directory that of
//! each index, an index that of each block. So the receiver knows what a piece must be before it
//! asks, finds what it has, and trusts no byte. The sender keeps no state: any number of receivers,
//! any order, any repetition. Messages may be lost, doubled and late.

use super::format::{FOOTER, Hash};
use super::read::read_part;
use super::{Part, Snapshot, SnapshotError};
use crate::base::{KeyRange, TailBitmap, crc32c};
use crate::disk::Disk;
use bytes::Bytes;
use std::ops::Range;

/// The most bytes of a chunk.
pub(super) const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Says that there is a snapshot, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Of which cluster.
    pub cluster: u64,
    /// The positions that are done in it.
    pub done: TailBitmap,
    /// The length of the file.
    pub file_bytes: u64,
    /// The last bytes of the file, with the checksum over all.
    pub footer: [u8; FOOTER],
}

/// Asks for parts of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The checksum over all of the file.
    pub root: Hash,
    /// Which bytes, in order.
    pub spans: Vec<Range<u64>>,
}

/// Some bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The checksum over all of the file.
    pub root: Hash,
    /// Where they lie.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// Their CRC-32C.
    pub crc: u32,
}

/// Why a sender does not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is not the snapshot that is here. Offer the one that is.
    #[error("the snapshot that is asked for is not here any more")]
    Gone,
    /// There are no such bytes. The receiver is broken.
    #[error("the file has {file_bytes} bytes, and {} .. {} is asked for", .span.start, .span.end)]
    Outside {
        /// What is asked for.
        span: Range<u64>,
        /// How long the file is.
        file_bytes: u64,
    },
    /// The file cannot be read there.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl<D: Disk> Snapshot<D> {
    /// The offer of this snapshot.
    pub fn offer(&self) -> Offer {
        Offer {
            cluster: self.header().cluster,
            done: self.header().done.clone(),
            file_bytes: self.layout().file_bytes,
            footer: self.footer.encode(),
        }
    }
}

/// What is wanted, in chunks of at most 64 KiB, `bytes_max` bytes at most: the receiver asks again
/// for the rest.
///
/// # Errors
///
/// See [`SendError`].
pub fn serve<D: Disk>(
    snapshot: &Snapshot<D>,
    want: &Want,
    bytes_max: usize,
) -> Result<Vec<Chunk>, SendError> {
    let root = snapshot.root();
    if want.root != root {
        return Err(SendError::Gone);
    }
    let file_bytes = snapshot.layout().file_bytes;
    let mut room = bytes_max as u64;
    let mut chunks = Vec::new();
    for span in &want.spans {
        if span.start > span.end || span.end > file_bytes {
            return Err(SendError::Outside { span: span.clone(), file_bytes });
        }
        let mut at = span.start;
        while at < span.end && room > 0 {
            let end = span.end.min(at + room.min(CHUNK_BYTES_MAX as u64));
            let (disk, name) = (&snapshot.disk, &snapshot.name);
            let bytes = read_part(disk, name, Part::Block, at..end, &|| KeyRange::ALL)?;
            chunks.push(Chunk { root, offset: at, crc: crc32c(&bytes), bytes });
            room -= end - at;
            at = end;
        }
    }
    Ok(chunks)
}
