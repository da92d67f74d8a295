//! What a command of the Redis machine returns.

use crate::apply::code::{Malformed, Reader, Writer};
use bytes::Bytes;

/// The result of an [`Op`](super::Op). As bytes: nothing at all, or one byte for the kind and then
/// the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of a blind command.
    Nothing,
    /// Of a conditional one that wrote.
    Done,
    /// Of one that did not, and of a key that is not there.
    Null,
    /// A value.
    Value(Bytes),
    /// The values in the order of the keys.
    Values(Vec<Option<Bytes>>),
    /// A number.
    Number(i64),
    /// Keys in order, and where to go on if there may be more.
    Page {
        /// The keys.
        keys: Vec<Bytes>,
        /// The last key that was looked at.
        next: Option<Bytes>,
    },
    /// Keys with their deadlines, the earliest first, and the earliest of the rest.
    Due {
        /// The keys.
        keys: Vec<(Bytes, u64)>,
        /// When the next ones end, if there are more.
        next: Option<u64>,
    },
    /// The results of several commands.
    All(Vec<Answer>),
    /// The command changed nothing.
    Failed(Failure),
}

/// Why a command changed nothing: part of the result, the same at every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The body is not one that [`Op::encode`](super::Op::encode) writes. Propose another.
    #[error("the body is malformed")]
    Malformed,
    /// The value to be incremented is not a decimal `i64`. Set it first.
    #[error("value is not an integer or out of range")]
    NotANumber,
    /// The sum is no `i64`. Increment by less.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// The value would be longer than [`VALUE_BYTES_MAX`](super::VALUE_BYTES_MAX). Begin another.
    #[error("string exceeds maximum allowed size")]
    TooLong,
    /// Only asked as a read, but it writes. Propose it as a command.
    #[error("the command writes; propose it instead of reading")]
    NotARead,
}

impl Failure {
    /// In the order of their numbers as bytes.
    const ALL: [Failure; 5] = [
        Failure::Malformed,
        Failure::NotANumber,
        Failure::Overflow,
        Failure::TooLong,
        Failure::NotARead,
    ];
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            Answer::Nothing => Bytes::new(),
            Answer::Value(value) => {
                Bytes::from(Writer::with_room(value.len(), 1).byte(3).bytes(value).0)
            }
            other => Bytes::from(put(Writer::default(), other).0),
        }
    }

    /// From bytes; values are slices of them.
    ///
    /// # Errors
    /// If [`encode`](Self::encode) cannot have written them.
    pub fn decode(result: &Bytes) -> Result<Answer, Malformed> {
        if result.is_empty() {
            return Ok(Answer::Nothing);
        }
        let mut input = Reader(result);
        let answer = match result.first() {
            Some(8) => {
                input.byte()?;
                Answer::All(input.list(|input| one(result, input))?)
            }
            _ => one(result, &mut input)?,
        };
        input.end()?;
        // It has a form of its own: no byte at all.
        if answer == Answer::Nothing { Err(Malformed) } else { Ok(answer) }
    }
}

fn put(out: Writer, answer: &Answer) -> Writer {
    match answer {
        Answer::Nothing => out.byte(0),
        Answer::Done => out.byte(1),
        Answer::Null => out.byte(2),
        Answer::Value(value) => out.byte(3).bytes(value),
        Answer::Values(values) => {
            out.byte(4).list(values, |out, value| out.option(value.as_deref()))
        }
        Answer::Number(number) => out.byte(5).word(*number as u64),
        Answer::Page { keys, next } => {
            out.byte(6).list(keys, |out, key| out.bytes(key)).option(next.as_deref())
        }
        Answer::Due { keys, next } => {
            let out = out.byte(7).list(keys, |out, (key, at)| out.bytes(key).word(*at));
            out.word(next.unwrap_or(0))
        }
        Answer::All(answers) => out.byte(8).list(answers, put),
        Answer::Failed(failure) => out.byte(9).byte(*failure as u8),
    }
}

fn one(result: &Bytes, input: &mut Reader<'_>) -> Result<Answer, Malformed> {
    let part = |bytes: &[u8]| result.slice_ref(bytes);
    Ok(match input.byte()? {
        0 => Answer::Nothing,
        1 => Answer::Done,
        2 => Answer::Null,
        3 => Answer::Value(part(input.bytes()?)),
        4 => Answer::Values(input.list(|input| Ok(input.option()?.map(part)))?),
        5 => Answer::Number(input.word()? as i64),
        6 => {
            let keys = input.list(|input| Ok(part(input.bytes()?)))?;
            Answer::Page { keys, next: input.option()?.map(part) }
        }
        7 => {
            let keys = input.list(|input| Ok((part(input.bytes()?), input.word()?)))?;
            let next = input.word()?;
            Answer::Due { keys, next: (next > 0).then_some(next) }
        }
        9 => {
            let number = usize::from(input.byte()?);
            Answer::Failed(*Failure::ALL.get(number).ok_or(Malformed)?)
        }
        _ => return Err(Malformed),
    })
}
