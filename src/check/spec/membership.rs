//! `design/Membership.tla`, action by action.

use super::{Action, Place, R, Spec, bit, bits, has, list, top};

/// The constants of the specification, by its names; one command, which writes one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification says what they are")]
pub struct Membership {
    pub max_leader: u8,
    pub max_lsn: u8,
    /// The members of each membership: a bit for each replica.
    pub members: [u8; 3],
    /// How many of them a read quorum has.
    pub read: [u8; 3],
    /// A bit for each membership that there may be a change to.
    pub changes: u8,
    pub barrier: bool,
    pub fixpoint: bool,
    pub pending: bool,
}

const LEADERS: usize = 3;
const LSNS: usize = 3;
const NONE: u8 = 0;
const VOID: u8 = 1;
const KEY: u8 = 2;
/// A change to the first membership; the others follow.
const CFG: u8 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rec {
    author: u8,
    key: u8,
    deps: u8,
}

impl Rec {
    fn is_real(self) -> bool {
        self.author != 0 && self.key != VOID
    }

    /// The membership that it carries, from 0.
    fn cfg(self) -> Option<u8> {
        self.key.checked_sub(CFG)
    }
}

type Log = [Rec; LSNS];

/// A membership that is known committed, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Known {
    at: u8,
    cfg: u8,
}

/// The variables of the specification. Memberships are counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    voted: [u8; R],
    committer: [u8; R],
    log: [Log; R],
    known: [Known; R],
    leading: u8,
    llog: [Log; LEADERS],
    base: [u8; LEADERS],
    lknown: [Known; LEADERS],
    acks: [[u8; LSNS]; LEADERS],
    committed: Vec<(u8, Rec)>,
}

fn used(log: &Log) -> u8 {
    (0..LSNS).filter(|l| log[*l].key != NONE).map(|l| 1 << l).sum()
}

impl Membership {
    /// `design/Membership.cfg`.
    pub fn small() -> Membership {
        Membership {
            max_leader: 2,
            max_lsn: 2,
            members: [0b01, 0b11, 0],
            read: [1, 2, 0],
            changes: 0b010,
            barrier: true,
            fixpoint: true,
            pending: true,
        }
    }

    fn replicas(&self) -> u8 {
        self.members.iter().fold(0, |all, members| all | members)
    }

    fn is_read(&self, set: u8, cfg: u8) -> bool {
        let at = cfg as usize;
        (set & self.members[at]).count_ones() >= u32::from(self.read[at])
    }

    fn is_write(&self, set: u8, cfg: u8) -> bool {
        let at = cfg as usize;
        let members = self.members[at];
        (set & members).count_ones() + u32::from(self.read[at]) > members.count_ones()
    }

    /// `With`: a bit for each membership in force, with these changes after what is known.
    fn with(&self, known: Known, changes: &[Known]) -> u8 {
        let later = match self.pending {
            true => changes.iter().fold(0, |all, change| all | 1 << change.cfg),
            false => changes.iter().max_by_key(|change| change.at).map_or(0, |c| 1 << c.cfg),
        };
        1 << known.cfg | later
    }

    fn in_force(&self, log: &Log, known: Known) -> u8 {
        let later = (0..LSNS).filter(|l| *l as u8 + 1 > known.at);
        let changes: Vec<Known> =
            later.filter_map(|l| Some(Known { at: l as u8 + 1, cfg: log[l].cfg()? })).collect();
        self.with(known, &changes)
    }

    fn survivors(s: &State, q: u8, c: u8) -> Log {
        std::array::from_fn(|l| {
            let alive = |rec: &Rec| match c {
                0 => false,
                c if l < s.base[(c - 1) as usize] as usize => {
                    rec.author != 0 && rec.author == s.llog[(c - 1) as usize][l].author
                }
                c => rec.author == c,
            };
            let mut held = bits(q).map(|r| s.log[r][l]).filter(|rec| rec.key != NONE);
            held.find(alive).unwrap_or_default()
        })
    }

    fn close(mut p: Log) -> Log {
        loop {
            let real: u8 = (0..LSNS).filter(|l| p[*l].is_real()).map(|l| 1 << l).sum();
            let bad = |rec: &Rec| rec.is_real() && rec.deps & !real != 0;
            if !p.iter().any(bad) {
                return p;
            }
            p = p.map(|rec| if bad(&rec) { Rec::default() } else { rec });
        }
    }

    /// `Elect`, with candidate `n` among those that answer.
    fn elect(&self, s: &State, b: u8, q: u8, n: usize) -> Option<State> {
        if !bits(q).all(|r| s.voted[r] < b) {
            return None;
        }
        let c = bits(q).map(|r| s.committer[r]).max().unwrap_or_default();
        let survivors = Self::survivors(s, q, c);
        let newest = bits(q).map(|r| s.known[r]).max().unwrap_or_default();
        let need = match self.fixpoint {
            true => self.in_force(&survivors, newest),
            false => self.in_force(&s.log[n], s.known[n]),
        };
        if !bits(need).all(|cfg| self.is_read(q, cfg as u8)) {
            return None;
        }
        let p = Self::close(survivors);
        let top = top(used(&p));
        let mut next = s.clone();
        let at = (b - 1) as usize;
        for (l, rec) in p.into_iter().enumerate().take(top as usize) {
            next.llog[at][l] = match rec.key {
                NONE => Rec { author: b, key: VOID, deps: 0 },
                _ => rec,
            };
        }
        (next.base[at], next.lknown[at]) = (top, newest);
        bits(q).for_each(|r| next.voted[r] = b);
        next.leading |= bit(b);
        Some(next)
    }

    fn propose(&self, s: &State, b: u8, take: &mut dyn FnMut(State, Action)) {
        let at = (b - 1) as usize;
        let log = &s.llog[at];
        let n = used(log).count_ones() as usize;
        if n >= self.max_lsn as usize {
            return;
        }
        let changes = bits(self.changes).map(|cfg| CFG + cfg as u8);
        for key in changes.chain([KEY]) {
            let rec = Rec { author: b, key, deps: 0 };
            if let Some(cfg) = rec.cfg() {
                let again = log.iter().any(|rec| rec.key == key);
                if again || self.in_force(log, s.lknown[at]) == 1 << cfg {
                    continue;
                }
            }
            let same = |l: &usize| log[*l].is_real() && log[*l].key == key;
            let deps = (0..LSNS).filter(same).map(|l| 1 << l).sum();
            let mut next = s.clone();
            next.llog[at][n] = Rec { deps, ..rec };
            take(next, Action::Place(b, n as u8 + 1));
        }
    }

    /// `Settled`: commits what a quorum of each membership in force has; a change that commits is
    /// in force alone from then on, which may commit more.
    fn settle(&self, s: &mut State, b: u8) {
        let at = (b - 1) as usize;
        let log = s.llog[at];
        loop {
            loop {
                let need = self.in_force(&log, s.lknown[at]);
                let more = (0..LSNS).find(|l| {
                    let rec = log[*l];
                    let all = (0..=*l).fold(u8::MAX, |all, m| all & s.acks[at][m]);
                    let barred = rec.cfg().is_some() && self.barrier;
                    let holders = if barred { all } else { s.acks[at][*l] };
                    let done = |d: usize| s.committed.contains(&(d as u8 + 1, log[d]));
                    rec.key != NONE
                        && bits(need).all(|cfg| self.is_write(holders, cfg as u8))
                        && bits(rec.deps).all(done)
                        && !s.committed.contains(&(*l as u8 + 1, rec))
                });
                let Some(l) = more else { break };
                s.committed.push((l as u8 + 1, log[l]));
                s.committed.sort_unstable();
            }
            let passed = (0..LSNS).rev().find(|l| {
                let above = *l as u8 + 1 > s.lknown[at].at;
                above && log[*l].cfg().is_some() && s.committed.contains(&(*l as u8 + 1, log[*l]))
            });
            let Some(l) = passed else { return };
            s.lknown[at] = Known { at: l as u8 + 1, cfg: log[l].cfg().unwrap_or_default() };
        }
    }

    fn accept(&self, s: &State, b: u8, r: usize, l: usize) -> Option<State> {
        let at = (b - 1) as usize;
        let rec = s.llog[at][l];
        if rec.key == NONE {
            return None;
        }
        let adopted = |m: usize| {
            let rec = s.log[r][m];
            let inside = m < s.base[at] as usize && rec.author != 0;
            if inside && rec.author == s.llog[at][m].author { rec } else { Rec::default() }
        };
        let mut now = if s.committer[r] == b { s.log[r] } else { std::array::from_fn(adopted) };
        now[l] = rec;
        if s.committer[r] == b && now == s.log[r] {
            return None;
        }
        let mut next = s.clone();
        next.log[r] = now;
        for m in (0..LSNS).filter(|m| now[*m].key != NONE) {
            next.acks[at][m] |= 1 << r;
        }
        self.settle(&mut next, b);
        (next.voted[r], next.committer[r]) = (b, b);
        Some(next)
    }
}

impl Spec for Membership {
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn next(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        let all = self.replicas();
        for b in 1..=self.max_leader {
            if s.leading & bit(b) == 0 {
                for q in (1..=all).filter(|q| q & !all == 0) {
                    for n in bits(q) {
                        let next = self.elect(s, b, q, n);
                        next.into_iter().for_each(|next| take(next, Action::Elect(b, q)));
                    }
                }
                continue;
            }
            self.propose(s, b, take);
            for r in bits(all).filter(|r| s.voted[*r] <= b) {
                for l in 0..LSNS {
                    if let Some(next) = self.accept(s, b, r, l) {
                        take(next, Action::Accept(b, r, l as u8 + 1));
                    }
                }
            }
        }
        for r in bits(all) {
            let leader = s.committer[r];
            let followed = (leader != 0).then(|| s.lknown[(leader - 1) as usize]);
            let heard = bits(all).map(|other| s.known[other]).chain(followed);
            for known in heard.filter(|known| known.at > s.known[r].at) {
                let mut next = s.clone();
                next.known[r] = known;
                take(next, Action::Learn(r));
            }
        }
    }

    fn wrong(&self, s: &State) -> Option<String> {
        let all = &s.committed;
        for (nth, (l, x)) in all.iter().enumerate() {
            if let Some((_, y)) = all[..nth].iter().find(|(m, _)| m == l) {
                let (x, y) = (say(*x), say(*y));
                return Some(format!("I-6: at @{l} {y} and {x} are both committed"));
            }
            let closed = |d: usize| all.iter().any(|(m, y)| *m == d as u8 + 1 && y.key == x.key);
            if let Some(d) = bits(x.deps).find(|d| !closed(*d)) {
                let x = say(*x);
                return Some(format!("I-7: {x} is committed at @{l} and @{} is not", d + 1));
            }
            let later = all.iter().filter(|(m, y)| m > l && y.key == x.key && x.key != VOID);
            if let Some((m, y)) = later.into_iter().find(|(_, y)| !has(y.deps, (*l - 1) as usize)) {
                let (x, y) = (say(*x), say(*y));
                return Some(format!("I-8: nothing orders {y} at @{m} after {x} at @{l}"));
            }
        }
        None
    }

    fn permuted(&self, _: &State, _: &[usize; R]) -> Option<State> {
        None
    }

    fn place(&self, s: &State, b: u8, l: u8) -> Place {
        let rec = s.llog[(b - 1) as usize][(l - 1) as usize];
        let what = match rec.cfg() {
            Some(cfg) => format!("change to {}", names(self.members[cfg as usize])),
            None => show(rec),
        };
        Place { what, author: rec.author }
    }

    fn log_of(&self, s: &State, b: u8) -> Vec<String> {
        let log = &s.llog[(b - 1) as usize];
        (0..top(used(log))).map(|l| say(log[l as usize])).collect()
    }

    fn committed(&self, s: &State) -> Vec<(u8, String)> {
        s.committed.iter().map(|(l, rec)| (*l, say(*rec))).collect()
    }

    fn lost(&self, _: &State, _: &State, _: usize) -> String {
        "nothing".into()
    }
}

/// `n1 n2`.
fn names(set: u8) -> String {
    let all: Vec<String> = bits(set).map(|r| format!("n{}", r + 1)).collect();
    all.join(" ")
}

fn show(rec: Rec) -> String {
    let after = if rec.deps == 0 { String::new() } else { format!(" after {}", list(rec.deps)) };
    match rec.key {
        VOID => "void".into(),
        KEY => format!("write x{after}"),
        _ => "a change".into(),
    }
}

fn say(rec: Rec) -> String {
    format!("{} of leader {}", show(rec), rec.author)
}
