//! What one run says in figures: the fields of `--json`, and the percentiles behind them.

use crate::sim::Time;
use serde::Serialize;

/// The document of `--json`. Fields may be added later, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Document {
    /// The seed that every figure comes from.
    pub(super) seed: u64,
    /// One for each scenario, network, link, side, interference and param, in a fixed order.
    pub(super) rows: Vec<Row>,
}

/// Percentiles of a model of what is possible (`docs/compare.md`, The bound), in ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "as in Row")]
pub(super) struct Bound {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
}

/// One side in one setting. Times are virtual milliseconds, from the moment a client has its
/// operation to the moment it has the answer; an unfinished operation counts at its age.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// The name of the scenario.
    pub(super) scenario: &'static str,
    /// The name of the network.
    pub(super) network: String,
    /// `unordered` or `ordered`.
    pub(super) link: &'static str,
    /// `traft`, `traft-serial`, `raft`, `raft-parallel` or `omnipaxos`.
    pub(super) side: &'static str,
    /// Percent of the commands that share one hot key, if that is what decides interference.
    pub(super) interference: Option<u32>,
    /// What the scenario varies, as `name=value`.
    pub(super) param: Option<String>,
    /// Arithmetic mean.
    pub(super) mean_ms: f64,
    /// Half of the operations took at most this.
    pub(super) p50_ms: f64,
    /// 99 in a hundred took at most this.
    pub(super) p99_ms: f64,
    /// 999 in a thousand took at most this.
    pub(super) p999_ms: f64,
    /// The slowest one.
    pub(super) max_ms: f64,
    /// The jitter-free round trip from the leader to the nearest write quorum.
    pub(super) rtt_ms: f64,
    /// The best that unordered links allow; `null` for single events.
    pub(super) bound: Option<Bound>,
    /// The best that ordered links allow; `null` for single events.
    pub(super) bound_ordered: Option<Bound>,
    /// Operations measured.
    pub(super) ops: u64,
    /// Operations issued in the same runs, measured here or not: what counts are divided by in the
    /// table.
    #[serde(skip)]
    pub(super) issued: u64,
    /// How many of them had no answer when the run ended.
    pub(super) unfinished: u64,
    /// Messages between replicas, over all repetitions.
    pub(super) messages: u64,
    /// Log records in those messages, each time it was sent.
    pub(super) records_sent: u64,
    /// Commands executed by the replicas, summed over them.
    pub(super) records_applied: u64,
    /// Bytes of those messages with their headers.
    pub(super) bytes: u64,
    /// `duel`: how many terms the duel began, in the worst run.
    pub(super) terms: Option<u64>,
    /// `failover`: from the death of the leader to the first campaign, in the slowest run.
    pub(super) detection_ms: Option<f64>,
    /// `failover`: from the first campaign to the answer, in the slowest run.
    pub(super) after_detection_ms: Option<f64>,
    /// `reconfigure-*`: how much was answered in each second, in percent of what was asked for.
    pub(super) windows: Option<Vec<f64>>,
    /// `reconfigure-*`: the least of them.
    pub(super) lowest_window: Option<f64>,
    /// `reconfigure-*`: from the request to the end of the last second below 99 %, in seconds.
    pub(super) full_after_s: Option<f64>,
    /// `reconfigure-*`: from the request until so many new voters had caught up as it takes.
    pub(super) caught_up_ms: Option<f64>,
    /// `reconfigure-*`: from then until the new membership alone was in force.
    pub(super) decision_ms: Option<f64>,
    /// `reconfigure-*`: from the request until it was reported complete.
    pub(super) complete_ms: Option<f64>,
    /// `reconfigure-*`: from the request until all new voters had caught up.
    pub(super) everyone_ms: Option<f64>,
    /// `wan`: the mean of the clients of each site.
    pub(super) site_mean_ms: Option<Vec<f64>>,
    /// `wan`: the mean over all sites that the ways alone take.
    pub(super) floor_ms: Option<f64>,
    /// Closed loops: operations answered in a second of virtual time, over the whole run.
    pub(super) per_second: Option<f64>,
    /// Closed loops with reads: the mean and the 99th percentile of those.
    pub(super) read_mean_ms: Option<f64>,
    pub(super) read_p99_ms: Option<f64>,
    /// Closed loops with writes: the mean and the 99th percentile of those.
    pub(super) write_mean_ms: Option<f64>,
    pub(super) write_p99_ms: Option<f64>,
    /// Broken invariants. Anything but 0 ends the program with exit code 1.
    pub(super) violations: u64,
}

/// The percentiles of a set of times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "as in Row")]
pub(super) struct Summary {
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

impl Summary {
    /// By nearest rank: the least time that so large a share of all operations did not exceed.
    /// All zero if there is none.
    pub(super) fn of(mut times: Vec<Time>) -> Summary {
        if times.is_empty() {
            return Summary::default();
        }
        times.sort_unstable();
        let total: u128 = times.iter().map(|t| u128::from(t.0)).sum();
        let at = |per_mille: usize| times[rank(times.len(), per_mille)].as_ms();
        Summary {
            mean_ms: Time((total / times.len() as u128) as u64).as_ms(),
            p50_ms: at(500),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: at(1_000),
        }
    }
}

impl From<Summary> for Bound {
    fn from(s: Summary) -> Bound {
        Bound { p50_ms: s.p50_ms, p99_ms: s.p99_ms, p999_ms: s.p999_ms }
    }
}

/// The index, among `len > 0` sorted times, of the one that `per_mille` of them do not exceed.
fn rank(len: usize, per_mille: usize) -> usize {
    (len * per_mille).div_ceil(1_000).max(1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_a_thousand() {
        let s = Summary::of((1..=1_000).rev().map(Time::ms).collect());
        let expected = Summary {
            mean_ms: 500.5,
            p50_ms: 500.0,
            p99_ms: 990.0,
            p999_ms: 999.0,
            max_ms: 1_000.0,
        };
        assert_eq!(s, expected);
    }

    #[test]
    fn one_unfinished_operation_in_a_hundred_is_the_maximum_and_not_p99() {
        let mut times = vec![Time::ms(20); 99];
        times.push(Time::s(60));
        let s = Summary::of(times);
        assert_eq!((s.p50_ms, s.p99_ms, s.p999_ms), (20.0, 20.0, 60_000.0));
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(Summary::of(Vec::new()), Summary::default());
    }

    proptest! {
        /// The twin counts: the percentile is a measured time, so many do not exceed it, and no
        /// smaller measured time would do.
        #[test]
        fn a_percentile_is_the_least_time_that_enough_do_not_exceed(
            times in prop::collection::vec(0_u64..50, 1..200),
        ) {
            let s = Summary::of(times.iter().copied().map(Time).collect());
            let share = |limit: u64| times.iter().filter(|t| **t <= limit).count() * 1_000;
            for (per_mille, got) in
                [(500, s.p50_ms), (990, s.p99_ms), (999, s.p999_ms), (1_000, s.max_ms)]
            {
                let least = times.iter().copied()
                    .filter(|t| share(*t) >= per_mille * times.len()).min();
                prop_assert_eq!(Some(got), least.map(|t| Time(t).as_ms()));
            }
        }
    }
}
