//! traft: three replicas and a router.

use crate::kv::{BODIES, Kv};
use crate::{Item, Work};
use traft::base::{Command, Footprint, KeySet, Membership, ReplicaId};
use traft::message::Envelope;
use traft::replica::{Durable, Input, Options, Output, Replica, Task};

struct Node {
    replica: Replica,
    machine: Kv,
    /// Boxed, as they come out of one replica and go into the next.
    #[expect(clippy::vec_box)]
    inbox: Vec<Box<Envelope>>,
}

pub(crate) struct Cluster {
    nodes: Vec<Node>,
    outputs: Vec<Output>,
    next: u64,
    answered: u64,
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        let members = Membership::majority((1..=3).map(ReplicaId));
        let node = |id| {
            let mut options = Options::new(ReplicaId(id), members.clone());
            options.log_bytes_max = 1 << 16;
            let replica = Replica::new(options, Durable::default());
            Node { replica, machine: Kv::default(), inbox: Vec::new() }
        };
        let nodes = (1..=3).map(node).collect();
        let mut cluster = Cluster { nodes, outputs: Vec::new(), next: 0, answered: 0 };
        cluster.nodes[0].replica.handle(Input::Campaign);
        cluster.settle_down();
        assert!(cluster.nodes[0].replica.leading().is_some());
        cluster
    }

    /// Commits `count` commands, at most `in_flight` of them at once.
    pub(crate) fn run(&mut self, work: &mut Work, in_flight: u64, count: u64) {
        let end = self.next + count;
        self.answered = self.next;
        while self.answered < end {
            let open = end.min(self.answered + in_flight);
            while self.next < open {
                self.next += 1;
                let command = command(work.next());
                let proposal = self.next;
                self.nodes[0].replica.handle(Input::Propose { proposal, command });
            }
            self.round();
        }
        self.settle_down();
    }

    fn settle_down(&mut self) {
        while self.nodes.iter().any(|n| !n.replica.is_idle() || !n.inbox.is_empty()) {
            self.round();
        }
    }

    fn round(&mut self) {
        for at in 0..self.nodes.len() {
            self.step(at);
        }
    }

    /// Handles what has come for one replica, and carries out what it asks for.
    fn step(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.inbox.is_empty() {
            node.inbox.drain(..).for_each(|envelope| node.replica.handle(Input::Receive(envelope)));
        }
        while !self.nodes[at].replica.is_idle() {
            let mut outputs = std::mem::take(&mut self.outputs);
            self.nodes[at].replica.drain(&mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(at, output);
            }
            self.outputs = outputs;
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        let node = &mut self.nodes[at];
        match output {
            Output::Send(envelope) => {
                self.nodes[envelope.to.0 as usize - 1].inbox.push(envelope);
            }
            Output::Persist(write) => {
                node.replica.handle(Input::Persisted(write.number));
            }
            Output::Apply(tasks) => {
                for Task { lsn, proposal, .. } in &tasks {
                    let body = &node.replica.command(*lsn).expect("held until it is applied").body;
                    std::hint::black_box(node.machine.apply(body));
                    self.answered += u64::from(proposal.is_some());
                }
                node.replica.handle(Input::AppliedTasks(tasks));
            }
            Output::Settled { .. } => self.answered += 1,
            Output::Rejected { reason, .. } => panic!("{reason}"),
            Output::Unknown { .. } => panic!("the leader changed"),
            _ => {}
        }
    }
}

fn command(item: Item) -> Command {
    let body = BODIES.of(item);
    let key = KeySet::point(body.slice(1..17));
    let footprint = if item.update { Footprint::update(key) } else { Footprint::write(key) };
    Command { footprint, body }
}
