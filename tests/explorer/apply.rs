//! Commands that are out for execution.

use crate::world::World;
use traft::base::{Lsn, SharedRecord, Tail};
use traft::replica::{Input, Task};

/// A record that is out for execution.
pub(crate) struct Applying {
    pub(crate) record: SharedRecord,
    pub(crate) proposal: Option<u64>,
    pub(crate) after: Option<Lsn>,
}

impl World {
    /// Executes some records that are out, and says so.
    pub(crate) fn apply(&mut self, at: usize) {
        let tasks = self.execute(at);
        self.executed(at, tasks);
    }

    /// Executes up to three records that are out, each after what it comes after.
    pub(crate) fn execute(&mut self, at: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        for _ in 0..1 + self.draw(3) {
            let applying = &self.nodes[at].applying;
            let runs = |lsn: Option<Lsn>| applying.iter().any(|o| Some(o.record.lsn) == lsn);
            let may: Vec<usize> =
                (0..applying.len()).filter(|next| !runs(applying[*next].after)).collect();
            if may.is_empty() {
                break;
            }
            let pick = may[self.draw(may.len() as u64) as usize];
            let Applying { record, proposal, after } = self.nodes[at].applying.swap_remove(pick);
            self.checks.applied(at, &record, proposal);
            tasks.push(Task { lsn: record.lsn, proposal, after });
        }
        tasks
    }

    /// Reads. Whether that comes first, or some of what is out, is for the driver to say.
    pub(crate) fn serve(&mut self, at: usize, read: u64) -> Vec<Task> {
        let first = if self.draw(2) == 0 { self.execute(at) } else { Vec::new() };
        self.checks.read(at, read);
        first
    }

    /// The replica hears of it.
    pub(crate) fn executed(&mut self, at: usize, tasks: Vec<Task>) {
        let applied: Tail = tasks.iter().map(|task| task.lsn).collect();
        match applied.first() {
            Some(lsn) if applied.len() == 1 => self.input(at, Input::Applied(lsn)),
            Some(lsn) if lsn.0.is_multiple_of(2) => self.input(at, Input::AppliedTasks(tasks)),
            Some(_) => self.input(at, Input::AppliedAll(applied)),
            None => {}
        }
    }
}
