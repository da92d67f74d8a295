//! The invariants of `design/algorithm.md`, checked at every step of a run.
//!
//! | number | what | file |
//! | --- | --- | --- |
//! | I-1 | promises and committers only grow, and are durable before any answer | `i01_promises.rs` |
//! | I-2 | `(lsn, author)` names one record | `i02_records.rs` |
//! | I-3 | log matching, generalized | `i03_matching.rs` |
//! | I-4 | a follower holds what is in its leader's log | `i04_followers.rs` |
//! | I-5 | a greater leader has what was committed | `i05_completeness.rs` |
//! | I-6 | one record is ever committed at a position, and nothing else is called settled | `i06_agreement.rs` |
//! | I-7 | what a settled record depends on is settled | `i07_closure.rs` |
//! | I-8 | interfering records are ordered, and applied in that order | `i08_order.rs` |
//! | I-9 | same done set, same state; one result per command | `i09_states.rs` |
//! | I-10 | an election and a commit share a node | `i10_quorums.rs` |
//! | I-11 | floors never fall, and what lies below one is settled | `i11_floors.rs` |
//!
//! I-12, progress, is checked at the end of a run by whoever asks for it.
//!
//! The checks trust nothing that a replica believes about others. What is committed is counted
//! anew from what is on the disks (`ledger.rs`), and what replicas call settled is held against it.
//! What state a replica should be in is told by a machine that knows only footprints (`shadow.rs`).
//! Not seen: the part of a log that was preloaded (it is taken for settled). Quorums are majorities
//! in each membership in force (`systems.rs`).

mod i01_promises;
mod i02_records;
mod i03_matching;
mod i04_followers;
mod i05_completeness;
mod i06_agreement;
mod i07_closure;
mod i08_order;
mod i09_states;
mod i10_quorums;
mod i11_floors;
mod ledger;
mod shadow;
mod systems;

use super::Spec;
use crate::base::{LeaderId, Lineage, Lsn, Record, SharedRecord, TailBitmap};
use crate::message::Message;
use crate::replica::{Replica, Write};
use ledger::{Commit, LeaderLog, Ledger, Logs};
pub(crate) use shadow::Shadow;
use systems::Systems;

/// A check passes, or says what is wrong, beginning with the number of the invariant.
type Check = Result<(), String>;

/// What a replica's disk says at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) voted: LeaderId,
    pub(super) lineage: &'a Lineage,
    /// By position.
    pub(super) records: &'a [Option<SharedRecord>],
    /// The positions that have a record.
    pub(super) held: &'a TailBitmap,
}

/// Watches every replica of a run.
#[derive(Debug)]
pub(crate) struct Auditor {
    promises: i01_promises::Promises,
    records: i02_records::Records,
    logs: Logs,
    ledger: Ledger,
    orders: Vec<i08_order::Order>,
    states: i09_states::States,
    quorums: i10_quorums::Quorums,
    /// Whether what is committed is counted.
    counts: bool,
    /// Scratch space.
    commits: Vec<Commit>,
    /// What was found, in order.
    pub(super) violations: Vec<String>,
}

impl Auditor {
    pub(super) fn new(spec: &Spec) -> Auditor {
        let preloaded = Lsn(spec.preload.as_ref().map_or(0, |preload| preload.count()));
        Auditor {
            ledger: Ledger::new(Systems::new(&spec.voters()), preloaded),
            ..Auditor::of(spec.replicas, true)
        }
    }

    /// For a run that begins with nothing. Without `counts`, what follows from counting quorums on
    /// disks is left out (I-4 to I-7, I-10, I-11): it is for majorities of all replicas, on disks
    /// that keep what they have.
    pub(super) fn of(replicas: usize, counts: bool) -> Auditor {
        let all: Vec<usize> = (0..replicas).collect();
        Auditor {
            promises: i01_promises::Promises::new(replicas),
            records: i02_records::Records::default(),
            logs: Logs::new(),
            ledger: Ledger::new(Systems::new(&all), Lsn::ZERO),
            orders: (0..replicas).map(|_| i08_order::Order::default()).collect(),
            states: i09_states::States::default(),
            quorums: i10_quorums::Quorums::default(),
            counts,
            commits: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// A disk has lost something: what it promised before is not expected of it.
    pub(super) fn lost(&mut self, replica: usize) {
        self.promises.forget(replica);
    }

    fn note(&mut self, check: Check) {
        self.violations.extend(check.err());
    }

    /// A replica begins a life: it executes everything again.
    pub(super) fn starts(&mut self, replica: usize) {
        self.orders[replica] = i08_order::Order::default();
    }

    /// A replica gives out a write.
    pub(super) fn writes(&mut self, write: &Write) {
        for record in write.records.iter_shared() {
            let record = &record;
            if self.counts {
                self.ledger.placed(record);
            }
            let known = self.records.record(record);
            self.note(known);
            // What a leader authors joins its log; its floor must not fall.
            let Some(log) = self.logs.get_mut(&record.author) else { continue };
            if record.lsn < log.next() {
                continue;
            }
            let floors = i11_floors::floor(log, record, self.ledger.settled());
            log.append(record);
            if self.counts {
                self.note(floors);
            }
        }
    }

    /// A write has become durable.
    pub(super) fn stored(&mut self, replica: usize, write: &Write, disk: Stored<'_>) {
        let grew = self.promises.stored(replica, disk.voted, disk.lineage.leader());
        self.note(grew);
        if !self.counts {
            return;
        }
        let committer = disk.lineage.leader();
        let mut commits = std::mem::take(&mut self.commits);
        // First contact: what was kept counts under the new committer.
        let kept: &[_] = if write.lineage.is_some() { disk.records } else { &[] };
        let written = write.records.iter_shared();
        for record in kept.iter().flatten().cloned().chain(written) {
            let record = &record;
            if record.lsn < self.ledger.preloaded() {
                continue;
            }
            if let Some(log) = self.logs.get(&committer) {
                let held = i04_followers::held(log, record);
                self.violations.extend(held.err());
            }
            self.ledger.accepted(&self.logs, replica, committer, record, &mut commits);
        }
        for commit in commits.drain(..) {
            self.committed(&commit);
        }
        self.commits = commits;
    }

    fn committed(&mut self, commit: &Commit) {
        let agreed = i06_agreement::agree(commit);
        self.note(agreed);
        if systems::is_membership(&commit.record) {
            self.quorums.forget();
        }
        let shared = self.quorums.committed(commit.holders);
        self.note(shared);
        for (id, log) in self.logs.range(commit.at..) {
            if *id > commit.held_at {
                let complete = i05_completeness::complete(log, commit);
                self.violations.extend(complete.err());
            }
        }
        if let Some(log) = self.logs.get(&commit.at) {
            let ordered = i08_order::ordered(log, &commit.record);
            self.note(ordered);
        }
    }

    /// A replica sends a message.
    pub(super) fn says(&mut self, replica: usize, message: &Message, disk: Stored<'_>) {
        let durable = i01_promises::durable(replica, message, disk);
        self.note(durable);
        if let Some(candidate) = i10_quorums::grant(message) {
            self.quorums.granted(candidate, replica);
        }
    }

    /// A replica leads since now.
    pub(super) fn leads(&mut self, replica: usize, core: &Replica) {
        let (_, id) = core.role();
        let log = LeaderLog::of(core, self.ledger.preloaded());
        if self.counts {
            let elected = self.quorums.elected(id, replica, self.ledger.systems());
            self.note(elected);
        }
        for other in self.logs.values() {
            let matching = i03_matching::matching(other, &log);
            self.violations.extend(matching.err());
        }
        for commit in self.ledger.commits().filter(|commit| commit.at < id) {
            let complete = i05_completeness::complete(&log, commit);
            self.violations.extend(complete.err());
        }
        self.ledger.rebuilt(&log);
        self.logs.insert(id, log);
    }

    /// A record goes out for execution.
    pub(super) fn applies(&mut self, replica: usize, record: &SharedRecord) {
        if record.lsn < self.ledger.preloaded() {
            return;
        }
        let order = self.orders[replica].applies(replica, record);
        self.note(order);
    }

    /// A replica has handled everything of an instant. `executed`: its state has changed, and has
    /// this digest.
    pub(super) fn looks(&mut self, replica: usize, core: &Replica, executed: Option<u64>) {
        let wrong = core.settled().difference_iter(self.ledger.settled()).next();
        if let Some(lsn) = wrong.filter(|_| self.counts) {
            let check = match self.ledger.waits_for(lsn) {
                Some(open) => i07_closure::closed(replica, lsn, open),
                None => i06_agreement::settled(replica, lsn),
            };
            self.note(check);
        }
        if let Some(digest) = executed {
            self.orders[replica].trim(core.done().offset());
            let same = self.states.state(replica, core.done(), digest);
            self.note(same);
        }
    }

    /// A command has been executed with a result of this digest.
    pub(super) fn result(&mut self, replica: usize, record: &Record, digest: u64) {
        let same = self.states.result(replica, record, digest);
        self.note(same);
    }
}

/// Tools for the tests of the checks.
#[cfg(test)]
mod forge {
    use super::*;
    use crate::base::{Command, Footprint, KeySet, Payload};

    pub(super) fn id(term: u64, node: u64) -> LeaderId {
        LeaderId::new(term, node)
    }

    /// A blind write of single-letter keys.
    pub(super) fn write(lsn: u64, author: LeaderId, keys: &str, depends: &[u64]) -> SharedRecord {
        let point = |c: char| bytes::Bytes::from(c.to_string());
        let footprint = Footprint::write(KeySet::from_parts(keys.chars().map(point), []));
        let body = bytes::Bytes::from(keys.to_string());
        let payload = Payload::Command(Command { footprint, body });
        let mut record = Record::bare(Lsn(lsn), author, payload);
        record.depends = depends.iter().map(|lsn| Lsn(*lsn)).collect();
        record.into()
    }

    pub(super) fn set(positions: &[u64]) -> TailBitmap {
        let mut set = TailBitmap::new();
        for lsn in positions {
            set.insert(Lsn(*lsn));
        }
        set
    }

    /// A leader's log of these records; positions left out are empty.
    pub(super) fn log(leader: LeaderId, records: &[SharedRecord]) -> LeaderLog {
        let end = records.iter().map(|r| r.lsn.0 + 1).max().unwrap_or(0);
        let at = |lsn| records.iter().find(|r| r.lsn.0 == lsn).cloned();
        LeaderLog::from_parts(leader, Lsn::ZERO, (0..end).map(at).collect())
    }

    pub(super) fn fails(check: Check, number: &str) {
        let text = check.expect_err("the forged step must be found");
        assert!(text.starts_with(number), "{text}");
    }
}
