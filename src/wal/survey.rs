//! All files of a log, and which of them count.

use super::frame::{Frame, Head, Mark};
use super::recover::{Area, Evidence, Finding, What, decide};
use super::scan::{Item, Run, Scan};
use super::store::Flaw;
use super::{Identity, MARK, MARK_SEGMENT, WalError, sector, segment_name, segment_number};
use crate::base::mutant;
use crate::disk::Disk;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// At most so many threads read segments, each of them at least so many.
const SCANNERS_MAX: usize = 4;
const SEGMENTS_EACH: usize = 4;

/// What lies in the directory.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The segments that count, in order.
    pub(super) segments: BTreeMap<u64, Segment>,
    /// The segments that do not: never begun, replaced, or not needed any more.
    pub(super) needless: Vec<u64>,
    /// The newest mark.
    pub(super) mark: Option<Mark>,
    pub(super) mark_exists: bool,
    /// What is wrong with whole files. Whether a step follows is filled in later.
    pub(super) flaws: Vec<Flaw>,
    /// The oldest segment that is needed, as far as heads say.
    pub(super) oldest: u64,
    /// No segment has a greater number.
    pub(super) greatest: u64,
}

/// A segment that counts.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) scan: Scan,
    pub(super) head: Option<Head>,
    /// How many sectors count, if a later segment says so.
    pub(super) limit: Option<u32>,
    /// So many sectors are synced because the log goes on after them.
    pub(super) followed: u32,
    /// So many are, as the mark says.
    pub(super) marked: u32,
}

impl Segment {
    /// How many sectors are known synced.
    pub(super) fn proven(&self) -> u32 {
        self.limit.unwrap_or(self.followed.max(self.marked))
    }

    /// What is known about a sector.
    pub(super) fn evidence(&self, sector: u32) -> Evidence {
        match self.limit {
            Some(limit) if sector >= limit => Evidence::Superseded,
            Some(_) => Evidence::Followed,
            None if sector < self.followed => Evidence::Followed,
            None if sector < self.marked => Evidence::Marked,
            None => Evidence::Open,
        }
    }

    /// What is not valid, cut where the evidence changes.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        // A file may be shorter than what is known of it.
        let end = self.scan.end();
        let missing = Run { start: end, end: self.proven().max(end), what: What::Unwritten };
        self.scan.runs.iter().copied().chain([missing]).flat_map(|run| {
            let borders = [self.limit.unwrap_or(u32::MAX), self.followed, self.marked];
            let mut cuts = vec![run.start, run.end];
            cuts.extend(borders.into_iter().filter(|cut| run.start < *cut && *cut < run.end));
            cuts.sort_unstable();
            cuts.dedup();
            let pair = move |pair: &[u32]| Run { start: pair[0], end: pair[1], ..run };
            cuts.windows(2).map(pair).collect::<Vec<_>>()
        })
    }
}

/// A flaw, as the table sees it.
pub(super) fn flaw(finding: Finding, segment: u64, at: (u32, u32)) -> Flaw {
    Flaw { row: decide(finding).0, finding, segment, sector: at.0, sectors: at.1 - at.0 }
}

/// Reads the segments, several at a time: most of a start is reading, checking and decoding.
fn scan_all<D: Disk + Sync>(
    disk: &D,
    identity: Identity,
    numbers: &[u64],
) -> Result<BTreeMap<u64, Scan>, WalError> {
    let next = AtomicUsize::new(0);
    let scan_some = || {
        let (mut scans, mut buffer) = (Vec::new(), Vec::new());
        while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tag = sector::tag(identity, *number);
            scans.push((*number, Scan::read(disk, &segment_name(*number), tag, &mut buffer)));
        }
        scans
    };
    // One more than there are processors: now and then one of them waits for the disk.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let threads = threads.min(SCANNERS_MAX).min(numbers.len() / SEGMENTS_EACH);
    let scans = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(scan_some)).collect();
        let mut scans = scan_some();
        for other in others {
            // One that panicked leaves its segments out, which nobody may take for missing.
            scans.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        scans
    });
    scans.into_iter().map(|(number, scan)| Ok((number, scan?))).collect()
}

impl Survey {
    /// Reads everything.
    pub(super) fn read<D: Disk + Sync>(disk: &D, identity: Identity) -> Result<Survey, WalError> {
        let mark_exists = disk.list()?.iter().any(|name| name == MARK);
        let mut survey = Survey { mark_exists, ..Survey::default() };
        // Before the segments: of a log that is being written, what is read then is at least what
        // the mark says.
        if survey.mark_exists {
            survey.read_mark(disk, identity)?;
        }
        let names = disk.list()?;
        let numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        let scans = scan_all(disk, identity, &numbers)?;
        let found = scans.values().find_map(|scan| scan.stranger.filter(|id| *id != identity));
        if let Some(found) = found
            && scans.values().all(|scan| scan.pieces.is_empty())
        {
            return Err(WalError::Identity { found });
        }
        survey.greatest = scans.keys().next_back().copied().unwrap_or(0);
        survey.choose(scans);
        survey.look_for_missing();
        Ok(survey)
    }

    fn read_mark<D: Disk>(&mut self, disk: &D, identity: Identity) -> Result<(), WalError> {
        let scan = Scan::read(disk, MARK, sector::tag(identity, MARK_SEGMENT), &mut Vec::new())?;
        for piece in &scan.pieces {
            // Each slot is a group of its own.
            for (_, _, item) in &piece.frames {
                if let Item::Frame(Frame::Mark(mark)) = item {
                    let known = self.mark.max(Some(*mark));
                    self.mark = mutant!(LostTailUnnoticed, known, None);
                }
            }
        }
        for run in scan.runs {
            if run.what != What::Unwritten {
                self.whole(Area::Mark, run.what, Evidence::Open, MARK_SEGMENT);
            }
        }
        Ok(())
    }

    /// Notes what is wrong with a whole file.
    fn whole(&mut self, area: Area, what: What, evidence: Evidence, segment: u64) {
        let finding = Finding { area, what, evidence, last: true };
        self.flaws.push(flaw(finding, segment, (0, 1)));
    }

    /// From the newest to the oldest: which segments count, and how much of them.
    fn choose(&mut self, scans: BTreeMap<u64, Scan>) {
        // What the segment that was looked at last says about those before it.
        let mut before: Option<Option<(u64, u32)>> = None;
        for (number, scan) in scans.into_iter().rev() {
            let marked = self.mark.filter(|mark| mark.segment == number);
            let marked = marked.map_or(0, |mark| mark.sectors);
            let (head, whole) = scan.head();
            let followed = scan.followed();
            let limit = match before {
                Some(Some((previous, end))) if previous == number => Some(end),
                Some(None) => Some(0),
                Some(Some((previous, _))) if previous < number => Some(0),
                _ => None,
            };
            let known = followed.max(marked).max(limit.unwrap_or(0)) > 0;
            let begun = known || whole || scan.is_spoiled();
            if limit == Some(0) || !begun || number < self.oldest {
                self.needless.push(number);
                let torn = !scan.pieces.is_empty() || scan.is_spoiled();
                let replaced = limit == Some(0) || number < self.oldest;
                let evidence = if replaced { Evidence::Superseded } else { Evidence::Open };
                if torn {
                    self.whole(Area::Log, What::Unwritten, evidence, number);
                }
                continue;
            }
            let head = head.filter(|_| known || whole);
            before = head.map(|head| head.previous);
            self.oldest = self.oldest.max(head.map_or(0, |head| head.oldest));
            self.segments.insert(number, Segment { scan, head, limit, followed, marked });
        }
    }

    /// Files that the mark speaks of, or that speak of a mark, and that are not there.
    fn look_for_missing(&mut self) {
        let newest = self.segments.keys().next_back().copied();
        if let Some(mark) = self.mark
            && newest.is_none_or(|newest| newest < mark.segment)
        {
            self.whole(Area::Log, What::Missing, Evidence::Marked, mark.segment);
        }
        if !self.mark_exists && !self.segments.is_empty() {
            self.whole(Area::Mark, What::Missing, Evidence::Marked, MARK_SEGMENT);
        }
    }

    /// Whether there never was a log: at most something that was begun and never acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.flaws.iter().all(|flaw| !flaw.is_doubtful())
    }
}
