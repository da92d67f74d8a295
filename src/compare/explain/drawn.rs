//! What the page and the picture draw alike.

use super::super::picture::Arrow;
use super::text::view;
use crate::base::{LeaderId, Lsn, ReplicaId};
use crate::check::scenario::{Arrival, Frame, View};
use crate::replica::RoleName;

/// More messages in one step nobody can tell apart.
pub(super) const ARROWS_MAX: usize = 24;

/// So many authors have a colour of their own.
pub(super) const COLOURS: usize = 5;

/// The messages that came in the step `at`.
pub(super) fn arrows(frames: &[Frame], at: usize, ids: &[ReplicaId]) -> Vec<Arrow> {
    let column = |id| ids.iter().position(|other| *other == id);
    let arrow = |arrival: &Arrival| {
        let (from, to) = (column(arrival.from)?, column(arrival.to)?);
        let had = |lsn| {
            let has = |frame: &Frame| {
                view(frame, arrival.from).is_some_and(|sender| sender.log.contains_key(&lsn))
            };
            let since = frames[..=at].iter().rposition(|frame| !has(frame)).map_or(0, |n| n + 1);
            since.min(at)
        };
        Some(Arrow { from, to, since: arrival.newest.map_or(at, had) })
    };
    let mut arrows: Vec<Arrow> = frames[at].arrivals.iter().filter_map(arrow).collect();
    arrows.dedup();
    arrows.truncate(ARROWS_MAX);
    arrows
}

/// The authors of all records, in order of first appearance.
pub(super) fn authors(frames: &[Frame]) -> Vec<LeaderId> {
    let mut authors = Vec::new();
    let slots =
        frames.iter().flat_map(|frame| &frame.replicas).flat_map(|view| view.slots.values());
    for slot in slots {
        if !authors.contains(&slot.author) {
            authors.push(slot.author);
        }
    }
    authors
}

/// What a replica is, in a few words.
pub(super) fn role(view: &View) -> String {
    match (view.up, view.role) {
        (false, _) => "down".into(),
        (true, RoleName::Leader) => format!("leads as {}", view.leader),
        (true, RoleName::Follower) => format!("promise {}", view.promise),
        (true, _) => format!("campaigns for {}", view.leader),
    }
}

/// How a position stands at a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Done,
    Running,
    Settled,
    Accepted,
    Placed,
    Missing,
}

impl Standing {
    pub(super) fn of(view: &View, lsn: Lsn) -> Standing {
        match () {
            () if view.done.contains(lsn) => Standing::Done,
            () if view.running.contains(&lsn) => Standing::Running,
            () if view.settled.contains(lsn) => Standing::Settled,
            () if view.slots.contains_key(&lsn) => Standing::Accepted,
            () if view.log.contains_key(&lsn) => Standing::Placed,
            () => Standing::Missing,
        }
    }
}
