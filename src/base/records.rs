//! Records that travel together.

use super::{LeaderId, Lsn, Payload, Record, Tail};
use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A list of records that whoever keeps, writes or sends it shares: a clone is a count for each of
/// its batches, however many records they have. A leader makes one batch of what it places between
/// two drains; its own write, its log, the message to each follower, and the log and the write of
/// each of those are the same batch.
///
/// Immutable while it is shared: what adds to it adds a batch or makes an own copy first. The empty
/// list does not allocate.
#[derive(Clone, Default)]
pub struct Records {
    batches: SmallVec<[Arc<Batch>; 1]>,
}

type List = SmallVec<[Record; 1]>;

/// A batch stays in memory as long as one of its records: so many are put in one at most.
pub(crate) const BATCH_MAX: usize = 1024;

/// Records that lie side by side, and what is asked of them again and again: found out once, by
/// whoever made the batch, for all who share it.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    records: List,
    briefs: SmallVec<[Brief; 1]>,
    summary: Summary,
}

/// What is told of a batch as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// The sizes of its records.
    pub(crate) bytes: usize,
    /// The greatest of their floors.
    pub(crate) floor: Lsn,
    /// The positions of those that are not plain.
    pub(crate) special: Tail,
    /// The positions of those that override something.
    pub(crate) overriding: Tail,
    /// Whether each of them is at the position after the one before it, all by one author.
    pub(crate) run: bool,
    /// Whether one of them carries a membership.
    pub(crate) membership: bool,
}

/// What is asked of a record again and again. It lies beside its neighbours, so that committing and
/// applying a thousand plain records do not fetch each of them from memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    /// The record's floor.
    pub(crate) floor: Lsn,
    /// About how many bytes it takes.
    pub(crate) size: u32,
    /// How far below it the only record that it depends on lies; zero if it depends on none, on
    /// several, or on one too far away to say so.
    after: u32,
    /// Whether it carries a command.
    pub(crate) command: bool,
    /// Whether it returns something: it carries a command that is not blind.
    pub(crate) returns: bool,
    /// Whether it depends on something at or above its floor.
    pub(crate) depends: bool,
    /// Whether it overrides something.
    pub(crate) overrides: bool,
}

impl Brief {
    fn new(record: &Record) -> Brief {
        let command = record.command();
        Brief {
            floor: record.floor,
            size: u32::try_from(record.size()).unwrap_or(u32::MAX),
            after: only(&record.depends).map_or(0, |lsn| {
                u32::try_from(record.lsn.0.saturating_sub(lsn.0)).unwrap_or_default()
            }),
            command: command.is_some(),
            returns: command.is_some_and(|command| !command.footprint.is_blind()),
            depends: !record.depends.is_empty(),
            overrides: !record.overrides.is_empty(),
        }
    }

    /// The only record that it, at `lsn`, depends on, if there is one and it is not far away.
    pub(crate) fn only_dependency(&self, lsn: Lsn) -> Option<Lsn> {
        (self.after > 0).then(|| Lsn(lsn.0 - u64::from(self.after)))
    }

    /// A command that neither depends on anything nor overrides anything: nothing needs to be
    /// looked at before it is settled, and nothing follows from it.
    pub(crate) fn is_plain(&self) -> bool {
        self.command && !self.depends && !self.overrides
    }
}

/// The only member of a set.
fn only(set: &Tail) -> Option<Lsn> {
    match set.words() {
        (_, [word]) if word.is_power_of_two() => set.first(),
        _ => None,
    }
}

impl Batch {
    /// An empty one with room.
    pub(crate) fn with_capacity(records: usize) -> Batch {
        let (records, briefs) =
            (SmallVec::with_capacity(records), SmallVec::with_capacity(records));
        Batch { records, briefs, summary: Summary::default() }
    }

    /// Adds a record at the end. Inlined, because a call by value copies the record.
    #[inline(always)]
    pub(crate) fn push(&mut self, record: Record) -> Brief {
        let next = self.records.last().map(|last| (last.lsn.next(), last.author));
        self.records.push(record);
        let Some(record) = self.records.last() else { unreachable!("just pushed") };
        let brief = Brief::new(record);
        let summary = &mut self.summary;
        summary.run = match next {
            None => true,
            Some(next) => summary.run && next == (record.lsn, record.author),
        };
        summary.bytes += brief.size as usize;
        summary.floor = summary.floor.max(record.floor);
        if !brief.is_plain() {
            summary.special.insert(record.lsn);
            if brief.overrides {
                summary.overriding.insert(record.lsn);
            }
            summary.membership |= matches!(record.payload, Payload::Membership(_));
        }
        self.briefs.push(brief);
        brief
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.records.reserve(records);
        self.briefs.reserve(records);
    }

    /// Whether it has no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What is told of all of it.
    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The records.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records in brief.
    pub(crate) fn briefs(&self) -> &[Brief] {
        &self.briefs
    }

    /// Its positions and their author, if it is a run.
    pub(crate) fn run(&self) -> Option<(Lsn, Lsn, LeaderId)> {
        let (first, last) = (self.records.first()?, self.records.last()?);
        self.summary.run.then(|| (first.lsn, last.lsn.next(), first.author))
    }
}

impl Records {
    /// No records. Does not allocate.
    pub fn new() -> Records {
        Records::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.records.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The records in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> + Clone {
        self.batches.iter().flat_map(|batch| &batch.records)
    }

    /// The same, each of them to keep.
    pub fn iter_shared(&self) -> impl Iterator<Item = SharedRecord> {
        self.batches.iter().flat_map(|batch| {
            let count = batch.records.len() as u32;
            (0..count).map(|at| SharedRecord::new(batch.clone(), at))
        })
    }

    /// These, in order. Those that are all of a batch side by side stay that batch.
    pub fn gather<'a>(records: impl IntoIterator<Item = &'a SharedRecord>) -> Records {
        let mut all = Records::new();
        let mut part: Vec<&SharedRecord> = Vec::new();
        for record in records {
            if part.last().is_some_and(|last| !last.is_before(record)) {
                all.append_part(&part);
                part.clear();
            }
            part.push(record);
        }
        all.append_part(&part);
        all
    }

    /// Records that follow each other in one batch.
    fn append_part(&mut self, part: &[&SharedRecord]) {
        match part {
            [first, ..] if part.len() == first.batch.records.len() => {
                self.batches.push(first.batch.clone());
            }
            _ => self.extend(part.iter().map(|record| Record::clone(record))),
        }
    }

    /// The first one.
    pub fn first(&self) -> Option<&Record> {
        self.iter().next()
    }

    /// The last one.
    pub fn last(&self) -> Option<&Record> {
        self.iter().next_back()
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: Record) {
        match self.batches.last_mut().and_then(Arc::get_mut) {
            Some(batch) => {
                batch.push(record);
            }
            None => {
                let mut batch = Batch::default();
                batch.push(record);
                self.batches.push(Arc::new(batch));
            }
        }
    }

    /// Adds others at the end; they are shared.
    pub fn append(&mut self, records: Records) {
        self.batches.extend(records.batches);
    }

    /// Keeps only the records that `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&Record) -> bool) {
        if !self.iter().all(&keep) {
            *self = self.iter().filter(|record| keep(record)).cloned().collect();
        }
    }

    /// About how many bytes they take.
    pub fn size(&self) -> usize {
        self.batches.iter().map(|batch| batch.summary.bytes).sum()
    }

    /// The batches, none of them empty.
    pub(crate) fn batches(&self) -> &[Arc<Batch>] {
        &self.batches
    }

    /// All of a batch that is not empty.
    pub(crate) fn of_batch(batch: Arc<Batch>) -> Records {
        Records { batches: SmallVec::from_buf([batch]) }
    }

    /// Adds a batch that is not empty.
    pub(crate) fn push_batch(&mut self, batch: Arc<Batch>) {
        self.batches.push(batch);
    }
}

impl From<Arc<Record>> for Record {
    fn from(record: Arc<Record>) -> Record {
        Arc::unwrap_or_clone(record)
    }
}

impl<R: Into<Record>> From<Vec<R>> for Records {
    fn from(records: Vec<R>) -> Records {
        records.into_iter().collect()
    }
}

impl<R: Into<Record>> FromIterator<R> for Records {
    fn from_iter<I: IntoIterator<Item = R>>(records: I) -> Records {
        let mut all = Records::new();
        all.extend(records);
        all
    }
}

impl<R: Into<Record>> Extend<R> for Records {
    fn extend<I: IntoIterator<Item = R>>(&mut self, records: I) {
        let mut records = records.into_iter();
        let room = |more: usize| Batch::with_capacity(more.min(BATCH_MAX));
        let mut batch = room(records.size_hint().0);
        while let Some(record) = records.next() {
            if batch.records.len() == BATCH_MAX {
                let next = room(records.size_hint().0.saturating_add(1));
                self.batches.push(Arc::new(std::mem::replace(&mut batch, next)));
            }
            batch.push(record.into());
        }
        if !batch.records.is_empty() {
            self.batches.push(Arc::new(batch));
        }
    }
}

impl IntoIterator for Records {
    type Item = Record;
    type IntoIter =
        std::iter::FlatMap<smallvec::IntoIter<[Arc<Batch>; 1]>, List, fn(Arc<Batch>) -> List>;

    fn into_iter(self) -> Self::IntoIter {
        self.batches.into_iter().flat_map(|batch| Arc::unwrap_or_clone(batch).records)
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Record;
    type IntoIter = std::iter::FlatMap<
        std::slice::Iter<'a, Arc<Batch>>,
        &'a [Record],
        fn(&'a Arc<Batch>) -> &'a [Record],
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.batches.iter().flat_map(|batch| &batch.records)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One record of a batch that is shared. Keeps the whole batch in memory.
#[derive(Clone)]
pub struct SharedRecord {
    batch: Arc<Batch>,
    at: u32,
}

impl SharedRecord {
    /// Whether both are one record in memory.
    pub fn ptr_eq(&self, other: &SharedRecord) -> bool {
        self.at == other.at && Arc::ptr_eq(&self.batch, &other.batch)
    }

    pub(crate) fn new(batch: Arc<Batch>, at: u32) -> SharedRecord {
        SharedRecord { batch, at }
    }

    /// Whether `next` is the one after it in the same batch.
    fn is_before(&self, next: &SharedRecord) -> bool {
        self.at + 1 == next.at && Arc::ptr_eq(&self.batch, &next.batch)
    }
}

impl Deref for SharedRecord {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.batch.records[self.at as usize]
    }
}

impl From<Record> for SharedRecord {
    fn from(record: Record) -> SharedRecord {
        let mut batch = Batch::default();
        batch.push(record);
        SharedRecord { batch: Arc::new(batch), at: 0 }
    }
}

impl From<SharedRecord> for Record {
    fn from(record: SharedRecord) -> Record {
        Record::clone(&record)
    }
}

impl PartialEq for SharedRecord {
    fn eq(&self, other: &SharedRecord) -> bool {
        self.ptr_eq(other) || **self == **other
    }
}

impl Eq for SharedRecord {}

impl fmt::Debug for SharedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for SharedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
