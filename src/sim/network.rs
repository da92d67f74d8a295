//! What the links between the replicas are like.

use super::Time;

/// The links between the replicas. What happens to a packet is decided by a hash of (seed,
/// directed link, send time, ordinal of the packet on that link at that instant): the weather.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// What tables call it.
    pub name: String,
    /// `one_way[a][b]`: the least delay from replica `a` to replica `b`. Square; the diagonal is
    /// not used. May be larger than the number of replicas of a run.
    pub one_way: Vec<Vec<Time>>,
    /// A packet takes up to this much longer, uniformly.
    pub jitter: Time,
    /// The probability that a packet is lost, `0.0 .. 1.0`.
    pub loss: f64,
    /// The probability that a packet arrives twice, `0.0 ..= 1.0`. An ordered link drops doubles.
    pub duplication: f64,
    /// What a replica can send per second, shared by all its links, first come first served.
    pub egress_bits_per_s: u64,
    /// Added to every message on every link: Ethernet, IP and UDP or TCP headers.
    pub header_bytes: u32,
    /// Ordered links: a packet that was lost is sent again this long after it was sent, unless the
    /// later arrivals below told of its loss before.
    pub rto: Time,
    /// Ordered links: so many later packets must arrive before the sender, one way later, sends
    /// the lost one again.
    pub fast_retransmit_dups: usize,
}

impl Network {
    /// 1 Gbit/s.
    pub const EGRESS_DEFAULT: u64 = 1_000_000_000;
    /// Ethernet 14 + 4, IPv4 20, TCP with timestamps 32 (or UDP and a small envelope): rounded.
    pub const HEADER_BYTES_DEFAULT: u32 = 66;
    /// As TCP has it since 1988.
    pub const FAST_RETRANSMIT_DUPS_DEFAULT: usize = 3;
    /// A timeout may not be shorter than this, whatever the round trip: Linux' delayed-answer
    /// bound is 200 ms, tuned data-center stacks go down to a few milliseconds.
    pub const RTO_MIN: Time = Time::ms(5);

    /// Lossless links with these delays and the stated defaults. The retransmission timeout is
    /// [`Network::default_rto`].
    pub fn new(name: impl Into<String>, one_way: Vec<Vec<Time>>) -> Network {
        let mut network = Network {
            name: name.into(),
            one_way,
            jitter: Time::ZERO,
            loss: 0.0,
            duplication: 0.0,
            egress_bits_per_s: Network::EGRESS_DEFAULT,
            header_bytes: Network::HEADER_BYTES_DEFAULT,
            rto: Time::ZERO,
            fast_retransmit_dups: Network::FAST_RETRANSMIT_DUPS_DEFAULT,
        };
        network.rto = network.default_rto();
        network
    }

    /// `replicas` replicas, every one as far from every other.
    pub fn uniform(name: impl Into<String>, replicas: usize, one_way: Time) -> Network {
        let row = |a| (0..replicas).map(|b| if a == b { Time::ZERO } else { one_way }).collect();
        Network::new(name, (0..replicas).map(row).collect())
    }

    /// The same with this much jitter (and the timeout that goes with it).
    #[must_use]
    pub fn with_jitter(mut self, jitter: Time) -> Network {
        self.jitter = jitter;
        self.rto = self.default_rto();
        self
    }

    /// The same with this probability of loss.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Network {
        self.loss = loss;
        self
    }

    /// The least sensible timeout of an ordered link: 1.5 times the largest jitter-free round
    /// trip, but not below the largest one with jitter nor below [`Network::RTO_MIN`].
    pub fn default_rto(&self) -> Time {
        let rtt = self.largest_rtt();
        rtt.scaled(1.5).max(rtt + self.jitter.scaled(2.0)).max(Network::RTO_MIN)
    }

    /// The largest jitter-free round trip of any pair.
    pub fn largest_rtt(&self) -> Time {
        let n = self.one_way.len();
        let pairs = (0..n).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.map(|(a, b)| self.rtt(a, b)).max().unwrap_or(Time::ZERO)
    }

    /// The jitter-free round trip between `a` and `b`.
    pub fn rtt(&self, a: usize, b: usize) -> Time {
        if a == b { Time::ZERO } else { self.one_way[a][b] + self.one_way[b][a] }
    }

    /// The jitter-free round trip from `leader` to the nearest majority of `replicas`, itself
    /// counted in.
    pub fn nearest_write_quorum_rtt(&self, leader: usize, replicas: usize) -> Time {
        let mut rtts: Vec<Time> = (0..replicas).map(|r| self.rtt(leader, r)).collect();
        rtts.sort_unstable();
        rtts.get(replicas / 2).copied().unwrap_or(Time::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_quorum_counts_the_leader() {
        let ms = |row: &[u64]| row.iter().map(|n| Time::ms(*n)).collect::<Vec<_>>();
        let network = Network::new("x", vec![ms(&[0, 1, 9]), ms(&[2, 0, 9]), ms(&[9, 9, 0])]);
        assert_eq!(network.nearest_write_quorum_rtt(0, 3), Time::ms(3));
        assert_eq!(network.nearest_write_quorum_rtt(2, 3), Time::ms(18));
        assert_eq!(network.nearest_write_quorum_rtt(0, 1), Time::ZERO);
        assert_eq!(network.largest_rtt(), Time::ms(18));
    }
}
