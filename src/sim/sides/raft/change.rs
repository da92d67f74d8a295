//! Changes of membership the classic way: learners first, then joint consensus.
//!
//! New voters are added as learners, with twice the window of a voter. When each of them is as
//! close as traft wants a new voter to be, one joint change makes them voters and removes those
//! that leave; the crate leaves the joint configuration by itself.

use super::RaftReplica;
use crate::sim::sides::{BEHIND_MAX, Effect};
use crate::sim::{ChangeStep, Spec};
use protobuf::Message as _;
use raft::StateRole;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry,
};
use std::collections::BTreeSet;

/// A change that was asked for.
#[derive(Debug)]
pub(super) struct Change {
    voters: BTreeSet<u64>,
    step: Option<ChangeStep>,
    /// Since which tick all learners are at most [`BEHIND_MAX`] behind.
    close_since: Option<u64>,
    patience: u64,
}

impl Change {
    pub(super) fn new(spec: &Spec, to: usize) -> Change {
        let voters = spec.memberships[to].iter().map(|r| *r as u64 + 1).collect();
        let patience = spec.election_timeout.0 / spec.tick.0;
        Change { voters, step: None, close_since: None, patience }
    }
}

impl RaftReplica {
    /// Goes on with the change, if this replica leads and nothing of it is under way.
    pub(super) fn drive_change(&mut self) {
        let Some(change) = &mut self.change else { return };
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader || raft.has_pending_conf() {
            return;
        }
        let known = self.node.store().voters.clone();
        if !known.voters_outgoing.is_empty() {
            return;
        }
        let present: BTreeSet<u64> = known.voters.iter().copied().collect();
        if present == change.voters {
            self.change = None;
            self.effects.push(Effect::Change(ChangeStep::Decided));
            self.effects.push(Effect::Change(ChangeStep::Complete));
            return;
        }
        let joining: Vec<u64> = change.voters.difference(&present).copied().collect();
        let single = |change_type, node_id| ConfChangeSingle {
            change_type,
            node_id,
            ..ConfChangeSingle::default()
        };
        let learns = |id: &u64| known.learners.contains(id);
        let changes: Vec<ConfChangeSingle> = if joining.iter().all(learns) {
            let within = |enough| {
                let has = |id: &u64| raft.prs().get(*id).is_some_and(|pr| pr.matched >= enough);
                joining.iter().all(has)
            };
            if !within(raft.raft_log.committed.saturating_sub(BEHIND_MAX)) {
                change.close_since = None;
                return;
            }
            let since = *change.close_since.get_or_insert(self.tick);
            if !within(raft.raft_log.last_index()) && self.tick < since + change.patience {
                return;
            }
            change.step = Some(ChangeStep::Proposed);
            let add = joining.iter().map(|id| single(ConfChangeType::AddNode, *id));
            let leave = present.difference(&change.voters);
            let remove = leave.map(|id| single(ConfChangeType::RemoveNode, *id));
            add.chain(remove).collect()
        } else {
            joining.iter().map(|id| single(ConfChangeType::AddLearnerNode, *id)).collect()
        };
        let step = change.step;
        let mut proposal = ConfChangeV2::default();
        proposal.set_transition(ConfChangeTransition::Implicit);
        proposal.set_changes(changes.into());
        // It refuses while another one is under way, which was looked at.
        if self.node.propose_conf_change(Vec::new(), proposal).is_ok() {
            self.effects.extend(step.map(Effect::Change));
            // None is made a voter before.
            self.effects.extend(step.map(|_| Effect::Change(ChangeStep::Everyone)));
        }
    }

    /// A committed entry with a change has its turn.
    pub(super) fn reconfigure(&mut self, change: &ConfChangeV2) {
        // What does not apply changes nothing, and the driver sees that.
        if let Ok(voters) = self.node.apply_conf_change(change) {
            if let Some(window) = self.window {
                for (id, share) in shares(&voters) {
                    self.node.raft.adjust_max_inflight_msgs(id, share * window);
                }
            }
            self.node.mut_store().voters = voters;
        }
    }
}

/// How many windows each has on its way: a voter one, a learner two, as in traft.
fn shares(known: &ConfState) -> Vec<(u64, usize)> {
    let voters = known.voters.iter().map(|id| (*id, 1));
    voters.chain(known.learners.iter().map(|id| (*id, 2))).collect()
}

/// The change in an entry; an empty one leaves the joint configuration.
pub(super) fn parse(entry: &Entry) -> ConfChangeV2 {
    let mut change = ConfChangeV2::default();
    // The crate wrote it.
    let _ = change.merge_from_bytes(&entry.data);
    change
}
