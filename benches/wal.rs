//! The log on disk beside what the disk can do, measured in turns in one run: groups of appended
//! records against plain sequential writes and syncs of the same bytes, and a start against reading
//! the files once.
//!
//! `cargo bench --no-default-features --bench wal`, on the disk that has the target directory.
//! `-- --mib N` sets how many MiB a start has to read (default 1,024), `--group N` leaves only
//! groups of that many KiB, `--test` runs everything once and small. The ratios are what counts:
//! machines differ. A start uses several processors, so the machine has to be quiet for its ratio
//! to mean something.

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
    use std::sync::{Arc, Condvar, Mutex, mpsc};
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

    /// The sizes of groups, in KiB, and how many of each are measured.
    const GROUPS: [(usize, usize); 4] = [(1, 300), (8, 300), (64, 150), (1_024, 80)];

    pub(super) fn main() {
        let args: Vec<String> = std::env::args().collect();
        let test = args.iter().any(|arg| arg == "--test");
        let number = |name: &str| -> Option<usize> {
            let at = args.iter().position(|arg| arg == name)?;
            args.get(at + 1)?.parse().ok()
        };
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-wal");
        let _ = fs::remove_dir_all(&root);
        let only = number("--group");
        for (group, turns) in GROUPS.into_iter().filter(|(g, _)| only.is_none_or(|o| o == *g)) {
            append(&root, group, if test { 1 } else { turns });
            append_ahead(&root, group, if test { 1 } else { turns });
        }
        let mib = number("--mib").unwrap_or(1_024);
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

    fn median(times: Vec<Duration>) -> f64 {
        middle(times.into_iter().map(|time| time.as_secs_f64()).collect())
    }

    fn middle(mut figures: Vec<f64>) -> f64 {
        figures.sort_unstable_by(f64::total_cmp);
        figures[figures.len() / 2]
    }

    /// How many times as long `others` took as `ours`: the median over turns, so that a moment in
    /// which the machine is slow falls on both sides of a ratio.
    fn ratio(others: &[Duration], ours: &[Duration]) -> f64 {
        let each =
            others.iter().zip(ours).map(|(other, own)| other.as_secs_f64() / own.as_secs_f64());
        middle(each.collect())
    }

    /// Groups of `group` steps of a record each, and the same bytes written plainly, in turns: one
    /// group of each, so that whatever else the machine does hits all alike.
    fn append(root: &Path, group: usize, turns: usize) {
        let mut wal = new_log(&root.join("wal"));
        let open = |name| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(true).open(root.join(name)).expect("a file")
        };
        let (grown, reserved) = (open("grown"), open("reserved"));
        // One step is one frame for the record and one for its end.
        let streams = group * (RECORD_BYTES + 45);
        let bytes = vec![0x5a; streams.div_ceil(SECTOR - 20) * SECTOR];
        let all = ((turns + 1) * bytes.len()) as u64;
        let reserve = RealDisk::new(root).and_then(|disk| disk.preallocate("reserved", all));
        reserve.expect("room for all of it");
        let mut times: [Vec<Duration>; 4] = Default::default();
        let (mut lsn, mut offset) = (0, 0);
        for turn in 0..=turns {
            let steps: Vec<Write> = (0..group as u64)
                .map(|n| Write {
                    number: 2 + lsn + n,
                    records: vec![record(lsn + n)].into(),
                    ..Write::default()
                })
                .collect();
            lsn += steps.len() as u64;
            // Whoever comes first comes after a pause of the disk: each does in turn.
            for nth in 0..3 {
                let kind = (turn + nth) % 3;
                let begin = Instant::now();
                let mut appended = None;
                if kind == 0 {
                    steps.iter().try_for_each(|step| wal.append(step)).expect("room in memory");
                    appended = Some(begin.elapsed());
                    wal.sync().expect("a sound disk");
                } else {
                    let file = [&grown, &reserved][kind - 1];
                    file.write_all_at(&bytes, offset).expect("room");
                    file.sync_data().expect("a sound disk");
                }
                // The first of each finds nothing in its place.
                if turn > 0 {
                    times[kind].push(begin.elapsed());
                    times[3].extend(appended);
                }
            }
            offset += bytes.len() as u64;
        }
        drop(wal);
        let ratios = [ratio(&times[1], &times[0]), ratio(&times[2], &times[0])];
        let [ours, grown, within, appended] = times.map(median);
        println!(
            "append, {group:>5} KiB a sync: {:>8.0} records/s, {:>5.0} us, {:>4.0} of them before \
             the sync; plain {:>5.0} us, ratio {:.2}; plain into reserved space {:>5.0} us, ratio \
             {:.2}",
            group as f64 / ours,
            ours * 1e6,
            appended * 1e6,
            grown * 1e6,
            ratios[0],
            within * 1e6,
            ratios[1]
        );
        fs::remove_dir_all(root).expect("the directory of the bench can be removed");
    }

    /// The log, and how many steps of the next group are in it.
    type Shared = (Mutex<(Wal<RealDisk>, usize)>, Condvar);

    /// Composes groups of `group` steps, each as soon as the one before it has departed; gives how
    /// long that took for each.
    fn compose(shared: &Shared, steps: &[Write], group: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for steps in steps.chunks(group) {
            let log = shared.0.lock().expect("nobody panics");
            let mut log = shared.1.wait_while(log, |log| log.1 > 0).expect("nobody panics");
            let begin = Instant::now();
            steps.iter().try_for_each(|step| log.0.append(step)).expect("room in memory");
            times.push(begin.elapsed());
            log.1 = steps.len();
            drop(log);
            shared.1.notify_one();
        }
        times
    }

    /// Writes and syncs so many groups, one after the other; gives how long the disk had nothing to
    /// do between any two.
    fn fly(shared: &Shared, groups: usize) -> Vec<Duration> {
        let mut landed = None;
        let mut pauses = Vec::new();
        let mut ended: Option<Instant> = None;
        for _ in 0..groups {
            let log = shared.0.lock().expect("nobody panics");
            let mut log = shared.1.wait_while(log, |log| log.1 == 0).expect("nobody panics");
            landed.take().map(|landed| log.0.land(landed).expect("a sound disk"));
            let flight = log.0.depart().expect("a sound disk").expect("a group");
            log.1 = 0;
            drop(log);
            shared.1.notify_one();
            pauses.extend(ended.map(|ended| ended.elapsed()));
            landed = Some(flight.fly());
            ended = Some(Instant::now());
        }
        let mut log = shared.0.lock().expect("nobody panics");
        landed.map(|landed| log.0.land(landed).expect("a sound disk"));
        pauses
    }

    /// The same with one thread that composes and one that syncs, as a node has them: while a group
    /// is on its way, the next one is appended. Some groups in a row, of which the first is
    /// composed while the disk has nothing to do, then as many plain writes and syncs.
    fn append_ahead(root: &Path, group: usize, turns: usize) {
        let in_a_row = (4_096 / group).clamp(16, 64);
        let turns = turns.div_ceil(in_a_row).max(if turns > 1 { 15 } else { 1 });
        let shared: Shared = (Mutex::new((new_log(&root.join("wal")), 0)), Condvar::new());
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true);
        let grown = options.open(root.join("grown")).expect("a file");
        let bytes = vec![0x5a; (group * (RECORD_BYTES + 45)).div_ceil(SECTOR - 20) * SECTOR];
        let (mut ours, mut plain, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lsn, mut offset, mut composing) = (0, 0, Vec::new());
        let (rows, composer) = mpsc::channel::<Vec<Write>>();
        let (composed, done) = mpsc::channel();
        std::thread::scope(|scope| {
            let shared = &shared;
            scope.spawn(move || {
                for steps in composer {
                    let times = compose(shared, &steps, group);
                    composed.send((steps, times)).expect("somebody waits");
                }
            });
            for turn in 0..=turns {
                let mut steps: Option<Vec<Write>> = Some(
                    (0..in_a_row * group)
                        .map(|_| {
                            lsn += 1;
                            let records = vec![record(lsn - 1)].into();
                            Write { number: 1 + lsn, records, ..Write::default() }
                        })
                        .collect(),
                );
                for nth in 0..2 {
                    let begin = Instant::now();
                    let times = if (turn + nth) % 2 == 0 {
                        rows.send(steps.take().expect("once a turn")).expect("a composer");
                        pauses.extend(fly(shared, in_a_row));
                        &mut ours
                    } else {
                        for _ in 0..in_a_row {
                            grown.write_all_at(&bytes, offset).expect("room");
                            grown.sync_data().expect("a sound disk");
                            offset += bytes.len() as u64;
                        }
                        &mut plain
                    };
                    let time = begin.elapsed();
                    if turn > 0 {
                        times.push(time);
                    }
                }
                composing.extend(done.recv().expect("a composer").1);
            }
            drop(rows);
        });
        let faster = ratio(&plain, &ours);
        let (ours, plain, pause) = (median(ours), median(plain), median(pauses));
        println!(
            "append, {group:>5} KiB a sync, the next composed meanwhile: {:>8.0} records/s, {:.0} \
             us between two, {:.0} to compose one; plain {:>8.0}, ratio {:.2}",
            (in_a_row * group) as f64 / ours,
            pause * 1e6,
            median(composing) * 1e6,
            (in_a_row * group) as f64 / plain,
            faster
        );
        drop(shared);
        fs::remove_dir_all(root).expect("the directory of the bench can be removed");
    }

    /// Opens a log of `mib` MiB, and reads its files once; nothing of them in memory before.
    fn start(root: &Path, mib: usize, turns: usize) {
        let records = (mib << 20) / RECORD_BYTES;
        let root = root.join("start");
        let mut wal = new_log(&root);
        for lsn in 0..records as u64 {
            let records = vec![record(lsn)].into();
            wal.append(&Write { number: 2 + lsn, records, ..Write::default() }).expect("memory");
            if lsn % 256 == 255 {
                wal.sync().expect("a sound disk");
            }
        }
        wal.sync().expect("a sound disk");
        drop(wal);
        let (mut opens, mut reads, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (mut opening, mut reading) = (0.0, 0.0);
        for _ in 0..turns {
            forget(&root);
            let (begin, cpu) = (Instant::now(), processor());
            bytes = read_once(&root);
            reads.push(begin.elapsed());
            reading += processor() - cpu;
            forget(&root);
            let (begin, cpu) = (Instant::now(), processor());
            let disk = RealDisk::new(&root).expect("a directory");
            let (wal, found) = Wal::open(disk, IDENTITY, WalOptions::default()).expect("a log");
            opens.push(begin.elapsed());
            opening += processor() - cpu;
            assert_eq!((found.durable.records.len(), found.doubt), (records, None));
            drop((wal, found.durable));
        }
        let (open, read) = (median(opens), median(reads));
        println!(
            "start, {records} records, {} MiB: {open:.3} s ({:.2} s of processors); reading the \
             files once {read:.3} s ({:.2} s); ratio {:.2}",
            bytes >> 20,
            opening / turns as f64,
            reading / turns as f64,
            open / read
        );
    }

    /// How many seconds of processors this process has taken, where Linux tells: on a busy machine
    /// this says more than a clock.
    fn processor() -> f64 {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 =
            fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        ticks / 100.0
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
