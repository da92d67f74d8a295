//! What executing a command costs, once its place in the order is known.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use traft::apply::block::{Disk, Request};
use traft::apply::kv::{Kv, Op};
use traft::apply::{Digest, Machine, Request as Ask, Stateful};
use traft::base::{Command, Footprint, KeySet, Membership, ReplicaId};
use traft::disk::SimDisk;
use traft::runtime::{Loopback, Node, NodeOptions, Start};

/// Commands in one measurement.
const COMMANDS: usize = 10_000;

/// Commands whose keys are spread over `keys` keys of 16 bytes. They are made anew for each
/// measurement, since executing one drops what an earlier one left.
fn commands(keys: usize, op: for<'a> fn(&'a [u8]) -> Op<'a>) -> Vec<Command> {
    let key = |n: usize| format!("user{:012}", n.wrapping_mul(0x9e37_79b1) % keys);
    (0..COMMANDS).map(|n| op(key(n).as_bytes()).command()).collect()
}

fn execute(kv: &mut Kv, commands: &[Command]) {
    commands.iter().for_each(|command| drop(kv.apply(&command.body)));
}

fn loaded(keys: usize) -> Kv {
    let mut kv = Kv::new();
    for n in 0..keys {
        let key = format!("user{n:012}");
        kv.apply(&Op::Set { key: key.as_bytes(), value: &[0; 234] }.encode());
    }
    kv
}

fn kv(c: &mut Criterion) {
    let mut group = c.benchmark_group("kv");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    let set: for<'a> fn(&'a [u8]) -> Op<'a> = |key| Op::Set { key, value: &[1; 237] };
    let large = BatchSize::LargeInput;
    for keys in [1_000, 100_000] {
        let mut kv = loaded(keys);
        let mut bench = |name: &str, op: for<'a> fn(&'a [u8]) -> Op<'a>| {
            group.bench_function(format!("{name}, {keys} keys"), |bench| {
                bench.iter_batched_ref(|| commands(keys, op), |made| execute(&mut kv, made), large);
            });
        };
        bench("set 256 bytes", set);
        bench("get", |key| Op::Get { key });
        bench("append", |key| Op::Append { key, suffix: &[] });
    }
    group.bench_function("set 256 bytes, new keys", |bench| {
        let start = || (Kv::new(), commands(1 << 40, set));
        bench.iter_batched_ref(start, |(kv, made)| execute(kv, made), large);
    });
    group.finish();
}

/// Overlapping writes of 8 to 64 sectors over a million, as a busy virtual machine makes them.
fn block(c: &mut Criterion) {
    let place = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44, 8 + n * 7 % 57);
    let fill = |n: u64| {
        let (first, sectors) = place(n);
        Request::Fill { first, sectors, pattern: n.to_le_bytes() }.encode()
    };
    let bodies: Vec<Bytes> = (0..COMMANDS as u64).map(fill).collect();
    let mut disk = Disk::new();
    let mut group = c.benchmark_group("block");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    group.bench_function("write", |bench| {
        bench.iter(|| bodies.iter().for_each(|body| drop(disk.apply(body))));
    });
    group.finish();
}

/// Counters, each of which is raised by a command that costs the processor a while. So many locks
/// that commands on different keys hardly ever wait for each other.
#[derive(Clone)]
struct Counters {
    parts: Arc<[Mutex<BTreeMap<Bytes, u64>>; 64]>,
    /// How often a command goes around.
    rounds: u32,
}

impl Counters {
    fn new(rounds: u32) -> Counters {
        Counters { parts: Arc::new(std::array::from_fn(|_| Mutex::default())), rounds }
    }

    fn part(&self, key: &[u8]) -> MutexGuard<'_, BTreeMap<Bytes, u64>> {
        let number = key.iter().fold(0_usize, |sum, byte| sum * 31 + usize::from(*byte));
        self.parts[number % self.parts.len()].lock().expect("nobody panics")
    }

    fn parts(&self) -> impl Iterator<Item = MutexGuard<'_, BTreeMap<Bytes, u64>>> {
        self.parts.iter().map(|part| part.lock().expect("nobody panics"))
    }
}

/// What a command costs: nothing but time of a processor.
fn work(rounds: u32) -> u64 {
    (0..rounds)
        .fold(1, |sum, n| black_box(sum).wrapping_mul(6_364_136_223_846_793_005) ^ u64::from(n))
}

impl Machine for Counters {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        black_box(work(self.rounds));
        let mut part = self.part(body);
        let count = part.entry(body.clone()).or_default();
        *count += 1;
        Bytes::copy_from_slice(&count.to_le_bytes())
    }

    fn read(&self, body: &Bytes) -> Bytes {
        Bytes::copy_from_slice(&self.part(body).get(body).map_or(0, |count| *count).to_le_bytes())
    }

    fn digest(&self) -> u64 {
        let one = |key: &Bytes, count: u64| Digest::new().bytes(key).word(count).value();
        let sum = |part: MutexGuard<'_, BTreeMap<Bytes, u64>>| {
            part.iter().fold(0_u64, |sum, (key, count)| sum.wrapping_add(one(key, *count)))
        };
        self.parts().map(sum).fold(0, u64::wrapping_add)
    }
}

impl Stateful for Counters {
    type Frozen = BTreeMap<Bytes, [u8; 8]>;

    fn freeze(&mut self) -> Option<Self::Frozen> {
        let all = self.parts().flat_map(|part| part.clone());
        Some(all.map(|(key, count)| (key, count.to_le_bytes())).collect())
    }

    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.iter()
    }

    fn clear(&mut self) {
        self.parts().for_each(|mut part| part.clear());
    }

    fn load(&mut self, key: &[u8], value: &[u8]) {
        let count = value.try_into().map_or(0, u64::from_le_bytes);
        self.part(key).insert(Bytes::copy_from_slice(key), count);
    }

    fn hand(&self) -> Option<Box<dyn Machine + Send>> {
        Some(Box::new(self.clone()))
    }
}

/// Raises the counter of a key.
struct Raise(Bytes);

impl Ask for Raise {
    type Answer = u64;

    fn command(&self) -> Command {
        let footprint = Footprint::update(KeySet::point(self.0.clone()));
        Command { footprint, body: self.0.clone() }
    }

    fn answer(result: &Bytes) -> u64 {
        result[..].try_into().map_or(0, u64::from_le_bytes)
    }
}

/// A node that is a cluster of its own, its log in memory.
fn node(workers: usize, rounds: u32) -> Node<SimDisk, Counters> {
    let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
    options.start = Start::First;
    options.apply_workers = workers;
    let counters = Counters::new(rounds);
    let node = Node::open(SimDisk::new(), options, counters, &Loopback::new()).expect("it starts");
    let led = node.watch().until(Duration::from_secs(60), |view| view.leader.is_some());
    led.expect("it leads");
    node
}

/// Every command of `keys` through a node, answers and all; how long it took.
fn through(node: &Node<SimDisk, Counters>, keys: &[Bytes]) -> f64 {
    let begin = Instant::now();
    let ask = |key: &Bytes| node.propose(&Raise(key.clone())).expect("room");
    let asked: Vec<_> = keys.iter().map(ask).collect();
    for pending in asked {
        pending.wait().expect("it is done");
    }
    begin.elapsed().as_secs_f64()
}

/// Commands of 100 us through a node with one and with two workers, beside a loop that executes
/// them one after the other: on keys of their own, and all on one key.
fn workers(test: bool) {
    let (commands, turns) = if test { (20, 1) } else { (2_000, 9) };
    let mut rounds = 10_000;
    for _ in 0..20 {
        let begin = Instant::now();
        black_box(work(rounds));
        let once = begin.elapsed().as_secs_f64();
        rounds = (f64::from(rounds) * (100e-6 / once).clamp(0.5, 2.0)) as u32;
    }
    for (name, keys) in [("distinct keys", commands), ("one key", 1)] {
        let keys: Vec<Bytes> = (0..commands).map(|n| format!("key{}", n % keys).into()).collect();
        let nodes = [node(1, rounds), node(2, rounds)];
        let mut plain = Counters::new(rounds);
        let mut times: [Vec<f64>; 3] = Default::default();
        for turn in 0..turns {
            for kind in (0..3).map(|nth| (turn + nth) % 3) {
                if kind == 0 {
                    let begin = Instant::now();
                    keys.iter().for_each(|key| drop(plain.apply(key)));
                    times[0].push(begin.elapsed().as_secs_f64());
                } else {
                    times[kind].push(through(&nodes[kind - 1], &keys));
                }
            }
        }
        let digest = |node: &Node<_, _>| node.status().expect("it lives").digest;
        assert!(nodes.iter().all(|node| digest(node) == plain.digest()), "the states differ");
        let [plain, one, two] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!(
            "apply, {commands} commands of {:.0} us, {name}: a loop {:.1} ms; a node with one \
             worker {:.1} ms, speed {:.2}; with two {:.1} ms, speed {:.2} of the loop",
            plain / commands as f64 * 1e6,
            plain * 1e3,
            one * 1e3,
            plain / one,
            two * 1e3,
            plain / two,
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = kv, block
}

/// `-- --workers` leaves out everything but the workers.
fn main() {
    let has = |name: &str| std::env::args().any(|arg| arg == name);
    workers(has("--test"));
    if !has("--workers") {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
