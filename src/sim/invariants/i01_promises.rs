//! I-1: promises and committers only grow; `committer <= voted`; both durable before any answer.

use super::{Check, Stored};
use crate::base::LeaderId;
use crate::message::Message;

/// What each disk held last.
#[derive(Debug)]
pub(super) struct Promises {
    last: Vec<(LeaderId, LeaderId)>,
}

impl Promises {
    pub(super) fn new(replicas: usize) -> Promises {
        Promises { last: vec![Default::default(); replicas] }
    }

    /// Nothing is known of this disk any more.
    pub(super) fn forget(&mut self, r: usize) {
        self.last[r] = Default::default();
    }

    /// A disk says this now.
    pub(super) fn stored(&mut self, r: usize, voted: LeaderId, committer: LeaderId) -> Check {
        let before = std::mem::replace(&mut self.last[r], (voted, committer));
        if voted < before.0 || committer < before.1 {
            return Err(format!(
                "I-1 replica {r}: promise and committer fell from {} and {} \
                 to {voted} and {committer}",
                before.0, before.1
            ));
        }
        if committer > voted {
            return Err(format!("I-1 replica {r}: committer {committer} above promise {voted}"));
        }
        Ok(())
    }
}

/// What a message promises is on the sender's disk.
pub(super) fn durable(r: usize, message: &Message, disk: Stored<'_>) -> Check {
    let (promise, committer) = match message {
        Message::Vote(m) => (m.candidate, None),
        Message::VoteReply(m) if m.grant.is_some() => (m.candidate, None),
        Message::Replicate(m) => (m.leader, None),
        Message::ReplicateReply(m) => (m.leader, Some(m)),
        _ => return Ok(()),
    };
    if disk.voted < promise {
        return Err(format!("I-1 replica {r} speaks of {promise} and has promised {}", disk.voted));
    }
    let Some(reply) = committer else { return Ok(()) };
    if disk.lineage.leader() != promise {
        let committer = disk.lineage.leader();
        return Err(format!("I-1 replica {r} answers {promise} under committer {committer}"));
    }
    match reply.accepted.difference_iter(disk.held).next() {
        Some(lsn) => Err(format!("I-1 replica {r} says it accepted {lsn}, which is not durable")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, set};
    use super::*;
    use crate::base::Lineage;
    use crate::message::ReplicateReply;

    #[test]
    fn a_promise_that_falls_is_found() {
        let mut promises = Promises::new(2);
        assert_eq!(promises.stored(0, id(2, 1), id(1, 1)), Ok(()));
        assert_eq!(promises.stored(1, id(1, 1), id(1, 1)), Ok(()));
        fails(promises.stored(0, id(1, 2), id(1, 1)), "I-1");
        fails(promises.stored(1, id(1, 1), id(1, 2)), "I-1");
    }

    #[test]
    fn an_answer_ahead_of_the_disk_is_found() {
        let reply = |accepted: &[u64]| {
            Message::ReplicateReply(ReplicateReply {
                leader: id(2, 1),
                accepted: set(accepted),
                round: 0,
                window: 0,
                committed_membership: None,
                incarnation: 0,
                doubtful: false,
            })
        };
        let check = |voted, committer, accepted: &[u64]| {
            let (lineage, held) = (Lineage::new(committer), set(&[0, 2]));
            let disk = Stored { voted, lineage: &lineage, records: &[], held: &held };
            durable(0, &reply(accepted), disk)
        };
        assert_eq!(check(id(2, 1), id(2, 1), &[0, 2]), Ok(()));
        fails(check(id(1, 1), id(1, 1), &[]), "I-1");
        fails(check(id(2, 1), id(1, 1), &[]), "I-1");
        fails(check(id(2, 1), id(2, 1), &[1]), "I-1");
    }
}
