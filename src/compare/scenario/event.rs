//! One event, timed over many seeds: a replica comes back, candidates collide, a leader dies.

use super::super::cell::{Cell, Measure, View};
use super::super::place::Place;
use super::super::rng::Rng;
use super::super::workload;
use super::{EITHER_LINK, PAIR, Plan, Scenario, Setting};
use crate::sim::{Act, Finish, LinkKind, Load, Op, Preload, Routing, Side, Spec, Time};

/// Runs behind each row.
const REPEATS: u64 = 20;

/// What a lagging replica missed, by default; `--all` adds the last one.
const GAPS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// A gap below which everybody else has dropped the records, by default and with `--all`.
const PURGED: [u64; 1] = [100_000];

/// `lagging`: as many replicas are down for good as the cluster can bear, so that the next commit
/// needs one that has just come back without the last `gap` commands.
pub(super) fn lagging(plan: &Plan) -> Vec<Cell> {
    let gaps = if plan.all { &GAPS[..] } else { &GAPS[..3] };
    let places = plan.places(&[Place::Lan]);
    let on = |place: &Place, gap: u64, purged: bool| {
        let setting = plan.calm(place);
        let others: Vec<usize> = (0..setting.replicas).filter(|r| *r != setting.leader).collect();
        let (back, rest) = (others[0], &others[1..]);
        let down: Vec<usize> = rest[setting.replicas / 2 - 1..].to_vec();
        let mut about = format!("{}, {} of them down, one just back", setting.about(), down.len());
        let leader = setting.leader;
        // One copy for all runs of the cell.
        let history = Preload::new(gap + 100, |n| workload::set(n + 1), vec![(back, gap)]);
        let (history, param) = match purged {
            true => (history.purged(), format!("gap={gap} purged")),
            false => (history, format!("gap={gap}")),
        };
        if purged {
            about += ", what it missed only in snapshots";
        }
        let change = move |spec: &mut Spec, seed| {
            // Backlog may be on its way already when the proposal comes.
            let at = Time::us(Rng::new(seed).below(10_000));
            spec.load = Load::Open { ops: vec![(at, workload::write(workload::set(0), leader))] };
            spec.finish = Finish::Committed;
            spec.away = vec![back];
            spec.script = down.iter().map(|r| (Time::ZERO, Act::Crash(*r))).collect();
            spec.script.push((Time::ZERO, Act::Rejoin(back)));
            spec.preload = Some(history.clone());
        };
        let mut cell = cell(Scenario::Lagging, setting, about, plan, change);
        cell.variants = plan.variants(&EITHER_LINK);
        cell.views = vec![view(param, Measure::Class(0))];
        cell
    };
    let gaps = gaps.iter().map(|gap| (*gap, false)).chain(PURGED.map(|gap| (gap, true)));
    let on_all = |(gap, purged)| places.iter().map(move |place| (place, gap, purged));
    gaps.flat_map(on_all).map(|(place, gap, purged)| on(place, gap, purged)).collect()
}

/// Replicas in a duel.
const CANDIDATES: [usize; 3] = [3, 5, 9];

/// `duel`: everybody campaigns at once, from nothing, and again after the death of a leader.
pub(super) fn duel(plan: &Plan) -> Vec<Cell> {
    let on = |place: &Place, replicas: usize, crash: bool| {
        let mut setting = Setting::new(place, replicas);
        setting.calm();
        // Equal delays: no message waits for another one to leave.
        setting.network.egress_bits_per_s = u64::MAX;
        let about = format!("{}, all campaign at once", setting.about());
        // The greatest id dies: the others must leave its term.
        let leader = crash.then_some(replicas - 1);
        let change = move |spec: &mut Spec, _| {
            spec.leader = leader;
            spec.script = leader.map(|dead| (Time::ZERO, Act::Crash(dead))).into_iter().collect();
            // Whoever has heard from a leader grants nothing before the election timeout is over.
            let start = match leader {
                Some(_) => spec.election_timeout + spec.tick,
                None => Time::ZERO,
            };
            let candidates = (0..replicas).filter(|r| Some(*r) != leader);
            spec.script.extend(candidates.map(|r| (start, Act::Campaign(r))));
            // A write long after the duel keeps the run going, and needs a leader.
            let late = (Time::s(3), workload::write(workload::set(0), 0));
            spec.load = Load::Open { ops: vec![late] };
        };
        let mut cell = cell(Scenario::Duel, setting, about, plan, change);
        let param = match crash {
            true => format!("candidates={} after=crash", replicas - 1),
            false => format!("candidates={replicas}"),
        };
        cell.views = vec![view(param, Measure::LastLeader)];
        cell
    };
    let mut cells = Vec::new();
    for place in plan.places(&[Place::Lan]) {
        let sizes: Vec<usize> = match plan.replicas {
            Some(n) => vec![n],
            None => CANDIDATES.into_iter().filter(|n| *n <= place.replicas_max()).collect(),
        };
        cells.extend(sizes.iter().map(|n| on(&place, *n, false)));
        cells.extend(sizes.last().map(|n| on(&place, *n, true)));
    }
    cells
}

/// `failover`: the first write and the first read that a client beside the new leader has after
/// the old one died.
pub(super) fn failover(plan: &Plan) -> Vec<Cell> {
    let (per_second, before, after) = (1_000, 200, 1_000);
    let on = |place: &Place| {
        let mut setting = plan.calm(place);
        // What waited for a leader leaves at once: the time that bytes need on a link is not what
        // this one is about.
        setting.network.egress_bits_per_s = u64::MAX;
        let leader = setting.leader;
        let successor = (0..setting.replicas).find(|r| *r != leader).unwrap_or(0);
        let about = format!("{}, {per_second} writes/s", setting.about());
        let change = move |spec: &mut Spec, seed| {
            // The death falls anywhere between two heartbeats.
            let death = Time::ms(before) + Time::us(Rng::new(seed).below(50_000));
            let due = (0..before + after).map(Time::ms);
            let site = |at| if at < death { leader } else { successor };
            let steady =
                due.zip(0..).map(|(at, n)| (at, workload::write(workload::set(n), site(at))));
            let write = workload::write(workload::set(before + after), successor);
            let read = workload::read(workload::get(u64::MAX), successor);
            let first = [Op { class: 1, ..write }, Op { class: 2, ..read }];
            let mut ops: Vec<(Time, Op)> = steady.collect();
            ops.extend(first.map(|op| (death, op)));
            ops.sort_by_key(|(at, _)| *at);
            spec.load = Load::Open { ops };
            spec.routing = Routing::Wait;
            spec.successor = Some(successor);
            // Clients of the dead leader wait for ever.
            spec.until = death + Time::s(2);
            spec.script = vec![(death, Act::Crash(leader))];
        };
        let mut cell = cell(Scenario::Failover, setting, about, plan, change);
        cell.variants = plan.and_others(&PAIR);
        cell.views = vec![
            view("op=write".into(), Measure::AfterDeath(1)),
            view("op=read".into(), Measure::AfterDeath(2)),
        ];
        cell
    };
    plan.places(&[Place::Lan]).iter().map(on).collect()
}

fn view(param: String, measure: Measure) -> View {
    View { param: Some(param), measure }
}

/// A cell that times one event under many seeds. Nothing is lost or late.
fn cell(
    scenario: Scenario,
    setting: Setting,
    about: String,
    plan: &Plan,
    change: impl Fn(&mut Spec, u64) + Send + Sync + 'static,
) -> Cell {
    Cell {
        scenario,
        network: setting.network.name.clone(),
        place: setting.place.clone(),
        rtt: setting.rtt(),
        about: format!("{about}, {REPEATS} seeds"),
        interference: None,
        repeats: REPEATS,
        variants: plan.variants(&PAIR),
        views: Vec::new(),
        bounded: false,
        make: Box::new(move |seed| {
            let mut spec = Spec::new(
                Side::Traft,
                LinkKind::Unordered,
                setting.replicas,
                setting.network.clone(),
                Load::Open { ops: Vec::new() },
            );
            spec.leader = Some(setting.leader);
            spec.until = Time::s(60);
            change(&mut spec, seed);
            spec
        }),
    }
}
