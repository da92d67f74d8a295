//! The checker and every order that there is agree.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use traft::check::history::{Action, Answer, Event, check};

type Map = BTreeMap<Bytes, Bytes>;

/// Executes an action as the words say; nothing is shared with the checker.
fn execute(action: &Action, map: &mut Map) -> Answer {
    match action {
        Action::Get(keys) => Answer::Values(keys.iter().map(|key| map.get(key).cloned()).collect()),
        Action::Put(pairs) => {
            map.extend(pairs.iter().cloned());
            Answer::Nothing
        }
        Action::Delete(keys) => {
            map.retain(|key, _| !keys.contains(key));
            Answer::Nothing
        }
        Action::Cas { key, expect, value } => {
            if map.get(key) != expect.as_ref() {
                return Answer::Swapped(false);
            }
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
            Answer::Swapped(true)
        }
        Action::Append { key, suffix } => {
            let mut value = map.get(key).map_or(Vec::new(), |value| value.to_vec());
            value.extend_from_slice(suffix);
            let length = value.len() as u64;
            map.insert(key.clone(), value.into());
            Answer::Length(length)
        }
        Action::Increment { key, by } => {
            let old = map
                .get(key)
                .map_or(Some(0), |value| String::from_utf8_lossy(value).parse::<i64>().ok());
            match old.and_then(|old| old.checked_add(*by)) {
                Some(sum) => {
                    map.insert(key.clone(), sum.to_string().into());
                    Answer::Number(sum)
                }
                None => Answer::Refused,
            }
        }
    }
}

/// Tries every order of what is left.
fn explained(left: &[&Event], map: &Map) -> bool {
    if left.iter().all(|event| event.end.is_none()) {
        return true;
    }
    let ends = left.iter().filter_map(|event| event.end.as_ref());
    let first_end = ends.map(|(end, _)| *end).min().unwrap_or(u64::MAX);
    (0..left.len()).any(|at| {
        let event = left[at];
        let mut after = map.clone();
        let answer = execute(&event.action, &mut after);
        let fits = match &event.end {
            None => true,
            Some((_, Answer::Nothing)) => answer != Answer::Refused,
            Some((_, said)) => *said == answer,
        };
        let mut rest = left.to_vec();
        rest.remove(at);
        fits && event.call <= first_end && explained(&rest, &after)
    })
}

fn twin(events: &[Event]) -> bool {
    let says = |event: &&Event| event.end.as_ref().is_none_or(|(_, a)| *a != Answer::Refused);
    explained(&events.iter().filter(says).collect::<Vec<_>>(), &Map::new())
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => Just("x"), 1 => Just("y"), 1 => Just("z")].prop_map(Bytes::from)
}

/// Numbers, so that increments of what was put make sense.
fn value() -> impl Strategy<Value = Bytes> {
    (1_u32..4).prop_map(|n| Bytes::from(n.to_string()))
}

fn maybe() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![1 => Just(None), 3 => value().prop_map(Some)]
}

fn keys() -> impl Strategy<Value = Vec<Bytes>> {
    prop_oneof![
        6 => key().prop_map(|key| vec![key]),
        1 => Just(vec![Bytes::from("x"), Bytes::from("y")]),
    ]
}

/// An action with an answer of the right kind; whether it is the right one is for chance.
fn action() -> impl Strategy<Value = (Action, Answer)> {
    let get = keys().prop_flat_map(|keys| {
        let values = proptest::collection::vec(maybe(), keys.len());
        values.prop_map(move |out| (Action::Get(keys.clone()), Answer::Values(out)))
    });
    let put = (keys(), value(), value()).prop_map(|(keys, one, other)| {
        let pairs = keys.into_iter().zip([one, other]).collect();
        (Action::Put(pairs), Answer::Nothing)
    });
    let delete = keys().prop_map(|keys| (Action::Delete(keys), Answer::Nothing));
    let cas = (key(), maybe(), maybe(), any::<bool>()).prop_map(|(key, expect, value, swapped)| {
        (Action::Cas { key, expect, value }, Answer::Swapped(swapped))
    });
    let append = (key(), value(), prop_oneof![4 => 1_u64..3, 1 => Just(0)]);
    let append = append.prop_map(|(key, suffix, length)| {
        let answer = if length == 0 { Answer::Nothing } else { Answer::Length(length) };
        (Action::Append { key, suffix }, answer)
    });
    let increment = (key(), 1_i64..3, 1_i64..6)
        .prop_map(|(key, by, sum)| (Action::Increment { key, by }, Answer::Number(sum)));
    prop_oneof![4 => get, 4 => put, 1 => delete, 2 => cas, 1 => append, 2 => increment]
}

fn event() -> impl Strategy<Value = Event> {
    let end = prop_oneof![5 => (0_u64..8).prop_map(Some), 1 => Just(None)];
    (0_u64..4, action(), 0_u64..20, end, 0..20).prop_map(
        |(client, (action, answer), call, end, no)| {
            let answer = if no == 0 { Answer::Refused } else { answer };
            Event { client, action, call, end: end.map(|took| (call + took, answer)) }
        },
    )
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn the_search_agrees_with_every_order() {
    let (yes, no) = (Cell::new(0), Cell::new(0));
    let mut runner = runner(20_000);
    let histories = proptest::collection::vec(event(), 1..7);
    let checked = runner.run(&histories, |events| {
        let report = check(&events, u64::MAX);
        prop_assert!(report.undecided.is_empty());
        prop_assert_eq!(report.is_linearizable(), twin(&events), "{:?}", report);
        let counter = if report.is_linearizable() { &yes } else { &no };
        counter.set(counter.get() + 1);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    assert!(yes.get() > 2_000 && no.get() > 2_000, "{} and {}", yes.get(), no.get());
}

#[cfg(feature = "compare")]
#[test]
fn what_is_printed_is_parsed_again() {
    use traft::check::history::{parse, print};
    let mut runner = runner(2_000);
    let checked = runner.run(&proptest::collection::vec(event(), 0..7), |events| {
        let text: String = events.iter().map(|event| print(event) + "\n").collect();
        prop_assert_eq!(parse(&text), Ok(events));
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}
