//! Memberships as bytes, both ways.

use super::WireError;
use super::generated as proto;
use super::generated::quorum_system::System;
use super::put::{Put, Sink};
use super::take::Taken;
use crate::base::{Change, Malformed, Membership, QuorumSystem, ReplicaId, SYSTEM_DEPTH_MAX};

impl Put for Membership {
    fn put<S: Sink>(&self, to: &mut S) {
        to.message(1, &self.read);
        to.message(2, &self.write);
        ids(to, 3, &self.learners);
        self.change.iter().for_each(|change| to.message(4, &**change));
    }
}

impl Put for Change {
    fn put<S: Sink>(&self, to: &mut S) {
        packed(to, 1, self.requests.iter().copied());
        self.goal.iter().for_each(|goal| to.message(2, goal));
    }
}

impl Put for QuorumSystem {
    fn put<S: Sink>(&self, to: &mut S) {
        match self {
            QuorumSystem::Threshold { voters, need } => to.message(1, &Threshold(voters, *need)),
            QuorumSystem::Explicit(sets) => to.message(2, &Explicit(sets)),
            QuorumSystem::All(parts) => to.message(3, &Parts(parts, 0)),
            QuorumSystem::Weighted { voters, need } => to.message(4, &Weighted(voters, *need)),
            QuorumSystem::Groups { parts, need } => to.message(5, &Parts(parts, *need)),
        }
    }
}

struct Threshold<'a>(&'a [ReplicaId], usize);
struct Weighted<'a>(&'a [(ReplicaId, u64)], u64);
struct Explicit<'a>(&'a [Vec<ReplicaId>]);
struct Voters<'a>(&'a [ReplicaId]);
/// With what is needed of them; `All` has no such field, which is what 0 looks like.
struct Parts<'a>(&'a [QuorumSystem], usize);
/// Numbers without a tag each, as proto3 packs them.
struct Packed<I>(I);

impl Put for Threshold<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        ids(to, 1, self.0);
        to.uint(2, self.1 as u64);
    }
}

impl Put for Weighted<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        packed(to, 1, self.0.iter().map(|(id, _)| id.0));
        packed(to, 2, self.0.iter().map(|(_, weight)| *weight));
        to.uint(3, self.1);
    }
}

impl Put for Explicit<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        self.0.iter().for_each(|set| to.message(1, &Voters(set)));
    }
}

impl Put for Parts<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        self.0.iter().for_each(|part| to.message(1, part));
        to.uint(2, self.1 as u64);
    }
}

impl Put for Voters<'_> {
    fn put<S: Sink>(&self, to: &mut S) {
        ids(to, 1, self.0);
    }
}

impl<I: Iterator<Item = u64> + Clone> Put for Packed<I> {
    fn put<S: Sink>(&self, to: &mut S) {
        self.0.clone().for_each(|number| to.varint(number));
    }
}

fn ids<S: Sink>(to: &mut S, tag: u32, ids: &[ReplicaId]) {
    packed(to, tag, ids.iter().map(|id| id.0));
}

/// Numbers as a field; no numbers are left out.
fn packed<S: Sink>(to: &mut S, tag: u32, numbers: impl Iterator<Item = u64> + Clone) {
    if numbers.clone().next().is_some() {
        to.message(tag, &Packed(numbers));
    }
}

/// A membership, of which nobody behind the gate checks again that it is well-formed.
pub(super) fn take(m: Option<proto::Membership>) -> Taken<Membership> {
    let m = m.ok_or(WireError::Missing("membership"))?;
    let change = m.change.map(|change| take_change(*change)).transpose()?;
    let membership = plain(m.read, m.write, m.learners, change.map(Box::new))?;
    membership.check()?;
    Ok(membership)
}

/// A goal has no change of its own, so nothing is nested deeper.
fn take_change(m: proto::Change) -> Taken<Change> {
    let goal = |m: proto::Membership| {
        if m.change.is_some() {
            return Err(WireError::Membership(Malformed::Change));
        }
        plain(m.read, m.write, m.learners, None)
    };
    let goal = m.goal.map(|m| goal(*m)).transpose()?;
    Ok(Change { requests: m.requests, goal })
}

fn plain(
    read: Option<proto::QuorumSystem>,
    write: Option<proto::QuorumSystem>,
    learners: Vec<u64>,
    change: Option<Box<Change>>,
) -> Taken<Membership> {
    Ok(Membership {
        read: system(read, SYSTEM_DEPTH_MAX)?,
        write: system(write, SYSTEM_DEPTH_MAX)?,
        learners: replicas(learners),
        change,
    })
}

fn replicas(ids: Vec<u64>) -> Vec<ReplicaId> {
    ids.into_iter().map(ReplicaId).collect()
}

/// More than can be counted are more than there are.
fn count(need: u64) -> usize {
    usize::try_from(need).unwrap_or(usize::MAX)
}

fn system(m: Option<proto::QuorumSystem>, depth: usize) -> Taken<QuorumSystem> {
    let kind = m.and_then(|m| m.system).ok_or(WireError::Missing("quorum system"))?;
    let depth = depth.checked_sub(1).ok_or(Malformed::Deep)?;
    let parts = |parts: Vec<proto::QuorumSystem>| {
        parts.into_iter().map(|part| system(Some(part), depth)).collect::<Taken<Vec<_>>>()
    };
    Ok(match kind {
        System::Threshold(m) => {
            QuorumSystem::Threshold { voters: replicas(m.voters), need: count(m.need) }
        }
        System::Explicit(m) => {
            QuorumSystem::Explicit(m.sets.into_iter().map(|set| replicas(set.voters)).collect())
        }
        System::All(m) => QuorumSystem::All(parts(m.parts)?),
        System::Groups(m) => QuorumSystem::Groups { parts: parts(m.parts)?, need: count(m.need) },
        System::Weighted(m) => {
            if m.voters.len() != m.weights.len() {
                return Err(WireError::Weights);
            }
            let voters = replicas(m.voters).into_iter().zip(m.weights).collect();
            QuorumSystem::Weighted { voters, need: m.need }
        }
    })
}
