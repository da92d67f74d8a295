//! What a user can set of a server.

use super::local::Faults;
use crate::base::{Membership, ReplicaId};
use crate::disk::Trouble;
use crate::resp::Limits;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
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
    /// What those that want to join are told. Default nothing: this one cannot be joined.
    pub invitation: Option<Invitation>,
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
            invitation: None,
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

/// What a replica that joins has to know of the cluster, as lines of `TRAFT STATUS`. Nothing of it
/// lets anybody in: replicas go by certificates.
#[derive(Clone)]
pub struct Invitation {
    /// The name of the cluster.
    pub cluster: String,
    /// The membership that it started with.
    pub members: Membership,
    /// What replicas talk over.
    pub transport: &'static str,
    /// Where replicas are reached by others, as far as this one knows at the moment.
    pub peers: Arc<dyn Fn() -> BTreeMap<ReplicaId, String> + Send + Sync>,
    /// In which version of the wire each other one is written to at the moment, or why in none.
    pub wire: Arc<dyn Fn() -> BTreeMap<ReplicaId, String> + Send + Sync>,
}

impl Invitation {
    /// As lines of `TRAFT STATUS`.
    pub(super) fn lines(&self) -> String {
        let Invitation { cluster, members, transport, peers, wire } = self;
        let mut lines =
            format!("cluster:{cluster}\r\nstarted_with:{members}\r\ntransport:{transport}\r\n");
        for (id, address) in peers() {
            // Writing to a string does not fail.
            let _ = write!(lines, "peer_{}:{address}\r\n", id.0);
        }
        for (id, spoken) in wire() {
            let _ = write!(lines, "wire_{}:{spoken}\r\n", id.0);
        }
        lines
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({:?})", self.cluster)
    }
}
