//! Commands as bytes.

use super::op::{ExpireWhen, Limit, Op, When};
use crate::apply::code::{Malformed, Reader, Writer};

/// The most keys, pairs or commands in one command.
pub const NESTED_MAX: usize = 1 << 20;

pub(super) fn encode(op: &Op<'_>) -> Vec<u8> {
    put(Writer::with_room(room(op), 4), op).0
}

/// About how many bytes it takes: those of its keys and values.
fn room(op: &Op<'_>) -> usize {
    match op {
        Op::Set { key, value, .. } | Op::Put { key, value, .. } => key.len() + value.len() + 20,
        Op::SetMany { pairs } | Op::SetManyIfAbsent { pairs } => {
            pairs.iter().map(|(key, value)| key.len() + value.len() + 6).sum()
        }
        Op::Append { key, suffix } => key.len() + suffix.len(),
        Op::All { ops } => ops.iter().map(room).sum(),
        other => other.keys().iter().map(|key| key.len() + 10).sum(),
    }
}

fn put(out: Writer, op: &Op<'_>) -> Writer {
    let keys = |out: Writer, keys: &[&[u8]]| out.list(keys, |out, key| out.bytes(key));
    let pairs = |out: Writer, pairs: &[(&[u8], &[u8])]| {
        out.list(pairs, |out, (key, value)| out.bytes(key).bytes(value))
    };
    match op {
        Op::Get { key } => out.byte(0).bytes(key),
        Op::GetMany { keys: named } => keys(out.byte(1), named),
        Op::Length { key } => out.byte(2).bytes(key),
        Op::Exists { keys: named } => keys(out.byte(3), named),
        Op::Deadline { key } => out.byte(4).bytes(key),
        Op::Count => out.byte(5),
        Op::Scan { after, pattern, most } => {
            out.byte(6).option(*after).option(*pattern).word(u64::from(*most))
        }
        Op::Due { now, most } => out.byte(7).word(*now).word(u64::from(*most)),
        Op::Clock => out.byte(8),
        Op::Digest => out.byte(9),
        Op::Set { key, value, deadline: None } => out.byte(16).bytes(key).bytes(value),
        Op::Set { key, value, deadline: Some(at) } => {
            out.byte(17).bytes(key).bytes(value).word(*at)
        }
        Op::SetMany { pairs: named } => pairs(out.byte(18), named),
        Op::Clear => out.byte(19),
        Op::Put { key, value, limit, when, get } => {
            let out = put_limit(out.byte(20).bytes(key).bytes(value), *limit);
            out.byte(*when as u8).byte(u8::from(*get))
        }
        Op::SetManyIfAbsent { pairs: named } => pairs(out.byte(21), named),
        Op::Delete { keys: named } => keys(out.byte(22), named),
        Op::Take { key } => out.byte(23).bytes(key),
        Op::GetAndLimit { key, limit } => put_limit(out.byte(24).bytes(key), *limit),
        Op::Add { key, by } => out.byte(25).bytes(key).word(*by as u64),
        Op::Append { key, suffix } => out.byte(26).bytes(key).bytes(suffix),
        Op::Expire { key, deadline, when } => {
            out.byte(27).bytes(key).word(*deadline).byte(*when as u8)
        }
        Op::Persist { key } => out.byte(28).bytes(key),
        Op::Evict { keys } => out.byte(29).list(keys, |out, (key, at)| out.bytes(key).word(*at)),
        Op::Time { now } => out.byte(30).word(*now),
        Op::All { ops } => out.byte(31).list(ops, put),
    }
}

fn put_limit(out: Writer, limit: Limit) -> Writer {
    match limit {
        Limit::None => out.byte(0),
        Limit::Keep => out.byte(1),
        Limit::At(at) => out.byte(2).word(at),
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Op<'_>, Malformed> {
    let mut input = Reader(body);
    let op = match body.first() {
        Some(31) => {
            input.byte()?;
            Op::All { ops: input.list(|input| one(input))? }
        }
        _ => one(&mut input)?,
    };
    input.end()?;
    Ok(op)
}

fn key_and_value<'a>(input: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    Ok((input.bytes()?, input.bytes()?))
}

/// One that has no others in it.
fn one<'a>(input: &mut Reader<'a>) -> Result<Op<'a>, Malformed> {
    Ok(match input.byte()? {
        0 => Op::Get { key: input.bytes()? },
        1 => Op::GetMany { keys: input.list(Reader::bytes)? },
        2 => Op::Length { key: input.bytes()? },
        3 => Op::Exists { keys: input.list(Reader::bytes)? },
        4 => Op::Deadline { key: input.bytes()? },
        5 => Op::Count,
        6 => Op::Scan { after: input.option()?, pattern: input.option()?, most: half(input)? },
        7 => Op::Due { now: input.word()?, most: half(input)? },
        8 => Op::Clock,
        9 => Op::Digest,
        16 => Op::Set { key: input.bytes()?, value: input.bytes()?, deadline: None },
        17 => {
            let (key, value) = key_and_value(input)?;
            Op::Set { key, value, deadline: Some(moment(input)?) }
        }
        18 => Op::SetMany { pairs: input.list(key_and_value)? },
        19 => Op::Clear,
        20 => {
            let (key, value) = key_and_value(input)?;
            let (limit, when) = (limit(input)?, pick(input, &When::ALL)?);
            Op::Put { key, value, limit, when, get: pick(input, &[false, true])? }
        }
        21 => Op::SetManyIfAbsent { pairs: input.list(key_and_value)? },
        22 => Op::Delete { keys: input.list(Reader::bytes)? },
        23 => Op::Take { key: input.bytes()? },
        24 => Op::GetAndLimit { key: input.bytes()?, limit: limit(input)? },
        25 => Op::Add { key: input.bytes()?, by: input.word()? as i64 },
        26 => Op::Append { key: input.bytes()?, suffix: input.bytes()? },
        27 => {
            let (key, deadline) = (input.bytes()?, moment(input)?);
            Op::Expire { key, deadline, when: pick(input, &ExpireWhen::ALL)? }
        }
        28 => Op::Persist { key: input.bytes()? },
        29 => Op::Evict { keys: input.list(|input| Ok((input.bytes()?, moment(input)?)))? },
        30 => Op::Time { now: moment(input)? },
        _ => return Err(Malformed),
    })
}

/// A number that fits 32 bits.
fn half(input: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(input.word()?).map_err(|_| Malformed)
}

/// A moment that can be given back as a result.
fn moment(input: &mut Reader<'_>) -> Result<u64, Malformed> {
    let at = input.word()?;
    if at > 0 && i64::try_from(at).is_ok() { Ok(at) } else { Err(Malformed) }
}

fn limit(input: &mut Reader<'_>) -> Result<Limit, Malformed> {
    Ok(match input.byte()? {
        0 => Limit::None,
        1 => Limit::Keep,
        2 => Limit::At(moment(input)?),
        _ => return Err(Malformed),
    })
}

fn pick<T: Copy>(input: &mut Reader<'_>, all: &[T]) -> Result<T, Malformed> {
    all.get(usize::from(input.byte()?)).copied().ok_or(Malformed)
}
