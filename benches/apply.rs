//! What executing a command costs, once its place in the order is known.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traft::apply::Machine;
use traft::apply::block::{Disk, Request};
use traft::apply::kv::{Kv, Op};
use traft::base::Command;

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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = kv, block
}
criterion_main!(benches);
