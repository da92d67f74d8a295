//! `design/Overrides.tla`, action by action.

use super::{Action, Place, R, Spec, bit, bits, has, is_quorum, list, top};

/// The constants of the specification, by its names; its rule is the lineage rule, with closure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification says what they are")]
pub struct Overrides {
    pub max_leader: u8,
    pub max_lsn: u8,
    pub holding_counts: bool,
    pub void_covered: bool,
    pub depend_on_victims: bool,
    /// `Reads = "b"`; else `"a"`.
    pub reads_b: bool,
    /// `Commands <- Two`.
    pub two: bool,
}

const LEADERS: usize = 3;
const LSNS: usize = 3;
const NONE: u8 = 0;
const VOID: u8 = 1;
const EMPTY: u8 = 2;
const COMMAND: u8 = 3;

/// A record: its author, its kind, the keys that it reads and writes, and positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rec {
    author: u8,
    what: u8,
    rd: u8,
    wr: u8,
    deps: u8,
    overs: u8,
}

impl Rec {
    fn blank(author: u8, what: u8) -> Rec {
        Rec { author, what, ..Rec::default() }
    }

    fn is_real(self) -> bool {
        self.what == COMMAND
    }

    fn interferes(self, other: Rec) -> bool {
        self.wr & (other.rd | other.wr) != 0 || other.wr & self.rd != 0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Slot {
    rec: Rec,
    bal: u8,
}

type Log = [Rec; LSNS];

/// The variables of the specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    voted: [u8; R],
    committer: [u8; R],
    log: [[Slot; LSNS]; R],
    leading: u8,
    llog: [Log; LEADERS],
    base: [u8; LEADERS],
    acks: [[u8; LSNS]; LEADERS],
    committed: Vec<(u8, Rec)>,
}

fn used(log: &Log) -> u8 {
    (0..LSNS).filter(|l| log[*l].what != NONE).map(|l| 1 << l).sum()
}

impl Overrides {
    /// `design/Overrides.cfg`.
    pub fn small() -> Overrides {
        Overrides {
            max_leader: 2,
            max_lsn: 2,
            holding_counts: false,
            void_covered: false,
            depend_on_victims: false,
            reads_b: true,
            two: true,
        }
    }

    /// The keys that each command reads and writes: `a` is 1, `b` is 2.
    fn commands(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let reads = if self.reads_b { 2 } else { 1 };
        [(0, 1), (0, 3), (reads, reads)].into_iter().skip(usize::from(self.two))
    }

    fn matches_lineage(s: &State, c: u8, l: usize, rec: Rec) -> bool {
        let at = (c - 1) as usize;
        match l < s.base[at] as usize {
            true => rec.author != 0 && rec.author == s.llog[at][l].author,
            false => rec.author == c,
        }
    }

    fn merged(s: &State, q: u8, c: u8) -> Log {
        let mut p: Log = std::array::from_fn(|l| {
            let slots = bits(q).map(|r| s.log[r][l]).filter(|slot| *slot != Slot::default());
            let mut alive = slots.map(|slot| slot.rec);
            let found = alive.find(|rec| c != 0 && Self::matches_lineage(s, c, l, *rec));
            found.unwrap_or_default()
        });
        loop {
            let real: u8 = (0..LSNS).filter(|l| p[*l].is_real()).map(|l| 1 << l).sum();
            let bad = |rec: &Rec| rec.is_real() && rec.deps & !real != 0;
            if !p.iter().any(bad) {
                return p;
            }
            p = p.map(|rec| if bad(&rec) { Rec::default() } else { rec });
        }
    }

    fn elect(&self, s: &State, b: u8, q: u8) -> Option<State> {
        if !bits(q).all(|r| s.voted[r] < b) {
            return None;
        }
        let c = bits(q).map(|r| s.committer[r]).max().unwrap_or_default();
        let p = Self::merged(s, q, c);
        let top = top(used(&p));
        let covered = p.iter().fold(0, |covered, rec| covered | rec.overs);
        let mut next = s.clone();
        let at = (b - 1) as usize;
        for (l, rec) in p.into_iter().enumerate().take(top as usize) {
            next.llog[at][l] = match rec.what {
                NONE if covered & 1 << l != 0 && !self.void_covered => {
                    let of = (c - 1) as usize;
                    let inside = l < s.base[of] as usize;
                    Rec::blank(if inside { s.llog[of][l].author } else { c }, EMPTY)
                }
                NONE => Rec::blank(b, VOID),
                _ => rec,
            };
        }
        next.base[at] = top;
        bits(q).for_each(|r| next.voted[r] = b);
        next.leading |= bit(b);
        Some(next)
    }

    /// `Over`: what a command overrides at `n`, counted from 0.
    fn over(log: &Log, n: usize, x: Rec) -> u8 {
        let mut acc = 0;
        for l in (0..n).rev() {
            let r = log[l];
            let between = |u: usize| !log[u].is_real() || !log[u].interferes(r) || has(acc, u);
            let blind = r.is_real() && r.rd == 0 && x.rd == 0;
            if blind && r.wr & !x.wr == 0 && (l + 1..n).all(between) {
                acc |= 1 << l | r.overs;
            }
        }
        acc
    }

    /// `Reach`.
    fn reach(log: &Log, mut set: u8) -> u8 {
        loop {
            let more = bits(set).fold(set, |all, d| all | log[d].deps);
            if more == set {
                return set;
            }
            set = more;
        }
    }

    /// `Authored`.
    fn authored(&self, b: u8, log: &Log, n: usize, (rd, wr): (u8, u8)) -> Rec {
        let x = Rec { author: b, what: COMMAND, rd, wr, deps: 0, overs: 0 };
        let overs = Self::over(log, n, x);
        let meets = |l: &usize| log[*l].is_real() && log[*l].interferes(x) && !has(overs, *l);
        let meet: u8 = (0..n).filter(meets).map(|l| 1 << l).sum();
        let victims = bits(meet).fold(0, |all, l| all | log[l].overs);
        let live = if self.depend_on_victims { meet } else { meet & !victims };
        let implied = |l: usize| bits(live).any(|o| has(Self::reach(log, log[o].deps), l));
        let deps = bits(live).filter(|l| !implied(*l)).map(|l| 1 << l).sum();
        Rec { deps, overs, ..x }
    }

    fn choose(s: &mut State, b: u8) {
        let at = (b - 1) as usize;
        loop {
            let mut settled = 0;
            for (l, rec) in &s.committed {
                if s.llog[at][(l - 1) as usize] == *rec {
                    settled |= bit(*l) | rec.overs;
                }
            }
            let more = (0..LSNS).find(|l| {
                let rec = s.llog[at][*l];
                ![NONE, EMPTY].contains(&rec.what)
                    && is_quorum(s.acks[at][*l])
                    && rec.deps & !settled == 0
                    && !s.committed.contains(&(*l as u8 + 1, rec))
            });
            let Some(l) = more else { return };
            s.committed.push((l as u8 + 1, s.llog[at][l]));
            s.committed.sort_unstable();
        }
    }

    fn accept(&self, s: &State, b: u8, r: usize, l: usize) -> Option<State> {
        let at = (b - 1) as usize;
        let rec = s.llog[at][l];
        if [NONE, EMPTY].contains(&rec.what) {
            return None;
        }
        let adopted = |m: usize| {
            let rec = s.log[r][m].rec;
            let inside = m < s.base[at] as usize && rec.author != 0;
            match inside && rec.author == s.llog[at][m].author {
                true => Slot { rec, bal: b },
                false => Slot::default(),
            }
        };
        let mut now = if s.committer[r] == b { s.log[r] } else { std::array::from_fn(adopted) };
        now[l] = Slot { rec, bal: b };
        if s.committer[r] == b && now == s.log[r] {
            return None;
        }
        let mut next = s.clone();
        next.log[r] = now;
        for m in 0..LSNS {
            let over = |slot: &Slot| slot.bal == b && has(slot.rec.overs, m);
            if now[m].bal == b || (self.holding_counts && now.iter().any(over)) {
                next.acks[at][m] |= 1 << r;
            }
        }
        Self::choose(&mut next, b);
        (next.voted[r], next.committer[r]) = (b, b);
        Some(next)
    }

    /// `Below`: what a path through dependencies and overrides leads to.
    fn below(s: &State, x: Rec) -> u8 {
        let deps = s.committed.iter().filter(|(l, _)| x.deps & bit(*l) != 0);
        deps.fold(x.deps | x.overs, |all, (_, y)| all | Self::below(s, *y))
    }
}

impl Spec for Overrides {
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn next(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        for b in 1..=self.max_leader {
            let at = (b - 1) as usize;
            if s.leading & bit(b) == 0 {
                for q in (0..1 << R).filter(|q| is_quorum(*q)) {
                    self.elect(s, b, q)
                        .into_iter()
                        .for_each(|next| take(next, Action::Elect(b, q)));
                }
                continue;
            }
            let n = used(&s.llog[at]).count_ones() as usize;
            for command in self.commands().filter(|_| n < self.max_lsn as usize) {
                let mut next = s.clone();
                next.llog[at][n] = self.authored(b, &s.llog[at], n, command);
                take(next, Action::Place(b, n as u8 + 1));
            }
            for r in (0..R).filter(|r| s.voted[*r] <= b) {
                for l in 0..LSNS {
                    if let Some(next) = self.accept(s, b, r, l) {
                        take(next, Action::Accept(b, r, l as u8 + 1));
                    }
                }
            }
        }
    }

    fn wrong(&self, s: &State) -> Option<String> {
        let overridden = s.committed.iter().fold(0, |all, (_, rec)| all | rec.overs);
        let settled = s.committed.iter().fold(overridden, |all, (l, _)| all | bit(*l));
        for (nth, (l, x)) in s.committed.iter().enumerate() {
            let mut before = s.committed[..nth].iter();
            if let Some((_, y)) = before.find(|(m, _)| m == l) {
                let (x, y) = (say(*x), say(*y));
                return Some(format!("I-6: at @{l} {y} and {x} are both committed"));
            }
            if x.deps & !settled != 0 {
                let (x, open) = (say(*x), list(x.deps & !settled));
                return Some(format!("I-7: {x} is committed at @{l} and {open} is not"));
            }
            for (m, y) in s.committed.iter().filter(|(m, y)| m > l && x.interferes(*y)) {
                if !has(overridden, (m - 1) as usize) && Self::below(s, *y) & bit(*l) == 0 {
                    let (x, y) = (say(*x), say(*y));
                    return Some(format!("I-8: nothing orders {y} at @{m} after {x} at @{l}"));
                }
            }
        }
        None
    }

    fn permuted(&self, s: &State, order: &[usize; R]) -> Option<State> {
        let set = |set: u8| bits(set).map(|r| 1 << order[r]).sum::<u8>();
        let mut t = s.clone();
        for (r, to) in order.iter().copied().enumerate() {
            (t.voted[to], t.committer[to], t.log[to]) = (s.voted[r], s.committer[r], s.log[r]);
        }
        t.acks = s.acks.map(|acks| acks.map(set));
        Some(t)
    }

    fn place(&self, s: &State, b: u8, l: u8) -> Place {
        let rec = s.llog[(b - 1) as usize][(l - 1) as usize];
        Place { what: show(rec), author: rec.author }
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

fn show(rec: Rec) -> String {
    let keys = |set: u8| ["", "a", "b", "a b"][set as usize & 3];
    let mut text = match rec.what {
        VOID => "void".into(),
        EMPTY => "empty".into(),
        _ if rec.rd != 0 => format!("update {}", keys(rec.wr)),
        _ => format!("write {}", keys(rec.wr)),
    };
    if rec.deps != 0 {
        text += &format!(" after {}", list(rec.deps));
    }
    if rec.overs != 0 {
        text += &format!(" over {}", list(rec.overs));
    }
    text
}

fn say(rec: Rec) -> String {
    format!("{} of leader {}", show(rec), rec.author)
}
