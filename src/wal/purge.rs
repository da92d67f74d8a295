//! Reading one record back, giving space back, and what else a store does.

use super::frame::{self, Frame, Next};
use super::index::Place;
use super::sector::{self, Class, HEADER, PAYLOAD};
use super::store::Store;
use super::{Wal, WalError, doubtful, segment_name};
use crate::base::{Lsn, Record, mutant};
use crate::disk::{Disk, SECTOR};
use crate::replica::Write;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

impl<D: Disk> Wal<D> {
    /// The bytes of a frame, from memory or from the disk.
    fn frame(&self, place: Place) -> Result<Bytes, WalError> {
        let within = |segment: u64, start: u32, sectors: u32| {
            segment == place.segment && (start..start + sectors).contains(&place.sector)
        };
        let queued = self.queue.iter().map(|group| (group.segment, group.start, &group.stream));
        let flying = self.flying.iter().map(|(segment, start, stream)| (*segment, *start, stream));
        let mut unsynced = queued.chain(flying);
        let found = unsynced.find(|(segment, start, s)| within(*segment, *start, s.sectors()));
        if let Some((_, start, stream)) = found {
            let offset = (place.sector - start) as usize * PAYLOAD + usize::from(place.at);
            return Ok(stream.copy(offset, place.len as usize).into());
        }
        let damaged = WalError::Damaged { segment: place.segment, sector: place.sector };
        let mut sectors = vec![0; place.sectors() * SECTOR];
        let offset = u64::from(place.sector) * SECTOR as u64;
        let read = self.disk.read(&segment_name(place.segment), offset, &mut sectors);
        if read.map_err(|_| damaged.clone())? < sectors.len() {
            return Err(damaged);
        }
        let tag = sector::tag(self.identity, place.segment);
        let mut stream = BytesMut::with_capacity(place.sectors() * PAYLOAD);
        for (sector, index) in sectors.chunks_exact(SECTOR).zip(place.sector..) {
            let class = sector.first_chunk().map(|sector| sector::classify(sector, tag, index));
            if !matches!(class, Some(Class::Valid { .. })) {
                return Err(damaged);
            }
            stream.extend_from_slice(&sector[HEADER..]);
        }
        let at = usize::from(place.at);
        Ok(stream.freeze().slice(at..at + place.len as usize))
    }

    fn record(&self, lsn: Lsn) -> Result<Option<Arc<Record>>, WalError> {
        let Some(place) = self.index.get(lsn) else { return Ok(None) };
        match frame::next(&self.frame(place)?, 0) {
            Next::Record(record, _) if record.lsn == lsn => Ok(Some(Arc::new(record))),
            _ => Err(WalError::Damaged { segment: place.segment, sector: place.sector }),
        }
    }

    /// Up to which segment, itself included, less than half of what is stored is still needed.
    /// Taking them together, what is stuck in one does not hold up the others.
    fn mostly_dead(&self) -> Option<u64> {
        let newest = self.next_group().0;
        let (mut stored, mut live, mut through) = (0, 0, None);
        for (number, sectors) in self.segments.range(..newest) {
            stored += u64::from(*sectors) * SECTOR as u64;
            live += self.index.live(*number);
            if 2 * live <= stored {
                through = Some(*number);
            }
        }
        through
    }

    /// The records that are still needed of the segments up to `through`.
    fn needed(&self, through: u64) -> Result<Vec<Arc<Record>>, WalError> {
        let mut records = Vec::new();
        for lsn in self.index.held_through(through) {
            records.extend(self.record(lsn)?);
        }
        Ok(records)
    }

    /// Writes `records` again, which is all that is needed of the segments up to `through`, and
    /// lets those go when that is durable.
    fn carry(&mut self, records: Vec<Arc<Record>>, through: u64) -> usize {
        for record in records {
            let place = self.put_record(&record);
            self.index.put(record.lsn, record.author, place);
        }
        self.oldest = through + 1;
        self.put(&Frame::Oldest(self.oldest));
        let remove: Vec<u64> = self.segments.range(..=through).map(|(number, _)| *number).collect();
        let count = remove.len();
        if let Some(group) = self.queue.back_mut() {
            group.remove.extend(remove);
        }
        count
    }
}

impl<D: Disk> Wal<D> {
    /// A snapshot that was relied on is gone, and what the log has dropped for it may be missing
    /// now. From now on the log is in doubt, as after a loss of its own, until a step says that it
    /// is repaired; and what it is given from `purged` on is kept again, if that is below what was
    /// dropped. Gives the incarnation of this life; to be called before anything is said in it.
    ///
    /// # Errors
    ///
    /// [`WalError`], and nothing is certain until the log was opened again.
    pub fn lose(&mut self, purged: Lsn) -> Result<u64, WalError> {
        self.flush()?;
        let (segment, start) = self.at;
        self.hard.purged = self.hard.purged.min(purged);
        let mut next = segment + 1;
        if self.doubt == 0 {
            // As at a start: the number of a segment that this life begins, not below the moment.
            next = next.max(self.options.opened_at);
            self.incarnation = next;
        }
        self.doubt |= doubtful::RECORDS;
        self.open_segment(next, Some((segment, start)));
        self.flush()?;
        self.renew_marks()?;
        Ok(self.incarnation)
    }
}

impl<D: Disk> Store for Wal<D> {
    type Error = WalError;

    fn append(&mut self, write: &Write) -> Result<(), WalError> {
        self.take(write)
    }

    fn sync(&mut self) -> Result<u64, WalError> {
        if self.repairs {
            self.repaired()?;
        }
        self.flush()
    }

    fn load(&mut self, lsn: Lsn) -> Result<Option<Arc<Record>>, WalError> {
        self.record(lsn)
    }

    fn purge(&mut self, below: Lsn) -> Result<usize, WalError> {
        self.grounded()?;
        let below = below.max(self.hard.purged);
        self.index.drop_below(below);
        let through = self.mostly_dead();
        let needed = |through| mutant!(PurgeDropsLive, self.needed(through), Ok(Vec::new()));
        let records = through.map_or(Ok(Vec::new()), needed)?;
        let mut removed = 0;
        if through.is_some() || below > self.hard.purged {
            self.hard.purged = below;
            self.put(&Frame::Purged(below));
            removed = through.map_or(0, |through| self.carry(records, through));
            self.end_step(0);
        }
        self.flush()?;
        Ok(removed)
    }

    fn repaired(&mut self) -> Result<(), WalError> {
        self.grounded()?;
        if self.doubt == 0 {
            self.repairs = false;
            return self.flush().map(drop);
        }
        // What is damaged goes, so that nobody finds it again. It lies before this life's segment.
        self.flush()?;
        let (segment, start) = self.at;
        let records = self.needed(segment)?;
        (self.doubt, self.repairs) = (0, false);
        self.open_segment(segment + 1, Some((segment, start)));
        self.carry(records, segment);
        self.end_step(0);
        self.flush()?;
        self.renew_marks()
    }

    fn idle(&mut self) -> Result<(), WalError> {
        self.sync_mark()
    }

    fn is_full(error: &WalError) -> bool {
        matches!(error, WalError::Full)
    }
}
