//! A seed whose run fails, made short: acts are left out and knobs turned off as long as something
//! still does not hold (delta debugging; Zeller, Hildebrandt 2002).
//!
//! Without an act everything after it goes another way, so each schedule gets a few chances to fail
//! (`luck`): what is looked for is a short schedule, not the same run.

use super::Violation;
use super::act::Micros;
use super::plan::Plan;
use super::world::World;

/// So many runs at most.
const RUNS_MAX: u64 = 300;

/// So many chances for each schedule.
const CHANCES: u64 = 3;

/// A schedule is not made shorter than this: elections take their time.
const UNTIL_MIN: Micros = 400_000;

/// A schedule that fails, made short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// The seed that it comes from.
    pub seed: u64,
    /// How many acts the seed drew.
    pub acts_before: usize,
    /// How many are left.
    pub acts: usize,
    /// How many runs it took.
    pub runs: u64,
    /// What does not hold.
    pub violation: Violation,
    /// The schedule, for a person and to run it again: what the cluster is, each act with its time,
    /// what does not hold.
    pub text: String,
    /// What happens in it, line by line.
    pub trace: String,
}

/// Makes the schedule of a seed short; `None` if its run does not fail. `mapped`: also if what does
/// not hold is that its steps are those of the specifications.
pub fn shrink(seed: u64, mapped: bool) -> Option<Short> {
    let mut plan = Plan::draw(seed);
    plan.mapped |= mapped;
    let acts_before = plan.acts.len();
    let violation = World::new(plan.clone(), false).run(u64::MAX).violation?;
    let mut shrinker = Shrinker { plan, violation, runs: 1 };
    shrinker.end_early();
    shrinker.leave_out_acts();
    shrinker.turn_knobs();
    shrinker.leave_out_acts();
    let Shrinker { plan, violation, runs } = shrinker;
    let trace = World::new(plan.clone(), true).run(u64::MAX).text;
    let acts = plan.acts.len();
    let text = write(&plan, &violation);
    Some(Short { seed, acts_before, acts, runs, violation, text, trace })
}

struct Shrinker {
    /// The shortest one so far, and what does not hold in it.
    plan: Plan,
    violation: Violation,
    runs: u64,
}

impl Shrinker {
    /// Keeps a shorter schedule if it fails, too.
    fn keep(&mut self, plan: Plan) -> bool {
        for chance in 0..CHANCES {
            if self.runs >= RUNS_MAX {
                return false;
            }
            self.runs += 1;
            // The luck that it has, first.
            let luck = plan.luck.wrapping_add(chance << 40);
            let plan = Plan { luck, ..plan.clone() };
            if let Some(violation) = World::new(plan.clone(), false).run(u64::MAX).violation {
                (self.plan, self.violation) = (plan, violation);
                return true;
            }
        }
        false
    }

    /// What comes after the failure has no part in it, unless something was waited for.
    fn end_early(&mut self) {
        let (at, mut plan) = (self.violation.at, self.plan.clone());
        if at < plan.until {
            plan.acts.retain(|(when, _)| *when <= at);
            self.keep(plan);
        }
    }

    /// Half of the acts, a quarter of them, and so on to each by itself.
    fn leave_out_acts(&mut self) {
        let mut size = self.plan.acts.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.plan.acts.len() {
                let mut plan = self.plan.clone();
                let to = (from + size).min(plan.acts.len());
                plan.acts.drain(from..to);
                if !self.keep(plan) {
                    from = to;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Everything that makes a run richer, one after the other; and the faults end with the acts.
    fn turn_knobs(&mut self) {
        let knobs: [fn(&mut Plan); 13] = [
            |plan| plan.net.lost = 0,
            |plan| plan.net.doubled = 0,
            |plan| plan.net.late = 0,
            |plan| plan.narrow = [false; 3],
            |plan| plan.apply = 0,
            |plan| plan.sessions = 0,
            |plan| plan.forwarding = false,
            |plan| plan.overriding = false,
            |plan| plan.clients = 1,
            |plan| plan.clients = plan.clients.min(2),
            |plan| plan.keys = 1,
            |plan| plan.net.most = plan.net.most.min(3_000),
            |plan| {
                let last = plan.acts.last().map_or(0, |(at, _)| *at);
                plan.until = plan.until.min(last + UNTIL_MIN);
            },
        ];
        for knob in knobs {
            let mut plan = self.plan.clone();
            knob(&mut plan);
            if plan != self.plan {
                self.keep(plan);
            }
        }
    }
}

fn write(plan: &Plan, violation: &Violation) -> String {
    let Violation { step, at, what } = violation;
    let what = what.replace('\n', "\n# ");
    format!("{}# => step {step}, at {at} us: {what}\n", plan.schedule())
}
