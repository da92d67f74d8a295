//! The write-ahead log: what a replica made durable, with holes, in any order of position.
//!
//! ```text
//!   append(Write) ... append(Write)        steps are composed in memory
//!            sync()                        one group, one write, one sync: all of them are durable
//!
//!   directory    0000000000000003.wal  0000000000000004.wal  ...  mark  lock
//!   segment      | group | group | group | zeros ...
//!   group        sectors of 512 bytes, each with its place and its checksum
//!   stream       head  promise lineage membership record record end  record end  padding
//!                `----------- a step --------------------------'    `-- step --'
//! ```
//!
//! Who has threads for it lets one write and sync a group while the next is composed: a
//! [`Flight`].
//!
//! A step is one [`Write`](crate::replica::Write) of the replica: after a crash all of it is there,
//! or nothing. A group is begun only when the one before it is synced, so one of its sectors proves
//! everything before it. Recovery is a table of decisions ([`decide`]); the format is in
//! docs/format-wal.md, the reasons are in design/wal-recovery.md.

mod belief;
mod flight;
mod frame;
mod index;
mod inspect;
mod open;
mod purge;
mod recover;
mod replay;
mod scan;
mod sector;
mod store;
mod survey;
mod write;

pub use flight::{Flight, Landed};
pub use inspect::{Inspection, RecordPlace, SegmentSummary, Standing, sectors};
pub use recover::{Action, Area, Evidence, Finding, Row, What, decide};
pub use store::{Doubt, Flaw, Recovered, Store};

use crate::base::{LeaderId, Lineage, Lsn, Membership, Record, ReplicaId};
use crate::disk::{Disk, DiskError};
use frame::{Head, doubtful};
use index::Index;
use sector::Stream;
pub use sector::reseal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Whose log it is. Every sector carries it, so that a file of another replica, or of an earlier
/// cluster of the same name, is never taken for one's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster: a number that the user draws once.
    pub cluster: u64,
    /// The replica.
    pub replica: ReplicaId,
}

/// What a user can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment that has reached this size, in bytes, is followed by a new one. A group may
    /// exceed it. Default 64 MiB; space is reserved in this unit, and given back in it. Very small
    /// segments cost a sync of the directory every few groups.
    pub segment_bytes: u64,
    /// When the log is opened: seconds since 1970, or any count that every replica of the cluster
    /// takes from clocks that agree. An incarnation that begins with a loss is at least this, so
    /// that one which begins later, at whichever replica, is greater (algorithm.md, Doubt 1;
    /// `design/Promises.tla`). Default 0: not known, and then a disk that loses just the promise
    /// which the loss of *another* replica had raised goes unnoticed.
    pub opened_at: u64,
}

impl Default for WalOptions {
    fn default() -> WalOptions {
        WalOptions { segment_bytes: 64 << 20, opened_at: 0 }
    }
}

/// Why the log did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// There is no room. Nothing is lost: what was appended waits, and the next sync tries again.
    /// Until then take no new proposals; reads go on.
    #[error("the disk is full")]
    Full,
    /// The disk failed. Nothing that was not reported durable may be relied on, and the log takes
    /// nothing more: drop it, and open it again to learn what is there.
    #[error("{0}; the log must be opened again")]
    Disk(#[from] DiskError),
    /// The disk failed earlier. Drop the log and open it again.
    #[error("the disk failed earlier; the log must be opened again")]
    Broken,
    /// A group is on its way to the disk: [`land`](Wal::land) that one, then ask again. Nothing was
    /// done.
    #[error("a group is on its way to the disk")]
    InFlight,
    /// Another process has the directory. Stop it, or use another directory.
    #[error("another process has the log open")]
    Locked,
    /// There is no log. A replica that had one has lost it, and must not start as if it were new;
    /// a new one calls [`Wal::create`].
    #[error("there is no log in the directory")]
    Empty,
    /// There is a log already: [`Wal::open`] it.
    #[error("there is a log in the directory already")]
    NotEmpty,
    /// The log is another replica's. Nothing was changed. Use the right directory.
    #[error("the log is that of {} in cluster {}", .found.replica, .found.cluster)]
    Identity {
        /// Whose it is.
        found: Identity,
    },
    /// Only [`Inspection::read`]: no segment says whose log it is. All of their first sectors are
    /// damaged; what a replica that knows its own name makes of them is for [`Wal::open`] to say.
    #[error("the first sectors of all {files} segments are damaged: nothing says whose log it is")]
    Nameless {
        /// How many segments there are.
        files: usize,
    },
    /// The log was written by a later version. Nothing was changed. Use that version.
    #[error("the log has format {found}, and this version reads format {}", sector::VERSION)]
    Version {
        /// Its version.
        found: u16,
    },
    /// A record that was there cannot be read any more. Open the log again: it will be in doubt.
    #[error("sector {sector} of segment {segment} is damaged")]
    Damaged {
        /// In which segment.
        segment: u64,
        /// In or after which sector.
        sector: u32,
    },
}

/// The log of one replica, in one directory of a disk. Owned by one thread.
///
/// A step is durable when [`sync`](Store::sync) says so, and not before. After a sync that failed
/// the log takes nothing more.
#[derive(Debug)]
pub struct Wal<D: Disk> {
    disk: Arc<D>,
    /// A flight has it as well, so that nobody else opens the log while one is out.
    lock: Arc<D::Lock>,
    identity: Identity,
    options: WalOptions,
    hard: Hard,
    /// What is in doubt, as bits; see [`frame::doubtful`].
    doubt: u8,
    /// Rises with each start in doubt.
    incarnation: u64,
    /// With the next sync the doubt ends.
    repairs: bool,
    /// The oldest segment that is needed.
    oldest: u64,
    sequence: u64,
    index: Index,
    /// How many sectors of each segment count, the one being written included.
    segments: BTreeMap<u64, u32>,
    /// Where the next group begins.
    at: (u64, u32),
    /// Records that the next segment starts with.
    carried: Vec<Record>,
    queue: VecDeque<Group>,
    /// The group that is being written and synced, if it is not done here and now: where it begins,
    /// and its stream, which is still read from.
    flying: Option<(u64, u32, Arc<Stream>)>,
    /// Memory of the last group, and of the frame that was composed last.
    spare: Stream,
    scratch: Vec<u8>,
    durable: u64,
    broken: bool,
    /// How often the mark was written.
    marks: u64,
    mark_is_synced: bool,
    /// More is synced than the mark says: up to this step.
    mark_due: Option<u64>,
    /// Up to which sector of which segment the disk was asked to prepare for small groups.
    prepared: (u64, u32),
}

/// What a replica knows apart from its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hard {
    voted: LeaderId,
    lineage: Lineage,
    membership: Option<(Lsn, Membership)>,
    purged: Lsn,
}

/// Steps that become durable together.
#[derive(Debug)]
struct Group {
    segment: u64,
    start: u32,
    /// Shared only while it flies, and not changed any more then.
    stream: Arc<Stream>,
    /// The segment that it opens, with the one before it.
    opens: Option<Head>,
    /// The greatest number of a [`Write`](crate::replica::Write) in it.
    number: u64,
    sequence: u64,
    /// Segments that nobody needs once it is durable.
    remove: Vec<u64>,
    /// Writing it was tried: then nothing can be added any more, because some of its sectors may be
    /// on the disk.
    sealed: bool,
}

/// The file that says what is synced.
const MARK: &str = "mark";

/// The segment number that stands for the mark in its sectors.
const MARK_SEGMENT: u64 = u64::MAX;

fn segment_name(number: u64) -> String {
    format!("{number:016x}.wal")
}

/// Whether a file of this name is a segment of a log.
pub fn is_segment_name(name: &str) -> bool {
    segment_number(name).is_some()
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}
