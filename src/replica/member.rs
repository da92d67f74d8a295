//! Which memberships are in force (algorithm.md, Membership).

use super::rebuild::Survey;
use crate::base::{LeaderId, Lsn, Membership, Payload, Record, ReplicaId, mutant};
use crate::message::{Grant, Memberships};
use std::collections::BTreeMap;

/// In force are the newest membership known committed and every later one in the log. While a
/// change is pending, everything needs a quorum in each of them.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    committed_at: Option<Lsn>,
    committed: Membership,
    pending: BTreeMap<Lsn, (LeaderId, Membership)>,
}

/// What a replica is in the memberships in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts in at least one of them.
    Voter,
    /// It is sent the log and counts in none.
    Learner,
    /// None of them names it: it is new and does not know yet, or was removed.
    Stranger,
}

impl InForce {
    /// What a replica starts with.
    pub(crate) fn new(initial: Membership, committed: Option<(Lsn, Membership)>) -> InForce {
        let (committed_at, committed) = match committed {
            Some((lsn, membership)) => (Some(lsn), membership),
            None => (None, initial),
        };
        InForce { committed_at, committed, pending: BTreeMap::new() }
    }

    /// The memberships in force, the committed one first.
    pub(crate) fn in_force(&self) -> Vec<Membership> {
        let pending = self.pending.values().map(|(_, membership)| membership);
        let all = [&self.committed].into_iter().chain(pending).cloned().collect();
        mutant!(NewestMembershipAlone, all, vec![self.newest().clone()])
    }

    /// Every replica that is sent the log by one of them: voters and learners, sorted.
    pub(crate) fn members(&self) -> Vec<ReplicaId> {
        let mut members: Vec<ReplicaId> =
            self.in_force().iter().flat_map(Membership::members).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// What `id` is in the memberships in force.
    pub(crate) fn standing(&self, id: ReplicaId) -> Standing {
        if self.voters().contains(&id) {
            Standing::Voter
        } else if self.members().contains(&id) {
            Standing::Learner
        } else {
            Standing::Stranger
        }
    }

    /// The newest one in force, committed or not: the one that the others give way to.
    pub(crate) fn newest(&self) -> &Membership {
        self.pending.values().next_back().map_or(&self.committed, |(_, membership)| membership)
    }

    /// Where the newest one in force stands; `None`: the cluster started with it.
    pub(crate) fn newest_at(&self) -> Option<Lsn> {
        self.pending.keys().next_back().copied().or(self.committed_at)
    }

    /// The one that the newest one, while it is pending, takes the place of.
    pub(crate) fn before_newest(&self) -> Option<&Membership> {
        let mut older = self.pending.values().rev();
        older.next()?;
        Some(older.next().map_or(&self.committed, |(_, membership)| membership))
    }

    /// Every replica that counts in one of them, sorted.
    pub(crate) fn voters(&self) -> Vec<ReplicaId> {
        let mut voters: Vec<ReplicaId> =
            self.in_force().iter().flat_map(Membership::voters).collect();
        voters.sort_unstable();
        voters.dedup();
        voters
    }

    /// Whether there is no change under way: none is pending, and the committed one has no goal.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.committed.goal().is_none()
    }

    /// Where the first pending one stands.
    pub(crate) fn first_pending(&self) -> Option<Lsn> {
        self.pending.keys().next().copied()
    }

    /// Where the newest known committed one stands, unless the cluster started with it.
    pub(crate) fn committed_at(&self) -> Option<Lsn> {
        self.committed_at
    }

    /// The newest known committed one, unless the cluster started with it.
    pub(crate) fn committed(&self) -> Option<(Lsn, Membership)> {
        self.committed_at.map(|lsn| (lsn, self.committed.clone()))
    }

    /// The newest one known committed.
    pub(crate) fn known_committed(&self) -> &Membership {
        &self.committed
    }

    /// A record of the log, in case it carries a membership. Says whether anything changed.
    pub(crate) fn note(&mut self, record: &Record) -> bool {
        let Payload::Membership(membership) = &record.payload else { return false };
        if Some(record.lsn) <= self.committed_at {
            return false;
        }
        self.pending.insert(record.lsn, (record.author, membership.clone()));
        true
    }

    /// A membership is known committed: it alone is in force, with those above it. Says whether
    /// that is news.
    pub(crate) fn commit(&mut self, lsn: Lsn, membership: Membership) -> bool {
        if Some(lsn) <= self.committed_at {
            return false;
        }
        self.committed_at = Some(lsn);
        self.committed = membership;
        self.pending = self.pending.split_off(&lsn.next());
        true
    }

    /// Forgets pending ones that the log no longer holds.
    pub(crate) fn retain(&mut self, held: impl Fn(Lsn, LeaderId) -> bool) {
        self.pending.retain(|lsn, (author, _)| held(*lsn, *author));
    }

    /// For a vote answer.
    pub(crate) fn answer(&self) -> Memberships {
        Memberships {
            committed_at: self.committed_at,
            committed: self.committed.clone(),
            pending: self.pending.iter().map(|(l, (a, m))| (*l, *a, m.clone())).collect(),
        }
    }
}

/// The memberships in which a candidate needs a read quorum (Membership 4).
pub(crate) fn needed_memberships(
    own: &InForce,
    grants: &BTreeMap<ReplicaId, Grant>,
    survey: &Survey,
) -> Vec<Membership> {
    let own = own.answer();
    let all = || grants.values().map(|g| &g.memberships).chain([&own]);
    let newest = all().max_by_key(|m| m.committed_at).unwrap_or(&own);
    let alive = |(lsn, author, _): &&(Lsn, LeaderId, Membership)| {
        Some(*lsn) > newest.committed_at && survey.lineage.author(*lsn) == *author
    };
    let pending: BTreeMap<Lsn, &Membership> = all()
        .flat_map(|m: &Memberships| m.pending.iter().filter(alive))
        .map(|(l, _, m)| (*l, m))
        .collect();
    [&newest.committed].into_iter().chain(pending.into_values()).cloned().collect()
}
