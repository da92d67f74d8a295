//! Parts of messages on their own, for whoever keeps them: the same bytes, behind the same gate.

use super::front::Front;
use super::generated as proto;
use super::membership;
use super::put::Put;
use super::take::{self, Budget};
use super::{SET_WORDS_MAX, WireError};
use crate::base::{Lineage, Membership, Record, TailBitmap};
use bytes::Bytes;
use prost::Message as _;

/// Appends a `Record` of the schema.
pub fn encode_record(record: &Record, to: &mut Vec<u8>) {
    record.put(to);
}

/// Appends a `Record` of the schema without the body of its command, and gives that: it comes last,
/// so whoever writes the one and then the other need not copy it first.
pub fn encode_record_front<'a>(record: &'a Record, to: &mut Vec<u8>) -> &'a [u8] {
    record.put(&mut Front::new(to));
    record.command().map_or(&[], |command| &command.body)
}

/// The record in `coded`, whose keys and body the result shares.
///
/// # Errors
///
/// See [`WireError`]: what is let through is well-formed.
pub fn decode_record(coded: Bytes) -> Result<Record, WireError> {
    take::record(coded, &mut Budget(SET_WORDS_MAX))
}

/// Appends a `Lineage` of the schema.
pub fn encode_lineage(lineage: &Lineage, to: &mut Vec<u8>) {
    lineage.put(to);
}

/// The lineage in `coded`.
///
/// # Errors
///
/// See [`WireError`]: what is let through is canonical.
pub fn decode_lineage(coded: Bytes) -> Result<Lineage, WireError> {
    take::lineage(Some(proto::Lineage::decode(coded)?))
}

/// Appends a `Membership` of the schema.
pub fn encode_membership(membership: &Membership, to: &mut Vec<u8>) {
    membership.put(to);
}

/// The membership in `coded`.
///
/// # Errors
///
/// See [`WireError`]: what is let through is well-formed.
pub fn decode_membership(coded: Bytes) -> Result<Membership, WireError> {
    membership::take(Some(proto::Membership::decode(coded)?))
}

/// Appends a `PositionSet` of the schema.
pub fn encode_positions(set: &TailBitmap, to: &mut Vec<u8>) {
    set.put(to);
}

/// The set of positions in `coded`.
///
/// # Errors
///
/// See [`WireError`]: what is let through takes at most [`SET_WORDS_MAX`] words.
pub fn decode_positions(coded: Bytes) -> Result<TailBitmap, WireError> {
    take::positions(Some(proto::PositionSet::decode(coded)?), &mut Budget(SET_WORDS_MAX))
}
