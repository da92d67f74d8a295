//! What is committed, counted anew from what is on the disks; and the logs of all leaders.

use super::systems::{Systems, is_membership};
use crate::base::{Footprint, Key, LeaderId, Lsn, Record, SharedRecord, TailBitmap};
use crate::replica::Replica;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// The logs of all leaders of a run.
pub(super) type Logs = BTreeMap<LeaderId, LeaderLog>;

/// The log of a leader: as it rebuilt it, and what it authored since.
#[derive(Clone, Debug)]
pub(super) struct LeaderLog {
    pub(super) id: LeaderId,
    base: Lsn,
    /// Below it some voter has purged: there an empty position may be a settled one.
    purged: Lsn,
    /// From `base` on; `None` where the position is empty.
    slots: Vec<Option<SharedRecord>>,
    /// The floor of the last command.
    pub(super) floor: Lsn,
    /// Who names a key alone, and who names a range of keys: in order of position.
    by_key: FxHashMap<Key, SmallVec<[Lsn; 1]>>,
    wide: Vec<Lsn>,
}

impl LeaderLog {
    /// The log that `core`, which leads, has now.
    pub(super) fn of(core: &Replica, preloaded: Lsn) -> LeaderLog {
        let (_, id) = core.role();
        let next = core.leading().map_or(Lsn::ZERO, |(next, ..)| next);
        let base = preloaded.max(core.first_in_memory());
        let slots = (base.0..next.0.max(base.0)).map(|lsn| core.shared_record(Lsn(lsn)));
        let log = LeaderLog::from_parts(id, base, slots.collect());
        LeaderLog { purged: core.purged_by_voters(), ..log }
    }

    pub(super) fn from_parts(
        id: LeaderId,
        base: Lsn,
        slots: Vec<Option<SharedRecord>>,
    ) -> LeaderLog {
        let commands = slots.iter().flatten().filter(|record| record.command().is_some());
        let floor = commands.map(|record| record.floor).max().unwrap_or_default();
        let (by_key, wide) = Default::default();
        let mut log = LeaderLog { id, base, purged: base, slots, floor, by_key, wide };
        for at in 0..log.slots.len() {
            if let Some(record) = log.slots[at].clone() {
                log.index(&record);
            }
        }
        log
    }

    fn index(&mut self, record: &Record) {
        let Some(footprint) = record.command().map(|command| &command.footprint) else { return };
        if has_range(footprint) {
            self.wide.push(record.lsn);
        }
        for key in footprint.reads.points().iter().chain(footprint.writes.points()) {
            self.by_key.entry(key.clone()).or_default().push(record.lsn);
        }
    }

    /// The positions from the floor of `record` up to it that may interfere with it, and others.
    pub(super) fn suspects(&self, record: &Record) -> Vec<Lsn> {
        let (from, to) = (record.floor.max(self.base), record.lsn);
        let footprint = record.command().map(|command| &command.footprint);
        let Some(footprint) = footprint.filter(|footprint| !has_range(footprint)) else {
            return (from.0..to.0).map(Lsn).collect();
        };
        let keys = footprint.reads.points().iter().chain(footprint.writes.points());
        let lists = keys.filter_map(|key| self.by_key.get(key)).map(|list| &list[..]);
        let part = |list: &[Lsn]| -> Vec<Lsn> {
            let at = |lsn| list.partition_point(|known| *known < lsn);
            list[at(from)..at(to).max(at(from))].to_vec()
        };
        lists.chain([&self.wide[..]]).flat_map(part).collect()
    }

    /// The first position that is known of it.
    pub(super) fn base(&self) -> Lsn {
        self.base
    }

    /// The first position above it.
    pub(super) fn next(&self) -> Lsn {
        Lsn(self.base.0 + self.slots.len() as u64)
    }

    /// The record at a position; `None` where it is empty or outside.
    pub(super) fn get(&self, lsn: Lsn) -> Option<&SharedRecord> {
        let at = lsn.0.checked_sub(self.base.0)?;
        self.slots.get(at as usize)?.as_ref()
    }

    /// The leader authors `record` above its log.
    pub(super) fn append(&mut self, record: &SharedRecord) {
        let at = (record.lsn.0 - self.base.0) as usize;
        self.slots.resize(at, None);
        self.slots.push(Some(record.clone()));
        self.index(record);
        if record.command().is_some() {
            self.floor = self.floor.max(record.floor);
        }
    }
}

/// Whether it names keys by more than one at a time.
pub(super) fn has_range(footprint: &Footprint) -> bool {
    !footprint.reads.ranges().is_empty() || !footprint.writes.ranges().is_empty()
}

/// A record that a write quorum has accepted under one leader id, with every bit of `depends`
/// settled.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) record: SharedRecord,
    /// The leader id under which a quorum holds it.
    pub(super) held_at: LeaderId,
    /// The least leader id that it is known to be committed at: what it depends on may have come
    /// to be settled under a later one.
    pub(super) at: LeaderId,
    /// Who holds it under that leader id, one bit each.
    pub(super) holders: u64,
    /// The author of another record committed at its position before.
    pub(super) other: Option<LeaderId>,
}

/// The commits of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    systems: Systems,
    preloaded: Lsn,
    /// From `preloaded` on.
    positions: Vec<Position>,
    settled: TailBitmap,
    /// By open position: quorum-held records that depend on it.
    parked: FxHashMap<Lsn, Vec<Commit>>,
    /// What a parked record waits for.
    waits: FxHashMap<Lsn, Lsn>,
}

#[derive(Debug, Default)]
struct Position {
    /// Who has accepted what is named by the position and this author, under this leader id.
    holders: SmallVec<[(LeaderId, u64); 1]>,
    commit: Option<Commit>,
    /// Which of the records that were ever here are settled, and at which leader id at the least.
    settled: SmallVec<[(Settled, LeaderId); 1]>,
}

/// A record that is settled at some position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// The one of this author.
    Record(LeaderId),
    /// The one that is overridden by the record of this position and author. The leader that
    /// authored that did not have it.
    By(Lsn, LeaderId),
}

impl Ledger {
    pub(super) fn new(systems: Systems, preloaded: Lsn) -> Ledger {
        Ledger {
            systems,
            preloaded,
            positions: Vec::new(),
            settled: TailBitmap::below(preloaded),
            parked: FxHashMap::default(),
            waits: FxHashMap::default(),
        }
    }

    pub(super) fn preloaded(&self) -> Lsn {
        self.preloaded
    }

    /// Everything that is settled, whether anybody knows it or not.
    pub(super) fn settled(&self) -> &TailBitmap {
        &self.settled
    }

    /// If the record at `lsn` is held by a quorum and not settled: a position it depends on that
    /// is not settled.
    pub(super) fn waits_for(&self, lsn: Lsn) -> Option<Lsn> {
        self.waits.get(&lsn).copied()
    }

    /// Every commit, in order of position.
    pub(super) fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.positions.iter().filter_map(|position| position.commit.as_ref())
    }

    /// `replica` has `record`, which is not of the history, on disk, and `committer` is its
    /// committer. What is committed by that is added to `commits`.
    pub(super) fn accepted(
        &mut self,
        logs: &Logs,
        replica: usize,
        committer: LeaderId,
        record: &SharedRecord,
        commits: &mut Vec<Commit>,
    ) {
        let Position { holders, commit, .. } = self.position(record.lsn);
        if let Some(known) = commit
            && known.record.author == record.author
            && known.at <= committer
        {
            return;
        }
        // Under one committer a position has one record (I-4), so the author need not be told.
        let found = holders.iter().position(|(id, _)| *id == committer);
        let found = found.unwrap_or_else(|| {
            holders.push((committer, 0));
            holders.len() - 1
        });
        let mask = &mut holders[found].1;
        let before = *mask;
        *mask |= 1 << replica;
        let holders = *mask;
        if !self.systems.is_quorum(before) && self.systems.is_quorum(holders) {
            let record = record.clone();
            let (held_at, at, other) = (committer, committer, None);
            self.quorum(logs, Commit { record, held_at, at, holders, other }, commits);
        }
    }

    fn position(&mut self, lsn: Lsn) -> &mut Position {
        let at = (lsn.0 - self.preloaded.0) as usize;
        if at >= self.positions.len() {
            self.positions.resize_with(at + 1, Position::default);
        }
        &mut self.positions[at]
    }

    /// A quorum holds a record under one leader id; takes in all that follows.
    fn quorum(&mut self, logs: &Logs, held: Commit, commits: &mut Vec<Commit>) {
        let mut candidates: SmallVec<[Commit; 1]> = SmallVec::from_buf([held]);
        while let Some(mut candidate) = candidates.pop() {
            let record = candidate.record.clone();
            let log = logs.get(&candidate.held_at);
            let settled_at = |d| self.settled_at(log, d).ok_or(d);
            match record.depends.iter().map(settled_at).try_fold(candidate.held_at, max) {
                Ok(at) => candidate.at = at,
                Err(open) => {
                    self.waits.insert(record.lsn, open);
                    self.parked.entry(open).or_default().push(candidate);
                    continue;
                }
            }
            if !self.waits.is_empty() {
                self.waits.remove(&record.lsn);
            }
            for lsn in std::iter::once(record.lsn).chain(record.overrides.iter()) {
                self.settle(logs, lsn, &record, candidate.at);
                if !self.parked.is_empty() {
                    candidates.extend(self.parked.remove(&lsn).unwrap_or_default());
                }
            }
            let slot = &mut self.position(record.lsn).commit;
            let known = slot.as_ref().map(|commit| (commit.record.author, commit.at));
            candidate.other = known.map(|known| known.0).filter(|author| *author != record.author);
            if known.is_none_or(|(_, at)| candidate.at < at) {
                *slot = Some(candidate.clone());
            }
            commits.push(candidate);
            if is_membership(&record) && self.systems.committed(record.lsn, record.author) {
                candidates.extend(self.held_now(logs, record.lsn));
            }
        }
    }

    /// A membership has committed at `from`, and those before it need no quorum any more: what is
    /// held by one of the others that was not before.
    fn held_now(&self, logs: &Logs, from: Lsn) -> Vec<Commit> {
        let mut held = Vec::new();
        let first = (from.0 - self.preloaded.0) as usize;
        for (at, position) in self.positions.iter().enumerate().skip(first) {
            let lsn = Lsn(self.preloaded.0 + at as u64);
            if position.commit.is_some() || self.waits.contains_key(&lsn) {
                continue;
            }
            for (id, holders) in &position.holders {
                let record = logs.get(id).and_then(|log| log.get(lsn)).cloned();
                if let Some(record) = record.filter(|_| self.systems.is_quorum(*holders)) {
                    let (held_at, at, holders, other) = (*id, *id, *holders, None);
                    held.push(Commit { record, held_at, at, holders, other });
                }
            }
        }
        held
    }

    /// The memberships in force.
    pub(super) fn systems(&self) -> &Systems {
        &self.systems
    }

    /// A record is in a log from now on.
    pub(super) fn placed(&mut self, record: &Record) {
        self.systems.placed(record);
    }

    /// A new leader has this log; a membership that is not in it is dead.
    pub(super) fn rebuilt(&mut self, log: &LeaderLog) {
        let author = |lsn| log.get(lsn).map(|record| record.author);
        self.systems.retain(|lsn, of| lsn < log.base() || author(lsn) == Some(of));
    }

    /// `by` is committed at `at`, and it is at `lsn` or overrides what is there.
    fn settle(&mut self, logs: &Logs, lsn: Lsn, by: &Record, at: LeaderId) {
        self.settled.insert(lsn);
        if lsn < self.preloaded {
            return;
        }
        let of = if by.lsn == lsn {
            Settled::Record(by.author)
        } else {
            match logs.get(&by.author).and_then(|log| log.get(lsn)) {
                Some(victim) => Settled::Record(victim.author),
                None => Settled::By(by.lsn, by.author),
            }
        };
        let known = &mut self.position(lsn).settled;
        match known.iter_mut().find(|known| known.0 == of) {
            Some(known) => known.1 = known.1.min(at),
            None => known.push((of, at)),
        }
    }

    /// The least leader id at which what `log` has at `lsn` is known to be settled, if it is. It
    /// does not help it that another record is that came to be at the same position: what
    /// depended on the old one died with it.
    fn settled_at(&self, log: Option<&LeaderLog>, lsn: Lsn) -> Option<LeaderId> {
        if !self.settled.contains(lsn) {
            return None;
        }
        let Some(log) = log.filter(|log| lsn >= log.base()) else { return Some(LeaderId::NOBODY) };
        let author = |lsn| log.get(lsn).map(|record| record.author);
        if lsn < log.purged && author(lsn).is_none() {
            return Some(LeaderId::NOBODY);
        }
        let same = |known: &&(Settled, LeaderId)| match known.0 {
            Settled::Record(of) => author(lsn) == Some(of),
            Settled::By(by, of) => author(by) == Some(of),
        };
        let known = &self.positions[(lsn.0 - self.preloaded.0) as usize].settled;
        known.iter().find(same).map(|known| known.1)
    }
}

fn max<E>(a: LeaderId, b: Result<LeaderId, E>) -> Result<LeaderId, E> {
    Ok(a.max(b?))
}

#[cfg(test)]
mod tests {
    use super::super::forge::{id, log, write};
    use super::*;

    fn accepted(ledger: &mut Ledger, replica: usize, at: LeaderId, r: &SharedRecord) -> Vec<u64> {
        accepted_of(&Logs::new(), ledger, replica, at, r)
    }

    fn accepted_of(
        logs: &Logs,
        ledger: &mut Ledger,
        replica: usize,
        at: LeaderId,
        r: &SharedRecord,
    ) -> Vec<u64> {
        let mut commits = Vec::new();
        ledger.accepted(logs, replica, at, r, &mut commits);
        commits.iter().map(|commit| commit.record.lsn.0).collect()
    }

    #[test]
    fn a_quorum_under_two_leader_ids_is_none() {
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        let record = write(0, id(1, 1), "a", &[]);
        assert!(accepted(&mut ledger, 0, id(1, 1), &record).is_empty());
        assert!(accepted(&mut ledger, 1, id(1, 2), &record).is_empty());
        assert_eq!(accepted(&mut ledger, 2, id(1, 2), &record), [0]);
        assert!(ledger.settled().contains(Lsn(0)));
    }

    #[test]
    fn what_it_depends_on_comes_first() {
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        let first = write(0, id(1, 1), "a", &[]);
        let second = write(1, id(1, 1), "ab", &[0]);
        for replica in [0, 1] {
            assert!(accepted(&mut ledger, replica, id(1, 1), &second).is_empty());
        }
        assert_eq!(ledger.waits_for(Lsn(1)), Some(Lsn(0)));
        assert!(accepted(&mut ledger, 1, id(1, 1), &first).is_empty());
        assert_eq!(accepted(&mut ledger, 2, id(1, 1), &first), [0, 1]);
        assert_eq!(ledger.waits_for(Lsn(1)), None);
    }

    /// The old leader had record 0 alone and its quorum holds 1, which depends on it. The next one
    /// has neither. That its own record at 0 commits says nothing of the old 1.
    #[test]
    fn another_record_at_the_position_does_not_help() {
        let (old, new) = (id(1, 1), id(2, 2));
        let (first, second) = (write(0, old, "a", &[]), write(1, old, "ab", &[0]));
        let other = write(0, new, "c", &[]);
        let logs = [log(old, &[first, second.clone()]), log(new, std::slice::from_ref(&other))];
        let logs: Logs = logs.into_iter().map(|log| (log.id, log)).collect();
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        for replica in [1, 2] {
            assert!(accepted_of(&logs, &mut ledger, replica, old, &second).is_empty());
        }
        assert!(accepted_of(&logs, &mut ledger, 1, new, &other).is_empty());
        assert_eq!(accepted_of(&logs, &mut ledger, 2, new, &other), [0]);
        assert_eq!(ledger.waits_for(Lsn(1)), Some(Lsn(0)));
    }

    /// 1 depends on 0, which a quorum holds only under the next leader: neither is committed
    /// before, and a leader between may lack both.
    #[test]
    fn it_commits_where_what_it_depends_on_does() {
        let (old, new) = (id(1, 1), id(2, 2));
        let (first, second) = (write(0, old, "a", &[]), write(1, old, "ab", &[0]));
        let of = |leader| log(leader, &[first.clone(), second.clone()]);
        let logs = Logs::from([(old, of(old)), (new, of(new))]);
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        for replica in [1, 2] {
            assert!(accepted_of(&logs, &mut ledger, replica, old, &second).is_empty());
        }
        assert!(accepted_of(&logs, &mut ledger, 1, new, &first).is_empty());
        assert_eq!(accepted_of(&logs, &mut ledger, 2, new, &first), [0, 1]);
        let at: Vec<_> = ledger.commits().map(|commit| (commit.held_at, commit.at)).collect();
        assert_eq!(at, [(new, new), (old, new)]);
    }
}
