//! What the clients ask for: operations from a seed, the same for every side.

use super::rng::Rng;
use super::trace::{Access, Request, Trace, What};
use super::zipf::{YCSB_THETA, Zipf};
use crate::apply::{block, kv};
use crate::base::Command;
use crate::sim::{Kind, Load, Op, Time};

/// Bytes of the body of a command that writes keys.
pub(super) const BODY_BYTES: usize = 256;

/// Records in a YCSB table: YCSB's own default.
pub(super) const YCSB_KEYS: usize = 1_000;

/// The one key that interfering commands share. Distinct keys count from the other end.
const HOT: u64 = u64::MAX;

/// One of YCSB's core workloads: which share of the operations reads, and what the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ycsb {
    /// Half reads, half blind updates.
    A,
    /// 95 % reads, 5 % blind updates.
    B,
    /// Reads only.
    C,
    /// Half reads, half read-modify-writes.
    F,
}

impl Ycsb {
    pub(super) const ALL: [Ycsb; 4] = [Ycsb::A, Ycsb::B, Ycsb::C, Ycsb::F];

    pub(super) fn name(self) -> &'static str {
        match self {
            Ycsb::A => "A",
            Ycsb::B => "B",
            Ycsb::C => "C",
            Ycsb::F => "F",
        }
    }

    fn read_percent(self) -> f64 {
        match self {
            Ycsb::A | Ycsb::F => 50.0,
            Ycsb::B => 95.0,
            Ycsb::C => 100.0,
        }
    }

    /// `count` operations on zipfian keys.
    pub(super) fn ops(self, seed: u64, count: usize, site: usize) -> Vec<Op> {
        let (mut rng, zipf) = (Rng::new(seed), Zipf::new(YCSB_KEYS, YCSB_THETA));
        let op = |_| {
            let key = zipf.draw(&mut rng) as u64;
            match rng.percent(self.read_percent()) {
                true => read(get(key), site),
                false if self == Ycsb::F => write(modify(key), site),
                false => write(set(key), site),
            }
        };
        (0..count).map(op).collect()
    }
}

/// `count` writes; `percent` of them read and write one hot key, the others set a key of their own.
pub(super) fn interfering(seed: u64, count: usize, percent: u32, site: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let command = |n| match rng.percent(f64::from(percent)) {
        true => modify(HOT),
        false => set(n),
    };
    (0..count as u64).map(command).map(|command| write(command, site)).collect()
}

/// `count` commands that read and write; `percent` of them one hot key, the others a key of their
/// own.
pub(super) fn modifying(seed: u64, count: usize, percent: u32) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let command = |n| modify(if rng.percent(f64::from(percent)) { HOT } else { n });
    (0..count as u64).map(command).map(|command| write(command, 0)).collect()
}

/// `count` blind writes to `keys` zipfian keys.
pub(super) fn overwrites(seed: u64, count: usize, keys: usize, site: usize) -> Vec<Op> {
    let (mut rng, zipf) = (Rng::new(seed), Zipf::new(keys, YCSB_THETA));
    (0..count).map(|_| write(set(zipf.draw(&mut rng) as u64), site)).collect()
}

/// The requests of a trace, in order.
pub(super) fn traced(trace: &Trace, site: usize) -> Vec<Op> {
    match trace {
        Trace::Block(requests) => block_requests(requests, site),
        Trace::Cache(accesses) => accesses.iter().map(|access| accessed(access, site)).collect(),
    }
}

/// A request of a cache. Of a value its size is known.
fn accessed(access: &Access, site: usize) -> Op {
    let key = &access.key[..];
    let value = vec![b'x'; access.bytes as usize];
    let op = match access.what {
        What::Get => return read(kv::Op::Get { key }.command(), site),
        What::Set => kv::Op::Set { key, value: &value },
        What::Delete => kv::Op::Delete { key },
        What::Modify => kv::Op::CompareAndSet { key, expected: None, value: Some(&value) },
    };
    write(op.command(), site)
}

/// A block trace knows no content: writes fill their sectors with a pattern, and reads give a
/// checksum.
fn block_requests(requests: &[Request], site: usize) -> Vec<Op> {
    let op = |request: &Request| {
        let Request { first, sectors, .. } = *request;
        match request.write {
            true => {
                let pattern = first.to_be_bytes();
                write(block::Request::Fill { first, sectors, pattern }.command(), site)
            }
            false => read(block::Request::Checksum { first, sectors }.command(), site),
        }
    };
    requests.iter().map(op).collect()
}

/// A device that takes time for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    /// The least.
    pub(super) least: Time,
    /// The mean of what it takes longer, exponentially distributed.
    pub(super) tail: Time,
    /// So many in a hundred requests take [`Device::RARE`] times as long.
    pub(super) rare_percent: f64,
}

impl Device {
    pub(super) const RARE: f64 = 10.0;

    /// What the `nth` request takes: nothing but seed and number decide.
    fn time(&self, seed: u64, nth: u64) -> Time {
        let mut rng = Rng::new(Rng::derive(seed, nth));
        let time = self.least + self.tail.exponential(rng.next_u64());
        if rng.percent(self.rare_percent) { time.scaled(Device::RARE) } else { time }
    }
}

/// The requests of a block trace, each answered when `device` is done with it: a write is declared
/// to read its sectors, too, so that it is no blind one, which would be answered once committed and
/// need not be executed if it is written over. A write's pattern is its number, so that no two
/// writes are the same.
pub(super) fn on_device(requests: &[Request], device: Device, seed: u64, site: usize) -> Vec<Op> {
    let op = |(nth, request): (u64, &Request)| {
        let Request { first, sectors, .. } = *request;
        let mut op = match request.write {
            true => {
                let pattern = nth.to_be_bytes();
                write(block::Request::Fill { first, sectors, pattern }.command(), site)
            }
            false => read(block::Request::Checksum { first, sectors }.command(), site),
        };
        if request.write {
            op.command.footprint.reads = op.command.footprint.writes.clone();
        }
        op.cost = device.time(seed, nth);
        op
    };
    (0..).zip(requests).map(op).collect()
}

/// One operation every `1 / per_second`, the first at `start`.
pub(super) fn paced(start: Time, per_second: u64, ops: Vec<Op>) -> Load {
    let at = |n: usize| start + Time(n as u64 * 1_000_000_000 / per_second);
    Load::Open { ops: ops.into_iter().enumerate().map(|(n, op)| (at(n), op)).collect() }
}

/// A write by a client beside replica `site`.
pub(super) fn write(command: Command, site: usize) -> Op {
    Op { command, kind: Kind::Write, cost: Time::ZERO, class: 0, site }
}

/// A read by a client beside replica `site`.
pub(super) fn read(command: Command, site: usize) -> Op {
    Op { kind: Kind::Read, ..write(command, site) }
}

/// Sets a key without reading it, and returns nothing.
pub(super) fn set(n: u64) -> Command {
    padded(|value| kv::Op::Set { key: &key(n), value }.command())
}

/// Sets a key to nothing: the smallest write.
pub(super) fn mark(n: u64) -> Command {
    kv::Op::Set { key: &key(n), value: &[] }.command()
}

/// Reads a key, and writes and returns what follows from it.
pub(super) fn modify(n: u64) -> Command {
    padded(|value| {
        kv::Op::CompareAndSet { key: &key(n), expected: None, value: Some(value) }.command()
    })
}

/// Reads a key.
pub(super) fn get(n: u64) -> Command {
    kv::Op::Get { key: &key(n) }.command()
}

/// The command with a value so long that its body has [`BODY_BYTES`].
fn padded(command: impl Fn(&[u8]) -> Command) -> Command {
    const VALUE: [u8; BODY_BYTES] = [b'x'; BODY_BYTES];
    // Lengths from 128 on take two bytes, so this one's excess is that of the right one.
    const GUESS: usize = BODY_BYTES - 16;
    let guess = command(&VALUE[..GUESS]);
    command(&VALUE[..GUESS + BODY_BYTES - guess.body.len()])
}

/// Big-endian, so that keys are in the order of their numbers.
fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(ops: &[Op], wanted: impl Fn(&Op) -> bool) -> f64 {
        ops.iter().filter(|op| wanted(op)).count() as f64 / ops.len() as f64
    }

    #[test]
    fn ycsb_mixes_are_as_published() {
        for (workload, reads, blind) in
            [(Ycsb::A, 0.5, 0.5), (Ycsb::B, 0.95, 0.05), (Ycsb::C, 1.0, 0.0), (Ycsb::F, 0.5, 0.0)]
        {
            let ops = workload.ops(3, 20_000, 0);
            let read = share(&ops, |op| op.kind == Kind::Read);
            let set = share(&ops, |op| op.command.footprint.is_blind());
            assert!((read - reads).abs() < 0.01, "{workload:?} {read}");
            assert!((set - blind).abs() < 0.01, "{workload:?} {set}");
            let hottest = get(0).footprint;
            let hot = share(&ops, |op| {
                op.command.footprint.reads == hottest.reads
                    || op.command.footprint.writes == hottest.reads
            });
            assert!((0.11..0.16).contains(&hot), "{workload:?} {hot}");
        }
    }

    #[test]
    fn the_stated_share_interferes_and_the_rest_does_not() {
        for percent in [0, 2, 10, 30, 100] {
            let ops = interfering(5, 10_000, percent, 0);
            let hot = modify(HOT).footprint;
            let share = share(&ops, |op| op.command.footprint == hot) * 100.0;
            assert!((share - f64::from(percent)).abs() < 1.5, "{percent} {share}");
            let mut cold: Vec<_> = ops
                .iter()
                .map(|op| &op.command.footprint)
                .filter(|f| **f != hot)
                .map(|f| f.writes.points()[0].clone())
                .collect();
            let count = cold.len();
            cold.sort_unstable();
            cold.dedup();
            assert_eq!(cold.len(), count, "each cold key is written once");
        }
    }

    #[test]
    fn requests_interfere_as_their_sectors_overlap() {
        let request = |write, first, sectors| Request { seconds: 0, write, first, sectors };
        let ops = block_requests(
            &[request(true, 0, 8), request(true, 8, 8), request(false, 7, 2), request(false, 7, 1)],
            0,
        );
        let meets =
            |a: usize, b: usize| ops[a].command.footprint.interferes(&ops[b].command.footprint);
        assert!(!meets(0, 1) && meets(0, 2) && meets(1, 2) && !meets(2, 3) && !meets(1, 3));
        assert!(ops[0].command.footprint.is_blind());
        assert_eq!(ops[2].kind, Kind::Read);
    }

    #[test]
    fn a_device_takes_the_stated_times() {
        let device = Device { least: Time::us(80), tail: Time::us(20), rare_percent: 1.0 };
        let request = |first| Request { seconds: 0, write: first % 5 != 0, first, sectors: 8 };
        let requests: Vec<Request> = (0..50_000).map(|n| request(n % 100)).collect();
        let ops = on_device(&requests, device, 3, 0);
        let mean = ops.iter().map(|op| op.cost.as_ms()).sum::<f64>() / 50_000.0;
        assert!((0.107..0.111).contains(&mean), "a mean of {mean} ms, not 0.1 times 1.09");
        let rare = share(&ops, |op| op.cost >= Time::us(800));
        assert!((0.008..0.012).contains(&rare), "{rare}");
        assert!(ops.iter().all(|op| op.cost >= Time::us(80)));
        let again = on_device(&requests[..100], device, 3, 0);
        assert_eq!(ops[..100], again, "a part of a trace is the same part");
        assert_ne!(ops[..100], on_device(&requests[..100], device, 4, 0)[..]);
    }

    #[test]
    fn what_a_device_executes_has_a_time_of_its_own_and_is_not_blind() {
        let device = Device { least: Time::us(80), tail: Time::us(20), rare_percent: 1.0 };
        let requests = [Request { seconds: 0, write: true, first: 7, sectors: 8 }; 3];
        let ops = on_device(&requests, device, 1, 0);
        assert!(ops.iter().all(|op| !op.command.footprint.is_blind()));
        // The world knows costs by bodies.
        assert_ne!(ops[0].command.body, ops[1].command.body);
        assert_ne!(ops[0].cost, ops[1].cost);
    }

    #[test]
    fn a_cache_is_asked_as_its_operations_say() {
        let access = |what| Access { key: b"k"[..].into(), bytes: 300, what };
        let whats = [What::Get, What::Set, What::Delete, What::Modify];
        let ops = traced(&Trace::Cache(whats.map(access).to_vec()), 2);
        let kinds = ops.iter().map(|op| (op.kind == Kind::Read, op.command.footprint.is_blind()));
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            [(true, false), (false, true), (false, true), (false, false)]
        );
        let long: Vec<bool> = ops.iter().map(|op| op.command.body.len() > 300).collect();
        assert_eq!(long, [false, true, false, true]);
        assert!(ops.iter().all(|op| op.site == 2));
    }

    #[test]
    fn bodies_are_as_long_as_stated() {
        for n in [0, 1, HOT] {
            assert_eq!(set(n).body.len(), BODY_BYTES);
            assert_eq!(modify(n).body.len(), BODY_BYTES);
        }
    }

    #[test]
    fn pace_is_even() {
        let Load::Open { ops } = paced(Time::ms(5), 3_000, interfering(1, 4, 0, 0)) else {
            panic!("paced is open")
        };
        let times: Vec<u64> = ops.iter().map(|(at, _)| at.0).collect();
        assert_eq!(times, [5_000_000, 5_333_333, 5_666_666, 6_000_000]);
    }
}
