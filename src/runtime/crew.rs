//! Several workers that execute what does not interfere at the same time.
//!
//! ```text
//!   given out    chain  chain  chain ...      a command, and those that come after it, in order
//!                  |      |                   which worker gets a chain is decided when it is idle
//!   worker 0     [chain chain] + behind       what follows a worker's chain goes there
//!   worker 1     [chain] + behind
//! ```
//!
//! Commands that are out at one time interfere only along a chain, and a chain is with one worker.
//! Reads may interfere with any command: they run when no command does, among themselves at the
//! same time. Whatever needs the machine itself, as a snapshot that takes the state's place, runs
//! when nothing else does; what is given out after it waits.

use super::execute::{Hand, Step};
use crate::base::Lsn;
use crate::disk::Disk;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// The most commands that a worker gets at once: so the others have some too, and what has to wait
/// until nobody works does not wait long.
const SHARE_MAX: usize = 256;

/// Where a command that is not executed yet is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the chain of this number.
    Waits(u64),
    With(usize),
}

/// What is given out between two things that have the machine to themselves.
struct Epoch<D: Disk, F> {
    /// It begins with this one.
    alone: Option<Step<D, F>>,
    chains: VecDeque<Vec<Step<D, F>>>,
    /// The number of the first of them.
    first: u64,
    reads: VecDeque<Step<D, F>>,
    places: FxHashMap<Lsn, Place>,
}

impl<D: Disk, F> Epoch<D, F> {
    fn new(alone: Option<Step<D, F>>) -> Epoch<D, F> {
        Epoch {
            alone,
            chains: VecDeque::new(),
            first: 0,
            reads: VecDeque::new(),
            places: FxHashMap::default(),
        }
    }

    /// Takes a command in; gives it back, and with whom, if what it comes after is with a worker.
    fn apply(
        &mut self,
        lsn: Lsn,
        after: Option<Lsn>,
        step: Step<D, F>,
    ) -> Option<(usize, Step<D, F>)> {
        let place = after.and_then(|after| self.places.get(&after).copied());
        let place = place.unwrap_or(Place::Waits(self.first + self.chains.len() as u64));
        self.places.insert(lsn, place);
        match place {
            Place::With(worker) => Some((worker, step)),
            Place::Waits(chain) => {
                let at = (chain - self.first) as usize;
                match self.chains.get_mut(at) {
                    Some(chain) => chain.push(step),
                    None => self.chains.push_back(vec![step]),
                }
                None
            }
        }
    }

    /// Takes chains for a worker until that is `share` of what waits.
    fn take(&mut self, worker: usize, share: usize, steps: &mut Vec<Step<D, F>>) {
        for _ in 0..share.min(self.chains.len()) {
            if steps.len() >= SHARE_MAX {
                break;
            }
            let Some(chain) = self.chains.pop_front() else { break };
            self.first += 1;
            for step in &chain {
                if let Step::Apply { lsn, .. } = step {
                    self.places.insert(*lsn, Place::With(worker));
                }
            }
            steps.extend(chain);
        }
    }

    fn is_empty(&self) -> bool {
        self.alone.is_none() && self.places.is_empty() && self.reads.is_empty()
    }
}

/// Who is to do what, and with which hand.
type Share<D, F> = (usize, Option<Hand>, Vec<Step<D, F>>);

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    No,
    Commands,
    Reads,
    /// What has the machine to itself; and whether it is a snapshot that takes the state's place.
    Alone {
        restores: bool,
    },
}

/// The workers, and what is to be done.
pub(super) struct Crew<D: Disk, F> {
    /// Each worker's own handle to the machine.
    hands: Vec<Hand>,
    busy: Vec<Busy>,
    /// What follows, in order, what each is doing.
    behind: Vec<Vec<Step<D, F>>>,
    /// Never empty. Only the first one is worked on.
    epochs: VecDeque<Epoch<D, F>>,
}

impl<D: Disk, F> Crew<D, F> {
    pub(super) fn new(hands: Vec<Hand>) -> Crew<D, F> {
        Crew {
            busy: vec![Busy::No; hands.len()],
            behind: hands.iter().map(|_| Vec::new()).collect(),
            hands,
            epochs: VecDeque::from([Epoch::new(None)]),
        }
    }

    fn newest(&mut self) -> &mut Epoch<D, F> {
        let last = self.epochs.len() - 1;
        &mut self.epochs[last]
    }

    pub(super) fn apply(&mut self, lsn: Lsn, after: Option<Lsn>, step: Step<D, F>) {
        if let Some((worker, step)) = self.newest().apply(lsn, after, step) {
            self.behind[worker].push(step);
        }
    }

    pub(super) fn read(&mut self, number: u64, body: Bytes) {
        self.newest().reads.push_back(Step::Read { number, body });
    }

    /// Takes what has the machine to itself: it comes after everything that was given out before,
    /// and before everything that is given out after it.
    pub(super) fn alone(&mut self, step: Step<D, F>) {
        self.epochs.push_back(Epoch::new(Some(step)));
    }

    /// Whether a snapshot waits to take the state's place.
    pub(super) fn is_restoring(&self) -> bool {
        let waits = |epoch: &Epoch<D, F>| matches!(epoch.alone, Some(Step::Restore(_)));
        self.busy.contains(&Busy::Alone { restores: true }) || self.epochs.iter().any(waits)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.iter().all(|busy| *busy == Busy::No)
    }

    /// What the workers that have nothing to do are to do; without a hand, on the machine itself.
    pub(super) fn depart(&mut self) -> Vec<Share<D, F>> {
        let mut departing = Vec::new();
        if self.is_idle() && self.epochs.len() > 1 && self.epochs[0].is_empty() {
            self.epochs.pop_front();
        }
        if self.epochs[0].alone.is_some() {
            if self.is_idle()
                && let Some(step) = self.epochs[0].alone.take()
            {
                self.busy[0] = Busy::Alone { restores: matches!(step, Step::Restore(_)) };
                departing.push((0, None, vec![step]));
            }
            return departing;
        }
        let reads = !self.epochs[0].reads.is_empty();
        let kind = if reads { Busy::Reads } else { Busy::Commands };
        if self.busy.iter().any(|busy| *busy != Busy::No && *busy != kind) {
            return departing;
        }
        for worker in 0..self.hands.len() {
            if self.busy[worker] != Busy::No {
                continue;
            }
            // One that works already has had its share.
            let workers = self.hands.len() - departing.len();
            let epoch = &mut self.epochs[0];
            let mut steps = Vec::new();
            if reads {
                let share = epoch.reads.len().div_ceil(workers).min(SHARE_MAX);
                steps.extend(epoch.reads.drain(..share));
            } else {
                steps = std::mem::take(&mut self.behind[worker]);
                epoch.take(worker, epoch.chains.len().div_ceil(workers), &mut steps);
            }
            if !steps.is_empty() {
                self.busy[worker] = kind;
                departing.push((worker, Some(self.hands[worker].clone()), steps));
            }
        }
        departing
    }

    /// A worker has done what it was given.
    pub(super) fn land(&mut self, worker: usize, applied: &[Lsn]) {
        self.busy[worker] = Busy::No;
        let epoch = &mut self.epochs[0];
        for lsn in applied {
            epoch.places.remove(lsn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Machine;
    use crate::disk::SimDisk;
    use std::collections::{BTreeMap, BTreeSet};

    struct Nothing;

    impl Machine for Nothing {
        fn apply(&mut self, _: &Bytes) -> Bytes {
            Bytes::new()
        }

        fn read(&self, _: &Bytes) -> Bytes {
            Bytes::new()
        }

        fn digest(&self) -> u64 {
            0
        }
    }

    /// splitmix64
    fn below(state: &mut u64, n: u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)) % n
    }

    /// What is out, and what was done: kept without a thought of speed.
    #[derive(Default)]
    struct Seen {
        after: BTreeMap<Lsn, Lsn>,
        given: BTreeSet<Lsn>,
        done: BTreeSet<Lsn>,
        out: Vec<(usize, Vec<Step<SimDisk, ()>>)>,
        most: usize,
        reads: usize,
    }

    impl Seen {
        /// Everything that a batch may rest on is done, or comes before it in the same one.
        fn depart(&mut self, worker: usize, steps: Vec<Step<SimDisk, ()>>) {
            assert!(self.out.iter().all(|(other, _)| *other != worker), "one at a time");
            let mut before = self.done.clone();
            for step in &steps {
                let reads = |step: &Step<SimDisk, ()>| matches!(step, Step::Read { .. });
                let kind = reads(step);
                assert!(self.out.iter().flat_map(|(_, steps)| steps).all(|s| reads(s) == kind));
                if let Step::Apply { lsn, .. } = step {
                    let after = self.after.get(lsn);
                    assert!(after.is_none_or(|after| before.contains(after)), "{lsn}");
                    assert!(self.given.insert(*lsn), "{lsn} twice");
                    before.insert(*lsn);
                }
            }
            self.out.push((worker, steps));
            self.most = self.most.max(self.out.len());
        }

        fn land(&mut self, at: usize, crew: &mut Crew<SimDisk, ()>) {
            let (worker, steps) = self.out.swap_remove(at);
            let lsn = |step: &Step<SimDisk, ()>| match step {
                Step::Apply { lsn, .. } => Some(*lsn),
                _ => None,
            };
            let applied: Vec<Lsn> = steps.iter().filter_map(lsn).collect();
            self.reads += steps.len() - applied.len();
            self.done.extend(&applied);
            crew.land(worker, &applied);
        }
    }

    #[test]
    fn each_command_runs_once_after_what_it_follows_and_never_beside_a_read() {
        for seed in 0..200 {
            let mut chance = seed;
            let workers = 2 + seed as usize % 3;
            let hands = (0..workers).map(|_| Hand::new(Box::new(Nothing))).collect();
            let mut crew: Crew<SimDisk, ()> = Crew::new(hands);
            let (mut seen, mut next, mut reads) = (Seen::default(), 0, 0);
            let step = |lsn| Step::Apply { lsn, proposal: None, body: Bytes::new() };
            for _ in 0..400 {
                match below(&mut chance, 8) {
                    0..=3 => {
                        let lsn = Lsn(next);
                        next += 1;
                        let earlier = Lsn(next.saturating_sub(2 + below(&mut chance, 6)));
                        let open = earlier < lsn && !seen.done.contains(&earlier);
                        let after = (open && below(&mut chance, 2) == 0).then_some(earlier);
                        seen.after.extend(after.map(|after| (lsn, after)));
                        crew.apply(lsn, after, step(lsn));
                    }
                    4 if below(&mut chance, 4) == 0 => {
                        crew.read(reads, Bytes::new());
                        reads += 1;
                    }
                    5 | 6 if !seen.out.is_empty() => {
                        let at = below(&mut chance, seen.out.len() as u64) as usize;
                        seen.land(at, &mut crew);
                    }
                    _ => crew.depart().into_iter().for_each(|(w, _, steps)| seen.depart(w, steps)),
                }
            }
            while !(seen.out.is_empty() && crew.epochs[0].is_empty()) {
                crew.depart().into_iter().for_each(|(w, _, steps)| seen.depart(w, steps));
                seen.land(0, &mut crew);
            }
            assert_eq!((seen.done.len() as u64, seen.reads as u64), (next, reads), "seed {seed}");
            assert_eq!(seen.most, workers, "seed {seed}");
        }
    }
}
