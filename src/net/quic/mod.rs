//! QUIC: over TLS 1.3 and UDP, a stream for each message.

mod accept;
mod call;
mod config;

pub use config::{MESSAGE, PARCEL, client};

use super::credentials::Credentials;
use super::ear::Kind;
use super::hub::Hub;
use super::lanes::line;
use super::{NetError, NetOptions, Spoken, Totals, lock};
use crate::base::ReplicaId;
use crate::runtime::{Inbox, Network, Post, Transport};
use call::{Messages, Parcels};
use quinn::{Connection, Endpoint, TokioRuntime};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long a network that is dropped may take to tell the others.
const FAREWELL: Duration = Duration::from_millis(200);

/// The network as one replica sees it, over QUIC. A [`Node`](crate::runtime::Node) joins it;
/// dropped, it closes its connections.
pub struct Quic {
    hub: Arc<Hub>,
    address: SocketAddr,
    endpoint: Endpoint,
    runtime: Option<Runtime>,
}

impl Quic {
    /// Listens, and calls, on one socket. Two threads serve all connections.
    ///
    /// # Errors
    ///
    /// [`NetError`]; nothing listens then.
    pub fn listen(socket: UdpSocket, options: NetOptions) -> Result<Quic, NetError> {
        let address = socket.local_addr()?;
        let Some(credentials) = options.credentials.clone() else {
            return Err(NetError::NoCredentials);
        };
        let protocols = config::protocols(options.wire_max);
        let hub = Hub::new(options, protocols)?;
        let runtime = hub.runtime()?;
        let within = runtime.enter();
        let server = match hub.keys() {
            Some(keys) => config::server(&keys, &hub.options)?,
            None => return Err(NetError::NoCredentials),
        };
        let endpoint = config::endpoint(&credentials);
        let endpoint = Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))?;
        tokio::spawn(accept::accept(endpoint.clone(), hub.clone()));
        drop(within);
        Ok(Quic { hub, address, endpoint, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come and gone so far.
    pub fn totals(&self) -> Totals {
        self.hub.counts.totals()
    }

    /// How many connections from outside there are: those that have not shown who they are, and
    /// those that have. Bounded by [`Guests`](super::Guests).
    pub fn guests(&self) -> (usize, usize) {
        self.hub.guests()
    }

    /// Where replicas are reached, as of [`Grpc::addresses`](super::Grpc::addresses).
    pub fn addresses(&self) -> impl Fn() -> BTreeMap<ReplicaId, String> + Send + Sync + use<> {
        let hub = Arc::downgrade(&self.hub);
        move || hub.upgrade().map(|hub| hub.addresses()).unwrap_or_default()
    }

    /// In which version of the wire each other replica is written to: as of
    /// [`Grpc::spoken`](super::Grpc::spoken).
    pub fn spoken(&self) -> impl Fn() -> Spoken + Send + Sync + use<> {
        let hub = Arc::downgrade(&self.hub);
        move || hub.upgrade().map(|hub| hub.spoken()).unwrap_or_default()
    }

    /// From now on shows and believes these: as of [`Grpc::reload`](super::Grpc::reload).
    ///
    /// # Errors
    ///
    /// Credentials of no use. Nothing changes then.
    pub fn reload(&self, credentials: &Credentials) -> Result<(), NetError> {
        let keys = self.hub.check(credentials)?;
        self.endpoint.set_server_config(Some(config::server(&keys, &self.hub.options)?));
        self.hub.replace(keys);
        Ok(())
    }
}

impl Network<Post> for Quic {
    /// Whoever joins is the replica of the options, whatever `id` says.
    fn join(&self, _: ReplicaId, inbox: Inbox<Post>) -> Box<dyn Transport<Post>> {
        *lock(&self.hub.door) = Some(inbox);
        let _within = self.runtime.as_ref().map(Runtime::enter);
        let links = Mutex::new(BTreeMap::new());
        let endpoint = self.endpoint.clone();
        // The line of the messages makes the connection, and that of the parcels uses it, too.
        let lanes = self.hub.lanes(1, move |hub, id, address, kind, queue| {
            let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
            let link = links.entry(id).or_insert_with(|| watch::Sender::new(None));
            let pause = hub.options.pause;
            match kind {
                Kind::Messages => {
                    let way = Messages::new(hub, &endpoint, id, address, link.clone());
                    tokio::spawn(line(way, queue, pause));
                }
                Kind::Parcels => {
                    let way = Parcels::new(hub, link.subscribe());
                    tokio::spawn(line(way, queue, pause));
                }
            }
        });
        Box::new(lanes)
    }
}

/// The connection to one replica, as long as there is one.
type Link = Option<Connection>;

impl fmt::Debug for Quic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quic({} at {})", self.hub.options.id, self.address)
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        *lock(&self.hub.door) = None;
        self.hub.newcomers.close();
        self.endpoint.close(config::DONE, b"");
        if let Some(runtime) = self.runtime.take() {
            let endpoint = self.endpoint.clone();
            // The others are told without anybody waiting for it.
            std::thread::spawn(move || {
                let told = async { tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await };
                // Those who are not told notice.
                let _ = runtime.block_on(told);
                runtime.shutdown_background();
            });
        }
    }
}
