//! Virtual time.

use std::fmt;
use std::ops::{Add, Sub};

/// Virtual nanoseconds. Zero is when the load starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// When the load starts; no time at all.
    pub const ZERO: Time = Time(0);

    /// `n` seconds.
    pub const fn s(n: u64) -> Time {
        Time(n * 1_000_000_000)
    }

    /// `n` milliseconds.
    pub const fn ms(n: u64) -> Time {
        Time(n * 1_000_000)
    }

    /// `n` microseconds.
    pub const fn us(n: u64) -> Time {
        Time(n * 1_000)
    }

    /// In milliseconds, for people.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This long, `factor` times.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Time {
        Time((self.0 as f64 * factor).round() as u64)
    }

    /// A time from the exponential distribution whose mean this is: `draw` is uniform over `u64`.
    /// At most 37 times the mean. Only operations that every machine rounds alike.
    #[must_use]
    pub fn exponential(self, draw: u64) -> Time {
        // Uniform in 1 ..= 2^53, so that its share of 2^53 has a logarithm.
        let x = (draw >> 11) + 1;
        let exponent = x.ilog2();
        let mantissa = x as f64 / (1_u64 << exponent) as f64;
        let t = (mantissa - 1.0) / (mantissa + 1.0);
        let (mut power, mut sum) = (t, 0.0);
        for odd in (1_u32..37).step_by(2) {
            sum += power / f64::from(odd);
            power *= t * t;
        }
        let logarithm = f64::from(53 - exponent) * std::f64::consts::LN_2 - 2.0 * sum;
        self.scaled(logarithm.max(0.0))
    }

    /// The time from `earlier` to this one; zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Time {
        Time(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Time {
    type Output = Time;
    fn add(self, other: Time) -> Time {
        Time(self.0.saturating_add(other.0))
    }
}

impl Sub for Time {
    type Output = Time;
    fn sub(self, other: Time) -> Time {
        self.since(other)
    }
}

/// `12.345 ms`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::weather::mix;

    #[test]
    fn exponential_times_have_their_mean_and_their_tail() {
        let times: Vec<Time> = (0..100_000).map(|n| Time::us(20).exponential(mix(n))).collect();
        let mean = times.iter().map(|time| time.0 as f64).sum::<f64>() / 1e5;
        assert!((mean - 20_000.0).abs() < 300.0, "a mean of {mean} ns");
        for (times_mean, share) in [(1, 0.367_9), (3, 0.049_8)] {
            let limit = Time::us(20 * times_mean);
            let beyond = times.iter().filter(|time| **time > limit).count() as f64 / 1e5;
            assert!((beyond - share).abs() < 0.005, "{beyond} beyond {times_mean} means");
        }
    }

    #[test]
    fn exponential_times_are_logarithms() {
        let mean = Time::s(1);
        assert_eq!(mean.exponential(u64::MAX), Time::ZERO);
        assert_eq!(mean.exponential(0), mean.scaled(53.0 * std::f64::consts::LN_2));
        for draw in (0..1_000).map(mix) {
            let share = ((draw >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let (got, expected) = (mean.exponential(draw).0 as f64, -share.ln() * 1e9);
            assert!((got - expected).abs() <= 1.0, "{got} instead of {expected}");
        }
    }
}
