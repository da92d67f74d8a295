//! Linearizable reads at the leader (algorithm.md, Reading), and what reads elsewhere have to see.

use super::peer::Peer;
use super::shown::Shown;
use super::{Output, ReadError, ReadLevel, Replica, Role};
use crate::base::{Footprint, Lsn, ReplicaId, Tail, mutant};
use crate::message::{Message, ReadPoint, ReadRequest, Ticket};
use crate::quorum::{Compiled, Mask};
use std::collections::VecDeque;

/// Who reads.
#[derive(Clone, Debug)]
enum Reader {
    /// A client of this replica.
    Own,
    /// Another replica in some life, which waits for everything below this that interferes, too.
    Other(ReplicaId, u64, Lsn),
}

/// A read that waits.
#[derive(Clone, Debug)]
struct Waiting {
    reader: Reader,
    read: u64,
    footprint: Footprint,
    /// Leadership must be confirmed by an answer to this round or a later one.
    round: u64,
    /// Noted on arrival and not done then.
    noted: Tail,
}

/// Reads in order of arrival, and the rounds that confirm leadership.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// Wait for their round.
    unconfirmed: VecDeque<Waiting>,
    /// Confirmed; wait for something to be done.
    blocked: Vec<Waiting>,
    round: u64,
    confirmed: u64,
    round_at: u64,
    /// With leases: the rounds that may still be counted on, and when each began.
    starts: VecDeque<(u64, u64)>,
    /// Read and write system of each membership in force: either kind of quorum confirms.
    quorums: Vec<(Compiled, Compiled)>,
}

impl Reads {
    /// The newest round.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// The memberships in force have changed.
    pub(crate) fn set_quorums(&mut self, quorums: Vec<(Compiled, Compiled)>) {
        self.quorums = quorums;
    }

    /// Begins a round if a read has come since the last one: one round serves all that wait.
    pub(crate) fn start_round(&mut self, now: u64) {
        if self.unconfirmed.back().is_some_and(|waiting| waiting.round > self.round) {
            self.round += 1;
            self.round_at = now;
        }
    }

    /// Begins a new round if the last one was not answered in time.
    pub(crate) fn again(&mut self, now: u64, resend: u64) {
        if !self.unconfirmed.is_empty()
            && self.confirmed < self.round
            && now > self.round_at + resend
        {
            self.round += 1;
            self.round_at = now;
        }
    }

    /// With leases: begins a round with each heartbeat, whether anybody reads or not.
    pub(crate) fn renew(&mut self, now: u64, heartbeat: u64) {
        if now >= self.round_at + heartbeat {
            self.round += 1;
            self.round_at = now;
        }
        if self.starts.back().is_none_or(|(round, _)| *round < self.round) {
            self.starts.push_back((self.round, self.round_at));
        }
    }

    /// Whether those who answered a round that began less than `usable` ago are, with this replica,
    /// a write quorum of each membership in force: later leaders need the vote of one of them.
    pub(crate) fn has_lease(&mut self, now: u64, usable: u64, own: Mask, peers: &[Peer]) -> bool {
        while self.starts.front().is_some_and(|(_, began)| began + usable <= now) {
            self.starts.pop_front();
        }
        let Some(&(oldest, _)) = self.starts.front() else { return false };
        let bound = |mask, peer: &Peer| {
            if peer.round >= oldest { mask | peer.bit } else { mask }
        };
        let have = peers.iter().fold(own, bound);
        self.quorums.iter().all(|(_, write)| write.is_quorum(have))
    }

    /// Takes the numbers of all reads of clients of this replica, oldest first.
    pub(crate) fn take_all(&mut self) -> Vec<u64> {
        let all = self.blocked.drain(..).chain(self.unconfirmed.drain(..));
        all.filter(|w| matches!(w.reader, Reader::Own)).map(|w| w.read).collect()
    }

    /// Whether no read waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.unconfirmed.is_empty() && self.blocked.is_empty()
    }

    fn len(&self) -> usize {
        self.unconfirmed.len() + self.blocked.len()
    }

    /// Reads wait for their round, and the replicas whose bits are in `have` would confirm it.
    pub(crate) fn is_confirmed(&self, have: Mask) -> bool {
        !self.unconfirmed.is_empty() && self.is_quorum(have)
    }

    fn is_quorum(&self, have: Mask) -> bool {
        self.quorums.iter().all(|(r, w)| r.is_quorum(have) || w.is_quorum(have))
    }
}

impl Replica {
    /// Reading 1: note the interfering records of the log, and its empty positions. What is done
    /// need not be noted. The latest writer of each key is enough: when it is done, everything
    /// before it that interferes is done too, by the order of applying; or it is covered by a
    /// record that would itself be the latest writer.
    pub(super) fn on_read(&mut self, read: u64, footprint: Footprint, level: ReadLevel) {
        if level == ReadLevel::Stale {
            return self.outputs.push(Output::ReadReady { read });
        }
        let lease = level == ReadLevel::Lease && self.has_lease();
        let Role::Leader(lead) = &mut self.role else {
            if level == ReadLevel::Here {
                return self.read_here(read, footprint);
            }
            let reason = ReadError::NotLeader { hint: self.leader_hint() };
            return self.outputs.push(Output::ReadFailed { read, reason });
        };
        if lead.reads.len() >= self.options.reads_max {
            let reason = ReadError::Busy;
            return self.outputs.push(Output::ReadFailed { read, reason });
        }
        let done = self.schedule.done();
        let mut noted = Tail::new();
        let log = |lsn| self.log.get(lsn);
        for lsn in lead.index.latest_writers(&footprint.reads, done.offset(), log) {
            if !done.contains(lsn) {
                noted.insert(lsn);
            }
        }
        if !lead.empties.is_empty() {
            let open = |lsn: &Lsn| !done.contains(*lsn);
            lead.empties.iter().filter(open).for_each(|lsn| {
                noted.insert(lsn);
            });
        }
        let noted = mutant!(ReadNotesNothing, noted, Tail::new());
        let round = lead.reads.round + 1;
        let waiting = Waiting { reader: Reader::Own, read, footprint, round, noted };
        if mutant!(ReadUnconfirmed, lease, true) {
            return lead.reads.blocked.push(waiting);
        }
        lead.reads.unconfirmed.push_back(waiting);
        lead.stirred = true;
    }

    /// A replica elsewhere wants to know what a read there has to see: the same as here, and what
    /// is done here already.
    pub(super) fn on_read_request(&mut self, from: ReplicaId, message: ReadRequest) {
        let ReadRequest { ticket, footprint } = message;
        let leader = self.role.leader();
        let Role::Leader(lead) = &mut self.role else {
            let refusal = ReadPoint::refusal(ticket, self.voted);
            return self.send(from, Message::ReadPoint(refusal));
        };
        if lead.reads.len() >= self.options.reads_max {
            return self.send(from, Message::ReadPoint(ReadPoint::refusal(ticket, leader)));
        }
        let below = self.schedule.done().offset().min(self.settled.offset());
        let below = below.min(lead.settled.offset());
        let log = |lsn| self.log.get(lsn);
        let writers = lead.index.latest_writers(&footprint.reads, below, log);
        let empties = lead.empties.iter().filter(|lsn| *lsn >= below);
        let noted = writers.into_iter().chain(empties).collect();
        let round = lead.reads.round + 1;
        let (reader, read) = (Reader::Other(from, ticket.life, below), ticket.number);
        lead.reads.unconfirmed.push_back(Waiting { reader, read, footprint, round, noted });
        lead.stirred = true;
    }

    /// Reading 2: leadership is confirmed, for every read that came before the round was sent, by
    /// a read quorum or a write quorum in each membership in force. A follower echoes the round
    /// only while its promise is this leader.
    pub(super) fn confirm_reads(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        if lead.reads.unconfirmed.is_empty() {
            return;
        }
        let rounds = lead.peers.iter().map(|peer| peer.round).chain([lead.reads.round]);
        let reached = rounds.filter(|round| {
            let have = |mask, peer: &Peer| {
                if peer.round >= *round { mask | peer.bit } else { mask }
            };
            lead.reads.is_quorum(lead.peers.iter().fold(lead.bit, have))
        });
        let reached = reached.max().unwrap_or(0);
        lead.reads.confirmed = lead.reads.confirmed.max(reached);
        let confirmed = lead.reads.confirmed;
        let leader = lead.id;
        let mut points = Vec::new();
        while let Some(waiting) = lead.reads.unconfirmed.pop_front_if(|w| w.round <= confirmed) {
            match waiting.reader {
                Reader::Own => lead.reads.blocked.push(waiting),
                Reader::Other(to, life, below) => {
                    let ticket = Ticket { life, number: waiting.read };
                    let point = Some((below, waiting.noted));
                    let by_position = self.options.acknowledge_to_all;
                    points.push((to, ReadPoint { ticket, leader, point, by_position }));
                }
            }
        }
        points.into_iter().for_each(|(to, point)| self.send(to, Message::ReadPoint(point)));
    }

    /// Reading 3: the noted records are done, and what is shown is a beginning: a later write may
    /// already be visible, so nothing acknowledged before that write may be missing. Asked at the
    /// end of a drain only: an input that is handled between the answer and the drain could raise
    /// the promise.
    pub(super) fn serve_reads(&mut self) {
        let Role::Leader(lead) = &mut self.role else { return };
        if lead.reads.blocked.is_empty() {
            return;
        }
        assert!(self.voted == lead.id, "Reading 3: promised {} and leads {}", self.voted, lead.id);
        let (done, settled) = (self.schedule.done(), &lead.settled);
        let by_position = self.options.acknowledge_to_all;
        let started = self.schedule.all_started();
        let shown = Shown { log: &self.log, done, started, settled, by_position };
        let outputs = &mut self.outputs;
        lead.reads.blocked.retain(|waiting| {
            let ready = done.contains_all(&waiting.noted) && shown.is_beginning(&waiting.footprint);
            if ready {
                outputs.push(Output::ReadReady { read: waiting.read });
            }
            !ready
        });
    }

    pub(super) fn fail_reads(&mut self, reads: Vec<u64>) {
        let hint = None;
        let fail = |read| Output::ReadFailed { read, reason: ReadError::NotLeader { hint } };
        self.outputs.extend(reads.into_iter().map(fail));
    }
}
