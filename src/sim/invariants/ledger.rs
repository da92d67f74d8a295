//! What is committed, counted anew from what is on the disks; and the logs of all leaders.

use crate::base::{LeaderId, Lsn, Record, TailBitmap};
use crate::replica::Replica;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// The log of a leader: as it rebuilt it, and what it authored since.
#[derive(Clone, Debug)]
pub(super) struct LeaderLog {
    pub(super) id: LeaderId,
    base: Lsn,
    /// From `base` on; `None` where the position is empty.
    slots: Vec<Option<Arc<Record>>>,
    /// The floor of the last command.
    pub(super) floor: Lsn,
}

impl LeaderLog {
    /// The log that `core`, which leads, has now.
    pub(super) fn of(core: &Replica, preloaded: Lsn) -> LeaderLog {
        let (_, id) = core.role();
        let next = core.leading().map_or(Lsn::ZERO, |(next, ..)| next);
        let base = preloaded.max(core.first_in_memory());
        let slots = (base.0..next.0.max(base.0)).map(|lsn| core.record(Lsn(lsn)).cloned());
        LeaderLog::from_parts(id, base, slots.collect())
    }

    pub(super) fn from_parts(
        id: LeaderId,
        base: Lsn,
        slots: Vec<Option<Arc<Record>>>,
    ) -> LeaderLog {
        let commands = slots.iter().flatten().filter(|record| record.command().is_some());
        let floor = commands.map(|record| record.floor).max().unwrap_or_default();
        LeaderLog { id, base, slots, floor }
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
    pub(super) fn get(&self, lsn: Lsn) -> Option<&Arc<Record>> {
        let at = lsn.0.checked_sub(self.base.0)?;
        self.slots.get(at as usize)?.as_ref()
    }

    /// The leader authors `record` above its log.
    pub(super) fn append(&mut self, record: &Arc<Record>) {
        let at = (record.lsn.0 - self.base.0) as usize;
        self.slots.resize(at, None);
        self.slots.push(Some(record.clone()));
        if record.command().is_some() {
            self.floor = self.floor.max(record.floor);
        }
    }
}

/// A record that a write quorum has accepted under one leader id, with every bit of `depends`
/// settled.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) record: Arc<Record>,
    /// The least leader id that it is known to be committed at.
    pub(super) at: LeaderId,
    /// Who holds it under that leader id, one bit each.
    pub(super) holders: u64,
    /// The author of another record committed at its position before.
    pub(super) other: Option<LeaderId>,
}

/// The commits of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    replicas: usize,
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
}

impl Ledger {
    pub(super) fn new(replicas: usize, preloaded: Lsn) -> Ledger {
        Ledger {
            replicas,
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
        replica: usize,
        committer: LeaderId,
        record: &Arc<Record>,
        commits: &mut Vec<Commit>,
    ) {
        let at = (record.lsn.0 - self.preloaded.0) as usize;
        if at >= self.positions.len() {
            self.positions.resize_with(at + 1, Position::default);
        }
        let Position { holders, commit } = &mut self.positions[at];
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
        let before = mask.count_ones() as usize;
        *mask |= 1 << replica;
        let holders = *mask;
        if before <= self.replicas / 2 && holders.count_ones() as usize > self.replicas / 2 {
            let held = Commit { record: record.clone(), at: committer, holders, other: None };
            self.quorum(held, commits);
        }
    }

    /// A quorum holds a record under one leader id; takes in all that follows.
    fn quorum(&mut self, held: Commit, commits: &mut Vec<Commit>) {
        let mut candidates: SmallVec<[Commit; 1]> = SmallVec::from_buf([held]);
        while let Some(mut candidate) = candidates.pop() {
            let record = candidate.record.clone();
            if let Some(open) = record.depends.iter().find(|d| !self.settled.contains(*d)) {
                self.waits.insert(record.lsn, open);
                self.parked.entry(open).or_default().push(candidate);
                continue;
            }
            if !self.waits.is_empty() {
                self.waits.remove(&record.lsn);
            }
            for lsn in std::iter::once(record.lsn).chain(record.overrides.iter()) {
                if self.settled.insert(lsn) && !self.parked.is_empty() {
                    candidates.extend(self.parked.remove(&lsn).unwrap_or_default());
                }
            }
            let slot = &mut self.positions[(record.lsn.0 - self.preloaded.0) as usize].commit;
            let known = slot.as_ref().map(|commit| (commit.record.author, commit.at));
            candidate.other = known.map(|known| known.0).filter(|author| *author != record.author);
            if known.is_none_or(|(_, at)| candidate.at < at) {
                *slot = Some(candidate.clone());
            }
            commits.push(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{id, write};
    use super::*;

    fn accepted(ledger: &mut Ledger, replica: usize, at: LeaderId, r: &Arc<Record>) -> Vec<u64> {
        let mut commits = Vec::new();
        ledger.accepted(replica, at, r, &mut commits);
        commits.iter().map(|commit| commit.record.lsn.0).collect()
    }

    #[test]
    fn a_quorum_under_two_leader_ids_is_none() {
        let mut ledger = Ledger::new(3, Lsn::ZERO);
        let record = write(0, id(1, 1), "a", &[]);
        assert!(accepted(&mut ledger, 0, id(1, 1), &record).is_empty());
        assert!(accepted(&mut ledger, 1, id(1, 2), &record).is_empty());
        assert_eq!(accepted(&mut ledger, 2, id(1, 2), &record), [0]);
        assert!(ledger.settled().contains(Lsn(0)));
    }

    #[test]
    fn what_it_depends_on_comes_first() {
        let mut ledger = Ledger::new(3, Lsn::ZERO);
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
}
