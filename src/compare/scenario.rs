//! The scenarios: what happens in each, and in how many settings.

mod block;
mod event;
mod reads;
mod reconfigure;
mod steady;
mod wan;

use super::cell::{Cell, Variant};
use super::place::{Place, center};
use super::trace::Trace;
use crate::sim::{LinkKind, Network, Side, Time};
use std::path::PathBuf;
use std::sync::Arc;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Quiet,
    Jitter,
    Loss,
    SlowCommand,
    Lagging,
    Duel,
    Failover,
    Overwrite,
    Ycsb,
    Reads,
    ReconfigureOne,
    ReconfigureMajority,
    Wan,
    Trace,
    Block,
}

impl Scenario {
    /// In the order of the table.
    pub(super) const ALL: [Scenario; 15] = [
        Scenario::Quiet,
        Scenario::Jitter,
        Scenario::Loss,
        Scenario::SlowCommand,
        Scenario::Lagging,
        Scenario::Duel,
        Scenario::Failover,
        Scenario::Overwrite,
        Scenario::Ycsb,
        Scenario::Reads,
        Scenario::ReconfigureOne,
        Scenario::ReconfigureMajority,
        Scenario::Wan,
        Scenario::Trace,
        Scenario::Block,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Scenario::Quiet => "quiet",
            Scenario::Jitter => "jitter",
            Scenario::Loss => "loss",
            Scenario::SlowCommand => "slow-command",
            Scenario::Lagging => "lagging",
            Scenario::Duel => "duel",
            Scenario::Failover => "failover",
            Scenario::Overwrite => "overwrite",
            Scenario::Ycsb => "ycsb",
            Scenario::Reads => "reads",
            Scenario::ReconfigureOne => "reconfigure-one",
            Scenario::ReconfigureMajority => "reconfigure-majority",
            Scenario::Wan => "wan",
            Scenario::Trace => "trace",
            Scenario::Block => "block",
        }
    }

    /// One line for `--help`.
    pub(super) fn about(self) -> &'static str {
        match self {
            Scenario::Quiet => "steady writes, nothing is lost or late",
            Scenario::Jitter => "steady writes, messages overtake each other",
            Scenario::Loss => "steady writes, 1 % of the messages are lost",
            Scenario::SlowCommand => {
                "one key's commands take 50 ms to execute: what do others feel?"
            }
            Scenario::Lagging => {
                "the quorum needs a replica that was away: time to the next commit"
            }
            Scenario::Duel => {
                "cold start, n candidates at the same instant: time to the last leader"
            }
            Scenario::Failover => "the leader dies under load: time to the first write and read",
            Scenario::Overwrite => {
                "blind writes to ten hot keys under loss: what is sent and executed"
            }
            Scenario::Ycsb => "YCSB A, B, C and F: reads and writes of zipfian keys, closed loop",
            Scenario::Reads => "each read level: latency and messages, and after a failover",
            Scenario::ReconfigureOne => {
                "one of five replicas is replaced under load: writes in each second"
            }
            Scenario::ReconfigureMajority => "the same, three of five at once",
            Scenario::Wan => "clients at every site: by who leads, and who answers them",
            Scenario::Trace => "requests to a real disk or cache (--trace FILE), closed loop",
            Scenario::Block => {
                "a block store: those to a disk, on devices that take time, by queue depth"
            }
        }
    }

    /// Whether one event is timed, over many seeds; else many operations under one seed.
    pub(super) fn is_single_event(self) -> bool {
        matches!(self, Scenario::Lagging | Scenario::Duel | Scenario::Failover)
    }

    /// Whether it runs unless it is asked for by name or by `--all`: those that take long do not.
    pub(super) fn is_default(self) -> bool {
        !self.replaces() && !self.needs_trace() && !matches!(self, Scenario::Reads | Scenario::Wan)
    }

    /// Whether it needs `--trace FILE`.
    pub(super) fn needs_trace(self) -> bool {
        matches!(self, Scenario::Trace | Scenario::Block)
    }

    /// Whether `--depth` applies.
    pub(super) fn has_depths(self) -> bool {
        self.needs_trace() || self == Scenario::Ycsb
    }

    /// Whether replicas are replaced. How many there are is a part of the scenario then.
    pub(super) fn replaces(self) -> bool {
        matches!(self, Scenario::ReconfigureOne | Scenario::ReconfigureMajority)
    }

    /// Whether `--interference` applies.
    pub(super) fn has_rates(self) -> bool {
        matches!(self, Scenario::Quiet | Scenario::Jitter | Scenario::Loss | Scenario::Wan)
    }

    /// The fewest replicas with which it means something.
    pub(super) fn replicas_min(self) -> usize {
        match self {
            Scenario::Reads => 3,
            _ if self.is_single_event() => 3,
            _ => 1,
        }
    }

    /// Its settings.
    pub(super) fn cells(self, request: &Plan) -> Vec<Cell> {
        match self {
            Scenario::Quiet | Scenario::Jitter | Scenario::Loss => steady::writes(self, request),
            Scenario::SlowCommand => steady::slow_command(request),
            Scenario::Overwrite => steady::overwrite(request),
            Scenario::Ycsb => steady::ycsb(request),
            Scenario::Trace => steady::trace(request),
            Scenario::Block => block::cells(request),
            Scenario::Lagging => event::lagging(request),
            Scenario::Duel => event::duel(request),
            Scenario::Failover => event::failover(request),
            Scenario::Reads => reads::cells(request),
            Scenario::Wan => wan::cells(request),
            Scenario::ReconfigureOne => reconfigure::cells(self, 1, request),
            Scenario::ReconfigureMajority => reconfigure::cells(self, 3, request),
        }
    }
}

/// What the user asked for, checked. `None` and empty lists leave the choice to the scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) places: Vec<Place>,
    pub(super) sides: Vec<Side>,
    pub(super) links: Vec<LinkKind>,
    pub(super) interference: Vec<u32>,
    pub(super) replicas: Option<usize>,
    /// How many operations are outstanding in a closed loop; see [`Plan::depths`].
    pub(super) depths: Vec<usize>,
    pub(super) trace: Arc<Trace>,
    pub(super) all: bool,
    /// The file of `trace`.
    pub(super) trace_path: Option<PathBuf>,
}

impl Plan {
    /// Every setting, in the order of the table.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.scenarios.iter().flat_map(|s| s.cells(self)).collect();
        cells.retain(|cell| !cell.variants.is_empty());
        cells
    }

    /// How many operations are outstanding in a scenario that is a closed loop: one number or more.
    pub(super) fn depths(&self, scenario: Scenario) -> Vec<usize> {
        match scenario {
            _ if !self.depths.is_empty() => self.depths.clone(),
            Scenario::Block => block::DEPTHS.to_vec(),
            _ => vec![DEPTH],
        }
    }

    /// The networks asked for, or else these.
    fn places(&self, default: &[Place]) -> Vec<Place> {
        if self.places.is_empty() { default.to_vec() } else { self.places.clone() }
    }

    /// The settings for one network: how many replicas, and who leads.
    fn setting(&self, place: &Place) -> Setting {
        Setting::new(place, self.replicas.unwrap_or(place.replicas()))
    }

    /// The same in calm weather.
    fn calm(&self, place: &Place) -> Setting {
        let mut setting = self.setting(place);
        setting.calm();
        setting
    }

    /// Who is compared: `default`, or everybody under `--all`, or what `--side` and `--link` name.
    fn variants(&self, default: &[Variant]) -> Vec<Variant> {
        let all = Side::ALL
            .iter()
            .flat_map(|&side| LINKS.iter().map(move |&link| Variant { side, link }));
        let asked = |v: &Variant| {
            let side = match self.sides.is_empty() {
                true => self.all || default.iter().any(|d| d.side == v.side),
                false => self.sides.contains(&v.side),
            };
            let link = match self.links.is_empty() {
                true => self.all || default.contains(v) || self.alone_unordered(default, *v),
                false => self.links.contains(&v.link),
            };
            side && link && ![OMNIPAXOS.side, Side::RaftParallel].contains(&v.side)
        };
        all.filter(asked).collect()
    }

    /// The same, and who is in no table by default, for scenarios that everybody can run.
    fn and_others(&self, default: &[Variant]) -> Vec<Variant> {
        let mut variants = self.variants(default);
        let side = match self.sides.is_empty() {
            true => self.all,
            false => self.sides.contains(&OMNIPAXOS.side),
        };
        if side && (self.links.is_empty() || self.links.contains(&OMNIPAXOS.link)) {
            variants.push(OMNIPAXOS);
        }
        variants
    }

    /// A side named by `--side` that the default leaves out runs on unordered links.
    fn alone_unordered(&self, default: &[Variant], v: Variant) -> bool {
        v.link == LinkKind::Unordered && default.iter().all(|d| d.side != v.side)
    }
}

/// How many operations are outstanding where nothing else is said.
const DEPTH: usize = 32;

const LINKS: [LinkKind; 2] = [LinkKind::Unordered, LinkKind::Ordered];

/// A network with its replicas.
#[derive(Clone, Debug)]
struct Setting {
    replicas: usize,
    network: Network,
    leader: usize,
    place: Place,
}

impl Setting {
    fn new(place: &Place, replicas: usize) -> Setting {
        let network = place.network(replicas);
        Setting { leader: center(&network, replicas), replicas, network, place: place.clone() }
    }

    /// The jitter-free round trip to the nearest write quorum.
    fn rtt(&self) -> Time {
        self.network.nearest_write_quorum_rtt(self.leader, self.replicas)
    }

    /// Nothing is lost or late.
    fn calm(&mut self) {
        self.network.loss = 0.0;
        self.network = self.network.clone().with_jitter(Time::ZERO);
    }

    /// `3 replicas, round trip 20 ms`.
    fn about(&self) -> String {
        let weather = match (self.network.jitter.as_ms(), self.network.loss * 100.0) {
            (0.0, 0.0) => String::new(),
            (0.0, loss) => format!(", {loss} % loss"),
            (jitter, 0.0) => format!(", 0-{jitter} ms jitter"),
            (jitter, loss) => format!(", {loss} % loss, 0-{jitter} ms jitter"),
        };
        format!("{} replicas, round trip {} ms{weather}", self.replicas, self.rtt().as_ms())
    }
}

/// traft and the classic side on unordered links.
const PAIR: [Variant; 2] = [
    Variant { side: Side::Traft, link: LinkKind::Unordered },
    Variant { side: Side::Raft, link: LinkKind::Unordered },
];

/// The same, and the classic side on ordered links, for which it was made.
const EITHER_LINK: [Variant; 3] =
    [PAIR[0], PAIR[1], Variant { side: Side::Raft, link: LinkKind::Ordered }];

/// The same, and traft without footprints.
const EVERYBODY: [Variant; 4] = [
    PAIR[0],
    Variant { side: Side::TraftSerial, link: LinkKind::Unordered },
    EITHER_LINK[1],
    EITHER_LINK[2],
];

/// Omni-Paxos, on the only kind of link that its crate can do with.
const OMNIPAXOS: Variant = Variant { side: Side::OmniPaxos, link: LinkKind::Ordered };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_sides_and_links() {
        let names = |plan: &Plan| -> Vec<String> {
            let variants = plan.and_others(&EITHER_LINK);
            variants.iter().map(|v| format!("{}/{}", v.side.name(), v.link.name())).collect()
        };
        let plan = |sides: &[Side], links: &[LinkKind]| Plan {
            sides: sides.to_vec(),
            links: links.to_vec(),
            ..Plan::default()
        };
        assert_eq!(names(&plan(&[], &[])), ["traft/unordered", "raft/unordered", "raft/ordered"]);
        assert_eq!(names(&plan(&[Side::TraftSerial], &[])), ["traft-serial/unordered"]);
        assert_eq!(names(&plan(&[Side::Raft], &[])), ["raft/unordered", "raft/ordered"]);
        assert_eq!(names(&plan(&[], &[LinkKind::Ordered])), ["traft/ordered", "raft/ordered"]);
        assert_eq!(names(&plan(&[Side::OmniPaxos], &[])), ["omnipaxos/ordered"]);
        assert!(plan(&[Side::OmniPaxos], &[]).variants(&PAIR).is_empty());
        assert!(names(&plan(&[Side::OmniPaxos], &[LinkKind::Unordered])).is_empty());
        assert_eq!(names(&Plan { all: true, ..Plan::default() }).len(), 7);
    }

    /// The limit for the default run.
    #[test]
    fn the_default_run_has_at_most_120_rows() {
        let scenarios = Scenario::ALL.into_iter().filter(|s| s.is_default()).collect();
        let plan = Plan { seed: 1, scenarios, ..Plan::default() };
        let rows: usize =
            plan.cells().iter().map(|cell| cell.views.len() * cell.variants.len()).sum();
        assert!((60..=120).contains(&rows), "{rows} rows");
    }

    #[test]
    fn every_spec_of_the_default_run_can_be_run() {
        let scenarios = Scenario::ALL.into_iter().filter(|s| !s.needs_trace()).collect();
        let plan = Plan { seed: 1, scenarios, ..Plan::default() };
        for cell in plan.cells() {
            let spec = cell.spec(cell.variants[0], 1, 0);
            assert_eq!(spec.check(), Ok(()), "{} on {}", cell.scenario.name(), cell.network);
        }
    }
}
