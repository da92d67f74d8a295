//! What is wrong with single settings of `traft serve`, and what they come to.

use super::password;
use super::settings::{Address, Transport};
use super::url::Url;
use crate::base::{Membership, ReplicaId};
use crate::net::Version;
use crate::quorum::soundness;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

/// What clients have to say, if anything.
pub(super) fn secret(file: Option<&Path>) -> Result<Option<String>, String> {
    let Some(path) = file else { return password() };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let word = text.trim_end_matches(['\r', '\n']).to_string();
    Ok(Some(word).filter(|word| !word.is_empty()))
}

/// A replica that others may learn from, with or without what a URL begins with.
pub(super) fn seed(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_string() } else { format!("redis://{text}") };
    whole.parse().map_err(|_| format!("{text:?} is not HOST:PORT, where clients reach a replica"))
}

pub(super) fn needed<T>(value: Option<T>, name: &str, example: &str) -> Result<T, String> {
    let variable = format!("TRAFT_{}", name.to_uppercase());
    value.ok_or_else(|| {
        format!("{name} is missing: say --{name} {example}, {variable}, or {name} in the file")
    })
}

pub(super) fn resolve(name: &str, address: &str) -> Result<SocketAddr, String> {
    let found = address.to_socket_addrs().map_err(|error| error.to_string());
    let found = found.and_then(|mut all| all.next().ok_or("no such host".into()));
    found.map_err(|why| format!("{name}: {address:?}: {why}"))
}

pub(super) fn distinct(all: &[Address], name: &str) -> Result<BTreeMap<ReplicaId, String>, String> {
    let mut map = BTreeMap::new();
    for Address { id, address } in all {
        if map.insert(ReplicaId(*id), address.clone()).is_some() {
            return Err(format!("{name} has two addresses for n{id}"));
        }
        if map.values().filter(|other| *other == address).count() > 1 {
            return Err(format!("{name} has {address} twice"));
        }
    }
    Ok(map)
}

pub(super) fn wire_max(number: Option<u32>) -> Result<Version, String> {
    let version = number.map_or(Some(Version::NEWEST), Version::numbered);
    let (oldest, newest) = (Version::OLDEST, Version::NEWEST);
    version.ok_or_else(|| format!("wire-max must be {oldest} to {newest}"))
}

pub(super) fn transport(name: Option<&str>) -> Result<Transport, String> {
    match name {
        None | Some("grpc") => Ok(Transport::Grpc),
        #[cfg(feature = "quic")]
        Some("quic") => Ok(Transport::Quic),
        Some(other) => Err(format!("transport must be grpc or quic, not {other:?}")),
    }
}

pub(super) fn is_logged(level: Option<&str>) -> Result<bool, String> {
    match level {
        None | Some("off") => Ok(false),
        Some("debug") => Ok(true),
        Some(other) => Err(format!("log must be off or debug, not {other:?}")),
    }
}

/// Whoever has joined knows those that are there, and not those that were taken out before.
pub(super) fn members(
    text: Option<&str>,
    peers: &BTreeMap<ReplicaId, String>,
    has_joined: bool,
) -> Result<Membership, String> {
    let Some(text) = text else { return Ok(Membership::majority(peers.keys().copied())) };
    let members: Membership = text.parse().map_err(|error| format!("members: {error}"))?;
    members.check().map_err(|error| format!("members: {error}"))?;
    soundness(&members).map_err(|error| format!("members: not sound: {error}"))?;
    let is_unknown = |id: &ReplicaId| !has_joined && !peers.contains_key(id);
    match members.members().into_iter().find(is_unknown) {
        Some(id) => Err(format!("members names {id}, and peers has no address for it")),
        None => Ok(members),
    }
}

/// In the clear nothing leaves this machine; names are not looked up, as they may be anybody's.
pub(super) fn local_only(
    listen: &SocketAddr,
    peers: &BTreeMap<ReplicaId, String>,
) -> Result<(), String> {
    let is_local = |address: &String| {
        let parsed: Option<SocketAddr> = address.parse().ok();
        parsed.is_some_and(|address| address.ip().is_loopback())
            || address.starts_with("localhost:")
    };
    let listen = (!listen.ip().is_loopback()).then(|| listen.to_string());
    match listen.or_else(|| peers.values().find(|peer| !is_local(peer)).cloned()) {
        Some(address) => Err(format!(
            "{address} is not an address of this machine, so replicas need certificates: say \
             certs, and make them with `traft cert init`"
        )),
        None => Ok(()),
    }
}
