//! What is told of the steps of a replica, if somebody records them.

use super::Host;
use crate::apply::Stateful;
use crate::disk::Disk;
use crate::replica::{Durable, Input, Output, Step};

impl<D: Disk, M: Stateful> Host<D, M> {
    /// A life begins with this.
    pub(super) fn record_start(&self, durable: &Durable) {
        if let Some(recorder) = &self.options.recorder {
            recorder.record(self.replica.id(), &Step::Starts(Box::new(durable.clone())));
        }
    }

    /// Hands something to the replica. It is recorded before the replica knows of it.
    pub(super) fn input(&mut self, input: Input) {
        if let Some(recorder) = &self.options.recorder
            && let Some(step) = Step::of_input(&input)
        {
            recorder.record(self.replica.id(), &step);
        }
        self.replica.handle(input);
    }

    /// The replica wants these. They are recorded before any is carried out.
    pub(super) fn record_drain(&self, outputs: &[Output]) {
        if let Some(recorder) = &self.options.recorder {
            let id = self.replica.id();
            Step::of_drain(outputs).for_each(|step| recorder.record(id, &step));
        }
    }
}
