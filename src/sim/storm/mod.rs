//! The fault simulator: replicas as a server runs them (core, log, snapshots, machine, sessions) on
//! simulated disks and a simulated network, with clients, in virtual time, in one thread.
//!
//! [`run`] takes a seed and gives an [`Outcome`]; one seed gives one outcome, byte for byte. The
//! seed draws a plan: the cluster, which kinds of faults there are, and when each happens. First
//! comes a phase with faults and then one without, at whose end everything must be done everywhere.
//!
//! | what | file |
//! | --- | --- |
//! | what a seed stands for | `plan.rs`, `act.rs` |
//! | the same as text, and back | `schedule.rs` |
//! | a schedule that fails, made short | `shrink.rs` |
//! | what happens next, and the network | `world.rs`, `queue.rs` |
//! | faults | `faults.rs` |
//! | a process, and what it does for its replica | `node.rs`, `drive.rs` |
//! | what its disk holds for certain | `mirror.rs` |
//! | clients, and the history of what they saw | `clients.rs` |
//! | what must hold | `checks` |
//!
//! What is *not* simulated is in docs/trust.md.

mod act;
mod checks;
mod clients;
mod dice;
mod drive;
mod faults;
mod frames;
mod mirror;
mod node;
mod plan;
mod queue;
mod schedule;
mod shrink;
mod world;

pub use schedule::BadSchedule;
pub use shrink::{Short, shrink};

use crate::check::history::Event;
use crate::check::scenario::Frame;
use std::collections::BTreeMap;

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many things happened: a message came, a clock ticked, a sync ended, a client asked.
    pub steps: u64,
    /// How much time passed there, in microseconds.
    pub micros: u64,
    /// Tells runs apart: of two equal runs it is equal.
    pub trace: u64,
    /// What happened, line by line, if that was asked for.
    pub text: String,
    /// How many operations of clients were answered.
    pub acknowledged: u64,
    /// What clients did and saw.
    pub history: Vec<Event>,
    /// Configurations that the check of the history looked at.
    pub linear_steps: u64,
    /// Which faults and branches were reached, and how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// What [`watch`] was asked for.
    pub frames: Vec<Frame>,
    /// The first thing that did not hold; it ended the run.
    pub violation: Option<Violation>,
}

/// Something did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// At which step.
    pub step: u64,
    /// When, in microseconds.
    pub at: u64,
    /// What, beginning with the number of the invariant if it has one.
    pub what: String,
}

/// In [`Outcome::counts`]: the check of the history gave up.
const UNDECIDED: &str = "undecided history";

impl Outcome {
    /// How many operations of clients the check of histories came to an end with.
    pub fn checked(&self) -> u64 {
        if self.reached(UNDECIDED) > 0 { 0 } else { self.history.len() as u64 }
    }

    /// How many elections timeouts, at the longest, fit into the time that passed.
    pub fn election_timeouts(&self) -> u64 {
        self.micros / plan::ELECTION
    }

    /// How often something was reached.
    pub fn reached(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

/// Runs a seed to its end, or for so many steps: what would only show at the end is not checked
/// then. `traced`: with the text.
pub fn run(seed: u64, steps_max: Option<u64>, traced: bool) -> Outcome {
    world::World::new(plan::Plan::draw(seed), traced).run(steps_max.unwrap_or(u64::MAX))
}

/// The same, with every step mapped to the specifications and held against them
/// ([`check::refine`](crate::check::refine)).
pub fn run_mapped(seed: u64, steps_max: Option<u64>, traced: bool) -> Outcome {
    let plan = plan::Plan { mapped: true, ..plan::Plan::draw(seed) };
    world::World::new(plan, traced).run(steps_max.unwrap_or(u64::MAX))
}

/// Runs a seed up to the step `to`, with a picture of all replicas after each step from `from` on
/// that changed one ([`Outcome::frames`]).
pub fn watch(seed: u64, from: u64, to: u64) -> Outcome {
    let plan = plan::Plan { mapped: true, ..plan::Plan::draw(seed) };
    world::World::new(plan, true).with_album(from, to).run(to)
}

/// The same of a schedule.
///
/// # Errors
/// The first line that means nothing.
pub fn watch_schedule(schedule: &str, from: u64, to: u64) -> Result<Outcome, BadSchedule> {
    let plan: plan::Plan = schedule.parse()?;
    Ok(world::World::new(plan, true).with_album(from, to).run(to))
}

/// The schedule that a seed draws, as text that [`replay`] runs.
pub fn schedule(seed: u64) -> String {
    plan::Plan::draw(seed).schedule()
}

/// Runs a schedule that was written down, as [`Short::text`] is.
///
/// # Errors
/// The first line that means nothing.
pub fn replay(schedule: &str, traced: bool) -> Result<Outcome, BadSchedule> {
    let plan: plan::Plan = schedule.parse()?;
    Ok(world::World::new(plan, traced).run(u64::MAX))
}
