//! Requests out of a stream of bytes.

use super::{Limits, NUMBER_BYTES_MAX, ProtocolError, inline, number};

/// Takes requests out of what a socket gives, however it is split.
///
/// Memory: what was fed and not yet taken, which its user bounds by not feeding more while there
/// are requests; a request that is not whole is at most [`Limits::bytes_max`], and eight bytes for
/// each of its words. No byte is looked at twice.
#[derive(Debug)]
pub struct Requests {
    limits: Limits,
    buffer: Vec<u8>,
    /// Everything before it is taken.
    start: usize,
    /// How far a line without an end was looked through, from `start`.
    seen: usize,
    partial: Option<Partial>,
    /// Words of a line, without their quotes.
    unquoted: Vec<u8>,
    failed: Option<ProtocolError>,
}

/// An array whose words are not all there. Positions count from `start`.
#[derive(Debug)]
struct Partial {
    words: Vec<(u32, u32)>,
    left: usize,
    /// Where the next length begins, or the word if that is known.
    at: usize,
    length: Option<usize>,
}

/// Where the words of a request are.
enum Found {
    /// In the buffer, counted from `at`.
    Array { at: usize, words: Vec<(u32, u32)> },
    /// In the line without its quotes.
    Line(Vec<(usize, usize)>),
}

/// Beyond it a buffer that is empty gives its memory back.
const KEPT_BYTES: usize = 64 << 10;

impl Requests {
    /// Nothing was fed so far.
    pub fn new(limits: Limits) -> Requests {
        let (buffer, unquoted) = (Vec::new(), Vec::new());
        // Positions have 32 bits.
        let limits = Limits { bytes_max: limits.bytes_max.min(u32::MAX as usize / 2), ..limits };
        Requests { limits, buffer, start: 0, seen: 0, partial: None, unquoted, failed: None }
    }

    /// Takes what a socket gave.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            if self.buffer.capacity() > KEPT_BYTES && bytes.len() <= KEPT_BYTES {
                self.buffer.shrink_to(KEPT_BYTES);
            }
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes were fed and not yet taken.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The words of the next request, at least one; `None` if it is not whole.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], from then on for ever: close the connection.
    #[allow(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> Result<Option<Vec<&[u8]>>, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.find() {
            Ok(None) => Ok(None),
            Ok(Some(Found::Array { at, words })) => {
                let word =
                    |(from, to): &(u32, u32)| &self.buffer[at + *from as usize..at + *to as usize];
                Ok(Some(words.iter().map(word).collect()))
            }
            Ok(Some(Found::Line(words))) => {
                Ok(Some(words.iter().map(|(from, to)| &self.unquoted[*from..*to]).collect()))
            }
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    fn find(&mut self) -> Result<Option<Found>, ProtocolError> {
        loop {
            if self.partial.is_none() {
                match self.buffer.get(self.start) {
                    None => return Ok(None),
                    Some(b'*') => {
                        let error = ProtocolError::InvalidCount;
                        match self.line(0, NUMBER_BYTES_MAX, error)? {
                            Some(end) => self.begin(end)?,
                            None => return Ok(None),
                        }
                        continue;
                    }
                    Some(_) => {
                        let Some(found) = self.inline()? else { return Ok(None) };
                        if found.is_empty() {
                            continue;
                        }
                        return Ok(Some(Found::Line(found)));
                    }
                }
            }
            if !self.words()? {
                return Ok(None);
            }
            let Some(partial) = self.partial.take() else { return Ok(None) };
            let (at, words) = (self.start, partial.words);
            self.start += partial.at;
            if !words.is_empty() {
                return Ok(Some(Found::Array { at, words }));
            }
        }
    }

    /// Where the line that begins `at` bytes behind `start` ends: its newline. Looks only at what
    /// it did not look at before. Without an end after `most` bytes it is the error `otherwise`.
    fn line(
        &mut self,
        at: usize,
        most: usize,
        otherwise: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let bytes = &self.buffer[self.start..];
        let from = self.seen.max(at);
        let until = bytes.len().min(at + most + 2);
        match bytes[from..until].iter().position(|byte| *byte == b'\n') {
            Some(found) => {
                self.seen = 0;
                Ok(Some(from + found))
            }
            None if until == at + most + 2 => Err(otherwise),
            None => {
                self.seen = until;
                Ok(None)
            }
        }
    }

    /// The number between the first byte of a line and its end.
    fn number(&self, at: usize, end: usize) -> Option<i64> {
        let line = &self.buffer[self.start + at + 1..self.start + end];
        number(line.strip_suffix(b"\r")?)
    }

    /// The head of an array ends at `end`.
    fn begin(&mut self, end: usize) -> Result<(), ProtocolError> {
        let count = self.number(0, end).ok_or(ProtocolError::InvalidCount)?;
        // Fewer than none is none.
        let left = usize::try_from(count.max(0)).map_err(|_| ProtocolError::InvalidCount)?;
        if left > self.limits.parts_max {
            return Err(ProtocolError::InvalidCount);
        }
        // Room as words come, not as they are announced.
        self.partial = Some(Partial { words: Vec::new(), left, at: end + 1, length: None });
        Ok(())
    }

    /// Takes the words that are there; says whether those are all.
    fn words(&mut self) -> Result<bool, ProtocolError> {
        loop {
            let Some(Partial { left: 1.., at, length, .. }) = self.partial else { return Ok(true) };
            let available = self.buffer.len() - self.start;
            let Some(length) = length else {
                if at == available {
                    return Ok(false);
                }
                let first = self.buffer[self.start + at];
                if first != b'$' {
                    return Err(ProtocolError::ExpectedDollar { got: first });
                }
                let error = ProtocolError::InvalidLength;
                let Some(end) = self.line(at, NUMBER_BYTES_MAX, error)? else { return Ok(false) };
                let length = self.number(at, end).and_then(|length| usize::try_from(length).ok());
                let length = length.ok_or(ProtocolError::InvalidLength)?;
                let max = self.limits.bytes_max;
                if length > max {
                    return Err(ProtocolError::InvalidLength);
                }
                if end + 1 + length + 2 > max {
                    return Err(ProtocolError::TooBig { max });
                }
                if let Some(partial) = &mut self.partial {
                    (partial.at, partial.length) = (end + 1, Some(length));
                }
                continue;
            };
            let end = at + length;
            if available < end + 2 {
                return Ok(false);
            }
            if self.buffer[self.start + end..self.start + end + 2] != *b"\r\n" {
                return Err(ProtocolError::ExpectedEnd);
            }
            if let Some(partial) = &mut self.partial {
                partial.words.push((at as u32, end as u32));
                (partial.left, partial.at, partial.length) = (partial.left - 1, end + 2, None);
            }
        }
    }

    /// The words of a line; none for an empty one.
    fn inline(&mut self) -> Result<Option<Vec<(usize, usize)>>, ProtocolError> {
        let (most, error) = (self.limits.inline_bytes_max, ProtocolError::TooBigInline);
        let Some(end) = self.line(0, most, error)? else { return Ok(None) };
        let line = &self.buffer[self.start..self.start + end];
        let words = inline::split(line, &mut self.unquoted)?;
        self.start += end + 1;
        Ok(Some(words))
    }
}
