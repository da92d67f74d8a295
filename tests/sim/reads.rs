//! What each level of reading costs: time, and messages beyond those of an idle cluster.

use traft::apply::kv::Op as KvOp;
use traft::replica::ReadLevel;
use traft::sim::{Act, Kind, LinkKind, Load, Network, Op, Outcome, Routing, Side, Spec, Time, run};

const READS: u64 = 200;

/// Reads of a client beside replica `site`, so many each millisecond; the leader is replica 0, and
/// 5 ms lie between any two.
fn reads(level: ReadLevel, site: usize, reads: u64, at_once: u64) -> Outcome {
    let op = |i: u64| {
        let command = KvOp::Get { key: b"k" }.command();
        (Time::ms(i / at_once), Op { command, kind: Kind::Read, cost: Time::ZERO, class: 0, site })
    };
    let load = Load::Open { ops: (0..reads).map(op).collect() };
    let network = Network::uniform("reads", 3, Time::ms(5));
    let mut spec = Spec::new(Side::Traft, LinkKind::Unordered, 3, network, load);
    (spec.read_level, spec.lease) = (level, level == ReadLevel::Lease);
    // Both with and without reads, so that messages can be compared.
    (spec.until, spec.linger) = (Time::ms(400), Time::ms(400));
    let outcome = run(&spec).expect("the spec can be run");
    assert_eq!(outcome.violations, Vec::<String>::new());
    outcome
}

/// The median in milliseconds, and messages for each read.
fn cost(level: ReadLevel, site: usize) -> (f64, f64) {
    let (idle, busy) = (reads(level, site, 1, 1), reads(level, site, READS, 1));
    let mut took: Vec<Time> = busy.ops.iter().map(|op| op.latency(busy.ended)).collect();
    took.sort_unstable();
    (took[took.len() / 2].as_ms(), beyond(&idle, &busy) / READS as f64)
}

/// Messages beyond those of an idle cluster.
fn beyond(idle: &Outcome, busy: &Outcome) -> f64 {
    let length = |outcome: &Outcome| outcome.ended.as_ms();
    busy.messages as f64 - idle.messages as f64 * length(busy) / length(idle)
}

/// However many reads come at once, they cost one round: two requests and two answers.
#[test]
fn reads_that_come_at_once_share_a_round() {
    const AT_ONCE: u64 = 50;
    let idle = reads(ReadLevel::Confirmed, 0, 1, 1);
    let busy = reads(ReadLevel::Confirmed, 0, READS * AT_ONCE, AT_ONCE);
    assert!(busy.ops.iter().all(|op| op.finished.is_some()));
    let messages = beyond(&idle, &busy) / READS as f64;
    assert!(messages <= 4.0, "{messages} messages for {AT_ONCE} reads");
}

#[test]
fn each_level_costs_what_its_page_says() {
    let shown = |level, site| {
        let (ms, messages) = cost(level, site);
        println!("{level:?} at replica {site}: {ms:.1} ms, {messages:.2} messages a read");
        (ms, messages)
    };
    // One round serves all reads that have come since the last: at most one a millisecond here, two
    // requests and two answers each.
    let (ms, messages) = shown(ReadLevel::Confirmed, 0);
    assert!((10.0..11.0).contains(&ms) && messages <= 4.0, "{ms} ms, {messages}");
    let (ms, messages) = shown(ReadLevel::Lease, 0);
    assert!(ms == 0.0 && messages.abs() < 0.5, "{ms} ms, {messages}");
    // To the leader, its round, and back: that takes longer than the resend timeout of 15 ms, so
    // each is asked for twice here.
    let (ms, messages) = shown(ReadLevel::Here, 1);
    assert!((20.0..21.0).contains(&ms) && messages <= 12.0, "{ms} ms, {messages}");
}

/// The leader dies, and a client beside replica 1 reads what nobody has written. How long it takes
/// until it is answered, and who leads then. `successor` is to campaign first, if anybody is.
fn after_death(
    seed: u64,
    level: ReadLevel,
    successor: Option<usize>,
    routing: Routing,
) -> (Option<Time>, usize) {
    let death = Time::ms(100 + seed % 20);
    let command = KvOp::Get { key: b"k" }.command();
    let read = Op { command, kind: Kind::Read, cost: Time::ZERO, class: 0, site: 1 };
    let load = Load::Open { ops: vec![(death, read)] };
    let network = Network::uniform("reads", 5, Time::ms(1));
    let mut spec = Spec::new(Side::Traft, LinkKind::Unordered, 5, network, load);
    (spec.read_level, spec.lease) = (level, level == ReadLevel::Lease);
    (spec.seed, spec.successor, spec.routing) = (seed, successor, routing);
    spec.script = vec![(death, Act::Crash(0))];
    spec.until = death + Time::s(3);
    let outcome = run(&spec).expect("the spec can be run");
    assert_eq!(outcome.violations, Vec::<String>::new());
    let leader = outcome.leaders.last().expect("somebody leads").replica;
    (outcome.ops[0].finished.map(|at| at - death), leader)
}

/// The first read by lease is answered like a confirmed one: those who granted the old lease vote
/// as soon as it has ended, and the new leader confirms itself while it has none of its own.
#[test]
fn the_first_read_by_lease_after_a_failover_is_answered() {
    // An election timeout after the last heartbeat, of which there is one every 20 ms.
    let soon = Time::ms(125)..Time::ms(160);
    let mut succeeded = 0;
    for seed in 0..20 {
        for level in [ReadLevel::Lease, ReadLevel::Confirmed] {
            let (took, leader) = after_death(seed, level, Some(1), Routing::Wait);
            // Another one may draw the least timeout as well, and wins.
            if leader == 1 {
                succeeded += 1;
                let answered = took.is_some_and(|took| soon.contains(&took));
                assert!(answered, "seed {seed}: {level:?} took {took:?}");
            }
        }
        // Whoever leads, and however the timeouts are drawn, up to two of them in a row.
        let (took, leader) = after_death(seed, ReadLevel::Lease, None, Routing::Travel);
        let answered = took.is_some_and(|took| took <= Time::ms(600));
        assert!(answered, "seed {seed}: {took:?} at replica {leader}");
    }
    assert!(succeeded >= 36, "the successor led in {succeeded} of 40");
}
