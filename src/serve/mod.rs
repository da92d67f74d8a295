//! A store that speaks the Redis protocol.
//!
//! ```text
//!   clients  --sockets-->  Server      one thread: mio, no lock held while it waits
//!                            Connection   bytes in, commands out, replies in order   (no IO)
//!                            Keeper       keys that have ended, the cluster's clock
//!                              |  numbers and commands            ^  outcomes, through a Mailbox
//!                              v                                  |
//!                          Replica     runtime::Node: Local
//! ```
//!
//! Several of these make a whole cluster in one process (`traft cluster up`); one, joined to others
//! by [`net`](crate::net), a process of `traft serve`.
//!
//! docs/redis.md has every command with its footprint, and what differs from Redis.

#[cfg(all(feature = "net", unix))]
pub mod certs;
/// The commands of the program; with its feature `compare`, which brings the program.
#[cfg(all(feature = "compare", unix))]
pub mod cli;
mod client;
mod clock;
mod cluster;
mod command;
mod connection;
mod cursors;
mod desk;
mod figures;
#[cfg(all(feature = "net", unix))]
pub mod fleet;
mod keeper;
pub mod load;
mod local;
mod metrics;
#[cfg(all(feature = "compare", unix))]
pub mod nemesis;
mod operate;
mod options;
mod own;
mod parse;
mod replica;
mod server;
mod shape;

pub use client::{Client, ClientError};
pub use cluster::{Cluster, ClusterOptions, Seating, UpError};
pub use command::{Asked, KNOWN, Kind, Known, Refused, Surroundings, known};
pub use connection::{Connection, Fate, Task, What};
pub use figures::Board;
pub use local::{Faults, Local, LocalReplica};
pub use metrics::Metrics;
pub use options::{Invitation, Options};
pub use own::{Seat, Server as Desk, slot};
pub use parse::{parse, scan};
pub use replica::{Freshness, Mailbox, Outcome, Reason, Replica, Standing};
pub use server::{Door, Server};
pub use shape::{Cursor, Shape};

/// The variable that holds the password: a command line can be seen by everybody on the machine.
#[cfg(unix)]
const PASSWORD: &str = "TRAFT_PASSWORD";
