//! Replicas with their directories and machines, without a thread: in a network that loses, doubles
//! and delays, on disks that crash at any moment, with snapshots taken, sent and installed all the
//! while. What was acknowledged stays, and in the end all states are equal.

#[path = "runtime/common.rs"]
mod common;

use common::{Chance, Common};
use std::collections::{BTreeMap, VecDeque};
use traft::apply::kv::{Answer, Frozen, Kv, Op};
use traft::base::{Membership, ReplicaId};
use traft::disk::{Faulty, Mood, SimDisk, Trouble};
use traft::replica::ReadLevel;
use traft::runtime::{
    Done, Effect, Engine, Event, Host, Job, Lane, NodeOptions, Post, Refusal, Start,
};
use traft::snapshot::Parcel;
use traft::wire::{self, Version};

const CLIENTS: u64 = 12;

fn options(id: u64) -> NodeOptions {
    let members = Membership::majority((1..=3).map(ReplicaId));
    let mut options = NodeOptions::new(ReplicaId(id), members);
    options.start = Start::First;
    options.snapshot_records = 40;
    options.store.wal.segment_bytes = 8 << 10;
    options.store.transfer.window_bytes = 2_000;
    options.replica.election_ticks = 60;
    options.replica.heartbeat_ticks = 10;
    options.replica.log_bytes_max = 4_000;
    // A forward that the network doubles is done twice, which these clients could not tell apart.
    options.replica.forwarding = false;
    options
}

struct Seat {
    disk: SimDisk,
    node: Option<Host<SimDisk, Common>>,
    /// What other threads are doing, and when it is done.
    jobs: Vec<(u64, Job<SimDisk, Common>)>,
    back_at: u64,
}

struct World {
    seats: Vec<Seat>,
    /// By when it arrives.
    network: BTreeMap<(u64, u64), (usize, Post)>,
    sent: u64,
    now: u64,
    chance: Chance,
    /// How bad the weather is, in percent.
    weather: u64,
    answers: VecDeque<(u64, Option<bytes::Bytes>)>,
    taken: u64,
    installed: u64,
    crashes: u64,
    /// Who has lost its snapshot, if anybody has. Two would be too many.
    lost: Option<usize>,
    /// How many starts were in doubt.
    doubted: u64,
    /// So many workers each.
    workers: usize,
    /// How often a second one had something to do.
    beside: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let seat = |_| Seat { disk: SimDisk::new(), node: None, jobs: Vec::new(), back_at: 0 };
        World {
            seats: (0..3).map(seat).collect(),
            network: BTreeMap::new(),
            sent: 0,
            now: 0,
            chance: Chance(seed),
            weather: 5,
            answers: VecDeque::new(),
            taken: 0,
            installed: 0,
            crashes: 0,
            lost: None,
            doubted: 0,
            workers: 1 + seed as usize % 3,
            beside: 0,
        }
    }

    fn handle(&mut self, at: usize, event: Event<Post, Done<Frozen>>) {
        let Some(node) = &mut self.seats[at].node else { return };
        node.handle(event).expect("a sound disk");
    }

    /// Carries out what the inputs of this moment led to.
    fn work(&mut self, at: usize) {
        let World { seats, network, sent, now, chance, weather, answers, beside, .. } = self;
        let Seat { node, jobs, .. } = &mut seats[at];
        let Some(node) = node else { return };
        let carried = node.work(&mut |effect| match effect {
            Effect::Send { to, message } => {
                let copies = match chance.below(100) {
                    n if n < *weather => 0,
                    n if n < 2 * *weather => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    *sent += 1;
                    let late = if chance.below(100) < *weather { chance.below(60) } else { 0 };
                    let arrives = *now + 1 + chance.below(3) + late;
                    network
                        .insert((arrives, *sent), (to.0 as usize - 1, through_the_wire(&message)));
                }
            }
            Effect::Answer { number, result } => answers.push_back((number, Some(result))),
            Effect::Refused { number, .. } => answers.push_back((number, None)),
            Effect::Lost { .. } => {}
            Effect::Do(work) => {
                let lane = Host::lane(&work);
                assert!(jobs.iter().all(|(_, job)| Host::lane(job) != lane), "one at a time");
                *beside += u64::from(matches!(lane, Lane::Apply(1..)));
                jobs.push((*now + chance.below(if lane == Lane::Work { 30 } else { 3 }), work));
            }
        });
        carried.expect("a sound disk");
    }

    /// Power fails: of what was not synced, any part is there.
    fn crash(&mut self, at: usize) {
        let Some(node) = &self.seats[at].node else { return };
        let (taken, installed) = node.snapshots();
        (self.taken, self.installed) = (self.taken + taken, self.installed + installed);
        self.crashes += 1;
        let odds = 1 + self.chance.below(4);
        let chance = &mut self.chance;
        let mut image = self.seats[at].disk.state().crash(|_| chance.below(odds) == 0);
        // Once in a run it is not only the power: a disk loses a snapshot, or spoils it.
        let names: Vec<String> =
            image.names().filter(|name| name.ends_with(".snap")).map(String::from).collect();
        if self.lost.is_none() && !names.is_empty() {
            self.lost = Some(at);
            for name in names {
                match chance.below(2) {
                    0 => image.remove(&name),
                    _ => image.spoil(&name, |contents| contents[30] ^= 1),
                }
            }
        }
        let back_at = self.now + self.chance.below(400);
        self.seats[at] = Seat { disk: SimDisk::of(image), node: None, jobs: Vec::new(), back_at };
    }

    fn tick(&mut self) {
        self.now += 1;
        for at in 0..3 {
            let seat = &mut self.seats[at];
            if seat.node.is_none() && seat.back_at <= self.now {
                let mut options = options(at as u64 + 1);
                options.apply_workers = self.workers;
                let opened = Host::open(seat.disk.clone(), options, Common::default());
                let (node, recovered) = opened.expect("it opens after every crash");
                let lost = self.lost == Some(at);
                assert!(recovered.doubt.is_none() || lost, "{recovered}");
                self.doubted += u64::from(recovered.doubt.is_some());
                seat.node = Some(node);
            }
            let now = self.now;
            let due: Vec<_> = seat.jobs.extract_if(.., |(due, _)| *due <= now).collect();
            for (_, job) in due {
                self.handle(at, Event::Done(Host::run(job)));
            }
            self.handle(at, Event::Tick);
        }
        while let Some(first) = self.network.first_entry().filter(|first| first.key().0 <= self.now)
        {
            let (to, message) = first.remove();
            self.handle(to, Event::Message(message));
        }
        (0..3).for_each(|at| self.work(at));
    }
}

/// Out and back, as on a real network.
fn through_the_wire(post: &Post) -> Post {
    match post {
        Post::Message(envelope) => Post::Message(Box::new(
            wire::decode(wire::encode(envelope, Version::NEWEST)).expect("it goes out and back"),
        )),
        Post::Parcel(parcel) => {
            Post::Parcel(Box::new(Parcel::decode(parcel.encode()).expect("it goes out and back")))
        }
    }
}

/// One client for each key: sets it to 1, 2, 3 and so on, one after the other.
#[derive(Clone, Copy, Default)]
struct Client {
    acknowledged: u64,
    tried: u64,
    waits_since: u64,
    /// It never heard what became of a write, and so writes no more.
    gave_up: bool,
}

fn key(client: u64) -> String {
    format!("key{client}")
}

/// Clients write until time is up; what they heard.
fn write(world: &mut World, until: u64) -> Vec<Client> {
    let mut clients = vec![Client::default(); CLIENTS as usize];
    // A number tells its client and its try.
    let mut number = 0;
    let mut waiting: BTreeMap<u64, usize> = BTreeMap::new();
    while world.now < until {
        for (at, client) in clients.iter_mut().enumerate() {
            let busy = waiting.values().any(|other| *other == at);
            if client.gave_up || busy && world.now < client.waits_since + 3_000 {
                continue;
            }
            if busy {
                client.gave_up = true;
                continue;
            }
            client.tried = client.acknowledged + 1;
            client.waits_since = world.now;
            number += 1;
            waiting.insert(number, at);
            let (key, value) = (key(at as u64), format!("{:<80}", client.tried));
            let command = Op::Set { key: key.as_bytes(), value: value.as_bytes() }.command();
            let to = world.chance.below(3) as usize;
            world.handle(to, Event::Write { number, command });
            if world.seats[to].node.is_none() {
                world.answers.push_back((number, None));
            }
        }
        if world.chance.below(1_500) == 0 {
            let at = world.chance.below(3) as usize;
            world.crash(at);
        }
        world.tick();
        while let Some((number, result)) = world.answers.pop_front() {
            let Some(at) = waiting.remove(&number) else { continue };
            if result.is_some() {
                clients[at].acknowledged = clients[at].tried;
            }
        }
    }
    clients
}

/// The weather is good and everybody is up; the states in the end, and the values.
fn settle(world: &mut World) -> Vec<u64> {
    world.weather = 0;
    world.seats.iter_mut().for_each(|seat| seat.back_at = 0);
    let end = world.now + 20_000;
    let keys: Vec<String> = (0..CLIENTS).map(key).collect();
    let read = Op::GetMany { keys: keys.iter().map(|key| key.as_bytes()).collect() }.command();
    let mut values = None;
    while world.now < end {
        if world.now.is_multiple_of(100) {
            for at in 0..3 {
                let number = 1_000_000_000 + world.now * 3 + at as u64;
                world.handle(
                    at,
                    Event::Read { number, command: read.clone(), level: ReadLevel::Confirmed },
                );
            }
        }
        world.tick();
        while let Some((number, result)) = world.answers.pop_front() {
            if number >= 1_000_000_000 && result.is_some() {
                values = result;
            }
        }
        let states: Vec<_> =
            world.seats.iter().flat_map(|seat| &seat.node).filter_map(Host::status).collect();
        let agreed = states.len() == 3 && states.windows(2).all(|w| w[0].done == w[1].done);
        if let Some(result) = values
            .as_ref()
            .filter(|_| agreed && states[0].leads | states[1].leads | states[2].leads)
        {
            assert!(states.windows(2).all(|w| w[0].digest == w[1].digest), "the states differ");
            let Ok(Answer::Values(values)) = Answer::decode(result) else { panic!("values") };
            let value = |value: Option<bytes::Bytes>| {
                value.map_or(0, |value| {
                    String::from_utf8_lossy(&value).trim().parse().expect("a number")
                })
            };
            world.taken += states.iter().map(|state| state.taken).sum::<u64>();
            world.installed += states.iter().map(|state| state.installed).sum::<u64>();
            return values.into_iter().map(value).collect();
        }
    }
    panic!("they do not agree");
}

#[test]
fn what_is_acknowledged_stays_through_crashes_and_snapshots() {
    let (mut taken, mut installed, mut crashes, mut acknowledged) = (0, 0, 0, 0);
    let (mut doubted, mut beside) = (0, 0);
    for seed in 0..6 {
        let mut world = World::new(seed);
        let clients = write(&mut world, 12_000);
        let values = settle(&mut world);
        for (client, value) in clients.iter().zip(values) {
            let Client { acknowledged, tried, .. } = *client;
            assert!((acknowledged..=tried).contains(&value), "seed {seed}: {value} of {tried}");
        }
        // What was lost was given back, and the doubt is over.
        let lost = world.lost.expect("somebody crashed with a snapshot");
        let image = SimDisk::of(world.seats[lost].disk.state().crash(|_| false));
        let opened = Host::open(image, options(lost as u64 + 1), Kv::new());
        let (_, recovered) = opened.expect("it opens");
        assert_eq!(recovered.doubt, None, "seed {seed}");
        acknowledged += clients.iter().map(|client| client.acknowledged).sum::<u64>();
        (taken, installed) = (taken + world.taken, installed + world.installed);
        (crashes, doubted) = (crashes + world.crashes, doubted + world.doubted);
        beside += world.beside;
    }
    println!("{acknowledged} writes, {crashes} crashes, {taken} taken, {installed} installed");
    assert!(doubted >= 3 && beside > 1_000, "{doubted} {beside}");
    assert!(acknowledged > 20_000 && crashes > 20 && taken > 500 && installed > 50);
}

/// A node that is a cluster of its own, and what it says.
struct Alone {
    disk: SimDisk,
    node: Host<Faulty<SimDisk>, Kv>,
    next: u64,
}

impl Alone {
    fn ask(&mut self, event: impl FnOnce(u64) -> Event<Post, Done<Frozen>>) -> String {
        self.next += 1;
        let number = self.next;
        self.node.handle(event(number)).expect("it goes on");
        let said = self.work();
        said.into_iter().find(|(of, _)| *of == number).map_or("nothing".into(), |(_, what)| what)
    }

    fn write(&mut self, key: &str, value: &str) -> String {
        let command = Op::Set { key: key.as_bytes(), value: value.as_bytes() }.command();
        self.ask(|number| Event::Write { number, command })
    }

    fn read(&mut self, key: &str) -> String {
        let command = Op::Get { key: key.as_bytes() }.command();
        self.ask(|number| Event::Read { number, command, level: ReadLevel::Confirmed })
    }

    /// Carries out everything, jobs included.
    fn work(&mut self) -> Vec<(u64, String)> {
        let (mut said, mut jobs) = (Vec::new(), Vec::new());
        loop {
            let worked = self.node.work(&mut |effect| match effect {
                Effect::Answer { number, result } if result.is_empty() => {
                    said.push((number, "done".into()))
                }
                Effect::Answer { number, result } => {
                    let Ok(Answer::Value(Some(value))) = Answer::decode(&result) else {
                        panic!("a value")
                    };
                    said.push((number, String::from_utf8_lossy(&value[..2]).into()));
                }
                Effect::Refused { number, why } => said.push((number, why.to_string())),
                Effect::Do(job) => jobs.push(job),
                _ => {}
            });
            worked.expect("it goes on");
            if jobs.is_empty() {
                return said;
            }
            for job in jobs.drain(..) {
                self.node.handle(Event::Done(Host::run(job))).expect("it goes on");
            }
        }
    }

    fn wait(&mut self, ticks: u64) -> Vec<(u64, String)> {
        (0..ticks)
            .flat_map(|_| {
                self.node.handle(Event::Tick).expect("it goes on");
                self.work()
            })
            .collect()
    }
}

/// Without room it refuses writes and says why, serves reads, and goes on by itself.
#[test]
fn a_full_disk_is_no_end() {
    let disk = SimDisk::new();
    let alone = |id| {
        let mut options = options(id);
        let members = Membership::majority([ReplicaId(id)]);
        options.replica.initial = members.clone();
        options.store.initial = members;
        options.snapshot_records = u64::MAX;
        options
    };
    let trouble = Trouble::default();
    let faulty = Faulty::new(disk.clone(), trouble.clone());
    let (node, _) = Host::open(faulty, alone(1), Kv::new()).expect("a new one");
    let mut it = Alone { disk, node, next: 0 };
    it.node.handle(Event::Campaign).expect("it goes on");
    it.work();
    let value = |n: u64| format!("{n:02}{}", "x".repeat(3_000));
    assert_eq!((it.write("j", &value(1)), it.read("j")), ("done".into(), "01".into()));
    // What is reserved is used up first.
    it.disk.set_capacity(Some(it.disk.state().used()));
    let mut told = Vec::new();
    for n in 2..20 {
        told.push(it.write("k", &value(n)));
        it.wait(1);
    }
    let done = told.iter().take_while(|what| *what == "done").count();
    // The one that finds no room is not answered; those after it are refused.
    assert_eq!(told[done], "nothing", "{told:?}");
    let refused = Refusal::DiskFull.to_string();
    assert!(
        told.len() > done + 1 && told[done + 1..].iter().all(|what| *what == refused),
        "{told:?}"
    );
    assert!(it.node.status().expect("at rest").full);
    // What waits for the disk is waited for by those who read it, and by nobody else.
    assert_eq!((it.read("j"), it.read("k")), ("01".into(), "nothing".into()));
    it.disk.set_capacity(None);
    let late = it.wait(50);
    assert_eq!(
        late.iter().map(|(_, what)| &what[..]).collect::<Vec<_>>(),
        ["done", &format!("{:02}", done + 2)]
    );
    assert_eq!((it.write("k", &value(50)), it.read("k")), ("done".into(), "50".into()));
    // Nor is one that has no room for what it writes again, the mark of the log included.
    trouble.set(Mood::Copying);
    assert_eq!((it.write("k", &value(51)), it.write("l", "52")), ("nothing".into(), refused));
    assert_eq!((it.wait(60), it.read("j")), (Vec::new(), "01".into()));
    trouble.set(Mood::Well);
    assert_eq!(it.wait(50).len(), 1);
    assert_eq!((it.write("l", "53"), it.read("l")), ("done".into(), "53".into()));
    // All of it is there.
    let image = SimDisk::of(it.disk.state().crash(|_| false));
    let image = Faulty::new(image, trouble);
    let (node, recovered) = Host::open(image, alone(1), Kv::new()).expect("it opens");
    assert_eq!(recovered.doubt, None);
    it.node = node;
    it.node.handle(Event::Campaign).expect("it goes on");
    it.wait(5);
    assert_eq!(it.read("k"), "51");
}
