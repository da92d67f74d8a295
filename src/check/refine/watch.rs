//! A stretch of a trace as pictures: the variables of the specifications after each step that
//! changed one.

use super::trace::in_order;
use super::{Line, Refinement, store};
use crate::base::{LeaderId, Lsn, Membership, ReplicaId, SharedRecord};
use crate::check::scenario::{Arrival, Frame, Slot, View};
use crate::replica::{RoleName, Step, Write};
use std::collections::BTreeMap;

/// What a stretch looked like.
#[derive(Debug, Default)]
pub struct Stretch {
    /// How it stood before, then after each step that changed something.
    pub frames: Vec<Frame>,
    /// How many steps there are in all.
    pub steps: u64,
    /// The first step that is not allowed, and why; after it nothing is looked at.
    pub wrong: Option<(u64, String)>,
}

/// The steps from `from` up to `to`, the first being 0. `initial` is as for [`super::check`].
///
/// A trace has what replicas do and say, and of what they hear only votes: a report is drawn when
/// it was said. Settled at a leader is what has been accepted by enough, whether it knows or not.
pub fn watch(lines: Vec<Line>, initial: Option<Membership>, from: u64, to: u64) -> Stretch {
    let (lines, mut refinement) = in_order(lines, initial);
    let mut found = Stretch { steps: lines.len() as u64, ..Stretch::default() };
    let (mut first, mut arrivals) = (Lsn::ZERO, Vec::new());
    for (nth, line) in (0..).zip(&lines) {
        let allowed = refinement.step(line.replica, &line.step);
        if (from..to).contains(&nth) {
            if found.frames.is_empty() {
                first = refinement.first_of_interest();
            }
            arrivals.extend(arrival(line.replica, &line.step));
            let replicas = refinement.views(first);
            if found.frames.last().is_none_or(|last| last.replicas != replicas) {
                found.frames.push(Frame {
                    line: usize::try_from(nth).unwrap_or(usize::MAX),
                    command: told(line),
                    said: Vec::new(),
                    arrivals: std::mem::take(&mut arrivals),
                    replicas,
                });
            }
        }
        if let Err(what) = allowed {
            found.wrong = Some((nth, format!("step {nth}, at {} ns: {what}", line.at)));
            break;
        }
    }
    found
}

impl Refinement {
    /// What all have done is no news.
    fn first_of_interest(&self) -> Lsn {
        self.replicas.values().map(|replica| replica.done.offset()).min().unwrap_or_default()
    }

    fn views(&self, first: Lsn) -> Vec<View> {
        self.replicas.iter().map(|(id, replica)| self.view(*id, replica, first)).collect()
    }

    fn view(&self, id: ReplicaId, replica: &store::Replica, first: Lsn) -> View {
        let (durable, voted) = (&replica.durable, replica.composed.voted);
        let leading = self.leaders.get(&voted).filter(|_| voted.node == id);
        let role = match leading {
            Some(_) => RoleName::Leader,
            None if replica.candidate == voted && voted.node == id => RoleName::Candidate,
            None => RoleName::Follower,
        };
        View {
            id,
            up: true,
            role,
            leader: voted,
            promise: durable.voted,
            committer: durable.lineage.leader(),
            purged: durable.purged.max(first),
            slots: slots(&durable.log, first),
            log: leading.map_or_else(BTreeMap::new, |leader| slots(&leader.log, first)),
            settled: leading.map_or(&replica.done, |_| &self.facts.settled).clone(),
            done: replica.done.clone(),
            running: Vec::new(),
            next: leading.map(|leader| leader.next()),
            memberships: leading.map_or_else(Vec::new, |leader| leader.memberships(&self.initial)),
        }
    }
}

fn slots(log: &[Option<SharedRecord>], first: Lsn) -> BTreeMap<Lsn, Slot> {
    let from = (first.0 as usize).min(log.len());
    log[from..].iter().flatten().map(|record| (record.lsn, Slot::of(record))).collect()
}

/// What a step says of a message: a report when it is said, the request for a vote when it is
/// granted, a vote when it is heard.
fn arrival(id: ReplicaId, step: &Step) -> Option<Arrival> {
    let (from, to, what, asks) = match step {
        Step::Hears { from, candidate, .. } => (*from, id, format!("votes for {candidate}"), None),
        Step::Grants { candidate, .. } => {
            (candidate.node, id, format!("vote for {candidate}!"), Some(*candidate))
        }
        Step::Accepts { leader, accepted } => {
            return Some(Arrival::report(id, leader.node, *leader, accepted));
        }
        _ => return None,
    };
    Some(Arrival { from, to, what, newest: None, is_report: false, asks })
}

fn told(line: &Line) -> String {
    let id = line.replica;
    let what = match &line.step {
        Step::Starts(_) => "starts".into(),
        Step::Writes(write) => format!("asks to write{}", written(write)),
        Step::Stores(_) => "has synced".into(),
        Step::Purges(below) => format!("drops what is below {below}"),
        Step::Applies(lsns) => format!("executes {}", names(lsns.iter().copied())),
        Step::Restores(_) => "takes the state of a snapshot".into(),
        Step::Campaigns(candidate) => format!("asks for votes for {candidate}"),
        Step::Grants { candidate, .. } => format!("votes for {candidate}"),
        Step::Hears { from, candidate, .. } => format!("hears the vote of {from} for {candidate}"),
        Step::Accepts { leader, .. } => format!("says what it has accepted under {leader}"),
        Step::Leads { leader, records, .. } => {
            let records = names(records.iter().map(|(lsn, _)| *lsn));
            format!("sends {records} as {leader}")
        }
    };
    format!("{}.{:03} {id} {what}", line.at / 1_000_000, line.at / 1_000 % 1_000)
}

fn written(write: &Write) -> String {
    let promise = write.voted.map(|id: LeaderId| format!(" the promise {id}"));
    let lineage =
        write.lineage.as_ref().map(|lineage| format!(" the lineage {}", lineage.leader()));
    let records = names(write.records.iter().map(|record| record.lsn));
    let records = (!records.is_empty()).then(|| format!(" {records}"));
    [promise, lineage, records].into_iter().flatten().collect()
}

fn names(lsns: impl Iterator<Item = Lsn>) -> String {
    lsns.map(|lsn| lsn.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::trace::tests::text;
    use super::*;

    #[test]
    fn what_was_recorded_is_seen() {
        let lines = parse(&text([1, 3])).expect("lines");
        let found = watch(lines.clone(), None, 0, 100);
        assert_eq!((found.steps, found.wrong), (25, None));
        let has = |what: &str| found.frames.iter().any(|frame| frame.command.ends_with(what));
        assert!(has("n3 asks to write 0") && has("n2 asks to write the lineage 2#2"));
        // Steps that change nothing are not drawn.
        assert!(found.frames.len() < 25 && found.frames.windows(2).all(|w| w[0] != w[1]));
        let last = found.frames.last().expect("frames");
        assert_eq!(last.leader().map(|leader| leader.leader), Some(LeaderId::new(2, 2)));
        assert!(last.why(Lsn(0)).starts_with("2#2 has placed nothing"), "{}", last.why(Lsn(0)));
        let part = watch(lines, None, 20, 100);
        assert!(part.frames.len() < 6 && part.frames.last() == found.frames.last());
    }

    #[test]
    fn it_ends_with_the_step_that_is_not_allowed() {
        let found = watch(parse(&text([3, 1])).expect("lines"), None, 0, 100);
        let (at, what) = found.wrong.expect("the first vote has a record");
        assert_eq!(at, 24);
        assert!(what.contains("the log of 2#2 ends at 0, not at 1"), "{what}");
    }
}
