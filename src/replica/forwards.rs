//! Commands that other replicas passed on to a leader: each is placed at most once, however often
//! the network brings it.

use crate::base::{LeaderId, ReplicaId, mutant};
use crate::message::{ForwardOutcome, Ticket};
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
    /// In which it asks. What it asked in earlier lives, nobody waits for any more.
    life: u64,
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
    pub(super) fn known(&self, from: ReplicaId, leader: LeaderId, ticket: Ticket) -> Known {
        if leader != self.leader {
            return Known::Nothing;
        }
        let Some(sender) = self.senders.get(&from) else { return Known::New };
        match sender.answers.get(&ticket.number) {
            _ if mutant!(TicketLifeIgnored, ticket.life > sender.life, false) => Known::New,
            _ if ticket.life < sender.life => Known::Nothing,
            Some(answer) => Known::Answered(*answer),
            None if ticket.number < sender.below => Known::Nothing,
            None => Known::New,
        }
    }

    /// The first copy was answered with this.
    pub(super) fn answered(&mut self, from: ReplicaId, ticket: Ticket, answer: ForwardOutcome) {
        let sender = self.senders.entry(from).or_default();
        if ticket.life > sender.life {
            *sender = Sender { life: ticket.life, ..Sender::default() };
        }
        sender.answers.insert(ticket.number, answer);
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
    use crate::base::Lsn;

    #[test]
    fn a_copy_gets_the_answer_of_the_first_or_none() {
        let (leader, later) = (LeaderId::new(1, 1), LeaderId::new(2, 1));
        let (one, other) = (ReplicaId(2), ReplicaId(3));
        let ticket = |number| Ticket { life: 4, number };
        let mut forwards = Forwards::default();
        assert_eq!(forwards.known(one, leader, ticket(7)), Known::Nothing);
        forwards.begin(leader);
        assert_eq!(forwards.known(one, leader, ticket(7)), Known::New);
        forwards.answered(one, ticket(7), ForwardOutcome::Rejected);
        let rejected = Known::Answered(ForwardOutcome::Rejected);
        assert_eq!(forwards.known(one, leader, ticket(7)), rejected);
        assert_eq!(forwards.known(other, leader, ticket(7)), Known::New);
        (8..8 + KEPT_MAX as u64).for_each(|n| {
            forwards.answered(one, ticket(n), ForwardOutcome::Rejected);
        });
        assert_eq!(forwards.known(one, leader, ticket(7)), Known::Nothing);
        assert_eq!(forwards.known(one, leader, ticket(8)), rejected);
        forwards.begin(later);
        assert_eq!(forwards.known(one, leader, ticket(8)), Known::Nothing);
        assert_eq!(forwards.known(one, later, ticket(8)), Known::New);
    }

    #[test]
    fn a_number_begins_again_with_each_life_of_its_sender() {
        let (leader, sender) = (LeaderId::new(1, 1), ReplicaId(2));
        let (before, since) = (Ticket { life: 4, number: 7 }, Ticket { life: 5, number: 7 });
        let mut forwards = Forwards::default();
        forwards.begin(leader);
        forwards.answered(sender, before, ForwardOutcome::Rejected);
        assert_eq!(forwards.known(sender, leader, since), Known::New);
        let placed = ForwardOutcome::Placed(leader, Lsn(3));
        forwards.answered(sender, since, placed);
        assert_eq!(forwards.known(sender, leader, since), Known::Answered(placed));
        // A copy that was under way for longer than the life of its sender.
        assert_eq!(forwards.known(sender, leader, before), Known::Nothing);
    }
}
