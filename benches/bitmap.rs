//! What set operations on positions cost, beside the same loops over a plain vector of words.
//!
//! Each set spans 65,536 positions (1,024 words) with every other bit set, offset at zero: far
//! more than what is in flight in a healthy cluster, about what a replica that was away sees.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use traft::base::{Lsn, Tail, TailBitmap};

const SPAN: u64 = 65_536;

fn every_other(first: u64) -> Tail {
    (first..SPAN).step_by(2).map(Lsn).collect()
}

fn set(first: u64) -> TailBitmap {
    TailBitmap::from_parts(Lsn::ZERO, every_other(first))
}

/// The yardstick: the least that a union can cost.
fn plain_words(c: &mut Criterion) {
    let (a, b) = (every_other(1).words().1.to_vec(), every_other(2).words().1.to_vec());
    c.bench_function("vec of words/union 64k", |bench| {
        bench.iter_batched_ref(
            || a.clone(),
            |a| a.iter_mut().zip(&b).for_each(|(a, b)| *a |= b),
            BatchSize::SmallInput,
        );
    });
}

fn whole_sets(c: &mut Criterion) {
    let (a, b) = (every_other(1), every_other(2));
    let mut group = c.benchmark_group("tail 64k");
    let by_ref = BatchSize::SmallInput;
    group.bench_function("union", |bench| {
        bench.iter_batched_ref(|| a.clone(), |a| a.union_with(&b), by_ref);
    });
    group.bench_function("difference", |bench| {
        bench.iter_batched_ref(|| a.clone(), |a| a.difference_with(&b), by_ref);
    });
    group.bench_function("intersects", |bench| bench.iter(|| black_box(&a).intersects(&b)));
    group.bench_function("clone", |bench| bench.iter(|| black_box(&a).clone()));
    group.bench_function("equal", |bench| bench.iter(|| *black_box(&a) == a));
    group.bench_function("iterate", |bench| {
        bench.iter(|| black_box(&a).iter().map(|lsn| lsn.0).sum::<u64>());
    });
    group.finish();

    let (a, b) = (set(1), set(2));
    let mut group = c.benchmark_group("bitmap 64k");
    group.bench_function("union", |bench| {
        bench.iter_batched_ref(|| a.clone(), |a| a.union_with(&b), by_ref);
    });
    group.bench_function("difference", |bench| bench.iter(|| black_box(&a).difference(&b)));
    group.bench_function("intersection", |bench| bench.iter(|| black_box(&a).intersection(&b)));
    group.bench_function("contains_all", |bench| {
        bench.iter(|| black_box(&a).contains_all(a.tail()));
    });
    group.bench_function("holes", |bench| {
        bench.iter(|| black_box(&a).holes(Lsn(SPAN)).map(|lsn| lsn.0).sum::<u64>());
    });
    group.finish();
}

/// What happens for each record: positions come in order, a little out of order, or behind a hole.
fn inserts(c: &mut Criterion) {
    let fill = |order: &[u64]| {
        let mut set = TailBitmap::new();
        order.iter().for_each(|at| {
            set.insert(Lsn(*at));
        });
        set
    };
    let in_order: Vec<u64> = (0..SPAN).collect();
    let swapped: Vec<u64> = (0..SPAN).map(|at| at ^ 7).collect();
    let hole_last: Vec<u64> = (1..SPAN).chain([0]).collect();
    let mut group = c.benchmark_group("bitmap insert 64k");
    group.throughput(criterion::Throughput::Elements(SPAN));
    group.bench_function("in order", |bench| bench.iter(|| fill(&in_order)));
    group.bench_function("eights backwards", |bench| bench.iter(|| fill(&swapped)));
    group.bench_function("first one last", |bench| bench.iter(|| fill(&hole_last)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = plain_words, whole_sets, inserts
}
criterion_main!(benches);
