//! A disk of 512-byte sectors, for virtual machines' block requests and their traces.
//!
//! ```
//! use traft::apply::{Machine, block::{Answer, Disk, Request}};
//!
//! let mut disk = Disk::new();
//! let write = Request::Write { first: 7, data: &[1; 1024] }.command();
//! let read = Request::Read { first: 8, sectors: 2 }.command();
//! assert_eq!(Answer::decode(&disk.apply(&write.body)), Ok(Answer::Nothing));
//! let data = [[1; 512], [0; 512]].concat();
//! assert_eq!(Answer::decode(&disk.read(&read.body)), Ok(Answer::Data(data.into())));
//! ```

mod request;

pub use super::code::Malformed;
pub use request::{Answer, Failure, Request, SECTORS_MAX, sector_key};

use super::{Digest, Machine};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Bytes in a sector.
pub const SECTOR: usize = 512;

/// Words of eight bytes in a sector.
const WORDS: usize = SECTOR / 8;

/// A disk whose sectors are zero until written; executes the bodies of [`Request`].
///
/// Sparse: it keeps the extents that were written last, and of a filled one only the pattern. Data
/// are slices of the bodies; what later writes leave of an extent is copied when it is less than a
/// quarter of its body, so that memory is at most four times what is visible. A request costs a
/// logarithm, and is linear in the extents that it meets.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// By first sector; they do not overlap.
    extents: BTreeMap<u64, Extent>,
}

/// Sectors in a row that one request wrote.
#[derive(Clone, Debug)]
struct Extent {
    /// The last sector: the one after it may not exist.
    last: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// The sectors' bytes, and how many bytes of memory they keep alive.
    Data(Bytes, usize),
    /// The same eight bytes over and over.
    Pattern([u8; 8]),
}

impl Content {
    /// What is left when `skip` sectors go at the front and then `keep` stay.
    fn part(&self, skip: u64, keep: u64) -> Content {
        match self {
            Content::Pattern(_) => self.clone(),
            Content::Data(data, held) => {
                let data = data.slice(skip as usize * SECTOR..(skip + keep) as usize * SECTOR);
                if data.len() >= held / 4 {
                    Content::Data(data, *held)
                } else {
                    Content::Data(Bytes::copy_from_slice(&data), data.len())
                }
            }
        }
    }

    /// The hash of the sector at `at`, counted from the start of the extent; zero if it is all
    /// zero, as if it had not been written.
    fn sector_hash(&self, at: u64) -> u64 {
        match self {
            Content::Pattern(pattern) => hash([u64::from_le_bytes(*pattern); WORDS]),
            Content::Data(data, _) => {
                let (words, _) = data[at as usize * SECTOR..][..SECTOR].as_chunks::<8>();
                hash(words.iter().map(|word| u64::from_le_bytes(*word)))
            }
        }
    }
}

fn hash(words: impl IntoIterator<Item = u64>) -> u64 {
    let folded = words.into_iter().fold((0, Digest::new()), |(any, d), w| (any | w, d.word(w)));
    if folded.0 == 0 { 0 } else { folded.1.value() }
}

impl Disk {
    /// Every sector zero.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// How many extents it keeps.
    pub fn extents(&self) -> usize {
        self.extents.len()
    }

    fn write(&mut self, first: u64, last: u64, content: Content) {
        self.carve(first, last);
        self.extents.insert(first, Extent { last, content });
    }

    /// Takes the sectors `first ..= last` out of the extents that have them.
    fn carve(&mut self, first: u64, last: u64) {
        let before = self.extents.range(..first).next_back().filter(|(_, e)| e.last >= first);
        let mut met: Vec<u64> = before.map(|(start, _)| *start).into_iter().collect();
        met.extend(self.extents.range(first..=last).map(|(start, _)| *start));
        for start in met {
            let Some(Extent { last: end, content }) = self.extents.remove(&start) else { continue };
            if start < first {
                let content = content.part(0, first - start);
                self.extents.insert(start, Extent { last: first - 1, content });
            }
            if end > last {
                let content = content.part(last + 1 - start, end - last);
                self.extents.insert(last + 1, Extent { last: end, content });
            }
        }
    }

    /// The extents that meet `first ..= last`, each with the part of it that does.
    fn met(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, &Extent, u64, u64)> {
        let before = self.extents.range(..first).next_back().filter(|(_, e)| e.last >= first);
        let others = self.extents.range(first..=last);
        before
            .into_iter()
            .chain(others)
            .map(move |(start, extent)| (*start, extent, first.max(*start), last.min(extent.last)))
    }

    fn read_sectors(&self, first: u64, sectors: u64) -> Bytes {
        let mut out = vec![0; sectors as usize * SECTOR];
        for (start, extent, from, to) in self.met(first, first + (sectors - 1)) {
            let place = (from - first) as usize * SECTOR..((to - first) as usize + 1) * SECTOR;
            match &extent.content {
                Content::Data(data, _) => {
                    let skip = (from - start) as usize * SECTOR;
                    out[place.clone()].copy_from_slice(&data[skip..][..place.len()]);
                }
                Content::Pattern(pattern) => {
                    out[place].as_chunks_mut().0.iter_mut().for_each(|word| *word = *pattern);
                }
            }
        }
        Bytes::from(out)
    }

    /// A sum over the sectors that are not zero, so that no division into extents matters.
    fn checksum(&self, first: u64, last: u64) -> u64 {
        let mut sum = 0_u64;
        for (start, extent, from, to) in self.met(first, last) {
            let mut sector = |at: u64, hash: u64| {
                if hash != 0 {
                    sum = sum.wrapping_add(Digest::new().word(at).word(hash).value());
                }
            };
            if let Content::Pattern(_) = extent.content {
                let hash = extent.content.sector_hash(0);
                (from..=to).for_each(|at| sector(at, hash));
            } else {
                (from..=to).for_each(|at| sector(at, extent.content.sector_hash(at - start)));
            }
        }
        sum
    }

    /// What `request` reads, if it writes nothing.
    fn query(&self, request: &Request<'_>) -> Option<Answer> {
        match *request {
            Request::Read { first, sectors } => {
                Some(Answer::Data(self.read_sectors(first, sectors)))
            }
            Request::Checksum { first, sectors } => {
                Some(Answer::Checksum(self.checksum(first, first + (sectors - 1))))
            }
            Request::Write { .. } | Request::Fill { .. } => None,
        }
    }
}

impl Machine for Disk {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        let answer = match Request::decode(body) {
            Err(failure) => Answer::Failed(failure),
            Ok(Request::Write { first, data }) => {
                let sectors = (data.len() / SECTOR) as u64;
                let content = Content::Data(body.slice_ref(data), body.len());
                self.write(first, first + (sectors - 1), content);
                Answer::Nothing
            }
            Ok(Request::Fill { first, sectors, pattern }) => {
                self.write(first, first + (sectors - 1), Content::Pattern(pattern));
                Answer::Nothing
            }
            Ok(request) => self.query(&request).unwrap_or(Answer::Nothing),
        };
        answer.encode()
    }

    fn read(&self, body: &Bytes) -> Bytes {
        let answer = match Request::decode(body) {
            Ok(request) => self.query(&request).unwrap_or(Answer::Failed(Failure::NotARead)),
            Err(failure) => Answer::Failed(failure),
        };
        answer.encode()
    }

    fn digest(&self) -> u64 {
        self.checksum(0, u64::MAX)
    }
}
