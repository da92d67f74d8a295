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
use crate::base::crc32c;
use crate::disk::SECTOR;

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
    crc32c(&bytes)
}

/// A stream of frames, laid out in sectors as it goes: what is appended is copied once, and a
/// sector gets its checksum when it is full, while it is still in the cache of the processor.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// The sectors. The last one has no checksum before [`finish`](Self::finish), and may be short.
    sectors: Vec<u8>,
    /// The bytes of the stream in them.
    len: usize,
    tag: u32,
    /// Which sector of the file is the first one.
    start: u32,
}

impl Stream {
    /// An empty stream whose first sector is to be number `start` of the file of `tag`.
    pub(super) fn new(tag: u32, start: u32) -> Stream {
        Stream { tag, start, ..Stream::default() }
    }

    /// The same in the memory of this one.
    pub(super) fn anew(mut self, tag: u32, start: u32) -> Stream {
        self.sectors.clear();
        Stream { sectors: self.sectors, len: 0, tag, start }
    }

    /// How many sectors it fills.
    pub(super) fn sectors(&self) -> u32 {
        self.len.div_ceil(PAYLOAD) as u32
    }

    /// How much memory it has.
    pub(super) fn capacity(&self) -> usize {
        self.sectors.capacity()
    }

    /// Appends a frame, which is two parts one after the other; gives where it starts.
    pub(super) fn push(&mut self, front: &[u8], rest: &[u8]) -> usize {
        let start = self.len;
        self.begin_frame();
        self.extend(front);
        self.extend(rest);
        start
    }

    /// A frame starts here: its sector says so if none did before.
    fn begin_frame(&mut self) {
        let at = self.len % PAYLOAD;
        if at == 0 {
            self.begin_sector();
        }
        let field = self.sectors.len() - at - HEADER + 16;
        let field = &mut self.sectors[field..field + 2];
        if *field == NO_FRAME.to_le_bytes() {
            field.copy_from_slice(&(at as u16).to_le_bytes());
        }
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = self.len % PAYLOAD;
            if self.sectors.len().is_multiple_of(SECTOR) {
                self.begin_sector();
            }
            let (part, rest) = bytes.split_at(bytes.len().min(PAYLOAD - at));
            self.sectors.extend_from_slice(part);
            self.len += part.len();
            if at + part.len() == PAYLOAD {
                self.seal_last();
            }
            bytes = rest;
        }
    }

    fn begin_sector(&mut self) {
        let back = (self.len / PAYLOAD) as u32;
        let mut header = [0; HEADER];
        header[4..8].copy_from_slice(&self.tag.to_le_bytes());
        header[8..12].copy_from_slice(&(self.start + back).to_le_bytes());
        header[12..16].copy_from_slice(&back.to_le_bytes());
        header[16..18].copy_from_slice(&NO_FRAME.to_le_bytes());
        header[18..20].copy_from_slice(&VERSION.to_le_bytes());
        self.sectors.extend_from_slice(&header);
    }

    fn seal_last(&mut self) {
        let last = self.sectors.len() - SECTOR;
        reseal(&mut self.sectors[last..]);
    }

    /// Fills the last sector with zeros. Nothing is appended after that.
    pub(super) fn finish(&mut self) {
        let whole = self.sectors.len().next_multiple_of(SECTOR);
        if whole > self.sectors.len() {
            self.sectors.resize(whole, 0);
            self.seal_last();
        }
    }

    /// The sectors, once it is finished.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.sectors
    }

    /// The `len` bytes of the stream from `offset` on, which are in it.
    pub(super) fn copy(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        let mut at = offset;
        while bytes.len() < len {
            let from = at / PAYLOAD * SECTOR + HEADER + at % PAYLOAD;
            let part = (len - bytes.len()).min(PAYLOAD - at % PAYLOAD);
            bytes.extend_from_slice(&self.sectors[from..from + part]);
            at += part;
        }
        bytes
    }
}

/// Gives a sector the checksum of what it holds, whatever that is: for tests that change sectors
/// in ways that no checksum sees. Less than a checksum is left alone.
pub fn reseal(sector: &mut [u8]) {
    if let Some((sum, rest)) = sector.split_first_chunk_mut::<4>() {
        *sum = crc32c(rest).to_le_bytes();
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
    if crc32c(&sector[4..]) != word(0) {
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

/// How many of these sectors seem to belong to one group, the first of which is the one with
/// number `back` of it: to know how much memory they take. Nothing is checked.
pub(super) fn likely(sectors: &[u8], back: u32) -> usize {
    let numbered = sectors.chunks_exact(SECTOR).zip(back..);
    numbered.take_while(|(sector, back)| sector[12..16] == back.to_le_bytes()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ReplicaId;

    const HERE: Identity = Identity { cluster: 7, replica: ReplicaId(2) };

    /// Frames of 10, 700 and 300 bytes in the sectors from number 5 on.
    fn stream() -> Stream {
        let mut stream = Stream::new(tag(HERE, 3), 5);
        for (length, start) in [(10, 0), (700, 10), (300, 710)] {
            let frame: Vec<u8> = (0..length).map(|n| n as u8 | 1).collect();
            assert_eq!(stream.push(&frame, &[]), start);
        }
        stream.finish();
        stream
    }

    fn sealed() -> Vec<u8> {
        stream().sealed().to_vec()
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
    fn what_is_appended_can_be_copied_out_before_and_after_the_end() {
        let bytes: Vec<u8> = (0..5 * PAYLOAD + 9).map(|n| (n % 251) as u8).collect();
        let mut stream = Stream::new(3, 100);
        for frame in bytes.chunks(77) {
            let (front, rest) = frame.split_at(9.min(frame.len()));
            stream.push(front, rest);
        }
        let check = |stream: &Stream| {
            for offset in [0, 1, PAYLOAD - 1, PAYLOAD, 3 * PAYLOAD + 5] {
                for len in [0, 1, PAYLOAD, 2 * PAYLOAD + 3] {
                    assert_eq!(stream.copy(offset, len), bytes[offset..offset + len]);
                }
            }
        };
        check(&stream);
        stream.finish();
        check(&stream);
        let sealed = stream.sealed().to_vec();
        assert_eq!((stream.sectors(), sealed.len()), (6, 6 * SECTOR));
        for (nth, index) in (100..106).enumerate() {
            let class = classify(&sector(&sealed, nth), 3, index);
            assert!(matches!(class, Class::Valid { group: 100, first: Some(_) }), "{class:?}");
        }
        // The memory of another stream changes nothing.
        let mut again = stream.anew(3, 100);
        for frame in bytes.chunks(77) {
            again.push(frame, &[]);
        }
        again.finish();
        assert_eq!(again.sealed(), sealed);
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
