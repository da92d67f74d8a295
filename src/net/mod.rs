//! Replicas on several machines: gRPC over HTTP/2 and TCP, or QUIC; with mutual TLS.
//!
//! ```text
//!   Node's thread --> a lane for each replica and kind --> line --> connection --> its Node
//!                     (bounded in bytes; what finds no room is dropped and counted)
//!
//!     Grpc    one call for all messages of a connection, or a call for each; pieces of snapshots
//!             on a connection of their own
//!     Quic    a stream for each message, so that a lost packet delays one message only; pieces of
//!             snapshots on streams of lower priority
//! ```
//!
//! - What cannot go is dropped, as any network may: the replica sends again what still matters. A
//!   lane that has no connection drops what is handed in, so that nothing stale is sent when the
//!   other one returns.
//! - Each end shows a certificate that an authority of the cluster has signed and that names its
//!   replica: `replica-3.traft` ([`name_of`]). The caller goes away unless it has reached the
//!   replica it wants; the receiver takes only what the caller says in its own name. So a
//!   certificate of a client, or of another replica, cannot speak as a replica.
//! - Without credentials only addresses of this machine are listened to and called.
//! - Credentials are changed while all goes on: `reload`.
//!
//! Frames are bounded ([`FRAME_BYTES_MAX`](crate::wire::FRAME_BYTES_MAX)), malformed ones and those
//! of another cluster or version end the connection and say why, and a connection that answers no
//! ping for some seconds is closed. Those who call are bounded as [`Guests`] says, before and after
//! they have shown who they are. Connections are dialled again with growing pauses.

mod clients;
mod counts;
mod credentials;
mod crowd;
mod ear;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from proto/peer.proto")]
#[rustfmt::skip]
mod generated;
mod grpc;
mod hub;
mod lanes;
mod newcomers;
mod options;
#[cfg(feature = "quic")]
mod quic;

pub use crate::wire::{Apart, Version};
pub use clients::Admit;
pub use counts::Totals;
pub use credentials::{CLIENT_NAME, Credentials, CredentialsError, name_of};
pub use grpc::Grpc;
pub use hub::Spoken;
pub use options::{Calls, Guests, NetError, NetOptions};
#[cfg(feature = "quic")]
pub use quic::Quic;

/// The protocols themselves, for whoever speaks them without a replica.
pub mod proto {
    pub use super::clients::generated::client_client::ClientClient;
    pub use super::clients::generated::outcome::What;
    pub use super::clients::generated::{Command, Keys, NotDone, Outcome, Range, Unknown};
    pub use super::clients::health::health_check_response::ServingStatus;
    pub use super::clients::health::health_client::HealthClient;
    pub use super::clients::health::{HealthCheckRequest, HealthCheckResponse};
    pub use super::generated::peer_client::PeerClient;
    pub use super::generated::{Closed, Frame};
    pub use super::grpc::{ConnectError, connect};
    #[cfg(feature = "quic")]
    pub use super::quic::{MESSAGE, PARCEL, client};
}

use crate::runtime::{Inbox, Post};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the messages of others go: nowhere before a node joins.
type Door = Arc<Mutex<Option<Inbox<Post>>>>;

/// What is behind the door is whole at every moment, so whoever panicked holding it left it so.
fn lock(door: &Door) -> MutexGuard<'_, Option<Inbox<Post>>> {
    door.lock().unwrap_or_else(PoisonError::into_inner)
}
