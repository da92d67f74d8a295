//! Long histories are checked in about as many steps as they have events, also with many clients at
//! once and with ends that nobody knows.

use bytes::Bytes;
use traft::check::history::{Action, Answer, Event, check};

struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Clients that each do one thing after another on one key, each taking effect somewhere in
/// between. Every 50th answer is lost.
fn history(seed: u64, clients: u64, each: u64) -> Vec<Event> {
    let mut dice = Dice(seed);
    let mut moments: Vec<(u64, Event)> = Vec::new();
    for client in 0..clients {
        let mut now = dice.draw(100);
        for nth in 0..each {
            let (call, effect) = (now + 1 + dice.draw(50), now + 60 + dice.draw(50));
            now = effect + dice.draw(50);
            let key = Bytes::from("x");
            let action = match dice.draw(4) {
                0 => Action::Put(vec![(key, format!("{}", 1000 * client + nth).into())]),
                1 => Action::Increment { key, by: 1 },
                _ => Action::Get(vec![key]),
            };
            let end = (dice.draw(50) > 0).then_some((now, Answer::Nothing));
            moments.push((effect, Event { client, action, call, end }));
        }
    }
    moments.sort_by_key(|(effect, event)| (*effect, event.client));
    let mut value: Option<i64> = None;
    for (_, event) in &mut moments {
        let lost = event.end.is_none() && dice.draw(2) == 0;
        let answer = match &event.action {
            Action::Get(_) => Answer::Values(vec![value.map(|value| value.to_string().into())]),
            Action::Put(pairs) if !lost => {
                value = String::from_utf8_lossy(&pairs[0].1).parse().ok();
                Answer::Nothing
            }
            Action::Increment { .. } if !lost => {
                value = Some(value.unwrap_or(0) + 1);
                Answer::Number(value.unwrap_or(0))
            }
            _ => Answer::Nothing,
        };
        if let Some((_, said)) = &mut event.end {
            *said = answer;
        }
    }
    moments.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn ten_thousand_operations_on_one_key() {
    let events = history(7, 10, 1_000);
    let report = check(&events, 1_000_000);
    assert!(report.is_linearizable(), "{:?}", report.anomalies.first().map(ToString::to_string));
    assert!(report.unknown > 50 && report.events > 9_800, "{report:?}");
    println!("{} steps for {} events", report.steps, report.events);
}

#[test]
fn one_wrong_answer_among_a_thousand_is_found() {
    let mut events = history(8, 10, 100);
    let gets = |event: &&mut Event| {
        matches!(event.end, Some((_, Answer::Values(_)))) && event.call > 5_000
    };
    let wrong = events.iter_mut().find(gets).expect("a get");
    wrong.end.as_mut().expect("it is known").1 = Answer::Values(vec![Some("no".into())]);
    let report = check(&events, 1_000_000);
    assert_eq!(report.anomalies.len(), 1, "{report:?}");
    println!("{} steps for {} events", report.steps, report.events);
    let text = report.anomalies[0].to_string();
    assert!(text.contains("get x: no"), "{text}");
}

/// Where the order cannot be found quickly, it says so instead of guessing.
#[test]
fn what_takes_too_long_is_undecided() {
    let report = check(&history(9, 10, 1_000), 100);
    assert!(!report.is_linearizable() && report.anomalies.is_empty());
    assert_eq!(report.undecided, [[Bytes::from("x")]]);
}
