//! Quorum arithmetic against enumeration.

#[path = "quorum/notation.rs"]
mod notation;
#[path = "quorum/plan.rs"]
mod plan;
#[path = "quorum/sound.rs"]
mod sound;
#[path = "quorum/systems.rs"]
mod systems;

use proptest::prelude::*;
use systems::{VOTERS, dumb_is_quorum, every_set, has, ids, names, sensible, system};
use traft::base::{Lsn, Membership, QuorumSystem, ReplicaId, Tail, TailBitmap};
use traft::quorum::{Compiled, Mask, Tally, Verdict};

/// Bits in another order than the names, as a leader gives them out.
fn bit(replica: ReplicaId) -> Mask {
    1 << (VOTERS - replica.0)
}

fn mask(set: u32) -> Mask {
    names(set).into_iter().map(bit).sum()
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
        let compiled = Compiled::new(&system, &bit);
        for set in every_set() {
            let dumb = dumb_is_quorum(&system, set);
            prop_assert_eq!(compiled.is_quorum(mask(set)), dumb, "{}", &system);
        }
        // Sixty-four positions at once: position `p` is held by the set of number `p`.
        let words: Vec<u64> = (0..VOTERS)
            .map(|bit| every_set().filter(move |set| set >> (VOTERS - 1 - bit) & 1 == 1))
            .map(|sets| sets.map(|set| 1_u64 << set).sum())
            .collect();
        let dumb = every_set().filter(|set| dumb_is_quorum(&system, *set)).map(|set| 1_u64 << set);
        prop_assert_eq!(compiled.held(&words), dumb.sum::<u64>(), "{}", &system);
    }

    /// Great weights in one position and the other add up as they should, also beyond 64 bits.
    #[test]
    fn weights_add_up(
        weights in prop::collection::vec(prop_oneof![0..9_u64, any::<u64>()], 6),
        need in prop_oneof![0..30_u64, any::<u64>()],
    ) {
        let voters = (1..=VOTERS).map(ReplicaId).zip(weights.clone()).collect();
        let system = QuorumSystem::Weighted { voters, need };
        let compiled = Compiled::new(&system, &bit);
        for set in every_set() {
            let inside = weights.iter().zip(0..).filter(|(_, at)| set >> at & 1 == 1);
            let dumb = inside.map(|(weight, _)| u128::from(*weight)).sum::<u128>() >= need.into();
            prop_assert_eq!(system.is_quorum(&has(set)), dumb);
            prop_assert_eq!(compiled.is_quorum(mask(set)), dumb);
            let word = |at: u64| if mask(set) >> at & 1 == 1 { 1 << 17 } else { 0 };
            let words: Vec<u64> = (0..VOTERS).map(word).collect();
            prop_assert_eq!(compiled.held(&words) >> 17 & 1 == 1, dumb);
        }
    }

    /// As a list of bitmaps: the least quorums, and the same system again.
    #[test]
    fn minimal_quorums_are_the_system(system in system()) {
        let compiled = Compiled::new(&system, &bit);
        let minimal = compiled.minimal().expect("six voters");
        let least = every_set().map(mask).filter(|set| {
            let within = |less: &Mask| less & set == *less && less != set;
            let mut smaller = every_set().map(mask).filter(within);
            compiled.is_quorum(*set) && !smaller.any(|less| compiled.is_quorum(less))
        });
        let mut least: Vec<Mask> = least.collect();
        least.sort_unstable();
        prop_assert_eq!(&minimal, &least, "{}", &system);
        let listed = Compiled::Explicit(minimal);
        let same = |set| listed.is_quorum(set) == compiled.is_quorum(set);
        prop_assert!(every_set().map(mask).all(same), "{}", &system);
    }

    #[test]
    fn only_named_replicas_count(system in system(), set in every_set()) {
        let voters = system.voters();
        prop_assert!(voters.is_sorted_by(|a, b| a < b));
        let named = |replica: ReplicaId| has(set)(replica) && voters.contains(&replica);
        prop_assert_eq!(system.is_quorum(&has(set)), system.is_quorum(&named));
        let compiled = Compiled::new(&system, &bit);
        let seen = mask(set) & compiled.mask();
        prop_assert_eq!(compiled.is_quorum(mask(set)), compiled.is_quorum(seen));
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
            .map(|read| Membership::of(read.clone(), QuorumSystem::All(Vec::new())))
            .collect();
        prop_assert_eq!(tally.elects(&memberships), dumb);
    }

    /// The positions that a quorum has, of sets with gaps, against counting them one by one.
    #[test]
    fn what_a_quorum_holds_is_counted_position_by_position(
        system in sensible(),
        sets in prop::collection::vec(
            (0..150_u64, prop::collection::btree_set(0..400_u64, 0..40)), VOTERS as usize,
        ),
    ) {
        let set = |(offset, more): &(u64, std::collections::BTreeSet<u64>)| {
            let tail: Tail = more.iter().filter(|p| *p >= offset).map(|p| Lsn(*p)).collect();
            TailBitmap::from_parts(Lsn(*offset), tail)
        };
        let sets: Vec<TailBitmap> = sets.iter().map(set).collect();
        let named: Vec<_> = (1..=VOTERS).map(ReplicaId).zip(&sets).collect();
        let held = system.held(&named);
        for lsn in (0..450).map(Lsn) {
            let holders = sets.iter().zip(0..).filter(|(set, _)| set.contains(lsn));
            let dumb = dumb_is_quorum(&system, holders.map(|(_, at)| 1 << at).sum());
            prop_assert_eq!(held.contains(lsn), dumb, "{} {}", &system, lsn);
        }
    }

    /// Of prefixes, that is a prefix; under majorities, up to the median.
    #[test]
    fn of_prefixes_a_majority_holds_the_median(
        ends in prop::collection::vec(prop_oneof![0..9_u64, any::<u64>()], 1..12),
    ) {
        let ends: Vec<u64> = ends.into_iter().map(|end| end.min(Lsn::MAX.0)).collect();
        let voters = ids(1..=ends.len() as u64);
        let system = QuorumSystem::majority(voters.clone());
        let named: Vec<_> = voters.iter().copied().zip(ends.iter().map(|end| Lsn(*end))).collect();
        let mut sorted = ends.clone();
        sorted.sort_unstable();
        let median = Lsn(sorted[(sorted.len() - 1) / 2]);
        prop_assert_eq!(system.reached(&named), median);
        let sets: Vec<_> = ends.iter().map(|end| TailBitmap::below(Lsn(*end))).collect();
        let sets: Vec<_> = voters.iter().copied().zip(&sets).collect();
        prop_assert_eq!(system.held(&sets), TailBitmap::below(median));
    }
}

/// Majorities over a list of bitmaps: every choice of more than half, in any place of the word.
#[test]
fn majorities_as_a_list_of_bitmaps() {
    let majorities = |voters: &[u64]| {
        let system = QuorumSystem::majority(voters.iter().copied().map(ReplicaId));
        Compiled::new(&system, &|id| 1 << id.0).minimal().expect("few voters")
    };
    assert_eq!(majorities(&[0]), [0b1]);
    assert_eq!(majorities(&[0, 1]), [0b11]);
    assert_eq!(majorities(&[0, 1, 2]), [0b011, 0b101, 0b110]);
    assert_eq!(majorities(&[1, 3, 63]), [0b1010, 1 << 63 | 0b10, 1 << 63 | 0b1000]);
    assert_eq!(majorities(&[63, 64, 127]), [3 << 63, 1 << 127 | 1 << 63, 1 << 127 | 1 << 64]);
    assert_eq!(majorities(&[0, 1, 2, 3]).len(), 4);
    assert_eq!(majorities(&(0..9).collect::<Vec<_>>()).len(), 126);
    let many = Compiled::Threshold { mask: !0, need: 33 };
    assert_eq!(many.minimal(), None);
}

#[test]
fn voters_are_sorted_and_counted_once() {
    let membership = Membership::majority(ids([3, 1, 3, 2, 1]));
    assert_eq!(membership.voters(), ids([1, 2, 3]));
    assert_eq!(membership, Membership::flexible(ids([1, 2, 3]), 2, 2));
}

/// A replica without a bit can never complete a listed set.
#[test]
fn who_has_no_bit_counts_for_nothing() {
    let bit = |id: ReplicaId| if id.0 == 1 { 1 } else { 0 };
    let listed = QuorumSystem::Explicit(vec![ids([1, 2]), ids([2])]);
    assert!(!Compiled::new(&listed, &bit).is_quorum(!0));
    let both = QuorumSystem::Threshold { voters: ids([1, 2]), need: 2 };
    assert!(!Compiled::new(&both, &bit).is_quorum(!0));
}
