//! Steps as JSON lines: what a cluster records, and what is checked later.
//!
//! ```text
//! {"at":812,"replica":2,"step":"stores","number":7}
//! {"at":910,"replica":2,"step":"accepts","leader":"3#1","accepted":[4,[6,7]]}
//! ```
//!
//! `at` is in nanoseconds of one clock that all replicas of a trace share. A set of positions is
//! where its prefix ends, and what lies above; a leader id is `term#replica`; keys are hexadecimal;
//! of what a command does there is a digest: a trace tells nobody what is stored.

mod read;

use crate::apply::Digest;
use crate::base::{
    Footprint, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record, Records, ReplicaId,
    Tail, TailBitmap,
};
use crate::replica::{Durable, SnapshotMeta, Step, Write};
pub use read::{BadStep, parse};
use serde_json::{Map, Value, json};

/// A step of a replica, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In nanoseconds of a clock that all replicas of a trace share.
    pub at: u64,
    /// Whose.
    pub replica: ReplicaId,
    /// What.
    pub step: Step,
}

/// The step as a line, without the end of the line.
pub fn print(at: u64, replica: ReplicaId, step: &Step) -> String {
    let (name, fields) = fields(step);
    let mut line = Map::new();
    line.insert("at".into(), at.into());
    line.insert("replica".into(), replica.0.into());
    line.insert("step".into(), name.into());
    if let Value::Object(fields) = fields {
        line.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(line).to_string()
}

fn fields(step: &Step) -> (&'static str, Value) {
    match step {
        Step::Starts(durable) => ("starts", starts(durable)),
        Step::Writes(write) => ("writes", writes(write)),
        Step::Stores(number) => ("stores", json!({ "number": number })),
        Step::Purges(below) => ("purges", json!({ "below": below.0 })),
        Step::Applies(lsns) => {
            ("applies", json!({ "lsns": lsns.iter().map(|lsn| lsn.0).collect::<Vec<_>>() }))
        }
        Step::Restores(done) => ("restores", json!({ "done": set(done) })),
        Step::Campaigns(candidate) => ("campaigns", json!({ "candidate": leader(*candidate) })),
        Step::Grants { candidate, committer, accepted, purged } => (
            "grants",
            json!({
                "candidate": leader(*candidate),
                "committer": leader(*committer),
                "accepted": set(accepted),
                "purged": purged.0,
            }),
        ),
        Step::Hears { from, incarnation, candidate, purged, known: committed } => (
            "hears",
            json!({
                "from": from.0,
                "incarnation": incarnation,
                "candidate": leader(*candidate),
                "purged": purged.0,
                "known": known(committed.as_ref()),
            }),
        ),
        Step::Accepts { leader: of, accepted } => {
            ("accepts", json!({ "leader": leader(*of), "accepted": set(accepted) }))
        }
        Step::Leads { leader: own, lineage: authors, records, settled } => {
            let name = |(lsn, author): &(Lsn, LeaderId)| json!([lsn.0, leader(*author)]);
            (
                "leads",
                json!({
                    "leader": leader(*own),
                    "lineage": authors.as_ref().map(lineage),
                    "records": records.iter().map(name).collect::<Vec<_>>(),
                    "settled": set(settled),
                }),
            )
        }
    }
}

fn starts(durable: &Durable) -> Value {
    json!({
        "voted": leader(durable.voted),
        "lineage": lineage(&durable.lineage),
        "records": records(&durable.records),
        "known": known(durable.membership.as_ref()),
        "snapshot": durable.snapshot.as_deref().map(snapshot),
        "incarnation": durable.incarnation,
        "life": durable.life,
        "doubt": durable.doubt.is_some(),
    })
}

fn writes(write: &Write) -> Value {
    json!({
        "number": write.number,
        "voted": write.voted.map(leader),
        "lineage": write.lineage.as_ref().map(lineage),
        "records": records(&write.records),
        "known": known(write.membership.as_ref()),
        "repaired": write.repaired.then_some(true),
        "snapshot": write.snapshot.as_deref().map(snapshot),
    })
}

fn snapshot(meta: &SnapshotMeta) -> Value {
    json!({
        "done": set(&meta.done),
        "committer": leader(meta.committer),
        "known": known(meta.membership.as_ref()),
    })
}

fn known(membership: Option<&(Lsn, Membership)>) -> Value {
    membership.map_or(Value::Null, |(lsn, membership)| json!([lsn.0, membership.to_string()]))
}

fn leader(id: LeaderId) -> Value {
    format!("{}#{}", id.term, id.node.0).into()
}

fn lineage(lineage: &Lineage) -> Value {
    let run = |run: &crate::base::Run| json!([run.start.0, leader(run.author)]);
    json!({
        "leader": leader(lineage.leader()),
        "runs": lineage.runs().iter().map(run).collect::<Vec<_>>(),
        "end": lineage.end().0,
    })
}

fn positions(tail: &Tail) -> Value {
    tail.iter().map(|lsn| lsn.0).collect::<Vec<_>>().into()
}

fn set(set: &TailBitmap) -> Value {
    json!([set.offset().0, positions(set.tail())])
}

fn records(records: &Records) -> Value {
    records.iter().map(record).collect::<Vec<_>>().into()
}

fn record(record: &Record) -> Value {
    let (what, detail) = match &record.payload {
        Payload::Void => ("void", json!(true)),
        Payload::Membership(membership) => ("membership", json!(membership.to_string())),
        Payload::Command(command) => {
            let Footprint { reads, writes } = &command.footprint;
            let body = Digest::new().bytes(&command.body).value();
            ("command", json!({ "reads": keys(reads), "writes": keys(writes), "body": body }))
        }
    };
    json!({
        "lsn": record.lsn.0,
        "author": leader(record.author),
        "floor": record.floor.0,
        "depends": positions(&record.depends),
        "overrides": positions(&record.overrides),
        what: detail,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Points are strings, ranges lists of a beginning and an end; `null` if they have no end.
fn keys(keys: &KeySet) -> Value {
    let points = keys.points().iter().map(|key| Value::from(hex(key)));
    let ranges = keys
        .ranges()
        .iter()
        .map(|range| json!([hex(&range.start), range.end.as_ref().map(|end| hex(end))]));
    points.chain(ranges).collect::<Vec<_>>().into()
}
