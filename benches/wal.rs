//! The log on disk beside what the disk can do, measured in turns in one run: groups of appended
//! records against plain sequential writes and syncs of the same bytes, and a start against reading
//! the files once.
//!
//! `cargo bench --bench wal`, on the disk that has the target directory. `-- --mib N` sets how many
//! MiB a start has to read (default 1,024), `-- --test` runs everything once and small. The ratios
//! are what counts: machines differ.

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use bytes::Bytes;
    use rustix::fs::{Advice, fadvise};
    use std::fs::{self, File, OpenOptions};
    use std::io::Read;
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use traft::base::{
        Command, Footprint, KeySet, LeaderId, Lineage, Lsn, Payload, Record, ReplicaId,
    };
    use traft::disk::{Disk, RealDisk, SECTOR};
    use traft::replica::Write;
    use traft::wal::{Identity, Store, Wal, WalOptions};

    const IDENTITY: Identity = Identity { cluster: 1, replica: ReplicaId(1) };
    const AUTHOR: LeaderId = LeaderId::new(1, 1);

    /// Records take this much of the log, all told.
    const RECORD_BYTES: usize = 1_024;

    /// Turns of each measurement; the medians are compared.
    const TURNS: usize = 15;

    pub(super) fn main() {
        let args: Vec<String> = std::env::args().collect();
        let test = args.iter().any(|arg| arg == "--test");
        let mib = args.iter().position(|arg| arg == "--mib").and_then(|at| args.get(at + 1));
        let mib = mib.and_then(|n| n.parse().ok()).unwrap_or(1_024);
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-wal");
        let _ = fs::remove_dir_all(&root);
        for group in [1, 8, 64, 1_024] {
            append(&root, group, if test { 1 } else { TURNS });
        }
        start(&root, if test { 4 } else { mib }, if test { 1 } else { 3 });
        fs::remove_dir_all(&root).expect("the directory of the bench can be removed");
    }

    fn record(lsn: u64) -> Arc<Record> {
        let footprint = Footprint::write(KeySet::point(format!("user{lsn:012}")));
        let body = Bytes::from(vec![lsn as u8 | 1; RECORD_BYTES - 70]);
        Arc::new(Record::bare(Lsn(lsn), AUTHOR, Payload::Command(Command { footprint, body })))
    }

    fn new_log(root: &Path) -> Wal<RealDisk> {
        let disk = RealDisk::new(root).expect("a directory");
        let mut wal = Wal::create(disk, IDENTITY, WalOptions::default()).expect("a new log");
        let lineage = Some(Lineage::new(AUTHOR));
        wal.append(&Write { number: 1, voted: Some(AUTHOR), lineage, ..Write::default() })
            .and_then(|()| wal.sync())
            .expect("a first step");
        wal
    }

    fn median(mut times: Vec<Duration>) -> f64 {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    }

    /// Groups of `group` steps of a record each, and the same bytes written plainly.
    fn append(root: &Path, group: usize, turns: usize) {
        let mut wal = new_log(&root.join("wal"));
        let open = |name| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(true).open(root.join(name)).expect("a file")
        };
        let (grown, reserved) = (open("grown"), open("reserved"));
        let reserve = RealDisk::new(root).and_then(|disk| disk.preallocate("reserved", 1 << 30));
        reserve.expect("room for a gibibyte");
        // One step is one frame for the record and one for its end.
        let streams = group * (RECORD_BYTES + 45);
        let bytes = vec![0x5a; streams.div_ceil(SECTOR - 20) * SECTOR];
        let syncs = (64 / group).clamp(4, 24);
        let (mut ours, mut growing, mut within) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lsn, mut offset) = (0, 0);
        for _ in 0..turns {
            let steps: Vec<Write> = (0..(syncs * group) as u64)
                .map(|n| Write {
                    number: 2 + lsn + n,
                    records: vec![record(lsn + n)],
                    ..Write::default()
                })
                .collect();
            lsn += steps.len() as u64;
            let begin = Instant::now();
            for group in steps.chunks(group) {
                group.iter().try_for_each(|step| wal.append(step)).expect("room in memory");
                wal.sync().expect("a sound disk");
            }
            ours.push(begin.elapsed());
            for (file, times) in [(&grown, &mut growing), (&reserved, &mut within)] {
                let begin = Instant::now();
                for nth in 0..syncs as u64 {
                    let at = offset + nth * bytes.len() as u64;
                    file.write_all_at(&bytes, at).expect("room");
                    file.sync_data().expect("a sound disk");
                }
                times.push(begin.elapsed());
            }
            offset += (syncs * bytes.len()) as u64;
        }
        drop(wal);
        let (ours, grown, within) = (median(ours), median(growing), median(within));
        let rate = |time: f64| (syncs * group) as f64 / time;
        println!(
            "append, {group:>5} KiB a sync: {:>8.0} records/s; plain {:>8.0}, ratio {:.2}; plain \
             into reserved space {:>8.0}, ratio {:.2}",
            rate(ours),
            rate(grown),
            grown / ours,
            rate(within),
            within / ours
        );
        fs::remove_dir_all(root).expect("the directory of the bench can be removed");
    }

    /// Opens a log of `mib` MiB, and reads its files once; nothing of them in memory before.
    fn start(root: &Path, mib: usize, turns: usize) {
        let records = (mib << 20) / RECORD_BYTES;
        let root = root.join("start");
        let mut wal = new_log(&root);
        for lsn in 0..records as u64 {
            let records = vec![record(lsn)];
            wal.append(&Write { number: 2 + lsn, records, ..Write::default() }).expect("memory");
            if lsn % 256 == 255 {
                wal.sync().expect("a sound disk");
            }
        }
        wal.sync().expect("a sound disk");
        drop(wal);
        let (mut opens, mut reads, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..turns {
            forget(&root);
            let begin = Instant::now();
            bytes = read_once(&root);
            reads.push(begin.elapsed());
            forget(&root);
            let begin = Instant::now();
            let disk = RealDisk::new(&root).expect("a directory");
            let (wal, found) = Wal::open(disk, IDENTITY, WalOptions::default()).expect("a log");
            opens.push(begin.elapsed());
            assert_eq!((found.durable.records.len(), found.doubt), (records, None));
            drop((wal, found.durable));
        }
        let (open, read) = (median(opens), median(reads));
        println!(
            "start, {records} records, {} MiB: {open:.3} s; reading the files once {read:.3} s, \
             ratio {:.2}",
            bytes >> 20,
            open / read
        );
    }

    fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(root).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path())
    }

    /// Lets the system drop what it holds of the files.
    fn forget(root: &Path) {
        for path in files(root) {
            let file = File::open(path).expect("a file");
            file.sync_all().expect("a sound disk");
            fadvise(&file, 0, None, Advice::DontNeed).expect("advice is taken");
        }
    }

    fn read_once(root: &Path) -> usize {
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        for path in files(root) {
            let mut file = File::open(path).expect("a file");
            loop {
                match file.read(&mut buffer).expect("a sound disk") {
                    0 => break,
                    n => bytes += n,
                }
            }
        }
        bytes
    }
}
