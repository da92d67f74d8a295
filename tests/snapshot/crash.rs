//! Power is lost at every moment: what had the name before is there, or the new file, whole.

use super::{build, contents, header, large_state, open};
use traft::base::{KeyRange, Lsn, TailBitmap};
use traft::disk::{Disk, Fault, Op, SimDisk, State};
use traft::snapshot::{
    Builder, Receiver, Snapshot, TransferOptions, newest, serve, snapshot_name, sweep,
};

/// Disks as a crash could leave them after so many operations: nothing kept of what was not synced,
/// everything, each half, each single thing alone and each missing alone.
fn crashes(state: &State) -> Vec<State> {
    let parts = state.unsynced();
    let mut images = vec![
        state.crash(|_| false),
        state.crash(|_| true),
        state.crash(|part| part % 2 == 0),
        state.crash(|part| part % 2 == 1),
    ];
    // Of hundreds of sectors not all: the outer ones, where lengths and names are.
    for single in (0..parts).filter(|part| *part < 8 || part + 8 > parts) {
        images.push(state.crash(|part| part == single));
        images.push(state.crash(|part| part != single));
    }
    images
}

/// Looks at every crash of a run that began with `start`.
fn at_every_moment(start: &State, ops: &[Op], mut look: impl FnMut(SimDisk)) -> usize {
    let mut state = start.clone();
    let mut images = 0;
    for op in [None].into_iter().chain(ops.iter().map(Some)) {
        op.into_iter().for_each(|op| state.apply(op));
        for image in crashes(&state) {
            images += 1;
            look(SimDisk::of(image));
        }
    }
    images
}

/// A directory with a snapshot of the positions below 40, and its contents.
fn with_old(replaced: bool) -> (SimDisk, [Vec<u8>; 2]) {
    let disk = SimDisk::new();
    let old = snapshot_name(&header(40).done);
    build(&disk, &old, &header(40), &large_state(50, 200));
    let new = if replaced { old.clone() } else { snapshot_name(&header(60).done) };
    let other = SimDisk::new();
    build(&other, &new, &header(if replaced { 40 } else { 60 }), &large_state(300, 200));
    let both = [contents(&disk, &old), contents(&other, &new)];
    (disk, both)
}

fn newest_contents(disk: &SimDisk) -> Vec<u8> {
    let name = newest(disk).unwrap().expect("never neither");
    Snapshot::open(disk.clone(), &name, 0).unwrap().verify(|damage| panic!("{damage}")).unwrap();
    contents(disk, &name)
}

#[test]
fn building_leaves_the_old_or_the_new() {
    for replaced in [false, true] {
        let (disk, both) = with_old(replaced);
        let end = if replaced { 40 } else { 60 };
        let start = disk.state();
        disk.record();
        build(&disk, &snapshot_name(&header(end).done), &header(end), &large_state(300, 200));
        let mut seen = [0, 0];
        let images = at_every_moment(&start, &disk.ops(), |disk| {
            let found = newest_contents(&disk);
            let nth = both.iter().position(|one| *one == found).expect("one of both");
            seen[nth] += 1;
            // The next builder is not in the way of what is left.
            let name = newest(&disk).unwrap().unwrap();
            build(&disk, &name, &header(end), &large_state(2, 2));
            assert_eq!(open(&disk, &name).len(), 2);
        });
        assert!(seen[0] > 10 && seen[1] > 1 && seen[0] + seen[1] == images, "{seen:?}");
    }
}

/// The same of a snapshot that arrives; and after a crash the transfer goes on.
#[test]
fn receiving_leaves_the_old_or_the_new() {
    let (disk, both) = with_old(false);
    let source = SimDisk::new();
    build(&source, "source.snap", &header(60), &large_state(300, 200));
    let source = open(&source, "source.snap");
    let finish = |disk: &SimDisk| {
        let done = TailBitmap::below(Lsn(40));
        let here = (7, &done, &done);
        let options = TransferOptions { window_bytes: 10_000, ..TransferOptions::default() };
        let mut receiver =
            Receiver::new(disk.clone(), source.offer(), here, None, options).unwrap();
        while !receiver.is_complete() {
            let want = receiver.want().unwrap();
            for chunk in serve(&source, &want, 1 << 20).unwrap() {
                receiver.take(&chunk).unwrap();
            }
        }
        receiver.finish().unwrap();
    };
    let start = disk.state();
    disk.record();
    finish(&disk);
    let mut seen = [0, 0];
    at_every_moment(&start, &disk.ops(), |disk| {
        let found = newest_contents(&disk);
        let nth = both.iter().position(|one| *one == found).expect("one of both");
        seen[nth] += 1;
        if nth == 0 {
            finish(&disk);
            assert_eq!(newest_contents(&disk), both[1]);
        }
    });
    assert!(seen[0] > 10 && seen[1] > 1, "{seen:?}");
}

/// A sync that fails and a full disk leave the old one, and say so.
#[test]
fn a_failing_disk_leaves_the_old() {
    let pairs = large_state(300, 200);
    let name = snapshot_name(&header(60).done);
    for nth in 0..3 {
        let (disk, both) = with_old(false);
        disk.plan(nth, Fault::FailSync);
        let mut builder = Builder::new(disk.clone(), &name, &header(60)).unwrap();
        pairs.iter().for_each(|(key, value)| builder.push(key, value).unwrap());
        // Calls: the write, the sync of the file, the sync of the directory.
        assert_eq!(builder.finish().is_ok(), nth == 0, "call {nth}");
        let found = newest_contents(&SimDisk::of(disk.state().crash(|_| false)));
        assert_eq!(found, both[usize::from(nth == 0)]);
    }
    let (disk, both) = with_old(false);
    disk.set_capacity(Some(20_000));
    let mut builder = Builder::new(disk.clone(), &name, &header(60)).unwrap();
    pairs.iter().for_each(|(key, value)| builder.push(key, value).unwrap());
    assert!(builder.finish().is_err());
    assert_eq!(newest_contents(&disk), both[0]);
    disk.set_capacity(None);
    sweep(&disk, &newest(&disk).unwrap().unwrap()).unwrap();
    assert_eq!(disk.list().unwrap().len(), 1);
}

#[test]
fn sweeping_keeps_what_counts_and_what_is_not_ours() {
    let (disk, _) = with_old(false);
    build(&disk, &snapshot_name(&header(60).done), &header(60), &large_state(2, 2));
    let keep = newest(&disk).unwrap().unwrap();
    let later = format!("{}.part", snapshot_name(&header(90).done));
    let others = ["0000000000000001.wal".to_string(), "notes.snap".into(), later];
    let gone = [format!("{keep}.aside"), format!("{keep}.part")];
    others.iter().chain(&gone).for_each(|name| disk.create(name).unwrap());
    sweep(&disk, &keep).unwrap();
    let mut expected = [&others[..], std::slice::from_ref(&keep)].concat();
    expected.sort();
    assert_eq!(disk.list().unwrap(), expected);
    assert_eq!(open(&disk, &keep).range(&KeyRange::ALL).count(), 2);
}
