//! The search for an order that explains all answers of one object.
//!
//! A configuration is what has taken effect and the state that it led to. From one to the next goes
//! an event that may come first of those that are left: one that was called before any of them
//! ended. Three things keep the search short, and none of them loses an order:
//!
//! - An event that fits and never changes anything is taken at once: any order of the rest has room
//!   for it in front.
//! - A configuration is looked at once. What is known to have taken effect is a prefix by the time
//!   of the call and a few more, so that it is short.
//! - Events of unknown end come last. Where some of them led nowhere, more of them lead nowhere: if
//!   those taken are a superset of what was tried, with all else equal, the rest could do no more
//!   than before. A list leads to the longest that was read of it, or nowhere. And on a single key
//!   one is only taken right in front of what needs it: a write behind it would hide it, and a
//!   read that fits before it is taken before it.

use super::object::{Object, Place, State, Values};
use super::{Anomaly, Event};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

/// How many events an [`Anomaly`] shows of each kind.
const SHOWN_MAX: usize = 8;

/// A set of small numbers, without zeros at its end.
type Bits = SmallVec<[u64; 2]>;

pub(super) struct Found {
    pub(super) steps: u64,
    pub(super) end: End,
}

pub(super) enum End {
    Explained,
    GaveUp,
    Stuck(Stuck),
}

/// The longest order found, and what did not fit behind it.
#[derive(Default)]
pub(super) struct Stuck {
    state: State,
    length: usize,
    /// Events, by their number in the history.
    last: Vec<usize>,
    next: Vec<usize>,
}

impl Stuck {
    pub(super) fn anomaly(self, object: &Object, values: &Values, events: &[Event]) -> Anomaly {
        let of = |numbers: &[usize]| numbers.iter().map(|at| events[*at].clone()).collect();
        Anomaly {
            keys: object.keys.clone(),
            explained: of(&self.last),
            length: self.length,
            state: self.state.iter().map(|id| values.value(*id).cloned()).collect(),
            stuck: of(&self.next),
        }
    }
}

/// As long as the longest value of a list is still to be read, each one before is its beginning.
fn leads_on(object: &Object, here: &Configuration, after: &State, values: &Values) -> bool {
    let Some((last, longest)) = &object.list else { return true };
    let is_read = *last < here.base || contains(&here.above, last - here.base);
    is_read || values.value(after[0]).is_none_or(|value| longest.starts_with(value))
}

fn contains(bits: &Bits, at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn insert(bits: &mut Bits, at: usize) {
    if bits.len() <= at / 64 {
        bits.resize(at / 64 + 1, 0);
    }
    bits[at / 64] |= 1 << (at % 64);
}

fn is_subset(small: &Bits, large: &Bits) -> bool {
    let word = |at| large.get(at).copied().unwrap_or(0);
    small.iter().enumerate().all(|(at, bits)| bits & !word(at) == 0)
}

#[derive(Clone)]
struct Configuration {
    /// All known events below it have taken effect.
    base: usize,
    /// The known events at and above the base that have.
    above: Bits,
    /// The events of unknown end that have.
    used: Bits,
    state: State,
    /// How many known events have.
    taken: usize,
}

impl Configuration {
    fn take_known(&mut self, at: usize) {
        insert(&mut self.above, at - self.base);
        self.taken += 1;
        let ones: usize = {
            let whole = self.above.iter().take_while(|word| **word == u64::MAX).count();
            let rest = self.above.get(whole).map_or(0, |word| word.trailing_ones() as usize);
            whole * 64 + rest
        };
        if ones == 0 {
            return;
        }
        self.base += ones;
        let (words, bits) = (ones / 64, ones % 64);
        self.above.drain(..words.min(self.above.len()));
        if bits > 0 {
            for at in 0..self.above.len() {
                let carried = self.above.get(at + 1).map_or(0, |word| word << (64 - bits));
                self.above[at] = self.above[at] >> bits | carried;
            }
        }
        while self.above.last() == Some(&0) {
            self.above.pop();
        }
    }
}

/// What may come next.
#[derive(Clone, Copy)]
enum Next {
    Known(usize),
    Unknown(usize),
}

struct Frame {
    from: Configuration,
    /// Taken from the end.
    choices: SmallVec<[(Next, State); 2]>,
    /// How long the order was.
    length: usize,
}

struct Search<'a> {
    object: &'a Object,
    values: &'a mut Values,
    /// What was looked at: with all else equal, these sets of events of unknown end.
    seen: FxHashMap<(usize, Bits, State), SmallVec<[Bits; 1]>>,
    /// Where there may be another way, the last one on top.
    frames: Vec<Frame>,
    /// The order so far: events by their number in the history.
    order: Vec<usize>,
    stuck: Stuck,
}

/// Searches for an order. Gives up after so many configurations.
pub(super) fn search(object: &Object, values: &mut Values, steps_max: u64) -> Found {
    let start = Configuration {
        base: 0,
        above: Bits::new(),
        used: Bits::new(),
        state: smallvec![super::object::ABSENT; object.keys.len()],
        taken: 0,
    };
    let (seen, frames, order) = Default::default();
    let mut search = Search { object, values, seen, frames, order, stuck: Stuck::default() };
    let mut steps = 1;
    let mut next = Some(start);
    loop {
        if let Some(configuration) = next.take() {
            if steps > steps_max {
                return Found { steps, end: End::GaveUp };
            }
            if search.enter(configuration) {
                return Found { steps, end: End::Explained };
            }
        }
        let Some(frame) = search.frames.last_mut() else {
            return Found { steps, end: End::Stuck(search.stuck) };
        };
        search.order.truncate(frame.length);
        match frame.choices.pop() {
            None => drop(search.frames.pop()),
            Some((choice, state)) => {
                steps += 1;
                let from = frame.from.clone();
                next = Some(search.go(from, choice, state));
            }
        }
    }
}

impl Search<'_> {
    fn go(&mut self, mut to: Configuration, choice: Next, state: State) -> Configuration {
        to.state = state;
        match choice {
            Next::Known(at) => {
                to.take_known(at);
                self.order.push(self.object.known[at].event);
            }
            Next::Unknown(at) => {
                insert(&mut to.used, at);
                self.order.push(self.object.unknown[at].event);
            }
        }
        to
    }

    /// Looks at a configuration, unless that was done before. Says whether it explains everything.
    fn enter(&mut self, mut here: Configuration) -> bool {
        let mut first = self.may_be_first(&here);
        // What fits and never changes anything.
        while let Some(at) = self.free(&here, &first) {
            here.take_known(at);
            self.order.push(self.object.known[at].event);
            first = self.may_be_first(&here);
        }
        if here.taken == self.object.known.len() {
            return true;
        }
        let key = (here.base, here.above.clone(), here.state.clone());
        let tried = self.seen.entry(key).or_default();
        if tried.iter().any(|used| is_subset(used, &here.used)) {
            return false;
        }
        tried.retain(|used| !is_subset(&here.used, used));
        tried.push(here.used.clone());
        let choices = self.choices(&here, &first);
        if choices.is_empty() && (here.taken >= self.stuck.length || self.stuck.next.is_empty()) {
            self.stuck_at(&here, &first);
        }
        self.frames.push(Frame { from: here, choices, length: self.order.len() });
        false
    }

    /// Known events that were called before any that is left ended, and when the first one ends.
    fn may_be_first(&self, here: &Configuration) -> (SmallVec<[usize; 8]>, u64) {
        let mut end = u64::MAX;
        let mut open: SmallVec<[usize; 8]> = SmallVec::new();
        for (above, place) in self.object.known[here.base..].iter().enumerate() {
            if place.call > end {
                break;
            }
            if !contains(&here.above, above) {
                end = end.min(place.end);
                open.push(here.base + above);
            }
        }
        open.retain(|at| self.object.known[*at].call <= end);
        (open, end)
    }

    fn free(&mut self, here: &Configuration, first: &(SmallVec<[usize; 8]>, u64)) -> Option<usize> {
        let Search { object, values, .. } = self;
        let mut fits = |at: &usize| {
            let place: &Place = &object.known[*at];
            place.only_reads() && place.step(&here.state, values).is_some()
        };
        first.0.iter().copied().find(|at| fits(at))
    }

    fn choices(
        &mut self,
        here: &Configuration,
        (first, end): &(SmallVec<[usize; 8]>, u64),
    ) -> SmallVec<[(Next, State); 2]> {
        let Search { object, values, .. } = self;
        let mut choices: SmallVec<[(Next, State); 2]> = SmallVec::new();
        // Those of unknown end first, as the last to be tried.
        for (at, place) in object.unknown.iter().enumerate().rev() {
            let is_later = place.twin.is_some_and(|twin| !contains(&here.used, twin));
            if place.call > *end || contains(&here.used, at) || is_later {
                continue;
            }
            let after = place.step(&here.state, values).filter(|after| *after != here.state);
            let Some(after) = after.filter(|after| leads_on(object, here, after, values)) else {
                continue;
            };
            let needs = |place: &Place, values: &mut Values| {
                place.transforms()
                    || place.step(&here.state, values).is_none()
                        && place.step(&after, values).is_some()
            };
            let is_open = |(other, place): &(usize, &Place)| {
                *other != at && place.call <= *end && !contains(&here.used, *other)
            };
            let mut unknown = object.unknown.iter().enumerate().filter(is_open);
            if object.keys.len() > 1
                || first.iter().any(|at| needs(&object.known[*at], values))
                || unknown.any(|(_, place)| place.transforms())
            {
                choices.push((Next::Unknown(at), after));
            }
        }
        let unknown = choices.len();
        for at in first {
            let after = object.known[*at].step(&here.state, values);
            let after = after.filter(|after| leads_on(object, here, after, values));
            choices.extend(after.map(|after| (Next::Known(*at), after)));
        }
        // The one that ends first is tried first: it has the least room.
        choices[unknown..].sort_by_key(|(choice, _)| match choice {
            Next::Known(at) => u64::MAX - object.known[*at].end,
            Next::Unknown(_) => 0,
        });
        choices
    }

    fn stuck_at(&mut self, here: &Configuration, first: &(SmallVec<[usize; 8]>, u64)) {
        let events = first.0.iter().map(|at| self.object.known[*at].event);
        self.stuck = Stuck {
            state: here.state.clone(),
            length: here.taken,
            last: self.order[self.order.len().saturating_sub(SHOWN_MAX)..].to_vec(),
            next: events.take(SHOWN_MAX).collect(),
        };
    }
}
