//! Keys that belong together, with their events; values and keys as small numbers.

mod ends;

use super::{Action, Answer, Event};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// A value: its number in [`Values`]. Equal values have equal numbers.
pub(super) type ValueId = u32;

/// No value.
pub(super) const ABSENT: ValueId = 0;

/// The values of the keys of an object, in their order.
pub(super) type State = SmallVec<[ValueId; 2]>;

/// Every value met, each once.
#[derive(Debug)]
pub(super) struct Values {
    all: Vec<Bytes>,
    numbers: FxHashMap<Bytes, ValueId>,
}

impl Values {
    fn new() -> Values {
        Values { all: vec![Bytes::new()], numbers: FxHashMap::default() }
    }

    fn number(&mut self, value: Bytes) -> ValueId {
        let Values { all, numbers } = self;
        *numbers.entry(value).or_insert_with_key(|value| {
            all.push(value.clone());
            (all.len() - 1) as ValueId
        })
    }

    /// A number for a value that is equal to no other one.
    fn unnamed(&mut self, shown: Bytes) -> ValueId {
        self.all.push(shown);
        (self.all.len() - 1) as ValueId
    }

    fn optional(&mut self, value: Option<&Bytes>) -> ValueId {
        value.map_or(ABSENT, |value| self.number(value.clone()))
    }

    pub(super) fn value(&self, id: ValueId) -> Option<&Bytes> {
        (id != ABSENT).then(|| &self.all[id as usize])
    }
}

/// An operation on the keys of its object, with the answer it gave.
#[derive(Debug, PartialEq)]
enum Step {
    Get(SmallVec<[(usize, ValueId); 1]>),
    Write(SmallVec<[(usize, ValueId); 1]>),
    Cas { key: usize, expect: ValueId, value: ValueId, swapped: Option<bool> },
    Append { key: usize, suffix: Bytes, length: Option<u64> },
    Increment { key: usize, by: i64, sum: Option<i64> },
}

/// An event of an object.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) call: u64,
    /// `u64::MAX` if no answer came.
    pub(super) end: u64,
    /// Which event of the history.
    pub(super) event: usize,
    step: Step,
    /// Of two that do the same and whose end is unknown, the earlier one goes first: this one.
    pub(super) twin: Option<usize>,
}

/// Keys that some events touch together, and all events that touch them.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) keys: Vec<Bytes>,
    /// Those with an answer, by the time of their call.
    pub(super) known: Vec<Place>,
    /// Those without one that may have changed something, by the time of their call.
    pub(super) unknown: Vec<Place>,
    /// How many events had no answer.
    pub(super) unanswered: usize,
    /// If it is a list: which known event was told the longest value, and that.
    pub(super) list: Option<(usize, Bytes)>,
}

impl Object {
    pub(super) fn events(&self) -> usize {
        self.known.len() + self.unknown.len()
    }
}

impl Place {
    /// Whether it changes no state, whatever that is.
    pub(super) fn only_reads(&self) -> bool {
        match &self.step {
            Step::Get(_) => true,
            Step::Cas { expect, value, swapped, .. } => *swapped == Some(false) || expect == value,
            Step::Write(_) | Step::Append { .. } | Step::Increment { .. } => false,
        }
    }

    /// Whether what it leaves depends on what was there, or might.
    pub(super) fn transforms(&self) -> bool {
        matches!(self.step, Step::Cas { .. } | Step::Append { .. } | Step::Increment { .. })
    }

    /// The state after it, if it may take effect now with the answer that it gave.
    pub(super) fn step(&self, state: &State, values: &mut Values) -> Option<State> {
        let set = |key: usize, value: ValueId| {
            let mut after = state.clone();
            after[key] = value;
            after
        };
        match &self.step {
            Step::Get(reads) => {
                reads.iter().all(|(key, value)| state[*key] == *value).then(|| state.clone())
            }
            Step::Write(writes) => {
                let mut after = state.clone();
                writes.iter().for_each(|(key, value)| after[*key] = *value);
                Some(after)
            }
            Step::Cas { key, expect, value, swapped } => {
                let swaps = state[*key] == *expect;
                let after = || if swaps { set(*key, *value) } else { state.clone() };
                swapped.is_none_or(|said| said == swaps).then(after)
            }
            Step::Append { key, suffix, length } => {
                let old = values.value(state[*key]).map_or(&[][..], |value| value);
                let new = [old, suffix].concat();
                if length.is_some_and(|length| length != new.len() as u64) {
                    return None;
                }
                Some(set(*key, values.number(new.into())))
            }
            Step::Increment { key, by, sum } => {
                let new = number(values.value(state[*key])).and_then(|n| n.checked_add(*by));
                if sum.is_some() && *sum != new {
                    return None;
                }
                Some(match new {
                    Some(new) => set(*key, values.number(new.to_string().into())),
                    None => state.clone(),
                })
            }
        }
    }
}

fn number(value: Option<&Bytes>) -> Option<i64> {
    value.map_or(Some(0), |value| str::from_utf8(value).ok()?.parse().ok())
}

/// The objects of a history, in order of their least key, each with the values of its events.
/// Events that were refused, and those that read and got no answer, say nothing and are left out.
pub(super) fn objects(events: &[Event]) -> Vec<(Object, Values)> {
    let says = |event: &Event| match &event.end {
        Some((_, answer)) => *answer != Answer::Refused,
        None => !matches!(event.action, Action::Get(_)),
    };
    let mut groups = Groups::default();
    for event in events.iter().filter(|event| says(event)) {
        groups.join(&event.action.keys());
    }
    let (objects, keys) = groups.objects();
    let begin = |keys| (Object { keys, ..Object::default() }, Values::new());
    let mut found: Vec<(Object, Values)> = keys.into_iter().map(begin).collect();
    for (at, event) in events.iter().enumerate().filter(|(_, event)| says(event)) {
        let Some(key) = event.action.keys().first().copied() else { continue };
        let (object, values) = &mut found[objects[key]];
        let step = compile(event, &object.keys, values);
        let end = event.end.as_ref().map_or(u64::MAX, |(end, _)| (*end).max(event.call));
        let place = Place { call: event.call, end, event: at, step, twin: None };
        match event.end {
            Some(_) => object.known.push(place),
            None => object.unknown.push(place),
        }
    }
    for (object, values) in &mut found {
        object.unanswered = object.unknown.len();
        object.end_what_was_read();
        object.forget_untold(values);
        object.known.sort_by_key(|place| (place.call, place.end, place.event));
        object.unknown.sort_by_key(|place| (place.call, place.event));
        for at in 0..object.unknown.len() {
            let (earlier, this) = (&object.unknown[..at], &object.unknown[at]);
            let twin = earlier.iter().rposition(|other| other.step == this.step);
            object.unknown[at].twin = twin;
        }
        object.note_list(values);
    }
    found
}

fn compile(event: &Event, keys: &[Bytes], values: &mut Values) -> Step {
    // Both the keys of an object and those of its events come from the same events.
    let at = |key: &Bytes| keys.binary_search(key).unwrap_or_default();
    let answer = event.end.as_ref().map(|(_, answer)| answer);
    match &event.action {
        Action::Get(read) => {
            let said: &[Option<Bytes>] = match answer {
                Some(Answer::Values(said)) => said,
                _ => &[],
            };
            let pairs = read.iter().zip(said);
            Step::Get(pairs.map(|(key, said)| (at(key), values.optional(said.as_ref()))).collect())
        }
        Action::Put(pairs) => {
            let pair = |(key, value): &(Bytes, Bytes)| (at(key), values.number(value.clone()));
            Step::Write(pairs.iter().map(pair).collect())
        }
        Action::Delete(gone) => Step::Write(gone.iter().map(|key| (at(key), ABSENT)).collect()),
        Action::Cas { key, expect, value } => {
            let swapped = match answer {
                Some(Answer::Swapped(swapped)) => Some(*swapped),
                _ => None,
            };
            let expect = values.optional(expect.as_ref());
            Step::Cas { key: at(key), expect, value: values.optional(value.as_ref()), swapped }
        }
        Action::Append { key, suffix } => {
            let length = match answer {
                Some(Answer::Length(length)) => Some(*length),
                _ => None,
            };
            Step::Append { key: at(key), suffix: suffix.clone(), length }
        }
        Action::Increment { key, by } => {
            let sum = match answer {
                Some(Answer::Number(sum)) => Some(*sum),
                _ => None,
            };
            Step::Increment { key: at(key), by: *by, sum }
        }
    }
}

/// Which keys belong together.
#[derive(Debug, Default)]
struct Groups {
    keys: BTreeMap<Bytes, usize>,
    /// A number leads to another of its group, or to itself.
    up: Vec<usize>,
}

impl Groups {
    fn number(&mut self, key: &Bytes) -> usize {
        if let Some(number) = self.keys.get(key) {
            return *number;
        }
        self.up.push(self.up.len());
        self.keys.insert(key.clone(), self.up.len() - 1);
        self.up.len() - 1
    }

    fn top(&self, mut number: usize) -> usize {
        while self.up[number] != number {
            number = self.up[number];
        }
        number
    }

    /// These keys belong together.
    fn join(&mut self, keys: &[&Bytes]) {
        let numbers: Vec<usize> = keys.iter().map(|key| self.number(key)).collect();
        for pair in numbers.windows(2) {
            let (one, other) = (self.top(pair[0]), self.top(pair[1]));
            self.up[one.max(other)] = one.min(other);
        }
    }

    /// The object of each key, and the keys of each object.
    fn objects(self) -> (BTreeMap<Bytes, usize>, Vec<Vec<Bytes>>) {
        let mut grouped: Vec<Vec<Bytes>> = Vec::new();
        let mut of_group: Vec<Option<usize>> = vec![None; self.up.len()];
        let mut objects = BTreeMap::new();
        for (key, number) in &self.keys {
            let object = *of_group[self.top(*number)].get_or_insert_with(|| {
                grouped.push(Vec::new());
                grouped.len() - 1
            });
            grouped[object].push(key.clone());
            objects.insert(key.clone(), object);
        }
        (objects, grouped)
    }
}
