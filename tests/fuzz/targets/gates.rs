//! What takes bytes from outside, each as a function that must not panic, whatever the bytes.

use bytes::Bytes;
use traft::base::{KeyRange, ReplicaId};
use traft::check::scenario;
use traft::disk::{Disk, SimDisk};
use traft::snapshot::Snapshot;
use traft::wal::{Identity, Wal, WalOptions};
use traft::wire::{self, Version};

/// Whose log the seeds of `corpus/wal` are.
const IDENTITY: Identity = Identity { cluster: 0x7261_6674, replica: ReplicaId(1) };

/// What lies beside that log: how far it was synced.
const MARK: &[u8] = include_bytes!("../corpus/wal/mark-whole");

/// A message: refused, or what it says goes out and in again.
pub(crate) fn wire(bytes: &[u8]) {
    if let Ok(envelope) = wire::decode(Bytes::copy_from_slice(bytes)) {
        for version in Version::ALL {
            let frame = wire::encode(&envelope, version);
            assert_eq!(frame.len(), wire::encoded_len(&envelope, version));
            assert_eq!(wire::decode(frame).as_ref(), Ok(&envelope));
        }
    }
}

/// A segment of the log: refused, or what it holds can be read, and read again.
pub(crate) fn wal(bytes: &[u8]) {
    let disk = disk_of("0000000000000001.wal", bytes);
    write(&disk, "mark", MARK);
    let options = WalOptions { segment_bytes: 64 << 10, ..WalOptions::default() };
    if let Ok((wal, first)) = Wal::open(disk.clone(), IDENTITY, options) {
        drop(wal);
        let again = Wal::open(disk, IDENTITY, options);
        let (_, second) = again.expect("what was opened can be opened");
        assert_eq!(first.durable.records, second.durable.records);
        assert!(second.durable.voted >= first.durable.voted);
    }
}

/// A snapshot: refused, or every question about it is answered.
pub(crate) fn snapshot(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::open(disk_of("some.snap", bytes), "some.snap", 1 << 16) else {
        return;
    };
    let _ = snapshot.verify(|_| {});
    let _ = snapshot.get(b"k4");
    let _ = snapshot.count(&KeyRange::ALL);
    assert!(snapshot.range(&KeyRange::ALL).take(10_000).count() <= 10_000);
}

/// A scenario: a line that makes no sense is told. Left out are the verbs that drive a replica as
/// no disk and no leader may, and more time than a scenario takes.
pub(crate) fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lies = ["forgets", "is told", "restarts"];
    let long = text.split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > 2);
    if text.len() < 4096 && !long && !lies.iter().any(|word| text.contains(word)) {
        let outcome = scenario::run(text);
        assert_eq!(scenario::run(text).text, outcome.text);
    }
}

fn disk_of(name: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    write(&disk, name, bytes);
    disk
}

fn write(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let written = disk.create(name).and_then(|()| disk.write(name, 0, bytes));
    written.expect("a simulated disk takes a file");
}
