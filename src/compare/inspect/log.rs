//! `traft inspect wal`: what a start would believe of a log, and where that lies.

use super::Outcome;
use super::place::{Log, Place};
use super::print::{flaw_document, flaw_line, runs, set};
use crate::wal::{Inspection, SegmentSummary, Standing};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run(dir: &Path, records: bool, as_json: bool) -> Outcome {
    let place = Place::read(dir)?;
    let log = Log::read(place.log(dir)?);
    let Ok(found) = &log.found else {
        let complaints = log.complaints();
        // Damage, or nothing that could be damaged.
        return match log.is_damaged() {
            true => Ok((String::new(), complaints)),
            false => Err(complaints.join("; ")),
        };
    };
    let text = match as_json {
        true => format!("{:#}\n", document(&log, found, records)),
        false => page(&log, found, records),
    };
    Ok((text, log.complaints()))
}

fn page(log: &Log, found: &Inspection, records: bool) -> String {
    let recovered = &found.recovered;
    let durable = &recovered.durable;
    let membership = durable.membership.as_ref();
    let held = if log.is_held {
        "by a running process: what it is writing now may look like an interrupted write"
    } else {
        "by nobody"
    };
    let mark = found.mark.map_or("none".into(), |(segment, sectors)| {
        format!("{sectors} sectors of segment {segment} are synced")
    });
    let mut text = format!(
        "log {}
  of          {} of cluster {}
  held        {held}
  promise     {}
  committer   {}
  lineage     {}
  membership  {}
  purged      below {}
  records     {}: {}
  steps       {}
  mark        {mark}
  doubt       {}
",
        log.dir.display(),
        found.identity.replica,
        found.identity.cluster,
        durable.voted,
        durable.lineage.leader(),
        durable.lineage,
        membership.map_or("none committed".into(), |(lsn, m)| format!("{m} at {lsn}")),
        recovered.purged,
        durable.records.len(),
        set(&runs(durable.records.iter().map(|record| record.lsn))),
        found.steps,
        recovered.doubt.as_ref().map_or("none".into(), ToString::to_string),
    );
    // Writing to a string does not fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!(
        "\n  {:<22}{:>9}{:>9}{:>9}{:>9}{:>12}{:>12}",
        "segment", "sectors", "synced", "steps", "records", "needed", "file"
    ));
    found.segments.iter().for_each(|segment| line(row(segment)));
    let harmless = recovered.flaws.iter().filter(|flaw| !flaw.is_doubtful());
    for (nth, flaw) in harmless.enumerate() {
        line(format!("{}  {}", if nth == 0 { "\n" } else { "" }, flaw_line(&log.dir, flaw)));
    }
    if records {
        line(String::new());
        for (record, place) in durable.records.iter().zip(&found.places) {
            let file = Inspection::file_name(place.segment);
            line(format!("  {record}  {file} byte {}, {} bytes", place.offset, place.bytes));
        }
    }
    text
}

fn row(segment: &SegmentSummary) -> String {
    let SegmentSummary { number, bytes, standing, sectors, synced, steps, records, needed } =
        *segment;
    let name = Inspection::file_name(number);
    match standing {
        Standing::Counts => format!(
            "  {name:<22}{sectors:>9}{synced:>9}{steps:>9}{records:>9}{needed:>12}{bytes:>12}"
        ),
        Standing::Leftover => {
            format!("  {name:<22}{:<48}{bytes:>12}", "  not needed: the next start removes it")
        }
    }
}

/// The same for programs.
pub(super) fn document(log: &Log, found: &Inspection, with_records: bool) -> Value {
    let recovered = &found.recovered;
    let durable = &recovered.durable;
    let membership = durable.membership.as_ref();
    let doubt = recovered.doubt.as_ref().map(|doubt| {
        json!({
            "promise": doubt.promise,
            "lineage": doubt.lineage,
            "inherited": doubt.inherited,
            "strays": doubt.strays.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    let segments: Vec<Value> = found.segments.iter().map(segment).collect();
    let mark = found.mark.map(|(segment, sectors)| json!({"segment": segment, "sectors": sectors}));
    let mut document = json!({
        "log": log.dir.display().to_string(),
        "cluster": found.identity.cluster,
        "replica": found.identity.replica.0,
        "held": log.is_held,
        "promise": durable.voted.to_string(),
        "committer": durable.lineage.leader().to_string(),
        "lineage": durable.lineage.to_string(),
        "membership": membership.map(|(_, membership)| membership.to_string()),
        "membership_at": membership.map(|(lsn, _)| lsn.0),
        "purged_below": recovered.purged.0,
        "records": durable.records.len(),
        "positions": runs(durable.records.iter().map(|record| record.lsn)),
        "steps": found.steps,
        "mark": mark,
        "doubt": doubt,
        "segments": segments,
        "flaws": recovered.flaws.iter().map(flaw_document).collect::<Vec<_>>(),
    });
    if with_records {
        let both = durable.records.iter().zip(&found.places);
        let records: Vec<Value> = both
            .map(|(record, place)| {
                json!({
                    "position": record.lsn.0,
                    "author": record.author.to_string(),
                    "record": record.to_string(),
                    "file": Inspection::file_name(place.segment),
                    "offset": place.offset,
                    "bytes": place.bytes,
                })
            })
            .collect();
        document["held_records"] = json!(records);
    }
    document
}

fn segment(segment: &SegmentSummary) -> Value {
    json!({
        "file": Inspection::file_name(segment.number),
        "counts": segment.standing == Standing::Counts,
        "file_bytes": segment.bytes,
        "sectors": segment.sectors,
        "synced": segment.synced,
        "steps": segment.steps,
        "records": segment.records,
        "needed_bytes": segment.needed,
    })
}
