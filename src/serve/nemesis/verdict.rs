//! What came of one run, and what is wrong with it.

use crate::check::history;
use crate::check::refine::Traced;
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Of the history.
    pub history: history::Report,
    /// Requests that were refused and had no effect.
    pub refused: usize,
    /// How often which fault was there.
    pub faults: BTreeMap<&'static str, u64>,
    /// After each fault, the time from its end until every replica had done a write.
    pub recoveries: Vec<Duration>,
    /// The longest time from the moment when the disk of a leader hung to another leader, if that
    /// happened.
    pub gave_way: Option<Duration>,
    /// The digest of the state at each replica, in the end.
    pub digests: Vec<String>,
    /// Replies that no client should get.
    pub unexpected: Vec<String>,
    /// The most memory that a process took, in bytes; 0 where the system does not tell.
    pub memory: u64,
    /// What its steps are by the specifications, if they were recorded.
    pub traced: Option<Traced>,
}

impl Verdict {
    /// The longest recovery.
    pub fn recovery(&self) -> Duration {
        self.recoveries.iter().copied().max().unwrap_or_default()
    }

    /// Whether all replicas ended with the same state.
    pub fn states_are_equal(&self) -> bool {
        self.digests.windows(2).all(|two| two[0] == two[1])
    }

    /// What is wrong, one sentence each.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> =
            self.history.anomalies.iter().map(|anomaly| format!("FAIL {anomaly}")).collect();
        for keys in &self.history.undecided {
            let keys: Vec<String> = keys.iter().map(|k| k.escape_ascii().to_string()).collect();
            complaints.push(format!("{} took too many steps to check", keys.join(" ")));
        }
        if !self.states_are_equal() {
            complaints.push(format!("FAIL the states differ: {}", self.digests.join(" ")));
        }
        complaints.extend(self.unexpected.iter().map(|reply| format!("FAIL a client got {reply}")));
        let wrong = self.traced.iter().filter_map(|traced| traced.wrong.as_ref());
        complaints.extend(wrong.map(|wrong| format!("FAIL {wrong}")));
        complaints
    }
}

/// What is right of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest recovery.
    pub recovery_max: Duration,
    /// The most memory of one process, in bytes.
    pub memory_max: u64,
}

impl Bounds {
    /// What is beyond them, one sentence each.
    pub fn exceeded(&self, verdict: &Verdict) -> Vec<String> {
        let mut wrong = Vec::new();
        if verdict.recovery() > self.recovery_max {
            let [longest, most] = [verdict.recovery(), self.recovery_max].map(|t| t.as_millis());
            wrong.push(format!("FAIL a recovery took {longest} ms, more than {most}"));
        }
        if verdict.memory > self.memory_max {
            let (taken, most) = (verdict.memory >> 20, self.memory_max >> 20);
            wrong.push(format!("FAIL a process took {taken} MiB, more than {most}"));
        }
        wrong
    }
}
