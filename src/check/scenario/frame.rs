//! What a scenario looks like after a command: every replica, and why each position is as it is.

use super::arrival::Arrival;
use super::stage::{Stage, set};
use crate::base::*;
use crate::replica::{Replica, RoleName};
use std::collections::BTreeMap;

/// All replicas after one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The line of the command, the first being 1.
    pub line: usize,
    /// The command.
    pub command: String,
    /// What the replicas did about it.
    pub said: Vec<String>,
    /// The messages that have come since the last frame, in their order.
    pub arrivals: Vec<Arrival>,
    /// Every replica that was named so far, in order of number.
    pub replicas: Vec<View>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which.
    pub id: ReplicaId,
    /// Whether it runs.
    pub up: bool,
    /// Its role.
    pub role: RoleName,
    /// The leader that it is, is trying to be, or follows.
    pub leader: LeaderId,
    /// The promise (Electing 2), as far as it is durable.
    pub promise: LeaderId,
    /// Whose lineage it took last.
    pub committer: LeaderId,
    /// What is below has been dropped.
    pub purged: Lsn,
    /// What it has accepted.
    pub slots: BTreeMap<Lsn, Slot>,
    /// A leader: its log, accepted here or not.
    pub log: BTreeMap<Lsn, Slot>,
    /// What it knows settled. A leader: as leader.
    pub settled: TailBitmap,
    /// What it has done.
    pub done: TailBitmap,
    /// What is being executed.
    pub running: Vec<Lsn>,
    /// A leader: the position that its next record gets.
    pub next: Option<Lsn>,
    /// A leader: its memberships in force.
    pub memberships: Vec<Membership>,
}

/// A record that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Who made it.
    pub author: LeaderId,
    /// `void`, `membership`, or what the command reads and writes.
    pub what: String,
    /// What comes before it.
    pub depends: Vec<Lsn>,
    /// What need not be executed, once this is settled.
    pub overrides: Vec<Lsn>,
    /// All below is settled.
    pub floor: Lsn,
}

/// What a [`View`] is made of.
pub(crate) struct Seen<'a> {
    pub(crate) id: ReplicaId,
    pub(crate) up: bool,
    pub(crate) replica: &'a Replica,
    /// As far as they are durable.
    pub(crate) promise: LeaderId,
    pub(crate) committer: LeaderId,
    /// What is on its way to the disk.
    pub(crate) written: &'a TailBitmap,
    pub(crate) running: Vec<Lsn>,
    /// Positions below are left out.
    pub(crate) first: Lsn,
}

impl View {
    pub(crate) fn of(seen: Seen<'_>) -> View {
        let Seen { id, up, replica, promise, committer, written, running, first } = seen;
        let (role, leader) = replica.role();
        let leading = replica.leading().filter(|_| up);
        // What is on its way to the disk is not accepted yet, nor taken, nor promised.
        let held = replica.accepted().difference_iter(written).skip_while(|lsn| *lsn < first);
        let slots = held.filter_map(|lsn| Some((lsn, Slot::of(replica.record(lsn)?)))).collect();
        let placed = leading.iter().flat_map(|(next, ..)| (first.0..next.0).map(Lsn));
        let log = placed.filter_map(|lsn| Some((lsn, Slot::of(replica.record(lsn)?)))).collect();
        View {
            id,
            up,
            role,
            leader,
            promise,
            committer,
            purged: replica.purged().max(first),
            slots,
            log,
            settled: leading.map_or_else(|| replica.settled().clone(), |l| l.2.clone()),
            done: replica.done().clone(),
            running,
            next: leading.map(|(next, ..)| next),
            memberships: leading.map_or_else(Vec::new, |_| replica.memberships()),
        }
    }
}

impl Frame {
    pub(super) fn of(stage: &mut Stage, line: usize, command: &str, said: &[String]) -> Frame {
        let view = |(id, node): (&ReplicaId, &super::node::Node)| {
            let written = node.writes.iter().flat_map(|write| write.records.iter());
            View::of(Seen {
                id: *id,
                up: node.up,
                replica: &node.replica,
                promise: node.disk.durable.voted,
                committer: node.disk.durable.lineage.leader(),
                written: &written.map(|record| record.lsn).collect(),
                running: node.applying.iter().map(|(record, _)| record.lsn).collect(),
                first: Lsn::ZERO,
            })
        };
        Frame {
            line,
            command: command.to_string(),
            said: said.to_vec(),
            arrivals: stage.arrivals.replace(Vec::new()).unwrap_or_default(),
            replicas: stage.nodes.iter().map(view).collect(),
        }
    }

    /// The greatest leader that runs.
    pub fn leader(&self) -> Option<&View> {
        let leads = self.replicas.iter().filter(|view| view.next.is_some());
        leads.max_by_key(|view| view.leader)
    }

    /// The position above all that anybody holds, has done or has placed.
    pub fn end(&self) -> Lsn {
        let end = |view: &View| {
            let held = view.slots.keys().next_back().map_or(Lsn::ZERO, |lsn| Lsn(lsn.0 + 1));
            held.max(view.done.end()).max(view.next.unwrap_or(Lsn::ZERO))
        };
        self.replicas.iter().map(end).max().unwrap_or(Lsn::ZERO)
    }

    /// Why the position is settled or is not (Committing 1 and 2), and where it is done.
    pub fn why(&self, lsn: Lsn) -> String {
        let Some(leader) = self.leader() else { return "Nobody leads.".into() };
        let b = leader.leader;
        if lsn >= leader.next.unwrap_or(Lsn::ZERO) {
            return format!("{b} has placed nothing there.");
        }
        let mut text = match (leader.log.get(&lsn), leader.settled.contains(lsn)) {
            (None, true) => format!("Settled: {}.", Frame::gone(leader, lsn)),
            (None, false) => "Not settled, and empty in the log of the leader.".into(),
            (Some(slot), settled) => self.counted(leader, lsn, slot, settled),
        };
        let done = |view: &&View| view.done.contains(lsn);
        let done: Vec<String> =
            self.replicas.iter().filter(done).map(|view| view.id.to_string()).collect();
        if !done.is_empty() {
            text += &format!(" Done at {}.", done.join(" "));
        }
        text
    }

    /// Why a position without a record is settled.
    fn gone(leader: &View, lsn: Lsn) -> String {
        let over = |(_, slot): &(&Lsn, &Slot)| slot.overrides.contains(&lsn);
        match leader.log.iter().rev().find(over) {
            Some((by, _)) => format!("{by} overrides it"),
            None => "a snapshot has it".into(),
        }
    }

    fn counted(&self, leader: &View, lsn: Lsn, slot: &Slot, settled: bool) -> String {
        let b = leader.leader;
        let holds = |view: &&View| view.committer == b && view.slots.contains_key(&lsn);
        let holders: Vec<ReplicaId> = self.replicas.iter().filter(holds).map(|v| v.id).collect();
        let names: Vec<String> = holders.iter().map(ReplicaId::to_string).collect();
        let names = if names.is_empty() { "nobody".into() } else { names.join(" ") };
        let is_quorum = |m: &Membership| m.write.is_quorum(&|id| holders.contains(&id));
        let enough = leader.memberships.iter().all(is_quorum);
        let is_open = |lsn: &Lsn| !leader.settled.contains(*lsn);
        let open: Vec<Lsn> = slot.depends.iter().copied().filter(is_open).collect();
        // Of several the last one: it is the one that a quorum is most likely to hold.
        let overrides =
            |(by, other): &(&Lsn, &Slot)| other.overrides.contains(&lsn) && !is_open(by);
        let overrider = leader.log.iter().rev().find(overrides).filter(|_| !enough);
        match (settled, overrider) {
            (true, Some((by, _))) => format!("Settled: {by} overrides it and is settled."),
            (true, None) if enough => format!(
                "Settled: {names} hold it under {b}, a write quorum, and what it depends on is \
                 settled."
            ),
            (true, None) => format!("Settled: {b} knows that from before."),
            (false, _) if !enough => {
                format!("Not settled: {names} under {b}, which is no write quorum.")
            }
            (false, _) if !open.is_empty() => format!(
                "Not settled: a write quorum holds it ({names}), but it depends on {}, which is \
                 not settled.",
                set(open.into_iter())
            ),
            (false, _) => format!(
                "Not settled, as far as {b} knows: {names} hold it, and it has not heard of that."
            ),
        }
    }
}

impl Slot {
    pub(crate) fn of(record: &Record) -> Slot {
        let what = match &record.payload {
            Payload::Void => "void".into(),
            Payload::Membership(_) => "membership".into(),
            Payload::Command(command) => {
                let keys = |word: &str, keys: &KeySet| {
                    let names: Vec<String> = keys
                        .points()
                        .iter()
                        .map(|key| String::from_utf8_lossy(key).into())
                        .collect();
                    (!names.is_empty()).then(|| format!("{word} {}", names.join(" ")))
                };
                let footprint = &command.footprint;
                let parts = [keys("read", &footprint.reads), keys("write", &footprint.writes)];
                parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
        };
        Slot {
            author: record.author,
            what,
            depends: record.depends.iter().collect(),
            overrides: record.overrides.iter().collect(),
            floor: record.floor,
        }
    }
}
