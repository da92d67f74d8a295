//! How much memory a frame can make its reader take: about what it holds, whatever it claims.
//!
//! A test binary of its own, with one test: the peak is counted for the whole process.

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use traft::wire::{FRAME_BYTES_MAX, SET_WORDS_MAX, WireError, decode};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What one byte of a frame may cost at the worst: a key of no bytes takes two in the frame, four
/// words in memory, and as much again, several times, while sets are made canonical.
const PER_BYTE: usize = 128;
/// What errors and small vectors take.
const FIXED: usize = 4 << 10;

fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut len = content.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// An envelope of version 1 with `content` under a message tag above 15.
fn frame(tag: u8, content: &[u8]) -> Bytes {
    let mut bytes = vec![8, 1];
    let inner = field(0, content);
    bytes.extend([(tag & 15) << 3 | 0x82, tag >> 4]);
    bytes.extend_from_slice(&inner[1..]);
    bytes.into()
}

const REPLICATE: u8 = 10;
const FETCH: u8 = 19;
const FETCH_REPLY: u8 = 20;
const CANDIDATE: [u8; 6] = [0x0a, 4, 8, 1, 16, 1];

/// An answer with records of these fields, each at position 0 and by leader `1#1`.
fn records(fields: &[u8], count: usize) -> Bytes {
    let record = [&[0x12, 4, 8, 1, 16, 1][..], fields].concat();
    let records = field(2, &record).repeat(count);
    frame(FETCH_REPLY, &[&CANDIDATE[..], &records].concat())
}

/// Two voids, one of them at position 0 and the other at this one.
fn apart(position: &[u8]) -> Bytes {
    let record = |lsn: &[u8]| field(2, &[&[0x08], lsn, &[0x12, 4, 8, 1, 16, 1]].concat());
    frame(FETCH_REPLY, &[&CANDIDATE[..], &record(&[0]), &record(position)].concat())
}

/// A message of version 2 with lean records of these fields, by leader `1#1` and nothing settled.
fn lean(fields: &[u8], count: usize) -> Bytes {
    let message = [&CANDIDATE[..], &[0x22, 0], &field(8, fields).repeat(count)].concat();
    [&[8, 2][..], &field(REPLICATE, &message)].concat().into()
}

/// Elements of two bytes each, the cheapest there are, under the given path of tags.
fn crowd(path: &[u8], element: &[u8], count: usize) -> Bytes {
    let crowd = element.repeat(count);
    let content = path.iter().rev().fold(crowd, |content, tag| field(*tag, &content));
    records(&content, 1)
}

/// A fetch of the positions coded so.
fn fetch(runs: &[u8]) -> Bytes {
    frame(FETCH, &[&CANDIDATE[..], &field(2, runs)].concat())
}

fn hostile() -> Vec<(&'static str, Bytes)> {
    let count = 200_000;
    let million_ones = [0, 0xc0, 0x84, 0x3d];
    let nested = (0..20_000).fold(Vec::new(), |inner, _| field(3, &field(1, &inner)));
    vec![
        ("a length that is only claimed", frame(FETCH_REPLY, &[0x12, 0xff, 0xff, 0xff, 0x7f])),
        ("records without anything", frame(FETCH_REPLY, &[0x12, 0].repeat(count))),
        ("voids", records(&[], count / 10)),
        ("lean records without anything", lean(&[], count)),
        ("lean commands", lean(&[0x32, 0], count / 2)),
        ("lean voids", lean(&[0x12, 2, 8, 1], count / 3)),
        ("keys without bytes", crowd(&[6, 1, 2], &[0x0a, 0], count)),
        ("ranges without borders", crowd(&[6, 1, 2], &[0x12, 0], count)),
        ("ranges that end at once", crowd(&[6, 1, 2], &[0x12, 2, 0x12, 0], count)),
        ("quorum systems without a kind", crowd(&[7, 1, 3], &[0x0a, 0], count)),
        ("families without voters", crowd(&[7, 1, 2], &[0x0a, 0], count)),
        ("voters", crowd(&[7, 1, 1, 1], &[1], count)),
        ("quorum systems in each other", records(&field(7, &field(1, &nested)), 1)),
        ("items without positions", fetch(&[0, 0, 0].repeat(count))),
        ("all positions", fetch(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f])),
        ("positions far apart", fetch(&[0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 1])),
        ("records far apart", apart(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x3f])),
        ("records a little less far apart", apart(&[0x80, 0x80, 0x80, 0x80, 0x80, 1])),
        ("many wide sets", records(&field(4, &million_ones), 2_000)),
    ]
}

/// The peak above what was there before, and what came of the frame.
fn peak(frame: &Bytes) -> (usize, Option<WireError>) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let taken = decode(frame.clone());
    let peak = HEAP.peak_usage() - before;
    (peak, taken.err())
}

#[test]
fn memory_follows_what_a_frame_holds() {
    for (name, frame) in hostile() {
        assert!(frame.len() <= FRAME_BYTES_MAX);
        let (peak, error) = peak(&frame);
        let sets = if name.contains("sets") { 8 * SET_WORDS_MAX } else { 0 };
        let bound = PER_BYTE * frame.len() + FIXED + sets;
        println!("{name}: {} bytes, peak {peak}, {error:?}", frame.len());
        assert!(peak <= bound, "{name}: {} bytes of frame take {peak}, {error:?}", frame.len());
    }
    // A legal set may take its stated bound, from a handful of bytes.
    let widest = fetch(&[0, 0x80, 0x80, 0x80, 0x40]);
    let (peak, error) = peak(&widest);
    assert!(error.is_none() && peak <= 8 * SET_WORDS_MAX + FIXED, "{peak} {error:?}");
}
