//! Executing commands and reads on another thread, in the order in which they are given out.
//!
//! One batch is out at a time, and what comes meanwhile is the next one. So whatever the replica
//! was told is executed, and nothing more, exactly when no batch is out: then a snapshot may be
//! taken.

use super::engine::NodeError;
use super::sync::{Arc, Mutex};
use crate::apply::Stateful;
use crate::base::{KeyRange, Lsn};
use crate::disk::Disk;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::store::StoreError;
use bytes::Bytes;

/// One thing to be done to a machine.
#[derive(Debug)]
enum Step<D: Disk> {
    Apply { lsn: Lsn, proposal: Option<u64>, body: Bytes },
    Read { number: u64, body: Bytes },
    Restore(Arc<Snapshot<D>>),
}

/// What is to be done to a machine, in this order.
#[derive(Debug)]
pub struct Batch<D: Disk, M> {
    machine: Arc<Mutex<M>>,
    steps: Vec<Step<D>>,
}

/// What came of a [`Batch`].
#[derive(Debug, Default)]
pub struct Executed {
    applied: Vec<Lsn>,
    answers: Vec<(u64, Bytes)>,
    failed: Option<SnapshotError>,
}

/// Brings a machine to the state of a snapshot.
pub(super) fn load<D: Disk, M: Stateful>(
    machine: &mut M,
    snapshot: &Snapshot<D>,
) -> Result<(), SnapshotError> {
    machine.clear();
    for pair in snapshot.range(&KeyRange::ALL) {
        let (key, value) = pair?;
        machine.load(key.as_ref(), value.as_ref());
    }
    Ok(())
}

impl<D: Disk, M: Stateful> Batch<D, M> {
    /// Does it all. Ends early with a snapshot that cannot be read.
    pub(super) fn run(self) -> Executed {
        let mut executed = Executed::default();
        let mut machine = self.machine.lock();
        for step in self.steps {
            match step {
                Step::Apply { lsn, proposal, body } => {
                    let result = machine.apply(&body);
                    executed.applied.push(lsn);
                    executed.answers.extend(proposal.map(|number| (number, result)));
                }
                Step::Read { number, body } => {
                    executed.answers.push((number, machine.read(&body)));
                }
                Step::Restore(snapshot) => {
                    if let Err(error) = load(&mut *machine, &snapshot) {
                        executed.failed = Some(error);
                        break;
                    }
                }
            }
        }
        executed
    }
}

/// A machine, and what is still to be done to it.
#[derive(Debug)]
pub(super) struct Executor<D: Disk, M> {
    machine: Arc<Mutex<M>>,
    steps: Vec<Step<D>>,
    /// A batch is out.
    out: bool,
    /// A snapshot waits to take the state's place.
    restoring: bool,
    answers: Vec<(u64, Bytes)>,
}

impl<D: Disk, M: Stateful> Executor<D, M> {
    pub(super) fn new(machine: Arc<Mutex<M>>) -> Executor<D, M> {
        Executor { machine, steps: Vec::new(), out: false, restoring: false, answers: Vec::new() }
    }

    pub(super) fn apply(&mut self, lsn: Lsn, proposal: Option<u64>, body: Bytes) {
        self.steps.push(Step::Apply { lsn, proposal, body });
    }

    pub(super) fn read(&mut self, number: u64, body: Bytes) {
        self.steps.push(Step::Read { number, body });
    }

    pub(super) fn restore(&mut self, snapshot: Arc<Snapshot<D>>) {
        self.restoring = true;
        self.steps.push(Step::Restore(snapshot));
    }

    /// The next batch, if none is out.
    pub(super) fn depart(&mut self) -> Option<Batch<D, M>> {
        if self.out || self.steps.is_empty() {
            return None;
        }
        self.out = true;
        let steps = std::mem::take(&mut self.steps);
        Some(Batch { machine: self.machine.clone(), steps })
    }

    /// A batch is back: what was executed, in this order.
    pub(super) fn land(&mut self, executed: Executed) -> Result<Vec<Lsn>, NodeError> {
        self.out = false;
        self.restoring = self.steps.iter().any(|step| matches!(step, Step::Restore(_)));
        if let Some(error) = executed.failed {
            return Err(StoreError::Snapshot(error).into());
        }
        self.answers.extend(executed.answers);
        Ok(executed.applied)
    }

    /// The answers that are not given yet.
    pub(super) fn answers(&mut self) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        self.answers.drain(..)
    }

    /// The machine, if its state is what the replica was told.
    pub(super) fn at_rest(&self) -> Option<&Mutex<M>> {
        (!self.out && !self.restoring).then_some(&*self.machine)
    }
}
