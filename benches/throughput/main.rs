//! Committed commands per second in real time: three replicas in memory, one thread, messages
//! passed by value, a key-value machine at each. traft beside the tuned `raft` crate, in one run,
//! doing the same work: 256-byte commands, 1, 64 and 1,024 of them in flight, of which 2 % or all
//! are on one hot key.
//!
//! `cargo bench --bench throughput`; the ratio is what counts, machines differ.

mod classic;
mod kv;
mod ours;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Instant;

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

/// How many commands one measured iteration commits.
const BATCH: u64 = 8192;

fn throughput(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput");
    group.throughput(Throughput::Elements(BATCH));
    for (percent, hot, name) in CASES {
        for in_flight in [1, 64, 1024] {
            let id = |side: &str| BenchmarkId::new(format!("{side} {name}"), in_flight);
            let mut ours = ours::Cluster::new();
            let mut work = Work::new(percent, hot);
            group.bench_function(id("traft"), |b| {
                b.iter(|| ours.run(&mut work, in_flight, BATCH));
            });
            let mut classic = classic::Cluster::new();
            let mut work = Work::new(percent, hot);
            group.bench_function(id("raft"), |b| {
                b.iter(|| classic.run(&mut work, in_flight, BATCH));
            });
        }
    }
    group.finish();
}

/// The ratios as one table: both sides in turns, a quarter of a batch each, best of two hundred
/// rounds, so that whatever else the machine does hits both alike.
fn ratios(_: &mut Criterion) {
    const COUNT: u64 = BATCH / 4;
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    println!("million/s, traft / raft{:>10}{:>22}{:>22}", 1, 64, 1024);
    for (percent, hot, name) in CASES {
        let cell = |in_flight| {
            let (mut ours, mut classic) = (ours::Cluster::new(), classic::Cluster::new());
            let (mut work, mut same) = (Work::new(percent, hot), Work::new(percent, hot));
            let mut best = [f64::INFINITY; 2];
            for _ in 0..200 {
                let start = Instant::now();
                ours.run(&mut work, in_flight, COUNT);
                let middle = Instant::now();
                classic.run(&mut same, in_flight, COUNT);
                let spent = [middle - start, middle.elapsed()].map(|spent| spent.as_secs_f64());
                best = [best[0].min(spent[0]), best[1].min(spent[1])];
            }
            let [ours, classic] = best.map(|spent| COUNT as f64 / spent / 1e6);
            format!("{:>22}", format!("{ours:.2} / {classic:.2} = {:.2}", ours / classic))
        };
        println!("{name:<16}{}", [1, 64, 1024].map(cell).concat());
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
