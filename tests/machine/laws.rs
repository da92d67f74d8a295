//! The kit finds nothing in the machines here, and the planted fault in each broken one.

use bytes::Bytes;
use traft::apply::Machine;
use traft::apply::block::{Disk, Request, SECTOR};
use traft::apply::kv::{Kv, Op};
use traft::apply::laws::{Checked, Counterexample, Dice, Law, Plan, check};
use traft::base::{Command, Footprint, KeySet};

/// Any command of the key-value machine, over few keys.
fn kv_command(dice: &mut Dice) -> Command {
    let keys = [&b"a"[..], b"ab", b"b", b"c"];
    let (key, other) = (*dice.one_of(&keys), *dice.one_of(&keys));
    let values = [&b"1"[..], b"2", b"9223372036854775807", b"text"];
    let (value, another) = (*dice.one_of(&values), *dice.one_of(&values));
    let some = |dice: &mut Dice, value| (dice.below(2) == 0).then_some(value);
    let op = match dice.below(9) {
        0 => Op::Get { key },
        1 => Op::Set { key, value },
        2 => Op::Delete { key },
        3 => Op::Increment { key, by: dice.below(3) as i64 - 1 },
        4 => {
            let expected = some(dice, value);
            Op::CompareAndSet { key, expected, value: some(dice, another) }
        }
        5 => Op::Append { key, suffix: value },
        6 => Op::GetMany { keys: vec![key, other] },
        7 => Op::SetMany { pairs: vec![(key, value), (other, another)] },
        _ => Op::DeleteRange { start: key, end: some(dice, other) },
    };
    op.command()
}

fn block_command(dice: &mut Dice) -> Command {
    let (first, sectors) = (dice.below(6), 1 + dice.below(4));
    let byte = dice.below(3) as u8;
    match dice.below(4) {
        0 => Request::Read { first, sectors }.command(),
        1 => Request::Checksum { first, sectors }.command(),
        2 => Request::Write { first, data: &vec![byte; sectors as usize * SECTOR] }.command(),
        _ => Request::Fill { first, sectors, pattern: [byte; 8] }.command(),
    }
}

fn show_kv(body: &Bytes) -> String {
    Op::decode(body).map_or("malformed".to_string(), |op| op.to_string())
}

fn plan() -> Plan {
    Plan { show: show_kv, ..Plan::default() }
}

/// A search that tried nothing proves nothing.
fn assert_tried(checked: Checked) {
    let Checked { commuting, overriding, blind, reading, determined } = checked;
    for tried in [commuting, overriding, blind, reading, determined] {
        assert!(tried > 500, "{checked:?}");
    }
}

#[test]
fn the_machines_here_keep_the_contract() {
    assert_tried(check(&plan(), Kv::new, kv_command).expect("no breach"));
    let plan = Plan { rounds: 300, ..Plan::default() };
    assert_tried(check(&plan, Disk::new, block_command).expect("no breach"));
}

fn breach<M: Machine>(new: fn() -> M, draw: fn(&mut Dice) -> Command) -> Counterexample {
    *check(&plan(), new, draw).expect_err("the planted fault")
}

/// seed-traft's CX7: get and increment of one key were declared independent, because only sets of
/// one key were said to interfere. As footprints: every kind of command but set had its own keys.
#[test]
fn increment_and_get_declared_independent_are_caught() {
    let draw = |dice: &mut Dice| {
        let key = *dice.one_of(&[&b"x"[..], b"y"]);
        let own = |kind: &str| KeySet::point([kind.as_bytes(), key].concat());
        match dice.below(3) {
            0 => Op::Set { key, value: b"1" }.command(),
            1 => {
                let command = Op::Get { key }.command();
                Command { footprint: Footprint::read(own("get:")), ..command }
            }
            _ => {
                let command = Op::Increment { key, by: 1 }.command();
                Command { footprint: Footprint::update(own("increment:")), ..command }
            }
        }
    };
    let found = breach(Kv::new, draw);
    assert_eq!(found.case.law, Law::Commute);
    let text = found.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let [law, first, second, one, other, seed] = lines[..] else { panic!("{text}") };
    assert_eq!(law, "two commands declared independent do not commute");
    assert_eq!(first, "  first   get x   [r:get:x]");
    assert_eq!(second, "  second  increment x by 1   [rw:increment:x]");
    assert!(one.starts_with(r#"in this order: first "\x01\x00", second "\x03\x01\x00"#), "{one}");
    assert!(
        other.starts_with(r#"in the other: first "\x01\x021", second "\x03\x01\x00"#),
        "{other}"
    );
    assert_eq!(seed, "found with seed 1 in round 0");
}

/// Appending returns nothing here and so was declared blind, but what it leaves depends on what
/// was there.
#[test]
fn a_blind_write_that_looks_at_its_key_is_caught() {
    struct Silent(Kv);
    impl Machine for Silent {
        fn apply(&mut self, body: &Bytes) -> Bytes {
            self.0.apply(body);
            Bytes::new()
        }
        fn read(&self, body: &Bytes) -> Bytes {
            self.0.read(body)
        }
        fn digest(&self) -> u64 {
            self.0.digest()
        }
    }
    let draw = |dice: &mut Dice| {
        let key = *dice.one_of(&[&b"x"[..], b"y"]);
        let mut append = Op::Append { key, suffix: b"!" }.command();
        append.footprint.reads = KeySet::new();
        append
    };
    let found = breach(|| Silent(Kv::new()), draw);
    assert_eq!(found.case.law, Law::Override);
    assert!(found.case.history.is_empty() && found.case.after.is_empty(), "{found}");
}

#[test]
fn a_blind_command_that_returns_something_is_caught() {
    let draw = |_: &mut Dice| {
        let mut command = Op::Increment { key: b"x", by: 1 }.command();
        command.footprint.reads = KeySet::new();
        command
    };
    assert_eq!(breach(Kv::new, draw).case.law, Law::Silent);
}

#[test]
fn a_read_that_writes_is_caught_even_if_the_digest_does_not_tell() {
    /// Counts the reads, and forgets to put the count into the digest.
    #[derive(Default)]
    struct Counting(u8);
    impl Machine for Counting {
        fn apply(&mut self, body: &Bytes) -> Bytes {
            self.0 += u8::from(body == "get");
            Bytes::from(vec![self.0 / 2])
        }
        fn read(&self, _: &Bytes) -> Bytes {
            Bytes::from(vec![self.0.div_ceil(2)])
        }
        fn digest(&self) -> u64 {
            0
        }
    }
    let draw = |_: &mut Dice| Command {
        footprint: Footprint::read(KeySet::point(&b"x"[..])),
        body: Bytes::from_static(b"get"),
    };
    let found = breach(Counting::default, draw);
    assert!(matches!(found.case.law, Law::ReadOnly | Law::ReadAgrees), "{found}");
}

#[test]
fn a_result_that_is_not_determined_is_caught() {
    /// Its answers depend on how often the process made a machine.
    struct Random(u64);
    impl Random {
        fn new() -> Random {
            use std::hash::{BuildHasher, RandomState};
            Random(RandomState::new().hash_one(0))
        }
    }
    impl Machine for Random {
        fn apply(&mut self, _: &Bytes) -> Bytes {
            Bytes::from(self.0.to_le_bytes().to_vec())
        }
        fn read(&self, _: &Bytes) -> Bytes {
            Bytes::new()
        }
        fn digest(&self) -> u64 {
            0
        }
    }
    assert_eq!(breach(Random::new, kv_command).case.law, Law::Determined);
}

#[test]
fn a_body_that_makes_it_panic_is_caught() {
    /// Believes that what was proposed is well formed.
    struct Trusting(Kv);
    impl Machine for Trusting {
        fn apply(&mut self, body: &Bytes) -> Bytes {
            Op::decode(body).expect("a well-formed body");
            self.0.apply(body)
        }
        fn read(&self, body: &Bytes) -> Bytes {
            self.0.read(body)
        }
        fn digest(&self) -> u64 {
            self.0.digest()
        }
    }
    let found = breach(|| Trusting(Kv::new()), kv_command);
    assert_eq!(found.case.law, Law::Determined);
    assert!(found.left.panicked && found.to_string().contains("once: panicked"), "{found}");
}

#[test]
fn the_same_seed_finds_the_same_and_another_seed_finds_it_too() {
    let draw = |dice: &mut Dice| {
        let mut command = kv_command(dice);
        command.footprint.reads = KeySet::new();
        command
    };
    let find =
        |seed| check(&Plan { seed, ..plan() }, Kv::new, draw).expect_err("no reads declared");
    assert_eq!(find(7).to_string(), find(7).to_string());
    assert_ne!(find(7).found, find(8).found);
}
