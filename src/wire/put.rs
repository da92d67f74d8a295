//! Messages to bytes. One description of each message serves twice: into a buffer it writes, into
//! a [`Count`] it only adds up lengths. What comes out is what prost would write for the same
//! message (a test compares), without building prost's tree of it first.

use super::replicate::LeanReplicate;
use super::{Version, runs};
use crate::base::{
    Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record, Run,
    Tail, TailBitmap,
};
use crate::message::{
    Anew, Envelope, Fetch, FetchReply, Forward, ForwardOutcome, ForwardReply, Grant, Memberships,
    Message, PreVote, PreVoteReply, ReadPoint, ReadRequest, Refuse, ReplicateReply,
    SnapshotRequest, TakeOver, Vote, VoteReply,
};
use bytes::{BufMut, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Where bytes go. Fields with their default value are left out, as proto3 has it.
pub(super) trait Sink: Sized {
    fn varint(&mut self, value: u64);
    fn raw(&mut self, bytes: &[u8]);
    fn nested<T: Put>(&mut self, value: &T);

    /// The body of a command, which comes last of it.
    fn body(&mut self, bytes: &[u8]) {
        self.raw(bytes);
    }

    /// A number; `0` is left out.
    fn uint(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.some_uint(tag, value);
        }
    }

    /// A number whose absence means something else than `0`.
    fn some_uint(&mut self, tag: u32, value: u64) {
        self.varint(u64::from(tag) << 3);
        self.varint(value);
    }

    /// Bytes, even if there are none.
    fn some_bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.varint(u64::from(tag) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A message within the message.
    fn message<T: Put>(&mut self, tag: u32, value: &T) {
        self.varint(u64::from(tag) << 3 | 2);
        self.nested(value);
    }
}

/// What can be written. Its default value may write nothing.
pub(super) trait Put {
    fn put<S: Sink>(&self, to: &mut S);
}

impl Sink for BytesMut {
    fn varint(&mut self, value: u64) {
        encode_varint(value, self);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }

    fn nested<T: Put>(&mut self, value: &T) {
        Sink::varint(self, len(value) as u64);
        value.put(self);
    }
}

/// For who keeps bytes: a push is inlined, so that small fields cost little.
impl Sink for Vec<u8> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn nested<T: Put>(&mut self, value: &T) {
        Sink::varint(self, len(value) as u64);
        value.put(self);
    }
}

/// Adds up lengths.
struct Count(usize);

impl Sink for Count {
    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn nested<T: Put>(&mut self, value: &T) {
        let before = self.0;
        value.put(self);
        self.varint((self.0 - before) as u64);
    }
}

/// How many bytes a value takes.
pub(super) fn len(value: &impl Put) -> usize {
    let mut count = Count(0);
    value.put(&mut count);
    count.0
}

/// An envelope as it is written in a version.
pub(super) struct As<'a>(pub(super) &'a Envelope, pub(super) Version);

impl Put for As<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        let As(envelope, version) = *self;
        to.uint(1, u64::from(version.number()));
        to.uint(2, envelope.from.0);
        to.uint(3, envelope.to.0);
        to.uint(4, envelope.cluster);
        to.uint(5, envelope.incarnation);
        match &envelope.message {
            Message::Replicate(m) if version >= Version::Two => to.message(10, &LeanReplicate(m)),
            Message::Replicate(m) => to.message(10, m),
            Message::ReplicateReply(m) => to.message(11, m),
            Message::Forward(m) => to.message(12, m),
            Message::ForwardReply(m) => to.message(13, m),
            Message::Refuse(m) => to.message(14, m),
            Message::PreVote(m) => to.message(15, m),
            Message::PreVoteReply(m) => to.message(16, m),
            Message::Vote(m) => to.message(17, m),
            Message::VoteReply(m) => to.message(18, m),
            Message::Fetch(m) => to.message(19, m),
            Message::FetchReply(m) => to.message(20, m),
            Message::SnapshotRequest(m) => to.message(21, m),
            Message::TakeOver(m) => to.message(22, m),
            Message::ReadRequest(m) => to.message(24, m),
            Message::ReadPoint(m) => to.message(25, m),
            Message::Anew(m) => to.message(23, m),
        }
    }
}

impl Put for ReplicateReply {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.leader);
        to.message(2, &self.accepted);
        to.uint(3, self.round);
        to.uint(4, self.window);
        self.committed_membership.iter().for_each(|lsn| to.some_uint(5, lsn.0));
        to.uint(6, self.incarnation);
        to.uint(7, u64::from(self.doubtful));
    }
}

impl Put for Refuse {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.leader);
        to.message(2, &self.voted);
    }
}

impl Put for Forward {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.ticket.number);
        to.message(2, &self.command);
        to.message(3, &self.leader);
        to.uint(4, self.ticket.life);
    }
}

impl Put for ForwardReply {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.ticket.number);
        if let ForwardOutcome::Placed(author, lsn) = self.outcome {
            to.message(2, &Placed(author, lsn));
        }
        to.uint(3, self.ticket.life);
    }
}

impl Put for SnapshotRequest {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.below.0);
        self.to.iter().for_each(|id| to.some_uint(2, id.0));
    }
}

impl Put for TakeOver {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.leader);
    }
}

impl Put for Anew {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.leader);
        to.uint(2, self.incarnation);
    }
}

impl Put for ReadRequest {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.ticket.number);
        to.message(2, &self.footprint);
        to.uint(3, self.ticket.life);
    }
}

impl Put for ReadPoint {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.ticket.number);
        to.message(2, &self.leader);
        self.point.iter().for_each(|point| to.message(3, point));
        to.uint(4, self.ticket.life);
        to.uint(5, u64::from(self.by_position));
    }
}

/// Everything below, and a set above.
impl Put for (Lsn, Tail) {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.0.0);
        put_set(to, 2, self.0, &self.1);
    }
}

struct Placed(LeaderId, Lsn);

impl Put for Placed {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.0);
        to.uint(2, self.1.0);
    }
}

impl Put for PreVote {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        self.committed_membership.iter().for_each(|lsn| to.some_uint(2, lsn.0));
    }
}

impl Put for PreVoteReply {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        to.uint(2, u64::from(self.granted));
        to.message(3, &self.voted);
        self.committed_membership.iter().for_each(|committed| to.message(4, &**committed));
    }
}

impl Put for Vote {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        to.message(2, &self.lineage);
        to.message(3, &self.accepted);
        self.hands_over.iter().for_each(|leader| to.message(4, leader));
    }
}

impl Put for VoteReply {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        to.message(2, &self.voted);
        self.grant.iter().for_each(|grant| to.message(3, &**grant));
    }
}

impl Put for Grant {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.lineage);
        to.message(2, &self.accepted);
        to.uint(3, self.purged.0);
        to.message(4, &self.memberships);
        self.records.iter().for_each(|record| to.message(5, record));
    }
}

impl Put for Memberships {
    fn put<S: Sink>(&self, to: &mut S) {
        self.committed_at.iter().for_each(|lsn| to.some_uint(1, lsn.0));
        to.message(2, &self.committed);
        self.pending.iter().for_each(|pending| to.message(3, pending));
    }
}

/// A membership known committed.
impl Put for (Lsn, Membership) {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.0.0);
        to.message(2, &self.1);
    }
}

/// A later membership.
impl Put for (Lsn, LeaderId, Membership) {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.0.0);
        to.message(2, &self.1);
        to.message(3, &self.2);
    }
}

impl Put for Fetch {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        put_set(to, 2, Lsn::ZERO, &self.positions);
    }
}

impl Put for FetchReply {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.candidate);
        self.records.iter().for_each(|record| to.message(2, record));
    }
}

impl Put for LeaderId {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.term);
        to.uint(2, self.node.0);
    }
}

impl Put for Lineage {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.leader());
        self.runs().iter().for_each(|run| to.message(2, run));
        to.uint(3, self.end().0);
    }
}

impl Put for Run {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.start.0);
        to.message(2, &self.author);
    }
}

impl Put for TailBitmap {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.offset().0);
        put_set(to, 2, self.offset(), self.tail());
    }
}

/// The members of a set, counted from a base.
struct Runs<'a>(Lsn, &'a Tail);

impl Put for Runs<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        runs::put(to, self.0, self.1);
    }
}

/// A set as a field of bytes; the empty one is left out.
fn put_set<S: Sink>(to: &mut S, tag: u32, base: Lsn, set: &Tail) {
    if !set.is_empty() {
        to.message(tag, &Runs(base, set));
    }
}

impl Put for Record {
    fn put<S: Sink>(&self, to: &mut S) {
        to.uint(1, self.lsn.0);
        to.message(2, &self.author);
        put_content(self, to);
    }
}

/// All of a record but where it stands and whose it is.
pub(super) fn put_content<S: Sink>(record: &Record, to: &mut S) {
    to.uint(3, record.lsn.0 - record.floor.0);
    put_set(to, 4, record.floor, &record.depends);
    put_set(to, 5, record.floor, &record.overrides);
    match &record.payload {
        Payload::Void => {}
        Payload::Command(command) => to.message(6, command),
        Payload::Membership(membership) => to.message(7, membership),
    }
}

impl Put for Command {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.footprint);
        if !self.body.is_empty() {
            to.varint(2 << 3 | 2);
            to.varint(self.body.len() as u64);
            to.body(&self.body);
        }
    }
}

impl Put for Footprint {
    fn put<S: Sink>(&self, to: &mut S) {
        let mut keys = |tag, keys: &KeySet| {
            if !keys.is_empty() {
                to.message(tag, keys);
            }
        };
        if self.reads == self.writes {
            keys(3, &self.writes);
        } else {
            keys(1, &self.reads);
            keys(2, &self.writes);
        }
    }
}

impl Put for KeySet {
    fn put<S: Sink>(&self, to: &mut S) {
        self.points().iter().for_each(|key| to.some_bytes(1, key));
        self.ranges().iter().for_each(|range| to.message(2, range));
    }
}

impl Put for KeyRange {
    fn put<S: Sink>(&self, to: &mut S) {
        if !self.start.is_empty() {
            to.some_bytes(1, &self.start);
        }
        self.end.iter().for_each(|end| to.some_bytes(2, end));
    }
}
