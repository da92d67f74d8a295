//! One setting in which sides are compared: what is run, how often, and what is measured in it.

use super::place::Place;
use super::rng::Rng;
use super::row::Summary;
use super::scenario::Scenario;
use crate::sim::{ChangeStep, Kind, LinkKind, Outcome, Side, Spec, Time};

/// A protocol on a kind of link: what differs between the rows of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) side: Side,
    pub(super) link: LinkKind,
}

/// One scenario on one network with one load. Its rows share everything but side and link.
pub(super) struct Cell {
    pub(super) scenario: Scenario,
    /// The name of the network.
    pub(super) network: String,
    pub(super) place: Place,
    /// The jitter-free round trip to the nearest write quorum.
    pub(super) rtt: Time,
    /// What a reader must know of the setting, for the head of the table.
    pub(super) about: String,
    pub(super) interference: Option<u32>,
    /// How many runs make a row, each with a seed of its own.
    pub(super) repeats: u64,
    /// Who is compared, in the order of the rows.
    pub(super) variants: Vec<Variant>,
    /// What is measured: a row each.
    pub(super) views: Vec<View>,
    /// Whether a bound is printed: not for single events.
    pub(super) bounded: bool,
    /// The run of one seed, with any side and link.
    pub(super) make: Box<dyn Fn(u64) -> Spec + Send + Sync>,
}

impl Cell {
    /// The `nth` run of a variant. Without repetition the seed is the one that the user gave, and
    /// every side gets the same seeds.
    pub(super) fn spec(&self, variant: Variant, seed: u64, nth: u64) -> Spec {
        let seed = if self.repeats == 1 { seed } else { Rng::derive(seed, nth) };
        let mut spec = (self.make)(seed);
        spec.seed = seed;
        spec.side = variant.side;
        spec.link = variant.link;
        spec
    }
}

/// A row of a cell: its `param`, and which of the times of a run it is about.
pub(super) struct View {
    pub(super) param: Option<String>,
    pub(super) measure: Measure,
}

/// Which times of a run a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Every operation of this class, from issue to answer.
    Class(u8),
    /// The same, the operation being issued when the leader dies.
    AfterDeath(u8),
    /// From the first campaign to the last change of leader.
    LastLeader,
    /// Every operation, and how many are answered in each of so many seconds; a change of
    /// membership is asked for at a time.
    Windows { asked: Time, seconds: u64 },
    /// Every operation, and the mean of each class, which is that of a site. `floor`: the mean that
    /// the ways alone take.
    Sites { floor: Time },
}

/// What a view takes from the runs of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) times: Vec<Time>,
    pub(super) unfinished: u64,
    /// How many terms a duel began, in the worst run.
    pub(super) terms: Option<u64>,
    /// From the death of a leader to the first campaign, in the slowest run.
    pub(super) detection: Option<Time>,
    /// From the first campaign to the answer, in the slowest run.
    pub(super) after_detection: Option<Time>,
    /// By site: the mean.
    pub(super) sites: Option<SiteMeans>,
    /// What came of a change of membership.
    pub(super) change: Option<ChangeSample>,
    /// Of a closed loop.
    pub(super) closed: Option<ClosedSample>,
}

/// What a closed loop has besides: how fast it went, and its reads and writes apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ClosedSample {
    /// Operations answered in a second of virtual time, over the whole run.
    pub(super) per_second: f64,
    /// The percentiles of the reads, if there are any, and of the writes.
    pub(super) reads: Option<Summary>,
    pub(super) writes: Option<Summary>,
}

impl ClosedSample {
    /// Of all operations of a run.
    pub(super) fn of(outcome: &Outcome) -> ClosedSample {
        let of_kind = |kind| {
            let ops = outcome.ops.iter().filter(|op| op.kind == kind);
            let times: Vec<Time> = ops.map(|op| op.latency(outcome.ended)).collect();
            (!times.is_empty()).then(|| Summary::of(times))
        };
        let answered = outcome.ops.iter().filter(|op| op.finished.is_some()).count();
        let seconds = outcome.ended.as_ms() / 1e3;
        let rate = if seconds > 0.0 { answered as f64 / seconds } else { 0.0 };
        ClosedSample {
            per_second: (rate * 10.0).round() / 10.0,
            reads: of_kind(Kind::Read),
            writes: of_kind(Kind::Write),
        }
    }
}

/// What clients waited for, by site.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SiteMeans {
    /// The mean of each site, in ms.
    pub(super) means_ms: Vec<f64>,
    /// The mean that the ways alone take, over all sites.
    pub(super) floor: Time,
}

impl SiteMeans {
    fn of(outcome: &Outcome, floor: Time) -> SiteMeans {
        let sites = outcome.ops.iter().map(|op| usize::from(op.class) + 1).max().unwrap_or(0);
        let mut sums = vec![(0.0, 0_u64); sites];
        for op in &outcome.ops {
            let (sum, count) = &mut sums[usize::from(op.class)];
            *sum += op.latency(outcome.ended).as_ms();
            *count += 1;
        }
        let mean = |(sum, count): (f64, u64)| (sum / count.max(1) as f64 * 1e3).round() / 1e3;
        SiteMeans { means_ms: sums.into_iter().map(mean).collect(), floor }
    }
}

/// A change of membership, seen by clients and by its leader.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ChangeSample {
    /// How much is answered in each second, in percent of what is asked for.
    pub(super) windows: Vec<f64>,
    /// From the request until so many new voters had caught up as it takes, until the new
    /// membership alone was in force, until it was reported complete, and until every new voter had
    /// caught up.
    pub(super) caught_up: Option<Time>,
    pub(super) decided: Option<Time>,
    pub(super) complete: Option<Time>,
    pub(super) everyone: Option<Time>,
    /// When it was asked for.
    pub(super) asked: Time,
}

/// A second in which so much of the load is answered counts as a full one.
const FULL_PERCENT: f64 = 99.0;

impl ChangeSample {
    pub(super) fn of(outcome: &Outcome, asked: Time, seconds: u64) -> ChangeSample {
        let mut answered = vec![0_u64; seconds as usize];
        for at in outcome.ops.iter().filter_map(|op| op.finished) {
            if let Some(window) = answered.get_mut((at.0 / Time::s(1).0) as usize) {
                *window += 1;
            }
        }
        let due = outcome.ops.len() as f64 / seconds as f64;
        let when = |wanted| {
            let step = outcome.changes.iter().find(|(_, step)| *step == wanted);
            step.map(|(at, _)| *at - asked)
        };
        ChangeSample {
            windows: answered.iter().map(|n| (*n as f64 / due * 1_000.0).round() / 10.0).collect(),
            caught_up: when(ChangeStep::Proposed),
            decided: when(ChangeStep::Decided),
            complete: when(ChangeStep::Complete),
            everyone: when(ChangeStep::Everyone),
            asked,
        }
    }

    /// The least of the windows.
    pub(super) fn lowest(&self) -> f64 {
        self.windows.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// From the request to the end of the last second that was not full, in seconds.
    pub(super) fn full_after_s(&self) -> f64 {
        let low = self.windows.iter().rposition(|percent| *percent < FULL_PERCENT);
        low.map_or(0.0, |at| (at as f64 + 1.0 - self.asked.as_ms() / 1e3).max(0.0))
    }
}

impl Measure {
    /// The class of operations that is measured.
    pub(super) fn class(self) -> Option<u8> {
        match self {
            Measure::Class(class) | Measure::AfterDeath(class) => Some(class),
            Measure::Windows { .. } | Measure::Sites { .. } => Some(0),
            Measure::LastLeader => None,
        }
    }

    /// Adds what is measured in one run.
    pub(super) fn take(self, outcome: &Outcome, sample: &mut Sample) {
        let Some(class) = self.class() else { return sample.add_duel(outcome) };
        if let Measure::Windows { asked, seconds } = self {
            sample.change = Some(ChangeSample::of(outcome, asked, seconds));
        }
        let all = matches!(self, Measure::Sites { .. });
        if let Measure::Sites { floor } = self {
            sample.sites = Some(SiteMeans::of(outcome, floor));
        }
        for op in outcome.ops.iter().filter(|op| all || op.class == class) {
            let time = op.latency(outcome.ended);
            sample.times.push(time);
            sample.unfinished += u64::from(op.finished.is_none());
            if self == Measure::AfterDeath(class) {
                let first = outcome.campaigns.iter().find(|(at, _)| *at >= op.issued);
                let detection = first.map_or(time, |(at, _)| *at - op.issued);
                sample.detection = sample.detection.max(Some(detection));
                sample.after_detection = sample.after_detection.max(Some(time - detection));
            }
        }
    }
}

impl Sample {
    fn add_duel(&mut self, outcome: &Outcome) {
        let first = outcome.campaigns.first().map_or(Time::ZERO, |(at, _)| *at);
        let last = outcome.leaders.last();
        self.times.push(last.map_or(outcome.ended, |change| change.at) - first);
        self.unfinished += u64::from(last.is_none());
        let terms = last.map(|change| change.term - outcome.term_before);
        self.terms = self.terms.max(terms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{LeaderChange, OpResult};

    fn op(class: u8, issued: u64, finished: Option<u64>) -> OpResult {
        OpResult {
            class,
            issued: Time::ms(issued),
            finished: finished.map(Time::ms),
            kind: Kind::Write,
        }
    }

    #[test]
    fn an_unfinished_operation_counts_at_its_age() {
        let outcome = Outcome {
            ops: vec![op(0, 1, Some(4)), op(1, 2, Some(9)), op(0, 3, None)],
            ended: Time::ms(50),
            ..Outcome::default()
        };
        let mut sample = Sample::default();
        Measure::Class(0).take(&outcome, &mut sample);
        assert_eq!(sample.times, [Time::ms(3), Time::ms(47)]);
        assert_eq!((sample.unfinished, sample.detection), (1, None));
    }

    #[test]
    fn a_closed_loop_is_as_fast_as_what_it_answers() {
        let mut ops = vec![op(0, 0, Some(4)), op(0, 4, Some(10)), op(0, 10, None)];
        ops[1].kind = Kind::Read;
        let outcome = Outcome { ops, ended: Time::ms(20), ..Outcome::default() };
        let closed = ClosedSample::of(&outcome);
        assert_eq!(closed.per_second, 100.0);
        assert_eq!(closed.reads.map(|s| (s.mean_ms, s.p99_ms)), Some((6.0, 6.0)));
        assert_eq!(closed.writes.map(|s| (s.mean_ms, s.p99_ms)), Some((7.0, 10.0)));
        let nothing = ClosedSample::of(&Outcome::default());
        assert_eq!(nothing, ClosedSample::default());
    }

    #[test]
    fn no_leader_counts_as_the_whole_run() {
        let mut outcome = Outcome { ended: Time::ms(50), ..Outcome::default() };
        let mut sample = Sample::default();
        Measure::LastLeader.take(&outcome, &mut sample);
        let change = |ms, term| LeaderChange { at: Time::ms(ms), term, replica: 0 };
        outcome.leaders = vec![change(3, 5), change(7, 6)];
        outcome.campaigns = vec![(Time::ms(2), 0), (Time::ms(4), 1)];
        outcome.term_before = 4;
        Measure::LastLeader.take(&outcome, &mut sample);
        assert_eq!(sample.times, [Time::ms(50), Time::ms(5)]);
        assert_eq!((sample.unfinished, sample.terms), (1, Some(2)));
    }

    #[test]
    fn after_a_death_detection_is_told_from_the_rest() {
        let outcome = Outcome {
            ops: vec![op(1, 10, Some(200))],
            campaigns: vec![(Time::ms(2), 0), (Time::ms(150), 1), (Time::ms(160), 2)],
            ..Outcome::default()
        };
        let mut sample = Sample::default();
        Measure::AfterDeath(1).take(&outcome, &mut sample);
        assert_eq!(sample.times, [Time::ms(190)]);
        assert_eq!(sample.detection, Some(Time::ms(140)));
        assert_eq!(sample.after_detection, Some(Time::ms(50)));
    }
}
