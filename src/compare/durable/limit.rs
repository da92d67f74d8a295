//! What the disk can do: the same groups, and nothing else.

use super::meter::Group;
use crate::disk::{Disk, RealDisk};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes and syncs these groups, each list on a thread of its own, into files whose space is
/// reserved; gives how long it took until the last one was done.
pub(super) fn run(place: &Path, lists: &[Vec<Group>]) -> io::Result<Duration> {
    let mut files = Vec::new();
    for (nth, groups) in lists.iter().enumerate() {
        let name = format!("limit-{nth}");
        let file =
            OpenOptions::new().create(true).write(true).truncate(true).open(place.join(&name))?;
        let bytes = groups.iter().map(Group::bytes).sum();
        let disk = RealDisk::new(place).map_err(io::Error::other)?;
        disk.preallocate(&name, bytes).map_err(io::Error::other)?;
        file.sync_all()?;
        files.push(file);
    }
    let longest = lists.iter().flatten().flat_map(|group| &group.writes).max();
    let bytes = vec![0x5a; longest.copied().unwrap_or(0)];
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .iter()
            .zip(lists)
            .map(|(file, groups)| scope.spawn(|| write(file, groups, &bytes)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(began.elapsed())
}

fn write(file: &File, groups: &[Group], bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    for group in groups {
        for len in &group.writes {
            file.write_all_at(&bytes[..*len], at)?;
            at += *len as u64;
        }
        file.sync_data()?;
    }
    Ok(())
}
