//! What others say.

use super::counts::{Counts, add};
use super::credentials::is_of;
use super::generated::peer_server::{Peer, PeerServer};
use super::generated::{Closed, Frame};
use super::{Door, NetError, NetOptions, lock};
use crate::base::ReplicaId;
use crate::runtime::Post;
use crate::snapshot::{PARCEL_BYTES_MAX, Parcel};
use crate::wire::{self, FRAME_BYTES_MAX};
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use std::net::TcpListener;
use std::sync::Arc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

/// A frame's own field around the largest frame.
const AROUND: usize = 16;

/// Calls that one connection may have open at once: one of each kind, and some that are ending.
const CALLS_MAX: u32 = 8;

/// Begins to listen. To be called within the runtime.
pub(super) fn start(
    listener: TcpListener,
    options: &NetOptions,
    door: &Door,
    counts: &Arc<Counts>,
) -> Result<(), NetError> {
    let service = Service {
        id: options.id,
        cluster: options.cluster,
        named: options.credentials.is_some(),
        door: door.clone(),
        counts: counts.clone(),
    };
    let largest = FRAME_BYTES_MAX.max(PARCEL_BYTES_MAX) + AROUND;
    let mut server = Server::builder();
    if let Some(credentials) = &options.credentials {
        server = server.tls_config(credentials.server())?;
    }
    let router = server
        .http2_keepalive_interval(Some(options.silence))
        .http2_keepalive_timeout(Some(options.silence))
        .max_concurrent_streams(CALLS_MAX)
        .add_service(PeerServer::new(service).max_decoding_message_size(largest));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    // It ends with the runtime.
    tokio::spawn(router.serve_with_incoming(incoming));
    Ok(())
}

struct Service {
    id: ReplicaId,
    cluster: u64,
    /// Callers show certificates.
    named: bool,
    door: Door,
    counts: Arc<Counts>,
}

/// Who calls: whoever the first frame says, if the certificate says so too, and then nobody else.
struct Caller {
    id: Option<ReplicaId>,
    certificate: Option<CertificateDer<'static>>,
}

impl Caller {
    fn of(request: &Request<Streaming<Frame>>) -> Caller {
        let certificates = request.peer_certs();
        let certificate = certificates.and_then(|all| all.first().cloned());
        Caller { id: None, certificate }
    }

    fn speaks_as(&mut self, id: ReplicaId, named: bool) -> bool {
        if self.id.is_none() {
            let own = self.certificate.as_ref().is_some_and(|certificate| is_of(certificate, id));
            self.id = (own || !named).then_some(id);
        }
        self.id == Some(id)
    }
}

impl Service {
    /// Hands in what comes until the caller goes, or says something that it may not.
    async fn serve(
        &self,
        request: Request<Streaming<Frame>>,
        decode: impl Fn(Bytes) -> Result<(ReplicaId, ReplicaId, Post), Status>,
    ) -> Result<Response<Closed>, Status> {
        let ended = self.hear(request, decode).await;
        if ended.is_err() {
            add(&self.counts.refused, 1);
        }
        ended.map(|()| Response::new(Closed {}))
    }

    async fn hear(
        &self,
        request: Request<Streaming<Frame>>,
        decode: impl Fn(Bytes) -> Result<(ReplicaId, ReplicaId, Post), Status>,
    ) -> Result<(), Status> {
        let mut caller = Caller::of(&request);
        let mut frames = request.into_inner();
        while let Some(frame) = next(&mut frames).await? {
            let (from, to, post) = decode(frame.data)?;
            if to != self.id {
                return Err(Status::failed_precondition(format!("this is {}, not {to}", self.id)));
            }
            if !caller.speaks_as(from, self.named) {
                return Err(Status::permission_denied(format!("the caller is not {from}")));
            }
            let inbox = lock(&self.door).clone();
            if inbox.is_some_and(|inbox| inbox.deliver(post)) {
                add(&self.counts.received, 1);
            } else {
                add(&self.counts.dropped, 1);
            }
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

fn refused(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

#[tonic::async_trait]
impl Peer for Service {
    async fn messages(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Closed>, Status> {
        let decode = |frame| {
            let envelope = wire::admit(frame, self.cluster).map_err(refused)?;
            Ok((envelope.from, envelope.to, Post::Message(Box::new(envelope))))
        };
        self.serve(request, decode).await
    }

    async fn parcels(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Closed>, Status> {
        let decode = |frame| {
            let parcel = Parcel::decode(frame).map_err(refused)?;
            Ok((parcel.from, parcel.to, Post::Parcel(Box::new(parcel))))
        };
        self.serve(request, decode).await
    }
}
