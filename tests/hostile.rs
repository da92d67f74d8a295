//! Whoever calls a replica and means ill, or nothing at all, while commands go on: the leader
//! stays, every command is done, a replica that returns in the middle of it is let in, nothing
//! panics, and memory is bounded. A test binary of its own: it counts every allocation, those of
//! the attackers too.
#![cfg(feature = "quic")]

#[path = "net/members.rs"]
mod members;

use bytes::Bytes;
use members::{
    Authority, CLUSTER, Members, PATIENCE, Via, caller, connect_over_quic, envelope, say_over_grpc,
};
use peak_alloc::PeakAlloc;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use traft::base::ReplicaId;
use traft::net::{Credentials, NetOptions, proto};
use traft::runtime::NodeOptions;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What one connection may take, at both ends together: buffers of TLS and HTTP/2 or QUIC.
const CONNECTION_BYTES_MAX: usize = 256 << 10;

/// What everything else may take: frames on their way, the state, the logs.
const FIXED_BYTES_MAX: usize = 96 << 20;

/// Connections that have not shown who they are, at once.
const UNKNOWN_MAX: usize = 64;

/// So many that say nothing. More than the bound lets in.
const IDLE: usize = 300;

/// So many of each other sort.
const EACH: usize = 40;

fn tune(net: &mut NetOptions, node: &mut NodeOptions) {
    net.guests.handshake = Duration::from_millis(500);
    (net.guests.unknown_max, net.guests.unknown_each_max) = (UNKNOWN_MAX, UNKNOWN_MAX);
    net.guests.unfinished_bytes = 4 << 20;
    // What is shown is that nobody outside makes a leader go, and not that this machine is idle.
    node.replica.election_ticks *= 6;
}

/// The certificates of those who call.
#[derive(Clone)]
struct Shown {
    /// Of a replica, by the cluster's authority.
    two: Credentials,
    /// Of a client, by the same.
    client: Credentials,
    /// Of a replica, by somebody else.
    stranger: Credentials,
}

impl Shown {
    fn new(authority: &Authority) -> Shown {
        let stranger = Authority::new().replica(2);
        Shown {
            two: authority.replica(2),
            client: authority.sign("client.traft"),
            stranger: Credentials { authority: authority.pem.clone(), ..stranger },
        }
    }

    /// Each sort of caller with what it says, and what it is told, if it is let in at all.
    fn callers(&self) -> [(Credentials, Bytes, &'static str); 3] {
        [
            (self.stranger.clone(), envelope(CLUSTER, 2, 1), ""),
            (self.two.clone(), envelope(CLUSTER + 1, 2, 1), "of cluster"),
            (self.client.clone(), envelope(CLUSTER, 2, 1), "names no replica"),
        ]
    }
}

/// Writes, then waits for the other end to close: if it does not, the test does not end.
async fn until_closed(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("there is room to connect");
    // It may be closed before all of it is written.
    let _ = stream.write_all(bytes).await;
    let mut said = [0; 1024];
    while stream.read(&mut said).await.is_ok_and(|read| read > 0) {}
}

fn attack_grpc(runtime: &Runtime, address: SocketAddr, shown: &Shown) {
    let mut tasks = Vec::new();
    // A record of TLS that claims to be longer than any may be, and a handshake of 16 MiB.
    let huge: [&'static [u8]; 2] =
        [&[0x16, 3, 1, 0xff, 0xff, 1], &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff, 3, 3]];
    tasks.extend((0..IDLE).map(|_| runtime.spawn(until_closed(address, b""))));
    for n in 0..EACH {
        tasks.push(runtime.spawn(until_closed(address, b"GET / HTTP/1.1\r\n\r\n\0\xff")));
        tasks.push(runtime.spawn(until_closed(address, huge[n % 2])));
        for (credentials, frame, told) in shown.callers() {
            tasks.push(runtime.spawn(refused_over_grpc(address, credentials, frame, told)));
        }
    }
    for task in tasks {
        runtime.block_on(task).expect("no attacker fails");
    }
}

/// Says so until it is told that. In the crowd of all those who say nothing it may have to go
/// before it has said anything.
async fn refused_over_grpc(
    address: SocketAddr,
    credentials: Credentials,
    frame: Bytes,
    told: &str,
) {
    loop {
        let said = say_over_grpc(address, Some(&credentials), vec![frame.clone()]).await;
        assert_ne!(said, "heard");
        if said.contains(told) {
            return;
        }
    }
}

/// The same over QUIC.
async fn refused_over_quic(
    caller: quinn::Endpoint,
    address: SocketAddr,
    credentials: Credentials,
    frame: Bytes,
    told: &str,
) {
    loop {
        let said = match connect_over_quic(&caller, address, &credentials).await {
            Err(why) => why,
            Ok(connection) => {
                if let Ok(mut stream) = connection.open_uni().await {
                    // It may be closed before all of it is written.
                    let _ = stream.write_all(&[proto::MESSAGE]).await;
                    let _ = stream.write_all(&frame).await;
                    let _ = stream.finish();
                }
                connection.closed().await.to_string()
            }
        };
        if said.contains(told) {
            return;
        }
    }
}

/// Streams that begin and never end, with a certificate that is believed.
async fn never_ends(caller: quinn::Endpoint, address: SocketAddr, credentials: Credentials) {
    let piece = vec![proto::MESSAGE; 64 << 10];
    loop {
        let Ok(connection) = connect_over_quic(&caller, address, &credentials).await else {
            continue;
        };
        let mut streams = Vec::new();
        while let Ok(mut stream) = connection.open_uni().await {
            let written = stream.write_all(&piece).await;
            streams.push(stream);
            if written.is_err() {
                break;
            }
        }
        if connection.closed().await.to_string().contains("unfinished") {
            return;
        }
    }
}

/// Begins to connect and is gone in the middle of it, without a word.
fn half_open(address: SocketAddr, credentials: &Credentials, after: Duration) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let caller = caller();
        // Whether it gets that far does not matter.
        let _ = tokio::time::timeout(after, connect_over_quic(&caller, address, credentials)).await;
    });
}

fn attack_quic(runtime: &Runtime, address: SocketAddr, shown: &Shown) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut packet = vec![0; 1_200];
    for n in 0..IDLE {
        // Nonsense; unknown versions; first packets that are none; packets of no connection.
        let first = [0x00, 0xc0, 0xc3, 0x40][n % 4];
        packet.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31 + n * 7) as u8);
        packet[..5].copy_from_slice(&[first, 0, 0, 0, (n / 4 % 2) as u8]);
        socket.send_to(&packet, address).expect("it is sent");
    }
    let (caller, mut tasks) = (runtime.block_on(async { caller() }), Vec::new());
    for _ in 0..EACH {
        for (credentials, frame, told) in shown.callers() {
            tasks.push(runtime.spawn(refused_over_quic(
                caller.clone(),
                address,
                credentials,
                frame,
                told,
            )));
        }
    }
    for n in 0..4 {
        tasks.push(runtime.spawn(never_ends(caller.clone(), address, shown.two.clone())));
        for step in 0..EACH as u64 / 4 {
            half_open(address, &shown.client, Duration::from_micros(200 * step * (n + 1)));
        }
    }
    for task in tasks {
        runtime.block_on(task).expect("no attacker fails");
    }
}

/// Commands while others attack. Gives how much memory it took.
fn stands(via: Via, attack: fn(&Runtime, SocketAddr, &Shown), returning: bool) -> usize {
    let mut members = Members::tuned(via, 3, tune);
    for n in 0..50_u8 {
        members.put(0, &[n], b"before");
    }
    let (leader, address) = (members.leader(0), members.all[0].address);
    let shown = Shown::new(members.authority.as_ref().expect("with TLS"));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let attackers = std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        attack(&runtime.expect("a runtime"), address, &shown);
    });
    let (mut n, mut most) = (0_u64, 0);
    while !attackers.is_finished() || n < 200 {
        members.put((n % 3) as usize, &n.to_be_bytes(), b"meanwhile");
        assert_eq!(members.leader((n % 3) as usize), leader);
        most = most.max(members.network(0).guests().0);
        n += 1;
        if returning && n == 20 {
            returns(&mut members, if leader == ReplicaId(3) { 1 } else { 2 });
        }
    }
    attackers.join().expect("no attacker fails");
    let grown = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(most <= UNKNOWN_MAX, "{most} connections that nobody knows");
    let totals = members.network(0).totals();
    // Those of another cluster and of a client, each of which was told.
    assert!(totals.refused >= 2 * EACH as u64, "{totals:?}");
    assert!(totals.unknown >= EACH as u64, "{totals:?}");
    println!("{n} commands, {most} unknown at most, {} MiB, {totals:?}", grown >> 20);
    members.put(1, b"x", b"after");
    assert_eq!(members.get(0, b"x"), Some("after".into()));
    grown
}

/// One that follows is stopped and started: the replica that all of them call lets it in.
fn returns(members: &mut Members, at: usize) {
    members.stop(at);
    members.put(0, b"x", b"without it");
    members.restart(at);
    let began = Instant::now();
    while !members.network(at).spoken().contains_key(&ReplicaId(1)) {
        assert!(began.elapsed() < PATIENCE, "it is not let in");
        members.put(0, b"x", b"with it");
    }
    assert_eq!(members.get(at, b"x"), members.get(0, b"x"));
}

/// One after the other: each counts memory.
#[test]
fn nobody_from_outside_stops_three_replicas() {
    let bound = FIXED_BYTES_MAX + (IDLE + 5 * EACH) * CONNECTION_BYTES_MAX;
    for (via, attack) in [(Via::Grpc, attack_grpc as fn(&_, _, &_)), (Via::Quic, attack_quic)] {
        let grown = stands(via, attack, false);
        assert!(grown <= bound, "{grown} bytes more, and {bound} are allowed");
    }
    // Its start takes memory of its own, so that is not looked at here.
    stands(Via::Grpc, attack_grpc, true);
}
