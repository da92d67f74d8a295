//! `TailBitmap` against a set of numbers.

use super::{hash_of, lsns, position, positions};
use proptest::prelude::*;
use std::collections::BTreeSet;
use traft::base::{Lsn, Tail, TailBitmap};

type Twin = BTreeSet<u64>;

/// A set and its twin: a prefix and some members.
fn pair() -> impl Strategy<Value = (TailBitmap, Twin)> {
    (prop_oneof![Just(0), position()], positions()).prop_map(|(offset, members)| {
        let twin = (0..offset).chain(members.iter().copied()).collect();
        (TailBitmap::from_parts(Lsn(offset), lsns(members).collect()), twin)
    })
}

/// One way to grow.
#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    /// The position at the offset, where the prefix grows.
    InsertFirstHole,
    InsertBelow(u64),
    InsertRange(u64, u64),
    InsertWord(u64, u64),
    InsertAll(Vec<u64>),
    Union(TailBitmap, Twin),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => position().prop_map(Step::Insert),
        4 => Just(Step::InsertFirstHole),
        1 => position().prop_map(Step::InsertBelow),
        2 => (position(), position()).prop_map(|(from, to)| Step::InsertRange(from, to)),
        4 => (0_u64..8, prop_oneof![any::<u64>(), Just(!0)])
            .prop_map(|(i, w)| Step::InsertWord(i, w)),
        1 => positions().prop_map(Step::InsertAll),
        1 => pair().prop_map(|(set, twin)| Step::Union(set, twin)),
    ]
}

fn take(step: &Step, set: &mut TailBitmap, twin: &mut Twin) {
    match step {
        Step::Insert(at) => assert_eq!(set.insert(Lsn(*at)), twin.insert(*at)),
        Step::InsertFirstHole => {
            let at = set.offset();
            assert!(set.insert(at) && twin.insert(at.0));
        }
        Step::InsertBelow(end) => {
            set.insert_below(Lsn(*end));
            twin.extend(0..*end);
        }
        Step::InsertRange(from, to) => {
            set.insert_range(Lsn(*from), Lsn(*to));
            twin.extend(*from..*to);
        }
        Step::InsertWord(index, word) => {
            set.insert_word(*index, *word);
            twin.extend((0..64).filter(|p| word >> p & 1 == 1).map(|p| 64 * index + p));
        }
        Step::InsertAll(members) => {
            set.insert_all(&lsns(members.iter().copied()).collect());
            twin.extend(members);
        }
        Step::Union(other, members) => {
            set.union_with(other);
            twin.extend(members);
        }
    }
}

fn check(set: &TailBitmap, twin: &Twin) {
    let first_hole = (0..).find(|at| !twin.contains(at)).expect("a finite set has a hole");
    assert_eq!(set.offset(), Lsn(first_hole));
    let end = twin.last().map_or(0, |last| last + 1);
    assert_eq!(set.end(), Lsn(end));
    assert_eq!(set.len(), twin.len() as u64);
    assert_eq!(set.is_empty(), twin.is_empty());
    for at in (0..end + 70).filter(|at| at % 64 < 2 || at % 64 > 61 || *at < 200) {
        assert_eq!(set.contains(Lsn(at)), twin.contains(&at), "{set} at {at}");
    }
    for end in [0, first_hole, first_hole + 1, end, end + 1, end + 63, end + 64, end + 65] {
        let holes: Vec<u64> = (0..end).filter(|at| !twin.contains(at)).collect();
        assert_eq!(set.holes(Lsn(end)).map(|lsn| lsn.0).collect::<Vec<_>>(), holes, "{set}");
    }
    let again: TailBitmap = lsns(twin.iter().copied()).collect();
    assert_eq!(set, &again);
    assert_eq!(hash_of(set), hash_of(&again));
    assert!(set.tail().first().is_none_or(|first| first > set.offset()));
    let words = set.tail().words().1.len();
    assert!(set.tail().memory() <= 128.max(32 * words));
}

fn numbers(positions: impl Iterator<Item = Lsn>) -> Vec<u64> {
    positions.map(|lsn| lsn.0).collect()
}

proptest! {
    #[test]
    fn each_step_is_the_step_of_a_set(
        start in pair(),
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let (mut set, mut twin) = start;
        check(&set, &twin);
        for step in &steps {
            take(step, &mut set, &mut twin);
            check(&set, &twin);
        }
    }

    #[test]
    fn two_sets_combine_as_sets((a, left) in pair(), (b, right) in pair()) {
        let both: Twin = left.intersection(&right).copied().collect();
        check(&a.intersection(&b), &both);
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        let rest: Vec<u64> = left.difference(&right).copied().collect();
        let difference = a.difference(&b);
        prop_assert_eq!(numbers(difference.iter()), rest.clone());
        prop_assert_eq!(difference, lsns(rest.clone()).collect::<Tail>());
        prop_assert_eq!(numbers(a.difference_iter(&b)), rest.clone());
        let bits = |(i, w): (u64, u64)| {
            (0..64).filter(move |p| w >> p & 1 == 1).map(move |p| 64 * i + p)
        };
        let words = a.difference_words(&b).map(bits);
        prop_assert_eq!(words.flatten().collect::<Vec<u64>>(), rest.clone());
        let (mut union, mut news) = (b.clone(), Vec::new());
        union.take_in(&a, &mut news);
        check(&union, &left.union(&right).copied().collect());
        let news = news.into_iter().map(bits);
        prop_assert_eq!(news.flatten().collect::<Vec<u64>>(), rest);
        prop_assert_eq!(a == b, left == right);
        let tail: Tail = lsns(right.iter().copied()).collect();
        prop_assert_eq!(a.contains_all(&tail), right.is_subset(&left));
        prop_assert!(a.contains_all(a.tail()));
    }

    #[test]
    fn holes_beside_another_set_are_in_neither(
        (set, twin) in pair(), also in positions(), from in position(), end in position(),
    ) {
        let tail: Tail = lsns(also.iter().copied()).collect();
        let dumb: Vec<u64> =
            (from..end).filter(|at| !twin.contains(at) && !also.contains(at)).collect();
        prop_assert_eq!(numbers(set.holes_beside(&tail, Lsn(from), Lsn(end))), dumb);
    }

    #[test]
    fn it_comes_back_from_its_parts((set, _) in pair()) {
        let (first, words) = set.tail().words();
        let tail = Tail::from_words(first, words.to_vec());
        prop_assert_eq!(TailBitmap::from_parts(set.offset(), tail), set);
    }
}

#[test]
fn a_full_prefix_costs_next_to_nothing_however_it_was_filled() {
    let mut evens_first = TailBitmap::new();
    let (evens, odds) = ((0..20_000).step_by(2), (1..20_000).step_by(2));
    evens.chain(odds).for_each(|at| assert!(evens_first.insert(Lsn(at))));
    assert_eq!(evens_first, TailBitmap::below(Lsn(20_000)));
    assert!(evens_first.tail().memory() <= 128);

    let mut backwards = TailBitmap::new();
    (0..20_000).rev().for_each(|at| assert!(backwards.insert(Lsn(at))));
    assert_eq!(backwards, evens_first);
    assert!(backwards.tail().memory() <= 128);
}

#[test]
fn what_lies_below_the_offset_of_a_union_makes_no_room() {
    let mut ahead = TailBitmap::from_parts(Lsn(1_000_000), lsns([1_000_005]).collect());
    ahead.union_with(&TailBitmap::from_parts(Lsn(3), lsns([5]).collect()));
    ahead.insert_all(&lsns([7, 1_000_070]).collect());
    assert_eq!(ahead.to_string(), "{..1000000 1000005 1000070}");
    assert!(ahead.tail().memory() <= 128);
}
