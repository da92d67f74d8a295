//! `Tail` against a set of numbers.

use super::{hash_of, lsns, position, positions};
use proptest::prelude::*;
use std::collections::BTreeSet;
use traft::base::{Lsn, Tail};

/// One change of a set.
#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    InsertRange(u64, u64),
    Remove(u64),
    RemoveBelow(u64),
    Union(Vec<u64>),
    Difference(Vec<u64>),
    Intersect(Vec<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => position().prop_map(Step::Insert),
        2 => (position(), position()).prop_map(|(from, to)| Step::InsertRange(from, to)),
        4 => position().prop_map(Step::Remove),
        1 => position().prop_map(Step::RemoveBelow),
        1 => positions().prop_map(Step::Union),
        1 => positions().prop_map(Step::Difference),
        1 => positions().prop_map(Step::Intersect),
    ]
}

fn take(step: &Step, tail: &mut Tail, twin: &mut BTreeSet<u64>) {
    let tail_of = |members: &Vec<u64>| lsns(members.iter().copied()).collect::<Tail>();
    match step {
        Step::Insert(at) => assert_eq!(tail.insert(Lsn(*at)), twin.insert(*at)),
        Step::InsertRange(from, to) => {
            tail.insert_range(Lsn(*from), Lsn(*to));
            twin.extend(*from..*to);
        }
        Step::Remove(at) => assert_eq!(tail.remove(Lsn(*at)), twin.remove(at)),
        Step::RemoveBelow(at) => {
            tail.remove_below(Lsn(*at));
            twin.retain(|member| member >= at);
        }
        Step::Union(members) => {
            tail.union_with(&tail_of(members));
            twin.extend(members);
        }
        Step::Difference(members) => {
            tail.difference_with(&tail_of(members));
            twin.retain(|member| !members.contains(member));
        }
        Step::Intersect(members) => {
            tail.intersect_with(&tail_of(members));
            twin.retain(|member| members.contains(member));
        }
    }
}

fn check(tail: &Tail, twin: &BTreeSet<u64>) {
    assert_eq!(tail.iter().map(|lsn| lsn.0).collect::<Vec<_>>(), Vec::from_iter(twin.clone()));
    assert_eq!(tail.len(), twin.len());
    assert_eq!(tail.is_empty(), twin.is_empty());
    assert_eq!(tail.first(), twin.first().copied().map(Lsn));
    assert_eq!(tail.last(), twin.last().copied().map(Lsn));
    for at in twin.iter().flat_map(|at| [at.saturating_sub(1), *at, at + 1, at + 64]) {
        assert_eq!(tail.contains(Lsn(at)), twin.contains(&at), "{tail} at {at}");
    }
    check_canonical(tail);
}

/// The form that the type's text promises, so that equality is set equality.
fn check_canonical(tail: &Tail) {
    let (first, words) = tail.words();
    assert_ne!(words.first(), Some(&0));
    assert_ne!(words.last(), Some(&0));
    assert!(!words.is_empty() || first == 0);
    assert!(tail.memory() <= 128.max(32 * words.len()), "{} words: {}", words.len(), tail.memory());
    let again: Tail = tail.iter().collect();
    assert_eq!(tail, &again);
    assert_eq!(hash_of(tail), hash_of(&again));
    assert_eq!(tail, &tail.clone());
    assert_eq!(tail, &Tail::from_words(first, words.to_vec()));
}

proptest! {
    #[test]
    fn each_step_is_the_step_of_a_set(steps in prop::collection::vec(step(), 0..40)) {
        let (mut tail, mut twin) = (Tail::new(), BTreeSet::new());
        for step in &steps {
            take(step, &mut tail, &mut twin);
            check(&tail, &twin);
        }
    }

    #[test]
    fn two_sets_meet_and_are_equal_as_sets(a in positions(), b in positions()) {
        let (left, right) = (BTreeSet::from_iter(a.clone()), BTreeSet::from_iter(b.clone()));
        let (a, b) = (lsns(a).collect::<Tail>(), lsns(b).collect::<Tail>());
        prop_assert_eq!(a.intersects(&b), !left.is_disjoint(&right));
        prop_assert_eq!(b.intersects(&a), !left.is_disjoint(&right));
        prop_assert_eq!(a == b, left == right);
        prop_assert_eq!(a.is_subset(&b), left.is_subset(&right));
        let both: Tail = a.iter().chain(b.iter()).collect();
        prop_assert!(a.is_subset(&both) && b.is_subset(&both));
    }

    #[test]
    fn a_copy_above_a_floor_has_the_last_one_too(
        members in positions(),
        floor in position(),
        beyond in prop_oneof![0..3_u64, 0..1_000_u64],
    ) {
        let end = members.iter().max().map_or(0, |last| last + 1);
        let last = end.max(floor) + beyond;
        let mut twin = BTreeSet::from_iter(members.iter().copied().filter(|at| *at >= floor));
        twin.insert(last);
        check(&lsns(members).collect::<Tail>().copy_above(Lsn(floor), Lsn(last)), &twin);
    }

    #[test]
    fn words_come_back_in_canonical_form(
        first in 0_u64..4,
        words in prop::collection::vec(prop_oneof![Just(0), any::<u64>()], 0..5),
    ) {
        let twin = (0..64 * words.len() as u64)
            .filter(|at| words[(at / 64) as usize] >> (at % 64) & 1 == 1)
            .map(|at| 64 * first + at)
            .collect();
        let tail = Tail::from_words(first, words);
        check(&tail, &twin);
    }
}

#[test]
fn far_apart_members_cost_the_distance_until_one_goes() {
    let mut tail: Tail = lsns([3, 1_000_000]).collect();
    assert_eq!((tail.len(), tail.first(), tail.last()), (2, Some(Lsn(3)), Some(Lsn(1_000_000))));
    assert!(tail.memory() >= 1_000_000 / 8);
    assert!(tail.remove(Lsn(3)));
    assert_eq!(tail.words(), (15_625, &[1][..]));
    check_canonical(&tail);
}

#[test]
fn memory_comes_back_as_the_low_end_advances() {
    let mut tail = Tail::new();
    tail.insert_range(Lsn(1), Lsn(1_000_000));
    for below in (0..=1_000_000).step_by(50_000) {
        tail.remove_below(Lsn(below));
        check_canonical(&tail);
    }
    assert!(tail.is_empty() && tail.memory() <= 128);
}

#[test]
fn words_beyond_the_last_position_are_refused() {
    let last_word = Lsn::MAX.0 / 64;
    let tail = Tail::try_from_words(last_word, vec![1 << 63]).expect("the last position exists");
    assert_eq!((tail.first(), tail.last()), (Some(Lsn::MAX), Some(Lsn::MAX)));
    assert_eq!(Tail::try_from_words(last_word, vec![1, 1]), None);
    assert_eq!(Tail::try_from_words(last_word + 1, vec![1]), None);
    assert_eq!(Tail::try_from_words(u64::MAX, vec![1, 1]), None);
}
