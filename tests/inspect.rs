//! `traft inspect`: what it prints of a whole file and of a damaged one, and how it exits.
#![cfg(all(unix, feature = "compare"))]

use bytes::Bytes;
use std::path::PathBuf;
use std::process::Command;
use traft::base::{LeaderId, Lineage, Lsn, Membership, ReplicaId, TailBitmap};
use traft::disk::{Disk, RealDisk};
use traft::snapshot::{Builder, Header};

/// Exit code, standard output, standard error.
fn traft(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_traft")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A directory of its own for each test, with one snapshot.
fn folder(test: &str) -> (RealDisk, PathBuf) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("inspect").join(test);
    let disk = RealDisk::new(&folder).unwrap();
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
    let mut builder = Builder::new(disk.clone(), "one.snap", &header).unwrap();
    for n in 0..1_000_u32 {
        builder.push(format!("key {n:04}").as_bytes(), &[n as u8; 20]).unwrap();
    }
    builder.finish().unwrap();
    (disk, folder.join("one.snap"))
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
        "  done        {..42 45 46}\n",
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
