//! Does a command cost more when more is in flight? (issue 2, item 2)
//!
//! Each measurement places one command, notes its record and forgets the oldest one, with so many
//! commands in flight: single points, ranges, or both; with keys of their own or with 2 % on one
//! hot key. The curve printed at the end is measured by itself, best of twenty rounds. A command
//! with 100,000 in flight is meant to cost at most three times one with 100. What it costs more is
//! memory that no longer fits in the cache.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use traft::base::{Command, Footprint, KeyRange, KeySet, LeaderId, Lsn, Payload, Record};
use traft::replica::Index;

const IN_FLIGHT: [u64; 4] = [100, 1_000, 10_000, 100_000];
/// Ranges lie in a key space of this many keys, four keys each.
const SPACE: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
enum Keys {
    Points,
    Ranges,
    Mixed,
}

/// A scatter of the numbers: neighbours in time are far apart in the key space.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn key(n: u64) -> Bytes {
    Bytes::copy_from_slice(format!("user{n:012x}").as_bytes())
}

/// The footprint of command `n`: blind writes, every fourth one an update.
fn footprint(n: u64, keys: Keys, hot: bool) -> Footprint {
    let at = if hot && scatter(n).is_multiple_of(50) { 0 } else { scatter(n + 1) % SPACE };
    let range = match keys {
        Keys::Points => false,
        Keys::Ranges => true,
        Keys::Mixed => n.is_multiple_of(8),
    };
    let set = if range {
        KeySet::from_parts([], [KeyRange::new(key(at), key(at + 4))])
    } else {
        KeySet::point(key(at))
    };
    if n.is_multiple_of(4) { Footprint::update(set) } else { Footprint::write(set) }
}

/// An index with a constant number of commands in flight.
struct Flight {
    index: Index,
    /// Every record in flight, and a few more, the first at position `first`.
    log: VecDeque<Record>,
    first: u64,
    next: u64,
    in_flight: u64,
    keys: Keys,
    hot: bool,
}

impl Flight {
    fn new(in_flight: u64, keys: Keys, hot: bool) -> Flight {
        let (index, log) = (Index::new(), VecDeque::new());
        let mut flight = Flight { index, log, first: 0, next: 0, in_flight, keys, hot };
        flight.run(2 * in_flight);
        flight
    }

    /// Handles so many commands; says how long the index took, without making the commands and
    /// without dropping the records.
    fn run(&mut self, count: u64) -> Duration {
        const BATCH: u64 = 256;
        let mut spent = Duration::ZERO;
        let end = self.next + count;
        while self.next < end {
            let numbers = self.next..end.min(self.next + BATCH);
            let commands = numbers.clone().map(|n| command(n, self.keys, self.hot));
            self.log.extend(commands);
            let start = Instant::now();
            for n in numbers.clone() {
                self.handle(n);
            }
            spent += start.elapsed();
            self.next = numbers.end;
            let settled = self.log.len().saturating_sub((self.in_flight + BATCH) as usize);
            self.log.drain(..settled);
            self.first += settled as u64;
        }
        spent
    }

    /// What a leader does with the index for the record at position `n`. By itself, so that a
    /// profiler sees it.
    #[inline(never)]
    fn handle(&mut self, n: u64) {
        let (first, log) = (self.first, &mut self.log);
        let floor = Lsn(n.saturating_sub(self.in_flight));
        let held = |lsn: Lsn| log.get((lsn.0 - first) as usize);
        let Some(Payload::Command(command)) = held(Lsn(n)).map(|record| &record.payload) else {
            return;
        };
        let placement = self.index.place(&command.footprint, floor, true, held);
        let record = &mut log[(n - first) as usize];
        record.floor = floor;
        record.depends = placement.depends;
        record.overrides = placement.overrides;
        let held = |lsn: Lsn| log.get((lsn.0 - first) as usize);
        self.index.insert(&log[(n - first) as usize], held);
        self.index.trim(floor);
    }
}

fn command(n: u64, keys: Keys, hot: bool) -> Record {
    let command = Command { footprint: footprint(n, keys, hot), body: Bytes::new() };
    Record::bare(Lsn(n), LeaderId::new(1, 1), Payload::Command(command))
}

fn cases() -> impl Iterator<Item = (Keys, bool, String)> {
    let kinds = [Keys::Points, Keys::Ranges, Keys::Mixed];
    kinds.into_iter().flat_map(|keys| {
        [false, true].map(|hot| {
            let name = if hot { "2 % hot" } else { "distinct" };
            (keys, hot, format!("{keys:?}, {name}").to_lowercase())
        })
    })
}

fn interference(c: &mut Criterion) {
    for (keys, hot, name) in cases() {
        let mut group = c.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_secs(1));
        group.warm_up_time(Duration::from_millis(200));
        for in_flight in IN_FLIGHT.into_iter().chain([1_024]) {
            let mut flight = Flight::new(in_flight, keys, hot);
            group.bench_function(BenchmarkId::from_parameter(in_flight), |b| {
                b.iter_custom(|count| flight.run(count));
            });
        }
        group.finish();
    }
}

/// The curve as one table, with the ratio that the project promises.
fn curve(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    let mut worst: f64 = 0.0;
    println!("ns a command{:>14}{:>9}{:>9}{:>9}{:>9}", 100, 1_000, 10_000, 100_000, "ratio");
    for (keys, hot, name) in cases() {
        let cost = |in_flight| {
            let mut flight = Flight::new(in_flight, keys, hot);
            let round = |_| flight.run(10_000).as_nanos() as f64 / 10_000.0;
            (0..20).map(round).fold(f64::INFINITY, f64::min)
        };
        let costs = IN_FLIGHT.map(cost);
        let ratio = costs[3] / costs[0];
        worst = worst.max(ratio);
        let cells: String = costs.iter().map(|ns| format!("{ns:>9.1}")).collect();
        println!("{name:<17}{cells}{ratio:>9.2}");
    }
    println!("worst ratio of 100,000 to 100 in flight: {worst:.2} (the aim: at most 3)");
}

criterion_group!(benches, curve, interference);
criterion_main!(benches);
