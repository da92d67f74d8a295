//! One small generator: the same seed gives the same workload on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014): one addition and three mixing steps a number. Its whole
/// state is one word, so a stream is named by its seed.
#[derive(Clone, Debug)]
pub(super) struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of `seed`.
    pub(super) fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// A seed for the `nth` repetition of whatever runs under `seed`. Neighbours are unrelated.
    pub(super) fn derive(seed: u64, nth: u64) -> u64 {
        Rng::new(seed ^ mix(nth.wrapping_add(0x9e37_79b9_7f4a_7c15))).next_u64()
    }

    /// The next number, uniform over all of `u64`.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `0 .. n`, `n > 0`. The bias of the multiplication is below `n / 2^64`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `0 .. 1`, with 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `percent` of a hundred calls.
    pub(super) fn percent(&mut self, percent: f64) -> bool {
        self.unit() * 100.0 < percent
    }
}

pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference outputs that the authors publish for seed 1234567.
    #[test]
    fn splitmix_matches_its_reference() {
        let mut rng = Rng::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        let reference =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, reference);
    }

    #[test]
    fn below_reaches_both_ends_and_nothing_else() {
        let mut rng = Rng::new(7);
        let mut seen = [0; 5];
        (0..10_000).for_each(|_| seen[rng.below(5) as usize] += 1);
        assert!(seen.iter().all(|n| (1_800..2_200).contains(n)), "{seen:?}");
    }

    #[test]
    fn derived_seeds_differ() {
        let mut seeds: Vec<u64> =
            (0..1_000).flat_map(|n| [Rng::derive(1, n), Rng::derive(2, n)]).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 2_000);
    }
}
