//! What the log consists of.

use super::{Footprint, LeaderId, Lsn, Membership, Tail};
use bytes::Bytes;
use std::fmt;

/// A user's command: what it does is the user's business, what it touches is ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// The keys that it reads and writes.
    pub footprint: Footprint,
    /// What the [`Machine`](crate::apply::Machine) executes. Never looked into.
    pub body: Bytes,
}

impl Command {
    /// About how many bytes it takes to keep or send.
    pub fn size(&self) -> usize {
        self.body.len() + self.footprint.size()
    }
}

/// What a record carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing: a new leader closes a hole with it. No footprint, no `depends`, no `overrides`.
    Void,
    /// A command.
    Command(Command),
    /// A membership, joint with the ones before it until it commits (algorithm.md, Membership).
    /// No footprint, no `depends`, no `overrides`.
    Membership(Membership),
}

/// One entry of the log: `(lsn, author)` identifies it for ever (I-2). Immutable once authored.
///
/// Well-formed, checked at every gate by [`is_well_formed`](Self::is_well_formed):
/// 1. `floor <= lsn`; everything below the floor is settled, committed or not (I-11);
/// 2. `depends` and `overrides` hold only positions in `floor .. lsn`, and share none;
/// 3. only a blind command overrides; voids and memberships neither depend nor override.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its position.
    pub lsn: Lsn,
    /// The leader that created it.
    pub author: LeaderId,
    /// Everything below is settled: a fact for whoever sees the record.
    pub floor: Lsn,
    /// What must be done before it is applied, at and above the floor.
    pub depends: Tail,
    /// What need not be applied once this is: blind writes whose keys it writes again.
    pub overrides: Tail,
    /// What it carries.
    pub payload: Payload,
}

impl Record {
    /// A record that closes the hole at `lsn`.
    pub fn void(lsn: Lsn, author: LeaderId) -> Record {
        Record::bare(lsn, author, Payload::Void)
    }

    /// A record without `depends` and `overrides`, its floor at zero.
    pub fn bare(lsn: Lsn, author: LeaderId, payload: Payload) -> Record {
        Record {
            lsn,
            author,
            floor: Lsn::ZERO,
            depends: Tail::new(),
            overrides: Tail::new(),
            payload,
        }
    }

    /// The command, if it carries one.
    pub fn command(&self) -> Option<&Command> {
        match &self.payload {
            Payload::Command(command) => Some(command),
            Payload::Void | Payload::Membership(_) => None,
        }
    }

    /// Whether it carries a command that reads nothing.
    pub fn is_blind(&self) -> bool {
        self.command().is_some_and(|command| command.footprint.is_blind())
    }

    /// Whether it and `other` carry commands that interfere.
    pub fn interferes(&self, other: &Record) -> bool {
        match (self.command(), other.command()) {
            (Some(mine), Some(theirs)) => mine.footprint.interferes(&theirs.footprint),
            _ => false,
        }
    }

    /// The numbered conditions above.
    pub fn is_well_formed(&self) -> bool {
        let within = |set: &Tail| {
            set.first().is_none_or(|first| first >= self.floor)
                && set.last().is_none_or(|last| last < self.lsn)
        };
        self.floor <= self.lsn
            && within(&self.depends)
            && within(&self.overrides)
            && !self.depends.intersects(&self.overrides)
            && (self.overrides.is_empty() || self.is_blind())
            && (self.depends.is_empty() || self.command().is_some())
    }

    /// About how many bytes it takes to keep or send: keys, body, the words of its sets, and a
    /// fixed part. Flow control counts in it.
    pub fn size(&self) -> usize {
        let sets = 8 * (self.depends.words().1.len() + self.overrides.words().1.len());
        let payload = match &self.payload {
            Payload::Void => 0,
            Payload::Command(command) => command.size(),
            Payload::Membership(membership) => 16 * membership.voters().len(),
        };
        32 + sets + payload
    }
}

/// `<3#2 @17 w:x dep{4 9} over{12} floor 3>`; parts that are empty are left out.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} @{} ", self.author, self.lsn)?;
        match &self.payload {
            Payload::Void => f.write_str("void")?,
            Payload::Command(command) => write!(f, "{}", command.footprint)?,
            Payload::Membership(membership) => write!(f, "{membership}")?,
        }
        if !self.depends.is_empty() {
            write!(f, " dep{}", self.depends)?;
        }
        if !self.overrides.is_empty() {
            write!(f, " over{}", self.overrides)?;
        }
        if self.floor > Lsn::ZERO {
            write!(f, " floor {}", self.floor)?;
        }
        f.write_str(">")
    }
}
