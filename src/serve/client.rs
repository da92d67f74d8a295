//! A small client: one connection, which waits.

use crate::resp::{Limits, Protocol, ProtocolError, Replies, Value};
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The most bytes of one reply.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Why there is no reply. Whether the command was done is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server ended it.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no reply.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// A connection to a server of the Redis protocol.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    replies: Replies,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects. Each address, and each reply, is waited for at most this long, if it is said.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn connect(
        address: impl ToSocketAddrs,
        patience: Option<Duration>,
    ) -> Result<Client, ClientError> {
        let socket = match patience {
            None => TcpStream::connect(address)?,
            Some(patience) => connect_within(address, patience)?,
        };
        socket.set_nodelay(true)?;
        socket.set_read_timeout(patience)?;
        let limits = Limits { bytes_max: REPLY_BYTES_MAX, parts_max: 1 << 22, ..Limits::default() };
        let replies = Replies::new(limits);
        Ok(Client { socket, replies, out: Vec::new(), buffer: vec![0; 64 << 10] })
    }

    /// Adds a command to those that are sent next.
    pub fn push<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        let word = |word: &W| Value::Bulk(Bytes::copy_from_slice(word.as_ref()));
        Value::Array(words.iter().map(word).collect()).encode(Protocol::Resp2, &mut self.out);
    }

    /// Sends the commands that were added.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn send(&mut self) -> Result<(), ClientError> {
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for the next reply, which may be an error of the server.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn receive(&mut self) -> Result<Value, ClientError> {
        loop {
            if let Some(value) = self.replies.next()? {
                return Ok(value);
            }
            match self.socket.read(&mut self.buffer)? {
                0 => return Err(ClientError::Closed),
                count => self.replies.feed(&self.buffer[..count]),
            }
        }
    }

    /// Sends a command and waits for its reply, which may be an error of the server.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value, ClientError> {
        self.push(words);
        self.send()?;
        self.receive()
    }
}

/// The first address that answers in time: a host that is gone says nothing at all.
fn connect_within(address: impl ToSocketAddrs, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for at in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, patience) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
