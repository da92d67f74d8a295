//! What is on its way out of a replica, as the driver of a socket would know it.

use crate::sim::Spec;

/// Counts the bits that were handed to the link as if it had never been idle.
pub(super) struct Egress {
    bits_per_tick: u64,
    bits: u64,
}

impl Egress {
    pub(super) fn new(spec: &Spec) -> Egress {
        let bits = u128::from(spec.network.egress_bits_per_s) * u128::from(spec.tick.0);
        let bits_per_tick = u64::try_from(bits / 1_000_000_000).unwrap_or(u64::MAX).max(1);
        Egress { bits_per_tick, bits: 0 }
    }

    /// A message of so many bytes goes to the link.
    pub(super) fn send(&mut self, tick: u64, bytes: u64) {
        let idle = tick.saturating_mul(self.bits_per_tick);
        self.bits = self.bits.max(idle).saturating_add(bytes.saturating_mul(8));
    }

    /// Whether a message that was handed in before this tick has not left.
    pub(super) fn is_busy(&self, tick: u64) -> bool {
        self.bits > tick.saturating_mul(self.bits_per_tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_busy_until_the_last_bit_has_left() {
        let mut egress = Egress { bits_per_tick: 80, bits: 0 };
        assert!(!egress.is_busy(5));
        egress.send(5, 25);
        assert_eq!([6, 7, 8].map(|tick| egress.is_busy(tick)), [true, true, false]);
        egress.send(9, 10);
        assert_eq!([9, 10].map(|tick| egress.is_busy(tick)), [true, false]);
    }
}
