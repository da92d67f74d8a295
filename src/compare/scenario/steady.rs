//! Many operations under one seed: writes in fair and foul weather, reads, overwrites, a trace.

use super::super::cell::{Cell, Measure, View};
use super::super::place::{LOSS, Place};
use super::super::workload::{self, Ycsb};
use super::{EITHER_LINK, EVERYBODY, Plan, Scenario, Setting};
use crate::sim::{LinkKind, Load, Op, Side, Spec, Time};

/// Interference rates, in percent, for `--all`.
const RATES: [u32; 5] = [0, 2, 10, 30, 100];

/// Writes at an even pace: how many a second and for how many seconds. The calibration network
/// keeps the load under which its figures were measured.
fn pace(place: &Place) -> (u64, u64) {
    match place {
        Place::Calibration => (1_000, 60),
        Place::Lan | Place::Jitter | Place::Loss => (10_000, 2),
        Place::SlowLeader | Place::AllAtOnce => (10_000, 2),
        Place::Aws5 | Place::File { .. } => (1_000, 20),
    }
}

/// `quiet`, `jitter` and `loss`.
pub(super) fn writes(scenario: Scenario, plan: &Plan) -> Vec<Cell> {
    let default: &[Place] = match scenario {
        _ if plan.all => &[Place::Lan, Place::Calibration, Place::Aws5],
        Scenario::Quiet => &[Place::Lan, Place::Aws5],
        _ => &[Place::Lan, Place::Calibration, Place::Aws5],
    };
    let mut cells = Vec::new();
    for place in plan.places(default) {
        for percent in rates(scenario, &place, plan) {
            cells.push(writes_on(scenario, &place, percent, plan));
        }
    }
    cells
}

fn rates(scenario: Scenario, place: &Place, plan: &Plan) -> Vec<u32> {
    match (scenario, place) {
        _ if !plan.interference.is_empty() => plan.interference.clone(),
        _ if plan.all => RATES.to_vec(),
        (_, Place::Aws5 | Place::File { .. }) => vec![2],
        (Scenario::Loss, Place::Lan) => RATES.to_vec(),
        _ => vec![0, 2],
    }
}

fn writes_on(scenario: Scenario, place: &Place, percent: u32, plan: &Plan) -> Cell {
    let mut setting = plan.setting(place);
    match scenario {
        Scenario::Quiet => setting.calm(),
        // A quarter of the round trip: on the calibration network the 5 ms of its figures.
        Scenario::Jitter => {
            setting.network = setting.network.clone().with_jitter(setting.rtt().scaled(0.25));
        }
        _ if setting.network.loss == 0.0 => setting.network.loss = LOSS,
        _ => {}
    }
    let (per_second, seconds) = pace(place);
    let about = format!("{}, {per_second} writes/s for {seconds} s", setting.about());
    let count = (per_second * seconds) as usize;
    let leader = setting.leader;
    let load = move |seed| {
        workload::paced(Time::ZERO, per_second, workload::interfering(seed, count, percent, leader))
    };
    Cell {
        interference: Some(percent),
        ..cell(scenario, setting, about, plan, load, Time::s(seconds + 60))
    }
}

/// How long a slow command keeps a worker busy.
const SLOW: Time = Time::ms(50);

/// `slow-command`: the same load with and without the slow key.
pub(super) fn slow_command(plan: &Plan) -> Vec<Cell> {
    let (per_second, seconds, slow_per_second) = (1_000, 10, 10);
    let others = move |site| -> Vec<(Time, Op)> {
        let ops = (0..per_second * seconds).map(|n| workload::write(workload::modify(n), site));
        timed(Time::ZERO, per_second, ops)
    };
    let slow = move |site| -> Vec<(Time, Op)> {
        let op = Op { cost: SLOW, class: 1, ..workload::write(workload::modify(u64::MAX), site) };
        let ops = std::iter::repeat_n(op, (slow_per_second * seconds) as usize);
        timed(Time::us(500), slow_per_second, ops)
    };
    let view = |name: &str, class| View {
        param: Some(format!("commands={name}")),
        measure: Measure::Class(class),
    };
    let mut cells = Vec::new();
    for place in plan.places(&[Place::Lan]) {
        for with_slow in [true, false] {
            let setting = plan.setting(&place);
            let leader = setting.leader;
            let about = format!(
                "{}, {per_second} quick commands/s and {slow_per_second}/s of 50 ms on one key, \
                 4 workers, {seconds} s",
                setting.about()
            );
            let load = move |_| {
                let mut ops = others(leader);
                if with_slow {
                    ops.extend(slow(leader));
                }
                ops.sort_by_key(|(at, _)| *at);
                Load::Open { ops }
            };
            let until = Time::s(seconds + 60);
            let mut cell = cell(Scenario::SlowCommand, setting, about, plan, load, until);
            cell.variants = plan.and_others(&EVERYBODY[..3]);
            cell.views = match with_slow {
                true => vec![view("others", 0), view("slow", 1)],
                false => vec![view("others-alone", 0)],
            };
            cells.push(cell);
        }
    }
    cells
}

fn timed(start: Time, per_second: u64, ops: impl Iterator<Item = Op>) -> Vec<(Time, Op)> {
    match workload::paced(start, per_second, ops.collect()) {
        Load::Open { ops } => ops,
        Load::Closed { .. } | Load::Sites { .. } => Vec::new(),
    }
}

/// `overwrite`: what need not be sent again, and what need not be executed.
pub(super) fn overwrite(plan: &Plan) -> Vec<Cell> {
    let (keys, per_second, seconds) = (10, 1_000, 20);
    let on = |place: &Place| {
        let setting = plan.setting(place);
        let leader = setting.leader;
        let about = format!("{}, {per_second} blind writes/s for {seconds} s", setting.about());
        let load = move |seed| {
            let count = (per_second * seconds) as usize;
            workload::paced(Time::ZERO, per_second, workload::overwrites(seed, count, keys, leader))
        };
        let until = Time::s(seconds + 60);
        let mut cell = cell(Scenario::Overwrite, setting, about, plan, load, until);
        cell.views[0].param = Some(format!("keys={keys}"));
        cell
    };
    plan.places(&[Place::Calibration]).iter().map(on).collect()
}

/// `ycsb`.
pub(super) fn ycsb(plan: &Plan) -> Vec<Cell> {
    let (count, depth) = (20_000, plan.depths(Scenario::Ycsb)[0]);
    let on = |place: &Place, mix: Ycsb| {
        let setting = plan.setting(place);
        let leader = setting.leader;
        let about = format!("{}, {count} operations, {depth} at a time", setting.about());
        let load = move |seed| Load::Closed { depth, ops: mix.ops(seed, count, leader) };
        let mut cell = cell(Scenario::Ycsb, setting, about, plan, load, Time::s(3_600));
        cell.variants = plan.and_others(&EITHER_LINK);
        cell.views[0].param = Some(format!("workload={}", mix.name()));
        cell
    };
    let places = plan.places(&[Place::Loss]);
    places.iter().flat_map(|place| Ycsb::ALL.map(|mix| on(place, mix))).collect()
}

/// `trace`.
pub(super) fn trace(plan: &Plan) -> Vec<Cell> {
    let on = |place: &Place, depth: usize| {
        let setting = plan.setting(place);
        let (leader, trace) = (setting.leader, plan.trace.clone());
        let about = format!("{}, {}, closed loop", setting.about(), trace.about());
        let load = move |_| Load::Closed { depth, ops: workload::traced(&trace, leader) };
        let mut cell = cell(Scenario::Trace, setting, about, plan, load, Time::s(36_000));
        cell.views[0].param = Some(format!("depth={depth}"));
        cell
    };
    let (places, depths) = (plan.places(&[Place::Lan, Place::Loss]), plan.depths(Scenario::Trace));
    places.iter().flat_map(|place| depths.iter().map(|depth| on(place, *depth))).collect()
}

/// A cell that measures every operation of one run.
pub(super) fn cell(
    scenario: Scenario,
    setting: Setting,
    about: String,
    plan: &Plan,
    load: impl Fn(u64) -> Load + Send + Sync + 'static,
    until: Time,
) -> Cell {
    Cell {
        scenario,
        network: setting.network.name.clone(),
        place: setting.place.clone(),
        rtt: setting.rtt(),
        about,
        interference: None,
        repeats: 1,
        variants: plan.and_others(&EVERYBODY),
        views: vec![View { param: None, measure: Measure::Class(0) }],
        bounded: true,
        make: Box::new(move |seed| Spec {
            leader: Some(setting.leader),
            until,
            ..Spec::new(
                Side::Traft,
                LinkKind::Unordered,
                setting.replicas,
                setting.network.clone(),
                load(seed),
            )
        }),
    }
}
