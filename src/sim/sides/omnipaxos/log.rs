//! A log as the crate wants it, which tells its driver what is to be written.

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{Entry, StopSign, Storage, StorageOp, StorageResult};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What changes a log.
#[derive(Clone, Debug)]
pub(crate) enum Change<E> {
    /// These stand from there on, and nothing behind them.
    Entries(usize, Vec<E>),
    Promise(Ballot),
    Accepted(Ballot),
    Decided(usize),
}

/// What a replica knows.
#[derive(Clone, Debug)]
pub(crate) struct State<E> {
    entries: Vec<E>,
    promise: Option<Ballot>,
    accepted: Option<Ballot>,
    decided: usize,
}

impl<E> Default for State<E> {
    fn default() -> State<E> {
        State { entries: Vec::new(), promise: None, accepted: None, decided: 0 }
    }
}

impl<E> State<E> {
    pub(crate) fn apply(&mut self, change: Change<E>) {
        match change {
            Change::Entries(from, entries) => {
                self.entries.truncate(from);
                self.entries.extend(entries);
            }
            Change::Promise(ballot) => self.promise = Some(ballot),
            Change::Accepted(ballot) => self.accepted = Some(ballot),
            Change::Decided(decided) => self.decided = decided,
        }
    }
}

/// A log in memory, and what of it was not taken to be written.
#[derive(Debug)]
struct Log<E> {
    now: State<E>,
    new: Vec<Change<E>>,
}

/// The log, shared by the crate and its driver, which run on one thread.
#[derive(Clone, Debug)]
pub(crate) struct Shared<E>(Arc<Mutex<Log<E>>>);

impl<E: Clone> Shared<E> {
    pub(crate) fn new(now: State<E>) -> Shared<E> {
        Shared(Arc::new(Mutex::new(Log { now, new: Vec::new() })))
    }

    fn log(&self) -> MutexGuard<'_, Log<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has changed since the last call.
    pub(crate) fn take(&self) -> Vec<Change<E>> {
        std::mem::take(&mut self.log().new)
    }

    /// The entries of a range.
    pub(crate) fn entries(&self, from: usize, to: usize) -> Vec<E> {
        self.log().now.entries.get(from..to).map(<[_]>::to_vec).unwrap_or_default()
    }

    fn change(&self, change: Change<E>) -> StorageResult<()> {
        let mut log = self.log();
        log.now.apply(change.clone());
        log.new.push(change);
        Ok(())
    }

    fn len(&self) -> usize {
        self.log().now.entries.len()
    }
}

/// Nothing is trimmed, no snapshot is made and no configuration stopped here, so that what asks for
/// these has nothing to do.
impl<E: Entry> Storage<E> for Shared<E> {
    fn write_atomically(&mut self, ops: Vec<StorageOp<E>>) -> StorageResult<()> {
        for op in ops {
            match op {
                StorageOp::AppendEntry(entry) => self.append_entry(entry)?,
                StorageOp::AppendEntries(entries) => self.append_entries(entries)?,
                StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries)?,
                StorageOp::SetPromise(ballot) => self.set_promise(ballot)?,
                StorageOp::SetDecidedIndex(decided) => self.set_decided_idx(decided)?,
                StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot)?,
                StorageOp::SetCompactedIdx(_)
                | StorageOp::Trim(_)
                | StorageOp::SetStopsign(_)
                | StorageOp::SetSnapshot(_) => {}
            }
        }
        Ok(())
    }

    fn append_entry(&mut self, entry: E) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<E>) -> StorageResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.change(Change::Entries(self.len(), entries))
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<E>) -> StorageResult<()> {
        self.change(Change::Entries(from, entries))
    }

    fn set_promise(&mut self, promise: Ballot) -> StorageResult<()> {
        self.change(Change::Promise(promise))
    }

    fn set_decided_idx(&mut self, decided: usize) -> StorageResult<()> {
        self.change(Change::Decided(decided))
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.log().now.decided)
    }

    fn set_accepted_round(&mut self, accepted: Ballot) -> StorageResult<()> {
        self.change(Change::Accepted(accepted))
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.log().now.accepted)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<E>> {
        Ok(self.entries(from, to))
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<E>> {
        Ok(self.entries(from, self.len()))
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.log().now.promise)
    }

    fn set_stopsign(&mut self, _: Option<StopSign>) -> StorageResult<()> {
        Ok(())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, _: Option<E::Snapshot>) -> StorageResult<()> {
        Ok(())
    }

    fn get_snapshot(&self) -> StorageResult<Option<E::Snapshot>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos::storage::NoSnapshot;

    #[derive(Clone, Debug, PartialEq)]
    struct Number(u64);

    impl Entry for Number {
        type Snapshot = NoSnapshot;
    }

    #[test]
    fn what_was_taken_makes_the_same_state() {
        let mut log = Shared::new(State::default());
        log.append_entries(vec![Number(1), Number(2)]).expect("memory");
        let mut written = State::default();
        log.take().into_iter().for_each(|change| written.apply(change));
        log.append_on_prefix(1, vec![Number(3), Number(4)]).expect("memory");
        assert_eq!(written.entries, [Number(1), Number(2)], "not taken");
        log.take().into_iter().for_each(|change| written.apply(change));
        assert_eq!(written.entries, log.entries(0, 3));
        assert!(log.take().is_empty());
    }
}
