//! Which majorities commit, told from the records alone.

use crate::base::{LeaderId, Lsn, Membership, Payload, Record};

/// The memberships in force, oldest first: the newest one committed and every later one in a log.
/// One bit stands for each voter; quorums are majorities.
#[derive(Debug)]
pub(super) struct Systems {
    in_force: Vec<(Option<(Lsn, LeaderId)>, u64)>,
}

impl Systems {
    /// What the cluster starts with.
    pub(super) fn new(voters: &[usize]) -> Systems {
        Systems { in_force: vec![(None, voters.iter().fold(0, |mask, r| mask | 1 << r))] }
    }

    /// Whether these are a quorum of each.
    pub(super) fn is_quorum(&self, have: u64) -> bool {
        self.in_force.iter().all(|(_, voters)| majority(have, *voters))
    }

    /// Whether these are a quorum of one: a candidate need not have heard of a later one.
    pub(super) fn could_elect(&self, have: u64) -> bool {
        self.in_force.iter().any(|(_, voters)| majority(have, *voters))
    }

    /// A record is in a log.
    pub(super) fn placed(&mut self, record: &Record) {
        let Payload::Membership(membership) = &record.payload else { return };
        let name = Some((record.lsn, record.author));
        // Whoever accepts it later says so too, perhaps after it has committed.
        if self.in_force.iter().all(|(known, _)| *known < name) {
            self.in_force.push((name, mask(membership)));
        }
    }

    /// A membership has committed: those before it are in force no longer. Says whether any were.
    pub(super) fn committed(&mut self, lsn: Lsn, author: LeaderId) -> bool {
        let at = self.in_force.iter().position(|(name, _)| *name == Some((lsn, author)));
        self.in_force.drain(..at.unwrap_or(0)).count() > 0
    }

    /// Forgets those that are not in the log of a new leader, except the committed one.
    pub(super) fn retain(&mut self, lives: impl Fn(Lsn, LeaderId) -> bool) {
        let mut first = true;
        self.in_force.retain(|(name, _)| {
            std::mem::replace(&mut first, false) || name.is_none_or(|(lsn, of)| lives(lsn, of))
        });
    }
}

/// Whether a record carries a membership.
pub(super) fn is_membership(record: &Record) -> bool {
    matches!(record.payload, Payload::Membership(_))
}

fn majority(have: u64, voters: u64) -> bool {
    2 * (have & voters).count_ones() > voters.count_ones()
}

fn mask(membership: &Membership) -> u64 {
    membership.voters().iter().fold(0, |mask, id| mask | 1 << (id.0 - 1))
}

#[cfg(test)]
mod tests {
    use super::super::forge::id;
    use super::*;
    use crate::base::ReplicaId;

    #[test]
    fn a_pending_membership_needs_both_and_a_committed_one_itself() {
        let mut systems = Systems::new(&[0, 1, 2]);
        let membership = Membership::majority([1, 4, 5].map(ReplicaId));
        let record = Record::bare(Lsn(7), id(1, 1), Payload::Membership(membership));
        assert!(systems.is_quorum(0b00110));
        systems.placed(&record);
        assert!(!systems.is_quorum(0b00110) && !systems.is_quorum(0b11000));
        assert!(systems.is_quorum(0b01011) && systems.could_elect(0b11000));
        assert!(systems.committed(Lsn(7), id(1, 1)) && systems.is_quorum(0b11000));
        systems.placed(&record);
        assert!(!systems.is_quorum(0b00110), "the old one does not come back");
    }

    #[test]
    fn a_dead_membership_is_forgotten() {
        let mut systems = Systems::new(&[0, 1, 2]);
        let membership = Membership::majority([4, 5].map(ReplicaId));
        systems.placed(&Record::bare(Lsn(7), id(1, 1), Payload::Membership(membership)));
        systems.retain(|_, _| false);
        assert!(systems.is_quorum(0b110));
    }
}
