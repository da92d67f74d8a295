//! What a seed stands for: the cluster, which faults there are, and when.

use super::act::{Act, Micros, Tear};
use super::dice::Dice;
use crate::base::{Membership, ReplicaId};

/// A tick of a clock that is right.
pub(super) const TICK: Micros = 10_000;

/// Ticks; an election takes once or twice as long.
pub(super) const ELECTION_TICKS: u64 = 10;

/// The longest that a replica waits before it campaigns, on a clock that is right.
pub(super) const ELECTION: Micros = 2 * ELECTION_TICKS * TICK;

/// With leases: by how much the clocks of two replicas differ at most.
pub(super) const DRIFT_PERMILLE: u64 = 100;

/// Everything that a run is made of. One seed, one plan; each draws which kinds of faults it has
/// (swarm testing: where everything happens all the time, much cannot happen).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Decides what acts do not: delays, what is lost, what a crash tears. The seed, unless the
    /// schedule was made short.
    pub(super) luck: u64,
    pub(super) replicas: usize,
    pub(super) initial: Membership,
    /// Whether memberships change; else it is the majority of all for ever.
    pub(super) churn: bool,
    /// Whether disks go bad, one at a time.
    pub(super) damage: bool,
    pub(super) net: Net,
    pub(super) clients: u64,
    pub(super) keys: u64,
    /// The longest that a client waits before it does the next thing.
    pub(super) think: Micros,
    /// Of a thousand operations so many go through a session.
    pub(super) sessions: u64,
    /// Of a thousand turns of a client so many sweep sessions.
    pub(super) sweeps: u64,
    pub(super) forwarding: bool,
    pub(super) overriding: bool,
    /// Some reads rest on a lease, and clocks keep to the bound that it supposes.
    pub(super) lease: bool,
    /// Elections take less time, and everything else happens as much faster.
    pub(super) dense: bool,
    /// Small limits of messages, of what is on its way, and of what memory keeps.
    pub(super) narrow: [bool; 3],
    /// The longest that the execution of a command may take.
    pub(super) apply: Micros,
    /// Its steps are mapped to the specifications and held against them. Changes nothing else.
    pub(super) mapped: bool,
    /// When the faults end.
    pub(super) until: Micros,
    /// What is done, by time.
    pub(super) acts: Vec<(Micros, Act)>,
}

/// How messages fare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Net {
    pub(super) least: Micros,
    pub(super) most: Micros,
    /// In a thousand.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// So many come very late: after a restart, or in a later term.
    pub(super) late: u64,
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Plan {
        let mut dice = Dice::new(seed, "plan");
        let (churn, damage) = match dice.below(10) {
            0..6 => (true, Dice::new(seed, "damage").chance(200)),
            6..8 => (false, true),
            _ => (false, false),
        };
        let replicas = if churn { dice.pick(&[3, 4, 5, 5]) } else { dice.pick(&[3, 3, 3, 5]) };
        let initial = if churn {
            membership(&mut dice, replicas)
        } else {
            Membership::majority((1..=replicas as u64).map(ReplicaId))
        };
        let most = dice.pick(&[1_000, 3_000, 10_000, 30_000]);
        let sometimes =
            |dice: &mut Dice, most: u64| if dice.chance(500) { dice.below(most) } else { 0 };
        let net = Net {
            least: 200,
            most,
            lost: sometimes(&mut dice, 100),
            doubled: sometimes(&mut dice, 100),
            late: sometimes(&mut dice, 30),
        };
        let mut plan = Plan {
            seed,
            luck: seed,
            replicas,
            initial,
            churn,
            damage,
            net,
            clients: dice.between(3, 6),
            keys: dice.between(2, 6),
            think: dice.pick(&[10_000, 40_000, 80_000]),
            sessions: dice.pick(&[0, 300, 600]),
            sweeps: if Dice::new(seed, "sweeps").chance(250) { 60 } else { 0 },
            forwarding: dice.chance(500),
            overriding: dice.chance(850),
            lease: Dice::new(seed, "lease").chance(200),
            dense: false,
            narrow: [dice.chance(250), dice.chance(250), dice.chance(300)],
            apply: dice.pick(&[0, 0, 2_000, 30_000]),
            mapped: false,
            until: dice.between(3_125_000, 5_000_000),
            acts: Vec::new(),
        };
        let mut dice = Dice::new(seed, "dense");
        if dice.chance(400) {
            plan.make_dense(&mut dice);
        }
        plan.acts = acts(&plan, &mut Dice::new(seed, "acts"));
        plan
    }

    /// More of it in less time: what is lost with a leader is mostly what was under way.
    fn make_dense(&mut self, dice: &mut Dice) {
        self.dense = true;
        self.net.most = dice.pick(&[1_000, 3_000, 8_000]);
        self.net.lost *= 2;
        self.clients = dice.between(3, 7);
        self.keys = dice.between(2, 4);
        self.think = dice.pick(&[1_000, 4_000, 15_000]);
        self.apply = dice.pick(&[0, 0, 2_000, 10_000]);
        self.until = dice.between(1_250_000, 2_250_000);
    }

    /// An election takes once or twice as long.
    pub(super) fn election_ticks(&self) -> u64 {
        if self.dense { 4 } else { ELECTION_TICKS }
    }
}

/// Kinds of acts, with how often each comes where it is on, and how often it is on, in a thousand.
const KINDS: [(&str, u64, u64); 17] = [
    ("cut", 3, 500),
    ("isolate", 3, 500),
    ("crash", 5, 900),
    ("pause", 2, 400),
    ("slow", 2, 400),
    ("fail", 1, 300),
    ("fill", 1, 250),
    ("rate", 2, 400),
    ("jump", 1, 300),
    ("snapshot", 8, 950),
    ("offer", 10, 900),
    ("campaign", 6, 900),
    ("transfer", 2, 500),
    ("usurp", 5, 500),
    ("change", 5, 1_000),
    ("flip", 3, 700),
    ("wipe", 2, 400),
];

fn acts(plan: &Plan, dice: &mut Dice) -> Vec<(Micros, Act)> {
    let mut on: Vec<(&str, u64)> = KINDS
        .iter()
        .filter(|(kind, _, chance)| {
            dice.chance(*chance)
                && match *kind {
                    "change" => plan.churn,
                    "flip" | "wipe" => plan.damage,
                    "jump" | "usurp" => !plan.lease,
                    _ => true,
                }
        })
        .map(|(kind, weight, _)| (*kind, *weight))
        .collect();
    // Each seed has favourites.
    on.iter_mut().for_each(|(_, weight)| *weight *= dice.pick(&[1, 1, 1, 5]));
    let all: u64 = on.iter().map(|(_, weight)| weight).sum();
    let pace = dice.pick(&[40_000, 70_000, 120_000]) / if plan.dense { 3 } else { 1 };
    let (mut acts, mut at) = (Vec::new(), 250_000);
    loop {
        at += dice.between(pace / 4, pace * 7 / 4);
        if at >= plan.until || all == 0 {
            return acts;
        }
        let mut left = dice.below(all);
        let kind = on.iter().find(|(_, weight)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        let Some((kind, _)) = kind else { continue };
        act(kind, plan, dice, at, &mut acts);
        acts.sort_by_key(|(at, _)| *at);
    }
}

fn act(kind: &str, plan: &Plan, dice: &mut Dice, now: Micros, acts: &mut Vec<(Micros, Act)>) {
    let at = dice.below(plan.replicas as u64) as usize;
    let other = (at + 1 + dice.below(plan.replicas as u64 - 1) as usize) % plan.replicas;
    let haste = if plan.dense { 4 } else { 1 };
    let away = dice.between(10_000, 400_000) / haste;
    let lasts = dice.between(20_000, 600_000) / haste;
    let mut heal = || acts.push((now + lasts, Act::Heal));
    let act = match kind {
        "cut" => {
            heal();
            Act::Cut { from: at, to: other }
        }
        "isolate" => {
            heal();
            let (hears, speaks) = dice.pick(&[(false, false), (true, false), (false, true)]);
            Act::Isolate { at, hears, speaks }
        }
        "crash" => {
            let tear = dice.pick(&[Tear::Nothing, Tear::Everything, Tear::Some, Tear::Some]);
            let outputs = if dice.chance(500) { 0 } else { dice.between(1, 30) };
            Act::Crash { at, outputs, tear, away }
        }
        "flip" => Act::Flip { at, away },
        "wipe" => Act::Wipe { at, away },
        "pause" => Act::Pause { at, lasts },
        "slow" => {
            let sync = if dice.chance(200) { 10_000_000 } else { dice.between(5_000, 200_000) };
            Act::Slow { at, sync, lasts }
        }
        "fail" => Act::FailSync { at },
        "fill" => Act::Fill { at, lasts },
        "rate" if plan.lease => {
            let most = TICK + TICK * DRIFT_PERMILLE / 1_000;
            Act::Rate { at, tick: dice.between(TICK, most) }
        }
        "rate" => Act::Rate { at, tick: dice.between(TICK / 2, 2 * TICK) },
        "jump" => Act::Jump { at, ticks: dice.between(2, 60) },
        "snapshot" => Act::Snapshot { at },
        "offer" => Act::Offer { from: at, to: other },
        "campaign" => Act::Campaign { at },
        "usurp" => {
            // Two at once begin in the same term.
            if dice.chance(500) {
                acts.push((now, Act::Usurp { at: other }));
            }
            Act::Usurp { at }
        }
        "transfer" => Act::Transfer { to: dice.chance(500).then_some(at) },
        _ if dice.chance(150) => Act::Cancel,
        _ => Act::Change { membership: membership(dice, plan.replicas), force: dice.chance(600) },
    };
    acts.push((now, act));
}

/// A sound membership of some of the replicas: half of them majorities, else of flexible sizes.
fn membership(dice: &mut Dice, replicas: usize) -> Membership {
    let mut voters: Vec<ReplicaId> = Vec::new();
    while voters.is_empty() {
        voters = (1..=replicas as u64).filter(|_| dice.chance(650)).map(ReplicaId).collect();
    }
    let all = (1..=replicas as u64).map(ReplicaId);
    let learners = all.filter(|id| !voters.contains(id) && dice.chance(500)).collect();
    let count = voters.len();
    let membership = if dice.chance(600) {
        Membership::majority(voters)
    } else {
        let write = 1 + dice.below(count as u64) as usize;
        Membership::flexible(voters, count + 1 - write, write)
    };
    Membership { learners, ..membership }
}
