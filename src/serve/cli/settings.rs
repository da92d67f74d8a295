//! What `traft serve` is told: by flags, by the environment, by a file; and what is wrong with it.

use super::checks::{
    distinct, is_logged, local_only, members, needed, resolve, secret, seed, transport, wire_max,
};
use super::join::{NOTE, Newcomer, is_fresh};
use super::url::Url;
use crate::base::{Membership, ReplicaId};
use crate::net::Version;
use clap::Args;
use clap::builder::BoolishValueParser;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A replica and an address: `3=10.0.0.3:7379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) id: u64,
    pub(super) address: String,
}

/// Of `traft serve`. What is not said by a flag is taken from the environment, and then from the
/// file.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// A file (TOML) with what is not said here; its names are those of the flags
    #[arg(long, value_name = "FILE", env = "TRAFT_CONFIG")]
    config: Option<PathBuf>,
    /// Say what is wrong with all this, or what it comes to; start nothing
    #[arg(long)]
    pub(super) check_config: bool,
    /// End when whoever started this has ended
    #[arg(long, hide = true)]
    pub(super) with_parent: bool,
    /// For `traft nemesis`: clients may make the disk fail, with FAULT
    #[arg(long, hide = true)]
    pub(super) faulty_disk: bool,
    /// Which replica this is
    #[arg(long, value_name = "N", env = "TRAFT_ID")]
    id: Option<u64>,
    /// The name of the cluster, the same everywhere: no other one is heard
    #[arg(long, value_name = "NAME", env = "TRAFT_CLUSTER")]
    cluster: Option<String>,
    /// Replicas to learn all else from, where clients reach them: it joins their cluster
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', value_parser = seed,
          env = "TRAFT_JOIN")]
    join: Vec<Url>,
    /// Where it keeps its files
    #[arg(long, value_name = "DIR", env = "TRAFT_DIR")]
    dir: Option<PathBuf>,
    /// Where clients reach this one [127.0.0.1:6379]
    #[arg(long, value_name = "HOST:PORT", env = "TRAFT_LISTEN")]
    listen: Option<String>,
    /// Where other replicas reach this one [its own address of --peers]
    #[arg(long, value_name = "HOST:PORT", env = "TRAFT_PEER_LISTEN")]
    peer_listen: Option<String>,
    /// Where each replica is reached by the others: all that ever are to be members
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',', value_parser = address,
          env = "TRAFT_PEERS")]
    peers: Vec<Address>,
    /// Write no newer version of the wire than this to other replicas [the newest]
    #[arg(long, value_name = "N", env = "TRAFT_WIRE_MAX")]
    wire_max: Option<u32>,
    /// Where each replica is reached by clients, to be told to those who ask
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',', value_parser = address,
          env = "TRAFT_CLIENTS")]
    clients: Vec<Address>,
    /// The members that the cluster started with, the same everywhere and for ever [all peers]
    #[arg(long, value_name = "MEMBERSHIP", env = "TRAFT_MEMBERS")]
    members: Option<String>,
    /// What `traft cert init` has made for this replica: its certificate, its key, the authority
    #[arg(long, value_name = "DIR", env = "TRAFT_CERTS")]
    certs: Option<PathBuf>,
    /// What replicas talk over: grpc, or quic, where a lost packet delays one message only [grpc]
    #[arg(long, value_name = "NAME", env = "TRAFT_TRANSPORT")]
    transport: Option<String>,
    /// This replica has never lived: begin its log. For the first start, and only for that
    #[arg(long, env = "TRAFT_NEW", value_parser = BoolishValueParser::new(),
          conflicts_with = "wiped")]
    new: bool,
    /// This replica has lost its directory: it follows until it has everything back
    #[arg(long)]
    wiped: bool,
    /// If it does not lead, send clients to the one that does, instead of asking it
    #[arg(long, env = "TRAFT_REDIRECT", value_parser = BoolishValueParser::new())]
    redirect: bool,
    /// Serve figures for Prometheus at this address: /metrics, /health and /ready
    #[arg(long, value_name = "HOST:PORT", env = "TRAFT_METRICS")]
    metrics: Option<String>,
    /// Record each step there, for `traft check trace`; that takes its time
    #[arg(long, value_name = "DIR")]
    pub(super) trace: Option<PathBuf>,
    /// What clients have to say first, in a file; or in the variable TRAFT_PASSWORD
    #[arg(long, value_name = "FILE", env = "TRAFT_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    /// Take a snapshot after so many commands [100000]
    #[arg(long, value_name = "N", env = "TRAFT_SNAPSHOT_RECORDS")]
    snapshot_records: Option<u64>,
    /// Leave a snapshot that is longer than this in its file, in MiB; read a shorter one [256]
    #[arg(long, value_name = "N", env = "TRAFT_RESIDENT_MIB")]
    resident_mib: Option<u64>,
    /// Say where each request goes, on standard error: off, or debug [off]
    #[arg(long, value_name = "LEVEL", env = "TRAFT_LOG")]
    log: Option<String>,
    /// The addresses are those that it learned when it joined: not of everybody who ever was there
    #[arg(skip)]
    has_joined: bool,
}

/// The same in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    id: Option<u64>,
    cluster: Option<String>,
    #[serde(default)]
    join: Vec<String>,
    dir: Option<PathBuf>,
    listen: Option<String>,
    peer_listen: Option<String>,
    #[serde(default)]
    peers: BTreeMap<String, String>,
    #[serde(default)]
    clients: BTreeMap<String, String>,
    members: Option<String>,
    certs: Option<PathBuf>,
    transport: Option<String>,
    wire_max: Option<u32>,
    #[serde(default)]
    redirect: bool,
    metrics: Option<String>,
    password_file: Option<PathBuf>,
    snapshot_records: Option<u64>,
    resident_mib: Option<u64>,
    log: Option<String>,
}

/// What replicas talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Grpc,
    #[cfg(feature = "quic")]
    Quic,
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Transport::Grpc => "grpc",
            #[cfg(feature = "quic")]
            Transport::Quic => "quic",
        }
    }
}

/// What an empty directory means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    New,
    Again,
    Wiped,
}

/// What a replica is started with: all of it is there and fits together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) id: ReplicaId,
    pub(super) cluster: String,
    pub(super) dir: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) peer_listen: SocketAddr,
    pub(super) peers: BTreeMap<ReplicaId, String>,
    /// Where clients reach replicas: host and port.
    pub(super) seats: BTreeMap<u64, (String, u16)>,
    pub(super) members: Membership,
    pub(super) certs: Option<PathBuf>,
    pub(super) transport: Transport,
    pub(super) wire_max: Version,
    pub(super) life: Life,
    pub(super) redirect: bool,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) password: Option<String>,
    pub(super) snapshot_records: u64,
    pub(super) resident_mib: u64,
    /// Whether it is said where each request goes.
    pub(super) is_logged: bool,
}

/// The number of a cluster of this name, which every message and every file has: 64 bits of its
/// SHA-256, and never 0.
pub(super) fn cluster_number(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)).max(1)
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |yes| if yes { "yes" } else { "no" };
        writeln!(f, "replica           {} of {:?}", self.id, self.cluster)?;
        writeln!(f, "members           {} at first", self.members)?;
        writeln!(f, "directory         {}", self.dir.display())?;
        writeln!(f, "clients           at {}", self.listen)?;
        writeln!(f, "replicas          at {}", self.peer_listen)?;
        for (id, address) in self.peers.iter().filter(|(id, _)| **id != self.id) {
            writeln!(f, "                  {id} at {address}")?;
        }
        writeln!(f, "transport         {:?}", self.transport)?;
        writeln!(f, "wire-max          {}", self.wire_max)?;
        writeln!(f, "TLS               {}", yes(self.certs.is_some()))?;
        writeln!(f, "password          {}", yes(self.password.is_some()))?;
        writeln!(f, "redirect          {}", yes(self.redirect))?;
        writeln!(f, "snapshot-records  {}", self.snapshot_records)?;
        writeln!(f, "resident-mib      {}", self.resident_mib)?;
        writeln!(f, "log               {}", if self.is_logged { "debug" } else { "off" })?;
        match self.life {
            Life::New => writeln!(f, "first start       an empty directory is a new replica"),
            Life::Wiped => writeln!(f, "wiped             an empty directory is given back"),
            Life::Again => Ok(()),
        }
    }
}

fn address(text: &str) -> Result<Address, String> {
    let (id, address) = text.split_once('=').ok_or("expected N=HOST:PORT")?;
    entry(id, address)
}

pub(super) fn entry(id: &str, address: &str) -> Result<Address, String> {
    let id = id.trim().parse().ok().filter(|id| *id > 0);
    let id = id.ok_or_else(|| format!("{address} needs the number of a replica, from 1"))?;
    split(address).ok_or_else(|| format!("{address:?} is not HOST:PORT"))?;
    Ok(Address { id, address: address.trim().into() })
}

/// Host and port.
fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.trim().rsplit_once(':')?;
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (host.to_string(), port))
}

impl ServeArgs {
    /// All that is said, together; or what is wrong with it, in one sentence.
    pub(super) fn settings(&self) -> Result<Settings, String> {
        let said = self.merged()?;
        let note = said.dir.as_ref().map(|dir| dir.join(NOTE)).filter(|note| note.exists());
        match note {
            None if !said.join.is_empty() => said.complete().map_err(|why| {
                format!("{why}; its directory is not empty, so it asks nobody of --join")
            }),
            None => said.complete(),
            Some(note) => said.beneath(&note)?.complete(),
        }
    }

    /// Whom it is to ask for what it is not told, if it has not asked before; or what is wrong.
    pub(super) fn newcomer(&self) -> Result<Option<Newcomer>, String> {
        let said = self.merged()?;
        if said.join.is_empty() {
            return Ok(None);
        }
        let dir = needed(said.dir.clone(), "dir", "store")?;
        if !is_fresh(&dir).map_err(|error| format!("{}: {error}", dir.display()))? {
            return Ok(None);
        }
        let id = ReplicaId(needed(said.id.filter(|id| *id > 0), "id", "4")?);
        let address = said.own_address(id)?;
        let listen = said.listen.as_deref().unwrap_or("127.0.0.1:6379");
        let members = said.members.as_deref().map(str::parse).transpose();
        let chosen = said.transport.as_deref().map(|name| transport(Some(name))).transpose()?;
        Ok(Some(Newcomer {
            id,
            dir,
            listen: resolve("listen", listen)?,
            address,
            seeds: said.join.clone(),
            password: secret(said.password_file.as_deref())?,
            cluster: said.cluster.clone(),
            members: members.map_err(|error| format!("members: {error}"))?,
            transport: chosen,
            has_certs: said.certs.is_some(),
            is_explained: said.new || said.wiped,
        }))
    }

    /// Where the others are to reach this one.
    fn own_address(&self, id: ReplicaId) -> Result<String, String> {
        if let Some(own) = self.peers.iter().find(|peer| peer.id == id.0) {
            return Ok(own.address.clone());
        }
        let example = format!("say --peers {}=HOST:PORT", id.0);
        let listen = needed(self.peer_listen.as_ref(), "peer-listen", "10.0.0.4:7379")?;
        let is_one = resolve("peer-listen", listen)?;
        match is_one.ip().is_unspecified() || is_one.port() == 0 {
            true => Err(format!("where others reach {id} is not said by {listen}: {example}")),
            false => Ok(listen.clone()),
        }
    }

    /// With what it learned when it joined, where nobody says anything else.
    fn beneath(mut self, note: &Path) -> Result<ServeArgs, String> {
        let said = (self.peers.clone(), self.clients.clone());
        (self.peers, self.clients) = (Vec::new(), Vec::new());
        let mut all = self.with(note)?;
        for (all, said) in [(&mut all.peers, said.0), (&mut all.clients, said.1)] {
            all.retain(|one| said.iter().all(|own| own.id != one.id));
            all.extend(said);
        }
        if let Some(id) = all.id.filter(|id| all.peers.iter().all(|peer| peer.id != *id)) {
            let address = all.own_address(ReplicaId(id))?;
            all.peers.push(Address { id, address });
        }
        all.has_joined = true;
        Ok(all)
    }

    /// With what the file says and nobody else does.
    fn merged(&self) -> Result<ServeArgs, String> {
        match &self.config {
            Some(path) => self.with(path),
            None => Ok(self.clone()),
        }
    }

    fn with(&self, path: &Path) -> Result<ServeArgs, String> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let written: Written = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            let why = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{}, line {line}: {why}", path.display())
        })?;
        let all = |here: &Vec<Address>, there: &BTreeMap<String, String>, name: &str| {
            if !here.is_empty() {
                return Ok(here.clone());
            }
            let one = |(id, address): (&String, &String)| {
                entry(id, address).map_err(|why| format!("{}: {name}: {why}", path.display()))
            };
            there.iter().map(one).collect()
        };
        let here = self.clone();
        let seeds = written.join.iter().map(|text| seed(text)).collect::<Result<_, _>>();
        let seeds = seeds.map_err(|why| format!("{}: join: {why}", path.display()))?;
        Ok(ServeArgs {
            config: None,
            check_config: here.check_config,
            with_parent: here.with_parent,
            faulty_disk: here.faulty_disk,
            id: here.id.or(written.id),
            cluster: here.cluster.or(written.cluster),
            join: if here.join.is_empty() { seeds } else { here.join },
            dir: here.dir.or(written.dir),
            listen: here.listen.or(written.listen),
            peer_listen: here.peer_listen.or(written.peer_listen),
            peers: all(&self.peers, &written.peers, "peers")?,
            clients: all(&self.clients, &written.clients, "clients")?,
            members: here.members.or(written.members),
            certs: here.certs.or(written.certs),
            transport: here.transport.or(written.transport),
            wire_max: here.wire_max.or(written.wire_max),
            new: here.new,
            wiped: here.wiped,
            redirect: here.redirect || written.redirect,
            trace: here.trace,
            metrics: here.metrics.or(written.metrics),
            password_file: here.password_file.or(written.password_file),
            snapshot_records: here.snapshot_records.or(written.snapshot_records),
            resident_mib: here.resident_mib.or(written.resident_mib),
            log: here.log.or(written.log),
            has_joined: here.has_joined,
        })
    }

    fn complete(self) -> Result<Settings, String> {
        let id = ReplicaId(needed(self.id.filter(|id| *id > 0), "id", "1")?);
        let cluster = needed(self.cluster.filter(|name| !name.is_empty()), "cluster", "orders")?;
        let dir = needed(self.dir, "dir", "store")?;
        let peers = distinct(&self.peers, "peers")?;
        let own = peers.get(&id).ok_or_else(|| {
            format!("peers has no address for {id}, which is this replica; say {id}=HOST:PORT")
        })?;
        let peer_listen = resolve("peer-listen", self.peer_listen.as_ref().unwrap_or(own))?;
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:6379");
        let listen = resolve("listen", listen)?;
        let members = members(self.members.as_deref(), &peers, self.has_joined)?;
        let transport = transport(self.transport.as_deref())?;
        match &self.certs {
            None if transport != Transport::Grpc => {
                return Err("transport quic needs certificates: say certs".into());
            }
            None => local_only(&peer_listen, &peers)?,
            Some(_) => {}
        }
        let mut seats = BTreeMap::new();
        for (id, address) in distinct(&self.clients, "clients")? {
            seats.extend(split(&address).map(|seat| (id.0, seat)));
        }
        seats.entry(id.0).or_insert_with(|| (listen.ip().to_string(), listen.port()));
        let password = secret(self.password_file.as_deref())?;
        let snapshot_records = self.snapshot_records.unwrap_or(100_000);
        if snapshot_records == 0 {
            return Err("snapshot-records must be at least 1".into());
        }
        let life = match (self.new, self.wiped) {
            (true, _) => Life::New,
            (_, true) => Life::Wiped,
            _ => Life::Again,
        };
        let metrics = self.metrics.map(|address| resolve("metrics", &address)).transpose()?;
        let (certs, redirect) = (self.certs, self.redirect);
        Ok(Settings {
            id,
            cluster,
            dir,
            listen,
            peer_listen,
            peers,
            seats,
            members,
            certs,
            transport,
            wire_max: wire_max(self.wire_max)?,
            life,
            redirect,
            metrics,
            password,
            snapshot_records,
            resident_mib: self.resident_mib.unwrap_or(256),
            is_logged: is_logged(self.log.as_deref())?,
        })
    }
}
