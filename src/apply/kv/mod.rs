//! Keys and values: the machine to start with.
//!
//! ```
//! use traft::apply::{Machine, kv::{Answer, Kv, Op}};
//!
//! let mut kv = Kv::new();
//! let set = Op::Set { key: b"x", value: b"41" }.command();
//! let increment = Op::Increment { key: b"x", by: 1 }.command();
//! assert!(set.footprint.is_blind() && set.footprint.interferes(&increment.footprint));
//! assert_eq!(Answer::decode(&kv.apply(&set.body)), Ok(Answer::Nothing));
//! assert_eq!(Answer::decode(&kv.apply(&increment.body)), Ok(Answer::Number(42)));
//! ```

mod answer;
mod entries;
mod op;

pub use super::code::Malformed;
pub use answer::{Answer, Failure};
pub use entries::Frozen;
pub use op::Op;

use super::{Digest, Machine, Request, Stateful};
use crate::base::Command;
use bytes::Bytes;
use entries::{Entries, KeptKey};
use std::collections::BTreeSet;
use std::ops::Bound;

/// A state of keys and values, both any bytes; executes the bodies of [`Op`].
///
/// Executing a [`Op::Set`] of a key that is there allocates nothing: the value is a slice of the
/// body. A value that is less than a quarter of its body is copied, so that what is kept takes at
/// most four times the bytes of its values. Points are constant time. The order of keys is built by
/// the first range that is deleted; from then on a new key costs a logarithm.
///
/// To take a snapshot, [`freeze`](Self::freeze) it and go on; to come back from one, collect its
/// pairs.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    entries: Entries,
    /// The same keys in order, once a range was asked for.
    order: Option<BTreeSet<KeptKey>>,
}

impl Kv {
    /// No keys.
    pub fn new() -> Kv {
        Kv::default()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(key)
    }

    /// Holds the state of this moment fast: no copy, no matter how many keys there are. From then
    /// on what changes is kept apart, until the result is dropped; then each change carries a few
    /// of those that were kept apart over, so that no moment takes long. `None` while an earlier
    /// one is still held.
    pub fn freeze(&mut self) -> Option<Frozen> {
        self.entries.freeze()
    }

    fn set(&mut self, key: &[u8], value: Bytes) {
        if self.entries.set(key, value)
            && let Some(order) = &mut self.order
        {
            order.insert(KeptKey::from_slice(key));
        }
    }

    fn delete(&mut self, key: &[u8]) {
        if self.entries.remove(key)
            && let Some(order) = &mut self.order
        {
            order.remove(key);
        }
    }

    fn delete_range(&mut self, start: &[u8], end: Option<&[u8]>) {
        if end.is_some_and(|end| end <= start) {
            return;
        }
        let order = self.order.get_or_insert_with(|| {
            let mut order = BTreeSet::new();
            self.entries.for_each(|key, _| {
                order.insert(key.clone());
            });
            order
        });
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let doomed: Vec<KeptKey> =
            order.range::<[u8], _>((Bound::Included(start), end)).cloned().collect();
        doomed.iter().for_each(|key| self.delete(key));
    }

    /// The number at `key`; a key that is missing counts as zero.
    fn number(&self, key: &[u8]) -> Result<i64, Failure> {
        let Some(value) = self.get(key) else { return Ok(0) };
        let text = str::from_utf8(value).map_err(|_| Failure::NotANumber)?;
        text.parse().map_err(|_| Failure::NotANumber)
    }

    fn increment(&mut self, key: &[u8], by: i64) -> Answer {
        let sum = self.number(key).and_then(|n| n.checked_add(by).ok_or(Failure::Overflow));
        match sum {
            Ok(sum) => {
                self.set(key, Bytes::from(sum.to_string()));
                Answer::Number(sum)
            }
            Err(failure) => Answer::Failed(failure),
        }
    }

    fn append(&mut self, key: &[u8], suffix: &[u8]) -> Answer {
        let value = Bytes::from([self.get(key).map_or(&[][..], |value| value), suffix].concat());
        let length = value.len() as u64;
        self.set(key, value);
        Answer::Length(length)
    }

    /// What `op` reads, if it writes nothing.
    fn query(&self, op: &Op<'_>) -> Option<Answer> {
        match op {
            Op::Get { key } => Some(Answer::Value(self.get(key).cloned())),
            Op::GetMany { keys } => {
                Some(Answer::Values(keys.iter().map(|key| self.get(key).cloned()).collect()))
            }
            Op::SetMany { pairs } if pairs.is_empty() => Some(Answer::Nothing),
            Op::DeleteRange { start, end: Some(end) } if end <= start => Some(Answer::Nothing),
            _ => None,
        }
    }

    fn execute(&mut self, body: &Bytes, op: &Op<'_>) -> Answer {
        match *op {
            Op::Set { key, value } => self.set(key, kept(body, value)),
            Op::Delete { key } => self.delete(key),
            Op::SetMany { ref pairs } => {
                pairs.iter().for_each(|(key, value)| self.set(key, kept(body, value)));
            }
            Op::DeleteRange { start, end } => self.delete_range(start, end),
            Op::Increment { key, by } => return self.increment(key, by),
            Op::Append { key, suffix } => return self.append(key, suffix),
            Op::CompareAndSet { key, expected, value } => {
                let swap = self.get(key).map(|value| &value[..]) == expected;
                match value {
                    Some(value) if swap => self.set(key, kept(body, value)),
                    None if swap => self.delete(key),
                    _ => {}
                }
                return Answer::Swapped(swap);
            }
            Op::Get { .. } | Op::GetMany { .. } => {
                return self.query(op).unwrap_or(Answer::Nothing);
            }
        }
        Answer::Nothing
    }
}

/// `value`, a part of `body`, to be kept: see [`Kv`].
fn kept(body: &Bytes, value: &[u8]) -> Bytes {
    if value.len() >= body.len() / 4 {
        body.slice_ref(value)
    } else {
        Bytes::copy_from_slice(value)
    }
}

/// The state of a snapshot. Values are copied, so that none keeps what it was read from alive.
impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for Kv {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Kv {
        let mut kv = Kv::new();
        for (key, value) in pairs {
            kv.set(key.as_ref(), Bytes::copy_from_slice(value.as_ref()));
        }
        kv
    }
}

impl Machine for Kv {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        match Op::decode(body) {
            Ok(op) => self.execute(body, &op).encode(),
            Err(Malformed) => Answer::Failed(Failure::Malformed).encode(),
        }
    }

    fn read(&self, body: &Bytes) -> Bytes {
        let answer = match Op::decode(body) {
            Ok(op) => self.query(&op).unwrap_or(Answer::Failed(Failure::NotARead)),
            Err(Malformed) => Answer::Failed(Failure::Malformed),
        };
        answer.encode()
    }

    /// A sum over the entries, so that no order matters.
    fn digest(&self) -> u64 {
        let mut sum = 0_u64;
        self.entries.for_each(|key, value| {
            sum = sum.wrapping_add(Digest::new().bytes(key).bytes(value).value());
        });
        sum
    }
}

impl Request for Op<'_> {
    type Answer = Answer;

    fn command(&self) -> Command {
        Op::command(self)
    }

    fn answer(result: &Bytes) -> Answer {
        Answer::decode(result).unwrap_or(Answer::Failed(Failure::Malformed))
    }
}

impl Stateful for Kv {
    type Frozen = Frozen;

    fn freeze(&mut self) -> Option<Frozen> {
        Kv::freeze(self)
    }

    fn pairs(frozen: &Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.pairs()
    }

    fn clear(&mut self) {
        *self = Kv::new();
    }

    fn load(&mut self, key: &[u8], value: &[u8]) {
        self.set(key, Bytes::copy_from_slice(value));
    }
}
