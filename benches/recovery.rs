//! How long a replica takes from the votes until it leads, as its gap grows.
//!
//! Of three replicas the leader is dead. The one that campaigns lacks everything that is open, the
//! other one holds it: 100 to 100,000 records of 256 bytes that nobody knows settled. Either all of
//! them, or every sixteenth is missing everywhere, so that the new leader closes a hole there, and
//! its lineage gets two runs for each. Or all update one key, and the first is missing: each
//! depends on the one before it, so all that follows is dropped.
//!
//! Measured is what the candidate does: with the vote, with each answer to a fetch (records come a
//! MiB at a time), until it leads and has composed the write that makes its log durable. Messages
//! go by value. What the voter does is measured apart.
//!
//! The bound: copy the same records into a vector, one after the other and not as a count for each
//! batch, and look up in the voter's lineage that the author is the right one.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use traft::base::{Command, Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload};
use traft::base::{Record, Records, ReplicaId};
use traft::message::{Envelope, Message};
use traft::replica::{Durable, Input, Options, Output, Replica};

const OPEN: [u64; 4] = [100, 1_000, 10_000, 100_000];
const CANDIDATE: ReplicaId = ReplicaId(2);
const VOTER: ReplicaId = ReplicaId(3);
/// So many records both have, the first of the log.
const BOTH: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Whole,
    Holes,
    Chain,
}

impl Log {
    fn name(self) -> &'static str {
        match self {
            Log::Whole => "whole",
            Log::Holes => "every 16th missing",
            Log::Chain => "one chain, its first missing",
        }
    }

    /// Whether the voter has the record there.
    fn has(self, lsn: u64) -> bool {
        match self {
            _ if lsn < BOTH => true,
            Log::Whole => true,
            Log::Holes => lsn % 16 != 15,
            Log::Chain => lsn > BOTH,
        }
    }

    /// What the dead leader placed there.
    fn record(self, lsn: u64) -> Record {
        let chain = self == Log::Chain && lsn > BOTH;
        let name = if chain { 0 } else { lsn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16 };
        let key = KeySet::point(Bytes::from(format!("user{name:012x}")));
        let update = chain || lsn.is_multiple_of(4);
        let footprint = if update { Footprint::update(key) } else { Footprint::write(key) };
        let command = Command { footprint, body: Bytes::from_static(&[7; 256]) };
        let mut record = Record::bare(Lsn(lsn), dead(), Payload::Command(command));
        record.floor = Lsn(lsn.min(BOTH));
        if chain {
            record.depends.insert(Lsn(lsn - 1));
        }
        record
    }

    /// What a replica has of it that holds nothing at or above `end`.
    fn records(self, end: u64) -> Records {
        (0..end).filter(|lsn| self.has(*lsn)).map(|lsn| self.record(lsn)).collect()
    }
}

/// The leader that died; replica 1.
fn dead() -> LeaderId {
    LeaderId::new(1, 1)
}

/// A replica that has followed the dead leader, and has these records.
fn replica(id: ReplicaId, records: Records) -> Replica {
    let (voted, lineage) = (dead(), Lineage::new(dead()));
    let options = Options::new(id, Membership::majority([1, 2, 3].map(ReplicaId)));
    Replica::new(options, Durable { voted, lineage, records, ..Durable::default() })
}

/// What it took, and how many fetches.
#[derive(Clone, Copy)]
struct Spent {
    candidate: Duration,
    voter: Duration,
    fetches: u32,
}

/// The two that live, before anybody votes.
#[derive(Clone)]
struct Pair {
    candidate: Replica,
    voter: Replica,
}

impl Pair {
    fn new(open: u64, log: Log) -> Pair {
        let candidate = replica(CANDIDATE, log.records(BOTH));
        Pair { candidate, voter: replica(VOTER, log.records(BOTH + open)) }
    }

    /// Has the candidate lead.
    fn elect(&mut self) -> Spent {
        let Pair { candidate, voter } = self;
        let mut spent = Spent { candidate: Duration::ZERO, voter: Duration::ZERO, fetches: 0 };
        candidate.handle(Input::Campaign);
        let mut asked = drain(candidate);
        while candidate.leading().is_none() {
            assert!(!asked.is_empty(), "the voter grants, and has what is fetched");
            for ask in asked.drain(..).filter(|ask| ask.to == VOTER).collect::<Vec<_>>() {
                spent.fetches += u32::from(matches!(ask.message, Message::Fetch(_)));
                let begin = Instant::now();
                voter.handle(Input::Receive(ask));
                let answers = drain(voter);
                spent.voter += begin.elapsed();
                for answer in answers {
                    let counts = !matches!(answer.message, Message::PreVoteReply(_));
                    let begin = Instant::now();
                    candidate.handle(Input::Receive(answer));
                    asked.extend(drain(candidate));
                    spent.candidate += if counts { begin.elapsed() } else { Duration::ZERO };
                }
            }
        }
        spent
    }
}

/// What a replica has to say once all it has written is durable. The log of a new leader is not.
/// Boxed, as it comes out of one replica and goes into the other.
#[expect(clippy::vec_box)]
fn drain(replica: &mut Replica) -> Vec<Box<Envelope>> {
    let (mut said, mut outputs) = (Vec::new(), Vec::new());
    while !replica.is_idle() {
        replica.drain(&mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Send(envelope) => said.push(envelope),
                Output::Persist(write) if replica.leading().is_none() => {
                    replica.handle(Input::Persisted(write.number));
                }
                other => drop(black_box(other)),
            }
        }
    }
    said
}

/// The bound: copies records, and holds each against a lineage.
fn copy(records: &Records, lineage: &Lineage) -> Vec<Record> {
    let copied: Vec<Record> = records.iter().cloned().collect();
    assert!(copied.iter().all(|record| lineage.author(record.lsn) == record.author));
    copied
}

fn recovery(c: &mut Criterion) {
    for log in [Log::Whole, Log::Holes, Log::Chain] {
        let mut group = c.benchmark_group(format!("from the votes to leading, {}", log.name()));
        group.sample_size(10).measurement_time(Duration::from_secs(1));
        group.warm_up_time(Duration::from_millis(200));
        for open in OPEN {
            group.throughput(Throughput::Elements(open));
            let pair = Pair::new(open, log);
            group.bench_function(BenchmarkId::from_parameter(open), |b| {
                b.iter_custom(|count| (0..count).map(|_| pair.clone().elect().candidate).sum());
            });
        }
        group.finish();
    }
}

/// All of it as one table, each figure the best of some rounds.
fn table(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    println!(
        "{:<30}{:>8}{:>9}{:>11}{:>11}{:>11}{:>8}{:>11}",
        "open records", "", "fetches", "ms", "ns each", "copy", "ratio", "voter"
    );
    for log in [Log::Whole, Log::Holes, Log::Chain] {
        for open in OPEN {
            let pair = Pair::new(open, log);
            let rounds = (1_000_000 / open).clamp(5, 200);
            let spent: Vec<Spent> = (0..rounds).map(|_| pair.clone().elect()).collect();
            let best = |of: fn(&Spent) -> Duration| spent.iter().map(of).min().unwrap_or_default();
            let each = |time: Duration| time.as_nanos() as f64 / open as f64;
            let candidate = best(|spent| spent.candidate);
            let voter = each(best(|spent| spent.voter));
            let (records, lineage) = (log.records(BOTH + open), Lineage::new(dead()));
            let records: Records = records.iter().skip(BOTH as usize).cloned().collect();
            let copies = (0..rounds).map(|_| {
                let begin = Instant::now();
                let copied = copy(black_box(&records), black_box(&lineage));
                let spent = begin.elapsed();
                drop(black_box(copied));
                spent
            });
            let bound = each(copies.min().unwrap_or_default());
            println!(
                "{:<30}{open:>8}{:>9}{:>11.3}{:>11.0}{bound:>11.0}{:>8.1}{voter:>11.0}",
                log.name(),
                spent[0].fetches,
                candidate.as_secs_f64() * 1e3,
                each(candidate),
                each(candidate) / bound
            );
        }
    }
}

criterion_group!(benches, table, recovery);
criterion_main!(benches);
