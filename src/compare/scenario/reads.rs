//! What a read costs at each level, and when the first one is served after a failover.

use super::super::cell::{Cell, Measure, View};
use super::super::place::Place;
use super::super::rng::Rng;
use super::super::workload;
use super::{PAIR, Plan, Scenario, Setting};
use crate::replica::ReadLevel;
use crate::sim::{Act, LinkKind, Load, Op, Routing, Side, Spec, Time};

/// Reads at an even pace, each of a key of its own, and nothing else.
const PER_SECOND: u64 = 1_000;
const SECONDS: u64 = 10;

/// Runs behind each row about a failover.
const REPEATS: u64 = 20;

/// Levels, and how far the client stands from the leader: beside it, or beside another replica.
const LEVELS: [(ReadLevel, &str, usize); 4] = [
    (ReadLevel::Confirmed, "confirmed at the leader", 0),
    (ReadLevel::Lease, "lease at the leader", 0),
    (ReadLevel::Here, "here at a follower", 1),
    (ReadLevel::Stale, "stale at a follower", 1),
];

/// `reads`.
pub(super) fn cells(plan: &Plan) -> Vec<Cell> {
    let mut cells = Vec::new();
    for place in plan.places(&[Place::Lan]) {
        let setting = plan.calm(&place);
        cells.extend(LEVELS.map(|level| steady(plan, &setting, level)));
        for level in [ReadLevel::Confirmed, ReadLevel::Lease] {
            cells.push(failover(plan, &setting, level));
        }
    }
    cells
}

fn steady(plan: &Plan, setting: &Setting, (level, name, away): (ReadLevel, &str, usize)) -> Cell {
    let site = (setting.leader + away) % setting.replicas;
    let spec = move |spec: &mut Spec, _| {
        let read = |n| workload::read(workload::get(n), site);
        let ops = (0..PER_SECOND * SECONDS).map(read).collect();
        spec.load = workload::paced(Time::ZERO, PER_SECOND, ops);
        spec.read_level = level;
        spec.lease = level == ReadLevel::Lease;
    };
    Cell { repeats: 1, ..cell(plan, setting, format!("level={name}"), Measure::Class(0), spec) }
}

/// Keys that nobody has touched are read beside the successor of a leader that dies under load.
fn failover(plan: &Plan, setting: &Setting, level: ReadLevel) -> Cell {
    let (leader, replicas) = (setting.leader, setting.replicas);
    let successor = (leader + 1) % replicas;
    let spec = move |spec: &mut Spec, seed| {
        let death = Time::ms(500) + Time::us(Rng::new(seed).below(50_000));
        let write = |n| (Time::ms(n), workload::write(workload::set(n), leader));
        let before = |(at, _): &(Time, Op)| *at <= death;
        let mut ops: Vec<(Time, Op)> = (0..600).map(write).take_while(before).collect();
        let read = workload::read(workload::get(u64::MAX), successor);
        ops.push((death, Op { class: 1, ..read }));
        spec.load = Load::Open { ops };
        spec.routing = Routing::Wait;
        spec.read_level = level;
        spec.lease = level == ReadLevel::Lease;
        spec.successor = Some(successor);
        spec.until = death + Time::s(2);
        spec.script = vec![(death, Act::Crash(leader))];
    };
    let name = if level == ReadLevel::Lease { "lease" } else { "confirmed" };
    let param = format!("level={name} after=failover");
    cell(plan, setting, param, Measure::AfterDeath(1), spec)
}

fn cell(
    plan: &Plan,
    setting: &Setting,
    param: String,
    measure: Measure,
    change: impl Fn(&mut Spec, u64) + Send + Sync + 'static,
) -> Cell {
    let setting = setting.clone();
    Cell {
        scenario: Scenario::Reads,
        network: setting.network.name.clone(),
        place: setting.place.clone(),
        rtt: setting.rtt(),
        about: format!(
            "{}, {PER_SECOND} reads/s for {SECONDS} s and nothing else; after a failover {REPEATS} \
             seeds",
            setting.about()
        ),
        interference: None,
        repeats: REPEATS,
        variants: plan.variants(&PAIR),
        views: vec![View { param: Some(param), measure }],
        bounded: false,
        make: Box::new(move |seed| {
            let load = Load::Open { ops: Vec::new() };
            let (side, link) = (Side::Traft, LinkKind::Unordered);
            let network = setting.network.clone();
            let mut spec = Spec::new(side, link, setting.replicas, network, load);
            spec.leader = Some(setting.leader);
            spec.until = Time::s(60);
            change(&mut spec, seed);
            spec
        }),
    }
}
