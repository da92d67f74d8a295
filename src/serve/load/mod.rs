//! `traft load`: puts load on servers of the Redis protocol and says how long each request took.
//!
//! One thread with all connections, so that the generator takes little of the machine. In a closed
//! loop each connection has so many requests in flight and sends the next when one is answered: a
//! slow server is asked less. In an open loop requests come at a stated rate whatever the server
//! does, and the time that one waits for a free connection counts: what a user of a busy server
//! sees.

mod engine;
mod mix;
mod report;

pub use engine::{LoadError, run};
pub use mix::{Kind, Mix, Requests};
pub use report::{Progress, Report};

use std::time::Duration;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Each connection has so many in flight.
    Closed {
        /// How many.
        depth: usize,
    },
    /// So many in each second.
    Open {
        /// How many.
        rate: f64,
    },
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to ask, in turns.
    pub addresses: Vec<std::net::SocketAddr>,
    /// What to say first, if anything.
    pub password: Option<String>,
    /// How many connections.
    pub clients: usize,
    /// How requests come.
    pub arrivals: Arrivals,
    /// Which requests.
    pub requests: Requests,
    /// For how long.
    pub time: Duration,
    /// Figures of the first part of that are left out.
    pub warm_up: Duration,
    /// Whether every key is written before it begins.
    pub fill: bool,
}
