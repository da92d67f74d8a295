//! Counting answers until the outcome is certain.

use crate::base::{Membership, QuorumSystem, ReplicaId};
use std::collections::BTreeMap;

/// What the answers so far decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Neither: more answers can still decide it either way.
    Pending,
    /// Even if everybody else says no, a quorum of each system has said yes.
    Won,
    /// Even if everybody else says yes, some system lacks a quorum.
    Lost,
}

/// Yes and no answers by replica. An answer may be repeated; the last one stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    answers: BTreeMap<ReplicaId, bool>,
}

impl Tally {
    /// No answer yet.
    pub fn new() -> Tally {
        Tally::default()
    }

    /// Notes what `from` said.
    pub fn record(&mut self, from: ReplicaId, yes: bool) {
        self.answers.insert(from, yes);
    }

    /// Who said yes, least first.
    pub fn granted(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.answers.iter().filter(|(_, yes)| **yes).map(|(from, _)| *from)
    }

    /// What is decided about having a quorum in every one of `systems`.
    pub fn verdict<'a>(&self, systems: impl IntoIterator<Item = &'a QuorumSystem>) -> Verdict {
        let yes = |r: ReplicaId| self.answers.get(&r) == Some(&true);
        let open = |r: ReplicaId| self.answers.get(&r) != Some(&false);
        let mut verdict = Verdict::Won;
        for system in systems {
            if !system.is_quorum(&open) {
                return Verdict::Lost;
            }
            if !system.is_quorum(&yes) {
                verdict = Verdict::Pending;
            }
        }
        verdict
    }

    /// [`verdict`](Self::verdict) over the read systems of `memberships`.
    pub fn elects<'a>(&self, memberships: impl IntoIterator<Item = &'a Membership>) -> Verdict {
        self.verdict(memberships.into_iter().map(|m| &m.read))
    }
}
