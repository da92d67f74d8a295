//! Reading a snapshot where it lies.

use super::cache::{Cache, INDEX, Page, PageId};
use super::format::{
    FOOTER, Footer, Header, NoPrologue, PROLOGUE, Prologue, Segment, decode_directory, hash,
};
use super::parts::{Block, Index, Place, is_block};
use super::{Cause, Damage, Part, Range, SnapshotError, after, prefix_range};
use crate::base::{Key, KeyRange, crc32c};
use crate::disk::{Disk, DiskError};
use bytes::Bytes;
use std::ops;
use std::sync::{Arc, Mutex, PoisonError};

/// A snapshot that is open. It can be asked from several threads.
#[derive(Debug)]
pub struct Snapshot<D: Disk> {
    pub(super) disk: D,
    pub(super) name: String,
    /// Prologue and header.
    front_bytes: u64,
    header: Header,
    pub(super) footer: Footer,
    pub(super) segments: Vec<Segment>,
    cache: Mutex<Cache>,
}

/// Both ends of a file, checked: all that is read when it is opened.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) front: Bytes,
    pub(super) header: Header,
    pub(super) footer: Footer,
    pub(super) segments: Vec<Segment>,
}

/// How the bytes of a file are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The whole file.
    pub file_bytes: u64,
    /// Whose state it is, and of which positions; sessions.
    pub header_bytes: u64,
    /// Values.
    pub blocks_bytes: u64,
    /// Keys, and what is known of each block.
    pub index_bytes: u64,
    /// Where the segments lie.
    pub directory_bytes: u64,
    /// How many segments there are.
    pub segments: u64,
}

/// What lies at `at` in the file, which is part of `part`.
pub(super) fn read_part<D: Disk>(
    disk: &D,
    name: &str,
    part: Part,
    at: ops::Range<u64>,
    keys: &dyn Fn() -> KeyRange,
) -> Result<Bytes, SnapshotError> {
    // The caller knows that the file is so long, so this is no claim of a stranger.
    let mut bytes = vec![0; (at.end - at.start) as usize];
    let cause = match disk.read(name, at.start, &mut bytes) {
        Ok(size) if size == bytes.len() => return Ok(bytes.into()),
        Ok(_) => Cause::CutOff,
        Err(error @ DiskError::Failed { .. }) => Cause::Disk(error),
        Err(error) => return Err(error.into()),
    };
    Err(damaged(part, &at, keys(), cause))
}

pub(super) fn damaged(
    part: Part,
    at: &ops::Range<u64>,
    keys: KeyRange,
    cause: Cause,
) -> SnapshotError {
    let (offset, bytes) = (at.start, at.end - at.start);
    SnapshotError::Damaged(Box::new(Damage { part, offset, bytes, keys, cause }))
}

fn all() -> KeyRange {
    KeyRange::ALL
}

impl Ends {
    pub(super) fn read<D: Disk>(disk: &D, name: &str) -> Result<Ends, SnapshotError> {
        let bad = |part, at: ops::Range<u64>, cause| Err(damaged(part, &at, all(), cause));
        let size = disk.len(name)?;
        let mut prologue = [0; PROLOGUE];
        if size < PROLOGUE as u64 {
            return Err(SnapshotError::NotSnapshot);
        }
        let first = 0..PROLOGUE as u64;
        let read = read_part(disk, name, Part::Prologue, first.clone(), &all)?;
        prologue.copy_from_slice(&read);
        let prologue = match Prologue::decode(&prologue) {
            Ok(prologue) => prologue,
            Err(NoPrologue::Magic) => return Err(SnapshotError::NotSnapshot),
            Err(NoPrologue::Version(found)) => return Err(SnapshotError::Version { found }),
            Err(NoPrologue::Checksum) => return bad(Part::Prologue, first, Cause::Checksum),
            Err(NoPrologue::Malformed) => return bad(Part::Prologue, first, Cause::Malformed),
        };
        let data_at = (PROLOGUE + prologue.header_bytes as usize) as u64;
        if data_at + FOOTER as u64 > size {
            return bad(Part::Footer, size..size, Cause::CutOff);
        }
        let last = size - FOOTER as u64..size;
        let mut footer = [0; FOOTER];
        footer.copy_from_slice(&read_part(disk, name, Part::Footer, last.clone(), &all)?);
        let Some(footer) = Footer::decode(&footer) else {
            return bad(Part::Footer, last, Cause::Checksum);
        };
        if footer.data_at != data_at || !footer.fits(size) {
            return bad(Part::Footer, last, Cause::Malformed);
        }
        let front = read_part(disk, name, Part::Header, 0..data_at, &all)?;
        let at = PROLOGUE as u64..data_at;
        if crc32c(&front[PROLOGUE..]) != prologue.header_crc {
            return bad(Part::Header, at, Cause::Checksum);
        }
        let Ok(header) = Header::decode(front.slice(PROLOGUE..)) else {
            return bad(Part::Header, at, Cause::Malformed);
        };
        let at = footer.directory_at..last.start;
        let directory = read_part(disk, name, Part::Directory, at.clone(), &all)?;
        if crc32c(&directory) != footer.directory_crc {
            return bad(Part::Directory, at, Cause::Checksum);
        }
        if hash(&[&front, &directory]) != footer.root {
            return bad(Part::Footer, last, Cause::Checksum);
        }
        match decode_directory(directory, &footer) {
            Ok(segments) => Ok(Ends { front, header, footer, segments }),
            Err(_) => bad(Part::Directory, at, Cause::Malformed),
        }
    }
}

impl<D: Disk> Snapshot<D> {
    /// Opens the file `name`: reads and checks both ends. `cache_bytes` is how much of the rest is
    /// kept in memory once it was read.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn open(disk: D, name: &str, cache_bytes: usize) -> Result<Snapshot<D>, SnapshotError> {
        let Ends { front, header, footer, segments } = Ends::read(&disk, name)?;
        let cache = Mutex::new(Cache::new(cache_bytes));
        let front_bytes = front.len() as u64;
        Ok(Snapshot { disk, name: name.into(), front_bytes, header, footer, segments, cache })
    }

    /// Whose state it is, and of which positions.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A checksum over all, which tells it from every other snapshot.
    pub fn root(&self) -> [u8; 16] {
        self.footer.root
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.footer.keys
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first and the last key.
    pub fn ends(&self) -> Option<(Key, Key)> {
        let (first, last) = (self.segments.first()?, self.segments.last()?);
        Some((first.first.clone(), last.last.clone()))
    }

    /// How its bytes are spent.
    pub fn layout(&self) -> Layout {
        Layout {
            file_bytes: self.footer.directory_at + self.footer.directory_bytes + FOOTER as u64,
            header_bytes: self.front_bytes,
            blocks_bytes: self.segments.iter().map(|segment| segment.blocks_bytes).sum(),
            index_bytes: self.segments.iter().map(|s| u64::from(s.index_bytes)).sum(),
            directory_bytes: self.footer.directory_bytes,
            segments: self.segments.len() as u64,
        }
    }

    /// The value of `key`. At most two reads: an index and a block; none if no segment can have it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Damaged`] if the part that would tell is, and [`SnapshotError::Disk`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, SnapshotError> {
        let Some((at, index, rank)) = self.find(key)? else { return Ok(None) };
        self.value(at, &index, rank).map(Some)
    }

    /// Whether `key` is there. Reads no block.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn contains(&self, key: &[u8]) -> Result<bool, SnapshotError> {
        Ok(self.find(key)?.is_some())
    }

    fn find(&self, key: &[u8]) -> Result<Option<(usize, Arc<Index>, u64)>, SnapshotError> {
        let after = self.segments.partition_point(|segment| segment.first <= *key);
        let Some(at) = after.checked_sub(1).filter(|at| self.segments[*at].last >= *key) else {
            return Ok(None);
        };
        let index = self.index(at)?;
        let rank = index.keys.get(key).map_err(|_| self.bad_index(at, Cause::Malformed))?;
        Ok(rank.map(|rank| (at, index, rank)))
    }

    /// The value of this rank in a segment.
    fn value(&self, at: usize, index: &Arc<Index>, rank: u64) -> Result<Bytes, SnapshotError> {
        let nth = index.block_of(rank).ok_or_else(|| self.bad_index(at, Cause::Malformed))?;
        let block = self.block(at, index, nth)?;
        let value = block.value(rank - index.blocks[nth].rank);
        value.ok_or_else(|| self.bad_index(at, Cause::Malformed))
    }

    /// The pairs whose keys are in `range`, in order.
    pub fn range(&self, range: &KeyRange) -> Range<'_, D> {
        Range::new(self, range.clone())
    }

    /// The pairs whose keys begin with `prefix`, in order.
    pub fn prefix(&self, prefix: &[u8]) -> Range<'_, D> {
        Range::new(self, prefix_range(prefix))
    }

    /// How many keys are in `range`. Reads at most two indexes and no block.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn count(&self, range: &KeyRange) -> Result<u64, SnapshotError> {
        let end = range.end.as_ref().map_or(Ok(self.len()), |end| self.rank(end))?;
        Ok(end.saturating_sub(self.rank(&range.start)?))
    }

    /// How many keys are less than `key`.
    fn rank(&self, key: &[u8]) -> Result<u64, SnapshotError> {
        let at = self.segments.partition_point(|segment| segment.last < *key);
        let Some(segment) = self.segments.get(at) else { return Ok(self.len()) };
        if *key <= segment.first {
            return Ok(segment.before);
        }
        let rank = self.index(at)?.keys.rank(key);
        let rank = rank.ok().filter(|rank| *rank < segment.keys);
        Ok(segment.before + rank.ok_or_else(|| self.bad_index(at, Cause::Malformed))?)
    }

    pub(super) fn segment_keys(&self, at: usize) -> KeyRange {
        let segment = &self.segments[at];
        KeyRange { start: segment.first.clone(), end: Some(after(&segment.last)) }
    }

    pub(super) fn bad_index(&self, at: usize, cause: Cause) -> SnapshotError {
        let segment = &self.segments[at];
        let place = segment.index_at()..segment.end();
        damaged(Part::Index, &place, self.segment_keys(at), cause)
    }

    /// The keys of a block; those of its segment where the index does not tell.
    fn block_keys(&self, at: usize, index: &Index, place: &Place) -> KeyRange {
        let whole = self.segment_keys(at);
        let last = place.rank + u64::from(place.keys) - 1;
        match (index.keys.key(place.rank), index.keys.key(last)) {
            (Ok(start), Ok(last)) => KeyRange { start, end: Some(after(&last)) },
            _ => whole,
        }
    }

    fn cached(&self, id: PageId) -> Option<Page> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn keep(&self, id: PageId, page: Page) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(id, page);
    }

    pub(super) fn index(&self, at: usize) -> Result<Arc<Index>, SnapshotError> {
        let id = (at as u32, INDEX);
        if let Some(Page::Index(index)) = self.cached(id) {
            return Ok(index);
        }
        let index = Arc::new(self.read_index(at)?);
        self.keep(id, Page::Index(index.clone()));
        Ok(index)
    }

    pub(super) fn read_index(&self, at: usize) -> Result<Index, SnapshotError> {
        let segment = &self.segments[at];
        let place = segment.index_at()..segment.end();
        let keys = || self.segment_keys(at);
        let bytes = read_part(&self.disk, &self.name, Part::Index, place, &keys)?;
        if crc32c(&bytes) != segment.index_crc {
            return Err(self.bad_index(at, Cause::Checksum));
        }
        Index::decode(bytes, segment).map_err(|_| self.bad_index(at, Cause::Malformed))
    }

    pub(super) fn block(
        &self,
        at: usize,
        index: &Arc<Index>,
        nth: usize,
    ) -> Result<Arc<Block>, SnapshotError> {
        let id = (at as u32, nth as u32);
        if let Some(Page::Block(block)) = self.cached(id) {
            return Ok(block);
        }
        let block = Arc::new(self.read_block(at, index, nth, false)?);
        self.keep(id, Page::Block(block.clone()));
        Ok(block)
    }

    pub(super) fn read_block(
        &self,
        at: usize,
        index: &Index,
        nth: usize,
        with_hash: bool,
    ) -> Result<Block, SnapshotError> {
        let place = &index.blocks[nth];
        let span = place.at..place.at + u64::from(place.bytes);
        let keys = || self.block_keys(at, index, place);
        let bad = |cause| damaged(Part::Block, &span, keys(), cause);
        let bytes = read_part(&self.disk, &self.name, Part::Block, span.clone(), &keys)?;
        if crc32c(&bytes) != place.crc || with_hash && !is_block(&bytes, place) {
            return Err(bad(Cause::Checksum));
        }
        Block::decode(bytes, place).map_err(|_| bad(Cause::Malformed))
    }
}
