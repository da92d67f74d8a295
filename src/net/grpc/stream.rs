//! TCP with TLS, or without.

use crate::net::crowd::Gone;
use crate::net::ear::Who;
use crate::net::hub::Place;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// What HTTP/2 is spoken over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that was let in, until it goes or has to.
pub(super) struct Guest {
    pub(super) stream: Box<dyn Stream>,
    pub(super) who: Who,
    pub(super) gone: Gone,
    pub(super) has_gone: bool,
    pub(super) _place: Place,
}

impl Guest {
    /// Whether it has to go. Wakes the task when that changes.
    fn has_to_go(&mut self, context: &mut Context<'_>) -> bool {
        self.has_gone = self.has_gone || Pin::new(&mut self.gone).poll(context).is_ready();
        self.has_gone
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_to_go(context) {
            return gone();
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_gone {
            return gone();
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_gone {
            return gone();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_gone {
            return gone();
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Guest {
    type ConnectInfo = Who;

    fn connect_info(&self) -> Who {
        self.who
    }
}
