//! Which specs can be run.

use super::{Act, LinkKind, Load, Side, Slow, Spec};
use crate::sim::Time;

impl Spec {
    /// Whether it can be run.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        let n = self.replicas;
        let size = self.network.one_way.len();
        if n == 0 || n > size {
            return Err(SpecError::Replicas { replicas: n, matrix: size });
        }
        if let Some(row) = self.network.one_way.iter().position(|row| row.len() != size) {
            return Err(SpecError::NotSquare { row });
        }
        let probability = |p: f64| (0.0..=1.0).contains(&p);
        if !probability(self.network.loss) || !probability(self.network.duplication) {
            return Err(SpecError::Probability);
        }
        if self.slow.is_some_and(|slow| !(1.0..=Slow::FACTOR_MAX).contains(&slow.factor)) {
            return Err(SpecError::Factor);
        }
        for (what, time) in [("tick", self.tick), ("resend", self.resend)] {
            if time == Time::ZERO {
                return Err(SpecError::Zero(what));
            }
        }
        if self.network.egress_bits_per_s == 0 || self.workers == 0 {
            return Err(SpecError::Zero("egress or workers"));
        }
        let acts = self.script.iter().flat_map(|(_, act)| act.replicas());
        let sites = self.load.ops().map(|op| op.site);
        let named = self.away.iter().copied().chain(self.leader).chain(self.successor);
        let named = named.chain(self.slow.map(|slow| slow.replica));
        let named = named.chain(self.memberships.iter().flatten().copied());
        match acts.chain(sites).chain(named).find(|r| *r >= n) {
            Some(replica) => Err(SpecError::NoSuchReplica { replica }),
            None => {
                self.check_side().and_then(|()| self.check_memberships())?;
                self.check_order()
            }
        }
    }

    /// What a side cannot do, or its driver does not have it do.
    fn check_side(&self) -> Result<(), SpecError> {
        let lacks = |what| Err(SpecError::Lacks { side: self.side, what });
        match self.side {
            Side::Traft | Side::TraftSerial | Side::Raft => Ok(()),
            Side::OmniPaxos if self.link != LinkKind::Ordered => lacks("unordered links"),
            Side::OmniPaxos if self.replicas < 2 => lacks("a replica alone"),
            _ if self.preload.is_some() => lacks("a history"),
            _ if !self.memberships.is_empty() => lacks("changes of membership"),
            Side::RaftParallel | Side::OmniPaxos => Ok(()),
        }
    }

    fn check_memberships(&self) -> Result<(), SpecError> {
        if self.memberships.iter().any(Vec::is_empty) {
            return Err(SpecError::Zero("a membership"));
        }
        let last = self.memberships.len();
        let unknown = |(_, act): &(Time, Act)| match act {
            Act::Change(to) if *to >= last => Some(*to),
            _ => None,
        };
        match self.script.iter().find_map(unknown) {
            Some(membership) => Err(SpecError::NoSuchMembership { membership }),
            None => Ok(()),
        }
    }

    fn check_order(&self) -> Result<(), SpecError> {
        let open = match &self.load {
            Load::Open { ops } => ops.is_sorted_by_key(|(at, _)| *at),
            Load::Closed { depth: 0, .. } | Load::Sites { depth: 0, .. } => {
                return Err(SpecError::Zero("depth"));
            }
            Load::Closed { .. } | Load::Sites { .. } => true,
        };
        if open && self.script.is_sorted_by_key(|(at, _)| *at) {
            Ok(())
        } else {
            Err(SpecError::TimesFall)
        }
    }
}

impl Act {
    /// The replicas it names.
    fn replicas(self) -> impl Iterator<Item = usize> {
        let (a, b) = match self {
            Act::Cut(a, b) | Act::Heal(a, b) => (a, b),
            Act::Crash(r)
            | Act::Restart(r)
            | Act::Isolate(r)
            | Act::Rejoin(r)
            | Act::Campaign(r) => (r, r),
            Act::Change(_) => return [0, 0].into_iter(),
        };
        [a, b].into_iter()
    }
}

/// Why a spec cannot be run: mend the spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Fewer than one replica, or more than the matrix of delays has rows.
    #[error("{replicas} replicas cannot run on a matrix of {matrix} places")]
    Replicas {
        /// How many were asked for.
        replicas: usize,
        /// How many places there are.
        matrix: usize,
    },
    /// The matrix of delays is not square.
    #[error("the matrix of delays is not square: row {row} has another length")]
    NotSquare {
        /// The first such row.
        row: usize,
    },
    /// A loss or duplication outside 0 to 1.
    #[error("a probability must lie between 0 and 1")]
    Probability,
    /// A slow replica is not slow, or too slow to be simulated.
    #[error("a slow replica takes 1 to {} times as long", Slow::FACTOR_MAX)]
    Factor,
    /// Something that must be positive is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// An act or an operation names a replica that there is not.
    #[error("there is no replica {replica}")]
    NoSuchReplica {
        /// Which.
        replica: usize,
    },
    /// The script asks for a membership that there is not.
    #[error("there is no membership {membership}")]
    NoSuchMembership {
        /// Which.
        membership: usize,
    },
    /// The times of a load or of the script are not in order.
    #[error("the times of the load or of the script are not in order")]
    TimesFall,
    /// The side cannot do what the spec asks for.
    #[error("the side {} does not have {what}", .side.name())]
    Lacks {
        /// Which side.
        side: Side,
        /// What.
        what: &'static str,
    },
    /// This build cannot run the side: it lacks the feature `compare`.
    #[error("the side {} is not part of this build", .0.name())]
    NoSuchSide(Side),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Network, Time};

    #[test]
    fn a_bad_spec_is_refused_with_its_reason() {
        let spec = |replicas| {
            let network = Network::uniform("x", 3, Time::ms(1));
            let load = Load::Open { ops: Vec::new() };
            Spec::new(Side::Traft, LinkKind::Unordered, replicas, network, load)
        };
        assert_eq!(spec(4).check(), Err(SpecError::Replicas { replicas: 4, matrix: 3 }));
        let mut ragged = spec(3);
        ragged.network.one_way[1].pop();
        assert_eq!(ragged.check(), Err(SpecError::NotSquare { row: 1 }));
        let mut stranger = spec(3);
        stranger.script = vec![(Time::ZERO, Act::Cut(0, 3))];
        assert_eq!(stranger.check(), Err(SpecError::NoSuchReplica { replica: 3 }));
        let mut unsorted = spec(3);
        unsorted.script = vec![(Time::ms(1), Act::Crash(0)), (Time::ZERO, Act::Crash(1))];
        assert_eq!(unsorted.check(), Err(SpecError::TimesFall));
        let mut unknown = spec(3);
        unknown.memberships = vec![vec![0, 1, 2]];
        unknown.script = vec![(Time::ZERO, Act::Change(1))];
        assert_eq!(unknown.check(), Err(SpecError::NoSuchMembership { membership: 1 }));
        let mut slow = spec(3);
        slow.slow = Some(Slow { replica: 3, factor: 10.0 });
        assert_eq!(slow.check(), Err(SpecError::NoSuchReplica { replica: 3 }));
        for factor in [0.9, 1_001.0, f64::NAN, f64::INFINITY, -1.0] {
            slow.slow = Some(Slow { replica: 2, factor });
            assert_eq!(slow.check(), Err(SpecError::Factor), "{factor}");
        }
        slow.slow = Some(Slow { replica: 2, factor: 10.0 });
        assert_eq!(slow.check(), Ok(()));
        assert_eq!(spec(3).check(), Ok(()));
    }
}
