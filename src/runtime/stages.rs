//! How long records take to reach each stage: some of them, timed at the replica that places them.

use super::sync::{Arc, Mutex};
use crate::base::Lsn;
use crate::replica::Replica;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Of so many commands that are handed in at a node one is timed: a clock costs more than some of
/// the stages.
const ONE_IN: u64 = 64;

/// The most that are timed at once; those beyond it are not.
const TIMED_MAX: usize = 64;

/// The ends of the classes of times, in microseconds; one more class is without an end.
pub const STAGE_ENDS_US: [u64; 14] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

/// What a record that is placed here goes through. The first comes first and the last two in this
/// order; its own disk and the quorum do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The replica has it: it is placed.
    Queued,
    /// It is durable here.
    Synced,
    /// A write quorum has it.
    Quorum,
    /// It is settled: a quorum has it and everything that it depends on is settled.
    Settled,
    /// It is executed here, or overridden.
    Applied,
}

impl Stage {
    /// In the order in which they are listed.
    pub const ALL: [Stage; 5] =
        [Stage::Queued, Stage::Synced, Stage::Quorum, Stage::Settled, Stage::Applied];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Synced => "synced",
            Stage::Quorum => "quorum",
            Stage::Settled => "settled",
            Stage::Applied => "applied",
        }
    }
}

/// How long records took to reach a stage, since they were handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// How many were in each class of [`STAGE_ENDS_US`].
    pub counts: [u64; STAGE_ENDS_US.len() + 1],
    /// All together.
    pub sum: Duration,
}

/// Where a node leaves the times of its stages, for whoever wants to know. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stages(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    arrived: VecDeque<(u64, Instant)>,
    times: [StageTimes; Stage::ALL.len()],
}

impl Stages {
    /// What came of those that were timed so far, in the order of [`Stage::ALL`].
    pub fn times(&self) -> [StageTimes; Stage::ALL.len()] {
        self.0.lock().times.clone()
    }

    /// A command with this number is handed in.
    pub(super) fn arrives(&self, number: u64) {
        if number.is_multiple_of(ONE_IN) {
            let mut inside = self.0.lock();
            if inside.arrived.len() < TIMED_MAX {
                inside.arrived.push_back((number, Instant::now()));
            }
        }
    }

    /// When the command with this number was handed in, if it is one that is timed.
    fn take(&self, number: u64) -> Option<Instant> {
        let mut inside = self.0.lock();
        // Numbers that were turned away at the door never come.
        while inside.arrived.front().is_some_and(|(other, _)| *other < number) {
            inside.arrived.pop_front();
        }
        let found = inside.arrived.front().is_some_and(|(other, _)| *other == number);
        inside.arrived.pop_front().filter(|_| found).map(|(_, since)| since)
    }

    fn reach(&self, stage: Stage, time: Duration) {
        let class = STAGE_ENDS_US.partition_point(|end| u128::from(*end) < time.as_micros());
        let times = &mut self.0.lock().times[stage as usize];
        times.counts[class] += 1;
        times.sum += time;
    }
}

/// A record that is timed.
#[derive(Debug)]
struct Timed {
    lsn: Lsn,
    since: Instant,
    /// The write that it is in.
    write: Option<u64>,
    reached: [bool; Stage::ALL.len()],
}

/// Those of one replica.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    stages: Option<Stages>,
    timed: Vec<Timed>,
}

impl Stopwatch {
    pub(super) fn new(stages: Option<Stages>) -> Stopwatch {
        Stopwatch { stages, timed: Vec::new() }
    }

    /// The position that a command of this number would be placed at, if it is to be timed.
    pub(super) fn before(&self, number: u64, replica: &Replica) -> Option<Lsn> {
        let wanted = self.stages.is_some() && number.is_multiple_of(ONE_IN);
        replica.leading().filter(|_| wanted).map(|(next, ..)| next)
    }

    /// The replica has taken it, or not.
    pub(super) fn after(&mut self, number: u64, lsn: Lsn, replica: &Replica) {
        let Some(stages) = &self.stages else { return };
        let Some(since) = stages.take(number) else { return };
        let placed = replica.leading().is_some_and(|(next, ..)| next.0 == lsn.0 + 1);
        if placed && self.timed.len() < TIMED_MAX {
            self.timed.push(Timed { lsn, since, write: None, reached: Default::default() });
            self.reach(Stage::Queued, |_| true);
        }
    }

    /// This write has the records at these positions.
    pub(super) fn writes(&mut self, write: u64, records: impl Fn(Lsn) -> bool) {
        for timed in self.timed.iter_mut().filter(|timed| timed.write.is_none()) {
            timed.write = records(timed.lsn).then_some(write);
        }
    }

    /// Writes up to this one are durable.
    pub(super) fn durable(&mut self, write: u64) {
        self.reach(Stage::Synced, |timed| timed.write.is_some_and(|own| own <= write));
    }

    /// Looks at how far the replica is. What is timed ends with its leading.
    pub(super) fn look(&mut self, replica: &Replica) {
        if self.timed.is_empty() {
            return;
        }
        let (Some(held), Some((_, _, settled))) = (replica.held(), replica.leading()) else {
            return self.timed.clear();
        };
        self.reach(Stage::Quorum, |timed| held.contains(timed.lsn));
        self.reach(Stage::Settled, |timed| settled.contains(timed.lsn));
        self.reach(Stage::Applied, |timed| replica.done().contains(timed.lsn));
        self.timed.retain(|timed| timed.reached.contains(&false));
    }

    fn reach(&mut self, stage: Stage, has: impl Fn(&Timed) -> bool) {
        let Some(stages) = &self.stages else { return };
        for timed in self.timed.iter_mut().filter(|timed| !timed.reached[stage as usize]) {
            if has(timed) {
                timed.reached[stage as usize] = true;
                stages.reach(stage, timed.since.elapsed());
            }
        }
    }
}
