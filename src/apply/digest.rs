//! A hash that is the same everywhere and for ever.

/// Folds words and bytes into 64 bits. Its values may be compared between machines and versions,
/// which the hashers of maps do not promise. Not for keeping an adversary out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Odd, with about as many ones as zeros: the fraction of the golden ratio.
    const START: u64 = 0x9e37_79b9_7f4a_7c15;
    /// Likewise: the fraction of the square root of two, made odd.
    const FACTOR: u64 = 0x6a09_e667_f3bc_c909;

    /// Nothing folded in yet.
    #[must_use]
    pub const fn new() -> Digest {
        Digest(Digest::START)
    }

    /// With `word` folded in.
    #[must_use]
    pub const fn word(self, word: u64) -> Digest {
        let product = ((self.0 ^ word) as u128 + 1) * Digest::FACTOR as u128;
        Digest((product as u64 ^ (product >> 64) as u64).wrapping_add(Digest::START))
    }

    /// With `bytes` and their number folded in, so that two strings differ from their sum.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Digest {
        let (words, rest) = bytes.as_chunks::<8>();
        let folded = words.iter().fold(self, |d, word| d.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        folded.word(u64::from_le_bytes(last)).word(bytes.len() as u64)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn value(self) -> u64 {
        let Digest(mixed) = self.word(0);
        mixed
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}
