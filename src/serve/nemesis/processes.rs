//! A process for each replica, with relays between them.

use super::faults::{Fault, REPLICAS, Target, voters};
use super::links::{Links, Mood};
use super::memory::most;
use super::probe::Probe;
use super::{Draw, NemesisError, Plan};
use crate::base::ReplicaId;
use crate::serve::fleet::{self, Fleet};
use rustix::process::Signal;
use std::io;
use std::path::PathBuf;
use std::process::ChildStderr;
use std::thread;
use std::time::{Duration, Instant};

pub(super) struct Processes {
    fleet: Fleet,
    links: Links,
    dir: PathBuf,
    probe: Probe,
    gave_way: Option<Duration>,
}

impl Processes {
    pub(super) fn start(plan: &Plan) -> Result<Processes, NemesisError> {
        let mut links = Links::default();
        let mut failed = None;
        let mut flags = vec!["--snapshot-records=2000".into(), "--faulty-disk".into()];
        flags.extend(plan.trace.then(|| format!("--trace={}", super::steps(&plan.dir).display())));
        let setup = fleet::Plan {
            program: plan.program.clone(),
            dir: plan.dir.clone(),
            replicas: REPLICAS,
            members: None,
            port: 0,
            flags,
        };
        let fleet = Fleet::through(setup, |from, to, address| {
            if from == to {
                return address;
            }
            links.add(from, to, address).unwrap_or_else(|error| {
                failed = Some(error);
                address
            })
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let probe = Probe::new(fleet.addresses());
        let mut processes =
            Processes { fleet, links, dir: plan.dir.clone(), probe, gave_way: None };
        for id in (1..=REPLICAS).map(ReplicaId) {
            processes.open(id, &["--new"])?;
        }
        Ok(processes)
    }

    /// What it says goes to a file, so that it can be looked into if something is wrong.
    fn open(&mut self, id: ReplicaId, flags: &[&str]) -> Result<(), NemesisError> {
        let mut said: ChildStderr = self.fleet.start(id, flags)?;
        let path = self.dir.join(format!("{}.log", id.0));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        thread::spawn(move || io::copy(&mut said, &mut file));
        Ok(())
    }

    /// For a while what `between` says fares like this.
    fn moody(&self, mood: Mood, long: Duration, between: impl Fn(ReplicaId, ReplicaId) -> bool) {
        self.links.set(mood, between);
        thread::sleep(long);
        self.links.set(Mood::Well, |_, _| true);
    }

    /// Has the disk of a replica fare like this.
    fn disk(&self, id: ReplicaId, mood: &str) -> Result<(), NemesisError> {
        let at = self.fleet.places()[&id].clients;
        Probe::new(vec![at]).command(&["FAULT", "disk", mood], super::PATIENCE)
    }

    /// For a while the disk of a replica does nothing; and if that one leads, for as long as it
    /// takes until it does no longer.
    fn hang(
        &mut self,
        id: ReplicaId,
        long: Duration,
        watch: &mut dyn FnMut(&str),
    ) -> Result<(), NemesisError> {
        let led = self.probe.leader(super::PATIENCE)? == id;
        self.disk(id, "hung")?;
        let began = Instant::now();
        if led {
            while self.probe.leader(super::PATIENCE)? == id {
                if began.elapsed() > super::PATIENCE {
                    return Err(NemesisError::Says(format!("{id} leads with a disk that hangs")));
                }
            }
            let took = began.elapsed();
            self.gave_way = self.gave_way.max(Some(took));
            watch(&format!("{id} leads no longer after {} ms", took.as_millis()));
        }
        thread::sleep(long.saturating_sub(began.elapsed()));
        self.disk(id, "well")
    }

    fn trouble_disk(
        &mut self,
        fault: Fault,
        id: ReplicaId,
        long: Duration,
        draw: &mut Draw,
        watch: &mut dyn FnMut(&str),
    ) -> Result<(), NemesisError> {
        let ms = long.as_millis();
        let mood = match fault {
            Fault::DiskHung => {
                watch(&format!("the disk of {id} hangs, {ms} ms"));
                return self.hang(id, long, watch);
            }
            Fault::DiskFails => {
                watch(&format!("a sync of {id} fails, {ms} ms without it"));
                self.disk(id, "failing")?;
                self.fleet.outlive(id)?;
                thread::sleep(long);
                return self.open(id, &[]);
            }
            Fault::DiskFull => "full".to_string(),
            _ => (1 + draw.below(100)).to_string(),
        };
        watch(&format!("the disk of {id} is {mood}, {ms} ms"));
        self.disk(id, &mood)?;
        thread::sleep(long);
        self.disk(id, "well")
    }

    /// For a while a replica is no voter; half of the time `other`, maybe the same, is killed
    /// meanwhile, and starts.
    fn churn(
        &mut self,
        id: ReplicaId,
        other: ReplicaId,
        long: Duration,
        draw: &mut Draw,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Instant, NemesisError> {
        watch(&format!("{id} is no voter for {} ms", long.as_millis()));
        self.probe.vote(&voters(Some(id)), super::PATIENCE)?;
        if draw.below(2) == 0 {
            watch(&format!("kill -9 {other} meanwhile, and start"));
            self.fleet.kill(other)?;
            thread::sleep(long);
            self.open(other, &[])?;
        } else {
            thread::sleep(long);
        }
        let over = Instant::now();
        self.probe.vote(&voters(None), super::PATIENCE)?;
        self.check_alive().map(|()| over)
    }

    fn check_alive(&mut self) -> Result<(), NemesisError> {
        match self.fleet.ended().first() {
            Some((id, status)) => {
                Err(NemesisError::Says(format!("replica {} has ended: {status}", id.0)))
            }
            None => Ok(()),
        }
    }
}

impl Target for Processes {
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
        let id = ReplicaId(1 + draw.below(REPLICAS));
        let ms = long.as_millis();
        // What is held back comes late, from before; what is closed is lost.
        let mood = if draw.below(2) == 0 { Mood::Held } else { Mood::Closed };
        // Now and then the network is not well either. While a disk hangs it has to be: who leads
        // is asked then; and so is who may change the voters.
        let also = ReplicaId(1 + draw.below(REPLICAS));
        if draw.below(3) == 0 && !matches!(fault, Fault::DiskHung | Fault::Churn) {
            watch(&format!("{mood:?}: what {also} says, all the while"));
            self.links.set(mood, |from, _| from == also);
        }
        match fault {
            Fault::Kill => {
                watch(&format!("kill -9 {id}, {ms} ms without it"));
                self.fleet.kill(id)?;
                thread::sleep(long);
                self.open(id, &[])?;
            }
            Fault::Restart => {
                watch(&format!("restart {id} in good order"));
                self.fleet.stop(id)?;
                self.open(id, &[])?;
            }
            Fault::Pause => {
                watch(&format!("pause {id} {ms} ms"));
                self.fleet.signal(id, Signal::STOP)?;
                thread::sleep(long);
                self.fleet.signal(id, Signal::CONT)?;
            }
            Fault::Cut => {
                watch(&format!("{mood:?}: all between {id} and the others, {ms} ms"));
                self.moody(mood, long, |from, to| from == id || to == id);
            }
            Fault::Churn => return self.churn(id, also, long, draw, watch),
            Fault::OneWay => {
                watch(&format!("{mood:?}: what {id} says, {ms} ms"));
                self.moody(mood, long, |from, _| from == id);
            }
            Fault::Split => {
                watch(&format!("{mood:?}: everything, {ms} ms"));
                self.moody(mood, long, |_, _| true);
            }
            Fault::DiskHung | Fault::DiskFull | Fault::DiskSlow | Fault::DiskFails => {
                self.trouble_disk(fault, id, long, draw, watch)?;
            }
            Fault::Slow => {
                let late = Duration::from_millis(1 + draw.below(60));
                watch(&format!("{late:?} late: all between {id} and the others, {ms} ms"));
                self.moody(Mood::Late(late), long, |from, to| from == id || to == id);
            }
        }
        self.links.set(Mood::Well, |_, _| true);
        self.check_alive().map(|()| Instant::now())
    }

    fn gave_way(&self) -> Option<Duration> {
        self.gave_way
    }

    fn memory(&self) -> u64 {
        let pids = (1..=REPLICAS).filter_map(|id| self.fleet.pid(ReplicaId(id)));
        pids.map(most).max().unwrap_or(0)
    }

    fn end(mut self: Box<Self>) -> Result<(), NemesisError> {
        let ids = || (1..=REPLICAS).map(ReplicaId);
        ids().try_for_each(|id| self.fleet.signal(id, Signal::TERM))?;
        ids().try_for_each(|id| self.fleet.stop(id))?;
        Ok(())
    }
}
