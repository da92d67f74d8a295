//! A process for each replica, joined by gRPC with mutual TLS: one is killed and comes back, all
//! are upgraded in turn under load, from one version of the wire to the next, and taken back.

use super::program::{client, empty_dir, interrupt, up_with};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use traft::base::ReplicaId;
use traft::resp::Value;
use traft::serve::Client;
use traft::serve::fleet::{Fleet, Plan};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until `fits` gives something, and says what was wanted if that is not in time.
pub(crate) fn until<T>(wanted: &str, mut fits: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match fits() {
            Some(found) => return found,
            None => assert!(Instant::now() < end, "not in time: {wanted}"),
        }
        thread::yield_now();
    }
}

/// A reply of whoever is there, if somebody is and it is no error.
pub(crate) fn ask(address: impl std::net::ToSocketAddrs, words: &[&str]) -> Option<Value> {
    let mut client = Client::connect(address, Some(Duration::from_secs(10))).ok()?;
    client.ask(words).ok().filter(|reply| !matches!(reply, Value::Error(_)))
}

/// One line of what a replica says of itself.
fn info(address: &str, field: &str) -> Option<String> {
    let Some(Value::Bulk(text)) = ask(address, &["INFO"]) else { return None };
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(str::to_string)
}

#[test]
fn a_process_that_is_killed_comes_back_and_has_everything() {
    let dir = empty_dir("processes");
    let up = up_with(&dir, &["--processes"]);
    let addresses: Vec<String> =
        up.urls.iter().map(|url| url.trim_start_matches("redis://").to_string()).collect();
    client(&up, 0);
    let leader = until("a leader", || {
        addresses.iter().find(|a| info(a, "leads").as_deref() == Some("1")).cloned()
    });
    let pid = info(&leader, "process_id").expect("it runs");
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("kill runs").success());
    let others: Vec<&String> = addresses.iter().filter(|a| **a != leader).collect();
    for n in 0..300 {
        let (key, other) = (format!("k{n}"), others[n % 2]);
        let done = || ask(other.as_str(), &["SET", &key, "v"]).filter(|r| *r == Value::OK);
        until("a write without the one that was killed", done);
    }
    until("another process in its place", || info(&leader, "process_id").filter(|p| *p != pid));
    // A read there shows everything that was answered anywhere.
    until("it has everything", || ask(leader.as_str(), &["GET", "k299"]));
    let digests: Vec<Value> = addresses
        .iter()
        .map(|a| until("a digest", || ask(a.as_str(), &["DEBUG", "DIGEST"])))
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    interrupt(up);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

pub(crate) fn fleet(dir: &Path, replicas: u64, members: Option<&str>, transport: &str) -> Fleet {
    let plan = Plan {
        program: env!("CARGO_BIN_EXE_traft").into(),
        dir: dir.into(),
        replicas,
        members: members.map(String::from),
        port: 0,
        flags: vec!["--snapshot-records=500".into(), format!("--transport={transport}")],
    };
    Fleet::new(plan).expect("a fleet")
}

/// What is done by clients that write one key after the other, each once.
#[derive(Default)]
struct Record {
    acknowledged: Vec<String>,
    last: Option<Instant>,
    gap: Duration,
}

impl Record {
    fn note(&mut self, key: String) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.gap = self.gap.max(now - last);
        }
        self.acknowledged.push(key);
    }
}

/// Writes until it is told to stop; goes elsewhere when a replica does not answer.
fn write(number: usize, addresses: &[SocketAddr], stop: &AtomicBool, record: &Mutex<Record>) {
    let mut at = number;
    let mut socket: Option<Client> = None;
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let key = format!("w{number}-{n}");
        let address = addresses[at % addresses.len()];
        let open = socket.take().or_else(|| Client::connect(address, Some(PATIENCE)).ok());
        let Some(mut open) = open else {
            at += 1;
            continue;
        };
        match open.ask(&["SET", &key, "v"]) {
            Ok(Value::Simple(_)) => {
                record.lock().expect("no panic").note(key);
                socket = Some(open);
            }
            _ => at += 1,
        }
    }
}

#[test]
fn a_rolling_upgrade_loses_nothing_that_was_acknowledged() {
    upgrade_all("grpc");
}

#[cfg(feature = "quic")]
#[test]
fn the_same_over_quic() {
    upgrade_all("quic");
}

/// Like a release that knows only the first version of the wire; and as it is.
const OLD: &[&str] = &["--wire-max", "1"];
const NEW: &[&str] = &[];

/// Waits until replica `id` says in which version it writes to the others.
fn until_spoken(fleet: &Fleet, id: ReplicaId, maxima: &BTreeMap<ReplicaId, &[&str]>) {
    let is_old = |id: &ReplicaId| maxima[id] == OLD;
    until("the newest version that both know", || {
        let Some(Value::Bulk(text)) = ask(fleet.places()[&id].clients, &["TRAFT", "STATUS"]) else {
            return None;
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let fits = |other: &&ReplicaId| {
            let version = if is_old(&id) || is_old(other) { 1 } else { 2 };
            text.lines().any(|line| line == format!("wire_{}:{version}", other.0))
        };
        maxima.keys().filter(|other| **other != id).all(|other| fits(&other)).then_some(())
    });
}

fn upgrade_all(transport: &str) {
    let dir = empty_dir(&format!("rolling-{transport}"));
    let mut fleet = fleet(&dir, 3, None, transport);
    let ids: Vec<ReplicaId> = fleet.places().keys().copied().collect();
    let flags = [&["--new"], OLD].concat();
    ids.iter().for_each(|id| drop(fleet.start(*id, &flags).expect("it starts")));
    let mut maxima: BTreeMap<ReplicaId, &[&str]> = ids.iter().map(|id| (*id, OLD)).collect();
    let addresses = fleet.addresses();
    let serves = |address: SocketAddr| {
        until("it serves", || ask(address, &["SET", "ready", "yes"]));
    };
    addresses.iter().for_each(|address| serves(*address));
    let (stop, record) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let clients: Vec<_> = (0..6)
        .map(|n| {
            let (addresses, stop, record) = (addresses.clone(), stop.clone(), record.clone());
            thread::spawn(move || write(n, &addresses, &stop, &record))
        })
        .collect();
    let count = || record.lock().expect("no panic").acknowledged.len();
    // One new, two, all; one back, two, and all new again.
    let (new, old) = (|at: usize| (ids[at], NEW), |at: usize| (ids[at], OLD));
    for (id, flags) in [new(0), new(1), new(2), old(0), old(1), new(1), new(0)] {
        let before = count();
        until("writes go on", || (count() > before + 100).then_some(()));
        fleet.stop(id).expect("it ends in good order");
        let without = count();
        until("writes without it", || (count() > without + 100).then_some(()));
        drop(fleet.start(id, flags).expect("it starts again"));
        serves(fleet.places()[&id].clients);
        maxima.insert(id, flags);
        ids.iter().for_each(|id| until_spoken(&fleet, *id, &maxima));
    }
    stop.store(true, Ordering::Release);
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    let record = record.lock().expect("no panic");
    let count = record.acknowledged.len();
    eprintln!("{transport}: {count} writes, the longest gap {:?}", record.gap);
    for address in addresses {
        let mut client = Client::connect(address, Some(PATIENCE)).expect("it is there");
        for keys in record.acknowledged.chunks(500) {
            let words: Vec<&str> =
                ["EXISTS"].into_iter().chain(keys.iter().map(|k| &**k)).collect();
            let there = client.ask(&words).expect("a reply");
            assert_eq!(there, Value::Number(keys.len() as i64), "acknowledged, and gone");
        }
    }
    drop(fleet);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
