//! What a command of the Redis machine says, and which keys it touches.

use super::footprint::Touched;
use super::form::{NESTED_MAX, decode, encode};
use crate::apply::code::{LENGTH_MAX, Malformed};
use crate::base::Command;
use bytes::Bytes;

/// The longest key, in bytes: as much as a snapshot takes.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// The longest value, in bytes, however it came about: with what is kept beside it, it fits in a
/// snapshot.
pub const VALUE_BYTES_MAX: usize = 8 << 20;

/// What no key of a client begins with: what the store keeps for itself lies there.
pub const RESERVED: &[u8] = b"\0traft ";

/// When a conditional [`Op::Put`] writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Whatever is there.
    #[default]
    Always,
    /// If there is no such key: `NX`.
    Absent,
    /// If there is one: `XX`.
    Present,
}

impl When {
    /// In the order of their numbers as bytes.
    pub(super) const ALL: [When; 3] = [When::Always, When::Absent, When::Present];
}

/// When an [`Op::Expire`] takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireWhen {
    /// If the key is there.
    #[default]
    Always,
    /// If it has no deadline: `NX`.
    Unlimited,
    /// If it has one: `XX`.
    Limited,
    /// If it has one that is earlier: `GT`.
    Later,
    /// If it has none, or a later one: `LT`.
    Earlier,
}

impl ExpireWhen {
    /// In the order of their numbers as bytes.
    pub(super) const ALL: [ExpireWhen; 5] = [
        ExpireWhen::Always,
        ExpireWhen::Unlimited,
        ExpireWhen::Limited,
        ExpireWhen::Later,
        ExpireWhen::Earlier,
    ];
}

/// What becomes of a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// There is none any more.
    #[default]
    None,
    /// What there was stays.
    Keep,
    /// It is this one, in milliseconds of the cluster's clock since 1970; at least 1.
    At(u64),
}

/// A command of [`Store`](super::Store). Its parts lie in the body that it was decoded from, or
/// wherever the client has them.
///
/// Deadlines are absolute, in milliseconds since 1970, and data like any other: executing a command
/// looks at no clock. A key whose deadline has passed is there until an [`Op::Evict`] is executed,
/// which is proposed by whoever leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Gives the value, if there is one.
    Get {
        /// Whose value.
        key: &'a [u8],
    },
    /// Gives the value of each key, in order.
    GetMany {
        /// Whose values.
        keys: Vec<&'a [u8]>,
    },
    /// Gives the length of the value; 0 if there is none.
    Length {
        /// Whose value.
        key: &'a [u8],
    },
    /// Gives how many of the keys are there; one that is named twice counts twice.
    Exists {
        /// Which.
        keys: Vec<&'a [u8]>,
    },
    /// Gives the deadline: -2 if there is no such key, -1 if it has none.
    Deadline {
        /// Whose.
        key: &'a [u8],
    },
    /// Gives how many keys there are.
    Count,
    /// Gives keys in order: looks at so many that are above one, and gives those that match. Ends
    /// earlier when what it gives exceeds [`PAGE_BYTES_MAX`](super::PAGE_BYTES_MAX).
    Scan {
        /// The keys above this one; all of them without.
        after: Option<&'a [u8]>,
        /// As of `KEYS`; everything without.
        pattern: Option<&'a [u8]>,
        /// How many keys are looked at.
        most: u32,
    },
    /// Gives keys whose deadlines have passed at a moment, the earliest first.
    Due {
        /// The moment.
        now: u64,
        /// How many at most.
        most: u32,
    },
    /// Gives a number that equal keys, values and deadlines share and others almost surely do not.
    Digest,
    /// Gives the cluster's clock: the greatest moment of an [`Op::Time`]; 0 before the first.
    Clock,
    /// Makes `value` the value, with a deadline or without one. Blind.
    Set {
        /// Whose value.
        key: &'a [u8],
        /// Which.
        value: &'a [u8],
        /// When it ends.
        deadline: Option<u64>,
    },
    /// Sets each key, without a deadline; of two values for one key the later one stays. Blind.
    SetMany {
        /// Keys and values.
        pairs: Vec<(&'a [u8], &'a [u8])>,
    },
    /// Removes every key. Blind.
    Clear,
    /// Sets a key under a condition, or keeps its deadline, or gives what was there before.
    Put {
        /// Whose value.
        key: &'a [u8],
        /// Which.
        value: &'a [u8],
        /// What becomes of its deadline.
        limit: Limit,
        /// The condition.
        when: When,
        /// Whether it gives the value that was there, instead of whether it wrote.
        get: bool,
    },
    /// Sets each key if none of them is there; says whether it did.
    SetManyIfAbsent {
        /// Keys and values.
        pairs: Vec<(&'a [u8], &'a [u8])>,
    },
    /// Removes keys and gives how many were there.
    Delete {
        /// Which.
        keys: Vec<&'a [u8]>,
    },
    /// Gives the value and removes the key.
    Take {
        /// Which.
        key: &'a [u8],
    },
    /// Gives the value and changes its deadline.
    GetAndLimit {
        /// Whose value.
        key: &'a [u8],
        /// What becomes of its deadline.
        limit: Limit,
    },
    /// Adds to a number written in decimal (a missing one is 0) and gives the sum. If the value is
    /// no number, or the sum no `i64`, fails and changes nothing. The deadline stays.
    Add {
        /// Whose value.
        key: &'a [u8],
        /// What is added.
        by: i64,
    },
    /// Adds bytes at the end of the value and gives the new length. The deadline stays.
    Append {
        /// Whose value.
        key: &'a [u8],
        /// What is added.
        suffix: &'a [u8],
    },
    /// Gives a key a deadline; says whether it did.
    Expire {
        /// Which.
        key: &'a [u8],
        /// When it ends.
        deadline: u64,
        /// The condition.
        when: ExpireWhen,
    },
    /// Takes a key's deadline away; says whether there was one.
    Persist {
        /// Which.
        key: &'a [u8],
    },
    /// Removes each key that still has a deadline no later than the one given, and gives how many
    /// did. Proposed by whoever leads, when its clock has reached them.
    Evict {
        /// Keys and deadlines.
        keys: Vec<(&'a [u8], u64)>,
    },
    /// Moves the cluster's clock forward to a moment, never back, and gives what it is then.
    Time {
        /// The moment.
        now: u64,
    },
    /// Executes each of them, with nothing in between, and gives the results. No `All` in it.
    All {
        /// Which.
        ops: Vec<Op<'a>>,
    },
}

/// A command cannot be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Take a shorter key.
    #[error("a key is longer than {KEY_BYTES_MAX} bytes")]
    KeyTooLong,
    /// Take a shorter value.
    #[error("a value is longer than {VALUE_BYTES_MAX} bytes")]
    ValueTooLong,
    /// Take another key.
    #[error("keys that begin with \\0traft and a blank are reserved")]
    Reserved,
    /// Name a key, or a command.
    #[error("a command that names no key")]
    Empty,
    /// Split it.
    #[error("a command with more than {NESTED_MAX} parts, or one inside another")]
    TooMuch,
}

impl<'a> Op<'a> {
    /// The command for a replica: the body, with exactly the keys that executing it touches.
    ///
    /// # Errors
    ///
    /// A key or a value that the store does not take.
    pub fn command(&self) -> Result<Command, OpError> {
        self.check()?;
        let body = self.encode();
        // The keys of the footprint are slices of the body: one allocation for both.
        let own = Op::decode(&body).expect("what was just encoded");
        let footprint = Touched::of(&own).footprint(&body);
        Ok(Command { footprint, body })
    }

    /// The bytes that [`Store`](super::Store) executes: one for the kind, then the fields in the
    /// order of their declaration.
    ///
    /// # Panics
    /// If a field is longer than 256 MiB, which [`command`](Self::command) refuses.
    pub fn encode(&self) -> Bytes {
        Bytes::from(encode(self))
    }

    /// The command that these bytes say.
    ///
    /// # Errors
    /// If [`encode`](Self::encode) of a command that [`command`](Self::command) takes cannot have
    /// written them.
    pub fn decode(body: &'a [u8]) -> Result<Op<'a>, Malformed> {
        let op = decode(body)?;
        op.check().map_err(|_| Malformed)?;
        Ok(op)
    }

    /// Whether executing it changes nothing.
    pub fn is_read(&self) -> bool {
        match self {
            Op::Get { .. }
            | Op::GetMany { .. }
            | Op::Length { .. }
            | Op::Exists { .. }
            | Op::Deadline { .. }
            | Op::Count
            | Op::Scan { .. }
            | Op::Due { .. }
            | Op::Digest
            | Op::Clock => true,
            Op::All { ops } => ops.iter().all(Op::is_read),
            _ => false,
        }
    }

    /// Whether it reads nothing, and so gives nothing.
    pub fn is_blind(&self) -> bool {
        match self {
            Op::Set { .. } | Op::SetMany { .. } | Op::Clear => true,
            Op::All { ops } => ops.iter().all(Op::is_blind),
            _ => false,
        }
    }

    /// The keys that it names.
    pub fn keys(&self) -> Vec<&'a [u8]> {
        match self {
            Op::Get { key }
            | Op::Length { key }
            | Op::Deadline { key }
            | Op::Set { key, .. }
            | Op::Put { key, .. }
            | Op::Take { key }
            | Op::GetAndLimit { key, .. }
            | Op::Add { key, .. }
            | Op::Append { key, .. }
            | Op::Expire { key, .. }
            | Op::Persist { key } => vec![key],
            Op::GetMany { keys } | Op::Exists { keys } | Op::Delete { keys } => keys.clone(),
            Op::SetMany { pairs } | Op::SetManyIfAbsent { pairs } => {
                pairs.iter().map(|(key, _)| *key).collect()
            }
            Op::Evict { keys } => keys.iter().map(|(key, _)| *key).collect(),
            Op::Scan { after, .. } => after.iter().copied().collect(),
            Op::Count | Op::Due { .. } | Op::Digest | Op::Clock => Vec::new(),
            Op::Clear | Op::Time { .. } => Vec::new(),
            Op::All { ops } => ops.iter().flat_map(Op::keys).collect(),
        }
    }

    /// Whether it is about keys that it names.
    fn names_keys(&self) -> bool {
        !matches!(
            self,
            Op::Count
                | Op::Scan { .. }
                | Op::Due { .. }
                | Op::Digest
                | Op::Clock
                | Op::Clear
                | Op::Time { .. }
                | Op::All { .. }
        )
    }

    fn value_bytes(&self) -> usize {
        match self {
            Op::Set { value, .. } | Op::Put { value, .. } => value.len(),
            Op::Append { suffix, .. } => suffix.len(),
            Op::SetMany { pairs } | Op::SetManyIfAbsent { pairs } => {
                pairs.iter().map(|(_, value)| value.len()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn check(&self) -> Result<(), OpError> {
        const { assert!(VALUE_BYTES_MAX < LENGTH_MAX) };
        if let Op::All { ops } = self {
            let nested = ops.iter().any(|op| matches!(op, Op::All { .. }));
            if nested || ops.len() > NESTED_MAX {
                return Err(OpError::TooMuch);
            }
            if ops.is_empty() {
                return Err(OpError::Empty);
            }
            return ops.iter().try_for_each(Op::check);
        }
        let keys = self.keys();
        if keys.is_empty() && self.names_keys() {
            return Err(OpError::Empty);
        }
        if keys.len() > NESTED_MAX {
            return Err(OpError::TooMuch);
        }
        if keys.iter().any(|key| key.len() > KEY_BYTES_MAX) {
            return Err(OpError::KeyTooLong);
        }
        if keys.iter().any(|key| key.starts_with(RESERVED)) {
            return Err(OpError::Reserved);
        }
        if self.value_bytes() > VALUE_BYTES_MAX {
            return Err(OpError::ValueTooLong);
        }
        Ok(())
    }
}
