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

/// The most bytes on their way to a voter.
const IN_FLIGHT_BYTES: u64 = 512 << 10;

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
        let whole = Scale(1);
        let setting = whole.setting(place, replicas);
        let history = whole.history(replaced);
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
            make: Box::new(move |_| whole.spec(&setting, replaced, &history)),
        }
    };
    plan.places(&[Place::Lan]).iter().filter(|p| p.replicas_max() >= replicas).map(on).collect()
}

/// Everything that is counted in commands or bytes, divided by this: times stay what they are.
#[derive(Clone, Copy, Debug)]
struct Scale(u64);

impl Scale {
    fn setting(self, place: &Place, replicas: usize) -> Setting {
        let mut setting = Setting::new(place, replicas);
        setting.calm();
        setting.network.egress_bits_per_s = EGRESS_BITS_PER_S / self.0;
        setting.leader = 0;
        setting
    }

    /// New replicas have none of it.
    fn history(self, replaced: usize) -> Preload {
        let count = HISTORY / self.0;
        let missing = (VOTERS..VOTERS + replaced).map(|r| (r, count)).collect();
        Preload::new(count, workload::mark, missing).purged()
    }

    fn spec(self, setting: &Setting, replaced: usize, history: &Preload) -> Spec {
        let load = Load::Open { ops: self.ops(SECONDS * 1_000 * PER_MS / self.0) };
        let (side, link) = (Side::Traft, LinkKind::Unordered);
        let mut spec = Spec::new(side, link, setting.replicas, setting.network.clone(), load);
        let kept = VOTERS - replaced;
        let goal = (0..kept).chain(VOTERS..VOTERS + replaced).collect();
        spec.memberships = vec![(0..VOTERS).collect(), goal];
        spec.script = vec![(ASKED, Act::Change(1))];
        spec.preload = Some(history.clone());
        self.settle(&mut spec);
        spec.until = Time::s(SECONDS + 30);
        spec
    }

    /// Where more is sent than fits, what is late is not lost: nothing is sent again in a hurry,
    /// and the queue of a sender is kept short.
    fn settle(self, spec: &mut Spec) {
        spec.resend = Time::ms(100);
        spec.in_flight_bytes = Some((IN_FLIGHT_BYTES / self.0) as usize);
    }

    /// Writes of keys of their own, so many a millisecond.
    fn ops(self, count: u64) -> Vec<(Time, Op)> {
        let per_ms = PER_MS / self.0;
        let op = |n| (Time::ms(n / per_ms), workload::write(workload::set(HISTORY + n), 0));
        (0..count).map(op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cell::ChangeSample;
    use super::*;

    /// What five replicas can do while nothing changes, in commands a second.
    fn capacity(side: Side) -> f64 {
        let whole = Scale(1);
        let setting = whole.setting(&Place::Lan, VOTERS);
        // Enough in flight to fill the link, in groups as above.
        let ops = whole.ops(80_000).into_iter().map(|(_, op)| (Time::ZERO, op)).collect();
        let load = Load::Open { ops };
        let network = setting.network.clone();
        let mut spec = Spec::new(side, LinkKind::Unordered, VOTERS, network, load);
        whole.settle(&mut spec);
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

    /// An eighth of everything but time.
    fn replaced(side: Side, replaced: usize) -> ChangeSample {
        let small = Scale(8);
        let setting = small.setting(&Place::Lan, VOTERS + replaced);
        let spec = Spec { side, ..small.spec(&setting, replaced, &small.history(replaced)) };
        let outcome = crate::sim::run(&spec).expect("the spec can be run");
        assert_eq!(outcome.violations, Vec::<String>::new());
        let sample = ChangeSample::of(&outcome, ASKED, SECONDS);
        println!("{side:?} {replaced}: {sample:?}");
        sample
    }

    /// Two round trips at most, once enough have caught up.
    fn is_decided_soon(sample: &ChangeSample) -> bool {
        let took = sample.decided.zip(sample.caught_up).map(|(decided, up)| decided - up);
        took.is_some_and(|took| took <= Time::ms(1))
    }

    /// Seven others would be more than the link takes, were they sent everything: what is queued
    /// there is waited for before the change is decided.
    #[test]
    fn a_majority_is_replaced_though_the_link_is_full() {
        let sample = replaced(Side::Traft, 3);
        assert!(sample.complete.is_some(), "{sample:?}");
        assert!(sample.lowest() >= 20.0 && sample.full_after_s() <= 15.0, "{sample:?}");
        assert!(is_decided_soon(&sample), "{sample:?}");
    }

    #[test]
    fn one_is_replaced_and_hardly_felt() {
        let sample = replaced(Side::Traft, 1);
        assert!(sample.lowest() >= 80.0 && sample.full_after_s() <= 15.0, "{sample:?}");
        assert!(is_decided_soon(&sample), "{sample:?}");
    }
}
