//! A rolling upgrade under load, half of the way back, and there again: three replicas of one
//! program, each of which is ended in good order and goes on as another program, on the same files.
//! `--old PROGRAM` is the one that they begin with: without it, it is this build, told to speak
//! nothing above version 1 of the wire. What has to hold: no acknowledged write is lost, the states
//! are equal, and what this build says of the versions that it speaks with others is so.

use crate::house::{Failed, House, PATIENCE};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use traft::base::ReplicaId;
use traft::net::Version;
use traft::resp::Value;
use traft::serve::Client;

const CLIENTS: usize = 6;

/// What makes this build like one that knows only the first version of the wire.
pub(crate) const OLD: &[&str] = &["--wire-max", "1"];

/// What was acknowledged, and how long nothing was.
#[derive(Default)]
struct Record {
    keys: Vec<String>,
    last: Option<Instant>,
    gap: Duration,
}

pub(crate) fn run(house: &mut House, time: Duration) -> Result<(), Failed> {
    let (ends, record) = (AtomicBool::new(false), Mutex::<Record>::default());
    let addresses = house.fleet.addresses();
    let ids = house.ids();
    let (old, new) = (house.program.clone(), PathBuf::from(env!("CARGO_BIN_EXE_traft")));
    let (old, new) = ((&old, if old == new { OLD } else { &[] }), (&new, &[][..]));
    // Each to the new one; then two of them back, and once more there.
    let there = ids.iter().map(|id| (*id, new));
    let back = [(ids[0], old), (ids[1], old), (ids[0], new), (ids[1], new)];
    let mut walk = there.chain(back);
    let mut gaps = Vec::new();
    let walked = std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (addresses, ends, record) = (&addresses, &ends, &record);
            scope.spawn(move || write(n, addresses, ends, record));
        }
        let walked = walk.try_for_each(|(id, (program, flags))| {
            record.lock().expect("no panic").gap = Duration::ZERO;
            step(house, id, program, flags, time / 7)?;
            gaps.push(record.lock().expect("no panic").gap);
            Ok::<(), Failed>(())
        });
        ends.store(true, Ordering::Release);
        walked
    });
    walked?;
    let keys = record.into_inner().expect("no panic").keys;
    for address in &addresses {
        let mut client = Client::connect(address, Some(PATIENCE))?;
        for keys in keys.chunks(500) {
            let words: Vec<&str> =
                ["EXISTS"].into_iter().chain(keys.iter().map(|k| &**k)).collect();
            let there = client.ask(&words)?;
            if there != Value::Number(keys.len() as i64) {
                return Err(
                    format!("of {} acknowledged writes {there:?} are there", keys.len()).into()
                );
            }
        }
    }
    house.agree()?;
    let spoken = |id: ReplicaId, other: ReplicaId| {
        house.told(id, &["TRAFT", "STATUS"], &format!("wire_{}", other.0))
    };
    for (id, other) in [(ids[0], ids[1]), (ids[1], ids[2]), (ids[2], ids[0])] {
        let version = spoken(id, other)?;
        if version != Version::NEWEST.to_string() {
            return Err(format!("{id} writes version {version} to {other}").into());
        }
    }
    println!("{} writes, all of them there; the longest gap at each step {gaps:.0?}", keys.len());
    Ok(())
}

/// One goes on as another program, and then the load goes on for a while.
fn step(
    house: &mut House,
    id: ReplicaId,
    program: &Path,
    flags: &[&str],
    time: Duration,
) -> Result<(), Failed> {
    house.fleet.stop(id)?;
    house.fleet.use_program(program);
    house.start(id, flags)?;
    house.until_written(house.clients(id))?;
    std::thread::sleep(time);
    Ok(())
}

/// Writes one key after the other, each once, and goes elsewhere when nobody answers.
fn write(number: usize, addresses: &[SocketAddr], ends: &AtomicBool, record: &Mutex<Record>) {
    let (mut at, mut socket) = (number, None);
    for n in 0.. {
        if ends.load(Ordering::Acquire) {
            return;
        }
        let key = format!("w{number}-{n}");
        let address = addresses[at % addresses.len()];
        let open = socket.take().or_else(|| Client::connect(address, Some(PATIENCE)).ok());
        match open.map(|mut open: Client| (open.ask(&["SET", &key, "v"]), open)) {
            Some((Ok(Value::Simple(_)), open)) => {
                let (mut record, now) = (record.lock().expect("no panic"), Instant::now());
                if let Some(last) = record.last.replace(now) {
                    record.gap = record.gap.max(now - last);
                }
                record.keys.push(key);
                socket = Some(open);
            }
            _ => at += 1,
        }
    }
}
