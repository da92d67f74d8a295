//! A snapshot beside a plain sorted file: bytes per key, building, `get`, ranges.
//!
//! Both are on the real disk, in the system's cache. The sorted file is the simplest thing that
//! works: records of lengths, key and value, then the offset of each. It is asked twice: read where
//! it lies, one read for each probe of the binary search, and loaded whole, which takes all of its
//! bytes as memory. Figures are of this machine; the last column says what was kept in memory.

use std::hint::black_box;
use std::time::Instant;
use traft::base::{KeyRange, LeaderId, Lineage, Lsn, Membership, ReplicaId, TailBitmap};
use traft::disk::{Disk, RealDisk};
use traft::snapshot::{Builder, Header, Snapshot};

const VALUE: usize = 100;
/// Pairs in a range.
const SPAN: usize = 100;

fn mixed(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ n >> 32
}

/// Sixteen bytes that nothing can be said of.
fn random(n: u64) -> Vec<u8> {
    [mixed(n).to_be_bytes(), mixed(!n).to_be_bytes()].concat()
}

/// As a directory of users has them: long, alike, and most of them neighbours of another.
fn alike(n: u64) -> Vec<u8> {
    let field = ["address", "email", "name", "telephone"][n as usize % 4];
    format!("tenant/{:04}/user/{:08}/profile/{field}", n / 4_000, n / 4).into_bytes()
}

fn value(key: &[u8]) -> Vec<u8> {
    key.iter().copied().cycle().take(VALUE).collect()
}

fn header() -> Header {
    Header {
        cluster: 1,
        replica: ReplicaId(1),
        done: TailBitmap::below(Lsn(1)),
        committed_at: None,
        membership: Membership::majority([ReplicaId(1)]),
        lineage: Lineage::new(LeaderId::new(1, 1)),
        sessions: Default::default(),
    }
}

/// Seconds that `f` takes.
fn timed<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}

/// Nanoseconds for each of `times`.
fn each(times: usize, mut f: impl FnMut(u64)) -> f64 {
    let (seconds, ()) = timed(|| (0..times as u64).for_each(|n| f(mixed(n))));
    seconds * 1e9 / times as f64
}

/// The yardstick.
struct Sorted<'a> {
    disk: &'a RealDisk,
    offsets_at: u64,
    count: u64,
    loaded: Option<Vec<u8>>,
}

impl<'a> Sorted<'a> {
    const NAME: &'static str = "sorted";

    fn build(disk: &'a RealDisk, keys: &[Vec<u8>]) -> Sorted<'a> {
        let _ = disk.remove(Sorted::NAME);
        disk.create(Sorted::NAME).unwrap();
        let (mut file, mut offsets) = (Vec::new(), Vec::new());
        for key in keys {
            offsets.extend_from_slice(&(file.len() as u64).to_le_bytes());
            file.extend_from_slice(&(key.len() as u16).to_le_bytes());
            file.extend_from_slice(&(VALUE as u16).to_le_bytes());
            file.extend_from_slice(key);
            file.extend_from_slice(&value(key));
        }
        let offsets_at = file.len() as u64;
        file.extend_from_slice(&offsets);
        disk.write(Sorted::NAME, 0, &file).unwrap();
        disk.sync(Sorted::NAME).unwrap();
        Sorted { disk, offsets_at, count: keys.len() as u64, loaded: None }
    }

    fn load(&mut self) {
        let mut bytes = vec![0; self.disk.len(Sorted::NAME).unwrap() as usize];
        self.disk.read(Sorted::NAME, 0, &mut bytes).unwrap();
        self.loaded = Some(bytes);
    }

    fn bytes<T>(&self, at: u64, size: usize, f: impl FnOnce(&[u8]) -> T) -> T {
        if let Some(loaded) = &self.loaded {
            return f(&loaded[at as usize..(at as usize + size).min(loaded.len())]);
        }
        let mut buffer = [0; 512];
        let read = self.disk.read(Sorted::NAME, at, &mut buffer[..size]).unwrap();
        f(&buffer[..read])
    }

    /// The nth record: key and value.
    fn record<T>(&self, nth: u64, f: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let number = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        let at = self.bytes(self.offsets_at + 8 * nth, 8, number);
        self.bytes(at, 256, |bytes| {
            let size = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            let (key, value) = (size(0), size(2));
            f(&bytes[4..4 + key], &bytes[4 + key..4 + key + value])
        })
    }

    /// The first record that is not less.
    fn find(&self, key: &[u8]) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = (low + high) / 2;
            if self.record(middle, |found, _| found < key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let at = self.find(key);
        (at < self.count)
            .then(|| self.record(at, |found, value| (found == key).then(|| value.to_vec())))?
    }

    fn range(&self, from: &[u8]) -> usize {
        let at = self.find(from);
        let pairs = at..(at + SPAN as u64).min(self.count);
        let copied = |nth| self.record(nth, |key, value| (key.to_vec(), value.to_vec()));
        pairs.map(|nth| black_box(copied(nth)).0.len()).sum()
    }
}

fn row(name: &str, get: f64, absent: f64, range: f64, memory: f64) {
    let million = |nanoseconds: f64| 1e3 / nanoseconds;
    println!(
        "  {name:<36} {:>8.3} M/s {:>8.3} M/s {:>8.2} M pairs/s {:>8.1} MB",
        million(get),
        million(absent),
        million(range / SPAN as f64),
        memory / 1e6
    );
}

fn compare(what: &str, count: u64, key: fn(u64) -> Vec<u8>) {
    let disk = RealDisk::new(env!("CARGO_TARGET_TMPDIR").to_string() + "/snapshot-bench").unwrap();
    let mut keys: Vec<Vec<u8>> = (0..count).map(key).collect();
    keys.sort();
    keys.dedup();
    let present = |n: u64| &keys[(n % keys.len() as u64) as usize];
    let absent = |n: u64| [&present(n)[..], b"?"].concat();
    let per_key = |bytes: u64| bytes as f64 / keys.len() as f64;

    let (ours, summary) = timed(|| {
        let mut builder = Builder::new(disk.clone(), "bench.snap", &header()).unwrap();
        keys.iter().for_each(|key| builder.push(key, &value(key)).unwrap());
        builder.finish().unwrap()
    });
    let (theirs, mut sorted) = timed(|| Sorted::build(&disk, &keys));
    let sorted_bytes = disk.len(Sorted::NAME).unwrap();
    let (opened, snapshot) = timed(|| Snapshot::open(disk.clone(), "bench.snap", 1 << 30).unwrap());
    let (checked, ()) = timed(|| snapshot.check_keys().unwrap());
    let (verified, ()) = timed(|| snapshot.verify(|damage| panic!("{damage}")).unwrap());
    let layout = snapshot.layout();
    let key_bytes: u64 = keys.iter().map(|key| key.len() as u64).sum();
    println!("\n{} {what} keys of {:.1} bytes, values of {VALUE}", keys.len(), per_key(key_bytes));
    let (places, index) = (31 * summary.blocks, layout.index_bytes);
    println!(
        "  bytes per key: snapshot {:.1} (values {:.1}, keys {:.1}, places and hashes {:.1}), \
         sorted file {:.1}",
        per_key(layout.file_bytes),
        per_key(layout.blocks_bytes),
        per_key(index - places),
        per_key(places + layout.directory_bytes),
        per_key(sorted_bytes),
    );
    println!(
        "  build: snapshot {:.2} us per key, sorted file {:.2}",
        ours * 1e6 / keys.len() as f64,
        theirs * 1e6 / keys.len() as f64
    );
    let [opened, checked, verified] = [opened, checked, verified].map(|seconds| seconds * 1e3);
    println!("  open {opened:.2} ms, check keys {checked:.1} ms, verify {verified:.0} ms");
    println!("  {:<36} {:>12} {:>12} {:>16} {:>11}", "", "get", "absent", "range of 100", "memory");

    let times = if count > 10_000 { 200_000 } else { 100 };
    let ask = |name: &str, snapshot: &Snapshot<RealDisk>, times: usize, memory: f64| {
        let get = each(times, |n| drop(black_box(snapshot.get(present(n)).unwrap().unwrap())));
        let missing = each(times, |n| assert!(snapshot.get(&absent(n)).unwrap().is_none()));
        let range = each(times / 100, |n| {
            let range = KeyRange { start: present(n).clone().into(), end: None };
            black_box(snapshot.range(&range).take(SPAN).map(Result::unwrap).count());
        });
        row(name, get, missing, range, memory);
    };
    // Everything once, so that the cache holds it.
    snapshot.range(&KeyRange::ALL).for_each(|pair| drop(pair.unwrap()));
    ask("snapshot, cache for all of it", &snapshot, times, layout.file_bytes as f64);
    let small = Snapshot::open(disk.clone(), "bench.snap", 4 << 20).unwrap();
    ask("snapshot, cache of 4 MB", &small, times / 10, 4e6);

    let ask = |name: &str, sorted: &Sorted, times: usize, memory: f64| {
        let get = each(times, |n| drop(black_box(sorted.get(present(n)).unwrap())));
        let missing = each(times, |n| assert!(sorted.get(&absent(n)).is_none()));
        let range = each(times / 100, |n| assert!(black_box(sorted.range(present(n))) > 0));
        row(name, get, missing, range, memory);
    };
    ask("sorted file, where it lies", &sorted, times / 10, 0.0);
    sorted.load();
    ask("sorted file, loaded", &sorted, times, sorted_bytes as f64);
    for name in ["bench.snap", Sorted::NAME] {
        disk.remove(name).unwrap();
    }
}

fn main() {
    let count = if std::env::args().any(|arg| arg == "--test") { 5_000 } else { 500_000 };
    compare("random", count, random);
    compare("similar", count, alike);
}
