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

/// How many commands one measured iteration commits.
const BATCH: u64 = 8192;

fn throughput(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput");
    group.throughput(Throughput::Elements(BATCH));
    for (percent, hot, name) in
        [(2, Hot::Update, "2%"), (100, Hot::Set, "100% set"), (100, Hot::Update, "100% update")]
    {
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

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .measurement_time(std::time::Duration::from_secs(2))
        .warm_up_time(std::time::Duration::from_millis(500));
    targets = throughput
}
criterion_main!(benches);
