//! What the leader and the others know settled, and what a read makes of it.

use super::{ALL, Log, NONE, Reads, State, VOID, used};
use crate::check::spec::{Action, bit, bits, has, top};

impl Reads {
    /// `Settled`: what a write quorum has accepted under `b`, after `have`.
    pub(super) fn settled(&self, s: &State, b: u8, mut have: u8) -> u8 {
        let (log, acks) = (&s.llog[(b - 1) as usize], &s.acks[(b - 1) as usize]);
        let enough = |m: &usize| acks[*m].count_ones() >= u32::from(self.write_q);
        let held: u8 = bits(used(log)).filter(enough).map(|m| 1 << m).sum();
        loop {
            let ready = |m: &usize| log[*m].deps & !have == 0;
            let more: u8 = bits(held & !have).filter(ready).map(|m| 1 << m).sum();
            if more == 0 {
                return have;
            }
            have |= more;
        }
    }

    /// `Count` and `Conclude`: somebody comes to know one position settled.
    pub(super) fn hear(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        for b in (1..=self.max_leader).filter(|b| s.leading & bit(*b) != 0) {
            let at = (b - 1) as usize;
            let ready = |l: &usize| s.llog[at][*l].deps & !s.known[at] == 0;
            for l in bits(self.settled(s, b, s.known[at]) & !s.known[at]).filter(ready) {
                let mut next = s.clone();
                next.known[at] |= 1 << l;
                take(next, Action::Learn(s.host[at] as usize));
            }
        }
        for r in (0..self.replicas as usize).filter(|r| s.committer[*r] != 0) {
            let learned = s.learned[r];
            let ready = |l: &usize| {
                let rec = s.log[r][*l];
                rec.keys != NONE && rec.deps & !learned == 0
            };
            for l in bits(self.settled(s, s.committer[r], learned) & !learned).filter(ready) {
                let mut next = s.clone();
                next.learned[r] |= 1 << l;
                take(next, Action::Learn(r));
            }
        }
    }

    /// `Complete`: of what interferes and is known settled, the first that is not done writes all.
    pub(super) fn is_complete(&self, s: &State) -> bool {
        let leader = (s.read.leader - 1) as usize;
        let knows = if self.elsewhere { s.learned[s.read.at as usize] } else { s.known[leader] };
        let undone = s.interfering(knows) & !s.done[s.read.at as usize];
        let wide = |l: usize| s.at(l).is_some_and(|(.., keys)| *keys == ALL);
        let mut undone = bits(undone);
        undone.next().is_none_or(|first| wide(first) || !self.first && undone.any(wide))
    }
}

/// `InOrder` and `Beginning`: below each position of `shown`, what is not in `have` is a void.
pub(super) fn is_beginning(log: &Log, shown: u8, have: u8) -> bool {
    (0..top(shown) as usize).all(|l| has(have, l) || log[l].keys == VOID)
}
