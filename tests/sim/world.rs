//! What the world promises: the same spec gives the same bytes, watching changes nothing, and a
//! crash leaves what was durable.

use crate::chaos;
use traft::apply::kv::{Kv, Op as KvOp};
use traft::base::Command;
use traft::sim::{
    Act, Kind, LinkKind, Load, Network, Op, Outcome, Routing, Side, Slow, Spec, Time, run,
};

fn text(spec: &Spec) -> String {
    format!("{:?}", run(spec).expect("the spec can be run"))
}

fn sides() -> impl Iterator<Item = Side> {
    let ours = |side: &Side| matches!(side, Side::Traft | Side::TraftSerial);
    Side::ALL.into_iter().filter(move |side| ours(side) || cfg!(feature = "compare"))
}

/// The links that the side can do with.
fn link(side: Side) -> LinkKind {
    if side == Side::OmniPaxos { LinkKind::Ordered } else { LinkKind::Unordered }
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    for side in sides() {
        let mut spec = chaos::spec(5);
        spec.side = side;
        spec.link = link(side);
        spec.until = Time::s(5);
        let first = text(&spec);
        assert!(first == text(&spec), "two runs of {} differ", side.name());
        spec.seed += 1;
        assert!(first != text(&spec), "the seed of {} makes no difference", side.name());
    }
}

/// The operations, at 1 ms from each other.
fn spec(side: Side, ops: Vec<Command>) -> Spec {
    let timed = ops.into_iter().zip(0..).map(|(command, at)| {
        (Time::ms(at), Op { command, kind: Kind::Write, cost: Time::ZERO, class: 0, site: 0 })
    });
    let load = Load::Open { ops: timed.collect() };
    let network = Network::uniform("plain", 3, Time::ms(5));
    let mut spec = Spec::new(side, link(side), 3, network, load);
    spec.machine = Some(|| Box::new(Kv::new()));
    spec.linger = Time::s(1);
    spec.until = Time::s(10);
    spec
}

fn increments(count: u64) -> Vec<Command> {
    (0..count).map(|_| KvOp::Increment { key: b"n", by: 1 }.command()).collect()
}

fn finished(outcome: &Outcome) -> Vec<Option<Time>> {
    outcome.ops.iter().map(|op| op.finished).collect()
}

#[test]
fn commands_are_executed_on_real_machines() {
    for side in sides() {
        let mut with = spec(side, increments(50));
        let outcome = run(&with).expect("the spec can be run");
        let mut machine = Kv::new();
        for (op, answer) in with.load.ops().zip(&outcome.answers) {
            let alone = traft::apply::Machine::apply(&mut machine, &op.command.body);
            assert_eq!(answer.as_ref(), Some(&alone), "{}", side.name());
        }
        let state = Some(traft::apply::Machine::digest(&machine));
        let states: Vec<_> = outcome.ends.iter().flatten().map(|end| end.state).collect();
        assert_eq!(states, [state; 3], "{}", side.name());
        // A run without machines is the same run.
        with.machine = None;
        let without = run(&with).expect("the spec can be run");
        assert_eq!(finished(&outcome), finished(&without), "{}", side.name());
        assert!(without.answers.is_empty());
    }
}

/// All lose power before anything is durable: nothing of it comes back, and no client was told.
#[test]
fn a_crash_leaves_what_was_durable() {
    for (sync, kept) in [(Time::ZERO, 20), (Time::ms(500), 0)] {
        let mut spec = spec(Side::Traft, increments(20));
        let dark = Time::ms(400);
        spec.sync_delay = sync;
        spec.election_timeout = Time::s(2);
        let all = |act: fn(usize) -> Act, at| (0..3).map(move |r| (at, act(r)));
        spec.script = all(Act::Crash, dark).chain(all(Act::Restart, dark + Time::ms(1))).collect();
        // Time for an election, and for the new leader to apply what came back.
        spec.linger = Time::s(20);
        spec.until = Time::s(20);
        let outcome = run(&spec).expect("the spec can be run");
        assert_eq!(outcome.violations, Vec::<String>::new());
        assert_eq!(finished(&outcome).iter().flatten().count(), kept);
        for end in outcome.ends.iter().flatten() {
            assert_eq!(end.done.offset().0, kept as u64, "sync {sync:?}");
        }
    }
}

/// One way 5 ms, a follower's message and sync, the leader's message, and executing: only what the
/// leader's machine does takes ten times as long when that is slow.
#[test]
fn a_slow_replica_takes_longer_for_what_its_own_machine_does() {
    let mut spec = spec(Side::Traft, increments(1));
    (spec.sync_delay, spec.cpu) = (Time::ms(1), Time::us(100));
    let Load::Open { ops } = &mut spec.load else { panic!("an open load") };
    ops[0].1.cost = Time::ms(2);
    let took = |slow: Option<Slow>| {
        let spec = Spec { slow, ..spec.clone() };
        let outcome = run(&spec).expect("the spec can be run");
        assert_eq!(outcome.violations, Vec::<String>::new());
        outcome.ops[0].finished.expect("it is answered").as_ms()
    };
    for (slow, expected) in [
        (None, 10.0 + 0.1 + 1.0 + 0.1 + 2.0),
        (Some(0), 10.0 + 0.1 + 1.0 + 1.0 + 20.0),
        (Some(1), 10.0 + 0.1 + 1.0 + 0.1 + 2.0),
    ] {
        let ms = took(slow.map(|replica| Slow { replica, factor: 10.0 }));
        // The bytes take a moment to leave, and another message may be in front.
        assert!((expected..expected + 1.1).contains(&ms), "{slow:?}: {ms} ms, not {expected}");
    }
}

/// A read of classic Raft waits for its index, not for what is executed behind it.
#[test]
#[cfg(feature = "compare")]
fn a_read_that_may_be_served_waits_for_no_command() {
    for side in [Side::Traft, Side::Raft] {
        let mut spec = spec(side, increments(2));
        let Load::Open { ops } = &mut spec.load else { panic!("an open load") };
        ops[0].1.cost = Time::ms(50);
        ops[1].1.kind = Kind::Read;
        ops[1].1.command = KvOp::Get { key: b"other" }.command();
        ops[1].1.cost = Time::ms(2);
        let outcome = run(&spec).expect("the spec can be run");
        let finished = finished(&outcome);
        assert!(finished[0] >= Some(Time::ms(60)), "{}: {finished:?}", side.name());
        let read = finished[1].expect("served");
        assert!((13.0..14.0).contains(&read.as_ms()), "{}: {read:?}", side.name());
    }
}

/// The leader dies while its successor's clients have much to write and something to read: the
/// first of either is served three round trips after the campaign begins, whatever is behind it.
#[test]
fn what_waited_for_a_leader_does_not_wait_for_the_rest() {
    let (rtt, death) = (Time::us(500), Time::ms(100));
    let write = |at: Time, n: u64| {
        let value = [7; 256];
        let command = KvOp::Set { key: &n.to_be_bytes(), value: &value }.command();
        (at, Op { command, kind: Kind::Write, cost: Time::ZERO, class: 0, site: 1 })
    };
    let mut ops = vec![write(death, 0)];
    ops.extend((1..200).map(|n| write(death, n)));
    let mut read = write(death, u64::MAX);
    read.1.command = KvOp::Get { key: b"untouched" }.command();
    read.1.kind = Kind::Read;
    ops.insert(1, read);
    let network = Network::uniform("lan", 3, Time(rtt.0 / 2));
    let load = Load::Open { ops };
    let mut spec = Spec::new(Side::Traft, LinkKind::Unordered, 3, network, load);
    spec.routing = Routing::Wait;
    spec.successor = Some(1);
    spec.script = vec![(death, Act::Crash(0))];
    let outcome = run(&spec).expect("the spec can be run");
    assert_eq!(outcome.violations, Vec::<String>::new());
    let (campaign, who) = outcome.campaigns[0];
    assert_eq!(who, 1);
    // What the messages take to leave the replicas comes on top.
    let least = campaign + Time(3 * rtt.0);
    for op in &outcome.ops[..2] {
        let finished = op.finished.expect("served");
        assert!(finished <= least + Time::us(50), "{finished:?} for {least:?}");
    }
    assert!(finished(&outcome).iter().all(Option::is_some));
}
