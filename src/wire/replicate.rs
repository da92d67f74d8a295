//! What a leader sends, whose records are written in two ways. In version 2 they are lean: without
//! what the message says already. Most are the leader's own and follow each other, so what takes a
//! good part of a small one, its position and its author, takes nothing.

use super::generated as proto;
use super::generated::lean::Payload as LeanPayload;
use super::generated::record::Payload as Content;
use super::put::{Put, Sink, put_content};
use super::take::{Budget, Taken, gather, well_formed};
use crate::base::{LeaderId, Lsn, Record, Records};
use crate::message::Replicate;
use bytes::Bytes;
use prost::Message as _;

impl Put for Replicate {
    fn put<S: Sink>(&self, to: &mut S) {
        put(self, to, true);
    }
}

/// All but lean records, which come last; without those of version 1 if they are not wanted.
fn put<S: Sink>(m: &Replicate, to: &mut S, has_records: bool) {
    to.message(1, &m.leader);
    m.lineage.iter().for_each(|lineage| to.message(2, &**lineage));
    if has_records {
        m.records.iter().for_each(|record| to.message(3, record));
    }
    to.message(4, &m.settled);
    m.committed_membership.iter().for_each(|committed| to.message(5, &**committed));
    to.uint(6, m.round);
    m.repaired.iter().for_each(|incarnation| to.some_uint(7, *incarnation));
}

/// A [`Replicate`] whose records are lean.
pub(super) struct LeanReplicate<'a>(pub(super) &'a Replicate);

impl Put for LeanReplicate<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        let LeanReplicate(m) = *self;
        put(m, to, false);
        let (leader, mut next) = (m.leader, m.settled.offset());
        for record in m.records.iter() {
            to.message(8, &Lean { record, leader, next });
            next = record.lsn.next();
        }
    }
}

/// A record beside what it is read with.
struct Lean<'a> {
    record: &'a Record,
    leader: LeaderId,
    /// Where it would be if no position were left out.
    next: Lsn,
}

impl Put for Lean<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        // Both are far below 2^63.
        let step = self.record.lsn.0 as i64 - self.next.0 as i64;
        to.uint(1, (step << 1 ^ step >> 63) as u64);
        if self.record.author != self.leader || self.record.command().is_none() {
            to.message(2, &self.record.author);
        }
        put_content(self.record, to);
    }
}

/// The records of a message of `leader`, the first of which counts from `next`.
pub(super) fn lean(
    coded: Vec<Bytes>,
    leader: LeaderId,
    mut next: Lsn,
    budget: &mut Budget,
) -> Taken<Records> {
    gather(coded, budget, |coded, budget| {
        let m = proto::Lean::decode(coded)?;
        let author = matches!(m.payload, Some(LeanPayload::Command(_))).then_some(leader);
        let author = author.map(|id| proto::LeaderId { term: id.term, node: id.node.0 });
        let record = proto::Record {
            // Whatever is not a position is above all of them.
            lsn: next.0.wrapping_add_signed(m.step),
            author: m.author.or(author),
            above_floor: m.above_floor,
            depends: m.depends,
            overrides: m.overrides,
            payload: m.payload.map(|payload| match payload {
                LeanPayload::Command(command) => Content::Command(command),
                LeanPayload::Membership(membership) => Content::Membership(membership),
            }),
        };
        let record = well_formed(record, budget)?;
        next = record.lsn.next();
        Ok(record)
    })
}
