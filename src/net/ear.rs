//! What is heard of whom: the same rule for every kind of connection.

use super::Door;
use super::counts::{Counts, add};
use crate::base::ReplicaId;
use crate::runtime::Post;
use crate::snapshot::{PARCEL_BYTES_MAX, Parcel, ParcelError};
use crate::wire::{self, FRAME_BYTES_MAX, Version, WireError};
use bytes::Bytes;
use std::sync::Arc;

/// What a connection, a stream or a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Messages,
    Parcels,
}

/// The most bytes of a frame of any kind.
pub(super) const LARGEST: usize =
    if FRAME_BYTES_MAX > PARCEL_BYTES_MAX { FRAME_BYTES_MAX } else { PARCEL_BYTES_MAX };

/// Who is at the other end, as far as the connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// By its certificate.
    Replica(ReplicaId),
    /// It has a certificate of a client.
    Client,
    /// It has a certificate, and it is neither that of a replica nor that of a client.
    NoReplica,
    /// There are no certificates on this machine's own connections.
    Anybody,
}

/// Why a connection is ended by whoever listens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// What it shows is not the certificate of a replica.
    #[error("the caller's certificate names no replica")]
    NoReplica,
    /// It says something in the name of another one.
    #[error("the caller is not {0}")]
    NotYou(ReplicaId),
    /// It wants somebody else.
    #[error("this is {here}, not {wanted}")]
    NotMe { here: ReplicaId, wanted: ReplicaId },
    /// What it says is no message, or of another version or cluster.
    #[error(transparent)]
    Message(#[from] WireError),
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    /// A stream that is none of those known here: of a later version.
    #[error("streams of kind {0} are not known here")]
    #[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "calls say their kind by name"))]
    Kind(u8),
    /// More is under way at once than this end keeps.
    #[error("more than {0} bytes of unfinished frames on one connection")]
    #[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "the window of HTTP/2 is less"))]
    TooMuch(usize),
}

impl Refused {
    /// Whether the other end speaks another version of the protocol.
    pub(super) fn is_version(&self) -> bool {
        let parcel = matches!(self, Refused::Parcel(ParcelError::Version(_)));
        parcel || matches!(self, Refused::Message(WireError::Version { .. }) | Refused::Kind(_))
    }
}

/// Takes what others say, if it is theirs to say.
#[derive(Clone)]
pub(super) struct Ear {
    pub(super) id: ReplicaId,
    pub(super) cluster: u64,
    pub(super) wire_max: Version,
    pub(super) door: Door,
    pub(super) counts: Arc<Counts>,
}

/// Whoever talks on one connection: a replica by its certificate, or, where there are none, whoever
/// the first frame says, and then nobody else.
#[derive(Debug)]
pub(super) struct Speaker(Option<ReplicaId>);

impl Speaker {
    pub(super) fn new(who: Who) -> Result<Speaker, Refused> {
        match who {
            Who::Replica(id) => Ok(Speaker(Some(id))),
            Who::Anybody => Ok(Speaker(None)),
            Who::Client | Who::NoReplica => Err(Refused::NoReplica),
        }
    }
}

impl Ear {
    /// Hands in what is in a frame. Without room it is dropped, and counted.
    pub(super) fn take(
        &self,
        kind: Kind,
        frame: Bytes,
        speaker: &mut Speaker,
    ) -> Result<(), Refused> {
        let (from, to, post) = match kind {
            Kind::Messages => {
                let envelope = wire::admit(frame, self.cluster, self.wire_max)?;
                (envelope.from, envelope.to, Post::Message(Box::new(envelope)))
            }
            Kind::Parcels => {
                let parcel = Parcel::decode(frame)?;
                (parcel.from, parcel.to, Post::Parcel(Box::new(parcel)))
            }
        };
        if to != self.id {
            return Err(Refused::NotMe { here: self.id, wanted: to });
        }
        if *speaker.0.get_or_insert(from) != from {
            return Err(Refused::NotYou(from));
        }
        let inbox = super::lock(&self.door).clone();
        let taken = inbox.is_some_and(|inbox| inbox.deliver(post));
        add(if taken { &self.counts.received } else { &self.counts.dropped }, 1);
        Ok(())
    }
}
