//! The checked reader against the one of the `fst` crate, and against bytes that nobody wrote.

use super::*;
use fst::{IntoStreamer, Streamer};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

type Set = BTreeSet<Vec<u8>>;

fn built(keys: &Set) -> Vec<u8> {
    let mut builder = fst::MapBuilder::memory();
    for (rank, key) in keys.iter().enumerate() {
        builder.insert(key, rank as u64).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Few letters, so that prefixes and suffixes are shared, or any bytes, so that nodes are wide.
fn a_key() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(b'a'), Just(b't'), Just(0), Just(255), Just(b'W')];
    prop_oneof![vec(letter, 0..6), vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..30)]
}

fn walked(keys: &Keys, from: &[u8]) -> Found<Vec<(Vec<u8>, u64)>> {
    let mut walk = Walk::new(Arc::new(keys.clone()), from)?;
    let mut all = Vec::new();
    while let Some((key, rank)) = walk.next()? {
        all.push((key.to_vec(), rank));
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reads_as_the_crate_does(
        keys in btree_set(a_key(), 1..400),
        asked in vec(a_key(), 1..50),
    ) {
        let bytes = built(&keys);
        let theirs = fst::Map::new(&bytes[..]).unwrap();
        let ours = Keys::new(bytes.clone().into()).unwrap();
        prop_assert_eq!(ours.len(), theirs.len() as u64);
        for key in keys.iter().chain(&asked) {
            prop_assert_eq!(ours.get(key), Ok(theirs.get(key)));
            prop_assert_eq!(ours.rank(key), Ok(keys.range(..key.clone()).count() as u64));
        }
        for (rank, key) in keys.iter().enumerate() {
            let found = ours.key(rank as u64).unwrap();
            prop_assert_eq!(&found[..], &key[..]);
        }
        for from in asked.iter().take(5) {
            let mut stream = theirs.range().ge(from).into_stream();
            let mut expected = Vec::new();
            while let Some((key, rank)) = stream.next() {
                expected.push((key.to_vec(), rank));
            }
            prop_assert_eq!(walked(&ours, from), Ok(expected));
        }
    }

    /// Wrong bytes give an error or wrong keys, never a panic, and never more keys than it says.
    #[test]
    fn survives_any_bytes(
        keys in btree_set(a_key(), 1..100),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        asked in vec(a_key(), 1..20),
    ) {
        let mut bytes = built(&keys);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Not the length: what is counted is bounded by it, and its owner compares it.
        let at = bytes.len() - FOOT;
        bytes[at..at + 8].copy_from_slice(&(keys.len() as u64).to_le_bytes());
        let Ok(ours) = Keys::new(bytes.into()) else { return Ok(()) };
        for key in keys.iter().chain(&asked) {
            let _ = (ours.get(key), ours.rank(key));
            if let Ok(all) = walked(&ours, key) {
                prop_assert!(all.len() <= keys.len());
            }
        }
        for rank in 0..keys.len() as u64 + 2 {
            let _ = ours.key(rank);
        }
    }

    #[test]
    fn survives_noise(mut bytes in vec(any::<u8>(), 0..300), key in a_key()) {
        if bytes.len() >= HEAD + FOOT {
            bytes[..8].copy_from_slice(&VERSION.to_le_bytes());
            let at = bytes.len() - FOOT;
            bytes[at..at + 8].copy_from_slice(&9_u64.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&(at as u64 - 1).to_le_bytes());
        }
        if let Ok(ours) = Keys::new(bytes.into()) {
            let _ = (ours.get(&key), ours.rank(&key), ours.key(3), walked(&ours, &key));
        }
    }
}
