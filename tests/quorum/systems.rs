//! Quorum systems of every kind over six replicas, and what a quorum of each is by definition.

use proptest::collection::vec;
use proptest::prelude::*;
use traft::base::{Membership, QuorumSystem, ReplicaId};

/// The replicas are `n1 .. n6`; bit `i` of a set stands for `n{i + 1}`.
pub(crate) const VOTERS: u64 = 6;

pub(crate) fn has(set: u32) -> impl Fn(ReplicaId) -> bool {
    move |replica| (1..=VOTERS).contains(&replica.0) && set >> (replica.0 - 1) & 1 == 1
}

pub(crate) fn every_set() -> std::ops::Range<u32> {
    0..1 << VOTERS
}

pub(crate) fn names(set: u32) -> Vec<ReplicaId> {
    (1..=VOTERS).map(ReplicaId).filter(|replica| has(set)(*replica)).collect()
}

/// The number of a set of names.
pub(crate) fn number(names: &[ReplicaId]) -> u32 {
    names.iter().map(|id| 1 << (id.0 - 1)).sum()
}

pub(crate) fn ids(ids: impl IntoIterator<Item = u64>) -> Vec<ReplicaId> {
    ids.into_iter().map(ReplicaId).collect()
}

/// Anything that can be written down, sensible or not.
pub(crate) fn system() -> impl Strategy<Value = QuorumSystem> {
    let set = || every_set().prop_map(names);
    let threshold =
        (set(), 0_usize..8).prop_map(|(voters, need)| QuorumSystem::Threshold { voters, need });
    let weighted = (set(), vec(0_u64..5, 6), 0_u64..20).prop_map(|(voters, weights, need)| {
        QuorumSystem::Weighted { voters: voters.into_iter().zip(weights).collect(), need }
    });
    let explicit = vec(set(), 0..4).prop_map(QuorumSystem::Explicit);
    prop_oneof![threshold, weighted, explicit].prop_recursive(2, 12, 4, |inner| {
        let groups = (vec(inner.clone(), 0..4), 0_usize..5)
            .prop_map(|(parts, need)| QuorumSystem::Groups { parts, need });
        prop_oneof![vec(inner, 0..3).prop_map(QuorumSystem::All), groups]
    })
}

/// What may be put in force: well-formed systems over some of the replicas.
pub(crate) fn sensible() -> impl Strategy<Value = QuorumSystem> {
    use prop::sample::Index;
    let set = || (1..1_u32 << VOTERS).prop_map(names);
    let threshold = (set(), any::<Index>()).prop_map(|(voters, need)| {
        let need = need.index(voters.len()) + 1;
        QuorumSystem::Threshold { voters, need }
    });
    let weighted = (set(), vec(1_u64..5, 6), any::<Index>()).prop_map(|(voters, weights, need)| {
        let voters: Vec<_> = voters.into_iter().zip(weights).collect();
        let sum = voters.iter().map(|(_, weight)| *weight as usize).sum();
        QuorumSystem::Weighted { voters, need: need.index(sum) as u64 + 1 }
    });
    let explicit = vec(set(), 1..4).prop_map(QuorumSystem::Explicit);
    prop_oneof![threshold, weighted, explicit].prop_recursive(2, 12, 4, |inner| {
        let groups = (vec(inner.clone(), 1..4), any::<Index>()).prop_map(|(parts, need)| {
            let need = need.index(parts.len()) + 1;
            QuorumSystem::Groups { parts, need }
        });
        prop_oneof![vec(inner, 1..4).prop_map(QuorumSystem::All), groups]
    })
}

/// Well-formed, sound or not, in every shape that has a name.
pub(crate) fn membership() -> impl Strategy<Value = Membership> {
    let set = || (1..1_u32 << VOTERS).prop_map(names);
    let zones = vec(0..4_usize, VOTERS as usize).prop_map(|zones| -> Vec<Vec<ReplicaId>> {
        let zone = |zone| {
            let inside = (1..=VOTERS).zip(&zones).filter(move |(_, z)| **z == zone);
            inside.map(|(id, _)| ReplicaId(id)).collect()
        };
        (0..4).map(zone).filter(|zone: &Vec<ReplicaId>| !zone.is_empty()).collect()
    });
    let shape = prop_oneof![
        2 => set().prop_map(Membership::majority),
        2 => (set(), 0..6_usize, 0..6_usize).prop_map(|(voters, r, w)| {
            let (r, w) = (r % voters.len() + 1, w % voters.len() + 1);
            Membership::flexible(voters, r, w)
        }),
        2 => (set(), vec(1_u64..5, 6), 0..30_u64, 0..30_u64).prop_map(|(voters, weights, r, w)| {
            let voters: Vec<_> = voters.into_iter().zip(weights).collect();
            let sum: u64 = voters.iter().map(|(_, weight)| weight).sum();
            Membership::weighted(voters, r % sum + 1, w % sum + 1)
        }),
        1 => zones.clone().prop_map(Membership::hierarchical),
        1 => zones.prop_map(Membership::grid),
        2 => (sensible(), sensible()).prop_map(|(read, write)| Membership::of(read, write)),
    ];
    (shape, every_set()).prop_map(|(mut membership, learners)| {
        let voters = membership.voters();
        membership.learners = names(learners);
        membership.learners.retain(|id| !voters.contains(id));
        membership
    })
}

/// What a quorum is, from the definition of each kind.
pub(crate) fn dumb_is_quorum(system: &QuorumSystem, set: u32) -> bool {
    let inside = names(set);
    match system {
        QuorumSystem::Threshold { voters, need } => {
            inside.iter().filter(|replica| voters.contains(replica)).count() >= *need
        }
        QuorumSystem::Weighted { voters, need } => {
            let mut weight = 0;
            for (id, more) in voters {
                weight += if inside.contains(id) { *more } else { 0 };
            }
            weight >= *need
        }
        QuorumSystem::Explicit(sets) => sets
            .iter()
            .any(|wanted| inside.iter().filter(|r| wanted.contains(r)).count() == wanted.len()),
        QuorumSystem::All(parts) => {
            parts.iter().filter(|part| !dumb_is_quorum(part, set)).count() == 0
        }
        QuorumSystem::Groups { parts, need } => {
            parts.iter().filter(|part| dumb_is_quorum(part, set)).count() >= *need
        }
    }
}

/// All quorums.
pub(crate) fn quorums(system: &QuorumSystem) -> Vec<u32> {
    every_set().filter(|set| dumb_is_quorum(system, *set)).collect()
}

/// Whether each quorum of the one meets each of the other.
pub(crate) fn meet(one: &QuorumSystem, other: &QuorumSystem) -> bool {
    let others = quorums(other);
    quorums(one).iter().all(|set| others.iter().all(|other| set & other != 0))
}
