//! Disks that went bad: a snapshot that is gone or damaged is missed.

use super::{done, first_step, identity, load, open, options, pair, state, step, take};
use traft::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use traft::disk::{Disk, SimDisk};
use traft::replica::{self, Doubt, Replica, Write};
use traft::store::{Heard, Home};

/// Records up to 100, everything below 60 dropped.
fn purged() -> SimDisk {
    let ([disk, _], homes) = pair();
    drop(homes);
    disk
}

fn snapshot_of(disk: &SimDisk) -> String {
    let state = disk.state();
    state.names().find(|name| name.ends_with(".snap")).expect("a snapshot").to_string()
}

/// Opens it in doubt, with nothing in its state, still so after a restart; a snapshot from
/// elsewhere mends it.
fn in_doubt(disk: &SimDisk) {
    let mut incarnation = 0;
    for life in 0..2 {
        let opened = open(disk, 1).expect("it was there");
        assert!(opened.recovered.doubt.is_some(), "life {life}");
        assert_eq!((&opened.recovered.durable.snapshot, &opened.state), (&None, &None));
        let durable = &opened.recovered.durable;
        assert!(durable.records.len() >= 40 && durable.doubt == Some(Doubt::Records));
        assert!(durable.incarnation > incarnation, "each life in doubt has its own");
        incarnation = durable.incarnation;
        // A record below what was dropped, given back.
        let mut home = opened.home;
        home.append(&step(1, [7])).expect("room");
        home.sync().expect("a sound disk");
    }
    let opened = open(disk, 1).expect("it was there");
    assert!(opened.recovered.durable.records.iter().any(|record| record.lsn == Lsn(7)));
    drop(opened);
    let mut home = open(disk, 1).expect("it was there").home;
    let (_keep, mut other) = longer();
    let offer = other.offer(ReplicaId(1), Lsn(60)).expect("it is longer");
    let heard = super::carry(&mut other, &mut home, offer, &TailBitmap::new());
    let Heard::Arrived(snapshot) = heard else { panic!("{heard:?}") };
    let write = Write { snapshot: Some(snapshot), ..step(1, []) };
    home.append(&write).expect("room");
    home.sync().expect("a sound disk");
    // What was dropped for the lost one and is given back is kept, even below where that ended.
    home.append(&Write { repaired: true, ..step(2, []) }).expect("room");
    home.sync().expect("a sound disk");
    drop(home);
    let opened = open(disk, 1).expect("it was there");
    assert_eq!((opened.recovered.doubt, opened.damaged.len()), (None, 0));
    assert_eq!(opened.state, Some(state(&done(70))));
}

/// Another replica with everything below 70 in a snapshot.
fn longer() -> (SimDisk, Home<SimDisk>) {
    let disk = SimDisk::new();
    let mut home = open(&disk, 3).expect("a new store").home;
    home.append(&first_step()).expect("room");
    take(&mut home, 70);
    (disk, home)
}

#[test]
fn a_snapshot_that_is_gone_is_missed() {
    let mut disk = purged().state();
    let name = snapshot_of(&SimDisk::of(disk.clone()));
    disk.remove(&name);
    in_doubt(&SimDisk::of(disk));
}

/// Both ends, a block, an index: wherever it is, it is found before anything rests on it.
#[test]
fn a_damaged_snapshot_is_missed() {
    let whole = purged();
    let name = snapshot_of(&whole);
    let bytes = whole.len(&name).expect("it is there");
    for at in [2, 30, bytes / 4, bytes / 2, bytes - 200, bytes - 3] {
        let mut disk = whole.state();
        disk.spoil(&name, |contents| contents[at as usize] ^= 4);
        in_doubt(&SimDisk::of(disk));
    }
}

/// An older snapshot stands in for a damaged one if the log still has what lies between; that it
/// was the newest may have been acknowledged, so there is a doubt all the same.
#[test]
fn an_older_snapshot_stands_in() {
    let disk = SimDisk::new();
    let mut home = open(&disk, 1).expect("a new store").home;
    home.append(&first_step()).expect("room");
    home.append(&step(2, 0..100)).expect("room");
    home.sync().expect("a sound disk");
    take(&mut home, 20);
    // The next one is whole, and the log has not dropped anything for it.
    let meta = super::meta(50, 1);
    let draft = home.take(&meta).expect("a sound disk").expect("it is longer");
    drop(draft.write(state(&meta.done)));
    drop(home);
    let mut spoiled = disk.state();
    spoiled.spoil("0000000000000032.snap", |contents| contents[40] ^= 1);
    let disk = SimDisk::of(spoiled);
    let opened = open(&disk, 1).expect("it was there");
    assert!(opened.recovered.doubt.is_some());
    assert_eq!(opened.state, Some(state(&done(20))));
    assert_eq!(opened.recovered.durable.records.len(), 80);
    // The damaged one is not found again when the doubt is over.
    let mut home = opened.home;
    home.append(&Write { repaired: true, ..step(9, []) }).expect("room");
    home.sync().expect("a sound disk");
    drop(home);
    let opened = open(&disk, 1).expect("it was there");
    assert_eq!((opened.recovered.doubt, opened.state), (None, Some(state(&done(20)))));
    let mut home = opened.home;
    take(&mut home, 60);
    drop(home);
    let opened = open(&disk, 1).expect("it was there");
    assert_eq!((opened.recovered.doubt, opened.state), (None, Some(state(&done(60)))));
}

#[test]
fn another_clusters_snapshot_is_refused() {
    let disk = purged();
    let other = traft::wal::Identity { cluster: 8, replica: ReplicaId(1) };
    let opened = Home::open(disk.clone(), other, options(), load);
    assert!(opened.is_err());
}

/// A full disk costs the draft and nothing else.
#[test]
fn without_room_the_older_one_stays() {
    let disk = SimDisk::new();
    let mut home = open(&disk, 1).expect("a new store").home;
    home.append(&first_step()).expect("room");
    home.append(&step(2, 0..100)).expect("room");
    home.sync().expect("a sound disk");
    take(&mut home, 20);
    disk.set_capacity(Some(disk.state().used() + 1_000));
    let meta = super::meta(50, 1);
    let draft = home.take(&meta).expect("a sound disk").expect("it is longer");
    let error = home.taken(draft.write(state(&meta.done))).expect_err("there is no room");
    assert!(error.is_full(), "{error}");
    assert_eq!(home.snapshot().map(|own| own.header().done.offset()), Some(Lsn(20)));
    let names: Vec<String> = disk.state().names().map(String::from).collect();
    assert!(names.iter().all(|name| !name.ends_with(".aside")), "{names:?}");
    disk.set_capacity(None);
    take(&mut home, 50);
}

/// Doubt 1, `Promises.tla`. Another replica lost its disk at second 1,000, and the terms rose with
/// it; this one promised such a term and lost just that write. What it can read says nothing of
/// it: only the time of the loss does.
#[test]
fn a_promise_that_anothers_loss_had_raised_is_lost_alone() {
    let disk = SimDisk::new();
    let mut home = open(&disk, 1).expect("a new store").home;
    home.append(&first_step()).expect("room");
    home.sync().expect("a sound disk");
    let before = disk.state();
    let raised = LeaderId::new((1_000 << 32) + 7, 2);
    home.append(&Write { voted: Some(raised), ..step(2, []) }).expect("room");
    home.sync().expect("a sound disk");
    drop(home);
    let mut lost = disk.state();
    for name in before.names().filter(|name| name.ends_with(".wal")) {
        let old = before.contents(name).expect("it is there").to_vec();
        lost.spoil(name, |contents| contents[..old.len()].copy_from_slice(&old));
    }
    let promise = |opened_at: u64| {
        let mut options = options();
        options.wal.opened_at = opened_at;
        let disk = SimDisk::of(lost.clone());
        let opened = Home::open(disk, identity(1), options.clone(), load).expect("it was there");
        let durable = opened.recovered.durable;
        assert_eq!(durable.doubt, Some(Doubt::Promise));
        let replica = replica::Options::new(ReplicaId(1), options.initial);
        (durable.incarnation, Replica::new(replica, durable).voted())
    };
    let (incarnation, voted) = promise(1_001);
    assert!(incarnation == 1_001 && voted > raised, "{incarnation} {voted}");
    // And the write was all that told of it: by the count of its own lives alone it would fall.
    let (incarnation, voted) = promise(0);
    assert!(incarnation < 1_000 && voted < raised, "{incarnation} {voted}");
}
