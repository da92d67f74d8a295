//! What a command of the key-value machine says, and which keys it touches.

use crate::apply::code::{Malformed, Reader, Writer};
use crate::base::{Command, Footprint, Key, KeyRange, KeySet};
use bytes::Bytes;
use std::fmt;

/// A command of [`Kv`](super::Kv). Its parts lie in the body that it was decoded from, or wherever
/// the client has them.
///
/// As bytes: one for the kind, then the fields in the order below; byte strings behind their
/// length, lists behind their number of items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Gives the value, if there is one.
    Get {
        /// Whose value.
        key: &'a [u8],
    },
    /// Makes `value` the value. Blind.
    Set {
        /// Whose value.
        key: &'a [u8],
        /// Which.
        value: &'a [u8],
    },
    /// Removes the key. Blind.
    Delete {
        /// Which.
        key: &'a [u8],
    },
    /// Adds to a number written in decimal (a missing one is 0) and gives the sum. If the value is
    /// no number, or the sum no `i64`, fails and changes nothing.
    Increment {
        /// Whose value.
        key: &'a [u8],
        /// What is added.
        by: i64,
    },
    /// If the value is `expected` (`None`: there is no such key), makes it `value` (`None`: removes
    /// the key). Says whether it did.
    CompareAndSet {
        /// Whose value.
        key: &'a [u8],
        /// What it must be.
        expected: Option<&'a [u8]>,
        /// What it becomes.
        value: Option<&'a [u8]>,
    },
    /// Adds bytes at the end of the value and gives the new length.
    Append {
        /// Whose value.
        key: &'a [u8],
        /// What is added.
        suffix: &'a [u8],
    },
    /// Gives the value of each key, in order.
    GetMany {
        /// Whose values.
        keys: Vec<&'a [u8]>,
    },
    /// Sets each key; of two values for one key the later one stays. Blind.
    SetMany {
        /// Keys and values.
        pairs: Vec<(&'a [u8], &'a [u8])>,
    },
    /// Removes every key in `start .. end`, or from `start` on. Blind.
    DeleteRange {
        /// The least key to be removed.
        start: &'a [u8],
        /// The first key to be kept again.
        end: Option<&'a [u8]>,
    },
}

impl<'a> Op<'a> {
    /// The command for a replica: the body, with exactly the keys that executing it touches.
    ///
    /// # Panics
    /// If a field is longer than 256 MiB.
    pub fn command(&self) -> Command {
        let body = self.encode();
        // The keys of the footprint are slices of the body: one allocation for both.
        let own = Op::decode(&body).expect("what was just encoded");
        let footprint = own.footprint(&body);
        Command { footprint, body }
    }

    /// The bytes that [`Kv`](super::Kv) executes.
    ///
    /// # Panics
    /// If a field is longer than 256 MiB.
    pub fn encode(&self) -> Bytes {
        let out = |kind, bytes| Writer::with_room(bytes, 3).byte(kind);
        let written = match self {
            Op::Get { key } => out(0, key.len()).bytes(key),
            Op::Set { key, value } => out(1, key.len() + value.len()).bytes(key).bytes(value),
            Op::Delete { key } => out(2, key.len()).bytes(key),
            Op::Increment { key, by } => out(3, key.len() + 8).bytes(key).word(*by as u64),
            Op::CompareAndSet { key, expected, value } => {
                let length = |bytes: &Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
                out(4, key.len() + length(expected) + length(value))
                    .bytes(key)
                    .option(*expected)
                    .option(*value)
            }
            Op::Append { key, suffix } => out(5, key.len() + suffix.len()).bytes(key).bytes(suffix),
            Op::GetMany { keys } => out(6, 0).list(keys, |out, key| out.bytes(key)),
            Op::SetMany { pairs } => {
                out(7, 0).list(pairs, |out, (key, value)| out.bytes(key).bytes(value))
            }
            Op::DeleteRange { start, end } => {
                out(8, start.len() + end.map_or(0, <[u8]>::len)).bytes(start).option(*end)
            }
        };
        Bytes::from(written.0)
    }

    /// The command that these bytes say.
    ///
    /// # Errors
    /// If [`encode`](Self::encode) cannot have written them.
    pub fn decode(body: &'a [u8]) -> Result<Op<'a>, Malformed> {
        let mut input = Reader(body);
        let op = match input.byte()? {
            0 => Op::Get { key: input.bytes()? },
            1 => Op::Set { key: input.bytes()?, value: input.bytes()? },
            2 => Op::Delete { key: input.bytes()? },
            3 => Op::Increment { key: input.bytes()?, by: input.word()? as i64 },
            4 => Op::CompareAndSet {
                key: input.bytes()?,
                expected: input.option()?,
                value: input.option()?,
            },
            5 => Op::Append { key: input.bytes()?, suffix: input.bytes()? },
            6 => Op::GetMany { keys: input.list(Reader::bytes)? },
            7 => Op::SetMany { pairs: input.list(|input| Ok((input.bytes()?, input.bytes()?)))? },
            8 => Op::DeleteRange { start: input.bytes()?, end: input.option()? },
            _ => return Err(Malformed),
        };
        input.end()?;
        Ok(op)
    }

    /// The keys that executing it touches, as slices of `body`, which it lies in.
    fn footprint(&self, body: &Bytes) -> Footprint {
        let key = |key: &[u8]| -> Key { body.slice_ref(key) };
        let point = |bytes: &[u8]| KeySet::point(key(bytes));
        match self {
            Op::Get { key } => Footprint::read(point(key)),
            Op::Set { key, .. } | Op::Delete { key } => Footprint::write(point(key)),
            Op::Increment { key, .. } | Op::CompareAndSet { key, .. } | Op::Append { key, .. } => {
                Footprint::update(point(key))
            }
            Op::GetMany { keys } => {
                Footprint::read(KeySet::from_parts(keys.iter().map(|k| key(k)), []))
            }
            Op::SetMany { pairs } => {
                Footprint::write(KeySet::from_parts(pairs.iter().map(|(k, _)| key(k)), []))
            }
            Op::DeleteRange { start, end } => {
                let range = KeyRange { start: key(start), end: end.map(key) };
                Footprint::write(KeySet::from_parts([], [range]))
            }
        }
    }
}

/// `set x=41`, `cas x 41>-`, `delete [a b)`: for counterexamples and traces.
impl fmt::Display for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let option = |bytes: &Option<&[u8]>| bytes.map_or("-".to_string(), text);
        match self {
            Op::Get { key } => write!(f, "get {}", text(key)),
            Op::Set { key, value } => write!(f, "set {}={}", text(key), text(value)),
            Op::Delete { key } => write!(f, "delete {}", text(key)),
            Op::Increment { key, by } => write!(f, "increment {} by {by}", text(key)),
            Op::CompareAndSet { key, expected, value } => {
                write!(f, "cas {} {}>{}", text(key), option(expected), option(value))
            }
            Op::Append { key, suffix } => write!(f, "append {}+{}", text(key), text(suffix)),
            Op::GetMany { keys } => {
                f.write_str("get")?;
                keys.iter().try_for_each(|key| write!(f, " {}", text(key)))
            }
            Op::SetMany { pairs } => {
                f.write_str("set")?;
                pairs
                    .iter()
                    .try_for_each(|(key, value)| write!(f, " {}={}", text(key), text(value)))
            }
            Op::DeleteRange { start, end } => {
                write!(f, "delete [{} {})", text(start), end.map_or("..".to_string(), text))
            }
        }
    }
}
