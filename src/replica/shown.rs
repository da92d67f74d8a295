//! What a read may show (algorithm.md, Reading 3 and 4): a beginning of what interferes with it.

use super::log::Log;
use crate::base::{Footprint, Lsn, TailBitmap, mutant};

/// What is done here, for reads: of what two reads show, wherever they are served, one has to be
/// part of the other, and a record that is shown brings all that was acknowledged before it was
/// placed. What is out for execution may be shown or not: that is for the driver to say.
pub(super) struct Shown<'a> {
    pub(super) log: &'a Log,
    pub(super) done: &'a TailBitmap,
    /// Done, or out for execution.
    pub(super) started: &'a TailBitmap,
    /// Known settled: at the leader as it counts, elsewhere as it was told.
    pub(super) settled: &'a TailBitmap,
    /// Under this leader replicas conclude by themselves what is settled. The leader may learn it
    /// in another order than clients did.
    pub(super) by_position: bool,
}

impl Shown<'_> {
    /// Whether what is done of what interferes with the read is a beginning.
    ///
    /// Of one key it always is: whoever writes it comes after all before that write it. Of several
    /// keys it is a beginning of the log by position, where that is asked for, or else of what the
    /// leader came to know settled, in that order: if all that is known is done, or if the first
    /// that is not writes all that is read, so that everything after it comes after it, and
    /// whatever is out does too.
    pub(super) fn is_beginning(&self, read: &Footprint) -> bool {
        if is_one_key(read) {
            return true;
        }
        let by_position = mutant!(HeardReadsByKnowledge, self.by_position, false);
        if by_position {
            return self.is_beginning_of_log(read);
        }
        let undone = self.settled.difference_iter(self.done);
        let mut undone = undone.filter(|lsn| self.interferes(*lsn, read));
        let Some(first) = undone.next() else { return true };
        let mut out = self.started.difference_iter(self.done);
        let in_order = |lsn| !self.interferes(lsn, read) || self.writes_all(lsn, read);
        let in_order = mutant!(OutIsForgotten, out.all(in_order), true);
        let follows = self.writes_all(first, read) && in_order;
        let follows = follows || mutant!(OnlyNotedReads, false, true);
        follows || mutant!(AnyWideReads, false, undone.any(|lsn| self.writes_all(lsn, read)))
    }

    /// Whether nothing that interferes is missing below something that interferes and is done or
    /// out.
    fn is_beginning_of_log(&self, read: &Footprint) -> bool {
        let mut missing = self.done.holes(self.started.end());
        let Some(first) = missing.find(|lsn| self.interferes(*lsn, read)) else { return true };
        let mut above = (first.0 + 1..self.started.end().0).map(Lsn);
        !above.any(|lsn| self.started.contains(lsn) && self.interferes(lsn, read))
    }

    /// Whether the record at `lsn` interferes with the read. What is not here may be anything; what
    /// is no command shows nothing.
    pub(super) fn interferes(&self, lsn: Lsn, read: &Footprint) -> bool {
        let Some(record) = self.log.get(lsn) else { return true };
        record.command().is_some_and(|command| command.footprint.interferes(read))
    }

    /// Whether the record at `lsn` is here and writes all that is read, or named as written.
    fn writes_all(&self, lsn: Lsn, read: &Footprint) -> bool {
        let command = self.log.get(lsn).and_then(|record| record.command());
        command.is_some_and(|command| {
            let writes = &command.footprint.writes;
            writes.covers(&read.reads) && writes.covers(&read.writes)
        })
    }
}

/// Whether all that interferes with a read writes one key: then it interferes with each other.
fn is_one_key(read: &Footprint) -> bool {
    let Footprint { reads, writes } = read;
    writes.is_empty() && reads.ranges().is_empty() && reads.points().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Command, Key, KeySet, LeaderId, Payload, Record, Tail};
    use proptest::prelude::*;

    /// By bit of `mask`: the keys a, b, c.
    fn keys(mask: u8) -> KeySet {
        let bits = (0..3).filter(|bit| mask >> bit & 1 == 1);
        KeySet::from_parts(bits.map(|bit| Key::from(vec![b'a' + bit])), [])
    }

    fn record(lsn: u64, mask: u8) -> Record {
        let footprint = Footprint::write(keys(mask));
        Record {
            lsn: Lsn(lsn),
            author: LeaderId::new(1, 1),
            floor: Lsn::ZERO,
            depends: Tail::new(),
            overrides: Tail::new(),
            payload: Payload::Command(Command { footprint, body: Key::new() }),
        }
    }

    fn set(of: &[bool]) -> TailBitmap {
        let tail: Tail = (0..).zip(of).filter(|(_, is)| **is).map(|(lsn, _)| Lsn(lsn)).collect();
        TailBitmap::from_parts(Lsn::ZERO, tail)
    }

    /// A position: what it writes, if it is here, and whether it is known settled (1), out (2) or
    /// done (3).
    fn position() -> impl Strategy<Value = (Option<u8>, u8)> {
        (prop::option::weighted(0.8, 1..8_u8), 0..4_u8)
    }

    proptest! {
        /// What is shown is a beginning, as two loops over all pairs of positions say.
        #[test]
        fn beginnings_are_those_of_all_pairs(
            log in prop::collection::vec(position(), 0..12),
            read in 1..8_u8,
            by_position in any::<bool>(),
        ) {
            let mut held = Log::starting_at(Lsn::ZERO);
            for (lsn, (mask, _)) in (0..).zip(&log) {
                mask.iter().for_each(|mask| { held.put(record(lsn, *mask)); });
            }
            let is = |at: usize, least: u8| log[at].1 >= least;
            let at_least = |least| set(&(0..log.len()).map(|at| is(at, least)).collect::<Vec<_>>());
            let (settled, started, done) = (at_least(1), at_least(2), at_least(3));
            let footprint = Footprint::read(keys(read));
            let shown = Shown {
                log: &held, done: &done, started: &started, settled: &settled, by_position,
            };

            let interferes = |at: &usize| log[*at].0.is_none_or(|mask| mask & read != 0);
            let wide = |at: usize| log[at].0.is_some_and(|mask| mask & read == read);
            let all = || (0..log.len()).filter(interferes);
            let missing = |at: &usize| !is(*at, 3) && (by_position || is(*at, 1));
            let twin = read.count_ones() == 1 || all().filter(missing).all(|low| {
                if by_position {
                    return !all().any(|high| high > low && is(high, 2));
                }
                let ordered = all().all(|at| !is(at, 2) || is(at, 3) || wide(at));
                ordered && all().any(|first| first <= low && missing(&first) && wide(first)
                    && !all().any(|before| before < first && missing(&before)))
            });
            prop_assert_eq!(shown.is_beginning(&footprint), twin);
        }
    }
}
