//! Bytes to fields and back, for the bodies and results of the machines here.

use std::ops::RangeInclusive;

/// The body or result is not one that this machine writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes")]
pub struct Malformed;

/// Takes fields off the front. Never allocates: what it gives lies in the input.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn word(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length: seven bits a byte, least first, in the fewest bytes, at most four of them.
    pub(super) fn length(&mut self) -> Result<usize, Malformed> {
        let mut length = 0;
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 { Err(Malformed) } else { Ok(length) };
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A byte string behind its length.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// Nothing, or a byte string behind its length plus one.
    pub(super) fn option(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.length()? {
            0 => Ok(None),
            length => self.take(length - 1).map(Some),
        }
    }

    /// A list behind its number of items. Every item takes at least a byte, so the number is
    /// believed only as far as there are bytes.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.length()?;
        if count > self.0.len() {
            return Err(Malformed);
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// The longest byte string that can be written.
pub(super) const LENGTH_MAX: usize = (1 << 28) - 2;

/// Puts fields at the end, as [`Reader`] takes them.
///
/// # Panics
/// If a length is above [`LENGTH_MAX`]: that is far above what a replica takes as a command.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// With room for `bytes` of content and `fields` lengths.
    pub(super) fn with_room(bytes: usize, fields: usize) -> Writer {
        Writer(Vec::with_capacity(bytes + 4 * fields + 1))
    }

    pub(super) fn byte(mut self, byte: u8) -> Writer {
        self.0.push(byte);
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn word(self, word: u64) -> Writer {
        self.raw(&word.to_le_bytes())
    }

    pub(super) fn length(mut self, length: usize) -> Writer {
        const ALLOWED: RangeInclusive<usize> = 0..=LENGTH_MAX + 1;
        assert!(ALLOWED.contains(&length), "{length} bytes in one field of a command");
        let mut left = length;
        while left >= 0x80 {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Writer {
        self.length(bytes.len()).raw(bytes)
    }

    pub(super) fn option(self, bytes: Option<&[u8]>) -> Writer {
        match bytes {
            None => self.length(0),
            Some(bytes) => self.length(bytes.len() + 1).raw(bytes),
        }
    }

    pub(super) fn list<T>(self, items: &[T], item: impl Fn(Writer, &T) -> Writer) -> Writer {
        items.iter().fold(self.length(items.len()), item)
    }
}
