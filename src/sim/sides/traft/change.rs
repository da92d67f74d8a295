//! Changes of membership: asked for, and watched from outside.

use super::super::BEHIND_MAX;
use super::{Effect, Output, Post, TraftReplica, majority};
use crate::base::{ReplicaId, TailBitmap};
use crate::replica::{Input, RoleName};
use crate::sim::{ChangeStep, Spec};

/// The number of a proposal that is no operation: those begin at a greater one.
const CHANGE: u64 = 0;

/// A change that was asked for.
#[derive(Debug)]
pub(super) struct Watch {
    /// Who votes in the end.
    voters: Vec<ReplicaId>,
    /// How far it is seen to have come.
    step: Option<ChangeStep>,
    /// Whether all of them have caught up.
    everyone: bool,
}

impl TraftReplica {
    pub(super) fn ask_for(&mut self, spec: &Spec, to: usize) -> Input {
        let membership = majority(&spec.memberships[to]);
        self.change = Some(Watch { voters: membership.voters(), step: None, everyone: false });
        Input::Change { proposal: CHANGE, request: to as u64, membership, force: false }
    }

    /// Keeps what answers the operator from what answers clients.
    pub(super) fn about_change(
        &mut self,
        output: Output,
        effects: &mut Vec<Effect<Post>>,
    ) -> Option<Output> {
        match output {
            Output::Settled { proposal: CHANGE } => {
                if let Some(watch) = &mut self.change {
                    watch.step = Some(ChangeStep::Complete);
                }
                effects.push(Effect::Change(ChangeStep::Complete));
                None
            }
            Output::Rejected { proposal: CHANGE, .. } | Output::Unknown { proposal: CHANGE } => {
                self.change = None;
                None
            }
            output => Some(output),
        }
    }

    /// Whether the membership asked for is in force by now, or even alone.
    pub(super) fn watch_change(&mut self, effects: &mut Vec<Effect<Post>>) {
        let Some(watch) = &mut self.change else { return };
        if self.replica.role().0 != RoleName::Leader {
            return;
        }
        let in_force = self.replica.memberships();
        let step = match in_force.last() {
            Some(newest) if newest.voters() != watch.voters => None,
            _ if in_force.len() > 1 => Some(ChangeStep::Proposed),
            _ => Some(ChangeStep::Decided),
        };
        if step > watch.step {
            watch.step = step;
            effects.extend(step.map(Effect::Change));
        }
        let end = self.replica.settled().offset().0.saturating_sub(BEHIND_MAX);
        let lags = |id: ReplicaId, has: Option<&TailBitmap>| {
            watch.voters.contains(&id) && has.is_none_or(|has| has.offset().0 < end)
        };
        if step.is_some() && !watch.everyone {
            watch.everyone = !self.replica.followers().any(|peer| lags(peer.id, peer.accepted));
            if watch.everyone {
                effects.push(Effect::Change(ChangeStep::Everyone));
            }
        }
        if watch.everyone && watch.step == Some(ChangeStep::Complete) {
            self.change = None;
        }
    }
}
