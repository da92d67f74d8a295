//! Connections from outside, until they have shown who they are.

use super::stream::{Guest, Stream};
use crate::net::counts::add;
use crate::net::credentials::who;
use crate::net::crowd::{Gone, Seat};
use crate::net::ear::Who;
use crate::net::hub::{Current, Hub};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio_rustls::TlsAcceptor;

/// How long nobody is let in when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(50);

/// The first byte of HTTP/2, which begins `PRI * HTTP/2.0`.
const FIRST: u8 = b'P';

/// Lets in whoever comes, for as long as there is somebody to hand them to.
pub(super) async fn accept(
    listener: TcpListener,
    hub: Arc<Hub>,
    guests: Sender<io::Result<Guest>>,
) {
    while !guests.is_closed() {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let (seat, gone) = hub.greet(address.ip());
        tokio::spawn(greet(stream, seat, gone, hub.clone(), guests.clone()));
    }
}

async fn greet(
    stream: TcpStream,
    seat: Seat<IpAddr>,
    gone: Gone,
    hub: Arc<Hub>,
    guests: Sender<io::Result<Guest>>,
) {
    let keys = hub.keys();
    let shaken = tokio::select! {
        _ = gone => None,
        shaken = tokio::time::timeout(hub.options.guests.handshake, shake(stream, &keys)) => {
            shaken.ok().and_then(Result::ok)
        }
    };
    let Some((stream, who)) = shaken else { return add(&hub.counts.unknown, 1) };
    let (place, gone) = hub.seat(who);
    drop(seat);
    // Whom the new credentials do not believe might have been let in by the old ones.
    if hub.are_current(&keys) {
        let guest = Guest { stream, who, gone, has_gone: false, _place: place };
        // Nobody takes it when all is over.
        let _ = guests.send(Ok(guest)).await;
    }
}

async fn shake(stream: TcpStream, keys: &Current) -> io::Result<(Box<dyn Stream>, Who)> {
    stream.set_nodelay(true)?;
    let Some(keys) = keys else {
        let mut first = [0];
        return match stream.peek(&mut first).await? {
            1 if first[0] == FIRST => Ok((Box::new(stream), Who::Anybody)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
    };
    let stream = TlsAcceptor::from(keys.server.clone()).accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let who = who(certificates.and_then(|all| all.first()));
    Ok((Box::new(stream), who))
}
