//! The code of `docs/embedding.md`: this is where it is compiled and run, and a test holds the page
//! to it.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use traft::apply::Machine;
use traft::apply::kv::{Answer, Kv, Op};
use traft::base::{Command, Membership, Record, ReplicaId};
use traft::message::Envelope;
use traft::replica::{Durable, Input, Options, Output, ReadLevel, Replica, Write};

/// A replica with the disk and the state that it drives.
struct Node {
    replica: Replica,
    disk: Vec<Write>,
    machine: Kv,
}

#[derive(Default)]
struct Cluster {
    nodes: Vec<Node>,
    network: VecDeque<Box<Envelope>>,
    requests: Vec<Command>,
    answers: Vec<(u64, Bytes)>,
}

impl Cluster {
    fn handle(&mut self, at: usize, input: Input) {
        let mut next = Some((at, input));
        while let Some((at, input)) = next {
            self.nodes[at].replica.handle(input);
            self.carry_out(at);
            next = self.network.pop_front().map(|e| (e.to.0 as usize, Input::Receive(e)));
        }
    }

    fn carry_out(&mut self, at: usize) {
        let Node { replica, disk, machine } = &mut self.nodes[at];
        let (mut outputs, mut inputs) = (Vec::new(), Vec::new());
        replica.drain(&mut outputs);
        for output in outputs {
            match output {
                Output::Send(envelope) => self.network.push_back(envelope),
                Output::Persist(write) => {
                    inputs.push(Input::Persisted(write.number));
                    disk.push(*write);
                }
                Output::Apply(tasks) => inputs.extend(tasks.into_iter().map(|task| {
                    let result = replica.command(task.lsn).map(|c| machine.apply(&c.body));
                    self.answers.extend(task.proposal.zip(result));
                    Input::Applied(task.lsn)
                })),
                Output::Settled { proposal } => self.answers.push((proposal, Bytes::new())),
                Output::ReadReady { read } => {
                    let request = &self.requests[read as usize];
                    self.answers.push((read, machine.read(&request.body)));
                }
                other => println!("n{at}: {other:?}"),
            }
        }
        if !inputs.is_empty() {
            inputs.into_iter().for_each(|input| replica.handle(input));
            self.carry_out(at);
        }
    }
}

impl Cluster {
    fn start(disks: [Vec<Write>; 3]) -> Cluster {
        let membership = Membership::majority((0..3).map(ReplicaId));
        let mut cluster = Cluster::default();
        for (id, disk) in (0..).zip(disks) {
            let options = Options::new(ReplicaId(id), membership.clone());
            let replica = Replica::new(options, recover(&disk));
            cluster.nodes.push(Node { replica, disk, machine: Kv::new() });
        }
        cluster
    }

    /// Lets `ticks` milliseconds pass, at every replica.
    fn pass(&mut self, ticks: usize) {
        (0..ticks).for_each(|_| (0..3).for_each(|at| self.handle(at, Input::Tick)));
    }

    /// Asks replica `at`; gives the number of the request.
    fn ask(&mut self, at: usize, op: Op<'_>, read: bool) -> u64 {
        let (number, command) = (self.requests.len() as u64, op.command());
        self.requests.push(command.clone());
        let footprint = command.footprint.clone();
        let input = match read {
            true => Input::Read { read: number, footprint, level: ReadLevel::Confirmed },
            false => Input::Propose { proposal: number, command },
        };
        self.handle(at, input);
        number
    }

    fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.replica.leading().is_some())
    }

    fn answer(&self, number: u64) -> Option<Answer> {
        let (_, result) = self.answers.iter().find(|(of, _)| *of == number)?;
        Answer::decode(result).ok()
    }
}

/// What a replica starts from: its writes, one after the other.
fn recover(disk: &[Write]) -> Durable {
    let (mut durable, mut records) = (Durable::default(), BTreeMap::new());
    for write in disk.iter().cloned() {
        durable.voted = write.voted.unwrap_or(durable.voted);
        durable.membership = write.membership.or(durable.membership);
        if let Some(lineage) = write.lineage {
            records.retain(|lsn, record: &mut Record| record.author == lineage.author(*lsn));
            durable.lineage = lineage;
        }
        records.extend(write.records.into_iter().map(|record| (record.lsn, record)));
    }
    durable.records = records.into_values().collect();
    durable
}

#[test]
fn three_replicas_answer_and_come_back_from_their_disks() {
    let mut cluster = Cluster::start(Default::default());
    cluster.pass(400);
    let leader = cluster.leader().expect("a majority is up");

    let set = cluster.ask(leader, Op::Set { key: b"x", value: b"41" }, false);
    let increment = cluster.ask(leader, Op::Increment { key: b"x", by: 1 }, false);
    let read = cluster.ask(leader, Op::Get { key: b"x" }, true);
    assert_eq!(cluster.answer(set), Some(Answer::Nothing));
    assert_eq!(cluster.answer(increment), Some(Answer::Number(42)));
    assert_eq!(cluster.answer(read), Some(Answer::Value(Some("42".into()))));

    // A replica that does not lead passes a proposal on, and answers when it has executed it.
    let elsewhere = cluster.ask((leader + 1) % 3, Op::Append { key: b"x", suffix: b"!" }, false);
    cluster.pass(100);
    assert_eq!(cluster.answer(elsewhere), Some(Answer::Length(3)));

    // Everybody stops and starts again: the records are executed again, in some order that fits.
    let digest = cluster.nodes[leader].machine.digest();
    let mut disks = cluster.nodes.into_iter().map(|node| node.disk);
    let mut cluster = Cluster::start(std::array::from_fn(|_| disks.next().unwrap_or_default()));
    cluster.pass(500);
    assert!(cluster.nodes.iter().all(|node| node.machine.digest() == digest));
}

/// Every block of the page stands in this file, and the driver has 40 lines at most.
#[test]
fn the_page_shows_this_code() {
    let (page, code) = (include_str!("../docs/embedding.md"), include_str!("embedding.rs"));
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in &blocks {
        assert!(code.contains(block), "not in tests/embedding.rs:\n{block}");
    }
    let driver = blocks.iter().find(|block| block.contains("fn carry_out")).expect("the driver");
    assert!(driver.lines().count() <= 40, "{} lines", driver.lines().count());
}
