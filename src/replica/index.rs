//! Interference index, the literal version.

use crate::base::{Footprint, KeySet, Lsn, Record, Tail};
use std::sync::Arc;

/// Index.
#[derive(Clone, Debug, Default)]
pub struct Index {
    records: Vec<Arc<Record>>,
}

/// Placement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// depends
    pub depends: Tail,
    /// overrides
    pub overrides: Tail,
}

impl Index {
    /// New.
    pub fn new() -> Index {
        Index::default()
    }
    /// Insert.
    pub fn insert(&mut self, record: &Arc<Record>) {
        self.records.push(record.clone());
    }
    /// Place.
    pub fn place(&mut self, footprint: &Footprint, floor: Lsn, overriding: bool) -> Placement {
        let mut overrides = Tail::new();
        let fp = |r: &Record| r.command().unwrap().footprint.clone();
        if footprint.is_blind() && overriding {
            for (i, r) in self.records.iter().enumerate().rev().take_while(|(_, r)| r.lsn >= floor)
            {
                let ok = r.is_blind()
                    && footprint.writes.covers(&fp(r).writes)
                    && self.records[i + 1..]
                        .iter()
                        .all(|u| !u.interferes(r) || overrides.contains(u.lsn));
                if ok {
                    overrides.insert(r.lsn);
                    overrides.union_with(&r.overrides);
                }
            }
            overrides.remove_below(floor);
        }
        let meet: Vec<&Arc<Record>> = self
            .records
            .iter()
            .filter(|r| r.lsn >= floor && fp(r).interferes(footprint) && !overrides.contains(r.lsn))
            .collect();
        let mut gone = Tail::new();
        for r in &meet {
            gone.union_with(&r.overrides);
        }
        let live: Vec<&Arc<Record>> = meet.into_iter().filter(|r| !gone.contains(r.lsn)).collect();
        let mut reached = Tail::new();
        for r in live.iter().rev() {
            if true {
                reached.union_with(&r.depends);
            }
        }
        for r in self.records.iter().rev() {
            if reached.contains(r.lsn) {
                reached.union_with(&r.depends);
            }
        }
        let depends = live.iter().map(|r| r.lsn).filter(|l| !reached.contains(*l)).collect();
        Placement { depends, overrides }
    }
    /// Latest writers.
    pub fn latest_writers(&self, reads: &KeySet, from: Lsn) -> Vec<Lsn> {
        self.records
            .iter()
            .filter(|r| r.lsn >= from && r.command().unwrap().footprint.writes.intersects(reads))
            .map(|r| r.lsn)
            .collect()
    }
    /// Trim.
    pub fn trim(&mut self, below: Lsn) {
        let n = self.records.partition_point(|r| r.lsn < below);
        self.records.drain(..n);
    }
}
