//! The generator: clients in a closed loop, on one thread.

use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// Of the values.
const VALUE: [u8; 256] = [b'x'; 256];

const KEYS: u64 = 10_000;

/// How many connections to etcd clients share, at most.
const CONNECTIONS: usize = 8;

/// Whom clients ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Resp(u16),
    Etcd(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Write,
    Read,
}

impl What {
    pub(crate) fn name(self) -> &'static str {
        match self {
            What::Write => "write",
            What::Read => "read",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) what: What,
    pub(crate) clients: usize,
    pub(crate) time: Duration,
}

/// Microseconds.
pub(crate) type Times = Histogram<u64>;

mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Put {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: bytes::Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) value: bytes::Bytes,
    }

    /// Linearizable, since it does not say `serializable`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Range {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: bytes::Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Pair {
        #[prost(bytes = "bytes", tag = "5")]
        pub(super) value: bytes::Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Pairs {
        #[prost(message, repeated, tag = "2")]
        pub(super) pairs: Vec<Pair>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Nothing {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Header {
        #[prost(uint64, tag = "2")]
        pub(super) member: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(message, optional, tag = "1")]
        pub(super) header: Option<Header>,
        #[prost(uint64, tag = "4")]
        pub(super) leader: u64,
    }
}

/// The way of one client.
enum Way {
    Resp(TcpStream, Vec<u8>),
    Etcd(Grpc<Channel>),
}

async fn call<A, B>(grpc: &mut Grpc<Channel>, path: &'static str, asked: A) -> Result<B, String>
where
    A: prost::Message + Send + Sync + 'static,
    B: prost::Message + Default + Send + Sync + 'static,
{
    grpc.ready().await.map_err(|error| error.to_string())?;
    let codec = ProstCodec::<A, B>::default();
    let path = PathAndQuery::from_static(path);
    let reply = grpc.unary(tonic::Request::new(asked), path, codec).await;
    reply.map(tonic::Response::into_inner).map_err(|status| status.to_string())
}

async fn channel(port: u16) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"));
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    endpoint.tcp_nodelay(true).connect().await.map_err(|error| error.to_string())
}

/// A request of RESP and its reply: a line, and what a length announces.
async fn ask(socket: &mut TcpStream, reply: &mut Vec<u8>, asked: &[u8]) -> Result<(), String> {
    socket.write_all(asked).await.map_err(|error| error.to_string())?;
    reply.clear();
    loop {
        let count = socket.read_buf(reply).await.map_err(|error| error.to_string())?;
        if count == 0 {
            return Err("a connection was closed".into());
        }
        let Some(line) = reply.iter().position(|byte| *byte == b'\n') else { continue };
        let head = String::from_utf8_lossy(&reply[..line - 1]).into_owned();
        let whole = match head.split_at(1) {
            ("-", why) => return Err(why.to_string()),
            ("$", size) if size != "-1" => {
                line + 3 + size.parse::<usize>().map_err(|error| error.to_string())?
            }
            _ => line + 1,
        };
        if reply.len() >= whole {
            return Ok(());
        }
    }
}

fn words(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

impl Way {
    async fn do_one(&mut self, what: What, key: u64) -> Result<(), String> {
        let key = format!("key{key:013}");
        match (self, what) {
            (Way::Resp(socket, reply), What::Write) => {
                ask(socket, reply, &words(&[b"SET", key.as_bytes(), &VALUE])).await?;
                if reply[..] == *b"+OK\r\n" { Ok(()) } else { Err("no OK".into()) }
            }
            (Way::Resp(socket, reply), What::Read) => {
                ask(socket, reply, &words(&[b"GET", key.as_bytes()])).await?;
                if reply.starts_with(b"$256\r\n") { Ok(()) } else { Err("no value".into()) }
            }
            (Way::Etcd(grpc), What::Write) => {
                let put = proto::Put { key: key.into(), value: bytes::Bytes::from_static(&VALUE) };
                call::<_, proto::Nothing>(grpc, "/etcdserverpb.KV/Put", put).await.map(drop)
            }
            (Way::Etcd(grpc), What::Read) => {
                let range = proto::Range { key: key.into() };
                let found: proto::Pairs = call(grpc, "/etcdserverpb.KV/Range", range).await?;
                let fits = found.pairs.len() == 1 && found.pairs[0].value.len() == VALUE.len();
                if fits { Ok(()) } else { Err("no value".into()) }
            }
        }
    }
}

async fn ways(target: &Target, clients: usize) -> Result<Vec<Way>, String> {
    let mut ways = Vec::new();
    let mut channels = Vec::new();
    for at in 0..clients {
        ways.push(match target {
            Target::Resp(port) => {
                let socket = TcpStream::connect(("127.0.0.1", *port)).await;
                let socket = socket.map_err(|error| error.to_string())?;
                socket.set_nodelay(true).map_err(|error| error.to_string())?;
                Way::Resp(socket, Vec::with_capacity(1_024))
            }
            Target::Etcd(port) => {
                if channels.len() < CONNECTIONS {
                    channels.push(channel(*port).await?);
                }
                Way::Etcd(Grpc::new(channels[at % CONNECTIONS].clone()))
            }
        });
    }
    Ok(ways)
}

/// splitmix64
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes every key once.
pub(crate) async fn fill(target: &Target) -> Result<(), String> {
    const WRITERS: u64 = 64;
    let local = LocalSet::new();
    let mut tasks = Vec::new();
    for (mut way, first) in ways(target, WRITERS as usize).await?.into_iter().zip(0..) {
        tasks.push(local.spawn_local(async move {
            let mut key = first;
            while key < KEYS {
                way.do_one(What::Write, key).await?;
                key += WRITERS;
            }
            Ok::<(), String>(())
        }));
    }
    local.await;
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Puts the load on for its time, after a tenth of it that does not count.
pub(crate) async fn run(target: &Target, load: Load) -> Result<Times, String> {
    let times = Rc::new(RefCell::new(
        Times::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())?,
    ));
    let ways = ways(target, load.clients).await?;
    let begin = Instant::now() + load.time / 10;
    let end = begin + load.time;
    let local = LocalSet::new();
    let mut tasks = Vec::new();
    for (mut way, seed) in ways.into_iter().zip(1..) {
        let times = times.clone();
        tasks.push(local.spawn_local(async move {
            let mut state = seed;
            loop {
                let asked = Instant::now();
                way.do_one(load.what, mix(&mut state) % KEYS).await?;
                let now = Instant::now();
                if now >= end {
                    return Ok::<(), String>(());
                }
                if now >= begin {
                    times.borrow_mut().saturating_record((now - asked).as_micros() as u64);
                }
            }
        }));
    }
    local.await;
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    let times = times.borrow().clone();
    Ok(times)
}

/// Whether a store that speaks RESP leads, as far as it says, and takes writes.
pub(crate) async fn is_resp_leader(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut reply = Vec::new();
    if ask(&mut socket, &mut reply, &words(&[b"INFO", b"replication"])).await.is_err() {
        return false;
    }
    let text = String::from_utf8_lossy(&reply).into_owned();
    // What Redis says of itself when it is alone.
    let leads = text.contains("leads:1") || text.contains("connected_slaves:0");
    leads && ask(&mut socket, &mut reply, &words(&[b"SET", b"first", b"1"])).await.is_ok()
}

/// Whether this member of etcd leads.
pub(crate) async fn etcd_leader(port: u16) -> bool {
    let Ok(channel) = channel(port).await else { return false };
    let path = "/etcdserverpb.Maintenance/Status";
    let status = call::<_, proto::Status>(&mut Grpc::new(channel), path, proto::Nothing {}).await;
    status.is_ok_and(|status| {
        status.leader != 0 && status.header.is_some_and(|own| own.member == status.leader)
    })
}

/// Whether it takes writes.
pub(crate) async fn is_etcd_ready(port: u16) -> bool {
    let Ok(mut ways) = ways(&Target::Etcd(port), 1).await else { return false };
    ways[0].do_one(What::Write, KEYS).await.is_ok()
}
