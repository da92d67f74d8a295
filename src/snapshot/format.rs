//! The bytes of the parts; docs/format-snapshot.md has them as tables.

use super::{SnapshotError, VALUE_BYTES_MAX};
use crate::base::{Key, Lineage, Lsn, Membership, ReplicaId, TailBitmap, crc32c};
use crate::wire;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use sha2::{Digest, Sha256};

/// The version of the format.
pub const VERSION: u32 = 1;

pub(super) const MAGIC: [u8; 8] = *b"traftsnp";
pub(super) const PROLOGUE: usize = 24;
pub(super) const FOOTER: usize = 64;

/// The most bytes of a header: of its sessions, above all.
pub(super) const HEADER_BYTES_MAX: usize = 64 << 20;
/// The most bytes of a directory: two million segments, half a terabyte.
pub(super) const DIRECTORY_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of an index. A builder stays far below.
pub(super) const INDEX_BYTES_MAX: u32 = 16 << 20;
/// The most bytes of a block: one value.
pub(super) const BLOCK_BYTES_MAX: u32 = VALUE_BYTES_MAX as u32 + 16;

/// Names contents: the first 16 bytes of SHA-256. A checksum guards against a disk; this one tells
/// that two parts are the same without looking at both.
pub(super) type Hash = [u8; 16];

pub(super) fn hash(parts: &[&[u8]]) -> Hash {
    let mut sha = Sha256::new();
    parts.iter().for_each(|part| sha.update(part));
    let mut hash = Hash::default();
    hash.copy_from_slice(&sha.finalize()[..16]);
    hash
}

/// Bytes that are not what their checksum promised a builder would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Taken<T> = Result<T, Malformed>;

/// Whose state it is, and of which positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The cluster: a number that the user draws once.
    pub cluster: u64,
    /// The replica that made it.
    pub replica: ReplicaId,
    /// The positions that are done in it (algorithm.md, Words): its applied set, and what that
    /// overrides.
    pub done: TailBitmap,
    /// Where the membership is in the log; `None` for the one that the cluster began with.
    pub committed_at: Option<Lsn>,
    /// The newest membership known committed.
    pub membership: Membership,
    /// The lineage of the greatest committer behind it.
    pub lineage: Lineage,
    /// What sessions are open and what they were answered; opaque here.
    pub sessions: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderForm {
    #[prost(uint64, tag = "1")]
    cluster: u64,
    #[prost(uint64, tag = "2")]
    replica: u64,
    #[prost(bytes = "bytes", tag = "3")]
    done: Bytes,
    #[prost(uint64, optional, tag = "4")]
    committed_at: Option<u64>,
    #[prost(bytes = "bytes", tag = "5")]
    membership: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    lineage: Bytes,
    #[prost(bytes = "bytes", tag = "7")]
    sessions: Bytes,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let coded = |put: &dyn Fn(&mut Vec<u8>)| {
            let mut to = Vec::new();
            put(&mut to);
            Bytes::from(to)
        };
        let form = HeaderForm {
            cluster: self.cluster,
            replica: self.replica.0,
            done: coded(&|to| wire::encode_positions(&self.done, to)),
            committed_at: self.committed_at.map(|lsn| lsn.0),
            membership: coded(&|to| wire::encode_membership(&self.membership, to)),
            lineage: coded(&|to| wire::encode_lineage(&self.lineage, to)),
            sessions: self.sessions.clone(),
        };
        form.encode_to_vec()
    }

    pub(super) fn decode(bytes: Bytes) -> Taken<Header> {
        let form = HeaderForm::decode(bytes).map_err(|_| Malformed)?;
        if form.committed_at.is_some_and(|lsn| lsn > Lsn::MAX.0) {
            return Err(Malformed);
        }
        Ok(Header {
            cluster: form.cluster,
            replica: ReplicaId(form.replica),
            done: wire::decode_positions(form.done).map_err(|_| Malformed)?,
            committed_at: form.committed_at.map(Lsn),
            membership: wire::decode_membership(form.membership).map_err(|_| Malformed)?,
            lineage: wire::decode_lineage(form.lineage).map_err(|_| Malformed)?,
            sessions: form.sessions,
        })
    }

    /// Prologue and header.
    pub(super) fn front(&self) -> Result<Bytes, SnapshotError> {
        let header = self.encode();
        if header.len() > HEADER_BYTES_MAX {
            let (bytes, max) = (header.len(), HEADER_BYTES_MAX);
            return Err(SnapshotError::TooLong { what: "header", bytes, max });
        }
        let mut front = BytesMut::with_capacity(PROLOGUE + header.len());
        front.put_slice(&MAGIC);
        front.put_u32_le(VERSION);
        front.put_u32_le(header.len() as u32);
        front.put_u32_le(crc32c(&header));
        front.put_u32_le(crc32c(&front));
        front.put_slice(&header);
        Ok(front.freeze())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The first bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prologue {
    pub(super) header_bytes: u32,
    pub(super) header_crc: u32,
}

/// Why the first bytes are not those of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPrologue {
    Magic,
    Version(u32),
    Checksum,
    Malformed,
}

impl Prologue {
    pub(super) fn decode(bytes: &[u8; PROLOGUE]) -> Result<Prologue, NoPrologue> {
        if bytes[..8] != MAGIC {
            return Err(NoPrologue::Magic);
        }
        // The prologue of every version is as long and ends like this: a bit that changed in the
        // version is damage, which peers can repair, and not a file of another version.
        if u32_at(bytes, 20) != crc32c(&bytes[..20]) {
            return Err(NoPrologue::Checksum);
        }
        let found = u32_at(bytes, 8);
        if found != VERSION {
            return Err(NoPrologue::Version(found));
        }
        let header_bytes = u32_at(bytes, 12);
        if header_bytes as usize > HEADER_BYTES_MAX {
            return Err(NoPrologue::Malformed);
        }
        Ok(Prologue { header_bytes, header_crc: u32_at(bytes, 16) })
    }
}

/// The last bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the segments begin.
    pub(super) data_at: u64,
    /// Where they end.
    pub(super) directory_at: u64,
    pub(super) directory_bytes: u64,
    pub(super) keys: u64,
    /// A checksum over all: of the prologue, the header and the directory, which has one of every
    /// index, which has one of every block.
    pub(super) root: Hash,
    pub(super) directory_crc: u32,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER] {
        let mut bytes = BytesMut::with_capacity(FOOTER);
        bytes.put_u64_le(self.data_at);
        bytes.put_u64_le(self.directory_at);
        bytes.put_u64_le(self.directory_bytes);
        bytes.put_u64_le(self.keys);
        bytes.put_slice(&self.root);
        bytes.put_u32_le(self.directory_crc);
        bytes.put_u32_le(crc32c(&bytes));
        bytes.put_slice(&MAGIC);
        let mut footer = [0; FOOTER];
        footer.copy_from_slice(&bytes);
        footer
    }

    /// The footer in `bytes`, if the checksum fits.
    pub(super) fn decode(bytes: &[u8; FOOTER]) -> Option<Footer> {
        let fits = u32_at(bytes, 52) == crc32c(&bytes[..52]) && bytes[56..] == MAGIC;
        let mut root = Hash::default();
        root.copy_from_slice(&bytes[32..48]);
        fits.then(|| Footer {
            data_at: u64_at(bytes, 0),
            directory_at: u64_at(bytes, 8),
            directory_bytes: u64_at(bytes, 16),
            keys: u64_at(bytes, 24),
            root,
            directory_crc: u32_at(bytes, 48),
        })
    }

    /// Whether the parts lie one behind the other in a file of so many bytes.
    pub(super) fn fits(&self, file_bytes: u64) -> bool {
        let end = self.directory_at.checked_add(self.directory_bytes);
        let end = end.and_then(|end| end.checked_add(FOOTER as u64));
        (PROLOGUE as u64..=self.directory_at).contains(&self.data_at)
            && self.data_at <= (PROLOGUE + HEADER_BYTES_MAX) as u64
            && self.directory_bytes <= DIRECTORY_BYTES_MAX
            && end == Some(file_bytes)
    }
}

#[derive(Clone, PartialEq, Message)]
struct DirectoryForm {
    #[prost(message, repeated, tag = "1")]
    segments: Vec<SegmentForm>,
}

#[derive(Clone, PartialEq, Message)]
struct SegmentForm {
    #[prost(bytes = "bytes", tag = "1")]
    first: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    last: Bytes,
    #[prost(uint64, tag = "3")]
    blocks_bytes: u64,
    #[prost(uint32, tag = "4")]
    index_bytes: u32,
    #[prost(uint64, tag = "5")]
    keys: u64,
    #[prost(fixed32, tag = "6")]
    index_crc: u32,
    #[prost(bytes = "bytes", tag = "7")]
    index_hash: Bytes,
}

/// Where a segment lies and what keys it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: Key,
    pub(super) last: Key,
    /// Where its blocks begin.
    pub(super) at: u64,
    pub(super) blocks_bytes: u64,
    pub(super) index_bytes: u32,
    /// How many keys the segments before it have.
    pub(super) before: u64,
    pub(super) keys: u64,
    pub(super) index_crc: u32,
    /// Of the index, and so of the blocks, whose hashes are in it.
    pub(super) index_hash: Hash,
}

impl Segment {
    pub(super) fn index_at(&self) -> u64 {
        self.at + self.blocks_bytes
    }

    pub(super) fn end(&self) -> u64 {
        self.index_at() + u64::from(self.index_bytes)
    }
}

pub(super) fn encode_directory(segments: &[Segment]) -> Vec<u8> {
    let form = |segment: &Segment| SegmentForm {
        first: segment.first.clone(),
        last: segment.last.clone(),
        blocks_bytes: segment.blocks_bytes,
        index_bytes: segment.index_bytes,
        keys: segment.keys,
        index_crc: segment.index_crc,
        index_hash: Bytes::copy_from_slice(&segment.index_hash),
    };
    DirectoryForm { segments: segments.iter().map(form).collect() }.encode_to_vec()
}

/// The segments that lie between `data_at` and `directory_at` without a gap, their keys in order.
pub(super) fn decode_directory(bytes: Bytes, footer: &Footer) -> Taken<Vec<Segment>> {
    let form = DirectoryForm::decode(bytes).map_err(|_| Malformed)?;
    let (mut at, mut before) = (footer.data_at, 0_u64);
    let mut segments: Vec<Segment> = Vec::with_capacity(form.segments.len());
    for form in form.segments {
        let rises = segments.last().is_none_or(|segment| segment.last < form.first);
        let sizes = form.keys > 0 && form.index_bytes <= INDEX_BYTES_MAX;
        if !rises || !sizes || form.first > form.last {
            return Err(Malformed);
        }
        let segment = Segment {
            first: form.first,
            last: form.last,
            at,
            blocks_bytes: form.blocks_bytes,
            index_bytes: form.index_bytes,
            before,
            keys: form.keys,
            index_crc: form.index_crc,
            index_hash: form.index_hash[..].try_into().map_err(|_| Malformed)?,
        };
        let end = at.checked_add(form.blocks_bytes);
        let end = end.and_then(|end| end.checked_add(u64::from(form.index_bytes)));
        at = end.filter(|end| *end <= footer.directory_at).ok_or(Malformed)?;
        before = before.checked_add(form.keys).ok_or(Malformed)?;
        segments.push(segment);
    }
    if at == footer.directory_at && before == footer.keys { Ok(segments) } else { Err(Malformed) }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IndexForm {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) keys: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(super) blocks: Vec<BlockForm>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlockForm {
    #[prost(uint32, tag = "1")]
    pub(super) bytes: u32,
    #[prost(uint32, tag = "2")]
    pub(super) keys: u32,
    #[prost(fixed32, tag = "3")]
    pub(super) crc: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) hash: Bytes,
}

/// A block is the message `{ repeated bytes values = 1; }`: this is its key before each value.
const VALUE_KEY: u8 = 1 << 3 | 2;

/// Adds a value to a block.
pub(super) fn put_value(block: &mut Vec<u8>, value: &[u8]) {
    block.push(VALUE_KEY);
    encode_varint(value.len() as u64, block);
    block.extend_from_slice(value);
}

/// How many bytes a value takes in a block.
pub(super) fn value_len(value: &[u8]) -> usize {
    1 + encoded_len_varint(value.len() as u64) + value.len()
}

/// Where the values of a block lie: their first bytes, and one past the last.
pub(super) fn take_values(block: &[u8], keys: u32) -> Taken<Vec<(u32, u32)>> {
    // Each takes two bytes or more, so that nothing is allocated for what is only claimed.
    let mut places = Vec::with_capacity((block.len() / 2).min(keys as usize));
    let mut rest = block;
    while let [VALUE_KEY, after @ ..] = rest {
        rest = after;
        let size = decode_varint(&mut rest).map_err(|_| Malformed)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= rest.len());
        let start = block.len() - rest.len();
        rest = &rest[size.ok_or(Malformed)?..];
        places.push((start as u32, (block.len() - rest.len()) as u32));
    }
    if rest.is_empty() && places.len() == keys as usize { Ok(places) } else { Err(Malformed) }
}
