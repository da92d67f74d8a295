//! Lanes: what waits to be sent, and the connections that take it.

use super::counts::{Counts, add};
use super::generated::Frame;
use super::generated::peer_client::PeerClient;
use super::{Credentials, NetOptions};
use crate::base::ReplicaId;
use crate::runtime::{Post, Transport};
use crate::snapshot::Transfer;
use crate::wire;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Error};

/// Frames on their way from a lane to its connection. What waits beyond them waits in the lane,
/// where bytes are counted.
const AHEAD: usize = 16;

/// What counts for anything that waits besides its bytes: so that small things are bounded, too.
const EACH: usize = 256;

/// What counts for a parcel without a chunk, in bytes. It is small unless a log is full of holes.
const SMALL_PARCEL: usize = 4 << 10;

/// All lanes of a replica.
pub(super) struct Lanes {
    lanes: BTreeMap<ReplicaId, [Lane; 2]>,
    counts: Arc<Counts>,
}

/// What waits for one replica, of one kind. Its task ends when it is dropped.
struct Lane {
    posts: UnboundedSender<(Post, usize)>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Lanes {
    /// Begins to dial. To be called within the runtime.
    pub(super) fn start(options: &NetOptions, counts: &Arc<Counts>) -> Lanes {
        let others = options.peers.iter().filter(|(id, _)| **id != options.id);
        let lanes = others.map(|(id, address)| {
            let lane = |kind| Lane::start(options, *id, address, kind, counts);
            (*id, [Kind::Messages, Kind::Parcels].map(lane))
        });
        Lanes { lanes: lanes.collect(), counts: counts.clone() }
    }
}

impl Transport<Post> for Lanes {
    fn send(&mut self, to: ReplicaId, post: Post) {
        let at = usize::from(matches!(post, Post::Parcel(_)));
        let taken = self.lanes.get(&to).is_some_and(|lanes| lanes[at].take(post));
        if !taken {
            add(&self.counts.dropped, 1);
        }
    }
}

/// About how much memory it takes.
fn size(post: &Post) -> usize {
    let bytes = match post {
        Post::Message(envelope) => wire::encoded_len(envelope),
        Post::Parcel(parcel) => match &parcel.transfer {
            Transfer::Chunk(chunk) => chunk.bytes.len(),
            Transfer::Offer(_) | Transfer::Want(_) => SMALL_PARCEL,
        },
    };
    bytes + EACH
}

fn encode(post: &Post) -> Bytes {
    match post {
        Post::Message(envelope) => wire::encode(envelope),
        Post::Parcel(parcel) => parcel.encode(),
    }
}

impl Lane {
    fn start(
        options: &NetOptions,
        id: ReplicaId,
        address: &str,
        kind: Kind,
        counts: &Arc<Counts>,
    ) -> Lane {
        let (posts, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        // An address that is none: nobody is there, ever.
        let endpoint = endpoint(address, id, options.credentials.as_ref()).ok();
        let endpoint = endpoint.map(|endpoint| watched(endpoint, options.silence));
        let line = Line {
            endpoint,
            kind,
            posts: receiver,
            waiting: waiting.clone(),
            counts: counts.clone(),
            pause: options.pause,
        };
        tokio::spawn(line.run());
        Lane { posts, waiting, bytes_max: options.queue_bytes }
    }

    /// Whether there was room. Only the thread of the replica adds, so no two find the same room.
    fn take(&self, post: Post) -> bool {
        let size = size(&post);
        if self.waiting.load(Ordering::Relaxed) + size > self.bytes_max {
            return false;
        }
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.posts.send((post, size)).is_ok()
    }
}

pub(super) fn endpoint(
    address: &str,
    id: ReplicaId,
    credentials: Option<&Credentials>,
) -> Result<Endpoint, Error> {
    let scheme = if credentials.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
    match credentials {
        Some(credentials) => endpoint.tls_config(credentials.client(id)),
        None => Ok(endpoint),
    }
}

/// Notices when the other end is silent.
fn watched(endpoint: Endpoint, silence: Duration) -> Endpoint {
    endpoint
        .connect_timeout(silence)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(silence)
        .keep_alive_timeout(silence)
        .keep_alive_while_idle(true)
}

#[derive(Clone, Copy)]
enum Kind {
    Messages,
    Parcels,
}

/// The other end of a lane: dials, and sends what waits.
struct Line {
    endpoint: Option<Endpoint>,
    kind: Kind,
    posts: UnboundedReceiver<(Post, usize)>,
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
    pause: Duration,
}

impl Line {
    /// Until the lane is dropped.
    async fn run(mut self) {
        let endpoint = self.endpoint.take();
        let mut pause = self.pause / 16;
        loop {
            if let Some(endpoint) = &endpoint
                && let Ok(channel) = endpoint.connect().await
            {
                add(&self.counts.dialled, 1);
                if self.serve(channel).await {
                    pause = self.pause / 16;
                }
            }
            if !self.drop_for(jittered(pause)).await {
                return;
            }
            pause = (pause * 2).min(self.pause);
        }
    }

    /// Sends what comes until the connection ends. Says whether anything was sent.
    async fn serve(&mut self, channel: Channel) -> bool {
        let (frames, stream) = mpsc::channel(AHEAD);
        let (stream, kind) = (ReceiverStream::new(stream), self.kind);
        let mut client = PeerClient::new(channel);
        let call = async move {
            match kind {
                Kind::Messages => client.messages(stream).await,
                Kind::Parcels => client.parcels(stream).await,
            }
        };
        tokio::pin!(call);
        let mut any = false;
        loop {
            let room = tokio::select! {
                _ = &mut call => return any,
                room = frames.reserve() => room,
            };
            let Ok(room) = room else { return any };
            let post = tokio::select! {
                _ = &mut call => return any,
                post = self.posts.recv() => post,
            };
            let Some((post, size)) = post else { return any };
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            add(&self.counts.sent, 1);
            room.send(Frame { data: encode(&post) });
            any = true;
        }
    }

    /// Drops what is handed in for a while. Says whether the lane is still there.
    async fn drop_for(&mut self, pause: Duration) -> bool {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return true,
                post = self.posts.recv() => {
                    let Some((_, size)) = post else { return false };
                    self.waiting.fetch_sub(size, Ordering::Relaxed);
                    add(&self.counts.dropped, 1);
                }
            }
        }
    }
}

/// Between half of it and all of it, so that replicas which lost each other do not dial in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1_000;
    pause / 2 + (pause / 2) * random as u32 / 1_000
}
