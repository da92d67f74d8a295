//! The commands that there are, and what each asks for.

use super::shape::Shape;
use crate::apply::redis::Op;

/// A command as clients know it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many words it has, its name included; a negative one says at least how many.
    pub arity: i32,
    /// What it does, for `COMMAND`.
    pub kind: Kind,
    /// The first key, the last one and the step between them, as `COMMAND` says them.
    pub keys: (i32, i32, i32),
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads the state.
    Read,
    /// Changes the state.
    Write,
    /// Is about the connection or the server.
    Own,
}

const fn read(name: &'static str, arity: i32, keys: (i32, i32, i32)) -> Known {
    Known { name, arity, kind: Kind::Read, keys }
}

const fn write(name: &'static str, arity: i32, keys: (i32, i32, i32)) -> Known {
    Known { name, arity, kind: Kind::Write, keys }
}

const fn own(name: &'static str, arity: i32) -> Known {
    Known { name, arity, kind: Kind::Own, keys: (0, 0, 0) }
}

const ONE: (i32, i32, i32) = (1, 1, 1);
const ALL: (i32, i32, i32) = (1, -1, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);
const NONE: (i32, i32, i32) = (0, 0, 0);

/// Every command, in order of name.
pub const KNOWN: &[Known] = &[
    write("append", 3, ONE),
    own("auth", -2),
    own("client", -2),
    own("cluster", -2),
    own("command", -1),
    own("config", -2),
    read("dbsize", 1, NONE),
    read("debug", -2, NONE),
    write("decr", 2, ONE),
    write("decrby", 3, ONE),
    write("del", -2, ALL),
    own("discard", 1),
    own("echo", 2),
    own("exec", 1),
    read("exists", -2, ALL),
    write("expire", -3, ONE),
    write("expireat", -3, ONE),
    read("expiretime", 2, ONE),
    own("fault", 3),
    write("flushall", -1, NONE),
    write("flushdb", -1, NONE),
    read("get", 2, ONE),
    write("getdel", 2, ONE),
    write("getex", -2, ONE),
    write("getset", 3, ONE),
    own("hello", -1),
    write("incr", 2, ONE),
    write("incrby", 3, ONE),
    own("info", -1),
    read("keys", 2, NONE),
    read("mget", -2, ALL),
    write("mset", -3, PAIRS),
    write("msetnx", -3, PAIRS),
    own("multi", 1),
    write("persist", 2, ONE),
    write("pexpire", -3, ONE),
    write("pexpireat", -3, ONE),
    read("pexpiretime", 2, ONE),
    own("ping", -1),
    write("psetex", 4, ONE),
    read("pttl", 2, ONE),
    own("quit", -1),
    own("readonly", 1),
    own("readwrite", 1),
    own("reset", 1),
    read("scan", -2, NONE),
    own("select", 2),
    write("set", -3, ONE),
    write("setex", 4, ONE),
    write("setnx", 3, ONE),
    read("strlen", 2, ONE),
    own("time", 1),
    read("touch", -2, ALL),
    own("traft", -2),
    read("ttl", 2, ONE),
    read("type", 2, ONE),
    write("unlink", -2, ALL),
    own("unwatch", 1),
    own("watch", -2),
];

/// Why a command is refused before it reaches anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No command of that name.
    #[error("ERR unknown command '{0}'")]
    Unknown(String),
    /// Too few words, or too many.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// Words that make no sense.
    #[error("ERR syntax error")]
    Syntax,
    /// No number of 64 bits.
    #[error("ERR value is not an integer or out of range")]
    NotANumber,
    /// A time that is none.
    #[error("ERR invalid expire time in '{0}' command")]
    Time(&'static str),
    /// No cursor that a scan gave, or one that was given too long ago.
    #[error("ERR invalid cursor")]
    Cursor,
    /// Conditions that exclude each other.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    Conditions,
}

/// The command of this name, if its number of words fits.
///
/// # Errors
///
/// [`Refused::Unknown`], [`Refused::Arity`].
pub fn known(words: &[&[u8]]) -> Result<&'static Known, Refused> {
    let name = words.first().copied().unwrap_or_default();
    let found = KNOWN
        .binary_search_by(|known| known.name.bytes().cmp(name.iter().map(u8::to_ascii_lowercase)));
    let Ok(at) = found else {
        let name = name[..name.len().min(128)].escape_ascii().to_string();
        return Err(Refused::Unknown(name));
    };
    let (known, count) = (&KNOWN[at], words.len() as i32);
    let fits = if known.arity < 0 { count >= -known.arity } else { count == known.arity };
    if fits { Ok(known) } else { Err(Refused::Arity(known.name)) }
}

/// What the words of a command depend on besides themselves.
pub trait Surroundings {
    /// The cluster's clock, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// Where a scan with this cursor goes on: above this key. `None` if there is no such cursor.
    fn cursor(&self, cursor: u64) -> Option<Vec<u8>>;
}

/// A command for the state, and how its result is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What to do.
    pub op: Op<'a>,
    /// How to tell what came of it.
    pub shape: Shape,
}
