//! The commands of `traft` about the store, for the program's command line.

mod data;
mod load;
mod nemesis;
mod url;

pub use data::{GetArgs, PutArgs, WatchArgs, get, put, watch};
pub use load::{GUIDE as LOAD_GUIDE, LoadArgs, run as load};
pub use nemesis::{GUIDE as NEMESIS_GUIDE, NemesisArgs, run as nemesis};
pub use url::{Url, UrlError};

use super::cluster::{Cluster, ClusterOptions};
use super::metrics::Metrics;
use crate::disk::RealDisk;
use clap::{Args, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What follows the options of `traft cluster up --help`.
pub const UP_GUIDE: &str = "\
Each replica keeps its log and its snapshots in a directory of its own, DIR/1, DIR/2 and so on, and
goes on from there when it is started again. For each one a line is printed: redis://HOST:PORT. Any
of them takes any command. Ctrl-c ends all of them in good order.

Examples:
  traft cluster up store
      three replicas, on ports that are free
  traft cluster up -n 5 --port 7000 store
      five, on the ports 7000 to 7004
  TRAFT_PASSWORD=secret traft cluster up store
      clients have to say AUTH secret

Exit codes:
  0  it was told to end
  2  a directory or a port cannot be used

Every command, and what differs from Redis: docs/redis.md";

/// A cluster on this machine.
#[derive(Subcommand, Debug)]
pub enum ClusterTask {
    /// Start replicas in this process that speak the Redis protocol
    #[command(after_help = UP_GUIDE)]
    Up(UpArgs),
}

/// Of `traft cluster up`.
#[derive(Args, Debug)]
pub struct UpArgs {
    /// Where they keep their files
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// How many replicas
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    /// The port of the first one, the others follow; 0 takes any that are free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// A replica that does not lead sends clients to the one that does, instead of asking it
    #[arg(long)]
    redirect: bool,
    /// Let clients cut replicas off from each other, as `traft nemesis` does
    #[arg(long)]
    faults: bool,
    /// Serve figures for Prometheus at this address: /metrics, /health and /ready
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<SocketAddr>,
    /// Take a snapshot after so many commands
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_records: u64,
}

/// The variable that holds the password: a command line can be seen by everybody on the machine.
const PASSWORD: &str = "TRAFT_PASSWORD";

/// `traft cluster up`: serves until it is told to end.
///
/// # Errors
///
/// One sentence.
pub fn up(args: &UpArgs) -> Result<(), String> {
    if args.port.checked_add(args.replicas).is_none() {
        return Err(format!("--port {} leaves no room for the others", args.port));
    }
    let password = match std::env::var(PASSWORD) {
        Ok(password) if password.is_empty() => None,
        Ok(password) => Some(password),
        Err(std::env::VarError::NotPresent) => None,
        Err(error) => return Err(format!("{PASSWORD}: {error}")),
    };
    let options = ClusterOptions {
        port: args.port,
        password,
        redirect: args.redirect,
        faults: args.faults,
        snapshot_records: args.snapshot_records,
    };
    let mut disks = Vec::new();
    for id in 1..=args.replicas {
        let dir = args.dir.join(id.to_string());
        disks.push(RealDisk::new(&dir).map_err(|error| format!("{}: {error}", dir.display()))?);
    }
    // Before anything starts, so that an early ctrl-c is not lost.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let cluster = Cluster::up(disks, &options).map_err(|error| error.to_string())?;
    let metrics = args.metrics.map(|address| Metrics::start(address, cluster.boards())).transpose();
    let metrics = metrics.map_err(|error| format!("--metrics: {error}"))?;
    if let Some(metrics) = &metrics {
        eprintln!("traft: figures at http://{}/metrics", metrics.address());
    }
    {
        // Whoever started this may not listen: that is no reason to end.
        let mut out = std::io::stdout().lock();
        for address in cluster.addresses() {
            let _ = writeln!(out, "redis://{address}");
        }
        let _ = out.flush();
    }
    let _ = signals.forever().next();
    eprintln!("traft: ending");
    drop(metrics);
    drop(cluster);
    Ok(())
}
