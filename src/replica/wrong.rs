//! Wrong rules of the bug bank that take more than a line. Only in builds with the feature
//! `mutants`; each is called at the one site of its bug (`base::Mutant`).

use super::elect::Candidacy;
use super::log::Log;
use super::peer::Peer;
use super::rebuild::{Survey, held};
use super::{Output, Rejection, Replica, Role};
use crate::base::{LeaderId, Lineage, Lsn, ReplicaId, TailBitmap};
use crate::message::Grant;
use std::collections::BTreeMap;

/// `TraftRule`: what a voter holds, if it has the newest committer.
pub(super) fn of_the_newest(grant: &Grant, newest: &Lineage, held: TailBitmap) -> TailBitmap {
    if grant.lineage.leader() == newest.leader() { held } else { TailBitmap::new() }
}

/// `PerPosition`: at each position the author of the record that was accepted under the greatest
/// leader id.
pub(super) fn per_position(grants: &BTreeMap<ReplicaId, Grant>, leader: LeaderId) -> Lineage {
    let mut lineage = Lineage::new(leader);
    let end = grants.values().map(|grant| grant.accepted.end()).max().unwrap_or_default();
    for lsn in (0..end.0).map(Lsn) {
        let has = |grant: &&Grant| grant.accepted.contains(lsn) && lsn >= grant.purged;
        let holders = grants.values().filter(has).map(|grant| &grant.lineage);
        let greatest = holders.max_by_key(|lineage| lineage.leader());
        let other = || grants.values().map(|grant| &grant.lineage).max_by_key(|l| l.leader());
        let author = greatest.or_else(other).map_or(leader, |lineage| lineage.author(lsn));
        lineage.push(author, lsn.next());
    }
    lineage
}

/// `OverriderHoldsVictim`: with what the accepted records override.
pub(super) fn union(accepted: &TailBitmap, log: &Log) -> TailBitmap {
    let mut all = accepted.clone();
    for lsn in accepted.difference_iter(&TailBitmap::below(log.first())) {
        if let Some(record) = log.get(lsn) {
            all.insert_all(&record.overrides);
        }
    }
    all
}

/// `SnapshotCarriesApplied`: without what only an overrider marked as done.
pub(super) fn applied(done: TailBitmap, log: &Log) -> TailBitmap {
    let mut victims = TailBitmap::new();
    for lsn in done.difference_iter(&TailBitmap::below(log.first())) {
        if let Some(record) = log.get(lsn) {
            victims.insert_all(&record.overrides);
        }
    }
    done.difference_iter(&victims).collect()
}

/// `UnknownIsRejected`.
pub(super) fn rejected(proposal: u64) -> Output {
    Output::Rejected { proposal, reason: Rejection::NotLeader { hint: None } }
}

impl Candidacy {
    /// `MixedLeaders`: the voters, with what each has accepted under whatever leader.
    pub(super) fn voters_hold(&self, survey: &Survey) -> Vec<Peer> {
        let next = survey.survivors.end();
        let others = self.grants().iter().filter(|(id, _)| **id != self.id.node);
        let peer = |(at, (id, grant)): (usize, (&ReplicaId, &Grant))| {
            let mut peer = Peer::new(*id, 2 << at, next, 0);
            peer.accepted = held(grant, &survey.lineage);
            peer
        };
        others.enumerate().map(peer).collect()
    }
}

impl Replica {
    /// `OffersEmptyPositions`: what is accepted, and what is done without having been held.
    pub(super) fn with_done(&self, mut accepted: TailBitmap) -> TailBitmap {
        accepted.union_with(self.schedule.done());
        accepted
    }

    /// `ResumesLeaderId`: the leader id that it promised itself last.
    pub(super) fn former_id(&self) -> Option<LeaderId> {
        (self.voted.node == self.options.id).then_some(self.voted)
    }

    /// `LowerIdInTerm`: the promise falls to a lower leader id of the same term.
    pub(super) fn votes_again(&mut self, candidate: LeaderId) -> bool {
        let falls = candidate.term == self.voted.term && candidate > self.lineage.leader();
        if falls && candidate < self.voted {
            self.voted = candidate;
            self.change_role(Role::Follower { leader: candidate });
        }
        falls
    }

    /// `LowerLeaderAccepted`: the promise falls to an older leader, unless a newer one has been
    /// followed. Whether it is refused all the same.
    pub(super) fn goes_back(&mut self, leader: LeaderId) -> bool {
        let least = self.lineage.leader();
        if leader < self.voted && leader >= least {
            self.voted = leader;
        }
        leader < least
    }

    /// `ReadAfterPromise`.
    pub(super) fn serve_anyway(&mut self, reads: Vec<u64>) {
        self.outputs.extend(reads.into_iter().map(|read| Output::ReadReady { read }));
    }
}
