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
}

pub(crate) struct Cluster {
    nodes: [Node; 3],
    /// By node. Boxed, as they come out of one replica and go into the next.
    inboxes: [Inbox; 3],
    outputs: Vec<Output>,
}

type Inbox = Vec<Box<Envelope>>;

impl Peer for Cluster {
    const NAME: &'static str = "traft";

    fn new() -> Cluster {
        let members = Membership::majority((1..=3).map(ReplicaId));
        let nodes = [1, 2, 3].map(|id| {
            let mut options = Options::new(ReplicaId(id), members.clone());
            options.log_bytes_max = 1 << 16;
            let replica = Replica::new(options, Durable::default());
            Node { replica, machine: Kv::default() }
        });
        let mut cluster = Cluster { nodes, inboxes: Default::default(), outputs: Vec::new() };
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
        let Cluster { nodes, inboxes, outputs } = self;
        for (at, node) in nodes.iter_mut().enumerate() {
            if !inboxes[at].is_empty() {
                let envelopes = inboxes[at].drain(..);
                envelopes.for_each(|envelope| node.replica.handle(Input::Receive(envelope)));
            }
            while !node.replica.is_idle() {
                node.replica.drain(outputs);
                for output in outputs.drain(..) {
                    node.carry_out(output, inboxes, answered);
                }
            }
        }
    }

    fn settle(&mut self) {
        let busy = |cluster: &Cluster| {
            cluster.nodes.iter().any(|node| !node.replica.is_idle())
                || cluster.inboxes.iter().any(|inbox| !inbox.is_empty())
        };
        while busy(self) {
            self.step(&mut Vec::new());
        }
    }
}

impl Node {
    fn carry_out(&mut self, output: Output, inboxes: &mut [Inbox; 3], answered: &mut Vec<u64>) {
        match output {
            Output::Send(envelope) => inboxes[envelope.to.0 as usize - 1].push(envelope),
            Output::Persist(write) => self.replica.handle(Input::Written(write)),
            Output::Apply(tasks) => {
                for (task, command) in self.replica.commands(&tasks) {
                    std::hint::black_box(self.machine.apply(&command.body));
                    answered.extend(task.proposal);
                }
                self.replica.handle(Input::AppliedTasks(tasks));
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
