//! What a server counts.

use super::replica::Standing;
use crate::runtime::{Stages, Survey};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The ends of the classes of times, in microseconds; one more class is without an end.
pub(super) const TIMES_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// How long requests took.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    /// How many were in each class.
    pub(super) counts: [u64; TIMES_US.len() + 1],
    /// All together.
    pub(super) sum: Duration,
}

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        let us = time.as_micros();
        let class = TIMES_US.partition_point(|end| u128::from(*end) < us);
        self.counts[class] += 1;
        self.sum += time;
    }
}

/// Of one server, since it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) connections: usize,
    pub(super) accepted: u64,
    pub(super) turned_away: u64,
    pub(super) waiting: usize,
    pub(super) retried: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) evicted: u64,
    pub(super) reads: Times,
    pub(super) writes: Times,
    pub(super) standing: Standing,
}

impl Figures {
    /// How many commands were answered with a result.
    pub(super) fn answered(&self) -> u64 {
        self.reads.counts.iter().chain(&self.writes.counts).sum()
    }
}

/// Asks a replica what it knows of itself and of others; nothing if it does not say in time.
type Ask = Arc<dyn Fn() -> Option<Survey> + Send + Sync>;

/// Where a server leaves its figures now and then, for whoever wants to know.
#[derive(Clone, Default)]
pub struct Board {
    figures: Arc<Mutex<Figures>>,
    ask: Option<Ask>,
    stages: Stages,
}

impl Board {
    /// The same, of a server before a replica that can be asked.
    pub(super) fn before(
        &self,
        stages: Stages,
        ask: impl Fn() -> Option<Survey> + Send + Sync + 'static,
    ) -> Board {
        Board { figures: self.figures.clone(), ask: Some(Arc::new(ask)), stages }
    }

    /// How long records take to reach each stage.
    pub(super) fn stages(&self) -> &Stages {
        &self.stages
    }

    pub(super) fn put(&self, figures: &Figures) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone_from(figures);
    }

    pub(super) fn get(&self) -> Figures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the replica says now.
    pub(super) fn survey(&self) -> Option<Survey> {
        self.ask.as_ref().and_then(|ask| ask())
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Board").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_class_that_does_not_end_before_it() {
        let mut times = Times::default();
        for us in [1, 100, 101, 1_000_000, 6_000_000] {
            times.add(Duration::from_micros(us));
        }
        let mut expected = [0; TIMES_US.len() + 1];
        (expected[0], expected[1], expected[12], expected[14]) = (2, 1, 1, 1);
        assert_eq!(times.counts, expected);
    }
}
