//! What happens to a packet.

use super::{Network, Time};

/// Decides the fate of packets: a pure function of (seed, directed link, send time, ordinal of the
/// packet on that link at that instant). It does not look at the packet, so protocols that send
/// different packets see the same weather, and nothing that one link carries moves another's dice.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    seed: u64,
    loss: f64,
    duplication: f64,
    jitter: Time,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// It never arrives.
    pub(super) lost: bool,
    /// It takes this much longer than the link's delay.
    pub(super) late: Time,
    /// A second copy arrives, this much later than the link's delay.
    pub(super) double: Option<Time>,
}

impl Weather {
    pub(super) fn new(seed: u64, network: &Network) -> Weather {
        let Network { loss, duplication, jitter, .. } = *network;
        Weather { seed: mix(seed), loss, duplication, jitter }
    }

    /// The fate of the packet of this `ordinal` among those sent from `from` to `to` at `at`.
    pub(super) fn fate(&self, from: usize, to: usize, at: Time, ordinal: u32) -> Fate {
        if self.loss == 0.0 && self.duplication == 0.0 && self.jitter == Time::ZERO {
            return Fate::default();
        }
        let link = (from as u64) << 32 | to as u64;
        let packet = mix(mix(mix(self.seed ^ link) ^ at.0) ^ u64::from(ordinal));
        let draw = |purpose: u64| mix(packet ^ purpose);
        let late = |purpose| Time(below(draw(purpose), self.jitter.0 + 1));
        Fate {
            lost: fraction(draw(1)) < self.loss,
            late: late(2),
            double: (fraction(draw(3)) < self.duplication).then(|| late(4)),
        }
    }
}

/// A permutation of 64 bits that leaves no trace of the input's structure (the finalizer of
/// Vigna's splitmix64, after one step of its sequence).
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `0.0 .. 1.0`, from the upper 53 bits.
fn fraction(x: u64) -> f64 {
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

/// `0 .. n`, by multiplication: the bias is below one in 2^64 / n.
pub(super) fn below(x: u64, n: u64) -> u64 {
    ((u128::from(x) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather(loss: f64, jitter: Time) -> Weather {
        let network = Network::uniform("x", 2, Time::ms(10)).with_jitter(jitter).with_loss(loss);
        Weather::new(7, &network)
    }

    #[test]
    fn losses_and_jitter_are_as_frequent_as_stated() {
        let weather = weather(0.01, Time::ms(5));
        let fates: Vec<Fate> =
            (0..200_000).map(|i| weather.fate(0, 1, Time::ms(i / 2), (i % 2) as u32)).collect();
        let lost = fates.iter().filter(|fate| fate.lost).count();
        assert!((1_850..2_150).contains(&lost), "{lost} of 200,000 lost at 1 %");
        let mean = fates.iter().map(|fate| fate.late.as_ms()).sum::<f64>() / 200_000.0;
        assert!((2.48..2.52).contains(&mean), "mean jitter {mean} ms of 0 to 5");
        assert!(fates.iter().all(|fate| fate.late <= Time::ms(5)));
    }

    #[test]
    fn links_directions_and_ordinals_have_weather_of_their_own() {
        let weather = weather(0.5, Time::ZERO);
        let row = |from, to, ordinal| {
            (0..64).map(|i| weather.fate(from, to, Time::ms(i), ordinal).lost).collect::<Vec<_>>()
        };
        assert_eq!(row(0, 1, 0), row(0, 1, 0));
        assert_ne!(row(0, 1, 0), row(1, 0, 0));
        assert_ne!(row(0, 1, 0), row(0, 2, 0));
        assert_ne!(row(0, 1, 0), row(0, 1, 1));
    }
}
