//! Soundness, decided along the structure of the systems, against all pairs of all quorums.

use super::systems::{VOTERS, ids, meet, membership, number, sensible, system};
use proptest::prelude::*;
use traft::base::{Membership, QuorumSystem, ReplicaId};
use traft::quorum::{EXACT_VOTERS_MAX, Unsound, soundness, soundness_within};

/// The answer is right, and a witness is what it says: minimal quorums without a common voter.
fn agrees(membership: &Membership, exact: usize) -> Result<(), TestCaseError> {
    let sound = meet(&membership.read, &membership.write);
    match soundness_within(membership, exact) {
        Ok(()) => prop_assert!(sound, "{} is not sound", membership),
        Err(Unsound::Undecided { voters }) => {
            prop_assert!(voters > exact && voters == membership.voters().len());
        }
        Err(Unsound::Disjoint { read, write }) => {
            prop_assert!(!sound, "{} is sound", membership);
            prop_assert!(read.iter().all(|id| !write.contains(id)), "{:?} {:?}", &read, &write);
            for (system, quorum) in [(&membership.read, read), (&membership.write, write)] {
                let set = number(&quorum);
                prop_assert!(super::systems::dumb_is_quorum(system, set), "{:?}", &quorum);
                for id in quorum {
                    let less = set & !number(&[id]);
                    prop_assert!(!super::systems::dumb_is_quorum(system, less), "without {}", id);
                }
            }
        }
    }
    Ok(())
}

/// Voters in zones, some of the zones empty.
fn zoned() -> impl Strategy<Value = Vec<Vec<ReplicaId>>> {
    prop::collection::vec(0..4_usize, VOTERS as usize).prop_map(|zones| {
        let zone = |zone| {
            let inside = (1..=VOTERS).zip(&zones).filter(move |(_, z)| **z == zone);
            inside.map(|(id, _)| ReplicaId(id)).collect()
        };
        (0..4).map(zone).filter(|zone: &Vec<ReplicaId>| !zone.is_empty()).collect()
    })
}

/// Sizes, weights that may differ, and groups of them on the same zones: what is decided at any
/// number of voters.
fn regular() -> impl Strategy<Value = Membership> {
    let of = |zones: Vec<Vec<ReplicaId>>, sizes: Vec<u64>, weighted: bool, need: usize| {
        let parts = zones.into_iter().enumerate().map(|(at, zone)| {
            let size = sizes[at];
            if weighted {
                let voters = zone.into_iter().map(|id| (id, sizes[id.0 as usize])).collect();
                QuorumSystem::Weighted { voters, need: 1 + size }
            } else {
                QuorumSystem::Threshold { need: size as usize % zone.len() + 1, voters: zone }
            }
        });
        QuorumSystem::Groups { parts: parts.collect(), need }
    };
    let half = || (prop::collection::vec(0..6_u64, 7), any::<bool>(), 1..4_usize);
    let zones = (zoned(), half(), half()).prop_map(move |(zones, r, w)| {
        Membership::of(of(zones.clone(), r.0, r.1, r.2), of(zones, w.0, w.1, w.2))
    });
    let weight = || prop::collection::vec(0..6_u64, 6);
    let weights = (weight(), weight(), 1..20_u64, 1..20_u64).prop_map(|(r, w, read, write)| {
        let system = |weights: Vec<u64>, need| QuorumSystem::Weighted {
            voters: (1..=VOTERS).map(ReplicaId).zip(weights).collect(),
            need,
        };
        Membership::of(system(r, read), system(w, write))
    });
    let grid = zoned().prop_map(Membership::grid);
    let lists = (prop::collection::vec(1_u32..64, 1..5), system(), any::<bool>()).prop_map(
        |(sets, other, swap)| {
            let sets = sets.into_iter().map(super::systems::names).collect();
            let listed = QuorumSystem::Explicit(sets);
            if swap { Membership::of(other, listed) } else { Membership::of(listed, other) }
        },
    );
    prop_oneof![2 => zones, 2 => weights, 1 => grid, 1 => lists]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn sound_means_that_every_pair_of_quorums_meets(read in system(), write in system()) {
        agrees(&Membership::of(read, write), EXACT_VOTERS_MAX)?;
    }

    #[test]
    fn structure_never_decides_wrongly(
        read in system(), write in system(), shaped in membership(), exact in 0..5_usize,
    ) {
        agrees(&Membership::of(read, write), exact)?;
        agrees(&shaped, exact)?;
    }

    #[test]
    fn structure_decides_sizes_weights_hierarchies_grids_and_lists(regular in regular()) {
        let decided = soundness_within(&regular, 0);
        prop_assert!(!matches!(decided, Err(Unsound::Undecided { .. })), "{}", &regular);
        agrees(&regular, 0)?;
    }

    /// A joint system is sound as soon as one part is; that may be all that structure can tell.
    #[test]
    fn a_joint_membership_of_sound_ones_is_sound(one in membership(), other in sensible()) {
        prop_assume!(soundness(&one).is_ok());
        let joint = Membership::joint([&one, &Membership::both(other)]);
        prop_assert_eq!(soundness(&joint), Ok(()));
        let alone = soundness_within(&one, 0);
        prop_assert!(alone.is_err() || soundness_within(&joint, 0).is_ok(), "{}", &joint);
    }
}

#[test]
fn majorities_are_sound_at_any_number_of_voters() {
    for count in [1, 2, 3, 5, 20, 21, 64, 101] {
        let membership = Membership::majority(ids(1..=count));
        assert_eq!(soundness(&membership), Ok(()));
        let QuorumSystem::Threshold { need, .. } = membership.write else { unreachable!() };
        assert_eq!(need as u64, count / 2 + 1);
    }
}

#[test]
fn many_voters_are_decided_where_both_systems_count_the_same() {
    let sound = |text: &str| soundness(&text.parse().expect(text));
    let list = |from: u64, to: u64| -> String {
        (from..=to).map(|n| format!("n{n}")).collect::<Vec<_>>().join(" ")
    };
    let all = list(1, 40);
    assert_eq!(sound(&format!("({all}; read 20, write 21)")), Ok(()));
    let halves = sound(&format!("({all}; read 20, write 20)"));
    let Err(Unsound::Disjoint { read, write }) = halves else { panic!("{halves:?}") };
    assert!(read.len() == 20 && write.len() == 20 && !read.iter().any(|id| write.contains(id)));

    let weights: String = (1..=40).map(|n| format!("n{n}:{} ", n % 3 + 1)).collect();
    let total: u64 = (1..=40).map(|n| n % 3 + 1).sum();
    assert_eq!(sound(&format!("({weights}; read 30, write {})", total - 29)), Ok(()));
    assert!(sound(&format!("({weights}; read 30, write {})", total - 30)).is_err());
    // Even weights cannot make an odd half: sound, though the sizes do not say so.
    let even: String = (1..=30).map(|n| format!("n{n}:2 ")).collect();
    assert_eq!(sound(&format!("({even}; read 29, write 31)")), Ok(()));
    assert!(sound(&format!("({even}; read 29, write 30)")).is_err());

    let zones = [list(1, 9), list(10, 18), list(19, 27)];
    let tree = |inner: &str, outer: &str| {
        let parts = zones.each_ref().map(|zone| format!("{inner} of ({zone})"));
        format!("{outer} of ({})", parts.join("; "))
    };
    assert_eq!(sound(&tree("5", "2")), Ok(()));
    assert!(sound(&tree("4", "2")).is_err() && sound(&tree("5", "1")).is_err());
    assert_eq!(sound(&format!("(read {}, write {})", tree("3", "1"), tree("7", "3"))), Ok(()));
    assert!(sound(&format!("(read {}, write {})", tree("3", "1"), tree("6", "3"))).is_err());
    assert_eq!(sound(&format!("grid ({})", zones.join("|"))), Ok(()));
    // Groups of the one cut across groups of the other.
    let across = format!("2 of (3 of ({}); 3 of ({}))", list(1, 5), list(6, 27));
    let undecided = sound(&format!("(read {}, write {across})", tree("5", "2")));
    assert_eq!(undecided, Err(Unsound::Undecided { voters: 27 }));
}

#[test]
fn a_refusal_says_which_quorums_do_not_meet() {
    let refusal = |text: &str| soundness(&text.parse().expect(text)).expect_err(text).to_string();
    assert_eq!(
        refusal("(n1 n2 n3 n4; read 2, write 2)"),
        "the read quorum (n1 n2) does not meet the write quorum (n3 n4)"
    );
    let far: Vec<String> = (1..=21).map(|n| format!("n{n}")).collect();
    let (some, far) = (far[..20].join(" "), far.join(" "));
    assert_eq!(
        refusal(&format!("(read 2 of (2 of ({some}); 1 of ({far})), write 3 of ({far}))")),
        "it is undecided whether every read quorum of these 21 voters meets every write quorum; \
         use at most 20 voters, or the same groups for both"
    );
}

#[test]
fn sizes_beyond_any_count_are_sound_because_nothing_is_a_quorum() {
    let membership = Membership::flexible(ids([1, 2]), usize::MAX, usize::MAX);
    assert_eq!(soundness(&membership), Ok(()));
    assert_eq!(soundness_within(&membership, 0), Ok(()));
    assert!(membership.check().is_err());
}

/// Deep nesting and wide joints end in an answer, if only that there is none.
#[test]
fn hostile_systems_end_undecided() {
    let deep = |from: u64| {
        let leaf = |n| QuorumSystem::majority(ids((from..from + 30).map(|id| id * n)));
        let one = |_| QuorumSystem::All((1..5).map(leaf).collect());
        (0..6).fold(QuorumSystem::All((0..4).map(one).collect()), |inner, _| {
            QuorumSystem::All(vec![inner.clone(), inner])
        })
    };
    let membership = Membership::of(deep(1), deep(1_000));
    assert!(matches!(soundness(&membership), Err(Unsound::Undecided { .. })));
}
