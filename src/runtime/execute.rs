//! Executing commands and reads on another thread, in the order in which they are given out.
//!
//! One batch is out at a time, and what comes meanwhile is the next one. So whatever the replica
//! was told is executed, and nothing more, exactly when no batch is out: then a snapshot may be
//! taken.

use super::bottom::{Fault, bring, ground, stays};
use super::engine::NodeError;
use super::sync::{Arc, Mutex, thread};
use crate::apply::Stateful;
use crate::base::Lsn;
use crate::disk::Disk;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::store::StoreError;
use bytes::Bytes;

/// One thing to be done to a machine.
enum Step<D: Disk, F> {
    Apply {
        lsn: Lsn,
        proposal: Option<u64>,
        body: Bytes,
    },
    Read {
        number: u64,
        body: Bytes,
    },
    Restore(Arc<Snapshot<D>>),
    /// What was held fast lies there now.
    Rest(Box<F>, Arc<Snapshot<D>>),
}

/// What is to be done to a machine, in this order.
pub struct Batch<D: Disk, M: Stateful> {
    machine: Arc<Mutex<M>>,
    steps: Vec<Step<D, M::Frozen>>,
    fault: Arc<Fault>,
    resident_max: u64,
}

/// What came of a [`Batch`].
#[derive(Debug, Default)]
pub struct Executed {
    applied: Vec<Lsn>,
    answers: Vec<(u64, Bytes)>,
    failed: Option<SnapshotError>,
}

impl<D: Disk + Send + Sync + 'static, M: Stateful> Batch<D, M> {
    /// Does it all. Ends early with a snapshot that cannot be read.
    pub(super) fn run(self) -> Executed {
        let Batch { machine, steps, fault, resident_max } = self;
        let mut executed = Executed::default();
        let mut machine = machine.lock();
        for step in steps {
            if let Err(error) = executed.step(&mut *machine, step, &fault, resident_max) {
                executed.failed = Some(error);
                break;
            }
        }
        executed
    }
}

impl Executed {
    /// Does one thing. If something could not be read, nobody is told what it gave.
    fn step<D: Disk + Send + Sync + 'static, M: Stateful>(
        &mut self,
        machine: &mut M,
        step: Step<D, M::Frozen>,
        fault: &Arc<Fault>,
        resident_max: u64,
    ) -> Result<(), SnapshotError> {
        match step {
            Step::Apply { lsn, proposal, body } => {
                let result = machine.apply(&body);
                fault.check()?;
                self.applied.push(lsn);
                self.answers.extend(proposal.map(|number| (number, result)));
            }
            Step::Read { number, body } => {
                let result = machine.read(&body);
                fault.check()?;
                self.answers.push((number, result));
            }
            Step::Restore(snapshot) => bring(machine, &snapshot, resident_max, fault)?,
            Step::Rest(frozen, snapshot) => {
                machine.rest_on(&frozen, ground(&snapshot, fault));
                fault.check()?;
                // It may have been all there was in memory: letting go of that takes long. Where
                // there is no thread to be had it is done here.
                let _ = thread::Builder::new().spawn(move || drop(frozen));
            }
        }
        Ok(())
    }
}

/// A machine, and what is still to be done to it.
pub(super) struct Executor<D: Disk, M: Stateful> {
    machine: Arc<Mutex<M>>,
    steps: Vec<Step<D, M::Frozen>>,
    /// A batch is out.
    out: bool,
    /// A snapshot waits to take the state's place.
    restoring: bool,
    answers: Vec<(u64, Bytes)>,
    fault: Arc<Fault>,
    resident_max: u64,
}

impl<D: Disk + Send + Sync + 'static, M: Stateful> Executor<D, M> {
    pub(super) fn new(machine: M, fault: Arc<Fault>, resident_max: u64) -> Executor<D, M> {
        Executor {
            machine: Arc::new(Mutex::new(machine)),
            steps: Vec::new(),
            out: false,
            restoring: false,
            answers: Vec::new(),
            fault,
            resident_max,
        }
    }

    /// Whether what the machine rests on could be read.
    pub(super) fn fault(&self) -> Arc<Fault> {
        self.fault.clone()
    }

    /// What was held fast is in a snapshot, on which the machine is to rest if it is large.
    pub(super) fn rest_on(&mut self, frozen: Box<M::Frozen>, snapshot: &Arc<Snapshot<D>>) {
        if stays::<D, M>(snapshot, self.resident_max) {
            self.steps.push(Step::Rest(frozen, snapshot.clone()));
        }
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
        let (machine, fault) = (self.machine.clone(), self.fault.clone());
        Some(Batch { machine, steps, fault, resident_max: self.resident_max })
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
