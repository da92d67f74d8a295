//! `traft inspect`: what it prints of a whole file and of a damaged one, and how it exits.
#![cfg(all(unix, feature = "compare"))]

use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use traft::base::{
    Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record, ReplicaId, TailBitmap,
};
use traft::disk::{Disk, DiskError, RealDisk, SECTOR, SimDisk};
use traft::replica::Write;
use traft::snapshot::{Builder, Header};
use traft::wal::{Identity, Inspection, Store, Wal, WalError, WalOptions};

/// Exit code, standard output, standard error.
fn traft(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_traft")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A directory of its own for each test, with one snapshot.
fn folder(test: &str) -> (RealDisk, PathBuf) {
    let folder = empty(test);
    (snapshot(&folder, "one.snap", "key", 1_000), folder.join("one.snap"))
}

fn empty(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("inspect").join(test);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// A snapshot with `count` keys that begin with `word`.
fn snapshot(folder: &Path, name: &str, word: &str, count: u32) -> RealDisk {
    let disk = RealDisk::new(folder).unwrap();
    let mut done = TailBitmap::below(Lsn(42));
    done.insert_range(Lsn(45), Lsn(47));
    let header = Header {
        cluster: 7,
        replica: ReplicaId(2),
        done,
        committed_at: Some(Lsn(4)),
        membership: Membership::majority([1, 2, 3].map(ReplicaId)),
        lineage: Lineage::new(LeaderId::new(3, 2)),
        sessions: Bytes::new(),
    };
    let mut builder = Builder::new(disk.clone(), name, &header).unwrap();
    for n in 0..count {
        builder.push(format!("{word} {n:04}").as_bytes(), &[n as u8; 20]).unwrap();
    }
    builder.finish().unwrap();
    disk
}

#[test]
fn a_whole_snapshot() {
    let (_, path) = folder("whole");
    let path = path.to_str().unwrap();
    let (code, out, err) = traft(&["inspect", "snapshot", path]);
    assert_eq!((code, &err[..]), (0, ""));
    for line in [
        "snapshot one.snap\n",
        "  made by     n2 of cluster 7\n",
        "  done        {..42 45..47}\n",
        "  membership  (n1 n2 n3; read 2, write 2) at 4\n",
        "  keys        1000, from \"key 0000\" to \"key 0999\"\n",
        "  damage      none\n",
    ] {
        assert!(out.contains(line), "{out}");
    }
    let (code, out, _) = traft(&["inspect", "snapshot", path, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["damaged_parts"]), (0, &0.into()));
    assert_eq!((&document["keys"], &document["done_below"]), (&1000.into(), &42.into()));
}

#[test]
fn a_damaged_snapshot() {
    let (disk, path) = folder("damaged");
    let path = path.to_str().unwrap();
    disk.write("one.snap", 9_000, b"wrong").unwrap();
    let (code, out, err) = traft(&["inspect", "snapshot", path]);
    assert_eq!(code, 1);
    assert!(out.contains("  damage      1 parts\n") || out.contains("  damage      2 parts\n"));
    assert!(err.contains(": block at "), "{err}");
    assert!(err.contains("checksum does not fit; the values of these keys cannot be read"));

    let (code, out, _) = traft(&["inspect", "snapshot", path, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["damage"][0]["part"]), (1, &"block".into()));

    disk.truncate("one.snap", 20_000).unwrap();
    let (code, _, err) = traft(&["inspect", "snapshot", path]);
    assert_eq!(code, 1);
    assert!(err.contains("footer at ") && err.contains("nothing can be read"), "{err}");
}

#[test]
fn what_is_no_snapshot_is_one_sentence() {
    let (disk, path) = folder("none");
    let path = path.to_str().unwrap();
    disk.write("one.snap", 0, b"x").unwrap();
    let (code, out, err) = traft(&["inspect", "snapshot", path]);
    assert_eq!((code, &out[..]), (2, ""));
    assert!(err.ends_with("one.snap: the file is no snapshot\n"), "{err}");
    let missing = format!("{path}.missing");
    let (code, _, err) = traft(&["inspect", "snapshot", &missing]);
    assert_eq!(code, 2);
    assert!(err.ends_with("there is no such file\n"), "{err}");
    assert_eq!(disk.list(), Ok(vec!["one.snap".into()]));
    assert_eq!(traft(&["inspect"]).0, 2);
}

const ONE: LeaderId = LeaderId::new(1, 1);

const SMALL: WalOptions = WalOptions { segment_bytes: 4 << 10, opened_at: 0 };

fn record(lsn: u64, author: LeaderId, word: &str) -> Arc<Record> {
    let footprint = Footprint::write(KeySet::point(format!("{word}{lsn}")));
    let command = traft::base::Command { footprint, body: Bytes::from(vec![lsn as u8; 300]) };
    Arc::new(Record::bare(Lsn(lsn), author, Payload::Command(command)))
}

fn identity(replica: u64) -> Identity {
    Identity { cluster: 7, replica: ReplicaId(replica) }
}

/// Positions 0..20 without 13, in two segments and more; the promise is 3#2.
fn log<D: Disk + Sync>(disk: D, replica: u64) -> Wal<D> {
    let mut wal = Wal::create(disk, identity(replica), SMALL).unwrap();
    let (voted, lineage) = (Some(ONE), Some(Lineage::new(ONE)));
    let membership = Some((Lsn(0), Membership::majority([1, 2, 3].map(ReplicaId))));
    let first = Write { number: 1, voted, lineage, membership, ..Write::default() };
    wal.append(&first).unwrap();
    for lsn in (0..20).filter(|lsn| *lsn != 13) {
        let records = vec![record(lsn, ONE, "k")].into();
        wal.append(&Write { number: 2 + lsn, records, ..Write::default() }).unwrap();
        wal.sync().unwrap();
    }
    let voted = Some(LeaderId::new(3, 2));
    wal.append(&Write { number: 30, voted, ..Write::default() }).unwrap();
    wal.sync().unwrap();
    wal
}

/// Every file with its contents, and what can be told of the directory.
fn contents(folder: &Path) -> (Vec<(PathBuf, Vec<u8>)>, std::time::SystemTime) {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    (files, std::fs::metadata(folder).unwrap().modified().unwrap())
}

#[test]
fn a_sound_log_and_one_that_is_held() {
    let folder = empty("log");
    let path = folder.to_str().unwrap();
    let wal = log(RealDisk::new(&folder).unwrap(), 1);
    let before = contents(&folder);
    let (code, out, err) = traft(&["inspect", "wal", path]);
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    for line in [
        "  of          n1 of cluster 7\n",
        "  held        by a running process: what it is writing now may look like",
        "  promise     3#2\n",
        "  committer   1#1\n",
        "  membership  (n1 n2 n3; read 2, write 2) at 0\n",
        "  purged      below 0\n",
        "  records     19: {0..13 14..20}\n",
        "  doubt       none\n",
        "\n  0000000000000001.wal ",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    assert_eq!(contents(&folder), before, "nothing is changed");
    drop(wal);
    let (_, out, _) = traft(&["inspect", "wal", path, "--records"]);
    assert!(out.contains("  held        by nobody\n"), "{out}");
    assert!(out.contains("  <1#1 @19 w:k19>  000000000000000"), "{out}");
    let (code, out, _) = traft(&["inspect", "wal", path, "--records", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["records"]), (0, &19.into()));
    assert_eq!(document["positions"], serde_json::json!([[0, 13], [14, 20]]));
    assert_eq!(document["held_records"][13]["record"], "<1#1 @14 w:k14>");
    // The place is where the record is.
    let at = |key: &str| document["held_records"][13][key].clone();
    let file = std::fs::read(folder.join(at("file").as_str().unwrap())).unwrap();
    let near = &file[at("offset").as_u64().unwrap() as usize..];
    let near = &near[..near.len().min(2 * SECTOR)];
    assert!(near.windows(3).any(|bytes| bytes == b"k14"));
    assert_eq!(contents(&folder), before, "nothing is changed");
    // Below the directory that was named, too.
    let parent = folder.parent().unwrap().join("parent");
    let _ = std::fs::remove_dir_all(&parent);
    std::fs::create_dir(&parent).unwrap();
    std::fs::rename(&folder, parent.join("wal")).unwrap();
    assert_eq!(traft(&["inspect", "wal", parent.to_str().unwrap()]).0, 0);
}

#[test]
fn damage_of_a_log_is_told_and_left() {
    let folder = empty("bad-log");
    let path = folder.to_str().unwrap();
    drop(log(RealDisk::new(&folder).unwrap(), 1));
    let disk = RealDisk::new(&folder).unwrap();
    let name = "0000000000000001.wal";
    disk.write(name, 3 * SECTOR as u64 + 100, b"wrong").unwrap();
    let before = contents(&folder);
    let (code, out, err) = traft(&["inspect", "wal", path]);
    assert_eq!(code, 1);
    assert!(out.contains("  doubt       records may be missing\n"), "{out}");
    let told = format!(
        "{path}/{name}: byte 1536: checksum: damaged at sector 3 of segment 1; no crash changes a \
         sector that was written, so the disk did; records may be missing\n"
    );
    assert!(err.starts_with(&told), "{err}");
    assert!(err.ends_with("the replica must not vote until its peers have given it back\n"));
    let (code, out, _) = traft(&["inspect", "wal", path, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let flaw = &document["flaws"][0];
    assert_eq!((code, &flaw["row"], &flaw["offset"]), (1, &"checksum".into(), &1536.into()));
    assert_eq!((&flaw["evidence"], &flaw["doubtful"]), (&"followed".into(), &true.into()));
    assert_eq!(contents(&folder), before, "nothing is repaired");
    // With every first sector gone, nobody can say whose it is.
    for name in disk.list().unwrap().iter().filter(|name| name.ends_with(".wal")) {
        disk.write(name, 0, &[1; 40]).unwrap();
    }
    let (code, out, err) = traft(&["inspect", "wal", path]);
    assert_eq!((code, &out[..]), (1, ""));
    assert!(err.contains("nothing says whose log it is"), "{err}");
}

/// The same decisions as a start, on images of which some are cut and some are doubted, and not
/// one change of the disk.
#[test]
fn who_looks_sees_what_a_start_would_see_and_changes_nothing() {
    let disk = SimDisk::new();
    log(disk.clone(), 1).idle().unwrap();
    let state = disk.state();
    let names = disk.list().unwrap();
    let mut seen: BTreeMap<bool, usize> = BTreeMap::new();
    for (name, sector) in names.iter().flat_map(|name| (0..9).map(move |at| (name, at))) {
        for (kind, byte) in [("flip", 7), ("zero", 0)] {
            let mut state = state.clone();
            state.spoil(name, |contents| {
                let sectors = contents.chunks_exact_mut(SECTOR).nth(sector);
                match kind {
                    "flip" => sectors.into_iter().for_each(|sector| sector[byte] ^= 4),
                    _ => sectors.into_iter().for_each(|sector| sector.fill(0)),
                }
            });
            let looked = SimDisk::of(state.clone());
            looked.record();
            let found = Inspection::read(&looked, false).unwrap();
            assert_eq!((looked.recorded(), looked.calls()), (0, 0), "nothing is written");
            let opened = Wal::open(SimDisk::of(state), identity(1), SMALL);
            let (_, recovered) = opened.unwrap();
            assert_eq!(found.recovered, recovered, "{name} {sector} {kind}");
            assert_eq!(found.places.len(), recovered.durable.records.len());
            *seen.entry(recovered.doubt.is_some()).or_default() += 1;
        }
    }
    assert!(seen[&false] > 5 && seen[&true] > 20, "{seen:?}");
}

#[test]
fn a_disk_that_is_only_read_refuses_everything_else() {
    let folder = empty("read-only");
    let read = RealDisk::read_only(&folder);
    assert!(matches!(read.list(), Err(DiskError::NotFound { .. })));
    assert!(!folder.exists());
    drop(log(RealDisk::new(&folder).unwrap(), 1));
    let before = contents(&folder);
    let name = "0000000000000001.wal";
    for refused in [
        read.create("new"),
        read.write(name, 0, b"x"),
        read.preallocate(name, 1 << 20),
        read.truncate(name, 1),
        read.rename(name, "other"),
        read.remove(name),
        read.lock().map(drop),
    ] {
        assert!(matches!(refused, Err(DiskError::Failed { .. })), "{refused:?}");
    }
    let refused = Wal::open(read.clone(), identity(1), SMALL);
    assert!(matches!(refused, Err(WalError::Disk(DiskError::Failed { .. }))));
    assert_eq!(contents(&folder), before);
    assert_eq!(read.is_held(), Ok(false));
    let lock = RealDisk::new(&folder).unwrap().lock().unwrap();
    assert_eq!(read.is_held(), Ok(true));
    drop(lock);
    assert_eq!(read.is_held(), Ok(false));
}

#[test]
fn verify_looks_at_all_of_a_replica() {
    let folder = empty("verify");
    let path = folder.to_str().unwrap();
    assert_eq!(traft(&["inspect", "verify", path]).0, 2, "there is no such directory");
    let name = "000000000000002a.snap";
    let disk = snapshot(&folder, name, "key", 1_000);
    let mut wal = log(RealDisk::new(folder.join("wal")).unwrap(), 2);
    let (code, out, err) = traft(&["inspect", "verify", path]);
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(out.ends_with("  clean\n") && out.contains(", held by a running process"), "{out}");
    wal.purge(Lsn(10)).unwrap();
    drop(wal);
    assert_eq!(traft(&["inspect", "verify", path]).0, 0, "what was purged is in the snapshot");
    disk.write(name, 9_000, b"wrong").unwrap();
    let (code, out, err) = traft(&["inspect", "verify", path]);
    assert_eq!(code, 1);
    assert!(out.contains("DAMAGED in ") && err.contains("the checksum does not fit"), "{out}{err}");
    assert!(err.contains("records below 10 were dropped, and no whole snapshot here has all"));
    let (code, out, _) = traft(&["inspect", "verify", path, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["clean"]), (1, &false.into()));
    assert_eq!(document["logs"][0]["purged_below"], 10);
    assert_eq!(document["snapshots"][0]["damage"][0]["part"], "block");
    let (code, _, err) = traft(&["inspect", "verify", env!("CARGO_MANIFEST_DIR")]);
    assert_eq!(code, 2);
    assert!(err.ends_with("there is neither a log nor a snapshot\n"), "{err}");
}

#[test]
fn diff_says_what_differs() {
    let folder = empty("diff");
    let [a, b] = ["a", "b"].map(|name| folder.join(name));
    let [ours, theirs] = [&a, &b].map(|path| path.to_str().unwrap());
    let mut wal = log(RealDisk::new(&a).unwrap(), 1);
    drop(log(RealDisk::new(&b).unwrap(), 2));
    let name = "000000000000002a.snap";
    snapshot(&a, name, "key", 1_000);
    let disk = snapshot(&b, name, "key", 1_000);
    let (code, out, err) = traft(&["inspect", "diff", ours, theirs]);
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(out.contains("  records     19 the same, only A {}, only B {}, 0 otherwise\n"));
    assert!(out.contains("  held        A, by a running process"), "{out}");

    let records = vec![record(13, ONE, "k"), record(19, ONE, "other")].into();
    wal.append(&Write { number: 40, records, ..Write::default() }).unwrap();
    wal.sync().unwrap();
    snapshot(&a, name, "key", 999);
    let (code, out, err) = traft(&["inspect", "diff", ours, theirs]);
    assert_eq!((code, &err[..]), (1, &format!("{ours} and {theirs} differ\n")[..]));
    for line in [
        "  replica     A n1, B n2\n",
        "  promise     3#2\n",
        "  records     18 the same, only A {13}, only B {}, 1 otherwise\n",
        "A <1#1 @19 w:other19>, B <1#1 @19 w:k19>: WRONG: one leader never makes two records",
        "  keys        999 the same, only A 0, only B 1, 0 otherwise\n",
        "\"key 0999\": A nothing, B 20 bytes\n",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    // What cannot be read is neither the same nor different.
    disk.write(name, 9_000, b"wrong").unwrap();
    let files = [a.join(name), b.join(name)];
    let [one, two] = files.each_ref().map(|path| path.to_str().unwrap());
    let (code, out, _) = traft(&["inspect", "diff", one, two, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let count = |what: &str| document["keys"][what].as_u64().unwrap();
    assert_eq!((code, count("only_b"), count("only_a")), (1, 1, 0));
    assert!(count("unknown") > 10, "{document}");
    assert_eq!(count("same") + count("unknown"), 999);
    assert_eq!(document["facts"][1]["differs"], false);
    let empty = empty("nothing");
    std::fs::create_dir_all(&empty).unwrap();
    assert_eq!(traft(&["inspect", "diff", one, empty.to_str().unwrap()]).0, 2);
}
