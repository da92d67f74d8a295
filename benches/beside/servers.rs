//! Starting what is measured.

use crate::clients::{Target, etcd_leader, is_etcd_ready, is_resp_leader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Traft,
    Etcd,
    Redis,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Traft, Kind::Etcd, Kind::Redis];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Traft => "traft",
            Kind::Etcd => "etcd",
            Kind::Redis => "redis",
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Kind::Traft => env!("CARGO_BIN_EXE_traft").into(),
            Kind::Etcd => "etcd".into(),
            Kind::Redis => "redis-server".into(),
        }
    }

    /// Whether the program is installed.
    pub(crate) fn is_there(self) -> bool {
        let version = Command::new(self.program()).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    }
}

/// How long something may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// The processes of one kind. Dropped, they are killed.
pub(crate) struct Servers {
    kind: Kind,
    /// Where clients reach each.
    ports: Vec<u16>,
    children: Vec<Child>,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // If it has ended, nothing is there to be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that are free now; all are held until all are found, so that they differ.
fn ports(count: usize) -> Result<Vec<u16>, String> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string());
    let held: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_, _>>()?;
    let port = |listener: &TcpListener| Ok(listener.local_addr().map_err(text)?.port());
    held.iter().map(port).collect()
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

impl Servers {
    /// Starts all of them with nothing in `dir`.
    pub(crate) fn start(kind: Kind, dir: &Path) -> Result<Servers, String> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).map_err(text)?;
        let count = if kind == Kind::Redis { 1 } else { 3 };
        let (clients, peers) = (ports(2 * count)?, count);
        let (clients, peers) = clients.split_at(peers);
        let mut servers = Servers { kind, ports: clients.to_vec(), children: Vec::new() };
        for (at, port) in clients.iter().enumerate() {
            let own = dir.join((at + 1).to_string());
            std::fs::create_dir_all(&own).map_err(text)?;
            let mut command = Command::new(kind.program());
            match kind {
                Kind::Traft => traft(&mut command, at, &own, *port, peers),
                Kind::Etcd => etcd(&mut command, at, &own, *port, peers),
                Kind::Redis => redis(&mut command, &own, *port),
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().map_err(|error| format!("{}: {error}", kind.name()))?;
            servers.children.push(child);
        }
        Ok(servers)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The one that leads, once there is one.
    pub(crate) async fn leader(&self) -> Result<Target, String> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            for port in &self.ports {
                let found = match self.kind {
                    Kind::Traft | Kind::Redis => is_resp_leader(*port).await,
                    Kind::Etcd => etcd_leader(*port).await && is_etcd_ready(*port).await,
                };
                if found {
                    return Ok(match self.kind {
                        Kind::Etcd => Target::Etcd(*port),
                        _ => Target::Resp(*port),
                    });
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("{}: nobody leads", self.kind.name()))
    }
}

fn traft(command: &mut Command, at: usize, dir: &Path, port: u16, peers: &[u16]) {
    let peers = peers.iter().zip(1..).map(|(port, id)| format!("{id}=127.0.0.1:{port}"));
    let peers = peers.collect::<Vec<_>>().join(",");
    command.args(["serve", "--cluster", "beside", "--new", "--with-parent"]);
    command.args(["--id", &(at + 1).to_string(), "--peers", &peers]);
    command.args(["--listen", &format!("127.0.0.1:{port}")]).arg("--dir").arg(dir);
}

fn etcd(command: &mut Command, at: usize, dir: &Path, port: u16, peers: &[u16]) {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let all = peers.iter().zip(1..).map(|(port, id)| format!("m{id}={}", url(*port)));
    let all = all.collect::<Vec<_>>().join(",");
    command.arg("--data-dir").arg(dir).args(["--name", &format!("m{}", at + 1)]);
    command.args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)]);
    command.args(["--listen-peer-urls", &url(peers[at])]);
    command.args(["--initial-advertise-peer-urls", &url(peers[at]), "--initial-cluster", &all]);
    command.args(["--initial-cluster-state", "new", "--log-level", "error"]);
}

fn redis(command: &mut Command, dir: &Path, port: u16) {
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "always"]).arg("--dir").arg(dir);
}
