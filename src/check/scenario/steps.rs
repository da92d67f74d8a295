//! The verbs of a script, in terms of messages.

use super::stage::Stage;
use crate::base::*;
use crate::message::*;
use crate::replica::*;

fn pre_vote_reply(candidate: LeaderId, granted: bool, voted: LeaderId) -> PreVoteReply {
    PreVoteReply { candidate, granted, voted, committed_membership: None }
}

impl Stage {
    /// `id` campaigns: its pre-vote is won without asking, its own promise is made durable.
    pub(super) fn campaign(&mut self, id: LeaderId) {
        let me = id.node;
        // What it would have heard of: the greatest promise below this campaign's term.
        let doubt = LeaderId::new(id.term.saturating_sub(1), u64::MAX);
        let (nobody, stranger) = (LeaderId::NOBODY, ReplicaId(u64::MAX));
        if let (RoleName::Leader, leader) = self.node(me).replica.role() {
            self.receive(stranger, me, Message::Refuse(Refuse { leader, voted: doubt }));
        }
        if id.term > 1 && LeaderId::next_above(self.node(me).replica.voted(), me) != id {
            let reply = pre_vote_reply(nobody, false, doubt);
            self.receive(stranger, me, Message::PreVoteReply(reply));
        }
        let replica = &self.node(me).replica;
        let vote = Vote {
            candidate: id,
            lineage: replica.lineage().clone(),
            accepted: replica.accepted().clone(),
            hands_over: None,
        };
        self.votes.insert(id, vote);
        self.input(me, Input::Campaign);
        let voters = self.node(me).replica.memberships().into_iter().flat_map(|m| m.voters());
        for voter in voters.collect::<Vec<_>>() {
            if self.node(me).replica.role() == (RoleName::PreCandidate, id) {
                let reply = pre_vote_reply(id, true, nobody);
                self.receive(voter, me, Message::PreVoteReply(reply));
            }
        }
        self.mail.retain(|e| e.from != me || !matches!(e.message, Message::PreVote(_)));
        let (role, now) = self.node(me).replica.role();
        if now != id || !matches!(role, RoleName::Candidate | RoleName::Leader) {
            self.say(format!("{me} does not campaign for {id}"));
        }
    }

    /// `voter` promises `id`, as asked by the candidate; the candidate itself campaigns.
    pub(super) fn promise(&mut self, voter: ReplicaId, id: LeaderId) {
        if !self.votes.contains_key(&id) {
            self.campaign(id);
        }
        if voter != id.node
            && let Some(vote) = self.votes.get(&id).cloned()
        {
            self.receive(id.node, voter, Message::Vote(vote));
        }
    }

    /// The answers of `voters` reach the candidate, and what it fetches from them.
    pub(super) fn elect(&mut self, id: LeaderId, voters: &[ReplicaId]) -> Result<(), String> {
        for voter in voters.iter().copied().filter(|voter| *voter != id.node) {
            let answer = |e: &Envelope| {
                let granted = matches!(&e.message, Message::VoteReply(m) if m.candidate == id);
                e.from == voter && e.to == id.node && granted
            };
            if self.deliver(answer) == 0 {
                return Err(format!("{voter} has not answered {id}"));
            }
        }
        let talks = |e: &Envelope| match &e.message {
            Message::Fetch(m) => m.candidate == id && voters.contains(&e.to),
            Message::FetchReply(m) => m.candidate == id && voters.contains(&e.from),
            _ => false,
        };
        while self.deliver(talks) > 0 {}
        if !self.said.contains_key(&id) {
            self.say(format!("{id} is not elected"));
        }
        Ok(())
    }

    /// Hands over what is on the way and `chosen`, in order of sending; not what comes of it.
    pub(super) fn deliver(&mut self, chosen: impl Fn(&Envelope) -> bool) -> usize {
        let (now, later) = std::mem::take(&mut self.mail).into_iter().partition(chosen);
        let now: Vec<Envelope> = now;
        self.mail = later;
        let count = now.len();
        for envelope in now {
            self.input(envelope.to, Input::Receive(Box::new(envelope)));
        }
        count
    }

    /// Delivers until nothing is on the way; what goes to or from `cut` is lost.
    pub(super) fn deliver_all(&mut self, cut: &[ReplicaId]) {
        for _ in 0..1000 {
            let links = &self.cut;
            self.mail.retain(|e| !cut.contains(&e.from) && !cut.contains(&e.to));
            self.mail.retain(|e| !links.contains(&(e.from, e.to)));
            if self.deliver(|_| true) == 0 {
                return;
            }
        }
        self.say("messages never end".to_string());
    }

    /// A message of `leader` that says nothing but what `change` puts in.
    pub(super) fn tell(
        &mut self,
        leader: LeaderId,
        to: ReplicaId,
        change: impl FnOnce(&mut Replicate),
    ) {
        let mut message = Replicate {
            leader,
            lineage: None,
            records: Records::new(),
            settled: TailBitmap::new(),
            committed_membership: None,
            round: 0,
            repaired: None,
        };
        change(&mut message);
        self.receive(leader.node, to, Message::Replicate(message));
    }

    pub(super) fn take_lineage(&mut self, id: ReplicaId, leader: LeaderId) -> Result<(), String> {
        if id == leader.node {
            return self.persist_until(id, |write| write.lineage.is_some());
        }
        let said = self.said.get(&leader).ok_or("this leader has said nothing")?;
        let lineage = said.lineage.clone();
        self.tell(leader, id, |message| message.lineage = Some(Box::new(lineage)));
        Ok(())
    }

    pub(super) fn accept(
        &mut self,
        id: ReplicaId,
        lsn: Lsn,
        leader: LeaderId,
    ) -> Result<(), String> {
        if id == leader.node {
            let has = |write: &Write| write.records.iter().any(|record| record.lsn == lsn);
            return self.persist_until(id, has);
        }
        let said = self.said.get(&leader).ok_or("this leader has said nothing")?;
        let record = said.records.get(&lsn).ok_or("the leader has no such record")?.clone();
        let author = record.author;
        self.tell(leader, id, |message| message.records.push(record.into()));
        let held = self.node(id).replica.record(lsn).map(|record| record.author);
        if held != Some(author) || self.node(id).replica.lineage().leader() != leader {
            self.say(format!("{id} does not accept {lsn}"));
        }
        Ok(())
    }

    /// Writes of `id` become durable, up to the first that `last` says.
    fn persist_until(
        &mut self,
        id: ReplicaId,
        last: impl Fn(&Write) -> bool,
    ) -> Result<(), String> {
        let at = self.node(id).writes.iter().position(last).ok_or("there is no such write")?;
        for _ in 0..=at {
            self.persist(id);
        }
        Ok(())
    }

    /// The newest answer of `id` to `leader` arrives, if there is one that has not.
    pub(super) fn report(&mut self, id: ReplicaId, leader: LeaderId) {
        let answer = |e: &Envelope| {
            let answers = matches!(&e.message, Message::ReplicateReply(m) if m.leader == leader);
            e.from == id && e.to == leader.node && answers
        };
        let Some(at) = self.mail.iter().rposition(answer) else {
            return self.say(format!("{id} has nothing to report to {leader}"));
        };
        let newest = self.mail[at].clone();
        self.mail.retain(|e| !answer(e));
        self.input(newest.to, Input::Receive(Box::new(newest)));
    }

    /// The newest acknowledgement of `id` that went to `to` beside the leader arrives there.
    pub(super) fn report_beside(&mut self, id: ReplicaId, to: ReplicaId) {
        let heard = |e: &Envelope| {
            (e.from, e.to) == (id, to) && matches!(e.message, Message::ReplicateReply(_))
        };
        let Some(at) = self.mail.iter().rposition(heard) else {
            return self.say(format!("{id} has nothing to report to {to}"));
        };
        let newest = self.mail[at].clone();
        self.mail.retain(|e| !heard(e));
        self.input(to, Input::Receive(Box::new(newest)));
    }

    /// A round of asking "am I still your leader?" that began after the read reaches `id`, and the
    /// answer the leader.
    pub(super) fn confirm(&mut self, id: ReplicaId, leader: LeaderId, read: u64) {
        let round = self.reads.get(&read).map_or(0, |(_, round)| *round);
        let lineage = self.said.get(&leader).map(|said| said.lineage.clone());
        self.tell(leader, id, |message| {
            message.lineage = lineage.map(Box::new);
            message.round = round;
        });
        self.report(id, leader);
    }

    /// Faults stop, all vote once more for a greater leader, and everything is delivered. Then
    /// every position is done at every voter (I-12), and the states are equal to that of running
    /// the settled records one by one (I-9).
    pub(super) fn heal(&mut self, by: ReplicaId) {
        self.setup.quick = true;
        self.mail.clear();
        let ids: Vec<ReplicaId> = self.nodes.keys().copied().collect();
        for id in &ids {
            let node = self.node(*id);
            node.holds = false;
            // What a leader has not made durable is gone.
            if !node.up || node.replica.leading().is_some() {
                self.restart(*id);
            }
            while !self.node(*id).writes.is_empty() {
                self.persist(*id);
            }
        }
        let promised = self.nodes.values().map(|node| node.replica.voted().term).max();
        let id = LeaderId { term: promised.unwrap_or(0) + 1, node: by };
        self.campaign(id);
        for _ in 0..400 {
            self.deliver_all(&[]);
            for id in &ids {
                let next = self.node(*id).applying.first().map(|(record, _)| record.lsn);
                next.into_iter().for_each(|lsn| self.apply(*id, lsn));
                self.input(*id, Input::Tick);
            }
            if self.healed().is_some_and(|(_, _, undone)| undone.is_empty()) {
                break;
            }
        }
        self.judge();
        self.keep_essence();
    }

    /// The next position, the voters, and those of them that have not done everything.
    fn healed(&self) -> Option<(Lsn, Vec<ReplicaId>, Vec<ReplicaId>)> {
        let leading = self.nodes.values().filter(|node| node.replica.leading().is_some());
        let leader = &leading.max_by_key(|node| node.replica.role().1)?.replica;
        let (next, ..) = leader.leading()?;
        let mut voters: Vec<ReplicaId> =
            leader.memberships().iter().flat_map(Membership::voters).collect();
        voters.sort_unstable();
        voters.dedup();
        let behind = |id: &ReplicaId| {
            let done = |node: &super::node::Node| node.replica.done().offset() >= next;
            !self.nodes.get(id).is_some_and(|n| done(n) && n.replica.doubt().is_none())
        };
        let undone = voters.iter().copied().filter(behind).collect();
        Some((next, voters, undone))
    }

    fn judge(&mut self) {
        let Some((next, voters, undone)) = self.healed() else {
            return self.checks.broken.push("BROKEN I-12 nobody leads".to_string());
        };
        for id in undone {
            let done = self.node(id).replica.done().clone();
            self.checks.broken.push(format!("BROKEN I-12 {id} has done {done} below {next}"));
        }
        let state = self.checks.one_by_one();
        for id in &voters {
            if self.node(*id).state != state {
                self.checks.broken.push(format!("BROKEN I-9 the state of {id} is another one"));
            }
        }
        let names: Vec<String> = voters.iter().map(ReplicaId::to_string).collect();
        self.say(format!("all below {next} is done at {}", names.join(" ")));
        self.say(format!("the state: {}", state.show(&state.keys())));
    }
}
