//! A replica under classic rules.

use crate::base::{LeaderId, Lsn, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};

/// One replica under classic rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Twin {
    pub(super) term: u64,
    /// To whom it has given its vote of this term.
    pub(super) vote: Option<LeaderId>,
    /// As whom it leads.
    pub(super) leads: Option<LeaderId>,
    /// Positions and authors.
    pub(super) log: Vec<(Lsn, LeaderId)>,
    /// What has come and cannot be appended yet.
    pub(super) early: BTreeSet<Lsn>,
    /// So many of the log are known committed.
    pub(super) committed: usize,
    /// A leader: so much of its log the others are known to have.
    pub(super) matched: BTreeMap<ReplicaId, usize>,
    /// What it did in the last step.
    pub(super) events: Vec<String>,
}

impl Twin {
    pub(super) fn reach_term(&mut self, term: u64) {
        if term > self.term {
            (self.term, self.vote, self.leads) = (term, None, None);
        }
    }

    pub(super) fn take<'a>(&mut self, entries: impl Iterator<Item = &'a (Lsn, LeaderId)>) {
        let entries: Vec<_> = entries.copied().collect();
        for entry in entries {
            if !self.log.contains(&entry) {
                self.log.push(entry);
            }
        }
    }

    pub(super) fn commit_to(&mut self, to: usize) {
        if to > self.committed {
            let news: Vec<Lsn> = self.log[self.committed..to].iter().map(|(lsn, _)| *lsn).collect();
            self.committed = to;
            tell(&mut self.events, "commits", &news);
        }
    }
}

pub(super) fn tell(events: &mut Vec<String>, word: &str, lsns: &[Lsn]) {
    if !lsns.is_empty() {
        events.push(format!("{word} {}", names(lsns)));
    }
}

pub(super) fn names(lsns: &[Lsn]) -> String {
    lsns.iter().map(Lsn::to_string).collect::<Vec<_>>().join(" ")
}
