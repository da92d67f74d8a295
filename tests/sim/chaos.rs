//! Random faults under a contended load: no invariant breaks, and when the faults are over
//! everything is done everywhere (I-12). `CHAOS_SEEDS=100..400` runs other seeds.

use traft::apply::Machine;
use traft::apply::kv::{Kv, Op as KvOp};
use traft::base::Command;
use traft::sim::{Act, Kind, LinkKind, Load, Network, Op, Outcome, Routing, Side, Spec, Time, run};

/// A small generator (splitmix64): the test decides everything by its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Every kind of command, on few keys.
fn command(dice: &mut Dice, at: u64) -> (Command, Kind) {
    let keys: Vec<String> = (0..4).map(|_| format!("k{}", dice.below(6))).collect();
    let key = |i: usize| keys[i].as_bytes();
    let value = at.to_string();
    let value = value.as_bytes();
    let op = match dice.below(9) {
        0 => return (KvOp::Get { key: key(0) }.command(), Kind::Read),
        1 => return (KvOp::GetMany { keys: vec![key(0), key(1)] }.command(), Kind::Read),
        2 => KvOp::Append { key: key(0), suffix: value },
        3 => KvOp::Increment { key: key(0), by: 1 },
        4 => KvOp::SetMany { pairs: vec![(key(0), value), (key(1), value)] },
        5 => KvOp::Delete { key: key(0) },
        6 if dice.one_in(4) => KvOp::DeleteRange { start: b"k2", end: Some(b"k4") },
        7 => KvOp::GetMany { keys: vec![key(0), key(1)] },
        _ => KvOp::Set { key: key(0), value },
    };
    (op.command(), Kind::Write)
}

/// The faults stop here.
const CALM: Time = Time::s(4);

/// Crashes, cuts and campaigns until `CALM`; then everything is mended.
fn script(dice: &mut Dice, replicas: usize) -> Vec<(Time, Act)> {
    let mut script = Vec::new();
    let mut at = Time::ZERO;
    let pace = 20 + dice.below(300);
    while at < CALM {
        let a = dice.below(replicas as u64) as usize;
        let b = (a + 1 + dice.below(replicas as u64 - 1) as usize) % replicas;
        script.push((
            at,
            match dice.below(9) {
                0 => Act::Crash(a),
                1 | 2 => Act::Restart(a),
                3 => Act::Cut(a, b),
                4 => Act::Heal(a, b),
                5 => Act::Isolate(a),
                6 | 7 => Act::Rejoin(a),
                _ => Act::Campaign(a),
            },
        ));
        at = at + Time::ms(dice.below(pace));
    }
    for replica in 0..replicas {
        script.push((CALM.max(at), Act::Restart(replica)));
        script.push((CALM.max(at), Act::Rejoin(replica)));
    }
    script
}

pub(super) fn spec(seed: u64) -> Spec {
    let mut dice = Dice(seed);
    let replicas = [1, 3, 3, 3, 5, 5][dice.below(6) as usize];
    let mut network = Network::uniform("chaos", replicas, Time::ms(1 + dice.below(15)))
        .with_jitter(Time::ms(dice.below(20)))
        .with_loss([0.0, 0.01, 0.1, 0.3][dice.below(4) as usize]);
    network.duplication = [0.0, 0.1, 0.5][dice.below(3) as usize];
    let every = 1 + dice.below(8);
    let ops = (0..6_000 / every).map(|i| {
        let (command, kind) = command(&mut dice, i);
        // What runs for long takes a fifth of a worker's time, and all of it again after a restart.
        let cost = Time::ms(if dice.one_in(10) { dice.below(4 * every) } else { 0 });
        let site = dice.below(replicas as u64) as usize;
        (Time::ms(i * every), Op { command, kind, cost, class: 0, site })
    });
    let load = Load::Open { ops: ops.collect() };
    let link = if dice.one_in(3) { LinkKind::Ordered } else { LinkKind::Unordered };
    let mut spec = Spec::new(Side::Traft, link, replicas, network, load);
    spec.seed = seed;
    spec.routing = [Routing::Travel, Routing::Forward][dice.below(2) as usize];
    spec.leader = if dice.one_in(4) { None } else { Some(0) };
    spec.sync_delay = Time::ms([0, 0, 2, 12][dice.below(4) as usize]);
    spec.machine = Some(|| Box::new(Kv::new()) as Box<dyn Machine>);
    if replicas > 1 {
        spec.script = script(&mut dice, replicas);
    }
    spec.until = Time::s(15);
    spec.linger = Time::s(5);
    spec
}

/// I-12, and that clients are served again.
fn is_healthy(spec: &Spec, outcome: &Outcome) -> Result<(), String> {
    if let Some(violation) = outcome.violations.first() {
        return Err(violation.clone());
    }
    let calm = spec.script.last().map_or(Time::ZERO, |(at, _)| *at) + Time::s(2);
    let served = outcome.ops.iter().filter(|op| op.issued > calm && op.finished.is_some()).count();
    if outcome.ops.iter().any(|op| op.issued > calm) && served == 0 {
        return Err("I-12 nobody was served after the faults".into());
    }
    let ends: Vec<_> = outcome.ends.iter().flatten().collect();
    if ends.len() != spec.replicas {
        return Err("a replica is down".into());
    }
    if let Some(open) = ends.iter().find(|end| !end.done.tail().is_empty()) {
        return Err(format!("I-12 a replica has done {} for good", open.done));
    }
    if let Some(other) = ends.iter().find(|end| end.done != ends[0].done) {
        return Err(format!("I-12 replicas have done {} and {}", ends[0].done, other.done));
    }
    Ok(())
}

#[test]
fn no_fault_breaks_an_invariant_or_progress() {
    let range = |text: String| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    let seeds = std::env::var("CHAOS_SEEDS").ok().and_then(range).unwrap_or(0..60);
    let mut leaders = 0;
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        let spec = spec(seed);
        let outcome = run(&spec).expect("the spec can be run");
        leaders += outcome.leaders.len();
        if let Err(why) = is_healthy(&spec, &outcome) {
            failures.push(format!("CHAOS_SEEDS={seed}..{}: {why}", seed + 1));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let enough = seeds.count() < 30 || leaders > 60;
    assert!(enough, "only {leaders} leaders: the faults are too tame");
}
