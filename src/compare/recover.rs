//! `traft recover`: going on without a lost majority. Unsafe, and says so.

use crate::base::{Membership, NotationError};
use crate::disk::{Disk, DiskError, RealDisk};
use crate::store::{LossAccepted, Options, RecoverError, prospect, recover};
use clap::Args;
use std::path::PathBuf;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct RecoverArgs {
    /// The directories of all replicas that are left, each of them stopped
    #[arg(required = true, value_name = "DIR")]
    survivors: Vec<PathBuf>,
    /// The membership that the cluster started with, such as "(n1 n2 n3)"
    #[arg(long, value_name = "MEMBERSHIP")]
    started_with: String,
    /// Do it. Acknowledged writes may be undone, and whoever is given up must never start again
    #[arg(long)]
    accept_loss: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
THIS CAN UNDO WHAT CLIENTS WERE TOLD. It is for a cluster that has lost so many replicas for ever
that those left can elect nobody. As long as enough of them can be brought back, with whatever is
left of their disks, do that instead: they are given back what they lost.

Without --accept-loss it changes nothing and says what may be lost. With it the replicas left are a
cluster of their own. Then start them, all of them: the first leader is elected by all, so that
whatever one of them holds is kept. After that, change the membership in the ordinary way.

If one of the replicas given up starts again, there are two clusters that believe to be one.

Examples:
  traft recover /var/lib/traft/n1 --started-with '(n1 n2 n3)'
      what is left, and what may be lost
  traft recover /var/lib/traft/n1 --started-with '(n1 n2 n3)' --accept-loss
      go on with n1 alone

Exit codes:
  0  done
  1  nothing was changed: --accept-loss was not given
  2  it cannot be done, or need not; the reason is on standard error";

/// Why there is nothing to say.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRecover {
    /// A text that is no membership.
    #[error("--started-with, {0}")]
    Notation(#[from] NotationError),
    /// A directory that cannot be opened.
    #[error("{}: {error}", .dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: DiskError,
    },
    /// See there.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// The text for standard output, and whether it was done.
pub(super) fn run(args: &RecoverArgs) -> Result<(String, bool), BadRecover> {
    let initial: Membership = args.started_with.parse()?;
    let open = |dir: &PathBuf| {
        let looked = RealDisk::read_only(dir);
        let held = looked.is_held().and_then(|held| match held {
            true => Err(DiskError::Locked),
            // It must be there: a directory is not made here.
            false => looked.list(),
        });
        let opened = held.and_then(|_| match args.accept_loss {
            true => RealDisk::new(dir),
            false => Ok(looked),
        });
        opened.map_err(|error| BadRecover::Directory { dir: dir.clone(), error })
    };
    let disks = args.survivors.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    if !args.accept_loss {
        let prospect = prospect(&disks, &initial)?;
        return Ok((format!("{prospect}nothing was changed; --accept-loss does it\n"), false));
    }
    let prospect = recover(&disks, &Options::new(initial), Some(LossAccepted))?;
    Ok((format!("{prospect}done; start all survivors, and never those given up\n"), true))
}
