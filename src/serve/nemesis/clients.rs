//! Clients that write down what they ask and what they are told.

use super::{Draw, Plan};
use crate::check::history::{Action, Answer, Event};
use crate::resp::Value;
use crate::serve::client::Client;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a client waits before it does not want to know any more.
const PATIENCE: Duration = Duration::from_secs(3);

/// A client that found nobody tries again after this long.
const PAUSE: Duration = Duration::from_millis(20);

/// Keys are given up after so long: the search has to explain all of a key's events, and those of
/// unknown end cost it the most.
const EPOCH: Duration = Duration::from_secs(4);

/// So many keys of each kind at a time.
const KEYS: u64 = 4;

pub(super) struct Clients(Vec<JoinHandle<(Vec<Event>, Vec<String>)>>);

impl Clients {
    pub(super) fn start(plan: &Plan, addresses: &[SocketAddr], stop: &Arc<AtomicBool>) -> Clients {
        let began = Instant::now();
        let one = |number: usize| {
            let mut one = One {
                number: number as u64,
                addresses: addresses.to_vec(),
                at: number,
                socket: None,
                draw: Draw(plan.seed ^ (number as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03)),
                began,
                asked: 0,
                events: Vec::new(),
                unexpected: Vec::new(),
            };
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    one.turn();
                }
                (one.events, one.unexpected)
            })
        };
        Clients((0..plan.clients).map(one).collect())
    }

    /// All that they wrote down, and the replies that they should not have got.
    pub(super) fn join(self) -> (Vec<Event>, Vec<String>) {
        let (mut events, mut unexpected) = (Vec::new(), Vec::new());
        for thread in self.0 {
            match thread.join() {
                Ok((more, odd)) => {
                    events.extend(more);
                    unexpected.extend(odd);
                }
                Err(_) => unexpected.push("a panic of its own".into()),
            }
        }
        (events, unexpected)
    }
}

struct One {
    number: u64,
    addresses: Vec<SocketAddr>,
    at: usize,
    socket: Option<Client>,
    draw: Draw,
    began: Instant,
    asked: u64,
    events: Vec<Event>,
    unexpected: Vec<String>,
}

impl One {
    /// One request, from its call to its end.
    fn turn(&mut self) {
        let Some(mut socket) = self.socket.take().or_else(|| self.connect()) else {
            return thread::sleep(PAUSE);
        };
        let action = self.action();
        let words = words(&action);
        let call = self.now();
        let reply = socket.ask(&words);
        let at = self.now();
        let end = match reply {
            Ok(Value::Error(why)) if why.starts_with(b"UNKNOWN") => None,
            Ok(Value::Error(why))
                if why.starts_with(b"TRYAGAIN") || why.starts_with(b"MISCONF") =>
            {
                Some((at, Answer::Refused))
            }
            Ok(value) => match answer(&action, &value) {
                Some(answer) => Some((at, answer)),
                None => {
                    self.unexpected.push(format!("{value:?} for {action}"));
                    None
                }
            },
            // Gone, or too slow: a reply that comes later would be taken for that of another.
            Err(_) => {
                self.at += 1;
                self.events.push(Event { client: self.number, action, call, end: None });
                return;
            }
        };
        self.events.push(Event { client: self.number, action, call, end });
        // Now and then somewhere else.
        if self.draw.below(64) == 0 {
            self.at += 1;
        } else {
            self.socket = Some(socket);
        }
    }

    fn connect(&mut self) -> Option<Client> {
        let address = self.addresses[self.at % self.addresses.len()];
        let connected = Client::connect(address, Some(PATIENCE)).ok();
        if connected.is_none() {
            self.at += 1;
        }
        connected
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn action(&mut self) -> Action {
        let epoch = self.began.elapsed().as_secs() / EPOCH.as_secs();
        let which = self.draw.below(KEYS);
        let key = |kind: &str| Bytes::from(format!("{kind}{epoch}/{which}"));
        self.asked += 1;
        // No two writes write the same, so that a read tells whose it saw.
        let value = Bytes::from(format!("{}.{}", self.number, self.asked));
        match self.draw.below(16) {
            0..=3 => Action::Get(vec![key("k")]),
            4..=7 => Action::Put(vec![(key("k"), value)]),
            8 => Action::Cas { key: key("k"), expect: None, value: Some(value) },
            9 => Action::Delete(vec![key("k")]),
            10 | 11 => Action::Increment { key: key("n"), by: 1 },
            12 => Action::Get(vec![key("n")]),
            13 => Action::Append { key: key("a"), suffix: Bytes::from_static(b"x") },
            14 => Action::Put(vec![(key("p"), value.clone()), (key("q"), value)]),
            _ => Action::Get(vec![key("p"), key("q")]),
        }
    }
}

fn words(action: &Action) -> Vec<Bytes> {
    let word = Bytes::from_static;
    match action {
        Action::Get(keys) => match &keys[..] {
            [key] => vec![word(b"GET"), key.clone()],
            keys => [word(b"MGET")].into_iter().chain(keys.iter().cloned()).collect(),
        },
        Action::Put(pairs) => match &pairs[..] {
            [(key, value)] => vec![word(b"SET"), key.clone(), value.clone()],
            pairs => {
                let pairs = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
                [word(b"MSET")].into_iter().chain(pairs).collect()
            }
        },
        Action::Delete(keys) => [word(b"DEL")].into_iter().chain(keys.iter().cloned()).collect(),
        Action::Cas { key, value, .. } => {
            let value = value.clone().unwrap_or_default();
            vec![word(b"SET"), key.clone(), value, word(b"NX")]
        }
        Action::Append { key, suffix } => vec![word(b"APPEND"), key.clone(), suffix.clone()],
        Action::Increment { key, by } => {
            vec![word(b"INCRBY"), key.clone(), Bytes::from(by.to_string())]
        }
    }
}

/// What a reply says of an action; `None` if no such action is answered like that.
fn answer(action: &Action, value: &Value) -> Option<Answer> {
    let one = |value: &Value| match value {
        Value::Bulk(bytes) => Some(Some(bytes.clone())),
        Value::Null => Some(None),
        _ => None,
    };
    Some(match (action, value) {
        (Action::Get(keys), value) if keys.len() == 1 => Answer::Values(vec![one(value)?]),
        (Action::Get(_), Value::Array(values)) => {
            Answer::Values(values.iter().map(one).collect::<Option<_>>()?)
        }
        (Action::Put(_), Value::Simple(_)) => Answer::Nothing,
        (Action::Delete(_), Value::Number(_)) => Answer::Nothing,
        (Action::Cas { .. }, Value::Simple(_)) => Answer::Swapped(true),
        (Action::Cas { .. }, Value::Null) => Answer::Swapped(false),
        (Action::Append { .. }, Value::Number(length)) => {
            Answer::Length(u64::try_from(*length).ok()?)
        }
        (Action::Increment { .. }, Value::Number(sum)) => Answer::Number(*sum),
        _ => return None,
    })
}
