//! Looking at a log without touching it: what a start would believe, and where it comes from.

use super::belief::Belief;
use super::frame::Frame;
use super::index::Place;
use super::recover::What;
use super::scan::{Item, stranger};
use super::sector::{self, Class};
use super::store::Recovered;
use super::survey::{Segment, Survey};
use super::{Identity, WalError, segment_name, segment_number};
use crate::disk::{Disk, DiskError, SECTOR};
use std::collections::BTreeMap;

/// So often a log that somebody is writing is looked at again, if it seems to be damaged.
const LOOKS_MAX: usize = 3;

/// What a log holds. Made by [`Inspection::read`], which changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Whose log it is, as its segments say.
    pub identity: Identity,
    /// What a start would hand over: the decisions are those of [`Wal::open`](super::Wal::open).
    pub recovered: Recovered,
    /// Where the records of [`Recovered::durable`] lie, one for one.
    pub places: Vec<RecordPlace>,
    /// The segments, oldest first.
    pub segments: Vec<SegmentSummary>,
    /// What the mark says is synced: a segment and how many sectors of it.
    pub mark: Option<(u64, u32)>,
    /// The number of the newest step, over all lives of the replica.
    pub steps: u64,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// In which segment.
    pub segment: u64,
    /// From which byte of the file on: where its first sector begins.
    pub offset: u64,
    /// How many bytes it takes, without what sectors add.
    pub bytes: u32,
}

/// Whether a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Counts,
    /// Nobody needs it, or it was never begun: the next start removes it.
    Leftover,
}

/// A segment in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its number, which is its name.
    pub number: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Whether it counts. Everything below is zero if not.
    pub standing: Standing,
    /// How many sectors are written, or should be.
    pub sectors: u32,
    /// How many of them are known synced.
    pub synced: u32,
    /// How many whole steps begin in it.
    pub steps: usize,
    /// How many records were written to it.
    pub records: usize,
    /// How many bytes of them are still needed.
    pub needed: u64,
}

impl Inspection {
    /// Reads a log. Nothing is written, and no lock is taken. `is_held`: another process may be
    /// writing it, and what is just being written can look like damage; then it is read again.
    ///
    /// # Errors
    ///
    /// As of [`Wal::open`](super::Wal::open), and [`WalError::Nameless`].
    pub fn read<D: Disk + Sync>(disk: &D, is_held: bool) -> Result<Inspection, WalError> {
        let mut looks = 1;
        loop {
            let found = whose(disk).and_then(|identity| look(disk, identity));
            let moved = match &found {
                Ok(inspection) => inspection.recovered.doubt.is_some(),
                // A segment was removed since the directory was read.
                Err(error) => matches!(error, WalError::Disk(DiskError::NotFound { .. })),
            };
            if !is_held || !moved || looks == LOOKS_MAX {
                return found;
            }
            looks += 1;
        }
    }

    /// The name of the file of a segment.
    pub fn file_name(segment: u64) -> String {
        segment_name(segment)
    }
}

/// What begins or goes on in each sector that is written, by file: for whoever wants to spoil it.
///
/// # Errors
///
/// As of [`Wal::open`](super::Wal::open).
pub fn sectors<D: Disk + Sync>(
    disk: &D,
    identity: Identity,
) -> Result<BTreeMap<(String, u32), Vec<&'static str>>, WalError> {
    let mut sectors: BTreeMap<(String, u32), Vec<&'static str>> = BTreeMap::new();
    for (number, segment) in Survey::read(disk, identity)?.segments {
        for piece in &segment.scan.pieces {
            for (start, len, item) in &piece.frames {
                let end = (start + *len as usize).div_ceil(sector::PAYLOAD);
                let span = start / sector::PAYLOAD..end;
                for at in span {
                    let place = (segment_name(number), piece.start + at as u32);
                    let kinds = sectors.entry(place).or_default();
                    if !kinds.contains(&item.name()) {
                        kinds.push(item.name());
                    }
                }
            }
        }
    }
    for slot in 0..2 {
        sectors.insert((super::MARK.into(), slot), vec!["mark"]);
    }
    Ok(sectors)
}

/// Whose log it is, as most of its segments say.
fn whose<D: Disk>(disk: &D) -> Result<Identity, WalError> {
    let mut votes: BTreeMap<Identity, usize> = BTreeMap::new();
    let (mut files, mut spoiled) = (0, false);
    for name in disk.list()?.iter().filter(|name| segment_number(name).is_some()) {
        files += 1;
        let mut first = [0; SECTOR];
        if disk.read(name, 0, &mut first).is_err() {
            spoiled = true;
            continue;
        }
        match sector::classify(&first, 0, 0) {
            Class::Version(found) => return Err(WalError::Version { found }),
            Class::Valid { .. } | Class::Foreign => {
                if let Some(identity) = stranger(&first) {
                    *votes.entry(identity).or_default() += 1;
                }
            }
            Class::Damaged => spoiled = true,
            Class::Unwritten => {}
        }
    }
    match votes.into_iter().max_by_key(|(_, votes)| *votes) {
        Some((identity, _)) => Ok(identity),
        None if spoiled => Err(WalError::Nameless { files }),
        None => Err(WalError::Empty),
    }
}

fn look<D: Disk + Sync>(disk: &D, identity: Identity) -> Result<Inspection, WalError> {
    let mut segments: BTreeMap<u64, SegmentSummary> = BTreeMap::new();
    let survey = Survey::read(disk, identity)?;
    for (number, segment) in &survey.segments {
        segments.insert(*number, summary(*number, segment));
    }
    for number in &survey.needless {
        segments.insert(*number, SegmentSummary::leftover(*number));
    }
    let mark = survey.mark.map(|mark| (mark.segment, mark.sectors));
    let belief = Belief::of(survey)?;
    for segment in segments.values_mut() {
        segment.bytes = disk.len(&segment_name(segment.number))?;
        segment.needed = belief.replay.index.live(segment.number);
    }
    let place = |at: &Place| RecordPlace {
        segment: at.segment,
        offset: u64::from(at.sector) * SECTOR as u64,
        bytes: at.len,
    };
    let places = belief.held.iter().map(|found| place(&found.place)).collect();
    let steps = belief.replay.end.map_or(0, |end| end.sequence);
    let segments = segments.into_values().collect();
    let recovered = belief.into_recovered(0);
    Ok(Inspection { identity, recovered, places, segments, mark, steps })
}

fn summary(number: u64, segment: &Segment) -> SegmentSummary {
    let limit = segment.limit.unwrap_or(u32::MAX);
    let pieces = segment.scan.pieces.iter().filter(|piece| piece.start < limit);
    let items = || pieces.clone().flat_map(|piece| piece.frames.iter().map(|(_, _, item)| item));
    // A run of zeros that nobody expects to be anything else is not counted.
    let flawed = segment.runs().filter(|run| run.what != What::Unwritten || run.start < limit);
    let flawed = flawed.map(|run| run.end).max().unwrap_or(0);
    let written = pieces.clone().map(|piece| piece.end).max().unwrap_or(0);
    SegmentSummary {
        standing: Standing::Counts,
        sectors: written.max(flawed).min(limit),
        synced: segment.proven(),
        steps: items().filter(|item| matches!(item, Item::Frame(Frame::End(_)))).count(),
        records: items().filter(|item| matches!(item, Item::Record(_))).count(),
        ..SegmentSummary::leftover(number)
    }
}

impl SegmentSummary {
    fn leftover(number: u64) -> SegmentSummary {
        SegmentSummary {
            number,
            bytes: 0,
            standing: Standing::Leftover,
            sectors: 0,
            synced: 0,
            steps: 0,
            records: 0,
            needed: 0,
        }
    }
}
