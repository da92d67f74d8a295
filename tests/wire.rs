//! The wire: what goes in comes out, nothing that comes in makes it panic, and the bytes of each
//! released version stay what they were.

#[path = "wire/drawn.rs"]
mod drawn;
#[path = "../src/wire/generated.rs"]
#[allow(missing_docs, unreachable_pub, clippy::all, dead_code, reason = "generated")]
#[rustfmt::skip]
mod generated;
#[path = "wire/samples.rs"]
mod samples;

use bytes::{Bytes, BytesMut};
use drawn::envelope;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use std::fmt::Write as _;
use std::sync::Arc;
use traft::base::{
    Command, Footprint, KeySet, LeaderId, Lsn, Malformed, Payload, Record, ReplicaId, Tail,
    TailBitmap,
};
use traft::message::{Envelope, Fetch, Message, Replicate};
use traft::wire::{
    FRAME_BYTES_MAX, Version, Versions, WireError, admit, decode, encode, encoded_len,
};

/// The bytes that prost writes for the message in `frame`, its records included.
fn by_prost(frame: &Bytes) -> Vec<u8> {
    use generated::envelope::Message as Kind;
    let mut envelope = generated::Envelope::decode(frame.clone()).unwrap();
    if let Kind::Replicate(m) = envelope.message.as_mut().unwrap() {
        for record in &mut m.lean {
            let tree = generated::Lean::decode(record.clone()).unwrap();
            *record = tree.encode_to_vec().into();
        }
    }
    let records = match envelope.message.as_mut().unwrap() {
        Kind::Replicate(m) => &mut m.records,
        Kind::FetchReply(m) => &mut m.records,
        Kind::VoteReply(generated::VoteReply { grant: Some(m), .. }) => &mut m.records,
        _ => &mut Vec::new(),
    };
    for record in records {
        let tree = generated::Record::decode(record.clone()).unwrap();
        *record = tree.encode_to_vec().into();
    }
    envelope.encode_to_vec()
}

/// Out and back in every version, the length by arithmetic, the bytes by prost.
fn check(envelope: &Envelope) {
    for version in Version::ALL {
        let frame = encode(envelope, version);
        assert_eq!(frame.len(), encoded_len(envelope, version), "{envelope:?}");
        assert!(by_prost(&frame) == frame, "prost writes {envelope:?} otherwise");
        assert_eq!(decode(frame).as_ref(), Ok(envelope));
    }
}

#[test]
fn every_sample_goes_out_and_back() {
    samples::all().iter().for_each(|(_, envelope)| check(envelope));
}

/// What was released can be read as long as it is spoken, and is still written so.
#[test]
fn the_bytes_are_those_of_each_version() {
    for version in Version::ALL {
        let golden = format!("tests/golden/wire-v{version}.txt");
        let mut text =
            String::from("# One of each message, as bytes. A change here is a new version.\n");
        for (name, envelope) in samples::all() {
            let frame = encode(&envelope, version);
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{name} {hex}").unwrap();
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let found = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(found == text, "{golden} differs; BLESS=1 rewrites");
    }
}

/// Version 2 is worth its number: a record of a leader that follows the one before it says neither.
#[test]
fn what_a_leader_sends_is_lean() {
    let leader = LeaderId::new(3, 200);
    let first = 1 << 30;
    let record = |lsn| {
        let footprint = Footprint::write(KeySet::point("key"));
        let payload = Payload::Command(Command { footprint, body: Bytes::from_static(b"value") });
        Arc::new(Record { floor: Lsn(lsn), ..Record::bare(Lsn(lsn), leader, payload) })
    };
    let len = |count, version| {
        let records: Vec<_> = (first..first + count).map(record).collect();
        let envelope = Envelope::new(
            ReplicaId(200),
            ReplicaId(2),
            Message::Replicate(Replicate {
                leader,
                lineage: None,
                records: records.into(),
                settled: TailBitmap::below(Lsn(first)),
                committed_membership: None,
                round: 0,
                repaired: None,
            }),
        );
        encoded_len(&envelope, version)
    };
    let each = |version| (len(90, version) - len(50, version)) / 40;
    // A tag and five bytes of position, seven of the leader and their two bytes around.
    assert_eq!((each(Version::One), each(Version::Two)), (33, 20));
}

/// Each version has its own field of records. That of the other is one that it does not know.
#[test]
fn records_are_read_where_their_version_has_them() {
    let sent = |envelope: &Envelope| match &envelope.message {
        Message::Replicate(m) => m.records.len(),
        other => panic!("{other:?}"),
    };
    let (_, whole) = samples::all().into_iter().find(|(name, _)| *name == "replicate").unwrap();
    for version in Version::ALL {
        let mut frame = BytesMut::from(&encode(&whole, version)[..]);
        assert_eq!(u32::from(frame[1]), version.number());
        frame[1] = 3 - frame[1];
        let other = decode(frame.freeze()).expect("well-formed");
        assert_eq!((sent(&whole), sent(&other)), (7, 0));
    }
}

/// A release that knows no newer version, or is to write none.
#[test]
fn what_is_newer_than_the_highest_version_is_refused() {
    for (name, envelope) in samples::all() {
        let frame = |version| encode(&envelope, version);
        let admit = |frame, max| admit(frame, envelope.cluster, max).map(|_| ());
        let here = Versions { oldest: 1, newest: 1 };
        let refused = Err(WireError::Version { found: 2, here });
        assert_eq!(admit(frame(Version::Two), Version::One), refused, "{name}");
        assert_eq!(admit(frame(Version::One), Version::One), Ok(()), "{name}");
        for version in Version::ALL {
            assert_eq!(admit(frame(version), Version::Two), Ok(()));
        }
    }
    let said = WireError::Version { found: 2, here: Versions { oldest: 1, newest: 1 } };
    assert_eq!(
        said.to_string(),
        "the frame has version 2, and here version 1 of the wire is spoken"
    );
}

/// The end of a frame is never optional, and a lost one is told from a wrong one.
#[test]
fn every_truncation_is_an_error() {
    let all = samples::all().into_iter();
    let all = all.flat_map(|(name, sent)| Version::ALL.map(|v| (name, encode(&sent, v))));
    for (name, frame) in all {
        for size in 0..frame.len() {
            let error = decode(frame.slice(..size)).unwrap_err();
            let unsaid = matches!(error, WireError::Version { found: 0, .. });
            let empty = unsaid || matches!(error, WireError::Missing(_));
            let known = empty || error == WireError::Truncated { size };
            assert!(known, "{name} cut to {size}: {error}");
        }
    }
}

/// A flipped bit gives an error or another message that is well-formed: it goes out and back.
#[test]
fn no_bit_flip_panics() {
    let all = samples::all().into_iter();
    for frame in all.flat_map(|(_, sent)| Version::ALL.map(|version| encode(&sent, version))) {
        for bit in 0..8 * frame.len() {
            let mut flipped = BytesMut::from(&frame[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decode(flipped.freeze()) {
                check_again(&other);
            }
        }
    }
}

/// What was let through goes out and back.
fn check_again(envelope: &Envelope) {
    for version in Version::ALL {
        assert_eq!(decode(encode(envelope, version)).as_ref(), Ok(envelope));
    }
}

/// The stated cost of sets of positions.
#[test]
fn sets_are_short() {
    let len = |tail: Tail| {
        let positions = |positions| Fetch { candidate: LeaderId::new(1, 1), positions };
        let envelope = |fetch| Envelope::new(ReplicaId(1), ReplicaId(2), Message::Fetch(fetch));
        let len = |tail| encoded_len(&envelope(positions(tail)), Version::One);
        len(tail) - len(Tail::new()) - 2
    };
    assert_eq!(len(samples::set(&[0])), 2);
    assert_eq!(len(samples::set(&[1_000_000])), 4);
    assert_eq!(len(samples::set(&[0, 1_000_000])), 6);
    let mut run = Tail::new();
    run.insert_range(Lsn(10), Lsn(1_000_000));
    assert_eq!(len(run), 4);
    let odd: Tail = (0..6_400).filter(|n| n % 2 == 1).map(Lsn).collect();
    // As it is, one bit a position; four bytes say so, and two lengths around it grow.
    assert_eq!(len(odd), 800 + 4 + 2);
}

fn lone(records: Vec<generated::Record>) -> Bytes {
    let records = records.into_iter().map(|record| record.encode_to_vec().into()).collect();
    let candidate = Some(generated::LeaderId { term: 1, node: 1 });
    framed(generated::envelope::Message::FetchReply(generated::FetchReply { candidate, records }))
}

/// A message of version 2 with one record, that far from the first position.
fn lean(step: i64) -> Bytes {
    let payload = Some(generated::lean::Payload::Command(generated::Command::default()));
    let record = generated::Lean { step, payload, ..Default::default() }.encode_to_vec();
    let message = generated::Replicate {
        leader: Some(generated::LeaderId { term: 1, node: 1 }),
        settled: Some(generated::PositionSet::default()),
        lean: vec![record.into()],
        ..Default::default()
    };
    let message = Some(generated::envelope::Message::Replicate(message));
    generated::Envelope { version: 2, message, ..Default::default() }.encode_to_vec().into()
}

fn framed(message: generated::envelope::Message) -> Bytes {
    let message = Some(message);
    let envelope =
        generated::Envelope { version: 1, from: 1, to: 2, message, ..Default::default() };
    envelope.encode_to_vec().into()
}

fn void(lsn: u64) -> generated::Record {
    let author = Some(generated::LeaderId { term: 1, node: 1 });
    generated::Record { lsn, author, ..Default::default() }
}

/// What no replica says is refused, each with its own error.
#[test]
fn the_gate_refuses_what_is_not_well_formed() {
    use generated::envelope::Message as Kind;
    let ill_formed = |lsn| Err(WireError::IllFormed { lsn });
    assert!(decode(lone(vec![void(5)])).is_ok());
    assert_eq!(decode(lone(vec![generated::Record { above_floor: 6, ..void(5) }])), ill_formed(5));
    // Depends on itself: one position out of 5 .. 5 + 1.
    let depends = Bytes::from_static(&[0, 1]);
    assert_eq!(decode(lone(vec![generated::Record { depends, ..void(5) }])), ill_formed(5));
    let nobody = Some(generated::LeaderId { term: 0, node: 0 });
    assert_eq!(decode(lone(vec![generated::Record { author: nobody, ..void(5) }])), ill_formed(5));
    let none = generated::Record { author: None, ..void(5) };
    assert_eq!(decode(lone(vec![none])), Err(WireError::Missing("leader id")));
    assert_eq!(decode(lone(vec![void(1 << 62)])), Err(WireError::Position));

    let id = |term| Some(generated::LeaderId { term, node: 1 });
    let run = |start, term| generated::Run { start, author: id(term) };
    let vote = |runs| {
        let lineage = Some(generated::Lineage { leader: id(3), runs, end: 9 });
        let accepted = Some(generated::PositionSet::default());
        framed(Kind::Vote(generated::Vote {
            candidate: id(4),
            lineage,
            accepted,
            hands_over: None,
        }))
    };
    assert!(decode(vote(vec![run(0, 1), run(4, 2)])).is_ok());
    for runs in [vec![], vec![run(1, 1)], vec![run(0, 1), run(4, 1)], vec![run(0, 1), run(9, 2)]] {
        assert_eq!(decode(vote(runs)), Err(WireError::Lineage));
    }

    let fetch = |positions: &[u8]| {
        let positions = Bytes::copy_from_slice(positions);
        framed(Kind::Fetch(generated::Fetch { candidate: id(1), positions }))
    };
    assert_eq!(decode(fetch(&[1])), Err(WireError::Runs));
    assert_eq!(decode(fetch(&[1, 0, 3, 7])), Err(WireError::Runs));
    let far = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1];
    assert_eq!(decode(fetch(&far)), Err(WireError::Position));
    let wide = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(decode(fetch(&wide)), Err(WireError::SetsTooWide));

    let stranger = Envelope { cluster: 8, ..samples::all().remove(0).1 };
    let said = encode(&stranger, Version::One);
    let cluster = Err(WireError::Cluster { found: 8, here: 7 });
    assert_eq!(admit(said.clone(), 7, Version::NEWEST), cluster);
    assert_eq!(admit(said, 8, Version::NEWEST), Ok(stranger));
    let future = generated::Envelope { version: 3, ..Default::default() }.encode_to_vec();
    let here = Versions { oldest: 1, newest: 2 };
    assert_eq!(decode(future.into()), Err(WireError::Version { found: 3, here }));
    // No position is that far back, or ahead.
    for step in [-1, i64::MIN, i64::MAX, 1 << 62] {
        assert_eq!(decode(lean(step)), Err(WireError::Position), "{step}");
    }
    assert!(decode(lean(0)).is_ok() && decode(lean((1 << 62) - 1)).is_ok());
    let large = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
    assert_eq!(decode(large), Err(WireError::TooLarge { size: FRAME_BYTES_MAX + 1 }));
}

/// A membership passes the gate as it is checked elsewhere, and nested ones cost no stack.
#[test]
fn the_gate_refuses_malformed_memberships() {
    use generated::quorum_system::System;
    let system = |system| generated::QuorumSystem { system: Some(system) };
    let threshold = |voters: &[u64], need| {
        system(System::Threshold(generated::Threshold { voters: voters.to_vec(), need }))
    };
    let all = |parts| system(System::All(generated::All { parts }));
    let weighted = |voters: &[u64], weights: &[u64], need| {
        let (voters, weights) = (voters.to_vec(), weights.to_vec());
        system(System::Weighted(generated::Weighted { voters, weights, need }))
    };
    let gate = |write, learners: &[u64]| {
        let (read, learners) = (Some(threshold(&[1, 2], 1)), learners.to_vec());
        let (write, change) = (Some(write), None);
        let membership = generated::Membership { read, write, learners, change };
        let payload = Some(generated::record::Payload::Membership(membership));
        decode(lone(vec![generated::Record { payload, ..void(5) }])).map(|_| ())
    };
    let malformed = |why: Malformed| Err(WireError::Membership(why));
    assert_eq!(gate(threshold(&[1, 2], 2), &[3, 4]), Ok(()));
    assert_eq!(gate(threshold(&[], 0), &[]), malformed(Malformed::Empty));
    assert_eq!(gate(threshold(&[1], 0), &[]), malformed(Malformed::Need { need: 0, of: 1 }));
    assert_eq!(gate(threshold(&[1], 2), &[]), malformed(Malformed::Need { need: 2, of: 1 }));
    assert_eq!(gate(threshold(&[2, 1], 2), &[]), malformed(Malformed::Twice(ReplicaId(1))));
    assert_eq!(gate(threshold(&[1], 1), &[3, 3]), malformed(Malformed::Twice(ReplicaId(3))));
    let voting = Malformed::VotingLearner(ReplicaId(2));
    assert_eq!(gate(threshold(&[1], 1), &[2]), malformed(voting));
    assert_eq!(gate(weighted(&[1, 2], &[1, 2], 3), &[]), Ok(()));
    assert_eq!(gate(weighted(&[1, 2], &[1], 1), &[]), Err(WireError::Weights));
    let weightless = Malformed::Weightless(ReplicaId(2));
    assert_eq!(gate(weighted(&[1, 2], &[1, 0], 1), &[]), malformed(weightless));
    let heavy = weighted(&[1, 2], &[u64::MAX, u64::MAX], 1);
    assert_eq!(gate(heavy, &[]), malformed(Malformed::Heavy));
    assert_eq!(gate(all(vec![]), &[]), malformed(Malformed::Empty));
    let many: Vec<u64> = (0..2_000).collect();
    assert_eq!(gate(threshold(&many, 1_500), &[]), malformed(Malformed::Large));
    let nested = |depth| (1..depth).fold(threshold(&[1], 1), |inner, _| all(vec![inner]));
    assert_eq!(gate(nested(8), &[]), Ok(()));
    assert_eq!(gate(nested(9), &[]), malformed(Malformed::Deep));
    assert!(matches!(gate(nested(90), &[]), Err(WireError::Malformed(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_message_goes_out_and_back(envelope in envelope()) {
        check(&envelope);
    }

    /// Bytes changed, taken out or put in anywhere: an error or a well-formed message.
    #[test]
    fn damage_never_panics(
        envelope in envelope(),
        damage in vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..4),
        version in prop::sample::select(&Version::ALL[..]),
    ) {
        let mut frame = encode(&envelope, version).to_vec();
        for (at, kind, byte) in damage {
            let at = at.index(frame.len());
            match kind {
                0 => frame[at] = byte,
                1 => drop(frame.remove(at)),
                _ => frame.insert(at, byte),
            }
        }
        if let Ok(other) = decode(frame.into()) {
            check_again(&other);
        }
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..200)) {
        let _ = decode(noise.into());
    }
}
