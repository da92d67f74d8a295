//! Commands that other replicas passed on to a leader: each is placed at most once, however often
//! the network brings it.

use crate::base::{LeaderId, ReplicaId};
use crate::message::ForwardOutcome;
use std::collections::BTreeMap;

/// So many answers are kept for each sender. What comes later than so many others, nobody waits for
/// any more.
const KEPT_MAX: usize = 1 << 10;

/// What was said to each command that was passed on. It is that of one leadership of this life: a
/// copy for another one may have been placed by that, so nothing can be said of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Forwards {
    leader: LeaderId,
    senders: BTreeMap<ReplicaId, Sender>,
}

#[derive(Clone, Debug, Default)]
struct Sender {
    /// Answers to proposals below are forgotten.
    below: u64,
    answers: BTreeMap<u64, ForwardOutcome>,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is the first.
    New,
    /// This was the answer to the first.
    Answered(ForwardOutcome),
    /// Nothing. No answer is better than a wrong one: the sender gives up and says so.
    Nothing,
}

impl Forwards {
    /// A leadership begins.
    pub(super) fn begin(&mut self, leader: LeaderId) {
        *self = Forwards { leader, ..Forwards::default() };
    }

    /// What is known of a copy that `from` meant for `leader`.
    pub(super) fn known(&self, from: ReplicaId, leader: LeaderId, proposal: u64) -> Known {
        if leader != self.leader {
            return Known::Nothing;
        }
        let Some(sender) = self.senders.get(&from) else { return Known::New };
        match sender.answers.get(&proposal) {
            Some(answer) => Known::Answered(*answer),
            None if proposal < sender.below => Known::Nothing,
            None => Known::New,
        }
    }

    /// The first copy was answered with this.
    pub(super) fn answered(&mut self, from: ReplicaId, proposal: u64, answer: ForwardOutcome) {
        let sender = self.senders.entry(from).or_default();
        sender.answers.insert(proposal, answer);
        if sender.answers.len() > KEPT_MAX
            && let Some((least, _)) = sender.answers.pop_first()
        {
            sender.below = least + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_gets_the_answer_of_the_first_or_none() {
        let (leader, later) = (LeaderId::new(1, 1), LeaderId::new(2, 1));
        let (one, other) = (ReplicaId(2), ReplicaId(3));
        let mut forwards = Forwards::default();
        assert_eq!(forwards.known(one, leader, 7), Known::Nothing);
        forwards.begin(leader);
        assert_eq!(forwards.known(one, leader, 7), Known::New);
        forwards.answered(one, 7, ForwardOutcome::Rejected);
        assert_eq!(forwards.known(one, leader, 7), Known::Answered(ForwardOutcome::Rejected));
        assert_eq!(forwards.known(other, leader, 7), Known::New);
        (8..8 + KEPT_MAX as u64).for_each(|n| {
            forwards.answered(one, n, ForwardOutcome::Rejected);
        });
        assert_eq!(forwards.known(one, leader, 7), Known::Nothing);
        assert_eq!(forwards.known(one, leader, 8), Known::Answered(ForwardOutcome::Rejected));
        forwards.begin(later);
        assert_eq!(forwards.known(one, leader, 8), Known::Nothing);
        assert_eq!(forwards.known(one, later, 8), Known::New);
    }
}
