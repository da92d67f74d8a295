//! `traft check storage`: the log on disk against its contract.

use crate::check::storage::{CLAUSES, Report, Row, check_log};
use crate::sim::repair;

use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// From so many images on, every row of the decision table must have been met so often.
const IMAGES_OF_A_WHOLE_CHECK: usize = 20_000;
const ROW_MIN: usize = 50;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct StorageArgs {
    /// How many distinct images of crashed disks are opened, at least
    #[arg(long, value_name = "N", default_value_t = IMAGES_OF_A_WHOLE_CHECK)]
    images: usize,
    /// Decides the histories, the crashes and the damage: one seed, one result, byte for byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many histories of three replicas have each sector of each disk spoilt
    #[arg(long, value_name = "N", default_value_t = 2)]
    repairs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Runs random histories of a replica on a simulated disk. After every call of every history, each
image that a crash can leave is opened: nothing, everything, every torn write at every 512 bytes,
and subsets where there are too many to try all. Then disks go bad in every way, syncs fail, disks
are full. Then three replicas, with the production core, log and snapshots: each sector of each disk
goes bad in each way, and the others have to give everything back. The clauses are those of
`check::storage` and `sim::repair`, the rows those of design/wal-recovery.md.

Examples:
  traft check storage
      20,000 images
  traft check storage --images 1000000 --seed 7
      more, and others
  traft check storage --json
      every count, for other programs

Exit codes:
  0  done
  1  a clause was broken; the line that replays it is on standard error
  2  the command line is wrong";

/// What came of it: the text for standard output, and complaints for standard error.
pub(super) fn run(args: &StorageArgs) -> (String, Vec<String>) {
    let report = check_log(args.seed, args.images);
    let mut complaints: Vec<String> = Vec::new();
    for found in &report.violations {
        let replay = format!("traft check storage --images 1 --seed {}", found.seed);
        complaints.push(format!("FAIL {found}\n  replay: {replay}"));
    }
    if report.images >= IMAGES_OF_A_WHOLE_CHECK {
        for row in Row::ALL.into_iter().filter(|row| met(&report, *row) < ROW_MIN) {
            complaints.push(format!(
                "FAIL the row {row} of the decision table was met {} times, not {ROW_MIN}",
                met(&report, row)
            ));
        }
    }
    let repaired = repair::check(args.seed, args.repairs);
    for found in &repaired.violations {
        complaints.push(format!("FAIL R-{}, {}", found.clause, found.what));
    }
    let text = match args.json {
        true => document(args.seed, &report, &repaired),
        false => table(args.seed, &report) + &repairs(&repaired),
    };
    (text, complaints)
}

fn met(report: &Report, row: Row) -> usize {
    report.rows.get(&row).copied().unwrap_or(0)
}

fn checked(report: &Report, clause: u32) -> usize {
    report.clauses.get(&clause).copied().unwrap_or(0)
}

fn table(seed: u64, report: &Report) -> String {
    let mut text = format!(
        "storage, seed {seed}: {} histories, {} distinct crash images, {} crashes while opening\n",
        report.scripts, report.images, report.nested
    );
    // Writing to a string does not fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!("\n  {:<52} {:>8} {:>8}", "clause", "checked", "broken"));
    for (clause, about) in CLAUSES {
        let broken = report.violations.iter().filter(|found| found.clause == clause).count();
        let name = format!("C-{clause} {about}");
        line(format!("  {name:<52} {:>8} {broken:>8}", checked(report, clause)));
    }
    line(format!("\n  {:<52} {:>8}", "row of the decision table", "met"));
    for row in Row::ALL {
        line(format!("  {:<52} {:>8}", row.name(), met(report, row)));
    }
    line(format!("  {:<52} {:>8}", "(the promise in doubt)", report.promises));
    line(format!("\n  {:<52} {:>8} {:>8}", "disks that went bad", "opened", "doubted"));
    for (way, opened) in &report.damaged {
        let doubted = report.doubted.get(way).copied().unwrap_or(0);
        line(format!("  {way:<52} {opened:>8} {doubted:>8}"));
    }
    text
}

/// By contents: in how many runs a bad sector was harmless, doubted (the promise too), repaired.
fn repairs(report: &repair::Report) -> String {
    let mut text = format!(
        "\nrepair by peers: {} starts of three replicas with one bad sector, at most {} ticks\n",
        report.runs, report.ticks_max
    );
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    let heads = ["bad", "harmless", "in doubt", "promise", "repaired"];
    let heads: String = heads.iter().map(|head| format!(" {head:>8}")).collect();
    line(format!("\n  {:<34}{heads}", "contents of the sector, and fault"));
    for ((kind, way), cell) in &report.cells {
        let numbers =
            [cell.runs, cell.harmless, cell.doubted + cell.promises, cell.promises, cell.repaired];
        let numbers: String = numbers.iter().map(|number| format!(" {number:>8}")).collect();
        line(format!("  {:<34}{numbers}", format!("{kind}, {}", way.name())));
    }
    for (clause, about) in repair::CLAUSES {
        let broken = report.violations.iter().filter(|found| found.clause == clause).count();
        line(format!("  {:<52} {broken:>8} broken", format!("R-{clause} {about}")));
    }
    text
}

fn repairs_document(report: &repair::Report) -> Value {
    let cells: Vec<Value> = report
        .cells
        .iter()
        .map(|((kind, way), cell)| {
            json!({
                "contents": kind, "way": way.name(), "runs": cell.runs,
                "harmless": cell.harmless, "doubted": cell.doubted + cell.promises,
                "promises": cell.promises, "repaired": cell.repaired,
            })
        })
        .collect();
    let violations: Vec<Value> = report
        .violations
        .iter()
        .map(|found| json!({ "clause": found.clause, "what": found.what }))
        .collect();
    json!({
        "runs": report.runs, "ticks_max": report.ticks_max, "cells": cells,
        "violations": violations,
    })
}

fn document(seed: u64, report: &Report, repaired: &repair::Report) -> String {
    let clauses: Vec<Value> = CLAUSES
        .iter()
        .map(|(clause, about)| {
            let broken = report.violations.iter().filter(|found| found.clause == *clause).count();
            let checked = checked(report, *clause);
            json!({ "clause": clause, "about": about, "checked": checked, "broken": broken })
        })
        .collect();
    let rows: Vec<Value> =
        Row::ALL.iter().map(|row| json!({ "row": row.name(), "met": met(report, *row) })).collect();
    let damaged: Vec<Value> = report
        .damaged
        .iter()
        .map(|(way, opened)| {
            let doubted = report.doubted.get(way).copied().unwrap_or(0);
            json!({ "way": way, "opened": opened, "doubted": doubted })
        })
        .collect();
    let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    let document = json!({
        "seed": seed,
        "histories": report.scripts,
        "images": report.images,
        "nested": report.nested,
        "promises_in_doubt": report.promises,
        "clauses": clauses,
        "rows": rows,
        "damaged": damaged,
        "violations": violations,
        "repairs": repairs_document(repaired),
    });
    format!("{document:#}\n")
}
