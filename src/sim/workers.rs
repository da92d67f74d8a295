//! Virtual threads that execute commands.

use super::Time;
use std::collections::VecDeque;

/// The apply workers of one replica. Jobs begin in the order given, as workers become free; a job
/// that costs nothing ends at the instant it begins.
///
/// How many may run at once is the protocol's matter: one that applies a prefix in order has one
/// worker, whatever the spec offers.
#[derive(Debug)]
pub(super) struct Workers<J> {
    workers: usize,
    busy: usize,
    waiting: VecDeque<(Time, J)>,
}

impl<J> Workers<J> {
    pub(super) fn new(workers: usize) -> Workers<J> {
        Workers { workers, busy: 0, waiting: VecDeque::new() }
    }

    /// Takes on a job that lasts `cost`.
    pub(super) fn give(&mut self, cost: Time, job: J) {
        self.waiting.push_back((cost, job));
    }

    /// The next job that can begin now. If it costs something, its worker is busy until
    /// [`end`](Self::end) is called.
    pub(super) fn begin(&mut self) -> Option<(Time, J)> {
        if self.busy == self.workers {
            return None;
        }
        let (cost, job) = self.waiting.pop_front()?;
        self.busy += usize::from(cost > Time::ZERO);
        Some((cost, job))
    }

    /// A job that costs something has ended.
    pub(super) fn end(&mut self) {
        self.busy -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_job_waits_only_if_every_worker_is_busy() {
        let mut workers = Workers::new(2);
        for (cost, job) in [(5, 'a'), (0, 'b'), (5, 'c'), (0, 'd')] {
            workers.give(Time::ms(cost), job);
        }
        assert_eq!(workers.begin(), Some((Time::ms(5), 'a')));
        assert_eq!(workers.begin(), Some((Time::ZERO, 'b')));
        assert_eq!(workers.begin(), Some((Time::ms(5), 'c')));
        assert_eq!(workers.begin(), None);
        workers.end();
        assert_eq!(workers.begin(), Some((Time::ZERO, 'd')));
    }
}
