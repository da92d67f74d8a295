//! What commands cost over each kind of network when packets are lost: three replicas of one
//! process, on memory for disks, with mutual TLS over the loopback.
//!
//! Packets are lost in one of two ways, which meet TCP and QUIC alike:
//!
//! - On the loopback the kernel drops them: a filter on the socket that listens, and on those it
//!   accepts, gives each packet that comes no length with some probability. A round trip takes no
//!   time there, so neither does a repair. On the sockets of TCP that is everything that carries
//!   messages and not what only acknowledges them; QUIC has one socket for all, and loses its
//!   acknowledgements too.
//! - On a line that this program is itself, if `benches/with-link` gives it one: packets of 1,500
//!   bytes are read from the kernel, kept for half a round trip, lost or not, and given back.
//!
//! ```text
//!     cargo bench --profile release --bench net -- --seconds 2 --rounds 5
//!     unshare --map-root-user --net benches/with-link \
//!         cargo bench --profile release --bench net -- --round-trip 10
//! ```
//!
//! By itself, as among the tests, it only shows that it works.

#[path = "../tests/net/members.rs"]
mod members;

use members::{Members, Socket, Via};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use traft::apply::kv::{Kv, Op};
use traft::disk::SimDisk;
use traft::net::{Calls, NetOptions};
use traft::runtime::{Node, NodeOptions};

/// Commands that wait for an answer at once, where it is about how many can be done.
const IN_FLIGHT: u64 = 64;

/// Commands in a second, where it is about how long one takes.
const PACE: u64 = 500;

/// Of a command, as everywhere in this repository.
const VALUE: [u8; 240] = [7; 240];

/// A kind of network.
struct Kind {
    name: &'static str,
    via: Via,
    tune: fn(&mut NetOptions, &mut NodeOptions),
}

const KINDS: [Kind; 4] = [
    Kind { name: "gRPC, a call a message", via: Via::Grpc, tune: unary },
    Kind { name: "gRPC, one stream", via: Via::Grpc, tune: one },
    Kind { name: "gRPC, 4 connections", via: Via::Grpc, tune: by_line },
    Kind { name: "QUIC, a stream a message", via: Via::Quic, tune: by_line },
];

/// Whoever is on the line is called by way of it.
fn by_line(net: &mut NetOptions, _: &mut NodeOptions) {
    net.peers.values_mut().for_each(|peer| *peer = peer.replace(HERE, THERE));
}

fn unary(net: &mut NetOptions, node: &mut NodeOptions) {
    by_line(net, node);
    (net.calls, net.connections) = (Calls::Unary, 1);
}

fn one(net: &mut NetOptions, node: &mut NodeOptions) {
    by_line(net, node);
    net.connections = 1;
}

/// Of a million packets so many are lost.
const LOSSES: [u64; 3] = [0, 1_000, 10_000];

/// Only Linux does it.
#[cfg(not(target_os = "linux"))]
fn lose(_: &Socket, _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Has the kernel drop packets that come to a socket, and to those that it accepts.
#[cfg(target_os = "linux")]
fn lose(socket: &Socket, in_a_million: u64) -> std::io::Result<()> {
    use socket2::{SockFilter, SockRef};
    // Load a random number, which the kernel has at this place; below the bound the packet has no
    // length any more, else it keeps all of it.
    let bound = (u64::from(u32::MAX) * in_a_million / 1_000_000) as u32;
    let (load_word, jump_if_not_below, give) = (0x20, 0x35, 0x06);
    let random = 0xffff_f000_u32 + 56;
    let filter = [
        SockFilter::new(load_word, 0, 0, random),
        SockFilter::new(jump_if_not_below, 0, 1, bound),
        SockFilter::new(give, 0, 0, u32::MAX),
        SockFilter::new(give, 0, 0, 0),
    ];
    match socket {
        Socket::Tcp(listener) => SockRef::from(listener).attach_filter(&filter),
        Socket::Udp(socket) => SockRef::from(socket).attach_filter(&filter),
    }
}

/// The other half of `benches/with-link`: where packets go in and come out.
struct Line {
    round_trip: Duration,
    /// Of a million packets so many are lost.
    loss: AtomicU64,
}

/// Here and there, as the replicas see it.
const HERE: &str = "10.0.0.1:";
const THERE: &str = "10.1.0.1:";

impl Line {
    /// Begins to carry packets.
    fn start(round_trip: Duration) -> std::io::Result<Arc<Line>> {
        let line = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let carrier = Arc::new(Line { round_trip, loss: AtomicU64::new(0) });
        let ((sender, receiver), here) = (channel(), carrier.clone());
        let end = line.try_clone()?;
        std::thread::spawn(move || here.take(line, &sender));
        std::thread::spawn(move || Line::give(end, &receiver));
        Ok(carrier)
    }

    /// Takes packets as they come.
    fn take(&self, mut line: File, sender: &Sender<(Instant, Vec<u8>)>) {
        let (mut packet, mut random) = ([0; 2048], 0x9e37_79b9_7f4a_7c15_u64);
        while let Ok(length) = line.read(&mut packet) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let lost = random % 1_000_000 < self.loss.load(Ordering::Relaxed);
            if lost || length < 20 || packet[0] >> 4 != 4 {
                continue;
            }
            // From there to here, and not from here to there. No checksum changes by it.
            (packet[13], packet[17]) = (packet[13] ^ 1, packet[17] ^ 1);
            let due = Instant::now() + self.round_trip / 2;
            if sender.send((due, packet[..length].to_vec())).is_err() {
                return;
            }
        }
    }

    /// Gives them back when it is time.
    fn give(mut line: File, receiver: &Receiver<(Instant, Vec<u8>)>) {
        for (due, packet) in receiver {
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                std::thread::sleep(early);
            }
            // One that the kernel does not take is lost, too.
            let _ = line.write(&packet);
        }
    }
}

/// What one run came to: commands in a second and the processor's microseconds for each, then
/// milliseconds of one in two and one in a hundred: under load, and at a pace.
type Row = [f64; 6];

/// Of all that this process has used.
fn processor() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

fn percentile(sorted: &[f64], of: f64) -> f64 {
    let at = (sorted.len() as f64 * of) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Keys are new ones, so no command waits for another.
async fn put(node: &Node<SimDisk, Kv>, n: u64) {
    let key = n.to_be_bytes();
    loop {
        let pending = node.propose(&Op::Set { key: &key, value: &VALUE }).expect("room");
        if pending.await.is_ok() {
            return;
        }
        // Nobody leads for a moment. To set it twice is to set it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// As many as can be done with so many in flight. Milliseconds of each, in order of size.
async fn full(node: Arc<Node<SimDisk, Kv>>, time: Duration, next: &Arc<AtomicU64>) -> Vec<f64> {
    let (mut clients, over) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for _ in 0..IN_FLIGHT {
        let (node, next, over) = (node.clone(), next.clone(), over.clone());
        clients.spawn_local(async move {
            let mut took = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                put(&node, next.fetch_add(1, Ordering::Relaxed)).await;
                took.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            took
        });
    }
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut took: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    took
}

/// One after the other at a pace, whether or not those before are done.
async fn paced(node: Arc<Node<SimDisk, Kv>>, time: Duration, next: &Arc<AtomicU64>) -> Vec<f64> {
    let (begin, mut clients) = (tokio::time::Instant::now(), JoinSet::new());
    let all = (time.as_secs_f64() * PACE as f64).max(1.0) as u64;
    for n in 0..all {
        let due = begin + Duration::from_secs(1) * n as u32 / PACE as u32;
        tokio::time::sleep_until(due).await;
        let (node, next) = (node.clone(), next.clone());
        clients.spawn_local(async move {
            put(&node, next.fetch_add(1, Ordering::Relaxed)).await;
            due.elapsed().as_secs_f64() * 1e3
        });
    }
    let mut took = clients.join_all().await;
    took.sort_by(f64::total_cmp);
    took
}

fn run(
    kind: &Kind,
    in_a_million: u64,
    time: Duration,
    line: Option<&Line>,
) -> std::io::Result<Row> {
    let address = if line.is_some() { HERE } else { "127.0.0.1:" };
    let address = format!("{address}0").parse().expect("an address");
    let sockets = (0..3).map(|_| Socket::bind(kind.via, address));
    let sockets: Vec<_> = sockets.collect::<std::io::Result<_>>()?;
    match line {
        Some(line) => line.loss.store(in_a_million, Ordering::Relaxed),
        None if in_a_million == 0 => {}
        None => sockets.iter().try_for_each(|socket| lose(socket, in_a_million))?,
    }
    let mut members = Members::on(sockets, kind.via, 3, kind.tune);
    members.put(0, b"begun", b"");
    let leader = members.leader(0).0 as usize - 1;
    let node = Arc::new(members.take(leader));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let next = Arc::new(AtomicU64::new(1 << 32));
    Ok(local.block_on(&runtime, async {
        full(node.clone(), time / 4, &next).await;
        let (begun, used) = (Instant::now(), processor());
        let under = full(node.clone(), time, &next).await;
        let (took, used) = (begun.elapsed(), processor() - used);
        let at_pace = paced(node.clone(), time, &next).await;
        [
            under.len() as f64 / took.as_secs_f64(),
            used.as_secs_f64() * 1e6 / under.len() as f64,
            percentile(&under, 0.5),
            percentile(&under, 0.99),
            percentile(&at_pace, 0.5),
            percentile(&at_pace, 0.99),
        ]
    }))
}

fn median(rows: &[Row], column: usize) -> f64 {
    let mut values: Vec<_> = rows.iter().map(|row| row[column]).collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

fn print(kind: &Kind, loss: u64, rows: &[Row]) {
    let of = |column| median(rows, column);
    let percent = loss as f64 / 1e4;
    println!(
        "| {} | {percent} % | {:.0} | {:.0} | {:.2} | {:.1} | {:.2} | {:.1} |",
        kind.name,
        of(0),
        of(1),
        of(2),
        of(3),
        of(4),
        of(5),
    );
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str, default: f64| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1)?.parse().ok());
        value.unwrap_or(default)
    };
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let (seconds, rounds) = if measured { (2.0, 3.0) } else { (0.05, 1.0) };
    let time = Duration::from_secs_f64(given("--seconds", seconds));
    let rounds = given("--rounds", rounds) as usize;
    let round_trip = Duration::from_secs_f64(given("--round-trip", 0.0) / 1e3);
    let line = (!round_trip.is_zero()).then(|| Line::start(round_trip).expect("a line"));
    let mut rows = vec![Vec::new(); KINDS.len() * LOSSES.len()];
    // One after the other in each round, so that what else the machine does meets all alike.
    for _ in 0..rounds {
        for (at, row) in rows.iter_mut().enumerate() {
            match run(&KINDS[at % KINDS.len()], LOSSES[at / KINDS.len()], time, line.as_deref()) {
                Ok(ran) => {
                    let (name, loss) = (KINDS[at % KINDS.len()].name, LOSSES[at / KINDS.len()]);
                    eprintln!("{name}, {loss} of a million lost: {ran:.1?}");
                    row.push(ran);
                }
                Err(error) if LOSSES[at / KINDS.len()] > 0 => {
                    eprintln!("no packets are lost here: {error}");
                }
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("| network | loss | commands/s | CPU us | p50 ms | p99 ms | p50 at pace | p99 |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (at, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        print(&KINDS[at % KINDS.len()], LOSSES[at / KINDS.len()], rows);
    }
    ExitCode::SUCCESS
}
