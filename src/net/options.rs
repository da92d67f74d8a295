//! What a user of a network can set, and why it does not start.

use super::credentials::{Credentials, CredentialsError};
use crate::base::ReplicaId;
use crate::wire::Version;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Where the others are, and how to reach them.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// Who is here.
    pub id: ReplicaId,
    /// The number of the cluster, as in the node's options. A frame of another one is refused.
    pub cluster: u64,
    /// Where the others are: `host:port`.
    pub peers: BTreeMap<ReplicaId, String>,
    /// Who this replica is and whom it believes. `None` is for addresses of this machine only, and
    /// not for QUIC.
    pub credentials: Option<Credentials>,
    /// The most bytes that wait for a connection to one replica, for each kind. Beyond it what is
    /// handed in is dropped. Default 64 MiB, a default window of the algorithm.
    pub queue_bytes: usize,
    /// A connection that has heard nothing for so long is asked whether it is alive, and closed
    /// when it does not say so in the same time again. Default 2 s.
    pub silence: Duration,
    /// The longest pause before a connection is dialled again; the first is a sixteenth of it.
    /// Default 1 s.
    pub pause: Duration,
    /// How many TCP connections carry messages to each replica, besides the one for pieces of
    /// snapshots. Default 4: a lost packet holds up a quarter of what is on the way, and as
    /// measured it costs nothing where none is lost. Of no use to QUIC.
    pub connections: usize,
    /// How messages become calls of gRPC.
    pub calls: Calls,
    /// What those who call here may take.
    pub guests: Guests,
    /// The newest version of the wire that is written and read here. Default the newest there is:
    /// what goes over a connection is agreed with the other end anyway. With a lower one this is
    /// like a release that knows no newer one, so that a cluster can be taken back to such.
    pub wire_max: Version,
}

/// How messages become calls of gRPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// All in one call, for as long as the connection lasts. The default.
    #[default]
    Streaming,
    /// Each a call of its own, up to 64 at once on a connection.
    Unary,
}

/// Bounds on connections from outside. Beyond each of them the oldest one goes, not the newest: so
/// nobody who fills the room with connections that do nothing keeps replicas out.
#[derive(Clone, Debug)]
pub struct Guests {
    /// A connection that has not shown who it is after so long is closed. Default 3 s.
    pub handshake: Duration,
    /// The most connections that have not shown who they are. Default 256.
    pub unknown_max: usize,
    /// The most of them from one address. Default 128.
    pub unknown_each_max: usize,
    /// The most connections from one replica. Default 32; one that has lost its own makes new ones
    /// before this end knows.
    pub replica_max: usize,
    /// The most connections of those that are no replica, and of all of them where there are no
    /// certificates. Default 256.
    pub others_max: usize,
    /// The most bytes of unfinished frames of one connection over QUIC. Default 64 MiB.
    pub unfinished_bytes: usize,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            handshake: Duration::from_secs(3),
            unknown_max: 256,
            unknown_each_max: 128,
            replica_max: 32,
            others_max: 256,
            unfinished_bytes: 64 << 20,
        }
    }
}

impl NetOptions {
    /// The defaults for a replica among `peers`, in a cluster without a number and without TLS.
    pub fn new(id: ReplicaId, peers: BTreeMap<ReplicaId, String>) -> NetOptions {
        NetOptions {
            id,
            cluster: 0,
            peers,
            credentials: None,
            queue_bytes: 64 << 20,
            silence: Duration::from_secs(2),
            pause: Duration::from_secs(1),
            connections: 4,
            calls: Calls::default(),
            guests: Guests::default(),
            wire_max: Version::NEWEST,
        }
    }
}

/// Why a network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// It would be reached, or would call, without TLS from outside this machine. Give it
    /// credentials, or an address such as `127.0.0.1`.
    #[error("{0} is not an address of this machine, and there are no credentials for TLS")]
    Insecure(String),
    /// QUIC is never without TLS, also not on this machine; and what began without TLS goes on
    /// without it.
    #[error("there are no credentials where some are needed")]
    NoCredentials,
    /// A certificate, key or authority is not what it should be.
    #[error("the credentials are of no use: {0}")]
    Credentials(#[from] CredentialsError),
    /// The system gives no threads or no socket.
    #[error("the network does not start: {0}")]
    Io(#[from] io::Error),
}

/// Names are not looked up: a name may be anybody's.
pub(super) fn check_local(address: &SocketAddr, options: &NetOptions) -> Result<(), NetError> {
    let is_local = |peer: &&String| {
        let parsed: Option<SocketAddr> = peer.parse().ok();
        parsed.is_some_and(|address| address.ip().is_loopback()) || peer.starts_with("localhost:")
    };
    let stranger = options.peers.values().find(|peer| !is_local(peer)).cloned();
    let here = (!address.ip().is_loopback()).then(|| address.to_string());
    match here.or(stranger) {
        Some(address) => Err(NetError::Insecure(address)),
        None => Ok(()),
    }
}
