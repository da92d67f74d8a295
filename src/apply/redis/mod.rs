//! Strings with deadlines: the state behind the Redis protocol.
//!
//! ```
//! use traft::apply::{Machine, redis::{Answer, Op, Store}};
//!
//! let mut store = Store::new();
//! let set = Op::Set { key: b"x", value: b"41", deadline: None }.command().unwrap();
//! let add = Op::Add { key: b"x", by: 1 }.command().unwrap();
//! assert!(set.footprint.is_blind() && set.footprint.interferes(&add.footprint));
//! assert_eq!(Answer::decode(&store.apply(&set.body)), Ok(Answer::Nothing));
//! assert_eq!(Answer::decode(&store.apply(&add.body)), Ok(Answer::Number(42)));
//! ```
//!
//! # Time
//!
//! The state has deadlines and a clock, and both move by commands only. Whoever leads proposes
//! [`Op::Time`] from its own clock, so that all replicas compute deadlines from one clock, and
//! [`Op::Evict`] for what is due. A key is there until it is evicted: a replica that answered by
//! its own clock could find a key gone and another one find it there afterwards.

mod answer;
mod entry;
mod file;
mod footprint;
mod form;
mod glob;
mod layers;
mod op;
mod table;

pub use super::code::Malformed;
pub use answer::{Answer, Failure};
pub use form::NESTED_MAX;
pub use glob::matches;
pub use op::{ExpireWhen, KEY_BYTES_MAX, Limit, Op, OpError, RESERVED, VALUE_BYTES_MAX, When};
pub use table::Frozen;

use super::{Bottom, Digest, Machine, Stateful};
use bytes::Bytes;
use entry::{Entry, KeptKey};
use file::{AFTER_RESERVED, CLOCK, File, is_derived};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use table::Table;

/// A scan gives no further key beyond this, in bytes.
pub const PAGE_BYTES_MAX: usize = 16 << 20;

/// A state of keys, their values and their deadlines; executes the bodies of [`Op`].
///
/// Values are slices of the bodies they came in; one that is less than a quarter of its body is
/// copied, so that what is kept takes at most four times the bytes of its values. Keys are kept in
/// order, so a point costs a logarithm and a scan goes on where the last one ended.
///
/// To take a snapshot, [`freeze`](Self::freeze) it and go on; to come back from one,
/// [`load`](Stateful::load) its pairs, or [`adopt`](Stateful::adopt) it: then its pairs stay in the
/// file, and only what changes afterwards is kept in memory.
#[derive(Clone, Debug, Default)]
pub struct Store {
    table: Table,
    /// The keys that have a deadline, by deadline, unless they are in a file as they are now.
    limited: BTreeSet<(u64, KeptKey)>,
}

impl Store {
    /// No keys.
    pub fn new() -> Store {
        Store::default()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.table.len() - usize::from(self.table.contains(CLOCK))
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cluster's clock, in milliseconds since 1970; 0 before it was ever moved.
    pub fn clock(&self) -> u64 {
        let clock = self.table.get(CLOCK);
        let clock = clock.and_then(|entry| entry.value.first_chunk::<8>().copied());
        clock.map_or(0, u64::from_le_bytes)
    }

    /// Holds the state of this moment fast: no copy, no matter how many keys there are. From then
    /// on what changes is kept apart, until the result is dropped. `None` while an earlier one is
    /// still held.
    pub fn freeze(&mut self) -> Option<Frozen> {
        self.table.freeze()
    }

    fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.table.get(key).map(|entry| entry.value.clone())
    }

    fn set(&mut self, key: &[u8], entry: Entry) {
        let is = entry.deadline;
        let was = self.table.set(key, entry);
        self.relimit(key, was, is);
    }

    fn relimit(&mut self, key: &[u8], was: Option<u64>, is: Option<u64>) {
        if was == is {
            return;
        }
        let key = KeptKey::from_slice(key);
        if let Some(was) = was {
            self.limited.remove(&(was, key.clone()));
        }
        self.limited.extend(is.map(|is| (is, key)));
    }

    fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        let entry = self.table.remove(key)?;
        self.relimit(key, entry.deadline, None);
        Some(entry.value)
    }

    /// What `op` gives, if it changes nothing.
    fn query(&self, op: &Op<'_>) -> Option<Answer> {
        let number = |number: usize| Answer::Number(number as i64);
        Some(match op {
            Op::Get { key } => value(self.value(key)),
            Op::GetMany { keys } => {
                Answer::Values(keys.iter().map(|key| self.value(key)).collect())
            }
            Op::Length { key } => number(self.value(key).map_or(0, |value| value.len())),
            Op::Exists { keys } => {
                number(keys.iter().filter(|key| self.table.contains(key)).count())
            }
            Op::Deadline { key } => Answer::Number(match self.table.get(key) {
                None => -2,
                Some(entry) => entry.deadline.map_or(-1, |at| at as i64),
            }),
            Op::Count => number(self.len()),
            Op::Scan { after, pattern, most } => self.scan(*after, *pattern, *most),
            Op::Due { now, most } => self.due(*now, *most as usize),
            Op::Clock => Answer::Number(self.clock() as i64),
            Op::Digest => Answer::Number(self.table.sum() as i64),
            Op::All { ops } if op.is_read() => {
                Answer::All(ops.iter().filter_map(|op| self.query(op)).collect())
            }
            _ => return None,
        })
    }

    fn scan(&self, after: Option<&[u8]>, pattern: Option<&[u8]>, most: u32) -> Answer {
        let (mut keys, mut bytes) = (Vec::new(), 0);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut walk = self.table.walk(from).filter(|(key, _)| !key.starts_with(RESERVED));
        let mut last = None;
        for _ in 0..most.max(1) {
            let Some((key, _)) = walk.next() else { return Answer::Page { keys, next: None } };
            if pattern.is_none_or(|pattern| matches(pattern, &key)) {
                keys.push(Bytes::copy_from_slice(&key));
                bytes += key.len();
            }
            last = Some(key);
            if bytes > PAGE_BYTES_MAX {
                break;
            }
        }
        let more = walk.next().is_some();
        let next = last.filter(|_| more).map(|key| Bytes::copy_from_slice(&key));
        Answer::Page { keys, next }
    }

    fn due(&self, now: u64, most: usize) -> Answer {
        let mut keys = Vec::new();
        for (at, key) in self.table.due(self.limited.iter().map(|(at, key)| (*at, &key[..]))) {
            if at > now || keys.len() >= most {
                return Answer::Due { keys, next: Some(at) };
            }
            keys.push((Bytes::from(key.into_owned()), at));
        }
        Answer::Due { keys, next: None }
    }

    fn execute(&mut self, body: &Bytes, op: &Op<'_>) -> Answer {
        if let Some(answer) = self.query(op) {
            return answer;
        }
        match op {
            Op::Set { key, value, deadline } => {
                self.set(key, Entry { value: kept(body, value), deadline: *deadline });
                Answer::Nothing
            }
            Op::SetMany { pairs } => {
                self.set_many(body, pairs);
                Answer::Nothing
            }
            Op::Clear => {
                self.remove_all();
                Answer::Nothing
            }
            Op::Put { .. } => self.put(body, op),
            Op::SetManyIfAbsent { pairs } => {
                let absent = pairs.iter().all(|(key, _)| !self.table.contains(key));
                if absent {
                    self.set_many(body, pairs);
                }
                Answer::Number(i64::from(absent))
            }
            Op::Delete { keys } => {
                Answer::Number(keys.iter().filter_map(|key| self.remove(key)).count() as i64)
            }
            Op::Take { key } => value(self.remove(key)),
            Op::GetAndLimit { key, limit } => self.get_and_limit(key, *limit),
            Op::Add { key, by } => self.add(key, *by),
            Op::Append { key, suffix } => self.append(key, suffix),
            Op::Expire { key, deadline, when } => self.expire(key, *deadline, *when),
            Op::Persist { key } => {
                let limited = self.table.get(key).is_some_and(|entry| entry.deadline.is_some());
                self.limit(key, None);
                Answer::Number(i64::from(limited))
            }
            Op::Evict { keys } => self.evict(keys),
            Op::Time { now } => {
                let now = self.clock().max(*now);
                let value = Bytes::copy_from_slice(&now.to_le_bytes());
                self.table.set(CLOCK, Entry { value, deadline: None });
                self.table.pass_due();
                Answer::Number(now as i64)
            }
            Op::All { ops } => {
                let answers = ops.iter().map(|op| self.execute(body, op)).collect();
                // A command that reads nothing says nothing.
                if op.is_blind() { Answer::Nothing } else { Answer::All(answers) }
            }
            _ => Answer::Failed(Failure::Malformed),
        }
    }

    fn set_many(&mut self, body: &Bytes, pairs: &[(&[u8], &[u8])]) {
        for (key, value) in pairs {
            self.set(key, Entry { value: kept(body, value), deadline: None });
        }
    }

    /// Of clients: the clock stays.
    fn remove_all(&mut self) {
        let clock = self.table.get(CLOCK).map(Cow::into_owned);
        self.table.clear();
        self.limited.clear();
        if let Some(clock) = clock {
            self.table.set(CLOCK, clock);
        }
    }

    fn put(&mut self, body: &Bytes, op: &Op<'_>) -> Answer {
        let Op::Put { key, value: new, limit, when, get } = *op else {
            return Answer::Failed(Failure::Malformed);
        };
        let before = self.table.get(key).map(Cow::into_owned);
        let writes = match when {
            When::Always => true,
            When::Absent => before.is_none(),
            When::Present => before.is_some(),
        };
        if writes {
            let deadline = limit.apply(before.as_ref().and_then(|entry| entry.deadline));
            self.set(key, Entry { value: kept(body, new), deadline });
        }
        match (get, writes) {
            (true, _) => value(before.map(|entry| entry.value)),
            (false, true) => Answer::Done,
            (false, false) => Answer::Null,
        }
    }

    /// Gives a key that is there this deadline, or none.
    fn limit(&mut self, key: &[u8], deadline: Option<u64>) {
        if let Some(entry) = self.table.get(key).filter(|entry| entry.deadline != deadline) {
            let entry = Entry { value: entry.value.clone(), deadline };
            self.set(key, entry);
        }
    }

    fn get_and_limit(&mut self, key: &[u8], limit: Limit) -> Answer {
        let Some(entry) = self.table.get(key).map(Cow::into_owned) else { return Answer::Null };
        self.limit(key, limit.apply(entry.deadline));
        Answer::Value(entry.value)
    }

    /// The value becomes another one; the deadline stays.
    fn replace(&mut self, key: &[u8], value: Bytes) {
        let deadline = self.table.get(key).and_then(|entry| entry.deadline);
        self.set(key, Entry { value, deadline });
    }

    fn add(&mut self, key: &[u8], by: i64) -> Answer {
        let number = self.value(key).map_or(Ok(0), |value| number(&value));
        match number.and_then(|number| number.checked_add(by).ok_or(Failure::Overflow)) {
            Ok(sum) => {
                self.replace(key, Bytes::from(sum.to_string()));
                Answer::Number(sum)
            }
            Err(failure) => Answer::Failed(failure),
        }
    }

    fn append(&mut self, key: &[u8], suffix: &[u8]) -> Answer {
        let before = self.value(key).unwrap_or_default();
        let length = before.len() + suffix.len();
        if length > VALUE_BYTES_MAX {
            return Answer::Failed(Failure::TooLong);
        }
        let value = Bytes::from([&before[..], suffix].concat());
        self.replace(key, value);
        Answer::Number(length as i64)
    }

    fn expire(&mut self, key: &[u8], deadline: u64, when: ExpireWhen) -> Answer {
        let limits = self.table.get(key).is_some_and(|entry| match (when, entry.deadline) {
            (ExpireWhen::Always, _) => true,
            (ExpireWhen::Unlimited, before) => before.is_none(),
            (ExpireWhen::Limited, before) => before.is_some(),
            (ExpireWhen::Later, before) => before.is_some_and(|before| before < deadline),
            (ExpireWhen::Earlier, before) => before.is_none_or(|before| before > deadline),
        });
        if limits {
            self.limit(key, Some(deadline));
        }
        Answer::Number(i64::from(limits))
    }

    fn evict(&mut self, keys: &[(&[u8], u64)]) -> Answer {
        let mut evicted = 0;
        for (key, until) in keys {
            let deadline = self.table.get(key).and_then(|entry| entry.deadline);
            if deadline.is_some_and(|deadline| deadline <= *until) {
                self.remove(key);
                evicted += 1;
            }
        }
        self.table.pass_due();
        Answer::Number(evicted)
    }
}

impl Limit {
    fn apply(self, before: Option<u64>) -> Option<u64> {
        match self {
            Limit::None => None,
            Limit::Keep => before,
            Limit::At(at) => Some(at),
        }
    }
}

fn value(value: Option<Bytes>) -> Answer {
    value.map_or(Answer::Null, Answer::Value)
}

/// A decimal as Redis takes it: no plus sign, no blank, no zero in front, no minus zero.
fn number(value: &[u8]) -> Result<i64, Failure> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let usual = match digits {
        [b'0'] => value == b"0",
        [b'1'..=b'9', ..] => digits.len() <= 19,
        _ => false,
    };
    let text = str::from_utf8(value).ok().filter(|_| usual).ok_or(Failure::NotANumber)?;
    text.parse().map_err(|_| Failure::NotANumber)
}

/// A part of a body as a value: its own memory if it would keep much else alive.
fn kept(body: &Bytes, value: &[u8]) -> Bytes {
    if value.len() < body.len() / 4 { Bytes::copy_from_slice(value) } else { body.slice_ref(value) }
}

impl Machine for Store {
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

    fn digest(&self) -> u64 {
        Digest::new().word(self.table.sum()).word(self.clock()).value()
    }
}

impl Stateful for Store {
    type Frozen = Frozen;

    const ADOPTS: bool = true;

    fn freeze(&mut self) -> Option<Frozen> {
        Store::freeze(self)
    }

    fn pairs(frozen: &Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)> {
        frozen.pairs()
    }

    fn clear(&mut self) {
        *self = Store::new();
    }

    /// # Panics
    /// If the value is none of [`Frozen::pairs`]: the snapshot is whole, and that of another
    /// machine. To go on without the pair would be to go on with another state.
    fn load(&mut self, key: &[u8], value: &[u8]) {
        if is_derived(key) {
            return;
        }
        let entry = Entry::decode(&Bytes::copy_from_slice(value));
        self.set(key, entry.expect("the snapshot of a store"));
    }

    fn adopt(&mut self, snapshot: Arc<dyn Bottom>) -> bool {
        let Some(file) = File::open(snapshot) else { return false };
        *self = Store { table: Table::over(file), limited: BTreeSet::new() };
        true
    }

    fn rest_on(&mut self, frozen: &Frozen, snapshot: Arc<dyn Bottom>) {
        let Some(file) = File::open(snapshot) else { return };
        if self.table.rest_on(frozen, file) {
            self.limited = self.table.limited().collect();
        }
    }
}
