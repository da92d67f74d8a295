//! Replicas over gRPC: they work, they come back, and nobody else is heard.
#![cfg(feature = "net")]

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use traft::apply::kv::{Answer, Kv, Op};
use traft::base::{LeaderId, Membership, ReplicaId};
use traft::disk::SimDisk;
use traft::message::{Envelope, Message, PreVote};
use traft::net::proto::{Frame, Peer, PeerClient};
use traft::net::{Credentials, Grpc, NetError, NetOptions, name_of};
use traft::runtime::{Failure, Node, NodeOptions, Refusal, Start, View};
use traft::wire;

const PATIENCE: Duration = Duration::from_secs(60);
const CLUSTER: u64 = 0x7261_6674;

/// Signs for one cluster.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> Credentials {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_string()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Credentials { authority: self.pem.clone(), certificate, key: key.serialize_pem() }
    }
}

/// A replica that can be stopped and started, at one address.
struct Member {
    id: ReplicaId,
    disk: SimDisk,
    address: SocketAddr,
    running: Option<(Node<SimDisk, Kv>, Grpc)>,
}

struct Members {
    all: Vec<Member>,
    authority: Option<Authority>,
}

impl Members {
    fn new(authority: Option<Authority>) -> Members {
        let listeners: Vec<_> = (0..3).map(|_| listener()).collect();
        let member = |(n, listener): (u64, &TcpListener)| Member {
            id: ReplicaId(n),
            disk: SimDisk::new(),
            address: listener.local_addr().expect("it is bound"),
            running: None,
        };
        let all = (1..).zip(&listeners).map(member).collect();
        let mut members = Members { all, authority };
        (0..).zip(listeners).for_each(|(at, listener)| members.start(at, listener, Start::First));
        members
    }

    fn start(&mut self, at: usize, listener: TcpListener, start: Start) {
        let peers: BTreeMap<_, _> =
            self.all.iter().map(|member| (member.id, member.address.to_string())).collect();
        let id = self.all[at].id;
        let mut options = NetOptions::new(id, peers);
        options.cluster = CLUSTER;
        options.credentials = self.authority.as_ref().map(|a| a.sign(&name_of(id)));
        let network = Grpc::listen(listener, options).expect("it listens");
        let mut options = NodeOptions::new(id, Membership::majority((1..=3).map(ReplicaId)));
        (options.cluster, options.start) = (CLUSTER, start);
        let node = Node::open(self.all[at].disk.clone(), options, Kv::new(), &network);
        self.all[at].running = Some((node.expect("a node"), network));
    }

    fn node(&self, at: usize) -> &Node<SimDisk, Kv> {
        &self.all[at].running.as_ref().expect("it runs").0
    }

    fn network(&self, at: usize) -> &Grpc {
        &self.all[at].running.as_ref().expect("it runs").1
    }

    /// Stops one, and frees its address.
    fn stop(&mut self, at: usize) {
        let (node, network) = self.all[at].running.take().expect("it runs");
        drop(node);
        drop(network);
    }

    fn put(&self, at: usize, key: &[u8], value: &[u8]) {
        loop {
            let pending = self.node(at).propose(&Op::Set { key, value }).expect("room");
            match pending.wait_for(PATIENCE).expect("an answer") {
                Ok(answer) => return assert_eq!(answer, Answer::Nothing),
                // To set it twice is to set it.
                Err(Failure::Unknown | Failure::NotDone(Refusal::NotHere { .. })) => {}
                Err(error) => panic!("{error}"),
            }
            let leads = |view: &View| view.leader.is_some();
            self.node(at).watch().until(PATIENCE, leads).expect("somebody leads");
        }
    }

    fn get(&self, at: usize, key: &[u8]) -> Option<Bytes> {
        loop {
            let pending = self.node(at).read(&Op::Get { key }).expect("room");
            match pending.wait_for(PATIENCE).expect("an answer") {
                Ok(Answer::Value(value)) => return value,
                Ok(other) => panic!("{other:?}"),
                Err(_) => {
                    let leads = |view: &View| view.leader.is_some();
                    self.node(at).watch().until(PATIENCE, leads).expect("somebody leads");
                }
            }
        }
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

fn works(mut members: Members) {
    members.put(0, b"x", b"1");
    assert_eq!(members.get(1, b"x"), Some("1".into()));
    // Whoever stops, the two others go on; and it catches up, from a new process.
    for at in 0..3 {
        let address = members.all[at].address;
        members.stop(at);
        let value = format!("without {at}");
        members.put((at + 1) % 3, b"y", value.as_bytes());
        // The port is free once the runtime behind it has ended.
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(_) => std::thread::yield_now(),
            }
        };
        members.start(at, listener, Start::Again);
        assert_eq!(members.get(at, b"y"), Some(value.into()));
    }
    assert!((0..3).all(|at| members.network(at).totals().received > 0));
}

#[test]
fn three_replicas_work_with_mutual_tls_and_return_after_a_stop() {
    works(Members::new(Some(Authority::new())));
}

#[test]
fn three_replicas_work_in_the_clear_on_this_machine() {
    works(Members::new(None));
}

#[test]
fn nothing_goes_in_the_clear_beyond_this_machine() {
    let refused = |listener: TcpListener, peer: &str| {
        let peers = BTreeMap::from([(ReplicaId(2), peer.to_string())]);
        match Grpc::listen(listener, NetOptions::new(ReplicaId(1), peers)) {
            Err(NetError::Insecure(address)) => address,
            other => panic!("{other:?}"),
        }
    };
    let anywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
    let here = anywhere.local_addr().expect("it is bound").to_string();
    assert_eq!(refused(anywhere, "127.0.0.1:1"), here);
    assert_eq!(refused(listener(), "192.0.2.1:7000"), "192.0.2.1:7000");
    assert_eq!(refused(listener(), "db.example:7000"), "db.example:7000");
    let mut options = NetOptions::new(ReplicaId(1), BTreeMap::new());
    let bad = Credentials { authority: "".into(), certificate: "".into(), key: "".into() };
    options.credentials = Some(bad);
    assert!(matches!(Grpc::listen(listener(), options), Err(NetError::Credentials(_))));
}

/// What replica 1 says to a caller with these credentials that sends these frames.
fn say(members: &Members, credentials: Option<Credentials>, frames: Vec<Bytes>) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let address = members.all[0].address;
    runtime.expect("a runtime").block_on(async {
        let endpoint = Peer::endpoint(&address.to_string(), ReplicaId(1), credentials.as_ref());
        let channel = match endpoint.expect("an address").connect().await {
            Ok(channel) => channel,
            Err(error) => return format!("no connection: {error}"),
        };
        let frames = frames.into_iter().map(|data| Frame { data });
        let call = PeerClient::new(channel).messages(tokio_stream::iter(frames)).await;
        call.map_or_else(
            |status| format!("{:?}: {}", status.code(), status.message()),
            |_| "heard".into(),
        )
    })
}

fn envelope(cluster: u64, from: u64, to: u64) -> Bytes {
    let candidate = LeaderId::new(1, from);
    let message = Message::PreVote(PreVote { candidate, committed_membership: None });
    let envelope = Envelope::new(ReplicaId(from), ReplicaId(to), message);
    wire::encode(&Envelope { cluster, ..envelope })
}

#[test]
fn only_replicas_are_heard_and_only_in_their_own_name() {
    let authority = Authority::new();
    let sign = |name: &str| Some(authority.sign(name));
    let (two, client) = (sign(&name_of(ReplicaId(2))), sign("client.traft"));
    let stranger = Some(Authority::new().sign(&name_of(ReplicaId(2))));
    let trusting = stranger.map(|s| Credentials { authority: authority.pem.clone(), ..s });
    let members = Members::new(Some(authority));
    let say =
        |credentials: &Option<Credentials>, frames| say(&members, credentials.clone(), frames);
    assert_eq!(say(&two, vec![envelope(CLUSTER, 2, 1)]), "heard");
    let refused = [
        (&two, envelope(CLUSTER, 3, 1), "the caller is not n3"),
        (&two, envelope(CLUSTER, 2, 3), "this is n1, not n3"),
        (&two, envelope(9, 2, 1), "of cluster 9"),
        (&two, Bytes::from_static(b"\xff\xff"), "InvalidArgument"),
        (&client, envelope(CLUSTER, 2, 1), "the caller is not n2"),
    ];
    for (credentials, frame, why) in refused {
        let said = say(credentials, vec![frame]);
        assert!(said.contains(why), "{said} says nothing of {why}");
    }
    // Two names in one call: the second is not believed.
    let said = say(&two, vec![envelope(CLUSTER, 2, 1), envelope(CLUSTER, 3, 1)]);
    assert!(said.contains("the caller is not n3"), "{said}");
    // Signed by somebody else, or not shown at all.
    for credentials in [&trusting, &None] {
        let said = say(credentials, vec![envelope(CLUSTER, 2, 1)]);
        assert!(!said.contains("heard") && !said.contains("the caller"), "{said}");
    }
    assert_eq!(members.network(0).totals().refused, 6);
    members.put(1, b"x", b"still");
    assert_eq!(members.get(0, b"x"), Some("still".into()));
}

#[test]
fn what_waits_for_a_replica_that_is_not_there_is_bounded() {
    let authority = Authority::new();
    let mut members = Members::new(Some(authority));
    members.put(0, b"x", b"1");
    members.stop(2);
    let value = vec![7; 512 << 10];
    for n in 0..100_u8 {
        members.put(0, &[n], &value);
    }
    let dropped = |at| members.network(at).totals().dropped;
    assert!(dropped(0) + dropped(1) > 0, "a replica that is away is sent nothing");
}
