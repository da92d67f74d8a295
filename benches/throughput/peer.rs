//! What is compared, behind one trait, and the loop that drives each in the same way.

use crate::{Item, Work};
use std::time::{Duration, Instant};

/// Three replicas of a protocol in memory, on the thread of the caller, with a key-value machine
/// ([`Kv`](crate::kv::Kv)) at each. The leader, where commands are handed in and answered, is
/// elected by [`new`](Self::new).
pub(crate) trait Peer {
    /// As it is called in the table.
    const NAME: &'static str;

    /// A cluster at its best settings, with a leader.
    fn new() -> Self;

    /// A client hands a command in; commands are numbered from 1 on, without a gap.
    fn propose(&mut self, number: u64, item: Item);

    /// Goes on with what has come, once for each replica, and notes the numbers of the commands
    /// that the leader answers: committed, and executed at the leader if that takes execution.
    fn step(&mut self, answered: &mut Vec<u64>);

    /// Goes on until every replica has executed everything, and forgets the log below.
    fn settle(&mut self);
}

/// A peer at work.
pub(crate) struct Bench<P> {
    peer: P,
    next: u64,
    answered: Vec<u64>,
}

impl<P: Peer> Bench<P> {
    pub(crate) fn new() -> Bench<P> {
        Bench { peer: P::new(), next: 0, answered: Vec::new() }
    }

    /// Commits `count` commands, at most `in_flight` of them at once.
    pub(crate) fn run(&mut self, work: &mut Work, in_flight: u64, count: u64) {
        self.drive(work, in_flight, count, |_, _, _| ());
    }

    /// The same, and how long each of them took: a clock is read twice a step, not for each.
    pub(crate) fn latencies(
        &mut self,
        work: &mut Work,
        in_flight: u64,
        count: u64,
        times: &mut Vec<Duration>,
    ) {
        let first = self.next + 1;
        let mut sent: Vec<Instant> = Vec::with_capacity(count as usize);
        self.drive(work, in_flight, count, |from, to, answered| {
            let now = Instant::now();
            sent.extend((from..to).map(|_| now));
            times.extend(answered.iter().map(|number| now - sent[(number - first) as usize]));
        });
    }

    /// `note`: the numbers handed in since the last call, and those answered.
    fn drive(
        &mut self,
        work: &mut Work,
        in_flight: u64,
        count: u64,
        mut note: impl FnMut(u64, u64, &[u64]),
    ) {
        let (first, mut done) = (self.next, 0);
        while done < count {
            let open = first + count.min(done + in_flight);
            note(self.next, open, &[]);
            while self.next < open {
                self.next += 1;
                self.peer.propose(self.next, work.next());
            }
            self.answered.clear();
            self.peer.step(&mut self.answered);
            note(self.next, self.next, &self.answered);
            done += self.answered.len() as u64;
        }
        self.peer.settle();
    }
}
