//! Nodes with threads: the code of `docs/node.md`, and what a node owes whoever embeds it.

#[path = "node/workers.rs"]
mod workers;

use bytes::Bytes;
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;
use traft::apply::kv::{Answer, Kv, Op};
use traft::apply::{Machine, Request, Stateful};
use traft::base::{Command, Footprint, KeySet, Lsn, Membership, ReplicaId};
use traft::check::refine::{Refinement, parse, print};
use traft::disk::{RealDisk, SimDisk};
use traft::replica::Step;
use traft::runtime::{
    Busy, Cluster, Failure, Limits, Loopback, Node, NodeError, NodeOptions, Pending, Recorder,
    Refusal, Start, View,
};

const PATIENCE: Duration = Duration::from_secs(60);

type Store = Vec<Node<RealDisk, Kv>>;

/// Three nodes, each with a directory of its own.
fn open(root: &Path, start: Start) -> Result<Store, Box<dyn Error>> {
    let network = Loopback::new();
    let mut nodes = Vec::new();
    for id in (1..=3).map(ReplicaId) {
        let disk = RealDisk::new(root.join(id.to_string()))?;
        let mut options = NodeOptions::new(id, Membership::majority((1..=3).map(ReplicaId)));
        options.start = start;
        nodes.push(Node::open(disk, options, Kv::new(), &network)?);
    }
    for node in &nodes {
        node.watch().until(PATIENCE, |view| view.leader.is_some()).ok_or("nobody leads")?;
    }
    Ok(nodes)
}

/// Writes, stops everything, starts again, and reads.
fn use_it(root: &Path) -> Result<Answer, Box<dyn Error>> {
    let nodes = open(root, Start::First)?;
    let set = nodes[0].propose(&Op::Set { key: b"x", value: b"41" })?;
    let sum = nodes[1].propose(&Op::Increment { key: b"y", by: 1 })?;
    assert_eq!((set.wait()?, sum.wait()?), (Answer::Nothing, Answer::Number(1)));
    for node in nodes {
        node.close()?;
    }
    let nodes = open(root, Start::Again)?;
    nodes[2].propose(&Op::Increment { key: b"x", by: 1 })?.wait()?;
    Ok(nodes[0].read(&Op::Get { key: b"x" })?.wait()?)
}

#[test]
fn a_durable_replicated_store_in_forty_lines() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forty-lines");
    let _ = std::fs::remove_dir_all(&root);
    let answer = use_it(&root).expect("it works");
    assert_eq!(answer, Answer::Value(Some(Bytes::from_static(b"42"))));
    std::fs::remove_dir_all(&root).expect("nobody holds it");
}

/// Every block of the page stands in these files, and the store has 40 lines at most.
#[test]
fn the_page_shows_this_code() {
    let page = include_str!("../docs/node.md");
    let code = concat!(include_str!("node.rs"), include_str!("node/workers.rs"));
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in &blocks {
        assert!(code.contains(block), "not in the tests:\n{block}");
    }
    let store = blocks.iter().find(|block| block.contains("fn open")).expect("the store");
    assert!(store.lines().count() <= 40, "{} lines", store.lines().count());
}

fn leader(cluster: &Cluster<Kv>) -> u64 {
    cluster.leader(PATIENCE).expect("somebody leads")
}

/// Asks until it is done: for what does no harm when it is done twice.
fn surely(cluster: &Cluster<Kv>, id: u64, op: &Op<'_>) -> Answer {
    for _ in 0..1_000 {
        if let Ok(pending) = cluster.node(id).propose(op)
            && let Some(Ok(answer)) = pending.wait_for(Duration::from_secs(1))
        {
            return answer;
        }
        leader(cluster);
    }
    panic!("not done");
}

#[test]
fn what_is_answered_is_there_after_crashes() {
    let mut cluster = Cluster::<Kv>::local(3).expect("three nodes");
    let keys: Vec<String> = (0..60).map(|n| format!("key{n}")).collect();
    for (n, key) in (0..).zip(&keys) {
        let asked = 1 + n % 3;
        surely(&cluster, asked, &Op::Set { key: key.as_bytes(), value: key.as_bytes() });
        if n % 20 == 19 {
            let leads = leader(&cluster);
            cluster.crash(leads);
            cluster.start(leads).expect("it starts again");
            leader(&cluster);
        }
    }
    let all = Op::GetMany { keys: keys.iter().map(|key| key.as_bytes()).collect() };
    let there = Answer::Values(keys.iter().cloned().map(|key| Some(Bytes::from(key))).collect());
    for id in cluster.ids() {
        let read = || cluster.node(id).read(&all).expect("room").wait_for(PATIENCE);
        let answer = (0..1_000).find_map(|_| read().and_then(Result::ok));
        assert_eq!(answer.as_ref(), Some(&there), "n{id}");
    }
}

/// What threads do are steps that the specifications allow; and a line of a file says the same.
#[test]
fn recorded_steps_are_those_of_the_specifications() {
    let steps: Arc<Mutex<Vec<(ReplicaId, Step)>>> = Arc::default();
    let list = steps.clone();
    let record =
        move |id, step: &Step| list.lock().expect("nobody panics").push((id, step.clone()));
    let mut cluster = Cluster::<Kv>::recorded(3, Recorder::new(record)).expect("three nodes");
    for n in 0..90_u64 {
        let key = [b"a", b"b", b"c"][n as usize % 3];
        let value = n.to_string();
        surely(&cluster, 1 + n % 3, &Op::Set { key, value: value.as_bytes() });
        surely(&cluster, 1 + n % 2, &Op::Increment { key: b"n", by: 1 });
        if n % 30 == 29 {
            let leads = leader(&cluster);
            cluster.crash(leads);
            cluster.start(leads).expect("it starts again");
            leader(&cluster);
        }
    }
    drop(cluster);
    let steps = steps.lock().expect("nobody panics");
    let check = |steps: &[(ReplicaId, Step)]| {
        let mut spec = Refinement::new(Membership::majority((1..=3).map(ReplicaId)));
        let taken = steps.iter().try_for_each(|(id, step)| spec.step(*id, step));
        taken.map(|()| spec.counts().clone())
    };
    let counts = check(&steps).unwrap_or_else(|what| panic!("{what}"));
    assert!(counts["spec Propose"] >= 180 && counts["spec Elect"] >= 4, "{counts:?}");
    // The same from a file. Of a command there is only a digest.
    let lines = steps.iter().enumerate();
    let lines: Vec<String> =
        lines.map(|(at, (id, step))| print(at as u64, *id, step) + "\n").collect();
    let read = parse(&lines.concat()).expect("lines");
    let again: Vec<String> =
        read.iter().map(|line| print(line.at, line.replica, &line.step) + "\n").collect();
    let digest = |line: &String| !line.contains("\"body\"");
    assert!(lines.iter().zip(&again).filter(|(one, _)| digest(one)).all(|(one, two)| one == two));
    let mut read: Vec<_> = read.into_iter().map(|line| (line.replica, line.step)).collect();
    assert_eq!(check(&read), Ok(counts));
    // And a trace can be wrong: without the write of a promise, what rests on it is.
    let promises = |step: &Step| matches!(step, Step::Writes(write) if write.voted.is_some());
    let at = read.iter().position(|(_, step)| promises(step)).expect("somebody promises");
    read.remove(at);
    assert!(check(&read).is_err());
}

/// A leader remembers what was passed on to it by number. A node that starts again while that one
/// still leads passes on other commands, which must not be taken for the old ones.
#[test]
fn what_a_later_life_passes_on_is_not_taken_for_what_an_earlier_one_did() {
    let mut cluster = Cluster::<Kv>::local(3).expect("three nodes");
    let leads = leader(&cluster);
    let follower = cluster.ids().into_iter().find(|id| *id != leads).expect("two follow");
    for n in 1..=3_i64 {
        let value = n.to_string();
        surely(&cluster, follower, &Op::Set { key: b"x", value: value.as_bytes() });
        let read = || cluster.node(leads).read(&Op::Get { key: b"x" }).expect("room");
        let answer = (0..1_000).find_map(|_| read().wait_for(PATIENCE).and_then(Result::ok));
        assert_eq!(answer, Some(Answer::Value(Some(Bytes::from(value)))), "life {n}");
        cluster.crash(follower);
        cluster.start(follower).expect("it starts again");
        let follows = |view: &View| view.leader.is_some();
        cluster.node(follower).watch().until(PATIENCE, follows).expect("it hears the leader");
    }
}

#[test]
fn a_node_without_a_leader_says_so() {
    let members = Membership::majority((1..=3).map(ReplicaId));
    let options = NodeOptions { start: Start::First, ..NodeOptions::new(ReplicaId(1), members) };
    let node = Node::open(SimDisk::new(), options, Kv::new(), &Loopback::new()).expect("a node");
    let set = Op::Set { key: b"x", value: b"1" };
    let refused = Err(Failure::NotDone(Refusal::NotHere { hint: None }));
    assert_eq!(node.propose(&set).expect("room").wait(), refused);
    assert_eq!(node.close(), Ok(()));
}

#[test]
fn a_node_that_leads_says_that_it_is_busy() {
    let limits = Limits { in_flight: 2, ..Limits::default() };
    let network = Loopback::new();
    let members = Membership::majority((1..=2).map(ReplicaId));
    let open = |id| {
        let options = NodeOptions::new(ReplicaId(id), members.clone());
        let options = NodeOptions { start: Start::First, ..options };
        Node::with_limits(SimDisk::new(), options, Kv::new(), &network, limits).expect("a node")
    };
    let (one, two) = (open(1), open(2));
    one.campaign();
    one.watch().until(PATIENCE, |view| view.leader == Some(ReplicaId(1))).expect("it leads");
    let set = Op::Set { key: b"x", value: b"1" };
    assert_eq!(one.propose(&set).expect("room").wait(), Ok(Answer::Nothing));
    // Without the other one nothing commits.
    two.cut(true);
    let pending = [one.propose(&set).expect("room"), one.propose(&set).expect("room")];
    assert_eq!(one.propose(&set).err(), Some(Busy { limit: 2 }));
    assert_eq!(pending[0].outcome(), None);
    // What it cannot answer in time it says that nobody knows of.
    one.close_within(Duration::ZERO).expect("it had not ended");
    for pending in pending {
        assert_eq!(pending.wait(), Err(Failure::Unknown));
    }
    two.close_within(Duration::ZERO).expect("it had not ended");
}

#[test]
fn whoever_has_an_answer_finds_room_for_the_next() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let (network, members) = (Loopback::new(), Membership::majority([ReplicaId(1)]));
    let options = NodeOptions { start: Start::First, ..NodeOptions::new(ReplicaId(1), members) };
    let node = Node::with_limits(SimDisk::new(), options, Kv::new(), &network, limits);
    let node = node.expect("a node");
    node.watch().until(PATIENCE, |view| view.leader.is_some()).expect("it leads");
    for n in 0..20_000 {
        let answer = node.propose(&Op::Set { key: b"x", value: b"1" }).map(Pending::wait);
        assert_eq!(answer, Ok(Ok(Answer::Nothing)), "after {n}");
    }
}

#[test]
fn closing_answers_what_is_in_flight() {
    let node = alone(&SimDisk::new(), Kv::new());
    let set = Op::Set { key: b"x", value: b"1" };
    let pending: Vec<_> = (0..500).map(|_| node.propose(&set).expect("room")).collect();
    node.close_within(PATIENCE).expect("it had not ended");
    assert!(pending.into_iter().all(|pending| pending.wait() == Ok(Answer::Nothing)));
}

/// A machine that counts, and falls over when told to.
#[derive(Default)]
struct Fragile(u64);

struct Count;
struct Fall;

impl Request for Count {
    type Answer = u64;

    fn command(&self) -> Command {
        let footprint = Footprint::update(KeySet::point("count"));
        Command { footprint, body: Bytes::from_static(b"+") }
    }

    fn answer(result: &Bytes) -> u64 {
        (&result[..]).try_into().map_or(0, u64::from_be_bytes)
    }
}

impl Request for Fall {
    type Answer = ();

    fn command(&self) -> Command {
        Command { body: Bytes::from_static(b"!"), ..Count.command() }
    }

    fn answer(_: &Bytes) {}
}

impl Machine for Fragile {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        assert_ne!(&body[..], b"!", "it falls over, as this test wants");
        self.0 += 1;
        Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    fn read(&self, _: &Bytes) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

impl Stateful for Fragile {
    type Frozen = [(&'static str, [u8; 8]); 1];

    fn freeze(&mut self) -> Option<Self::Frozen> {
        Some([("count", self.0.to_be_bytes())])
    }

    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.iter().copied()
    }

    fn clear(&mut self) {
        self.0 = 0;
    }

    fn load(&mut self, _: &[u8], value: &[u8]) {
        self.0 = value.try_into().map_or(0, u64::from_be_bytes);
    }
}

fn alone<M: Stateful>(disk: &SimDisk, machine: M) -> Node<SimDisk, M> {
    let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
    (options.snapshot_records, options.start) = (100, Start::First);
    let node = Node::open(disk.clone(), options, machine, &Loopback::new()).expect("a node");
    node.campaign();
    node.watch().until(PATIENCE, |view| view.leader.is_some()).expect("it leads");
    node
}

#[test]
fn a_machine_of_ones_own_comes_back_from_its_snapshot() {
    let disk = SimDisk::new();
    let node = alone(&disk, Fragile(77));
    let counts: Vec<_> = (0..1_000).map(|_| node.propose(&Count).expect("room")).collect();
    let counts: Vec<u64> = counts.into_iter().map(|count| count.wait().expect("done")).collect();
    assert!(counts.iter().copied().eq(1..=1_000), "it starts empty, and nobody comes between");
    let mut watch = node.watch();
    watch.until(PATIENCE, |view| view.done >= Lsn(1_000)).expect("all of it is done");
    let status = node.status().expect("it runs");
    assert_eq!(status.digest, 1_000);
    node.close().expect("it had not ended");
    assert!(disk.state().names().any(|name| name.ends_with(".snap")));
    let node = alone(&disk, Fragile(0));
    assert_eq!(node.read(&Count).expect("room").wait(), Ok(1_000));
}

#[test]
fn a_machine_that_panics_ends_its_node_and_nobody_waits_for_ever() {
    let disk = SimDisk::new();
    let node = alone(&disk, Fragile::default());
    assert_eq!(node.propose(&Count).expect("room").wait(), Ok(1));
    assert_eq!(node.propose(&Fall).expect("room").wait(), Err(Failure::Unknown));
    let ended = node.watch().until(PATIENCE, |view| view.ended.is_some()).expect("it ends");
    assert_eq!(ended.ended, Some(Err(NodeError::Panicked)));
    let late = node.propose(&Count).expect("room").wait();
    assert_eq!(late, Err(Failure::NotDone(Refusal::Closing)));
    assert!(node.status().is_none());
    assert_eq!(node.close(), Err(NodeError::Panicked));
}

/// The thread of the replica itself, and not one of those beside it.
#[test]
fn whoever_watches_hears_of_a_panic_of_the_owner() {
    let node = alone(&SimDisk::new(), Kv::new());
    let set = Op::Set { key: b"x", value: b"1" };
    assert_eq!(node.propose(&set).expect("room").wait(), Ok(Answer::Nothing));
    node.survey(|_| panic!("as this test wants"));
    let ended = node.watch().until(PATIENCE, |view| view.ended.is_some()).expect("it ends");
    assert_eq!(ended.ended, Some(Err(NodeError::Panicked)));
    let late = node.propose(&set).expect("room").wait();
    assert_eq!(late, Err(Failure::NotDone(Refusal::Closing)));
    assert_eq!(node.close(), Err(NodeError::Panicked));
}

/// A future is driven by whatever its owner likes: here by a flag and a thread that parks.
#[test]
fn a_proposal_is_a_plain_future() {
    struct Unpark(std::thread::Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::Release);
            self.0.unpark();
        }
    }
    let node = alone(&SimDisk::new(), Kv::new());
    let op = Op::Increment { key: b"x", by: 5 };
    let mut future = std::pin::pin!(node.propose(&op).expect("room"));
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(true)));
    let waker = unpark.clone().into();
    let mut context = Context::from_waker(&waker);
    let answer = loop {
        if unpark.1.swap(false, Ordering::AcqRel)
            && let Poll::Ready(answer) = future.as_mut().poll(&mut context)
        {
            break answer;
        }
        std::thread::park();
    };
    assert_eq!(answer, Ok(Answer::Number(5)));
}
