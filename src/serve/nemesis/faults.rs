//! What is done to a cluster; and the one whose replicas share a process.

use super::memory::most;
use super::probe::Probe;
use super::{Draw, NemesisError, Plan};
use crate::base::ReplicaId;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many replicas.
pub(super) const REPLICAS: u64 = 3;

/// Above what a fleet draws, below what systems draw.
const FIRST: u16 = 32_000;
const ROWS: u32 = 255;

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process ends without a warning, and another one takes its files.
    Kill,
    /// A process stands still for a while.
    Pause,
    /// A replica hears nobody and nobody hears it for a while.
    Cut,
    /// Nobody has a majority.
    Split,
    /// A replica is no voter for a while; half of the time something is killed meanwhile.
    Churn,
    /// Nobody hears a replica, which hears all others.
    OneWay,
    /// What is said to and by a replica comes late.
    Slow,
    /// A process ends in good order, and another one takes its files.
    Restart,
    /// A disk does nothing for a while.
    DiskHung,
    /// A disk has no room for a while.
    DiskFull,
    /// Each sync of a disk takes longer for a while.
    DiskSlow,
    /// A sync fails: the process ends, and another one takes its files.
    DiskFails,
}

impl Fault {
    /// All that there are: first those of replicas that share a process, last those of disks.
    pub const ALL: [Fault; 12] = [
        Fault::Kill,
        Fault::Pause,
        Fault::Cut,
        Fault::Split,
        Fault::Churn,
        Fault::OneWay,
        Fault::Slow,
        Fault::Restart,
        Fault::DiskHung,
        Fault::DiskFull,
        Fault::DiskSlow,
        Fault::DiskFails,
    ];

    /// So many of them can be done to replicas that share a process.
    pub(super) const TOGETHER: usize = 5;

    /// So many of them are done if none is named: those of disks have to be.
    pub(super) const USUAL: usize = 8;

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Cut => "cut",
            Fault::Split => "split",
            Fault::Churn => "churn",
            Fault::OneWay => "one-way",
            Fault::Slow => "slow",
            Fault::Restart => "restart",
            Fault::DiskHung => "disk-hung",
            Fault::DiskFull => "disk-full",
            Fault::DiskSlow => "disk-slow",
            Fault::DiskFails => "disk-fails",
        }
    }
}

/// A cluster that things are done to.
pub(super) trait Target {
    /// A way to ask its replicas.
    fn probe(&self) -> &Probe;

    /// Does something, and takes it back after so long; gives when the last of it was over.
    fn inflict(
        &mut self,
        fault: Fault,
        long: Duration,
        draw: &mut Draw,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Instant, NemesisError>;

    /// How long it took at most until another one led in the place of a leader whose disk hung.
    fn gave_way(&self) -> Option<Duration> {
        None
    }

    /// The most memory that one of its processes has taken so far, in bytes; 0 where the system
    /// does not tell.
    fn memory(&self) -> u64;

    /// Ends it in good order.
    fn end(self: Box<Self>) -> Result<(), NemesisError>;
}

/// All replicas but this one.
pub(super) fn voters(without: Option<ReplicaId>) -> Vec<ReplicaId> {
    (1..=REPLICAS).map(ReplicaId).filter(|id| Some(*id) != without).collect()
}

/// A process with all replicas.
pub(super) struct Together {
    child: Child,
    plan: Plan,
    probe: Probe,
}

impl Drop for Together {
    fn drop(&mut self) {
        // If it has ended, nothing is there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Together {
    pub(super) fn start(plan: &Plan) -> Result<Together, NemesisError> {
        let (child, addresses) = spawn(plan, row())?;
        Ok(Together { child, plan: plan.clone(), probe: Probe::new(addresses) })
    }

    fn signal(&self, signal: Signal) -> Result<(), NemesisError> {
        let Some(id) = Pid::from_raw(self.child.id() as i32) else { return Ok(()) };
        kill_process(id, signal).map_err(|error| NemesisError::Io(error.into()))
    }

    fn kill(&mut self) -> Result<(), NemesisError> {
        self.child.kill()?;
        self.child.wait()?;
        let port = self.probe.addresses().first().map_or(0, SocketAddr::port);
        let (child, addresses) = spawn(&self.plan, port)?;
        (self.child, self.probe) = (child, Probe::new(addresses));
        Ok(())
    }

    fn cut(&self, id: u64, cut: bool) -> Result<(), NemesisError> {
        let words = ["FAULT", if cut { "cut" } else { "join" }, &id.to_string()];
        self.probe.command(&words, super::PATIENCE)
    }
}

impl Target for Together {
    fn probe(&self) -> &Probe {
        &self.probe
    }

    fn inflict(
        &mut self,
        fault: Fault,
        long: Duration,
        draw: &mut Draw,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Instant, NemesisError> {
        let victim = 1 + draw.below(REPLICAS);
        match fault {
            Fault::Kill | Fault::Restart => {
                watch("kill -9, and start");
                self.kill()?;
            }
            Fault::Pause => {
                watch(&format!("pause {} ms", long.as_millis()));
                self.signal(Signal::STOP)?;
                thread::sleep(long);
                self.signal(Signal::CONT)?;
            }
            Fault::Churn => {
                watch(&format!("n{victim} is no voter for {} ms", long.as_millis()));
                self.probe.vote(&voters(Some(ReplicaId(victim))), super::PATIENCE)?;
                thread::sleep(long);
                if draw.below(2) == 0 {
                    watch("kill -9 meanwhile, and start");
                    self.kill()?;
                }
                let over = Instant::now();
                self.probe.vote(&voters(None), super::PATIENCE)?;
                return Ok(over);
            }
            // The others are not among those that are possible here.
            _ => {
                let other = (fault == Fault::Split).then_some(1 + victim % REPLICAS);
                let victims: Vec<u64> = [victim].into_iter().chain(other).collect();
                watch(&format!("cut {victims:?} off for {} ms", long.as_millis()));
                victims.iter().try_for_each(|id| self.cut(*id, true))?;
                thread::sleep(long);
                victims.iter().try_for_each(|id| self.cut(*id, false))?;
            }
        }
        Ok(Instant::now())
    }

    fn memory(&self) -> u64 {
        most(self.child.id())
    }

    fn end(mut self: Box<Self>) -> Result<(), NemesisError> {
        self.signal(Signal::INT)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(NemesisError::Says(status.to_string())) }
    }
}

/// Of the ports that systems do not give to outgoing connections, three in a row that are free; 0
/// if there are none. Else a client that dials a replica which was just killed may be given the
/// port that it dials, is connected with itself, and keeps the replica from listening there again.
fn row() -> u16 {
    let begin = std::process::id() % ROWS;
    let mut rows = (0..ROWS).map(|at| FIRST + REPLICAS as u16 * ((begin + at) % ROWS) as u16);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let fits = |first: &u16| (*first..*first + REPLICAS as u16).all(|port| is_free(&port));
    rows.find(fits).unwrap_or(0)
}

/// Starts the process on this port and the next ones; on any that are free if it is 0.
fn spawn(plan: &Plan, port: u16) -> Result<(Child, Vec<SocketAddr>), NemesisError> {
    let mut command = Command::new(&plan.program);
    command.args(["cluster", "up", "--faults", "--snapshot-records", "2000"]);
    command.args(["--port", &port.to_string()]).arg(&plan.dir);
    if plan.trace {
        command.arg("--trace").arg(super::steps(&plan.dir));
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    let mut addresses = Vec::new();
    for line in lines.take(REPLICAS as usize) {
        let line = line?;
        let address = line.strip_prefix("redis://").and_then(|address| address.parse().ok());
        addresses.push(address.ok_or(NemesisError::Says(line))?);
    }
    if addresses.len() < REPLICAS as usize {
        let status = child.wait()?;
        return Err(NemesisError::Says(format!("{status} before it serves")));
    }
    Ok((child, addresses))
}
