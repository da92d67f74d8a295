//! Links that fail one by one, in one direction or both: wherever some replica can talk with a
//! quorum in both directions, commands commit again within four election timeouts; a leader that
//! keeps its quorum stays.

use traft::base::{Command, Footprint, KeySet};
use traft::sim::{Act, Kind, LinkKind, Load, Network, Op, Outcome, Routing, Side, Spec, Time, run};

/// When the links fail.
const CUT: Time = Time::ms(100);

/// A client beside each replica wants something written every 10 ms; at `CUT` these links fail.
/// Leader is the first replica.
fn spec(replicas: usize, seed: u64, cuts: &[(usize, usize)]) -> Spec {
    let op = |i: u64| {
        let footprint = Footprint::write(KeySet::point(bytes::Bytes::from(format!("k{i}"))));
        let command = Command { footprint, body: bytes::Bytes::new() };
        let site = (i % replicas as u64) as usize;
        let at = Time::ms(10 * (i / replicas as u64));
        (at, Op { command, kind: Kind::Write, cost: Time::ZERO, class: 0, site })
    };
    let load = Load::Open { ops: (0..120 * replicas as u64).map(op).collect() };
    let network = Network::uniform("partial", replicas, Time::ms(2));
    let mut spec = Spec::new(Side::Traft, LinkKind::Unordered, replicas, network, load);
    spec.seed = seed;
    spec.routing = Routing::Wait;
    spec.script = cuts.iter().map(|(a, b)| (CUT, Act::Cut(*a, *b))).collect();
    spec.until = Time::ms(1_300);
    spec
}

fn both_ways(cuts: &[(usize, usize)]) -> Vec<(usize, usize)> {
    cuts.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect()
}

/// How long after the cut the first command committed that was issued after it.
fn recovery(spec: &Spec, outcome: &Outcome) -> Option<Time> {
    assert_eq!(outcome.violations, Vec::<String>::new());
    // What was sent before the links failed has arrived.
    let later = CUT + Time(2 * spec.network.largest_rtt().0);
    let ops = outcome.ops.iter().filter(|op| op.issued >= later);
    ops.filter_map(|op| op.finished).min().map(|at| at - CUT)
}

/// Runs it and checks the bound; gives the changes of leader after the cut.
fn recovers(replicas: usize, seed: u64, cuts: &[(usize, usize)]) -> usize {
    let spec = spec(replicas, seed, cuts);
    let outcome = run(&spec).expect("the spec can be run");
    let bound = Time(4 * spec.election_timeout.0);
    let took = recovery(&spec, &outcome);
    assert!(took.is_some_and(|took| took <= bound), "seed {seed}, cut {cuts:?}: {took:?}");
    outcome.leaders.len()
}

/// fault-N1: all 64 ways in which links between three replicas can fail.
#[test]
fn every_cut_matrix_of_three() {
    let links = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
    let (mut connected, mut alone) = (0, 0);
    for matrix in 0..64_u32 {
        let is_cut = |at: &usize| matrix >> at & 1 == 1;
        let cuts: Vec<_> = (0..6).filter(is_cut).map(|at| links[at]).collect();
        let talk = |a, b| !cuts.contains(&(a, b)) && !cuts.contains(&(b, a));
        let quorum = [(0, 1), (0, 2), (1, 2)].into_iter().any(|(a, b)| talk(a, b));
        for seed in 0..2 {
            if quorum {
                connected += 1;
                let changes = recovers(3, seed, &cuts);
                let kept = talk(0, 1) || talk(0, 2);
                assert!(changes <= usize::from(!kept), "seed {seed}, cut {cuts:?}: {changes}");
            } else {
                alone += 1;
                let spec = spec(3, seed, &cuts);
                let outcome = run(&spec).expect("the spec can be run");
                let took = recovery(&spec, &outcome);
                assert_eq!(took, None, "nobody can have a quorum with {cuts:?}");
            }
        }
    }
    // Nobody has a quorum where each of the three pairs has lost one direction or both.
    assert_eq!((connected, alone), (2 * (64 - 27), 2 * 27));
}

/// fault-N2: everybody can talk with one replica only, and that one does not lead.
#[test]
fn quorum_loss() {
    let leaves = [0, 1, 3, 4];
    let pairs = leaves.iter().flat_map(|a| leaves.map(|b| (*a, b)));
    let cuts: Vec<_> = pairs.filter(|(a, b)| a != b).collect();
    (0..4).for_each(|seed| assert_eq!(recovers(5, seed, &cuts), 1, "seed {seed}"));
}

/// fault-N3: the leader is gone, and the one replica that can talk with a quorum has been cut off
/// from the leader for a while: its log is behind those that it needs votes from.
#[test]
fn constrained_election() {
    let stale = 2;
    for seed in 0..4 {
        let mut spec = spec(5, seed, &[]);
        let cut = |(a, b)| Act::Cut(a, b);
        let apart = both_ways(&[(0, stale)]).into_iter().map(|link| (Time::ms(20), cut(link)));
        let leader = both_ways(&[(0, 1), (0, 3), (0, 4)]);
        let leaves = both_ways(&[(1, 3), (1, 4), (3, 4)]);
        let later = leader.into_iter().chain(leaves).map(|link| (CUT, cut(link)));
        spec.script = apart.chain(later).collect();
        let outcome = run(&spec).expect("the spec can be run");
        let took = recovery(&spec, &outcome);
        let bound = Time(4 * spec.election_timeout.0);
        assert!(took.is_some_and(|took| took <= bound), "seed {seed}: {took:?}");
        assert_eq!(outcome.leaders.last().map(|change| change.replica), Some(stale));
    }
}

/// fault-N4: a chain with the leader at one end, and longer ones. The leader has its quorum and
/// stays, or leadership changes once; nobody takes it back and forth.
#[test]
fn chained() {
    for seed in 0..4 {
        assert_eq!(recovers(3, seed, &both_ways(&[(0, 2)])), 0, "seed {seed}");
        assert!(recovers(3, seed, &both_ways(&[(0, 1)])) <= 1, "seed {seed}");
        // 0 - 1 - 2 - 3 - 4: only the three in the middle have a quorum of five.
        let chain: Vec<_> = (0..5).flat_map(|a| (a + 2..5).map(move |b| (a, b))).collect();
        assert_eq!(recovers(5, seed, &both_ways(&chain)), 1, "seed {seed}");
    }
}

/// fault-N7: replicas that were cut off and come back do not disturb the leader.
#[test]
fn a_returning_minority_changes_nothing() {
    for seed in 0..4 {
        let mut spec = spec(5, seed, &[]);
        let away = [3, 4].map(|r| (CUT, Act::Isolate(r)));
        let back = [3, 4].map(|r| (Time::ms(900), Act::Rejoin(r)));
        spec.script = away.into_iter().chain(back).collect();
        let outcome = run(&spec).expect("the spec can be run");
        assert_eq!(outcome.violations, Vec::<String>::new());
        assert_eq!(outcome.leaders, [], "seed {seed}");
    }
}
