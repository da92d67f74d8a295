//! `traft compare --durable`: commits per second in real time, on a real disk, generalized beside
//! classic Raft and Omni-Paxos on the same log.
//!
//! ```text
//!   client loop ──> Local (a thread for each of three replicas, channels)
//!                     └─> Host | Classic | Paxos
//!                           └─ Wal on a Meter
//!   limit: three threads write and sync the groups that the meters saw, and do nothing else
//! ```
//!
//! Nothing here is the same twice: it is labelled so in every form of the output.

mod classic;
mod limit;
mod meter;
mod page;
mod paxos;
mod print;

pub(super) use page::html;
pub(super) use print::{csv, json, table};

use crate::apply::kv::{Kv, Op};
use crate::base::{Command, Membership, ReplicaId};
use crate::disk::{DiskError, RealDisk};
use crate::runtime::{Busy, Engine, Host, Local, NodeError, NodeOptions, Reply, Start};
use crate::wal::WalOptions;
use classic::Classic;
use meter::{Group, Meter};
use paxos::Paxos;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many commands are kept in flight, unless told.
const IN_FLIGHT: [usize; 3] = [1, 64, 1_024];

/// All that there is to compare.
pub(super) const SIDES: [&str; 3] = ["traft", "raft", "omnipaxos"];

/// How long each turn is measured, after half as long to get going.
const TURN: Duration = Duration::from_millis(1_200);

/// The sides take turns, and the median turn of each is shown: disks and machines have moods.
const TURNS: usize = 5;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// More keys than are in flight, few enough to stay in the processor's cache.
const KEYS: u64 = 1_280;

/// The value of a command, in bytes.
const VALUE_BYTES: usize = 256;

const LEADER: ReplicaId = ReplicaId(1);

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    sides: Vec<&'static str>,
    in_flight: Vec<usize>,
}

impl Choice {
    /// These sides, all if none is named, each with so many in flight.
    pub(super) fn new(sides: Vec<&'static str>, in_flight: Vec<usize>) -> Choice {
        Choice {
            sides: if sides.is_empty() { SIDES.to_vec() } else { sides },
            in_flight: if in_flight.is_empty() { IN_FLIGHT.to_vec() } else { in_flight },
        }
    }

    /// What measures the same in `dir`.
    pub(super) fn command(&self, dir: &Path) -> String {
        let depths: Vec<String> = self.in_flight.iter().map(usize::to_string).collect();
        let (sides, depths) = (self.sides.join(","), depths.join(","));
        format!("traft compare --durable {} --side {sides} --depth {depths}", dir.display())
    }
}

/// A side in one setting. Times are real.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// `traft`, `raft` or `omnipaxos`.
    pub(super) side: &'static str,
    /// How many commands were outstanding.
    pub(super) in_flight: usize,
    /// Commands acknowledged per second: each durable at two replicas of three.
    pub(super) commits_per_s: f64,
    /// The same in the worst turn, and in the best one.
    pub(super) least_per_s: f64,
    pub(super) most_per_s: f64,
    /// Half of them took at most this.
    pub(super) p50_ms: f64,
    /// 99 in a hundred took at most this.
    pub(super) p99_ms: f64,
    /// The slowest one.
    pub(super) max_ms: f64,
    /// Syncs of the leader's log per second.
    pub(super) syncs_per_s: f64,
    /// Commands in one of them.
    pub(super) commits_per_sync: f64,
    /// Bytes that all three logs wrote for one command.
    pub(super) bytes_per_commit: f64,
    /// Commands per second if three threads only wrote and synced the same groups, one each log.
    pub(super) limit_per_s: f64,
    /// The share of that limit.
    pub(super) of_limit: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    /// True: no two runs give the same bytes.
    pub(super) real_time: bool,
    /// Where.
    pub(super) dir: PathBuf,
    /// All sides, in order of `in_flight`.
    pub(super) rows: Vec<Row>,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum DurableError {
    /// The directory cannot be used. Take another.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The directory cannot be used. Take another.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A replica did not start or stopped.
    #[error("a replica stopped: {0}")]
    Node(#[from] NodeError),
    /// More is in flight than a node takes.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The replicas did not answer for `PATIENCE`.
    #[error("no answer for {} s", PATIENCE.as_secs())]
    Silent,
}

/// Measures all rows in a directory of its own inside `dir`, which is removed. `tick` is told how
/// many turns are done of how many.
pub(super) fn run(
    dir: &Path,
    choice: &Choice,
    tick: impl Fn(usize, usize),
) -> Result<Report, DurableError> {
    let own = dir.join(format!("traft-compare-{}", std::process::id()));
    let rows = measure_all(&own, choice, tick);
    // What cannot be removed is left to whoever named the directory.
    let _ = std::fs::remove_dir_all(&own);
    Ok(Report { real_time: true, dir: dir.into(), rows: rows? })
}

fn measure_all(
    dir: &Path,
    Choice { sides, in_flight }: &Choice,
    tick: impl Fn(usize, usize),
) -> Result<Vec<Row>, DurableError> {
    let mut rows = Vec::new();
    let place = dir.join("turn");
    let all_turns = sides.len() * in_flight.len() * TURNS;
    for &in_flight in in_flight {
        let mut turns = vec![Vec::new(); sides.len()];
        for turn in 0..TURNS {
            for (side, rows) in sides.iter().copied().zip(&mut turns) {
                rows.push(match side {
                    "raft" => measure((side, in_flight), TURN, &place, classic)?,
                    "omnipaxos" => measure((side, in_flight), TURN, &place, paxos)?,
                    _ => measure((side, in_flight), TURN, &place, ours)?,
                });
            }
            tick(rows.len() * TURNS + sides.len() * (turn + 1), all_turns);
        }
        for mut turns in turns {
            turns.sort_by(|a: &Row, b: &Row| a.commits_per_s.total_cmp(&b.commits_per_s));
            let (least_per_s, most_per_s) =
                (turns[0].commits_per_s, turns[TURNS - 1].commits_per_s);
            rows.push(Row { least_per_s, most_per_s, ..turns.swap_remove(TURNS / 2) });
        }
    }
    Ok(rows)
}

fn wal() -> WalOptions {
    WalOptions::default()
}

fn members() -> Membership {
    Membership::majority((1..=3).map(ReplicaId))
}

fn ours(id: ReplicaId, disk: Meter) -> Result<Host<Meter, Kv>, NodeError> {
    let mut options = NodeOptions::new(id, members());
    options.start = Start::First;
    options.store.wal = wal();
    options.snapshot_records = u64::MAX;
    // All sides keep their logs in memory.
    options.replica.log_bytes_max = 1 << 30;
    Ok(Host::open(disk, options, Kv::new())?.0)
}

fn classic(id: ReplicaId, disk: Meter) -> Result<Classic<Meter>, NodeError> {
    Classic::open(id, disk, wal())
}

fn paxos(id: ReplicaId, disk: Meter) -> Result<Paxos<Meter>, NodeError> {
    Paxos::open(id, disk, wal())
}

fn command(nth: u64) -> Command {
    let key = format!("user{:08}", nth.wrapping_mul(0x9e37_79b9) % KEYS);
    Op::Set { key: key.as_bytes(), value: &[b'v'; VALUE_BYTES] }.command()
}

/// Runs one side, then the limit.
fn measure<E: Engine>(
    (side, in_flight): (&'static str, usize),
    long: Duration,
    place: &Path,
    open: impl Fn(ReplicaId, Meter) -> Result<E, NodeError>,
) -> Result<Row, DurableError> {
    let mut meters = Vec::new();
    let mut engines = Vec::new();
    for id in (1..=3).map(ReplicaId) {
        let meter = Meter::new(RealDisk::new(place.join(id.0.to_string()))?);
        meters.push(meter.clone());
        engines.push((id, open(id, meter)?));
    }
    let mut client = Client { cluster: Local::start(engines), next: 0, sent: Default::default() };
    client.cluster.campaign(LEADER);
    client.first_answer()?;
    client.run(in_flight, long / 2)?;
    meters.iter().for_each(|meter| drop(meter.take()));
    let began = Instant::now();
    let mut times = client.run(in_flight, long)?;
    let took = began.elapsed().as_secs_f64();
    let groups: Vec<Vec<Group>> = meters.iter().map(Meter::take).collect();
    drop(client);
    let limit = limit::run(place, &groups)?.as_secs_f64();
    std::fs::remove_dir_all(place)?;
    times.sort_unstable();
    let ms = |per_mille: usize| {
        let at = (times.len() * per_mille).div_ceil(1_000).max(1) - 1;
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let commits = times.len() as f64;
    let bytes: u64 = groups.iter().flatten().map(|group| group.bytes()).sum();
    let syncs = groups[0].len() as f64;
    Ok(Row {
        side,
        in_flight,
        commits_per_s: commits / took,
        least_per_s: commits / took,
        most_per_s: commits / took,
        p50_ms: ms(500),
        p99_ms: ms(990),
        max_ms: ms(1_000),
        syncs_per_s: syncs / took,
        commits_per_sync: commits / syncs.max(1.0),
        bytes_per_commit: bytes as f64 / commits.max(1.0),
        limit_per_s: commits / limit,
        of_limit: limit / took,
    })
}

/// The clients, as one loop.
struct Client<E: Engine> {
    cluster: Local<E>,
    next: u64,
    sent: rustc_hash::FxHashMap<u64, Instant>,
}

impl<E: Engine> Client<E> {
    fn send(&mut self) -> Result<(), Busy> {
        self.next += 1;
        self.sent.insert(self.next, Instant::now());
        self.cluster.write(LEADER, self.next, command(self.next))
    }

    /// Until the leader leads it refuses.
    fn first_answer(&mut self) -> Result<(), DurableError> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.send()?;
            match self.cluster.replies().recv_timeout(PATIENCE) {
                Ok(Reply::Answer { number, .. }) => {
                    self.sent.remove(&number);
                    return Ok(());
                }
                Ok(Reply::Stopped { error, .. }) => return Err(error.into()),
                Ok(Reply::Refused { number, .. } | Reply::Lost { number }) => {
                    self.sent.remove(&number);
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => return Err(DurableError::Silent),
            }
        }
        Err(DurableError::Silent)
    }

    /// Keeps so many in flight for so long, then waits for the rest; how long each took.
    fn run(&mut self, in_flight: usize, long: Duration) -> Result<Vec<Duration>, DurableError> {
        let end = Instant::now() + long;
        let mut times = Vec::new();
        (0..in_flight).try_for_each(|_| self.send())?;
        while !self.sent.is_empty() {
            let Ok(reply) = self.cluster.replies().recv_timeout(PATIENCE) else {
                return Err(DurableError::Silent);
            };
            match reply {
                Reply::Answer { number, .. } => {
                    let sent = self.sent.remove(&number);
                    times.extend(sent.map(|sent| sent.elapsed()));
                }
                Reply::Refused { number, .. } | Reply::Lost { number } => {
                    self.sent.remove(&number);
                }
                Reply::Stopped { error, .. } => return Err(error.into()),
            }
            if Instant::now() < end {
                self.send()?;
            }
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All sides work on a real disk, and what they write is what the limit writes.
    #[test]
    fn all_sides_are_measured() {
        let dir = std::env::temp_dir().join(format!("traft-durable-test-{}", std::process::id()));
        let long = Duration::from_millis(60);
        let rows = [
            measure(("traft", 16), long, &dir, ours).expect("a directory"),
            measure(("raft", 16), long, &dir, classic).expect("a directory"),
            measure(("omnipaxos", 16), long, &dir, paxos).expect("a directory"),
        ];
        for row in rows {
            assert!(row.commits_per_s > 0.0 && row.limit_per_s > 0.0, "{row:?}");
            assert!(row.p50_ms > 0.0 && row.p50_ms <= row.max_ms, "{row:?}");
            assert!(row.bytes_per_commit > 3.0 * VALUE_BYTES as f64, "{row:?}");
            // Two of three logs are enough, so that of the leader may sync less often than for each
            // sixteen; but it syncs, and the two figures are of the same commits.
            let commits = row.commits_per_sync * row.syncs_per_s;
            assert!(row.syncs_per_s > 0.0, "{row:?}");
            assert!((commits / row.commits_per_s - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!(!dir.exists(), "it is removed");
    }
}
