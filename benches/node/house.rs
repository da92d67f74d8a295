//! Three processes, and what the system says of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use traft::base::ReplicaId;
use traft::resp::Value;
use traft::serve::Client;
use traft::serve::fleet::{Fleet, Plan};
use traft::serve::load::{self, Arrivals, Mix, Report, Requests};

pub(crate) type Failed = Box<dyn std::error::Error>;

/// How long anything may take before there is no more to be learned.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Unless said otherwise, callers that were sent away come again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// The length of what is written.
const VALUE_BYTES: usize = 256;

/// How many keys, all alike.
const KEYS: u64 = 10_000;

pub(crate) struct House {
    pub(crate) fleet: Fleet,
    pub(crate) dir: PathBuf,
    /// Whether figures are wanted, or only that it works.
    pub(crate) measured: bool,
    /// What they begin with.
    pub(crate) program: PathBuf,
    /// Callers that were sent away come again after this long.
    pub(crate) again: Duration,
    said: Vec<std::process::ChildStderr>,
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    /// Of the processors, from its start on.
    pub(crate) processor: Duration,
    /// Memory, in bytes: now, and at most so far.
    pub(crate) memory: u64,
    pub(crate) memory_most: u64,
    /// Calls that write.
    pub(crate) writes: u64,
}

impl House {
    /// Starts them anew, and waits until all serve.
    pub(crate) fn new(
        dir: &Path,
        measured: bool,
        program: PathBuf,
        flags: &[&str],
    ) -> Result<House, Failed> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let plan = Plan {
            program: program.clone(),
            dir: dir.into(),
            replicas: 3,
            members: None,
            port: 0,
            flags: Vec::new(),
        };
        let fleet = Fleet::new(plan)?;
        let mut house =
            House { fleet, dir: dir.into(), measured, program, again: AGAIN, said: Vec::new() };
        for id in house.ids() {
            house.start(id, &[&["--new"], flags].concat())?;
        }
        for address in house.fleet.addresses() {
            house.until_written(address)?;
        }
        Ok(house)
    }

    pub(crate) fn start(&mut self, id: ReplicaId, flags: &[&str]) -> Result<(), Failed> {
        self.said.push(self.fleet.start(id, flags)?);
        Ok(())
    }

    pub(crate) fn ids(&self) -> Vec<ReplicaId> {
        self.fleet.places().keys().copied().collect()
    }

    pub(crate) fn clients(&self, id: ReplicaId) -> SocketAddr {
        self.fleet.places()[&id].clients
    }

    /// Writes there until it is done, and gives how long that took.
    pub(crate) fn until_written(&self, address: SocketAddr) -> Result<Duration, Failed> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let client = Client::connect(address, Some(PATIENCE));
            if let Ok(Value::Simple(_)) = client.and_then(|mut c| c.ask(&["SET", "house", "x"])) {
                return Ok(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(format!("{address} does not write for {} s", PATIENCE.as_secs()).into())
    }

    /// One line of what a replica says of itself.
    pub(crate) fn told(&self, id: ReplicaId, words: &[&str], name: &str) -> Result<String, Failed> {
        let mut client = Client::connect(self.clients(id), Some(PATIENCE))?;
        let text = match client.ask(words)? {
            Value::Bulk(text) | Value::Simple(text) => String::from_utf8_lossy(&text).into_owned(),
            other => return Err(format!("{id} says {other:?}").into()),
        };
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("{id} does not say {name}: {text}"))?.trim().to_string())
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> Result<ReplicaId, Failed> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            for id in self.ids() {
                if self.told(id, &["TRAFT", "STATUS"], "role").is_ok_and(|role| role == "leader") {
                    return Ok(id);
                }
            }
        }
        Err("nobody leads".into())
    }

    /// What the system says of each of them.
    pub(crate) fn uses(&self) -> BTreeMap<ReplicaId, Use> {
        let pid = |id: &ReplicaId| self.fleet.pid(*id);
        self.ids().into_iter().filter_map(|id| Some((id, used(pid(&id)?)))).collect()
    }

    /// Writes to one replica.
    pub(crate) fn write(
        &self,
        to: ReplicaId,
        clients: usize,
        arrivals: Arrivals,
        time: Duration,
    ) -> Result<Report, Failed> {
        let write = Mix::named("write").ok_or("no such mix")?;
        let plan = load::Plan {
            addresses: vec![self.clients(to)],
            password: None,
            clients,
            arrivals,
            requests: Requests::new(write, KEYS, false, VALUE_BYTES, 1),
            time: time + time / 10,
            warm_up: time / 10,
            fill: false,
        };
        Ok(load::run(&plan, |_| ())?)
    }

    /// Whether all have the same state, once all have everything.
    pub(crate) fn agree(&self) -> Result<(), Failed> {
        let began = Instant::now();
        loop {
            let mut digests = Vec::new();
            for id in self.ids() {
                let mut client = Client::connect(self.clients(id), Some(PATIENCE))?;
                digests.push(client.ask(&["DEBUG", "DIGEST"])?);
            }
            if digests.windows(2).all(|two| two[0] == two[1]) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the states differ: {digests:?}").into());
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for id in self.ids() {
            // Whoever does not end in good order is killed with the rest.
            let _ = self.fleet.signal(id, rustix::process::Signal::TERM);
        }
        self.ids().into_iter().for_each(|id| drop(self.fleet.stop(id)));
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The processor that this process has used: that of the clients.
pub(crate) fn own_processor() -> Duration {
    used(std::process::id()).processor
}

/// Nothing where the system does not tell.
fn used(pid: u32) -> Use {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let (status, io) = (read("status").unwrap_or_default(), read("io").unwrap_or_default());
    let line = |text: &str, name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        let digits = found.and_then(|rest| rest.split_whitespace().next());
        digits.and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0)
    };
    // After the name, which may be anything: user and system are the 12th and 13th, in hundredths.
    let stat = read("stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let spent = rest.split_whitespace().skip(11).take(2);
    let hundredths: u64 = spent.filter_map(|word| word.parse::<u64>().ok()).sum();
    Use {
        processor: Duration::from_millis(hundredths * 10),
        memory: line(&status, "VmRSS:") << 10,
        memory_most: line(&status, "VmHWM:") << 10,
        writes: line(&io, "syscw:"),
    }
}
