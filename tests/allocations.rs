//! How often three replicas allocate for a command, once they run evenly: a few times for all that
//! is handled between two drains, and never for a command by itself.
//!
//! `cargo test --release --test allocations -- --nocapture` prints the figures.

use allocation_counter::measure;
use bytes::Bytes;
use traft::base::{Command, Footprint, KeySet, Membership, ReplicaId};
use traft::message::Envelope;
use traft::replica::{Durable, Input, Options, Output, Replica};

/// Three replicas that hand their messages over in memory. The first one leads.
struct Cluster {
    replicas: Vec<Replica>,
    /// Boxed, as they come out of one replica and go into the next.
    #[expect(clippy::vec_box)]
    inboxes: Vec<Vec<Box<Envelope>>>,
    outputs: Vec<Output>,
    placed: u64,
    answered: u64,
}

impl Cluster {
    fn new() -> Cluster {
        let members = Membership::majority((1..=3).map(ReplicaId));
        let replica = |id| {
            let mut options = Options::new(ReplicaId(id), members.clone());
            options.log_bytes_max = 1 << 16;
            Replica::new(options, Durable::default())
        };
        let replicas = (1..=3).map(replica).collect();
        let inboxes = vec![Vec::new(); 3];
        let mut cluster =
            Cluster { replicas, inboxes, outputs: Vec::new(), placed: 0, answered: 0 };
        cluster.replicas[0].handle(Input::Campaign);
        while cluster.replicas[0].leading().is_none() {
            cluster.round();
        }
        cluster
    }

    /// Commits the commands, so many of them at once.
    fn run(&mut self, commands: Vec<Command>, in_flight: u64) {
        let end = self.answered + commands.len() as u64;
        let mut commands = commands.into_iter();
        while self.answered < end {
            let open = self.answered + in_flight - self.placed;
            for command in commands.by_ref().take(open as usize) {
                self.placed += 1;
                self.replicas[0].handle(Input::Propose { proposal: self.placed, command });
            }
            self.round();
        }
    }

    fn round(&mut self) {
        (0..3).for_each(|at| self.step(at));
    }

    fn step(&mut self, at: usize) {
        let (replica, inbox) = (&mut self.replicas[at], &mut self.inboxes[at]);
        inbox.drain(..).for_each(|envelope| replica.handle(Input::Receive(envelope)));
        let mut outputs = std::mem::take(&mut self.outputs);
        while !self.replicas[at].is_idle() {
            let replica = &mut self.replicas[at];
            replica.drain(&mut outputs);
            for output in outputs.drain(..) {
                match output {
                    Output::Send(envelope) => {
                        self.inboxes[envelope.to.0 as usize - 1].push(envelope);
                    }
                    Output::Persist(write) => replica.handle(Input::Written(write)),
                    Output::Apply(tasks) => replica.handle(Input::AppliedTasks(tasks)),
                    Output::Settled { .. } => self.answered += 1,
                    _ => {}
                }
            }
        }
        self.outputs = outputs;
    }
}

/// So many commands that each write a key of its own.
fn commands(count: u64) -> Vec<Command> {
    let command = |number: u64| {
        let body = Bytes::from(number.to_be_bytes().repeat(32));
        let footprint = Footprint::write(KeySet::point(body.slice(..8)));
        Command { footprint, body }
    };
    (0..count).map(command).collect()
}

#[test]
fn nothing_is_allocated_for_a_command_by_itself() {
    const COUNT: u64 = 1 << 13;
    // One batch of records, shared by all three, whatever it holds.
    for (in_flight, most) in [(1, 1.01), (64, 0.07), (1024, 0.02)] {
        let mut cluster = Cluster::new();
        cluster.run(commands(4 * COUNT), in_flight);
        let more = commands(COUNT);
        let counted = measure(|| cluster.run(more, in_flight));
        let each = |count: u64| count as f64 / COUNT as f64;
        let (times, bytes) = (each(counted.count_total), each(counted.bytes_total));
        println!("{in_flight} in flight: {times:.2} allocations, {bytes:.0} bytes a command");
        assert!(times <= most, "{in_flight} in flight: {times} allocations a command");
    }
}
