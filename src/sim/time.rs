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
