//! Requests of sessions take effect once, whatever comes twice, late or never.

use traft::apply::Machine;
use traft::apply::kv::{Answer, Kv, Op};
use traft::apply::laws::{Dice, Plan, check};
use traft::apply::session::{
    Client, Fate, KEPT_MAX, Next, Order, Outcome, Request, Sessions, next_without_session,
};
use traft::base::{Command, Footprint};

fn machine() -> Sessions<Kv> {
    Sessions::new(Kv::new())
}

fn increment(key: &[u8]) -> Command {
    Op::Increment { key, by: 1 }.command()
}

fn outcome(machine: &mut Sessions<Kv>, command: &Command) -> Outcome {
    Outcome::decode(&machine.apply(&command.body)).expect("an outcome")
}

fn number(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Done(result) => match Answer::decode(result) {
            Ok(Answer::Number(number)) => number,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A machine with the session 7 open, and its client.
fn opened(order: Order) -> (Sessions<Kv>, Client) {
    let (mut machine, mut client) = (machine(), Client::new(7, order));
    open(&mut machine, &mut client);
    (machine, client)
}

fn open(machine: &mut Sessions<Kv>, client: &mut Client) {
    let result = machine.apply(&client.open().body);
    assert!(matches!(client.opened(Fate::Applied(result)), Next::Finished(Outcome::Done(_))));
    assert!(client.is_open());
}

#[test]
fn a_request_takes_effect_once_and_gives_its_result_again() {
    let (mut machine, mut client) = opened(Order::Free);
    let (_, first) = client.request(increment(b"n")).expect("room");
    let (_, second) = client.request(increment(b"n")).expect("room");
    assert_eq!(number(&outcome(&mut machine, &first)), 1);
    assert_eq!(number(&outcome(&mut machine, &second)), 2);
    assert_eq!(number(&outcome(&mut machine, &first)), 1);
    assert_eq!(machine.inner().get(b"n").map(|v| &v[..]), Some(&b"2"[..]));
}

/// The dumb twin counts each request once. Copies come in any number and any order.
#[test]
fn any_mix_of_copies_counts_each_request_once() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let (mut machine, mut client) = opened(Order::Free);
        let mut open = Vec::new();
        let (mut seen, mut expected) = (std::collections::BTreeSet::new(), [0; 2]);
        for _ in 0..60 {
            if open.is_empty() || dice.below(3) == 0 {
                let key = dice.below(2) as usize;
                let name = [&b"a"[..], b"b"][key];
                let (request, command) = client.request(increment(name)).expect("room");
                open.push((request, key, command));
            }
            let (request, key, command) = dice.one_of(&open).clone();
            outcome(&mut machine, &command);
            if seen.insert(request) {
                expected[key] += 1;
            }
            if dice.below(10) == 0 {
                machine = again(&machine);
            }
        }
        for (key, expected) in [&b"a"[..], b"b"].into_iter().zip(expected) {
            let held = machine.inner().get(key).map_or(0, |v| {
                std::str::from_utf8(v).expect("a number").parse::<u64>().expect("a number")
            });
            assert_eq!(held, expected, "seed {seed}");
        }
    }
}

/// The same machine from what a snapshot holds of its sessions.
fn again(machine: &Sessions<Kv>) -> Sessions<Kv> {
    let pairs: Vec<_> = machine.pairs().collect();
    let again = Sessions::from_pairs(machine.inner().clone(), pairs).expect("a snapshot");
    assert_eq!(again.digest(), machine.digest());
    again
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let (mut machine, mut client) = opened(Order::Free);
    let (_, command) = client.request(increment(b"n")).expect("room");
    outcome(&mut machine, &command);
    let pairs: Vec<_> = machine.pairs().collect();
    let (key, value) = pairs.last().expect("a session").clone();
    for cut in 0..value.len() {
        let damaged = [(key.clone(), value.slice(..cut))];
        assert!(Sessions::from_pairs(Kv::new(), damaged).is_err(), "cut after {cut}");
    }
}

#[test]
fn results_are_kept_until_the_client_has_them() {
    let (mut machine, mut client) = opened(Order::Free);
    let (request, first) = client.request(increment(b"n")).expect("room");
    let result = machine.apply(&first.body);
    assert!(matches!(client.ended(request, Fate::Applied(result)), Next::Finished(_)));
    outcome(&mut machine, &client.have().expect("an open session"));
    assert_eq!(outcome(&mut machine, &first), Outcome::Forgotten);
    assert_eq!(machine.inner().get(b"n").map(|v| &v[..]), Some(&b"1"[..]));
}

/// Sessions end by what stands in the log, so at the same point everywhere.
#[test]
fn idle_sessions_end_with_sweeps() {
    let (mut machine, mut client) = opened(Order::Free);
    let sweep = Request::Sweep { idle: 2 }.command(Footprint::default());
    let (_, command) = client.request(increment(b"n")).expect("room");
    for _ in 0..5 {
        outcome(&mut machine, &sweep);
        outcome(&mut machine, &command);
    }
    assert_eq!(machine.open_sessions(), 1, "a session that is used stays");
    (0..3).for_each(|_| drop(outcome(&mut machine, &sweep)));
    assert_eq!(machine.open_sessions(), 0);
    assert_eq!(outcome(&mut machine, &command), Outcome::Expired);
    assert_eq!(machine.inner().get(b"n").map(|v| &v[..]), Some(&b"1"[..]));
}

/// design/broken/ReopenedSession: a session expires, and a late copy of the command that once
/// opened it opens it anew. What the client repeats because it does not know what became of it must
/// not take effect there again, and what it acknowledged is not acknowledged there.
#[test]
fn a_late_copy_of_an_opening_revives_nothing() {
    let (mut machine, mut client) = opened(Order::Free);
    let (_, command) = client.request(increment(b"n")).expect("room");
    outcome(&mut machine, &command);
    let sweep = Request::Sweep { idle: 0 }.command(Footprint::default());
    outcome(&mut machine, &sweep);
    assert_eq!(machine.open_sessions(), 0);
    let again = outcome(&mut machine, &client.open());
    assert_eq!((machine.open_sessions(), again.opening()), (1, Some(1)));
    assert_eq!(outcome(&mut machine, &command), Outcome::Expired);
    assert_eq!(outcome(&mut machine, &client.have().expect("opened")), Outcome::Expired);
    assert_eq!(machine.inner().get(b"n").map(|v| &v[..]), Some(&b"1"[..]));

    // Whoever begins anew under that number is served, and once more after a snapshot.
    let mut machine = self::again(&machine);
    let mut client = Client::new(7, Order::Free);
    open(&mut machine, &mut client);
    let (_, command) = client.request(increment(b"n")).expect("room");
    assert_eq!(number(&outcome(&mut machine, &command)), 2);
}

#[test]
fn nothing_is_numbered_before_the_session_is_open() {
    let mut client = Client::new(7, Order::Free);
    assert_eq!((client.request(increment(b"n")), client.have()), (None, None));
    assert_eq!(client.opened(Fate::Unknown), Next::Again(client.open()));
    assert!(!client.is_open());
}

/// Copies of a request are in order with each other, and never overridden. Others of the session
/// run at the same time, unless their order is to be kept.
#[test]
fn footprints_say_what_may_run_together() {
    let pair = |order| {
        let (_, mut client) = opened(order);
        let set = |key| Op::Set { key, value: b"1" }.command();
        let (_, first) = client.request(set(b"a")).expect("room");
        let (_, second) = client.request(set(b"b")).expect("room");
        (first.footprint, second.footprint, client)
    };
    let (first, second, mut client) = pair(Order::Free);
    assert!(!first.interferes(&second));
    assert!(first.interferes(&first) && !first.is_blind());
    for whole in [client.have().expect("opened"), client.open()] {
        assert!(whole.footprint.interferes(&first) && !whole.footprint.is_blind());
    }
    let (first, second, _) = pair(Order::Kept);
    assert!(first.interferes(&second));
    let last = Client::new(u64::MAX, Order::Free);
    assert!(!last.open().footprint.interferes(&first));
    let sweep = Request::Sweep { idle: 1 }.command(Footprint::default());
    assert!(
        sweep.footprint.interferes(&first) && sweep.footprint.interferes(&last.open().footprint)
    );
}

/// Whoever keeps the order is not overtaken: what was lost and is proposed again stands behind what
/// was proposed later, and that has no effect before.
#[test]
fn a_lost_request_is_not_overtaken_where_the_order_is_kept() {
    let append = |suffix| Op::Append { key: b"l", suffix }.command();
    let (mut machine, mut client) = opened(Order::Kept);
    let (first, one) = client.request(append(b"1")).expect("room");
    let (second, two) = client.request(append(b"2")).expect("room");
    assert_eq!(client.ended(first, Fate::Unknown), Next::Again(one.clone()));
    let early = machine.apply(&two.body);
    assert_eq!(client.ended(second, Fate::Applied(early)), Next::Again(two.clone()));
    for command in [&one, &two, &one] {
        assert!(matches!(outcome(&mut machine, command), Outcome::Done(_)));
    }
    assert_eq!(machine.inner().get(b"l").map(|v| &v[..]), Some(&b"12"[..]));
}

/// The same for any loss, copy and order of a pipeline, and a snapshot in between: what takes
/// effect is the beginning of what was asked for.
#[test]
fn a_pipeline_keeps_its_order_whatever_is_lost() {
    const ALL: usize = 8;
    let mut overtaken = 0;
    for seed in 0..400 {
        let (mut dice, (mut machine, mut client)) = (Dice::new(seed), opened(Order::Kept));
        let names: Vec<String> = (0..ALL).map(|n| n.to_string()).collect();
        let append = |name: &String| Op::Append { key: b"l", suffix: name.as_bytes() }.command();
        let ask = |name| client.request(append(name)).expect("room").1;
        let commands: Vec<Command> = names.iter().map(ask).collect();
        let mut done = [false; ALL];
        for _ in 0..40 {
            let at = dice.below(ALL as u64) as usize;
            let outcome = outcome(&mut machine, &commands[at]);
            done[at] |= matches!(outcome, Outcome::Done(_));
            overtaken += u64::from(outcome == Outcome::Ahead);
            if dice.below(8) == 0 {
                machine = again(&machine);
            }
            let log = machine.inner().get(b"l").map(|v| v.to_vec()).unwrap_or_default();
            let so_far = names.concat().into_bytes()[..log.len()].to_vec();
            assert_eq!(log, so_far, "seed {seed}");
            assert_eq!(log.len(), done.iter().filter(|done| **done).count(), "seed {seed}");
        }
    }
    assert!(overtaken > 1_000, "{overtaken}");
}

#[test]
fn an_unknown_end_is_proposed_again_only_in_a_session() {
    let (_, mut client) = opened(Order::Free);
    let (request, command) = client.request(increment(b"n")).expect("room");
    assert_eq!(client.ended(request, Fate::Unknown), Next::Again(command.clone()));
    assert_eq!(client.ended(request, Fate::Rejected), Next::Again(command));
    assert_eq!(client.ended(99, Fate::Unknown), Next::Stray);
    let plain = increment(b"n");
    assert_eq!(next_without_session(&plain, Fate::Unknown), Next::InDoubt);
    assert_eq!(next_without_session(&plain, Fate::Rejected), Next::Again(plain.clone()));
}

#[test]
fn a_client_does_not_run_ahead_of_what_is_kept() {
    let (_, mut client) = opened(Order::Free);
    assert!((0..KEPT_MAX).all(|_| client.request(increment(b"n")).is_some()));
    assert!(client.request(increment(b"n")).is_none());
}

/// A number from outside makes nobody allocate.
#[test]
fn a_request_far_ahead_has_no_effect() {
    let (mut machine, client) = opened(Order::Free);
    let (session, opening) = (7, 0);
    for request in [KEPT_MAX, 1 << 61] {
        let body = increment(b"n").body;
        let ahead = Request::Do { session, opening, request, body, order: Order::Free };
        let command = ahead.command(Footprint::default());
        assert_eq!(outcome(&mut machine, &command), Outcome::Ahead);
    }
    assert!(machine.inner().is_empty());
    drop(client);
}

/// The kit searches the machine with sessions for a breach of the contract, as any other.
#[test]
fn sessions_keep_the_contract_of_machines() {
    let draw = |dice: &mut Dice| {
        let key = *dice.one_of(&[&b"a"[..], b"b"]);
        let op = match dice.below(3) {
            0 => Op::Get { key },
            1 => Op::Set { key, value: b"1" },
            _ => Op::Increment { key, by: 1 },
        };
        let Command { footprint, body } = op.command();
        let session = dice.below(2);
        let (order, opening) = (*dice.one_of(&[Order::Free, Order::Kept]), dice.below(2));
        let request = match dice.below(10) {
            0 | 1 => Request::Open { session },
            2 => Request::Have { session, opening, below: dice.below(3) },
            3 => Request::Sweep { idle: dice.below(3) },
            4..7 => Request::Plain(body),
            _ => Request::Do { session, opening, request: dice.below(4), body, order },
        };
        request.command(footprint)
    };
    let plan = Plan { rounds: 500, ..Plan::default() };
    let checked = check(&plan, machine, draw).expect("no breach");
    assert!(checked.commuting > 100 && checked.determined > 100, "{checked:?}");
}
