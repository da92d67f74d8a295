//! `traft inspect`: what the files of a replica hold, and whether it is sound. Nothing here writes.

#[cfg(unix)]
mod diff;
#[cfg(unix)]
mod log;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod print;
#[cfg(unix)]
mod snapshot;
#[cfg(unix)]
mod verify;

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What came of it: the text for standard output, and complaints for standard error; or one
/// sentence that says why there is nothing to say.
pub(super) type Outcome = Result<(String, Vec<String>), String>;

#[derive(Subcommand, Debug)]
pub(super) enum InspectTask {
    /// Show a log: what a start would believe, where it lies, and what is damaged
    #[command(after_help = WAL_GUIDE)]
    Wal(WalArgs),
    /// Show a snapshot, and look at every byte of it
    #[command(after_help = SNAPSHOT_GUIDE)]
    Snapshot(SnapshotArgs),
    /// Look at every byte of the log and the snapshots of a replica
    #[command(after_help = VERIFY_GUIDE)]
    Verify(VerifyArgs),
    /// Say how the logs and the newest snapshots of two replicas differ
    #[command(after_help = DIFF_GUIDE)]
    Diff(DiffArgs),
}

/// What may be asked of a log.
#[derive(Args, Debug)]
pub(super) struct WalArgs {
    /// The directory of the log, or of a replica that has it in a directory below
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Every record, with its place
    #[arg(long)]
    records: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What may be asked of a snapshot.
#[derive(Args, Debug)]
pub(super) struct SnapshotArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What may be asked of a replica.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// The directory of a replica; what lies in directories directly below it counts too
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What may be asked of two replicas.
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The directory of a replica, or a snapshot
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

const WAL_GUIDE: &str = "\
Says what the next start would hand to the replica, by the same decisions, and changes nothing: no
tail is cut, no lock is kept, permission to read is enough. A log that a process has open can be
looked at; the output says so, because what is being written then may look like an interrupted
write.

How to read it: a leader is TERM#NODE; <3#2 @17 w:x> is the record of leader 3#2 at position 17 that
writes x; {..42 45 50..60} is everything below 42, and 45, and 50 to 59. Damage is given by file,
sector and byte; design/wal-recovery.md has the table by which it is judged.

Examples:
  traft inspect wal data
  traft inspect wal data --records
  traft inspect wal data --json

Exit codes:
  0  sound; an interrupted write at the end is sound
  1  something acknowledged may be missing; where, and what that means, is on standard error
  2  the command line is wrong, or there is no log";

const SNAPSHOT_GUIDE: &str = "\
Reads the whole file and looks at every checksum, every hash and every key. Keys are shown with
escapes for what is not printable.

Examples:
  traft inspect snapshot data/000000000000002a.snap
  traft inspect snapshot data/000000000000002a.snap --json

Exit codes:
  0  whole
  1  damaged; where, and what that means, is on standard error
  2  the command line is wrong, or the file is no snapshot";

const VERIFY_GUIDE: &str = "\
Reads every log and every snapshot in the directory and directly below it, looks at every checksum,
and at whether they fit each other: all of one cluster, and whatever the log has purged in a whole
snapshot. Changes nothing.

Examples:
  traft inspect verify data
  traft inspect verify data --json

Exit codes:
  0  clean
  1  damage; where, and what that means, is on standard error
  2  the command line is wrong, or there is neither a log nor a snapshot";

const DIFF_GUIDE: &str = "\
Compares promises, committers, lineages, membership and records of the logs, and the positions done
and the keys of the newest snapshots. Two replicas may differ in all of that and be right: each has
its own promise, and what one lacks it may get. Two different records of one leader at one position
are never right.

Examples:
  traft inspect diff data/one data/two
  traft inspect diff one/000000000000002a.snap two/000000000000002a.snap
  traft inspect diff data/one data/two --json

Exit codes:
  0  the same
  1  they differ, or one of them is damaged
  2  the command line is wrong, or there is nothing to compare";

/// Does what is asked.
#[cfg(unix)]
pub(super) fn run(task: &InspectTask) -> Outcome {
    match task {
        InspectTask::Wal(args) => log::run(&args.dir, args.records, args.json),
        InspectTask::Snapshot(args) => snapshot::run(&args.file, args.json),
        InspectTask::Verify(args) => verify::run(&args.dir, args.json),
        InspectTask::Diff(args) => diff::run(&args.a, &args.b, args.json),
    }
}

/// The disk port has no real disk elsewhere.
#[cfg(not(unix))]
pub(super) fn run(_: &InspectTask) -> Outcome {
    Err("files can be inspected on Unix only".into())
}
