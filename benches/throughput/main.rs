//! Committed commands per second in real time: three replicas in memory, one thread, messages
//! passed by value, a key-value machine at each. traft beside the tuned crates `raft`, `omnipaxos`
//! and `openraft`, in one run, doing the same work: 256-byte commands, 1, 64 and 1,024 of them in
//! flight, of which 2 % or all are on one hot key.
//!
//! `cargo bench --bench throughput`; the ratio is what counts, machines differ. A protocol is one
//! file here that implements [`Peer`], and a name in `ratios` and `throughput`.

mod bare;
mod classic;
mod kv;
mod omni;
mod open;
mod ours;
mod peer;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peer::{Bench, Peer};
use std::time::{Duration, Instant};

/// How a hot command touches its key.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Hot {
    /// Blind: it overrides what is in flight.
    Set,
    /// Reads what it writes: it waits its turn.
    Update,
}

/// The commands of a run, in order.
pub(crate) struct Work {
    pub(crate) percent: u64,
    pub(crate) hot: Hot,
    next: u64,
}

/// One command.
#[derive(Clone, Copy)]
pub(crate) struct Item {
    /// `None`: the hot key.
    pub(crate) key: Option<u64>,
    pub(crate) update: bool,
}

/// How many keys there are besides the hot one: more than are ever in flight, few enough for the
/// machines to stay in cache, so that the engines are compared and not the memory.
pub(crate) const KEYS: u64 = 1_280;

impl Work {
    pub(crate) fn new(percent: u64, hot: Hot) -> Work {
        Work { percent, hot, next: 0 }
    }

    /// One key after the other, so that those in flight are distinct, or the hot one.
    pub(crate) fn next(&mut self) -> Item {
        self.next += 1;
        let hot = self.next.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let is_hot = hot % 100 < self.percent;
        let key = (!is_hot).then_some(self.next % KEYS);
        Item { key, update: is_hot && self.hot == Hot::Update }
    }
}

/// How many percent are hot, and how.
const CASES: [(u64, Hot, &str); 3] =
    [(2, Hot::Update, "2%"), (100, Hot::Set, "100% set"), (100, Hot::Update, "100% update")];

/// How many commands are in flight.
const IN_FLIGHT: [u64; 3] = [1, 64, 1024];

/// How many turns each has for the table.
const ROUNDS: usize = 200;

/// How many commands one measured iteration commits.
const BATCH: u64 = 8192;

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn throughput(c: &mut Criterion) {
    fn one<P: Peer>(group: &mut Group<'_>, (percent, hot, name): (u64, Hot, &str)) {
        for in_flight in IN_FLIGHT {
            let id = BenchmarkId::new(format!("{} {name}", P::NAME), in_flight);
            let (mut bench, mut work) = (Bench::<P>::new(), Work::new(percent, hot));
            group.bench_function(id, |b| b.iter(|| bench.run(&mut work, in_flight, BATCH)));
        }
    }
    let mut group = c.benchmark_group("throughput");
    group.throughput(Throughput::Elements(BATCH));
    for case in CASES {
        one::<ours::Cluster>(&mut group, case);
        one::<classic::Cluster>(&mut group, case);
        one::<omni::Cluster>(&mut group, case);
        one::<open::Cluster>(&mut group, case);
    }
    group.finish();
}

/// A peer whose turn comes again and again.
trait Turns {
    fn name(&self) -> &'static str;

    /// So many commands to begin with, then as many as fast as they go, then as many with a clock.
    fn turn(&mut self, in_flight: u64, count: u64);

    fn figures(&self) -> Figures;
}

/// Commands per second in the best turn, and after how long half, and 99 of 100, of the commands of
/// a turn were answered, each in the turn in which that took least: whatever else the machine does
/// makes a pause of milliseconds that none of the peers is to blame for.
#[derive(Clone, Copy)]
struct Figures {
    per_s: f64,
    p50: Duration,
    p99: Duration,
}

struct Turner<P> {
    bench: Bench<P>,
    work: Work,
    best: Figures,
}

fn turner<P: Peer + 'static>((percent, hot): (u64, Hot)) -> Box<dyn Turns> {
    let best = Figures { per_s: 0.0, p50: Duration::MAX, p99: Duration::MAX };
    Box::new(Turner { bench: Bench::<P>::new(), work: Work::new(percent, hot), best })
}

impl<P: Peer> Turns for Turner<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn turn(&mut self, in_flight: u64, count: u64) {
        // The turns of the others have emptied the caches, which says nothing of this one.
        self.bench.run(&mut self.work, in_flight, count);
        let start = Instant::now();
        self.bench.run(&mut self.work, in_flight, count);
        let per_s = count as f64 / start.elapsed().as_secs_f64();
        let mut times = Vec::with_capacity(count as usize);
        self.bench.latencies(&mut self.work, in_flight, count, &mut times);
        times.sort_unstable();
        let [p50, p99] = [times.len() / 2, times.len() * 99 / 100].map(|at| times[at]);
        let Figures { per_s: most, p50: half, p99: nearly_all } = self.best;
        self.best =
            Figures { per_s: most.max(per_s), p50: half.min(p50), p99: nearly_all.min(p99) };
    }

    fn figures(&self) -> Figures {
        self.best
    }
}

/// One table: all peers in turns, a quarter of a batch each, best of two hundred rounds, so that
/// whatever else the machine does hits all alike.
fn ratios(_: &mut Criterion) {
    const COUNT: u64 = BATCH / 4;
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    println!("hot key     in flight  peer        million/s  traft's is    p50 us    p99 us");
    for (percent, hot, name) in CASES {
        for in_flight in IN_FLIGHT {
            let case = (percent, hot);
            let mut peers = [
                turner::<ours::Cluster>(case),
                turner::<classic::Cluster>(case),
                turner::<omni::Cluster>(case),
                turner::<open::Cluster>(case),
                turner::<bare::Cluster>(case),
            ];
            for _ in 0..ROUNDS {
                peers.iter_mut().for_each(|peer| peer.turn(in_flight, COUNT));
            }
            let ours = peers[0].figures().per_s;
            for peer in &peers {
                let Figures { per_s, p50, p99 } = peer.figures();
                let [p50, p99] = [p50, p99].map(|time| time.as_secs_f64() * 1e6);
                let (million, times) = (per_s / 1e6, ours / per_s);
                let peer = peer.name();
                print!("{name:<12}{in_flight:>9}  {peer:<10}");
                println!("{million:>11.2}{times:>12.2}{p50:>10.1}{p99:>10.1}");
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .measurement_time(std::time::Duration::from_secs(2))
        .warm_up_time(std::time::Duration::from_millis(500));
    targets = throughput
}
criterion_group!(table, ratios);
criterion_main!(benches, table);
