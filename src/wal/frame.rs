//! Frames: what the stream in the sectors consists of.
//!
//! A frame is a length, a kind and a body. A step of the replica is some frames and a
//! [`Frame::End`].

use super::Identity;
use super::sector::Stream;
use crate::base::{LeaderId, Lineage, Lsn, Membership, Record, ReplicaId};
use crate::wire;
use bytes::{Buf, BufMut, Bytes};

/// Length and kind.
pub(super) const FRAME_HEADER: usize = 5;

/// What a segment says of itself and of the segments before it, in its first sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) identity: Identity,
    /// Its own number.
    pub(super) number: u64,
    /// The segment before it and how many of its sectors count; whatever is numbered between the
    /// two does not.
    pub(super) previous: Option<(u64, u32)>,
    /// The oldest segment that is still needed.
    pub(super) oldest: u64,
    /// What was in doubt when it was begun; see [`doubtful`].
    pub(super) doubt: u8,
    /// The incarnation of the replica that began it.
    pub(super) incarnation: u64,
}

/// The bits of [`Head::doubt`].
pub(super) mod doubtful {
    /// Records may be missing.
    pub(in crate::wal) const RECORDS: u8 = 1;
    /// The promise may have been higher.
    pub(in crate::wal) const PROMISE: u8 = 2;
    /// A later lineage may have been taken.
    pub(in crate::wal) const LINEAGE: u8 = 4;
}

/// The end of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Counts steps, over all lives of the replica. The step that opens a segment repeats the
    /// number of the last one before it.
    pub(super) sequence: u64,
    /// The promise after the step.
    pub(super) voted: LeaderId,
    /// The committer after the step.
    pub(super) committer: LeaderId,
}

/// What is known to be synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) segment: u64,
    /// So many sectors of it.
    pub(super) sectors: u32,
    /// The last step in them.
    pub(super) sequence: u64,
}

/// All but records, which nobody keeps in a frame: [`put_record`], [`Next::Record`]. What is rare
/// is boxed: a start has millions of frames in memory at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Head(Box<Head>),
    Promise(LeaderId),
    Lineage(Box<Lineage>),
    Membership(Lsn, Box<Membership>),
    /// Below it the replica has dropped its records.
    Purged(Lsn),
    /// The oldest segment that is still needed.
    Oldest(u64),
    End(End),
    Mark(Mark),
}

/// The kind of a record's frame.
const RECORD: u8 = 5;

/// No segment before this one.
const NONE: u64 = u64::MAX;

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Frame::Head(_) => 1,
            Frame::Promise(_) => 2,
            Frame::Lineage(_) => 3,
            Frame::Membership(..) => 4,
            Frame::Purged(_) => 6,
            Frame::Oldest(_) => 7,
            Frame::End(_) => 8,
            Frame::Mark(_) => 9,
        }
    }

    /// What it is, as docs/format-wal.md calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Frame::Head(_) => "head",
            Frame::Promise(_) => "promise",
            Frame::Lineage(_) => "lineage",
            Frame::Membership(..) => "membership",
            Frame::Purged(_) => "purged",
            Frame::Oldest(_) => "oldest",
            Frame::End(_) => "end",
            Frame::Mark(_) => "mark",
        }
    }

    /// Appends the frame to `stream`, composed in `scratch`; gives where it starts and how long it
    /// is.
    pub(super) fn put(&self, stream: &mut Stream, scratch: &mut Vec<u8>) -> (usize, usize) {
        compose(self.kind(), stream, scratch, |to| {
            match self {
                Frame::Head(head) => {
                    let (previous, end) = head.previous.unwrap_or((NONE, 0));
                    to.put_u64_le(head.identity.cluster);
                    to.put_u64_le(head.identity.replica.0);
                    to.put_u64_le(head.number);
                    to.put_u64_le(previous);
                    to.put_u32_le(end);
                    to.put_u64_le(head.oldest);
                    to.put_u8(head.doubt);
                    to.put_u64_le(head.incarnation);
                }
                Frame::Promise(leader) => put_leader(to, *leader),
                Frame::Lineage(lineage) => wire::encode_lineage(lineage, to),
                Frame::Membership(lsn, membership) => {
                    to.put_u64_le(lsn.0);
                    wire::encode_membership(membership, to);
                }
                Frame::Purged(lsn) => to.put_u64_le(lsn.0),
                Frame::Oldest(segment) => to.put_u64_le(*segment),
                Frame::End(end) => {
                    to.put_u64_le(end.sequence);
                    put_leader(to, end.voted);
                    put_leader(to, end.committer);
                }
                Frame::Mark(mark) => {
                    to.put_u64_le(mark.segment);
                    to.put_u32_le(mark.sectors);
                    to.put_u64_le(mark.sequence);
                }
            }
            &[]
        })
    }
}

/// Appends the frame of a record as [`Frame::put`] does, without a copy of the record.
pub(super) fn put_record(
    record: &Record,
    stream: &mut Stream,
    scratch: &mut Vec<u8>,
) -> (usize, usize) {
    compose(RECORD, stream, scratch, |to| wire::encode_record_front(record, to))
}

/// A frame whose body is what `body` appends and then what it gives.
fn compose<'a>(
    kind: u8,
    stream: &mut Stream,
    to: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> &'a [u8],
) -> (usize, usize) {
    to.clear();
    to.put_u32_le(0);
    to.put_u8(kind);
    let rest = body(to);
    let len = to.len() + rest.len();
    let length = (len - FRAME_HEADER) as u32;
    to[..4].copy_from_slice(&length.to_le_bytes());
    (stream.push(to, rest), len)
}

fn put_leader(to: &mut impl BufMut, leader: LeaderId) {
    to.put_u64_le(leader.term);
    to.put_u64_le(leader.node.0);
}

/// What comes next in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame, so many bytes of the stream long.
    Frame(Frame, usize),
    /// The frame of a record, likewise.
    Record(Record, usize),
    /// Nothing but padding.
    Padding,
    /// The stream ends within a frame.
    Cut,
    /// Something that nobody wrote.
    Garbled,
}

/// Reads the frame that starts `at` bytes into `stream`, whose memory the result shares.
pub(super) fn next(stream: &Bytes, at: usize) -> Next {
    let rest = stream.get(at..).unwrap_or_default();
    let kind = rest.get(4).copied().unwrap_or(0);
    if kind == 0 {
        let padding = rest.iter().take(FRAME_HEADER).all(|byte| *byte == 0);
        // The header of a frame may be cut in its length.
        return match padding {
            true => Next::Padding,
            false if rest.len() < FRAME_HEADER => Next::Cut,
            false => Next::Garbled,
        };
    }
    let len = u32::from_le_bytes([0, 1, 2, 3].map(|byte| rest[byte])) as usize;
    if rest.len() - FRAME_HEADER < len {
        return Next::Cut;
    }
    let len = FRAME_HEADER + len;
    let body = stream.slice(at + FRAME_HEADER..at + len);
    if kind == RECORD {
        return wire::decode_record(body).map_or(Next::Garbled, |record| Next::Record(record, len));
    }
    frame(kind, body).map_or(Next::Garbled, |frame| Next::Frame(frame, len))
}

fn frame(kind: u8, mut body: Bytes) -> Option<Frame> {
    let fixed = |size: usize| (body.len() == size).then_some(());
    let position = |lsn: u64| (lsn <= Lsn::MAX.0).then_some(Lsn(lsn));
    Some(match kind {
        1 => {
            fixed(53)?;
            let (cluster, replica) = (body.get_u64_le(), ReplicaId(body.get_u64_le()));
            let number = body.get_u64_le();
            let previous = (body.get_u64_le(), body.get_u32_le());
            Frame::Head(Box::new(Head {
                identity: Identity { cluster, replica },
                number,
                previous: (previous.0 != NONE).then_some(previous),
                oldest: body.get_u64_le(),
                doubt: body.get_u8(),
                incarnation: body.get_u64_le(),
            }))
        }
        2 => {
            fixed(16)?;
            Frame::Promise(leader(&mut body))
        }
        3 => Frame::Lineage(Box::new(wire::decode_lineage(body).ok()?)),
        4 => {
            let lsn = position(body.try_get_u64_le().ok()?)?;
            Frame::Membership(lsn, Box::new(wire::decode_membership(body).ok()?))
        }
        6 => {
            fixed(8)?;
            Frame::Purged(position(body.get_u64_le())?)
        }
        7 => {
            fixed(8)?;
            Frame::Oldest(body.get_u64_le())
        }
        8 => {
            fixed(40)?;
            let sequence = body.get_u64_le();
            Frame::End(End { sequence, voted: leader(&mut body), committer: leader(&mut body) })
        }
        9 => {
            fixed(20)?;
            let (segment, sectors) = (body.get_u64_le(), body.get_u32_le());
            Frame::Mark(Mark { segment, sectors, sequence: body.get_u64_le() })
        }
        _ => return None,
    })
}

fn leader(body: &mut Bytes) -> LeaderId {
    LeaderId { term: body.get_u64_le(), node: ReplicaId(body.get_u64_le()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_their_ends_are_seen() {
        let identity = Identity { cluster: 1, replica: ReplicaId(2) };
        let end = End { sequence: 9, voted: LeaderId::new(3, 2), committer: LeaderId::new(2, 1) };
        let mut lineage = Lineage::new(LeaderId::new(2, 1));
        lineage.push(LeaderId::new(1, 0), Lsn(4));
        let record = Record::void(Lsn(17), LeaderId::new(2, 1));
        let (number, previous) = (3, Some((2, 8)));
        let majority = Membership::majority([1, 2, 3].map(ReplicaId));
        let head = Head { identity, number, previous, oldest: 1, doubt: 5, incarnation: 2 };
        let frames = [
            Frame::Head(Box::new(head)),
            Frame::Head(Box::new(Head { previous: None, ..head })),
            Frame::Promise(LeaderId::new(3, 2)),
            Frame::Lineage(Box::new(lineage)),
            Frame::Membership(Lsn(5), Box::new(majority)),
            Frame::Purged(Lsn(6)),
            Frame::Oldest(2),
            Frame::End(end),
            Frame::Mark(Mark { segment: 3, sectors: 4, sequence: 5 }),
        ];
        let check = |put: &dyn Fn(&mut Stream) -> (usize, usize), found: &dyn Fn(usize) -> Next| {
            let mut stream = Stream::default();
            stream.push(&[7; 3], &[]);
            let (start, len) = put(&mut stream);
            assert_eq!(start, 3);
            let whole = Bytes::from(stream.copy(0, start + len));
            assert_eq!(next(&whole, start), found(len));
            let cut = |len| next(&whole.slice(..start + len), start);
            assert!((1..len).all(|len| cut(len) == Next::Cut), "{:?}", found(len));
        };
        for frame in frames {
            check(&|to| frame.put(to, &mut Vec::new()), &|len| Next::Frame(frame.clone(), len));
        }
        check(&|to| put_record(&record, to, &mut Vec::new()), &|len| {
            Next::Record(record.clone(), len)
        });
        let next = |bytes| next(&Bytes::from_static(bytes), 0);
        assert_eq!(next(&[]), Next::Padding);
        assert_eq!(next(&[0; 9]), Next::Padding);
        assert_eq!(next(&[0, 0, 0, 0, 77]), Next::Garbled);
        assert_eq!(next(&[2, 0, 0, 0, 2, 1, 1]), Next::Garbled);
        assert!(size_of::<Frame>() <= 48);
    }
}
