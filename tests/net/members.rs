//! Three replicas with a network of any kind between them, each of which can be stopped and started
//! at its address; and whoever else calls them.
#![allow(dead_code, reason = "not every test uses all of it")]

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use traft::apply::kv::{Answer, Kv, Op};
use traft::base::{LeaderId, Membership, ReplicaId};
use traft::disk::SimDisk;
use traft::message::{Envelope, Message, PreVote};
use traft::net::proto::{Frame, PeerClient};
use traft::net::{
    Calls, Credentials, Grpc, NetError, NetOptions, Quic, Spoken, Totals, name_of, proto,
};
use traft::runtime::{
    Failure, Inbox, Network, Node, NodeOptions, Post, Refusal, Start, Transport, View,
};
use traft::wire::{self, Version};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const CLUSTER: u64 = 0x7261_6674;

/// Signs for one cluster.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn sign(&self, name: &str) -> Credentials {
        self.sign_all(&[name])
    }

    pub(crate) fn sign_all(&self, names: &[&str]) -> Credentials {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Credentials { authority: self.pem.clone(), certificate, key: key.serialize_pem() }
    }

    pub(crate) fn replica(&self, id: u64) -> Credentials {
        self.sign(&name_of(ReplicaId(id)))
    }
}

/// What lies between the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Clear,
    Grpc,
    /// A call for each message, and one connection for all of them.
    Unary,
    Quic,
}

pub(crate) enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Socket {
    pub(crate) fn bind(via: Via, address: SocketAddr) -> std::io::Result<Socket> {
        match via {
            Via::Quic => UdpSocket::bind(address).map(Socket::Udp),
            _ => TcpListener::bind(address).map(Socket::Tcp),
        }
    }

    pub(crate) fn any(via: Via) -> Socket {
        Socket::bind(via, "127.0.0.1:0".parse().expect("an address")).expect("a port")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = match self {
            Socket::Tcp(listener) => listener.local_addr(),
            Socket::Udp(socket) => socket.local_addr(),
        };
        address.expect("it is bound")
    }
}

/// A network of any kind.
#[derive(Debug)]
pub(crate) enum Net {
    Grpc(Grpc),
    Quic(Quic),
}

impl Net {
    pub(crate) fn listen(socket: Socket, options: NetOptions) -> Result<Net, NetError> {
        match socket {
            Socket::Tcp(listener) => Grpc::listen(listener, options).map(Net::Grpc),
            Socket::Udp(socket) => Quic::listen(socket, options).map(Net::Quic),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        match self {
            Net::Grpc(network) => network.totals(),
            Net::Quic(network) => network.totals(),
        }
    }

    pub(crate) fn spoken(&self) -> Spoken {
        match self {
            Net::Grpc(network) => network.spoken()(),
            Net::Quic(network) => network.spoken()(),
        }
    }

    pub(crate) fn guests(&self) -> (usize, usize) {
        match self {
            Net::Grpc(network) => network.guests(),
            Net::Quic(network) => network.guests(),
        }
    }

    pub(crate) fn reload(&self, credentials: &Credentials) -> Result<(), NetError> {
        match self {
            Net::Grpc(network) => network.reload(credentials),
            Net::Quic(network) => network.reload(credentials),
        }
    }
}

impl Network<Post> for Net {
    fn join(&self, id: ReplicaId, inbox: Inbox<Post>) -> Box<dyn Transport<Post>> {
        match self {
            Net::Grpc(network) => network.join(id, inbox),
            Net::Quic(network) => network.join(id, inbox),
        }
    }
}

/// A replica that can be stopped and started, at one address.
pub(crate) struct Member {
    pub(crate) id: ReplicaId,
    pub(crate) disk: SimDisk,
    pub(crate) address: SocketAddr,
    running: Option<(Node<SimDisk, Kv>, Net)>,
    /// Of a node that somebody has taken.
    taken: Option<Net>,
}

pub(crate) struct Members {
    pub(crate) via: Via,
    pub(crate) all: Vec<Member>,
    pub(crate) authority: Option<Authority>,
    /// What is different from the defaults.
    tune: fn(&mut NetOptions, &mut NodeOptions),
}

impl Members {
    pub(crate) fn new(via: Via) -> Members {
        Members::tuned(via, 3, |_, _| {})
    }

    /// With other options, and only so many of the three running.
    pub(crate) fn tuned(
        via: Via,
        running: usize,
        tune: fn(&mut NetOptions, &mut NodeOptions),
    ) -> Members {
        Members::on((0..3).map(|_| Socket::any(via)).collect(), via, running, tune)
    }

    /// The same on sockets that were prepared.
    pub(crate) fn on(
        sockets: Vec<Socket>,
        via: Via,
        running: usize,
        tune: fn(&mut NetOptions, &mut NodeOptions),
    ) -> Members {
        let member = |(n, socket): (u64, &Socket)| Member {
            id: ReplicaId(n),
            disk: SimDisk::new(),
            address: socket.address(),
            running: None,
            taken: None,
        };
        let all = (1..).zip(&sockets).map(member).collect();
        let authority = (via != Via::Clear).then(Authority::new);
        let mut members = Members { via, all, authority, tune };
        let begun = (0..running).zip(sockets);
        begun.for_each(|(at, socket)| members.start(at, socket, Start::First));
        members
    }

    pub(crate) fn start(&mut self, at: usize, socket: Socket, start: Start) {
        let peers: BTreeMap<_, _> =
            self.all.iter().map(|member| (member.id, member.address.to_string())).collect();
        let id = self.all[at].id;
        let mut net = NetOptions::new(id, peers);
        net.cluster = CLUSTER;
        net.credentials = self.authority.as_ref().map(|authority| authority.replica(id.0));
        if self.via == Via::Unary {
            (net.calls, net.connections) = (Calls::Unary, 1);
        }
        let mut node = NodeOptions::new(id, Membership::majority((1..=3).map(ReplicaId)));
        (node.cluster, node.start) = (CLUSTER, start);
        (self.tune)(&mut net, &mut node);
        let network = Net::listen(socket, net).expect("it listens");
        let node = Node::open(self.all[at].disk.clone(), node, Kv::new(), &network);
        self.all[at].running = Some((node.expect("a node"), network));
    }

    pub(crate) fn node(&self, at: usize) -> &Node<SimDisk, Kv> {
        &self.all[at].running.as_ref().expect("it runs").0
    }

    pub(crate) fn network(&self, at: usize) -> &Net {
        &self.all[at].running.as_ref().expect("it runs").1
    }

    /// Gives a node away, and keeps its network.
    pub(crate) fn take(&mut self, at: usize) -> Node<SimDisk, Kv> {
        let (node, network) = self.all[at].running.take().expect("it runs");
        self.all[at].taken = Some(network);
        node
    }

    /// The network of a node that was given away.
    pub(crate) fn grpc(&self, at: usize) -> &Grpc {
        match self.all[at].taken.as_ref().expect("it was given away") {
            Net::Grpc(network) => network,
            Net::Quic(_) => panic!("another kind"),
        }
    }

    /// Stops one, and frees its address.
    pub(crate) fn stop(&mut self, at: usize) {
        let (node, network) = self.all[at].running.take().expect("it runs");
        drop(node);
        drop(network);
    }

    /// Starts it again where it was: the port is free once what is behind it has ended.
    pub(crate) fn restart(&mut self, at: usize) {
        let socket = loop {
            match Socket::bind(self.via, self.all[at].address) {
                Ok(socket) => break socket,
                Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
            }
        };
        self.start(at, socket, Start::Again);
    }

    /// Who leads, once somebody does.
    pub(crate) fn leader(&self, at: usize) -> ReplicaId {
        let leads = |view: &View| view.leader.is_some();
        let view = self.node(at).watch().until(PATIENCE, leads).expect("somebody leads");
        view.leader.expect("somebody leads")
    }

    pub(crate) fn put(&self, at: usize, key: &[u8], value: &[u8]) {
        loop {
            let pending = self.node(at).propose(&Op::Set { key, value }).expect("room");
            match pending.wait_for(PATIENCE).expect("an answer") {
                Ok(answer) => return assert_eq!(answer, Answer::Nothing),
                // To set it twice is to set it.
                Err(Failure::Unknown | Failure::NotDone(Refusal::NotHere { .. })) => {}
                Err(error) => panic!("{error}"),
            }
            self.leader(at);
        }
    }

    pub(crate) fn get(&self, at: usize, key: &[u8]) -> Option<Bytes> {
        loop {
            let pending = self.node(at).read(&Op::Get { key }).expect("room");
            match pending.wait_for(PATIENCE).expect("an answer") {
                Ok(Answer::Value(value)) => return value,
                Ok(other) => panic!("{other:?}"),
                Err(_) => drop(self.leader(at)),
            }
        }
    }

    /// What replica 1 says to a caller with these credentials that sends these frames.
    pub(crate) fn say(&self, credentials: Option<&Credentials>, frames: Vec<Bytes>) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let address = self.all[0].address;
        runtime.expect("a runtime").block_on(async {
            match (self.via, credentials) {
                (Via::Quic, None) => "no connection without a certificate".into(),
                (Via::Quic, Some(credentials)) => {
                    let frames = frames.into_iter().map(|frame| (proto::MESSAGE, frame));
                    say_over_quic(address, credentials, frames.collect(), self.network(0)).await
                }
                _ => say_over_grpc(address, credentials, frames).await,
            }
        })
    }
}

pub(crate) async fn say_over_grpc(
    address: SocketAddr,
    credentials: Option<&Credentials>,
    frames: Vec<Bytes>,
) -> String {
    let channel = proto::connect(&address.to_string(), ReplicaId(1), credentials).await;
    let channel = match channel {
        Ok(channel) => channel,
        Err(error) => return format!("{error}"),
    };
    let frames = frames.into_iter().map(|data| Frame { data });
    let call = PeerClient::new(channel).max_encoding_message_size(usize::MAX);
    let ended = call.clone().messages(tokio_stream::iter(frames)).await;
    let said = |status: tonic::Status| format!("{:?}: {}", status.code(), status.message());
    ended.map_or_else(said, |_| "heard".into())
}

/// Where connections over QUIC begin. To be called within a runtime.
pub(crate) fn caller() -> quinn::Endpoint {
    quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a socket")
}

/// Connects as somebody.
pub(crate) async fn connect_over_quic(
    caller: &quinn::Endpoint,
    address: SocketAddr,
    credentials: &Credentials,
) -> Result<quinn::Connection, String> {
    let config = proto::client(credentials).expect("credentials");
    let connecting = caller.connect_with(config, address, &name_of(ReplicaId(1)));
    connecting.expect("an address").await.map_err(|error| format!("no connection: {error}"))
}

/// Each frame with the first byte of its stream. All is heard once it is counted, or others are:
/// whoever is not let in at all is told before anything it says is acknowledged.
pub(crate) async fn say_over_quic(
    address: SocketAddr,
    credentials: &Credentials,
    frames: Vec<(u8, Bytes)>,
    listener: &Net,
) -> String {
    let before = listener.totals().received;
    let caller = caller();
    let connection = match connect_over_quic(&caller, address, credentials).await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    let all = frames.len() as u64;
    for (first, frame) in frames {
        let Ok(mut stream) = connection.open_uni().await else { break };
        // Whoever listens may have closed it.
        let _ = stream.write_all(&[first]).await;
        let _ = stream.write_all(&frame).await;
        let _ = stream.finish();
        // In order: the next one when this one has come.
        let _ = stream.stopped().await;
    }
    loop {
        if let Some(why) = connection.close_reason() {
            return format!("{why}");
        }
        if listener.totals().received >= before + all {
            return "heard".into();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A message that changes nothing.
pub(crate) fn envelope(cluster: u64, from: u64, to: u64) -> Bytes {
    let candidate = LeaderId::new(1, from);
    let message = Message::PreVote(PreVote { candidate, committed_membership: None });
    let envelope = Envelope::new(ReplicaId(from), ReplicaId(to), message);
    wire::encode(&Envelope { cluster, ..envelope }, Version::OLDEST)
}
