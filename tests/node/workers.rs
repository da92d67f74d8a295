//! Nodes whose machine is driven by several workers.

use super::PATIENCE;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use traft::apply::{Digest, Machine, Request, Stateful};
use traft::base::{Command, Footprint, KeySet, Membership, ReplicaId};
use traft::disk::SimDisk;
use traft::runtime::{Loopback, Node, NodeOptions, Order, Pending, Start};

type Part = BTreeMap<Bytes, u64>;

const FINE: &str = "nobody panics";

/// Counts of keys, in parts with a lock each: every clone is a hand to the same ones.
#[derive(Clone, Default)]
struct Tally(Arc<[Mutex<Part>; 16]>);

impl Tally {
    fn part(&self, key: &[u8]) -> MutexGuard<'_, Part> {
        let at = key.iter().map(|byte| usize::from(*byte)).sum::<usize>() % self.0.len();
        self.0[at].lock().expect(FINE)
    }
}

impl Machine for Tally {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        let mut part = self.part(body);
        let count = part.entry(body.clone()).or_default();
        *count += 1;
        Bytes::copy_from_slice(&count.to_be_bytes())
    }

    fn read(&self, body: &Bytes) -> Bytes {
        Bytes::copy_from_slice(&self.part(body).get(body).unwrap_or(&0).to_be_bytes())
    }

    fn digest(&self) -> u64 {
        let one = |(key, count): (&Bytes, &u64)| Digest::new().bytes(key).word(*count).value();
        let sum = |part: &Part| part.iter().map(one).fold(0, u64::wrapping_add);
        self.0.iter().map(|part| sum(&part.lock().expect(FINE))).fold(0, u64::wrapping_add)
    }
}

impl Stateful for Tally {
    type Frozen = BTreeMap<Bytes, [u8; 8]>;

    fn freeze(&mut self) -> Option<Self::Frozen> {
        let parts = self.0.iter().flat_map(|part| part.lock().expect(FINE).clone());
        Some(parts.map(|(key, count)| (key, count.to_be_bytes())).collect())
    }

    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.iter()
    }

    fn clear(&mut self) {
        self.0.iter().for_each(|part| part.lock().expect(FINE).clear());
    }

    fn load(&mut self, key: &[u8], value: &[u8]) {
        let count = value.try_into().map_or(0, u64::from_be_bytes);
        self.part(key).insert(Bytes::copy_from_slice(key), count);
    }

    fn hand(&self) -> Option<Box<dyn Machine + Send>> {
        Some(Box::new(self.clone()))
    }
}

/// Counts its key.
struct Tick(Bytes);

impl Request for Tick {
    type Answer = u64;

    fn command(&self) -> Command {
        let footprint = Footprint::update(KeySet::point(self.0.clone()));
        Command { footprint, body: self.0.clone() }
    }

    fn answer(result: &Bytes) -> u64 {
        (&result[..]).try_into().map_or(0, u64::from_be_bytes)
    }
}

/// One node with three workers and one with one get the same commands: the same answers, the same
/// state, snapshots taken in between, and a start from one.
#[test]
fn several_workers_leave_what_one_leaves() {
    let start = |disk: &SimDisk, workers| {
        let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
        (options.start, options.apply_workers) = (Start::First, workers);
        options.snapshot_records = 1_000;
        let node = Node::open(disk.clone(), options, Tally::default(), &Loopback::new());
        let node = node.expect("it opens");
        node.watch().until(PATIENCE, |view| view.leader.is_some()).expect("it leads");
        node
    };
    let states = [1, 3].map(|workers| {
        let disk = SimDisk::new();
        let node = start(&disk, workers);
        // Every other one on one key, the others on fifty.
        let key =
            |n: u64| if n.is_multiple_of(2) { "hot".into() } else { format!("key{}", n % 99) };
        let ask = |n| node.propose(&Tick(key(n).into())).expect("room");
        let pending: Vec<_> = (0..6_000).map(ask).collect();
        let hot = node.read(&Tick("hot".into())).expect("room");
        let answers: Vec<_> = pending.into_iter().map(Pending::wait).collect();
        assert!(answers.iter().all(Result::is_ok));
        assert!(hot.wait().expect("it is read") <= 3_000);
        assert_eq!(node.read(&Tick("hot".into())).expect("room").wait(), Ok(3_000));
        let digest = node.status().expect("it runs").digest;
        node.order(Order::Snapshot).expect("room").wait().expect("it runs").expect("taken");
        node.close().expect("it had not ended");
        let again = start(&disk, workers);
        // A read waits for what interferes only: after one of each key everything is executed.
        let reads = (0..198).map(|n| again.read(&Tick(key(n).into())).expect("room"));
        let reads: Vec<_> = reads.collect();
        assert!(reads.into_iter().map(Pending::wait).all(|read| read.is_ok()));
        let read = again.read(&Tick("hot".into())).expect("room").wait();
        assert_eq!((read, again.status().expect("it runs").digest), (Ok(3_000), digest));
        (answers, digest)
    });
    assert!(states[0] == states[1], "the answers or the states differ");
}
