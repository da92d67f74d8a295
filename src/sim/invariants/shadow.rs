//! A machine that knows nothing but footprints: for each key, who wrote it last and from what.

use crate::base::{Footprint, Key, KeyRange, KeySet, Record};
use rustc_hash::{FxHashMap, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

/// The state that any deterministic machine could have, as far as footprints tell: every written
/// key has a value made from the record's name and from the values that the record reads. Two
/// replicas whose shadows are equal have executed the same writes in the same order for each key,
/// what was overridden left out.
///
/// Kept as segments, if the run has key ranges: each key from a start on has the value of that
/// start, up to the next one. Else key by key.
#[derive(Clone, Debug)]
pub(crate) struct Shadow {
    state: State,
    digest: u64,
}

#[derive(Clone, Debug)]
enum State {
    Points(FxHashMap<Key, u64>),
    Segments(BTreeMap<Key, u64>),
}

impl Shadow {
    /// The state before anything was written, for a run with key ranges or without.
    pub(crate) fn new(ranges: bool) -> Shadow {
        let state = match ranges {
            true => State::Segments(BTreeMap::new()),
            false => State::Points(FxHashMap::default()),
        };
        Shadow { state, digest: 0 }
    }

    /// Executes a record; returns what it would return, as a digest.
    pub(crate) fn execute(&mut self, record: &Record) -> u64 {
        let Some(command) = record.command() else { return 0 };
        let Footprint { reads, writes } = &command.footprint;
        let mut hasher = FxHasher::default();
        match &self.state {
            State::Points(values) => {
                let value = |key| values.get(key).copied().unwrap_or_default();
                reads.points().iter().map(value).for_each(|value| value.hash(&mut hasher));
            }
            State::Segments(segments) => read(segments, reads, &mut hasher),
        }
        let result = hasher.finish();
        (record.lsn, record.author).hash(&mut hasher);
        // Zero stands for a key that was never written.
        let value = hasher.finish() | 1;
        match &mut self.state {
            State::Points(values) => {
                for key in writes.points() {
                    let before = values.insert(key.clone(), value);
                    let before = before.map_or(0, |before| fold(key, before));
                    self.digest ^= before ^ fold(key, value);
                }
            }
            State::Segments(_) => {
                for (start, end) in spans(writes) {
                    self.write(start, end, value);
                }
            }
        }
        result
    }

    /// A digest of the whole state.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    fn write(&mut self, start: Key, end: Option<Key>, value: u64) {
        let State::Segments(segments) = &mut self.state else { return };
        let after = end.as_ref().map(|end| (end.clone(), value_at(segments, end)));
        let to = end.map_or(Bound::Unbounded, Bound::Excluded);
        let gone: Vec<Key> = segments
            .range((Bound::Included(start.clone()), to))
            .map(|(key, _)| key.clone())
            .collect();
        let mut set = |start: Key, value: Option<u64>| {
            self.digest ^= value.map_or(0, |value| fold(&start, value));
            let before = match value {
                Some(value) => segments.insert(start.clone(), value),
                None => segments.remove(&start),
            };
            self.digest ^= before.map_or(0, |before| fold(&start, before));
        };
        gone.into_iter().for_each(|key| set(key, None));
        set(start, Some(value));
        // Values that were written differ from each other, so neighbours need not be joined.
        if let Some((end, after)) = after {
            set(end, Some(after));
        }
    }
}

fn read(segments: &BTreeMap<Key, u64>, keys: &KeySet, hasher: &mut FxHasher) {
    for (start, end) in spans(keys) {
        value_at(segments, &start).hash(hasher);
        let to = end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        for (at, value) in segments.range::<Key, _>((Bound::Excluded(&start), to)) {
            (at, value).hash(hasher);
        }
    }
}

fn value_at(segments: &BTreeMap<Key, u64>, key: &Key) -> u64 {
    segments.range(..=key.clone()).next_back().map_or(0, |(_, value)| *value)
}

/// What a key's value adds to the digest.
fn fold(key: &Key, value: u64) -> u64 {
    let mut hasher = FxHasher::default();
    (key, value).hash(&mut hasher);
    crate::sim::weather::mix(hasher.finish())
}

/// The keys of a set as ranges, in order.
fn spans(keys: &KeySet) -> impl Iterator<Item = (Key, Option<Key>)> + '_ {
    let point = |key: &Key| {
        let next: Vec<u8> = key.iter().copied().chain([0]).collect();
        (key.clone(), Some(Key::from(next)))
    };
    let range = |range: &KeyRange| (range.start.clone(), range.end.clone());
    keys.points().iter().map(point).chain(keys.ranges().iter().map(range))
}

#[cfg(test)]
mod tests {
    use super::super::forge::{id, write};
    use super::*;
    use crate::base::{Command, LeaderId, Lsn, Payload};

    fn record(lsn: u64, footprint: Footprint) -> Record {
        let command = Command { footprint, body: Key::new() };
        Record::bare(Lsn(lsn), LeaderId::new(1, 1), Payload::Command(command))
    }

    fn range(from: &'static str, to: &'static str) -> KeySet {
        KeySet::from_parts([], [KeyRange::new(from, to)])
    }

    #[test]
    fn writes_that_commute_commute_here_and_others_do_not() {
        let run = |order: [Record; 2]| {
            let mut shadow = Shadow::new(true);
            for record in &order {
                shadow.execute(record);
            }
            shadow.digest()
        };
        let a = || record(0, Footprint::write(range("a", "c")));
        let b = || record(1, Footprint::write(range("c", "e")));
        let both = || record(2, Footprint::update(range("b", "d")));
        assert_eq!(run([a(), b()]), run([b(), a()]));
        assert_ne!(run([a(), both()]), run([both(), a()]));
    }

    #[test]
    fn what_is_written_over_leaves_no_trace() {
        let mut with = Shadow::new(true);
        with.execute(&record(0, Footprint::write(range("b", "d"))));
        with.execute(&record(1, Footprint::write(range("a", "e"))));
        let mut without = Shadow::new(true);
        without.execute(&record(1, Footprint::write(range("a", "e"))));
        assert_eq!(with.digest(), without.digest());
    }

    #[test]
    fn a_result_tells_what_was_read() {
        for ranges in [false, true] {
            let read = record(9, Footprint::read(KeySet::point("a")));
            let mut shadow = Shadow::new(ranges);
            let empty = shadow.execute(&read);
            shadow.execute(&write(1, id(1, 1), "b", &[]));
            assert_eq!(shadow.execute(&read), empty);
            shadow.execute(&write(2, id(1, 1), "a", &[]));
            assert_ne!(shadow.execute(&read), empty);
        }
    }
}
