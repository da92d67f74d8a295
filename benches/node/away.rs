//! One replica stands still (SIGSTOP) under full load. What has to hold: the memory of each process
//! stays under its cap; when the one that was away goes on, it counts toward commits within a
//! second, which is seen by stopping the other follower at that moment; and it catches up.

use crate::house::{Failed, House, PATIENCE};
use rustix::process::Signal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use traft::base::ReplicaId;
use traft::serve::load::Arrivals;

/// The most memory that a process of this load may take: docs/node.md has what it consists of.
const CAP_BYTES: u64 = 1 << 30;

/// When the one that was away goes on, it counts within this long.
const COUNTS: Duration = Duration::from_secs(1);

const IN_FLIGHT: usize = 64;

pub(crate) fn run(house: &mut House, time: Duration) -> Result<(), Failed> {
    let leader = house.leader()?;
    let followers: Vec<ReplicaId> = house.ids().into_iter().filter(|id| *id != leader).collect();
    let [away, other] = followers[..] else { return Err("three replicas".into()) };
    let ends = AtomicBool::new(false);
    let most = Mutex::new(house.uses());
    house.fleet.signal(away, Signal::STOP)?;
    let house = &*house;
    let (report, counted) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let report = house.write(leader, IN_FLIGHT, Arrivals::Closed { depth: 1 }, time);
            report.map_err(|error| error.to_string())
        });
        scope.spawn(|| {
            while !ends.load(Ordering::Acquire) {
                let now = house.uses();
                for (id, used) in most.lock().expect("no panic").iter_mut() {
                    let now = now.get(id).map_or(0, |now| now.memory);
                    used.memory = used.memory.max(now);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let report = load.join().expect("no panic");
        let counted = counts(house, leader, away, other);
        ends.store(true, Ordering::Release);
        (report, counted)
    });
    let (report, counted) = (report?, counted?);
    let behind = house.told(away, &["TRAFT", "STATUS"], "done")?;
    let caught_up = catches_up(house, leader, away)?;
    house.agree()?;
    println!(
        "{away} stood still for {:.0} s: {:.0} commands/s without it, p99 {:.2} ms, {} in all",
        time.as_secs_f64() * 1.1,
        report.rate(),
        report.writes.p99,
        report.writes.count
    );
    println!("it counts toward commits after {counted:.0?}, when it has done {behind}");
    println!("it has everything {caught_up:.1?} after the other one is back");
    for (id, used) in most.lock().expect("no panic").iter() {
        let role = if *id == leader { "leads" } else { "follows" };
        println!("{id} {role}: at most {} MiB of {}", used.memory >> 20, CAP_BYTES >> 20);
        if used.memory > CAP_BYTES {
            return Err(format!("{id} takes more than its cap").into());
        }
    }
    if house.measured && counted > COUNTS {
        return Err(format!("it should count within {COUNTS:?}").into());
    }
    Ok(())
}

/// Lets `away` go on and stops `other`: how long until a write is done, for which it takes `away`.
fn counts(
    house: &House,
    leader: ReplicaId,
    away: ReplicaId,
    other: ReplicaId,
) -> Result<Duration, String> {
    let signal = |id, signal| house.fleet.signal(id, signal).map_err(|error| error.to_string());
    signal(other, Signal::STOP)?;
    let began = Instant::now();
    signal(away, Signal::CONT)?;
    let written = house.until_written(house.clients(leader)).map_err(|error| error.to_string());
    let counted = began.elapsed();
    signal(other, Signal::CONT)?;
    written.map(|_| counted)
}

/// Waits until it has done what the leader has.
fn catches_up(house: &House, leader: ReplicaId, away: ReplicaId) -> Result<Duration, Failed> {
    let began = Instant::now();
    let goal = house.told(leader, &["TRAFT", "STATUS"], "done")?;
    let end = |done: &str| {
        let digits = done.trim_start_matches("{..").trim_end_matches('}');
        digits.split(' ').next().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0)
    };
    while began.elapsed() < PATIENCE {
        if end(&house.told(away, &["TRAFT", "STATUS"], "done")?) >= end(&goal) {
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("it does not catch up with {goal}").into())
}
