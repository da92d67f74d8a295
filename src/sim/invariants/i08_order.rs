//! I-8, order: two settled records that interfere are ordered by `depends`, by `overrides` or by a
//! floor, directly or through others, and no replica applies them the other way round.

use super::Check;
use super::ledger::{LeaderLog, has_range};
use crate::base::{Key, Lsn, Record, SharedRecord, Tail};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// `record` is committed by the leader with this log: every earlier record there that interferes
/// with it lies below its floor, or is reached through `depends` and `overrides`.
pub(super) fn ordered(log: &LeaderLog, record: &Record) -> Check {
    let mut reached: Option<Tail> = None;
    for lsn in log.suspects(record) {
        let Some(earlier) = log.get(lsn).filter(|earlier| earlier.interferes(record)) else {
            continue;
        };
        if !reached.get_or_insert_with(|| reach(log, record)).contains(lsn) {
            return Err(format!("I-8 nothing orders {record} after {earlier}"));
        }
    }
    Ok(())
}

/// Every position that `record` reaches, its floor's prefix left out: what a record names lies
/// below it, so nothing above the floor is reached through what is below.
fn reach(log: &LeaderLog, record: &Record) -> Tail {
    let mut reached = Tail::new();
    let mut open: Vec<Lsn> = record.depends.iter().chain(record.overrides.iter()).collect();
    while let Some(lsn) = open.pop() {
        if lsn < record.floor || !reached.insert(lsn) {
            continue;
        }
        if let Some(next) = log.get(lsn) {
            open.extend(next.depends.iter().chain(next.overrides.iter()));
            // A floor orders everything below it.
            for below in record.floor.0..next.floor.0 {
                reached.insert(Lsn(below));
            }
        }
    }
    reached
}

/// What one replica has applied in this life.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Everything below is done, so that nothing below may be applied.
    done: Lsn,
    /// What was applied at or above.
    open: BTreeMap<Lsn, SharedRecord>,
    /// By key named alone: the greatest position applied, of those above, that names it.
    latest: FxHashMap<Key, Lsn>,
    /// The greatest one that names a range.
    wide: Option<Lsn>,
}

impl Order {
    /// `record` goes out for execution. Interfering records are ordered by position, so none that
    /// interferes and comes later may have been applied, nor the record itself.
    pub(super) fn applies(&mut self, replica: usize, record: &SharedRecord) -> Check {
        if record.lsn < self.done || self.open.contains_key(&record.lsn) {
            return Err(format!("I-8 replica {replica} applies {record}, which is done"));
        }
        let mut later = self.open.range(record.lsn..).map(|(_, later)| later);
        if self.may_be_late(record)
            && let Some(later) = later.find(|later| later.interferes(record))
        {
            return Err(format!("I-8 replica {replica} applies {record} after {later}"));
        }
        self.keep(record.clone());
        Ok(())
    }

    fn keep(&mut self, record: SharedRecord) {
        if let Some(footprint) = record.command().map(|command| &command.footprint) {
            if has_range(footprint) {
                self.wide = self.wide.max(Some(record.lsn));
            }
            for key in footprint.reads.points().iter().chain(footprint.writes.points()) {
                let latest = self.latest.entry(key.clone()).or_default();
                *latest = record.lsn.max(*latest);
            }
        }
        self.open.insert(record.lsn, record);
    }

    /// Whether one that interferes may have been applied and come later: only then are all looked
    /// at.
    fn may_be_late(&self, record: &Record) -> bool {
        let Some(footprint) = record.command().map(|command| &command.footprint) else {
            return false;
        };
        let mut keys = footprint.reads.points().iter().chain(footprint.writes.points());
        has_range(footprint)
            || self.wide > Some(record.lsn)
            || keys.any(|key| self.latest.get(key) > Some(&record.lsn))
    }

    /// Everything below `done` is done.
    pub(super) fn trim(&mut self, done: Lsn) {
        if done.0 >= self.done.0 + 64 {
            self.done = done;
            self.open = self.open.split_off(&done);
            if self.latest.len() > 2 * self.open.len() + 1_024 {
                self.latest.clear();
                self.wide = None;
                for record in std::mem::take(&mut self.open).into_values() {
                    self.keep(record);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, log, write};
    use super::*;
    use crate::base::{Command, Footprint, KeyRange, KeySet, Payload};

    #[test]
    fn a_record_that_nothing_orders_is_found() {
        let leader = id(1, 1);
        let first = write(0, leader, "a", &[]);
        let middle = write(1, leader, "ab", &[0]);
        let leads = |last: SharedRecord| log(leader, &[first.clone(), middle.clone(), last]);
        let check = |last: SharedRecord| ordered(&leads(last.clone()), &last);
        assert_eq!(check(write(2, leader, "a", &[1])), Ok(()));
        assert_eq!(check(write(2, leader, "c", &[])), Ok(()));
        fails(check(write(2, leader, "a", &[0])), "I-8");
        let mut floored = (*write(2, leader, "a", &[])).clone();
        floored.floor = Lsn(2);
        assert_eq!(check(floored.into()), Ok(()));
    }

    #[test]
    fn a_replica_that_applies_backwards_is_found() {
        let leader = id(1, 1);
        let mut order = Order::default();
        assert_eq!(order.applies(0, &write(4, leader, "b", &[])), Ok(()));
        assert_eq!(order.applies(0, &write(2, leader, "a", &[])), Ok(()));
        fails(order.applies(0, &write(3, leader, "b", &[])), "I-8");
        fails(order.applies(0, &write(2, leader, "a", &[])), "I-8");
        let all = KeySet::from_parts([], [KeyRange::ALL]);
        let command = Command { footprint: Footprint::read(all), body: Default::default() };
        let scan = Record::bare(Lsn(3), leader, Payload::Command(command));
        fails(order.applies(0, &scan.into()), "I-8");
        order.trim(Lsn(64));
        fails(order.applies(0, &write(63, leader, "c", &[])), "I-8");
    }
}
