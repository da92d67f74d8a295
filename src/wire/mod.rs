//! Messages as bytes and bytes as messages, at one gate.
//!
//! The schema is `proto/wire.proto`. [`decode`] lets through only what is well-formed, so nobody
//! behind it checks again: a record satisfies [`Record::is_well_formed`], a lineage is canonical,
//! positions are at most [`Lsn::MAX`], footprints are canonical, a membership passes its
//! [`check`](crate::base::Membership::check).
//!
//! What a frame can make a reader allocate is bounded by what the frame really holds, about 100
//! bytes for each of its bytes, and apart from that by [`SET_WORDS_MAX`]: a run of positions takes
//! a few bytes on the wire and a bit each in memory. Keys and bodies are not copied; they keep the
//! frame alive instead.
//!
//! There are two [versions](Version) of the wire. Both are read; which one is written is agreed for
//! each connection ([`Versions::common`]), by whoever makes it.
//!
//! [`Record::is_well_formed`]: crate::base::Record::is_well_formed
//! [`Lsn::MAX`]: crate::base::Lsn::MAX

mod front;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from proto/wire.proto")]
#[rustfmt::skip]
mod generated;
mod membership;
mod parts;
mod put;
mod replicate;
mod runs;
mod take;
mod version;

use crate::base::Malformed;
use crate::message::Envelope;
use bytes::{Bytes, BytesMut};
pub use parts::{
    decode_lineage, decode_membership, decode_positions, decode_record, encode_lineage,
    encode_membership, encode_positions, encode_record, encode_record_front,
};
use put::{As, Put};
pub use version::{Apart, Version, Versions};

/// The most bytes of one envelope: sixteen times the default budget for the records of a message,
/// so that a large command and the widest sets that the default options allow fit in as well.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// The most 64-bit words of memory that the sets of positions of one envelope may take together:
/// 16 MiB, eight sets as wide as the default options let a leader's log be open.
pub const SET_WORDS_MAX: usize = 2 << 20;

/// Why bytes are not a message. Nothing of such a frame is used. A replica that sends one is
/// broken or speaks another protocol; asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame is longer than allowed. Lower the sender's `message_bytes_max`.
    #[error("the frame has {size} bytes and at most {FRAME_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The frame ends in the middle of a field: the transport lost its end.
    #[error("the frame is cut off after {size} bytes")]
    Truncated {
        /// How many bytes there are.
        size: usize,
    },
    /// The bytes are not what the schema says.
    #[error("the frame is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The sender speaks another version of the protocol: upgrade one or the other.
    #[error("the frame has version {found}, and here {here} of the wire is spoken")]
    Version {
        /// That of the frame.
        found: u32,
        /// Those that are read where it came.
        here: Versions,
    },
    /// The sender belongs to another cluster. Nothing of it is used: mend the address or the number
    /// of the cluster at one end.
    #[error("the frame is of cluster {found}, and this is cluster {here}")]
    Cluster {
        /// Whose it is.
        found: u64,
        /// Where it came.
        here: u64,
    },
    /// A field without which the message has no meaning is not there.
    #[error("the frame has no {0}")]
    Missing(&'static str),
    /// A position above [`Lsn::MAX`](crate::base::Lsn::MAX).
    #[error("the frame names a position that no log reaches")]
    Position,
    /// A set of positions is not coded as the schema says.
    #[error("a set of positions is malformed")]
    Runs,
    /// The sets of positions would take more than [`SET_WORDS_MAX`] words. Lower the sender's
    /// `open_positions_max`.
    #[error("the sets of positions are wider than {SET_WORDS_MAX} words")]
    SetsTooWide,
    /// A lineage that no leader fixes: its runs are not in canonical form.
    #[error("a lineage is not canonical")]
    Lineage,
    /// A record that no leader authors.
    #[error("the record at {lsn} is not well-formed")]
    IllFormed {
        /// The position it claims.
        lsn: u64,
    },
    /// Memberships that no replica holds: they are not in order of position.
    #[error("the memberships are not in order")]
    Memberships,
    /// A membership that no leader places.
    #[error("a membership is malformed: {0}")]
    Membership(#[from] Malformed),
    /// A weighted quorum system without exactly one weight for each voter.
    #[error("a weighted quorum system has not one weight for each voter")]
    Weights,
}

/// The bytes of an envelope in a version. The same envelope always gives the same bytes.
///
/// Every envelope that a replica sends fits in [`FRAME_BYTES_MAX`] under the default options; a
/// larger one is encoded all the same and refused by the receiver.
pub fn encode(envelope: &Envelope, version: Version) -> Bytes {
    let mut frame = BytesMut::with_capacity(encoded_len(envelope, version));
    As(envelope, version).put(&mut frame);
    frame.freeze()
}

/// The length of [`encode`]'s result, by arithmetic alone: nothing is allocated or copied.
pub fn encoded_len(envelope: &Envelope, version: Version) -> usize {
    put::len(&As(envelope, version))
}

/// The envelope in `frame`, as of [`decode`], if it is said in cluster `here` and in no version
/// above `max`: what whoever listens to others calls.
///
/// # Errors
///
/// [`WireError::Cluster`] or [`WireError::Version`] if it is not, and whatever [`decode`] says.
pub fn admit(frame: Bytes, here: u64, max: Version) -> Result<Envelope, WireError> {
    let envelope = take::envelope(frame, max)?;
    match envelope.cluster {
        found if found != here => Err(WireError::Cluster { found, here }),
        _ => Ok(envelope),
    }
}

/// The envelope in `frame`, whose keys and bodies the result shares.
///
/// # Errors
///
/// See [`WireError`]. Fields that the schema does not know are skipped.
pub fn decode(frame: Bytes) -> Result<Envelope, WireError> {
    take::envelope(frame, Version::NEWEST)
}
