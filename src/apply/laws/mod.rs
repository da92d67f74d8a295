//! A test kit: searches a machine and its footprints for what would make replicas diverge.
//!
//! The engine believes every footprint. One that is too small is found by no invariant of the
//! protocol, only by two replicas with different states, some day. [`check`] looks for that day:
//! from many reachable states it tries whether commands that are declared independent commute,
//! and the other points of [`Machine`]'s contract, and shrinks what it finds to a few commands.
//!
//! ```
//! use traft::apply::{kv::{Kv, Op}, laws};
//!
//! // A user's own commands; the footprint of one names the wrong key.
//! let draw = |dice: &mut laws::Dice| {
//!     let get = Op::Get { key: b"y" }.command();
//!     let mut increment = Op::Increment { key: b"y", by: 1 }.command();
//!     increment.footprint = Op::Increment { key: b"x", by: 1 }.command().footprint;
//!     if dice.below(2) == 0 { get } else { increment }
//! };
//! let found = laws::check(&laws::Plan::default(), Kv::new, draw).unwrap_err();
//! assert_eq!(found.case.law, laws::Law::Commute);
//! ```

mod case;

pub use case::{Case, Counterexample, Law, Seen};

use super::{Digest, Machine};
use crate::base::Command;
use bytes::Bytes;

/// How much is searched, and how commands are printed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides every draw: the same seed finds the same counterexample. Default 1.
    pub seed: u64,
    /// From how many states. Default 1,000; each costs some hundred commands.
    pub rounds: u32,
    /// The most commands that lead to such a state. Default 12. With few, states stay poor; with
    /// many, commands that empty the state are drawn too often.
    pub history_max: usize,
    /// How the body of a command is printed. Default: as text, with escapes.
    pub show: fn(&Bytes) -> String,
}

impl Default for Plan {
    fn default() -> Plan {
        let show = |body: &Bytes| body.escape_ascii().to_string();
        Plan { seed: 1, rounds: 1_000, history_max: 12, show }
    }
}

/// How often each law was tried: a generator whose commands never meet tries nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pairs declared independent, in both orders.
    pub commuting: u64,
    /// Pairs of which the second overrides the first.
    pub overriding: u64,
    /// Blind commands, for what they return.
    pub blind: u64,
    /// Commands that write nothing, for what they change and what a read gives.
    pub reading: u64,
    /// Bodies, whole and garbled, for a panic and for a second result.
    pub determined: u64,
}

impl Checked {
    fn count(&mut self, law: Law) {
        *match law {
            Law::Determined => &mut self.determined,
            Law::Commute => &mut self.commuting,
            Law::ReadOnly | Law::ReadAgrees => &mut self.reading,
            Law::Silent => &mut self.blind,
            Law::Override => &mut self.overriding,
        } += 1;
    }
}

/// A small generator of choices. The same seed makes the same choices on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Choices that follow from `seed`.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `n`; `n` is at least 1. (Even enough for the small numbers of a test.)
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    /// One of the items; there is at least one.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// How many commands are tried against each other from one state.
const CANDIDATES: usize = 4;

/// How many commands at most look at the state afterwards.
const AFTER_MAX: u64 = 3;

/// Searches for a breach of the contract of [`Machine`]: `new` makes a machine in its first state,
/// `draw` a command with the footprint that the user's client would propose it with.
///
/// # Errors
/// The first breach found, shrunk: no command can be left out of it.
pub fn check<M: Machine>(
    plan: &Plan,
    new: impl Fn() -> M,
    mut draw: impl FnMut(&mut Dice) -> Command,
) -> Result<Checked, Box<Counterexample>> {
    let mut checked = Checked::default();
    for round in 0..plan.rounds {
        let mut dice = Dice::new(Digest::new().word(plan.seed).word(u64::from(round)).value());
        let length = dice.below(plan.history_max as u64 + 1);
        let history: Vec<Command> = (0..length).map(|_| draw(&mut dice)).collect();
        let after = (0..dice.below(AFTER_MAX + 1)).map(|_| draw(&mut dice)).collect::<Vec<_>>();
        let candidates: Vec<Command> = (0..CANDIDATES).map(|_| draw(&mut dice)).collect();
        for (law, first, second) in trials(&candidates, &mut dice) {
            checked.count(law);
            let case = Case { law, history: history.clone(), first, second, after: after.clone() };
            if case.breach(&new).is_some() {
                let (seed, show) = (plan.seed, plan.show);
                return Err(Box::new(Counterexample::shrink(case, &new, seed, round, show)));
            }
        }
    }
    Ok(checked)
}

/// What is to be tried with these commands: a law, the command, and the other one if it takes two.
fn trials(candidates: &[Command], dice: &mut Dice) -> Vec<(Law, Command, Option<Command>)> {
    let mut trials = Vec::new();
    for (at, first) in candidates.iter().enumerate() {
        let mut alone = |law| trials.push((law, first.clone(), None));
        alone(Law::Determined);
        alone(Law::ReadAgrees);
        if first.footprint.is_blind() {
            alone(Law::Silent);
        }
        if first.footprint.writes.is_empty() {
            alone(Law::ReadOnly);
        }
        trials.push((Law::Determined, garbled(first, dice), None));
        for (other, second) in candidates.iter().enumerate() {
            let mut both = |law| trials.push((law, first.clone(), Some(second.clone())));
            if at <= other && !first.footprint.interferes(&second.footprint) {
                both(Law::Commute);
            }
            if overrides(second, first) {
                both(Law::Override);
            }
        }
    }
    trials
}

/// Whether the engine may leave `victim` out once it has `command` (algorithm.md, Authoring).
fn overrides(command: &Command, victim: &Command) -> bool {
    let (mine, its) = (&command.footprint, &victim.footprint);
    mine.is_blind() && its.is_blind() && !its.writes.is_empty() && mine.writes.covers(&its.writes)
}

/// The command with its body cut short, lengthened, or one byte of it changed.
fn garbled(command: &Command, dice: &mut Dice) -> Command {
    let mut body = command.body.to_vec();
    let at = dice.below(body.len() as u64 + 1) as usize;
    match (dice.below(3), body.get_mut(at)) {
        (0, Some(byte)) => *byte ^= 1 << dice.below(8),
        (1, Some(_)) => body.truncate(at),
        _ => body.push(dice.below(256) as u8),
    }
    Command { footprint: command.footprint.clone(), body: Bytes::from(body) }
}
