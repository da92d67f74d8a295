//! A state that stays in its file: a limit of nothing makes every snapshot a large one.

use std::time::Duration;
use traft::apply::redis::{Answer, Op, Store};
use traft::base::{Membership, ReplicaId};
use traft::disk::{Disk, SimDisk};
use traft::replica::RoleName;
use traft::runtime::{Failure, Loopback, Node, NodeError, NodeOptions, Order, Start};
use traft::store::StoreError;

const PATIENCE: Duration = Duration::from_secs(60);

type One = Node<SimDisk, Store>;

fn open(disk: &SimDisk, resident_bytes_max: u64, snapshot_records: u64) -> One {
    let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
    options.start = Start::First;
    (options.resident_bytes_max, options.snapshot_records) = (resident_bytes_max, snapshot_records);
    Node::open(disk.clone(), options, Store::new(), &Loopback::new()).expect("a node")
}

fn leads(node: &One) {
    node.campaign();
    node.watch().until(PATIENCE, |view| view.role == RoleName::Leader).expect("it leads");
}

fn ask(node: &One, op: &Op<'_>) -> Answer {
    let command = op.command().expect("a command");
    let plain = Plain(command, op.is_read());
    let asked = if plain.1 { node.read(&plain) } else { node.propose(&plain) };
    asked.expect("room").wait().expect("an answer")
}

struct Plain(traft::base::Command, bool);

impl traft::apply::Request for Plain {
    type Answer = Answer;

    fn command(&self) -> traft::base::Command {
        self.0.clone()
    }

    fn answer(result: &bytes::Bytes) -> Answer {
        if result.is_empty() {
            return Answer::Nothing;
        }
        Answer::decode(result).expect("an answer")
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("key{n:06}").into_bytes()
}

fn value(n: usize) -> Vec<u8> {
    format!("{n}").repeat(40).into_bytes()
}

const KEYS: usize = 3_000;

fn fill(node: &One) {
    let all: Vec<(Vec<u8>, Vec<u8>)> = (0..KEYS).map(|n| (key(n), value(n))).collect();
    for some in all.chunks(500) {
        let pairs = some.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        ask(node, &Op::SetMany { pairs });
    }
    for n in 0..20 {
        let key = key(n * 100);
        ask(node, &Op::Expire { key: &key, deadline: 1_000 + n as u64, when: Default::default() });
    }
}

fn save(node: &One) {
    node.order(Order::Snapshot).expect("room").wait().expect("an answer").expect("it is saved");
}

/// Everything that can be asked, with deadlines and changes before and after files.
#[test]
fn a_state_in_a_file_is_the_same_state() {
    let disk = SimDisk::new();
    let (node, plain) = (open(&disk, 0, 1 << 40), open(&SimDisk::new(), u64::MAX, 1 << 40));
    for node in [&node, &plain] {
        leads(node);
        fill(node);
    }
    save(&node);
    let change = |n: usize| {
        for node in [&node, &plain] {
            ask(node, &Op::Delete { keys: vec![&key(n)[..]] });
            ask(node, &Op::Append { key: &key(n + 1), suffix: b"more" });
            ask(node, &Op::Set { key: &key(KEYS + n), value: b"new", deadline: Some(7) });
            ask(node, &Op::Evict { keys: vec![(&key(n + 2)[..], 5_000)] });
            ask(node, &Op::Time { now: n as u64 + 1 });
        }
    };
    let same = |node: &One| {
        let keys = [key(1), key(100), key(1_900)];
        let ops = [
            Op::Count,
            Op::Digest,
            Op::Clock,
            Op::Due { now: 1_010, most: 100 },
            Op::Scan { after: None, pattern: None, most: 100_000 },
            Op::Get { key: &keys[0] },
            Op::Get { key: &keys[1] },
            Op::Deadline { key: &keys[2] },
        ];
        for op in ops {
            assert_eq!(ask(node, &op), ask(&plain, &op), "{op:?}");
        }
    };
    same(&node);
    (0..12).for_each(|n| change(n * 99 + 1));
    same(&node);
    // A file of a file and what changed, and more changes over that.
    save(&node);
    (0..9).for_each(|n| change(n * 77 + 5));
    save(&node);
    same(&node);
    let digest = node.status().expect("it runs").digest;
    node.close().expect("in good order");
    for resident in [0, u64::MAX] {
        let again = open(&disk, resident, 1 << 40);
        leads(&again);
        same(&again);
        assert_eq!(again.status().expect("it runs").digest, digest);
        again.close().expect("in good order");
    }
}

/// A block is not looked at when a replica starts. Whoever asks for it is told nothing wrong: the
/// replica stops, and the next start finds the damage and is in doubt.
#[test]
fn what_cannot_be_read_is_not_answered() {
    let disk = SimDisk::new();
    let node = open(&disk, 0, 1 << 40);
    leads(&node);
    fill(&node);
    save(&node);
    node.close().expect("in good order");
    let names = disk.list().expect("names");
    let name = names.iter().find(|name| name.ends_with(".snap")).expect("a snapshot").clone();
    let mut state = disk.state();
    state.spoil(&name, |bytes| {
        let wanted = value(1_500);
        let at = bytes.windows(wanted.len()).position(|some| some == wanted).expect("a value");
        bytes[at] ^= 1;
    });
    let disk = SimDisk::of(state);
    let node = open(&disk, 0, 1 << 40);
    leads(&node);
    assert_eq!(ask(&node, &Op::Get { key: &key(2_900) }), Answer::Value(value(2_900).into()));
    let broken = key(1_500);
    let read = Plain(Op::Get { key: &broken }.command().expect("a command"), true);
    let told = node.read(&read).expect("room").wait();
    assert!(matches!(told, Err(Failure::Unknown)), "{told:?}");
    let ended = node.watch().until(PATIENCE, |view| view.ended.is_some()).expect("it stops");
    let why = ended.ended.expect("it ended").expect_err("not in good order");
    assert!(matches!(why, NodeError::Store(StoreError::Snapshot(_))), "{why}");
    drop(node);
    let node = open(&disk, 0, 1 << 40);
    assert!(node.recovered().doubt.is_some(), "what was dropped from the log is not there");
    drop(node);
}
