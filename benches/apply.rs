//! What executing a command costs, once its place in the order is known.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traft::apply::Machine;
use traft::apply::block::{Disk, Request};
use traft::apply::kv::{Kv, Op};

/// Commands in one measurement.
const COMMANDS: usize = 10_000;

/// Commands whose keys are spread over `keys` keys of 16 bytes.
fn bodies(keys: usize, body: impl Fn(&[u8]) -> Bytes) -> Vec<Bytes> {
    let key = |n: usize| format!("user{:012}", n.wrapping_mul(0x9e37_79b1) % keys);
    (0..COMMANDS).map(|n| body(key(n).as_bytes())).collect()
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
    for keys in [1_000, 100_000] {
        let mut bench = |name: &str, bodies: Vec<Bytes>| {
            let mut kv = loaded(keys);
            group.bench_function(format!("{name}, {keys} keys"), |bench| {
                // The commands are made anew: executing drops what they replace, as it will.
                let fresh = || bodies.iter().map(|b| Bytes::copy_from_slice(b)).collect::<Vec<_>>();
                bench.iter_batched(
                    fresh,
                    |bodies| bodies.iter().for_each(|body| drop(kv.apply(body))),
                    BatchSize::LargeInput,
                );
            });
        };
        bench("set 256 bytes", bodies(keys, |key| Op::Set { key, value: &[1; 237] }.encode()));
        bench("get", bodies(keys, |key| Op::Get { key }.encode()));
        bench("append", bodies(keys, |key| Op::Append { key, suffix: &[] }.encode()));
    }
    group.bench_function("set 256 bytes, new keys", |bench| {
        let bodies = bodies(1 << 40, |key| Op::Set { key, value: &[1; 237] }.encode());
        let fresh = || bodies.iter().map(|b| Bytes::copy_from_slice(b)).collect::<Vec<_>>();
        bench.iter_batched(
            || (Kv::new(), fresh()),
            |(mut kv, bodies)| {
                bodies.iter().for_each(|body| drop(kv.apply(body)));
                kv
            },
            BatchSize::LargeInput,
        );
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
