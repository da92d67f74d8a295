//! What leaves memory, and what comes back from disk.

use super::peer::Peer;
use super::{Output, Replica, Role};
use crate::base::{Lsn, Records, Tail, mutant};
use crate::message::{FetchReply, Message};

impl Replica {
    /// Forgets what is done and settled, now and then: for each record by itself it would cost more
    /// than all else that is done with it.
    #[inline]
    pub(super) fn trim(&mut self) {
        let due = match &self.role {
            Role::Leader(lead) => self.needless() >= lead.index.trim_at(),
            _ => false,
        };
        if due || (self.log.bytes() > self.log_bytes_max() && self.is_durable()) {
            self.trim_all();
        }
    }

    /// Forgets what is done and settled: first in the index, then, beyond the bound, in memory.
    pub(super) fn trim_all(&mut self) {
        let needless = self.needless();
        if let Role::Leader(lead) = &mut self.role {
            lead.index.trim(needless);
        }
        if self.is_durable() {
            self.log.shrink(needless, self.log_bytes_max(), &self.accepted);
        }
    }

    /// Whether all that was decided is on disk: what has left memory is asked back from there.
    fn is_durable(&self) -> bool {
        self.writes.durable() == self.writes.newest()
    }

    /// Everything below is done and settled, also as far as a leader knows.
    fn needless(&self) -> Lsn {
        let here = self.schedule.done().offset().min(self.settled.offset());
        let Role::Leader(lead) = &self.role else { return here };
        let needless = here.min(lead.settled.offset());
        assert!(needless <= lead.next, "I-11 {} settled, next is {}", needless, lead.next);
        needless
    }

    fn log_bytes_max(&self) -> usize {
        mutant!(LogNeverShrinks, self.options.log_bytes_max, usize::MAX)
    }

    /// Records are back from disk: for the followers that lack them, or for a candidate.
    pub(super) fn on_loaded(&mut self, records: Records) {
        for (to, candidate) in std::mem::take(&mut self.loans) {
            if candidate == self.voted {
                let records = records.clone();
                self.send(to, Message::FetchReply(FetchReply { candidate, records }));
            }
        }
        if let Role::Leader(lead) = &mut self.role {
            let known = lead.loaded.len();
            lead.loaded.extend(records.iter_shared().map(|record| (record.lsn, record)));
            // What could not be read now, as its write is still out, is asked for again in a while.
            if lead.loaded.len() > known {
                lead.load_at = None;
                lead.stirred = true;
            }
        }
    }

    /// Asks for records that have left memory.
    pub(super) fn load(&mut self, wanted: Tail) {
        let Role::Leader(lead) = &mut self.role else { return };
        let lowest = lead.peers.iter().filter(|p| p.known).map(Peer::scan).min();
        lead.loaded = lead.loaded.split_off(&lowest.unwrap_or_default());
        let patience = self.options.resend_ticks;
        let asked = lead.load_at.is_some_and(|at| self.now <= at + patience);
        if !wanted.is_empty() && !asked {
            lead.load_at = Some(self.now);
            self.outputs.push(Output::Load(Box::new(wanted)));
        }
    }
}
