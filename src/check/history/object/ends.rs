//! What can be told of operations of unknown end before any search: when they took effect at the
//! latest, which of them nobody can tell apart, and what a list must come to.
//!
//! All of it rests on where a value can come from. If increments or appends make values, nothing is
//! told, but for a key that is a list: appends and gets alone.

use super::{ABSENT, Object, Step, ValueId, Values};
use rustc_hash::{FxHashMap, FxHashSet};

/// What stands for every value that nobody is told of.
const UNTOLD: &str = "(a value that nobody read)";

impl Object {
    /// Where its values come from: writes and swaps only.
    fn is_written_only(&self) -> bool {
        let mut all = self.known.iter().chain(&self.unknown);
        all.all(|place| matches!(place.step, Step::Get(_) | Step::Write(_) | Step::Cas { .. }))
    }

    /// What somebody was told, or asks for: of no other value it matters which it is.
    fn told(&self) -> FxHashSet<ValueId> {
        let mut told = FxHashSet::default();
        told.insert(ABSENT);
        for place in self.known.iter().chain(&self.unknown) {
            match &place.step {
                Step::Get(reads) => told.extend(reads.iter().map(|(_, value)| *value)),
                Step::Cas { expect, .. } => drop(told.insert(*expect)),
                _ => {}
            }
        }
        told
    }

    /// Values that nobody is told of become one. Then states that differ in nothing else are one,
    /// and so are operations.
    pub(super) fn forget_untold(&mut self, values: &mut Values) {
        // Without unknown ends a search is short, and a complaint shows what was written.
        if self.unknown.is_empty() || !self.is_written_only() {
            return;
        }
        let (told, untold) = (self.told(), values.unnamed(UNTOLD.into()));
        let forget = |value: &mut ValueId| {
            if !told.contains(value) {
                *value = untold;
            }
        };
        for place in self.known.iter_mut().chain(&mut self.unknown) {
            match &mut place.step {
                Step::Write(writes) => writes.iter_mut().for_each(|(_, value)| forget(value)),
                Step::Cas { value, .. } => forget(value),
                _ => {}
            }
        }
    }

    /// An operation of unknown end took effect before the first get of what no other one can have
    /// written ended: so it has an end, and did.
    pub(super) fn end_what_was_read(&mut self) {
        if !self.is_written_only() {
            return;
        }
        let mut writers: FxHashMap<ValueId, usize> = FxHashMap::default();
        for place in self.known.iter().chain(&self.unknown) {
            place.step.written().into_iter().for_each(|v| *writers.entry(v).or_default() += 1);
        }
        let mut read: FxHashMap<ValueId, u64> = FxHashMap::default();
        for place in &self.known {
            let Step::Get(reads) = &place.step else { continue };
            for (_, value) in reads {
                let first = read.entry(*value).or_insert(u64::MAX);
                *first = place.end.min(*first);
            }
        }
        let ends = |step: &Step| {
            let own = step.written().into_iter().filter(|value| writers.get(value) == Some(&1));
            own.filter_map(|value| read.get(&value)).min().copied()
        };
        let mut open = Vec::new();
        for mut place in std::mem::take(&mut self.unknown) {
            let Some(end) = ends(&place.step) else {
                open.push(place);
                continue;
            };
            if let Step::Cas { swapped, .. } = &mut place.step {
                *swapped = Some(true);
            }
            // Whatever was read before it was called is found by the search.
            place.end = end.max(place.call);
            self.known.push(place);
        }
        self.unknown = open;
    }

    /// A list only grows: each of its values is the beginning of each later one, so of the longest
    /// that somebody was told.
    pub(super) fn note_list(&mut self, values: &Values) {
        let mut all = self.known.iter().chain(&self.unknown);
        let is_list = self.keys.len() == 1
            && all.all(|place| matches!(place.step, Step::Get(_) | Step::Append { .. }));
        let length = |place: &super::Place| match &place.step {
            Step::Get(reads) => reads.first().and_then(|(_, value)| values.value(*value)),
            _ => None,
        };
        let told = self.known.iter().enumerate().filter_map(|(at, place)| {
            let value = length(place)?;
            Some((value.len(), at, value.clone()))
        });
        let longest = told.max_by_key(|(length, at, _)| (*length, *at));
        self.list = longest.filter(|_| is_list).map(|(_, at, value)| (at, value));
    }
}

impl Step {
    /// The values that it writes, or may write.
    fn written(&self) -> Vec<ValueId> {
        let mut written: Vec<ValueId> = match self {
            Step::Write(writes) => writes.iter().map(|(_, value)| *value).collect(),
            Step::Cas { value, .. } => vec![*value],
            _ => Vec::new(),
        };
        written.sort_unstable();
        written.dedup();
        written.retain(|value| *value != ABSENT);
        written
    }
}
