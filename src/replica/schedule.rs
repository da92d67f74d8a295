//! Which settled records may run now (algorithm.md, Applying).

use super::io::Task;
use super::log::Log;
use crate::base::{Brief, Lsn, Record, Tail, TailBitmap, mutant, ones};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

/// The order of applying, as a set that grows: a record runs once it is settled and not done,
/// every bit of its `depends` is done, and everything below its floor is done or covered.
///
/// Records that are running at the same time do not interfere. Two rules see to that beyond the
/// ones of the page, which speak of applying as one step: a covered record never starts (what
/// overrides it will mark it done), and a record starts only when none of its victims is running.
/// For the same reason a position that runs counts as passed only when it is done.
///
/// A record that waits for nothing but one that runs is given out as well, to be executed after it:
/// what updates one key again and again costs one drain, not one for each update.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    /// Applied, or marked by what overrides it.
    done: TailBitmap,
    /// Overridden by a settled record that is held here. Forgotten below the done prefix.
    covered: Tail,
    /// Done, or covered and not running: what may lie below a floor.
    passed: TailBitmap,
    /// Given out or done; what is in here and not done is running.
    started: TailBitmap,
    /// By position: who is looked at again when it is done.
    waiting: FxHashMap<Lsn, SmallVec<[Lsn; 2]>>,
    /// By floor: who is looked at again when everything below is passed.
    below_floor: BinaryHeap<Reverse<(Lsn, Lsn)>>,
    /// May run now, in the order in which they became ready.
    ready: Vec<Task>,
}

impl Schedule {
    /// Of a state that has done this.
    pub(crate) fn of(done: TailBitmap) -> Schedule {
        Schedule { started: done.clone(), passed: done.clone(), done, ..Schedule::default() }
    }

    /// Another state takes the place of the present one; whatever is settled and not done there is
    /// to be offered again.
    pub(crate) fn restore(&mut self, done: &TailBitmap) {
        *self = Schedule::of(done.clone());
    }

    /// Whether nothing is out for execution.
    pub(crate) fn is_idle(&self) -> bool {
        let mut out = self.started.difference(&self.done);
        for ready in &self.ready {
            out.remove(ready.lsn);
        }
        out.is_empty()
    }

    /// What it decides by ([`Replica::write_state`](super::Replica::write_state)).
    /// No record at `end` or above is held.
    pub(crate) fn write_state(&self, end: Lsn, out: &mut impl fmt::Write) -> fmt::Result {
        let Schedule { done, covered, passed, started, waiting, below_floor, ready } = self;
        write!(out, "{done} {covered} {passed} {started} {ready:?} ")?;
        for lsn in (0..end.0).map(Lsn) {
            if let Some(waiting) = waiting.get(&lsn) {
                write!(out, "{lsn} before {waiting:?} ")?;
            }
        }
        let mut below: Vec<_> = below_floor.iter().map(|Reverse(pair)| *pair).collect();
        below.sort_unstable();
        write!(out, "{below:?} ")
    }

    /// What has been applied or marked as done.
    pub(crate) fn done(&self) -> &TailBitmap {
        &self.done
    }

    /// Done, or given out.
    pub(crate) fn all_started(&self) -> &TailBitmap {
        &self.started
    }

    /// What may lie below the floor of a record that runs.
    pub(crate) fn passed(&self) -> &TailBitmap {
        &self.passed
    }

    /// Whether the record at `lsn` has been given out, or need not be.
    pub(crate) fn started(&self, lsn: Lsn) -> bool {
        self.started.contains(lsn)
    }

    /// Takes the records that became ready. What one of them comes after may be done by now.
    pub(crate) fn take_ready(&mut self) -> Vec<Task> {
        for task in &mut self.ready {
            task.after = task.after.filter(|lsn| !self.done.contains(*lsn));
        }
        std::mem::take(&mut self.ready)
    }

    /// Whether a record became ready that has not been taken.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The record at `lsn` is held here and settled: run it as soon as the order allows.
    pub(crate) fn offer(&mut self, lsn: Lsn, brief: Brief, log: &Log) {
        if brief.is_plain() && brief.floor <= self.passed.offset() && self.covered.is_empty() {
            if self.started.insert(lsn) {
                self.ready.push(Task { lsn, proposal: None, after: None });
            }
            return;
        }
        if self.done.contains(lsn) {
            return;
        }
        if brief.overrides
            && let Some(record) = log.get(lsn)
        {
            self.cover(&record.overrides);
        }
        self.consider(lsn, brief, log);
        self.pass_floors(log);
    }

    /// The same of those of the positions `64 * index ..` whose record, if it is here, is plain.
    pub(crate) fn offer_plain(&mut self, index: u64, settled: u64, log: &Log) {
        let fresh = settled & !self.started.word(index);
        let passed = self.passed.offset();
        if !self.covered.is_empty() || !log.has_floors_up_to(passed, index, fresh) {
            for lsn in ones(64 * index, fresh) {
                if let Some(brief) = log.brief(lsn) {
                    self.offer(lsn, brief, log);
                }
            }
            return;
        }
        self.started.insert_word(index, fresh);
        let task = |lsn| Task { lsn, proposal: None, after: None };
        self.ready.extend(ones(64 * index, fresh).map(task));
    }

    /// The record at `lsn` has been executed.
    pub(crate) fn applied(&mut self, lsn: Lsn, log: &Log) {
        let Some(brief) = log.brief(lsn).filter(|_| self.started.contains(lsn)) else { return };
        if brief.overrides {
            self.finish(lsn, brief, log);
        } else {
            self.mark(lsn, log);
        }
        if !self.below_floor.is_empty() {
            self.pass_floors(log);
        }
    }

    /// The records at `lsns` have been executed: word by word those that are plain, as nothing else
    /// is marked with them, then the others in order.
    pub(crate) fn applied_all(&mut self, lsns: &Tail, log: &Log) {
        lsns.iter_words().for_each(|(index, word)| self.applied_word(index, word, log));
        if !self.below_floor.is_empty() {
            self.pass_floors(log);
        }
    }

    /// The same of tasks in the order in which they were given out.
    pub(crate) fn applied_tasks(&mut self, mut tasks: Vec<Task>, log: &Log) {
        for part in tasks.chunk_by(|one, next| one.lsn.0 / 64 == next.lsn.0 / 64) {
            let word = part.iter().fold(0, |word, task| word | 1 << (task.lsn.0 % 64));
            self.applied_word(part[0].lsn.0 / 64, word, log);
        }
        if !self.below_floor.is_empty() {
            self.pass_floors(log);
        }
        if self.ready.is_empty() {
            tasks.clear();
            self.ready = tasks;
        }
    }

    fn applied_word(&mut self, index: u64, word: u64, log: &Log) {
        let ran = word & self.running(index);
        let special = ran & log.kind(index).special;
        let plain = ran & !special;
        self.done.insert_word(index, plain);
        self.passed.insert_word(index, plain);
        if !self.waiting.is_empty() {
            ones(64 * index, plain).for_each(|lsn| self.wake(lsn, log));
        }
        if special != 0 {
            ones(64 * index, special).for_each(|lsn| self.applied(lsn, log));
        }
    }

    /// A victim that runs is passed when it is done, all others at once.
    fn cover(&mut self, victims: &Tail) {
        let known = |i| self.covered.word(i) | self.done.word(i);
        if victims.is_subset(&self.covered)
            || victims.iter_words().all(|(i, word)| word & !known(i) == 0)
        {
            return;
        }
        self.covered.union_with(victims);
        for (index, word) in victims.iter_words() {
            let passed = mutant!(AllBelowFloorDone, word & !self.running(index), 0);
            self.passed.insert_word(index, passed);
            mutant!(CoveredBitIsEnough, (), self.done.insert_word(index, passed));
        }
    }

    /// Which of the positions `64 * index ..` are running.
    #[inline]
    fn running(&self, index: u64) -> u64 {
        self.started.word(index) & !self.done.word(index)
    }

    /// Starts the record, or leaves it with the first thing that it waits for.
    fn consider(&mut self, lsn: Lsn, brief: Brief, log: &Log) {
        if self.started.contains(lsn) || self.covered.contains(lsn) {
            return;
        }
        if self.passed.offset() < brief.floor {
            self.below_floor.push(Reverse((brief.floor, lsn)));
            return;
        }
        let after = match self.blocker(lsn, brief, log) {
            Some((blocker, only)) if !only || !self.started.contains(blocker) => {
                self.waiting.entry(blocker).or_default().push(lsn);
                return;
            }
            blocker => blocker.map(|(blocker, _)| blocker),
        };
        if brief.command {
            self.started.insert(lsn);
            self.ready.push(Task { lsn, proposal: None, after });
        } else {
            self.finish(lsn, brief, log);
        }
    }

    /// The first bit of `depends` that is not done, or the first victim that is running; and
    /// whether it is the only one.
    fn blocker(&self, lsn: Lsn, brief: Brief, log: &Log) -> Option<(Lsn, bool)> {
        if !brief.depends && !brief.overrides {
            return None;
        }
        if let Some(only) = brief.only_dependency(lsn).filter(|_| !brief.overrides) {
            return (!self.done.contains(only)).then_some((only, true));
        }
        let record = log.get(lsn)?;
        let mut found: Option<(Lsn, bool)> = None;
        let mut note = |index: u64, open: u64| match &mut found {
            Some((_, only)) => *only &= open == 0,
            None if open == 0 => {}
            None => {
                let first = Lsn(64 * index + u64::from(open.trailing_zeros()));
                found = Some((first, open.is_power_of_two()));
            }
        };
        for (index, word) in record.depends.iter_words() {
            note(index, word & !self.done.word(index));
        }
        if brief.overrides {
            for (index, word) in record.overrides.iter_words() {
                note(index, word & self.running(index));
            }
        }
        found
    }

    /// Marks a record that may not have been started.
    fn pass_over(&mut self, lsn: Lsn, log: &Log) {
        self.started.insert(lsn);
        self.mark(lsn, log);
    }

    fn pass_over_all(&mut self, victims: &Tail, log: &Log) {
        for (index, word) in victims.iter_words() {
            let news = word & !self.done.word(index);
            self.started.insert_word(index, news);
            self.done.insert_word(index, news);
            self.passed.insert_word(index, news);
            if !self.waiting.is_empty() {
                ones(64 * index, news).for_each(|victim| self.wake(victim, log));
            }
        }
    }

    /// Marks as done: the record, its overrides, the overrides of those that are held, and so on.
    /// A victim that was done before may have come to be held since: its overrides count too.
    fn finish(&mut self, lsn: Lsn, brief: Brief, log: &Log) {
        self.pass_over(lsn, log);
        if !brief.overrides {
            return;
        }
        let Some(record) = log.get(lsn) else { return };
        mutant!(VictimsNotMarked, self.pass_over_all(&record.overrides, log), ());
        // What its victims override is overridden by it too, except below its floor (Authoring 3).
        let mut open: SmallVec<[&Record; 4]> = SmallVec::new();
        if mutant!(VictimsOfVictimsNotMarked, self.done.offset() < brief.floor, false) {
            open.push(record);
        }
        while let Some(record) = open.pop() {
            for victim in record.overrides.iter() {
                let held = log.get(victim).filter(|v| !self.done.contains_all(&v.overrides));
                if let Some(held) = held {
                    self.pass_over_all(&held.overrides, log);
                    open.push(held);
                }
            }
        }
        self.covered.remove_below(self.done.offset());
    }

    fn mark(&mut self, lsn: Lsn, log: &Log) {
        if !self.done.insert(lsn) {
            return;
        }
        self.passed.insert(lsn);
        if !self.waiting.is_empty() {
            self.wake(lsn, log);
        }
    }

    /// Looks again at those that waited for the one at `lsn`.
    fn wake(&mut self, lsn: Lsn, log: &Log) {
        for lsn in self.waiting.remove(&lsn).unwrap_or_default() {
            self.consider_at(lsn, log);
        }
    }

    /// Looks again at those whose floor everything has passed.
    fn pass_floors(&mut self, log: &Log) {
        while let Some(Reverse((floor, lsn))) = self.below_floor.peek().copied() {
            if floor > self.passed.offset() {
                return;
            }
            self.below_floor.pop();
            self.consider_at(lsn, log);
        }
    }

    fn consider_at(&mut self, lsn: Lsn, log: &Log) {
        if let Some(brief) = log.brief(lsn) {
            self.consider(lsn, brief, log);
        }
    }
}
