//! A snapshot: one file that holds a state of the machine and can be asked without loading it.
//!
//! ```text
//!   prologue header | block block ... index | block ... index | ... | directory | footer
//!                   `------ segment -------'`--- segment ----'
//!
//!   index      the keys of its segment, as an automaton from key to rank, and where its blocks lie
//!   block      values in the order of their keys, about 4 KiB
//!   directory  where each segment lies, and its first and last key
//! ```
//!
//! Immutable: built once from sorted pairs ([`Builder`]), written aside, synced, renamed. A state
//! is that of a *set* of positions (algorithm.md, Words: done), not of an index, and the file says
//! which set ([`Header`]). The format, byte by byte, is in docs/format-snapshot.md.
//!
//! # What is read when
//!
//! [`Snapshot::open`] reads both ends of the file and keeps the directory: about 100 bytes of
//! memory for each 256 KiB of file. A `get` then reads one index and one block, through a cache of
//! a stated size. Every part has a checksum, looked at whenever the part is read, so damage is a
//! [`Damage`] that names the keys it concerns, and the rest of the file can still be used.
//!
//! # Why the file is not mapped into memory
//!
//! A map is a slice that changes when the file does, which Rust calls undefined behaviour: making
//! one is `unsafe`, however it is wrapped, and this crate forbids that. There are two more reasons.
//! A sector that cannot be read is an error here, and a signal that ends the process in a map. And
//! a file that is read through the [disk port](crate::disk) is the same code on the simulated disk,
//! where it meets every fault.
//!
//! # How one is taken while commands go on
//!
//! The state is the last snapshot and what changed since: an [`Overlay`]. To take a snapshot,
//! [`freeze`](Live::freeze) the overlay, which is a swap and takes no time, and go on with a new
//! one above it. Then build, at leisure and on another thread, from the [`View`] of what was
//! [`Frozen`]: the old file and the changes over it.

mod build;
mod cache;
mod format;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the schema")]
#[rustfmt::skip]
mod generated;
mod install;
mod keys;
mod parcel;
mod parts;
mod plan;
mod range;
mod read;
mod receive;
mod transfer;
mod verify;
mod view;

pub use build::{Builder, Summary};
pub use format::{Header, VERSION};
pub use install::{
    Refusal, check_install, is_snapshot_name, newest, newest_first, snapshot_name, suspect, sweep,
};
pub use parcel::{PARCEL_BYTES_MAX, PARCEL_VERSION, Parcel, ParcelError, Transfer};
pub use range::Range;
pub use read::{Layout, Snapshot};
pub use receive::{Progress, ReceiveError, Receiver, TransferOptions};
pub use transfer::{Chunk, Offer, SendError, Want, serve};
pub use view::{Change, Frozen, Live, Merged, Overlay, View};

use crate::base::{Key, KeyRange};
use crate::disk::DiskError;
use std::fmt;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// The longest value, in bytes: as much as a frame on the wire.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The first bytes.
    Prologue,
    /// Whose state it is, and of which positions.
    Header,
    /// Values.
    Block,
    /// Keys.
    Index,
    /// Where the segments lie.
    Directory,
    /// The last bytes.
    Footer,
}

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The file ends before the part does: it was cut off.
    #[error("the file ends too early")]
    CutOff,
    /// The bytes are not those that were written.
    #[error("the checksum does not fit")]
    Checksum,
    /// The checksum fits, and yet this is nothing that a builder writes.
    #[error("the contents make no sense")]
    Malformed,
    /// The disk cannot read it.
    #[error("{0}")]
    Disk(DiskError),
}

/// A part of a snapshot that cannot be used. Get those keys, or the file, from another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The part.
    pub part: Part,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The keys whose values, or whose presence, cannot be told; all of them if it is not in a
    /// segment.
    pub keys: KeyRange,
    /// What is wrong.
    pub cause: Cause,
}

impl Damage {
    /// What it means for whoever wants the state.
    pub fn meaning(&self) -> &'static str {
        match self.part {
            Part::Block => "the values of these keys cannot be read; all others can",
            Part::Index => "whether these keys are there cannot be told; all others can be read",
            Part::Prologue | Part::Header | Part::Directory | Part::Footer => {
                "nothing can be read; get the snapshot from another replica"
            }
        }
    }
}

/// Why a snapshot cannot be had, or be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed, or is full. What was there before is untouched; mend it, and try again.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is no snapshot. Use the right file.
    #[error("the file is no snapshot")]
    NotSnapshot,
    /// A later version wrote it. Use that version.
    #[error("the snapshot has format {found}, and this version reads format {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// A part is damaged. What lies in others can still be read.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// A key was added that is not greater than the one before it. Sort them.
    #[error("the key {} is not above the one before it", text(.key))]
    Order {
        /// The key.
        key: Key,
    },
    /// A key or a value is longer than [`KEY_BYTES_MAX`] or [`VALUE_BYTES_MAX`]. Split it.
    #[error("a {what} of {bytes} bytes is longer than the {max} that fit")]
    TooLong {
        /// Key, value or header.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest.
        max: usize,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Prologue => "prologue",
            Part::Header => "header",
            Part::Block => "block",
            Part::Index => "index",
            Part::Directory => "directory",
            Part::Footer => "footer",
        })
    }
}

/// `block at 4096 (4100 bytes), keys "a" .. "b": the checksum does not fit`.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { part, offset, bytes, keys, cause } = self;
        write!(f, "{part} at {offset} ({bytes} bytes), {}: {cause}", range_text(keys))
    }
}

/// A key as text, with escapes for what is not printable.
pub fn text(key: &[u8]) -> String {
    format!("\"{}\"", key.escape_ascii())
}

/// `keys "a" .. "b"`, `keys from "a"`, `all keys`.
pub fn range_text(keys: &KeyRange) -> String {
    match &keys.end {
        Some(end) => format!("keys {} .. {}", text(&keys.start), text(end)),
        None if keys.start.is_empty() => "all keys".into(),
        None => format!("keys from {}", text(&keys.start)),
    }
}

/// The least key above `key`.
fn after(key: &[u8]) -> Key {
    [key, &[0]].concat().into()
}

/// The keys that begin with `prefix`.
pub fn prefix_range(prefix: &[u8]) -> KeyRange {
    // The end is the prefix with its last byte that can be raised raised by one.
    let raised = prefix.iter().rposition(|byte| *byte < u8::MAX);
    let end = raised.map(|last| {
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Key::from(end)
    });
    KeyRange { start: prefix.to_vec().into(), end }
}
