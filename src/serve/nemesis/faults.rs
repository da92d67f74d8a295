//! A process with three replicas, and what is done to it.

use super::{Draw, NemesisError, Plan};
use crate::resp::Value;
use crate::serve::client::Client;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many replicas.
const REPLICAS: u64 = 3;

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends without a warning, and another one takes its files.
    Kill,
    /// The process stands still for a while.
    Pause,
    /// A replica hears nobody and nobody hears it for a while.
    Cut,
    /// Two replicas at once: nobody has a majority.
    Split,
}

impl Fault {
    /// All that there are.
    pub const ALL: [Fault; 4] = [Fault::Kill, Fault::Pause, Fault::Cut, Fault::Split];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Cut => "cut",
            Fault::Split => "split",
        }
    }
}

/// Replies are waited for so long; then the question is put again.
const REPLY: Duration = Duration::from_secs(1);

/// Before something is tried again.
const AGAIN: Duration = Duration::from_millis(5);

pub(super) struct Target {
    child: Child,
    addresses: Vec<SocketAddr>,
    draw: Draw,
}

impl Drop for Target {
    fn drop(&mut self) {
        // If it has ended, nothing is there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    pub(super) fn start(plan: &Plan) -> Result<Target, NemesisError> {
        let (child, addresses) = spawn(plan, 0)?;
        Ok(Target { child, addresses, draw: Draw(plan.seed) })
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Waits until every replica does a write, and gives how long that took.
    pub(super) fn wait_for_writes(&self, patience: Duration) -> Result<Duration, NemesisError> {
        let began = Instant::now();
        for address in &self.addresses {
            self.until(address, patience, began, &["SET", "nemesis", "was here"], |reply| {
                (*reply == Value::OK).then_some(())
            })?;
        }
        Ok(began.elapsed())
    }

    /// Asks until there is an answer that fits.
    fn until<T>(
        &self,
        address: &SocketAddr,
        patience: Duration,
        began: Instant,
        words: &[&str],
        fits: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, NemesisError> {
        while began.elapsed() < patience {
            let connected = Client::connect(address, Some(REPLY));
            if let Ok(found) = connected.and_then(|mut client| client.ask(words))
                && let Some(found) = fits(&found)
            {
                return Ok(found);
            }
            thread::sleep(AGAIN);
        }
        Err(NemesisError::Silent(patience))
    }

    /// Waits a while, does something, takes it back, and gives how long it took until all was well
    /// again.
    pub(super) fn next_fault(
        &mut self,
        plan: &Plan,
        mut watch: impl FnMut(&str),
    ) -> Result<(Fault, Duration), NemesisError> {
        thread::sleep(Duration::from_millis(500 + self.draw.below(1_500)));
        let fault = plan.faults[self.draw.below(plan.faults.len() as u64) as usize];
        let long = Duration::from_millis(50 + self.draw.below(1_500));
        let victim = 1 + self.draw.below(REPLICAS);
        match fault {
            Fault::Kill => {
                watch("kill -9, and start");
                self.kill(plan)?;
            }
            Fault::Pause => {
                watch(&format!("pause {} ms", long.as_millis()));
                self.signal(Signal::STOP)?;
                thread::sleep(long);
                self.signal(Signal::CONT)?;
            }
            Fault::Cut | Fault::Split => {
                let other = (fault == Fault::Split).then_some(1 + victim % REPLICAS);
                let victims: Vec<u64> = [victim].into_iter().chain(other).collect();
                watch(&format!("cut {victims:?} off for {} ms", long.as_millis()));
                victims.iter().try_for_each(|id| self.cut(*id, true))?;
                thread::sleep(long);
                victims.iter().try_for_each(|id| self.cut(*id, false))?;
            }
        }
        let recovery = self.wait_for_writes(super::PATIENCE)?;
        watch(&format!("all replicas write after {} ms", recovery.as_millis()));
        Ok((fault, recovery))
    }

    fn signal(&self, signal: Signal) -> Result<(), NemesisError> {
        let Some(id) = Pid::from_raw(self.child.id() as i32) else { return Ok(()) };
        kill_process(id, signal).map_err(|error| NemesisError::Io(error.into()))
    }

    fn kill(&mut self, plan: &Plan) -> Result<(), NemesisError> {
        self.child.kill()?;
        self.child.wait()?;
        let (child, addresses) = spawn(plan, self.addresses[0].port())?;
        (self.child, self.addresses) = (child, addresses);
        Ok(())
    }

    fn cut(&self, id: u64, cut: bool) -> Result<(), NemesisError> {
        let words = ["FAULT", if cut { "cut" } else { "join" }, &id.to_string()];
        let fits = |reply: &Value| (*reply == Value::OK).then_some(());
        self.until(&self.addresses[0], super::PATIENCE, Instant::now(), &words, fits)
    }

    /// The digest of the state at each replica.
    pub(super) fn digests(&self, patience: Duration) -> Result<Vec<String>, NemesisError> {
        self.wait_for_writes(patience)?;
        let fits = |reply: &Value| match reply {
            Value::Simple(text) => Some(text.escape_ascii().to_string()),
            _ => None,
        };
        let began = Instant::now();
        let one = |address| self.until(address, patience, began, &["DEBUG", "DIGEST"], fits);
        self.addresses.iter().map(one).collect()
    }

    /// Ends it in good order.
    pub(super) fn end(mut self) -> Result<(), NemesisError> {
        self.signal(Signal::INT)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(NemesisError::Says(status.to_string())) }
    }
}

/// Starts the process on this port and the next ones; on any that are free if it is 0.
fn spawn(plan: &Plan, port: u16) -> Result<(Child, Vec<SocketAddr>), NemesisError> {
    let mut command = Command::new(&plan.program);
    command.args(["cluster", "up", "--faults", "--snapshot-records", "2000"]);
    command.args(["--port", &port.to_string()]).arg(&plan.dir);
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
