//! What moves a snapshot, as bytes: out and back, the same for ever, and never a panic.

use super::{header, large_state, open};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use std::fmt::Write as _;
use traft::base::ReplicaId;
use traft::disk::SimDisk;
use traft::snapshot::{Chunk, PARCEL_BYTES_MAX, Parcel, ParcelError, Transfer, Want};

const GOLDEN: &str = "tests/golden/transfer-v1.txt";

fn samples() -> Vec<(&'static str, Parcel)> {
    let disk = SimDisk::new();
    super::build(&disk, super::NAME, &header(5), &large_state(3, 10));
    let offer = open(&disk, super::NAME).offer();
    let root = *b"0123456789abcdef";
    let parcel = |transfer| Parcel { from: ReplicaId(1), to: ReplicaId(300), transfer };
    let bytes = Bytes::from_static(b"some bytes of the file");
    let chunk = Chunk { root, offset: 1 << 20, crc: 0xdead_beef, bytes };
    let nothing = Chunk { root, offset: 0, crc: 0, bytes: Bytes::new() };
    let want = |spans| parcel(Transfer::Want(Want { root, spans }));
    vec![
        ("offer", parcel(Transfer::Offer(offer))),
        ("want", want(vec![0..24, 24..4_096, 70_000..1 << 40])),
        ("want-nothing", want(Vec::new())),
        ("chunk", parcel(Transfer::Chunk(chunk))),
        ("chunk-empty", parcel(Transfer::Chunk(nothing))),
    ]
}

#[test]
fn every_sample_goes_out_and_back() {
    for (name, parcel) in samples() {
        assert_eq!(Parcel::decode(parcel.encode()), Ok(parcel), "{name}");
    }
}

/// What was released can be read for ever, and is still written so.
#[test]
fn the_bytes_are_those_of_version_one() {
    let mut text =
        String::from("# One of each parcel, as bytes. A change here is a new version.\n");
    for (name, parcel) in samples() {
        let hex: String = parcel.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{name} {hex}").unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert!(std::fs::read_to_string(GOLDEN).unwrap() == text, "{GOLDEN} differs; BLESS=1 rewrites");
}

/// Cut anywhere, or with any bit flipped: an error, or another parcel that goes out and back.
#[test]
fn no_damage_panics() {
    for (name, parcel) in samples() {
        let frame = parcel.encode();
        for size in 0..frame.len() {
            let cut = Parcel::decode(frame.slice(..size));
            assert_ne!(cut, Ok(parcel.clone()), "{name} cut to {size}");
        }
        for bit in 0..8 * frame.len() {
            let mut flipped = BytesMut::from(&frame[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Parcel::decode(flipped.freeze()) {
                assert_eq!(Parcel::decode(other.encode()), Ok(other), "{name}, bit {bit}");
            }
        }
    }
}

/// What no replica sends is refused, each with its own error.
#[test]
fn the_gate_refuses_what_is_not_well_formed() {
    let [(_, offer), (_, want), _, (_, chunk), _] = &samples()[..] else { panic!("five samples") };
    let refused = |parcel: &Parcel| Parcel::decode(parcel.encode()).expect_err("refused");
    let Transfer::Want(asked) = &want.transfer else { panic!("a want") };
    // Overlapping, in the wrong order, empty.
    for spans in [vec![0..10, 5..20], vec![10..20, 0..5], std::iter::once(7..7).collect()] {
        let transfer = Transfer::Want(Want { spans, ..asked.clone() });
        assert_eq!(refused(&Parcel { transfer, ..want.clone() }), ParcelError::Field("span"));
    }
    let Transfer::Chunk(piece) = &chunk.transfer else { panic!("a chunk") };
    let long = Chunk { bytes: vec![0; (64 << 10) + 1].into(), ..piece.clone() };
    let long = Parcel { transfer: Transfer::Chunk(long), ..chunk.clone() };
    assert_eq!(refused(&long), ParcelError::Field("length"));
    let size = PARCEL_BYTES_MAX + 1;
    assert_eq!(Parcel::decode(vec![0; size].into()), Err(ParcelError::TooLarge { size }));
    assert_eq!(Parcel::decode(Bytes::new()), Err(ParcelError::Version(0)));
    let later = Bytes::from([&[8, 2][..], &offer.encode()[2..]].concat());
    assert_eq!(Parcel::decode(later), Err(ParcelError::Version(2)));
    assert_eq!(Parcel::decode(Bytes::from_static(&[8, 1])), Err(ParcelError::Field("kind")));
}

proptest! {
    /// Bytes from anywhere, behind what a parcel begins with.
    #[test]
    fn no_bytes_panic(kind in 10..14_u8, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut frame = vec![8, 1, kind << 3 | 2, bytes.len().min(127) as u8];
        frame.extend_from_slice(&bytes);
        if let Ok(parcel) = Parcel::decode(frame.into()) {
            prop_assert_eq!(Parcel::decode(parcel.encode()), Ok(parcel));
        }
    }
}
