//! What a client did, and what it was told.

use bytes::Bytes;
use std::fmt;

/// An operation on keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads these keys at one moment.
    Get(Vec<Bytes>),
    /// Writes these keys at one moment.
    Put(Vec<(Bytes, Bytes)>),
    /// Removes these keys at one moment.
    Delete(Vec<Bytes>),
    /// If the key has the value `expect` (`None`: is not there), gives it `value` (`None`: removes
    /// it).
    Cas {
        /// Which.
        key: Bytes,
        /// What it has to be.
        expect: Option<Bytes>,
        /// What it becomes.
        value: Option<Bytes>,
    },
    /// Adds bytes at the end of a value; a missing one is empty.
    Append {
        /// Which.
        key: Bytes,
        /// What is added.
        suffix: Bytes,
    },
    /// Adds to a decimal number of 64 bits; a missing one is zero.
    Increment {
        /// Which.
        key: Bytes,
        /// What is added.
        by: i64,
    },
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done: of put and delete, and of append and increment if nothing more is known.
    Nothing,
    /// The values, in the order of the keys: of get.
    Values(Vec<Option<Bytes>>),
    /// The sum: of increment.
    Number(i64),
    /// The new length in bytes: of append.
    Length(u64),
    /// Whether it wrote: of compare-and-set.
    Swapped(bool),
    /// It had no effect and never will have one: of any. Nothing is checked of it.
    Refused,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who.
    pub client: u64,
    /// What.
    pub action: Action,
    /// When it was called, in nanoseconds since any moment.
    pub call: u64,
    /// When the answer came, not before the call, and the answer. `None`: none ever came, and it
    /// may have taken effect or not. Two operations that only touch in time could have been at
    /// once.
    pub end: Option<(u64, Answer)>,
}

impl Action {
    /// The keys that it touches.
    pub fn keys(&self) -> Vec<&Bytes> {
        match self {
            Action::Get(keys) | Action::Delete(keys) => keys.iter().collect(),
            Action::Put(pairs) => pairs.iter().map(|(key, _)| key).collect(),
            Action::Cas { key, .. }
            | Action::Append { key, .. }
            | Action::Increment { key, .. } => vec![key],
        }
    }

    /// Whether `answer` is one that such an operation gives.
    pub fn may_answer(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (_, Answer::Refused)
            | (Action::Cas { .. }, Answer::Swapped(_))
            | (Action::Append { .. }, Answer::Length(_))
            | (Action::Increment { .. }, Answer::Number(_)) => true,
            (Action::Get(_) | Action::Cas { .. }, Answer::Nothing) => false,
            (_, Answer::Nothing) => true,
            (Action::Get(keys), Answer::Values(values)) => keys.len() == values.len(),
            _ => false,
        }
    }
}

fn text(bytes: &Bytes) -> String {
    bytes.escape_ascii().to_string()
}

fn value(bytes: &Option<Bytes>) -> String {
    bytes.as_ref().map_or("-".to_string(), text)
}

fn list<'a>(keys: impl IntoIterator<Item = &'a Bytes>) -> String {
    keys.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Get(keys) => write!(f, "get {}", list(keys)),
            Action::Delete(keys) => write!(f, "del {}", list(keys)),
            Action::Put(pairs) => {
                let pair = |(key, value): &(Bytes, Bytes)| format!("{}={}", text(key), text(value));
                write!(f, "put {}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
            }
            Action::Cas { key, expect, value: new } => {
                write!(f, "cas {} {}>{}", text(key), value(expect), value(new))
            }
            Action::Append { key, suffix } => write!(f, "append {}+{}", text(key), text(suffix)),
            Action::Increment { key, by } => write!(f, "incr {} by {by}", text(key)),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Nothing => f.write_str("ok"),
            Answer::Values(values) => {
                f.write_str(&values.iter().map(value).collect::<Vec<_>>().join(" "))
            }
            Answer::Number(number) => write!(f, "{number}"),
            Answer::Length(length) => write!(f, "{length} bytes"),
            Answer::Swapped(swapped) => f.write_str(if *swapped { "swapped" } else { "not equal" }),
            Answer::Refused => f.write_str("refused"),
        }
    }
}

/// `17..23 c4 get x: 41`; of an unknown end `17..   c4 put x=1: ?`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { client, action, call, end } = self;
        match end {
            Some((at, answer)) => write!(f, "{call}..{at} c{client} {action}: {answer}"),
            None => write!(f, "{call}.. c{client} {action}: ?"),
        }
    }
}
