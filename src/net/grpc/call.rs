//! Calls to others.

use super::PROTOCOL;
use super::stream::Stream;
use crate::base::ReplicaId;
use crate::net::counts::add;
use crate::net::credentials::{Credentials, CredentialsError, server_name};
use crate::net::ear::Kind;
use crate::net::generated::peer_client::PeerClient;
use crate::net::generated::{self, Frame};
use crate::net::hub::{Current, Hub};
use crate::net::lanes::{Queue, Way};
use crate::net::options::Calls;
use crate::wire::{Version, Versions};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Frames on their way from a lane to its connection. What waits beyond them waits in the lane,
/// where bytes are counted.
const AHEAD: usize = 16;

/// Where in the head of a call the caller says how it is reached itself.
pub(super) const ADDRESS: &str = "traft-address";

/// Unary calls of one connection that are not answered yet.
pub(super) const UNARY_MAX: usize = 64;

/// Why nobody could be called.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Who calls cannot show who it is.
    #[error("the credentials are of no use: {0}")]
    Credentials(#[from] CredentialsError),
    /// Nobody is there, or somebody else, or it does not believe the caller.
    #[error("no connection: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Calls replica `id` at `address`, with TLS if there are credentials: for whoever speaks the
/// protocol without being a replica.
///
/// # Errors
///
/// [`ConnectError`]. With TLS 1.3 an end may learn only later that the other does not believe it.
pub async fn connect(
    address: &str,
    id: ReplicaId,
    credentials: Option<&Credentials>,
) -> Result<Channel, ConnectError> {
    let config = credentials.map(|credentials| credentials.client(&[PROTOCOL])).transpose()?;
    let dialler = Dialler { address: address.to_string(), id, config: config.map(Arc::new) };
    Ok(endpoint().connect_with_connector(dialler).await?)
}

/// The connector knows where and how; HTTP wants to be told some name.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://replica.traft")
}

/// Makes connections to one replica.
struct Dialler {
    address: String,
    id: ReplicaId,
    config: Option<Arc<ClientConfig>>,
}

type Dialling<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Service<Uri> for Dialler {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Dialling<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, name) = (self.address.clone(), server_name(self.id));
        let config = self.config.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match config {
                None => Box::new(stream),
                Some(config) => {
                    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
                    Box::new(TlsConnector::from(config).connect(name, stream).await?)
                }
            };
            Ok(TokioIo::new(stream))
        })
    }
}

/// A connection, and what is spoken on it.
pub(super) struct Link {
    client: PeerClient<Channel>,
    version: Version,
}

pub(super) fn versions(said: &generated::Versions) -> Versions {
    Versions { oldest: said.oldest, newest: said.newest }
}

/// How a line of one kind reaches one replica.
pub(super) struct Call {
    hub: Arc<Hub>,
    id: ReplicaId,
    address: String,
    kind: Kind,
    keys: watch::Receiver<Current>,
}

impl Call {
    pub(super) fn new(hub: &Arc<Hub>, id: ReplicaId, address: &str, kind: Kind) -> Call {
        let keys = hub.watch_keys();
        Call { hub: hub.clone(), id, address: address.to_string(), kind, keys }
    }

    /// Whether the other end objects to what was said, and not only went.
    fn objects(&self, status: &Status) -> bool {
        let objects = matches!(
            status.code(),
            Code::PermissionDenied
                | Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::Unimplemented
                | Code::OutOfRange
        );
        add(&self.hub.counts.rejected, u64::from(objects));
        objects
    }

    /// Agrees with the other end on a version of the wire; nothing is said before that.
    async fn hello(&self, client: &mut PeerClient<Channel>) -> Option<Version> {
        let here = self.hub.versions();
        let said = generated::Versions { oldest: here.oldest, newest: here.newest };
        let answer = tokio::time::timeout(self.hub.options.silence, client.hello(said));
        let theirs = match answer.await.ok()? {
            Ok(theirs) => versions(theirs.get_ref()),
            // It does not know the call.
            Err(status) if status.code() == Code::Unimplemented => Versions::UNSAID,
            Err(status) => {
                self.objects(&status);
                return None;
            }
        };
        let version = here.common(theirs);
        self.hub.agreed(self.id, version);
        add(&self.hub.counts.rejected, u64::from(version.is_err()));
        version.ok()
    }

    /// All in one call.
    async fn stream(&mut self, link: Link, queue: &mut Queue) -> bool {
        let Link { mut client, version } = link;
        let (frames, stream) = mpsc::channel(AHEAD);
        let (mut request, kind) = (Request::new(ReceiverStream::new(stream)), self.kind);
        // Where this one is called back.
        let here = self.hub.options.peers.get(&self.hub.options.id);
        if let Some(here) = here.and_then(|here| here.parse().ok()) {
            request.metadata_mut().insert(ADDRESS, here);
        }
        let call = async move {
            match kind {
                Kind::Messages => client.messages(request).await,
                Kind::Parcels => client.parcels(request).await,
            }
        };
        tokio::pin!(call);
        let mut any = false;
        loop {
            let room = tokio::select! {
                ended = &mut call => return any && !ended.is_err_and(|s| self.objects(&s)),
                _ = self.keys.changed() => return true,
                room = frames.reserve() => room,
            };
            let Ok(room) = room else { return any };
            let frame = tokio::select! {
                ended = &mut call => return any && !ended.is_err_and(|s| self.objects(&s)),
                _ = self.keys.changed() => return true,
                frame = queue.next(version) => frame,
            };
            let Some(data) = frame else { return any };
            room.send(Frame { data });
            any = true;
        }
    }

    /// Each in a call of its own.
    async fn unary(&mut self, link: Link, queue: &mut Queue) -> bool {
        let Link { client, version } = link;
        let mut calls = JoinSet::new();
        let (mut any, deadline) = (false, self.hub.options.silence * 2);
        loop {
            tokio::select! {
                _ = self.keys.changed() => return true,
                Some(Ok(ended)) = calls.join_next(), if !calls.is_empty() => match ended {
                    Ok(()) => any = true,
                    Err(status) => return !self.objects(&status) && any,
                },
                frame = queue.next(version), if calls.len() < UNARY_MAX => {
                    let Some(data) = frame else { return any };
                    calls.spawn(one(client.clone(), self.kind, data, deadline));
                }
            }
        }
    }
}

/// One call. The other end need not answer when nobody waits any more.
async fn one(
    mut client: PeerClient<Channel>,
    kind: Kind,
    data: Bytes,
    deadline: Duration,
) -> Result<(), Status> {
    let mut request = Request::new(Frame { data });
    request.set_timeout(deadline);
    let answer = match kind {
        Kind::Messages => client.message(request).await,
        Kind::Parcels => client.parcel(request).await,
    };
    answer.map(|_| ())
}

impl Way for Call {
    type Link = Link;

    async fn dial(&mut self) -> Option<Link> {
        let keys = self.keys.borrow_and_update().clone();
        let config = keys.map(|keys| keys.client.clone());
        let dialler = Dialler { address: self.address.clone(), id: self.id, config };
        let silence = self.hub.options.silence;
        // Notices when the other end is silent.
        let endpoint = endpoint()
            .connect_timeout(silence)
            .http2_keep_alive_interval(silence)
            .keep_alive_timeout(silence)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector(dialler).await.ok()?;
        add(&self.hub.counts.dialled, 1);
        let mut client = PeerClient::new(channel);
        let version = self.hello(&mut client).await?;
        Some(Link { client, version })
    }

    async fn serve(&mut self, link: Link, queue: &mut Queue) -> bool {
        match self.hub.options.calls {
            Calls::Streaming => self.stream(link, queue).await,
            Calls::Unary => self.unary(link, queue).await,
        }
    }
}
