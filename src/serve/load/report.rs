//! What came of it.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The longest time that is told from a longer one: a minute, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Times of requests of one kind.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Times {
        // These bounds are fine: one microsecond to a minute, to a thousandth.
        Times(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("good bounds"))
    }

    pub(super) fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        self.0.saturating_record(us.clamp(1, LONGEST_US));
    }

    pub(super) fn clear(&mut self) {
        self.0.reset();
    }
}

/// How long requests of one kind took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many were answered.
    pub count: u64,
    /// On average.
    pub mean: f64,
    /// Half of them at most.
    pub p50: f64,
    /// Nine of ten at most.
    pub p90: f64,
    /// 99 of a hundred at most.
    pub p99: f64,
    /// 999 of a thousand at most.
    pub p999: f64,
    /// All of them.
    pub max: f64,
}

impl Times {
    pub(super) fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Summary {
            count: self.0.len(),
            mean: self.0.mean() / 1_000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1_000.0,
        }
    }
}

/// The last second.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since the beginning.
    pub elapsed: Duration,
    /// What was answered.
    pub last: Summary,
    /// Errors and lost connections so far.
    pub failed: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { elapsed, last, failed } = self;
        let (seconds, count) = (elapsed.as_secs(), last.count);
        let (p50, p99, max) = (last.p50, last.p99, last.max);
        write!(
            f,
            "{seconds:4} s  {count:8}/s  p50 {p50:8.3}  p99 {p99:8.3}  max {max:8.3} ms  \
             failed {failed}"
        )
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// For how long was measured.
    pub time: Duration,
    /// `GET`.
    pub reads: Summary,
    /// `SET`.
    pub writes: Summary,
    /// Both, one after the other.
    pub modifies: Summary,
    /// The errors, by their first word.
    pub errors: BTreeMap<String, u64>,
    /// Requests whose connection ended before their reply: done or not.
    pub lost: u64,
    /// In an open loop, how many requests waited for a connection when it ended.
    pub behind: u64,
}

impl Report {
    /// Requests answered in a second.
    pub fn rate(&self) -> f64 {
        let count = self.reads.count + self.writes.count + self.modifies.count;
        count as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// As one JSON document.
    pub fn json(&self) -> String {
        let one = |s: &Summary| {
            format!(
                "{{\"count\":{},\"mean_ms\":{:.3},\"p50_ms\":{:.3},\"p90_ms\":{:.3},\
                 \"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
                s.count, s.mean, s.p50, s.p90, s.p99, s.p999, s.max
            )
        };
        let errors: Vec<String> =
            self.errors.iter().map(|(word, count)| format!("{word:?}:{count}")).collect();
        format!(
            "{{\"seconds\":{:.3},\"per_second\":{:.1},\"reads\":{},\"writes\":{},\"modifies\":{},\
             \"errors\":{{{}}},\"lost\":{},\"behind\":{}}}\n",
            self.time.as_secs_f64(),
            self.rate(),
            one(&self.reads),
            one(&self.writes),
            one(&self.modifies),
            errors.join(","),
            self.lost,
            self.behind
        )
    }
}

/// A table, and a line for what went wrong.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.1} requests a second, {:.1} s", self.rate(), self.time.as_secs_f64())?;
        writeln!(
            f,
            "{:<8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  ms",
            "", "answered", "mean", "p50", "p90", "p99", "p99.9", "max"
        )?;
        let kinds = [("read", &self.reads), ("write", &self.writes), ("modify", &self.modifies)];
        for (name, s) in kinds.into_iter().filter(|(_, s)| s.count > 0) {
            writeln!(
                f,
                "{name:<8} {:>10} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
                s.count, s.mean, s.p50, s.p90, s.p99, s.p999, s.max
            )?;
        }
        for (word, count) in &self.errors {
            writeln!(f, "{count} answered with {word}")?;
        }
        if self.lost > 0 {
            writeln!(f, "{} not answered: the connection ended", self.lost)?;
        }
        if self.behind > 0 {
            writeln!(f, "{} not sent: the rate is more than was taken", self.behind)?;
        }
        Ok(())
    }
}
