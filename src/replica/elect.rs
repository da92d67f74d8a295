//! Electing (algorithm.md, Electing): pre-vote, campaign, vote.

use super::io::RoleName;
use super::member::{Standing, needed_memberships};
use super::rebuild;
use super::writes::Writes;
use super::{Output, Replica, Role};
use crate::base::{
    LeaderId, Lsn, Membership, Record, Records, ReplicaId, SharedRecord, Tail, mutant,
};
use crate::message::{Grant, Message, PreVote, PreVoteReply, Vote, VoteReply};
use crate::quorum::{Tally, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Asks whether it would be granted.
#[derive(Clone, Debug)]
pub(crate) struct PreCandidacy {
    /// The leader id that it would campaign with.
    candidate: LeaderId,
    /// Its promise when it asked. A replica that has promised another id since drops the campaign.
    promise: LeaderId,
    tally: Tally,
}

/// Campaigns for a leader id, then fetches what its log lacks.
#[derive(Clone, Debug)]
pub(crate) struct Candidacy {
    /// The leader id. Its promise to it is the write of this number.
    pub(crate) id: LeaderId,
    own_promise: u64,
    /// The leader that told it to take over.
    hands_over: Option<LeaderId>,
    asked: BTreeSet<ReplicaId>,
    pub(super) asked_at: u64,
    tally: Tally,
    pub(super) grants: BTreeMap<ReplicaId, Grant>,
    pub(super) gathered: BTreeMap<(Lsn, LeaderId), SharedRecord>,
    /// What was asked of whom and has not come. Empty: it fetches nothing.
    pub(super) fetching: BTreeMap<ReplicaId, Tail>,
}

impl Candidacy {
    /// Who has granted.
    pub(crate) fn granted(&self) -> BTreeSet<ReplicaId> {
        self.grants.keys().copied().collect()
    }

    #[cfg(feature = "mutants")]
    pub(crate) fn grants(&self) -> &BTreeMap<ReplicaId, Grant> {
        &self.grants
    }

    /// What it decides by ([`Replica::write_state`]).
    pub(crate) fn write_state(&self, writes: &Writes, out: &mut impl fmt::Write) -> fmt::Result {
        let Candidacy { id, hands_over, asked, tally, grants, gathered, fetching, .. } = self;
        write!(out, "campaigns {id} {} ", writes.since_durable(self.own_promise))?;
        write!(out, "{hands_over:?} {asked:?} {tally:?} {grants:?} {gathered:?} {fetching:?}")
    }

    /// What each voter has purged.
    pub(crate) fn purged(&self) -> impl Iterator<Item = (&ReplicaId, Lsn)> {
        self.grants.iter().map(|(voter, grant)| (voter, grant.purged))
    }

    /// The record of `author` at `lsn`, if a voter has sent it.
    pub(crate) fn gathered(&self, lsn: Lsn, author: LeaderId) -> Option<&Record> {
        self.gathered.get(&(lsn, author)).map(|record| &**record)
    }
}

impl Replica {
    /// The election timeout has passed. Only voters campaign by themselves: a learner or a replica
    /// that was removed would disturb those that count (Electing 3).
    pub(super) fn on_election_timeout(&mut self) {
        match self.memberships.standing(self.options.id) {
            Standing::Voter => self.pre_campaign(),
            Standing::Learner | Standing::Stranger => self.reset_election_timer(),
        }
    }

    /// The driver wants it. Whom no membership names may campaign then: it is safe, and a replica
    /// that was not told of its promotion may be the only one that can reach a quorum. A learner
    /// never does.
    pub(super) fn on_campaign(&mut self) {
        // A lease binds whoever granted it, also to itself.
        if self.now < self.bound_until {
            return;
        }
        if self.memberships.standing(self.options.id) != Standing::Learner {
            self.pre_campaign();
        }
    }

    /// Asks whether a campaign would succeed. Nothing durable changes, so a replica that cannot win
    /// disturbs nobody.
    fn pre_campaign(&mut self) {
        if matches!(self.role, Role::Leader(_)) {
            return;
        }
        self.reset_election_timer();
        if self.doubt.is_some() {
            return;
        }
        let me = self.options.id;
        let candidate = LeaderId::next_above(self.voted.max(self.seen), me);
        let mut tally = Tally::new();
        tally.record(me, true);
        let promise = self.voted;
        self.change_role(Role::PreCandidate(PreCandidacy { candidate, promise, tally }));
        let committed_membership = self.memberships.committed().map(|(lsn, _)| lsn);
        for to in self.memberships.voters().into_iter().filter(|to| *to != me) {
            self.send(to, Message::PreVote(PreVote { candidate, committed_membership }));
        }
        self.count_pre_votes();
    }

    pub(super) fn on_pre_vote(&mut self, from: ReplicaId, message: PreVote) {
        // A replica that hears from an established leader keeps it in place (Electing 3).
        let established = match self.role {
            Role::Leader(_) => true,
            _ => self.now < self.heard_leader_at + self.options.election_ticks,
        };
        let granted = message.candidate > self.voted && !established && self.doubt.is_none();
        let candidate = message.candidate;
        let news = |(lsn, _): &(Lsn, Membership)| Some(*lsn) > message.committed_membership;
        let committed_membership = self.memberships.committed().filter(news).map(Box::new);
        let reply = PreVoteReply { candidate, granted, voted: self.voted, committed_membership };
        self.send(from, Message::PreVoteReply(reply));
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: ReplicaId, message: PreVoteReply) {
        self.seen = self.seen.max(message.voted);
        if let Some((lsn, membership)) = message.committed_membership.map(|known| *known) {
            self.commit_membership(lsn, membership);
        }
        let Role::PreCandidate(pre) = &mut self.role else { return };
        if pre.candidate != message.candidate {
            return;
        }
        if !message.granted && message.voted >= pre.candidate {
            // The voter is ahead: ask again with an id that is above its promise.
            return self.pre_campaign();
        }
        pre.tally.record(from, message.granted);
        self.count_pre_votes();
    }

    fn count_pre_votes(&mut self) {
        let Role::PreCandidate(pre) = &self.role else { return };
        if pre.promise != self.voted {
            let leader = self.voted;
            return self.change_role(Role::Follower { leader });
        }
        match pre.tally.elects(&self.memberships.in_force()) {
            Verdict::Won => self.campaign(pre.candidate, None),
            Verdict::Lost => self.change_role(Role::Follower { leader: self.voted }),
            Verdict::Pending => {}
        }
    }

    /// Makes the own promise durable, then asks (Electing 1).
    pub(super) fn campaign(&mut self, id: LeaderId, hands_over: Option<LeaderId>) {
        self.reset_election_timer();
        let id = mutant!(ResumesLeaderId, id, self.former_id().unwrap_or(id));
        self.raise_promise(id);
        let candidacy = Candidacy {
            id,
            own_promise: self.writes.newest(),
            hands_over,
            asked: BTreeSet::new(),
            asked_at: self.now,
            tally: Tally::new(),
            grants: BTreeMap::new(),
            gathered: BTreeMap::new(),
            fetching: BTreeMap::new(),
        };
        self.change_role(Role::Candidate(Box::new(candidacy)));
        let voters = self.memberships.voters();
        self.ask_votes(voters);
        self.grant_own_vote();
    }

    /// Asks those of `voters` that have not answered for their vote.
    fn ask_votes(&mut self, voters: Vec<ReplicaId>) {
        let Role::Candidate(c) = &mut self.role else { return };
        let vote = Vote {
            candidate: c.id,
            lineage: self.lineage.clone(),
            accepted: self.accepted.clone(),
            hands_over: c.hands_over,
        };
        for to in voters {
            if to != self.options.id && !c.grants.contains_key(&to) {
                c.asked.insert(to);
                let message = Message::Vote(vote.clone());
                let send = self.boxes.pack(self.options.id, to, message);
                self.writes.promise(send, &mut self.outputs);
            }
        }
    }

    /// A candidate counts its own vote once its promise is durable.
    pub(super) fn grant_own_vote(&mut self) {
        let Role::Candidate(c) = &self.role else { return };
        let me = self.options.id;
        let durable = self.writes.durable();
        let waits = mutant!(OwnVoteBeforeDurable, durable < c.own_promise, false);
        if c.grants.contains_key(&me) || waits {
            return;
        }
        let grant = self.grant(Records::new());
        self.take_grant(me, grant);
    }

    /// What this replica holds, as of its promise.
    fn grant(&self, records: Records) -> Grant {
        let accepted = self.accepted.clone();
        Grant {
            lineage: self.lineage.clone(),
            accepted: mutant!(OffersEmptyPositions, accepted, self.with_done(accepted)),
            purged: self.purged,
            memberships: self.memberships.answer(),
            records,
        }
    }

    /// A voter grants any leader id at or above its promise, whatever the candidate's log holds
    /// (Electing 2): refusing stale logs deadlocks when the only well-connected node is behind.
    pub(super) fn on_vote(&mut self, from: ReplicaId, message: Vote) {
        let candidate = message.candidate;
        let doubts = mutant!(DoubtVotes, self.doubt.is_some(), false);
        let refuses = doubts || self.is_bound(&message);
        let below = candidate < self.voted;
        let below = mutant!(LowerIdInTerm, below, below && !self.votes_again(candidate));
        if below || candidate.node != from || refuses {
            let reply = VoteReply { candidate, voted: self.voted, grant: None };
            return self.send(from, Message::VoteReply(reply));
        }
        if candidate > self.voted {
            self.raise_promise(candidate);
            self.change_role(Role::Follower { leader: candidate });
            self.reset_election_timer();
        }
        let records = self.lacking(&message);
        let grant = Some(Box::new(self.grant(records)));
        let reply = VoteReply { candidate, voted: candidate, grant };
        let send = self.boxes.pack(self.options.id, from, Message::VoteReply(reply));
        let outputs = &mut self.outputs;
        mutant!(
            VoteBeforeDurable,
            self.writes.promise(send, outputs),
            outputs.push(Output::Send(send))
        );
    }

    /// The records in memory that the candidate lacks and that may survive, up to the byte budget.
    fn lacking(&self, vote: &Vote) -> Records {
        let mut budget = self.options.vote_bytes_max;
        let mut records = Vec::new();
        let newer = vote.lineage.leader() > self.lineage.leader();
        for record in self.log.iter_from(Lsn::ZERO) {
            let matches = vote.lineage.author(record.lsn) == record.author;
            let has = matches && vote.accepted.contains(record.lsn);
            if has || (newer && !matches) {
                continue;
            }
            let Some(rest) = budget.checked_sub(record.size()) else { break };
            budget = rest;
            records.push(record.clone());
        }
        Records::from(records)
    }

    pub(super) fn on_vote_reply(&mut self, from: ReplicaId, message: VoteReply) {
        self.seen = self.seen.max(message.voted);
        let Role::Candidate(c) = &mut self.role else { return };
        if c.id != message.candidate {
            return;
        }
        match message.grant {
            Some(grant) if message.voted == c.id => self.take_grant(from, *grant),
            _ => {
                c.tally.record(from, false);
                self.count_votes();
            }
        }
    }

    fn take_grant(&mut self, from: ReplicaId, mut grant: Grant) {
        let Role::Candidate(c) = &mut self.role else { return };
        for record in std::mem::take(&mut grant.records).iter_shared() {
            c.gathered.insert((record.lsn, record.author), record);
        }
        c.tally.record(from, true);
        c.grants.insert(from, grant);
        self.count_votes();
    }

    /// Membership 4: a read quorum is needed in the newest membership that the candidate or any
    /// voter answering it knows committed, and in every later one that any of them holds and that
    /// is alive. Each answer can change the set, until nothing changes.
    pub(super) fn count_votes(&mut self) {
        let Role::Candidate(c) = &self.role else { return };
        let survey = rebuild::survey(&c.grants);
        let needed = needed_memberships(&self.memberships, &c.grants, &survey);
        let needed = mutant!(CandidateAlone, needed, self.memberships.in_force());
        match c.tally.elects(&needed) {
            Verdict::Won => self.gather(survey),
            Verdict::Lost => self.change_role(Role::Follower { leader: self.voted }),
            Verdict::Pending => {
                let voters: BTreeSet<ReplicaId> =
                    needed.iter().flat_map(Membership::voters).collect();
                let new: Vec<ReplicaId> = voters.difference(&c.asked).copied().collect();
                self.ask_votes(new);
            }
        }
    }

    /// What was asked and not answered is asked again.
    pub(super) fn tick_candidate(&mut self) {
        let Role::Candidate(c) = &mut self.role else { return };
        if self.now <= c.asked_at + self.options.resend_ticks {
            return;
        }
        c.asked_at = self.now;
        c.fetching.clear();
        let asked: Vec<ReplicaId> = c.asked.iter().copied().collect();
        self.ask_votes(asked);
        self.count_votes();
    }

    /// The promise rises; durable before any answer that speaks of it (I-1).
    pub(super) fn raise_promise(&mut self, to: LeaderId) {
        assert!(to >= self.voted, "I-1 the promise {} would fall to {to}", self.voted);
        if to > self.voted {
            self.voted = to;
            self.writes.edit().voted = mutant!(VoteForgotten, Some(to), None);
        }
    }

    pub(super) fn change_role(&mut self, role: Role) {
        if matches!(self.role, Role::Leader(_)) && !matches!(role, Role::Leader(_)) {
            self.leave_leadership();
        }
        let campaigns = matches!(role, Role::Candidate(_) | Role::Leader(_));
        assert!(!campaigns || self.doubt.is_none(), "I-13 {} campaigns in doubt", self.options.id);
        let before = (self.role.name(), self.role.leader());
        self.role = role;
        let after = (self.role.name(), self.role.leader());
        if before != after {
            self.outputs.push(Output::Role { role: after.0, leader: after.1 });
        }
    }
}

impl Role {
    /// What this replica is, for traces.
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Role::Follower { .. } => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// The leader followed, or the id held or campaigned for.
    pub(crate) fn leader(&self) -> LeaderId {
        match self {
            Role::Follower { leader } => *leader,
            Role::PreCandidate(pre) => pre.candidate,
            Role::Candidate(c) => c.id,
            Role::Leader(lead) => lead.id,
        }
    }
}
