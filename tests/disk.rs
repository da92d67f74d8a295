//! The simulated disk without faults against the real one, in a directory of the tests.
#![cfg(unix)]

use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use traft::disk::{Disk, DiskError, Fault, Faulty, Mood, RealDisk, SECTOR, SimDisk, Trouble};

#[derive(Clone, Debug)]
enum Call {
    Create(u8),
    Write(u8, u16, Vec<u8>),
    Append(u8, Vec<u8>),
    Read(u8, u16, u16),
    Preallocate(u8, u16),
    Truncate(u8, u16),
    Sync(u8),
    Rename(u8, u8),
    Remove(u8),
    SyncDir,
}

fn call() -> impl Strategy<Value = Call> {
    let file = || 0..3_u8;
    let bytes = || prop::collection::vec(any::<u8>(), 0..1_500);
    prop_oneof![
        3 => file().prop_map(Call::Create),
        4 => (file(), 0..3_000_u16, bytes()).prop_map(|(f, at, bytes)| Call::Write(f, at, bytes)),
        2 => (file(), bytes()).prop_map(|(f, bytes)| Call::Append(f, bytes)),
        4 => (file(), 0..5_000_u16, 0..3_000_u16).prop_map(|(f, at, n)| Call::Read(f, at, n)),
        1 => (file(), 0..6_000_u16).prop_map(|(f, len)| Call::Preallocate(f, len)),
        1 => (file(), 0..6_000_u16).prop_map(|(f, len)| Call::Truncate(f, len)),
        1 => file().prop_map(Call::Sync),
        1 => (file(), file()).prop_map(|(from, to)| Call::Rename(from, to)),
        1 => file().prop_map(Call::Remove),
        1 => Just(Call::SyncDir),
    ]
}

/// What a call gives, in one form for all.
fn carry_out(disk: &impl Disk, call: &Call) -> Result<Vec<u8>, DiskError> {
    let name = |file: u8| format!("file-{file}");
    let nothing = |()| Vec::new();
    match call {
        Call::Create(f) => disk.create(&name(*f)).map(nothing),
        Call::Write(f, at, bytes) => disk.write(&name(*f), u64::from(*at), bytes).map(nothing),
        Call::Append(f, bytes) => disk.append(&name(*f), bytes).map(nothing),
        Call::Read(f, at, n) => {
            let mut buffer = vec![0; usize::from(*n)];
            let read = disk.read(&name(*f), u64::from(*at), &mut buffer)?;
            buffer.truncate(read);
            Ok(buffer)
        }
        Call::Preallocate(f, len) => disk.preallocate(&name(*f), u64::from(*len)).map(nothing),
        Call::Truncate(f, len) => disk.truncate(&name(*f), u64::from(*len)).map(nothing),
        Call::Sync(f) => disk.sync(&name(*f)).map(nothing),
        Call::Rename(from, to) => disk.rename(&name(*from), &name(*to)).map(nothing),
        Call::Remove(f) => disk.remove(&name(*f)).map(nothing),
        Call::SyncDir => disk.sync_dir().map(nothing),
    }
}

fn directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("disk-{}-{number}", std::process::id());
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_simulated_disk_is_a_disk(calls in prop::collection::vec(call(), 1..60)) {
        let (sim, root) = (SimDisk::new(), directory());
        let real = RealDisk::new(&root).unwrap();
        for call in &calls {
            prop_assert_eq!(carry_out(&sim, call), carry_out(&real, call), "{:?}", call);
            prop_assert_eq!(sim.list(), real.list());
        }
        for name in sim.list().unwrap() {
            let mut there = vec![0; sim.len(&name).unwrap() as usize];
            real.read(&name, 0, &mut there).unwrap();
            let state = sim.state();
            prop_assert_eq!(state.contents(&name), Some(&there[..]));
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    /// What a crash leaves of each sector is what it was or what was written, and what was synced.
    #[test]
    fn a_crash_tears_between_sectors_only(
        synced in prop::collection::vec(1..=9_u8, 1..2_000),
        at in 0..2_000_u16,
        lost in prop::collection::vec(11..=19_u8, 1..2_000),
        kept in any::<u64>(),
    ) {
        let disk = SimDisk::new();
        disk.create("a").unwrap();
        disk.write("a", 0, &synced).unwrap();
        disk.sync("a").unwrap();
        disk.sync_dir().unwrap();
        disk.write("a", u64::from(at), &lost).unwrap();
        let state = disk.state();
        let after = state.crash(|nth| kept >> (nth % 64) & 1 == 1);
        let (new, now) = (state.contents("a").unwrap(), after.contents("a").unwrap());
        prop_assert!(now.len() == synced.len() || now.len() == new.len());
        let old = |at: usize| synced.get(at).copied().unwrap_or(0);
        for (nth, sector) in now.chunks(SECTOR).enumerate() {
            let place = |at: usize| nth * SECTOR + at;
            let is_new = sector.iter().enumerate().all(|(at, byte)| *byte == new[place(at)]);
            let is_old = sector.iter().enumerate().all(|(at, byte)| *byte == old(place(at)));
            prop_assert!(is_new || is_old, "sector {}", nth);
        }
    }
}

#[test]
fn names_need_a_sync_of_the_directory() {
    let disk = SimDisk::new();
    disk.create("old").unwrap();
    disk.sync_dir().unwrap();
    disk.create("new").unwrap();
    disk.sync("new").unwrap();
    disk.rename("old", "older").unwrap();
    let names = |keep: fn(usize) -> bool| -> Vec<String> {
        disk.state().crash(keep).names().map(str::to_string).collect()
    };
    assert_eq!(names(|_| false), ["old"]);
    assert_eq!(names(|_| true), ["new", "older"]);
    assert_eq!(disk.state().unsynced(), 2);
    disk.sync_dir().unwrap();
    assert_eq!(disk.state().unsynced(), 0);
}

#[test]
fn a_failed_sync_shows_what_is_not_there() {
    let disk = SimDisk::new();
    disk.create("a").unwrap();
    disk.sync_dir().unwrap();
    disk.write("a", 0, b"one").unwrap();
    disk.plan(0, Fault::FailSync);
    assert!(matches!(disk.sync("a"), Err(DiskError::Failed { what: "sync", .. })));
    assert_eq!(disk.sync("a"), Ok(()));
    let mut seen = [0; 3];
    assert_eq!(disk.read("a", 0, &mut seen), Ok(3));
    assert_eq!(&seen, b"one");
    assert_eq!(disk.state().crash(|_| true).contents("a"), Some(&[][..]));
}

#[test]
fn a_full_disk_says_so_and_takes_what_fits() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(2_000));
    disk.create("a").unwrap();
    assert_eq!(disk.preallocate("a", 2_001), Err(DiskError::Full { name: "a".into() }));
    assert_eq!(disk.preallocate("a", 900), Ok(()));
    disk.create("b").unwrap();
    assert_eq!(disk.write("b", 0, &[1; 1_200]), Err(DiskError::Full { name: "b".into() }));
    assert_eq!(disk.len("b"), Ok(1_024));
    disk.set_capacity(None);
    assert_eq!(disk.write("b", 0, &[1; 1_200]), Ok(()));
}

#[test]
fn sectors_that_cannot_be_read_come_back_when_they_are_written() {
    let disk = SimDisk::new();
    disk.create("a").unwrap();
    disk.write("a", 0, &[7; 2 * SECTOR]).unwrap();
    disk.fail_reads("a", SECTOR as u64);
    let mut sector = [0; SECTOR];
    assert_eq!(disk.read("a", 0, &mut sector), Ok(SECTOR));
    assert!(disk.read("a", SECTOR as u64, &mut sector).is_err());
    disk.write("a", SECTOR as u64, &[8; SECTOR]).unwrap();
    assert_eq!(disk.read("a", SECTOR as u64, &mut sector), Ok(SECTOR));
    assert_eq!(sector, [8; SECTOR]);
}

#[test]
fn a_directory_has_one_owner() {
    let (sim, root) = (SimDisk::new(), directory());
    let real = RealDisk::new(&root).unwrap();
    let (one, other) = (sim.lock().unwrap(), real.lock().unwrap());
    assert!(matches!(sim.lock(), Err(DiskError::Locked)));
    assert!(matches!(RealDisk::new(&root).unwrap().lock(), Err(DiskError::Locked)));
    drop((one, other));
    assert!(sim.lock().is_ok() && real.lock().is_ok());
    assert!(matches!(real.create("../x"), Err(DiskError::Failed { what: "name", .. })));
    std::fs::remove_dir_all(root).unwrap();
}

/// Zeros are written where zeros are read, in parts of any size.
#[test]
fn what_is_prepared_reads_as_before() {
    let root = directory();
    let disk = RealDisk::new(&root).expect("a directory");
    disk.create("a").expect("a new file");
    disk.preallocate("a", 200_000).expect("room");
    disk.write("a", 0, b"before").expect("room");
    disk.write("a", 150_000, b"behind").expect("room");
    disk.prepare("a", 512, 150_000).expect("room");
    disk.prepare("a", 700, 700).expect("nothing to do");
    let mut found = vec![1; 200_001];
    assert_eq!(disk.read("a", 0, &mut found), Ok(200_000));
    let mut expected = vec![0; 200_000];
    expected[..6].copy_from_slice(b"before");
    expected[150_000..150_006].copy_from_slice(b"behind");
    assert!(found[..200_000] == expected, "what is read is what was written");
    std::fs::remove_dir_all(root).expect("the directory of the test can be removed");
}

/// What was hung goes on when it is well again, and not before.
#[test]
fn a_faulty_disk_fares_as_it_is_told() {
    let trouble = Trouble::default();
    let disk = Faulty::new(SimDisk::new(), trouble.clone());
    disk.create("a").expect("it is well");
    disk.create("old").expect("it is well");
    disk.write("old", 0, b"12").expect("it is well");
    trouble.set(Mood::Full);
    let full = Err(DiskError::Full { name: "a".into() });
    assert_eq!((disk.write("a", 0, b"1"), disk.preallocate("a", 9)), (full.clone(), full));
    assert!(matches!(disk.create("b"), Err(DiskError::Full { .. })));
    assert_eq!((disk.len("a"), disk.sync("a")), (Ok(0), Ok(())), "nothing was written");
    assert_eq!((disk.write("old", 1, b"3"), disk.len("old")), (Ok(()), Ok(2)), "it has that room");
    trouble.set(Mood::Copying);
    assert!(matches!(disk.write("old", 1, b"3"), Err(DiskError::Full { .. })), "not any more");
    trouble.set(Mood::Failing);
    assert!(matches!(disk.sync("a"), Err(DiskError::Failed { what: "sync", .. })));
    assert_eq!(disk.sync("a"), Ok(()), "it fails once");
    trouble.set(Mood::Late(std::time::Duration::from_millis(1)));
    assert_eq!(disk.sync("a"), Ok(()));
    trouble.set(Mood::Hung);
    std::thread::scope(|scope| {
        let write = scope.spawn(|| disk.write("a", 0, b"1"));
        assert_eq!(disk.len("a"), Ok(0), "looking is always possible");
        assert!(!write.is_finished());
        trouble.set(Mood::Well);
        assert_eq!(write.join().expect("no panic"), Ok(()));
    });
    assert_eq!(disk.len("a"), Ok(1));
}
