//! What it takes to make bytes of a message, and a message of bytes.
//!
//! Two messages go all the time: what a leader sends, with commands of 256 bytes and keys of 16, in
//! each version of the wire; and a follower's answer, whose accepted set has holes. The bound to
//! write one is to copy as many bytes as it has into room that is there; the bound to read one is
//! to copy them into memory that is asked for and given back. What is read here is given back, too.
//! Bodies and keys are not copied by a reader, so what it costs goes by records and not by bytes.
//! The columns `each` say whether a record costs the same where 16 travel together and where 256
//! do, and a hole the same where there are 16 and 4,096.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use traft::base::{Command, Footprint, KeySet, LeaderId, Lsn, Payload, Record, ReplicaId, Tail};
use traft::base::{Records, TailBitmap};
use traft::message::{Envelope, Message, Replicate, ReplicateReply};
use traft::wire::{Version, decode, encode, encoded_len};

const LEADER: LeaderId = LeaderId { term: 3, node: ReplicaId(1) };
/// A log that has run for a while: positions do not fit in a byte.
const FIRST: u64 = 5_000_000;

/// What a leader places at `lsn` with a thousand in flight: a blind write or an update of a key of
/// its own; one in sixteen depends on another one.
fn record(lsn: u64) -> Record {
    let key = KeySet::point(Bytes::from(format!("user{:012x}", lsn.wrapping_mul(0x9e37_79b9))));
    let update = lsn.is_multiple_of(4);
    let footprint = if update { Footprint::update(key) } else { Footprint::write(key) };
    let command = Command { footprint, body: Bytes::from(vec![lsn as u8; 256]) };
    let mut record = Record::bare(Lsn(lsn), LEADER, Payload::Command(command));
    record.floor = Lsn(lsn - 1_000);
    if lsn.is_multiple_of(16) {
        record.depends.insert(Lsn(lsn - 500));
    }
    record
}

fn replicate(records: u64) -> Envelope {
    let message = Message::Replicate(Replicate {
        leader: LEADER,
        lineage: None,
        records: (FIRST..FIRST + records).map(record).collect::<Records>(),
        settled: TailBitmap::below(Lsn(FIRST - 1_000)),
        committed_membership: None,
        round: 77,
        repaired: None,
    });
    Envelope::new(ReplicaId(1), ReplicaId(2), message)
}

/// An answer with so many holes, one at every sixteenth position.
fn answer(holes: u64) -> Envelope {
    let mut tail = Tail::new();
    (0..holes).for_each(|n| tail.insert_range(Lsn(FIRST + 16 * n + 1), Lsn(FIRST + 16 * n + 16)));
    let message = Message::ReplicateReply(ReplicateReply {
        leader: LEADER,
        accepted: TailBitmap::from_parts(Lsn(FIRST), tail),
        round: 77,
        window: 64 << 20,
        committed_membership: None,
        incarnation: 0,
        doubtful: false,
    });
    Envelope::new(ReplicaId(2), ReplicaId(1), message)
}

/// Name, how many records or holes, message, version.
fn cases() -> Vec<(String, u64, Envelope, Version)> {
    let mut cases = Vec::new();
    for version in [Version::NEWEST, Version::One] {
        for records in [1, 16, 64, 256] {
            let name = format!("version {version}, records {records}");
            cases.push((name, records, replicate(records), version));
        }
    }
    for holes in [1, 16, 256, 4_096] {
        cases.push((format!("answer, holes {holes}"), holes, answer(holes), Version::NEWEST));
    }
    cases
}

fn wire(c: &mut Criterion) {
    for (name, _, envelope, version) in cases() {
        let frame = encode(&envelope, version);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("encode", |b| b.iter(|| encode(black_box(&envelope), version)));
        group.bench_function("length", |b| b.iter(|| encoded_len(black_box(&envelope), version)));
        group.bench_function("decode", |b| b.iter(|| decode(black_box(&frame).clone())));
        group.finish();
    }
}

/// Nanoseconds for one `act`: the best of twenty rounds of about a millisecond each.
fn best<R>(mut act: impl FnMut() -> R) -> f64 {
    let mut round = |count: u32| {
        let start = Instant::now();
        (0..count).for_each(|_| drop(black_box(act())));
        start.elapsed().as_nanos() as f64 / f64::from(count)
    };
    let count = (1e6 / round(100)).clamp(20.0, 1e6) as u32;
    (0..20).map(|_| round(count)).fold(f64::INFINITY, f64::min)
}

/// All of it as one table, with the bound beside it.
fn table(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    println!("{:<33}{:>35}   {:>34}", "ns a message, and for each", "encode", "decode");
    println!(
        "{:<23}{:>9}{:>9}{:>9}{:>9}{:>9}   {:>9}{:>9}{:>9}{:>9}",
        "record or hole", "bytes", "", "each", "copy", "ratio", "", "each", "copy", "ratio"
    );
    for (name, count, envelope, version) in cases() {
        let frame = encode(&envelope, version);
        assert_eq!(decode(frame.clone()).as_ref(), Ok(&envelope), "{name}");
        let mut room = vec![0; frame.len()];
        let writes = [
            best(|| encode(black_box(&envelope), version)),
            best(|| black_box(&mut room).copy_from_slice(black_box(&frame))),
        ];
        let reads = [
            best(|| decode(black_box(&frame).clone())),
            best(|| Bytes::copy_from_slice(black_box(&frame))),
        ];
        let cells = |[ns, copy]: [f64; 2]| {
            format!("{ns:>9.0}{:>9.1}{copy:>9.0}{:>9.1}", ns / count as f64, ns / copy)
        };
        println!("{name:<23}{:>9}{}   {}", frame.len(), cells(writes), cells(reads));
    }
}

criterion_group!(benches, table, wire);
criterion_main!(benches);
