//! Seed after seed, each with a cluster of its own: which faults there are and how fast they come
//! is drawn from the seed, since where everything goes wrong all the time much cannot happen.

use super::{Bounds, Draw, Fault, NemesisError, Plan, Verdict, run};
use crate::check::history;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Of each seed. Its directory has one for each; its faults are those that are drawn from; its
    /// seed and pause are not looked at.
    pub each: Plan,
    /// Which seeds, in order.
    pub seeds: Range<u64>,
    /// No seed begins later than this.
    pub time: Duration,
    /// What is right of each.
    pub bounds: Bounds,
}

/// What came of all seeds together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds there were.
    pub seeds: u64,
    /// How often which fault was there.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests that were placed.
    pub events: usize,
    /// Of these, the ones whose end nobody knows.
    pub unknown: usize,
    /// Requests that were refused and had no effect.
    pub refused: usize,
    /// After each fault, the time from its end until every replica had done a write, and its seed.
    pub recoveries: Vec<(Duration, u64)>,
    /// The longest time from the moment when the disk of a leader hung to another leader, if that
    /// happened.
    pub gave_way: Option<Duration>,
    /// The most memory that a process took, in bytes; 0 where the system does not tell.
    pub memory: u64,
    /// Steps that were held against the specifications.
    pub steps: usize,
    /// What is wrong, and with which seed.
    pub wrong: Vec<(u64, String)>,
}

impl Summary {
    /// The recovery that this part of all were not longer than; 1 gives the longest.
    pub fn recovery(&self, part: f64) -> Duration {
        let mut all: Vec<Duration> = self.recoveries.iter().map(|(long, _)| *long).collect();
        all.sort_unstable();
        let at = (all.len() as f64 * part).ceil() as usize;
        all.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The seed with the longest one.
    pub fn slowest(&self) -> Option<u64> {
        self.recoveries.iter().max().map(|(_, seed)| *seed)
    }

    fn add(&mut self, seed: u64, verdict: Verdict) {
        for (name, count) in verdict.faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.events += verdict.history.events;
        self.unknown += verdict.history.unknown;
        self.refused += verdict.refused;
        self.recoveries.extend(verdict.recoveries.into_iter().map(|long| (long, seed)));
        self.gave_way = self.gave_way.max(verdict.gave_way);
        self.memory = self.memory.max(verdict.memory);
        self.steps += verdict.traced.map_or(0, |traced| traced.steps);
    }
}

impl Campaign {
    /// Runs it. `watch` is told of each seed when it is over, and what came of it. Of a seed that
    /// is well nothing is left; else its directory has everything: `faults.log`, `history.jsonl`,
    /// `steps`, and what each replica said.
    ///
    /// # Errors
    ///
    /// [`NemesisError`] if there is no such fault, or of a directory: a cluster that does not
    /// answer is in the [`Summary`].
    pub fn run(
        &self,
        mut watch: impl FnMut(u64, &Result<Verdict, NemesisError>),
    ) -> Result<Summary, NemesisError> {
        let (began, mut summary) = (Instant::now(), Summary::default());
        for seed in self.seeds.clone() {
            if began.elapsed() >= self.time {
                break;
            }
            let plan = self.plan(seed);
            // Whatever lies there is somebody's.
            std::fs::create_dir_all(&self.each.dir)?;
            std::fs::create_dir(&plan.dir)?;
            let came = one(&plan);
            if let Err(error @ (NemesisError::Fault(_) | NemesisError::Disk(_))) = came {
                return Err(error);
            }
            watch(seed, &came);
            let wrong = self.wrong(&came);
            if wrong.is_empty() {
                std::fs::remove_dir_all(&plan.dir)?;
            }
            summary.seeds += 1;
            summary.wrong.extend(wrong.into_iter().map(|what| (seed, what)));
            if let Ok(verdict) = came {
                summary.add(seed, verdict);
            }
        }
        Ok(summary)
    }

    fn plan(&self, seed: u64) -> Plan {
        let mut draw = Draw(seed ^ 0x6e65_6d65_7369_7321);
        let all: &[Fault] = match &self.each.faults[..] {
            [] => self.each.possible(),
            named => named,
        };
        let mut faults: Vec<Fault> = all.iter().copied().filter(|_| draw.below(2) == 0).collect();
        if faults.is_empty() {
            faults = all.to_vec();
        }
        let pause = Duration::from_millis(if draw.below(2) == 0 { 400 } else { 50 });
        let dir = self.each.dir.join(format!("seed-{seed}"));
        Plan { dir, seed, faults, pause, ..self.each.clone() }
    }

    fn wrong(&self, came: &Result<Verdict, NemesisError>) -> Vec<String> {
        let verdict = match came {
            Ok(verdict) => verdict,
            Err(error) => return vec![format!("FAIL {error}")],
        };
        let mut wrong = verdict.complaints();
        wrong.extend(self.bounds.exceeded(verdict));
        wrong
    }
}

/// One seed, with a record of it in its directory.
fn one(plan: &Plan) -> Result<Verdict, NemesisError> {
    let mut log = std::fs::File::create(plan.dir.join("faults.log"))?;
    let (mut kept, path) = (Ok(()), plan.dir.join("history.jsonl"));
    let verdict = run(
        plan,
        |when, what| {
            // It is there to be read by people, if at all.
            let _ = writeln!(log, "{:8.3} s  {what}", when.as_secs_f64());
        },
        |events| kept = keep(&path, events),
    )?;
    kept?;
    Ok(verdict)
}

/// Writes a record down.
pub(in crate::serve) fn keep(path: &Path, events: &[history::Event]) -> std::io::Result<()> {
    let lines = events.iter().map(history::print);
    std::fs::write(path, lines.map(|line| line + "\n").collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(faults: Vec<Fault>) -> Campaign {
        let each = Plan {
            program: "traft".into(),
            dir: "scratch".into(),
            time: Duration::from_secs(1),
            clients: 1,
            seed: 0,
            faults,
            pause: Duration::ZERO,
            trace: true,
            #[cfg(feature = "net")]
            processes: true,
        };
        let recovery_max = Duration::from_millis(1_500);
        let bounds = Bounds { recovery_max, memory_max: 1 << 30 };
        Campaign { each, seeds: 0..9, time: Duration::MAX, bounds }
    }

    #[test]
    fn a_seed_draws_its_faults_and_all_are_drawn_by_some() {
        let (all, some) = (campaign(Vec::new()), campaign(vec![Fault::Kill, Fault::Cut]));
        let mut seen = BTreeMap::new();
        for seed in 0..200 {
            let plan = all.plan(seed);
            assert_eq!((plan.seed, &plan.faults), (seed, &all.plan(seed).faults));
            assert!(!plan.faults.is_empty());
            plan.faults.iter().for_each(|f| *seen.entry(f.name()).or_insert(0) += 1);
            assert!(some.plan(seed).faults.iter().all(|f| some.each.faults.contains(f)));
        }
        assert_eq!(seen.len(), Fault::ALL.len());
        assert!(seen.values().all(|count| (60..140).contains(count)), "{seen:?}");
    }

    #[test]
    fn what_is_beyond_a_bound_is_wrong() {
        let campaign = campaign(Vec::new());
        let verdict = |ms, memory| {
            let recoveries = vec![Duration::from_millis(ms), Duration::from_millis(1)];
            Ok(Verdict { recoveries, memory, ..Verdict::default() })
        };
        assert!(campaign.wrong(&verdict(1_500, 1 << 30)).is_empty());
        assert_eq!(campaign.wrong(&verdict(1_501, (1 << 30) + 1)).len(), 2);
        assert_eq!(campaign.wrong(&Err(NemesisError::Silent(Duration::ZERO))).len(), 1);
    }

    #[test]
    fn the_longest_recovery_and_the_median_are_those_of_all_seeds() {
        let mut summary = Summary::default();
        assert_eq!((summary.recovery(1.0), summary.slowest()), (Duration::ZERO, None));
        for (seed, ms) in [(1, [5, 9]), (2, [7, 1])] {
            let recoveries = ms.map(Duration::from_millis).to_vec();
            summary.add(seed, Verdict { recoveries, ..Verdict::default() });
        }
        let [median, longest] = [0.5, 1.0].map(|part| summary.recovery(part).as_millis());
        assert_eq!((median, longest, summary.slowest()), (5, 9, Some(1)));
    }
}
