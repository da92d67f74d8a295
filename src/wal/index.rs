//! Where the records are.

use super::sector::PAYLOAD;
use crate::base::{LeaderId, Lineage, Lsn};
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
    places: BTreeMap<Lsn, (LeaderId, Place)>,
    live: BTreeMap<u64, u64>,
}

impl Index {
    pub(super) fn get(&self, lsn: Lsn) -> Option<Place> {
        self.places.get(&lsn).map(|(_, place)| *place)
    }

    pub(super) fn put(&mut self, lsn: Lsn, author: LeaderId, place: Place) {
        *self.live.entry(place.segment).or_default() += u64::from(place.len);
        if let Some((_, old)) = self.places.insert(lsn, (author, place)) {
            forget(&mut self.live, old);
        }
    }

    /// Where the records are, in order of position.
    pub(super) fn places(&self) -> impl Iterator<Item = (Lsn, Place)> + '_ {
        self.places.iter().map(|(lsn, (_, place))| (*lsn, *place))
    }

    /// Drops what does not belong to the log of `lineage`.
    pub(super) fn adopt(&mut self, lineage: &Lineage) {
        let live = &mut self.live;
        self.places.retain(|lsn, (author, place)| {
            let kept = *author == lineage.author(*lsn);
            if !kept {
                forget(live, *place);
            }
            kept
        });
    }

    /// Drops what lies below `purged`.
    pub(super) fn drop_below(&mut self, purged: Lsn) {
        let kept = self.places.split_off(&purged);
        for (_, place) in std::mem::replace(&mut self.places, kept).into_values() {
            forget(&mut self.live, place);
        }
    }

    /// The bytes in a segment that are still needed.
    pub(super) fn live(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// The positions whose records lie in segments up to `last`.
    pub(super) fn held_through(&self, last: u64) -> Vec<Lsn> {
        let old = self.places.iter().filter(|(_, (_, place))| place.segment <= last);
        old.map(|(lsn, _)| *lsn).collect()
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

    #[test]
    fn a_frame_touches_the_sectors_that_it_lies_in() {
        let place = |offset, len| Place::new(1, 7, offset, len);
        assert_eq!((place(0, PAYLOAD).sector, place(0, PAYLOAD).sectors()), (7, 1));
        assert_eq!((place(PAYLOAD - 1, 2).sector, place(PAYLOAD - 1, 2).sectors()), (7, 2));
        assert_eq!((place(PAYLOAD, 1).sector, place(PAYLOAD, 1).at), (8, 0));
    }
}
