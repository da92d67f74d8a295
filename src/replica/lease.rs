//! Leases (algorithm.md, Reading 5): the only rule that leans on clocks, and off unless asked for.

use super::{Replica, Role};
use crate::base::mutant;
use crate::message::Vote;

impl Replica {
    /// Whether a lease granted here forbids this vote: to another replica than the one that holds
    /// it, unless that one has handed over.
    pub(super) fn is_bound(&self, message: &Vote) -> bool {
        let leader = self.lineage.leader();
        self.now < self.bound_until
            && message.candidate.node != leader.node
            && message.hands_over != Some(leader)
            && !matches!(self.role, Role::Leader(_))
            && message.candidate > self.voted
    }

    /// Votes for nobody but the leader that was just heard, for as long as its lease lasts.
    pub(super) fn grant_lease(&mut self) {
        if let Some(lease) = &self.options.lease {
            self.bound_until = self.now + lease.granted(self.options.election_ticks);
        }
    }

    /// Whether no other leader can have been elected yet, if clocks keep to their bound. Not after
    /// somebody was told to take over: others vote for that one at once.
    pub(super) fn has_lease(&mut self) -> bool {
        let (Role::Leader(lead), Some(lease)) = (&mut self.role, &self.options.lease) else {
            return false;
        };
        let usable = lease.usable(self.options.election_ticks);
        let given = mutant!(LeaseKeptOverTransfer, lead.handover.asked, false);
        !given && lead.reads.has_lease(self.now, usable, lead.bit, &lead.peers)
    }
}
