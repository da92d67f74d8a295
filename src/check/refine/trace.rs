//! A whole trace, held against the specifications.

use super::{Line, Refinement};
use crate::base::{Membership, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};

/// What came of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// How many steps there are.
    pub steps: usize,
    /// Of how many replicas.
    pub replicas: usize,
    /// How many of them were which action, as far as they were looked at.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first one that the specifications do not allow: which, and why. After it nothing is
    /// looked at.
    pub wrong: Option<String>,
}

/// Looks at all steps of all replicas of a cluster, from their first start on. Those of one replica
/// are in their order, and the replicas one after the other or mixed.
///
/// `initial` is the membership that the cluster started with; without it, a majority of those that
/// have recorded.
pub fn check(mut lines: Vec<Line>, initial: Option<Membership>) -> Traced {
    // Those of one replica stay in their order.
    lines.sort_by_key(|line| line.at);
    let replicas: BTreeSet<ReplicaId> = lines.iter().map(|line| line.replica).collect();
    let count = replicas.len();
    let mut refinement = Refinement::new(initial.unwrap_or_else(|| Membership::majority(replicas)));
    let wrong = lines.iter().enumerate().find_map(|(nth, line)| {
        let what = refinement.step(line.replica, &line.step).err()?;
        Some(format!("step {}, at {} ns: {what}", nth + 1, line.at))
    });
    let counts = refinement.counts().clone();
    Traced { steps: lines.len(), replicas: count, counts, wrong }
}
