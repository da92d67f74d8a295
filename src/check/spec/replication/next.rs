//! `Init`, `Next` and the invariants of `design/Replication.tla`.

use super::super::{Action, Place, R, Spec, bit, bits, is_quorum, list, top};
use super::{EMPTY, KEY, LSNS, NONE, Rec, Replication, State, VOID, used};

impl Spec for Replication {
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn next(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        for b in self.leaders() {
            if s.leading & bit(b) == 0 {
                for q in (0..1 << R).filter(|q| is_quorum(*q)) {
                    self.elect(s, b, q)
                        .into_iter()
                        .for_each(|next| take(next, Action::Elect(b, q)));
                }
                continue;
            }
            self.propose(s, b, take);
            for r in (0..R).filter(|r| !self.promises || s.voted[*r] <= b) {
                for l in bits(used(&s.llog[(b - 1) as usize])).map(|l| l as u8 + 1) {
                    if let Some(next) = self.accept(s, b, r, l) {
                        take(next, Action::Accept(b, r, l));
                    }
                }
            }
        }
        for r in (0..R).filter(|_| self.max_purge > 0) {
            for l in self.lsns() {
                self.purge(s, r, l).into_iter().for_each(|next| take(next, Action::Purge(r, l)));
            }
            for from in 0..R {
                let next = Self::install(s, r, from);
                next.into_iter().for_each(|next| take(next, Action::Install(r, from)));
            }
        }
        for r in (0..R).filter(|_| self.max_loss > 0) {
            if s.losses < self.max_loss {
                self.lose(s, r, &mut |next| take(next, Action::Lose(r)));
            }
            for b in self.leaders().filter(|b| s.leading & bit(*b) != 0) {
                self.hear(s, b, r).into_iter().for_each(|next| take(next, Action::Hear(b, r)));
                self.repair(s, b, r).into_iter().for_each(|next| take(next, Action::Repair(b, r)));
            }
        }
    }

    fn wrong(&self, s: &State) -> Option<String> {
        let all = &s.committed;
        for (nth, (l, x)) in all.iter().enumerate() {
            if let Some((_, y)) = all[..nth].iter().find(|(m, y)| m == l && y != x) {
                let (x, y) = (say(*x), say(*y));
                return Some(format!("I-6: at @{l} {y} and {x} are both committed"));
            }
            let closed = |d: usize| all.iter().any(|(m, y)| *m == d as u8 + 1 && y.key == x.key);
            if let Some(d) = bits(x.deps).find(|d| !closed(*d)) {
                let x = say(*x);
                return Some(format!("I-7: {x} is committed at @{l} and @{} is not", d + 1));
            }
            for (m, y) in all.iter().filter(|(m, y)| m > l && y.key == x.key && x.is_real()) {
                let empty = s.llog[(y.author - 1) as usize][(*l - 1) as usize].key == EMPTY;
                if y.deps & bit(*l) == 0 && !empty {
                    let (x, y) = (say(*x), say(*y));
                    return Some(format!("I-8: nothing orders {y} at @{m} after {x} at @{l}"));
                }
            }
        }
        for q in (0..1_u8 << R).filter(|q| is_quorum(*q)) {
            let gone = bits(q).fold(0, |gone, r| gone | s.purged[r]);
            if !bits(q).any(|r| gone & !s.purged[r] == 0) {
                return Some("nobody has all that a quorum has purged".into());
            }
        }
        None
    }

    fn permuted(&self, s: &State, order: &[usize; R]) -> Option<State> {
        let set = |set: u8| bits(set).map(|r| 1 << order[r]).sum::<u8>();
        let mut t = s.clone();
        for (r, to) in order.iter().copied().enumerate() {
            (t.voted[to], t.committer[to], t.log[to]) = (s.voted[r], s.committer[r], s.log[r]);
            (t.purged[to], t.need[to]) = (s.purged[r], s.need[r]);
        }
        t.acks = s.acks.map(|acks| acks.map(set));
        t.doubt = set(s.doubt);
        Some(t)
    }

    fn place(&self, s: &State, b: u8, l: u8) -> Place {
        let rec = s.llog[(b - 1) as usize][(l - 1) as usize];
        let after =
            if rec.deps == 0 { String::new() } else { format!(" after {}", list(rec.deps)) };
        Place { what: format!("{}{after}", name(rec.key)), author: rec.author }
    }

    fn log_of(&self, s: &State, b: u8) -> Vec<String> {
        let log = &s.llog[(b - 1) as usize];
        (0..top(used(log))).map(|l| say(log[l as usize])).collect()
    }

    fn committed(&self, s: &State) -> Vec<(u8, String)> {
        s.committed.iter().map(|(l, rec)| (*l, say(*rec))).collect()
    }

    fn lost(&self, before: &State, after: &State, r: usize) -> String {
        let gone: u8 =
            (0..LSNS).filter(|l| before.log[r][*l] != after.log[r][*l]).map(|l| 1 << l).sum();
        let mut lost = Vec::new();
        if gone != 0 {
            lost.push(list(gone));
        }
        if after.voted[r] < before.voted[r] {
            lost.push(format!("its promise to {}", before.voted[r]));
        }
        lost.join(" and ")
    }
}

fn name(key: u8) -> &'static str {
    match key {
        NONE => "nothing",
        VOID => "void",
        EMPTY => "empty",
        key => ["write x", "write y", "write z"][(key - KEY) as usize % 3],
    }
}

fn say(rec: Rec) -> String {
    format!("{} of leader {}", name(rec.key), rec.author)
}
