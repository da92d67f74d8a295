//! The commit decision: which of 64 positions a write quorum holds, for 5, 9, 63 and 101 voters,
//! for zones, for weights, and for a joint quorum. One decision serves 64 records, and records in
//! flight cost nothing: an answer is decided by the words that it brings, and `one answer` shows
//! that the time does not grow with what else is in flight. Then the decisions by names, as
//! planning asks for them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smallvec::SmallVec;
use std::hint::black_box;
use traft::base::{Lsn, Membership, QuorumSystem, ReplicaId, Tail, TailBitmap};
use traft::quorum::{Compiled, Mask};

fn bit(id: ReplicaId) -> Mask {
    1 << id.0
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
        ("majority of 101", majority(101)),
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
        let words = words(101);
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

/// What each of `n` voters has: `records` in flight above a hole, so that no prefix helps, a
/// different part of them at each.
fn sets(n: u64, records: u64) -> Vec<TailBitmap> {
    let set = |id: u64| {
        let (mut tail, word) = (Tail::new(), words(n)[id as usize]);
        (1..records.div_ceil(64)).for_each(|index| tail.insert_word(index, word));
        TailBitmap::from_parts(Lsn::ZERO, tail)
    };
    (0..n).map(set).collect()
}

/// A follower's answer brings 64 positions: the leader looks at these and at no others.
fn in_flight(c: &mut Criterion) {
    for voters in [5, 9, 63, 101] {
        let mut group = c.benchmark_group(format!("one answer, majority of {voters}, in flight"));
        let compiled = Compiled::new(&majority(voters), &bit);
        for records in [1_024_u64, 16_384, 262_144] {
            let sets = sets(voters, records);
            let index = records / 64 - 1;
            group.bench_with_input(BenchmarkId::from_parameter(records), &sets, |b, sets| {
                b.iter(|| {
                    let words: SmallVec<[u64; 128]> =
                        black_box(sets).iter().map(|set| set.word(index)).collect();
                    compiled.held(&words)
                });
            });
        }
        group.finish();
    }
}

/// A prefix: how far a majority has come.
fn prefix(c: &mut Criterion) {
    let mut group = c.benchmark_group("one prefix by names");
    for n in [5_u64, 9, 101] {
        let system = majority(n);
        let ends: Vec<(ReplicaId, Lsn)> =
            (0..n).map(|id| (ReplicaId(id), Lsn(1_000_000 + id * 7 % n))).collect();
        group.bench_with_input(BenchmarkId::new("majority", n), &ends, |b, ends| {
            b.iter(|| system.reached(black_box(ends)));
        });
    }
    group.finish();
}

criterion_group!(benches, decide, by_name, in_flight, prefix);
criterion_main!(benches);
