//! Sectors: the unit in which a disk writes all or nothing, and in which the log is checked.
//!
//! Every sector says which one it is and carries its own checksum. So after a crash a sector is
//! either as it was written or as it was before, and everything else is damage; and one record can
//! be read and checked without the rest of its group.
//!
//! ```text
//!   0        4      8       12     16      18        20                          512
//!   +--------+------+-------+------+-------+---------+---------------------------+
//!   | CRC32C | tag  | index | back | first | version | payload: 492 bytes        |
//!   +--------+------+-------+------+-------+---------+---------------------------+
//! ```

use super::Identity;
use crate::disk::SECTOR;
use std::ops::Range;

/// The bytes of a sector that say which one it is.
pub(super) const HEADER: usize = 20;

/// The bytes of a sector that carry the stream.
pub(super) const PAYLOAD: usize = SECTOR - HEADER;

/// In `first`: no frame starts in the sector.
pub(super) const NO_FRAME: u16 = u16::MAX;

/// The version of the format.
pub(super) const VERSION: u16 = 1;

/// Who wrote a sector and into which file: cluster, replica and segment in 32 bits.
pub(super) fn tag(identity: Identity, segment: u64) -> u32 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[8..16].copy_from_slice(&identity.replica.0.to_le_bytes());
    bytes[16..].copy_from_slice(&segment.to_le_bytes());
    crc32c::crc32c(&bytes)
}

/// A stream of frames on its way into sectors, and where its frames start.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    firsts: Vec<u16>,
}

impl Stream {
    /// How many sectors it fills.
    pub(super) fn sectors(&self) -> u32 {
        self.bytes.len().div_ceil(PAYLOAD) as u32
    }

    /// Says that a frame starts at the end of what there is.
    pub(super) fn frame_starts(&mut self) {
        let (sector, at) = (self.bytes.len() / PAYLOAD, self.bytes.len() % PAYLOAD);
        if self.firsts.len() <= sector {
            self.firsts.resize(sector + 1, NO_FRAME);
        }
        if self.firsts[sector] == NO_FRAME {
            self.firsts[sector] = at as u16;
        }
    }

    /// How many sectors it fills to the last byte: those do not change any more.
    pub(super) fn full_sectors(&self) -> u32 {
        (self.bytes.len() / PAYLOAD) as u32
    }

    /// Adds the `wanted` of its sectors to `sealed`. The first sector of all is number `start` of
    /// its file.
    pub(super) fn seal(&self, tag: u32, start: u32, wanted: Range<u32>, sealed: &mut Vec<u8>) {
        let before = sealed.len();
        sealed.resize(before + wanted.len() * SECTOR, 0);
        let sectors = sealed[before..].chunks_exact_mut(SECTOR);
        let payloads = self.bytes.chunks(PAYLOAD).skip(wanted.start as usize);
        for ((sector, payload), back) in sectors.zip(payloads).zip(wanted) {
            let first = self.firsts.get(back as usize).copied().unwrap_or(NO_FRAME);
            sector[HEADER..HEADER + payload.len()].copy_from_slice(payload);
            sector[HEADER + payload.len()..].fill(0);
            sector[4..8].copy_from_slice(&tag.to_le_bytes());
            sector[8..12].copy_from_slice(&(start + back).to_le_bytes());
            sector[12..16].copy_from_slice(&back.to_le_bytes());
            sector[16..18].copy_from_slice(&first.to_le_bytes());
            sector[18..20].copy_from_slice(&VERSION.to_le_bytes());
            reseal(sector);
        }
    }

    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.firsts.clear();
    }
}

/// Gives a sector the checksum of what it holds, whatever that is: for tests that change sectors
/// in ways that no checksum sees. Less than a checksum is left alone.
pub fn reseal(sector: &mut [u8]) {
    if let Some((sum, rest)) = sector.split_first_chunk_mut::<4>() {
        *sum = crc32c::crc32c(rest).to_le_bytes();
    }
}

/// What a sector is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// What belongs there.
    Valid {
        /// The first sector of its group.
        group: u32,
        /// Where the first frame starts in the payload.
        first: Option<usize>,
    },
    /// Zeros: never written.
    Unwritten,
    /// The checksum is wrong.
    Damaged,
    /// Right in itself, but of another place, segment, replica or cluster.
    Foreign,
    /// Right in itself, but of another version of the format.
    Version(u16),
}

/// Looks at what is found as sector `index` of the file of `tag`.
pub(super) fn classify(sector: &[u8; SECTOR], tag: u32, index: u32) -> Class {
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| sector[at + i]));
    let half = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
    if crc32c::crc32c(&sector[4..]) != word(0) {
        let unwritten = sector.iter().all(|byte| *byte == 0);
        return if unwritten { Class::Unwritten } else { Class::Damaged };
    }
    if half(18) != VERSION {
        return Class::Version(half(18));
    }
    let (back, first) = (word(12), half(16));
    if word(4) != tag || word(8) != index || back > index {
        return Class::Foreign;
    }
    let first = usize::from(first);
    Class::Valid { group: index - back, first: (first < PAYLOAD).then_some(first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ReplicaId;

    const HERE: Identity = Identity { cluster: 7, replica: ReplicaId(2) };

    fn sealed() -> Vec<u8> {
        let mut stream = Stream::default();
        for length in [10, 700, 300] {
            stream.frame_starts();
            stream.bytes.extend((0..length).map(|n| n as u8 | 1));
        }
        let mut sealed = Vec::new();
        stream.seal(tag(HERE, 3), 5, 0..3, &mut sealed);
        sealed
    }

    fn sector(sealed: &[u8], nth: usize) -> [u8; SECTOR] {
        sealed[nth * SECTOR..(nth + 1) * SECTOR].try_into().unwrap()
    }

    #[test]
    fn a_sector_says_which_one_it_is_and_where_frames_start() {
        let (sealed, tag) = (sealed(), tag(HERE, 3));
        let firsts = [Some(0), Some(710 - PAYLOAD), None];
        assert_eq!(sealed.len(), 3 * SECTOR);
        for (nth, first) in firsts.into_iter().enumerate() {
            let class = classify(&sector(&sealed, nth), tag, 5 + nth as u32);
            assert_eq!(class, Class::Valid { group: 5, first });
        }
    }

    #[test]
    fn a_part_of_a_stream_is_sealed_as_it_is_in_the_whole() {
        let mut stream = Stream::default();
        stream.frame_starts();
        stream.bytes.extend([7; 5 * PAYLOAD + 9]);
        assert_eq!((stream.full_sectors(), stream.sectors()), (5, 6));
        let sealed = |parts: [Range<u32>; 2]| {
            let mut sealed = Vec::new();
            parts.into_iter().for_each(|part| stream.seal(3, 100, part, &mut sealed));
            sealed
        };
        let whole = sealed([0..0, 0..6]);
        assert_eq!(whole.len(), 6 * SECTOR);
        assert!((0..=6).all(|cut| sealed([0..cut, cut..6]) == whole));
    }

    #[test]
    fn every_flipped_bit_is_seen_and_every_other_place_too() {
        let (sealed, here) = (sealed(), tag(HERE, 3));
        let good = sector(&sealed, 1);
        for bit in 0..8 * SECTOR {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(classify(&bad, here, 6), Class::Damaged, "bit {bit}");
        }
        let elsewhere = Identity { cluster: 8, ..HERE };
        let other = Identity { replica: ReplicaId(1), ..HERE };
        for (tag, index) in
            [(here, 7), (tag(HERE, 4), 6), (tag(elsewhere, 3), 6), (tag(other, 3), 6)]
        {
            assert_eq!(classify(&good, tag, index), Class::Foreign);
        }
        assert_eq!(classify(&[0; SECTOR], here, 6), Class::Unwritten);
    }
}
