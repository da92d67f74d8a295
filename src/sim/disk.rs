//! What is on its way to a disk.

use super::weather::mix;
use super::{Spec, Time};
use std::collections::VecDeque;

/// How long the sync takes that `replica` begins at `begins`: [`Spec::sync_delay`] and a tail with
/// the mean [`Spec::sync_tail`], at a slow replica so many times as long. A pure function of its
/// arguments: protocols that sync at the same time wait as long.
pub(super) fn sync_time(spec: &Spec, replica: usize, begins: Time) -> Time {
    let mut time = spec.sync_delay;
    if spec.sync_tail > Time::ZERO {
        // Another purpose than that of any packet.
        let draw = mix(mix(mix(spec.seed) ^ (0x5c_u64 << 56) ^ replica as u64) ^ begins.0);
        time = time + spec.sync_tail.exponential(draw);
    }
    spec.paced(replica, time)
}

/// The syncs of one replica: one after the other, each as long as [`sync_time`] says. A write goes
/// with the first one that has not begun, so writes of one instant share one, and so do all that
/// come while another sync is under way (group commit).
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
    /// Write `number` is given out at `now`; says when it will be durable. `delay`: how long a sync
    /// takes that begins then.
    pub(super) fn write(
        &mut self,
        now: Time,
        number: u64,
        delay: impl FnOnce(Time) -> Time,
    ) -> Time {
        let (begins, ends) = self.last;
        if now > begins || self.pending.is_empty() {
            let begins = ends.max(now);
            self.last = (begins, begins + delay(begins));
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
    use crate::sim::{LinkKind, Load, Network, Side, Slow};

    #[test]
    fn writes_that_come_during_a_sync_share_the_next() {
        let mut disk = Disk::default();
        let mut write = |at, number| disk.write(Time::ms(at), number, |_| Time::ms(5));
        assert_eq!(write(10, 1), Time::ms(15));
        assert_eq!(write(10, 2), Time::ms(15));
        assert_eq!(write(11, 3), Time::ms(20));
        assert_eq!(write(15, 4), Time::ms(20));
        assert_eq!(write(16, 5), Time::ms(25));
        assert_eq!(disk.durable(Time::ms(14)), None);
        assert_eq!(disk.durable(Time::ms(15)), Some(2));
        assert_eq!(disk.durable(Time::ms(30)), Some(5));
        assert_eq!(disk.write(Time::ms(40), 6, |_| Time::ZERO), Time::ms(40));
        assert_eq!(disk.durable(Time::ms(40)), Some(6));
    }

    fn spec() -> Spec {
        let network = Network::uniform("x", 3, Time::ms(1));
        let load = Load::Open { ops: Vec::new() };
        let mut spec = Spec::new(Side::Traft, LinkKind::Unordered, 3, network, load);
        spec.sync_delay = Time::us(20);
        spec
    }

    #[test]
    fn without_a_tail_every_sync_is_as_long() {
        assert!((0..100).all(|at| sync_time(&spec(), 1, Time(at)) == Time::us(20)));
    }

    #[test]
    fn a_tail_has_its_mean_and_replicas_have_their_own() {
        let mut spec = spec();
        spec.sync_tail = Time::us(10);
        let times = |spec: &Spec, replica| -> Vec<u64> {
            (0..20_000).map(|at| sync_time(spec, replica, Time(at)).0).collect()
        };
        let first = times(&spec, 0);
        let mean = first.iter().sum::<u64>() as f64 / 20_000.0;
        assert!((mean - 30_000.0).abs() < 300.0, "a mean of {mean} ns");
        assert!(first.iter().all(|time| *time >= 20_000));
        assert_eq!(first, times(&spec, 0));
        assert_ne!(first, times(&spec, 1));
        spec.slow = Some(Slow { replica: 1, factor: 10.0 });
        assert_eq!(first, times(&spec, 0), "the others are as fast as before");
        let mean = times(&spec, 1).iter().sum::<u64>() as f64 / 20_000.0;
        assert!((mean - 300_000.0).abs() < 3_000.0, "a mean of {mean} ns");
        spec.seed += 1;
        assert_ne!(first, times(&spec, 0));
    }
}
