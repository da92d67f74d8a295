//! Keys and values against an ordered map of strings.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use traft::apply::Machine;
use traft::apply::kv::{Answer, Failure, Frozen, Kv, Malformed, Op};

/// An [`Op`] that owns its parts.
#[derive(Clone, Debug)]
enum Do {
    Get(Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Increment(Vec<u8>, i64),
    Swap(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    Append(Vec<u8>, Vec<u8>),
    GetMany(Vec<Vec<u8>>),
    SetMany(Vec<(Vec<u8>, Vec<u8>)>),
    DeleteRange(Vec<u8>, Option<Vec<u8>>),
}

impl Do {
    fn op(&self) -> Op<'_> {
        match self {
            Do::Get(key) => Op::Get { key },
            Do::Set(key, value) => Op::Set { key, value },
            Do::Delete(key) => Op::Delete { key },
            Do::Increment(key, by) => Op::Increment { key, by: *by },
            Do::Swap(key, expected, value) => {
                Op::CompareAndSet { key, expected: expected.as_deref(), value: value.as_deref() }
            }
            Do::Append(key, suffix) => Op::Append { key, suffix },
            Do::GetMany(keys) => Op::GetMany { keys: keys.iter().map(|key| &key[..]).collect() },
            Do::SetMany(pairs) => {
                Op::SetMany { pairs: pairs.iter().map(|(k, v)| (&k[..], &v[..])).collect() }
            }
            Do::DeleteRange(start, end) => Op::DeleteRange { start, end: end.as_deref() },
        }
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(b"ab\0".to_vec()), 0..3),
        1 => Just(vec![b'k'; 40]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..5),
        2 => any::<i8>().prop_map(|n| n.to_string().into_bytes()),
        1 => Just(i64::MAX.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 120..300),
    ]
}

fn step() -> impl Strategy<Value = Do> {
    let by = prop_oneof![any::<i8>().prop_map(i64::from), any::<i64>()];
    prop_oneof![
        2 => key().prop_map(Do::Get),
        4 => (key(), value()).prop_map(|(key, value)| Do::Set(key, value)),
        2 => key().prop_map(Do::Delete),
        3 => (key(), by).prop_map(|(key, by)| Do::Increment(key, by)),
        2 => (key(), prop::option::of(value()), prop::option::of(value()))
            .prop_map(|(key, expected, value)| Do::Swap(key, expected, value)),
        2 => (key(), value()).prop_map(|(key, suffix)| Do::Append(key, suffix)),
        1 => prop::collection::vec(key(), 0..4).prop_map(Do::GetMany),
        1 => prop::collection::vec((key(), value()), 0..4).prop_map(Do::SetMany),
        2 => (key(), prop::option::of(key())).prop_map(|(start, end)| Do::DeleteRange(start, end)),
    ]
}

type Twin = BTreeMap<Vec<u8>, Vec<u8>>;

fn dumb(twin: &mut Twin, step: &Do) -> Answer {
    let part = |value: &Vec<u8>| Bytes::from(value.clone());
    match step.clone() {
        Do::Get(key) => return Answer::Value(twin.get(&key).map(part)),
        Do::GetMany(keys) => {
            return Answer::Values(keys.iter().map(|key| twin.get(key).map(part)).collect());
        }
        Do::Set(key, value) => drop(twin.insert(key, value)),
        Do::Delete(key) => drop(twin.remove(&key)),
        Do::SetMany(pairs) => twin.extend(pairs),
        Do::DeleteRange(start, end) => twin.retain(|key, _| {
            let inside = *key >= start && end.as_ref().is_none_or(|end| key < end);
            !inside
        }),
        Do::Increment(key, by) => {
            let text = twin.get(&key).map_or(b"0".to_vec(), Vec::clone);
            let number = String::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
            let Some(number) = number else { return Answer::Failed(Failure::NotANumber) };
            let sum = i128::from(number) + i128::from(by);
            let Ok(sum) = i64::try_from(sum) else { return Answer::Failed(Failure::Overflow) };
            twin.insert(key, sum.to_string().into_bytes());
            return Answer::Number(sum);
        }
        Do::Append(key, suffix) => {
            let value = twin.entry(key).or_default();
            value.extend(suffix);
            return Answer::Length(value.len() as u64);
        }
        Do::Swap(key, expected, value) => {
            let swap = twin.get(&key) == expected.as_ref();
            if swap {
                twin.remove(&key);
                twin.extend(value.map(|value| (key, value)));
            }
            return Answer::Swapped(swap);
        }
    }
    Answer::Nothing
}

fn kv_of(twin: &Twin) -> Kv {
    let mut kv = Kv::new();
    for (key, value) in twin {
        kv.apply(&Op::Set { key, value }.encode());
    }
    kv
}

proptest! {
    #[test]
    fn each_command_does_what_the_twin_does(
        steps in prop::collection::vec((step(), 0..6_u8), 0..60),
    ) {
        let (mut kv, mut twin) = (Kv::new(), Twin::new());
        let mut held: Option<(Frozen, Twin)> = None;
        for (step, hold) in &steps {
            // Now and then the state is held fast, or let go of: nobody sees a difference.
            match (*hold, held.take()) {
                (0, None) => held = kv.freeze().map(|frozen| (frozen, twin.clone())),
                (0, still) => {
                    prop_assert!(kv.freeze().is_none());
                    held = still;
                }
                (1, Some((frozen, then))) => {
                    prop_assert_eq!(kv_of(&then).digest(), frozen.pairs().collect::<Kv>().digest());
                    prop_assert!(frozen.pairs().map(|(key, _)| key).eq(then.keys()));
                }
                (_, still) => held = still,
            }
            let command = step.op().command();
            let before = kv.digest();
            let seen_first = kv.read(&command.body);
            prop_assert_eq!(kv.digest(), before);
            let result = kv.apply(&command.body);
            let expected = dumb(&mut twin, step);
            prop_assert_eq!(Answer::decode(&result), Ok(expected), "{}", step.op());
            if command.footprint.writes.is_empty() {
                prop_assert_eq!(seen_first, result);
            } else {
                let refused = Answer::Failed(Failure::NotARead);
                prop_assert_eq!(Answer::decode(&seen_first), Ok(refused));
            }
            prop_assert_eq!(kv.len(), twin.len());
            prop_assert_eq!(kv.is_empty(), twin.is_empty());
            for (key, value) in &twin {
                prop_assert_eq!(kv.get(key).map(|value| &value[..]), Some(&value[..]));
            }
        }
        prop_assert_eq!(kv.digest(), kv_of(&twin).digest());
    }

    #[test]
    fn the_digest_tells_states_apart(a in prop::collection::btree_map(key(), value(), 0..4),
                                     b in prop::collection::btree_map(key(), value(), 0..4)) {
        prop_assert_eq!(kv_of(&a).digest() == kv_of(&b).digest(), a == b);
    }

    #[test]
    fn an_op_comes_back_from_its_bytes(step in step(), cut in any::<prop::sample::Index>()) {
        let body = step.op().encode();
        prop_assert_eq!(Op::decode(&body), Ok(step.op()));
        prop_assert_eq!(Op::decode(&body[..cut.index(body.len())]), Err(Malformed));
        let longer = [&body[..], b"x"].concat();
        prop_assert_eq!(Op::decode(&longer), Err(Malformed));
    }

    /// One meaning has one form, and no bytes make it panic.
    #[test]
    fn any_bytes_are_an_op_or_an_error(
        kind in 0_u8..10, rest in prop::collection::vec(0_u8..12, 0..12),
    ) {
        let body = Bytes::from([&[kind], &rest[..]].concat());
        match Op::decode(&body) {
            Ok(op) => prop_assert_eq!(&op.encode(), &body),
            Err(Malformed) => {
                let mut kv = Kv::new();
                let failed = Answer::Failed(Failure::Malformed);
                prop_assert_eq!(Answer::decode(&kv.apply(&body)), Ok(failed.clone()));
                prop_assert_eq!(Answer::decode(&kv.read(&body)), Ok(failed));
                prop_assert!(kv.is_empty());
            }
        }
        if let Ok(answer) = Answer::decode(&body) {
            prop_assert_eq!(answer.encode(), body);
        }
    }
}

#[test]
fn every_answer_comes_back_from_its_bytes() {
    let some = Some(Bytes::from_static(b"v"));
    let answers = [
        Answer::Nothing,
        Answer::Value(None),
        Answer::Value(some.clone()),
        Answer::Value(Some(Bytes::new())),
        Answer::Values(vec![some, None]),
        Answer::Number(-3),
        Answer::Length(1 << 40),
        Answer::Swapped(true),
        Answer::Swapped(false),
        Answer::Failed(Failure::Malformed),
        Answer::Failed(Failure::NotANumber),
        Answer::Failed(Failure::Overflow),
        Answer::Failed(Failure::NotARead),
    ];
    for answer in answers {
        let bytes = answer.encode();
        assert_eq!(Answer::decode(&bytes), Ok(answer));
        let longer = Bytes::from([&bytes[..], b"\x7f"].concat());
        assert_eq!(Answer::decode(&longer), Err(Malformed));
    }
}

#[test]
fn footprints_are_exact() {
    let (key, value, other) = (&b"k"[..], &b"v"[..], &b"a"[..]);
    let print = |op: Op<'_>| {
        let command = op.command();
        assert_eq!(command.body, op.encode());
        command.footprint.to_string()
    };
    assert_eq!(print(Op::Get { key }), "r:k");
    assert_eq!(print(Op::Set { key, value }), "w:k");
    assert_eq!(print(Op::Delete { key }), "w:k");
    assert_eq!(print(Op::Increment { key, by: 1 }), "rw:k");
    assert_eq!(print(Op::CompareAndSet { key, expected: None, value: Some(value) }), "rw:k");
    assert_eq!(print(Op::Append { key, suffix: value }), "rw:k");
    assert_eq!(print(Op::GetMany { keys: vec![key, other, key] }), "r:a,k");
    assert_eq!(print(Op::SetMany { pairs: vec![(key, value), (other, value)] }), "w:a,k");
    assert_eq!(print(Op::DeleteRange { start: other, end: Some(key) }), "w:[a k)");
    assert_eq!(print(Op::DeleteRange { start: key, end: None }), "w:[k ..)");
    assert_eq!(print(Op::DeleteRange { start: key, end: Some(other) }), "-");
    assert_eq!(print(Op::GetMany { keys: vec![] }), "-");
}

#[test]
fn ops_print_in_one_short_form() {
    let (key, value) = (&b"k"[..], &b"v\n"[..]);
    let swap = |expected, value| Op::CompareAndSet { key, expected, value }.to_string();
    assert_eq!(Op::Get { key }.to_string(), "get k");
    assert_eq!(Op::Set { key, value }.to_string(), "set k=v\\n");
    assert_eq!(Op::Delete { key }.to_string(), "delete k");
    assert_eq!(Op::Increment { key, by: -2 }.to_string(), "increment k by -2");
    assert_eq!(swap(None, Some(value)), "cas k ->v\\n");
    assert_eq!(swap(Some(key), None), "cas k k>-");
    assert_eq!(Op::Append { key, suffix: value }.to_string(), "append k+v\\n");
    assert_eq!(Op::GetMany { keys: vec![key, b"l"] }.to_string(), "get k l");
    assert_eq!(Op::SetMany { pairs: vec![(key, b"1"), (b"l", b"2")] }.to_string(), "set k=1 l=2");
    assert_eq!(Op::DeleteRange { start: key, end: Some(b"m") }.to_string(), "delete [k m)");
    assert_eq!(Op::DeleteRange { start: key, end: None }.to_string(), "delete [k ..)");
}

/// A large value is a slice of its body; a small one would keep too much alive.
#[test]
fn a_value_is_copied_only_out_of_a_body_four_times_its_size() {
    let inside = |body: &Bytes, value: &Bytes| body.as_ptr_range().contains(&value.as_ptr());
    let mut kv = Kv::new();
    let body = Op::Set { key: b"k", value: &[7; 256] }.encode();
    kv.apply(&body);
    assert!(inside(&body, kv.get(b"k").expect("just set")));
    let large: &[u8] = &[7; 4096];
    let body = Op::SetMany { pairs: vec![(b"k", b"small"), (b"l", large)] }.encode();
    kv.apply(&body);
    assert!(!inside(&body, kv.get(b"k").expect("just set")));
    assert!(inside(&body, kv.get(b"l").expect("just set")));
}
