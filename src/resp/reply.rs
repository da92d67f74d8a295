//! Replies out of a stream of bytes, for clients.

use super::{DEPTH_MAX, Limits, NUMBER_BYTES_MAX, ProtocolError, Value, number};
use bytes::Bytes;

/// Takes replies of either version out of what a socket gives, however it is split.
///
/// A reply that is not whole is looked at again when there is more of it; at most
/// [`Limits::bytes_max`] of it are kept.
#[derive(Debug)]
pub struct Replies {
    limits: Limits,
    buffer: Vec<u8>,
    start: usize,
    /// A reply is not whole before so many bytes are there.
    wanted: usize,
    failed: Option<ProtocolError>,
}

/// Why there is no value yet.
enum Stop {
    /// So many bytes are needed from the start of the reply, at least.
    More(usize),
    Failed(ProtocolError),
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Stop {
        Stop::Failed(error)
    }
}

impl Replies {
    /// Nothing was fed so far.
    pub fn new(limits: Limits) -> Replies {
        Replies { limits, buffer: Vec::new(), start: 0, wanted: 1, failed: None }
    }

    /// Takes what a socket gave.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next reply; `None` if it is not whole.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], from then on for ever: close the connection.
    #[allow(clippy::should_implement_trait, reason = "an error is not the end")]
    pub fn next(&mut self) -> Result<Option<Value>, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // What lies behind the longest reply is not part of this one.
        let bytes = &self.buffer[self.start..];
        let bytes = &bytes[..bytes.len().min(self.limits.bytes_max)];
        if bytes.len() < self.wanted {
            return Ok(None);
        }
        let mut input = Input { bytes, at: 0, limits: self.limits, parts: 0 };
        let error = match input.value(0) {
            Ok(value) => {
                (self.start, self.wanted) = (self.start + input.at, 1);
                return Ok(Some(value));
            }
            Err(Stop::More(wanted)) if wanted <= self.limits.bytes_max => {
                self.wanted = wanted;
                return Ok(None);
            }
            Err(Stop::More(_)) => ProtocolError::TooBig { max: self.limits.bytes_max },
            Err(Stop::Failed(error)) => error,
        };
        self.failed = Some(error);
        Err(error)
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    parts: usize,
}

impl<'a> Input<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > self.limits.parts_max {
            return Err(ProtocolError::UnknownReply.into());
        }
        let Some(kind) = self.bytes.get(self.at) else { return Err(Stop::More(self.at + 1)) };
        self.at += 1;
        Ok(match kind {
            b'+' => Value::Simple(Bytes::copy_from_slice(self.line(usize::MAX)?)),
            b'-' => Value::Error(Bytes::copy_from_slice(self.line(usize::MAX)?)),
            b':' => Value::Number(self.number()?),
            b'_' => match self.line(0)? {
                b"" => Value::Null,
                _ => return Err(ProtocolError::UnknownReply.into()),
            },
            b'#' => match self.line(1)? {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return Err(ProtocolError::UnknownReply.into()),
            },
            b',' => {
                let text = str::from_utf8(self.line(400)?).ok();
                let number = text.and_then(|text| text.parse().ok());
                Value::Double(number.ok_or(ProtocolError::UnknownReply)?)
            }
            b'$' => match self.number()? {
                -1 => Value::Null,
                length => Value::Bulk(Bytes::copy_from_slice(self.bulk(length)?)),
            },
            b'*' => match self.number()? {
                -1 => Value::Null,
                count => Value::Array(self.list(count, depth)?),
            },
            b'~' => {
                let count = self.number()?;
                Value::Set(self.list(count, depth)?)
            }
            b'>' => {
                let count = self.number()?;
                Value::Push(self.list(count, depth)?)
            }
            b'%' => {
                let count = self.number()?;
                let mut pairs = Vec::new();
                for _ in 0..self.count(count)? {
                    pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
                }
                Value::Map(pairs)
            }
            _ => return Err(ProtocolError::UnknownReply.into()),
        })
    }

    fn count(&self, count: i64) -> Result<usize, Stop> {
        let count = usize::try_from(count).map_err(|_| ProtocolError::InvalidCount)?;
        if count > self.limits.parts_max {
            return Err(ProtocolError::InvalidCount.into());
        }
        Ok(count)
    }

    fn list(&mut self, count: i64, depth: usize) -> Result<Vec<Value>, Stop> {
        // Room as values come, not as they are announced.
        let mut values = Vec::new();
        for _ in 0..self.count(count)? {
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let line = self.line(NUMBER_BYTES_MAX)?;
        Ok(number(line).ok_or(ProtocolError::InvalidLength)?)
    }

    /// A line without its end.
    fn line(&mut self, most: usize) -> Result<&'a [u8], Stop> {
        let left = &self.bytes[self.at..];
        let most = most.saturating_add(2);
        let within = &left[..left.len().min(most)];
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            let whole = within.len() == most;
            let more = Stop::More(self.bytes.len() + 1);
            return Err(if whole { ProtocolError::ExpectedEnd.into() } else { more });
        };
        self.at += end + 1;
        Ok(left[..end].strip_suffix(b"\r").ok_or(ProtocolError::ExpectedEnd)?)
    }

    fn bulk(&mut self, length: i64) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(length).map_err(|_| ProtocolError::InvalidLength)?;
        let max = self.limits.bytes_max;
        if length > max {
            return Err(ProtocolError::InvalidLength.into());
        }
        let end = self.at + length;
        let Some(bytes) = self.bytes.get(self.at..end + 2) else { return Err(Stop::More(end + 2)) };
        self.at = end + 2;
        Ok(bytes.strip_suffix(b"\r\n").ok_or(ProtocolError::ExpectedEnd)?)
    }
}
