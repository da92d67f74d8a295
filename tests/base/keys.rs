//! Keys, ranges and footprints against every key of a small universe.

use proptest::prelude::*;
use traft::base::{Footprint, Key, KeyRange, KeySet};

/// Every key over three bytes, one of them zero, up to length 3: so that ranges of one key, keys
/// that follow each other without a gap and the empty key occur.
fn universe() -> Vec<Key> {
    let mut keys = vec![Vec::new()];
    for length in 0..3 {
        let longer: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| key.len() == length)
            .flat_map(|key| [0, b'a', b'b'].map(|byte| [&key[..], &[byte]].concat()))
            .collect();
        keys.extend(longer);
    }
    keys.into_iter().map(Key::from).collect()
}

/// The universe and, for each of its keys, one beyond it that sets apart what the universe alone
/// cannot: between `k` and the next key of the universe.
fn probes() -> Vec<Key> {
    let beyond = |key: &Key| Key::from([&key[..], &[0, 0, 0, 1]].concat());
    universe().iter().flat_map(|key| [key.clone(), beyond(key)]).collect()
}

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(universe())
}

fn range() -> impl Strategy<Value = KeyRange> {
    (key(), prop::option::weighted(0.9, key())).prop_map(|(start, end)| KeyRange { start, end })
}

fn parts() -> impl Strategy<Value = (Vec<Key>, Vec<KeyRange>)> {
    (prop::collection::vec(key(), 0..6), prop::collection::vec(range(), 0..4))
}

fn set() -> impl Strategy<Value = KeySet> {
    let any = parts().prop_map(|(points, ranges)| KeySet::from_parts(points, ranges));
    prop_oneof![1 => Just(KeySet::new()), 2 => key().prop_map(KeySet::point), 4 => any]
}

/// The probes in the set, by looking at each part.
fn members(points: &[Key], ranges: &[KeyRange]) -> Vec<Key> {
    let within = |r: &KeyRange, key: &Key| r.start <= *key && r.end.iter().all(|end| key < end);
    let member = |key: &Key| points.contains(key) || ranges.iter().any(|r| within(r, key));
    probes().into_iter().filter(member).collect()
}

fn members_of(set: &KeySet) -> Vec<Key> {
    members(set.points(), set.ranges())
}

fn meet(a: &KeySet, b: &KeySet) -> bool {
    let b = members_of(b);
    members_of(a).iter().any(|key| b.contains(key))
}

fn check_canonical(set: &KeySet) {
    let (points, ranges) = (set.points(), set.ranges());
    assert!(points.is_sorted_by(|a, b| a < b));
    let apart = |a: &KeyRange, b: &KeyRange| a.end.as_ref().is_some_and(|end| *end < b.start);
    assert!(ranges.windows(2).all(|w| apart(&w[0], &w[1])), "{set}");
    assert!(ranges.iter().all(|r| !r.is_empty()));
    for (point, after) in points.iter().map(|p| (p, Key::from([&p[..], &[0]].concat()))) {
        assert!(!points.contains(&after), "{set}");
        assert!(!ranges.iter().any(|r| r.contains(point) || r.start == after), "{set}");
        assert!(!ranges.iter().any(|r| r.end.as_ref() == Some(point)), "{set}");
        assert!(!ranges.iter().any(|r| r.start == *point && r.end.as_ref() == Some(&after)));
    }
}

proptest! {
    #[test]
    fn a_range_is_its_keys(a in range(), b in range()) {
        let (left, right) =
            (members(&[], std::slice::from_ref(&a)), members(&[], std::slice::from_ref(&b)));
        prop_assert_eq!(a.is_empty(), left.is_empty());
        for key in probes() {
            prop_assert_eq!(a.contains(&key), left.contains(&key));
        }
        let common = right.iter().any(|key| left.contains(key));
        if !a.is_empty() && !b.is_empty() {
            prop_assert_eq!(a.overlaps(&b), common);
            prop_assert_eq!(a.covers(&b), right.iter().all(|key| left.contains(key)));
        } else if a.covers(&b) {
            prop_assert!(right.iter().all(|key| left.contains(key)));
        }
    }

    #[test]
    fn a_set_has_the_keys_of_its_parts_in_one_form((points, ranges) in parts()) {
        let wanted = members(&points, &ranges);
        let set = KeySet::from_parts(points.clone(), ranges.clone());
        check_canonical(&set);
        prop_assert_eq!(members_of(&set), wanted.clone());
        for key in probes() {
            prop_assert_eq!(set.contains(&key), wanted.contains(&key), "{:?} in {}", key, set);
        }
        prop_assert_eq!(set.is_empty(), wanted.is_empty());
        let shuffled = (points.into_iter().rev(), ranges.into_iter().rev());
        prop_assert_eq!(&set, &KeySet::from_parts(shuffled.0, shuffled.1));
    }

    #[test]
    fn two_sets_are_equal_meet_and_cover_as_sets(a in set(), b in set()) {
        let (left, right) = (members_of(&a), members_of(&b));
        prop_assert_eq!(a == b, left == right, "{} {}", a, b);
        prop_assert_eq!(a.intersects(&b), meet(&a, &b), "{} {}", a, b);
        prop_assert_eq!(b.intersects(&a), meet(&a, &b), "{} {}", a, b);
        let covers = right.iter().all(|key| left.contains(key));
        prop_assert_eq!(a.covers(&b), covers, "{} {}", a, b);
    }

    #[test]
    fn interference_is_symmetric_and_as_defined(
        a in (set(), set()), b in (set(), set()),
    ) {
        let (a, b) = (
            Footprint { reads: a.0, writes: a.1 },
            Footprint { reads: b.0, writes: b.1 },
        );
        let pairs = [(&a.writes, &b.writes), (&a.writes, &b.reads), (&a.reads, &b.writes)];
        let twin = pairs.into_iter().any(|(a, b)| meet(a, b));
        prop_assert_eq!(a.interferes(&b), twin, "{} / {}", &a, &b);
        prop_assert_eq!(b.interferes(&a), twin, "{} / {}", &a, &b);
        prop_assert_eq!(a.is_blind(), members_of(&a.reads).is_empty());
        let everything = Footprint::everything();
        let touches = a != Footprint::default();
        prop_assert_eq!(everything.interferes(&a), touches);
        prop_assert!(everything.writes.covers(&a.writes) && everything.reads.covers(&a.reads));
    }
}

#[test]
fn everything_is_the_whole_range_read_and_written() {
    let all = KeySet::from_parts([Key::new()], [KeyRange::ALL]);
    assert_eq!(Footprint::everything(), Footprint::update(all));
    assert!(Footprint::everything().is_everything());
    let but_one = KeyRange { start: Key::from_static(b"\0"), end: None };
    assert!(!Footprint::update(KeySet::from_parts([], [but_one.clone()])).is_everything());
    let joined = KeySet::from_parts([Key::new()], [but_one]);
    assert!(Footprint::update(joined).is_everything(), "the empty key is the only one missing");
}

#[test]
fn size_counts_the_bytes_of_the_keys() {
    let set = KeySet::from_parts(
        [Key::from_static(b"k")],
        [
            KeyRange::new(&b"aa"[..], &b"bbb"[..]),
            KeyRange { start: Key::from_static(b"zz"), end: None },
        ],
    );
    assert_eq!(set.size(), 1 + 2 + 3 + 2);
    assert_eq!(Footprint::update(set.clone()).size(), 16);
    assert_eq!(Footprint::write(set).size(), 8);
}
