//! Building a snapshot from sorted pairs.
//!
//! Where a block or a segment ends is decided by the keys in it, not by how much came before: so
//! two snapshots of states that differ a little have most of their blocks in common, wherever the
//! difference is, and what is in common need not travel.

use super::format::{
    BlockForm, FOOTER, Footer, Hash, Header, IndexForm, Segment, encode_directory, hash, put_value,
    value_len,
};
use super::{KEY_BYTES_MAX, SnapshotError, VALUE_BYTES_MAX};
use crate::base::{Key, crc32c, mutant};
use crate::disk::{Disk, DiskError};
use bytes::Bytes;
use prost::Message;

/// A block is not ended below this, in bytes; behind it ends come after as much again on average.
const BLOCK_BYTES_MIN: usize = 2 << 10;
/// A block takes no further value beyond this.
const BLOCK_BYTES_END: usize = 8 << 10;
/// The same of segments; keys count as well as values.
const SEGMENT_BYTES_MIN: usize = 128 << 10;
const SEGMENT_BYTES_END: usize = 512 << 10;
/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many keys.
    pub keys: u64,
    /// How many segments.
    pub segments: u64,
    /// How many blocks.
    pub blocks: u64,
    /// The length of the file.
    pub bytes: u64,
}

/// Builds a snapshot from pairs that come in the order of their keys.
///
/// Takes the memory of one segment (at most about 1 MiB, or one value), of the directory (about 100
/// bytes for each 256 KiB of file), and what the `fst` crate needs to share suffixes: a few MiB.
///
/// The file is written aside, as `NAME.aside`; [`finish`](Self::finish) gives it its name once it
/// is durable. A builder that is dropped leaves that file, which the next one of the same name, or
/// [`sweep`](super::sweep), removes.
#[derive(Debug)]
pub struct Builder<D: Disk> {
    disk: D,
    name: String,
    front: Bytes,
    /// What is not yet written, and where it goes.
    pending: Vec<u8>,
    written: u64,
    block: Vec<u8>,
    block_keys: u32,
    draft: Draft,
    directory: Vec<Segment>,
    last: Option<Key>,
    keys: u64,
    blocks: u64,
}

/// The segment that is being built.
#[derive(Debug)]
struct Draft {
    keys: Keys,
    first: Option<Key>,
    count: u64,
    key_bytes: usize,
    value_bytes: usize,
    blocks: Vec<BlockForm>,
    at: u64,
}

/// The builder of an index; a name for its type that can be debugged.
struct Keys(fst::MapBuilder<Vec<u8>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} bytes)", self.0.bytes_written())
    }
}

impl Draft {
    fn new(at: u64) -> Draft {
        Draft {
            keys: Keys(fst::MapBuilder::memory()),
            first: None,
            count: 0,
            key_bytes: 0,
            value_bytes: 0,
            blocks: Vec::new(),
            at,
        }
    }
}

/// The name under which `name` is written.
pub(super) fn aside(name: &str) -> String {
    format!("{name}.aside")
}

/// Removes a file if it is there.
pub(super) fn remove_if_there<D: Disk>(disk: &D, name: &str) -> Result<(), DiskError> {
    match disk.remove(name) {
        Err(DiskError::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// Whether something ends here: with a chance of `weight` in `mean`, thrown by a hash.
fn ends(hash: u32, weight: usize, mean: usize) -> bool {
    u64::from(hash) * (mean as u64) < (weight as u64) << 32
}

impl<D: Disk> Builder<D> {
    /// Begins the file `name`.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Disk`], and [`SnapshotError::TooLong`] for the sessions of the header.
    pub fn new(disk: D, name: &str, header: &Header) -> Result<Builder<D>, SnapshotError> {
        let front = header.front()?;
        remove_if_there(&disk, &aside(name))?;
        disk.create(&aside(name))?;
        Ok(Builder {
            disk,
            name: name.into(),
            pending: front.to_vec(),
            written: 0,
            block: Vec::new(),
            block_keys: 0,
            draft: Draft::new(front.len() as u64),
            directory: Vec::new(),
            last: None,
            keys: 0,
            blocks: 0,
            front,
        })
    }

    /// Adds a pair.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Order`] if the key is not above the last one, [`SnapshotError::TooLong`],
    /// [`SnapshotError::Disk`]. After a failed disk the builder is of no use; after the others it
    /// goes on.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        if self.last.as_ref().is_some_and(|last| *last >= *key) {
            return Err(SnapshotError::Order { key: Bytes::copy_from_slice(key) });
        }
        for (what, bytes, max) in
            [("key", key.len(), KEY_BYTES_MAX), ("value", value.len(), VALUE_BYTES_MAX)]
        {
            if bytes > max {
                return Err(SnapshotError::TooLong { what, bytes, max });
            }
        }
        let size = value_len(value);
        if self.block_keys > 0 && self.block.len() + size > BLOCK_BYTES_END {
            self.end_block();
        }
        let key = Bytes::copy_from_slice(key);
        self.draft.keys.0.insert(&key, self.draft.count).expect("keys rise, memory does not fail");
        self.draft.first.get_or_insert_with(|| key.clone());
        self.draft.count += 1;
        self.draft.key_bytes += key.len();
        self.draft.value_bytes += size;
        put_value(&mut self.block, value);
        self.block_keys += 1;
        self.keys += 1;
        let hash = crc32c(&key);
        self.last = Some(key);
        let segment_bytes = self.draft.key_bytes + self.draft.value_bytes;
        if segment_bytes >= SEGMENT_BYTES_END {
            self.end_block();
            return self.end_segment();
        }
        let grown = self.block.len();
        if grown >= BLOCK_BYTES_MIN && ends(hash, size, BLOCK_BYTES_MIN) {
            self.end_block();
            // Independent of the first throw, which is known to be small by now.
            let again = hash.wrapping_mul(0x9e37_79b9);
            let weight = segment_bytes / self.draft.blocks.len().max(1);
            if segment_bytes >= SEGMENT_BYTES_MIN && ends(again, weight, SEGMENT_BYTES_MIN) {
                return self.end_segment();
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        let hash: Hash = hash(&[&self.block]);
        self.draft.blocks.push(BlockForm {
            bytes: self.block.len() as u32,
            keys: self.block_keys,
            crc: crc32c(&self.block),
            hash: Bytes::copy_from_slice(&hash),
        });
        self.pending.append(&mut self.block);
        self.block_keys = 0;
        self.blocks += 1;
    }

    fn end_segment(&mut self) -> Result<(), SnapshotError> {
        let at = self.written + self.pending.len() as u64;
        let draft = std::mem::replace(&mut self.draft, Draft::new(0));
        let keys = draft.keys.0.into_inner().expect("memory does not fail");
        let index = IndexForm { keys: keys.into(), blocks: draft.blocks }.encode_to_vec();
        self.directory.push(Segment {
            first: draft.first.unwrap_or_default(),
            last: self.last.clone().unwrap_or_default(),
            at: draft.at,
            blocks_bytes: at - draft.at,
            index_bytes: index.len() as u32,
            before: self.keys - draft.count,
            keys: draft.count,
            index_crc: crc32c(&index),
            index_hash: hash(&[&index]),
        });
        self.pending.extend_from_slice(&index);
        self.draft.at = at + index.len() as u64;
        if self.pending.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), SnapshotError> {
        self.disk.write(&aside(&self.name), self.written, &self.pending)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the rest, makes it durable, gives the file its name in place of one that had it, and
    /// makes that durable.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Disk`]: then the file that had the name may still have it, or this one.
    pub fn finish(mut self) -> Result<Summary, SnapshotError> {
        if self.block_keys > 0 {
            self.end_block();
        }
        if self.draft.count > 0 {
            self.end_segment()?;
        }
        let directory = encode_directory(&self.directory);
        let footer = Footer {
            data_at: self.front.len() as u64,
            directory_at: self.written + self.pending.len() as u64,
            directory_bytes: directory.len() as u64,
            keys: self.keys,
            root: hash(&[&self.front, &directory]),
            directory_crc: crc32c(&directory),
        };
        self.pending.extend_from_slice(&directory);
        self.pending.extend_from_slice(&footer.encode());
        self.write()?;
        publish(&self.disk, &aside(&self.name), &self.name)?;
        Ok(Summary {
            keys: self.keys,
            segments: self.directory.len() as u64,
            blocks: self.blocks,
            bytes: footer.directory_at + footer.directory_bytes + FOOTER as u64,
        })
    }
}

/// Gives a file that is complete its name: whoever looks after a crash finds what had that name
/// before, or this one, whole.
pub(super) fn publish<D: Disk>(disk: &D, from: &str, to: &str) -> Result<(), DiskError> {
    mutant!(UnsyncedSnapshot, disk.sync(from), Ok(()))?;
    disk.rename(from, to)?;
    mutant!(RenameUnsynced, disk.sync_dir(), Ok(()))
}
