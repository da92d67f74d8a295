//! `traft check history`: whether a recorded history is linearizable.

use crate::check::history::{self, Anomaly, Report};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Configurations looked at for one object before it counts as undecided.
const STEPS_MAX: u64 = 20_000_000;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// The histories, one event a line; each file is a history of its own. `-`: standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Give a key up after so many configurations
    #[arg(long, value_name = "N", default_value_t = STEPS_MAX)]
    steps: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
A history is linearizable if every operation seems to take effect at one moment between its call and
its answer. Keys are checked one by one; keys that one operation touches together, as one.

A line is one operation, in any order of lines:
  client   a number                       op       get, put, del, cas, append, incr
  key      a string; for get, put and del also a list: all at one moment
  value    what put writes, a list for several keys; what cas writes, null to remove; what append
           adds; the number that incr adds
  expect   what cas expects, null for nothing
  out      what get found, null for nothing, a list for several keys; the sum of incr and the
           length of append, or null: not checked; \"refused\" of a cas that was not even tried
  ok       cas: whether it wrote; else false if the operation had no effect: it is left out
  call     when it was called, in ns      return   when the answer came, null if none ever did:
                                                   then it may have taken effect or not

Examples:
  traft check history run.jsonl
      says which key is wrong, and where
  echo '{\"client\":1,\"op\":\"get\",\"key\":\"x\",\"out\":\"1\",\"call\":0,\"return\":9}' |
      traft check history -
      a read of a value that nobody wrote

Exit codes:
  0  every history is linearizable
  1  one is not; the operations that do not fit are on standard error
  2  a file is wrong, or a key took more than --steps: nothing is known of it";

/// What came of it: the text for standard output, complaints for standard error, and whether a key
/// is undecided. Or what is wrong with a file.
pub(super) fn run(args: &HistoryArgs) -> Result<(String, Vec<String>, bool), String> {
    let (mut text, mut complaints, mut documents) = (String::new(), Vec::new(), Vec::new());
    let mut undecided = false;
    for file in &args.files {
        let name = file.display();
        let read = match file.as_os_str() == "-" {
            true => std::io::read_to_string(std::io::stdin()),
            false => std::fs::read_to_string(file),
        };
        let lines = read.map_err(|error| format!("{name}: {error}"))?;
        let events = history::parse(&lines).map_err(|error| format!("{name}: {error}"))?;
        let report = history::check(&events, args.steps);
        documents.push(document(&name.to_string(), &report));
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}: {}", sentence(&report));
        complaints.extend(report.anomalies.iter().map(|anomaly| format!("FAIL {name}: {anomaly}")));
        for keys in &report.undecided {
            undecided = true;
            let keys: Vec<String> = keys.iter().map(|k| k.escape_ascii().to_string()).collect();
            let keys = keys.join(" ");
            complaints.push(format!("{name}: {keys} took more than {} steps", args.steps));
        }
    }
    if args.json {
        text = format!("{:#}\n", Value::Array(documents));
    }
    Ok((text, complaints, undecided))
}

fn sentence(report: &Report) -> String {
    let Report { events, unknown, objects, groups, steps, anomalies, undecided } = report;
    let verdict = match (anomalies.is_empty(), undecided.is_empty()) {
        (true, true) => "linearizable",
        (true, false) => "undecided",
        (false, _) => "NOT linearizable",
    };
    format!(
        "{verdict}; {events} operations, {unknown} of unknown end, {objects} objects, {groups} of \
         several keys, {steps} steps"
    )
}

fn document(name: &str, report: &Report) -> Value {
    let keys = |keys: &[bytes::Bytes]| -> Vec<String> {
        keys.iter().map(|key| key.escape_ascii().to_string()).collect()
    };
    let lines = |events: &[history::Event]| -> Vec<Value> {
        // What was printed can be parsed.
        events.iter().filter_map(|e| serde_json::from_str(&history::print(e)).ok()).collect()
    };
    let anomaly = |anomaly: &Anomaly| {
        json!({
            "keys": keys(&anomaly.keys), "explained": anomaly.length,
            "last": lines(&anomaly.explained), "stuck": lines(&anomaly.stuck),
            "state": anomaly.state.iter().map(|v| v.as_ref().map(|v| v.escape_ascii().to_string()))
                .collect::<Vec<_>>(),
        })
    };
    json!({
        "file": name,
        "linearizable": report.is_linearizable(),
        "events": report.events,
        "unknown": report.unknown,
        "objects": report.objects,
        "groups": report.groups,
        "steps": report.steps,
        "anomalies": report.anomalies.iter().map(anomaly).collect::<Vec<_>>(),
        "undecided": report.undecided.iter().map(|k| keys(k)).collect::<Vec<_>>(),
    })
}
