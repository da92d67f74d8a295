//! The cluster's clock, as this process has it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 as the cluster counts them: what the replicated clock last said, and
/// what has passed here since then. So replicas whose own clocks differ give the same deadlines, as
/// closely as a message takes; and deadlines go on where they were when another one leads.
///
/// Nothing rests on it but when a key ends. The state never looks at it.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    /// Of this machine, at `began`; from then on only what passed counts, so that a step of the
    /// machine's clock is none here.
    own: u64,
    /// What the cluster's clock is ahead of the own one.
    ahead: i64,
    seen: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { began: Instant::now(), own: since.as_millis() as u64, ahead: 0, seen: 0 }
    }

    fn own(&self) -> u64 {
        self.own.saturating_add(self.began.elapsed().as_millis() as u64)
    }

    pub(super) fn now(&self) -> u64 {
        // Never 0, and never more than a result can say.
        self.own().saturating_add_signed(self.ahead).clamp(1, i64::MAX as u64 / 2)
    }

    /// The replicated clock says this. A replica that leads is not put back by it: it is what it
    /// said itself, a moment ago.
    pub(super) fn see(&mut self, clock: u64, leads: bool) {
        if clock == self.seen || clock == 0 {
            return;
        }
        self.seen = clock;
        let ahead = i64::try_from(i128::from(clock) - i128::from(self.own())).unwrap_or(0);
        self.ahead = if leads { self.ahead.max(ahead) } else { ahead };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_takes_what_the_leader_says_and_a_leader_is_not_put_back() {
        let mut clock = Clock::new();
        let start = clock.now();
        clock.see(start + 1_000_000, false);
        assert!(clock.now() >= start + 1_000_000);
        clock.see(start - 5_000, true);
        assert!(clock.now() >= start + 1_000_000, "it leads");
        clock.see(start - 6_000, false);
        assert!(clock.now() < start + 900_000, "it follows");
        clock.see(u64::MAX, false);
        assert!(clock.now() <= i64::MAX as u64);
    }
}
