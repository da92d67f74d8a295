//! What a command of the key-value machine returns.

use crate::apply::code::{Malformed, Reader, Writer};
use bytes::Bytes;

/// The result of an [`Op`](super::Op). As bytes: nothing at all, or one byte for the kind and then
/// the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of every blind command: set, delete, set many, delete range.
    Nothing,
    /// Of get: the value, if there is one.
    Value(Option<Bytes>),
    /// Of get many: the values in the order of the keys.
    Values(Vec<Option<Bytes>>),
    /// Of increment: the sum.
    Number(i64),
    /// Of append: the new length in bytes.
    Length(u64),
    /// Of compare-and-set: whether the value was the expected one and was replaced.
    Swapped(bool),
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
    #[error("the value is not a decimal number of 64 bits")]
    NotANumber,
    /// The sum is no `i64`. Increment by less.
    #[error("the sum does not fit 64 bits")]
    Overflow,
    /// Only asked as a read, but it writes. Propose it as a command.
    #[error("the command writes; propose it instead of reading")]
    NotARead,
}

impl Failure {
    /// In the order of their numbers as bytes.
    const ALL: [Failure; 4] =
        [Failure::Malformed, Failure::NotANumber, Failure::Overflow, Failure::NotARead];
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let out = |kind, bytes| Writer::with_room(bytes, 1).byte(kind);
        let written = match self {
            Answer::Nothing => return Bytes::new(),
            Answer::Value(value) => {
                out(1, value.as_ref().map_or(0, Bytes::len)).option(value.as_deref())
            }
            Answer::Values(values) => {
                out(2, 0).list(values, |out, value| out.option(value.as_deref()))
            }
            Answer::Number(number) => out(3, 8).word(*number as u64),
            Answer::Length(length) => out(4, 8).word(*length),
            Answer::Swapped(swapped) => out(5, 1).byte(u8::from(*swapped)),
            Answer::Failed(failure) => out(6, 1).byte(*failure as u8),
        };
        Bytes::from(written.0)
    }

    /// From bytes; values are slices of them.
    ///
    /// # Errors
    /// If [`encode`](Self::encode) cannot have written them.
    pub fn decode(result: &Bytes) -> Result<Answer, Malformed> {
        if result.is_empty() {
            return Ok(Answer::Nothing);
        }
        let part = |bytes: &[u8]| result.slice_ref(bytes);
        let mut input = Reader(result);
        let answer = match input.byte()? {
            1 => Answer::Value(input.option()?.map(part)),
            2 => Answer::Values(input.list(|input| Ok(input.option()?.map(part)))?),
            3 => Answer::Number(input.word()? as i64),
            4 => Answer::Length(input.word()?),
            5 => match input.byte()? {
                0 => Answer::Swapped(false),
                1 => Answer::Swapped(true),
                _ => return Err(Malformed),
            },
            6 => {
                let number = usize::from(input.byte()?);
                Answer::Failed(*Failure::ALL.get(number).ok_or(Malformed)?)
            }
            _ => return Err(Malformed),
        };
        input.end()?;
        Ok(answer)
    }
}
