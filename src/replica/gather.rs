//! Gathering what the log of a candidate lacks (algorithm.md, Electing 2).

use super::rebuild::{self, Survey};
use super::{Output, Replica, Role};
use crate::base::{Lsn, Records, ReplicaId, Tail};
use crate::message::{Fetch, FetchReply, Message};

impl Replica {
    /// A quorum has granted. Leads if every survivor is at hand; else fetches what is missing from
    /// a voter that holds it.
    pub(super) fn gather(&mut self, survey: Survey) {
        let Role::Candidate(c) = &mut self.role else { return };
        let have = |lsn: Lsn| {
            let author = survey.lineage.author(lsn);
            (lsn < self.log.first() && self.accepted.contains(lsn))
                || self.log.get(lsn).is_some_and(|r| r.author == author)
                || c.gathered.contains_key(&(lsn, author))
        };
        let missing: Tail =
            survey.survivors.difference_iter(&Default::default()).filter(|l| !have(*l)).collect();
        if missing.is_empty() {
            return self.lead(survey);
        }
        if !c.fetching.is_empty() {
            return;
        }
        c.asked_at = self.now;
        let id = c.id;
        let mut open = missing;
        for (from, grant) in &c.grants {
            let held = rebuild::held(grant, &survey.lineage);
            let positions: Tail = open.iter().filter(|lsn| held.contains(*lsn)).collect();
            open.difference_with(&positions);
            if !positions.is_empty() && *from != self.options.id {
                c.fetching.insert(*from, positions);
            }
        }
        for (to, positions) in c.fetching.clone() {
            self.send(to, Message::Fetch(Fetch { candidate: id, positions }));
        }
    }

    /// A voter's records do not change between its grant and the candidate's leadership, because
    /// it refuses every leader below: what it sends now is what it granted with.
    pub(super) fn on_fetch(&mut self, from: ReplicaId, message: Fetch) {
        if message.candidate != self.voted {
            return;
        }
        let mut evicted = Tail::new();
        let mut records = Vec::new();
        let mut budget = self.options.message_bytes_max;
        for lsn in message.positions.iter().filter(|lsn| self.accepted.contains(*lsn)) {
            if lsn < self.log.first() {
                if evicted.len() < 1024 {
                    evicted.insert(lsn);
                }
                continue;
            }
            let Some(record) = self.log.get(lsn) else { continue };
            let Some(rest) = budget.checked_sub(record.size()) else { break };
            budget = rest;
            records.push(record.clone());
        }
        if !evicted.is_empty() {
            self.loans.insert(from, message.candidate);
            self.outputs.push(Output::Load(Box::new(evicted)));
        }
        let records = Records::from(records);
        let reply = FetchReply { candidate: message.candidate, records };
        self.send(from, Message::FetchReply(reply));
    }

    /// Votes and survivors are looked at again when all has come that was asked of this voter.
    /// Until then its answers come a budget at a time, and each asks for the rest: what one of them
    /// costs does not grow with all that there is.
    pub(super) fn on_fetch_reply(&mut self, from: ReplicaId, message: FetchReply) {
        let Role::Candidate(c) = &mut self.role else { return };
        if c.id != message.candidate {
            return;
        }
        // One that brings nothing or was lost is asked again when the timer says so.
        if !message.records.is_empty() {
            let brought: Tail = message.records.iter().map(|record| record.lsn).collect();
            let mut rest = c.fetching.remove(&from).unwrap_or_default();
            // Starting over would drop what has come: where the gap is wide and the link narrow, it
            // would never lead, though it may be the only one that a quorum can hear.
            if rest.intersects(&brought) {
                let patience = self.options.election_ticks;
                self.campaign_at = self.campaign_at.max(self.now + patience);
            }
            rest.difference_with(&brought);
            for record in message.records.iter_shared() {
                c.gathered.insert((record.lsn, record.author), record);
            }
            if !rest.is_empty() {
                c.asked_at = self.now;
                c.fetching.insert(from, rest.clone());
                let fetch = Fetch { candidate: c.id, positions: rest };
                return self.send(from, Message::Fetch(fetch));
            }
            if !c.fetching.is_empty() {
                return;
            }
        }
        self.count_votes();
    }
}
