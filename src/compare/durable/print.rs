//! The rows for three readers.

use super::{Report, Row};
use std::fmt::Write as _;

/// The columns of `--csv`: the fields of `--json`.
const CSV_COLUMNS: [&str; 13] = [
    "side",
    "in_flight",
    "commits_per_s",
    "least_per_s",
    "most_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "syncs_per_s",
    "commits_per_sync",
    "bytes_per_commit",
    "limit_per_s",
    "of_limit",
];

/// One JSON document on one line.
pub(in crate::compare) fn json(report: &Report) -> String {
    // Numbers and strings: there is nothing in it that JSON cannot hold.
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

/// A line of names, then a line for each row.
pub(in crate::compare) fn csv(report: &Report) -> String {
    let mut text = CSV_COLUMNS.join(",") + "\n";
    for row in &report.rows {
        let figures = figures(row).map(|figure| figure.to_string());
        let _ = writeln!(text, "{},{},{}", row.side, row.in_flight, figures.join(","));
    }
    text
}

/// What was measured, in the order of the columns.
pub(super) fn figures(row: &Row) -> [f64; 11] {
    [
        row.commits_per_s,
        row.least_per_s,
        row.most_per_s,
        row.p50_ms,
        row.p99_ms,
        row.max_ms,
        row.syncs_per_s,
        row.commits_per_sync,
        row.bytes_per_commit,
        row.limit_per_s,
        row.of_limit,
    ]
}

/// What a person reads.
pub(in crate::compare) fn table(report: &Report) -> String {
    let mut text = format!(
        "traft beside classic Raft (the raft crate) and Omni-Paxos (the omnipaxos crate) on the \
         same log, in REAL TIME: no two runs are alike.\n\
         One process, three replicas with a thread and a log each, on one disk ({}); blind writes \
         of 256 bytes.\n\
         limit: three threads that only write and sync the same groups, measured right after. The \
         median of five turns.\n\n\
         {:<9} {:>9} {:>10} {:>17} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>10} {:>8}\n",
        report.dir.display(),
        "side",
        "in flight",
        "commits/s",
        "in all turns",
        "p50 ms",
        "p99 ms",
        "max ms",
        "syncs/s",
        "per sync",
        "bytes",
        "limit/s",
        "of limit"
    );
    for row in &report.rows {
        let _ = writeln!(
            text,
            "{:<9} {:>9} {:>10.0} {:>17} {:>8.2} {:>8.2} {:>8.1} {:>9.0} {:>9.1} {:>8.0} {:>10.0} \
             {:>8.2}",
            row.side,
            row.in_flight,
            row.commits_per_s,
            format!("{:.0} to {:.0}", row.least_per_s, row.most_per_s),
            row.p50_ms,
            row.p99_ms,
            row.max_ms,
            row.syncs_per_s,
            row.commits_per_sync,
            row.bytes_per_commit,
            row.limit_per_s,
            row.of_limit
        );
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row() -> Row {
        Row {
            side: "traft",
            in_flight: 64,
            commits_per_s: 12_345.5,
            least_per_s: 12_000.0,
            most_per_s: 12_500.0,
            p50_ms: 1.5,
            p99_ms: 2.5,
            max_ms: 30.0,
            syncs_per_s: 400.0,
            commits_per_sync: 30.0,
            bytes_per_commit: 1_024.0,
            limit_per_s: 15_000.0,
            of_limit: 0.8,
        }
    }

    fn report() -> Report {
        Report { real_time: true, dir: "data".into(), rows: vec![row()] }
    }

    #[test]
    fn every_form_says_that_it_is_real_time() {
        assert!(table(&report()).contains("REAL TIME"));
        let value: serde_json::Value = serde_json::from_str(&json(&report())).expect("JSON");
        assert_eq!(value["real_time"], true);
    }

    #[test]
    fn csv_has_the_fields_of_json() {
        let value = serde_json::to_value(&report().rows[0]).expect("JSON");
        let mut fields: Vec<&str> = CSV_COLUMNS.to_vec();
        fields.sort_unstable();
        let mut keys: Vec<&str> = value.as_object().expect("fields").keys().map(|k| &**k).collect();
        keys.sort_unstable();
        assert_eq!(fields, keys);
        let text = csv(&report());
        assert_eq!(
            text.lines().nth(1),
            Some("traft,64,12345.5,12000,12500,1.5,2.5,30,400,30,1024,15000,0.8")
        );
    }
}
