//! New voters catch up before they count (algorithm.md, Membership 6): one after the other, and,
//! where the leader's link is full, only as many as the change needs.
//!
//! Whoever catches up takes what the link can carry beyond what the voters need. Several at once
//! would take it from the voters, and once caught up each is sent all that is new: where that is
//! more than the link carries, the last ones never catch up before the change has made those that
//! leave needless.

use super::lead::Leadership;
use super::options::Options;
use super::peer::Peer;
use crate::base::{Lsn, Membership, ReplicaId};

/// Whose turn it is to catch up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    of: ReplicaId,
    /// How many positions it lacked when that was last looked at, and when, in ticks.
    lag: u64,
    since: u64,
    /// It came no nearer by what the voters left over, and does not give way to them any more:
    /// where clients fill the link whatever it carries, it would never catch up otherwise.
    presses: bool,
}

impl Turn {
    /// What decides ([`Replica::write_state`](super::Replica::write_state)).
    pub(crate) fn state(&self) -> (ReplicaId, u64, bool) {
        (self.of, self.lag, self.presses)
    }
}

/// Waiting for little to be on the way (Membership 6): since when so many have nearly everything
/// that the goal may be placed, and the least that was outstanding since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lull {
    /// In ticks.
    since: u64,
    /// How many positions all of them together lacked.
    least: u64,
    /// When that last became less, in ticks.
    fell_at: u64,
}

/// For how many election timeouts a lull is waited for while what is on the way becomes less.
const LULL_TIMEOUTS_MAX: u64 = 10;

/// What new voters are measured by.
pub(crate) struct Measure<'a> {
    pub(crate) goal: &'a Membership,
    /// The voters of the goal that do not vote yet.
    pub(crate) joining: &'a [ReplicaId],
    pub(crate) purged: Lsn,
    pub(crate) now: u64,
    pub(crate) options: &'a Options,
}

impl Measure<'_> {
    fn is_silent(&self, peer: &Peer) -> bool {
        !peer.known || self.now > peer.heard_at + self.options.election_ticks
    }

    /// It answers, and has what is no record any more.
    fn can_be_sent_records(&self, peer: &Peer) -> bool {
        !self.is_silent(peer) && peer.accepted.offset() >= self.purged
    }
}

impl Leadership {
    /// Below it a replica has everything, accepted or covered, as far as is known here.
    fn reached(&self, id: ReplicaId) -> Lsn {
        if id == self.id.node {
            return self.next;
        }
        let peer = self.peers.iter().find(|peer| peer.id == id && peer.known);
        peer.map_or(Lsn::ZERO, Peer::reached)
    }

    /// Whether so many have everything below `least` that the goal may be placed: all new voters;
    /// or, where voters are kept `waiting`, some of them and so many others that a write quorum of
    /// the goal has it *whichever one of its voters is missing*. Then no single loss can hold the
    /// change up (Membership 2), and the rest catch up as voters. They have to answer, and are
    /// given the state before: a voter would be sent it by the leader.
    pub(crate) fn suffices(&self, least: Lsn, waiting: bool, about: &Measure) -> bool {
        let has = |id: &ReplicaId| self.reached(*id) >= least;
        if about.joining.iter().all(has) {
            return true;
        }
        let ready = |id: &ReplicaId| {
            self.peers.iter().any(|peer| peer.id == *id && about.can_be_sent_records(peer))
        };
        let voters = about.goal.voters();
        let holders: Vec<ReplicaId> = voters.iter().copied().filter(has).collect();
        let without =
            |but: &ReplicaId| about.goal.write.is_quorum(&|id| id != *but && holders.contains(&id));
        waiting
            && about.joining.iter().any(has)
            && about.joining.iter().all(ready)
            && voters.iter().all(without)
    }

    /// Whether this is the moment to place the goal although not all that is placed has arrived.
    /// What is on its way goes before it on the leader's link and holds its decision up. So while
    /// that becomes less, it is waited for; and then for a moment at which it is as little as it
    /// gets between what clients want: mostly right before the next batch of it. Not for ever:
    /// where what is on the way does not come down again, the goal is placed all the same.
    pub(crate) fn is_lull(&mut self, about: &Measure) -> bool {
        let sent_to = |peer: &&Peer| peer.member && !peer.waits && !about.is_silent(peer);
        let lag = |peer: &Peer| self.next.0.saturating_sub(peer.reached().0);
        let lag = self.peers.iter().filter(sent_to).map(lag).fold(0, u64::saturating_add);
        let (now, timeout) = (about.now, about.options.election_ticks);
        let begins = Lull { since: now, least: lag, fell_at: now };
        let lull = self.changes.lull.get_or_insert(begins);
        if lag < lull.least {
            (lull.least, lull.fell_at) = (lag, now);
        }
        let steady = now.saturating_sub(lull.fell_at);
        steady > timeout / 4 && lag <= lull.least
            || steady >= timeout
            || now >= lull.since + LULL_TIMEOUTS_MAX * timeout
    }

    /// Whether a voter that answers is kept waiting, because as much is on its way to it as may be:
    /// the link is full, or the voter is slow. Notes when.
    pub(crate) fn keeps_a_voter_waiting(&mut self, about: &Measure) -> bool {
        let full =
            |peer: &Peer| peer.counts && !about.is_silent(peer) && peer.is_full(about.options);
        let crowded = self.peers.iter().any(full);
        if crowded {
            self.changes.crowded_at = Some(about.now);
        }
        crowded
    }

    /// Lets one of those that lack something below `least` be sent the log, and the others wait; or
    /// nobody, once `enough` have it. It gives way to the voters as long as it comes nearer all the
    /// same, and one that comes no nearer makes room for the next.
    pub(crate) fn take_turns(&mut self, least: Lsn, enough: bool, crowded: bool, about: &Measure) {
        let lag = |reached: Lsn| self.next.0.saturating_sub(reached.0);
        let open: Vec<(ReplicaId, u64)> = about
            .joining
            .iter()
            .map(|id| (*id, self.reached(*id)))
            .filter(|(id, reached)| {
                let able = |peer: &Peer| peer.id == *id && about.can_be_sent_records(peer);
                *reached < least && self.peers.iter().any(able)
            })
            .map(|(id, reached)| (id, lag(reached)))
            .collect();
        let begin =
            |(of, lag): (ReplicaId, u64)| Turn { of, lag, since: about.now, presses: false };
        let held = self.changes.turn.and_then(|turn| {
            let (_, lag) = open.iter().find(|(id, _)| *id == turn.of)?;
            Some((turn, *lag))
        });
        let turn = match held {
            None => open.first().copied().map(begin),
            Some((turn, _)) if about.now <= turn.since + about.options.election_ticks => Some(turn),
            Some((turn, lag)) if lag < turn.lag || !turn.presses => {
                let presses = turn.presses || lag >= turn.lag;
                Some(Turn { lag, since: about.now, presses, ..turn })
            }
            Some((turn, _)) => {
                let next = open.iter().find(|(id, _)| *id > turn.of);
                next.or(open.first()).copied().map(begin)
            }
        };
        self.changes.turn = turn.filter(|_| !enough);
        let sent = self.changes.turn.filter(|turn| turn.presses || !crowded).map(|turn| turn.of);
        for peer in &mut self.peers {
            let waits = Some(peer.id) != sent && open.iter().any(|(id, _)| *id == peer.id);
            self.stirred |= peer.waits && !waits;
            peer.waits = waits;
        }
    }
}
