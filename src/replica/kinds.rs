//! Which positions of a log have a record that is not plain: asked for each word of positions that
//! is accepted, committed, settled or applied, and mostly none.

use crate::base::{Lsn, Tail, mask};
use std::collections::VecDeque;

/// By word of positions, from `first` on. As wide as what is not plain.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    first: u64,
    words: VecDeque<Kind>,
}

/// Of the positions of one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Those whose record is not plain.
    pub(crate) special: u64,
    /// Those of them whose record overrides something.
    pub(crate) overriding: u64,
}

impl Kinds {
    /// Of the positions `64 * index ..`.
    #[inline]
    pub(super) fn word(&self, index: u64) -> Kind {
        self.words.get(index.wrapping_sub(self.first) as usize).copied().unwrap_or_default()
    }

    /// The record at `lsn` is not plain.
    pub(super) fn insert(&mut self, lsn: Lsn, overrides: bool) {
        let (slot, bit) = (self.slot(lsn.0 / 64), 1 << (lsn.0 % 64));
        slot.special |= bit;
        slot.overriding = slot.overriding & !bit | if overrides { bit } else { 0 };
    }

    /// The same of many at once: positions, and those of them whose record overrides something.
    pub(super) fn insert_all(&mut self, special: &Tail, overriding: &Tail) {
        for (index, word) in special.iter_words() {
            let slot = self.slot(index);
            slot.special |= word;
            slot.overriding = slot.overriding & !word | overriding.word(index);
        }
    }

    /// The record at `lsn` is plain, or there is none.
    pub(super) fn remove(&mut self, lsn: Lsn) {
        if let Some(slot) = self.words.get_mut((lsn.0 / 64).wrapping_sub(self.first) as usize) {
            slot.special &= !(1 << (lsn.0 % 64));
            slot.overriding &= slot.special;
        }
    }

    /// There is no record below.
    pub(super) fn remove_below(&mut self, below: Lsn) {
        while let Some(front) = self.words.front_mut() {
            front.special &= !mask(self.first, 0, below.0);
            front.overriding &= front.special;
            if front.special != 0 {
                return;
            }
            self.words.pop_front();
            self.first += 1;
        }
    }

    /// Room for the word.
    fn slot(&mut self, index: u64) -> &mut Kind {
        if self.words.is_empty() {
            self.first = index;
        }
        while index < self.first {
            self.words.push_front(Kind::default());
            self.first -= 1;
        }
        let at = (index - self.first) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, Kind::default());
        }
        &mut self.words[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, bool),
        InsertAll(Vec<(u64, bool)>),
        Remove(u64),
        RemoveBelow(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = 0..400_u64;
        prop_oneof![
            (at.clone(), any::<bool>()).prop_map(|(at, overrides)| Step::Insert(at, overrides)),
            prop::collection::vec((at.clone(), any::<bool>()), 0..9).prop_map(Step::InsertAll),
            at.clone().prop_map(Step::Remove),
            at.prop_map(Step::RemoveBelow),
        ]
    }

    proptest! {
        /// It says of each position what a map of positions says.
        #[test]
        fn kinds_are_those_of_a_map(steps in prop::collection::vec(step(), 0..60)) {
            let (mut kinds, mut twin) = (Kinds::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(at, overrides) => {
                        kinds.insert(Lsn(at), overrides);
                        twin.insert(at, overrides);
                    }
                    Step::InsertAll(all) => {
                        let all: BTreeMap<u64, bool> = all.into_iter().collect();
                        let overriding = all.iter().filter(|(_, overrides)| **overrides);
                        let overriding = overriding.map(|(at, _)| Lsn(*at)).collect();
                        kinds.insert_all(&all.keys().copied().map(Lsn).collect(), &overriding);
                        twin.extend(all);
                    }
                    Step::Remove(at) => {
                        kinds.remove(Lsn(at));
                        twin.remove(&at);
                    }
                    Step::RemoveBelow(below) => {
                        kinds.remove_below(Lsn(below));
                        twin.retain(|at, _| *at >= below);
                    }
                }
                for index in 0..8 {
                    let mut kind = Kind::default();
                    for (at, overrides) in twin.range(64 * index..64 * index + 64) {
                        kind.special |= 1 << (at % 64);
                        kind.overriding |= u64::from(*overrides) << (at % 64);
                    }
                    prop_assert_eq!(kinds.word(index), kind);
                }
            }
        }
    }
}
