//! Every crash that the disk allows (C-1 to C-4).

use super::play::Run;
use super::report::Report;
use super::script::{Chance, mix};
use super::{IDENTITY, Opener};
use crate::disk::{SimDisk, State};
use crate::wal::Store;
use rustc_hash::FxHashSet;

/// Of so many unsynced things every subset is tried.
const ALL_SUBSETS_MAX: usize = 6;

/// Of more, so many random subsets, besides every prefix and everything but one.
const SUBSETS: usize = 12;

/// How often a disk may crash again while it is opened.
const DEPTH: usize = 3;

/// Crashes after every change of the disk.
pub(super) fn check(
    opener: &impl Opener,
    run: &Run<'_>,
    seen: &mut FxHashSet<u64>,
    report: &mut Report,
) {
    let mut chance = Chance(mix(run.script.seed));
    let mut state = State::default();
    let mut known = FxHashSet::default();
    for ops in 0..=run.ops.len() {
        if let Some(op) = ops.checked_sub(1) {
            state.apply(&run.ops[op]);
        }
        let owed = run.owed(ops);
        for keep in choices(state.unsynced(), &mut chance) {
            let image = state.crash(|nth| keep[nth]);
            let digest = image.digest();
            if known.insert((digest, owed)) {
                report.images += usize::from(seen.insert(digest));
                let mut crash = Crash { opener, run, report, chance: &mut chance };
                crash.open(&image, owed, 0);
            }
        }
    }
}

/// What a crash keeps: each item a choice for all unsynced things.
fn choices(unsynced: usize, chance: &mut Chance) -> Vec<Vec<bool>> {
    if unsynced <= ALL_SUBSETS_MAX {
        let subset = |bits: usize| (0..unsynced).map(|nth| bits >> nth & 1 == 1).collect();
        return (0..1 << unsynced).map(subset).collect();
    }
    let prefixes = (0..=unsynced).map(|len| (0..unsynced).map(|nth| nth < len).collect());
    let but_one = (0..unsynced).map(|lost| (0..unsynced).map(|nth| nth != lost).collect());
    let mut choices: Vec<Vec<bool>> = prefixes.chain(but_one).collect();
    for _ in 0..SUBSETS {
        let odds = 2 + chance.below(5);
        let most = chance.one_in(2);
        choices.push((0..unsynced).map(|_| chance.one_in(odds) != most).collect());
    }
    choices
}

struct Crash<'a, O> {
    opener: &'a O,
    run: &'a Run<'a>,
    report: &'a mut Report,
    chance: &'a mut Chance,
}

impl<O: Opener> Crash<'_, O> {
    fn note(&mut self, clause: u32, wrong: Option<String>) {
        self.report.note(clause, self.run.script.seed, wrong);
    }

    /// Opens what a crash left. At least `owed.0` steps must be there and at most `owed.1`.
    fn open(&mut self, image: &State, owed: (usize, usize), depth: usize) {
        self.report.nested += usize::from(depth > 0);
        let models = &self.run.script.models;
        let disk = SimDisk::of(image.clone());
        disk.record();
        let opened = self.opener.open(disk.clone(), IDENTITY);
        let (mut store, found) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.note(3, Some(format!("{error}, though {owed:?} are owed"))),
        };
        self.report.opened(&found);
        let doubt = found.doubt.as_ref();
        self.note(3, doubt.map(|doubt| format!("{doubt} after a crash: {found}")));
        let there = (0..=owed.1).rev().find(|steps| models[*steps].is(&found));
        let lost = there.filter(|steps| *steps < owed.0);
        let clause = if depth > 0 { 4 } else { 1 };
        self.note(clause, lost.map(|steps| format!("{steps} steps are there of {owed:?}")));
        let torn = there.is_none().then(|| format!("no state after {owed:?} steps: {found}"));
        self.note(2, torn);
        let Some(there) = there else { return };
        if depth < DEPTH && self.chance.one_in(4) {
            self.again(image, &disk, owed, there, depth);
        } else if self.chance.one_in(8)
            && let Some(model) = models.get(there + 1)
        {
            // It goes on, and the next crash loses what is not synced.
            let write = model.as_write(1_000);
            let synced = store.append(&write).and_then(|()| store.sync());
            let purged = synced.and_then(|_| store.purge(model.purged));
            let image = disk.state().crash(|_| false);
            let found = self.opener.open(SimDisk::of(image), IDENTITY);
            let is = found.as_ref().is_ok_and(|(_, found)| model.is(found));
            let wrong = match (&purged, is) {
                (Err(error), _) => Some(format!("cannot go on: {error}")),
                (Ok(_), false) => Some("what was added after opening is lost".to_string()),
                (Ok(_), true) => None,
            };
            self.note(1, wrong);
        }
    }

    /// Crashes again, while the disk was being opened or just after.
    fn again(
        &mut self,
        image: &State,
        disk: &SimDisk,
        owed: (usize, usize),
        there: usize,
        depth: usize,
    ) {
        let ops = disk.ops();
        let stop = self.chance.below(ops.len() + 1);
        let mut state = image.clone();
        ops[..stop].iter().for_each(|op| state.apply(op));
        let odds = 2 + self.chance.below(3);
        let image = state.crash(|_| self.chance.one_in(odds));
        // What an opening that ended has reported must stay.
        let owed = if stop == ops.len() { (there, there) } else { owed };
        self.open(&image, owed, depth + 1);
    }
}
