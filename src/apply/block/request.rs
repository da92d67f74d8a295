//! What a block request says, which sectors it touches, and what it returns.

use super::SECTOR;
use crate::apply::code::{Malformed, Reader, Writer};
use crate::base::{Command, Footprint, Key, KeyRange, KeySet};
use bytes::Bytes;
use std::fmt;

/// Sectors in the largest request: 64 MiB, so that an answer is no unbounded allocation.
pub const SECTORS_MAX: u64 = 131_072;

/// The key of a sector: its number, most significant byte first, so that keys are in the order of
/// the sectors.
pub fn sector_key(sector: u64) -> Key {
    Key::copy_from_slice(&sector.to_be_bytes())
}

/// A command of [`Disk`](super::Disk): of `1 ..= SECTORS_MAX` sectors, all of which have a number
/// of 64 bits.
///
/// As bytes: one for the kind, the first sector in eight, then the number of sectors in eight or
/// the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Gives the bytes of the sectors.
    Read {
        /// The first sector.
        first: u64,
        /// How many.
        sectors: u64,
    },
    /// Writes whole sectors. Blind.
    Write {
        /// The first sector.
        first: u64,
        /// [`SECTOR`] bytes for each.
        data: &'a [u8],
    },
    /// Writes the same eight bytes over and over: what stands for a write in a trace that knows no
    /// content. Blind.
    Fill {
        /// The first sector.
        first: u64,
        /// How many.
        sectors: u64,
        /// What is written.
        pattern: [u8; 8],
    },
    /// Gives a checksum of the sectors' content and numbers, for reads whose data nobody looks at.
    Checksum {
        /// The first sector.
        first: u64,
        /// How many.
        sectors: u64,
    },
}

impl<'a> Request<'a> {
    /// The command for a replica: the body, with exactly the sectors that it reads or writes.
    ///
    /// # Errors
    /// If no disk executes it, see [`Failure`].
    pub fn try_command(&self) -> Result<Command, Failure> {
        let (first, sectors) = self.check()?;
        let range =
            KeyRange { start: sector_key(first), end: first.checked_add(sectors).map(sector_key) };
        let keys = KeySet::from_parts([], [range]);
        let footprint = match self {
            Request::Read { .. } | Request::Checksum { .. } => Footprint::read(keys),
            Request::Write { .. } | Request::Fill { .. } => Footprint::write(keys),
        };
        Ok(Command { footprint, body: self.encode() })
    }

    /// [`try_command`](Self::try_command) of a request that is known to be right.
    ///
    /// # Panics
    /// If no disk executes it.
    pub fn command(&self) -> Command {
        self.try_command().expect("a request that a disk executes")
    }

    /// The bytes that [`Disk`](super::Disk) executes.
    pub fn encode(&self) -> Bytes {
        let out = |kind, first, bytes| Writer::with_room(8 + bytes, 0).byte(kind).word(first);
        let written = match *self {
            Request::Read { first, sectors } => out(0, first, 8).word(sectors),
            Request::Write { first, data } => out(1, first, data.len()).raw(data),
            Request::Fill { first, sectors, pattern } => {
                out(2, first, 16).word(sectors).raw(&pattern)
            }
            Request::Checksum { first, sectors } => out(3, first, 8).word(sectors),
        };
        Bytes::from(written.0)
    }

    /// The request that these bytes say.
    ///
    /// # Errors
    /// If no disk executes it, see [`Failure`].
    pub fn decode(body: &'a [u8]) -> Result<Request<'a>, Failure> {
        let request = Request::parse(body).map_err(|Malformed| Failure::Malformed)?;
        request.check()?;
        Ok(request)
    }

    fn parse(body: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let mut input = Reader(body);
        let (kind, first) = (input.byte()?, input.word()?);
        let request = match kind {
            0 => Request::Read { first, sectors: input.word()? },
            1 => Request::Write { first, data: input.rest() },
            2 => Request::Fill { first, sectors: input.word()?, pattern: input.array()? },
            3 => Request::Checksum { first, sectors: input.word()? },
            _ => return Err(Malformed),
        };
        input.end()?;
        Ok(request)
    }

    /// The first sector and how many, if a disk executes it.
    fn check(&self) -> Result<(u64, u64), Failure> {
        let (first, sectors) = match *self {
            Request::Write { data, .. } if data.len() % SECTOR != 0 => {
                return Err(Failure::Malformed);
            }
            Request::Write { first, data } => (first, (data.len() / SECTOR) as u64),
            Request::Read { first, sectors }
            | Request::Fill { first, sectors, .. }
            | Request::Checksum { first, sectors } => (first, sectors),
        };
        match sectors {
            0 => Err(Failure::Malformed),
            1..=SECTORS_MAX if first.checked_add(sectors - 1).is_some() => Ok((first, sectors)),
            1..=SECTORS_MAX => Err(Failure::Malformed),
            _ => Err(Failure::TooLarge),
        }
    }
}

/// `read 8+2`, `write 7+2`, `fill 7+2 0123456789abcdef`: first sector and how many.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Read { first, sectors } => write!(f, "read {first}+{sectors}"),
            Request::Write { first, data } => write!(f, "write {first}+{}", data.len() / SECTOR),
            Request::Fill { first, sectors, pattern } => {
                write!(f, "fill {first}+{sectors} {:016x}", u64::from_be_bytes(*pattern))
            }
            Request::Checksum { first, sectors } => write!(f, "checksum {first}+{sectors}"),
        }
    }
}

/// The result of a [`Request`]. As bytes: nothing at all, or one byte for the kind and then the
/// content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of write and fill.
    Nothing,
    /// Of read.
    Data(Bytes),
    /// Of checksum.
    Checksum(u64),
    /// The request did nothing.
    Failed(Failure),
}

/// Why a request did nothing: part of the result, the same at every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No request, no sectors, part of a sector, or sectors beyond the last number. Ask for others.
    #[error("the request is malformed")]
    Malformed,
    /// More than [`SECTORS_MAX`] sectors. Ask for them in several requests.
    #[error("more than {SECTORS_MAX} sectors in one request")]
    TooLarge,
    /// Only asked as a read, but it writes. Propose it as a command.
    #[error("the request writes; propose it instead of reading")]
    NotARead,
}

impl Failure {
    /// In the order of their numbers as bytes.
    const ALL: [Failure; 3] = [Failure::Malformed, Failure::TooLarge, Failure::NotARead];
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let out = |kind, bytes| Writer::with_room(bytes, 0).byte(kind);
        let written = match self {
            Answer::Nothing => return Bytes::new(),
            Answer::Data(data) => out(1, data.len()).raw(data),
            Answer::Checksum(checksum) => out(2, 8).word(*checksum),
            Answer::Failed(failure) => out(3, 1).byte(*failure as u8),
        };
        Bytes::from(written.0)
    }

    /// From bytes; data are a slice of them.
    ///
    /// # Errors
    /// If [`encode`](Self::encode) cannot have written them.
    pub fn decode(result: &Bytes) -> Result<Answer, Malformed> {
        if result.is_empty() {
            return Ok(Answer::Nothing);
        }
        let mut input = Reader(result);
        let answer = match input.byte()? {
            1 => Answer::Data(result.slice_ref(input.rest())),
            2 => Answer::Checksum(input.word()?),
            3 => {
                let number = usize::from(input.byte()?);
                Answer::Failed(*Failure::ALL.get(number).ok_or(Malformed)?)
            }
            _ => return Err(Malformed),
        };
        input.end()?;
        Ok(answer)
    }
}
