//! Who is who: a replica that lost its directory, messages of another cluster, and a cluster that
//! goes on without a majority that is lost for ever.

use std::collections::VecDeque;
use traft::apply::kv::{Answer, Frozen, Kv, Op};
use traft::base::{Membership, ReplicaId};
use traft::disk::SimDisk;
use traft::replica::ReadLevel;
use traft::runtime::{Done, Effect, Engine, Event, Host, NodeError, NodeOptions, Post, Start};
use traft::store::{self, LossAccepted, RecoverError, StoreError, prospect, recover};
use traft::wal::WalError;

/// Three replicas whose messages arrive at once, unless somebody is cut off.
struct Cluster {
    disks: Vec<SimDisk>,
    nodes: Vec<Option<Host<SimDisk, Kv>>>,
    cut: Vec<usize>,
    answers: Vec<(u64, bytes::Bytes)>,
    next: u64,
}

fn initial() -> Membership {
    Membership::majority((1..=3).map(ReplicaId))
}

fn options(at: usize, start: Start) -> NodeOptions {
    let mut options = NodeOptions::new(ReplicaId(at as u64 + 1), initial());
    options.cluster = 77;
    options.start = start;
    options.replica.forwarding = false;
    options
}

impl Cluster {
    fn new() -> Cluster {
        let disks: Vec<SimDisk> = (0..3).map(|_| SimDisk::new()).collect();
        let mut cluster = Cluster {
            disks,
            nodes: vec![None, None, None],
            cut: Vec::new(),
            answers: Vec::new(),
            next: 0,
        };
        (0..3).for_each(|at| cluster.start(at, Start::First).expect("a new one"));
        cluster
    }

    /// Starts a replica; one that ran is stopped first.
    fn start(&mut self, at: usize, start: Start) -> Result<(), NodeError> {
        self.nodes[at] = None;
        let (node, _) = Host::open(self.disks[at].clone(), options(at, start), Kv::new())?;
        self.nodes[at] = Some(node);
        Ok(())
    }

    fn event(&mut self, at: usize, event: Event<Post, Done<Frozen>>) {
        if let Some(node) = &mut self.nodes[at] {
            node.handle(event).expect("it goes on");
        }
        self.settle();
    }

    /// Everybody works until nobody has anything left to say.
    fn settle(&mut self) {
        let mut mail: VecDeque<(usize, Post)> = VecDeque::new();
        loop {
            let mut jobs = Vec::new();
            for at in 0..self.nodes.len() {
                let Some(node) = &mut self.nodes[at] else { continue };
                let (cut, answers) = (&self.cut, &mut self.answers);
                node.work(&mut |effect| match effect {
                    Effect::Send { to, message } => {
                        let to = to.0 as usize - 1;
                        if !cut.contains(&at) && !cut.contains(&to) {
                            mail.push_back((to, message));
                        }
                    }
                    Effect::Answer { number, result } => answers.push((number, result)),
                    Effect::Do(job) => jobs.push((at, job)),
                    _ => {}
                })
                .expect("it goes on");
            }
            if mail.is_empty() && jobs.is_empty() {
                return;
            }
            for (at, job) in jobs {
                if let Some(node) = &mut self.nodes[at] {
                    let done = Host::<SimDisk, Kv>::run(job);
                    node.handle(Event::Done(done)).expect("it goes on");
                }
            }
            for (to, message) in mail.drain(..) {
                if let Some(node) = &mut self.nodes[to] {
                    node.handle(Event::Message(message)).expect("it goes on");
                }
            }
        }
    }

    fn pass(&mut self, ticks: u64) {
        for _ in 0..ticks {
            (0..self.nodes.len()).for_each(|at| {
                if let Some(node) = &mut self.nodes[at] {
                    node.handle(Event::Tick).expect("it goes on");
                }
            });
            self.settle();
        }
    }

    fn leader(&self) -> Option<usize> {
        let leads = |node: &Option<Host<SimDisk, Kv>>| {
            node.as_ref().is_some_and(|node| node.status().is_some_and(|status| status.leads))
        };
        let up = |at: &usize| leads(&self.nodes[*at]) && !self.cut.contains(at);
        (0..self.nodes.len()).find(up)
    }

    /// Whether a write is acknowledged there.
    fn write(&mut self, at: usize, key: &str, value: &str) -> bool {
        self.next += 1;
        let number = self.next;
        let command = Op::Set { key: key.as_bytes(), value: value.as_bytes() }.command();
        self.event(at, Event::Write { number, command });
        self.answers.iter().any(|(n, _)| *n == number)
    }

    fn read(&mut self, at: usize, key: &str) -> Option<String> {
        self.next += 1;
        let number = self.next;
        let command = Op::Get { key: key.as_bytes() }.command();
        let level = ReadLevel::Confirmed;
        self.event(at, Event::Read { number, command, level });
        let (_, result) = self.answers.iter().find(|(n, _)| *n == number)?;
        match Answer::decode(result) {
            Ok(Answer::Value(value)) => value.map(|v| String::from_utf8_lossy(&v).into_owned()),
            other => panic!("{other:?}"),
        }
    }
}

/// A replica that is started on an empty directory under its old id does not vote before a leader
/// has given it everything back, and is not started at all unless its operator says what happened.
#[test]
fn a_wiped_replica_is_no_voter_until_it_is_readmitted() {
    let mut cluster = Cluster::new();
    cluster.event(0, Event::Campaign);
    assert_eq!(cluster.leader(), Some(0));
    // Acknowledged by the first and the third: the second knows nothing of it.
    cluster.cut = vec![1];
    assert!(cluster.write(0, "k", "kept"));
    cluster.disks[2] = SimDisk::new();
    // That is what it means unless its operator says otherwise.
    let refused = cluster.start(2, Start::default());
    assert!(
        matches!(refused, Err(NodeError::Store(StoreError::Log(WalError::Empty)))),
        "{refused:?}"
    );
    // With the vote of the third, the second would lead without what was acknowledged.
    cluster.cut = vec![0];
    cluster.start(2, Start::Wiped { after: 1_000 }).expect("it follows");
    for _ in 0..5 {
        cluster.event(1, Event::Campaign);
        cluster.pass(400);
        assert_eq!(cluster.leader(), None, "it voted before it was readmitted");
    }
    // A leader gives it everything back; then it counts like any other.
    cluster.cut = Vec::new();
    cluster.pass(2_000);
    let leader = cluster.leader().expect("somebody leads");
    assert_eq!(cluster.read(leader, "k").as_deref(), Some("kept"));
    cluster.pass(200);
    cluster.cut = vec![0];
    cluster.pass(2_000);
    let leader = cluster.leader().expect("the second and the third elect one of them");
    assert!(leader != 0 && cluster.write(leader, "k", "new"));
}

/// The survivors go on, after somebody has read what may be lost and accepted it.
#[test]
fn a_lost_majority_is_recovered_from_only_on_demand() {
    let mut cluster = Cluster::new();
    cluster.event(0, Event::Campaign);
    assert!(cluster.write(0, "k", "everywhere"));
    cluster.pass(50);
    // The last one is acknowledged by the two that are lost.
    cluster.cut = vec![2];
    assert!(cluster.write(0, "k", "lost"));
    let running = [cluster.disks[2].clone()];
    let store = store::Options::new(initial());
    let two = [cluster.disks[1].clone(), cluster.disks[2].clone()];
    cluster.nodes = vec![None, None, None];
    assert_eq!(
        prospect(&two, &initial()),
        Err(RecoverError::Needless("n2 n3".into())),
        "a majority is left"
    );
    let twice = [two[0].clone(), two[0].clone()];
    assert_eq!(prospect(&twice, &initial()), Err(RecoverError::Twice(ReplicaId(2))));
    assert_eq!(prospect::<SimDisk>(&[], &initial()), Err(RecoverError::Nobody));

    let image = || format!("{:?}", running[0].state());
    let before = image();
    assert_eq!(recover(&running, &store, None), Err(RecoverError::NotAccepted));
    assert!(image() == before, "nothing was changed");
    let told = prospect(&running, &initial()).expect("one of three");
    assert_eq!(told.lost, [ReplicaId(1), ReplicaId(2)]);
    assert!(told.could_acknowledge && told.to_string().contains("MAY BE LOST"), "{told}");

    let done = recover(&running, &store, Some(LossAccepted)).expect("it is done");
    assert_eq!(done, told);
    cluster.cut = vec![0, 1];
    cluster.start(2, Start::Again).expect("it opens");
    cluster.event(2, Event::Campaign);
    cluster.pass(1_000);
    cluster.event(2, Event::Campaign);
    assert_eq!(cluster.leader(), Some(2));
    assert_eq!(cluster.read(2, "k").as_deref(), Some("everywhere"));
    assert!(cluster.write(2, "k", "after"));
    assert_eq!(cluster.read(2, "k").as_deref(), Some("after"));
}

/// What another cluster says is not heard, though it comes from the right replica.
#[test]
fn another_cluster_is_not_heard() {
    let mut cluster = Cluster::new();
    let stranger = NodeOptions { cluster: 78, ..options(1, Start::First) };
    cluster.nodes[1] = None;
    cluster.nodes[2] = None;
    let (node, _) = Host::open(SimDisk::new(), stranger, Kv::new()).expect("a new one");
    cluster.nodes[1] = Some(node);
    cluster.event(0, Event::Campaign);
    cluster.pass(500);
    assert_eq!(cluster.leader(), None, "the vote of another cluster was counted");
    cluster.start(1, Start::Again).expect("the right one");
    cluster.event(0, Event::Campaign);
    cluster.pass(500);
    assert!(cluster.leader().is_some());
}
