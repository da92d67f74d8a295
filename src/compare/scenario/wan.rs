//! `wan`: clients at every site, and what they wait for: by who leads, and by who answers.

use super::super::cell::{Cell, Measure, Variant, View};
use super::super::place::Place;
use super::super::workload;
use super::{Plan, Scenario, Setting};
use crate::sim::{LinkKind, Load, Network, Op, Routing, Side, Spec, Time};

/// Interference rates, in percent.
const RATES: [u32; 6] = [0, 2, 10, 30, 50, 100];

/// Closed loop: so many clients at each site, as in the published figures.
const CLIENTS: usize = 32;

/// Closed loop: so many commands of each client.
const COMMANDS: usize = 100;

/// Open loop: so many commands a second, over all sites, for so many seconds.
const PER_SECOND: u64 = 1_000;
const SECONDS: u64 = 20;

/// Who leads, and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The replica of the first place leads and answers.
    Plain,
    /// The one leads and answers with which clients wait least on average.
    Best,
    /// That one leads, every replica acknowledges to all, and the one at the client's site answers.
    Home,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Plain, Mode::Best, Mode::Home];

    fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Best => "best",
            Mode::Home => "home",
        }
    }

    /// Classic Raft has no other way to answer than by its leader. Where the leader and one more
    /// are a quorum, a record that overtakes the leader's word on whose it is could be executed
    /// before its client is known: ordered links exclude that.
    fn variants(self, replicas: usize) -> &'static [Variant] {
        const PAIR: [Variant; 2] = super::PAIR;
        const ORDERED: [Variant; 1] = [Variant { side: Side::Traft, link: LinkKind::Ordered }];
        match self {
            Mode::Plain | Mode::Best => &PAIR,
            Mode::Home if replicas <= 3 => &ORDERED,
            Mode::Home => &PAIR[..1],
        }
    }
}

/// `wan`.
pub(super) fn cells(plan: &Plan) -> Vec<Cell> {
    let mut cells = Vec::new();
    for place in plan.places(&[Place::Aws5]) {
        let most = place.replicas_max().min(5);
        let sizes = plan.replicas.map_or([most, 3.min(most)].to_vec(), |n| vec![n]);
        for replicas in sizes {
            for (closed, jitter) in [(true, false), (true, true), (false, false), (false, true)] {
                for mode in Mode::ALL {
                    let rates = plan.interference.iter().copied();
                    let rates: Vec<u32> =
                        if plan.interference.is_empty() { RATES.to_vec() } else { rates.collect() };
                    let on =
                        |percent| cell(plan, &place, replicas, (closed, jitter), mode, percent);
                    cells.extend(rates.into_iter().map(on));
                }
            }
        }
    }
    cells
}

fn cell(
    plan: &Plan,
    place: &Place,
    replicas: usize,
    (closed, jitter): (bool, bool),
    mode: Mode,
    percent: u32,
) -> Cell {
    let mut setting = Setting::new(place, replicas);
    setting.calm();
    setting.leader = best_leader(&setting.network, replicas);
    // A quarter of the best leader's round trip, whoever leads.
    let late = if jitter { setting.rtt().scaled(0.25) } else { Time::ZERO };
    let leader = if mode == Mode::Plain { 0 } else { setting.leader };
    setting.leader = leader;
    let floor = floor(&setting.network, replicas, leader, mode == Mode::Home);
    setting.network = setting.network.clone().with_jitter(late);
    let param = format!(
        "replicas={replicas} load={} jitter={} mode={} leader={}",
        if closed { "closed" } else { "open" },
        late.as_ms(),
        mode.name(),
        place.region(leader),
    );
    let network = setting.network.clone();
    Cell {
        scenario: Scenario::Wan,
        network: network.name.clone(),
        place: place.clone(),
        rtt: setting.rtt(),
        about: format!(
            "clients at every site; closed: {CLIENTS} at each, {COMMANDS} commands of each; open: \
             {PER_SECOND} commands/s for {SECONDS} s"
        ),
        interference: Some(percent),
        repeats: 1,
        variants: plan.variants(mode.variants(replicas)),
        views: vec![View { param: Some(param), measure: Measure::Sites { floor } }],
        bounded: false,
        make: Box::new(move |seed| {
            let load = load(seed, replicas, closed, percent);
            let (side, link) = (Side::Traft, LinkKind::Unordered);
            let mut spec = Spec::new(side, link, replicas, network.clone(), load);
            spec.leader = Some(leader);
            if mode == Mode::Home {
                spec.acknowledge_to_all = true;
                spec.routing = Routing::Forward;
            }
            spec
        }),
    }
}

/// Commands that return something, so that they are answered once executed; the clients of a site
/// have a class of their own.
fn load(seed: u64, replicas: usize, closed: bool, percent: u32) -> Load {
    let count = match closed {
        true => replicas * CLIENTS * COMMANDS,
        false => (PER_SECOND * SECONDS) as usize,
    };
    let at_site = |(n, op): (usize, Op)| {
        let site = n % replicas;
        Op { site, class: site as u8, ..op }
    };
    let ops = workload::modifying(seed, count, percent);
    let ops: Vec<Op> = ops.into_iter().enumerate().map(at_site).collect();
    match closed {
        true => Load::Sites { depth: CLIENTS, ops },
        false => workload::paced(Time::ZERO, PER_SECOND, ops),
    }
}

/// With whom in the lead clients at all sites wait least on average.
fn best_leader(network: &Network, replicas: usize) -> usize {
    let wait = |leader: &usize| floor(network, replicas, *leader, false);
    (0..replicas).min_by_key(wait).unwrap_or(0)
}

/// What the ways alone take, on average over the sites: from the client to the leader and, if that
/// answers, to a majority and back and home; else to all and from each of a majority, the leader
/// and itself among them or not, to the replica at the client's site.
fn floor(network: &Network, replicas: usize, leader: usize, home: bool) -> Time {
    let way = |a: usize, b: usize| if a == b { Time::ZERO } else { network.one_way[a][b] };
    let quorum = replicas / 2;
    let wait = |site: usize| {
        if !home || site == leader {
            let majority = network.nearest_write_quorum_rtt(leader, replicas);
            return way(site, leader) + majority + way(leader, site);
        }
        let arrival = |r: usize| match r == site {
            true => way(leader, site),
            false => way(leader, r) + way(r, site),
        };
        let mut heard: Vec<Time> = (0..replicas).map(arrival).collect();
        heard.sort_unstable();
        way(site, leader) + heard[quorum].max(way(leader, site))
    };
    Time((0..replicas).map(|site| wait(site).0).sum::<u64>() / replicas as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 160 ms at most on average, whatever interferes, with the answer at the client's site; half
    /// of the rates here, all of them by `compare --scenario wan`.
    #[test]
    fn answered_at_home_it_takes_what_the_ways_take() {
        let plan = Plan { seed: 1, ..Plan::default() };
        for percent in [0, 100] {
            let cell = cell(&plan, &Place::Aws5, 5, (true, false), Mode::Home, percent);
            let spec = cell.spec(Mode::Home.variants(5)[0], 1, 0);
            let outcome = crate::sim::run(&spec).expect("it can be run");
            assert_eq!(outcome.violations, [""; 0]);
            let times = outcome.ops.iter().map(|op| op.latency(outcome.ended).as_ms());
            let mean = times.sum::<f64>() / outcome.ops.len() as f64;
            assert!(mean <= 160.0, "{percent} %: {mean} ms");
        }
    }

    /// The closed forms that go with the published matrix: 174 ms for majorities with the best
    /// leader, 156 when the replicas answer at the client's site.
    #[test]
    fn the_ways_alone_take_what_arithmetic_says() {
        let aws = Place::Aws5.network(5);
        let leader = best_leader(&aws, 5);
        assert_eq!(Place::Aws5.region(leader), "ca-central-1");
        let ms = |leader, home| floor(&aws, 5, leader, home).as_ms();
        assert!((ms(leader, false) - 174.82).abs() < 0.01, "{}", ms(leader, false));
        assert!((ms(leader, true) - 156.06).abs() < 0.01, "{}", ms(leader, true));
        assert!((ms(0, false) - 248.78).abs() < 0.01, "{}", ms(0, false));
    }
}
