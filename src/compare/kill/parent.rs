//! The process that kills, and keeps what was acknowledged.

use super::load::{CLIENTS, Line};
use crate::compare::rng::mix;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a child may say nothing.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) rounds: u64,
    pub(super) seed: u64,
    pub(super) unwritten: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) killed: u64,
    pub(super) killed_early: u64,
    pub(super) acknowledged: u64,
    pub(super) values: u64,
    pub(super) equal: u64,
    pub(super) taken: u64,
    pub(super) installed: u64,
    pub(super) purged: u64,
    pub(super) start_ms_max: u64,
    pub(super) violations: Vec<String>,
}

/// Starts and kills; at the end it starts once more. Ends early with the first round in which
/// something is wrong, so that the files are as they were found.
pub(super) fn run(plan: &Plan, tick: impl Fn(u64, u64)) -> io::Result<Report> {
    std::fs::create_dir_all(&plan.dir)?;
    let mut report = Report::default();
    let mut known = Known::new();
    for round in 0..=plan.rounds {
        tick(round, plan.rounds);
        let last = round == plan.rounds;
        let chance = mix(plan.seed ^ mix(round));
        // Some are killed while they start; the others after they have worked for a while.
        let early = !last && round > 0 && chance.is_multiple_of(5);
        let work = Duration::from_millis(if early { chance >> 8 & 127 } else { 30 + chance % 400 });
        let mut life = Life { known: &mut known, report: &mut report, round, values: Vec::new() };
        life.run(plan, early, work)?;
        if !report.violations.is_empty() {
            break;
        }
    }
    Ok(report)
}

/// The number of each client that was acknowledged last, or read back since. `None` before anything
/// is known.
struct Known(Vec<Option<u64>>);

impl Known {
    fn new() -> Known {
        Known(vec![None; CLIENTS as usize])
    }

    /// What is wrong with this number as it was read back. The one write that was on its way may
    /// have come about or not.
    fn check(&mut self, client: usize, value: u64) -> Option<String> {
        let before = self.0[client].replace(value)?;
        match value {
            v if v < before => {
                Some(format!("client {client}: {before} was acknowledged, and {value} is there"))
            }
            v if v > before + 1 => {
                Some(format!("client {client}: {before} was the last, and {value} is there"))
            }
            _ => None,
        }
    }
}

/// One life of the child.
struct Life<'a> {
    known: &'a mut Known,
    report: &'a mut Report,
    round: u64,
    values: Vec<(usize, u64)>,
}

/// A child that does not outlive its parent's interest in it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL; it may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Life<'_> {
    fn wrong(&mut self, what: &str) {
        self.report.violations.push(format!("FAIL round {}: {what}", self.round));
    }

    fn run(&mut self, plan: &Plan, early: bool, work: Duration) -> io::Result<()> {
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["check", "kill", "--seed"]).arg(mix(plan.seed ^ self.round).to_string());
        command.arg("--child").arg(&plan.dir);
        if plan.unwritten {
            command.arg("--unwritten");
        }
        let mut child = Killed(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let Some(said) = child.0.stdout.take() else { return Ok(()) };
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let _ = Line::parse(&line).map(|line| sender.send(line));
            }
        });
        let mut alive = true;
        let mut ready = None;
        let mut until = began + if early { work } else { PATIENCE };
        let mut status = (0, 0, 0);
        while alive && Instant::now() < until {
            alive = self.hear(&lines, until, &mut status, &mut |at| {
                ready = Some(at);
                if !early {
                    until = at + work;
                }
            });
        }
        drop(child);
        // What was said before it died.
        let _ = reader.join();
        for line in lines.try_iter() {
            self.line(line, &mut status, &mut |at| ready = Some(at));
        }
        self.report.taken += status.0;
        self.report.installed += status.1;
        self.report.purged = self.report.purged.max(status.2);
        self.report.killed += 1;
        match ready {
            Some(at) => {
                let took = u64::try_from((at - began).as_millis()).unwrap_or(u64::MAX);
                self.report.start_ms_max = self.report.start_ms_max.max(took);
            }
            None if early => self.report.killed_early += 1,
            None => self.wrong("the process ended, or said nothing for too long"),
        }
        Ok(())
    }

    /// Waits for a line; says whether the child may say more.
    fn hear(
        &mut self,
        lines: &Receiver<Line>,
        until: Instant,
        status: &mut (u64, u64, u64),
        ready: &mut dyn FnMut(Instant),
    ) -> bool {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.line(line, status, ready);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => {
                self.wrong("the process ended by itself");
                false
            }
        }
    }

    fn line(&mut self, line: Line, status: &mut (u64, u64, u64), ready: &mut dyn FnMut(Instant)) {
        match line {
            Line::Open => {}
            Line::Value(client, value) => self.values.push((client as usize, value)),
            Line::Ready => {
                for (client, value) in std::mem::take(&mut self.values) {
                    self.report.values += 1;
                    let wrong = self.known.check(client, value);
                    wrong.iter().for_each(|what| self.wrong(what));
                }
                self.report.equal += 1;
                ready(Instant::now());
            }
            Line::Ack(client, value) => {
                self.report.acknowledged += 1;
                // The answers of a client come one after the other.
                let wrong = self.known.check(client as usize, value);
                wrong.iter().for_each(|what| self.wrong(what));
            }
            Line::Status(taken, installed, purged) => *status = (taken, installed, purged),
            Line::Wrong(what) => self.wrong(&what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_the_last_or_the_next() {
        for (value, wrong) in [(4, true), (5, false), (6, false), (7, true)] {
            let mut known = Known::new();
            assert_eq!(known.check(0, 5), None, "nothing was known");
            assert_eq!(known.check(0, value).is_some(), wrong, "{value}");
        }
    }
}
