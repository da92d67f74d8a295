//! The store of a replica: log and snapshots in one directory, under every crash that the disk
//! allows, and under disks that went bad.

mod crash;
mod damage;

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use traft::base::{
    Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record,
    ReplicaId, TailBitmap,
};
use traft::disk::SimDisk;
use traft::replica::{SnapshotMeta, Write};
use traft::snapshot::{Parcel, Snapshot, SnapshotError};
use traft::store::{Heard, Home, Opened, Options, StoreError};
use traft::wal::{Identity, WalError, WalOptions};

/// Keys and values.
type State = BTreeMap<Vec<u8>, Vec<u8>>;

const AUTHOR: LeaderId = LeaderId::new(1, 1);

fn identity(replica: u64) -> Identity {
    Identity { cluster: 7, replica: ReplicaId(replica) }
}

/// Segments so small that a script fills several, and snapshots that take several requests.
fn options() -> Options {
    let mut options = Options::new(Membership::majority((1..=3).map(ReplicaId)));
    options.wal = WalOptions { segment_bytes: 8 << 10, ..WalOptions::default() };
    options.transfer.window_bytes = 4_096;
    options
}

fn open(disk: &SimDisk, replica: u64) -> Result<Opened<SimDisk, State>, StoreError> {
    let begun = Home::create(disk.clone(), identity(replica), options());
    match begun {
        Ok(home) => drop(home),
        Err(StoreError::Log(WalError::NotEmpty)) => {}
        Err(error) => return Err(error),
    }
    Home::open(disk.clone(), identity(replica), options(), load)
}

fn load(snapshot: &Snapshot<SimDisk>) -> Result<State, SnapshotError> {
    let pairs = snapshot.range(&KeyRange::ALL);
    pairs.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

/// The record at a position: the same wherever it is made.
fn record(lsn: u64) -> Arc<Record> {
    let key = format!("key{:03}", lsn * 7 % 40);
    let footprint = Footprint::write(KeySet::point(key));
    let body = Bytes::from(vec![lsn as u8; 60 + lsn as usize % 200]);
    Arc::new(Record::bare(Lsn(lsn), AUTHOR, Payload::Command(Command { footprint, body })))
}

/// The state once these positions are done.
fn state(done: &TailBitmap) -> State {
    let mut state = State::new();
    for lsn in (0..done.end().0).map(Lsn).filter(|lsn| done.contains(*lsn)) {
        let record = record(lsn.0);
        let command = record.command().expect("a command");
        state.insert(command.footprint.writes.points()[0].to_vec(), command.body.to_vec());
    }
    state
}

/// Everything below `below`, and a little beyond a gap.
fn done(below: u64) -> TailBitmap {
    let mut done = TailBitmap::below(Lsn(below));
    done.insert_range(Lsn(below + 1), Lsn(below + 3));
    done
}

fn meta(below: u64, committer: u64) -> SnapshotMeta {
    let committer = LeaderId::new(committer, 1);
    SnapshotMeta { done: done(below), committer, membership: None }
}

/// Takes a snapshot of everything below `below`.
fn take(home: &mut Home<SimDisk>, below: u64) {
    let meta = meta(below, 1);
    let draft = home.take(&meta).expect("a sound disk").expect("it is longer");
    assert_eq!(home.taken(draft.write(state(&meta.done))), Ok(Some(Lsn(below))));
}

/// Carries parcels to and fro until nothing moves, giving what `to` heard.
fn carry(
    from: &mut Home<SimDisk>,
    to: &mut Home<SimDisk>,
    first: Parcel,
    done: &TailBitmap,
) -> Heard {
    let (mut there, mut back) = (vec![first], Vec::new());
    while let Some(parcel) = there.pop() {
        let parcel = Parcel::decode(parcel.encode()).expect("what was just encoded");
        match to.hear(parcel, done, &mut back).expect("a sound disk") {
            Heard::Nothing => {}
            heard => return heard,
        }
        for parcel in back.drain(..) {
            from.hear(parcel, done, &mut there).expect("a sound disk");
        }
    }
    Heard::Nothing
}

/// A write of a step.
fn step(number: u64, records: impl IntoIterator<Item = u64>) -> Write {
    let records = records.into_iter().map(record).collect();
    Write { number, records, ..Write::default() }
}

fn first_step() -> Write {
    let lineage = Some(Lineage::new(AUTHOR));
    Write { number: 1, voted: Some(AUTHOR), lineage, ..Write::default() }
}

#[test]
fn a_new_store_is_empty_and_is_begun_once() {
    let disk = SimDisk::new();
    let missing = Home::open(disk.clone(), identity(1), options(), load);
    assert_eq!(missing.map(drop), Err(StoreError::Log(WalError::Empty)));
    let opened = open(&disk, 1).expect("a new store");
    assert_eq!((opened.recovered.doubt, opened.state), (None, None));
    assert!(opened.home.snapshot().is_none());
}

#[test]
fn old_files_go_when_nobody_reads_them() {
    let disk = SimDisk::new();
    let mut home = open(&disk, 1).expect("a new store").home;
    home.append(&first_step()).expect("room");
    home.append(&step(2, 0..100)).expect("room");
    assert_eq!(home.sync(), Ok(2));
    take(&mut home, 20);
    assert_eq!(home.take(&meta(20, 1)).map(|draft| draft.is_none()), Ok(true), "not longer");
    let reader = home.snapshot().cloned().expect("taken");
    take(&mut home, 50);
    let files = |disk: &SimDisk| -> usize {
        disk.state().names().filter(|name| name.ends_with(".snap")).count()
    };
    assert_eq!(files(&disk), 2, "somebody reads the old one");
    assert_eq!(load(&reader), Ok(state(&done(20))));
    drop(reader);
    home.tick(&mut Vec::new()).expect("a sound disk");
    assert_eq!(files(&disk), 1);
}

/// A transfer that is on its way ends with what it began with, though newer ones are made.
#[test]
fn a_snapshot_that_is_being_sent_stays() {
    let (disks, mut homes) = pair();
    let [ours, theirs] = &mut homes;
    let offer = ours.offer(ReplicaId(2), Lsn(60)).expect("it is long enough");
    let mut wants = Vec::new();
    theirs.hear(offer, &TailBitmap::new(), &mut wants).expect("a sound disk");
    let mut chunks = Vec::new();
    ours.hear(wants.remove(0), &done(60), &mut chunks).expect("a sound disk");
    take(ours, 80);
    take(ours, 90);
    let mut heard = Heard::Nothing;
    while let Some(chunk) = chunks.pop() {
        let taken = theirs.hear(chunk, &TailBitmap::new(), &mut wants).expect("a sound disk");
        if taken != Heard::Nothing {
            heard = taken;
        }
        for want in wants.drain(..) {
            ours.hear(want, &done(60), &mut chunks).expect("a sound disk");
        }
        if chunks.is_empty() && heard == Heard::Nothing {
            // Pieces of a span that came in another order than they lie in are asked for again.
            theirs.tick(&mut wants).expect("a sound disk");
            for want in wants.drain(..) {
                ours.hear(want, &done(60), &mut chunks).expect("a sound disk");
                chunks.reverse();
            }
            assert!(theirs.progress().is_some(), "given up");
            if chunks.is_empty() {
                chunks.extend(ours.offer(ReplicaId(2), Lsn(60)));
            }
        }
    }
    assert_eq!(heard, Heard::Arrived(Box::new(meta(60, 1))));
    assert_eq!(theirs.state(&done(60)).map(|snapshot| load(snapshot)), Some(Ok(state(&done(60)))));
    let offered = ours.offer(ReplicaId(2), Lsn(70)).expect("the newest is longer");
    let heard = carry(ours, theirs, offered, &TailBitmap::new());
    assert_eq!(heard, Heard::Arrived(Box::new(meta(90, 1))));
    // What is done there already is known, and the own state is to be saved.
    let offered = ours.offer(ReplicaId(2), Lsn(70)).expect("the newest is longer");
    assert_eq!(carry(ours, theirs, offered, &done(95)), Heard::Known);
    drop(disks);
}

/// A store with a snapshot of everything below 60 and records up to 100, and a new one.
fn pair() -> ([SimDisk; 2], [Home<SimDisk>; 2]) {
    let disks = [SimDisk::new(), SimDisk::new()];
    let mut homes = [1, 2].map(|n| open(&disks[n as usize - 1], n).expect("a new store").home);
    homes[0].append(&first_step()).expect("room");
    homes[0].append(&step(2, 0..100)).expect("room");
    homes[0].sync().expect("a sound disk");
    take(&mut homes[0], 60);
    (disks, homes)
}

#[test]
fn a_stranger_is_not_heard() {
    let (_disks, [mut ours, mut theirs]) = pair();
    let offer = ours.offer(ReplicaId(3), Lsn(60)).expect("it is long enough");
    let mut answers = Vec::new();
    assert_eq!(theirs.hear(offer.clone(), &TailBitmap::new(), &mut answers), Ok(Heard::Nothing));
    let Parcel { transfer: traft::snapshot::Transfer::Offer(mut other), .. } = offer.clone() else {
        panic!("an offer")
    };
    other.cluster = 8;
    let transfer = traft::snapshot::Transfer::Offer(other);
    let other = Parcel { to: ReplicaId(2), transfer, ..offer };
    assert_eq!(theirs.hear(other, &TailBitmap::new(), &mut answers), Ok(Heard::Nothing));
    assert!(answers.is_empty() && theirs.progress().is_none());
    // Nor is a snapshot believed that nobody said had arrived.
    let write = Write { snapshot: Some(Box::new(meta(60, 1))), ..step(1, []) };
    assert_eq!(theirs.append(&write), Err(StoreError::Absent { below: Lsn(60) }));
}
