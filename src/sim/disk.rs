//! What is on its way to a disk.

use super::Time;
use std::collections::VecDeque;

/// The syncs of one replica: one after the other, each as long as [`Spec::sync_delay`]
/// (super::Spec::sync_delay). A write goes with the first one that has not begun, so writes of one
/// instant share one, and so do all that come while another sync is under way (group commit).
///
/// A crash loses what was not durable; replicas keep the two apart themselves, by the numbers that
/// they are told.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// When the last sync begins and ends.
    last: (Time, Time),
    pending: VecDeque<(Time, u64)>,
}

impl Disk {
    /// Write `number` is given out at `now`; says when it will be durable.
    pub(super) fn write(&mut self, now: Time, number: u64, delay: Time) -> Time {
        let (begins, ends) = self.last;
        if now > begins || self.pending.is_empty() {
            let begins = ends.max(now);
            self.last = (begins, begins + delay);
        }
        self.pending.push_back((self.last.1, number));
        self.last.1
    }

    /// The greatest write that is durable at `now` and was not told before.
    pub(super) fn durable(&mut self, now: Time) -> Option<u64> {
        let mut told = None;
        while self.pending.front().is_some_and(|(due, _)| *due <= now) {
            told = self.pending.pop_front().map(|(_, number)| number);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_come_during_a_sync_share_the_next() {
        let mut disk = Disk::default();
        let mut write = |at, number| disk.write(Time::ms(at), number, Time::ms(5));
        assert_eq!(write(10, 1), Time::ms(15));
        assert_eq!(write(10, 2), Time::ms(15));
        assert_eq!(write(11, 3), Time::ms(20));
        assert_eq!(write(15, 4), Time::ms(20));
        assert_eq!(write(16, 5), Time::ms(25));
        assert_eq!(disk.durable(Time::ms(14)), None);
        assert_eq!(disk.durable(Time::ms(15)), Some(2));
        assert_eq!(disk.durable(Time::ms(30)), Some(5));
        assert_eq!(disk.write(Time::ms(40), 6, Time::ZERO), Time::ms(40));
        assert_eq!(disk.durable(Time::ms(40)), Some(6));
    }
}
