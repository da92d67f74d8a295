//! The file, and the file with changes over it, against an ordered map.

use super::{NAME, Twin, a_key, a_state, build, header, large_state, open};
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use traft::base::KeyRange;
use traft::disk::{Disk, SimDisk};
use traft::snapshot::{
    Builder, KEY_BYTES_MAX, Live, Overlay, Snapshot, SnapshotError, View, prefix_range,
};

fn in_range<'a>(twin: &'a Twin, range: &'a KeyRange) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let pairs = twin.iter().filter(|(key, _)| range.contains(key));
    pairs.map(|(key, value)| (&key[..], &value[..]))
}

fn same<'a>(
    ours: impl Iterator<Item = Result<(Bytes, Bytes), SnapshotError>>,
    theirs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), TestCaseError> {
    let mut theirs = theirs.fuse();
    for pair in ours {
        let (key, value) = pair.unwrap();
        prop_assert_eq!(Some((&key[..], &value[..])), theirs.next());
    }
    prop_assert_eq!(theirs.next(), None);
    Ok(())
}

fn a_range() -> impl Strategy<Value = KeyRange> {
    let range = (a_key(), option::of(a_key()));
    range.prop_map(|(start, end)| KeyRange { start: start.into(), end: end.map(Bytes::from) })
}

/// Changes of keys of the state, and of others.
fn changes() -> impl Strategy<Value = BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
    btree_map(a_key(), option::of(vec(any::<u8>(), 0..20)), 0..60)
}

fn overlay(changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>, twin: &mut Twin) -> Overlay {
    let mut overlay = Overlay::new();
    for (key, change) in changes {
        match change {
            Some(value) => {
                overlay.set(key.clone(), value.clone());
                twin.insert(key.clone(), value.clone());
            }
            None => {
                overlay.remove(key.clone());
                twin.remove(key);
            }
        }
    }
    overlay
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_file_is_the_map(
        twin in a_state(),
        asked in vec(a_key(), 0..40),
        ranges in vec(a_range(), 1..8),
        cache in prop_oneof![Just(0_usize), Just(20_000), Just(1 << 20)],
    ) {
        let disk = SimDisk::new();
        let summary = build(&disk, NAME, &header(40), &twin);
        prop_assert_eq!(summary.bytes, disk.len(NAME).unwrap());
        let snapshot = Snapshot::open(disk, NAME, cache).unwrap();
        prop_assert_eq!(snapshot.header(), &header(40));
        prop_assert_eq!(snapshot.len(), twin.len() as u64);
        prop_assert_eq!(snapshot.layout().file_bytes, summary.bytes);
        let ends = twin.first_key_value().zip(twin.last_key_value());
        let ends = ends.map(|(a, b)| (a.0.clone().into(), b.0.clone().into()));
        prop_assert_eq!(snapshot.ends(), ends);
        for key in twin.keys().chain(&asked) {
            let value = snapshot.get(key).unwrap();
            prop_assert_eq!(value.as_deref(), twin.get(key).map(|v| &v[..]));
            prop_assert_eq!(snapshot.contains(key).unwrap(), twin.contains_key(key));
        }
        let prefixes = asked.iter().map(|key| prefix_range(key));
        for range in ranges.into_iter().chain(prefixes.take(5)).chain([KeyRange::ALL]) {
            same(snapshot.range(&range), in_range(&twin, &range))?;
            let count = in_range(&twin, &range).count() as u64;
            prop_assert_eq!(snapshot.count(&range).unwrap(), count);
        }
        for prefix in asked.iter().take(5) {
            let theirs = twin.iter().filter(|(key, _)| key.starts_with(prefix));
            same(snapshot.prefix(prefix), theirs.map(|(k, v)| (&k[..], &v[..])))?;
        }
        snapshot.check_keys().unwrap();
        snapshot.verify(|damage| panic!("{damage}")).unwrap();
    }

    #[test]
    fn changes_over_the_file_are_the_map_with_changes(
        mut twin in a_state(),
        with_file in prop::bool::weighted(0.9),
        layers in vec(changes(), 0..3),
        asked in vec(a_key(), 0..30),
        ranges in vec(a_range(), 1..6),
    ) {
        let disk = SimDisk::new();
        build(&disk, NAME, &header(40), &twin);
        let snapshot = with_file.then(|| open(&disk, NAME));
        if !with_file {
            twin.clear();
        }
        let layers: Vec<Overlay> = layers.iter().map(|layer| overlay(layer, &mut twin)).collect();
        let view = View::new(snapshot.as_ref(), layers.iter().rev());
        for key in twin.keys().chain(&asked) {
            let value = view.get(key).unwrap();
            prop_assert_eq!(value.as_deref(), twin.get(key).map(|v| &v[..]));
        }
        for range in ranges.into_iter().chain([KeyRange::ALL]) {
            same(view.range(&range), in_range(&twin, &range))?;
            prop_assert_eq!(view.count(&range).unwrap(), in_range(&twin, &range).count() as u64);
        }
        for prefix in asked.iter().take(3) {
            let theirs = twin.iter().filter(|(key, _)| key.starts_with(prefix));
            same(view.prefix(prefix), theirs.map(|(k, v)| (&k[..], &v[..])))?;
        }
    }
}

/// While one is taken, changes go on; the file has the state of the moment when it was begun.
#[test]
fn a_snapshot_is_taken_while_commands_go_on() {
    let disk = SimDisk::new();
    let mut live = Live::new(None);
    live.changes().set("a", "1");
    live.changes().set("b", "1");
    let held = live.freeze().unwrap();
    live.changes().set("a", "2");
    live.changes().remove("b");
    assert!(live.freeze().is_none(), "one at a time");

    let mut builder = Builder::new(disk.clone(), NAME, &header(2)).unwrap();
    for pair in held.view().range(&KeyRange::ALL) {
        let (key, value) = pair.unwrap();
        builder.push(&key, &value).unwrap();
    }
    builder.finish().unwrap();
    let snapshot = Arc::new(open(&disk, NAME));
    assert_eq!(snapshot.get(b"a"), Ok(Some("1".into())));
    assert_eq!(live.view().get(b"a"), Ok(Some("2".into())));

    live.thaw(snapshot);
    let now: Vec<_> = live.view().range(&KeyRange::ALL).map(Result::unwrap).collect();
    assert_eq!(now, [("a".into(), "2".into())]);
    assert!(live.freeze().is_some());
}

/// A builder says what is wrong with a pair, and goes on.
#[test]
fn pairs_must_come_in_order_and_fit() {
    let disk = SimDisk::new();
    let mut builder = Builder::new(disk.clone(), NAME, &header(2)).unwrap();
    builder.push(b"b", b"").unwrap();
    for key in [b"b", b"a"] {
        let error = builder.push(key, b"").unwrap_err();
        assert_eq!(error, SnapshotError::Order { key: Bytes::copy_from_slice(key) });
    }
    let long = vec![b'c'; KEY_BYTES_MAX];
    assert!(matches!(
        builder.push(&[&long[..], b"c"].concat(), b""),
        Err(SnapshotError::TooLong { what: "key", .. })
    ));
    builder.push(&long, b"long").unwrap();
    builder.finish().unwrap();
    let snapshot = open(&disk, NAME);
    assert_eq!(snapshot.len(), 2);
    assert_eq!(snapshot.get(&long), Ok(Some("long".into())));
}

/// Several segments, about as large as is said, whatever the size of the values.
#[test]
fn blocks_and_segments_have_the_stated_sizes() {
    for (keys, size) in [(60_000, 1), (6_000, 300), (300, 20_000)] {
        let disk = SimDisk::new();
        let summary = build(&disk, NAME, &header(2), &large_state(keys, size));
        let layout = open(&disk, NAME).layout();
        let block = layout.blocks_bytes / summary.blocks;
        let segment = (layout.blocks_bytes + layout.index_bytes) / summary.segments;
        assert!((3_000..30_000).contains(&block), "{size}: blocks of {block} bytes");
        assert!((60_000..600_000).contains(&segment), "{size}: segments of {segment} bytes");
        assert!(summary.segments > 2);
    }
}
