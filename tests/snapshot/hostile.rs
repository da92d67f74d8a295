//! Bytes that no builder wrote: found, named, and never a panic.

use super::{NAME, Twin, build, contents, disk_of, header, large_state, open};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use sha2::{Digest, Sha256};
use traft::base::{KeyRange, crc32c};
use traft::disk::{Disk, SimDisk};
use traft::snapshot::{Cause, Damage, Part, Snapshot, SnapshotError};

const GOLDEN: &str = "tests/golden/snapshot-v1.txt";

/// Small, with everything in it.
fn small() -> Twin {
    let pair = |n: u32| (format!("k{}", n * n).into_bytes(), n.to_string().repeat(n as usize % 5));
    (0..12).map(pair).map(|(key, value)| (key, value.into_bytes())).collect()
}

fn bytes_of(pairs: &Twin) -> Vec<u8> {
    let disk = SimDisk::new();
    build(&disk, NAME, &header(40), pairs);
    contents(&disk, NAME)
}

/// Everything that can be asked. What it says is that of the map, or it says that it is damaged.
fn ask(bytes: &[u8], pairs: &Twin) -> Result<Vec<Damage>, SnapshotError> {
    let snapshot = Snapshot::open(disk_of(NAME, bytes), NAME, 1 << 16)?;
    let mut found = Vec::new();
    snapshot.verify(|damage| found.push(damage))?;
    for (key, value) in pairs {
        if let Ok(ours) = snapshot.get(key) {
            assert_eq!(ours.as_deref(), Some(&value[..]), "{found:?}");
        }
    }
    for pair in snapshot.range(&KeyRange::ALL).flatten() {
        assert_eq!(pairs.get(&pair.0[..]).map(|v| &v[..]), Some(&pair.1[..]));
    }
    if let Ok(count) = snapshot.count(&KeyRange::ALL) {
        assert_eq!(count, pairs.len() as u64);
    }
    Ok(found)
}

/// What was released can be read for ever, and is still written so.
#[test]
fn the_bytes_are_those_of_version_one() {
    let rows: Vec<String> = bytes_of(&small())
        .chunks(32)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let head = "# A snapshot of twelve keys. A change here is a new version.\n";
    let text = format!("{head}{}\n", rows.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert!(std::fs::read_to_string(GOLDEN).unwrap() == text, "{GOLDEN} differs; BLESS=1 rewrites");
    let hex: Vec<char> = text.lines().skip(1).flat_map(str::chars).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    let bytes: Vec<u8> = hex.chunks(2).map(byte).collect();
    assert_eq!(ask(&bytes, &small()), Ok(vec![]));
}

#[test]
fn every_flipped_bit_is_found() {
    let (pairs, good) = (small(), bytes_of(&small()));
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(ask(&bytes, &pairs), Ok(vec![]), "bit {bit} of {}", good.len());
    }
}

#[test]
fn every_truncation_is_found_at_open() {
    let (pairs, good) = (small(), bytes_of(&small()));
    for size in 0..good.len() {
        let error = ask(&good[..size], &pairs).unwrap_err();
        let typed = matches!(error, SnapshotError::NotSnapshot | SnapshotError::Damaged(_));
        assert!(typed, "cut to {size}: {error}");
    }
    let longer = [&good[..], b"more"].concat();
    assert!(ask(&longer, &pairs).is_err());
}

/// Damage in a block, in an index and on the disk names the keys; all others can be read.
#[test]
fn damage_names_the_keys_it_concerns() {
    let (pairs, good) = {
        let pairs = large_state(3_000, 300);
        let bytes = bytes_of(&pairs);
        (pairs, bytes)
    };
    let middle = good.len() as u64 / 2;
    let flipped = disk_of(NAME, &good);
    flipped.write(NAME, middle, &[!good[middle as usize]]).unwrap();
    let unreadable = disk_of(NAME, &good);
    unreadable.fail_reads(NAME, middle);
    for disk in [flipped, unreadable] {
        let snapshot = open(&disk, NAME);
        let mut found = Vec::new();
        snapshot.verify(|damage| found.push(damage)).unwrap();
        let [damage] = &found[..] else { panic!("{found:?}") };
        assert_eq!(damage.part, Part::Block);
        assert!((damage.offset..damage.offset + damage.bytes).contains(&middle));
        let mut concerned = 0;
        for (key, value) in &pairs {
            match snapshot.get(key) {
                Ok(ours) => {
                    assert_eq!(ours.as_deref(), Some(&value[..]));
                    assert!(!damage.keys.contains(key), "{damage}");
                }
                Err(error) => {
                    assert_eq!(error, SnapshotError::Damaged(Box::new(damage.clone())));
                    assert!(damage.keys.contains(key), "{damage}");
                    concerned += 1;
                }
            }
        }
        assert!((1..100).contains(&concerned));
        // A range ends there, and goes on behind it.
        let until = snapshot.range(&KeyRange::ALL).map_while(Result::ok).count();
        let behind = KeyRange { start: damage.keys.end.clone().unwrap(), end: None };
        let rest = snapshot.range(&behind).map(Result::unwrap).count();
        assert_eq!(until + concerned + rest, pairs.len());
    }
}

#[test]
fn a_later_version_and_another_file_are_told_apart() {
    let mut bytes = bytes_of(&small());
    bytes[8] = 2;
    assert!(matches!(ask(&bytes, &small()), Err(SnapshotError::Damaged(_))), "a bit that changed");
    let sum = crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&sum);
    assert_eq!(ask(&bytes, &small()), Err(SnapshotError::Version { found: 2 }));
    bytes[0] = b'x';
    assert_eq!(ask(&bytes, &small()), Err(SnapshotError::NotSnapshot));
}

#[derive(Clone, PartialEq, Message)]
struct Directory {
    #[prost(message, repeated, tag = "1")]
    segments: Vec<Segment>,
}

#[derive(Clone, PartialEq, Message)]
struct Segment {
    #[prost(bytes = "bytes", tag = "1")]
    first: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    last: Bytes,
    #[prost(uint64, tag = "3")]
    blocks_bytes: u64,
    #[prost(uint32, tag = "4")]
    index_bytes: u32,
    #[prost(uint64, tag = "5")]
    keys: u64,
    #[prost(fixed32, tag = "6")]
    index_crc: u32,
    #[prost(bytes = "bytes", tag = "7")]
    index_hash: Bytes,
}

fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn sha(parts: [&[u8]; 2]) -> Vec<u8> {
    Sha256::new().chain_update(parts[0]).chain_update(parts[1]).finalize()[..16].to_vec()
}

/// Makes every checksum fit again, as whoever builds nonsense on purpose would.
fn seal(bytes: &mut Vec<u8>) {
    let end = bytes.len() - 64;
    let (data_at, directory_at) = (number(bytes, end), number(bytes, end + 8));
    if !(24..=directory_at).contains(&data_at) || directory_at > end {
        return;
    }
    if let Ok(mut directory) = Directory::decode(&bytes[directory_at..end]) {
        let mut at = data_at;
        for segment in &mut directory.segments {
            let start = at.saturating_add(segment.blocks_bytes as usize);
            let stop = start.saturating_add(segment.index_bytes as usize);
            if let Some(index) = bytes[..directory_at].get(start..stop) {
                segment.index_crc = crc32c(index);
                segment.index_hash = sha([index, b""]).into();
            }
            at = stop;
        }
        let coded = directory.encode_to_vec();
        bytes.splice(directory_at..end, coded);
    }
    let end = bytes.len() - 64;
    let header = crc32c(&bytes[24..data_at]).to_le_bytes();
    bytes[16..20].copy_from_slice(&header);
    let prologue = crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&prologue);
    bytes[end + 16..end + 24].copy_from_slice(&((end - directory_at) as u64).to_le_bytes());
    let root = sha([&bytes[..data_at], &bytes[directory_at..end]]);
    bytes[end + 32..end + 48].copy_from_slice(&root);
    let directory = crc32c(&bytes[directory_at..end]).to_le_bytes();
    bytes[end + 48..end + 52].copy_from_slice(&directory);
    let footer = crc32c(&bytes[end..end + 52]).to_le_bytes();
    bytes[end + 52..end + 56].copy_from_slice(&footer);
}

/// Asks without expecting anything but an answer; no more pairs than the file says.
fn poke(bytes: &[u8], keys: &[Vec<u8>]) {
    let Ok(snapshot) = Snapshot::open(disk_of(NAME, bytes), NAME, 1 << 16) else { return };
    let _ = (snapshot.check_keys(), snapshot.verify(drop));
    for key in keys {
        let range = KeyRange { start: key.clone().into(), end: None };
        let _ = (snapshot.get(key), snapshot.count(&range), snapshot.prefix(key).count());
    }
    assert!(snapshot.range(&KeyRange::ALL).count() as u64 <= snapshot.len() + 1);
}

#[test]
fn sealing_changes_nothing_that_is_right() {
    let good = bytes_of(&small());
    let mut sealed = good.clone();
    seal(&mut sealed);
    assert_eq!(good, sealed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nonsense_with_right_checksums_does_no_harm(
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in prop::option::of((any::<Index>(), any::<Index>())),
    ) {
        let mut bytes = bytes_of(&small());
        if let Some((from, to)) = cut {
            let (from, to) = (from.index(bytes.len() - 64), to.index(bytes.len() - 64));
            bytes.drain(from.min(to)..from.max(to));
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        seal(&mut bytes);
        poke(&bytes, &[b"".to_vec(), b"k1".to_vec(), b"k144".to_vec(), b"z".to_vec()]);
    }

    #[test]
    fn noise_does_no_harm(noise in vec(any::<u8>(), 0..400), with_magic: bool) {
        let mut bytes = noise;
        if with_magic && bytes.len() > 100 {
            bytes.splice(0..12, *b"traftsnp\x01\0\0\0");
            seal(&mut bytes);
        }
        prop_assert!(Snapshot::open(disk_of(NAME, &bytes), NAME, 0).is_err());
    }
}

/// A checksum that fits the wrong contents is not enough for the hash.
#[test]
fn verify_looks_at_the_hash_as_well() {
    let pairs = small();
    let mut bytes = bytes_of(&pairs);
    // The value of the last key is the end of the only block; its checksum lies in the index.
    let end = bytes.len() - 64;
    let (data_at, directory_at) = (number(&bytes, end), number(&bytes, end + 8));
    let directory = Directory::decode(&bytes[directory_at..end]).unwrap();
    let block_end = data_at + directory.segments[0].blocks_bytes as usize;
    let old = crc32c(&bytes[data_at..block_end]).to_le_bytes();
    bytes[block_end - 1] ^= 1;
    let new = crc32c(&bytes[data_at..block_end]).to_le_bytes();
    let place = bytes[block_end..].windows(4).position(|window| window == old).unwrap();
    bytes[block_end + place..][..4].copy_from_slice(&new);
    seal(&mut bytes);
    let mut found = Vec::new();
    open(&disk_of(NAME, &bytes), NAME).verify(|damage| found.push(damage)).unwrap();
    let [Damage { part: Part::Block, cause: Cause::Checksum, .. }] = &found[..] else {
        panic!("{found:?}")
    };
}
