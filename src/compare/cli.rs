//! The command line: what may be asked, and one sentence for what may not.

use super::matrix::{Matrix, MatrixError};
#[cfg(unix)]
use super::model;
#[cfg(all(feature = "mutants", unix))]
use super::mutants;
use super::place::Place;
#[cfg(unix)]
use super::recover;
use super::scenario::{Plan, Scenario};
use super::trace::{self, Trace, TraceError};
use super::{ablate, change, explain, guide, history, inspect, simulate, steps, storage};
#[cfg(unix)]
use super::{durable, kill};
#[cfg(all(feature = "serve", unix))]
use crate::serve::cli as serve;
use crate::sim::{LinkKind, Side};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Generalized Raft: commits and applies a set of records, not a prefix.
#[derive(Parser, Debug)]
#[command(name = "traft", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Task,
}

#[derive(Subcommand, Debug)]
pub(super) enum Task {
    /// Run generalized and classic Raft on the same workload, network and clock, and compare
    #[command(after_help = guide::text())]
    Compare(CompareArgs),
    /// Say what a change of membership requires, and whether it can be made now
    #[command(after_help = change::GUIDE)]
    Plan(change::PlanArgs),
    /// Run the production replica under faults, from seeds, and check everything that must hold
    #[command(after_help = simulate::GUIDE)]
    Sim(simulate::SimArgs),
    /// Switch a rule of the algorithm off, and see the shortest schedule that breaks
    #[command(after_help = ablate::guide())]
    Ablate(ablate::AblateArgs),
    /// Draw a scenario step by step: what each replica holds, and why it is as it is
    #[command(after_help = explain::GUIDE)]
    Explain(explain::ExplainArgs),
    /// UNSAFE: go on without a majority that is lost for ever; acknowledged writes may be undone
    #[cfg(unix)]
    #[command(after_help = recover::GUIDE)]
    Recover(recover::RecoverArgs),
    /// Check an implementation against its contract
    #[command(subcommand, disable_help_subcommand = true)]
    Check(CheckTask),
    /// Show what the files of a replica hold, whether they are sound, and how two replicas differ
    #[command(subcommand, disable_help_subcommand = true)]
    Inspect(inspect::InspectTask),
    #[cfg(all(feature = "serve", unix))]
    #[command(flatten)]
    Store(serve::StoreTask),
}

#[derive(Subcommand, Debug)]
pub(super) enum CheckTask {
    /// Open every image that a crash can leave of the log on disk, and disks that went bad
    #[command(after_help = storage::GUIDE)]
    Storage(storage::StorageArgs),
    /// Say whether a recorded history of operations on keys is linearizable
    #[command(after_help = history::GUIDE)]
    History(history::HistoryArgs),
    /// Say whether the recorded steps of a cluster are those of the specifications
    #[command(after_help = steps::GUIDE)]
    Trace(steps::TraceArgs),
    /// Kill a process with three replicas under load, again and again, and look for what is lost
    #[cfg(unix)]
    #[command(after_help = kill::GUIDE)]
    Kill(kill::KillArgs),
    /// Drive the production replica through all that can happen to three of them, within bounds
    #[cfg(unix)]
    #[command(after_help = model::guide())]
    Model(model::ModelArgs),
    /// Put known bugs back one at a time, and see whether they are found
    #[cfg(all(feature = "mutants", unix))]
    #[command(after_help = mutants::GUIDE)]
    Mutants(mutants::MutantsArgs),
}

#[derive(Args, Debug, Default)]
pub(super) struct CompareArgs {
    /// Only these scenarios (listed below; separate several by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Only these networks (listed below)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    network: Vec<String>,
    /// A network from a TOML file with `regions` and a square `rtt_ms`
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    /// Requests from a file, to a disk (columns seconds,op,lbn,sectors) or a cache
    /// (timestamp,key,key_size,value_size,client,operation,ttl): scenarios `trace` and, by name,
    /// `block`
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Only these sides: traft, traft-serial (every command interferes), raft and omnipaxos (the
    /// crates of these names), raft-parallel (executes at once what does not interfere; in block)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    side: Vec<String>,
    /// Only these links: unordered (datagrams), ordered (one TCP-like stream)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    link: Vec<String>,
    /// Percent of the commands that share one hot key, in quiet, jitter, loss and wan
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    interference: Vec<String>,
    /// How many replicas
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
    /// How many operations are outstanding in a closed loop: ycsb, and trace and block, which have
    /// rows for each of several [default: 32; block: 1,2,4,8,16,32,64,128; durable: 1,64,1024]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    depth: Vec<usize>,
    /// Instead of all this: real time, three replicas in this process, their logs in this directory
    #[cfg(unix)]
    #[arg(long, value_name = "DIR", conflicts_with_all = SIMULATED)]
    pub(super) durable: Option<PathBuf>,
    /// Decides the weather and the workload: one seed, one result, byte for byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Every side, link, rate and network, reads, clients at every site, and a gap of a million:
    /// takes minutes
    #[arg(long)]
    all: bool,
    /// Write everything to a page of HTML, too: tables, plots, and where others win
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print comma-separated values, one row a line
    #[arg(long)]
    pub(super) csv: bool,
}

/// What makes no sense in real time.
#[cfg(unix)]
const SIMULATED: [&str; 9] =
    ["scenario", "network", "matrix", "trace", "link", "interference", "replicas", "seed", "all"];

/// Where three of five are replaced there are so many replicas.
const REPLACED_MAX: usize = 8;

/// The most operations that a closed loop may keep outstanding.
const DEPTH_MAX: usize = 65_536;

/// Why the command line cannot be carried out. The user mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadInput {
    /// A name that is not on the list.
    #[error("unknown {what} {name:?}; there are: {known}")]
    Unknown {
        /// What it would have named.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Something is out of its range.
    #[error("{what} must be {range}, not {found}")]
    Range {
        /// What.
        what: String,
        /// The range.
        range: String,
        /// What was given.
        found: String,
    },
    /// The options do not go together.
    #[error("{0}")]
    Together(String),
    /// The file of `--trace`.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The file of `--matrix`.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
}

impl CompareArgs {
    /// Reads the files and checks every name and number.
    pub(super) fn plan(&self) -> Result<Plan, BadInput> {
        let named = |names: &[String], what, known: &[&'static str]| -> Result<Vec<usize>, _> {
            names.iter().map(|name| position(what, name, known)).collect()
        };
        let scenarios = named(&self.scenario, "scenario", &Scenario::ALL.map(Scenario::name))?;
        let sides = named(&self.side, "side", &Side::ALL.map(Side::name))?;
        let links = named(&self.link, "link", &LINKS.map(LinkKind::name))?;
        let built_in = Place::BUILT_IN;
        let names: Vec<&str> = built_in.iter().map(Place::name).collect();
        let mut places = Vec::new();
        for name in &self.network {
            places.push(built_in[position("network", name, &names)?].clone());
        }
        if let Some(path) = &self.matrix {
            let matrix = Arc::new(Matrix::load(path)?);
            places.push(Place::File { name: stem(path), path: path.clone(), matrix });
        }
        let mut plan = Plan {
            seed: self.seed,
            scenarios: scenarios.into_iter().map(|n| Scenario::ALL[n]).collect(),
            places,
            sides: sides.into_iter().map(|n| Side::ALL[n]).collect(),
            links: links.into_iter().map(|n| LINKS[n]).collect(),
            interference: self.interference.iter().map(|p| percent(p)).collect::<Result<_, _>>()?,
            replicas: self.replicas,
            depths: self.depth.clone(),
            trace: Arc::default(),
            all: self.all,
            trace_path: self.trace.clone(),
        };
        if let Some(path) = &self.trace {
            plan.trace = Arc::new(trace::load(path)?);
        }
        self.choose_scenarios(&mut plan)?;
        check_sizes(&plan)?;
        Ok(plan)
    }

    /// What is measured in real time: sides and how many commands are outstanding.
    #[cfg(unix)]
    pub(super) fn durable_choice(&self) -> Result<durable::Choice, BadInput> {
        let known = durable::SIDES;
        let mut sides = Vec::new();
        for name in &self.side {
            sides.push(known[position("side", name, &known)?]);
        }
        check_depths(&self.depth)?;
        Ok(durable::Choice::new(sides, self.depth.clone()))
    }

    /// Without `--scenario`: those that the other options are about, or all.
    fn choose_scenarios(&self, plan: &mut Plan) -> Result<(), BadInput> {
        if plan.scenarios.is_empty() {
            let room = plan.replicas.unwrap_or(usize::MAX);
            plan.scenarios = Scenario::ALL
                .into_iter()
                .filter(|s| s.needs_trace() == self.trace.is_some())
                .filter(|s| s.is_default() || plan.all && !s.replaces() || *s == Scenario::Trace)
                .filter(|s| *s != Scenario::Block || matches!(*plan.trace, Trace::Block(_)))
                .filter(|s| !s.replaces() || plan.replicas.is_none())
                .filter(|s| plan.interference.is_empty() || s.has_rates() || self.trace.is_some())
                .filter(|s| room >= s.replicas_min())
                .collect();
        }
        let has = |wanted: fn(Scenario) -> bool| plan.scenarios.iter().any(|s| wanted(*s));
        let has_block = has(|s| s == Scenario::Block);
        let complaint = match () {
            () if has(|s| s == Scenario::Trace) && self.trace.is_none() => {
                "the scenario trace needs --trace FILE"
            }
            () if has_block && self.trace.is_none() => "the scenario block needs --trace FILE",
            () if has_block && !matches!(*plan.trace, Trace::Block(_)) => {
                "the scenario block needs a trace of requests to a disk (columns \
                 seconds,op,lbn,sectors), and this one is of a cache"
            }
            () if !has(Scenario::needs_trace) && self.trace.is_some() => {
                "--trace needs the scenario trace or block among those of --scenario"
            }
            () if plan.places.iter().any(|place| place.slow().is_some())
                && plan.scenarios.iter().any(|s| *s != Scenario::Block) =>
            {
                "the networks slow-leader and all-at-once are for the scenario block alone: in \
                 others no machine takes any time"
            }
            () if !has(Scenario::has_rates) && !plan.interference.is_empty() => {
                "--interference applies to the scenarios quiet, jitter, loss and wan only"
            }
            () if has(Scenario::replaces) && plan.replicas.is_some() => {
                "--replicas does not go with reconfigure-one or reconfigure-majority: they have 5"
            }
            () => return Ok(()),
        };
        Err(BadInput::Together(complaint.into()))
    }
}

fn check_depths(depths: &[usize]) -> Result<(), BadInput> {
    match depths.iter().find(|depth| !(1..=DEPTH_MAX).contains(*depth)) {
        Some(depth) => Err(range("--depth", format!("1 to {DEPTH_MAX}"), *depth)),
        None => Ok(()),
    }
}

fn check_sizes(plan: &Plan) -> Result<(), BadInput> {
    check_depths(&plan.depths)?;
    for place in &plan.places {
        let (name, room) = (place.name(), place.replicas_max());
        if let Some(n) = plan.replicas.filter(|n| !(1..=room).contains(n)) {
            return Err(range(&format!("--replicas on {name}"), format!("1 to {room}"), n));
        }
    }
    let room = plan.places.iter().map(Place::replicas_max).min().unwrap_or(usize::MAX);
    if room < REPLACED_MAX
        && let Some(scenario) = plan.scenarios.iter().find(|scenario| scenario.replaces())
    {
        let what = format!("the number of places in {}", scenario.name());
        return Err(range(&what, format!("at least {REPLACED_MAX}"), room));
    }
    for scenario in &plan.scenarios {
        let (name, least) = (scenario.name(), scenario.replicas_min());
        let smallest = plan.places.iter().map(Place::replicas).min();
        let replicas = plan.replicas.or(smallest).unwrap_or(least);
        if replicas < least {
            let what = format!("the number of replicas in {name}");
            return Err(range(&what, format!("at least {least}"), replicas));
        }
    }
    Ok(())
}

fn range(what: &str, range: String, found: usize) -> BadInput {
    BadInput::Range { what: what.into(), range, found: found.to_string() }
}

fn percent(text: &str) -> Result<u32, BadInput> {
    text.trim_end_matches([' ', '%']).parse().ok().filter(|p| *p <= 100).ok_or_else(|| {
        BadInput::Range {
            what: "--interference".into(),
            range: "a whole percentage from 0 to 100".into(),
            found: format!("{text:?}"),
        }
    })
}

fn position(what: &'static str, name: &str, known: &[&str]) -> Result<usize, BadInput> {
    known.iter().position(|k| *k == name).ok_or_else(|| BadInput::Unknown {
        what,
        name: name.into(),
        known: known.join(", "),
    })
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or("matrix".into(), |stem| stem.to_string_lossy().into_owned())
}

const LINKS: [LinkKind; 2] = [LinkKind::Unordered, LinkKind::Ordered];

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &[&str]) -> Result<Plan, BadInput> {
        let cli = Cli::try_parse_from(["traft", "compare"].iter().chain(args)).expect("parses");
        match cli.command {
            Task::Compare(args) => args.plan(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[cfg(unix)]
    fn in_real_time_sides_and_depths_can_be_chosen() {
        let choice = |args: &str| match Cli::try_parse_from(args.split(' ')).map(|c| c.command) {
            Ok(Task::Compare(args)) => args.durable_choice().map_err(|e| e.to_string()),
            other => panic!("{other:?}"),
        };
        let one = Ok(durable::Choice::new(vec!["raft"], vec![7]));
        assert_eq!(choice("traft compare --durable . --side raft --depth 7"), one);
        let known = "unknown side \"traft-serial\"; there are: traft, raft, omnipaxos";
        assert_eq!(choice("traft compare --durable . --side traft-serial"), Err(known.into()));
    }

    fn why(args: &[&str]) -> String {
        plan(args).expect_err("bad input").to_string()
    }

    #[test]
    fn without_options_everything_quick_runs() {
        let plan = plan(&[]).expect("the default");
        assert_eq!(plan.scenarios, Scenario::ALL[..9]);
        assert!(plan.places.is_empty() && plan.sides.is_empty() && plan.seed == 1);
    }

    #[test]
    fn bad_input_is_one_sentence() {
        let cases: [(&[&str], &str); 12] = [
            (
                &["--scenario", "storm"],
                "unknown scenario \"storm\"; there are: quiet, jitter, loss, slow-command, \
                 lagging, duel, failover, overwrite, ycsb, reads, reconfigure-one, \
                 reconfigure-majority, wan, trace, block",
            ),
            (
                &["--side", "paxos"],
                "unknown side \"paxos\"; there are: traft, traft-serial, raft, raft-parallel, \
                 omnipaxos",
            ),
            (&["--link", "tcp"], "unknown link \"tcp\"; there are: unordered, ordered"),
            (
                &["--network", "wan"],
                "unknown network \"wan\"; there are: lan, jitter, loss, slow-leader, \
                 all-at-once, calibration, aws5",
            ),
            (
                &["--interference", "101"],
                "--interference must be a whole percentage from 0 to 100, not \"101\"",
            ),
            (&["--depth", "0"], "--depth must be 1 to 65536, not 0"),
            (&["--network", "aws5", "--replicas", "6"], "--replicas on aws5 must be 1 to 5, not 6"),
            (
                &["--scenario", "lagging", "--replicas", "2"],
                "the number of replicas in lagging must be at least 3, not 2",
            ),
            (&["--scenario", "trace"], "the scenario trace needs --trace FILE"),
            (&["--scenario", "block"], "the scenario block needs --trace FILE"),
            (
                &["--network", "slow-leader"],
                "the networks slow-leader and all-at-once are for the scenario block alone: in \
                 others no machine takes any time",
            ),
            (
                &["--scenario", "duel", "--interference", "2"],
                "--interference applies to the scenarios quiet, jitter, loss and wan only",
            ),
        ];
        for (args, expected) in cases {
            assert_eq!(why(args), expected);
        }
    }

    #[test]
    fn options_choose_the_scenarios_that_they_are_about() {
        let scenarios = |args: &[&str]| plan(args).expect("good input").scenarios;
        assert_eq!(
            scenarios(&["--interference", "2,30"]),
            [Scenario::Quiet, Scenario::Jitter, Scenario::Loss]
        );
        assert!(!scenarios(&["--replicas", "1"]).contains(&Scenario::Duel));
    }
}
