//! The disk against a list of sectors.

use bytes::Bytes;
use proptest::prelude::*;
use traft::apply::Machine;
use traft::apply::block::{
    Answer, Disk, Failure, Malformed, Request, SECTOR, SECTORS_MAX, sector_key,
};

/// How many sectors the twin has.
const SECTORS: u64 = 40;

/// A [`Request`] that owns its parts. Every sector is written with one byte over and over.
#[derive(Clone, Debug)]
enum Do {
    Read(u64, u64),
    Write(u64, Vec<u8>),
    Fill(u64, u64, u8),
}

fn step() -> impl Strategy<Value = Do> {
    let place = || (0..SECTORS).prop_flat_map(|first| (Just(first), 1..=(SECTORS - first).min(12)));
    let byte = || 0_u8..4;
    prop_oneof![
        2 => place().prop_map(|(first, sectors)| Do::Read(first, sectors)),
        3 => place().prop_flat_map(move |(first, sectors)| {
            let data = prop::collection::vec(byte(), sectors as usize);
            data.prop_map(move |data| Do::Write(first, data))
        }),
        2 => (place(), byte()).prop_map(|((first, sectors), byte)| Do::Fill(first, sectors, byte)),
    ]
}

fn whole(sectors: &[u8]) -> Vec<u8> {
    sectors.iter().flat_map(|byte| [*byte; SECTOR]).collect()
}

fn take(disk: &mut Disk, twin: &mut [u8], step: &Do) {
    let place = |first: &u64, sectors: u64| *first as usize..(*first + sectors) as usize;
    match step {
        Do::Read(first, sectors) => {
            let command = Request::Read { first: *first, sectors: *sectors }.command();
            let data = Answer::Data(whole(&twin[place(first, *sectors)]).into());
            assert_eq!(Answer::decode(&disk.read(&command.body)), Ok(data.clone()));
            assert_eq!(Answer::decode(&disk.apply(&command.body)), Ok(data));
        }
        Do::Write(first, sectors) => {
            let data = whole(sectors);
            let command = Request::Write { first: *first, data: &data }.command();
            assert_eq!(Answer::decode(&disk.apply(&command.body)), Ok(Answer::Nothing));
            twin[place(first, sectors.len() as u64)].copy_from_slice(sectors);
        }
        Do::Fill(first, sectors, byte) => {
            let fill = Request::Fill { first: *first, sectors: *sectors, pattern: [*byte; 8] };
            assert_eq!(Answer::decode(&disk.apply(&fill.command().body)), Ok(Answer::Nothing));
            twin[place(first, *sectors)].fill(*byte);
        }
    }
}

/// The same content, written sector by sector and with no zero sector.
fn disk_of(twin: &[u8]) -> Disk {
    let mut disk = Disk::new();
    for (first, byte) in (0..).zip(twin).filter(|(_, byte)| **byte != 0) {
        disk.apply(&Request::Write { first, data: &[*byte; SECTOR] }.encode());
    }
    disk
}

fn checksum(disk: &Disk, first: u64, sectors: u64) -> u64 {
    match Answer::decode(&disk.read(&Request::Checksum { first, sectors }.encode())) {
        Ok(Answer::Checksum(checksum)) => checksum,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn each_request_does_what_the_twin_does(steps in prop::collection::vec(step(), 0..40)) {
        let (mut disk, mut twin) = (Disk::new(), vec![0; SECTORS as usize]);
        for step in &steps {
            take(&mut disk, &mut twin, step);
        }
        let command = Request::Read { first: 0, sectors: SECTORS }.command();
        let answer = Answer::decode(&disk.read(&command.body));
        prop_assert_eq!(answer, Ok(Answer::Data(whole(&twin).into())));
        let same = disk_of(&twin);
        prop_assert_eq!(disk.digest(), same.digest());
        for (first, sectors) in [(0, SECTORS), (3, 5), (SECTORS - 1, 1)] {
            prop_assert_eq!(checksum(&disk, first, sectors), checksum(&same, first, sectors));
        }
        prop_assert!(disk.extents() <= 2 * steps.len());
    }

    #[test]
    fn the_digest_tells_contents_apart(
        a in prop::collection::vec(0_u8..3, 3), b in prop::collection::vec(0_u8..3, 3),
    ) {
        prop_assert_eq!(disk_of(&a).digest() == disk_of(&b).digest(), a == b);
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(
        kind in 0_u8..5, first in prop_oneof![0_u64..9, any::<u64>()],
        sectors in prop_oneof![0_u64..9, any::<u64>()],
        rest in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let (first, sectors) = (first.to_le_bytes(), sectors.to_le_bytes());
        let body = Bytes::from([&[kind], &first[..], &sectors[..], &rest[..]].concat());
        let mut disk = Disk::new();
        match Request::decode(&body) {
            Ok(request) => prop_assert_eq!(&request.encode(), &body),
            Err(failure) => {
                let failed = Ok(Answer::Failed(failure));
                prop_assert_eq!(Answer::decode(&disk.apply(&body)), failed.clone());
                prop_assert_eq!(Answer::decode(&disk.read(&body)), failed);
                prop_assert_eq!(disk.extents(), 0);
            }
        }
    }
}

#[test]
fn footprints_are_the_sectors() {
    let print = |request: Request<'_>| {
        let command = request.command();
        assert_eq!(command.body, request.encode());
        let keys = if command.footprint.is_blind() {
            command.footprint.writes.clone()
        } else {
            assert!(command.footprint.writes.is_empty());
            command.footprint.reads.clone()
        };
        assert!(keys.points().is_empty());
        let [range] = keys.ranges() else { panic!("one range: {keys}") };
        (command.footprint.is_blind(), range.start.clone(), range.end.clone())
    };
    let seven_to_nine = |blind| (blind, sector_key(7), Some(sector_key(9)));
    assert_eq!(print(Request::Read { first: 7, sectors: 2 }), seven_to_nine(false));
    assert_eq!(print(Request::Checksum { first: 7, sectors: 2 }), seven_to_nine(false));
    assert_eq!(print(Request::Write { first: 7, data: &[1; 2 * SECTOR] }), seven_to_nine(true));
    let fill = |first, sectors| Request::Fill { first, sectors, pattern: [1; 8] };
    assert_eq!(print(fill(7, 2)), seven_to_nine(true));
    let to_the_end = (true, sector_key(u64::MAX - 1), None);
    assert_eq!(print(fill(u64::MAX - 1, 2)), to_the_end);
    assert!(sector_key(255) < sector_key(256), "keys are in the order of the sectors");
}

#[test]
fn what_no_disk_executes_is_said_before_it_is_proposed() {
    let why = |request: Request<'_>| request.try_command().expect_err("no disk executes it");
    assert_eq!(why(Request::Read { first: 7, sectors: 0 }), Failure::Malformed);
    assert_eq!(why(Request::Read { first: 7, sectors: SECTORS_MAX + 1 }), Failure::TooLarge);
    assert_eq!(why(Request::Read { first: u64::MAX, sectors: 2 }), Failure::Malformed);
    assert_eq!(why(Request::Write { first: 7, data: &[0; SECTOR - 1] }), Failure::Malformed);
    assert_eq!(why(Request::Write { first: 7, data: &[] }), Failure::Malformed);
}

#[test]
fn writing_is_no_read() {
    let disk = Disk::new();
    let body = Request::Fill { first: 0, sectors: 1, pattern: [1; 8] }.encode();
    assert_eq!(Answer::decode(&disk.read(&body)), Ok(Answer::Failed(Failure::NotARead)));
}

#[test]
fn the_last_sector_is_a_sector() {
    let mut disk = Disk::new();
    let sectors = 3;
    let first = u64::MAX - 2;
    disk.apply(&Request::Fill { first, sectors, pattern: *b"12345678" }.encode());
    disk.apply(&Request::Write { first: u64::MAX - 1, data: &[9; SECTOR] }.encode());
    let read = Answer::decode(&disk.read(&Request::Read { first, sectors }.encode()));
    let data = [&b"12345678".repeat(64)[..], &[9; SECTOR], &b"12345678".repeat(64)].concat();
    assert_eq!(read, Ok(Answer::Data(data.into())));
    assert_eq!(disk.extents(), 3);
    assert_eq!(disk.digest(), checksum(&disk, first, sectors));
}

#[test]
fn what_is_left_of_a_large_write_does_not_keep_all_of_it_in_memory() {
    let mut disk = Disk::new();
    let body = Request::Write { first: 0, data: &whole(&[1; 16]) }.encode();
    disk.apply(&body);
    disk.apply(&Request::Fill { first: 5, sectors: 8, pattern: [2; 8] }.encode());
    assert!(!body.is_unique(), "five sectors of sixteen are a slice");
    disk.apply(&Request::Fill { first: 2, sectors: 4, pattern: [3; 8] }.encode());
    assert!(body.is_unique(), "two and three sectors are copies");
    let read = Answer::decode(&disk.read(&Request::Read { first: 1, sectors: 2 }.encode()));
    assert_eq!(read, Ok(Answer::Data(whole(&[1, 3]).into())));
}

#[test]
fn every_answer_comes_back_from_its_bytes_and_requests_print() {
    let answers = [
        Answer::Nothing,
        Answer::Data(Bytes::from_static(b"data")),
        Answer::Checksum(u64::MAX),
        Answer::Failed(Failure::Malformed),
        Answer::Failed(Failure::TooLarge),
        Answer::Failed(Failure::NotARead),
    ];
    for answer in answers {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
    assert_eq!(Answer::decode(&Bytes::from_static(b"\x03\x03")), Err(Malformed));
    assert_eq!(Answer::decode(&Bytes::from_static(b"\x02\x03")), Err(Malformed));
    let (first, sectors) = (7, 2);
    assert_eq!(Request::Read { first, sectors }.to_string(), "read 7+2");
    assert_eq!(Request::Checksum { first, sectors }.to_string(), "checksum 7+2");
    assert_eq!(Request::Write { first, data: &[0; SECTOR] }.to_string(), "write 7+1");
    let fill = Request::Fill { first, sectors, pattern: *b"\x01\x23\x45\x67\x89\xab\xcd\xef" };
    assert_eq!(fill.to_string(), "fill 7+2 0123456789abcdef");
}
