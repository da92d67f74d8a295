//! What a user can set of a server.

use super::local::Faults;
use crate::base::ReplicaId;
use crate::disk::Trouble;
use crate::resp::Limits;
use std::collections::BTreeMap;
use std::time::Duration;

/// The settings of the server of one replica.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its replica.
    pub id: u64,
    /// Where clients reach each replica.
    pub seats: BTreeMap<u64, (String, u16)>,
    /// What clients have to say, if anything.
    pub password: Option<String>,
    /// The most connections. Default 10,000. One more is told so and closed.
    pub connections_max: usize,
    /// The longest command that the replica takes, in bytes. Default 1 MiB, as that of the replica.
    pub command_bytes_max: usize,
    /// What is taken of a client. Default: requests of twice the longest command.
    pub limits: Limits,
    /// Whether a replica that does not lead sends clients to the one that does, instead of asking
    /// it. Default false.
    pub redirect: bool,
    /// What `FAULT` reaches; without it the command is refused. Default none.
    pub faults: Option<Faults>,
    /// What `FAULT disk` reaches; without it the command is refused. Default none.
    pub trouble: Option<Trouble>,
    /// For how long a command that nobody takes is tried again before the client is told. Default
    /// 5 s: an election takes less.
    pub patience: Duration,
}

impl Options {
    /// The defaults for the server of this replica.
    pub fn new(id: u64, seats: BTreeMap<u64, (String, u16)>) -> Options {
        Options {
            id,
            seats,
            password: None,
            connections_max: 10_000,
            command_bytes_max: 1 << 20,
            limits: Limits::default(),
            redirect: false,
            faults: None,
            trouble: None,
            patience: Duration::from_secs(5),
        }
    }

    /// Cuts a replica off, or joins it again; says whether it may.
    pub(super) fn cut(&self, id: u64, cut: bool) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.cut(ReplicaId(id), cut))
    }

    /// Where clients reach this one; 0 if nobody said.
    pub fn port(&self) -> u16 {
        self.seats.get(&self.id).map_or(0, |seat| seat.1)
    }
}
