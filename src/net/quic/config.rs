//! How QUIC is spoken here.

use crate::net::credentials::{Credentials, CredentialsError, Keys};
use crate::net::ear::{Kind, Refused};
use crate::net::{NetError, NetOptions};
use crate::wire::Version;
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, TransportErrorCode, VarInt,
};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// What both ends say that they speak, the best first: frames on streams, of this version of the
/// wire at most. The handshake of two ends without a common one fails.
const PROTOCOLS: [(Version, &[u8]); 2] =
    [(Version::Two, b"traft-peer/2"), (Version::One, b"traft-peer/1")];

/// The first byte of a stream with a message of the algorithm, an envelope of `proto/wire.proto`.
pub const MESSAGE: u8 = 1;

/// The first byte of a stream with a piece of a snapshot, a parcel of `proto/transfer.proto`.
pub const PARCEL: u8 = 2;

/// Why a connection is closed, as the other end hears it: the end of a network.
pub(super) const DONE: VarInt = VarInt::from_u32(0);
/// Others needed the room.
pub(super) const DISPLACED: VarInt = VarInt::from_u32(1);
/// The credentials have changed: connect again.
pub(super) const RELOAD: VarInt = VarInt::from_u32(2);
/// From this number on it is the caller's fault.
const REFUSED: u32 = 16;

/// Streams that the other end may have open at once.
const STREAMS_MAX: u32 = 1_024;

/// The most bytes of one stream that are on the way or not yet read.
const STREAM_WINDOW: u32 = 4 << 20;

/// The most bytes of one connection that are on the way or not yet read.
const WINDOW: u32 = 16 << 20;

/// The most bytes of connections that are not let in yet.
const INCOMING_BYTES_MAX: u64 = 4 << 20;

/// What a round trip is taken for before one was measured: between continents. A first packet that
/// is lost is sent again after thrice that.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// The alert of TLS that says so.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Which code says why.
pub(super) fn code(why: &Refused) -> VarInt {
    let fault = match why {
        Refused::NoReplica => 0,
        Refused::NotYou(_) => 1,
        Refused::NotMe { .. } => 2,
        _ if why.is_version() => 3,
        Refused::Message(_) | Refused::Parcel(_) | Refused::Kind(_) => 4,
        Refused::TooMuch(_) => 5,
    };
    VarInt::from_u32(REFUSED + fault)
}

/// Whether the other end objects to this one or this one to it, and it is not only gone.
pub(super) fn objects(why: &ConnectionError) -> bool {
    let is_of_tls = |code: TransportErrorCode| (0x100..0x200).contains(&u64::from(code));
    match why {
        ConnectionError::ApplicationClosed(close) => close.error_code >= VarInt::from_u32(REFUSED),
        ConnectionError::ConnectionClosed(close) => is_of_tls(close.error_code),
        ConnectionError::TransportError(error) => is_of_tls(error.code),
        _ => false,
    }
}

/// Those of the versions up to this one.
pub(super) fn protocols(max: Version) -> Vec<&'static [u8]> {
    let spoken = PROTOCOLS.iter().filter(|(version, _)| *version <= max);
    spoken.map(|(_, name)| *name).collect()
}

/// Which version two ends have agreed on.
pub(super) fn agreed(connection: &Connection) -> Option<Version> {
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let name = data.protocol?;
    PROTOCOLS.iter().find(|(_, known)| *known == name).map(|(version, _)| *version)
}

/// Whether a handshake failed because the two ends have nothing in common.
pub(super) fn are_apart(why: &ConnectionError) -> bool {
    let code = TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL);
    match why {
        ConnectionError::ConnectionClosed(close) => close.error_code == code,
        ConnectionError::TransportError(error) => error.code == code,
        _ => false,
    }
}

pub(super) fn first_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Messages => MESSAGE,
        Kind::Parcels => PARCEL,
    }
}

pub(super) fn kind(first: u8) -> Result<Kind, Refused> {
    match first {
        MESSAGE => Ok(Kind::Messages),
        PARCEL => Ok(Kind::Parcels),
        other => Err(Refused::Kind(other)),
    }
}

/// How QUIC is spoken by both ends. The rate is what the line is measured to carry (BBR): to take
/// each loss for a sign of too much, as is usual, would slow down for what this is meant to bear.
/// docs/network.md has figures of both.
fn transport(silence: Duration) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(BbrConfig::default()))
        .initial_rtt(ROUND_TRIP)
        .keep_alive_interval(Some(silence / 2))
        .max_idle_timeout(IdleTimeout::try_from(silence * 2).ok());
    Arc::new(config)
}

fn unfit(error: impl std::fmt::Display) -> NetError {
    NetError::Credentials(CredentialsError::Tls(error.to_string()))
}

/// How connections are let in.
pub(super) fn server(keys: &Keys, options: &NetOptions) -> Result<ServerConfig, NetError> {
    let crypto = QuicServerConfig::try_from(keys.server.clone()).map_err(unfit)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport(options.silence))
        // Replicas do not change their addresses while they are connected.
        .migration(false)
        .max_incoming(options.guests.unknown_max)
        .incoming_buffer_size(INCOMING_BYTES_MAX / 64)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    Ok(config)
}

/// How connections are made.
pub(super) fn calling(
    crypto: Arc<rustls::ClientConfig>,
    silence: Duration,
) -> Result<ClientConfig, NetError> {
    let crypto = QuicClientConfig::try_from(crypto).map_err(unfit)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(silence));
    Ok(config)
}

/// For whoever speaks the protocol without being a replica: connect with it to the name that
/// [`name_of`](crate::net::name_of) gives, open a stream in one direction for each frame, write
/// [`MESSAGE`] or [`PARCEL`] and the frame, and finish it.
///
/// # Errors
///
/// The credentials are of no use.
pub fn client(credentials: &Credentials) -> Result<ClientConfig, NetError> {
    calling(Arc::new(credentials.client(&protocols(Version::NEWEST))?), Duration::from_secs(2))
}

/// A replica that was started again tells those who take it for the one before that their
/// connections are gone, instead of leaving them to find out: for which it has to remember one
/// secret. It comes from the private key, so nothing has to be kept for it.
pub(super) fn endpoint(credentials: &Credentials) -> EndpointConfig {
    let mut secret = Sha256::new();
    secret.update(b"traft: the secret of stateless resets\0");
    secret.update(credentials.key.as_bytes());
    let secret: [u8; 32] = secret.finalize().into();
    EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret)))
}

/// What the other end has shown.
pub(super) fn certificate(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    let shown = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    shown.into_iter().next()
}
