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
pub fn check(lines: Vec<Line>, initial: Option<Membership>) -> Traced {
    let (lines, mut refinement) = in_order(lines, initial);
    let count = lines.iter().map(|line| line.replica).collect::<BTreeSet<_>>().len();
    let wrong = lines.iter().enumerate().find_map(|(nth, line)| {
        let what = refinement.step(line.replica, &line.step).err()?;
        Some(format!("step {}, at {} ns: {what}", nth + 1, line.at))
    });
    let counts = refinement.counts().clone();
    Traced { steps: lines.len(), replicas: count, counts, wrong }
}

/// The steps by time, and the variables before the first.
pub(super) fn in_order(
    mut lines: Vec<Line>,
    initial: Option<Membership>,
) -> (Vec<Line>, Refinement) {
    // Those of one replica stay in their order.
    lines.sort_by_key(|line| line.at);
    let replicas: BTreeSet<ReplicaId> = lines.iter().map(|line| line.replica).collect();
    let initial = initial.unwrap_or_else(|| Membership::majority(replicas));
    (lines, Refinement::new(initial))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::check::refine::parse;

    /// Replica 2 becomes a leader after replica 3, which alone has a record. It takes the log of
    /// those that it heard in this order.
    pub(in super::super) fn text(order: [u64; 2]) -> String {
        let none = r#""lineage":{"end":0,"leader":"0#0","runs":[]},"records":[]"#;
        let start = format!(
            r#""step":"starts",{none},"doubt":false,"incarnation":0,"life":0,"voted":"0#0""#
        );
        let promise = |number: u64, id: &str| {
            format!(r#""step":"writes","number":{number},"records":[],"voted":"{id}""#)
        };
        let take = |number: u64, id: &str| {
            let lineage = format!(r#""lineage":{{"end":0,"leader":"{id}","runs":[]}}"#);
            format!(r#""step":"writes","number":{number},"records":[],{lineage}"#)
        };
        let stored = |number: u64| format!(r#""step":"stores","number":{number}"#);
        let campaign = |id: &str| format!(r#""step":"campaigns","candidate":"{id}""#);
        let grant = |id: &str, committer: &str, accepted: u64| {
            let what = format!(r#""candidate":"{id}","committer":"{committer}""#);
            format!(r#""step":"grants",{what},"accepted":[{accepted},[]],"purged":0"#)
        };
        let hear = |id: &str, from: u64| {
            format!(r#""step":"hears","candidate":"{id}","from":{from},"incarnation":0,"purged":0"#)
        };
        let record = r#""author":"1#3","lsn":0,"depends":[],"overrides":[],"floor":0"#;
        let command = r#""command":{"body":1,"reads":[],"writes":["61"]}"#;
        let record = format!(r#""step":"writes","number":3,"records":[{{{record},{command}}}]"#);
        let steps = [
            (1, start.clone()),
            (2, start.clone()),
            (3, start),
            (3, promise(1, "1#3")),
            (3, stored(1)),
            (3, campaign("1#3")),
            (1, promise(1, "1#3")),
            (1, stored(1)),
            (1, grant("1#3", "0#0", 0)),
            (3, hear("1#3", 1)),
            (3, take(2, "1#3")),
            (3, record),
            (3, stored(3)),
            (2, promise(1, "2#2")),
            (2, stored(1)),
            (2, campaign("2#2")),
            (1, promise(2, "2#2")),
            (1, stored(2)),
            (1, grant("2#2", "0#0", 0)),
            (3, promise(4, "2#2")),
            (3, stored(4)),
            (3, grant("2#2", "1#3", 1)),
            (2, hear("2#2", order[0])),
            (2, hear("2#2", order[1])),
            (2, take(2, "2#2")),
        ];
        let line = |(at, (replica, step)): (usize, &(u64, String))| {
            format!("{{\"at\":{at},\"replica\":{replica},{step}}}\n")
        };
        steps.iter().enumerate().map(line).collect()
    }

    fn elected_by(order: [u64; 2]) -> Option<String> {
        let traced = check(parse(&text(order)).expect("lines"), None);
        assert_eq!((traced.steps, traced.replicas), (25, 3));
        traced.wrong
    }

    #[test]
    fn a_vote_that_was_heard_too_late_need_not_count() {
        assert_eq!(elected_by([1, 3]), None);
        let wrong = elected_by([3, 1]).expect("the first vote has a record");
        assert!(wrong.contains("the log of 2#2 ends at 0, not at 1"), "{wrong}");
    }

    /// Replica 3 campaigns in vain, replica 2 leads; replica 1 hears of all that at once, and its
    /// disk writes it at once. What it says then to the candidate that it promised first.
    fn told(committer: &str) -> Option<String> {
        let none = r#""lineage":{"end":0,"leader":"0#0","runs":[]},"records":[]"#;
        let life = r#""doubt":false,"incarnation":0,"life":0,"voted":"0#0""#;
        let start = format!(r#""step":"starts",{none},{life}"#);
        let promise = r#""step":"writes","number":1,"records":[],"voted":"2#2""#.to_string();
        let stored = r#""step":"stores","number":1"#.to_string();
        let lineage = r#""lineage":{"end":0,"leader":"2#2","runs":[]}"#;
        let grant = r#""step":"grants","candidate":"1#3","purged":0"#;
        let steps = [
            (1, start.clone()),
            (2, start.clone()),
            (3, start),
            (2, promise.clone()),
            (2, stored.clone()),
            (2, r#""step":"campaigns","candidate":"2#2""#.into()),
            (3, promise.clone()),
            (3, stored.clone()),
            (2, r#""step":"hears","candidate":"2#2","from":3,"incarnation":0,"purged":0"#.into()),
            (2, format!(r#""step":"writes","number":2,"records":[],{lineage}"#)),
            (1, format!("{promise},{lineage}")),
            (1, stored),
            (1, format!(r#"{grant},"committer":"{committer}","accepted":[0,[]]"#)),
        ];
        let line = |(at, (replica, step)): (usize, &(u64, String))| {
            format!("{{\"at\":{at},\"replica\":{replica},{step}}}\n")
        };
        let text: String = steps.iter().enumerate().map(line).collect();
        check(parse(&text).expect("lines"), None).wrong
    }

    /// Found by `traft nemesis --processes --seeds`, when a disk had hung.
    #[test]
    fn a_grant_may_come_after_a_greater_leader_was_taken() {
        assert_eq!(told("0#0"), None);
        let wrong = told("2#2").expect("it grants as of what came later");
        assert!(wrong.contains("it grants 1#3 as of 2#2, and took 0#0"), "{wrong}");
    }
}
