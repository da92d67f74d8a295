//! The other direction: what stands in a file may be anything.

use super::Line;
use crate::base::{
    Command, Footprint, Key, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record,
    Records, ReplicaId, Run, SharedRecord, Tail, TailBitmap,
};
use crate::replica::{Doubt, Durable, SnapshotMeta, Step, Write};
use bytes::Bytes;
use serde_json::Value;

/// A line that is no step. The user mends the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadStep {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

type Read<T> = Result<T, String>;

/// Positions beyond this are no positions of a trace: sets are kept whole.
const LSN_MAX: u64 = 1 << 32;

/// The steps of a text, one a line; empty lines are skipped.
///
/// # Errors
/// The first line that is no step.
pub fn parse(text: &str) -> Result<Vec<Line>, BadStep> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, text)| line(text).map_err(|why| BadStep { line: at + 1, why })).collect()
}

fn line(text: &str) -> Read<Line> {
    let all: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (at, replica) = (number(&all, "at")?, ReplicaId(number(&all, "replica")?));
    let step = match all["step"].as_str().unwrap_or_default() {
        "starts" => Step::Starts(Box::new(starts(&all)?)),
        "writes" => Step::Writes(Box::new(writes(&all)?)),
        "stores" => Step::Stores(number(&all, "number")?),
        "purges" => Step::Purges(lsn(&all["below"])?),
        "applies" => Step::Applies(list(&all["lsns"])?.iter().map(lsn).collect::<Read<_>>()?),
        "restores" => Step::Restores(set(&all["done"])?),
        "campaigns" => Step::Campaigns(leader(&all["candidate"])?),
        "grants" => Step::Grants {
            candidate: leader(&all["candidate"])?,
            committer: leader(&all["committer"])?,
            accepted: set(&all["accepted"])?,
            purged: lsn(&all["purged"])?,
        },
        "hears" => Step::Hears {
            from: ReplicaId(number(&all, "from")?),
            incarnation: number(&all, "incarnation")?,
            candidate: leader(&all["candidate"])?,
            purged: lsn(&all["purged"])?,
            known: known(&all["known"])?,
        },
        "accepts" => {
            Step::Accepts { leader: leader(&all["leader"])?, accepted: set(&all["accepted"])? }
        }
        "leads" => Step::Leads {
            leader: leader(&all["leader"])?,
            lineage: optional(&all["lineage"], lineage)?,
            records: list(&all["records"])?.iter().map(name).collect::<Read<_>>()?,
            settled: set(&all["settled"])?,
        },
        other => return Err(format!("no step is called {other:?}")),
    };
    Ok(Line { at, replica, step })
}

fn starts(all: &Value) -> Read<Durable> {
    Ok(Durable {
        voted: leader(&all["voted"])?,
        lineage: lineage(&all["lineage"])?,
        records: records(&all["records"])?,
        membership: known(&all["known"])?,
        snapshot: optional(&all["snapshot"], snapshot)?.map(Box::new),
        incarnation: number(all, "incarnation")?,
        life: number(all, "life")?,
        doubt: (all["doubt"] == true).then_some(Doubt::Promise),
    })
}

fn writes(all: &Value) -> Read<Write> {
    Ok(Write {
        number: number(all, "number")?,
        voted: optional(&all["voted"], leader)?,
        lineage: optional(&all["lineage"], lineage)?,
        records: records(&all["records"])?,
        membership: known(&all["known"])?,
        repaired: all["repaired"] == true,
        snapshot: optional(&all["snapshot"], snapshot)?.map(Box::new),
    })
}

fn snapshot(value: &Value) -> Read<SnapshotMeta> {
    Ok(SnapshotMeta {
        done: set(&value["done"])?,
        committer: leader(&value["committer"])?,
        membership: known(&value["known"])?,
    })
}

fn optional<T>(value: &Value, read: impl Fn(&Value) -> Read<T>) -> Read<Option<T>> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

fn number(all: &Value, field: &str) -> Read<u64> {
    all[field].as_u64().ok_or_else(|| format!("{field} is a number"))
}

fn list(value: &Value) -> Read<&Vec<Value>> {
    value.as_array().ok_or_else(|| format!("{value} should be a list"))
}

fn pair(value: &Value) -> Read<(&Value, &Value)> {
    match &list(value)?[..] {
        [one, other] => Ok((one, other)),
        _ => Err(format!("{value} should be a list of two")),
    }
}

fn lsn(value: &Value) -> Read<Lsn> {
    let number = value.as_u64().filter(|number| *number < LSN_MAX);
    number.map(Lsn).ok_or_else(|| format!("{value} should be a position"))
}

fn leader(value: &Value) -> Read<LeaderId> {
    let parts = value.as_str().and_then(|text| text.split_once('#'));
    let parsed = parts.and_then(|(term, node)| {
        Some(LeaderId { term: term.parse().ok()?, node: ReplicaId(node.parse().ok()?) })
    });
    parsed.ok_or_else(|| format!("{value} should be a leader id, as \"3#2\""))
}

fn known(value: &Value) -> Read<Option<(Lsn, Membership)>> {
    optional(value, |value| {
        let (at, text) = pair(value)?;
        Ok((lsn(at)?, membership(text)?))
    })
}

fn membership(value: &Value) -> Read<Membership> {
    let text = value.as_str().unwrap_or_default();
    text.parse().map_err(|error| format!("{text:?} is no membership: {error}"))
}

fn lineage(value: &Value) -> Read<Lineage> {
    let run = |value: &Value| {
        let (start, author) = pair(value)?;
        Ok(Run { start: lsn(start)?, author: leader(author)? })
    };
    let runs = list(&value["runs"])?.iter().map(run).collect::<Read<_>>()?;
    let lineage = Lineage::from_parts(leader(&value["leader"])?, runs, lsn(&value["end"])?);
    lineage.ok_or_else(|| format!("{value} should be a lineage"))
}

fn positions(value: &Value) -> Read<Tail> {
    list(value)?.iter().map(lsn).collect()
}

fn set(value: &Value) -> Read<TailBitmap> {
    let (offset, tail) = pair(value)?;
    let (offset, mut tail) = (lsn(offset)?, positions(tail)?);
    tail.remove_below(offset);
    Ok(TailBitmap::from_parts(offset, tail))
}

fn name(value: &Value) -> Read<(Lsn, LeaderId)> {
    let (at, author) = pair(value)?;
    Ok((lsn(at)?, leader(author)?))
}

fn records(value: &Value) -> Read<Records> {
    let records: Vec<SharedRecord> = list(value)?
        .iter()
        .map(|value| record(value).map(SharedRecord::from))
        .collect::<Read<_>>()?;
    Ok(Records::gather(&records))
}

fn record(value: &Value) -> Read<Record> {
    let payload = match (&value["membership"], &value["command"]) {
        (Value::Null, Value::Null) => Payload::Void,
        (Value::Null, command) => Payload::Command(Command {
            footprint: Footprint {
                reads: keys(&command["reads"])?,
                writes: keys(&command["writes"])?,
            },
            body: Bytes::copy_from_slice(&number(command, "body")?.to_le_bytes()),
        }),
        (text, _) => Payload::Membership(membership(text)?),
    };
    let record = Record {
        lsn: lsn(&value["lsn"])?,
        author: leader(&value["author"])?,
        floor: lsn(&value["floor"])?,
        depends: positions(&value["depends"])?,
        overrides: positions(&value["overrides"])?,
        payload,
    };
    match record.is_well_formed() {
        true => Ok(record),
        false => Err(format!("{record} is not well-formed")),
    }
}

fn key(value: &Value) -> Read<Key> {
    let wrong = || format!("{value} should be a key in hexadecimal digits");
    let text = value.as_str().ok_or_else(wrong)?.as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| rest.is_empty()).map(Key::from).ok_or_else(wrong)
}

fn keys(value: &Value) -> Read<KeySet> {
    let (mut points, mut ranges) = (Vec::new(), Vec::new());
    for value in list(value)? {
        if value.is_string() {
            points.push(key(value)?);
            continue;
        }
        let (start, end) = pair(value)?;
        ranges.push(KeyRange { start: key(start)?, end: optional(end, key)? });
    }
    Ok(KeySet::from_parts(points, ranges))
}
