//! The state that the steps of a log lead to.

use super::Hard;
use super::frame::{End, Frame, Head, Next};
use super::index::{Index, Place};
use super::recover::{Area, Evidence, Finding, What, decide};
use super::scan::{Entry, Item, Piece, Run};
use super::store::Flaw;
use super::survey::{Segment, Survey, flaw};
use crate::base::{Batch, Record, Records, mutant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record that was read, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) place: Place,
}

/// The records of each segment that counts, as they were read.
#[derive(Debug, Default)]
pub(super) struct Batches(BTreeMap<u64, Vec<Arc<Batch>>>);

/// Where the reading of a log has come to.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) hard: Hard,
    pub(super) index: Index,
    /// Every record read, oldest first, those replaced or dropped since included.
    pub(super) records: Vec<Found>,
    /// What is in them.
    pub(super) batches: Batches,
    /// The end of the newest step.
    pub(super) end: Option<End>,
    /// The oldest segment that is needed.
    pub(super) oldest: u64,
    /// What was in doubt when the newest segment was begun.
    pub(super) inherited: u8,
    /// The greatest incarnation that any segment names.
    pub(super) incarnation: u64,
    pub(super) flaws: Vec<Flaw>,
    /// For each flaw, how many ends of steps had been read before it.
    seen: Vec<usize>,
    ends: usize,
    /// Whether the step that opens the segment has been read.
    opened: bool,
    /// The step that is being read.
    step: Vec<(Item, Place)>,
}

impl Batches {
    /// What is in a record.
    pub(super) fn get(&self, found: &Found) -> &Record {
        let Found { entry, place } = found;
        &self.0[&place.segment][entry.batch as usize].records()[entry.at as usize]
    }

    /// These records, in this order. A batch all of which is wanted is handed on as it is: its
    /// records are not looked at.
    pub(super) fn gather(&self, found: &[Found]) -> Records {
        let mut all = Records::new();
        let mut loose: Vec<&Record> = Vec::new();
        for run in found.chunk_by(Found::is_before) {
            let Found { entry, place } = run[0];
            let batch = &self.0[&place.segment][entry.batch as usize];
            if run.len() == batch.records().len() {
                all.extend(loose.drain(..).cloned());
                all.push_batch(batch.clone());
            } else {
                loose.extend(&batch.records()[entry.at as usize..][..run.len()]);
            }
        }
        all.extend(loose.into_iter().cloned());
        all
    }
}

impl Found {
    /// Whether `next` is the one after it in the same batch.
    fn is_before(&self, next: &Found) -> bool {
        self.place.segment == next.place.segment
            && (self.entry.batch, self.entry.at + 1) == (next.entry.batch, next.entry.at)
    }
}

impl Replay {
    /// Reads all segments, in order.
    pub(super) fn run(survey: &mut Survey) -> Replay {
        let mut replay = Replay { oldest: survey.oldest, ..Replay::default() };
        let batches = survey.segments.values().flat_map(|segment| &segment.scan.batches);
        replay.records.reserve_exact(batches.map(|batch| batch.records().len()).sum());
        for (number, segment) in &mut survey.segments {
            replay.segment(*number, segment);
        }
        for whole in &survey.flaws {
            replay.note(*whole, replay.ends);
        }
        replay.look_for_missing(survey);
        for flaw in &mut replay.flaws {
            if flaw.segment < replay.oldest {
                flaw.finding.evidence = Evidence::Superseded;
                flaw.row = decide(flaw.finding).0;
            }
        }
        for (flaw, seen) in replay.flaws.iter_mut().zip(&replay.seen) {
            flaw.finding.last = *seen == replay.ends;
        }
        replay
    }

    /// Segments and steps that somebody names and nobody has.
    fn look_for_missing(&mut self, survey: &Survey) {
        let heads = survey.segments.values().filter_map(|segment| segment.head);
        for (number, _) in heads.filter_map(|head| head.previous) {
            if number >= self.oldest && !survey.segments.contains_key(&number) {
                // It hides no step that is newer than what comes after it.
                let finding = Finding {
                    area: Area::Log,
                    what: What::Missing,
                    evidence: Evidence::Followed,
                    last: false,
                };
                self.note(flaw(finding, number, (0, 1)), 0);
            }
        }
        let last = self.end.map_or(0, |end| end.sequence);
        if let Some(mark) = survey.mark.filter(|mark| mark.sequence > last)
            && !self.is_doubtful()
        {
            let at = (mark.sectors, mark.sectors + 1);
            self.found(What::Garbled, Evidence::Marked, mark.segment, at);
        }
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.inherited != 0 || self.flaws.iter().any(Flaw::is_doubtful)
    }

    fn note(&mut self, flaw: Flaw, seen: usize) {
        self.flaws.push(flaw);
        self.seen.push(seen);
    }

    pub(super) fn found(&mut self, what: What, evidence: Evidence, segment: u64, at: (u32, u32)) {
        let finding = Finding { area: Area::Log, what, evidence, last: true };
        self.note(flaw(finding, segment, at), self.ends);
    }

    fn segment(&mut self, number: u64, segment: &mut Segment) {
        let doubt = |head: Head| mutant!(DoubtForgotten, head.doubt, 0);
        self.inherited = segment.head.map_or(self.inherited, doubt);
        self.incarnation = segment.head.map_or(0, |h| h.incarnation).max(self.incarnation);
        self.opened = false;
        let (proven, limit) = (segment.proven(), segment.limit.unwrap_or(u32::MAX));
        let (all, end) = (segment.runs().collect::<Vec<Run>>(), segment.scan.end());
        let pieces = std::mem::take(&mut segment.scan.pieces);
        let batches = std::mem::take(&mut segment.scan.batches);
        self.batches.0.insert(number, batches.into_iter().map(Arc::new).collect());
        // With damage in what is not known synced, what lies behind it may have been as well.
        let spoiled = all.iter().any(|run| run.start >= proven && run.what != What::Unwritten);
        let mut runs = all.iter().peekable();
        let mut cut = false;
        let left = pieces.iter().find(|piece| piece.end > limit).map(|p| (p.start, p.end));
        for piece in pieces.into_iter().filter(|piece| piece.start < limit) {
            while let Some(run) = runs.next_if(|run| run.start < piece.start) {
                let synced = run.start < proven || spoiled;
                self.hole(synced);
                self.found(run.what, segment.evidence(run.start), number, (run.start, run.end));
                cut |= !synced;
            }
            // Behind a hole in what was not synced, nothing was.
            if !cut {
                let explained = all.iter().any(|run| run.start == piece.end);
                let synced = piece.start < proven || spoiled;
                self.piece(number, segment, piece, synced, explained);
            }
        }
        for run in runs {
            self.hole(run.start < proven || spoiled);
            self.found(run.what, segment.evidence(run.start), number, (run.start, run.end));
        }
        if let Some((start, end)) = left {
            self.found(What::Unwritten, Evidence::Superseded, number, (start.max(limit), end));
        }
        if let Some((_, place)) = self.step.first() {
            let at = (place.sector, end.max(place.sector + 1));
            self.step.clear();
            self.found(What::Unwritten, segment.evidence(at.0), number, at);
        }
    }

    /// Something is missing here. What was read of the step counts if it was synced.
    fn hole(&mut self, synced: bool) {
        let step = std::mem::take(&mut self.step);
        if synced {
            step.into_iter().for_each(|(item, place)| self.item(item, place));
        }
    }

    /// Reads valid sectors. `explained`: it is known what ends them.
    fn piece(
        &mut self,
        number: u64,
        segment: &Segment,
        piece: Piece,
        synced: bool,
        explained: bool,
    ) {
        for (start, len, item) in piece.frames {
            let place = Place::new(number, piece.start, start, len as usize);
            match item {
                Item::Frame(Frame::Head(head)) if head.number == number => {}
                Item::Frame(Frame::Head(_) | Frame::Mark(_)) => {
                    let at = (place.sector, place.sector + 1);
                    self.found(What::Garbled, segment.evidence(at.0), number, at);
                }
                Item::Frame(Frame::End(end)) => {
                    let step = std::mem::take(&mut self.step);
                    step.into_iter().for_each(|(item, place)| self.item(item, place));
                    self.end(end, segment.evidence(place.sector), place);
                }
                item => {
                    let step = &mut self.step;
                    mutant!(TornStepCounts, step.push((item, place)), self.item(item, place));
                }
            }
        }
        let at = (piece.start, piece.end);
        let cut = piece.last == Next::Cut;
        let unfinished = cut || !self.step.is_empty();
        if piece.last == Next::Garbled
            || unfinished && synced && !explained && at.1 <= segment.proven()
        {
            self.hole(synced);
            self.found(What::Garbled, segment.evidence(at.0), number, at);
        } else if cut && !synced {
            self.step.clear();
            self.found(What::Unwritten, segment.evidence(at.0), number, (at.1 - 1, at.1));
        }
    }

    /// A step is whole.
    fn end(&mut self, end: End, evidence: Evidence, place: Place) {
        let opens = !std::mem::replace(&mut self.opened, true);
        // The step that opens a segment stands for all before it, those included that an opening
        // found at the end of the segment before and wrote again.
        let fits = self.end.is_none_or(|last| match opens {
            true => end.sequence >= last.sequence,
            false => end.sequence == last.sequence + 1,
        });
        if !fits && !self.is_doubtful() {
            self.found(What::Garbled, evidence, place.segment, (place.sector, place.sector + 1));
        }
        self.ends += 1;
        let last = self.end.unwrap_or_default();
        self.end = Some(End {
            sequence: last.sequence.max(end.sequence),
            voted: last.voted.max(end.voted),
            committer: end.committer,
        });
        self.hard.voted = self.hard.voted.max(end.voted);
    }

    fn item(&mut self, item: Item, place: Place) {
        let frame = match item {
            Item::Record(entry) => {
                self.index.put(entry.lsn, entry.author, place);
                return self.records.push(Found { entry, place });
            }
            Item::Frame(frame) => frame,
        };
        match frame {
            Frame::Promise(voted) => self.hard.voted = self.hard.voted.max(voted),
            Frame::Lineage(lineage) => {
                self.hard.voted = self.hard.voted.max(lineage.leader());
                // Each segment repeats the newest one.
                if *lineage != self.hard.lineage {
                    self.index.adopt(&lineage);
                    self.hard.lineage = *lineage;
                }
            }
            Frame::Membership(lsn, membership) => self.hard.membership = Some((lsn, *membership)),
            // The newest counts: it falls when a snapshot is lost.
            Frame::Purged(lsn) => self.hard.purged = lsn,
            Frame::Oldest(oldest) => self.oldest = self.oldest.max(oldest),
            Frame::Head(_) | Frame::End(_) | Frame::Mark(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderId, Lsn};

    /// Against records that are copied one by one: all, none, each part of a batch, and an order
    /// that is not that of the log.
    #[test]
    fn whatever_is_gathered_is_as_it_was_read() {
        let author = LeaderId::new(1, 1);
        let (mut batches, mut all) = (Batches::default(), Vec::new());
        for (segment, sizes) in [(1, vec![3, 2]), (2, vec![4])] {
            let read = sizes.into_iter().zip(0..).map(|(size, number)| {
                let mut batch = Batch::with_capacity(size);
                for at in 0..size as u32 {
                    let lsn = Lsn(10 * segment + 5 * u64::from(number) + u64::from(at));
                    batch.push(Record::void(lsn, author));
                    let place = Place::new(segment, 1, 40 * all.len(), 40);
                    all.push(Found { entry: Entry { lsn, author, batch: number, at }, place });
                }
                Arc::new(batch)
            });
            let read = read.collect();
            batches.0.insert(segment, read);
        }
        let mut whole = 0;
        let mut check = |wanted: &[Found]| {
            let one_by_one: Records = wanted.iter().map(|f| batches.get(f).clone()).collect();
            let gathered = batches.gather(wanted);
            assert_eq!(gathered, one_by_one);
            let shared = gathered.batches().iter().filter(|batch| Arc::strong_count(batch) > 1);
            whole += shared.count();
        };
        for subset in 0..1_u32 << all.len() {
            let wanted = (0..all.len()).filter(|at| subset >> at & 1 == 1).map(|at| all[at]);
            let mut wanted: Vec<Found> = wanted.collect();
            check(&wanted);
            wanted.reverse();
            check(&wanted);
        }
        // Each batch is whole in every subset that has all of it, in the order of the log.
        assert_eq!(whole, (1 << 6) + (1 << 7) + (1 << 5));
    }
}
