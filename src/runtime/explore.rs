//! The real runtime under interleavings that are drawn: a [`Node`] with its lanes, its clients and
//! its machine, on a simulated disk. What has to hold is what docs/concurrency.md says; and bugs
//! that are put back are found.
//!
//! ```text
//!     cargo test --release --lib --no-default-features --features explore runtime::explore
//! ```
//!
//! A failure prints a schedule; `shuttle::replay` repeats it.

use super::sync::explored::{Instant, Mutex, thread};
use super::sync::{Arc, Bug};
use super::{Cluster, Failure, Limits, Loopback, Node, NodeError, NodeOptions, Refusal, Start};
use crate::apply::kv::{Answer, Kv, Op};
use crate::apply::{Machine, Stateful};
use crate::base::{Membership, ReplicaId};
use crate::disk::SimDisk;
use bytes::Bytes;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

thread_local! {
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether it was put back.
pub(super) fn has(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}

/// Longer than anything takes, on a clock that runs only when somebody waits in vain.
const PATIENCE: Duration = Duration::from_secs(1_000);

/// Turns after which somebody waits for what never comes.
const STEPS_MAX: usize = 300_000;

fn run(scheduler: impl Scheduler + 'static, schedule: fn()) {
    let mut config = Config::new();
    (config.stack_size, config.max_steps) = (1 << 20, MaxSteps::FailAfter(STEPS_MAX));
    let begin = move || {
        Instant::reset();
        schedule();
    };
    Runner::new(scheduler, config).run(begin);
}

/// Half of the schedules draw every turn alike; in the others few threads overtake, but far.
fn explore(times: usize, schedule: fn()) {
    run(RandomScheduler::new_from_seed(1, times / 2), schedule);
    run(PctScheduler::new_from_seed(2, 3, times - times / 2), schedule);
}

/// Whether it is found when it is put back.
fn finds(bug: Bug, schedule: fn()) -> bool {
    BUG.set(Some(bug));
    let found = catch_unwind(AssertUnwindSafe(|| explore(100, schedule))).is_err();
    BUG.set(None);
    found
}

fn alone<M: Stateful>(machine: M, limits: Limits) -> Node<SimDisk, M> {
    let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
    options.start = Start::First;
    // A disk in memory pays for what is reserved, in every schedule.
    options.store.wal.segment_bytes = 64 << 10;
    let node = Node::with_limits(SimDisk::new(), options, machine, &Loopback::new(), limits);
    let node = node.expect("a node");
    node.campaign();
    node
}

fn leads<M: Stateful>(node: &Node<SimDisk, M>) {
    node.watch().until(PATIENCE, |view| view.leader.is_some()).expect("it leads");
}

const ADD: Op<'static> = Op::Increment { key: b"x", by: 1 };

/// Two clients and somebody who closes: each command is done or is not, and whoever was answered
/// is right.
fn closing() {
    let node = Arc::new(alone(Kv::new(), Limits::default()));
    leads(&node);
    let ask = |node: Arc<Node<SimDisk, Kv>>| move || node.propose(&ADD).map(|one| one.wait());
    let others = [thread::spawn(ask(node.clone())), thread::spawn(ask(node.clone()))];
    let own = node.propose(&ADD).expect("room");
    let mut done: Vec<i64> = Vec::new();
    for other in others {
        match other.join().expect("no panic").expect("room") {
            Ok(Answer::Number(sum)) => done.push(sum),
            Err(Failure::Unknown | Failure::NotDone(_)) => panic!("nobody closes so far"),
            Ok(other) => panic!("{other:?}"),
        }
    }
    let node = Arc::into_inner(node).expect("the others have gone");
    node.close().expect("it had not ended");
    match own.wait() {
        Ok(Answer::Number(sum)) => done.push(sum),
        other => panic!("closing answers what is in flight: {other:?}"),
    }
    done.sort_unstable();
    assert_eq!(done, [1, 2, 3]);
}

/// Dropped while others ask: nobody is left waiting.
fn dropping() {
    let node = alone(Kv::new(), Limits::default());
    let pending = [node.propose(&ADD), node.propose(&ADD)].map(|one| one.expect("room"));
    let clients = pending.map(|one| thread::spawn(move || one.wait()));
    drop(node);
    clients.into_iter().for_each(|client| drop(client.join().expect("no panic")));
}

/// Whoever has an answer finds room for the next, with room for one.
fn room() {
    let node = alone(Kv::new(), Limits { in_flight: 1, ..Limits::default() });
    leads(&node);
    for n in 1..=3 {
        let answer = node.propose(&ADD).expect("room").wait();
        assert_eq!(answer, Ok(Answer::Number(n)));
    }
}

/// More clients than there is room for: those that are let in are answered.
fn busy() {
    let node = Arc::new(alone(Kv::new(), Limits { in_flight: 2, ..Limits::default() }));
    leads(&node);
    let clients = [(); 3].map(|()| {
        let node = node.clone();
        thread::spawn(move || node.propose(&ADD).map(|one| one.wait()))
    });
    let answers = clients.map(|client| client.join().expect("no panic"));
    let done = answers.iter().filter(|a| matches!(a, Ok(Ok(Answer::Number(_))))).count();
    let refused = answers.iter().filter(|a| a.is_err()).count();
    assert!(done + refused == 3 && done >= 2, "{answers:?}");
}

/// A machine that falls over.
#[derive(Debug)]
struct Frail;

impl Machine for Frail {
    fn apply(&mut self, _: &Bytes) -> Bytes {
        panic!("as this exploration wants")
    }

    fn read(&self, _: &Bytes) -> Bytes {
        Bytes::new()
    }

    fn digest(&self) -> u64 {
        0
    }
}

impl Stateful for Frail {
    type Frozen = [(&'static str, &'static str); 0];

    fn freeze(&mut self) -> Option<Self::Frozen> {
        Some([])
    }

    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.iter().copied()
    }

    fn clear(&mut self) {}

    fn load(&mut self, _: &[u8], _: &[u8]) {}
}

fn all_hear<M: Stateful>(node: Node<SimDisk, M>, fall: fn(&Node<SimDisk, M>)) {
    leads(&node);
    let first = node.propose(&ADD).expect("room");
    let client = thread::spawn(move || first.wait());
    let mut watch = node.watch();
    fall(&node);
    let ended = watch.until(PATIENCE, |view| view.ended.is_some()).expect("it ends");
    assert_eq!(ended.ended, Some(Err(NodeError::Panicked)));
    drop(client.join().expect("no panic"));
    let late = node.propose(&ADD).map(|one| one.wait());
    assert_eq!(late, Ok(Err(Failure::NotDone(Refusal::Closing))));
    assert_eq!(node.close(), Err(NodeError::Panicked));
}

/// A lane falls over: its node ends, and whoever waits and whoever watches hears of it.
fn lane_falls() {
    all_hear(alone(Frail, Limits::default()), |_| ());
}

/// The same for the thread that owns the replica.
fn owner_falls() {
    all_hear(alone(Kv::new(), Limits::default()), |node| {
        node.survey(|_| panic!("as this exploration wants"));
    });
}

/// Three of them over a loopback, one goes: the others go on.
fn three() {
    let mut cluster = Cluster::<Kv>::local(3).expect("three nodes");
    let leader = cluster.leader(PATIENCE).expect("somebody leads");
    let sum = cluster.node(leader).propose(&ADD).expect("room").wait();
    assert_eq!(sum, Ok(Answer::Number(1)));
    let other = 1 + leader % 3;
    cluster.crash(other);
    let third = 6 - leader - other;
    let sum = cluster.node(third).propose(&ADD).expect("room").wait();
    assert!(matches!(sum, Ok(Answer::Number(2)) | Err(_)), "{sum:?}");
}

/// One after the other: what a schedule costs is seen in the time of its test.
#[test]
fn nodes_keep_what_they_promise_under_drawn_schedules() {
    let all: [(fn(), usize); 7] = [
        (closing, 100),
        (dropping, 100),
        (room, 100),
        (busy, 100),
        (lane_falls, 100),
        (owner_falls, 100),
        (three, 4),
    ];
    for (schedule, times) in all {
        explore(times, schedule);
    }
}

#[test]
fn bugs_that_are_put_back_are_found() {
    assert!(finds(Bug::AnswersBeforeRoom, room));
    assert!(finds(Bug::SilentPanic, lane_falls));
    assert!(finds(Bug::NobodyEnds, owner_falls));
}

/// What the explorations themselves rest on.
#[test]
fn the_channel_of_explorations_is_a_channel() {
    run(RandomScheduler::new_from_seed(3, 500), || {
        let (sender, receiver) = super::sync::bounded(2);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reader = {
            let seen = seen.clone();
            thread::spawn(move || receiver.into_iter().for_each(|n: u32| seen.lock().push(n)))
        };
        let other = sender.clone();
        let writer = thread::spawn(move || (0..5).for_each(|n| drop(other.send(n))));
        (10..15).for_each(|n| drop(sender.send(n)));
        drop(sender);
        writer.join().expect("no panic");
        reader.join().expect("no panic");
        let seen = seen.lock();
        let of = |low: bool| seen.iter().copied().filter(move |n| (*n < 10) == low);
        assert!(of(true).eq(0..5) && of(false).eq(10..15), "{:?}", *seen);
    });
}
