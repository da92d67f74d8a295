//! The commit decision: which of 64 positions a write quorum holds, for 5, 9, 63 voters, for zones,
//! for weights, and for a joint quorum. One decision serves 64 records, so records in flight cost
//! what their number divided by 64 says and no more; the last group shows that. 101 voters are
//! more than a leader counts (64): for them the decision by names, as planning asks for it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use traft::base::{Membership, QuorumSystem, ReplicaId};
use traft::quorum::Compiled;

fn bit(id: ReplicaId) -> u64 {
    1 << (id.0 % 64)
}

fn majority(n: u64) -> QuorumSystem {
    QuorumSystem::majority((0..n).map(ReplicaId))
}

/// What each voter holds of 64 positions: a different part of them.
fn words(n: u64) -> Vec<u64> {
    (0..n).map(|id| 0x5555_5555_5555_5555_u64.rotate_left(id as u32 % 5) | 1 << (id % 64)).collect()
}

fn systems() -> Vec<(&'static str, QuorumSystem)> {
    let read = |text: &str| text.parse::<Membership>().expect("the notation").write;
    vec![
        ("majority of 5", majority(5)),
        ("majority of 9", majority(9)),
        ("majority of 63", majority(63)),
        ("2 zones of 3", read("2 of (2 of (n0 n1 n2); 2 of (n3 n4 n5); 2 of (n6 n7 n8))")),
        ("weighted 5", read("(n0:3 n1:2 n2:2 n3:1 n4:1; read 5, write 5)")),
        ("joint 5 and 5", read("all (3 of (n0 n1 n2 n3 n4); 3 of (n3 n4 n5 n6 n7))")),
    ]
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("64 positions");
    group.throughput(Throughput::Elements(64));
    for (name, system) in systems() {
        let compiled = Compiled::new(&system, &bit);
        let words = words(64);
        group.bench_function(name, |b| b.iter(|| black_box(&compiled).held(black_box(&words))));
    }
    group.finish();
}

fn by_name(c: &mut Criterion) {
    let mut group = c.benchmark_group("one set by names");
    for n in [5, 9, 101] {
        let system = majority(n);
        group.bench_with_input(BenchmarkId::new("majority", n), &system, |b, system| {
            b.iter(|| black_box(system).is_quorum(&|id| id.0 % 3 != 0));
        });
    }
    group.finish();
}

fn in_flight(c: &mut Criterion) {
    let mut group = c.benchmark_group("majority of 5, records in flight");
    let (compiled, words) = (Compiled::new(&majority(5), &bit), words(5));
    for records in [64_u64, 4_096, 262_144] {
        group.throughput(Throughput::Elements(records));
        group.bench_with_input(BenchmarkId::from_parameter(records), &records, |b, records| {
            b.iter(|| (0..records / 64).fold(0, |all, _| all ^ compiled.held(black_box(&words))));
        });
    }
    group.finish();
}

criterion_group!(benches, decide, by_name, in_flight);
criterion_main!(benches);
