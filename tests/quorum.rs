//! Quorum arithmetic against enumeration.

use proptest::prelude::*;
use traft::base::{Membership, QuorumSystem, ReplicaId};
use traft::quorum::{Compiled, Tally, Verdict, is_sound};

/// The replicas are `n1 .. n6`; bit `i` of a set stands for `n{i + 1}`.
const VOTERS: u64 = 6;

fn has(set: u32) -> impl Fn(ReplicaId) -> bool {
    move |replica| (1..=VOTERS).contains(&replica.0) && set >> (replica.0 - 1) & 1 == 1
}

fn every_set() -> std::ops::Range<u32> {
    0..1 << VOTERS
}

fn names(set: u32) -> Vec<ReplicaId> {
    (1..=VOTERS).map(ReplicaId).filter(|replica| has(set)(*replica)).collect()
}

fn system() -> impl Strategy<Value = QuorumSystem> {
    let set = || every_set().prop_map(names);
    let threshold =
        || (set(), 0_usize..8).prop_map(|(voters, need)| QuorumSystem::Threshold { voters, need });
    let explicit = || prop::collection::vec(set(), 0..4).prop_map(QuorumSystem::Explicit);
    let single = || prop_oneof![threshold(), explicit()];
    let joint = prop::collection::vec(single(), 0..3).prop_map(QuorumSystem::All);
    prop_oneof![2 => threshold(), 2 => explicit(), 1 => joint]
}

/// What a quorum is, from the definition of each kind.
fn dumb_is_quorum(system: &QuorumSystem, set: u32) -> bool {
    match system {
        QuorumSystem::Threshold { voters, need } => {
            let inside = names(set).into_iter().filter(|replica| voters.contains(replica));
            inside.count() >= *need
        }
        QuorumSystem::Explicit(sets) => sets
            .iter()
            .any(|wanted| names(set).iter().filter(|r| wanted.contains(r)).count() == wanted.len()),
        QuorumSystem::All(parts) => {
            parts.iter().filter(|part| !dumb_is_quorum(part, set)).count() == 0
        }
    }
}

proptest! {
    #[test]
    fn a_quorum_is_as_defined_and_stays_one_when_it_grows(system in system()) {
        for set in every_set() {
            let quorum = system.is_quorum(&has(set));
            prop_assert_eq!(quorum, dumb_is_quorum(&system, set), "{} {:?}", &system, names(set));
            for more in (0..VOTERS).map(|bit| set | 1 << bit) {
                prop_assert!(!quorum || system.is_quorum(&has(more)), "{}", &system);
            }
        }
    }

    #[test]
    fn a_compiled_system_has_the_same_quorums(system in system()) {
        // Bits in another order than the names, as a leader gives them out.
        let bit = |replica: ReplicaId| 1_u64 << (VOTERS - replica.0);
        let compiled = Compiled::new(&system, &bit);
        for set in every_set() {
            let have = names(set).into_iter().map(bit).sum();
            prop_assert_eq!(compiled.is_quorum(have), dumb_is_quorum(&system, set), "{}", &system);
        }
        // Sixty-four positions at once: position `p` is held by the set of number `p`.
        let words: Vec<u64> = (0..VOTERS)
            .map(|bit| every_set().filter(move |set| set >> (VOTERS - 1 - bit) & 1 == 1))
            .map(|sets| sets.map(|set| 1_u64 << set).sum())
            .collect();
        let dumb = every_set().filter(|set| dumb_is_quorum(&system, *set)).map(|set| 1_u64 << set);
        prop_assert_eq!(compiled.held(&words), dumb.sum::<u64>(), "{}", &system);
    }

    #[test]
    fn only_named_replicas_count(system in system(), set in every_set()) {
        let voters = system.voters();
        prop_assert!(voters.is_sorted_by(|a, b| a < b));
        let named = |replica: ReplicaId| has(set)(replica) && voters.contains(&replica);
        prop_assert_eq!(system.is_quorum(&has(set)), system.is_quorum(&named));
    }

    /// Won: every completion of the answers is a quorum of each system. Lost: none is.
    #[test]
    fn a_verdict_is_what_every_completion_says(
        systems in prop::collection::vec(system(), 0..3),
        answers in prop::collection::vec((1..=VOTERS, any::<bool>()), 0..8),
    ) {
        let mut tally = Tally::new();
        let (mut yes, mut no) = (0_u32, 0_u32);
        for (replica, answer) in answers {
            tally.record(ReplicaId(replica), answer);
            let bit = 1 << (replica - 1);
            (yes, no) = if answer { (yes | bit, no & !bit) } else { (yes & !bit, no | bit) };
        }
        let completions = every_set().filter(|set| set & yes == yes && set & no == 0);
        let good = |set: &u32| systems.iter().all(|system| dumb_is_quorum(system, *set));
        let (all, won) = (completions.clone().count(), completions.filter(good).count());
        let dumb = match won {
            0 => Verdict::Lost,
            won if won == all => Verdict::Won,
            _ => Verdict::Pending,
        };
        prop_assert_eq!(tally.verdict(&systems), dumb);
        prop_assert_eq!(tally.granted().collect::<Vec<_>>(), names(yes));
        let memberships: Vec<Membership> = systems
            .iter()
            .map(|read| Membership { read: read.clone(), write: QuorumSystem::All(Vec::new()) })
            .collect();
        prop_assert_eq!(tally.elects(&memberships), dumb);
    }

    #[test]
    fn sound_means_that_every_pair_of_quorums_meets(read in system(), write in system()) {
        let membership = Membership { read, write };
        let quorums = |system: &QuorumSystem| -> Vec<u32> {
            every_set().filter(|set| dumb_is_quorum(system, *set)).collect()
        };
        let (reads, writes) = (quorums(&membership.read), quorums(&membership.write));
        let dumb = reads.iter().all(|read| writes.iter().all(|write| read & write != 0));
        prop_assert_eq!(is_sound(&membership), Some(dumb), "{}", &membership);
    }

    #[test]
    fn sizes_are_sound_as_enumerated(
        voters in every_set(), read in 0_usize..8, write in 0_usize..8,
    ) {
        let sizes = Membership::flexible(names(voters), read, write);
        // The same systems in another form, which takes the way through all sets.
        let enumerated = Membership {
            read: QuorumSystem::All(vec![sizes.read.clone()]),
            write: sizes.write.clone(),
        };
        prop_assert_eq!(is_sound(&sizes), is_sound(&enumerated));
    }
}

#[test]
fn majorities_are_sound_at_any_number_of_voters() {
    for count in 1..=9 {
        let membership = Membership::majority((1..=count).map(ReplicaId));
        assert_eq!(is_sound(&membership), Some(true));
        let QuorumSystem::Threshold { need, .. } = membership.write else { unreachable!() };
        assert_eq!(need as u64, count / 2 + 1);
    }
}

#[test]
fn many_voters_are_decided_only_where_sizes_decide() {
    let voters: Vec<ReplicaId> = (1..=40).map(ReplicaId).collect();
    assert_eq!(is_sound(&Membership::flexible(voters.clone(), 20, 20)), Some(false));
    assert_eq!(is_sound(&Membership::flexible(voters.clone(), 20, 21)), Some(true));
    let explicit = || QuorumSystem::Explicit(vec![voters.clone()]);
    assert_eq!(is_sound(&Membership { read: explicit(), write: explicit() }), None);
}

#[test]
fn sizes_beyond_any_count_are_sound_because_nothing_is_a_quorum() {
    let membership = Membership::flexible([1, 2].map(ReplicaId), usize::MAX, usize::MAX);
    assert_eq!(is_sound(&membership), Some(true));
}

#[test]
fn voters_are_sorted_and_counted_once() {
    let membership = Membership::majority([3, 1, 3, 2, 1].map(ReplicaId));
    assert_eq!(membership.voters(), [1, 2, 3].map(ReplicaId));
    assert_eq!(membership, Membership::flexible([1, 2, 3].map(ReplicaId), 2, 2));
}
