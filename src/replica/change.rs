//! Changing the membership operably (algorithm.md, Membership 1 and 6): new voters catch up first,
//! a request is known again, a change may be taken back, and it is reported when it is complete.
//!
//! ```text
//! asked -- all answer --> placed as learners, with the goal -- caught up --> goal placed: joint
//!   |                       |                                                      | commits
//!   silent: rejected        cancelled: dropped                                  complete
//! ```
//!
//! What is half done stands in the log with the membership, so a later leader goes on with it.

use super::catch_up::{Lull, Measure, Turn};
use super::member::Standing;
use super::peer::Peer;
use super::writes::Writes;
use super::{Output, Rejection, Replica, Role};
use crate::base::{Change, Lsn, Membership, Payload, REQUESTS_MAX, ReplicaId};
use crate::quorum::{Compiled, REPLICAS_MAX, soundness};
use std::collections::BTreeSet;
use std::fmt;

/// How many election timeouts new voters have to answer for the first time.
const SILENT_TIMEOUTS: u64 = 2;

/// The changes that somebody waits for at a leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// Their new voters have not all answered yet.
    asked: Vec<Asked>,
    /// Their new voters catch up: the request, and for whom.
    catching_up: Vec<(u64, u64)>,
    /// Placed: where, and for whom.
    placed: Vec<(Lsn, u64)>,
    /// The newest membership that a write quorum of its own knows committed.
    pub(crate) complete: Option<Lsn>,
    /// New voters enough are at most [`behind_positions_max`] behind: since when, and what is on
    /// the way meanwhile.
    ///
    /// [`behind_positions_max`]: super::Options::behind_positions_max
    pub(crate) lull: Option<Lull>,
    /// Which new voter catches up now.
    pub(crate) turn: Option<Turn>,
    /// When a voter was last seen kept waiting while new voters catch up, in ticks.
    pub(crate) crowded_at: Option<u64>,
    /// The write that makes the newest committed membership durable here.
    write: u64,
}

/// A change whose new voters are asked whether they are alive.
#[derive(Clone, Debug)]
struct Asked {
    request: u64,
    proposals: Vec<u64>,
    membership: Membership,
    joining: Vec<ReplicaId>,
    since: u64,
}

impl Changes {
    /// Replicas that no membership names yet and that are sent the log.
    pub(crate) fn guests(&self) -> BTreeSet<ReplicaId> {
        self.asked.iter().flat_map(|asked| asked.joining.iter().copied()).collect()
    }

    /// What is under way ([`Replica::write_state`]); not for whom.
    pub(crate) fn write_state(&self, writes: &Writes, out: &mut impl fmt::Write) -> fmt::Result {
        let Changes { asked, catching_up, placed, complete, lull, turn, .. } = self;
        let Changes { crowded_at, write, .. } = self;
        let (write, turn) = (writes.since_durable(*write), turn.map(|turn| turn.state()));
        write!(out, "{asked:?} {catching_up:?} {placed:?} {complete:?} {lull:?} {turn:?} ")?;
        write!(out, "{crowded_at:?} {write} ")
    }

    /// Whether nobody waits for any.
    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.catching_up.is_empty() && self.placed.is_empty()
    }

    /// The leadership ends: whether what was placed takes effect is for others to decide.
    pub(crate) fn abandon(self) -> impl Iterator<Item = Output> {
        let asked = self.asked.into_iter().flat_map(|asked| asked.proposals);
        let hint = None;
        let reject =
            move |proposal| Output::Rejected { proposal, reason: Rejection::NotLeader { hint } };
        let catching_up = self.catching_up.into_iter().map(|(_, proposal)| proposal);
        let placed = self.placed.into_iter().map(|(_, proposal)| proposal);
        let unknown = catching_up.chain(placed).map(|proposal| Output::Unknown { proposal });
        asked.map(reject).chain(unknown)
    }
}

impl Replica {
    /// Asks for a membership.
    pub(super) fn on_change(
        &mut self,
        proposal: u64,
        request: u64,
        mut membership: Membership,
        force: bool,
    ) {
        membership.change = None;
        if let Err(reason) = self.admit_change(&membership) {
            return self.outputs.push(Output::Rejected { proposal, reason });
        }
        if self.is_known(request, proposal) {
            return;
        }
        let voting = self.memberships.newest().voters();
        let new = |id: &ReplicaId| !voting.contains(id);
        let joining: Vec<ReplicaId> = membership.voters().into_iter().filter(new).collect();
        let since = self.now;
        let proposals = vec![proposal];
        let asked = Asked { request, proposals, membership, joining, since };
        if force || asked.joining.is_empty() {
            return self.place_goal(asked);
        }
        if let Role::Leader(lead) = &mut self.role {
            lead.changes.asked.push(asked);
        }
        self.refresh_memberships();
    }

    fn admit_change(&self, membership: &Membership) -> Result<(), Rejection> {
        if !matches!(self.role, Role::Leader(_)) {
            return Err(Rejection::NotLeader { hint: self.leader_hint() });
        }
        if let Some(reason) = self.transferring() {
            return Err(reason);
        }
        membership.check().map_err(|fault| Rejection::Malformed(Box::new(fault)))?;
        soundness(membership).map_err(|fault| Rejection::Unsound(Box::new(fault)))?;
        let mut counted: BTreeSet<ReplicaId> = self.memberships.members().into_iter().collect();
        counted.extend(membership.members());
        match counted.len() {
            replicas if replicas > REPLICAS_MAX => Err(Rejection::TooManyReplicas { replicas }),
            _ => Ok(()),
        }
    }

    /// Whether the request was made before; then this one waits for the same outcome.
    fn is_known(&mut self, request: u64, proposal: u64) -> bool {
        let (newest, at) = (self.memberships.newest(), self.memberships.newest_at());
        let known = newest.change.as_ref().is_some_and(|c| c.requests.contains(&request));
        let half_done = newest.request() == Some(request) && newest.goal().is_some();
        let Role::Leader(lead) = &mut self.role else { return false };
        let changes = &mut lead.changes;
        if let Some(asked) = changes.asked.iter_mut().find(|asked| asked.request == request) {
            asked.proposals.push(proposal);
            return true;
        }
        match at {
            _ if !known => return false,
            _ if half_done => changes.catching_up.push((request, proposal)),
            Some(at) if changes.complete < Some(at) => changes.placed.push((at, proposal)),
            _ => self.outputs.push(Output::Settled { proposal }),
        }
        true
    }

    /// Takes a change back.
    pub(super) fn on_cancel(&mut self, proposal: u64, request: u64) {
        let reject = |reason| Output::Rejected { proposal, reason };
        let hint = self.leader_hint();
        let blocked = self.transferring();
        let Role::Leader(lead) = &mut self.role else {
            return self.outputs.push(reject(Rejection::NotLeader { hint }));
        };
        if let Some(reason) = blocked {
            return self.outputs.push(reject(reason));
        }
        let asked = lead.changes.asked.extract_if(.., |asked| asked.request == request);
        let dropped: Vec<u64> = asked.flat_map(|asked| asked.proposals).collect();
        if !dropped.is_empty() {
            let cancelled = |proposal| Output::Rejected { proposal, reason: Rejection::Cancelled };
            self.outputs.extend(dropped.into_iter().map(cancelled));
            self.outputs.push(Output::Settled { proposal });
            return self.refresh_memberships();
        }
        let newest = self.memberships.newest();
        if newest.request() != Some(request) {
            return self.outputs.push(reject(Rejection::NoSuchChange));
        }
        if newest.goal().is_some() {
            let kept = Membership { change: None, ..newest.clone() };
            let history = history(newest);
            self.supersede();
            return self.place_membership(kept, history, None, vec![proposal]);
        }
        let Some(former) = self.memberships.before_newest().cloned() else {
            return self.outputs.push(reject(Rejection::NoSuchChange));
        };
        // Whoever waits for the change: it will commit, unless both are lost with this leader, and
        // then not stand.
        let at = self.memberships.newest_at();
        if let Role::Leader(lead) = &mut self.role {
            let waiting = lead.changes.placed.extract_if(.., |(lsn, _)| Some(*lsn) == at);
            self.outputs.extend(waiting.map(|(_, proposal)| Output::Unknown { proposal }));
        }
        let (requests, goal) = match former.change.clone() {
            Some(change) => (change.requests, change.goal),
            None => (Vec::new(), None),
        };
        self.place_membership(former, requests, goal, vec![proposal]);
    }

    /// What is placed next takes the place of the goal of the newest membership, unless both are
    /// lost with this leader and another goes on with the goal.
    fn supersede(&mut self) {
        let Some(request) = self.memberships.newest().request() else { return };
        let Role::Leader(lead) = &mut self.role else { return };
        let waiting = lead.changes.catching_up.extract_if(.., |(r, _)| *r == request);
        self.outputs.extend(waiting.map(|(_, proposal)| Output::Unknown { proposal }));
    }

    /// Places what was asked for.
    fn place_goal(&mut self, asked: Asked) {
        let requests = self.requests(asked.request);
        self.place_membership(asked.membership, requests, None, asked.proposals);
    }

    /// The requests carried out so far, and this one.
    fn requests(&mut self, request: u64) -> Vec<u64> {
        let newest = self.memberships.newest();
        let mut requests = match &newest.change {
            Some(change) if change.goal.is_none() => change.requests.clone(),
            _ => history(newest),
        };
        if newest.goal().is_some() && newest.request() != Some(request) {
            self.supersede();
        }
        requests.insert(0, request);
        requests.truncate(REQUESTS_MAX);
        requests
    }

    /// Proposes a membership. It is joint with those in force until it commits.
    fn place_membership(
        &mut self,
        membership: Membership,
        requests: Vec<u64>,
        goal: Option<Membership>,
        proposals: Vec<u64>,
    ) {
        let half_done = goal.is_some().then(|| requests.first().copied().unwrap_or_default());
        let change = Some(Box::new(Change { requests, goal }));
        let lsn = self.place(Payload::Membership(Membership { change, ..membership }));
        if let Role::Leader(lead) = &mut self.role {
            for proposal in proposals {
                match half_done {
                    Some(request) => lead.changes.catching_up.push((request, proposal)),
                    None => lead.changes.placed.push((lsn, proposal)),
                }
            }
        }
        self.refresh_memberships();
    }

    /// A membership is known committed. Whoever is not in it any more stops asking for votes.
    pub(super) fn after_membership(&mut self) {
        let newest = self.writes.newest();
        let counts = self.memberships.standing(self.options.id) == Standing::Voter;
        match &mut self.role {
            Role::Leader(lead) => lead.changes.write = newest,
            Role::PreCandidate(_) if !counts => self.step_down(),
            _ => {}
        }
    }

    /// Goes on with what is under way.
    pub(super) fn drive_changes(&mut self) {
        let Role::Leader(lead) = &self.role else { return };
        if lead.changes.complete < lead.membership_at {
            self.check_complete();
        }
        if self.transferring().is_some() {
            return;
        }
        self.greet_new_voters();
        let newest = self.memberships.newest();
        let (Some(goal), Some(request)) = (newest.goal(), newest.request()) else { return };
        let voters = goal.voters().into_iter();
        let joining: Vec<ReplicaId> = voters.filter(|id| newest.learners.contains(id)).collect();
        let goal = goal.clone();
        let (now, purged) = (self.now, self.purged);
        let about = Measure { goal: &goal, joining: &joining, purged, now, options: &self.options };
        let Role::Leader(lead) = &mut self.role else { return };
        let most = self.options.behind_positions_max;
        let least = Lsn(lead.settled.offset().0.saturating_sub(most));
        // Once voters were kept waiting, new voters do not wait for each other.
        let crowded = lead.keeps_a_voter_waiting(&about);
        let of_late = |at: u64| now <= at + self.options.election_ticks;
        let waiting = lead.changes.crowded_at.is_some_and(of_late) || lead.changes.lull.is_some();
        let enough = lead.suffices(least, waiting, &about);
        lead.take_turns(least, enough, crowded, &about);
        if !enough {
            lead.changes.lull = None;
            return;
        }
        // What they still lack holds the decision up, and so does whatever is sent before what
        // decides.
        if !lead.is_lull(&about) && !lead.suffices(lead.next, waiting, &about) {
            return;
        }
        lead.changes.lull = None;
        let waiting = lead.changes.catching_up.extract_if(.., |(r, _)| *r == request);
        let proposals: Vec<u64> = waiting.map(|(_, proposal)| proposal).collect();
        let (membership, since) = (goal, self.now);
        self.place_goal(Asked { request, proposals, membership, joining: Vec::new(), since });
    }

    /// New voters that have all answered become learners; a change with a silent one is refused.
    fn greet_new_voters(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        if lead.changes.asked.is_empty() {
            return;
        }
        let (peers, now) = (&lead.peers, self.now);
        let patience = SILENT_TIMEOUTS * self.options.election_ticks;
        let silent = |asked: &Asked| {
            let answers = |p: &Peer, id| p.id == id && p.known && p.heard_at >= asked.since;
            let silent = |id: &&ReplicaId| !peers.iter().any(|peer| answers(peer, **id));
            asked.joining.iter().find(silent).copied()
        };
        let ready = |asked: &mut Asked| {
            silent(asked).is_none() || now > asked.since.saturating_add(patience)
        };
        let ready: Vec<(Asked, Option<ReplicaId>)> = lead
            .changes
            .asked
            .extract_if(.., ready)
            .map(|asked| {
                let silent = silent(&asked);
                (asked, silent)
            })
            .collect();
        if ready.is_empty() {
            return;
        }
        for (asked, silent) in ready {
            match silent {
                Some(replica) => {
                    let reason = Rejection::Silent { replica };
                    let reject = |proposal| Output::Rejected { proposal, reason: reason.clone() };
                    self.outputs.extend(asked.proposals.into_iter().map(reject));
                }
                None => self.place_step(asked),
            }
        }
        self.refresh_memberships();
    }

    /// The new voters learn, and the goal is noted.
    fn place_step(&mut self, asked: Asked) {
        let newest = self.memberships.newest().clone();
        let voters = newest.voters();
        let mut learners: BTreeSet<ReplicaId> = newest.learners.iter().copied().collect();
        learners.extend(asked.joining.iter().filter(|id| !voters.contains(id)));
        let step = Membership { learners: learners.into_iter().collect(), ..newest };
        let requests = self.requests(asked.request);
        self.place_membership(step, requests, Some(asked.membership), asked.proposals);
    }

    /// Membership 1: complete when a write quorum of the new membership has it that it is
    /// committed; from then on nobody needs those who left. A leader among them hands over.
    fn check_complete(&mut self) {
        let Some((at, membership)) = self.memberships.committed() else { return };
        let Role::Leader(lead) = &mut self.role else { return };
        let me = self.options.id;
        let bit = |id: ReplicaId| {
            let peer = lead.peers.iter().find(|peer| peer.id == id);
            peer.map_or(if id == me { lead.bit } else { 0 }, |peer| peer.bit)
        };
        let own = self.writes.durable() >= lead.changes.write;
        let own = if own { lead.bit } else { 0 };
        let knows = |mask, peer: &Peer| {
            if peer.membership >= Some(at) { mask | peer.bit } else { mask }
        };
        if !Compiled::new(&membership.write, &bit).is_quorum(lead.peers.iter().fold(own, knows)) {
            return;
        }
        let changes = &mut lead.changes;
        changes.complete = Some(at);
        let done = changes.placed.extract_if(.., |(lsn, _)| *lsn <= at);
        let answers = done.map(|(_, proposal)| Output::Settled { proposal });
        self.outputs.extend(answers);
        if self.memberships.standing(me) != Standing::Voter {
            self.on_transfer(None);
        }
    }
}

/// The requests that were carried out before the newest one.
fn history(membership: &Membership) -> Vec<u64> {
    let requests = membership.change.as_ref().map(|change| &change.requests);
    requests.map_or(Vec::new(), |requests| requests.iter().skip(1).copied().collect())
}
