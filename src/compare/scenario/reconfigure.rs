//! Replicas are replaced under load: what do clients feel, and for how long?

use super::super::cell::{Cell, Measure, View};
use super::super::place::Place;
use super::super::workload;
use super::{PAIR, Plan, Scenario, Setting};
use crate::sim::{Act, LinkKind, Load, Op, Preload, Side, Spec, Time};

/// Commands in the history. Nobody keeps them as records: the replicas have a state, and it is
/// described once for all of them.
const HISTORY: u64 = 5_000_000;

/// What a replica can send.
const EGRESS_BITS_PER_S: u64 = 1_000_000_000;

/// Commands a second: 60 % of what the cluster can do while nothing changes. They come once a
/// millisecond.
const PER_MS: u64 = 64;

/// When the operator asks, and how long clients go on.
const ASKED: Time = Time::s(3);
const SECONDS: u64 = 22;

/// Replicas in the cluster.
const VOTERS: usize = 5;

/// `reconfigure-one` and `reconfigure-majority`: so many replicas are replaced by new ones. The
/// leader stays.
pub(super) fn cells(scenario: Scenario, replaced: usize, plan: &Plan) -> Vec<Cell> {
    let replicas = VOTERS + replaced;
    let on = |place: &Place| {
        let mut setting = Setting::new(place, replicas);
        setting.calm();
        setting.network.egress_bits_per_s = EGRESS_BITS_PER_S;
        setting.leader = 0;
        let missing = (VOTERS..replicas).map(|r| (r, HISTORY)).collect();
        let history = Preload::new(HISTORY, workload::mark, missing).purged();
        let about = format!(
            "{VOTERS} replicas, round trip {} ms, {} Mbit/s from each, {HISTORY} commands of \
             history, {} writes/s (60 % of capacity) for {SECONDS} s, {replaced} replaced at {} s",
            setting.rtt().as_ms(),
            EGRESS_BITS_PER_S / 1_000_000,
            PER_MS * 1_000,
            ASKED.as_ms() / 1e3,
        );
        Cell {
            scenario,
            network: setting.network.name.clone(),
            place: place.clone(),
            rtt: setting.rtt(),
            about,
            interference: None,
            repeats: 1,
            // Each takes long, so only what is asked for by name is added.
            variants: match plan.sides.is_empty() && plan.links.is_empty() {
                true => PAIR.to_vec(),
                false => plan.variants(&PAIR),
            },
            views: vec![View {
                param: Some(format!("replaced={replaced}")),
                measure: Measure::Windows { asked: ASKED, seconds: SECONDS },
            }],
            bounded: false,
            make: Box::new(move |_| spec(&setting, replaced, &history)),
        }
    };
    plan.places(&[Place::Lan]).iter().filter(|p| p.replicas_max() >= replicas).map(on).collect()
}

fn spec(setting: &Setting, replaced: usize, history: &Preload) -> Spec {
    let load = Load::Open { ops: ops(SECONDS * 1_000 * PER_MS) };
    let (side, link) = (Side::Traft, LinkKind::Unordered);
    let mut spec = Spec::new(side, link, setting.replicas, setting.network.clone(), load);
    let kept = VOTERS - replaced;
    let goal = (0..kept).chain(VOTERS..VOTERS + replaced).collect();
    spec.memberships = vec![(0..VOTERS).collect(), goal];
    spec.script = vec![(ASKED, Act::Change(1))];
    spec.preload = Some(history.clone());
    settle(&mut spec);
    spec.until = Time::s(SECONDS + 30);
    spec
}

/// Where more is sent than fits, what is late is not lost: nothing is sent again in a hurry, and
/// the queue of a sender is kept short.
fn settle(spec: &mut Spec) {
    spec.resend = Time::ms(100);
    spec.in_flight_bytes = Some(512 << 10);
}

/// Writes of keys of their own, so many a millisecond.
fn ops(count: u64) -> Vec<(Time, Op)> {
    let op = |n| (Time::ms(n / PER_MS), workload::write(workload::set(HISTORY + n), 0));
    (0..count).map(op).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What five replicas can do while nothing changes, in commands a second.
    fn capacity(side: Side) -> f64 {
        let mut setting = Setting::new(&Place::Lan, VOTERS);
        setting.calm();
        setting.network.egress_bits_per_s = EGRESS_BITS_PER_S;
        // Enough in flight to fill the link, in groups as above.
        let ops = ops(80_000).into_iter().map(|(_, op)| (Time::ZERO, op)).collect();
        let load = Load::Open { ops };
        let network = setting.network.clone();
        let mut spec = Spec::new(side, LinkKind::Unordered, VOTERS, network, load);
        settle(&mut spec);
        let outcome = crate::sim::run(&spec).expect("the spec can be run");
        assert!(outcome.ops.iter().all(|op| op.finished.is_some()));
        outcome.ops.len() as f64 * 1e9 / outcome.ended.0 as f64
    }

    #[test]
    fn the_load_is_60_percent_of_what_the_slower_side_can_do() {
        let capacity = [Side::Traft, Side::Raft].map(capacity);
        let load = (PER_MS * 1_000) as f64 / capacity[0].min(capacity[1]);
        assert!((0.58..=0.62).contains(&load), "{load} of {capacity:?}");
    }
}
