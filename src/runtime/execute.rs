//! Executing commands and reads on other threads: on one, in the order in which they are given out,
//! or on several, if the machine has [hands](crate::apply::Stateful::hand) for them.
//!
//! One batch of a worker is out at a time, and what comes meanwhile is in the next one. So whatever
//! the replica was told is executed, and nothing more, exactly when no batch is out: then a
//! snapshot may be taken.

use super::bottom::{Fault, bring, ground, stays};
use super::crew::Crew;
use super::engine::NodeError;
use super::sync::{Arc, Mutex, thread};
use crate::apply::{Machine, Stateful};
use crate::base::Lsn;
use crate::disk::Disk;
use crate::replica::Task;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::store::StoreError;
use bytes::Bytes;
use std::cell::Cell;
use std::fmt;

/// A worker's own handle to a machine.
#[derive(Clone)]
pub(super) struct Hand(Arc<Mutex<Box<dyn Machine + Send>>>);

impl Hand {
    pub(super) fn new(hand: Box<dyn Machine + Send>) -> Hand {
        Hand(Arc::new(Mutex::new(hand)))
    }
}

impl fmt::Debug for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hand")
    }
}

/// One thing to be done to a machine.
pub(super) enum Step<D: Disk, F> {
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
    worker: usize,
    machine: Arc<Mutex<M>>,
    /// Instead of the machine itself.
    hand: Option<Hand>,
    steps: Vec<Step<D, M::Frozen>>,
    fault: Arc<Fault>,
    resident_max: u64,
}

/// What came of a [`Batch`].
#[derive(Debug, Default)]
pub struct Executed {
    worker: usize,
    applied: Vec<Lsn>,
    answers: Vec<(u64, Bytes)>,
    failed: Option<SnapshotError>,
}

impl<D: Disk + Send + Sync + 'static, M: Stateful> Batch<D, M> {
    /// Which worker is to do it.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// Does it all. Ends early with a snapshot that cannot be read.
    pub(super) fn run(self) -> Executed {
        let Batch { worker, machine, hand, steps, fault, resident_max } = self;
        let mut executed = Executed { worker, ..Executed::default() };
        let done = match hand {
            Some(hand) => {
                let mut machine = hand.0.lock();
                let mut each = |step| executed.ask(&mut **machine, step, &fault);
                steps.into_iter().try_for_each(&mut each)
            }
            None => {
                let mut machine = machine.lock();
                let mut each = |step| executed.step(&mut *machine, step, &fault, resident_max);
                steps.into_iter().try_for_each(&mut each)
            }
        };
        executed.failed = done.err();
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
            Step::Restore(snapshot) => bring(machine, &snapshot, resident_max, fault),
            Step::Rest(frozen, snapshot) => {
                machine.rest_on(&frozen, ground(&snapshot, fault));
                fault.check()?;
                // It may have been all there was in memory: letting go of that takes long. Where
                // there is no thread to be had it is done here.
                let _ = thread::Builder::new().spawn(move || drop(frozen));
                Ok(())
            }
            step => self.ask(machine, step, fault),
        }
    }

    /// A command or a read, which is all that a hand is given.
    fn ask<D: Disk, F>(
        &mut self,
        machine: &mut (impl Machine + ?Sized),
        step: Step<D, F>,
        fault: &Fault,
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
            Step::Restore(_) | Step::Rest(..) => {}
        }
        Ok(())
    }
}

/// A machine, and what is still to be done to it.
pub(super) struct Executor<D: Disk, M: Stateful> {
    machine: Arc<Mutex<M>>,
    /// Whoever executes, if that is more than one: then nothing below but answers is used.
    crew: Option<Crew<D, M::Frozen>>,
    /// Somebody waits for a crew to be at rest.
    awaited: Cell<bool>,
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
    /// With so many workers, or one if the machine has no hands for more.
    pub(super) fn new(
        machine: M,
        workers: usize,
        fault: Arc<Fault>,
        resident_max: u64,
    ) -> Executor<D, M> {
        let mut hands = Vec::new();
        if workers > 1 {
            hands.extend((0..workers).map_while(|_| machine.hand()));
        }
        let crew = (hands.len() > 1).then(|| Crew::new(hands.into_iter().map(Hand::new).collect()));
        Executor {
            machine: Arc::new(Mutex::new(machine)),
            crew,
            awaited: Cell::new(false),
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
            let step = Step::Rest(frozen, snapshot.clone());
            match &mut self.crew {
                Some(crew) => crew.alone(step),
                None => self.steps.push(step),
            }
        }
    }

    /// The command at `lsn` is to be executed, after the one at `after` if that is not done yet.
    pub(super) fn apply(&mut self, task: Task, body: Bytes) {
        let Task { lsn, proposal, after } = task;
        let step = Step::Apply { lsn, proposal, body };
        match &mut self.crew {
            Some(crew) => crew.apply(lsn, after, step),
            None => self.steps.push(step),
        }
    }

    pub(super) fn read(&mut self, number: u64, body: Bytes) {
        match &mut self.crew {
            Some(crew) => crew.read(number, body),
            None => self.steps.push(Step::Read { number, body }),
        }
    }

    pub(super) fn restore(&mut self, snapshot: Arc<Snapshot<D>>) {
        if let Some(crew) = &mut self.crew {
            return crew.alone(Step::Restore(snapshot));
        }
        self.restoring = true;
        self.steps.push(Step::Restore(snapshot));
    }

    /// The next batches, for whoever has none.
    pub(super) fn depart(&mut self) -> Vec<Batch<D, M>> {
        let (machine, fault, resident_max) = (&self.machine, &self.fault, self.resident_max);
        let batch = |(worker, hand, steps)| {
            let (machine, fault) = (machine.clone(), fault.clone());
            Batch { worker, machine, hand, steps, fault, resident_max }
        };
        if let Some(crew) = &mut self.crew {
            if crew.is_idle() {
                self.awaited.set(false);
            }
            if self.awaited.get() {
                return Vec::new();
            }
            return crew.depart().into_iter().map(batch).collect();
        }
        if self.out || self.steps.is_empty() {
            return Vec::new();
        }
        self.out = true;
        vec![batch((0, None, std::mem::take(&mut self.steps)))]
    }

    /// A batch is back: what was executed, in this order.
    pub(super) fn land(&mut self, executed: Executed) -> Result<Vec<Lsn>, NodeError> {
        if let Some(crew) = &mut self.crew {
            crew.land(executed.worker, &executed.applied);
        }
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

    /// The machine, if its state is what the replica was told. Of several workers somebody always
    /// has something to do, so after this nobody gets more before all have been at rest.
    pub(super) fn at_rest(&self) -> Option<&Mutex<M>> {
        if let Some(crew) = &self.crew {
            self.awaited.set(!crew.is_idle());
            return (crew.is_idle() && !crew.is_restoring()).then_some(&*self.machine);
        }
        (!self.out && !self.restoring).then_some(&*self.machine)
    }
}
