//! 2,000 idle and 200 hostile connections to the leader while load goes on, half of the idle ones
//! at the port of clients and half at that of replicas. Whoever is sent away comes again. What has
//! to hold: the leader stays, commands take at most twice as long (p99), no process ends, and their
//! memory stays under a bound.

use crate::house::{Failed, House, PATIENCE};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use traft::base::{LeaderId, ReplicaId};
use traft::message::{Envelope, Message, PreVote};
use traft::net::proto::{self, Frame, PeerClient};
use traft::net::{Credentials, name_of};
use traft::serve::certs;
use traft::serve::load::{Arrivals, Report};
use traft::wire::{self, Version};

const IDLE: usize = 2_000;

/// Of each of the ten sorts below.
const EACH: usize = 20;

/// Writes in a second: what this machine does easily, so that how long one takes says something.
const PACE: f64 = 1_000.0;

/// What all of them may add to the memory of the leader's process.
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// Two rounds of a clock are not told apart: below this p99 in milliseconds counts as this.
const FAST_MS: f64 = 5.0;

pub(crate) fn run(house: &mut House, time: Duration) -> Result<(), Failed> {
    let leader = house.leader()?;
    let pace = Arrivals::Open { rate: PACE };
    let before = house.write(leader, 64, pace, time)?;
    let memory = house.uses()[&leader].memory_most;
    // They stand for other machines: the processors are for the replicas and clients first.
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().on_thread_start(stand_back).build()?;
    let crowd = Arc::new(Crowd::new(house, leader)?);
    let count = if house.measured { IDLE } else { IDLE / 20 };
    let connected = crowd.clone().come(&runtime, count, if house.measured { EACH } else { 2 });
    let during = house.write(leader, 64, pace, time)?;
    crowd.ends.store(true, Ordering::Release);
    let attempts = crowd.attempts.load(Ordering::Acquire);
    let now = house.uses();
    runtime.shutdown_timeout(Duration::from_secs(1));
    tell("without them", &before);
    tell("with them", &during);
    let heard = crowd.heard.load(Ordering::Acquire);
    let grown = now[&leader].memory_most.saturating_sub(memory);
    println!(
        "{count} idle, {connected} hostile at a time, {attempts} attempts; the leader's process \
         has {} MiB at most, {} MiB of them since they came",
        now[&leader].memory_most >> 20,
        grown >> 20
    );
    judge(house, leader, &before, &during, heard, grown)
}

/// The thread that calls this gets what others leave.
fn stand_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19)
        .expect("nobody is refused to be nicer");
}

fn tell(when: &str, report: &Report) {
    let (p50, p99) = (report.writes.p50, report.writes.p99);
    println!("{when}: {:.0} commands/s, p50 {p50:.2} ms, p99 {p99:.2} ms", report.rate());
}

fn judge(
    house: &House,
    leader: ReplicaId,
    before: &Report,
    during: &Report,
    heard: u64,
    grown: u64,
) -> Result<(), Failed> {
    let leads = house.leader()?;
    let allowed = 2.0 * before.writes.p99.max(FAST_MS);
    house.agree()?;
    match () {
        () if leads != leader => Err(format!("{leader} led, and now {leads} does").into()),
        () if house.uses().len() < 3 => Err("a process has ended".into()),
        () if during.lost > 0 || !during.errors.is_empty() => Err(format!("{during}").into()),
        () if heard > 0 => Err(format!("{heard} hostile frames were taken").into()),
        () if grown > GROWTH_BYTES_MAX => Err(format!("{grown} bytes more").into()),
        () if house.measured && during.writes.p99 > allowed => {
            Err(format!("p99 {:.2} ms, allowed are {allowed:.2}", during.writes.p99).into())
        }
        () => Ok(()),
    }
}

/// Whoever calls and should not be heard.
struct Crowd {
    clients: SocketAddr,
    peers: SocketAddr,
    leader: ReplicaId,
    /// The certificate of another replica, by the cluster's authority; of a client, by the same; of
    /// a replica, by somebody else.
    replica: Credentials,
    client: Credentials,
    stranger: Credentials,
    /// Whoever was sent away comes again after this long.
    again: Duration,
    ends: AtomicBool,
    attempts: AtomicU64,
    /// Frames that were taken: none should be.
    heard: AtomicU64,
}

impl Crowd {
    fn new(house: &House, leader: ReplicaId) -> Result<Crowd, Failed> {
        let dir = house.dir.join("certs");
        let place = house.fleet.places()[&leader];
        let other = house.ids().into_iter().find(|id| *id != leader).ok_or("three replicas")?;
        let pem = std::fs::read_to_string(dir.join("authority.pem"))?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(dir.join("authority.key"))?)?;
        let stranger = sign("somebody", &pem, KeyPair::generate()?, &name_of(other))?;
        Ok(Crowd {
            clients: place.clients,
            peers: place.peers,
            leader,
            replica: certs::load(&dir.join(other.0.to_string()))?,
            client: sign("traft replicas", &pem, key, "client.traft")?,
            stranger,
            again: house.again,
            ends: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            heard: AtomicU64::new(0),
        })
    }

    /// All of them; each begins again when it is sent away. Gives how many hostile ones there are.
    fn come(self: Arc<Self>, runtime: &Runtime, idle: usize, each: usize) -> usize {
        for n in 0..idle {
            let (one, at) = (self.clone(), if n % 2 == 0 { self.clients } else { self.peers });
            runtime.spawn(async move {
                while one.goes_on() {
                    until_closed(at, b"", false).await;
                    tokio::time::sleep(one.again).await;
                }
            });
        }
        let sorts = 10;
        for n in 0..sorts * each {
            let one = self.clone();
            runtime.spawn(async move {
                while one.goes_on() {
                    one.call(n % sorts).await;
                    tokio::time::sleep(one.again).await;
                }
            });
        }
        sorts * each
    }

    fn goes_on(&self) -> bool {
        self.attempts.fetch_add(1, Ordering::AcqRel);
        !self.ends.load(Ordering::Acquire)
    }

    /// One of each sort.
    async fn call(&self, sort: usize) {
        let from = ReplicaId(if self.leader.0 == 1 { 2 } else { 1 });
        match sort {
            // A handshake that begins and does not go on, and one that is left in the middle.
            0 => until_closed(self.peers, &[0x16, 3, 1, 0x00, 0xf0, 1, 0, 0], false).await,
            1 => until_closed(self.peers, &[0x16, 3, 1, 0x00, 0xf0, 1, 0, 0], true).await,
            2 => until_closed(self.peers, b"GET / HTTP/1.1\r\n\r\n\0\xff", false).await,
            // A record of TLS that claims to be longer than any may be, and a handshake of 16 MiB.
            3 => until_closed(self.peers, &[0x16, 3, 1, 0xff, 0xff, 1], false).await,
            4 => {
                let huge = [0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff, 3, 3];
                until_closed(self.peers, &huge, false).await;
            }
            // A request of a thousand million words, and a word that is as long.
            5 => until_closed(self.clients, b"*1000000000\r\n$3\r\nSET\r\n", false).await,
            6 => until_closed(self.clients, b"*2\r\n$9999999999\r\nx", false).await,
            7 => self.say(&self.stranger, envelope(0, from, self.leader)).await,
            8 => self.say(&self.client, envelope(0, from, self.leader)).await,
            // By whoever may speak, in the name of a cluster that is not this one.
            _ => self.say(&self.replica, envelope(1, from, self.leader)).await,
        }
    }

    async fn say(&self, credentials: &Credentials, frame: Bytes) {
        let connected =
            proto::connect(&self.peers.to_string(), self.leader, Some(credentials)).await;
        if let Ok(channel) = connected {
            let frames = tokio_stream::iter([Frame { data: frame }]);
            let said = PeerClient::new(channel).messages(frames).await;
            self.heard.fetch_add(u64::from(said.is_ok()), Ordering::AcqRel);
        }
    }
}

/// Writes, then waits for the other end to close, or goes away without a word.
async fn until_closed(address: SocketAddr, bytes: &[u8], leaves: bool) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        // It may be closed before all of it is written.
        let _ = stream.write_all(bytes).await;
        let mut said = [0; 1024];
        let patience = if leaves { Duration::from_millis(20) } else { PATIENCE };
        let closed = async { while stream.read(&mut said).await.is_ok_and(|read| read > 0) {} };
        let _ = tokio::time::timeout(patience, closed).await;
    }
}

/// A certificate for `name` by an authority of this name; who has it believes `pem`.
fn sign(authority: &str, pem: &str, key: KeyPair, name: &str) -> Result<Credentials, Failed> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(rcgen::DnType::CommonName, authority);
    let (issuer, own) = (Issuer::new(params, key), KeyPair::generate()?);
    let signed = CertificateParams::new([name.to_string()])?.signed_by(&own, &issuer)?;
    Ok(Credentials { authority: pem.into(), certificate: signed.pem(), key: own.serialize_pem() })
}

/// A message that would change nothing.
fn envelope(cluster: u64, from: ReplicaId, to: ReplicaId) -> Bytes {
    let candidate = LeaderId::new(1, from.0);
    let message = Message::PreVote(PreVote { candidate, committed_membership: None });
    wire::encode(&Envelope { cluster, ..Envelope::new(from, to, message) }, Version::OLDEST)
}
