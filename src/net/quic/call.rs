//! Connections to others, and what goes on them.

use super::Link;
use super::config::{self, DONE, RELOAD};
use crate::base::ReplicaId;
use crate::net::counts::add;
use crate::net::ear::Kind;
use crate::net::hub::{Current, Hub};
use crate::net::lanes::{Queue, Way};
use crate::net::name_of;
use crate::wire::{Apart, Version};
use bytes::Bytes;
use quinn::{Connection, Endpoint, SendStream, WriteError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Behind all messages.
const PARCELS_PRIORITY: i32 = -1;

/// Parcels on the way at once: so they do not take all the room that a connection has for what is
/// not acknowledged. Two megabytes, as large as they are.
const PARCELS_MAX: usize = 32;

/// Makes the connection to one replica, and sends it messages.
pub(super) struct Messages {
    hub: Arc<Hub>,
    endpoint: Endpoint,
    id: ReplicaId,
    address: String,
    keys: watch::Receiver<Current>,
    link: watch::Sender<Link>,
}

impl Messages {
    pub(super) fn new(
        hub: &Arc<Hub>,
        endpoint: &Endpoint,
        id: ReplicaId,
        address: &str,
        link: watch::Sender<Link>,
    ) -> Messages {
        let (keys, address) = (hub.watch_keys(), address.to_string());
        Messages { hub: hub.clone(), endpoint: endpoint.clone(), id, address, keys, link }
    }

    /// An address that the socket can reach.
    async fn address(&self) -> Option<SocketAddr> {
        let here = self.endpoint.local_addr().ok()?;
        let mut found = tokio::net::lookup_host(&self.address).await.ok()?;
        found.find(|address| address.is_ipv4() == here.is_ipv4())
    }

    async fn connect(&mut self) -> Option<Connection> {
        let keys = self.keys.borrow_and_update().clone()?;
        let config = config::calling(keys.client.clone(), self.hub.options.silence).ok()?;
        let address = self.address().await?;
        let connecting = self.endpoint.connect_with(config, address, &name_of(self.id)).ok()?;
        match connecting.await {
            Ok(connection) => {
                let version = config::agreed(&connection)?;
                self.hub.agreed(self.id, Ok(version));
                Some(connection)
            }
            Err(why) => {
                if config::are_apart(&why) {
                    let here = self.hub.versions();
                    self.hub.agreed(self.id, Err(Apart::Neither { here }));
                }
                add(&self.hub.counts.rejected, u64::from(config::objects(&why)));
                None
            }
        }
    }
}

/// Begins a stream with one frame in it. Waits only for room on this side and for a stream that the
/// other end allows.
async fn send(
    connection: &Connection,
    kind: Kind,
    frame: Bytes,
    priority: i32,
) -> Result<SendStream, WriteError> {
    let mut stream = connection.open_uni().await?;
    if priority != 0 {
        stream.set_priority(priority).map_err(|_| WriteError::ClosedStream)?;
    }
    let first = Bytes::copy_from_slice(&[config::first_byte(kind)]);
    stream.write_all_chunks(&mut [first, frame]).await?;
    stream.finish().map_err(|_| WriteError::ClosedStream)?;
    Ok(stream)
}

impl Way for Messages {
    type Link = Connection;

    async fn dial(&mut self) -> Option<Connection> {
        let silence = self.hub.options.silence;
        let connection = tokio::time::timeout(silence, self.connect()).await.ok()??;
        add(&self.hub.counts.dialled, 1);
        self.link.send_replace(Some(connection.clone()));
        Some(connection)
    }

    async fn serve(&mut self, link: Connection, queue: &mut Queue) -> bool {
        let version = config::agreed(&link).unwrap_or(Version::OLDEST);
        let closed = link.closed();
        tokio::pin!(closed);
        let mut any = false;
        let why = loop {
            let frame = tokio::select! {
                why = &mut closed => break why,
                _ = self.keys.changed() => {
                    link.close(RELOAD, b"the credentials have changed");
                    return true;
                }
                frame = queue.next(version) => frame,
            };
            let Some(frame) = frame else {
                link.close(DONE, b"");
                return any;
            };
            any |= send(&link, Kind::Messages, frame, 0).await.is_ok();
        };
        self.link.send_replace(None);
        let objects = config::objects(&why);
        add(&self.hub.counts.rejected, u64::from(objects));
        any && !objects
    }
}

/// Sends pieces of snapshots over the connection of the messages.
pub(super) struct Parcels {
    hub: Arc<Hub>,
    link: watch::Receiver<Link>,
}

impl Parcels {
    pub(super) fn new(hub: &Arc<Hub>, link: watch::Receiver<Link>) -> Parcels {
        Parcels { hub: hub.clone(), link }
    }
}

impl Way for Parcels {
    type Link = Connection;

    async fn dial(&mut self) -> Option<Connection> {
        let is_open = |link: &Link| link.as_ref().is_some_and(|c| c.close_reason().is_none());
        let link = self.link.wait_for(is_open);
        let link = tokio::time::timeout(self.hub.options.silence, link).await.ok()?.ok()?;
        link.clone()
    }

    async fn serve(&mut self, link: Connection, queue: &mut Queue) -> bool {
        let closed = link.closed();
        tokio::pin!(closed);
        let (mut any, mut flying) = (false, JoinSet::new());
        loop {
            tokio::select! {
                _ = &mut closed => return any,
                Some(_) = flying.join_next(), if !flying.is_empty() => {}
                // Of parcels there is one version.
                frame = queue.next(Version::OLDEST), if flying.len() < PARCELS_MAX => {
                    let Some(frame) = frame else { return any };
                    let sent = send(&link, Kind::Parcels, frame, PARCELS_PRIORITY).await;
                    if let Ok(stream) = sent {
                        any = true;
                        flying.spawn(stream.stopped());
                    }
                }
            }
        }
    }
}
