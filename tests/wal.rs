//! The log in a real directory, its bytes against the golden file, and what the contract of stores
//! leaves open.
#![cfg(unix)]

use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use traft::base::{
    Command, Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record, ReplicaId,
};
use traft::disk::{Disk, Faulty, Mood, RealDisk, SECTOR, SimDisk, Trouble};
use traft::replica::Write;
use traft::wal::{Identity, Row, Store, Wal, WalError, WalOptions};

const IDENTITY: Identity = Identity { cluster: 0x7261_6674, replica: ReplicaId(1) };
const OPTIONS: WalOptions = WalOptions { segment_bytes: 64 << 10, opened_at: 0 };

fn directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wal-{}-{number}", std::process::id()))
}

fn record(lsn: u64, author: LeaderId, size: usize) -> Arc<Record> {
    let footprint = Footprint::write(KeySet::point(format!("key-{lsn}")));
    let body = Bytes::from(vec![lsn as u8; size]);
    Arc::new(Record::bare(Lsn(lsn), author, Payload::Command(Command { footprint, body })))
}

fn first_step() -> Write {
    let author = LeaderId::new(1, 1);
    Write {
        number: 1,
        voted: Some(author),
        lineage: Some(Lineage::new(author)),
        records: vec![record(2, author, 600), record(0, author, 3)].into(),
        membership: Some((Lsn(1), Membership::majority([1, 2, 3].map(ReplicaId)))),
        ..Write::default()
    }
}

#[test]
fn each_start_has_a_number_of_its_own_whatever_a_crash_leaves() {
    let mut disk = SimDisk::new();
    drop(Wal::create(disk.clone(), IDENTITY, OPTIONS).unwrap());
    let mut life = 0;
    for n in 0..20 {
        let (mut wal, recovered) = Wal::open(disk.clone(), IDENTITY, OPTIONS).unwrap();
        assert!(recovered.durable.life > life, "start {n}");
        life = recovered.durable.life;
        // Some lives write nothing, and what some write is lost.
        if n % 3 > 0 {
            wal.append(&Write { number: 1, voted: Some(LeaderId::new(n, 1)), ..Write::default() })
                .unwrap();
        }
        if n % 3 == 1 {
            wal.sync().unwrap();
        }
        drop(wal);
        disk = SimDisk::of(disk.state().crash(|_| n % 2 == 0));
    }
}

#[test]
fn a_real_directory_gives_back_what_it_was_given() {
    let root = directory();
    let disk = || RealDisk::new(&root).unwrap();
    let author = LeaderId::new(1, 1);
    let mut wal = Wal::create(disk(), IDENTITY, OPTIONS).unwrap();
    assert!(matches!(Wal::open(disk(), IDENTITY, OPTIONS), Err(WalError::Locked)));
    wal.append(&first_step()).unwrap();
    for n in 4..400_u64 {
        let records = vec![record(n ^ 1, author, 1_000)].into();
        wal.append(&Write { number: n, records, ..Write::default() }).unwrap();
        if n % 10 == 0 {
            assert_eq!(wal.sync().unwrap(), n);
        }
    }
    assert_eq!(wal.sync().unwrap(), 399);
    assert_eq!(wal.load(Lsn(77)).unwrap(), Some(record(77, author, 1_000)));
    assert_eq!(wal.load(Lsn(1)).unwrap(), None);
    drop(wal);
    assert!(matches!(Wal::create(disk(), IDENTITY, OPTIONS), Err(WalError::NotEmpty)));
    let (mut wal, found) = Wal::open(disk(), IDENTITY, OPTIONS).unwrap();
    assert_eq!((found.doubt, found.flaws.len(), found.durable.records.len()), (None, 0, 398));
    assert_eq!(found.durable.membership, first_step().membership);
    assert_eq!(wal.load(Lsn(77)).unwrap(), Some(record(77, author, 1_000)));
    // Nothing below 390 is needed any more: six segments and more go.
    assert!(wal.purge(Lsn(390)).unwrap() >= 6);
    drop(wal);
    let (_, found) = Wal::open(disk(), IDENTITY, OPTIONS).unwrap();
    assert_eq!((found.purged, found.durable.records.len()), (Lsn(390), 10));
    std::fs::remove_dir_all(root).unwrap();
}

/// Format 1, byte for byte: written today as it was written then, and read.
#[test]
fn the_format_is_that_of_the_golden_file() {
    let disk = SimDisk::new();
    let mut wal =
        Wal::create(disk.clone(), IDENTITY, WalOptions { segment_bytes: 4_096, ..OPTIONS })
            .unwrap();
    wal.append(&first_step()).unwrap();
    wal.sync().unwrap();
    let records = vec![record(1, LeaderId::new(1, 1), 40)].into();
    wal.append(&Write { number: 2, voted: Some(LeaderId::new(2, 3)), records, ..Write::default() })
        .unwrap();
    wal.sync().unwrap();
    wal.idle().unwrap();
    drop(wal);
    let mut text = String::new();
    for name in disk.list().unwrap() {
        let state = disk.state();
        for (nth, sector) in state.contents(&name).unwrap().chunks(SECTOR).enumerate() {
            // The zeros at the end are left out.
            let used = sector.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if used > 0 {
                text += &format!("{name} {nth}\n");
                for line in sector[..used].chunks(32) {
                    text += &line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                    text.push('\n');
                }
            }
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wal-v1.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "see BLESS in docs/hacking.md");
    let golden = unhex(&text);
    let (_, found) = Wal::open(golden, IDENTITY, OPTIONS).unwrap();
    let author = LeaderId::new(1, 1);
    let records = [record(0, author, 3), record(1, author, 40), record(2, author, 600)];
    assert_eq!((found.durable.records, found.doubt), (records.to_vec().into(), None));
    assert_eq!(found.durable.voted, LeaderId::new(2, 3));
}

/// The disk that a golden file describes.
fn unhex(text: &str) -> SimDisk {
    let disk = SimDisk::new();
    let mut place = (String::new(), 0);
    for line in text.lines() {
        if let Some((name, sector)) = line.split_once(' ') {
            place = (name.into(), sector.parse::<u64>().unwrap() * SECTOR as u64);
            if disk.len(name).is_err() {
                disk.create(name).unwrap();
            }
            disk.preallocate(name, place.1 + SECTOR as u64).unwrap();
        } else {
            let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
            disk.write(&place.0, place.1, &bytes).unwrap();
            place.1 += bytes.len() as u64;
        }
    }
    disk
}

#[test]
fn an_empty_directory_is_no_log_and_a_later_version_is_refused() {
    assert!(matches!(Wal::open(SimDisk::new(), IDENTITY, OPTIONS), Err(WalError::Empty)));
    let disk = SimDisk::new();
    drop(Wal::create(disk.clone(), IDENTITY, OPTIONS).unwrap());
    let mut state = disk.state();
    state.spoil("0000000000000001.wal", |contents| {
        contents[18] = 2;
        traft::wal::reseal(&mut contents[..SECTOR]);
    });
    let (disk, before) = (SimDisk::of(state.clone()), state.digest());
    let refused = Wal::open(disk.clone(), IDENTITY, OPTIONS);
    assert!(matches!(refused, Err(WalError::Version { found: 2 })));
    assert_eq!(disk.state().digest(), before);
}

#[test]
fn damage_is_told_with_its_place() {
    let disk = SimDisk::new();
    let mut wal = Wal::create(disk.clone(), IDENTITY, OPTIONS).unwrap();
    wal.append(&first_step()).unwrap();
    wal.sync().unwrap();
    let mut state = disk.state();
    state.spoil("0000000000000001.wal", |contents| contents[2 * SECTOR + 100] ^= 4);
    let (_, found) = Wal::open(SimDisk::of(state), IDENTITY, OPTIONS).unwrap();
    let doubt = found.doubt.expect("a synced sector is damaged");
    assert!(doubt.promise && doubt.lineage && !doubt.inherited);
    assert_eq!(
        doubt.to_string(),
        "records may be missing, the promise may have been higher, the newest lineage is unknown"
    );
    let told: Vec<String> = found.flaws.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["checksum: damaged at sector 2 of segment 1"]);
    assert_eq!(found.flaws[0].row, Row::Checksum);
}

/// Steps that are appended while a group flies are in the next one; what is under way can be read,
/// and nothing that would have to wait for it is done.
#[test]
fn a_group_is_composed_while_the_one_before_is_synced() {
    let disk = SimDisk::new();
    let mut wal = Wal::create(disk.clone(), IDENTITY, OPTIONS).unwrap();
    let author = LeaderId::new(1, 1);
    let step = |n: u64, records| Write { number: n, records, ..Write::default() };
    wal.append(&first_step()).unwrap();
    wal.sync().unwrap();
    assert!(wal.depart().unwrap().is_none(), "there is nothing to send off");
    // Groups of several chunks, over the end of a segment.
    for turn in 0..3 {
        let lsn = 100 * turn + 10;
        let large = (0..80).map(|n| record(lsn + n, author, 2_000)).collect();
        wal.append(&step(10 * turn + 2, large)).unwrap();
        let flight = wal.depart().unwrap().expect("a group");
        assert!(wal.depart().unwrap().is_none(), "one at a time");
        let before = disk.state();
        // Large enough that some of it is sealed ahead.
        wal.append(&step(10 * turn + 3, vec![record(lsn + 90, author, 30_000)].into())).unwrap();
        assert_eq!(wal.load(Lsn(lsn + 7)).unwrap(), Some(record(lsn + 7, author, 2_000)));
        assert_eq!(wal.load(Lsn(lsn + 90)).unwrap(), Some(record(lsn + 90, author, 30_000)));
        assert_eq!(wal.sync(), Err(WalError::InFlight));
        assert_eq!(wal.purge(Lsn(5)), Err(WalError::InFlight));
        assert_eq!(wal.repaired(), Err(WalError::InFlight));
        assert_eq!(disk.state().digest(), before.digest(), "nothing was done");
        let landed = std::thread::spawn(|| flight.fly()).join().unwrap();
        assert_eq!(wal.land(landed).unwrap(), 10 * turn + 2);
        assert_eq!(wal.sync().unwrap(), 10 * turn + 3);
    }
    drop(wal);
    let (_, found) = Wal::open(disk, IDENTITY, OPTIONS).unwrap();
    assert_eq!((found.doubt, found.durable.records.len()), (None, 2 + 3 * 81));
}

/// A mark keeps nobody waiting who has something to write, and needs no room: on a file system that
/// copies what changes a full disk has none for it either. Then it waits as everything else does.
/// What is durable stays so, and nothing has failed.
#[test]
fn the_mark_waits_for_a_busy_disk_and_for_room() {
    let (disk, trouble) = (SimDisk::new(), Trouble::default());
    let faulty = Faulty::new(disk.clone(), trouble.clone());
    let mut wal = Wal::create(faulty, IDENTITY, OPTIONS).unwrap();
    wal.append(&first_step()).unwrap();
    wal.sync().unwrap();
    let mark = || disk.state().contents("mark").map(<[u8]>::to_vec);
    let step = |number, lsn| Write {
        number,
        records: vec![record(lsn, LeaderId::new(1, 1), 100)].into(),
        ..Write::default()
    };
    let known = mark();
    wal.append(&step(2, 10)).unwrap();
    let landed = wal.depart().unwrap().expect("a group").fly();
    wal.append(&step(3, 11)).unwrap();
    assert_eq!(wal.land(landed), Ok(2));
    let flight = wal.depart().unwrap().expect("what was appended meanwhile");
    assert_eq!(mark(), known, "the disk has something to do first");
    wal.append(&step(4, 12)).unwrap();
    assert_ne!(mark(), known, "while it is busy, it is told");
    assert_eq!((wal.land(flight.fly()), wal.sync()), (Ok(3), Ok(4)));

    let known = mark();
    wal.append(&step(5, 13)).unwrap();
    let landed = wal.depart().unwrap().expect("a group").fly();
    trouble.set(Mood::Copying);
    assert_eq!(wal.land(landed), Ok(5), "the group is durable whatever the mark says");
    assert_eq!((wal.idle(), mark()), (Ok(()), known.clone()));
    wal.append(&step(6, 14)).unwrap();
    assert_eq!(wal.sync(), Err(WalError::Full));
    assert_eq!(wal.load(Lsn(13)).unwrap(), Some(record(13, LeaderId::new(1, 1), 100)));
    trouble.set(Mood::Well);
    assert_eq!(wal.sync(), Ok(6));
    assert_ne!(mark(), known);
    drop(wal);
    let (_, found) = Wal::open(disk, IDENTITY, OPTIONS).unwrap();
    assert_eq!((found.doubt, found.durable.records.len()), (None, 2 + 5));
}

#[test]
fn a_flight_that_fails_is_a_sync_that_fails() {
    let disk = SimDisk::new();
    let mut wal = Wal::create(disk.clone(), IDENTITY, OPTIONS).unwrap();
    wal.append(&first_step()).unwrap();
    wal.sync().unwrap();
    // Without room it waits, behind it what was appended meanwhile.
    let author = LeaderId::new(1, 1);
    let step = |n, lsn| Write {
        number: n,
        records: vec![record(lsn, author, 100_000)].into(),
        ..Write::default()
    };
    wal.append(&step(2, 5)).unwrap();
    let flight = wal.depart().unwrap().expect("a group");
    wal.append(&step(3, 6)).unwrap();
    disk.set_capacity(Some(disk.state().used()));
    assert_eq!(wal.land(flight.fly()), Err(WalError::Full));
    assert_eq!(wal.load(Lsn(5)).unwrap(), Some(record(5, author, 100_000)));
    disk.set_capacity(None);
    assert_eq!(wal.sync(), Ok(3));
    // The directory is held as long as a flight is out.
    wal.append(&step(4, 7)).unwrap();
    let flight = wal.depart().unwrap().expect("a group");
    drop(wal);
    assert!(matches!(Wal::open(disk.clone(), IDENTITY, OPTIONS), Err(WalError::Locked)));
    drop(flight.fly());
    let (mut wal, found) = Wal::open(disk.clone(), IDENTITY, OPTIONS).unwrap();
    assert_eq!((found.doubt, found.durable.records.len()), (None, 5));
    // And after a failed sync nothing is taken any more.
    wal.append(&step(5, 8)).unwrap();
    let flight = wal.depart().unwrap().expect("a group");
    disk.plan(1, traft::disk::Fault::FailSync);
    disk.plan(2, traft::disk::Fault::FailSync);
    disk.plan(3, traft::disk::Fault::FailSync);
    assert!(matches!(wal.land(flight.fly()), Err(WalError::Disk(_))));
    assert_eq!(wal.append(&step(6, 9)), Err(WalError::Broken));
    assert!(matches!(wal.depart(), Err(WalError::Broken)));
}
