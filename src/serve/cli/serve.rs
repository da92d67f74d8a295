//! `traft serve`: one replica, which talks to the others over the network.

use super::Ended;
use super::join::{JoinError, Learned, Newcomer};
use super::settings::{Life, ServeArgs, Settings, Transport, cluster_number};
use super::{steps, wiped_after};
use crate::base::ReplicaId;
use crate::disk::{Faulty, RealDisk, Trouble};
#[cfg(feature = "quic")]
use crate::net::Quic;
use crate::net::{Apart, Credentials, Grpc, NetError, NetOptions, Version};
use crate::runtime::{self, Inbox, Network, NodeOptions, Post, Start};
use crate::serve::{
    Cluster, Door, Invitation, Metrics, Options, Seating, Standing, UpError, certs,
};
use rustix::process::getppid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::io::Write;
#[cfg(feature = "quic")]
use std::net::UdpSocket;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{fmt, util::SubscriberInitExt};

/// What follows the options of `traft serve --help`.
pub(super) const GUIDE: &str = "\
One process is one replica. It speaks the Redis protocol to clients, and gRPC with mutual TLS to the
other replicas; without --certs only to replicas of this machine, in the clear. When it serves it
prints redis://HOST:PORT. Ctrl-c and SIGTERM end it in good order: what it has taken is answered.
SIGHUP has it read its certificates and the password again.

Flags go before the environment, and that before the file:
  id = 1                          # TRAFT_ID
  cluster = \"orders\"              # TRAFT_CLUSTER
  dir = \"/var/lib/traft\"
  listen = \"0.0.0.0:6379\"
  peer-listen = \"0.0.0.0:7379\"
  certs = \"/etc/traft/1\"
  [peers]
  1 = \"10.0.0.1:7379\"
  2 = \"10.0.0.2:7379\"
  3 = \"10.0.0.3:7379\"
  [clients]
  1 = \"10.0.0.1:6379\"

Of a cluster that runs, --join names some replicas, where clients reach them, and the new one
learns the rest from whoever leads. It counts for nothing until `traft member add`. What it learned
stays in its directory (joined.toml), and later starts ask nobody.

A replica that starts for the first time is told so with --new. Later an empty directory is one that
was lost: it does not start, unless --wiped says that this is known.

Examples:
  traft cert init certs -n 3
      an authority, and what each of three replicas needs: certs/1, certs/2, certs/3
  traft serve --id 1 --cluster orders --dir store --certs certs/1 --new \\
        --peers 1=10.0.0.1:7379,2=10.0.0.2:7379,3=10.0.0.3:7379 \\
        --peer-listen 0.0.0.0:7379 --listen 0.0.0.0:6379
      the first of three, for the first time
  traft serve --id 4 --dir store --certs certs/4 --join 10.0.0.1:6379,10.0.0.2:6379 \\
        --peer-listen 10.0.0.4:7379 --listen 10.0.0.4:6379
      a fourth, which joins them
  traft serve --config /etc/traft/traft.toml --check-config
      say what is wrong with it, or what it comes to

Exit codes:
  0  it was told to end
  1  the replica stopped: its disk failed, or there is a bug; standard error says which
  2  the configuration is wrong, or a directory, a port or a certificate cannot be used

Deploying it: docs/deploy.md";

/// How long a leader that ends tries to have another one in its place before: clients wait less for
/// that than for an election.
const HANDOVER: Duration = Duration::from_millis(500);

/// How much of a snapshot that stays in its file is kept in memory once it was read.
const CACHE_BYTES: usize = 32 << 20;

/// How often it looks whether it is to end, and what has become of the replica.
const GLANCE: Duration = Duration::from_millis(50);

/// `traft serve`: serves until it is told to end, or the replica has ended.
///
/// # Errors
///
/// One sentence.
pub(super) fn run(args: &ServeArgs) -> Result<Ended, String> {
    let newcomer = args.newcomer()?;
    match &newcomer {
        Some(newcomer) if args.check_config => {
            let _ = write!(std::io::stdout().lock(), "{newcomer}");
            return Ok(Ended::Well);
        }
        Some(newcomer) => {
            if let Err(error) = learn(newcomer) {
                let why = error.to_string();
                return if error.is_passing() { Ok(Ended::Failed(why)) } else { Err(why) };
            }
        }
        None => {}
    }
    let mut settings = args.settings()?;
    if newcomer.is_some() && settings.life == Life::Again {
        settings.life = Life::New;
    }
    let credentials = settings.certs.as_ref().map(|dir| certs::load(dir)).transpose();
    let credentials = credentials.map_err(|error| format!("certs: {error}"))?;
    if args.check_config {
        let _ = write!(std::io::stdout().lock(), "{settings}");
        return Ok(Ended::Well);
    }
    if settings.is_logged {
        log()?;
    }
    // Before anything starts, so that an early ctrl-c is not lost.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| error.to_string())?;
    let Settings { id, listen, peer_listen, .. } = settings;
    let opened = |what: &str, address, why: &dyn std::fmt::Display| {
        format!("{what} {address} cannot be opened: {why}")
    };
    let door = Door::open(listen).map_err(|error| opened("listen", listen, &error))?;
    let mut options = NetOptions::new(id, settings.peers.clone());
    options.cluster = cluster_number(&settings.cluster);
    options.credentials = credentials;
    options.wire_max = settings.wire_max;
    let network = Line::open(settings.transport, peer_listen, options);
    let network = network.map_err(|error| opened("peer-listen", peer_listen, &error))?;
    let address = door.address();
    let mut seating = seating(&settings, door)?;
    seating.server.invitation = Some(Invitation {
        cluster: settings.cluster.clone(),
        members: settings.members.clone(),
        transport: settings.transport.name(),
        peers: network.addresses(),
        wire: network.spoken(),
    });
    let recorder = args.trace.as_ref().map(|dir| steps::recorder(dir, id.0));
    seating.node.recorder = recorder.transpose()?;
    let cluster = start(seating, &network, args.faulty_disk);
    let cluster = cluster.map_err(|error| error.to_string())?;
    let metrics = settings.metrics.map(|address| Metrics::start(address, cluster.boards()));
    let metrics = metrics.transpose().map_err(|error| format!("metrics: {error}"))?;
    if let Some(metrics) = &metrics {
        say(&format!("figures at http://{}/metrics", metrics.address()));
    }
    say(&format!("{id} of {:?}, other replicas reach it at {peer_listen}", settings.cluster));
    // Whoever started this may not listen: that is no reason to end.
    let _ = writeln!(std::io::stdout().lock(), "redis://{address}");
    let parent = args.with_parent.then(getppid).flatten();
    let is_orphan = || parent.is_some() && getppid() != parent;
    let stopped = watch(&cluster, &mut signals, is_orphan, || reload(args, &network, &cluster));
    drop((metrics, cluster, network));
    Ok(match stopped {
        None => Ended::Well,
        Some(why) => Ended::Failed(format!("{id} has stopped: {why}")),
    })
}

/// Asks those that it is to join, and leaves what it learns in its directory.
fn learn(newcomer: &Newcomer) -> Result<(), JoinError> {
    let learned = newcomer.learn()?;
    learned.write(&newcomer.dir)?;
    let Learned { from, cluster, peers, .. } = &learned;
    let peers: Vec<String> = peers.iter().map(|(id, at)| format!("n{id} at {at}")).collect();
    say(&format!("joins {cluster:?}, as {from} says: {}", peers.join(", ")));
    let id = newcomer.id.0;
    say(&format!("to make it a voter: traft member add {id} --url redis://{from}"));
    Ok(())
}

/// From now on standard error has what this library says of itself; what others do is theirs.
fn log() -> Result<(), String> {
    let own = Targets::new().with_target("traft", Level::DEBUG);
    let lines = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let set = tracing_subscriber::registry().with(lines.with_filter(own)).try_init();
    set.map_err(|error| format!("log: {error}"))
}

/// Reads certificates and the password again, and goes by them from now on. What cannot be used is
/// said, and nothing of it changes; all other settings are those of the start.
fn reload(args: &ServeArgs, network: &Line, cluster: &Cluster) {
    let again = args.settings().and_then(|settings| {
        let loaded = settings.certs.as_ref().map(|dir| certs::load(dir)).transpose();
        Ok((loaded.map_err(|error| format!("certs: {error}"))?, settings.password))
    });
    let done = again.and_then(|(credentials, password)| {
        if let Some(credentials) = credentials {
            network.reload(&credentials).map_err(|error| format!("certs: {error}"))?;
        }
        cluster.set_password(password.as_deref());
        Ok(())
    });
    match done {
        Ok(()) => say("certificates and password are read again"),
        Err(why) => say(&format!("certificates and password stay as they were: {why}")),
    }
}

/// With a disk that fares as it is told, if it is to be one.
fn start(
    mut seating: Seating<RealDisk>,
    network: &Line,
    is_faulty: bool,
) -> Result<Cluster, UpError> {
    if !is_faulty {
        return Cluster::start(vec![seating], network, false);
    }
    let trouble = Trouble::default();
    seating.server.trouble = Some(trouble.clone());
    let Seating { disk, door, node, server } = seating;
    let disk = Faulty::new(disk, trouble);
    Cluster::start(vec![Seating { disk, door, node, server }], network, false)
}

/// What replicas talk over.
enum Line {
    Grpc(Grpc),
    #[cfg(feature = "quic")]
    Quic(Quic),
}

impl Line {
    fn open(
        transport: Transport,
        address: SocketAddr,
        options: NetOptions,
    ) -> Result<Line, NetError> {
        match transport {
            Transport::Grpc => Grpc::listen(TcpListener::bind(address)?, options).map(Line::Grpc),
            #[cfg(feature = "quic")]
            Transport::Quic => Quic::listen(UdpSocket::bind(address)?, options).map(Line::Quic),
        }
    }
}

impl Line {
    /// Where replicas are reached, as far as it knows when it is asked.
    fn addresses(&self) -> Arc<dyn Fn() -> BTreeMap<ReplicaId, String> + Send + Sync> {
        match self {
            Line::Grpc(grpc) => Arc::new(grpc.addresses()),
            #[cfg(feature = "quic")]
            Line::Quic(quic) => Arc::new(quic.addresses()),
        }
    }

    /// In which version of the wire others are written to, or why in none, when it is asked.
    fn spoken(&self) -> Arc<dyn Fn() -> BTreeMap<ReplicaId, String> + Send + Sync> {
        let one = |(id, spoken): (ReplicaId, Result<Version, Apart>)| {
            (id, spoken.map_or_else(|why| why.to_string(), |version| version.to_string()))
        };
        match self {
            Line::Grpc(grpc) => {
                let spoken = grpc.spoken();
                Arc::new(move || spoken().into_iter().map(one).collect())
            }
            #[cfg(feature = "quic")]
            Line::Quic(quic) => {
                let spoken = quic.spoken();
                Arc::new(move || spoken().into_iter().map(one).collect())
            }
        }
    }

    fn reload(&self, credentials: &Credentials) -> Result<(), NetError> {
        match self {
            Line::Grpc(grpc) => grpc.reload(credentials),
            #[cfg(feature = "quic")]
            Line::Quic(quic) => quic.reload(credentials),
        }
    }
}

impl Network<Post> for Line {
    fn join(&self, id: ReplicaId, inbox: Inbox<Post>) -> Box<dyn runtime::Transport<Post>> {
        match self {
            Line::Grpc(grpc) => grpc.join(id, inbox),
            #[cfg(feature = "quic")]
            Line::Quic(quic) => quic.join(id, inbox),
        }
    }
}

fn seating(settings: &Settings, door: Door) -> Result<Seating<RealDisk>, String> {
    let Settings { id, dir, members, seats, .. } = settings;
    let disk = RealDisk::new(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut node = NodeOptions::new(*id, members.clone());
    node.cluster = cluster_number(&settings.cluster);
    node.snapshot_records = settings.snapshot_records;
    node.resident_bytes_max = settings.resident_mib.saturating_mul(1 << 20);
    node.store.cache_bytes = CACHE_BYTES;
    node.start = match settings.life {
        Life::New => Start::First,
        Life::Again => Start::Again,
        Life::Wiped => Start::Wiped { after: wiped_after()? },
    };
    let mut seats = seats.clone();
    if let Some(own) = seats.get_mut(&id.0).filter(|own| own.1 == 0) {
        own.1 = door.address().port();
    }
    let mut server = Options::new(id.0, seats);
    server.password.clone_from(&settings.password);
    server.redirect = settings.redirect;
    Ok(Seating { disk, door, node, server })
}

/// Tells what becomes of the replica, until somebody says that it is to end: then nothing; or it
/// has ended by itself: then why.
fn watch(
    cluster: &Cluster,
    signals: &mut Signals,
    is_orphan: impl Fn() -> bool,
    reload: impl Fn(),
) -> Option<String> {
    let mut last = None;
    loop {
        let (again, end): (Vec<i32>, Vec<i32>) = signals.pending().partition(|s| *s == SIGHUP);
        if !again.is_empty() {
            reload();
        }
        if is_orphan() || !end.is_empty() {
            say("ending");
            cluster.local().hand_over(HANDOVER);
            return None;
        }
        let standing = cluster.local().standings().pop().unwrap_or_default();
        if standing.stopped.is_some() {
            return standing.stopped;
        }
        let told = told(&standing);
        if last.as_ref() != Some(&told) {
            say(&told);
            last = Some(told);
        }
        std::thread::sleep(GLANCE);
    }
}

fn told(standing: &Standing) -> String {
    let role = match (standing.leads, standing.leader) {
        (true, _) => "leads".to_string(),
        (false, Some(leader)) => format!("follows n{leader}"),
        (false, None) => "knows no leader".to_string(),
    };
    let full = if standing.full { "; its disk is full, so it takes no writes" } else { "" };
    let doubt = match standing.doubtful {
        true => "; it does not vote until it has been given back what it lost",
        false => "",
    };
    format!("{role}{full}{doubt}")
}

fn say(what: &str) {
    // Whoever started this may not listen: that is no reason to end.
    let _ = writeln!(std::io::stderr().lock(), "traft: {what}");
}
