//! The words of a command as a command for the state.

use super::command::{Asked, Refused, Surroundings};
use super::shape::Shape;
use crate::apply::redis::{ExpireWhen, Limit, Op, When};

/// How many keys a scan looks at unless it is told.
const SCAN_COUNT: u32 = 10;

/// The most keys that a scan looks at: more would hold everybody else up.
const SCAN_COUNT_MAX: u32 = 100_000;

/// The command that these words say; `name` is the first one, in small letters, and their number
/// fits it. `None` if it is not about the state.
///
/// # Errors
///
/// [`Refused`].
pub fn parse<'a>(
    name: &'static str,
    words: &[&'a [u8]],
    around: &dyn Surroundings,
) -> Result<Option<Asked<'a>>, Refused> {
    let rest = &words[1..];
    let key = rest.first().copied().unwrap_or_default();
    let keys = || rest.to_vec();
    let plain = |op| Asked { op, shape: Shape::Plain };
    let add = |by: i64| Ok(plain(Op::Add { key, by }));
    let asked = match name {
        "get" => plain(Op::Get { key }),
        "mget" => plain(Op::GetMany { keys: keys() }),
        "strlen" => plain(Op::Length { key }),
        "exists" | "touch" => plain(Op::Exists { keys: keys() }),
        "type" => Asked { op: Op::Exists { keys: keys() }, shape: Shape::Type },
        "dbsize" => plain(Op::Count),
        "debug" if is(key, "digest") && rest.len() == 1 => {
            Asked { op: Op::Digest, shape: Shape::Digest }
        }
        "debug" => return Err(Refused::Syntax),
        "ttl" | "pttl" | "expiretime" | "pexpiretime" => deadline(name, key, around),
        "keys" => {
            let op = Op::Scan { after: None, pattern: Some(key), most: u32::MAX };
            Asked { op, shape: Shape::Keys }
        }
        "set" => set(rest, around)?,
        "setnx" => {
            let put =
                Op::Put { key, value: rest[1], limit: Limit::None, when: When::Absent, get: false };
            Asked { op: put, shape: Shape::Flag }
        }
        "setex" | "psetex" => {
            let unit = if name == "setex" { 1_000 } else { 1 };
            let at = later(name, rest[1], unit, around.now())?;
            let op = Op::Set { key, value: rest[2], deadline: Some(at) };
            Asked { op, shape: Shape::Ok }
        }
        "getset" => plain(Op::Put {
            key,
            value: rest[1],
            limit: Limit::None,
            when: When::Always,
            get: true,
        }),
        "mset" => Asked { op: Op::SetMany { pairs: pairs(name, rest)? }, shape: Shape::Ok },
        "msetnx" => plain(Op::SetManyIfAbsent { pairs: pairs(name, rest)? }),
        "del" | "unlink" => plain(Op::Delete { keys: keys() }),
        "getdel" => plain(Op::Take { key }),
        "getex" => getex(rest, around)?,
        "incr" => add(1)?,
        "decr" => add(-1)?,
        "incrby" => add(number(rest[1])?)?,
        "decrby" => add(number(rest[1])?.checked_neg().ok_or(Refused::NotANumber)?)?,
        "append" => plain(Op::Append { key, suffix: rest[1] }),
        "expire" | "pexpire" | "expireat" | "pexpireat" => expire(name, rest, around)?,
        "persist" => plain(Op::Persist { key }),
        "flushall" | "flushdb" => match rest {
            [] => Asked { op: Op::Clear, shape: Shape::Ok },
            [word] if is(word, "async") || is(word, "sync") => {
                Asked { op: Op::Clear, shape: Shape::Ok }
            }
            _ => return Err(Refused::Syntax),
        },
        _ => return Ok(None),
    };
    Ok(Some(asked))
}

/// The key that a scan goes on above lies in no word: `after` holds it.
///
/// # Errors
///
/// [`Refused`].
pub fn scan<'a>(
    words: &[&'a [u8]],
    around: &dyn Surroundings,
    after: &'a mut Vec<u8>,
) -> Result<Asked<'a>, Refused> {
    let cursor = str::from_utf8(words[1]).ok().and_then(|word| word.parse::<u64>().ok());
    let cursor = cursor.ok_or(Refused::Cursor)?;
    let (mut pattern, mut most) = (None, SCAN_COUNT);
    let mut only_strings = true;
    for option in words[2..].chunks(2) {
        let [name, value] = option else { return Err(Refused::Syntax) };
        if is(name, "match") {
            pattern = Some(*value);
        } else if is(name, "count") {
            let count = number(value)?;
            if count < 1 {
                return Err(Refused::Syntax);
            }
            most = u32::try_from(count).unwrap_or(u32::MAX).min(SCAN_COUNT_MAX);
        } else if is(name, "type") {
            only_strings = is(value, "string");
        } else {
            return Err(Refused::Syntax);
        }
    }
    if cursor > 0 {
        *after = around.cursor(cursor).ok_or(Refused::Cursor)?;
    }
    if !only_strings {
        // Nothing has another type: a class without anything in it.
        pattern = Some(b"[]");
    }
    let after = (cursor > 0).then_some(&after[..]);
    Ok(Asked { op: Op::Scan { after, pattern, most }, shape: Shape::Page })
}

/// Whether a word is this one, in letters of any size.
pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// A decimal of 64 bits.
///
/// # Errors
///
/// [`Refused::NotANumber`].
pub(super) fn number(word: &[u8]) -> Result<i64, Refused> {
    let text = str::from_utf8(word).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(Refused::NotANumber)
}

/// The most that a moment can be.
const MOMENT_MAX: i64 = i64::MAX;

/// The moment that is so many units from now; at least one unit.
fn later(name: &'static str, word: &[u8], unit: i64, now: u64) -> Result<u64, Refused> {
    let left = number(word)?.checked_mul(unit).filter(|left| *left > 0);
    let at = left.and_then(|left| left.checked_add(i64::try_from(now).ok()?));
    at.map(|at| at as u64).ok_or(Refused::Time(name))
}

/// A moment that is said in units.
fn moment(name: &'static str, word: &[u8], unit: i64) -> Result<u64, Refused> {
    let at = number(word)?.checked_mul(unit).filter(|at| (1..=MOMENT_MAX).contains(at));
    at.map(|at| at as u64).ok_or(Refused::Time(name))
}

/// Keys and values.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

fn pairs<'a>(name: &'static str, words: &[&'a [u8]]) -> Result<Pairs<'a>, Refused> {
    let (pairs, left) = words.as_chunks::<2>();
    if !left.is_empty() {
        return Err(Refused::Arity(name));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

fn deadline<'a>(name: &str, key: &'a [u8], around: &dyn Surroundings) -> Asked<'a> {
    let unit = if name.starts_with('p') { 1 } else { 1_000 };
    let shape = match name {
        "ttl" | "pttl" => Shape::Left { unit, now: around.now() },
        _ => Shape::Moment { unit },
    };
    Asked { op: Op::Deadline { key }, shape }
}

/// A word that says when a key ends, with the one behind it.
fn limit(
    name: &'static str,
    words: &mut std::slice::Iter<'_, &[u8]>,
    word: &[u8],
    around: &dyn Surroundings,
) -> Result<Limit, Refused> {
    let mut value = || words.next().copied().ok_or(Refused::Syntax);
    let now = around.now();
    Ok(Limit::At(match () {
        () if is(word, "ex") => later(name, value()?, 1_000, now)?,
        () if is(word, "px") => later(name, value()?, 1, now)?,
        () if is(word, "exat") => moment(name, value()?, 1_000)?,
        () if is(word, "pxat") => moment(name, value()?, 1)?,
        () => return Err(Refused::Syntax),
    }))
}

fn set<'a>(rest: &[&'a [u8]], around: &dyn Surroundings) -> Result<Asked<'a>, Refused> {
    let (key, value) = (rest[0], rest[1]);
    let (mut when, mut to, mut get) = (When::Always, None, false);
    let mut words = rest[2..].iter();
    while let Some(word) = words.next() {
        let condition = match () {
            () if is(word, "nx") => Some(When::Absent),
            () if is(word, "xx") => Some(When::Present),
            () => None,
        };
        match condition {
            Some(condition) if when == When::Always => when = condition,
            Some(_) => return Err(Refused::Syntax),
            None if is(word, "get") => get = true,
            None if to.is_some() => return Err(Refused::Syntax),
            None if is(word, "keepttl") => to = Some(Limit::Keep),
            None => to = Some(limit("set", &mut words, word, around)?),
        }
    }
    let deadline = match to {
        None | Some(Limit::None) => Some(None),
        Some(Limit::At(at)) => Some(Some(at)),
        Some(Limit::Keep) => None,
    };
    Ok(match deadline {
        // What asks for nothing that was there before is blind, and overrides.
        Some(deadline) if when == When::Always && !get => {
            Asked { op: Op::Set { key, value, deadline }, shape: Shape::Ok }
        }
        _ => {
            let shape = if get { Shape::Plain } else { Shape::Ok };
            let limit = to.unwrap_or(Limit::None);
            Asked { op: Op::Put { key, value, limit, when, get }, shape }
        }
    })
}

fn getex<'a>(rest: &[&'a [u8]], around: &dyn Surroundings) -> Result<Asked<'a>, Refused> {
    let key = rest[0];
    let mut words = rest[1..].iter();
    let op = match words.next() {
        None => Op::Get { key },
        Some(word) if is(word, "persist") => Op::GetAndLimit { key, limit: Limit::None },
        Some(word) => Op::GetAndLimit { key, limit: limit("getex", &mut words, word, around)? },
    };
    if words.next().is_some() {
        return Err(Refused::Syntax);
    }
    Ok(Asked { op, shape: Shape::Plain })
}

fn expire<'a>(
    name: &'static str,
    rest: &[&'a [u8]],
    around: &dyn Surroundings,
) -> Result<Asked<'a>, Refused> {
    let (key, now) = (rest[0], around.now());
    let unit = if name.starts_with('p') { 1 } else { 1_000 };
    let base = if name.ends_with("at") { 0 } else { i64::try_from(now).unwrap_or(MOMENT_MAX) };
    let said = number(rest[1])?.checked_mul(unit).and_then(|said| said.checked_add(base));
    let at = said.ok_or(Refused::Time(name))?;
    let when = expire_when(&rest[2..])?;
    let op = if at <= i64::try_from(now).unwrap_or(MOMENT_MAX) && when == ExpireWhen::Always {
        // It has ended.
        Op::Delete { keys: vec![key] }
    } else {
        Op::Expire { key, deadline: at.max(1) as u64, when }
    };
    Ok(Asked { op, shape: Shape::Plain })
}

fn expire_when(words: &[&[u8]]) -> Result<ExpireWhen, Refused> {
    match words {
        [] => Ok(ExpireWhen::Always),
        [word] => match () {
            () if is(word, "nx") => Ok(ExpireWhen::Unlimited),
            () if is(word, "xx") => Ok(ExpireWhen::Limited),
            () if is(word, "gt") => Ok(ExpireWhen::Later),
            () if is(word, "lt") => Ok(ExpireWhen::Earlier),
            () => Err(Refused::Syntax),
        },
        _ => Err(Refused::Conditions),
    }
}
