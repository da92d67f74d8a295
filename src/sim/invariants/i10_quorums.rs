//! I-10: an election and a commit under memberships in force at the same time share a node.

use super::Check;
use super::systems::Systems;
use crate::base::LeaderId;
use crate::message::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Who granted what, and who held what was committed; one bit each.
#[derive(Debug, Default)]
pub(super) struct Quorums {
    granted: BTreeMap<LeaderId, u64>,
    elections: BTreeSet<u64>,
    commits: BTreeSet<u64>,
}

/// The candidate that a message grants a vote to.
pub(super) fn grant(message: &Message) -> Option<LeaderId> {
    match message {
        Message::VoteReply(m) if m.grant.is_some() => Some(m.candidate),
        _ => None,
    }
}

impl Quorums {
    /// A membership has committed: what was committed and who was elected before need not meet what
    /// comes.
    pub(super) fn forget(&mut self) {
        self.elections.clear();
        self.commits.clear();
    }

    /// A replica grants `candidate` its vote.
    pub(super) fn granted(&mut self, candidate: LeaderId, replica: usize) {
        *self.granted.entry(candidate).or_default() |= 1 << replica;
    }

    /// `replica` leads as `id`: a quorum has granted it.
    pub(super) fn elected(&mut self, id: LeaderId, replica: usize, systems: &Systems) -> Check {
        self.granted(id, replica);
        let voters = self.granted[&id];
        if !systems.could_elect(voters) {
            return Err(format!("I-10 {id} leads with the votes {voters:b}, which is no quorum"));
        }
        self.elections.insert(voters);
        self.meet(self.commits.iter().map(|holders| (voters, *holders)))
    }

    /// Something is committed, held by these.
    pub(super) fn committed(&mut self, holders: u64) -> Check {
        if !self.commits.insert(holders) {
            return Ok(());
        }
        self.meet(self.elections.iter().map(|voters| (*voters, holders)))
    }

    fn meet(&self, mut pairs: impl Iterator<Item = (u64, u64)>) -> Check {
        match pairs.find(|(voters, holders)| voters & holders == 0) {
            Some((voters, holders)) => {
                Err(format!("I-10 voters {voters:b} and holders {holders:b} do not meet"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id};
    use super::*;

    #[test]
    fn quorums_that_do_not_meet_are_found() {
        let (mut quorums, four) = (Quorums::default(), Systems::new(&[0, 1, 2, 3]));
        for replica in [0, 1] {
            quorums.granted(id(1, 1), replica);
        }
        fails(quorums.elected(id(1, 1), 0, &four), "I-10");
        assert_eq!(quorums.elected(id(1, 1), 2, &four), Ok(()));
        assert_eq!(quorums.committed(0b1010), Ok(()));
        fails(quorums.committed(0b1000), "I-10");
    }
}
