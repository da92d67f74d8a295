//! Building a snapshot takes memory that does not grow with the number of keys, but for what the
//! directory keeps of each segment. A test binary of its own: it counts every allocation.
//!
//! What grows and why: a segment of the file (200 KiB on average) has an entry in the directory,
//! with its first and its last key. It is written at the end of the file, so the builder keeps it.
//! Everything else is bounded: the block, the keys of one segment, what is not yet written, and
//! what `fst` needs to share suffixes. Lists grow by doubling up to the largest segment so far, so
//! a large file is a little nearer to the bounds than a small one.

use peak_alloc::PeakAlloc;
use traft::base::{LeaderId, Lineage, Lsn, Membership, ReplicaId, TailBitmap};
use traft::disk::{Disk, DiskError};
use traft::snapshot::{Builder, Header, Summary};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Of each segment the directory keeps two keys and where it lies: about 100 bytes and the keys.
/// While it grows, a list holds up to twice its contents, and for a moment its old memory as well.
const SEGMENT_BYTES_MAX: usize = 3 * (200 + 2 * KEY_BYTES);

/// The keys here, about.
const KEY_BYTES: usize = 48;

/// All that does not grow. Above all `fst`, which remembers some states to share suffixes.
const FIXED_BYTES_MAX: usize = 8 << 20;

/// How many keys. The largest file is a dozen times as large as what may be taken.
const COUNTS: [u64; 3] = [50_000, 200_000, 1_000_000];

/// Takes everything and keeps nothing.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Disk for Nowhere {
    type Lock = ();

    fn lock(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(Vec::new())
    }

    fn create(&self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn len(&self, _: &str) -> Result<u64, DiskError> {
        Ok(0)
    }

    fn read(&self, _: &str, _: u64, _: &mut [u8]) -> Result<usize, DiskError> {
        Ok(0)
    }

    fn write(&self, _: &str, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Ok(())
    }

    fn preallocate(&self, _: &str, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn truncate(&self, _: &str, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync(&self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&self, _: &str, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

fn header() -> Header {
    Header {
        cluster: 1,
        replica: ReplicaId(1),
        done: TailBitmap::below(Lsn(1)),
        committed_at: None,
        membership: Membership::majority([ReplicaId(1)]),
        lineage: Lineage::new(LeaderId::new(1, 1)),
        sessions: Default::default(),
    }
}

fn mixed(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ n >> 32
}

/// Builds a snapshot of so many keys, made one at a time; gives the most memory that it took, and
/// what was built. `alike`: the keys share long prefixes and suffixes, which is what `fst`
/// remembers states for; otherwise they rise by random steps and share next to nothing.
fn build(count: u64, alike: bool) -> (usize, Summary) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut builder = Builder::new(Nowhere, "one.snap", &header()).expect("a disk that takes all");
    let mut random = 0_u64;
    let mut key = [0; KEY_BYTES];
    let value = [7; 100];
    for n in 0..count {
        let len = if alike {
            use std::io::Write as _;
            let mut rest = &mut key[..];
            write!(rest, "tenant/{:04}/user/{:08}/name", n / 4_000, n).expect("it fits");
            KEY_BYTES - rest.len()
        } else {
            random += 1 + mixed(n) % (u64::MAX / count / 2);
            key[..8].copy_from_slice(&random.to_be_bytes());
            key[8..16].copy_from_slice(&mixed(!n).to_be_bytes());
            16
        };
        builder.push(&key[..len], &value).expect("keys rise");
    }
    let summary = builder.finish().expect("a disk that takes all");
    (ALLOCATOR.peak_usage() - before, summary)
}

#[test]
fn building_takes_memory_for_the_directory_and_for_no_more_keys() {
    // Whatever is allocated once is, before anything is counted.
    build(1_000, true);
    for alike in [true, false] {
        for count in COUNTS {
            let (peak, built) = build(count, alike);
            let said = format!("alike {alike}: {peak} bytes of memory for {built:?}");
            println!("{said}");
            assert!(built.keys == count && built.bytes > 95 * count, "{said}");
            let allowed = FIXED_BYTES_MAX + built.segments as usize * SEGMENT_BYTES_MAX;
            assert!(peak <= allowed, "{said}, and {allowed} are allowed");
        }
    }
}
