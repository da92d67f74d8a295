//! The Redis machine against an ordered map with one function for each command, and its laws.

use crate::redis_twin::{Dumb, dumb_match};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use traft::apply::laws::{Dice, Plan, check};
use traft::apply::redis::{
    Answer, ExpireWhen, Failure, Frozen, KEY_BYTES_MAX, Limit, Op, OpError, PAGE_BYTES_MAX, Store,
    VALUE_BYTES_MAX, When, matches,
};
use traft::apply::{Bottom, Machine, Stateful};
use traft::base::{Command, Key, KeyRange, KeySet};

const KEYS: [&[u8]; 5] = [b"", b"a", b"ab", b"b", b"a key that is longer than twenty-four"];
const VALUES: [&[u8]; 7] =
    [b"", b"1", b"-3", b"9223372036854775807", b"07", b"text", b"-9223372036854775808"];
const PATTERNS: [&[u8]; 5] = [b"*", b"a*", b"?", b"[^a]*", b"*l*r*"];

fn limit(dice: &mut Dice) -> Limit {
    match dice.below(3) {
        0 => Limit::None,
        1 => Limit::Keep,
        _ => Limit::At(1 + dice.below(4)),
    }
}

fn key(dice: &mut Dice) -> &'static [u8] {
    KEYS[dice.below(KEYS.len() as u64) as usize]
}

fn value(dice: &mut Dice) -> &'static [u8] {
    VALUES[dice.below(VALUES.len() as u64) as usize]
}

fn keys(dice: &mut Dice) -> Vec<&'static [u8]> {
    (0..=dice.below(3)).map(|_| key(dice)).collect()
}

fn pairs(dice: &mut Dice) -> Vec<(&'static [u8], &'static [u8])> {
    (0..=dice.below(3)).map(|_| (key(dice), value(dice))).collect()
}

/// A write, over few keys and moments.
fn draw_write(dice: &mut Dice) -> Op<'static> {
    let (key, value, at) = (key(dice), value(dice), 1 + dice.below(4));
    match dice.below(16) {
        0 | 1 => Op::Set { key, value, deadline: (dice.below(2) == 0).then_some(at) },
        2 => Op::SetMany { pairs: pairs(dice) },
        3 if dice.below(4) == 0 => Op::Clear,
        3 | 4 => {
            let when = *dice.one_of(&[When::Always, When::Absent, When::Present]);
            Op::Put { key, value, limit: limit(dice), when, get: dice.below(2) == 0 }
        }
        5 => Op::SetManyIfAbsent { pairs: pairs(dice) },
        6 => Op::Delete { keys: keys(dice) },
        7 => Op::Take { key },
        8 => Op::GetAndLimit { key, limit: limit(dice) },
        9 | 10 => Op::Add { key, by: dice.below(3) as i64 - 1 },
        11 => Op::Append { key, suffix: value },
        12 => {
            use ExpireWhen::{Always, Earlier, Later, Limited, Unlimited};
            let when = *dice.one_of(&[Always, Unlimited, Limited, Later, Earlier]);
            Op::Expire { key, deadline: at, when }
        }
        13 => Op::Persist { key },
        14 => Op::Evict { keys: keys(dice).into_iter().map(|key| (key, at)).collect() },
        _ => Op::Time { now: at },
    }
}

fn draw_read(dice: &mut Dice) -> Op<'static> {
    let key = key(dice);
    match dice.below(9) {
        0 => Op::Get { key },
        1 => Op::GetMany { keys: keys(dice) },
        2 => Op::Length { key },
        3 => Op::Exists { keys: keys(dice) },
        4 => Op::Deadline { key },
        5 => Op::Count,
        6 => Op::Scan {
            after: (dice.below(2) == 0).then_some(key),
            pattern: (dice.below(2) == 0).then(|| *dice.one_of(&PATTERNS)),
            most: dice.below(5) as u32,
        },
        7 => Op::Due { now: dice.below(5), most: dice.below(4) as u32 },
        _ => Op::Clock,
    }
}

fn draw(dice: &mut Dice) -> Op<'static> {
    let one = |dice: &mut Dice| match dice.below(3) {
        0 => draw_read(dice),
        _ => draw_write(dice),
    };
    match dice.below(10) {
        0 => Op::All { ops: (0..=dice.below(4)).map(|_| one(dice)).collect() },
        _ => one(dice),
    }
}

fn command(op: &Op<'_>) -> Command {
    op.command().expect("a good command")
}

/// The store that a snapshot of this state gives.
fn restored(frozen: &Frozen) -> Store {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
        frozen.pairs().map(|(key, value)| (key.to_vec(), value)).collect();
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "a snapshot takes keys in order");
    let mut store = Store::new();
    // What was there before is forgotten.
    store.apply(&command(&Op::Set { key: b"before", value: b"", deadline: Some(1) }).body);
    store.clear();
    pairs.iter().for_each(|(key, value)| store.load(key, value));
    store
}

/// What a snapshot of this state would be in its file.
#[derive(Debug)]
struct Shelf(BTreeMap<Vec<u8>, Vec<u8>>);

impl Shelf {
    fn of(frozen: &Frozen) -> Arc<Shelf> {
        Arc::new(Shelf(frozen.pairs().map(|(key, value)| (key.to_vec(), value)).collect()))
    }
}

impl Bottom for Shelf {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).map(|value| Bytes::copy_from_slice(value))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0.contains_key(key)
    }

    fn range(&self, range: &KeyRange) -> Box<dyn Iterator<Item = (Key, Bytes)> + '_> {
        assert!(!range.is_empty());
        let (range, own) = (range.clone(), Bytes::copy_from_slice);
        let pairs = self.0.iter().filter(move |(key, _)| range.contains(key));
        Box::new(pairs.map(move |(key, value)| (own(key), own(value))))
    }
}

fn from_dumb(dumb: &Dumb) -> Store {
    let mut store = Store::new();
    if dumb.clock > 0 {
        store.apply(&command(&Op::Time { now: dumb.clock }).body);
    }
    for (key, (value, deadline)) in &dumb.keys {
        store.apply(&command(&Op::Set { key, value, deadline: *deadline }).body);
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any commands, with states held fast, restored, let go, and left in files in between.
    #[test]
    fn agrees_with_an_ordered_map(seed: u64, length in 1..80_usize) {
        let mut dice = Dice::new(seed);
        let (mut store, mut dumb) = (Store::new(), Dumb::default());
        let mut held: Option<(Frozen, Store)> = None;
        for _ in 0..length {
            let op = draw(&mut dice);
            let body = command(&op).body;
            if op.is_read() {
                let read = Answer::decode(&store.read(&body)).expect("an answer");
                prop_assert_eq!(&read, &dumb.read(&op).expect("a read"), "{:?}", op);
            }
            let answer = Answer::decode(&store.apply(&body)).expect("an answer");
            prop_assert_eq!(answer, dumb.apply(&op), "{:?}", op);
            prop_assert_eq!((store.len(), store.clock()), (dumb.keys.len(), dumb.clock));
            match dice.below(8) {
                0 if held.is_none() => {
                    let state = from_dumb(&dumb);
                    if let Some(frozen) = store.freeze() {
                        held = Some((frozen, state));
                    }
                }
                1 => held = None,
                2 => {
                    if let Some((frozen, _)) = &held {
                        store.rest_on(frozen, Shelf::of(frozen));
                    }
                }
                3 if held.is_none() => {
                    let shelf = store.freeze().map(|frozen| Shelf::of(&frozen));
                    store = Store::new();
                    store.apply(&command(&Op::Append { key: b"b", suffix: b"before" }).body);
                    prop_assert!(store.adopt(shelf.expect("nobody holds it")));
                }
                _ => {}
            }
            if let Some((frozen, state)) = &held {
                prop_assert_eq!(restored(frozen).digest(), state.digest());
            }
            prop_assert_eq!(store.digest(), from_dumb(&dumb).digest());
        }
        let other = from_dumb(&dumb);
        let digest = command(&Op::Digest).body;
        prop_assert_eq!(store.digest(), other.digest());
        prop_assert_eq!(store.read(&digest), other.read(&digest));
        drop(held);
        let again = restored(&store.freeze().expect("nobody holds it"));
        prop_assert_eq!(again.digest(), store.digest());
        let due = command(&Op::Due { now: 9, most: 9 }).body;
        prop_assert_eq!(again.read(&due), store.read(&due), "deadlines come back, too");
    }

    /// A file that another store was written to, or one from before there was a sum, is no state.
    #[test]
    fn what_was_not_held_fast_last_is_nothing_to_rest_on(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut store = Store::new();
        let mut apply = |store: &mut Store| {
            (0..9).for_each(|_| drop(store.apply(&command(&draw_write(&mut dice)).body)));
            store.digest()
        };
        apply(&mut store);
        let early = store.freeze().expect("nobody holds it");
        let shelf = Shelf::of(&early);
        let before = apply(&mut store);
        let mut plain = shelf.0.clone();
        plain.remove(&b"\0traft sum"[..]);
        let plain = Arc::new(Shelf(plain));
        store.rest_on(&early, plain.clone());
        prop_assert_eq!(store.digest(), before);
        prop_assert!(!store.adopt(plain));
        prop_assert_eq!(store.digest(), before);
        drop(early);
        let late = store.freeze().expect("nobody holds it");
        let other = Store::new().freeze().expect("nobody holds it");
        store.rest_on(&other, shelf.clone());
        prop_assert_eq!(store.digest(), before);
        store.rest_on(&late, Shelf::of(&late));
        // Once is enough.
        store.rest_on(&late, shelf);
        prop_assert_eq!(store.digest(), before);
    }

    #[test]
    fn commands_and_answers_come_back_as_they_were(seed: u64) {
        let mut dice = Dice::new(seed);
        let op = draw(&mut dice);
        let body = op.encode();
        prop_assert_eq!(Op::decode(&body), Ok(op));
        let mut store = Store::new();
        for _ in 0..20 {
            let result = store.apply(&command(&draw(&mut dice)).body);
            prop_assert_eq!(Answer::decode(&result).expect("an answer").encode(), result);
        }
    }

    #[test]
    fn what_it_did_not_write_is_an_error(seed: u64, garbage: Vec<u8>, cut in 0..64_usize) {
        let mut body = draw(&mut Dice::new(seed)).encode().to_vec();
        body.truncate(cut);
        body.extend(garbage);
        let body = Bytes::from(body);
        if let Ok(op) = Op::decode(&body) {
            prop_assert_eq!(op.encode(), body.clone());
        } else {
            let failed = Answer::Failed(Failure::Malformed);
            prop_assert_eq!(Answer::decode(&Store::new().apply(&body)), Ok(failed));
        }
        // Never a panic, and never more memory than it takes.
        let _ = Answer::decode(&body);
    }

    #[test]
    fn patterns_match_as_trying_everything_does(
        pattern in "([ab*?]|\\[\\^a\\]|\\[a-b\\]|\\\\[*a]){0,8}",
        text in "[ab*]{0,8}",
    ) {
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(matches(pattern, text), dumb_match(pattern, text));
    }
}

#[test]
fn patterns_in_odd_forms() {
    let cases: [(&[u8], &[u8], bool); 12] = [
        (b"[abc]x", b"bx", true),
        (b"[c-a]", b"b", true),
        (b"[a", b"a", true),
        (b"[", b"[", false),
        (b"[^", b"x", true),
        (b"[\\]]", b"]", true),
        (b"[]", b"]", false),
        (b"\\", b"\\", true),
        (b"[a\\", b"\\", true),
        (b"\xff*", b"\xff\x00", true),
        (b"**", b"", true),
        (b"h[a-]", b"h-", false),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(matches(pattern, text), expected, "{}", pattern.escape_ascii());
    }
    // Would take for ever if every star were tried again.
    assert!(!matches(&[&b"a*".repeat(200)[..], b"b"].concat(), &[b'a'; 4_000]));
}

#[test]
fn the_laws_hold() {
    let plan = Plan { rounds: 3_000, ..Plan::default() };
    let draw = |dice: &mut Dice| match dice.below(20) {
        0 => command(&Op::Digest),
        _ => command(&draw(dice)),
    };
    let checked = check(&plan, Store::new, draw).expect("no breach");
    for tried in [checked.commuting, checked.overriding, checked.blind, checked.reading] {
        assert!(tried > 1_000, "{checked:?}");
    }
}

#[test]
fn the_laws_find_a_footprint_that_is_too_small() {
    let draw = |dice: &mut Dice| {
        let op = draw(dice);
        let mut command = command(&op);
        if matches!(op, Op::Add { .. }) {
            // Says that it is about another key.
            command.footprint = self::command(&Op::Add { key: b"elsewhere", by: 1 }).footprint;
        }
        command
    };
    check(&Plan::default(), Store::new, draw).expect_err("planted");
}

#[test]
fn footprints_are_exact() {
    let footprint = |op: Op<'_>| command(&op).footprint;
    let (a, b) = (KeySet::point("a"), KeySet::from_parts(["a", "b"].map(Bytes::from), []));
    let set = footprint(Op::Set { key: b"a", value: b"1", deadline: Some(9) });
    assert_eq!((set.reads, set.writes), (KeySet::new(), a.clone()));
    let many = footprint(Op::SetMany { pairs: vec![(b"b", b"1"), (b"a", b"2")] });
    assert_eq!((many.reads, many.writes), (KeySet::new(), b.clone()));
    let delete = footprint(Op::Delete { keys: vec![b"a", b"b"] });
    assert_eq!((&delete.reads, &delete.writes), (&b, &b));
    let get = footprint(Op::Get { key: b"a" });
    assert_eq!((get.reads, get.writes), (a, KeySet::new()));
    // The clock is nobody's key, and a count waits for no clock.
    let time = footprint(Op::Time { now: 1 });
    for op in [Op::Count, Op::Digest, Op::Clear, Op::Scan { after: None, pattern: None, most: 1 }] {
        assert!(!footprint(op).interferes(&time));
    }
    assert!(footprint(Op::Clock).interferes(&time));
    // A scan that goes on does not wait for what is behind it.
    let scan = footprint(Op::Scan { after: Some(b"a"), pattern: None, most: 1 });
    let write = |key| footprint(Op::Set { key, value: b"", deadline: None });
    assert!(!scan.interferes(&write(b"a")) && scan.interferes(&write(b"a\0")));
    let blind = Op::All { ops: vec![Op::Clear, Op::Set { key: b"a", value: b"", deadline: None }] };
    assert!(footprint(blind).is_blind());
}

#[test]
fn what_is_too_long_or_reserved_is_refused() {
    let long = vec![b'k'; KEY_BYTES_MAX + 1];
    let refused = |op: Op<'_>| op.command().expect_err("a bad command");
    assert_eq!(refused(Op::Get { key: &long }), OpError::KeyTooLong);
    assert_eq!(refused(Op::Get { key: b"\0traft clock" }), OpError::Reserved);
    assert_eq!(refused(Op::GetMany { keys: vec![] }), OpError::Empty);
    assert_eq!(refused(Op::All { ops: vec![] }), OpError::Empty);
    let nested = Op::All { ops: vec![Op::Count] };
    assert_eq!(refused(Op::All { ops: vec![nested] }), OpError::TooMuch);
    let value = vec![b'v'; VALUE_BYTES_MAX];
    let mut store = Store::new();
    store.apply(&command(&Op::Set { key: b"a", value: &value, deadline: None }).body);
    let append = store.apply(&command(&Op::Append { key: b"a", suffix: b"1" }).body);
    assert_eq!(Answer::decode(&append), Ok(Answer::Failed(Failure::TooLong)));
    assert_eq!(store.read(&command(&Op::Length { key: b"a" }).body).len(), 9);
}

#[test]
fn a_page_has_a_bound() {
    let mut store = Store::new();
    let key = |n: usize| [format!("{n:09}").as_bytes(), &[b'k'; KEY_BYTES_MAX - 9]].concat();
    let count = 2 * PAGE_BYTES_MAX / KEY_BYTES_MAX;
    for n in 0..count {
        store.apply(&command(&Op::Set { key: &key(n), value: b"", deadline: None }).body);
    }
    let scan = |after: Option<&[u8]>| {
        let body = command(&Op::Scan { after, pattern: None, most: u32::MAX }).body;
        match Answer::decode(&store.read(&body)) {
            Ok(Answer::Page { keys, next }) => (keys.len(), next),
            other => panic!("{other:?}"),
        }
    };
    let (first, next) = scan(None);
    let (second, end) = scan(Some(&next.expect("more")));
    assert_eq!((first + second, end), (count, None));
    assert!(first < count);
}

/// The bytes of commands lie in logs: they stay what they are.
#[test]
fn commands_keep_their_bytes() {
    let golden: [(Op<'_>, &[u8]); 8] = [
        (Op::Set { key: b"k", value: b"v", deadline: None }, b"\x10\x01k\x01v"),
        (
            Op::Set { key: b"k", value: b"v", deadline: Some(258) },
            b"\x11\x01k\x01v\x02\x01\0\0\0\0\0\0",
        ),
        (Op::SetMany { pairs: vec![(b"k", b"v")] }, b"\x12\x01\x01k\x01v"),
        (Op::Clear, b"\x13"),
        (Op::Delete { keys: vec![b"k", b"l"] }, b"\x16\x02\x01k\x01l"),
        (Op::Add { key: b"k", by: -1 }, b"\x19\x01k\xff\xff\xff\xff\xff\xff\xff\xff"),
        (
            Op::Put { key: b"k", value: b"", limit: Limit::Keep, when: When::Absent, get: true },
            b"\x14\x01k\0\x01\x01\x01",
        ),
        (Op::All { ops: vec![Op::Clear, Op::Get { key: b"k" }] }, b"\x1f\x02\x13\0\x01k"),
    ];
    for (op, bytes) in golden {
        assert_eq!(op.encode(), bytes, "{op:?}");
    }
}
