//! The same run under classic rules: what followers, votes and commits of Raft would have made of
//! what happened, step by step.
//!
//! A twin of each replica is told what came to the real one: who asks for a promise asks for its
//! vote in the term of that leader id, a record is an entry, a report is the answer to it. What it
//! makes of that is Raft's (sections 5.2 to 5.4 of the extended paper): one vote a term, for a log
//! that is at least as far; entries only after the one before; commits that are a prefix, counted
//! in the leader's own term. An entry that came too early is appended when the one before has come,
//! as if the leader had sent it again at that moment: classic Raft at its best.
//!
//! Majorities stand for any quorum, and a snapshot takes along what is below it.

use super::Story;
use super::text::view;
use super::twin::{Twin, names, tell};
use crate::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use crate::check::scenario::{Arrival, Frame, View};
use std::collections::{BTreeMap, BTreeSet};

/// After a step: each twin, and what is not as in the real run.
#[derive(Default)]
pub(super) struct Classic {
    twins: BTreeMap<ReplicaId, Twin>,
    /// By leader id: who has voted for it.
    votes: BTreeMap<LeaderId, BTreeSet<ReplicaId>>,
    voters: Vec<ReplicaId>,
    /// What classic rules did not allow in the last step; the first is the most telling.
    differences: Vec<String>,
}

/// The run under classic rules.
pub(super) struct Beside {
    /// For each frame what each twin did and has; nothing once the comparison has ended.
    pub(super) steps: Vec<BTreeMap<ReplicaId, Told>>,
    /// The first frame where it differs, and how.
    pub(super) differs: Option<(usize, String)>,
}

/// What is told of a twin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// What it did, in a few words each.
    pub(super) events: Vec<String>,
    /// Its log: position, and whether it is known committed.
    pub(super) log: Vec<(Lsn, bool)>,
    /// What waits for the one before.
    pub(super) early: Vec<Lsn>,
}

/// Runs all of a story.
pub(super) fn beside(story: &Story) -> Beside {
    let mut classic = Classic::default();
    if let Some(opening) = &story.opening {
        classic.open(opening);
    }
    let mut found = Beside { steps: Vec::new(), differs: None };
    let mut before = story.opening.as_ref();
    for (at, frame) in story.frames.iter().enumerate() {
        classic.step(before, frame);
        found.steps.push(classic.told());
        if let (None, Some(what)) = (&found.differs, classic.differences.first()) {
            found.differs = Some((at, what.clone()));
        }
        if is_many(frame) {
            break;
        }
        before = Some(frame);
    }
    found
}

/// Many messages at once, of which only the requests for votes can be told apart: after it the
/// twins have not seen the same as the real ones.
fn is_many(frame: &Frame) -> bool {
    ["heal ", "pass ", "deliver everything"].iter().any(|many| frame.command.starts_with(many))
}

impl Classic {
    /// In the middle of a run: as far as each log has no hole, it could be a log of Raft.
    fn open(&mut self, frame: &Frame) {
        self.see_voters(frame);
        for view in &frame.replicas {
            let log = if view.next.is_some() { &view.log } else { &view.slots };
            let mut twin = Twin { term: view.promise.term, ..Twin::default() };
            twin.leads = view.next.map(|_| view.leader);
            let mut next = view.purged;
            for (lsn, slot) in log {
                if *lsn != next && view.next.is_none() {
                    break;
                }
                twin.log.push((*lsn, slot.author));
                next = lsn.next();
            }
            let done = |(lsn, _): &&(Lsn, LeaderId)| view.done.contains(*lsn);
            twin.committed = twin.log.iter().take_while(done).count();
            self.twins.insert(view.id, twin);
        }
    }

    fn see_voters(&mut self, frame: &Frame) {
        let known = frame.leader().and_then(|leader| leader.memberships.first());
        match known {
            Some(membership) => self.voters = membership.voters(),
            None if self.voters.len() < frame.replicas.len() => {
                self.voters = frame.replicas.iter().map(|view| view.id).collect();
            }
            None => {}
        }
    }

    fn step(&mut self, before: Option<&Frame>, frame: &Frame) {
        self.differences.clear();
        self.see_voters(frame);
        for view in &frame.replicas {
            let twin = self.twins.entry(view.id).or_default();
            twin.events.clear();
            if !view.up {
                twin.leads = None;
            }
        }
        let earlier = |id| before.and_then(|frame| view(frame, id));
        let each = |act: &mut dyn FnMut(Option<&View>, &View)| {
            frame.replicas.iter().for_each(|view| act(earlier(view.id), view));
        };
        self.vote(&frame.arrivals);
        each(&mut |before, after| self.promise(before, after));
        each(&mut |before, after| self.lead(before, after));
        if is_many(frame) {
            return;
        }
        each(&mut |before, after| self.append(before, after));
        for arrival in &frame.arrivals {
            self.hear(frame, arrival);
        }
        each(&mut |_, after| self.commit(after));
    }

    /// Each candidate of a term has voted for itself before anybody hears of it.
    fn vote(&mut self, arrivals: &[Arrival]) {
        let asks = |arrival: &Arrival| Some((arrival.asks?, arrival.to));
        let mut asked: Vec<(LeaderId, ReplicaId)> = arrivals.iter().filter_map(asks).collect();
        asked.sort_by_key(|(candidate, _)| candidate.term);
        for same_term in asked.chunk_by(|(one, _), (other, _)| one.term == other.term) {
            same_term.iter().for_each(|(candidate, _)| self.ask(candidate.node, *candidate));
            same_term.iter().for_each(|(candidate, to)| self.ask(*to, *candidate));
        }
    }

    /// Who campaigns votes for itself; who hears a leader of a later term is in that term.
    fn promise(&mut self, before: Option<&View>, after: &View) {
        let promised = after.promise;
        if before.map_or(LeaderId::NOBODY, |view| view.promise) == promised {
            return;
        }
        if promised.node == after.id {
            return self.ask(after.id, promised);
        }
        self.twins.entry(after.id).or_default().reach_term(promised.term);
    }

    /// Somebody is asked for its vote.
    fn ask(&mut self, id: ReplicaId, asked: LeaderId) {
        let twin = self.twins.entry(id).or_default();
        twin.reach_term(asked.term);
        if twin.vote == Some(asked) {
            return;
        }
        let reach =
            |log: &[(Lsn, LeaderId)]| (log.last().map(|(_, author)| author.term), log.len());
        let own = reach(&twin.log);
        let candidate = self.twins.entry(asked.node).or_default();
        let theirs = reach(&candidate.log);
        let twin = self.twins.entry(id).or_default();
        if asked.term < twin.term {
            twin.events.push(format!("refuses {asked}: it is in term {}", twin.term));
        } else if let Some(given) = twin.vote.filter(|given| *given != asked) {
            twin.events.push(format!("refuses {asked}: its vote is {given}'s"));
            self.differences.push(format!(
                "{given} and {asked} are of one term, and the greater one wins in it. In classic \
                 Raft {id} has given its vote of term {} to {}, and the term may be lost.",
                asked.term, given.node
            ));
        } else if theirs < own {
            twin.events.push(format!("refuses {asked}: its own log is further"));
            self.differences.push(format!(
                "{id} promises {asked}, whose replica is behind. In classic Raft it would refuse \
                 its vote: its own log is further."
            ));
        } else {
            twin.vote = Some(asked);
            twin.events.push(format!("votes for {asked}"));
            self.votes.entry(asked).or_default().insert(id);
        }
    }

    /// Somebody leads, if a majority has voted for it here, too.
    fn lead(&mut self, before: Option<&View>, after: &View) {
        let leads = |view: &View| view.next.map(|_| view.leader);
        let now = leads(after);
        if now.is_none() || before.and_then(leads) == now {
            return;
        }
        let Some(id) = now else { return };
        let votes = self
            .votes
            .get(&id)
            .map_or(0, |votes| self.voters.iter().filter(|voter| votes.contains(*voter)).count());
        let twin = self.twins.entry(after.id).or_default();
        if votes > self.voters.len() / 2 && twin.term == id.term {
            twin.leads = Some(id);
            twin.matched.clear();
            twin.events.push(format!("leads in term {}", id.term));
        } else {
            twin.events.push(format!("does not lead: {votes} of {} votes", self.voters.len()));
            self.differences.push(format!(
                "{id} leads. In classic Raft it would have {votes} of {} votes, and nobody would \
                 lead.",
                self.voters.len()
            ));
        }
    }

    /// What the real ones have placed and accepted comes to the twins.
    fn append(&mut self, before: Option<&View>, after: &View) {
        if let Some(id) = after.next.and(self.twins[&after.id].leads) {
            let twin = self.twins.entry(after.id).or_default();
            let has: BTreeSet<Lsn> = twin.log.iter().map(|(lsn, _)| *lsn).collect();
            let own =
                after.log.iter().filter(|(lsn, slot)| slot.author == id && !has.contains(lsn));
            let placed: Vec<Lsn> = own.map(|(lsn, _)| *lsn).collect();
            twin.log.extend(placed.iter().map(|lsn| (*lsn, id)));
            tell(&mut twin.events, "appends", &placed);
            return;
        }
        let Some(leader) = self.twins.get(&after.committer.node) else { return };
        if leader.leads != Some(after.committer) {
            return;
        }
        let log = leader.log.clone();
        let twin = self.twins.entry(after.id).or_default();
        if after.purged > before.map_or(Lsn::ZERO, |view| view.purged) {
            twin.take(log.iter().take_while(|(lsn, _)| *lsn < after.purged));
        }
        let is_new = |lsn: &Lsn| before.is_none_or(|view| !view.slots.contains_key(lsn));
        let came = after.slots.keys().copied().filter(is_new);
        twin.early.extend(came.filter(|lsn| log.iter().any(|(of, _)| of == lsn)));
        let fits = twin.log.iter().zip(&log).take_while(|(own, theirs)| own == theirs).count();
        let follows = |(lsn, _): &&(Lsn, LeaderId)| twin.early.contains(lsn);
        let next: Vec<(Lsn, LeaderId)> = log[fits..].iter().take_while(follows).copied().collect();
        if !next.is_empty() {
            twin.log.truncate(fits);
            twin.take(next.iter());
            let names: Vec<Lsn> = next.iter().map(|(lsn, _)| *lsn).collect();
            tell(&mut twin.events, "appends", &names);
        }
        let has: BTreeSet<Lsn> = twin.log.iter().map(|(lsn, _)| *lsn).collect();
        twin.early.retain(|lsn| !has.contains(lsn));
        let refused: Vec<Lsn> = twin.early.iter().copied().filter(is_new).collect();
        if let (Some(first), Some((missing, _))) = (refused.first(), log.get(twin.log.len())) {
            twin.events.push(format!("refuses {}: {missing} is missing", names(&refused)));
            let id = after.id;
            self.differences.push(format!(
                "{id} holds position {first} and not {missing}. A follower of classic Raft would \
                 have refused it."
            ));
        }
    }

    /// A follower has told its leader how far it is, or a leader a follower.
    fn hear(&mut self, frame: &Frame, arrival: &Arrival) {
        let Arrival { from, to, is_report, .. } = *arrival;
        let (Some(sender), Some(receiver)) = (self.twins.get(&from), self.twins.get(&to)) else {
            return;
        };
        let same = sender.log.iter().zip(&receiver.log).take_while(|(a, b)| a == b).count();
        let follows = |id, leader| view(frame, id).map(|view| view.committer) == Some(leader);
        if let Some(leader) = receiver.leads.filter(|leader| is_report && follows(from, *leader)) {
            let twin = self.twins.entry(leader.node).or_default();
            let matched = twin.matched.entry(from).or_default();
            *matched = same.max(*matched);
        } else if sender.leads.is_some_and(|leader| follows(to, leader)) {
            let known = sender.committed.min(same);
            let twin = self.twins.entry(to).or_default();
            twin.commit_to(known);
        }
    }

    fn commit(&mut self, after: &View) {
        let Some(id) = self.twins[&after.id].leads else { return };
        let voters = self.voters.clone();
        let twin = self.twins.entry(after.id).or_default();
        let is_durable =
            |(lsn, _): &&(Lsn, LeaderId)| after.slots.contains_key(lsn) || *lsn < after.purged;
        let own = twin.log.iter().take_while(is_durable).count();
        let reach = |voter: &ReplicaId| match *voter == after.id {
            true => own,
            false => twin.matched.get(voter).copied().unwrap_or(0),
        };
        let mut reached: Vec<usize> = voters.iter().map(reach).collect();
        reached.sort_unstable();
        let most = reached.get(voters.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        if most.checked_sub(1).is_some_and(|last| twin.log[last].1.term == id.term) {
            twin.commit_to(most);
        }
        let known: TailBitmap = twin.log[..twin.committed].iter().map(|(lsn, _)| *lsn).collect();
        let open = |lsn: &Lsn| twin.log.iter().any(|(of, _)| of == lsn) && !known.contains(*lsn);
        let ahead = after.settled.difference_iter(&known).find(open);
        if let (Some(lsn), Some((first, _))) = (ahead, twin.log.get(twin.committed)) {
            self.differences.push(match lsn == *first {
                false => format!(
                    "Position {lsn} is settled and {first} is not. Classic Raft commits a prefix: \
                     it would wait."
                ),
                true => format!(
                    "Position {lsn} is settled. Classic Raft would not have committed it yet."
                ),
            });
        }
    }

    fn told(&self) -> BTreeMap<ReplicaId, Told> {
        let told = |twin: &Twin| Told {
            events: twin.events.clone(),
            log: (twin.log.iter().enumerate())
                .map(|(at, (lsn, _))| (*lsn, at < twin.committed))
                .collect(),
            early: twin.early.iter().copied().collect(),
        };
        self.twins.iter().map(|(id, twin)| (*id, told(twin))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::story;
    use super::*;

    fn of(name: &str) -> (super::super::Story, Beside) {
        let story = story(name);
        let beside = beside(&story);
        (story, beside)
    }

    fn differs(name: &str) -> Option<String> {
        Some(of(name).1.differs?.1)
    }

    #[test]
    fn a_follower_with_a_hole_would_have_refused() {
        let (story, beside) = of("quorum-commit-above-a-hole");
        let (at, what) = beside.differs.expect("a difference");
        assert_eq!(story.frames[at].command, "n1 n2 accept 1 2 from 1#0");
        assert!(what.starts_with("n1 holds position 1 and not 0."), "{what}");
        let twin = &beside.steps[at][&ReplicaId(1)];
        assert_eq!(twin.early, [Lsn(1), Lsn(2)]);
        assert_eq!(twin.events, ["refuses 1 2: 0 is missing"]);
    }

    #[test]
    fn what_it_has_missed_is_appended_when_the_hole_is_filled() {
        let (story, beside) = of("quorum-commit-above-a-hole");
        let is = |frame: &Frame| frame.command == "n1 accepts 0 from 1#0";
        let at = story.frames.iter().position(is).expect("it stands there");
        assert_eq!(beside.steps[at][&ReplicaId(1)].events, ["appends 0 1 2"]);
        let last = beside.steps.last().expect("there are steps");
        let leader = &last[&ReplicaId(0)];
        // Its own disk has 0, and with n1 that is a majority.
        assert_eq!(leader.log, [(Lsn(0), true), (Lsn(1), false), (Lsn(2), false)]);
    }

    #[test]
    fn a_vote_is_given_once_a_term_and_to_whom_is_not_behind() {
        let (_, duel) = of("elect-duel");
        let (at, what) = duel.differs.expect("a difference");
        assert!(what.contains("are of one term"), "{what}");
        for told in duel.steps[at].values() {
            assert!(told.events[0].starts_with("votes for 1#"), "{told:?}");
        }
        let winner = &duel.steps[at][&ReplicaId(2)].events;
        assert!(winner.contains(&"does not lead: 1 of 3 votes".into()), "{winner:?}");
        let what = differs("rebuild-from-any-voter").expect("a difference");
        assert!(what.contains("are of one term"), "{what}");
        let behind = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"));
        let names = behind.expect("the scenarios").map(|entry| entry.expect("a file").path());
        let refused = names.filter_map(|path| differs(path.file_stem()?.to_str()?));
        assert!(refused.filter(|what| what.contains("is behind")).count() > 3);
    }

    #[test]
    fn one_replica_alone_does_what_classic_raft_does() {
        assert_eq!(differs("quorum-one-node"), None);
    }

    #[test]
    fn commits_are_a_prefix_and_stay_one() {
        let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"));
        for entry in dir.expect("the scenarios") {
            let path = entry.expect("a file").path();
            let (_, beside) = of(path.file_stem().and_then(|name| name.to_str()).expect("a name"));
            let mut agreed: BTreeMap<usize, Lsn> = BTreeMap::new();
            for told in beside.steps.iter().flat_map(|step| step.values()) {
                let known = told.log.iter().take_while(|(_, known)| *known);
                let open = told.log.iter().skip_while(|(_, known)| *known);
                assert!(open.filter(|(_, known)| *known).count() == 0, "{path:?}");
                for (at, (lsn, _)) in known.enumerate() {
                    assert_eq!(agreed.insert(at, *lsn).unwrap_or(*lsn), *lsn, "{path:?}");
                }
            }
        }
    }
}
