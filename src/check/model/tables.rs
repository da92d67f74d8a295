//! The parts that states are made of, each kept once, under its fingerprint; and what comes of each
//! event at each replica, found out once by running the replica.
//!
//! A replica does not depend on the others but through what they send. So one of its states, with
//! one event, has one outcome in all states of the cluster that it is a part of.

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// One of so many parts, each behind a lock of its own.
const SHARDS: usize = 64;

/// Things under fingerprints. What is under one is never replaced.
#[derive(Debug)]
pub(super) struct Table<T> {
    shards: Vec<RwLock<FxHashMap<u64, Arc<T>>>>,
}

impl<T> Table<T> {
    /// An empty one.
    pub(super) fn new() -> Table<T> {
        Table { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    fn shard(&self, key: u64) -> &RwLock<FxHashMap<u64, Arc<T>>> {
        // The last bits may have a meaning of their own.
        &self.shards[(key >> 8) as usize % SHARDS]
    }

    /// What is under this fingerprint.
    pub(super) fn get(&self, key: u64) -> Option<Arc<T>> {
        self.shard(key).read().get(&key).cloned()
    }

    /// The same, which must be there: nobody speaks of what was not put.
    pub(super) fn known(&self, key: u64) -> Arc<T> {
        let found = self.get(key);
        found.unwrap_or_else(|| unreachable!("a fingerprint stands for something that was put"))
    }

    /// Puts it there, unless something is there already.
    pub(super) fn put(&self, key: u64, thing: impl FnOnce() -> T) -> Arc<T> {
        match self.get(key) {
            Some(known) => known,
            None => {
                let thing = Arc::new(thing());
                self.shard(key).write().entry(key).or_insert(thing).clone()
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let table = Table::new();
        assert!(table.get(7).is_none());
        assert_eq!(*table.put(7, || 1), 1);
        assert_eq!(*table.put(7, || 2), 1);
        assert_eq!((*table.known(7), table.len()), (1, 1));
    }
}
