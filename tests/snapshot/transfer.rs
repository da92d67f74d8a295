//! On the way to another replica.

use super::{build, contents, header, large_state, open};
use proptest::prelude::*;
use std::sync::Arc;
use traft::base::{Lsn, TailBitmap, crc32c};
use traft::disk::{Disk, DiskError, SimDisk};
use traft::snapshot::{
    Chunk, Header, Offer, ReceiveError, Receiver, Refusal, SendError, Snapshot, TransferOptions,
    Want, check_install, serve, snapshot_name,
};

fn source(header: &Header, pairs: &super::Twin) -> Snapshot<SimDisk> {
    let disk = SimDisk::new();
    build(&disk, "source.snap", header, pairs);
    open(&disk, "source.snap")
}

fn receiver(
    disk: &SimDisk,
    offer: Offer,
    local: Option<Arc<Snapshot<SimDisk>>>,
) -> Result<Receiver<SimDisk>, ReceiveError> {
    let done = TailBitmap::below(Lsn(40));
    Receiver::new(disk.clone(), offer, (7, &done, &done), local, TransferOptions::default())
}

/// Goes on until nothing is missing; what is sent passes through `weather`.
fn run(
    receiver: &mut Receiver<SimDisk>,
    source: &Snapshot<SimDisk>,
    mut weather: impl FnMut(Vec<Chunk>) -> Vec<Chunk>,
) -> Result<(), ReceiveError> {
    while !receiver.is_complete() {
        let want = receiver.want()?;
        if want.spans.is_empty() {
            receiver.tick()?;
        }
        for chunk in weather(serve(source, &want, 300_000).unwrap()) {
            receiver.take(&chunk)?;
        }
    }
    Ok(())
}

fn check_arrived(disk: &SimDisk, name: &str, source: &Snapshot<SimDisk>) {
    let arrived = open(disk, name);
    assert_eq!(arrived.root(), source.root());
    arrived.verify(|damage| panic!("{damage}")).unwrap();
    let bytes = source.layout().file_bytes;
    assert_eq!(disk.len(name), Ok(bytes));
}

#[test]
fn a_snapshot_arrives_byte_for_byte() {
    let source = source(&header(60), &large_state(4_000, 300));
    let disk = SimDisk::new();
    let mut receiver = receiver(&disk, source.offer(), None).unwrap();
    run(&mut receiver, &source, |chunks| chunks).unwrap();
    let sent = receiver.progress();
    assert_eq!(sent.received + 64, source.layout().file_bytes);
    assert_eq!((sent.reused, sent.bad_pieces), (0, 0));
    let name = receiver.finish().unwrap();
    assert_eq!(name, snapshot_name(&header(60).done));
    check_arrived(&disk, &name, &source);
}

/// One key changes, one comes, one goes: what travels is what changed.
#[test]
fn what_is_here_is_not_sent() {
    let mut pairs = large_state(4_000, 300);
    let disk = SimDisk::new();
    let old = snapshot_name(&header(40).done);
    build(&disk, &old, &header(40), &pairs);
    pairs.insert(b"user/000007".to_vec(), b"changed".to_vec());
    pairs.insert(b"user/001000b".to_vec(), b"new".to_vec());
    pairs.remove(&b"user/003000"[..]);
    let source = source(&header(60), &pairs);
    let local = Arc::new(open(&disk, &old));
    let mut receiver = receiver(&disk, source.offer(), Some(local)).unwrap();
    run(&mut receiver, &source, |chunks| chunks).unwrap();
    let progress = receiver.progress();
    let file = source.layout().file_bytes;
    assert_eq!(progress.received + progress.reused + 64, file);
    assert!(progress.received * 5 < file, "{progress:?} of {file}");
    let name = receiver.finish().unwrap();
    check_arrived(&disk, &name, &source);
    assert!(open(&disk, &old).check_keys().is_ok(), "beside what is there");
}

/// The local snapshot is damaged: what is wrong there is sent.
#[test]
fn what_is_damaged_here_is_sent() {
    let pairs = large_state(2_000, 300);
    let disk = SimDisk::new();
    let old = snapshot_name(&header(40).done);
    build(&disk, &old, &header(40), &pairs);
    let middle = disk.len(&old).unwrap() / 2;
    let local = Arc::new(open(&disk, &old));
    disk.write(&old, middle, b"wrong").unwrap();
    let source = source(&header(60), &pairs);
    let mut receiver = receiver(&disk, source.offer(), Some(local)).unwrap();
    run(&mut receiver, &source, |chunks| chunks).unwrap();
    assert!(receiver.progress().received < 20_000, "{:?}", receiver.progress());
    let name = receiver.finish().unwrap();
    check_arrived(&disk, &name, &source);
}

/// The receiver dies in the middle, and another goes on: from the same sender or another one.
#[test]
fn a_transfer_goes_on_where_it_was() {
    let pairs = large_state(4_000, 300);
    let source = source(&header(60), &pairs);
    let disk = SimDisk::new();
    let half = source.layout().file_bytes / 2;
    let mut first = receiver(&disk, source.offer(), None).unwrap();
    while first.progress().received < half {
        let want = first.want().unwrap();
        for chunk in serve(&source, &want, 100_000).unwrap() {
            first.take(&chunk).unwrap();
        }
        (0..4).for_each(|_| first.tick().unwrap());
    }
    let received = first.progress().received;
    drop(first);
    let mut second = receiver(&disk, source.offer(), None).unwrap();
    run(&mut second, &source, |chunks| chunks).unwrap();
    let progress = second.progress();
    assert!(progress.reused >= received, "{progress:?} after {received}");
    assert_eq!(progress.reused + progress.received + 64, source.layout().file_bytes);
    let name = second.finish().unwrap();
    check_arrived(&disk, &name, &source);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Lost, doubled, out of order, changed on the way.
    #[test]
    fn any_weather(seed: u64, keys in 1_u32..1_500) {
        let source = source(&header(60), &large_state(keys, 300));
        let disk = SimDisk::new();
        let mut receiver = receiver(&disk, source.offer(), None).unwrap();
        let mut state = seed;
        let mut dice = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize
        };
        run(&mut receiver, &source, |chunks| {
            let mut arrived = Vec::new();
            for mut chunk in chunks {
                match dice() % 8 {
                    0 => continue,
                    1 => arrived.push(chunk.clone()),
                    2 => {
                        let mut bytes = chunk.bytes.to_vec();
                        let at = dice() % bytes.len();
                        bytes[at] ^= 1;
                        chunk.bytes = bytes.into();
                    }
                    _ => {}
                }
                let at = dice() % (arrived.len() + 1);
                arrived.insert(at, chunk);
            }
            arrived
        }).unwrap();
        prop_assert_eq!(receiver.progress().bad_pieces, 0);
        let name = receiver.finish().unwrap();
        check_arrived(&disk, &name, &source);
    }
}

/// A sender that lies, with checksums that fit, is found out piece by piece, and given up.
#[test]
fn a_sender_that_lies_is_given_up() {
    let source = source(&header(60), &large_state(2_000, 300));
    for lie_from in [0, source.layout().header_bytes] {
        let disk = SimDisk::new();
        let mut receiver = receiver(&disk, source.offer(), None).unwrap();
        let error = run(&mut receiver, &source, |mut chunks| {
            for chunk in chunks.iter_mut().filter(|chunk| chunk.offset >= lie_from) {
                let mut bytes = chunk.bytes.to_vec();
                bytes[0] ^= 1;
                (chunk.crc, chunk.bytes) = (crc32c(&bytes), bytes.into());
            }
            chunks
        });
        assert_eq!(error, Err(ReceiveError::Sender));
        assert_eq!(receiver.finish(), Err(ReceiveError::Incomplete));
    }
}

/// Silence ends it; a little now and then does not.
#[test]
fn it_stalls_only_without_progress() {
    let source = source(&header(60), &large_state(2_000, 300));
    let mut waiting = receiver(&SimDisk::new(), source.offer(), None).unwrap();
    let asked = waiting.want().unwrap();
    assert!(!asked.spans.is_empty());
    assert!(waiting.want().unwrap().spans.is_empty(), "asked once");
    for _ in 0..4 {
        waiting.tick().unwrap();
    }
    assert_eq!(waiting.want().unwrap(), asked, "and again");
    let silence = (0..60).find_map(|_| waiting.tick().err());
    assert_eq!(silence, Some(ReceiveError::Stalled { ticks: 40 }));

    let mut slow = receiver(&SimDisk::new(), source.offer(), None).unwrap();
    let mut ticks = 0;
    while !slow.is_complete() {
        let want = slow.want().unwrap();
        serve(&source, &want, 40_000).unwrap().iter().for_each(|chunk| {
            slow.take(chunk).unwrap();
        });
        (0..30).for_each(|_| slow.tick().unwrap());
        ticks += 30;
    }
    assert!(ticks > 40 * 5);
}

/// A transfer that found no room begins again when there is some.
#[test]
fn a_full_disk_is_no_end() {
    let source = source(&header(60), &large_state(2_000, 300));
    let disk = SimDisk::new();
    disk.set_capacity(Some(source.layout().file_bytes / 2));
    let error = receiver(&disk, source.offer(), None).unwrap_err();
    assert!(matches!(error, ReceiveError::Disk(DiskError::Full { .. })));
    disk.set_capacity(None);
    let mut receiver = receiver(&disk, source.offer(), None).unwrap();
    run(&mut receiver, &source, |chunks| chunks).unwrap();
    let name = receiver.finish().unwrap();
    check_arrived(&disk, &name, &source);
}

#[test]
fn what_may_not_be_installed_is_refused() {
    let set = |offset, more: &[u64]| {
        let mut set = TailBitmap::below(Lsn(offset));
        set.insert_all(&more.iter().copied().map(Lsn).collect());
        set
    };
    let here = set(10, &[15, 20]);
    let cases = [
        (set(10, &[15, 20, 30]), set(0, &[]), Err((10, 0))),
        (set(9, &[20]), set(0, &[]), Err((9, 0))),
        (set(12, &[]), set(0, &[]), Err((12, 15))),
        (set(12, &[]), set(0, &[15]), Err((12, 20))),
        (set(12, &[20]), set(0, &[15]), Ok(())),
        (set(21, &[]), set(0, &[]), Ok(())),
    ];
    for (offered, held, expected) in cases {
        let refusal = |(offered, position)| match position {
            0 => Refusal::NotLonger { offered: Lsn(offered), here: Lsn(10) },
            _ => Refusal::Loses { position: Lsn(position) },
        };
        assert_eq!(check_install(&offered, &here, &held), expected.map_err(refusal));
    }
    let disk = SimDisk::new();
    let source = source(&header(40), &large_state(5, 5));
    let refused = receiver(&disk, source.offer(), None).unwrap_err();
    let same = Refusal::NotLonger { offered: Lsn(40), here: Lsn(40) };
    assert_eq!(refused, ReceiveError::Refused(same));
    let foreign = Offer { cluster: 8, ..source.offer() };
    let refused = receiver(&disk, foreign, None).unwrap_err();
    assert_eq!(refused, ReceiveError::Refused(Refusal::Cluster { found: 8 }));
    assert_eq!(disk.list(), Ok(vec![]));
}

/// An offer of one snapshot with the end of another, and one that claims more than there is.
#[test]
fn an_offer_that_makes_no_sense_is_refused() {
    let source = source(&header(60), &large_state(5, 5));
    let disk = SimDisk::new();
    let good = source.offer();
    let longer = Offer { file_bytes: good.file_bytes + 1, ..good.clone() };
    let endless = Offer { file_bytes: 1 << 50, ..good.clone() };
    let mut flipped = good.clone();
    flipped.footer[9] ^= 1;
    assert_eq!(receiver(&disk, longer, None).err(), Some(ReceiveError::Offer));
    assert_eq!(receiver(&disk, flipped, None).err(), Some(ReceiveError::Offer));
    let error = receiver(&disk, endless, None).err();
    assert_eq!(error, Some(ReceiveError::TooLong { bytes: 1 << 50 }));
    let liar = Offer { done: header(70).done, ..good };
    let mut receiver = receiver(&disk, liar, None).unwrap();
    assert_eq!(run(&mut receiver, &source, |chunks| chunks), Err(ReceiveError::Offer));
}

#[test]
fn a_sender_sends_only_what_is_there() {
    let source = source(&header(60), &large_state(5, 5));
    let bytes = source.layout().file_bytes;
    let want = |root, span| Want { root, spans: vec![span] };
    let ask = |want| serve(&source, &want, 1 << 20);
    let (root, all) = (source.root(), 0..bytes);
    let [chunk] = &ask(want(root, all)).unwrap()[..] else { panic!("one chunk") };
    assert_eq!(&chunk.bytes[..], contents_of(&source));
    assert_eq!(ask(want([0; 16], 0..1)), Err(SendError::Gone));
    let span = 5..bytes + 1;
    assert_eq!(ask(want(root, span.clone())), Err(SendError::Outside { span, file_bytes: bytes }));
}

fn contents_of(source: &Snapshot<SimDisk>) -> Vec<u8> {
    let disk = SimDisk::new();
    build(&disk, source.name(), &header(60), &large_state(5, 5));
    contents(&disk, source.name())
}
