//! One file, sector by sector.
//!
//! Records are put in batches here, by whichever thread reads the file and has them in its cache; a
//! start then hands whole batches on and looks at few records again.

use super::frame::{self, Frame, Head, Next};
use super::recover::What;
use super::sector::{self, Class, HEADER, PAYLOAD};
use super::{Identity, WalError};
use crate::base::{BATCH_MAX, Batch, LeaderId, Lsn, Record};
use crate::disk::{Disk, SECTOR};
use bytes::Bytes;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// With how many bytes a record may be expected, its frame included.
const RECORD_LIKELY: u64 = 128;

/// Valid sectors of one group, one after the other.
#[derive(Debug)]
pub(super) struct Piece {
    /// The first sector of the group.
    pub(super) group: u32,
    /// The first sector of the piece, and one past the last.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The frames that are whole, with where they start in the stream and how long they are.
    pub(super) frames: Vec<(usize, u32, Item)>,
    /// Why there are no more.
    pub(super) last: Next,
}

/// What a frame was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A record.
    Record(Entry),
    /// Anything else.
    Frame(Frame),
}

/// Which record it is of those in a [`Scan`], and what is asked of it before it is known held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) lsn: Lsn,
    pub(super) author: LeaderId,
    /// Of which batch.
    pub(super) batch: u32,
    /// Where in it.
    pub(super) at: u32,
}

impl Item {
    /// What it is, as docs/format-wal.md calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Item::Record(_) => "record",
            Item::Frame(frame) => frame.name(),
        }
    }
}

/// Sectors that are not valid, one after the other and all for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) what: What,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) pieces: Vec<Piece>,
    pub(super) runs: Vec<Run>,
    /// The records in the pieces, in order.
    pub(super) batches: Vec<Batch>,
    /// So many more records there may be.
    likely: usize,
    /// Whose file it says it is, if the first sector is right in itself and not of this place.
    pub(super) stranger: Option<Identity>,
}

/// The valid sectors that are being gathered.
#[derive(Default)]
struct Open {
    group: u32,
    start: u32,
    first: Option<usize>,
    stream: Vec<u8>,
}

impl Scan {
    /// Reads a file. Zeros at its end are left out.
    pub(super) fn read<D: Disk>(
        disk: &D,
        name: &str,
        tag: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<Scan, WalError> {
        let mut scan = Scan::default();
        let mut open = Open::default();
        buffer.resize(CHUNK, 0);
        let len = disk.len(name)?;
        scan.likely = (len / RECORD_LIKELY) as usize;
        let mut offset = 0;
        while offset < len {
            let wanted = CHUNK.min((len - offset).next_multiple_of(SECTOR as u64) as usize);
            let readable = disk.read(name, offset, &mut buffer[..wanted]);
            let got = *readable.as_ref().unwrap_or(&0);
            buffer[got..wanted].fill(0);
            for nth in 0..wanted / SECTOR {
                let at = offset + (nth * SECTOR) as u64;
                let index = (at / SECTOR as u64) as u32;
                let chunk = &mut buffer[nth * SECTOR..wanted];
                // One bad sector makes the whole read fail: then each is read by itself.
                let bad = readable.is_err() && disk.read(name, at, &mut chunk[..SECTOR]).is_err();
                let Some(sector) = chunk.first_chunk::<SECTOR>() else { continue };
                let class = sector::classify(sector, tag, index);
                match class {
                    _ if bad => scan.flawed(&mut open, index, What::Unreadable),
                    Class::Valid { group, first } => {
                        scan.valid(&mut open, index, (group, first), chunk);
                    }
                    Class::Version(found) => return Err(WalError::Version { found }),
                    Class::Unwritten => scan.flawed(&mut open, index, What::Unwritten),
                    Class::Damaged => scan.flawed(&mut open, index, What::Damaged),
                    Class::Foreign => {
                        if index == 0 {
                            scan.stranger = stranger(sector);
                        }
                        scan.flawed(&mut open, index, What::Foreign);
                    }
                }
            }
            offset += wanted as u64;
        }
        scan.close(&mut open);
        scan.runs.pop_if(|run| {
            run.what == What::Unwritten && scan.pieces.last().is_none_or(|p| p.end <= run.start)
        });
        Ok(scan)
    }

    /// `ahead` begins with the sector and holds what is read of those after it.
    fn valid(&mut self, open: &mut Open, index: u32, place: (u32, Option<usize>), ahead: &[u8]) {
        let (group, first) = place;
        let follows = open.group == group
            && !open.stream.is_empty()
            && open.start as usize + open.stream.len() / PAYLOAD == index as usize;
        if !follows {
            self.close(open);
            *open = Open { group, start: index, ..Open::default() };
            // Records share this memory for as long as they live: no more than it takes.
            open.stream.reserve_exact(sector::likely(ahead, index - group) * PAYLOAD);
        }
        let at = open.stream.len();
        open.first = open.first.or(first.map(|first| at + first));
        open.stream.extend_from_slice(&ahead[HEADER..SECTOR]);
    }

    fn flawed(&mut self, open: &mut Open, index: u32, what: What) {
        self.close(open);
        match self.runs.last_mut() {
            Some(run) if run.end == index && run.what == what => run.end += 1,
            _ => self.runs.push(Run { start: index, end: index + 1, what }),
        }
    }

    fn close(&mut self, open: &mut Open) {
        let Open { group, start, first, stream } = std::mem::take(open);
        if !stream.is_empty() {
            let end = start + (stream.len() / PAYLOAD) as u32;
            let stream = Bytes::from(stream);
            let mut at = first.unwrap_or(stream.len());
            let mut frames = Vec::new();
            let last = loop {
                match frame::next(&stream, at) {
                    Next::Frame(frame, len) => {
                        frames.push((at, len as u32, Item::Frame(frame)));
                        at += len;
                    }
                    Next::Record(record, len) => {
                        frames.push((at, len as u32, Item::Record(self.keep(record))));
                        at += len;
                    }
                    last => break last,
                }
            };
            self.pieces.push(Piece { group, start, end, frames, last });
        }
    }

    fn keep(&mut self, record: Record) -> Entry {
        if self.batches.last().is_none_or(|batch| batch.records().len() == BATCH_MAX) {
            // Rather than grown, which moves every record that is in it.
            self.batches.push(Batch::with_capacity(self.likely.min(BATCH_MAX)));
        }
        let batch = self.batches.len() as u32 - 1;
        let last = self.batches.last_mut().unwrap_or_else(|| unreachable!("just pushed"));
        let entry = Entry {
            lsn: record.lsn,
            author: record.author,
            batch,
            at: last.records().len() as u32,
        };
        last.push(record);
        self.likely = self.likely.saturating_sub(1);
        entry
    }

    /// One past the last sector that is not zero.
    pub(super) fn end(&self) -> u32 {
        let piece = self.pieces.last().map_or(0, |piece| piece.end);
        self.runs.last().map_or(piece, |run| run.end.max(piece))
    }

    /// How many sectors are synced, as the groups show: a group is begun when the one before it
    /// is synced.
    pub(super) fn followed(&self) -> u32 {
        self.pieces.iter().map(|piece| piece.group).max().unwrap_or(0)
    }

    /// Something other than zeros is where it should not be.
    pub(super) fn is_spoiled(&self) -> bool {
        self.runs.iter().any(|run| run.what != What::Unwritten)
    }

    /// What the segment says of itself, and whether the step that opens it is whole.
    pub(super) fn head(&self) -> (Option<Head>, bool) {
        let Some(piece) = self.pieces.first().filter(|piece| piece.start == 0) else {
            return (None, false);
        };
        let Some((_, _, Item::Frame(Frame::Head(head)))) = piece.frames.first() else {
            return (None, false);
        };
        let ends = |(_, _, item): &(_, _, Item)| matches!(item, Item::Frame(Frame::End(_)));
        let whole = piece.frames.iter().any(ends);
        (Some(**head), whole)
    }
}

/// Whose segment a sector opens.
pub(super) fn stranger(sector: &[u8; SECTOR]) -> Option<Identity> {
    match frame::next(&Bytes::copy_from_slice(&sector[HEADER..]), 0) {
        Next::Frame(Frame::Head(head), _) => Some(head.identity),
        _ => None,
    }
}
