//! What the clients write, and the words in which the child tells of it.

use crate::apply::kv::{Answer, Op};
use crate::base::Command;
use std::fmt;

/// Clients that set a key to one number after the other.
pub(super) const SLOTS: u32 = 128;

/// Clients that add one to a number, again and again.
pub(super) const COUNTERS: u32 = 8;

/// All of them; each waits for its answer before it writes again.
pub(super) const CLIENTS: u32 = SLOTS + COUNTERS;

/// How long a value is made, in bytes.
const VALUE_BYTES: usize = 120;

fn key(client: u32) -> String {
    format!("client/{client:04}")
}

/// The write that makes the client's number `value`.
pub(super) fn write(client: u32, value: u64) -> Command {
    let key = key(client);
    if client >= SLOTS {
        return Op::Increment { key: key.as_bytes(), by: 1 }.command();
    }
    let value = format!("{value:<VALUE_BYTES$}");
    Op::Set { key: key.as_bytes(), value: value.as_bytes() }.command()
}

/// Reads every client's number.
pub(super) fn read_all() -> Command {
    let keys: Vec<String> = (0..CLIENTS).map(key).collect();
    Op::GetMany { keys: keys.iter().map(|key| key.as_bytes()).collect() }.command()
}

/// The numbers in the answer to [`read_all`]; zero where nothing was written.
pub(super) fn numbers(result: &bytes::Bytes) -> Option<Vec<u64>> {
    let Ok(Answer::Values(values)) = Answer::decode(result) else { return None };
    let number = |value: Option<bytes::Bytes>| match value {
        None => Some(0),
        Some(value) => str::from_utf8(&value).ok()?.trim_end().parse().ok(),
    };
    values.into_iter().map(number).collect()
}

/// A line of the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A replica is open, without a doubt.
    Open,
    /// The number of a client, as it was read back.
    Value(u32, u64),
    /// All numbers were read back, all states are equal; the clients begin.
    Ready,
    /// A write was acknowledged: the number of this client is now this.
    Ack(u32, u64),
    /// So many snapshots were taken, so many installed in this life; so many records are dropped.
    Status(u64, u64, u64),
    /// Something is wrong.
    Wrong(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Open => f.write_str("open"),
            Line::Value(client, value) => write!(f, "value {client} {value}"),
            Line::Ready => f.write_str("ready"),
            Line::Ack(client, value) => write!(f, "ack {client} {value}"),
            Line::Status(taken, installed, purged) => {
                write!(f, "status {taken} {installed} {purged}")
            }
            Line::Wrong(what) => write!(f, "wrong {}", what.replace('\n', " ")),
        }
    }
}

impl Line {
    /// The last line of a process that was killed may be cut off: it says nothing.
    pub(super) fn parse(line: &str) -> Option<Line> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = rest.split(' ').map(|number| number.parse::<u64>().ok());
        let mut number = || numbers.next().flatten();
        Some(match word {
            "open" => Line::Open,
            "ready" => Line::Ready,
            "value" => Line::Value(u32::try_from(number()?).ok()?, number()?),
            "ack" => Line::Ack(u32::try_from(number()?).ok()?, number()?),
            "status" => Line::Status(number()?, number()?, number()?),
            "wrong" => Line::Wrong(rest.into()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Machine;
    use crate::apply::kv::Kv;

    #[test]
    fn lines_come_back() {
        let lines = [
            Line::Open,
            Line::Value(3, 4),
            Line::Ready,
            Line::Ack(130, 1 << 40),
            Line::Status(1, 2, 3),
            Line::Wrong("n2 is in doubt".into()),
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
        assert_eq!(Line::parse("ack 3"), None);
        assert_eq!(Line::parse("ac"), None);
    }

    #[test]
    fn numbers_are_read_back() {
        let mut kv = Kv::new();
        kv.apply(&write(5, 77).body);
        (0..3).for_each(|_| drop(kv.apply(&write(SLOTS + 1, 0).body)));
        let numbers = numbers(&kv.read(&read_all().body)).expect("numbers");
        assert_eq!((numbers.len(), numbers[5], numbers[0]), (CLIENTS as usize, 77, 0));
        assert_eq!(numbers[SLOTS as usize + 1], 3);
    }
}
