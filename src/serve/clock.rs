//! The cluster's clock, as this process has it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 as the cluster counts them: the greatest that follows from this
/// machine's clock when the process began, and from all that the replicated clock said since, each
/// with what has passed here afterwards. What is said arrives late and so says too little: the
/// greatest is the best. So replicas whose clocks are behind give the same deadlines as the leader,
/// as closely as a message takes, and deadlines go on where they were when another one leads.
///
/// Nothing rests on it but when a key ends. The state never looks at it.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    /// Of this machine, at `began`; from then on only what passed counts, so that a step of the
    /// machine's clock is none here.
    own: u64,
    /// What the cluster's clock is ahead of the own one; not below 0.
    ahead: i64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { began: Instant::now(), own: since.as_millis() as u64, ahead: 0 }
    }

    fn own(&self) -> u64 {
        self.own.saturating_add(self.began.elapsed().as_millis() as u64)
    }

    pub(super) fn now(&self) -> u64 {
        // Never 0, and never more than a result can say.
        self.own().saturating_add_signed(self.ahead).clamp(1, i64::MAX as u64 / 2)
    }

    /// The replicated clock says this, perhaps long after it was said.
    pub(super) fn see(&mut self, clock: u64) {
        let ahead = i64::try_from(i128::from(clock) - i128::from(self.own())).unwrap_or(0);
        self.ahead = self.ahead.max(ahead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_is_ahead_and_is_not_put_back_by_what_was_said_long_ago() {
        let mut clock = Clock::new();
        let start = clock.now();
        clock.see(start - 5_000);
        assert!(clock.now() >= start, "as after a restart");
        clock.see(start + 1_000_000);
        assert!(clock.now() >= start + 1_000_000);
        clock.see(start + 900_000);
        assert!(clock.now() >= start + 1_000_000);
        clock.see(u64::MAX);
        assert!(clock.now() <= i64::MAX as u64);
    }
}
