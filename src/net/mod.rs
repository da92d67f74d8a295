//! Replicas on several machines: gRPC over HTTP/2 and TCP, with mutual TLS.
//!
//! ```text
//!   Node's thread --> a lane for each replica and kind --> call over a connection --> its Node
//!                     (bounded in bytes; what finds no room is dropped and counted)
//! ```
//!
//! - A replica keeps one call open to each other one, for the messages of the algorithm, and one
//!   more for pieces of snapshots, on a connection of its own: so a snapshot delays no command.
//! - What cannot go is dropped, as any network may: the replica sends again what still matters. A
//!   lane that has no connection drops what is handed in, so that nothing stale is sent when the
//!   other one returns.
//! - Each end shows a certificate that an authority of the cluster has signed and that names its
//!   replica: `replica-3.traft` ([`name_of`]). The caller goes away unless it has reached the
//!   replica it wants; the receiver takes only what the caller says in its own name. So a
//!   certificate of a client, or of another replica, cannot speak as a replica.
//! - Without credentials only addresses of this machine are listened to and called.
//!
//! Frames are bounded ([`FRAME_BYTES_MAX`](crate::wire::FRAME_BYTES_MAX)), malformed ones and those
//! of another cluster end the call with a status that says why, and a connection that answers no
//! ping for some seconds is closed. Connections are dialled again with growing pauses.

mod client;
mod counts;
mod credentials;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from proto/peer.proto")]
#[rustfmt::skip]
mod generated;
mod server;

pub use counts::{Counts, Totals};
pub use credentials::{Credentials, name_of};

/// The protocol itself, for whoever speaks it without a replica.
pub mod proto {
    pub use super::generated::peer_client::PeerClient;
    pub use super::generated::{Closed, Frame};

    use super::{Credentials, client};
    use crate::base::ReplicaId;
    use tonic::transport::{Endpoint, Error};

    /// Where a replica can be called.
    #[derive(Debug)]
    pub struct Peer;

    impl Peer {
        /// Replica `id` at `address`; with TLS if there are credentials.
        ///
        /// # Errors
        ///
        /// The address or the credentials are of no use.
        pub fn endpoint(
            address: &str,
            id: ReplicaId,
            credentials: Option<&Credentials>,
        ) -> Result<Endpoint, Error> {
            client::endpoint(address, id, credentials)
        }
    }
}

use crate::base::ReplicaId;
use crate::runtime::{Inbox, Network, Post, Transport};
use client::Lanes;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Where the others are, and how to reach them.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// Who is here.
    pub id: ReplicaId,
    /// The number of the cluster, as in the node's options. A frame of another one is refused.
    pub cluster: u64,
    /// Where the others are: `host:port`.
    pub peers: BTreeMap<ReplicaId, String>,
    /// Who this replica is and whom it believes. `None` is for addresses of this machine only.
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
    /// A certificate, key or authority is not what it should be.
    #[error("the credentials are of no use: {0}")]
    Credentials(#[from] tonic::transport::Error),
    /// The system gives no threads or no socket.
    #[error("the network does not start: {0}")]
    Io(#[from] io::Error),
}

/// Where the messages of others go: nowhere before a node joins.
type Door = Arc<Mutex<Option<Inbox<Post>>>>;

/// The network as one replica sees it. A [`Node`](crate::runtime::Node) joins it; dropped, it
/// closes its connections.
#[derive(Debug)]
pub struct Grpc {
    options: NetOptions,
    address: SocketAddr,
    door: Door,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

impl Grpc {
    /// Listens. Two threads serve all connections.
    ///
    /// # Errors
    ///
    /// [`NetError`]; nothing listens then.
    pub fn listen(listener: TcpListener, options: NetOptions) -> Result<Grpc, NetError> {
        let address = listener.local_addr()?;
        if options.credentials.is_none() {
            check_local(&address, &options)?;
        }
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(format!("{} net", options.id))
            .enable_all()
            .build()?;
        let (door, counts) = (Door::default(), Arc::new(Counts::default()));
        let within = runtime.enter();
        server::start(listener, &options, &door, &counts)?;
        drop(within);
        Ok(Grpc { options, address, door, counts, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come and gone so far.
    pub fn totals(&self) -> Totals {
        self.counts.totals()
    }
}

impl Network<Post> for Grpc {
    /// Whoever joins is the replica of the options, whatever `id` says.
    fn join(&self, _: ReplicaId, inbox: Inbox<Post>) -> Box<dyn Transport<Post>> {
        *lock(&self.door) = Some(inbox);
        let _within = self.runtime.as_ref().map(Runtime::enter);
        Box::new(Lanes::start(&self.options, &self.counts))
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        *lock(&self.door) = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is behind the door is whole at every moment, so whoever panicked holding it left it so.
fn lock(door: &Door) -> std::sync::MutexGuard<'_, Option<Inbox<Post>>> {
    door.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Names are not looked up: a name may be anybody's.
fn check_local(address: &SocketAddr, options: &NetOptions) -> Result<(), NetError> {
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
