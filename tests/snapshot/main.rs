//! Snapshots: the file against an ordered map, against damage, against crashes, and on its way to
//! another replica.

mod crash;
mod hostile;
mod parcels;
mod transfer;
mod twin;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use traft::base::{LeaderId, Lineage, Lsn, Membership, ReplicaId, TailBitmap};
use traft::disk::{Disk, SimDisk};
use traft::snapshot::{Builder, Header, Snapshot, Summary};

type Twin = BTreeMap<Vec<u8>, Vec<u8>>;

const NAME: &str = "some.snap";

/// The header of a snapshot of the positions below `end`, and some more.
fn header(end: u64) -> Header {
    let mut done = TailBitmap::below(Lsn(end));
    done.insert_range(Lsn(end + 3), Lsn(end + 7));
    let mut lineage = Lineage::new(LeaderId::new(3, 2));
    lineage.push(LeaderId::new(1, 1), Lsn(end.min(2)));
    Header {
        cluster: 7,
        replica: ReplicaId(2),
        done,
        committed_at: Some(Lsn(1)),
        membership: Membership::majority([1, 2, 3].map(ReplicaId)),
        lineage,
        sessions: Bytes::from_static(b"sessions"),
    }
}

fn build(disk: &SimDisk, name: &str, header: &Header, pairs: &Twin) -> Summary {
    let mut builder = Builder::new(disk.clone(), name, header).unwrap();
    for (key, value) in pairs {
        builder.push(key, value).unwrap();
    }
    builder.finish().unwrap()
}

fn open(disk: &SimDisk, name: &str) -> Snapshot<SimDisk> {
    Snapshot::open(disk.clone(), name, 1 << 20).unwrap()
}

fn contents(disk: &SimDisk, name: &str) -> Vec<u8> {
    let mut bytes = vec![0; disk.len(name).unwrap() as usize];
    assert_eq!(disk.read(name, 0, &mut bytes), Ok(bytes.len()));
    bytes
}

/// A disk with one file.
fn disk_of(name: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    disk.create(name).unwrap();
    disk.write(name, 0, bytes).unwrap();
    disk
}

/// Keys with few letters, with a long common start, and of any bytes.
fn a_key() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(255)];
    prop_oneof![
        vec(letter, 0..5),
        (0..2_000_u32).prop_map(|n| format!("account/savings/{n:08}").into_bytes()),
        vec(any::<u8>(), 0..20),
    ]
}

/// A state: small values, or enough large ones for several segments.
fn a_state() -> impl Strategy<Value = Twin> {
    let large = || (0..6_000_usize, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]);
    prop_oneof![
        2 => btree_map(a_key(), vec(any::<u8>(), 0..30), 0..300),
        1 => btree_map(a_key(), large(), 0..300),
    ]
}

/// A state of several segments, the same twice: the nth key has a value of the given size.
fn large_state(keys: u32, size: usize) -> Twin {
    let pair = |n: u32| {
        let mixed = n.wrapping_mul(0x9e37_79b9);
        let value = vec![mixed as u8; size / 2 + mixed as usize % size];
        (format!("user/{n:06}").into_bytes(), [&mixed.to_le_bytes()[..], &value].concat())
    };
    (0..keys).map(pair).collect()
}
