//! `traft nemesis`: clients of a cluster that is killed, paused and cut apart; then whether what
//! they were told can be explained, and whether the replicas agree.
//!
//! ```text
//!   clients    a thread each: one request after the other, recorded with its times
//!   faults     a process with three replicas, or three of them with relays in between: kill -9 and
//!              start, SIGSTOP and SIGCONT, replicas cut off; in turns drawn from a seed
//!   verdict    check::history on the record; the digest of the state at every replica; each step
//!              held against the specifications; how soon all was well, how much memory it took
//!   campaign   all of this for one seed after the other, each with a cluster of its own
//! ```

mod campaign;
mod clients;
mod faults;
#[cfg(feature = "net")]
mod links;
mod memory;
mod probe;
#[cfg(feature = "net")]
mod processes;
mod verdict;

pub(super) use campaign::keep;
pub use campaign::{Campaign, Summary};
pub use faults::Fault;
pub use verdict::{Bounds, Verdict};

use crate::check::history::{self, Event};
use crate::check::refine::{self, Traced};
use crate::disk::DiskError;
use clients::Clients;
use faults::{Target, Together};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `traft`.
    pub program: PathBuf,
    /// Where the replicas keep their files.
    pub dir: PathBuf,
    /// For how long.
    pub time: Duration,
    /// How many clients.
    pub clients: usize,
    /// Decides the faults and the requests; real time decides the rest.
    pub seed: u64,
    /// Which faults; all that are possible but those of disks if nothing is said.
    pub faults: Vec<Fault>,
    /// How long it is left alone between two faults: this long at least, and up to four times that.
    pub pause: Duration,
    /// Whether replicas record their steps, which are then held against the specifications.
    pub trace: bool,
    /// Whether each replica has a process of its own, and relays stand between them.
    #[cfg(feature = "net")]
    pub processes: bool,
}

impl Plan {
    /// What can be done to such a cluster.
    pub fn possible(&self) -> &'static [Fault] {
        #[cfg(feature = "net")]
        if self.processes {
            return &Fault::ALL;
        }
        &Fault::ALL[..Fault::TOGETHER]
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum NemesisError {
    /// The process with the replicas.
    #[error("the cluster: {0}")]
    Io(#[from] std::io::Error),
    /// Its directory.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A process of one of its replicas.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Fleet(#[from] super::fleet::FleetError),
    /// There is a cluster already: what it holds would be in no record, so reads of it would look
    /// wrong.
    #[error("{} has a cluster, which holds what nobody recorded; name another", .0.display())]
    Used(PathBuf),
    /// There is no such fault here.
    #[error("{0} needs --processes")]
    Fault(&'static str),
    /// It says something else than it should.
    #[error("the cluster says {0:?}")]
    Says(String),
    /// What its replicas have recorded cannot be read.
    #[error("the trace: {0}")]
    Trace(String),
    /// It does not answer.
    #[error("nobody answers for {} s", .0.as_secs())]
    Silent(Duration),
}

/// Configurations that are looked at for one key before it counts as undecided.
const STEPS_MAX: u64 = 20_000_000;

/// How long a cluster may take to answer again before there is no more to be learned.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it, and judges what was recorded. `watch` is told of each fault; `record` gets the whole
/// history.
///
/// # Errors
///
/// [`NemesisError`]: then nothing is known.
pub fn run(
    plan: &Plan,
    mut watch: impl FnMut(Duration, &str),
    record: impl FnOnce(&[Event]),
) -> Result<Verdict, NemesisError> {
    let possible = plan.possible();
    if let Some(fault) = plan.faults.iter().find(|fault| !possible.contains(fault)) {
        return Err(NemesisError::Fault(fault.name()));
    }
    if plan.dir.join("1").exists() {
        return Err(NemesisError::Used(plan.dir.clone()));
    }
    let mut target = start(plan)?;
    let faults = match &plan.faults[..] {
        [] => &possible[..possible.len().min(Fault::USUAL)],
        named => named,
    };
    target.probe().wait_for_writes(PATIENCE)?;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = Clients::start(plan, &target.probe().addresses(), &stop);
    let mut draw = Draw(plan.seed);
    let began = Instant::now();
    let mut verdict = Verdict::default();
    let troubled = loop {
        if began.elapsed() >= plan.time {
            break Ok(());
        }
        let mut watch = |what: &str| watch(began.elapsed(), what);
        verdict.memory = verdict.memory.max(target.memory());
        match next_fault(&mut *target, plan.pause, faults, &mut draw, &mut watch) {
            Ok((fault, recovery)) => {
                *verdict.faults.entry(fault.name()).or_default() += 1;
                verdict.recoveries.push(recovery);
            }
            Err(error) => break Err(error),
        }
    };
    stop.store(true, Ordering::Release);
    let (events, unexpected) = clients.join();
    troubled?;
    verdict.gave_way = target.gave_way();
    verdict.digests = target.probe().digests(PATIENCE)?;
    verdict.memory = verdict.memory.max(target.memory());
    target.end()?;
    record(&events);
    let refused = |event: &&Event| matches!(event.end, Some((_, history::Answer::Refused)));
    verdict.refused = events.iter().filter(refused).count();
    verdict.unexpected = unexpected;
    verdict.history = history::check(&events, STEPS_MAX);
    if plan.trace {
        verdict.traced = Some(traced(&steps(&plan.dir))?);
    }
    Ok(verdict)
}

/// Where replicas record their steps.
fn steps(dir: &Path) -> PathBuf {
    dir.join("steps")
}

/// What all replicas have recorded, held against the specifications.
fn traced(dir: &Path) -> Result<Traced, NemesisError> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let path = file?.path();
        let bad = |error| NemesisError::Trace(format!("{}: {error}", path.display()));
        lines.extend(refine::parse(&std::fs::read_to_string(&path)?).map_err(bad)?);
    }
    Ok(refine::check(lines, None))
}

fn start(plan: &Plan) -> Result<Box<dyn Target>, NemesisError> {
    #[cfg(feature = "net")]
    if plan.processes {
        return Ok(Box::new(processes::Processes::start(plan)?));
    }
    Ok(Box::new(Together::start(plan)?))
}

/// Waits a while, does something, takes it back, and gives how long it took until all was well
/// again.
fn next_fault(
    target: &mut dyn Target,
    pause: Duration,
    faults: &[Fault],
    draw: &mut Draw,
    watch: &mut dyn FnMut(&str),
) -> Result<(Fault, Duration), NemesisError> {
    let more = draw.below(3 * pause.as_millis() as u64 + 1);
    thread::sleep(pause + Duration::from_millis(more));
    let fault = faults[draw.below(faults.len() as u64) as usize];
    let long = Duration::from_millis(50 + draw.below(1_500));
    let over = target.inflict(fault, long, draw, watch)?;
    target.probe().wait_for_writes(PATIENCE)?;
    let recovery = over.elapsed();
    watch(&format!("all replicas write after {} ms", recovery.as_millis()));
    Ok((fault, recovery))
}

/// splitmix64
#[derive(Clone, Debug)]
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
