//! Appending steps and making them durable.

use super::frame::{self, End, Frame, Head, Mark};
use super::index::Place;
use super::sector::{self, Stream};
use super::{Group, MARK, MARK_SEGMENT, Wal, WalError, segment_name};
use crate::base::{Record, mutant};
use crate::disk::{Disk, DiskError, SECTOR};
use crate::replica::Write;
use std::sync::Arc;

/// So much memory of a group is kept for the next one, in bytes.
const SPARE_BYTES_MAX: usize = 8 << 20;

impl<D: Disk> Wal<D> {
    /// Takes a step: what it says is known here at once, and durable after a sync.
    pub(super) fn take(&mut self, write: &Write) -> Result<(), WalError> {
        self.usable()?;
        if self.flying.is_some() {
            self.note()?;
        }
        // Opens the group first: a segment that it begins starts with the state before the step.
        self.group();
        if let Some(voted) = write.voted {
            self.hard.voted = voted;
            self.put(&Frame::Promise(voted));
        }
        if let Some(lineage) = &write.lineage {
            self.put(&Frame::Lineage(Box::new(lineage.clone())));
            self.index.adopt(lineage);
            self.hard.lineage = lineage.clone();
        }
        if let Some((lsn, membership)) = &write.membership {
            self.put(&Frame::Membership(*lsn, Box::new(membership.clone())));
            self.hard.membership = Some((*lsn, membership.clone()));
        }
        for record in &write.records {
            let place = self.put_record(record);
            self.index.put(record.lsn, record.author, place);
        }
        self.repairs |= write.repaired;
        self.end_step(write.number);
        Ok(())
    }

    pub(super) fn usable(&self) -> Result<(), WalError> {
        if self.broken { Err(WalError::Broken) } else { Ok(()) }
    }

    /// Appends a frame to the newest group.
    pub(super) fn put(&mut self, frame: &Frame) -> Place {
        self.put_with(|stream, scratch| frame.put(stream, scratch))
    }

    pub(super) fn put_record(&mut self, record: &Record) -> Place {
        self.put_with(|stream, scratch| frame::put_record(record, stream, scratch))
    }

    fn put_with(&mut self, put: impl FnOnce(&mut Stream, &mut Vec<u8>) -> (usize, usize)) -> Place {
        let mut scratch = std::mem::take(&mut self.scratch);
        let group = self.group();
        // Nobody shares it before it flies.
        let (offset, len) = put(Arc::make_mut(&mut group.stream), &mut scratch);
        let place = Place::new(group.segment, group.start, offset, len);
        if scratch.capacity() <= SPARE_BYTES_MAX {
            self.scratch = scratch;
        }
        place
    }

    /// Makes one step of what was put since the last one.
    pub(super) fn end_step(&mut self, number: u64) {
        self.sequence += 1;
        self.put_end();
        let sequence = self.sequence;
        let group = self.group();
        group.number = group.number.max(number);
        group.sequence = sequence;
    }

    fn put_end(&mut self) {
        let (voted, committer) = (self.hard.voted, self.hard.lineage.leader());
        self.put(&Frame::End(End { sequence: self.sequence, voted, committer }));
    }

    /// The group that can be added to; a new one if there is none, in a new segment if it is time.
    fn group(&mut self) -> &mut Group {
        let opened = self.queue.back().is_some_and(|group| !group.sealed);
        if !opened {
            let (segment, start) = self.next_group();
            if u64::from(start) * SECTOR as u64 >= self.options.segment_bytes {
                self.open_segment(segment + 1, Some((segment, start)));
            } else {
                let group = self.new_group(segment, start);
                self.queue.push_back(group);
            }
        }
        let last = self.queue.len() - 1;
        &mut self.queue[last]
    }

    fn new_group(&mut self, segment: u64, start: u32) -> Group {
        let tag = sector::tag(self.identity, segment);
        Group {
            segment,
            start,
            stream: Arc::new(std::mem::take(&mut self.spare).anew(tag, start)),
            opens: None,
            number: 0,
            sequence: self.sequence,
            remove: Vec::new(),
            sealed: false,
        }
    }

    /// Where the next group begins.
    pub(super) fn next_group(&self) -> (u64, u32) {
        let queued = self.queue.back().map(|group| (group.segment, group.start, &group.stream));
        let flying = self.flying.as_ref();
        let flying = flying.map(|(segment, start, stream)| (*segment, *start, stream));
        let last = queued.or(flying);
        last.map_or(self.at, |(segment, start, stream)| (segment, start + stream.sectors()))
    }

    /// Begins a group that begins a segment. It starts with everything but the records.
    pub(super) fn open_segment(&mut self, number: u64, previous: Option<(u64, u32)>) {
        let oldest = self.segments.keys().next().copied().unwrap_or(number);
        let oldest = oldest.max(self.oldest);
        let Wal { identity, doubt, incarnation, .. } = *self;
        let head = Head { identity, number, previous, oldest, doubt, incarnation };
        let group = Group { opens: Some(head), ..self.new_group(number, 0) };
        self.queue.push_back(group);
        self.put(&Frame::Head(Box::new(head)));
        let hard = self.hard.clone();
        self.put(&Frame::Promise(hard.voted));
        self.put(&Frame::Lineage(Box::new(hard.lineage)));
        if let Some((lsn, membership)) = hard.membership {
            self.put(&Frame::Membership(lsn, Box::new(membership)));
        }
        self.put(&Frame::Purged(hard.purged));
        for record in std::mem::take(&mut self.carried) {
            let place = self.put_record(&record);
            self.index.put(record.lsn, record.author, place);
        }
        self.put_end();
    }

    /// Writes and syncs what is queued, group after group.
    pub(super) fn flush(&mut self) -> Result<u64, WalError> {
        self.grounded()?;
        while let Some(flight) = self.depart()? {
            self.land(flight.fly())?;
        }
        self.note()?;
        Ok(self.durable)
    }

    /// What was written and not synced may or may not be there, whatever is tried.
    pub(super) fn broke(&mut self, error: DiskError) -> WalError {
        self.broken = mutant!(FailedSyncRetried, true, false);
        WalError::Disk(error)
    }

    /// A group is durable.
    pub(super) fn after(&mut self, group: Group) -> Result<(), WalError> {
        let end = group.start + group.stream.sectors();
        self.at = (group.segment, end);
        self.segments.insert(group.segment, end);
        self.durable = self.durable.max(group.number);
        if let Some((number, sectors)) = group.opens.and_then(|head| head.previous) {
            // What was reserved and not used. It does no harm if this fails.
            let _ = self.disk.truncate(&segment_name(number), u64::from(sectors) * SECTOR as u64);
        }
        self.mark_due = Some(group.sequence);
        if group.opens.is_some() {
            // Once for each segment: so its name is not all that tells of it.
            self.sync_mark()?;
        }
        if !group.remove.is_empty() {
            for number in &group.remove {
                // What stays is removed by the next start.
                let _ = self.disk.remove(&segment_name(*number));
                self.segments.remove(number);
            }
            self.disk.sync_dir().map_err(|error| self.broke(error))?;
        }
        if let Ok(stream) = Arc::try_unwrap(group.stream)
            && stream.capacity() <= SPARE_BYTES_MAX
        {
            self.spare = stream;
        }
        Ok(())
    }

    /// Says how far the log is synced, if it is further than was said: in one of two places in
    /// turn. It is not synced itself: if it is there after a crash, it proves that what was synced
    /// is lost; if not, nothing. So without room for it, on a disk that copies what it writes
    /// again, it waits for the next time.
    pub(super) fn note(&mut self) -> Result<(), WalError> {
        let Some(sequence) = self.mark_due else { return Ok(()) };
        let slot = (self.marks % 2) as u32;
        let sealed = self.sealed_mark(slot, sequence);
        match self.disk.write(MARK, u64::from(slot) * SECTOR as u64, &sealed) {
            Ok(()) => {
                self.marks += 1;
                (self.mark_due, self.mark_is_synced) = (None, false);
                Ok(())
            }
            Err(DiskError::Full { .. }) => Ok(()),
            Err(error) => Err(self.broke(error)),
        }
    }

    fn sealed_mark(&self, slot: u32, sequence: u64) -> Vec<u8> {
        let (segment, sectors) = self.at;
        let mut stream = Stream::new(sector::tag(self.identity, MARK_SEGMENT), slot);
        let mark = Frame::Mark(Mark { segment, sectors, sequence });
        mark.put(&mut stream, &mut Vec::new());
        stream.finish();
        stream.sealed().to_vec()
    }

    /// Makes both marks good.
    pub(super) fn renew_marks(&mut self) -> Result<(), WalError> {
        for _ in 0..2 {
            self.mark_due = Some(self.sequence);
            self.note()?;
        }
        self.sync_mark()
    }

    /// Makes the mark durable, if it is not.
    pub(super) fn sync_mark(&mut self) -> Result<(), WalError> {
        self.usable()?;
        self.note()?;
        if !self.mark_is_synced {
            self.disk.sync(MARK).map_err(|error| self.broke(error))?;
            self.mark_is_synced = true;
        }
        Ok(())
    }
}
