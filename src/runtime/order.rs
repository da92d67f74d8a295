//! What an operator asks of a replica, and what becomes of it.

use super::engine::{Effect, Refusal};
use super::handle::Answered;
use crate::base::{Membership, QuorumSystem, ReplicaId};
use crate::replica::{Rejection, TransferError};
use bytes::Bytes;
use std::collections::BTreeSet;

/// What an operator wants of the cluster, asked of the replica that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Another membership, see [`Input::Change`](crate::replica::Input::Change). It is done when
    /// whoever left may be switched off.
    Change {
        /// The operator's number for it, used for nothing else: asking again with the same number
        /// is asking for the same change.
        request: u64,
        /// The membership.
        membership: Membership,
        /// Without waiting for new voters.
        force: bool,
    },
    /// One voter more, in a membership whose quorums are majorities. A learner becomes a voter.
    Add {
        /// As of [`Order::Change`].
        request: u64,
        /// Who.
        id: ReplicaId,
    },
    /// One replica less, in a membership whose quorums are majorities.
    Remove {
        /// As of [`Order::Change`].
        request: u64,
        /// Who.
        id: ReplicaId,
    },
    /// To take a change back that has not committed.
    Cancel {
        /// The number that it was asked for with.
        request: u64,
    },
    /// To hand leadership over. It is done when another one leads.
    Transfer {
        /// To this voter; without it, to the one that lacks least.
        to: Option<ReplicaId>,
    },
    /// A snapshot of the state as it is now, at the replica that is asked, whether it leads or not.
    Snapshot,
    /// To offer another replica the snapshot in use at the one that is asked, whether it leads or
    /// not. It is done when it is offered: the other one fetches it if it lacks something in it.
    Send {
        /// To whom.
        to: ReplicaId,
    },
}

/// Why an order was not carried out: one sentence, which says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

impl Answered for Order {
    type Answer = Result<(), Denied>;

    fn answer(result: &Bytes) -> Result<(), Denied> {
        match result.is_empty() {
            true => Ok(()),
            false => Err(Denied(String::from_utf8_lossy(result).into_owned())),
        }
    }
}

/// The membership with one voter more, or one replica less, if its quorums are majorities.
pub(super) fn altered(now: &Membership, id: ReplicaId, adds: bool) -> Result<Membership, Denied> {
    let denied = |why: String| Err(Denied(why));
    let voters = now.voters();
    let plain = QuorumSystem::majority(voters.iter().copied());
    if now.read != plain || now.write != plain {
        return denied(format!(
            "the quorums are no majorities; say the whole membership, not {id}"
        ));
    }
    let is_in = if adds { voters.contains(&id) } else { now.members().contains(&id) };
    if is_in == adds {
        return denied(format!("{id} is {} a member", if adds { "already" } else { "not" }));
    }
    let others = voters.into_iter().filter(|voter| *voter != id);
    let voters: Vec<ReplicaId> = others.chain(adds.then_some(id)).collect();
    if voters.is_empty() {
        return denied(format!("nobody would be left without {id}"));
    }
    let mut membership = Membership::majority(voters);
    membership.learners = now.learners.iter().copied().filter(|other| *other != id).collect();
    Ok(membership)
}

/// What is said to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is done, or why not.
    Said(Result<(), Denied>),
    /// Not by this replica.
    Refused(Refusal),
    /// Nobody knows.
    Lost,
}

impl Word {
    pub(super) fn effect<M, J>(self, number: u64) -> Effect<M, J> {
        match self {
            Word::Said(Ok(())) => Effect::Answer { number, result: Bytes::new() },
            Word::Said(Err(Denied(why))) => Effect::Answer { number, result: why.into() },
            Word::Refused(why) => Effect::Refused { number, why },
            Word::Lost => Effect::Lost { number },
        }
    }
}

/// The orders that somebody waits for, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Orders {
    changes: BTreeSet<u64>,
    transfers: Vec<u64>,
    snapshots: Vec<u64>,
    /// What is to be said.
    words: Vec<(u64, Word)>,
}

impl Orders {
    pub(super) fn say(&mut self, number: u64, word: Word) {
        self.words.push((number, word));
    }

    /// What is to be said, once.
    pub(super) fn words(&mut self) -> impl Iterator<Item = (u64, Word)> {
        self.words.drain(..)
    }

    pub(super) fn change(&mut self, number: u64) {
        self.changes.insert(number);
    }

    pub(super) fn transfer(&mut self, number: u64) {
        self.transfers.push(number);
    }

    pub(super) fn snapshot(&mut self, number: u64) {
        self.snapshots.push(number);
    }

    /// Something came of a proposal; says whether it is one of these.
    pub(super) fn came(&mut self, number: u64, what: Result<(), Option<&Rejection>>) -> bool {
        if !self.changes.remove(&number) {
            return false;
        }
        let word = match what {
            Ok(()) => Word::Said(Ok(())),
            Err(None) => Word::Lost,
            Err(Some(Rejection::Busy)) => Word::Refused(Refusal::Busy),
            Err(Some(Rejection::NotLeader { hint })) => {
                Word::Refused(Refusal::NotHere { hint: *hint })
            }
            Err(Some(other)) => Word::Said(Err(Denied(other.to_string()))),
        };
        self.say(number, word);
        true
    }

    /// Another one leads, or this one goes on.
    pub(super) fn transferred(&mut self, how: Result<(), TransferError>) {
        let said = how.map_err(|error| Denied(error.to_string()));
        let all = self.transfers.drain(..).map(|number| (number, Word::Said(said.clone())));
        self.words.extend(all);
    }

    /// A snapshot is there, or could not be made.
    pub(super) fn saved(&mut self, how: Result<(), String>) {
        let said = how.map_err(Denied);
        let all = self.snapshots.drain(..).map(|number| (number, Word::Said(said.clone())));
        self.words.extend(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_grows_and_shrinks_by_one() {
        let of = |text: &str| text.parse::<Membership>().expect("a membership");
        let adds = |text: &str, id| altered(&of(text), ReplicaId(id), true);
        let removes = |text: &str, id| altered(&of(text), ReplicaId(id), false);
        assert_eq!(adds("(n1)", 2), Ok(of("(n1 n2)")));
        assert_eq!(adds("(n1 n3) learners (n2)", 2), Ok(of("(n1 n2 n3)")));
        assert_eq!(removes("(n1 n2 n3)", 1), Ok(of("(n2 n3)")));
        assert_eq!(removes("(n1) learners (n2 n3)", 2), Ok(of("(n1) learners (n3)")));
        let why = |denied: Result<Membership, Denied>| denied.expect_err("it is denied").0;
        assert_eq!(why(adds("(n1 n2)", 2)), "n2 is already a member");
        assert_eq!(why(removes("(n1 n2)", 3)), "n3 is not a member");
        assert_eq!(why(removes("(n1)", 1)), "nobody would be left without n1");
        let zones = "2 of (2 of (n1 n2 n3); 2 of (n4 n5 n6); 2 of (n7 n8 n9))";
        assert!(why(adds(zones, 10)).starts_with("the quorums are no majorities"));
        assert!(why(adds("(n1 n2; read 1, write 2)", 3)).starts_with("the quorums are no"));
    }
}
