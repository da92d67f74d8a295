//! Which snapshot is the one, and which may take its place.

use super::build::remove_if_there;
use crate::base::{Lsn, TailBitmap};
use crate::disk::{Disk, DiskError};

const SUFFIX: &str = ".snap";

/// Why a snapshot is not installed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is another cluster's. The sender is not who it seems to be.
    #[error("the snapshot is that of cluster {found}")]
    Cluster {
        /// Whose it is.
        found: u64,
    },
    /// It brings nothing: its done prefix is not longer. Ask for a newer one, or for records.
    #[error(
        "the snapshot has everything below {offered}, and here everything below {here} is done"
    )]
    NotLonger {
        /// Its done prefix.
        offered: Lsn,
        /// The one here.
        here: Lsn,
    },
    /// Something done here would be undone, and could not be done again. Ask for a newer one, or
    /// keep the record.
    #[error("the snapshot lacks {position}, which is done here and neither held nor covered")]
    Loses {
        /// The first such position.
        position: Lsn,
    },
}

/// Whether a snapshot of the positions `offered` may take the place of a state of the positions
/// `done` (algorithm.md, Purging). `held` is what is held or covered here: that can be done again.
///
/// So what is done never shrinks for good.
///
/// # Errors
///
/// See [`Refusal`].
pub fn check_install(
    offered: &TailBitmap,
    done: &TailBitmap,
    held: &TailBitmap,
) -> Result<(), Refusal> {
    let (offset, here) = (offered.offset(), done.offset());
    if offset <= here {
        return Err(Refusal::NotLonger { offered: offset, here });
    }
    let lost = done.difference_iter(offered).find(|position| !held.contains(*position));
    lost.map_or(Ok(()), |position| Err(Refusal::Loses { position }))
}

/// The name of a snapshot of these positions: names are in the order of done prefixes.
pub fn snapshot_name(done: &TailBitmap) -> String {
    format!("{:016x}{SUFFIX}", done.offset().0)
}

/// The name of the mark that a read of the snapshot of this name has failed.
pub fn suspect(name: &str) -> String {
    format!("{name}.suspect")
}

/// Whether a file of this name is a snapshot that is complete.
pub fn is_snapshot_name(name: &str) -> bool {
    prefix(name).is_some()
}

fn prefix(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX).filter(|digits| {
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The names of all snapshots, that with the longest done prefix first.
///
/// # Errors
///
/// What the disk says.
pub fn newest_first<D: Disk>(disk: &D) -> Result<Vec<String>, DiskError> {
    let mut names = disk.list()?;
    names.retain(|name| prefix(name).is_some());
    names.reverse();
    Ok(names)
}

/// The name of the snapshot that counts: the one with the longest done prefix.
///
/// A crash never leaves a broken one under such a name. So if it does not open, the disk has gone
/// bad; an older one in its place would lack what was purged from the log since.
///
/// # Errors
///
/// What the disk says.
pub fn newest<D: Disk>(disk: &D) -> Result<Option<String>, DiskError> {
    Ok(newest_first(disk)?.into_iter().next())
}

/// Removes the snapshots older than `keep`, what came of builders that were dropped, and transfers
/// that are of no use any more. To be called when `keep` is open and no builder is at work.
///
/// # Errors
///
/// What the disk says.
pub fn sweep<D: Disk>(disk: &D, keep: &str) -> Result<(), DiskError> {
    for name in disk.list()? {
        let plain = name.strip_suffix(".suspect").unwrap_or(&name);
        let (plain, partial) = match plain.strip_suffix(".part") {
            Some(plain) => (plain, true),
            None => (plain, false),
        };
        let old = prefix(plain).is_some() && (plain < keep || plain == keep && partial);
        if old || name.strip_suffix(".aside").is_some_and(|plain| prefix(plain).is_some()) {
            remove_if_there(disk, &name)?;
        }
    }
    disk.sync_dir()
}
