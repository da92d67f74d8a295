//! The process that is killed.

use super::lazy::LazyDisk;
use super::load::{self, CLIENTS, Line, SLOTS};
use crate::apply::kv::{Answer, Kv};
use crate::base::{Command, Membership, ReplicaId};
use crate::compare::rng::mix;
use crate::disk::RealDisk;
use crate::runtime::{Host, Local, NodeOptions, Reply, Start, Status};
use bytes::Bytes;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Snapshots are taken often, so that a kill meets one.
const SNAPSHOT_RECORDS: u64 = 1_500;

/// Segments are small, so that purging removes some.
const SEGMENT_BYTES: u64 = 1 << 20;

/// How long a start may take to answer, elect and agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a reply is waited for before what was refused is tried again.
const RETRY: Duration = Duration::from_millis(3);

/// Numbers from here on are reads.
const READS: u64 = 1 << 62;

type Cluster = Local<Host<LazyDisk, Kv>>;

/// Says a line. Whoever does not listen any more has given up.
fn say(line: &Line) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Lives until it is killed.
pub(super) fn run(dir: &Path, life: u64, unwritten: bool) -> io::Result<()> {
    let cluster = match start(dir, unwritten) {
        Ok(cluster) => cluster,
        Err(what) => return say(&Line::Wrong(what)),
    };
    let mut clients = Clients { cluster, at: ReplicaId(1 + life % 3), next: 0, life };
    match clients.read_back() {
        Ok(numbers) => {
            for (client, value) in (0..).zip(&numbers) {
                say(&Line::Value(client, *value))?;
            }
            say(&Line::Ready)?;
            let what = clients.write(numbers)?;
            say(&Line::Wrong(what))
        }
        Err(what) => say(&Line::Wrong(what)),
    }
}

fn start(dir: &Path, unwritten: bool) -> Result<Cluster, String> {
    let members = Membership::majority((1..=3).map(ReplicaId));
    let mut nodes = Vec::new();
    for id in (1..=3).map(ReplicaId) {
        let mut options = NodeOptions::new(id, members.clone());
        // Killed before all three were begun, the next life begins the rest. A log that is lost
        // later is found out by the values that are.
        options.start = Start::First;
        options.snapshot_records = SNAPSHOT_RECORDS;
        options.store.wal.segment_bytes = SEGMENT_BYTES;
        options.replica.log_bytes_max = 1 << 20;
        let failed = |error: &dyn std::fmt::Display| format!("{id} does not start: {error}");
        let disk = RealDisk::new(dir.join(id.0.to_string())).map_err(|error| failed(&error))?;
        let opened = Host::open(LazyDisk::new(disk, unwritten), options, Kv::new());
        let (node, recovered) = opened.map_err(|error| failed(&error))?;
        if recovered.doubt.is_some() {
            return Err(format!("{id} is in doubt: {recovered}"));
        }
        say(&Line::Open).map_err(|error| failed(&error))?;
        nodes.push((id, node));
    }
    Ok(Local::start(nodes))
}

/// All clients of this life.
struct Clients {
    cluster: Cluster,
    /// Whom they ask.
    at: ReplicaId,
    next: u64,
    life: u64,
}

impl Clients {
    fn elsewhere(&mut self) {
        self.at = ReplicaId(1 + self.at.0 % 3);
    }

    /// Waits until the replicas agree, and gives the number of every client.
    fn read_back(&mut self) -> Result<Vec<u64>, String> {
        let end = Instant::now() + PATIENCE;
        self.cluster.campaign(self.at);
        // What was on its way when the process died is settled by then.
        let barrier = load::write(CLIENTS, self.life);
        self.until(end, false, &barrier)?;
        let result = self.until(end, true, &load::read_all())?;
        let numbers = load::numbers(&result).ok_or("what was read is not what was written")?;
        loop {
            let states = self.cluster.status();
            let same = |f: fn(&Status, &Status) -> bool| states.windows(2).all(|w| f(&w[0], &w[1]));
            if states.len() == 3 && same(|a, b| a.done == b.done) {
                let equal = same(|a, b| a.digest == b.digest);
                return if equal { Ok(numbers) } else { Err("the states differ".into()) };
            }
            if Instant::now() > end {
                let done: Vec<String> = states.iter().map(|s| s.done.to_string()).collect();
                return Err(format!("the replicas do not agree on what is done: {done:?}"));
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Asks until there is an answer; for what does no harm when it is done twice.
    fn until(&mut self, end: Instant, read: bool, command: &Command) -> Result<Bytes, String> {
        while Instant::now() < end {
            self.next += 1;
            let number = self.next + if read { READS } else { 0 };
            let asked = match read {
                true => self.cluster.read(self.at, number, command.clone()),
                false => self.cluster.write(self.at, number, command.clone()),
            };
            asked.map_err(|busy| busy.to_string())?;
            let patience = Instant::now() + Duration::from_secs(2);
            while Instant::now() < patience {
                match self.cluster.replies().recv_timeout(RETRY) {
                    Ok(Reply::Answer { number: of, result }) if of == number => return Ok(result),
                    Ok(Reply::Refused { number: of, .. } | Reply::Lost { number: of })
                        if of == number =>
                    {
                        std::thread::sleep(RETRY);
                        break;
                    }
                    Ok(Reply::Stopped { id, error }) => return Err(format!("{id}: {error}")),
                    Ok(_) | Err(_) => {}
                }
            }
            self.elsewhere();
        }
        Err("no answer".into())
    }

    /// Writes for ever; gives what goes wrong.
    fn write(&mut self, mut numbers: Vec<u64>) -> io::Result<String> {
        // The number of a request tells its client.
        let base = (self.next + 1).next_multiple_of(u64::from(CLIENTS));
        let mut turn = vec![0_u64; CLIENTS as usize];
        let number = |client: u32, turn: u64| base + turn * u64::from(CLIENTS) + u64::from(client);
        let mut waiting: Vec<u32> = (0..CLIENTS).collect();
        let began = Instant::now();
        let mut said = began;
        let mut cut = None;
        loop {
            for client in waiting.drain(..) {
                let at = client as usize;
                turn[at] += 1;
                let command = load::write(client, numbers[at] + 1);
                if let Err(busy) = self.cluster.write(self.at, number(client, turn[at]), command) {
                    return Ok(busy.to_string());
                }
            }
            let reply = self.cluster.replies().recv_timeout(RETRY);
            for reply in reply.into_iter().chain(self.cluster.replies().try_iter()) {
                let own = base..READS;
                let client = |n| own.contains(&n).then(|| (n % u64::from(CLIENTS)) as u32);
                match reply {
                    Reply::Answer { number: of, result } => {
                        let Some(client) = client(of) else { continue };
                        let value = &mut numbers[client as usize];
                        *value = if client >= SLOTS { counted(&result) } else { *value + 1 };
                        say(&Line::Ack(client, *value))?;
                        waiting.push(client);
                    }
                    Reply::Refused { number: of, .. } => waiting.extend(client(of)),
                    // It may come about at any time: this client has written its last.
                    Reply::Lost { .. } => {}
                    Reply::Stopped { id, error } => return Ok(format!("{id} stops: {error}")),
                }
            }
            if said.elapsed() > Duration::from_millis(50) {
                said = Instant::now();
                let states = self.cluster.status();
                self.cut_off(&states, began.elapsed(), &mut cut);
                let sum = |f: fn(&Status) -> u64| states.iter().map(f).sum();
                let purged = sum(|state| state.purged.0);
                say(&Line::Status(sum(|state| state.taken), sum(|state| state.installed), purged))?;
            }
        }
    }

    /// In every other life one that does not lead hears nothing for a while, and is far behind.
    fn cut_off(&self, states: &[Status], age: Duration, cut: &mut Option<ReplicaId>) {
        let chance = mix(self.life);
        if !chance.is_multiple_of(2) {
            return;
        }
        let (from, to) = (Duration::from_millis(20), Duration::from_millis(150 + chance % 200));
        let follower = states.iter().filter(|state| !state.leads).map(|state| state.id).next();
        match *cut {
            None if (from..to).contains(&age) => {
                *cut = follower;
                follower.into_iter().for_each(|id| self.cluster.cut(id, true));
            }
            Some(id) if age >= to => self.cluster.cut(id, false),
            _ => {}
        }
    }
}

fn counted(result: &Bytes) -> u64 {
    match Answer::decode(result) {
        Ok(Answer::Number(number)) => number as u64,
        _ => 0,
    }
}
