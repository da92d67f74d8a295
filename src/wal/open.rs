//! Coming to life: for the first time, or again.

use super::belief::Belief;
use super::index::Index;
use super::replay::Found;
use super::sector::Stream;
use super::store::{Doubt, Recovered};
use super::survey::Survey;
use super::{Hard, Identity, MARK, Wal, WalError, WalOptions, doubtful};
use crate::disk::{Disk, DiskError, SECTOR};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl<D: Disk + Sync> Wal<D> {
    /// The log of a new replica, in a directory that has none.
    ///
    /// # Errors
    ///
    /// [`WalError::NotEmpty`] if there is one. An interrupted `create` may be repeated.
    pub fn create(disk: D, identity: Identity, options: WalOptions) -> Result<Wal<D>, WalError> {
        let lock = locked(&disk)?;
        let survey = Survey::read(&disk, identity)?;
        if !survey.is_empty() {
            return Err(WalError::NotEmpty);
        }
        let mut wal = Wal::new(disk, lock, identity, options);
        wal.at = (survey.greatest + 1, 0);
        wal.begin(&survey, None)?;
        Ok(wal)
    }

    /// The log of a replica that lived before and lost all of it, in a directory that has none. It
    /// is in doubt, its promise included, until a step says that it is repaired. `after` is at
    /// least the incarnation of each earlier life; segments are counted from there.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create).
    pub fn create_wiped(
        disk: D,
        identity: Identity,
        options: WalOptions,
        after: u64,
    ) -> Result<Wal<D>, WalError> {
        let lock = locked(&disk)?;
        let survey = Survey::read(&disk, identity)?;
        if !survey.is_empty() {
            return Err(WalError::NotEmpty);
        }
        let mut wal = Wal::new(disk, lock, identity, options);
        wal.at = (survey.greatest.max(after) + 1, 0);
        wal.incarnation = wal.at.0;
        wal.doubt = doubtful::RECORDS | doubtful::PROMISE | doubtful::LINEAGE;
        wal.begin(&survey, None)?;
        Ok(wal)
    }

    /// The log of a replica that lived before, and what it holds. What was begun and certainly not
    /// acknowledged is cut; if anything else is missing, the result says so.
    ///
    /// It goes on in a new segment. What was not known synced is written again: what a reader sees
    /// need not be on the disk.
    ///
    /// # Errors
    ///
    /// [`WalError::Empty`] if there is none, or it was never begun.
    pub fn open(
        disk: D,
        identity: Identity,
        options: WalOptions,
    ) -> Result<(Wal<D>, Recovered), WalError> {
        let lock = locked(&disk)?;
        let mut belief = Belief::read(&disk, identity)?;
        let Belief { survey, replay, held, .. } = &mut belief;
        let mut wal = Wal::new(disk, lock, identity, options);
        let marked = survey.mark.map_or(0, |mark| mark.sequence);
        wal.sequence = replay.end.map_or(0, |end| end.sequence).max(marked);
        wal.hard = replay.hard.clone();
        wal.index = std::mem::take(&mut replay.index);
        wal.oldest = replay.oldest;
        let synced = |segment: u64| survey.segments.get(&segment).map_or(0, |s| s.proven());
        wal.segments = survey.segments.keys().map(|number| (*number, synced(*number))).collect();
        wal.segments.retain(|number, sectors| *sectors > 0 && *number >= replay.oldest);
        let unsure =
            held.iter().filter(|Found { place, .. }| place.sector >= synced(place.segment));
        wal.carried = unsure.map(|found| replay.batches.get(found).clone()).collect();
        wal.at = (belief.life(options.opened_at), 0);
        wal.incarnation = belief.incarnation(options.opened_at);
        let previous = wal.segments.last_key_value().map(|(number, sectors)| (*number, *sectors));
        wal.doubt = bits(belief.doubt.as_ref());
        wal.begin(&belief.survey, previous)?;
        Ok((wal, belief.into_recovered(options.opened_at)))
    }

    fn new(disk: D, lock: D::Lock, identity: Identity, options: WalOptions) -> Wal<D> {
        Wal {
            disk: Arc::new(disk),
            lock: Arc::new(lock),
            identity,
            options,
            hard: Hard::default(),
            doubt: 0,
            incarnation: 0,
            repairs: false,
            oldest: 0,
            sequence: 0,
            index: Index::default(),
            segments: BTreeMap::new(),
            at: (0, 0),
            carried: Vec::new(),
            queue: VecDeque::new(),
            flying: None,
            spare: Stream::default(),
            scratch: Vec::new(),
            durable: 0,
            broken: false,
            marks: 0,
            mark_is_synced: true,
            mark_due: None,
            prepared: (0, 0),
        }
    }

    /// Begins the segment of this life, then removes what is not needed.
    fn begin(&mut self, survey: &Survey, previous: Option<(u64, u32)>) -> Result<(), WalError> {
        if !survey.mark_exists {
            self.disk.create(MARK)?;
        }
        // Before the first segment: so it is never missing unless it was lost.
        self.disk.preallocate(MARK, 2 * SECTOR as u64).map_err(full)?;
        self.disk.sync(MARK)?;
        self.disk.sync_dir()?;
        self.open_segment(self.at.0, previous);
        let kept = &self.segments;
        let needless = survey.segments.keys().filter(|number| !kept.contains_key(number));
        let remove = survey.needless.iter().chain(needless).copied().collect();
        self.queue.iter_mut().for_each(|group| group.remove = Vec::clone(&remove));
        self.flush()?;
        self.renew_marks()
    }
}

fn locked<D: Disk>(disk: &D) -> Result<D::Lock, WalError> {
    disk.lock().map_err(|error| match error {
        DiskError::Locked => WalError::Locked,
        error => WalError::Disk(error),
    })
}

fn full(error: DiskError) -> WalError {
    match error {
        DiskError::Full { .. } => WalError::Full,
        error => WalError::Disk(error),
    }
}

fn bits(doubt: Option<&Doubt>) -> u8 {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    doubt.map_or(0, |doubt| {
        doubtful::RECORDS
            | bit(doubt.promise, doubtful::PROMISE)
            | bit(doubt.lineage, doubtful::LINEAGE)
    })
}
