//! `design/Reads.tla`, action by action.

mod know;

use super::{Action, Place, R, Spec, bit, bits, has, list, top};
use know::is_beginning;

/// The constants of the specification, by its names, and how many replicas there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification says what they are")]
pub struct Reads {
    pub replicas: u8,
    pub read_q: u8,
    pub write_q: u8,
    pub max_leader: u8,
    pub max_lsn: u8,
    pub wide: u8,
    pub elsewhere: bool,
    pub hears: bool,
    pub by_position: bool,
    pub note: bool,
    pub confirm: bool,
    pub later: bool,
    pub first: bool,
    pub promised: bool,
    pub same: bool,
    /// Whether the invariant `Beginning` is checked, too.
    pub beginning: bool,
}

const LEADERS: usize = 2;
const LSNS: usize = 3;
/// Keys are bits; no record has none.
const NONE: u8 = 0;
const ALL: u8 = 0b111;
const VOID: u8 = 0b1000;
const NOBODY: u8 = u8::MAX;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rec {
    author: u8,
    keys: u8,
    deps: u8,
}

impl Rec {
    fn is_real(self) -> bool {
        self.author != 0 && self.keys != VOID
    }
}

type Log = [Rec; LSNS];

/// `read.phase`. What was shown is looked at when it is shown, and nothing follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    None,
    Asked,
    Noted,
    /// Shown, and wrong.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Read {
    phase: Phase,
    at: u8,
    leader: u8,
    must: u8,
    noted: u8,
    echo: u8,
}

/// The variables of the specification. Sets are bits; hosts are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    voted: [u8; R],
    committer: [u8; R],
    log: [Log; R],
    leading: u8,
    llog: [Log; LEADERS],
    base: [u8; LEADERS],
    acks: [[u8; LSNS]; LEADERS],
    host: [u8; LEADERS],
    known: [u8; LEADERS],
    /// (position, author, keys), sorted.
    committed: Vec<(u8, u8, u8)>,
    learned: [u8; R],
    done: [u8; R],
    after: [[u8; LSNS]; LEADERS],
    read: Read,
}

fn used(log: &Log) -> u8 {
    (0..LSNS).filter(|l| log[*l].keys != NONE).map(|l| 1 << l).sum()
}

impl State {
    fn leads(&self, b: u8) -> bool {
        let host = self.host[(b - 1) as usize];
        self.leading & bit(b) != 0 && self.voted[host as usize] == b
    }

    fn told(&self) -> u8 {
        self.done.iter().fold(0, |all, done| all | done)
    }

    fn at(&self, l: usize) -> Option<&(u8, u8, u8)> {
        self.committed.iter().find(|(lsn, ..)| *lsn as usize == l + 1)
    }

    /// Those of the positions that no void stands at.
    fn interfering(&self, set: u8) -> u8 {
        let interferes = |l: &usize| self.at(*l).is_some_and(|(.., keys)| *keys != VOID);
        bits(set).filter(interferes).map(|l| 1 << l).sum()
    }

    /// `Fresh`, of what would be shown.
    fn is_fresh(&self, shown: u8) -> bool {
        let before = |l: usize| {
            let author = self.at(l).map_or(1, |(_, author, _)| *author);
            self.interfering(self.after[(author - 1) as usize][l])
        };
        self.read.must & !shown == 0 && bits(shown).all(|l| before(l) & !shown == 0)
    }
}

impl Reads {
    /// `design/Reads.cfg`.
    pub fn small() -> Reads {
        Reads {
            replicas: 2,
            read_q: 1,
            write_q: 2,
            max_leader: 2,
            max_lsn: 1,
            wide: 0,
            elsewhere: false,
            hears: false,
            by_position: false,
            note: true,
            confirm: true,
            later: true,
            first: true,
            promised: true,
            same: true,
            beginning: false,
        }
    }

    fn merged(s: &State, q: u8) -> Log {
        let c = bits(q).map(|r| s.committer[r]).max().unwrap_or_default();
        let mut p: Log = std::array::from_fn(|l| {
            let alive = |rec: &Rec| match c {
                0 => false,
                c if l < s.base[(c - 1) as usize] as usize => {
                    rec.author != 0 && rec.author == s.llog[(c - 1) as usize][l].author
                }
                c => rec.author == c,
            };
            let mut held = bits(q).map(|r| s.log[r][l]).filter(|rec| rec.keys != NONE);
            held.find(alive).unwrap_or_default()
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

    fn elect(&self, s: &State, b: u8, q: u8, n: usize) -> Option<State> {
        if q.count_ones() < u32::from(self.read_q) || !bits(q).all(|r| s.voted[r] < b) {
            return None;
        }
        let p = Self::merged(s, q);
        let top = top(used(&p));
        let mut next = s.clone();
        let at = (b - 1) as usize;
        for (l, rec) in p.into_iter().enumerate().take(top as usize) {
            next.llog[at][l] = match rec.keys {
                NONE => Rec { author: b, keys: VOID, deps: 0 },
                _ => rec,
            };
        }
        (next.base[at], next.host[at]) = (top, n as u8);
        bits(q).for_each(|r| next.voted[r] = b);
        next.leading |= bit(b);
        Some(next)
    }

    fn propose(&self, s: &State, b: u8) -> Option<(State, usize)> {
        let at = (b - 1) as usize;
        let log = &s.llog[at];
        let n = used(log).count_ones() as usize;
        if !s.leads(b) || n >= self.max_lsn as usize {
            return None;
        }
        let keys = if has(self.wide, n) { ALL } else { 1 << n };
        let deps = (0..LSNS).filter(|l| log[*l].keys & keys != 0).map(|l| 1 << l).sum();
        let mut next = s.clone();
        next.after[at][n] = s.told();
        next.llog[at][n] = Rec { author: b, keys, deps };
        Some((next, n))
    }

    fn accept(&self, s: &State, b: u8, r: usize, l: usize) -> Option<State> {
        let at = (b - 1) as usize;
        let rec = s.llog[at][l];
        if rec.keys == NONE || s.voted[r] > b || (r as u8 == s.host[at] && s.voted[r] != b) {
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
        for m in (0..LSNS).filter(|m| now[*m].keys != NONE) {
            next.acks[at][m] |= 1 << r;
        }
        let facts = self.settled(&next, b, s.known[at]);
        if !self.hears {
            next.known[at] = facts;
        }
        for m in bits(facts) {
            let entry = (m as u8 + 1, s.llog[at][m].author, s.llog[at][m].keys);
            if !next.committed.contains(&entry) {
                next.committed.push(entry);
            }
        }
        next.committed.sort_unstable();
        (next.voted[r], next.committer[r]) = (b, b);
        Some(next)
    }

    fn noted(&self, s: &State, b: u8) -> u8 {
        let log = &s.llog[(b - 1) as usize];
        let commands = (0..LSNS).filter(|l| log[*l].keys != NONE && log[*l].keys != VOID);
        if self.note { commands.map(|l| 1 << l).sum() } else { 0 }
    }

    /// `ReadAtLeader`, `ReadElsewhere`, `Asked` and `Echo`.
    fn read(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        let mut go = |read: Read, r: usize| take(State { read, ..s.clone() }, Action::Learn(r));
        let must = s.interfering(s.told());
        match s.read.phase {
            Phase::None if self.elsewhere => {
                for r in (0..self.replicas as usize).filter(|r| s.committer[*r] != 0) {
                    let (at, leader, phase) = (r as u8, s.committer[r], Phase::Asked);
                    go(Read { phase, at, leader, must, ..s.read }, r);
                }
            }
            Phase::None => {
                for b in (1..=self.max_leader).filter(|b| s.leads(*b)) {
                    let (at, noted) = (s.host[(b - 1) as usize], self.noted(s, b));
                    let phase = Phase::Noted;
                    go(Read { phase, at, leader: b, must, noted, ..s.read }, at as usize);
                }
            }
            Phase::Asked if s.leads(s.read.leader) => {
                let noted = self.noted(s, s.read.leader);
                go(Read { phase: Phase::Noted, noted, ..s.read }, s.read.at as usize);
            }
            Phase::Noted => {
                let fresh = |r: &usize| !has(s.read.echo, *r) && s.voted[*r] <= s.read.leader;
                for r in (0..self.replicas as usize).filter(fresh) {
                    go(Read { echo: s.read.echo | 1 << r, ..s.read }, r);
                }
            }
            Phase::Asked | Phase::Wrong => {}
        }
    }

    /// `Show`: whether what it shows is wrong. What is right is over.
    fn shows_wrong(&self, s: &State) -> bool {
        let Read { phase, at, leader, noted, echo, .. } = s.read;
        let (r, echo) = (at as usize, echo.count_ones() as u8);
        if phase != Phase::Noted {
            return false;
        }
        let confirmed = echo >= self.read_q || echo >= self.write_q || !self.confirm;
        let stands = match self.elsewhere {
            true => s.committer[r] == leader || !self.same,
            false => s.voted[r] == leader || !self.promised,
        };
        let (done, llog) = (s.done[r], &s.llog[(leader - 1) as usize]);
        let shown = s.interfering(done);
        let later = match self.by_position {
            true => is_beginning(if self.elsewhere { &s.log[r] } else { llog }, shown, done),
            false => !self.later || self.is_complete(s),
        };
        let may = confirmed && stands && noted & !done == 0 && later;
        let begins = !self.beginning || is_beginning(llog, shown, shown);
        may && !(begins && s.is_fresh(shown))
    }
}

impl Spec for Reads {
    type State = State;

    fn first(&self) -> State {
        let read = Read { phase: Phase::None, at: NOBODY, leader: 0, must: 0, noted: 0, echo: 0 };
        State {
            voted: [0; R],
            committer: [0; R],
            log: Default::default(),
            leading: 0,
            llog: Default::default(),
            base: [0; LEADERS],
            acks: Default::default(),
            host: [NOBODY; LEADERS],
            known: [0; LEADERS],
            committed: Vec::new(),
            learned: [0; R],
            done: [0; R],
            after: Default::default(),
            read,
        }
    }

    fn next(&self, s: &State, take: &mut dyn FnMut(State, Action)) {
        let all = (1 << self.replicas) - 1;
        for b in 1..=self.max_leader {
            if s.leading & bit(b) == 0 {
                for (q, n) in (1..=all).flat_map(|q| bits(q).map(move |n| (q, n))) {
                    let next = self.elect(s, b, q, n);
                    next.into_iter().for_each(|next| take(next, Action::Elect(b, q)));
                }
                continue;
            }
            if let Some((next, n)) = self.propose(s, b) {
                take(next, Action::Place(b, n as u8 + 1));
            }
            for (r, l) in bits(all).flat_map(|r| (0..LSNS).map(move |l| (r, l))) {
                if let Some(next) = self.accept(s, b, r, l) {
                    take(next, Action::Accept(b, r, l as u8 + 1));
                }
            }
        }
        for r in bits(all) {
            let leader = s.committer[r];
            let news = if leader == 0 { 0 } else { s.known[(leader - 1) as usize] };
            if news & !s.learned[r] != 0 {
                let mut next = s.clone();
                next.learned[r] |= news;
                take(next, Action::Learn(r));
            }
            let can = |l: &usize| {
                let rec = s.log[r][*l];
                rec.keys != NONE && rec.deps & !s.done[r] == 0
            };
            for l in bits(s.learned[r] & !s.done[r]).filter(can) {
                let mut next = s.clone();
                next.done[r] |= 1 << l;
                take(next, Action::Learn(r));
            }
        }
        if self.hears {
            self.hear(s, take);
        }
        self.read(s, take);
        if self.shows_wrong(s) {
            let read = Read { phase: Phase::Wrong, ..s.read };
            take(State { read, ..s.clone() }, Action::Learn(read.at as usize));
        }
    }

    fn wrong(&self, s: &State) -> Option<String> {
        let twice = s.committed.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = twice {
            return Some(format!("I-6: two records are committed at @{}", pair[0].0));
        }
        let Read { phase, must, .. } = s.read;
        let wrong = phase == Phase::Wrong;
        wrong.then(|| format!("I-9: a stale read; it had to show {}", list(must)))
    }

    fn permuted(&self, s: &State, order: &[usize; R]) -> Option<State> {
        let to = |r: u8| if r == NOBODY { r } else { order[r as usize] as u8 };
        let set = |set: u8| bits(set).map(|r| 1 << order[r]).sum::<u8>();
        let mut t = s.clone();
        for (r, to) in order.iter().copied().enumerate() {
            (t.voted[to], t.committer[to], t.log[to]) = (s.voted[r], s.committer[r], s.log[r]);
            (t.learned[to], t.done[to]) = (s.learned[r], s.done[r]);
        }
        t.acks = s.acks.map(|acks| acks.map(set));
        t.host = s.host.map(to);
        t.read = Read { at: to(s.read.at), echo: set(s.read.echo), ..s.read };
        Some(t)
    }

    fn place(&self, s: &State, b: u8, l: u8) -> Place {
        let rec = s.llog[(b - 1) as usize][(l - 1) as usize];
        Place { what: show(rec.keys), author: rec.author }
    }

    fn log_of(&self, s: &State, b: u8) -> Vec<String> {
        let log = &s.llog[(b - 1) as usize];
        (0..top(used(log))).map(|l| show(log[l as usize].keys)).collect()
    }

    fn committed(&self, s: &State) -> Vec<(u8, String)> {
        let say = |author: u8, keys: u8| format!("{} of leader {author}", show(keys));
        s.committed.iter().map(|(l, author, keys)| (*l, say(*author, *keys))).collect()
    }

    fn lost(&self, _: &State, _: &State, _: usize) -> String {
        "nothing".into()
    }
}

fn show(keys: u8) -> String {
    match keys {
        VOID => "void".into(),
        keys => bits(keys)
            .fold("write".into(), |all, key| format!("{all} {}", char::from(b'a' + key as u8))),
    }
}
