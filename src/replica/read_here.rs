//! Linearizable reads at a replica that does not lead (algorithm.md, Reading 4).

use super::shown::Shown;
use super::{Output, ReadError, Replica};
use crate::base::{Footprint, LeaderId, Lsn, Tail};
use crate::message::{Message, ReadPoint, ReadRequest, Ticket};

/// A read that waits here.
#[derive(Clone, Debug)]
struct Waiting {
    read: u64,
    footprint: Footprint,
    /// The leader that was asked.
    leader: LeaderId,
    since: u64,
    asked_at: u64,
    /// What it said: everything below that interferes is to be done, and this set.
    point: Option<(Lsn, Tail)>,
    /// Under that leader replicas conclude by themselves what is settled.
    by_position: bool,
}

/// Reads that are served here by what the leader says, in order of arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadsHere(Vec<Waiting>);

impl ReadsHere {
    /// Whether no read waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Replica {
    /// Asks the leader that is followed.
    pub(super) fn read_here(&mut self, read: u64, footprint: Footprint) {
        let Some(to) = self.leader_hint() else {
            let reason = ReadError::NotLeader { hint: None };
            return self.outputs.push(Output::ReadFailed { read, reason });
        };
        if self.reads_here.0.len() >= self.options.reads_max {
            return self.outputs.push(Output::ReadFailed { read, reason: ReadError::Busy });
        }
        let ticket = self.ticket(read);
        let request = ReadRequest { ticket, footprint: footprint.clone() };
        self.send(to, Message::ReadRequest(request));
        let (leader, now) = (self.lineage.leader(), self.now);
        let (since, asked_at) = (now, now);
        let (point, by_position) = (None, false);
        let waiting = Waiting { read, footprint, leader, since, asked_at, point, by_position };
        self.reads_here.0.push(waiting);
    }

    pub(super) fn on_read_point(&mut self, message: ReadPoint) {
        let Ticket { life, number } = message.ticket;
        let of = |w: &&mut Waiting| life == self.life && w.read == number && w.point.is_none();
        let Some(waiting) = self.reads_here.0.iter_mut().find(of) else { return };
        if message.point.is_none() {
            waiting.since = 0;
            return self.give_up_reads_here(1);
        }
        if waiting.leader == message.leader {
            (waiting.point, waiting.by_position) = (message.point, message.by_position);
        }
    }

    /// Reading 4: what the leader named is done here, whatever of it interferes, and what is shown
    /// is a beginning. The lineage is still that of the leader, and no snapshot has come since:
    /// then whatever the state shows, it is known here that everything acknowledged before that was
    /// settled, or else it stands below.
    pub(super) fn serve_reads_here(&mut self) {
        if self.reads_here.0.iter().all(|waiting| waiting.point.is_none()) {
            return;
        }
        let (log, done, settled) = (&self.log, self.schedule.done(), &self.settled);
        let (started, outputs) = (self.schedule.all_started(), &mut self.outputs);
        self.reads_here.0.retain(|waiting| {
            let Some((below, noted)) = &waiting.point else { return true };
            let (read, by_position) = (&waiting.footprint, waiting.by_position);
            let shown = Shown { log, done, started, settled, by_position };
            let ready = done.contains_all(noted)
                && !done.holes(*below).any(|lsn| shown.interferes(lsn, read))
                && shown.is_beginning(read);
            if ready {
                outputs.push(Output::ReadReady { read: waiting.read });
            }
            !ready
        });
    }

    /// Asks again for what was lost, and gives up after as long as a forwarded proposal is waited
    /// for. The leader asks a quorum before it answers, so an answer takes two round trips.
    pub(super) fn tick_reads_here(&mut self) {
        if self.reads_here.0.is_empty() {
            return;
        }
        self.give_up_reads_here(self.options.election_ticks + self.options.resend_ticks);
        let mut again = Vec::new();
        for waiting in &mut self.reads_here.0 {
            let late = self.now > waiting.asked_at + 2 * self.options.resend_ticks;
            if waiting.point.is_none() && late {
                waiting.asked_at = self.now;
                let ticket = Ticket { life: self.life, number: waiting.read };
                let footprint = waiting.footprint.clone();
                again.push((waiting.leader.node, ReadRequest { ticket, footprint }));
            }
        }
        again.into_iter().for_each(|(to, m)| self.send(to, Message::ReadRequest(m)));
    }

    /// Another leader, or another state: the client has to ask again.
    pub(super) fn fail_reads_here(&mut self) {
        let reads = std::mem::take(&mut self.reads_here.0);
        self.fail_reads(reads.into_iter().map(|waiting| waiting.read).collect());
    }

    /// Gives up those that have waited for an answer for so long.
    fn give_up_reads_here(&mut self, patience: u64) {
        let now = self.now;
        let old = |w: &mut Waiting| w.point.is_none() && now >= w.since + patience;
        let old: Vec<u64> = self.reads_here.0.extract_if(.., old).map(|w| w.read).collect();
        self.fail_reads(old);
    }
}
