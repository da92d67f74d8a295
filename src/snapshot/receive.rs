//! The side that wants a snapshot.

use super::build::publish;
use super::format::{FOOTER, Footer, Hash, hash};
use super::read::Ends;
use super::transfer::{Chunk, Offer, Want};
use super::{Refusal, Snapshot, SnapshotError, check_install, snapshot_name};
use crate::base::{TailBitmap, crc32c};
use crate::disk::{Disk, DiskError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What a user can set. Ticks are those of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferOptions {
    /// About how many bytes are asked for ahead of their arrival. Default 1 MiB; what is missing
    /// of a segment, about 256 KiB, is always asked for together.
    pub window_bytes: u64,
    /// After so many ticks without progress everything outstanding is asked for again. Default 4.
    pub resend_ticks: u32,
    /// After so many ticks without progress the sender is given up. Default 40. There is no limit
    /// to how long a transfer takes that goes on.
    pub stall_ticks: u32,
    /// The longest file that is accepted. Default 1 TiB.
    pub file_bytes_max: u64,
    /// After so many pieces that were not what they should be the sender is given up. Default 8.
    pub bad_pieces_max: u32,
}

impl Default for TransferOptions {
    fn default() -> TransferOptions {
        TransferOptions {
            window_bytes: 1 << 20,
            resend_ticks: 4,
            stall_ticks: 40,
            file_bytes_max: 1 << 40,
            bad_pieces_max: 8,
        }
    }
}

/// Why a snapshot does not come. What has arrived stays on the disk; a new receiver of the same
/// offer, from whatever sender, goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// It may not be installed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk here failed, or is full. Nothing is lost; go on when it is mended.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The offer makes no sense. Take another sender.
    #[error("the offer makes no sense")]
    Offer,
    /// The file is longer than `file_bytes_max`.
    #[error("the snapshot has {bytes} bytes, more than are accepted")]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// What is sent is not what was offered, again and again. Take another sender.
    #[error("what is sent is not what was offered")]
    Sender,
    /// Nothing has come for `stall_ticks`. Take another sender.
    #[error("no progress for {ticks} ticks")]
    Stalled {
        /// For how long.
        ticks: u32,
    },
    /// Something is still missing: it is too early to finish.
    #[error("the snapshot is not complete")]
    Incomplete,
}

/// How far it is, in bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Arrived and found right.
    pub received: u64,
    /// Found here and not asked for.
    pub reused: u64,
    /// Pieces that were not what they should be.
    pub bad_pieces: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Front,
    Directory,
    /// Of a segment.
    Index(usize),
    Block,
}

/// A part of the file that is asked for.
#[derive(Clone, Debug)]
struct Piece {
    end: u64,
    /// Everything before this is there.
    got: u64,
    asked: bool,
    kind: Kind,
    /// Front and directory have one together.
    hash: Option<Hash>,
}

/// Receives one snapshot. Owned by one thread; driven by [`want`](Self::want),
/// [`take`](Self::take) and [`tick`](Self::tick).
///
/// What arrives is written to `NAME.part`, each byte where it belongs. [`finish`](Self::finish)
/// gives it its name, beside what is there.
#[derive(Debug)]
pub struct Receiver<D: Disk> {
    pub(super) disk: D,
    offer: Offer,
    pub(super) footer: Footer,
    name: String,
    pub(super) part: String,
    options: TransferOptions,
    pub(super) local: Option<Arc<Snapshot<D>>>,
    /// Whether an earlier transfer left something.
    pub(super) resumed: bool,
    pub(super) ends: Option<Ends>,
    /// What is outstanding, by where it begins.
    pieces: BTreeMap<u64, Piece>,
    next_segment: usize,
    idle: u32,
    pub(super) progress: Progress,
}

impl<D: Disk> Receiver<D> {
    /// Begins to receive what is offered, or goes on with what an earlier receiver left.
    ///
    /// `cluster` is the cluster here, `done` and `held` are as in [`check_install`], `local` is a
    /// snapshot that is here: its blocks need not be sent.
    ///
    /// # Errors
    ///
    /// See [`ReceiveError`].
    pub fn new(
        disk: D,
        offer: Offer,
        (cluster, done, held): (u64, &TailBitmap, &TailBitmap),
        local: Option<Arc<Snapshot<D>>>,
        options: TransferOptions,
    ) -> Result<Receiver<D>, ReceiveError> {
        if offer.cluster != cluster {
            return Err(Refusal::Cluster { found: offer.cluster }.into());
        }
        check_install(&offer.done, done, held)?;
        if offer.file_bytes > options.file_bytes_max {
            return Err(ReceiveError::TooLong { bytes: offer.file_bytes });
        }
        let footer = Footer::decode(&offer.footer).filter(|f| f.fits(offer.file_bytes));
        let footer = footer.ok_or(ReceiveError::Offer)?;
        let name = snapshot_name(&offer.done);
        let part = format!("{name}.part");
        let resumed = match disk.create(&part) {
            Ok(()) => false,
            Err(DiskError::Exists { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        disk.truncate(&part, offer.file_bytes)?;
        disk.write(&part, offer.file_bytes - FOOTER as u64, &offer.footer)?;
        let mut receiver = Receiver {
            disk,
            offer,
            footer,
            name,
            part,
            options,
            local,
            resumed,
            ends: None,
            pieces: BTreeMap::new(),
            next_segment: 0,
            idle: 0,
            progress: Progress::default(),
        };
        if !(resumed && receiver.enter()?) {
            receiver.ask_for_ends();
        } else {
            receiver.progress.reused += receiver.ends_bytes();
        }
        Ok(receiver)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        let segments = self.ends.as_ref().map(|ends| ends.segments.len());
        self.pieces.is_empty() && segments == Some(self.next_segment)
    }

    fn ends_bytes(&self) -> u64 {
        self.footer.data_at + self.footer.directory_bytes
    }

    fn ask_for_ends(&mut self) {
        let Footer { data_at, directory_at, directory_bytes, .. } = self.footer;
        self.ask(0..data_at, Kind::Front, None);
        self.ask(directory_at..directory_at + directory_bytes, Kind::Directory, None);
    }

    pub(super) fn ask(&mut self, span: Range<u64>, kind: Kind, hash: Option<Hash>) {
        let piece = Piece { end: span.end, got: span.start, asked: false, kind, hash };
        if !span.is_empty() {
            self.pieces.insert(span.start, piece);
        }
    }

    /// Reads both ends, if they are there; says whether they are those of the offer.
    fn enter(&mut self) -> Result<bool, ReceiveError> {
        let ends = match Ends::read(&self.disk, &self.part) {
            Ok(ends) if ends.footer == self.footer => ends,
            Err(SnapshotError::Disk(error)) => return Err(error.into()),
            Ok(_) | Err(_) => return Ok(false),
        };
        if ends.header.done != self.offer.done || ends.header.cluster != self.offer.cluster {
            return Err(ReceiveError::Offer);
        }
        self.ends = Some(ends);
        Ok(true)
    }

    /// What to ask for next; nothing if enough is on its way. Looks on this disk first, through one
    /// segment after the other until the window is full, a few milliseconds of work each.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Disk`].
    pub fn want(&mut self) -> Result<Want, ReceiveError> {
        let segments = self.ends.as_ref().map_or(0, |ends| ends.segments.len());
        let outstanding = |pieces: &BTreeMap<u64, Piece>| -> u64 {
            pieces.values().map(|piece| piece.end - piece.got).sum()
        };
        while self.next_segment < segments && outstanding(&self.pieces) < self.options.window_bytes
        {
            self.plan(self.next_segment)?;
            self.next_segment += 1;
        }
        let mut spans: Vec<Range<u64>> = Vec::new();
        for piece in self.pieces.values_mut().filter(|piece| !piece.asked) {
            piece.asked = true;
            match spans.last_mut().filter(|span| span.end == piece.got) {
                Some(span) => span.end = piece.end,
                None => spans.push(piece.got..piece.end),
            }
        }
        Ok(Want { root: self.footer.root, spans })
    }

    /// Takes a chunk; says whether it brought anything. What is not of this file, was not asked
    /// for, was changed on the way or comes out of order within a piece is left alone.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Disk`] and [`ReceiveError::Sender`].
    pub fn take(&mut self, chunk: &Chunk) -> Result<bool, ReceiveError> {
        if chunk.root != self.footer.root || crc32c(&chunk.bytes) != chunk.crc {
            return Ok(false);
        }
        let Some(end) = chunk.offset.checked_add(chunk.bytes.len() as u64) else {
            return Ok(false);
        };
        let before = self.pieces.range(..end).rev();
        let touched: Vec<u64> =
            before.take_while(|(_, piece)| piece.end > chunk.offset).map(|(at, _)| *at).collect();
        let mut brought = false;
        for at in touched.into_iter().rev() {
            let Some(piece) = self.pieces.get_mut(&at) else { continue };
            if (chunk.offset..end).contains(&piece.got) {
                let to = end.min(piece.end);
                let inside = (piece.got - chunk.offset) as usize..(to - chunk.offset) as usize;
                self.disk.write(&self.part, piece.got, &chunk.bytes[inside])?;
                piece.got = to;
                (brought, self.idle) = (true, 0);
                if to == piece.end {
                    self.complete(at)?;
                }
            }
        }
        Ok(brought)
    }

    /// A piece is whole: checks it.
    fn complete(&mut self, at: u64) -> Result<(), ReceiveError> {
        let Some(piece) = self.pieces.remove(&at) else { return Ok(()) };
        let span = at..piece.end;
        let Some(wanted) = piece.hash else {
            // The first of both ends waits for the other.
            if !self.pieces.is_empty() {
                return Ok(());
            }
            if self.enter()? {
                self.progress.received += self.ends_bytes();
                return Ok(());
            }
            self.ask_for_ends();
            return self.bad_piece();
        };
        let bytes = self.read(&self.part, &span)?.filter(|bytes| hash(&[bytes]) == wanted);
        let Some(bytes) = bytes else {
            self.ask(span, piece.kind, piece.hash);
            return self.bad_piece();
        };
        self.progress.received += bytes.len() as u64;
        match piece.kind {
            Kind::Index(segment) => self.plan_blocks(segment, bytes),
            Kind::Front | Kind::Directory | Kind::Block => Ok(()),
        }
    }

    fn bad_piece(&mut self) -> Result<(), ReceiveError> {
        self.progress.bad_pieces += 1;
        let too_many = self.progress.bad_pieces > self.options.bad_pieces_max;
        if too_many { Err(ReceiveError::Sender) } else { Ok(()) }
    }

    /// A tick has passed.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Stalled`] when nothing has come for too long.
    pub fn tick(&mut self) -> Result<(), ReceiveError> {
        if self.pieces.is_empty() {
            self.idle = 0;
            return Ok(());
        }
        self.idle += 1;
        if self.idle >= self.options.stall_ticks {
            return Err(ReceiveError::Stalled { ticks: self.idle });
        }
        if self.idle.is_multiple_of(self.options.resend_ticks.max(1)) {
            self.pieces.values_mut().for_each(|piece| piece.asked = false);
        }
        Ok(())
    }

    /// Makes it durable and gives it its name, which it returns: from now on it is there, whole,
    /// whatever happens. What was there before is untouched.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Incomplete`] and [`ReceiveError::Disk`].
    pub fn finish(self) -> Result<String, ReceiveError> {
        if !self.is_complete() {
            return Err(ReceiveError::Incomplete);
        }
        publish(&self.disk, &self.part, &self.name)?;
        Ok(self.name)
    }
}
