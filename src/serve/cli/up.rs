//! `traft cluster up`: a store on this machine.

#[cfg(feature = "net")]
use super::processes::look_after;
use super::{password, steps, wiped_after};
use crate::base::ReplicaId;
use crate::disk::RealDisk;
use crate::runtime::{Recorder, Start};
#[cfg(feature = "net")]
use crate::serve::fleet::{Fleet, Plan};
use crate::serve::{Cluster, ClusterOptions, Metrics};
use clap::{Args, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What follows the options of `traft cluster up --help`.
pub(super) const GUIDE: &str = "\
Each replica keeps its log and its snapshots in a directory of its own, DIR/1, DIR/2 and so on, and
goes on from there when it is started again. For each one a line is printed: redis://HOST:PORT. Any
of them takes any command. Ctrl-c ends all of them in good order.

DIR/cluster says that the cluster was created, and of how many. From then on a replica whose
directory is empty has lost what it acknowledged: it does not start, unless --wiped says that this
is known. Then it follows, without a vote, until the others have given it everything back.

With --processes each replica is a process of `traft serve`, with the configuration DIR/N.toml and
certificates of DIR/certs. What they say is said here, with their names before it. One that ends by
itself, or is killed, is started again after a second. A directory is for one or the other way.

Examples:
  traft cluster up store
      three replicas, on ports that are free
  traft cluster up -n 5 --port 7000 store
      five, on the ports 7000 to 7004
  traft cluster up --processes store
      three processes: kill -9 one of them and see
  TRAFT_PASSWORD=secret traft cluster up store
      clients have to say AUTH secret
  traft cluster up --wiped 2 store
      go on, though DIR/2 is lost

Exit codes:
  0  it was told to end
  2  a directory or a port cannot be used

Every command, and what differs from Redis: docs/redis.md";

/// A cluster on this machine.
#[derive(Subcommand, Debug)]
pub enum ClusterTask {
    /// Start all replicas of a store that speaks the Redis protocol
    #[command(after_help = GUIDE)]
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
    /// A process for each, which talk over the network with certificates
    #[cfg(feature = "net")]
    #[arg(long, conflicts_with_all = ["faults", "metrics"])]
    processes: bool,
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
    /// Record each step of each replica there, for `traft check trace`; that takes its time
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
    /// This replica has lost its directory: it follows until it has everything back
    #[arg(long, value_name = "N")]
    wiped: Vec<u64>,
    /// Take a snapshot after so many commands
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_records: u64,
}

/// `traft cluster up`: serves until it is told to end.
///
/// # Errors
///
/// One sentence.
pub(super) fn up(args: &UpArgs) -> Result<(), String> {
    if args.port.checked_add(args.replicas).is_none() {
        return Err(format!("--port {} leaves no room for the others", args.port));
    }
    let created = created(&args.dir, args.replicas)?;
    #[cfg(feature = "net")]
    if args.processes {
        return processes(args, created);
    }
    let options = ClusterOptions {
        port: args.port,
        password: password()?,
        redirect: args.redirect,
        faults: args.faults,
        snapshot_records: args.snapshot_records,
        start: if created { Start::Again } else { Start::First },
        start_of: wiped(&args.wiped, args.replicas)?,
        recorders: recorders(args)?,
    };
    let mut disks = Vec::new();
    for id in 1..=args.replicas {
        let dir = args.dir.join(id.to_string());
        disks.push(RealDisk::new(&dir).map_err(|error| format!("{}: {error}", dir.display()))?);
    }
    // Before anything starts, so that an early ctrl-c is not lost.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let cluster = Cluster::up(disks, &options).map_err(|error| error.to_string())?;
    if !created {
        note_created(&args.dir, args.replicas)?;
    }
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

/// Who records the steps of each replica, if somebody does.
fn recorders(args: &UpArgs) -> Result<BTreeMap<ReplicaId, Recorder>, String> {
    let Some(dir) = &args.trace else { return Ok(BTreeMap::new()) };
    let one = |id: u16| Ok((ReplicaId(id.into()), steps::recorder(dir, id.into())?));
    (1..=args.replicas).map(one).collect()
}

/// The same with a process for each replica.
#[cfg(feature = "net")]
fn processes(args: &UpArgs, created: bool) -> Result<(), String> {
    let known = wiped(&args.wiped, args.replicas)?;
    std::fs::create_dir_all(&args.dir).map_err(|e| format!("{}: {e}", args.dir.display()))?;
    let mut flags = vec![format!("--snapshot-records={}", args.snapshot_records)];
    flags.extend(args.redirect.then(|| "--redirect".to_string()));
    flags.extend(args.trace.as_ref().map(|dir| format!("--trace={}", dir.display())));
    let plan = Plan {
        program: std::env::current_exe().map_err(|error| error.to_string())?,
        dir: args.dir.clone(),
        replicas: args.replicas.into(),
        members: None,
        port: args.port,
        flags,
    };
    // Before anything starts, so that an early ctrl-c is not lost.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let fleet = Fleet::new(plan).map_err(|error| error.to_string())?;
    let first = |id| match (created, known.contains_key(&id)) {
        (_, true) => vec!["--wiped"],
        (false, _) => vec!["--new"],
        (true, _) => Vec::new(),
    };
    let note = || if created { Ok(()) } else { note_created(&args.dir, args.replicas) };
    look_after(fleet, first, note, &mut signals)
}

/// The file in the directory of a cluster that says that it was created, and of how many.
const CREATED: &str = "cluster";

/// Whether a cluster of so many replicas was created in the directory. One that was interrupted
/// while it was created was not: it has told nobody anything.
fn created(dir: &Path, replicas: u16) -> Result<bool, String> {
    let file = dir.join(CREATED);
    let text = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        text => text.map_err(|error| format!("{}: {error}", file.display()))?,
    };
    match text.strip_prefix("replicas ").and_then(|count| count.trim().parse::<u16>().ok()) {
        Some(count) if count == replicas => Ok(true),
        Some(count) => Err(format!("{} has a cluster of {count}: say -n {count}", dir.display())),
        None => Err(format!("{} does not say how many replicas there are", file.display())),
    }
}

/// All replicas have begun their logs.
fn note_created(dir: &Path, replicas: u16) -> Result<(), String> {
    let file = dir.join(CREATED);
    let write = || {
        let mut out = std::fs::File::create(&file)?;
        writeln!(out, "replicas {replicas}")?;
        out.sync_all()?;
        std::fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

/// What an empty directory means at replicas of which it is known.
fn wiped(ids: &[u64], replicas: u16) -> Result<BTreeMap<ReplicaId, Start>, String> {
    let after = wiped_after()?;
    let known = 1..=u64::from(replicas);
    match ids.iter().find(|id| !known.contains(id)) {
        Some(id) => Err(format!("--wiped {id}: there are replicas 1 to {replicas}")),
        None => Ok(ids.iter().map(|id| (ReplicaId(*id), Start::Wiped { after })).collect()),
    }
}
