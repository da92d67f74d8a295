//! The disk port: one small trait for the files of one directory, a real disk and a simulated one.
//!
//! ```text
//!      wal  (and whatever else is kept)
//!       |
//!      Disk ----- RealDisk   the file system of this machine
//!           |---- SimDisk    memory, with crashes and faults, the same twice
//!           \---- Faulty     another one that hangs, fails or is full when it is told to
//! ```
//!
//! What a disk promises, and all that anybody here relies on (docs/format-wal.md has it at length):
//! 1. what [`Disk::sync`] reported done stays, in whole sectors of [`SECTOR`] bytes;
//! 2. what was written and not synced may be there, sector by sector, in any combination;
//! 3. a name created, changed or removed is certain only after [`Disk::sync_dir`];
//! 4. what was never written reads as zeros;
//! 5. after a sync that failed nothing is known about what was written since the last one that
//!    did not, whatever a later sync says.

mod faulty;
#[cfg(unix)]
mod real;
mod sim;

pub use faulty::{Faulty, Mood, Trouble};
#[cfg(unix)]
pub use real::{RealDisk, RealLock};
pub use sim::{Fault, Op, SimDisk, SimLock, State};

/// The unit in which a disk writes all or nothing, in bytes.
pub const SECTOR: usize = 512;

/// The files of one directory. Names are plain: no separators.
///
/// Calls are made in order by one owner; nobody else touches the directory while it is locked.
pub trait Disk {
    /// Holds the directory against others until it is dropped, by whatever thread.
    type Lock: Send + Sync;

    /// Takes the directory. [`DiskError::Locked`] if another process has it.
    fn lock(&self) -> Result<Self::Lock, DiskError>;

    /// The names of all files, sorted.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// A new, empty file. [`DiskError::Exists`] if there is one of that name.
    fn create(&self, name: &str) -> Result<(), DiskError>;

    /// The length of a file, in bytes.
    fn len(&self, name: &str) -> Result<u64, DiskError>;

    /// Reads from `offset` on until `buffer` is full or the file ends; says how much it read.
    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`; the file grows if it is shorter. When it fails, any
    /// sectors of it may have been written.
    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Writes at the end.
    fn append(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.write(name, self.len(name)?, bytes)
    }

    /// Makes the file at least `len` bytes long and reserves the space, so that later writes below
    /// `len` do not find the disk full. The new part reads as zeros.
    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError>;

    /// The bytes `from..to` of a file are reserved, read as zeros and will be written before long
    /// in small parts, each of them synced: a disk may use the time to make that cheaper. What can
    /// be read stays as it is, so nobody can tell whether it did; [`DiskError::Full`] does no harm.
    fn prepare(&self, _name: &str, _from: u64, _to: u64) -> Result<(), DiskError> {
        Ok(())
    }

    /// Cuts the file to `len` bytes, if it is longer.
    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError>;

    /// Makes everything written to the file so far durable.
    fn sync(&self, name: &str) -> Result<(), DiskError>;

    /// Gives a file another name; a file that had that name is gone.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes the names as they are now durable.
    fn sync_dir(&self) -> Result<(), DiskError>;
}

/// Why a disk did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// There is no room. Free some, then ask again.
    #[error("no space left for {name}")]
    Full {
        /// The file.
        name: String,
    },
    /// There is no such file.
    #[error("there is no file {name}")]
    NotFound {
        /// The file.
        name: String,
    },
    /// There is a file of that name already.
    #[error("there is a file {name} already")]
    Exists {
        /// The file.
        name: String,
    },
    /// Another process uses the directory: stop it, or use another directory.
    #[error("another process uses the directory")]
    Locked,
    /// The disk or the system failed. Whether asking again is of use is not known; after a failed
    /// sync it is not.
    #[error("{what} {name}: {why}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// The file.
        name: String,
        /// What the system said.
        why: String,
    },
}
