//! I-5 and I-6 by what replicas say: what one calls settled is the same record everywhere, and is
//! in the log of every later leader, or empty there. Knows nothing of memberships and quorums.

use super::Check;
use crate::base::{LeaderId, Lsn, Payload, TailBitmap};
use crate::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};

/// What was called settled, and who has led.
pub(super) struct Claims {
    /// By position: the author of the record, and the least leader that knew.
    settled: Vec<Option<(LeaderId, LeaderId)>>,
    /// Of each replica in its present life.
    seen: Vec<TailBitmap>,
    leading: Vec<LeaderId>,
    elected: Vec<LeaderId>,
    /// Where memberships that somebody calls settled stand.
    memberships: BTreeSet<Lsn>,
}

impl Claims {
    pub(super) fn new(replicas: usize) -> Claims {
        Claims {
            settled: Vec::new(),
            seen: vec![TailBitmap::new(); replicas],
            leading: vec![LeaderId::NOBODY; replicas],
            elected: Vec::new(),
            memberships: BTreeSet::new(),
        }
    }

    pub(super) fn starts(&mut self, at: usize) {
        self.seen[at] = TailBitmap::new();
    }

    /// Whether it leads since now.
    pub(super) fn leads(&mut self, at: usize, replica: &Replica) -> bool {
        let (_, id) = replica.role();
        if replica.leading().is_none() || self.leading[at] == id {
            return false;
        }
        self.leading[at] = id;
        true
    }

    pub(super) fn look(
        &mut self,
        at: usize,
        replica: &Replica,
        new_leader: bool,
        counts: &mut BTreeMap<&'static str, u64>,
    ) -> Check {
        let leader = replica.lineage().leader();
        if replica.settled().end() > self.seen[at].end()
            || replica.settled().offset() > self.seen[at].offset()
        {
            if !replica.settled().tail().is_empty() {
                *counts.entry("settled above a hole").or_default() += 1;
            }
            let new: Vec<Lsn> = replica.settled().difference_iter(&self.seen[at]).collect();
            self.seen[at] = replica.settled().clone();
            for lsn in new {
                let Some(record) = replica.record(lsn) else { continue };
                let slot = lsn.0 as usize;
                if slot >= self.settled.len() {
                    self.settled.resize(slot + 1, None);
                }
                if matches!(record.payload, Payload::Membership(_)) {
                    self.memberships.insert(lsn);
                }
                let (author, _) = *self.settled[slot].get_or_insert((record.author, leader));
                if author != record.author {
                    let other = record.author;
                    return Err(format!(
                        "I-6 n{} calls {other}'s record at {lsn} settled, and {author}'s is",
                        at + 1
                    ));
                }
            }
        }
        if new_leader { self.complete(replica, counts) } else { Ok(()) }
    }

    /// I-5: the log of a new leader.
    fn complete(&mut self, replica: &Replica, counts: &mut BTreeMap<&'static str, u64>) -> Check {
        let Some((next, empties, _)) = replica.leading() else { return Ok(()) };
        let (_, id) = replica.role();
        if self.elected.last().is_some_and(|last| last.term == id.term) {
            *counts.entry("switch inside a term").or_default() += 1;
        }
        self.elected.push(id);
        for (slot, settled) in self.settled.iter().enumerate() {
            let Some((author, leader)) = settled else { continue };
            let lsn = Lsn(slot as u64);
            let held = replica.record(lsn).map(|record| record.author);
            let gone = lsn < replica.first_in_memory() && replica.accepted().contains(lsn);
            let empty = held.is_none() && (gone || empties.contains(lsn));
            if *leader < id && (lsn >= next || held != Some(*author) && !empty) {
                return Err(format!(
                    "I-5 {id} has {held:?} at {lsn}, where {leader} settled the record of {author}"
                ));
            }
        }
        Ok(())
    }

    /// The author of the record that is settled at a position, as far as anybody has said.
    pub(super) fn author(&self, lsn: Lsn) -> Option<LeaderId> {
        self.settled.get(lsn.0 as usize).copied().flatten().map(|(author, _)| author)
    }

    pub(super) fn count(&self, counts: &mut BTreeMap<&'static str, u64>) {
        counts.insert("membership changed", self.memberships.len() as u64);
        counts.insert("leaders", self.elected.len() as u64);
        counts.insert("settled", self.settled.iter().flatten().count() as u64);
    }
}
