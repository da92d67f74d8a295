//! Connections from outside, until they have shown who they are.
//!
//! A thread of its own, the *door*, lets them in and computes their handshakes, and the system runs
//! it after all others: so whoever comes in crowds has what is left of the processors, or a tenth
//! of what another thread gets. Meanwhile they stand in the system's queue.

use super::stream::{Guest, Stream};
use crate::net::counts::add;
use crate::net::credentials::who;
use crate::net::crowd::{Gone, Seat};
use crate::net::ear::Who;
use crate::net::hub::{Current, Hub};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::Sender;
use tokio_rustls::TlsAcceptor;

/// How long nobody is let in when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(50);

/// The first byte of HTTP/2, which begins `PRI * HTTP/2.0`.
const FIRST: u8 = b'P';

/// How far the door stands back: by the weights of Linux (110 beside 1,024), beside a thread that
/// wants all of a processor it gets a tenth of what that gets.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Begins to let in whoever comes, for as long as there is somebody to hand them to. To be called
/// within the runtime in which they are served. Their sockets belong to that from the beginning, so
/// nothing has to move when they are known: it says when there is something to read, and until then
/// the door reads.
pub(super) fn start(
    listener: std::net::TcpListener,
    hub: &Arc<Hub>,
    guests: Sender<io::Result<Guest>>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let (hub, home) = (hub.clone(), Handle::current());
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let thread = thread::Builder::new().name(format!("{} door", hub.options.id));
    thread.spawn(move || {
        stand_back();
        runtime.block_on(async {
            tokio::select! {
                () = guests.closed() => {}
                () = accept(&listener, &home, &hub, &guests) => {}
            }
        });
    })?;
    Ok(())
}

/// Where the system has no such thing for a thread, the door is one like the others.
fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        // Nobody is refused to be nicer; and if one were, it would be one like the others.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    }
}

async fn accept(
    listener: &TcpListener,
    home: &Handle,
    hub: &Arc<Hub>,
    guests: &Sender<io::Result<Guest>>,
) {
    loop {
        let accepted = poll_fn(|context| {
            let _within = home.enter();
            listener.poll_accept(context)
        });
        let Ok((stream, address)) = accepted.await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let (seat, gone) = hub.greet(address.ip());
        tokio::spawn(greet(stream, seat, gone, hub.clone(), guests.clone()));
        // Those who are inside have a turn for each one that comes: else a crowd that comes at once
        // would have all of them go before anybody can show anything.
        tokio::task::yield_now().await;
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
