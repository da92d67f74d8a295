//! traft: three replicas and a router.

use crate::Item;
use crate::kv::{BODIES, Kv};
use crate::peer::Peer;
use traft::base::{Command, Footprint, KeySet, Membership, ReplicaId};
use traft::message::Envelope;
use traft::replica::{Durable, Input, Options, Output, Replica};

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
}

impl Peer for Cluster {
    const NAME: &'static str = "traft";

    fn new() -> Cluster {
        let members = Membership::majority((1..=3).map(ReplicaId));
        let node = |id| {
            let mut options = Options::new(ReplicaId(id), members.clone());
            options.log_bytes_max = 1 << 16;
            let replica = Replica::new(options, Durable::default());
            Node { replica, machine: Kv::default(), inbox: Vec::new() }
        };
        let nodes = (1..=3).map(node).collect();
        let mut cluster = Cluster { nodes, outputs: Vec::new() };
        cluster.nodes[0].replica.handle(Input::Campaign);
        cluster.settle();
        assert!(cluster.nodes[0].replica.leading().is_some());
        cluster
    }

    fn propose(&mut self, number: u64, item: Item) {
        let command = command(item);
        self.nodes[0].replica.handle(Input::Propose { proposal: number, command });
    }

    fn step(&mut self, answered: &mut Vec<u64>) {
        for at in 0..self.nodes.len() {
            self.turn(at, answered);
        }
    }

    fn settle(&mut self) {
        while self.nodes.iter().any(|n| !n.replica.is_idle() || !n.inbox.is_empty()) {
            self.step(&mut Vec::new());
        }
    }
}

impl Cluster {
    /// Handles what has come for one replica, and carries out what it asks for.
    fn turn(&mut self, at: usize, answered: &mut Vec<u64>) {
        let node = &mut self.nodes[at];
        if !node.inbox.is_empty() {
            node.inbox.drain(..).for_each(|envelope| node.replica.handle(Input::Receive(envelope)));
        }
        while !self.nodes[at].replica.is_idle() {
            let mut outputs = std::mem::take(&mut self.outputs);
            self.nodes[at].replica.drain(&mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(at, output, answered);
            }
            self.outputs = outputs;
        }
    }

    fn carry_out(&mut self, at: usize, output: Output, answered: &mut Vec<u64>) {
        let node = &mut self.nodes[at];
        match output {
            Output::Send(envelope) => {
                self.nodes[envelope.to.0 as usize - 1].inbox.push(envelope);
            }
            Output::Persist(write) => {
                node.replica.handle(Input::Persisted(write.number));
            }
            Output::Apply(tasks) => {
                for (task, command) in node.replica.commands(&tasks) {
                    std::hint::black_box(node.machine.apply(&command.body));
                    answered.extend(task.proposal);
                }
                node.replica.handle(Input::AppliedTasks(tasks));
            }
            Output::Settled { proposal, .. } => answered.push(proposal),
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
