//! A store on this machine with a process for each replica: `traft serve`, started, stopped and
//! killed.
//!
//! ```text
//!   DIR/certs     what replicas know each other by
//!   DIR/1.toml    the configuration of replica 1: traft serve --config DIR/1.toml
//!   DIR/1         its log and its snapshots
//! ```

use super::PASSWORD;
use super::certs::{self, CertError};
use crate::base::ReplicaId;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Why a process does not run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A file, or the program itself.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The certificates.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// So many ports in a row cannot be opened.
    #[error("no free ports")]
    Ports,
    /// It ended before it served.
    #[error("replica {} does not start: {why}", .id.0)]
    Ended {
        /// Which.
        id: ReplicaId,
        /// What it said last, or how it ended.
        why: String,
    },
}

/// How it is to be set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `traft`.
    pub program: PathBuf,
    /// Where everything lies.
    pub dir: PathBuf,
    /// Which replicas may ever run, from 1.
    pub replicas: u64,
    /// The membership that the cluster starts with; of all replicas if nothing is said.
    pub members: Option<String>,
    /// The port of the first replica's clients, the others follow; 0 stands for any.
    pub port: u16,
    /// Flags of `traft serve` that all of them get.
    pub flags: Vec<String>,
}

/// The addresses of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Clients reach it there.
    pub clients: SocketAddr,
    /// Other replicas do.
    pub peers: SocketAddr,
}

/// The processes. Dropped, those that run are killed.
#[derive(Debug)]
pub struct Fleet {
    plan: Plan,
    places: BTreeMap<ReplicaId, Place>,
    running: BTreeMap<ReplicaId, Child>,
}

/// Outside the range that systems take ports of outgoing connections from: nobody gets one of these
/// between two lives of a replica by chance.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Ports of this machine that are free at present.
fn free_ports(count: usize) -> Result<Vec<u16>, FleetError> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let room = u32::from(PORTS.end - PORTS.start);
    let begin = std::process::id().wrapping_mul(97) % room;
    let mut ports = Vec::new();
    for _ in 0..room {
        if ports.len() == count {
            return Ok(ports);
        }
        let next = u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + ((begin + next) % room) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    Err(FleetError::Ports)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Fleet {
    /// Draws ports, makes certificates where there are none, and writes the configurations. Nothing
    /// runs yet.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    pub fn new(plan: Plan) -> Result<Fleet, FleetError> {
        Fleet::through(plan, |_, _, address| address)
    }

    /// The same, where replica `from` reaches `to` at the address that `route` makes of its own:
    /// for those who stand between them.
    ///
    /// # Errors
    ///
    /// [`FleetError`].
    pub fn through(
        plan: Plan,
        mut route: impl FnMut(ReplicaId, ReplicaId, SocketAddr) -> SocketAddr,
    ) -> Result<Fleet, FleetError> {
        let ids: Vec<ReplicaId> = (1..=plan.replicas).map(ReplicaId).collect();
        let mut ports = free_ports(2 * ids.len())?.into_iter();
        let mut next = || ports.next().ok_or(FleetError::Ports);
        let mut places = BTreeMap::new();
        for (id, at) in ids.iter().zip(0..) {
            let any = next()?;
            let clients = local(if plan.port == 0 { any } else { plan.port.saturating_add(at) });
            places.insert(*id, Place { clients, peers: local(next()?) });
        }
        certs::make(&plan.dir.join("certs"), ids)?;
        let fleet = Fleet { plan, places, running: BTreeMap::new() };
        for id in fleet.places.keys() {
            let (path, text) = (fleet.config(*id), fleet.text(*id, &mut route));
            std::fs::write(&path, text).map_err(|error| FleetError::Io { path, error })?;
        }
        Ok(fleet)
    }

    fn config(&self, id: ReplicaId) -> PathBuf {
        self.plan.dir.join(format!("{}.toml", id.0))
    }

    fn text(
        &self,
        id: ReplicaId,
        route: &mut impl FnMut(ReplicaId, ReplicaId, SocketAddr) -> SocketAddr,
    ) -> String {
        let dir = absolute(&self.plan.dir);
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        let own = self.places[&id];
        // Writing to a string does not fail.
        let mut text = format!("id = {}\ncluster = \"local\"\n", id.0);
        let _ = writeln!(text, "dir = {}", quoted(dir.join(id.0.to_string())));
        let _ = writeln!(text, "certs = {}", quoted(dir.join("certs").join(id.0.to_string())));
        let _ = writeln!(text, "listen = \"{}\"\npeer-listen = \"{}\"", own.clients, own.peers);
        if let Some(members) = &self.plan.members {
            let _ = writeln!(text, "members = {members:?}");
        }
        let _ = writeln!(text, "\n[peers]");
        for (other, place) in &self.places {
            let _ = writeln!(text, "{} = \"{}\"", other.0, route(id, *other, place.peers));
        }
        let _ = writeln!(text, "\n[clients]");
        for (other, place) in &self.places {
            let _ = writeln!(text, "{} = \"{}\"", other.0, place.clients);
        }
        text
    }

    /// Where replicas are, in order of their numbers.
    pub fn places(&self) -> &BTreeMap<ReplicaId, Place> {
        &self.places
    }

    /// Where clients reach them, in order of their numbers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.values().map(|place| place.clients).collect()
    }

    /// Those that are started from now on run this program: another version, say.
    pub fn use_program(&mut self, program: &Path) {
        self.plan.program = program.into();
    }

    /// Starts one that does not run, with these flags besides, and waits until it serves. What it
    /// says on standard error comes out of what is given back.
    ///
    /// # Errors
    ///
    /// [`FleetError::Ended`] with its complaint.
    pub fn start(&mut self, id: ReplicaId, flags: &[&str]) -> Result<ChildStderr, FleetError> {
        let mut command = Command::new(&self.plan.program);
        command.arg("serve").arg("--config").arg(self.config(id)).arg("--with-parent");
        // What the environment says goes before what the file says, and is meant for somebody else.
        let foreign = |name: &OsString| name.as_encoded_bytes().starts_with(b"TRAFT_");
        let names = std::env::vars_os().map(|(name, _)| name).filter(foreign);
        for name in names.filter(|name| name != PASSWORD) {
            command.env_remove(name);
        }
        command.args(&self.plan.flags).args(flags).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let failed = |error| FleetError::Io { path: self.plan.program.clone(), error };
        let mut child = child.map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut line = String::new();
        let said = out.map(|out| BufReader::new(out).read_line(&mut line));
        let serves = matches!(said, Some(Ok(_))) && line.starts_with("redis://");
        match err {
            Some(err) if serves => {
                self.running.insert(id, child);
                Ok(err)
            }
            err => {
                let last =
                    err.and_then(|err| BufReader::new(err).lines().map_while(Result::ok).last());
                let ended =
                    child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
                let why = last.map_or(ended, |last| last.trim_start_matches("traft: ").to_string());
                Err(FleetError::Ended { id, why })
            }
        }
    }

    /// Sends a signal to one that runs; to one that does not, nothing.
    ///
    /// # Errors
    ///
    /// [`FleetError::Io`].
    pub fn signal(&self, id: ReplicaId, signal: Signal) -> Result<(), FleetError> {
        let pid = self.running.get(&id).and_then(|child| Pid::from_raw(child.id() as i32));
        let Some(pid) = pid else { return Ok(()) };
        let failed = |error: rustix::io::Errno| self.io(error.into());
        kill_process(pid, signal).map_err(failed)
    }

    /// The process of one that runs, for those who ask the system about it.
    pub fn pid(&self, id: ReplicaId) -> Option<u32> {
        self.running.get(&id).map(Child::id)
    }

    fn io(&self, error: io::Error) -> FleetError {
        FleetError::Io { path: self.plan.program.clone(), error }
    }

    /// Ends one without a warning, as a power failure of its process would.
    ///
    /// # Errors
    ///
    /// [`FleetError::Io`].
    pub fn kill(&mut self, id: ReplicaId) -> Result<(), FleetError> {
        self.signal(id, Signal::KILL)?;
        self.wait(id).map(drop)
    }

    /// Ends one in good order.
    ///
    /// # Errors
    ///
    /// [`FleetError::Ended`] if it did not.
    pub fn stop(&mut self, id: ReplicaId) -> Result<(), FleetError> {
        self.signal(id, Signal::TERM)?;
        match self.wait(id)? {
            Some(status) if !status.success() => {
                Err(FleetError::Ended { id, why: status.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn wait(&mut self, id: ReplicaId) -> Result<Option<ExitStatus>, FleetError> {
        let Some(mut child) = self.running.remove(&id) else { return Ok(None) };
        child.wait().map(Some).map_err(|error| self.io(error))
    }

    /// Waits until one ends by itself, however it does.
    ///
    /// # Errors
    ///
    /// [`FleetError::Io`].
    pub fn outlive(&mut self, id: ReplicaId) -> Result<(), FleetError> {
        self.wait(id).map(drop)
    }

    /// Those that have ended by themselves since it was last asked.
    pub fn ended(&mut self) -> Vec<(ReplicaId, ExitStatus)> {
        let status = |(id, child): (&ReplicaId, &mut Child)| {
            child.try_wait().ok().flatten().map(|status| (*id, status))
        };
        let ended: Vec<_> = self.running.iter_mut().filter_map(status).collect();
        ended.iter().for_each(|(id, _)| drop(self.running.remove(id)));
        ended
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // If it has ended, nothing is there to be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process may have another working directory later.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
