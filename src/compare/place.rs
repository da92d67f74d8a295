//! Where the replicas stand: the networks by name.

use super::matrix::{Matrix, PLACES_MAX};
use crate::sim::{Network, Time};
use std::path::PathBuf;
use std::sync::Arc;

/// A named network, before a scenario adds its weather.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// One hall: 0.25 ms one way.
    Lan,
    /// `lan` with up to 0.125 ms of jitter: later packets overtake earlier ones.
    Jitter,
    /// `lan` with 1 % loss.
    Loss,
    /// `lan`, and the leader's machine takes [`SLOW`] times as long for everything.
    SlowLeader,
    /// Loss, jitter and the slow leader.
    AllAtOnce,
    /// 10 ms one way, 1 % loss: the network whose figures are known from an independent harness.
    Calibration,
    /// Five AWS regions.
    Aws5,
    /// A matrix from a file. Its name is that of the file without what follows the dot.
    File { name: String, path: PathBuf, matrix: Arc<Matrix> },
}

/// The loss of the scenario `loss`, and of the networks that have any.
pub(super) const LOSS: f64 = 0.01;

/// How many times as long the leader's machine takes where it is slow.
const SLOW: f64 = 10.0;

impl Place {
    /// Those that need no file.
    pub(super) const BUILT_IN: [Place; 7] = [
        Place::Lan,
        Place::Jitter,
        Place::Loss,
        Place::SlowLeader,
        Place::AllAtOnce,
        Place::Calibration,
        Place::Aws5,
    ];

    /// What `--network` and the tables call it.
    pub(super) fn name(&self) -> &str {
        match self {
            Place::Lan => "lan",
            Place::Jitter => "jitter",
            Place::Loss => "loss",
            Place::SlowLeader => "slow-leader",
            Place::AllAtOnce => "all-at-once",
            Place::Calibration => "calibration",
            Place::Aws5 => "aws5",
            Place::File { name, .. } => name,
        }
    }

    /// The option that chooses it.
    pub(super) fn option(&self) -> String {
        match self {
            Place::File { path, .. } => format!("--matrix {}", path.display()),
            built_in => format!("--network {}", built_in.name()),
        }
    }

    /// How many replicas run unless `--replicas` says otherwise: one at each place of a matrix.
    pub(super) fn replicas(&self) -> usize {
        self.matrix().map_or(3, |matrix| matrix.regions.len())
    }

    /// The most replicas that it has room for.
    pub(super) fn replicas_max(&self) -> usize {
        self.matrix().map_or(PLACES_MAX, |matrix| matrix.regions.len())
    }

    /// The links between `replicas` replicas.
    pub(super) fn network(&self, replicas: usize) -> Network {
        let uniform = |one_way| Network::uniform(self.name(), replicas, one_way);
        match self {
            Place::Lan => uniform(LAN),
            Place::Jitter => uniform(LAN).with_jitter(LAN.scaled(0.5)),
            Place::Loss => uniform(LAN).with_loss(LOSS),
            Place::SlowLeader => uniform(LAN),
            Place::AllAtOnce => uniform(LAN).with_jitter(LAN.scaled(0.5)).with_loss(LOSS),
            Place::Calibration => uniform(Time::ms(10)).with_loss(LOSS),
            Place::Aws5 => spread(self.name(), &Matrix::aws5(), replicas),
            Place::File { name, matrix, .. } => spread(name, matrix, replicas),
        }
    }

    /// How many times as long the leader's machine takes for everything, if it is slow. Only where
    /// machines take time does it show.
    pub(super) fn slow(&self) -> Option<f64> {
        matches!(self, Place::SlowLeader | Place::AllAtOnce).then_some(SLOW)
    }

    /// The name of the place of a replica.
    pub(super) fn region(&self, replica: usize) -> String {
        let named = self.matrix().and_then(|matrix| matrix.regions.get(replica).cloned());
        named.unwrap_or_else(|| format!("n{}", replica + 1))
    }

    fn matrix(&self) -> Option<Arc<Matrix>> {
        match self {
            Place::Aws5 => Some(Arc::new(Matrix::aws5())),
            Place::File { matrix, .. } => Some(matrix.clone()),
            _ => None,
        }
    }
}

/// The first `replicas` places of a matrix.
fn spread(name: &str, matrix: &Matrix, replicas: usize) -> Network {
    let one_way = |rtt: &f64| Time::ms(1).scaled(rtt / 2.0);
    let row = |row: &Vec<f64>| row[..replicas].iter().map(one_way).collect();
    Network::new(name, matrix.rtt_ms[..replicas].iter().map(row).collect())
}

/// One way in one hall.
const LAN: Time = Time::us(250);

/// Where to put the leader: the replica with the nearest write quorum, the first of several.
pub(super) fn center(network: &Network, replicas: usize) -> usize {
    (0..replicas).min_by_key(|r| network.nearest_write_quorum_rtt(*r, replicas)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_stands_where_a_quorum_is_near() {
        let aws = Place::Aws5.network(5);
        let leader = center(&aws, 5);
        assert_eq!(Matrix::aws5().regions[leader], "ca-central-1");
        assert_eq!(aws.nearest_write_quorum_rtt(leader, 5).as_ms(), 78.6);
        assert_eq!(center(&Place::Lan.network(3), 3), 0);
    }

    #[test]
    fn a_part_of_a_matrix_has_its_own_center() {
        let aws = Place::Aws5.network(3);
        assert_eq!(aws.one_way.len(), 3);
        assert_eq!(center(&aws, 3), 0);
        assert_eq!(aws.nearest_write_quorum_rtt(0, 3).as_ms(), 135.9);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Place::BUILT_IN.iter().map(|p| p.name().to_string()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Place::BUILT_IN.len());
    }
}
