//! `traft inspect diff`: how what two replicas keep differs.

use super::Outcome;
use super::place::{File, Log, Place};
use super::print::{LISTED_MAX, bitmap, runs, set};
use crate::base::{Key, KeyRange, Lsn, Record};
use crate::disk::RealDisk;
use crate::snapshot::{Range, Snapshot, SnapshotError, text};
use crate::wal::Inspection;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What is known of one of the two.
struct Side {
    name: String,
    log: Option<Log>,
    file: Option<File>,
}

pub(super) fn run(a: &Path, b: &Path, as_json: bool) -> Outcome {
    let (a, b) = (Side::read(a)?, Side::read(b)?);
    let mut complaints: Vec<String> = [&a, &b].into_iter().flat_map(Side::complaints).collect();
    let facts = facts(&a, &b);
    let records = Records::of(&a, &b);
    let keys = match (a.snapshot(), b.snapshot()) {
        (Some(ours), Some(theirs)) => Keys::of(ours, theirs).map_err(|error| error.to_string())?,
        _ => Keys::default(),
    };
    if facts.is_empty() {
        return Err(format!("{} and {} have nothing in common to compare", a.name, b.name));
    }
    let differ = facts.iter().any(|fact| fact.differs()) || records.differ() || keys.differ();
    if differ {
        complaints.push(format!("{} and {} differ", a.name, b.name));
    }
    let text = match as_json {
        true => format!("{:#}\n", document(&a, &b, &facts, &records, &keys)),
        false => page(&a, &b, &facts, &records, &keys),
    };
    Ok((text, complaints))
}

impl Side {
    fn read(path: &Path) -> Result<Side, String> {
        let name = path.display().to_string();
        if path.is_file() {
            return Ok(Side { name, log: None, file: Some(File::read(path)?) });
        }
        let place = Place::read(path)?;
        let log = match place.logs.is_empty() {
            true => None,
            false => Some(Log::read(place.log(path)?)),
        };
        // The greatest name counts.
        let newest = place.snapshots.iter().max_by_key(|path| path.file_name());
        let file = newest.map(|path| File::read(path)).transpose()?;
        if log.is_none() && file.is_none() {
            return Err(format!("{name}: there is neither a log nor a snapshot"));
        }
        Ok(Side { name, log, file })
    }

    fn complaints(&self) -> Vec<String> {
        let log = self.log.iter().flat_map(Log::complaints);
        log.chain(self.file.iter().flat_map(File::complaints)).collect()
    }

    fn found(&self) -> Option<&Inspection> {
        self.log.as_ref()?.found.as_ref().ok()
    }

    fn snapshot(&self) -> Option<&Snapshot<RealDisk>> {
        self.file.as_ref()?.snapshot.as_ref()
    }

    fn held(&self) -> BTreeMap<Lsn, &Record> {
        let records = self.found().map(|found| &found.recovered.durable.records);
        records.into_iter().flatten().map(|record| (record.lsn, record)).collect()
    }
}

/// Something that each side says of itself.
struct Fact {
    name: &'static str,
    of: [String; 2],
    /// Whether two replicas that are alike say the same.
    matters: bool,
}

impl Fact {
    fn differs(&self) -> bool {
        self.matters && self.of[0] != self.of[1]
    }
}

fn facts(a: &Side, b: &Side) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, matters, of| facts.push(Fact { name, of, matters });
    if let (Some(a), Some(b)) = (a.found(), b.found()) {
        let both = |say: &dyn Fn(&Inspection) -> String| [say(a), say(b)];
        let membership = |found: &Inspection| {
            let membership = found.recovered.durable.membership.as_ref();
            membership.map_or("none committed".into(), |(lsn, m)| format!("{m} at {lsn}"))
        };
        add("replica", false, both(&|found| found.identity.replica.to_string()));
        add("cluster", true, both(&|found| found.identity.cluster.to_string()));
        add("promise", true, both(&|found| found.recovered.durable.voted.to_string()));
        add("committer", true, both(&|f| f.recovered.durable.lineage.leader().to_string()));
        add("lineage", true, both(&|found| found.recovered.durable.lineage.to_string()));
        add("membership", true, both(&membership));
        add("purged", true, both(&|found| format!("below {}", found.recovered.purged)));
    }
    if let (Some(a), Some(b)) = (a.snapshot(), b.snapshot()) {
        let both = |say: &dyn Fn(&Snapshot<RealDisk>) -> String| [say(a), say(b)];
        add("snapshot", false, both(&|snapshot| snapshot.name().into()));
        add("of cluster", true, both(&|snapshot| snapshot.header().cluster.to_string()));
        add("done", true, both(&|snapshot| bitmap(&snapshot.header().done)));
        add("its lineage", true, both(&|snapshot| snapshot.header().lineage.to_string()));
        add("its members", true, both(&|snapshot| snapshot.header().membership.to_string()));
    }
    facts
}

/// The records that one has and the other has not, or has otherwise.
#[derive(Default)]
struct Records {
    same: usize,
    only: [Vec<Lsn>; 2],
    other: Vec<(Record, Record)>,
}

impl Records {
    fn of(a: &Side, b: &Side) -> Records {
        let (ours, theirs) = (a.held(), b.held());
        let mut records = Records::default();
        if a.found().is_none() || b.found().is_none() {
            return records;
        }
        for (lsn, mine) in &ours {
            match theirs.get(lsn) {
                None => records.only[0].push(*lsn),
                Some(other) if other == mine => records.same += 1,
                Some(other) => records.other.push((Record::clone(mine), Record::clone(other))),
            }
        }
        records.only[1].extend(theirs.keys().filter(|lsn| !ours.contains_key(lsn)));
        records
    }

    fn differ(&self) -> bool {
        self.only.iter().any(|only| !only.is_empty()) || !self.other.is_empty()
    }
}

/// What is the matter with two different records at a position.
fn verdict(a: &Record, b: &Record) -> &'static str {
    match a.author == b.author {
        true => "WRONG: one leader never makes two records of a position",
        false => "of two leaders: the one of the committer's lineage will take its place",
    }
}

/// The pairs of a snapshot, those that cannot be read left out.
struct Pairs<'a> {
    snapshot: &'a Snapshot<RealDisk>,
    rest: Range<'a, RealDisk>,
    /// What was left out.
    damaged: Vec<KeyRange>,
    next: Option<(Key, Bytes)>,
}

impl<'a> Pairs<'a> {
    fn new(snapshot: &'a Snapshot<RealDisk>) -> Result<Pairs<'a>, SnapshotError> {
        let rest = snapshot.range(&KeyRange::ALL);
        let mut pairs = Pairs { snapshot, rest, damaged: Vec::new(), next: None };
        pairs.advance()?;
        Ok(pairs)
    }

    /// Gives the next pair, and reads the one after it.
    fn advance(&mut self) -> Result<Option<(Key, Bytes)>, SnapshotError> {
        loop {
            match self.rest.next().transpose() {
                Ok(next) => return Ok(std::mem::replace(&mut self.next, next)),
                Err(SnapshotError::Damaged(damage)) => {
                    let KeyRange { end, .. } = &damage.keys;
                    let behind = end.clone().unwrap_or_default();
                    // The empty range has nothing more.
                    let end = end.is_none().then(Key::new);
                    self.rest = self.snapshot.range(&KeyRange { start: behind, end });
                    self.damaged.push(damage.keys);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next_if(&mut self, key: &Key) -> Result<Option<Bytes>, SnapshotError> {
        let there = self.next.as_ref().is_some_and(|(next, _)| next == key);
        Ok(if there { self.advance()?.map(|(_, value)| value) } else { None })
    }

    /// Whether it cannot be told what it has there.
    fn is_damaged(&self, key: &Key) -> bool {
        let has =
            |keys: &KeyRange| keys.start <= *key && keys.end.as_ref().is_none_or(|end| *key < *end);
        self.damaged.iter().any(has)
    }
}

/// The keys that one has and the other has not, or with another value.
#[derive(Default)]
struct Keys {
    same: u64,
    only: [u64; 2],
    other: u64,
    /// Keys of one that lie where the other cannot be read.
    unknown: u64,
    /// The first of those that differ: the key, and how long a value each side has.
    listed: Vec<(String, [Option<usize>; 2])>,
}

impl Keys {
    /// Goes through both at once.
    fn of(a: &Snapshot<RealDisk>, b: &Snapshot<RealDisk>) -> Result<Keys, SnapshotError> {
        let mut keys = Keys::default();
        let (mut ours, mut theirs) = (Pairs::new(a)?, Pairs::new(b)?);
        loop {
            let next = ours.next.iter().chain(&theirs.next).map(|(key, _)| key).min();
            let Some(key) = next.cloned() else { return Ok(keys) };
            let unknown = ours.is_damaged(&key) || theirs.is_damaged(&key);
            let both = [ours.next_if(&key)?, theirs.next_if(&key)?];
            match &both {
                _ if unknown => {
                    keys.unknown += 1;
                    continue;
                }
                [mine, other] if mine == other => {
                    keys.same += 1;
                    continue;
                }
                [Some(_), Some(_)] => keys.other += 1,
                [mine, _] => keys.only[usize::from(mine.is_none())] += 1,
            }
            if keys.listed.len() < LISTED_MAX {
                keys.listed.push((text(&key), both.map(|value| value.map(|value| value.len()))));
            }
        }
    }

    fn differ(&self) -> bool {
        self.other > 0 || self.only.iter().any(|count| *count > 0)
    }
}

fn page(a: &Side, b: &Side, facts: &[Fact], records: &Records, keys: &Keys) -> String {
    let mut text = format!("A  {}\nB  {}\n", a.name, b.name);
    // Writing to a string does not fail.
    let mut line = |what: &str, line: String| {
        let _ = writeln!(text, "  {what:<12}{line}");
    };
    for fact in facts {
        let [a, b] = &fact.of;
        line(fact.name, if a == b { a.clone() } else { format!("A {a}, B {b}") });
    }
    for (side, name) in [(a, "A"), (b, "B")] {
        if side.log.as_ref().is_some_and(|log| log.is_held) {
            line("held", format!("{name}, by a running process: it goes on while this is read"));
        }
    }
    if a.found().is_some() && b.found().is_some() {
        let [a, b] = records.only.each_ref().map(|only| set(&runs(only.iter().copied())));
        let other = records.other.len();
        line(
            "records",
            format!("{} the same, only A {a}, only B {b}, {other} otherwise", records.same),
        );
        for (mine, theirs) in records.other.iter().take(LISTED_MAX) {
            line("", format!("A {mine}, B {theirs}: {}", verdict(mine, theirs)));
        }
    }
    if a.snapshot().is_some() && b.snapshot().is_some() {
        let Keys { same, only: [a, b], other, unknown, listed } = keys;
        let unknown = match unknown {
            0 => String::new(),
            unknown => format!(", {unknown} where the other is damaged"),
        };
        line(
            "keys",
            format!("{same} the same, only A {a}, only B {b}, {other} otherwise{unknown}"),
        );
        for (key, sizes) in listed {
            let [a, b] =
                sizes.map(|size| size.map_or("nothing".into(), |size| format!("{size} bytes")));
            line("", format!("{key}: A {a}, B {b}"));
        }
    }
    text
}

fn document(a: &Side, b: &Side, facts: &[Fact], records: &Records, keys: &Keys) -> Value {
    let facts: Vec<Value> = facts
        .iter()
        .map(|fact| {
            let Fact { name, of: [a, b], .. } = fact;
            json!({"what": name, "a": a, "b": b, "differs": fact.differs()})
        })
        .collect();
    let other: Vec<Value> = records
        .other
        .iter()
        .take(LISTED_MAX)
        .map(|(a, b)| {
            json!({
                "position": a.lsn.0,
                "a": a.to_string(),
                "b": b.to_string(),
                "meaning": verdict(a, b),
            })
        })
        .collect();
    let listed: Vec<Value> = keys
        .listed
        .iter()
        .map(|(key, [a, b])| json!({"key": key, "a_bytes": a, "b_bytes": b}))
        .collect();
    let only = |side: usize| json!(runs(records.only[side].iter().copied()));
    json!({
        "a": a.name,
        "b": b.name,
        "facts": facts,
        "records": {
            "same": records.same,
            "only_a": only(0),
            "only_b": only(1),
            "otherwise": records.other.len(),
            "listed": other,
        },
        "keys": {
            "same": keys.same,
            "only_a": keys.only[0],
            "only_b": keys.only[1],
            "otherwise": keys.other,
            "unknown": keys.unknown,
            "listed": listed,
        },
    })
}
