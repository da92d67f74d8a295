//! Joining: what a replica that has never lived learns from a cluster that runs, of which it is
//! told nothing but some addresses.
//!
//! It asks for `TRAFT STATUS`, where clients are served, so whoever joins needs the password. What
//! it learns are names and addresses. Nothing of that lets it in: replicas hear each other by their
//! certificates, and whoever has joined counts for nothing until somebody makes it a member.
//!
//! Somebody who is a member already is refused, since it may be one that has lost its directory. So
//! the replica that leads is asked, and has to show that it does by answering a linearizable read
//! in between: whatever committed before, in whatever leadership, is in its log, and so is a change
//! that it has placed itself.

use super::data::connect_within;
use super::operate::survey;
use super::settings::{Transport, entry};
use super::url::Url;
use crate::base::{Membership, ReplicaId};
use crate::resp::Value;
use crate::serve::Client;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was learned, in the directory of the replica.
pub(super) const NOTE: &str = "joined.toml";

/// Written before it takes the place of that.
const DRAFT: &str = "joined.new";

/// What whoever looked into the directory may have left there.
const LOCK: &str = "lock";

/// One replica is waited for so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// For so long all of them are asked again and again: they may be starting as well, or electing.
const TOGETHER: Duration = Duration::from_secs(5);

/// Before they are asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// A replica that is to join, and whom it asks.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) id: ReplicaId,
    pub(super) dir: PathBuf,
    pub(super) listen: SocketAddr,
    /// Where the others reach it.
    pub(super) address: String,
    pub(super) seeds: Vec<Url>,
    pub(super) password: Option<String>,
    /// What it is told besides, which has to be so.
    pub(super) cluster: Option<String>,
    pub(super) members: Option<Membership>,
    pub(super) transport: Option<Transport>,
    pub(super) has_certs: bool,
    /// Somebody says what its empty directory means: that it may be a member is no surprise.
    pub(super) is_explained: bool,
}

/// Why it does not join. Each says what to do about it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum JoinError {
    /// Nobody whom it was told of is there, or none of those that are knows the leader.
    #[error("nobody to join in {} s ({whys}): start one of them, or name others with --join",
            TOGETHER.as_secs())]
    Nobody { whys: String },
    #[error(
        "{seed} does not let it ask ({why}): say the password of that cluster with \
         TRAFT_PASSWORD or --password-file"
    )]
    Password { seed: String, why: String },
    #[error(
        "{seed} is no replica that others can join ({why}): name one of `traft serve`, of this \
             version"
    )]
    NoReplica { seed: String, why: String },
    #[error(
        "{seed} belongs to the cluster {theirs:?}, and this one is to be of {said:?}: join \
             others, or leave `cluster` out"
    )]
    Cluster { seed: String, theirs: String, said: String },
    #[error("the cluster of {seed} {what} {theirs}, and this one says {said}: leave `{name}` out")]
    Differs { seed: String, what: &'static str, theirs: String, said: String, name: &'static str },
    #[error(
        "{id} is a member already, as {seed} says: take another number; or, if {id} has lost its \
             directory, say --wiped besides, and --new if it was made a member before it ever ran"
    )]
    Taken { seed: String, id: ReplicaId },
    #[error(
        "{id} is one of those that the cluster of {seed} started with, and was taken out: take \
             another number"
    )]
    Founder { seed: String, id: ReplicaId },
    #[error(
        "{seed} reaches {id} at {theirs}, and this one is at {own}: take another number if \
         that is another replica, else say --peers {}={theirs}", .id.0
    )]
    Elsewhere { seed: String, id: ReplicaId, theirs: String, own: String },
    #[error("{own} is the address of {other}, a member, as {seed} says: give this one another")]
    Occupied { seed: String, own: String, other: ReplicaId },
    #[error(
        "without certificates {seed} hears nobody whom it was not told of: name {id} in its \
             `peers`, or use certificates (`traft cert init`)"
    )]
    Unnamed { seed: String, id: ReplicaId },
    #[error("{}: {why}", .path.display())]
    Note { path: PathBuf, why: String },
}

/// What did not work with one of them.
enum Trouble {
    /// It may work later, or with another one.
    Passing(String),
    Lasting(JoinError),
}

/// What it has learned: what the others were told by a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Learned {
    #[serde(skip)]
    pub(super) from: String,
    pub(super) cluster: String,
    members: String,
    transport: String,
    pub(super) peers: BTreeMap<String, String>,
    clients: BTreeMap<String, String>,
}

impl JoinError {
    /// Whether it may go away without anybody changing what this one is told.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, JoinError::Nobody { .. })
    }
}

/// Whether no log was ever begun there.
pub(super) fn is_fresh(dir: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != NOTE && name != DRAFT && name != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Newcomer {
    /// Asks those it was told of, in turn, until one has answered.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub(super) fn learn(&self) -> Result<Learned, JoinError> {
        let end = Instant::now() + TOGETHER;
        loop {
            let mut whys = Vec::new();
            for seed in &self.seeds {
                match self.ask(seed) {
                    Ok(learned) => return Ok(learned),
                    Err(Trouble::Lasting(error)) => return Err(error),
                    Err(Trouble::Passing(why)) => whys.push(why),
                }
            }
            if Instant::now() >= end {
                return Err(JoinError::Nobody { whys: whys.join("; ") });
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Asks one, or the one that leads if it knows which.
    fn ask(&self, seed: &Url) -> Result<Learned, Trouble> {
        let (mut client, mut said) = self.call(seed)?;
        let mut seed = seed.clone();
        if said.one("role") != Some("leader") {
            seed = self.leader(&seed, &said)?;
            (client, said) = self.call(&seed)?;
        }
        // It led after all that was there when it was asked, if it still does.
        let before = said.one("leader").map(str::to_string);
        let read = client.ask(&["EXISTS", "traft"]);
        let is_read = matches!(read, Ok(Value::Number(_)));
        said = status(&mut client, &seed)?;
        let same = said.one("role") == Some("leader") && said.one("leader") == before.as_deref();
        if !is_read || !same {
            return Err(Trouble::Passing(format!("{}: nobody leads for long", seed.address)));
        }
        self.judge(&seed.address, &said).map_err(Trouble::Lasting)
    }

    fn call(&self, seed: &Url) -> Result<(Client, Said), Trouble> {
        let password = seed.password.clone().or_else(|| self.password.clone());
        let url = Url { address: seed.address.clone(), password };
        let mut client = connect_within(&url, PATIENCE).map_err(|why| trouble(seed, why))?;
        let said = status(&mut client, seed)?;
        Ok((client, said))
    }

    /// Where the one that leads is reached, as one says that follows it.
    fn leader(&self, seed: &Url, said: &Said) -> Result<Url, Trouble> {
        let passing = |why: &str| Trouble::Passing(format!("{}: {why}", seed.address));
        let id = said.one("leader").and_then(|leader| leader.split_once('#')?.1.parse().ok());
        let id = id.filter(|id: &u64| *id > 0).ok_or_else(|| passing("nobody leads"))?;
        let seat = said.one(&format!("seat_{id}")).filter(|seat| is_somewhere(seat));
        let lacks = || passing(&format!("n{id} leads, and is to be named as well"));
        let address = seat.ok_or_else(lacks)?.to_string();
        Ok(Url { address, password: seed.password.clone() })
    }

    /// Whether what the leader says fits what this one was told, and what follows from it.
    fn judge(&self, seed: &str, said: &Said) -> Result<Learned, JoinError> {
        let (id, own, seed) = (self.id, self.address.clone(), seed.to_string());
        let of = |name: &str| {
            let why = || format!("it says nothing of its {name}");
            let found = said.one(name).filter(|text| text.chars().all(|c| !c.is_control()));
            found.ok_or_else(|| JoinError::NoReplica { seed: seed.clone(), why: why() })
        };
        let (cluster, transport) = (of("cluster")?.to_string(), of("transport")?.to_string());
        if let Some(told) = self.cluster.clone().filter(|told| *told != cluster) {
            return Err(JoinError::Cluster { seed, theirs: cluster, said: told });
        }
        let members = said.membership(&seed, of("started_with")?)?;
        if let Some(told) = self.members.as_ref().filter(|told| **told != members) {
            let (theirs, said) = (members.to_string(), told.to_string());
            let (what, name) = ("started with", "members");
            return Err(JoinError::Differs { seed, what, theirs, said, name });
        }
        if let Some(told) = self.transport.filter(|told| told.name() != transport) {
            let (what, name, told) = ("talks over", "transport", told.name().to_string());
            return Err(JoinError::Differs { seed, what, theirs: transport, said: told, name });
        }
        let mut present = Vec::new();
        for text in said.all("membership").chain(said.all("goal")) {
            present.extend(said.membership(&seed, text)?.members());
        }
        if !self.is_explained && present.contains(&id) {
            return Err(JoinError::Taken { seed, id });
        }
        if !self.is_explained && members.members().contains(&id) {
            return Err(JoinError::Founder { seed, id });
        }
        let mut peers = said.addresses("peer_");
        match peers.get(&id).filter(|theirs| **theirs != own) {
            Some(theirs) => {
                let theirs = theirs.clone();
                return Err(JoinError::Elsewhere { seed, id, theirs, own });
            }
            None if !self.has_certs && !peers.contains_key(&id) => {
                return Err(JoinError::Unnamed { seed, id });
            }
            _ => {}
        }
        let occupied = |(other, at): (&ReplicaId, &String)| {
            (*other != id && *at == own && present.contains(other)).then_some(*other)
        };
        if let Some(other) = peers.iter().find_map(occupied) {
            return Err(JoinError::Occupied { seed, own, other });
        }
        // Who was there before and is no member any more, has left it to this one.
        peers.retain(|other, at| *other != id && *at != own);
        let numbered = |all: BTreeMap<ReplicaId, String>| {
            all.into_iter().map(|(id, address)| (id.0.to_string(), address)).collect()
        };
        let mut clients = said.addresses("seat_");
        clients.retain(|other, at| *other != id && is_somewhere(at));
        Ok(Learned {
            from: seed,
            cluster,
            members: members.to_string(),
            transport,
            peers: numbered(peers),
            clients: numbered(clients),
        })
    }
}

impl fmt::Display for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<&str> = self.seeds.iter().map(|seed| &*seed.address).collect();
        writeln!(f, "replica           {}, which joins", self.id)?;
        writeln!(f, "directory         {}", self.dir.display())?;
        writeln!(f, "clients           at {}", self.listen)?;
        writeln!(f, "replicas          at {}", self.address)?;
        writeln!(f, "all else          as {} says", seeds.join(" or "))
    }
}

impl Learned {
    /// Leaves it in the directory, durably: later starts ask nobody.
    ///
    /// # Errors
    ///
    /// [`JoinError::Note`].
    pub(super) fn write(&self, dir: &Path) -> Result<(), JoinError> {
        let path = dir.join(NOTE);
        let failed = |why: String| JoinError::Note { path: path.clone(), why };
        let body = toml::to_string(self).map_err(|error| failed(error.to_string()))?;
        let head =
            "# What this replica has learned when it joined. What it is told goes before it.\n";
        let written = || -> io::Result<()> {
            fs::create_dir_all(dir)?;
            let mut file = File::create(dir.join(DRAFT))?;
            file.write_all(head.as_bytes())?;
            file.write_all(body.as_bytes())?;
            file.sync_all()?;
            fs::rename(dir.join(DRAFT), &path)?;
            File::open(dir)?.sync_all()
        };
        written().map_err(|error| failed(error.to_string()))
    }
}

/// An address at which somebody else can be reached.
fn is_somewhere(address: &str) -> bool {
    !address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified() || at.port() == 0)
}

fn trouble(seed: &Url, why: String) -> Trouble {
    let seed = seed.address.clone();
    match why.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => Trouble::Lasting(JoinError::Password { seed, why }),
        "ERR" if why.starts_with("ERR AUTH") => Trouble::Lasting(JoinError::Password { seed, why }),
        "ERR" => Trouble::Lasting(JoinError::NoReplica { seed, why }),
        _ if why.starts_with(&seed) => Trouble::Passing(why),
        _ => Trouble::Passing(format!("{seed}: {why}")),
    }
}

fn status(client: &mut Client, seed: &Url) -> Result<Said, Trouble> {
    survey(client).map(Said).map_err(|why| trouble(seed, why))
}

/// The lines of `TRAFT STATUS`.
struct Said(Vec<(String, String)>);

impl Said {
    fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// Of replicas, behind names that begin so. What is none is passed over.
    fn addresses(&self, prefix: &str) -> BTreeMap<ReplicaId, String> {
        let one = |(name, value): &(String, String)| {
            let found = entry(name.strip_prefix(prefix)?, value).ok()?;
            Some((ReplicaId(found.id), found.address))
        };
        self.0.iter().filter_map(one).collect()
    }

    fn membership(&self, seed: &str, text: &str) -> Result<Membership, JoinError> {
        text.parse().map_err(|error| JoinError::NoReplica {
            seed: seed.to_string(),
            why: format!("{text}: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(address: &str) -> Newcomer {
        Newcomer {
            id: ReplicaId(4),
            dir: "store".into(),
            listen: "127.0.0.1:6379".parse().expect("an address"),
            address: address.into(),
            seeds: Vec::new(),
            password: None,
            cluster: None,
            members: None,
            transport: None,
            has_certs: true,
            is_explained: false,
        }
    }

    /// What a leader says of a cluster that started with `founders` and has n1 and n2.
    fn judged(newcomer: &Newcomer, founders: &str) -> Result<Learned, JoinError> {
        let text = format!(
            "membership:(n1 n2)\nseat_1:h:1\nseat_2:0.0.0.0:1\ncluster:orders\n\
             started_with:{founders}\ntransport:grpc\npeer_1:h:7\npeer_2:h:8\npeer_3:h:9"
        );
        let split = |line: &str| line.split_once(':').map(|(n, v)| (n.into(), v.into()));
        newcomer.judge("s", &Said(text.lines().filter_map(split).collect()))
    }

    #[test]
    fn what_a_leader_says_is_judged() {
        let learned = judged(&newcomer("h:10"), "(n1 n3)").expect("it may join");
        assert_eq!(learned.peers.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(learned.clients.keys().collect::<Vec<_>>(), ["1"], "anywhere is nowhere");
        // One that is no member any more has left its address.
        let heir = judged(&newcomer("h:9"), "(n1 n3)").expect("it may join");
        assert_eq!(heir.peers.keys().collect::<Vec<_>>(), ["1", "2"]);
        let occupied = judged(&newcomer("h:8"), "(n1 n3)").map(drop);
        let (own, other) = ("h:8".into(), ReplicaId(2));
        assert_eq!(occupied, Err(JoinError::Occupied { seed: "s".into(), own, other }));
        let founder = judged(&newcomer("h:10"), "(n1 n4)").map(drop);
        assert_eq!(founder, Err(JoinError::Founder { seed: "s".into(), id: ReplicaId(4) }));
        let explained = Newcomer { is_explained: true, ..newcomer("h:10") };
        assert!(judged(&explained, "(n1 n4)").is_ok(), "somebody says what it is");
        let odd = judged(&newcomer("h:10"), "(n1").map(drop);
        assert!(matches!(odd, Err(JoinError::NoReplica { .. })), "{odd:?}");
    }
}
