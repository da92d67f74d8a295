//! Replicas of this process, each with a server before it: all of a cluster, or one of it.

use super::figures::Board;
use super::local::Local;
use super::options::Options;
use super::server::{Door, Server};
use crate::base::{Membership, ReplicaId};
use crate::runtime::{
    Loopback, Network, NodeError, NodeOptions, Post, Recorder, SharedDisk, Stages, Start,
};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// A directory. Nothing was started.
    #[error("replica {} does not start: {error}", .id.0)]
    Replica {
        /// Whose.
        id: ReplicaId,
        /// Why.
        error: NodeError,
    },
    /// A port. Nothing was started.
    #[error("{address} cannot be opened: {error}")]
    Port {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// What a user can set of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The port of the first replica, the next ones follow; 0 stands for any that are free.
    pub port: u16,
    /// What clients have to say, if anything.
    pub password: Option<String>,
    /// Whether replicas that do not lead send clients to the one that does.
    pub redirect: bool,
    /// Whether clients may cut replicas off from each other, with `FAULT`.
    pub faults: bool,
    /// After so many commands executed a replica takes a snapshot.
    pub snapshot_records: u64,
    /// What a disk without a log means. [`Start::First`] when the cluster is created, and only
    /// then. Default [`Start::Again`].
    pub start: Start,
    /// What it means at single replicas.
    pub start_of: BTreeMap<ReplicaId, Start>,
    /// Who is told of the steps of each replica.
    pub recorders: BTreeMap<ReplicaId, Recorder>,
}

impl Default for ClusterOptions {
    fn default() -> ClusterOptions {
        ClusterOptions {
            port: 0,
            password: None,
            redirect: false,
            faults: false,
            snapshot_records: 100_000,
            start: Start::default(),
            start_of: BTreeMap::new(),
            recorders: BTreeMap::new(),
        }
    }
}

/// What one replica is started with.
#[derive(Debug)]
pub struct Seating<D> {
    /// Where it keeps its files.
    pub disk: D,
    /// Its port.
    pub door: Door,
    /// Of the replica.
    pub node: NodeOptions,
    /// Of the server before it.
    pub server: Options,
}

/// Replicas and their servers. Dropped, the servers answer what they have, then the replicas stop.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they are to end.
    servers: Vec<Server>,
    local: Local,
    /// Of each replica, in the order of the servers.
    stages: Vec<Stages>,
}

impl Cluster {
    /// Starts a replica on each of these disks, numbered from 1, reachable on the loopback address.
    ///
    /// # Errors
    ///
    /// [`UpError`].
    pub fn up<D: SharedDisk>(disks: Vec<D>, options: &ClusterOptions) -> Result<Cluster, UpError> {
        let ids: Vec<ReplicaId> = (1..).take(disks.len()).map(ReplicaId).collect();
        let members = Membership::majority(ids.iter().copied());
        let (mut doors, mut seats) = (Vec::new(), BTreeMap::new());
        for (id, at) in ids.iter().zip(0..) {
            let port = if options.port == 0 { 0 } else { options.port.saturating_add(at) };
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let door = Door::open(address).map_err(|error| UpError::Port { address, error })?;
            seats.insert(id.0, (door.address().ip().to_string(), door.address().port()));
            doors.push(door);
        }
        let seating = |((disk, id), door): ((D, &ReplicaId), Door)| {
            let mut node = NodeOptions::new(*id, members.clone());
            node.snapshot_records = options.snapshot_records;
            node.start = options.start_of.get(id).copied().unwrap_or(options.start);
            node.recorder = options.recorders.get(id).cloned();
            let mut server = Options::new(id.0, seats.clone());
            server.password.clone_from(&options.password);
            server.redirect = options.redirect;
            Seating { disk, door, node, server }
        };
        let all = disks.into_iter().zip(&ids).zip(doors).map(seating).collect();
        Cluster::start(all, &Loopback::new(), options.faults)
    }

    /// Starts these replicas, joined to each other and perhaps to others by a network, which has to
    /// live as long. With `faults` clients may cut them off, with `FAULT`.
    ///
    /// # Errors
    ///
    /// [`UpError::Replica`]: none of them runs.
    pub fn start<D: SharedDisk>(
        all: Vec<Seating<D>>,
        network: &impl Network<Post>,
        faults: bool,
    ) -> Result<Cluster, UpError> {
        let (mut replicas, mut fronts) = (Vec::new(), Vec::new());
        let mut stages = Vec::new();
        for Seating { disk, door, mut node, server } in all {
            stages.push(node.stages.get_or_insert_default().clone());
            let (id, mailbox) = (node.replica.id, door.mailbox());
            replicas.push((disk, node, mailbox));
            fronts.push((id, door, server));
        }
        let failed = |(id, error)| UpError::Replica { id, error };
        let local = Local::start(replicas, network).map_err(failed)?;
        let mut servers = Vec::new();
        for (id, door, mut own) in fronts {
            own.faults = faults.then(|| local.faults());
            if let Some(replica) = local.replica(id) {
                servers.push(Server::start(door, Box::new(replica), own));
            }
        }
        Ok(Cluster { servers, local, stages })
    }

    /// Where clients reach the replicas, in order of their numbers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Server::address).collect()
    }

    /// Where the figures of each replica's server are left, and the replica is asked for its own.
    pub fn boards(&self) -> Vec<(u64, Board)> {
        let fronts = self.servers.iter().zip(&self.stages);
        let board = |(id, (server, stages)): (ReplicaId, (&Server, &Stages))| {
            (id.0, server.board().before(stages.clone(), self.local.surveyor(id)))
        };
        self.local.ids().zip(fronts).map(board).collect()
    }

    /// From now on clients have to say this, or nothing. Whoever has been let in stays.
    pub fn set_password(&self, password: Option<&str>) {
        self.servers.iter().for_each(|server| server.set_password(password.map(str::to_string)));
    }

    /// The replicas.
    pub fn local(&self) -> &Local {
        &self.local
    }
}
