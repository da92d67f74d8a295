//! What moves a snapshot, as bytes and back.
//!
//! The schema is `proto/transfer.proto`. These are frames of their own, and no messages of the
//! replica, because a replica has nothing to do with them: it learns of a snapshot when all of it
//! is on the disk. So whoever carries them can give them a connection or a place in the queue of
//! their own, behind the messages that commands wait for, and drop them all without any harm.

use super::format::{FOOTER, Hash};
use super::generated as proto;
use super::generated::parcel::Transfer as Kind;
use super::transfer::{CHUNK_BYTES_MAX, Chunk, Offer, Want};
use crate::base::ReplicaId;
use crate::wire::{self, FRAME_BYTES_MAX, WireError};
use bytes::Bytes;
use prost::Message;

/// The version in every parcel.
pub const PARCEL_VERSION: u32 = 1;

/// The most bytes of a parcel. What takes most is the set of positions of an offer.
pub const PARCEL_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// A piece of the work of moving a snapshot, with its ends. May be lost, doubled, late, reordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Who sends it.
    pub from: ReplicaId,
    /// Who is to have it.
    pub to: ReplicaId,
    /// What it is.
    pub transfer: Transfer,
}

/// What two replicas say to each other to move a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its struct says")]
pub enum Transfer {
    Offer(Offer),
    Want(Want),
    Chunk(Chunk),
}

/// Why bytes are no parcel. Nothing of them is used. Whoever sends such bytes is broken or speaks
/// another protocol; asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// It is longer than allowed.
    #[error("the parcel has {size} bytes and at most {PARCEL_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The bytes are not what the schema says.
    #[error("the parcel is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The sender speaks another version: upgrade one or the other.
    #[error("the parcel has version {0} and only {PARCEL_VERSION} is spoken here")]
    Version(u32),
    /// A field that means nothing as it is.
    #[error("the {0} of the parcel makes no sense")]
    Field(&'static str),
    /// The positions of an offer.
    #[error(transparent)]
    Positions(#[from] WireError),
}

impl Parcel {
    /// As bytes. The same parcel always gives the same bytes.
    pub fn encode(&self) -> Bytes {
        let root = |root: &Hash| Bytes::copy_from_slice(root);
        let transfer = match &self.transfer {
            Transfer::Offer(offer) => {
                let mut done = Vec::new();
                wire::encode_positions(&offer.done, &mut done);
                Kind::Offer(proto::Offer {
                    cluster: offer.cluster,
                    done: done.into(),
                    file_bytes: offer.file_bytes,
                    footer: Bytes::copy_from_slice(&offer.footer),
                })
            }
            Transfer::Want(want) => {
                let spans = want.spans.iter();
                let span = |s: &std::ops::Range<u64>| proto::Span {
                    start: s.start,
                    bytes: s.end.saturating_sub(s.start),
                };
                Kind::Want(proto::Want { root: root(&want.root), spans: spans.map(span).collect() })
            }
            Transfer::Chunk(chunk) => Kind::Chunk(proto::Chunk {
                root: root(&chunk.root),
                offset: chunk.offset,
                bytes: chunk.bytes.clone(),
                crc: chunk.crc,
            }),
        };
        let (from, to) = (self.from.0, self.to.0);
        let form = proto::Parcel { version: PARCEL_VERSION, from, to, transfer: Some(transfer) };
        form.encode_to_vec().into()
    }

    /// The parcel in `frame`. The bytes of a chunk stay where they are.
    ///
    /// What it makes a reader allocate is bounded by what the frame holds, about ten bytes for
    /// each, and by what [`wire::SET_WORDS_MAX`] lets a set of positions take.
    ///
    /// # Errors
    ///
    /// See [`ParcelError`]. Fields that the schema does not know are skipped.
    pub fn decode(frame: Bytes) -> Result<Parcel, ParcelError> {
        if frame.len() > PARCEL_BYTES_MAX {
            return Err(ParcelError::TooLarge { size: frame.len() });
        }
        let form = proto::Parcel::decode(frame)?;
        if form.version != PARCEL_VERSION {
            return Err(ParcelError::Version(form.version));
        }
        let transfer = match form.transfer.ok_or(ParcelError::Field("kind"))? {
            Kind::Offer(offer) => Transfer::Offer(Offer {
                cluster: offer.cluster,
                done: wire::decode_positions(offer.done)?,
                file_bytes: offer.file_bytes,
                footer: exactly::<FOOTER>("footer", &offer.footer)?,
            }),
            Kind::Want(want) => Transfer::Want(wanted(&want)?),
            Kind::Chunk(chunk) => {
                if chunk.bytes.len() > CHUNK_BYTES_MAX {
                    return Err(ParcelError::Field("length"));
                }
                Transfer::Chunk(Chunk {
                    root: exactly("root", &chunk.root)?,
                    offset: chunk.offset,
                    bytes: chunk.bytes,
                    crc: chunk.crc,
                })
            }
        };
        Ok(Parcel { from: ReplicaId(form.from), to: ReplicaId(form.to), transfer })
    }
}

fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], ParcelError> {
    bytes.try_into().map_err(|_| ParcelError::Field(what))
}

/// Spans are in order, apart, and not empty: nothing is asked for twice.
fn wanted(form: &proto::Want) -> Result<Want, ParcelError> {
    let mut spans = Vec::with_capacity(form.spans.len());
    let mut last = 0;
    for proto::Span { start, bytes } in &form.spans {
        let end = start.checked_add(*bytes).filter(|end| end > start && *start >= last);
        last = end.ok_or(ParcelError::Field("span"))?;
        spans.push(*start..last);
    }
    Ok(Want { root: exactly("root", &form.root)?, spans })
}
