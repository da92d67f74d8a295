//! Where the records are.

use super::sector::PAYLOAD;
use crate::base::{LeaderId, Lineage, Lsn, ones};
use std::collections::BTreeMap;

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    /// The sector in which it starts.
    pub(super) sector: u32,
    /// Where in its payload.
    pub(super) at: u16,
    /// Its length in the stream.
    pub(super) len: u32,
}

impl Place {
    /// The frame `offset` bytes into a stream whose first sector is `start`.
    pub(super) fn new(segment: u64, start: u32, offset: usize, len: usize) -> Place {
        let sector = start + (offset / PAYLOAD) as u32;
        Place { segment, sector, at: (offset % PAYLOAD) as u16, len: len as u32 }
    }

    /// How many sectors it touches.
    pub(super) fn sectors(self) -> usize {
        (usize::from(self.at) + self.len as usize).div_ceil(PAYLOAD)
    }
}

/// The newest record at each position that is held, and how much of each segment they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The positions `64 * n ..`, by `n`. None is empty.
    pages: BTreeMap<u64, Page>,
    live: BTreeMap<u64, u64>,
}

/// The records at 64 positions: which of them are held, and those in order.
#[derive(Clone, Debug, Default)]
struct Page {
    held: u64,
    records: Vec<(LeaderId, Place)>,
}

impl Page {
    /// How many are held below the `bit`th position.
    fn rank(&self, bit: u64) -> usize {
        (self.held & ((1 << bit) - 1)).count_ones() as usize
    }

    /// Gives what was there before.
    fn put(&mut self, bit: u64, record: (LeaderId, Place)) -> Option<Place> {
        let at = self.rank(bit);
        if self.held & 1 << bit != 0 {
            return Some(std::mem::replace(&mut self.records[at], record).1);
        }
        self.held |= 1 << bit;
        self.records.insert(at, record);
        None
    }

    /// Keeps what `keep` says; tells of the others.
    fn retain(&mut self, page: u64, mut keep: impl FnMut(Lsn, LeaderId, Place) -> bool) {
        let (mut held, mut lsns) = (self.held, ones(64 * page, self.held));
        self.records.retain(|(author, place)| {
            let Some(lsn) = lsns.next() else { return false };
            let kept = keep(lsn, *author, *place);
            if !kept {
                held &= !(1 << (lsn.0 % 64));
            }
            kept
        });
        self.held = held;
    }
}

impl Index {
    pub(super) fn get(&self, lsn: Lsn) -> Option<Place> {
        let page = self.pages.get(&(lsn.0 / 64))?;
        let bit = lsn.0 % 64;
        (page.held & 1 << bit != 0).then(|| page.records[page.rank(bit)].1)
    }

    pub(super) fn put(&mut self, lsn: Lsn, author: LeaderId, place: Place) {
        *self.live.entry(place.segment).or_default() += u64::from(place.len);
        let number = lsn.0 / 64;
        // Nearly always the last one.
        let page = match self.pages.last_entry() {
            Some(last) if *last.key() == number => last.into_mut(),
            _ => self.pages.entry(number).or_default(),
        };
        if let Some(old) = page.put(lsn.0 % 64, (author, place)) {
            forget(&mut self.live, old);
        }
    }

    /// Where the records are, in order of position.
    pub(super) fn places(&self) -> impl Iterator<Item = (Lsn, Place)> + '_ {
        self.pages.iter().flat_map(|(number, page)| {
            ones(64 * number, page.held).zip(page.records.iter().map(|(_, place)| *place))
        })
    }

    /// Drops what does not belong to the log of `lineage`.
    pub(super) fn adopt(&mut self, lineage: &Lineage) {
        let live = &mut self.live;
        self.pages.retain(|number, page| {
            page.retain(*number, |lsn, author, place| {
                let kept = author == lineage.author(lsn);
                if !kept {
                    forget(live, place);
                }
                kept
            });
            page.held != 0
        });
    }

    /// Drops what lies below `purged`.
    pub(super) fn drop_below(&mut self, purged: Lsn) {
        let kept = self.pages.split_off(&(purged.0 / 64));
        let dropped = std::mem::replace(&mut self.pages, kept);
        for (_, place) in dropped.into_values().flat_map(|page| page.records) {
            forget(&mut self.live, place);
        }
        if let Some(mut first) = self.pages.first_entry()
            && *first.key() == purged.0 / 64
        {
            let live = &mut self.live;
            let number = *first.key();
            first.get_mut().retain(number, |lsn, _, place| {
                if lsn < purged {
                    forget(live, place);
                }
                lsn >= purged
            });
            if first.get().held == 0 {
                first.remove();
            }
        }
    }

    /// The bytes in a segment that are still needed.
    pub(super) fn live(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// The positions whose records lie in segments up to `last`.
    pub(super) fn held_through(&self, last: u64) -> Vec<Lsn> {
        self.places().filter(|(_, place)| place.segment <= last).map(|(lsn, _)| lsn).collect()
    }
}

fn forget(live: &mut BTreeMap<u64, u64>, place: Place) {
    if let Some(bytes) = live.get_mut(&place.segment) {
        *bytes -= u64::from(place.len);
        if *bytes == 0 {
            live.remove(&place.segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_counts_what_is_still_needed_of_it() {
        let mut index = Index::default();
        let place = |segment, len| Place { segment, sector: 0, at: 0, len };
        let (one, two) = (LeaderId::new(1, 0), LeaderId::new(2, 0));
        index.put(Lsn(0), one, place(1, 100));
        index.put(Lsn(1), one, place(1, 50));
        index.put(Lsn(5), one, place(2, 30));
        index.put(Lsn(1), one, place(2, 60));
        assert_eq!((index.live(1), index.live(2)), (100, 90));
        assert_eq!(index.held_through(1), [Lsn(0)]);
        let mut lineage = Lineage::new(two);
        lineage.push(one, Lsn(2));
        index.adopt(&lineage);
        assert_eq!((index.live(1), index.live(2), index.get(Lsn(5))), (100, 60, None));
        index.drop_below(Lsn(1));
        assert_eq!((index.live(1), index.live(2)), (0, 60));
    }

    /// A map from positions to places that is kept without a thought of speed.
    #[test]
    fn it_holds_what_a_map_would() {
        let authors = [LeaderId::new(1, 0), LeaderId::new(2, 0)];
        let mut state = 7_u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % n
        };
        let mut index = Index::default();
        let mut twin: BTreeMap<Lsn, (LeaderId, Place)> = BTreeMap::new();
        for round in 0..4_000 {
            let lsn = Lsn(below(400));
            match below(60) {
                0 => {
                    index.drop_below(lsn);
                    twin.retain(|held, _| *held >= lsn);
                }
                1 => {
                    let mut lineage = Lineage::new(authors[1]);
                    lineage.push(authors[0], Lsn(lsn.0 + 1));
                    index.adopt(&lineage);
                    twin.retain(|held, (author, _)| *author == lineage.author(*held));
                }
                _ => {
                    let (segment, len) = (below(4), 1 + below(9) as u32);
                    let place = Place { segment, sector: round, at: 0, len };
                    let author = authors[below(2) as usize];
                    index.put(lsn, author, place);
                    twin.insert(lsn, (author, place));
                }
            }
            assert_eq!(index.get(lsn), twin.get(&lsn).map(|(_, place)| *place));
            for segment in 0..4 {
                let held = twin.values().filter(|(_, place)| place.segment == segment);
                let bytes: u64 = held.map(|(_, place)| u64::from(place.len)).sum();
                assert_eq!(index.live(segment), bytes);
            }
            assert!(index.places().eq(twin.iter().map(|(lsn, (_, place))| (*lsn, *place))));
        }
    }

    #[test]
    fn a_frame_touches_the_sectors_that_it_lies_in() {
        let place = |offset, len| Place::new(1, 7, offset, len);
        assert_eq!((place(0, PAYLOAD).sector, place(0, PAYLOAD).sectors()), (7, 1));
        assert_eq!((place(PAYLOAD - 1, 2).sector, place(PAYLOAD - 1, 2).sectors()), (7, 2));
        assert_eq!((place(PAYLOAD, 1).sector, place(PAYLOAD, 1).at), (8, 0));
    }
}
