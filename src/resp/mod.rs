//! The Redis protocol, versions 2 and 3: bytes to requests, values to bytes, and back for clients.
//!
//! [`Requests`] is fed whatever a socket gives and hands out commands, in the form of arrays or of
//! lines; [`Value`] is what is answered, and [`Replies`] what a client makes of that. No socket
//! here, no thread, and no panic whatever comes: what is not the protocol is a [`ProtocolError`],
//! after which nothing can be said about where the next command begins, so that the connection is
//! closed. Memory is bounded by [`Limits`].
//!
//! ```
//! use traft::resp::{Limits, Protocol, Requests, Value};
//!
//! let mut requests = Requests::new(Limits::default());
//! requests.feed(b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\nPING\r\n");
//! assert_eq!(requests.next().unwrap().unwrap(), [&b"GET"[..], b"x"]);
//! assert_eq!(requests.next().unwrap().unwrap(), [b"PING"]);
//! assert_eq!(requests.next().unwrap(), None);
//!
//! let mut out = Vec::new();
//! Value::Null.encode(Protocol::Resp2, &mut out);
//! assert_eq!(out, b"$-1\r\n");
//! ```

mod inline;
mod reply;
mod request;
mod value;

pub use reply::Replies;
pub use request::Requests;
pub use value::{Protocol, Value};

/// How much of a peer's is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request, or reply, in bytes, its framing included. Default 2 MiB.
    pub bytes_max: usize,
    /// The most words in a request, or values in a reply. Default 262,144.
    pub parts_max: usize,
    /// The longest request in the form of a line, in bytes. Default 64 KiB, as in Redis.
    pub inline_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes_max: 2 << 20, parts_max: 1 << 18, inline_bytes_max: 64 << 10 }
    }
}

/// How deep a reply is nested at most.
pub const DEPTH_MAX: usize = 8;

/// What a peer sent is not the protocol, or more than is taken. Close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line without an end.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// A quote that is not closed, or that something follows at once.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The number of words is none, or too large.
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    /// The length of a word is none, or too large.
    #[error("Protocol error: invalid bulk length")]
    InvalidLength,
    /// A word does not begin with its length.
    #[error("Protocol error: expected '$', got '{}'", .got.escape_ascii())]
    ExpectedDollar {
        /// What it begins with.
        got: u8,
    },
    /// A word or a line does not end where it should.
    #[error("Protocol error: expected a line to end")]
    ExpectedEnd,
    /// All words together are too much.
    #[error("Protocol error: the request is longer than {max} bytes")]
    TooBig {
        /// The most that is taken.
        max: usize,
    },
    /// A reply of no known kind, or one nested too deeply.
    #[error("Protocol error: no reply of a kind that is known")]
    UnknownReply,
}

/// The longest line that holds a number, in bytes.
const NUMBER_BYTES_MAX: usize = 32;

/// A number in decimal, as lengths are written.
fn number(line: &[u8]) -> Option<i64> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(line).ok().filter(|_| all)?.parse().ok()
}
