//! What a command costs at a leader, and whether it costs more when more is in flight.
//!
//! A leader of three, by value and without threads; its two followers are made up here, and have
//! acknowledged everything but the newest 100 to 100,000 records. Then, for each command:
//!
//! - *placed*: [`Input::Propose`] and a drain, which give a record, a write and a message to each
//!   follower; and the write is durable.
//! - *settled*: the answer of the follower that makes a majority of it comes; the oldest record in
//!   flight is settled, given out in order, and executed.
//! - *heard*: the answer of the other follower, which decides nothing any more.
//!
//! Commands have 256 bytes and a key of 16, of its own or with 2 % on one hot key; every fourth is
//! an update, the others write blindly. They come one by one, the dearest way, or 64 at a time
//! between two drains, as in a leader that has much to do. The bound is what nobody can do without
//! who keeps a log and knows who touches a key: the record goes into a queue and its key into a
//! hash map, and out of them.
//!
//! Set for it: `in_flight_bytes_max` and `unsettled_bytes_max` to a tebibyte, which is no bound,
//! and `log_bytes_max` to 64 KiB, so that what is done leaves memory as in a log that has run for a
//! while. Clients, sockets, the disk and the machine take no time here.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};
use traft::base::{Command, Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload};
use traft::base::{Record, Records, ReplicaId, TailBitmap};
use traft::message::{
    Envelope, Grant, Memberships, Message, PreVoteReply, ReplicateReply, VoteReply,
};
use traft::replica::{Durable, Input, Options, Output, Replica};

const IN_FLIGHT: [u64; 4] = [100, 1_000, 10_000, 100_000];
const LEADER: ReplicaId = ReplicaId(1);
const FOLLOWERS: [ReplicaId; 2] = [ReplicaId(2), ReplicaId(3)];
/// Commands of one measurement.
const TURN: u64 = 64;

/// A scatter of the numbers: neighbours in time are far apart in the key space.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn command(n: u64, hot: bool) -> Command {
    let key = if hot && scatter(n).is_multiple_of(50) { 0 } else { scatter(n + 1) >> 24 };
    let key = KeySet::point(Bytes::from(format!("user{key:012x}")));
    let update = n.is_multiple_of(4);
    let footprint = if update { Footprint::update(key) } else { Footprint::write(key) };
    Command { footprint, body: Bytes::from_static(&[7; 256]) }
}

/// What each step of so many commands took.
#[derive(Clone, Copy, Default)]
struct Spent {
    placed: Duration,
    settled: Duration,
    heard: Duration,
}

impl Spent {
    fn all(&self) -> Duration {
        self.placed + self.settled + self.heard
    }
}

/// A leader with a constant number of commands in flight.
struct Flight {
    replica: Replica,
    leader: LeaderId,
    /// The first position that it placed itself.
    start: u64,
    /// Commands placed, and of these acknowledged by both.
    next: u64,
    settled: u64,
    hot: bool,
    /// What goes between two drains.
    together: u64,
    outputs: Vec<Output>,
    /// What is dropped when nobody measures.
    used: Vec<Output>,
}

impl Flight {
    fn new(in_flight: u64, hot: bool, together: u64) -> Flight {
        let mut options = Options::new(LEADER, Membership::majority([1, 2, 3].map(ReplicaId)));
        options.in_flight_bytes_max = 1 << 40;
        options.unsettled_bytes_max = 1 << 40;
        options.log_bytes_max = 1 << 16;
        let replica = Replica::new(options, Durable::default());
        let (outputs, used) = (Vec::new(), Vec::new());
        let leader = LeaderId::NOBODY;
        let mut flight =
            Flight { replica, leader, start: 0, next: 0, settled: 0, hot, together, outputs, used };
        flight.elect();
        flight.place(in_flight);
        flight.used.clear();
        // Whatever grows with what has been in flight has its size then.
        flight.run(in_flight);
        flight
    }

    /// Has the followers vote for it.
    fn elect(&mut self) {
        self.replica.handle(Input::Campaign);
        while self.replica.leading().is_none() {
            self.carry_out();
            let asked = std::mem::take(&mut self.used);
            for output in asked {
                let Output::Send(envelope) = output else { continue };
                let reply = vote(&envelope.message);
                let reply = reply.map(|m| Envelope::new(envelope.to, LEADER, m));
                reply.into_iter().for_each(|m| self.replica.handle(Input::Receive(Box::new(m))));
            }
        }
        self.carry_out();
        self.leader = self.replica.role().1;
        self.start = self.replica.leading().map_or(0, |(next, ..)| next.0);
        for from in FOLLOWERS {
            self.replica.handle(Input::Receive(self.answer(from, 0)));
        }
        self.carry_out();
    }

    /// A follower has everything below the command of this number.
    fn answer(&self, from: ReplicaId, number: u64) -> Box<Envelope> {
        let message = Message::ReplicateReply(ReplicateReply {
            leader: self.leader,
            accepted: TailBitmap::below(Lsn(self.start + number)),
            round: 0,
            window: 1 << 40,
            committed_membership: None,
            incarnation: 0,
            doubtful: false,
        });
        Box::new(Envelope::new(from, LEADER, message))
    }

    /// Does what the replica asks for, until it asks for nothing.
    fn carry_out(&mut self) {
        while !self.replica.is_idle() {
            self.replica.drain(&mut self.outputs);
            for output in self.outputs.drain(..) {
                match output {
                    Output::Persist(write) => {
                        self.replica.handle(Input::Persisted(write.number));
                        self.used.push(Output::Persist(write));
                    }
                    Output::Apply(tasks) => {
                        for task in &tasks {
                            black_box(self.replica.command(task.lsn));
                        }
                        self.replica.handle(Input::AppliedTasks(tasks));
                    }
                    Output::Rejected { reason, .. } => panic!("{reason}"),
                    other => self.used.push(other),
                }
            }
        }
    }

    /// Places so many commands; what that took, without making them.
    fn place(&mut self, count: u64) -> Duration {
        let end = self.next + count;
        let made: Vec<_> = (self.next..end).map(|n| (n, command(n, self.hot))).collect();
        let begin = Instant::now();
        for (proposal, command) in made {
            self.replica.handle(Input::Propose { proposal, command });
            let placed = proposal + 1 - self.next;
            if placed.is_multiple_of(self.together) || placed == count {
                self.carry_out();
            }
        }
        let spent = begin.elapsed();
        self.next = end;
        spent
    }

    /// A follower says of so many more commands that it has them; what that took.
    fn hear(&mut self, from: ReplicaId, count: u64) -> Duration {
        let ends = (1..=count).filter(|n| n.is_multiple_of(self.together) || *n == count);
        let answers: Vec<_> = ends.map(|n| self.answer(from, self.settled + n)).collect();
        let begin = Instant::now();
        for answer in answers {
            self.replica.handle(Input::Receive(answer));
            self.carry_out();
        }
        begin.elapsed()
    }

    /// All that happens to so many commands.
    fn run(&mut self, count: u64) -> Spent {
        let (mut spent, end) = (Spent::default(), self.next + count);
        while self.next < end {
            let turn = TURN.min(end - self.next);
            spent.placed += self.place(turn);
            spent.settled += self.hear(FOLLOWERS[0], turn);
            spent.heard += self.hear(FOLLOWERS[1], turn);
            self.settled += turn;
            self.used.clear();
        }
        let done = self.replica.done().offset().0;
        assert_eq!(done, self.start + self.settled, "all that both have was executed");
        spent
    }
}

/// What a follower with an empty log says to a candidate.
fn vote(message: &Message) -> Option<Message> {
    match message {
        Message::PreVote(ask) => Some(Message::PreVoteReply(PreVoteReply {
            candidate: ask.candidate,
            granted: true,
            voted: LeaderId::NOBODY,
            committed_membership: None,
        })),
        Message::Vote(ask) => Some(Message::VoteReply(VoteReply {
            candidate: ask.candidate,
            voted: ask.candidate,
            grant: Some(Box::new(Grant {
                lineage: Lineage::default(),
                accepted: TailBitmap::new(),
                purged: Lsn::ZERO,
                memberships: Memberships {
                    committed_at: None,
                    committed: Membership::majority([1, 2, 3].map(ReplicaId)),
                    pending: Vec::new(),
                },
                records: Records::new(),
            })),
        })),
        _ => None,
    }
}

/// The bound: a queue of records and who touches which key.
struct Bare {
    log: VecDeque<Record>,
    keys: FxHashMap<Bytes, u64>,
    next: u64,
    hot: bool,
}

impl Bare {
    fn new(in_flight: u64, hot: bool) -> Bare {
        let mut bare = Bare { log: VecDeque::new(), keys: FxHashMap::default(), next: 0, hot };
        while bare.next < in_flight {
            bare.run(TURN.min(in_flight - bare.next), 0);
        }
        bare.run(in_flight, in_flight);
        bare
    }

    /// Takes so many commands in, and lets so many go; what that took, without making them.
    fn run(&mut self, count: u64, mut gone: u64) -> Duration {
        let mut spent = Duration::ZERO;
        let end = self.next + count;
        while self.next < end {
            let numbers = self.next..end.min(self.next + TURN);
            let record = |n| {
                let payload = Payload::Command(command(n, self.hot));
                Record::bare(Lsn(n), LeaderId::new(1, 1), payload)
            };
            let made: Vec<Record> = numbers.clone().map(record).collect();
            let begin = Instant::now();
            for record in made {
                let key = touched(&record).expect("each has a key").clone();
                self.keys.insert(key, record.lsn.0);
                self.log.push_back(record);
            }
            for _ in 0..gone.min(TURN) {
                let Some(record) = self.log.pop_front() else { break };
                let key = touched(&record).expect("each has a key");
                // The last one who touched it takes it out.
                if self.keys.get(key) == Some(&record.lsn.0) {
                    self.keys.remove(key);
                }
            }
            spent += begin.elapsed();
            gone = gone.saturating_sub(TURN);
            self.next = numbers.end;
        }
        spent
    }
}

fn touched(record: &Record) -> Option<&Bytes> {
    record.command().and_then(|command| command.footprint.writes.points().first())
}

/// Keys, and how many commands go between two drains.
fn cases() -> impl Iterator<Item = (bool, u64, String)> {
    [(1, "one by one"), (TURN, "by 64")].into_iter().flat_map(|(together, how)| {
        [false, true].map(|hot| {
            let keys = if hot { "2 % hot" } else { "distinct" };
            (hot, together, format!("{keys}, {how}"))
        })
    })
}

fn propose(c: &mut Criterion) {
    for (hot, together, name) in cases() {
        let mut group = c.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_secs(1));
        group.warm_up_time(Duration::from_millis(200)).throughput(Throughput::Elements(1));
        for in_flight in IN_FLIGHT {
            let id = BenchmarkId::from_parameter(in_flight);
            let mut flight = None;
            group.bench_function(id, |b| {
                let flight = flight.get_or_insert_with(|| Flight::new(in_flight, hot, together));
                b.iter_custom(|count| flight.run(count).all());
            });
        }
        group.finish();
    }
}

/// Nanoseconds a command by what is in flight, and how the last stands to the first.
fn row(name: &str, costs: [f64; 4]) {
    let cells: String = costs.iter().map(|ns| format!("{ns:>9.0}")).collect();
    println!("{name:<30}{cells}{:>9.2}", costs[3] / costs[0]);
}

/// The curve as one table, each figure the best of twenty rounds.
fn curve(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }
    const ROUND: u64 = 50 * TURN;
    let ns = |spent: Duration| spent.as_nanos() as f64 / ROUND as f64;
    let [a, b, c, d] = IN_FLIGHT;
    println!("{:<30}{a:>9}{b:>9}{c:>9}{d:>9}{:>9}", "ns a command, in flight", "ratio");
    let bare = [false, true].map(|hot| {
        IN_FLIGHT.map(|in_flight| {
            let mut bare = Bare::new(in_flight, hot);
            (0..20).map(|_| ns(bare.run(ROUND, ROUND))).fold(f64::INFINITY, f64::min)
        })
    });
    for (hot, together, name) in cases() {
        let steps = IN_FLIGHT.map(|in_flight| {
            let mut flight = Flight::new(in_flight, hot, together);
            (0..20).fold([f64::INFINITY; 4], |best, _| {
                let spent = flight.run(ROUND);
                let now = [spent.placed, spent.settled, spent.heard, spent.all()].map(ns);
                std::array::from_fn(|step| best[step].min(now[step]))
            })
        });
        for (step, what) in ["placed", "settled", "heard", "all"].into_iter().enumerate() {
            row(&format!("{name}, {what}"), steps.map(|costs| costs[step]));
        }
        let bound = bare[usize::from(hot)];
        row("  the bound: queue and map", bound);
        let times: Vec<String> =
            (0..4).map(|at| format!("{:>9.1}", steps[at][3] / bound[at])).collect();
        println!("{:<30}{}", "  times the bound", times.concat());
    }
}

criterion_group!(benches, curve, propose);
criterion_main!(benches);
