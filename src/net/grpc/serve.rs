//! What others say.

use super::accept;
use super::call::{ADDRESS, versions};
use crate::net::NetError;
use crate::net::clients::generated::client_server::ClientServer;
use crate::net::clients::health::health_server::HealthServer;
use crate::net::clients::{Clients, reflection};
use crate::net::counts::add;
use crate::net::ear::{Ear, Kind, LARGEST, Refused, Speaker, Who};
use crate::net::generated::peer_server::{Peer, PeerServer};
use crate::net::generated::{Closed, Frame, Versions};
use crate::net::hub::Hub;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};

/// A frame's own field around the largest frame.
const AROUND: usize = 16;

/// Calls that one connection may have open at once: unary ones, and some that are ending.
const CALLS_MAX: u32 = super::call::UNARY_MAX as u32 + 8;

/// The most bytes of the head of a call: its path and what the framework adds.
const HEAD_BYTES_MAX: u32 = 4 << 10;

/// Connections that have shown who they are and wait to be served.
const WAITING_MAX: usize = 16;

/// Begins to listen. To be called within the runtime. It ends with the runtime.
pub(super) fn start(listener: TcpListener, hub: &Arc<Hub>) -> Result<(), NetError> {
    let silence = hub.options.silence;
    let router = Server::builder()
        .http2_keepalive_interval(Some(silence))
        .http2_keepalive_timeout(Some(silence))
        .max_concurrent_streams(CALLS_MAX)
        .http2_max_header_list_size(HEAD_BYTES_MAX)
        .add_service(
            PeerServer::new(Service(hub.ear(), hub.clone()))
                .max_decoding_message_size(LARGEST + AROUND),
        )
        .add_service(ClientServer::new(Clients(hub.clone())).max_decoding_message_size(LARGEST))
        .add_service(HealthServer::new(Clients(hub.clone())))
        .add_service(reflection()?);
    let (guests, incoming) = mpsc::channel(WAITING_MAX);
    accept::start(listener, hub, guests)?;
    tokio::spawn(router.serve_with_incoming(ReceiverStream::new(incoming)));
    Ok(())
}

struct Service(Ear, Arc<Hub>);

/// Whoever calls.
fn speaker<T>(request: &Request<T>) -> Result<Speaker, Status> {
    let who = request.extensions().get::<Who>().copied();
    Speaker::new(who.unwrap_or(Who::NoReplica)).map_err(status)
}

fn status(why: Refused) -> Status {
    let code = match &why {
        _ if why.is_version() => Code::Unimplemented,
        Refused::NoReplica | Refused::NotYou(_) => Code::PermissionDenied,
        Refused::NotMe { .. } => Code::FailedPrecondition,
        _ => Code::InvalidArgument,
    };
    Status::new(code, why.to_string())
}

impl Service {
    /// Hands in what comes until the caller goes, or says something that it may not.
    async fn stream(
        &self,
        request: Request<Streaming<Frame>>,
        kind: Kind,
    ) -> Result<Response<Closed>, Status> {
        let (metadata, who) = (request.metadata(), request.extensions().get::<Who>());
        let address = metadata.get(ADDRESS).and_then(|address| address.to_str().ok());
        if let (Some(Who::Replica(id)), Some(address)) = (who, address) {
            self.1.newcomers.learn(&self.1, *id, address);
        }
        let ended = self.hear(request, kind).await;
        self.counted(ended)
    }

    /// Hands one frame in.
    fn one(&self, request: Request<Frame>, kind: Kind) -> Result<Response<Closed>, Status> {
        let taken = speaker(&request).and_then(|mut speaker| {
            self.0.take(kind, request.into_inner().data, &mut speaker).map_err(status)
        });
        self.counted(taken)
    }

    fn counted(&self, ended: Result<(), Status>) -> Result<Response<Closed>, Status> {
        if ended.is_err() {
            add(&self.0.counts.refused, 1);
        }
        ended.map(|()| Response::new(Closed {}))
    }

    async fn hear(&self, request: Request<Streaming<Frame>>, kind: Kind) -> Result<(), Status> {
        let mut speaker = speaker(&request)?;
        let mut frames = request.into_inner();
        while let Some(frame) = next(&mut frames).await? {
            self.0.take(kind, frame.data, &mut speaker).map_err(status)?;
        }
        Ok(())
    }
}

/// The next frame; none when the caller has gone, however it went.
async fn next(frames: &mut Streaming<Frame>) -> Result<Option<Frame>, Status> {
    let frame = frames.message().await;
    frame.or_else(|status| match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted => Err(status),
        _ => Ok(None),
    })
}

#[tonic::async_trait]
impl Peer for Service {
    /// The caller finds out by itself whether there is a common one, and says why not.
    async fn hello(&self, request: Request<Versions>) -> Result<Response<Versions>, Status> {
        let here = self.1.versions();
        let is_fit = speaker(&request).map(|_| here.common(versions(request.get_ref())).is_ok());
        if !matches!(is_fit, Ok(true)) {
            add(&self.0.counts.refused, 1);
        }
        is_fit?;
        Ok(Response::new(Versions { oldest: here.oldest, newest: here.newest }))
    }

    async fn messages(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Closed>, Status> {
        self.stream(request, Kind::Messages).await
    }

    async fn parcels(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Closed>, Status> {
        self.stream(request, Kind::Parcels).await
    }

    async fn message(&self, request: Request<Frame>) -> Result<Response<Closed>, Status> {
        self.one(request, Kind::Messages)
    }

    async fn parcel(&self, request: Request<Frame>) -> Result<Response<Closed>, Status> {
        self.one(request, Kind::Parcels)
    }
}
