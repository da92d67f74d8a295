//! The ordered map against the one of the standard library.

use super::*;
use crate::base::{Key, KeyRange};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Says something about the keys from its own one to `end`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stretch {
    name: u64,
    end: Border,
}

impl Value for Stretch {
    fn length(&self, start: &Border) -> u128 {
        self.end.prefix().saturating_sub(start.prefix())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Key, Key),
    /// As many with keys that rise from one, or fall to it.
    Rise(Key, u16),
    Fall(Key, u16),
    /// Above the last one below a key.
    InsertBelow(Key, Key),
    Remove(Key),
    RemoveAll(KeyRange),
    /// The names that this divides.
    Retain(u64),
    Change(KeyRange),
    Clear,
}

/// Letters that are few, so that keys begin alike for longer than what stands in a border, or end
/// with zeros; or two bytes, so that there are many of them.
fn key() -> impl Strategy<Value = Key> {
    let alike = (0..2_u8, 0..40_usize, vec(0..3_u8, 0..3));
    prop_oneof![
        vec(0..2_u8, 0..40).prop_map(Key::from),
        alike.prop_map(|(byte, length, tail)| [vec![byte; length], tail].concat().into()),
        any::<u16>().prop_map(|number| number.to_be_bytes().to_vec().into()),
    ]
}

fn range() -> impl Strategy<Value = KeyRange> {
    let end = proptest::option::weighted(0.9, key());
    (key(), end).prop_map(|(start, end)| KeyRange { end: end.filter(|end| *end > start), start })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (key(), key()).prop_map(|(key, end)| Step::Insert(key, end)),
        3 => (key(), 0..3000_u16).prop_map(|(key, count)| Step::Rise(key, count)),
        3 => (key(), 0..3000_u16).prop_map(|(key, count)| Step::Fall(key, count)),
        10 => (key(), key()).prop_map(|(key, end)| Step::InsertBelow(key, end)),
        10 => key().prop_map(Step::Remove),
        4 => range().prop_map(Step::RemoveAll),
        4 => (1..10_u64).prop_map(Step::Retain),
        4 => range().prop_map(Step::Change),
        1 => Just(Step::Clear),
    ]
}

/// The map and its twin.
#[derive(Default)]
struct World {
    map: Order<Stretch>,
    twin: BTreeMap<Border, Stretch>,
    /// The name of the next entry.
    next: u64,
}

impl World {
    fn stretch(&mut self, end: Border) -> Stretch {
        self.next += 1;
        Stretch { name: self.next, end }
    }

    fn insert(&mut self, key: Border, end: Border) {
        let value = self.stretch(end);
        self.map.insert(key.clone(), value.clone());
        self.twin.insert(key, value);
    }

    fn remove(&mut self, key: &Border) {
        self.map.remove(key);
        self.twin.remove(key);
    }

    fn inside(&self, span: &Span) -> Vec<Border> {
        let to = self.twin.range((Bound::Included(&span.start), span.end_bound()));
        to.map(|(key, _)| key.clone()).collect()
    }

    fn step(&mut self, step: Step) {
        let numbered =
            |key: &Key, at: u16| Border::from(&[&key[..], &at.to_be_bytes()].concat().into());
        match step {
            Step::Insert(key, end) => self.insert(Border::from(&key), Border::from(&end)),
            Step::Rise(key, count) => {
                (0..count).for_each(|at| self.insert(numbered(&key, at), numbered(&key, at + 1)));
            }
            Step::Fall(key, count) => {
                let falling = (0..count).rev();
                falling.for_each(|at| self.insert(numbered(&key, at), numbered(&key, at + 1)));
            }
            Step::InsertBelow(key, end) => {
                let key = Border::from(&key);
                let below = self.map.last_below(Bound::Excluded(&key));
                if !self.twin.contains_key(&key) {
                    let value = self.stretch(Border::from(&end));
                    self.map.insert_above(below, key.clone(), value.clone());
                    self.twin.insert(key, value);
                }
            }
            Step::Remove(key) => self.remove(&Border::from(&key)),
            Step::RemoveAll(range) => {
                self.inside(&Span::from(&range)).iter().for_each(|key| self.remove(key));
            }
            Step::Retain(of) => {
                self.map.retain(|stretch| stretch.name.is_multiple_of(of));
                self.twin.retain(|_, stretch| stretch.name.is_multiple_of(of));
            }
            Step::Change(range) => self.change(&Span::from(&range)),
            Step::Clear => {
                self.map.clear();
                self.twin.clear();
            }
        }
    }

    fn change(&mut self, span: &Span) {
        let inside = self.inside(span);
        assert!(self.map.keys_in(span).eq(inside.iter().rev()));
        let mut shown = Vec::new();
        self.map.change_in(span, |key, stretch| {
            stretch.name += 1;
            shown.push(key.clone());
        });
        assert_eq!(shown, inside);
        inside.iter().for_each(|key| self.twin.get_mut(key).unwrap().name += 1);
    }

    /// What is found from `key` is the same.
    fn check_around(&mut self, key: &Border) {
        let World { map, twin, .. } = self;
        for bound in [Bound::Included(key), Bound::Excluded(key)] {
            let below = || twin.range((Bound::Unbounded, bound)).rev().take(100);
            let last = map.last_below(bound);
            assert!(map.down_from(last).take(100).eq(below()));
            for (spot, (_, stretch)) in last.iter().zip(below()) {
                assert!(map.may_reach(*spot, key) || stretch.end <= *key);
            }
        }
        let changed = map.last_below_mut(key).map(|stretch| stretch.name += 1);
        let below = twin.range_mut((Bound::Unbounded, Bound::Excluded(key)));
        assert_eq!(changed, below.last().map(|(_, stretch)| stretch.name += 1));
    }

    /// All is the same, and the nodes are as they should be.
    fn check(&self) {
        let World { map, twin, .. } = self;
        assert_eq!((map.len(), map.is_empty()), (twin.len(), twin.is_empty()));
        assert!(map.down_from(map.last_below(Bound::Unbounded)).eq(twin.iter().rev()));
        if map.is_empty() {
            return;
        }
        let mut leaves = Vec::new();
        let inners = walk(map, map.root, map.height, &(None, None), &mut leaves);
        assert_eq!((map.leaves.len(), map.inners.len()), (leaves.len(), inners));
        let after = leaves.iter().skip(1).copied().chain([NONE]);
        for (leaf, after) in leaves.iter().zip(after) {
            assert_eq!(map.leaves.get(*leaf).after, after);
            assert!(after == NONE || map.leaves.get(after).before == *leaf);
        }
        assert_eq!(map.leaves.get(leaves[0]).before, NONE);
    }
}

/// Checks what is under a node with the keys between two others; the leaves in order, and how many
/// inner nodes there are.
fn walk(
    map: &Order<Stretch>,
    node: u32,
    height: u32,
    bounds: &(Option<&Border>, Option<&Border>),
    leaves: &mut Vec<u32>,
) -> usize {
    let inside = |key: &Border| {
        bounds.0.is_none_or(|from| from <= key) && bounds.1.is_none_or(|to| key < to)
    };
    if height == 0 {
        let fan = &map.leaves.get(node).fan;
        let key = |handle: &u32| &map.entries.get(*handle).key;
        let keys: Vec<&Border> = fan.handles().iter().map(key).collect();
        assert!(!keys.is_empty() && keys.is_sorted() && keys.iter().all(|key| inside(key)));
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(fan.find(key, |place, _| keys[place]), Ok(place));
        }
        leaves.push(node);
        return 0;
    }
    let inner = map.inners.get(node);
    let fences = inner.fences();
    assert!(fences.is_sorted() && fences.iter().all(inside));
    assert_eq!(inner.last(), fences.len());
    let below = (0..=inner.last()).map(|place| {
        let from = place.checked_sub(1).map(|fence| &fences[fence]).or(bounds.0);
        let bounds = (from, fences.get(place).or(bounds.1));
        walk(map, inner.child(place), height - 1, &bounds, leaves)
    });
    1 + below.sum::<usize>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn does_as_its_twin(steps in vec((step(), key()), 0..60)) {
        let mut world = World::default();
        for (step, near) in steps {
            world.step(step);
            world.check();
            world.check_around(&Border::from(&near));
        }
    }
}

/// Keys in a scattered order, enough for two levels of inner nodes; then most of them go one by
/// one, and the rest at once.
#[test]
fn grows_and_shrinks() {
    const COUNT: u64 = 20_000;
    let key = |n: u64| {
        let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        Border::from(&Key::from([&b"user"[..], &scattered].concat()))
    };
    let mut world = World::default();
    (0..COUNT).for_each(|n| world.insert(key(n), key(n)));
    world.check();
    assert_eq!(world.map.height, 2);
    assert!(world.map.leaves.len() as u64 <= COUNT / 32);
    let in_vain = (COUNT..2 * COUNT).map(key).filter(|key| {
        let below = world.map.last_below(Bound::Excluded(key));
        below.is_some_and(|spot| world.map.may_reach(spot, key))
    });
    assert!(in_vain.count() as u64 <= COUNT / 1000);
    (1000..COUNT).for_each(|n| world.remove(&key(n)));
    world.check();
    assert!(world.map.leaves.len() <= 8 + 1000 / 8 && world.map.entries.width() <= 64 + 4 * 1000);
    world.step(Step::Retain(u64::MAX));
    world.check();
    assert_eq!((world.map.height, world.map.entries.width()), (0, 0));
}

/// Rising keys fill their leaves.
#[test]
fn rising_keys_leave_full_leaves() {
    let mut world = World::default();
    world.step(Step::Rise(Key::from("log"), 30_000));
    world.check();
    assert_eq!(world.map.leaves.len(), 30_000_usize.div_ceil(WIDTH));
}
