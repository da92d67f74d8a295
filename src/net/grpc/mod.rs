//! gRPC: over HTTP/2, TLS and TCP.

mod accept;
mod call;
mod serve;
mod stream;

pub use call::{ConnectError, connect};

use super::credentials::Credentials;
use super::hub::Hub;
use super::lanes::line;
use super::options::check_local;
use super::{NetError, NetOptions, Spoken, Totals, lock};
use crate::base::ReplicaId;
use crate::runtime::{Front, Inbox, Network, Post, Transport};
use call::Call;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// How many connections the system keeps for a moment until they are let in.
#[cfg(unix)]
const AT_THE_DOOR: i32 = 1_024;

/// What TLS is told that is spoken on top of it.
const PROTOCOL: &[u8] = b"h2";

/// The network as one replica sees it, over gRPC. A [`Node`](crate::runtime::Node) joins it;
/// dropped, it closes its connections.
pub struct Grpc {
    hub: Arc<Hub>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Grpc {
    /// Listens. Two threads serve all connections, and one lets them in.
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
        // What the standard library asks for is full when a few hundred come at once; whoever comes
        // then is dropped without a word, a replica too.
        #[cfg(unix)]
        rustix::net::listen(&listener, AT_THE_DOOR).map_err(std::io::Error::from)?;
        let hub = Hub::new(options, vec![PROTOCOL])?;
        let runtime = hub.runtime()?;
        let within = runtime.enter();
        serve::start(listener, &hub)?;
        drop(within);
        Ok(Grpc { hub, address, runtime: Some(runtime) })
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

    /// Where replicas are reached, this one included: what the options say, and those that have
    /// called with a certificate. What is given back may be asked for as long as one likes; it does
    /// not keep the network.
    pub fn addresses(&self) -> impl Fn() -> BTreeMap<ReplicaId, String> + Send + Sync + use<> {
        let hub = Arc::downgrade(&self.hub);
        move || hub.upgrade().map(|hub| hub.addresses()).unwrap_or_default()
    }

    /// In which version of the wire each other replica is written to, as was agreed when it was
    /// called last; or why in none. To be asked like [`Grpc::addresses`].
    pub fn spoken(&self) -> impl Fn() -> Spoken + Send + Sync + use<> {
        let hub = Arc::downgrade(&self.hub);
        move || hub.upgrade().map(|hub| hub.spoken()).unwrap_or_default()
    }

    /// Lets programs with the certificate of a client ([`CLIENT_NAME`](super::CLIENT_NAME)) have
    /// commands done and read here, at the address where replicas call, as
    /// [client.proto](https://github.com/traft/traft/blob/main/proto/client.proto) says; without
    /// certificates, anybody on this machine. The network does not keep the node: when it has
    /// gone, whoever calls is told that nobody is there.
    pub fn serve_clients<F: Front + 'static>(&self, node: &Arc<F>) {
        self.serve_clients_if(node, |_| Ok(()));
    }

    /// The same, for those whom `admit` lets in, by what they put into the heads of their calls.
    pub fn serve_clients_if<F: Front + 'static>(
        &self,
        node: &Arc<F>,
        admit: impl Fn(&MetadataMap) -> Result<(), Status> + Send + Sync + 'static,
    ) {
        let node: Weak<F> = Arc::downgrade(node);
        self.hub.behind.set(node, Arc::new(admit));
    }

    /// From now on shows and believes these. All connections end and are made anew with them, which
    /// takes milliseconds, and what is on the way is lost, as on any network: so whoever is
    /// believed no longer is heard no longer. To replace an authority, believe both for a while.
    ///
    /// # Errors
    ///
    /// Credentials of no use, or none to begin with. Nothing changes then.
    pub fn reload(&self, credentials: &Credentials) -> Result<(), NetError> {
        self.hub.replace(self.hub.check(credentials)?);
        Ok(())
    }
}

impl Network<Post> for Grpc {
    /// Whoever joins is the replica of the options, whatever `id` says.
    fn join(&self, _: ReplicaId, inbox: Inbox<Post>) -> Box<dyn Transport<Post>> {
        *lock(&self.hub.door) = Some(inbox);
        let _within = self.runtime.as_ref().map(Runtime::enter);
        let lanes =
            self.hub.lanes(self.hub.options.connections, |hub, id, address, kind, queue| {
                let call = Call::new(hub, id, address, kind);
                tokio::spawn(line(call, queue, hub.options.pause));
            });
        Box::new(lanes)
    }
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grpc({} at {})", self.hub.options.id, self.address)
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        *lock(&self.hub.door) = None;
        self.hub.newcomers.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
