//! The wire: what goes in comes out, nothing that comes in makes it panic, and the bytes of each
//! released version stay what they were.

#[path = "../src/wire/generated.rs"]
#[allow(missing_docs, unreachable_pub, clippy::all, dead_code, reason = "generated")]
#[rustfmt::skip]
mod generated;
#[path = "wire/samples.rs"]
mod samples;

use bytes::{Bytes, BytesMut};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use prost::Message as _;
use std::fmt::Write as _;
use std::sync::Arc;
use traft::base::{
    Change, Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Malformed, Membership,
    Payload, QuorumSystem, Record, ReplicaId, Tail, TailBitmap,
};
use traft::message::{Envelope, Fetch, FetchReply, Message, Replicate, ReplicateReply};
use traft::wire::{FRAME_BYTES_MAX, WireError, admit, decode, encode, encoded_len};

const GOLDEN: &str = "tests/golden/wire-v1.txt";

/// The bytes that prost writes for the message in `frame`, its records included.
fn by_prost(frame: &Bytes) -> Vec<u8> {
    use generated::envelope::Message as Kind;
    let mut envelope = generated::Envelope::decode(frame.clone()).unwrap();
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

/// Out and back, the length by arithmetic, the bytes by prost.
fn check(envelope: &Envelope) {
    let frame = encode(envelope);
    assert_eq!(frame.len(), encoded_len(envelope), "{envelope:?}");
    assert!(by_prost(&frame) == frame, "prost writes {envelope:?} otherwise");
    assert_eq!(decode(frame).as_ref(), Ok(envelope));
}

#[test]
fn every_sample_goes_out_and_back() {
    samples::all().iter().for_each(|(_, envelope)| check(envelope));
}

/// What was released can be read for ever, and is still written so.
#[test]
fn the_bytes_are_those_of_version_one() {
    let mut text =
        String::from("# One of each message, as bytes. A change here is a new version.\n");
    for (name, envelope) in samples::all() {
        let hex: String = encode(&envelope).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{name} {hex}").unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert!(std::fs::read_to_string(GOLDEN).unwrap() == text, "{GOLDEN} differs; BLESS=1 rewrites");
}

/// The end of a frame is never optional, and a lost one is told from a wrong one.
#[test]
fn every_truncation_is_an_error() {
    for (name, envelope) in samples::all() {
        let frame = encode(&envelope);
        for size in 0..frame.len() {
            let error = decode(frame.slice(..size)).unwrap_err();
            let empty = matches!(error, WireError::Missing(_) | WireError::Version(0));
            let known = empty || error == WireError::Truncated { size };
            assert!(known, "{name} cut to {size}: {error}");
        }
    }
}

/// A flipped bit gives an error or another message that is well-formed: it goes out and back.
#[test]
fn no_bit_flip_panics() {
    for (_, envelope) in samples::all() {
        let frame = encode(&envelope);
        for bit in 0..8 * frame.len() {
            let mut flipped = BytesMut::from(&frame[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decode(flipped.freeze()) {
                assert_eq!(decode(encode(&other)), Ok(other));
            }
        }
    }
}

/// The stated cost of sets of positions.
#[test]
fn sets_are_short() {
    let len = |tail: Tail| {
        let positions = |positions| Fetch { candidate: LeaderId::new(1, 1), positions };
        let envelope = |fetch| Envelope::new(ReplicaId(1), ReplicaId(2), Message::Fetch(fetch));
        encoded_len(&envelope(positions(tail))) - encoded_len(&envelope(positions(Tail::new()))) - 2
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
    assert_eq!(admit(encode(&stranger), 7), Err(WireError::Cluster { found: 8, here: 7 }));
    assert_eq!(admit(encode(&stranger), 8), Ok(stranger));
    let future = generated::Envelope { version: 2, ..Default::default() }.encode_to_vec();
    assert_eq!(decode(future.into()), Err(WireError::Version(2)));
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

fn leader() -> impl Strategy<Value = LeaderId> {
    (1..9_u64, 0..300_u64).prop_map(|(term, node)| LeaderId::new(term, node))
}

/// Runs and gaps of all sizes, and dense stretches.
fn tail(from: u64) -> impl Strategy<Value = Tail> {
    let stretch = prop_oneof![
        (1..4_u64, 1..3_u64, Just(1_u64)),
        (1..500_u64, 1..500_u64, Just(1_u64)),
        (1..70_u64, 1..200_u64, 2..4_u64),
    ];
    vec(stretch, 0..6).prop_map(move |stretches| {
        let (mut tail, mut at) = (Tail::new(), from);
        for (gap, members, step) in stretches {
            at += gap - 1;
            for _ in 0..members {
                tail.insert(Lsn(at));
                at += step;
            }
        }
        tail
    })
}

fn positions() -> impl Strategy<Value = TailBitmap> {
    (0..2_000_u64).prop_flat_map(|offset| {
        tail(offset).prop_map(move |tail| TailBitmap::from_parts(Lsn(offset), tail))
    })
}

fn keys() -> impl Strategy<Value = KeySet> {
    let key = vec(any::<u8>(), 0..5).prop_map(Bytes::from);
    let end = prop::option::of(key.clone());
    let range = (key.clone(), end).prop_map(|(start, end)| KeyRange { start, end });
    (vec(key, 0..3), vec(range, 0..3))
        .prop_map(|(points, ranges)| KeySet::from_parts(points, ranges))
}

fn command() -> impl Strategy<Value = Command> {
    let footprint = (keys(), keys(), any::<bool>()).prop_map(|(reads, writes, same)| {
        if same { Footprint::update(writes) } else { Footprint { reads, writes } }
    });
    let body = vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    (footprint, body).prop_map(|(footprint, body)| Command { footprint, body })
}

/// Every kind of quorum system, in each other, well-formed.
fn system() -> impl Strategy<Value = QuorumSystem> {
    let ids =
        || btree_set(0..400_u64, 1..6).prop_map(|ids| ids.into_iter().map(ReplicaId).collect());
    let need = any::<prop::sample::Index>;
    let threshold = (ids(), need()).prop_map(|(voters, need): (Vec<ReplicaId>, _)| {
        let need = need.index(voters.len()) + 1;
        QuorumSystem::Threshold { voters, need }
    });
    let weighted = (ids(), vec(1..1_000_u64, 6), need()).prop_map(
        |(voters, weights, need): (Vec<ReplicaId>, _, _)| {
            let voters: Vec<_> = voters.into_iter().zip(weights).collect();
            let sum = voters.iter().map(|(_, weight)| *weight as usize).sum();
            QuorumSystem::Weighted { voters, need: need.index(sum) as u64 + 1 }
        },
    );
    let explicit = vec(ids(), 1..4).prop_map(QuorumSystem::Explicit);
    prop_oneof![threshold, weighted, explicit].prop_recursive(3, 20, 3, move |inner| {
        let all = vec(inner.clone(), 1..4).prop_map(QuorumSystem::All);
        let groups = (vec(inner, 1..4), need()).prop_map(|(parts, need)| {
            let need = need.index(parts.len()) + 1;
            QuorumSystem::Groups { parts, need }
        });
        prop_oneof![all, groups]
    })
}

fn membership() -> impl Strategy<Value = Membership> {
    let requests = vec(any::<u64>(), 0..4);
    let change = proptest::option::of((requests, proptest::option::of(plain_membership())));
    (plain_membership(), change).prop_map(|(membership, change)| {
        let change = change.map(|(requests, goal)| Box::new(Change { requests, goal }));
        Membership { change, ..membership }
    })
}

fn plain_membership() -> impl Strategy<Value = Membership> {
    let learners = btree_set(400..500_u64, 0..3);
    (system(), system(), learners).prop_map(|(read, write, learners)| Membership {
        read,
        write,
        learners: learners.into_iter().map(ReplicaId).collect(),
        change: None,
    })
}

fn record() -> impl Strategy<Value = Arc<Record>> {
    let payload = prop_oneof![
        1 => Just(Payload::Void),
        1 => membership().prop_map(Payload::Membership),
        8 => command().prop_map(Payload::Command),
    ];
    (leader(), 0..3_000_u64, tail(0), tail(0), payload).prop_map(
        |(author, floor, d, o, payload)| {
            let mut record = Record::bare(Lsn(0), author, payload);
            let shifted = |tail: Tail| tail.iter().map(|lsn| Lsn(lsn.0 + floor)).collect::<Tail>();
            record.floor = Lsn(floor);
            if record.command().is_some() {
                record.depends = shifted(d);
            }
            if record.is_blind() {
                record.overrides = shifted(o);
                record.overrides.difference_with(&record.depends);
            }
            let top = record.depends.last().max(record.overrides.last());
            record.lsn = top.map_or(Lsn(floor), Lsn::next);
            Arc::new(record)
        },
    )
}

fn lineage() -> impl Strategy<Value = Lineage> {
    (leader(), vec((leader(), 1..90_u64), 0..5)).prop_map(|(leader, runs)| {
        let mut lineage = Lineage::new(leader);
        let mut end = 0;
        for (author, len) in runs {
            end += len;
            lineage.push(author, Lsn(end));
        }
        lineage
    })
}

/// The messages with parts that vary; the others are all in the samples.
fn envelope() -> impl Strategy<Value = Envelope> {
    let known = prop::option::of((0..900_u64, membership()));
    let replicate =
        (leader(), prop::option::of(lineage()), vec(record(), 0..5), positions(), known).prop_map(
            |(leader, lineage, records, settled, known)| {
                let committed_membership = known.map(|(lsn, membership)| (Lsn(lsn), membership));
                let round = settled.offset().0;
                Message::Replicate(Replicate {
                    leader,
                    lineage,
                    records: records.into(),
                    settled,
                    committed_membership,
                    round,
                    repaired: round.checked_sub(9),
                })
            },
        );
    let reply = (leader(), positions(), any::<u64>(), prop::option::of(0..9_u64)).prop_map(
        |(leader, accepted, window, known)| {
            let committed_membership = known.map(Lsn);
            Message::ReplicateReply(ReplicateReply {
                leader,
                accepted,
                round: 0,
                window,
                committed_membership,
                incarnation: window >> 7,
                doubtful: window & 1 == 1,
            })
        },
    );
    let fetched = (leader(), vec(record(), 0..5)).prop_map(|(candidate, records)| {
        Message::FetchReply(FetchReply { candidate, records: records.into() })
    });
    let fetch = (leader(), tail(0))
        .prop_map(|(candidate, positions)| Message::Fetch(Fetch { candidate, positions }));
    let message = prop_oneof![replicate, reply, fetched, fetch];
    (any::<u64>(), any::<u64>(), message).prop_map(|(from, cluster, message)| Envelope {
        cluster,
        incarnation: cluster >> 9,
        ..Envelope::new(ReplicaId(from), ReplicaId(3), message)
    })
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
    ) {
        let mut frame = encode(&envelope).to_vec();
        for (at, kind, byte) in damage {
            let at = at.index(frame.len());
            match kind {
                0 => frame[at] = byte,
                1 => drop(frame.remove(at)),
                _ => frame.insert(at, byte),
            }
        }
        if let Ok(other) = decode(frame.into()) {
            prop_assert_eq!(decode(encode(&other)), Ok(other));
        }
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..200)) {
        let _ = decode(noise.into());
    }
}
