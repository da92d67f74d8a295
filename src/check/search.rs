//! Breadth-first search of all states that can be reached: what it finds first is shortest.
//!
//! Of a state that was looked at only a fingerprint of 64 bits is kept, with the state that it was
//! first reached from and which of its steps led here: 20 bytes. With ten million states, the
//! chance that two of them share a fingerprint, so that one is passed over, is three in a million.
//!
//! The search is cut into chunks, which may be looked at by several threads at once. What is found
//! does not depend on how many there are: chunks are taken in order, and filtered by what was known
//! before the first of a batch.

use hashbrown::HashTable;
use rustc_hash::FxHashSet;
use std::sync::OnceLock;

/// How many states a chunk has.
const CHUNK: usize = 1 << 11;
/// How many chunks a batch has at most.
const BATCH: usize = 1 << 4;

/// What can happen, from what.
pub trait Space: Sync {
    /// One state. It may be small: a space that keeps the parts of states elsewhere is quick.
    type State: Clone + Send + Sync;

    /// The first one, with its fingerprint.
    fn first(&self) -> (u64, Self::State);

    /// All steps from `state`, in an order that depends on nothing else.
    fn steps(&self, state: &Self::State, take: &mut dyn FnMut(Step<'_, Self::State>));
}

/// A step to a state.
pub struct Step<'a, S> {
    /// Equal for equal states, and only for those but for chance.
    pub fingerprint: u64,
    /// What it shows of the things that should be reached some time: a bit each.
    pub shows: u64,
    /// What does not hold there.
    pub wrong: Option<String>,
    /// Makes the state; called if it is new.
    pub state: &'a dyn Fn() -> S,
}

/// Calls a function with each number below the first argument: in any order, or at once.
pub type ForEach<'a> = dyn Fn(usize, &(dyn Fn(usize) + Sync)) + 'a;

/// One after the other.
pub fn one_by_one(count: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..count).for_each(work);
}

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Distinct states.
    pub states: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// The most steps that lie between the first state and one that was found.
    pub depth: u32,
    /// Whether there are no other states.
    pub whole: bool,
    /// What was shown by some step.
    pub shown: u64,
    /// The first thing that does not hold.
    pub wrong: Option<Wrong>,
}

/// Something does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What.
    pub what: String,
    /// Which step was taken from each state, from the first one on.
    pub path: Vec<u32>,
}

/// What one chunk leads to.
#[derive(Default)]
struct Found<S> {
    steps: u64,
    shown: u64,
    news: Vec<New<S>>,
}

struct New<S> {
    fingerprint: u64,
    parent: u32,
    nth: u32,
    wrong: Option<String>,
    state: Option<S>,
}

/// Everything that was reached.
#[derive(Default)]
struct Known {
    fingerprints: Vec<u64>,
    parents: Vec<(u32, u32)>,
    table: HashTable<u32>,
}

impl Known {
    fn has(&self, fingerprint: u64) -> bool {
        let same = |at: &u32| self.fingerprints[*at as usize] == fingerprint;
        self.table.find(fingerprint, same).is_some()
    }

    /// Says which number it has, if it is new.
    fn insert(&mut self, fingerprint: u64, parent: u32, nth: u32) -> Option<u32> {
        if self.has(fingerprint) {
            return None;
        }
        let at = self.fingerprints.len() as u32;
        self.fingerprints.push(fingerprint);
        self.parents.push((parent, nth));
        let fingerprints = &self.fingerprints;
        self.table.insert_unique(fingerprint, at, |at| fingerprints[*at as usize]);
        Some(at)
    }

    fn path(&self, mut at: u32, last: u32) -> Vec<u32> {
        let mut path = vec![last];
        while at != 0 {
            let (parent, nth) = self.parents[at as usize];
            path.push(nth);
            at = parent;
        }
        path.reverse();
        path
    }
}

/// Looks at states until all are known, or `states_max` are, or one step is wrong. `at_depth` is
/// told of each depth that is done.
pub fn search<S: Space>(
    space: &S,
    states_max: u64,
    each: &ForEach<'_>,
    at_depth: &dyn Fn(&Report),
) -> Report {
    let mut known = Known::default();
    let (fingerprint, first) = space.first();
    known.insert(fingerprint, 0, 0);
    let mut report = Report { states: 1, ..Report::default() };
    let mut level = vec![(0_u32, first)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for batch in level.chunks(CHUNK * BATCH) {
            for found in look(space, &known, batch, each) {
                report.steps += found.steps;
                report.shown |= found.shown;
                for new in found.news {
                    if let Some(what) = new.wrong {
                        let path = known.path(new.parent, new.nth);
                        report.depth += 1;
                        report.wrong = Some(Wrong { what, path });
                        return report;
                    }
                    if report.states == states_max {
                        return report;
                    }
                    let at = known.insert(new.fingerprint, new.parent, new.nth);
                    if let (Some(at), Some(state)) = (at, new.state) {
                        report.states += 1;
                        next.push((at, state));
                    }
                }
            }
        }
        level = next;
        report.depth += u32::from(!level.is_empty());
        at_depth(&report);
    }
    report.whole = true;
    report
}

/// What the states of a batch lead to, chunk by chunk.
fn look<S: Space>(
    space: &S,
    known: &Known,
    batch: &[(u32, S::State)],
    each: &ForEach<'_>,
) -> Vec<Found<S::State>> {
    let chunks: Vec<&[(u32, S::State)]> = batch.chunks(CHUNK).collect();
    let all: Vec<OnceLock<Found<S::State>>> = chunks.iter().map(|_| OnceLock::new()).collect();
    each(chunks.len(), &|nth| {
        // Whoever calls twice gets what was found at first.
        all[nth].get_or_init(|| look_at(space, known, chunks[nth]));
    });
    all.into_iter().filter_map(OnceLock::into_inner).collect()
}

fn look_at<S: Space>(space: &S, known: &Known, chunk: &[(u32, S::State)]) -> Found<S::State> {
    let mut found = Found { steps: 0, shown: 0, news: Vec::new() };
    let mut here = FxHashSet::default();
    for (parent, state) in chunk {
        let mut nth = 0;
        space.steps(state, &mut |step| {
            found.steps += 1;
            found.shown |= step.shows;
            let new = !known.has(step.fingerprint) && here.insert(step.fingerprint);
            if new || step.wrong.is_some() {
                found.news.push(New {
                    fingerprint: step.fingerprint,
                    parent: *parent,
                    nth,
                    state: step.wrong.is_none().then(|| (step.state)()),
                    wrong: step.wrong,
                });
            }
            nth += 1;
        });
    }
    found
}

/// The states along a path, the first one included.
pub fn walk<S: Space>(space: &S, path: &[u32]) -> Vec<S::State> {
    let mut states = vec![space.first().1];
    for wanted in path {
        let (mut nth, mut found) = (0, None);
        if let Some(state) = states.last() {
            space.steps(state, &mut |step| {
                if nth == *wanted {
                    found = Some((step.state)());
                }
                nth += 1;
            });
        }
        states.extend(found);
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A walk on a grid: right, up, or back to the corner.
    struct Grid(u64);

    impl Space for Grid {
        type State = (u64, u64);

        fn first(&self) -> (u64, (u64, u64)) {
            (0, (0, 0))
        }

        fn steps(&self, (x, y): &(u64, u64), take: &mut dyn FnMut(Step<'_, (u64, u64)>)) {
            for (x, y) in [(x + 1, *y), (*x, y + 1), (0, 0)] {
                if x < self.0 && y < self.0 {
                    take(Step {
                        fingerprint: x * self.0 + y,
                        shows: 1 << (x + y).min(63),
                        wrong: (x * y == 42).then(|| format!("{x} times {y}")),
                        state: &|| (x, y),
                    });
                }
            }
        }
    }

    fn backwards(count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).rev().for_each(work);
    }

    #[test]
    fn all_states_are_found_and_no_other() {
        let report = search(&Grid(6), u64::MAX, &one_by_one, &|_| {});
        assert_eq!((report.states, report.depth, report.whole), (36, 10, true));
        assert_eq!(report.shown, 0b111_1111_1111);
        assert_eq!(report.steps, 36 + 30 + 30);
        assert_eq!(report, search(&Grid(6), u64::MAX, &backwards, &|_| {}));
    }

    #[test]
    fn what_is_found_first_is_shortest_and_can_be_walked() {
        let report = search(&Grid(200), u64::MAX, &one_by_one, &|_| {});
        let wrong = report.wrong.expect("42 is a product");
        assert_eq!((wrong.path.len(), report.depth), (13, 13));
        let states = walk(&Grid(200), &wrong.path);
        let distinct: BTreeSet<_> = states.iter().collect();
        assert_eq!(distinct.len(), 14);
        assert!(states.last().is_some_and(|(x, y)| x * y == 42));
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let report = search(&Grid(5), 7, &one_by_one, &|_| {});
        assert_eq!((report.states, report.whole), (7, false));
    }
}
