//! `design/Replication.tla`, action by action.

mod next;

use super::{Action, R, bit, bits, has, is_quorum, top};

/// How a new leader rebuilds the log, and what a follower drops at first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// That of algorithm.md.
    Lineage,
    /// Only logs of the greatest committer.
    MaxCommitter,
    /// The greatest leader id at each position, and nothing is dropped.
    PerSlot,
}

/// The constants of the specification, by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification says what they are")]
pub struct Replication {
    pub max_leader: u8,
    pub max_lsn: u8,
    pub keys: u8,
    pub rule: Rule,
    pub closure: bool,
    pub max_purge: u8,
    pub purge_any: bool,
    pub above_all: bool,
    pub max_loss: u8,
    pub doubt_votes: bool,
    pub jump: bool,
    pub believe: bool,
    pub excuse: bool,
    /// Not of the specification: whether a promise refuses lower leaders.
    pub promises: bool,
    /// Not of the specification: whether a replica that has lost something knows of it.
    pub knows: bool,
}

/// The most that there is room for.
const LEADERS: usize = 4;
const LSNS: usize = 3;

const NONE: u8 = 0;
const VOID: u8 = 1;
const EMPTY: u8 = 2;
/// Commands are the numbers from here on.
const KEY: u8 = 3;

/// A record: its author, what is in it, and the positions that it depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rec {
    author: u8,
    key: u8,
    deps: u8,
}

impl Rec {
    fn is_real(self) -> bool {
        self.key >= KEY
    }
}

/// A record, and the leader id that it was accepted under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Slot {
    rec: Rec,
    bal: u8,
}

type Log = [Rec; LSNS];

/// The variables of the specification. Leaders and positions are counted from 1, and kept from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    voted: [u8; R],
    committer: [u8; R],
    log: [[Slot; LSNS]; R],
    leading: u8,
    llog: [Log; LEADERS],
    base: [u8; LEADERS],
    acks: [[u8; LSNS]; LEADERS],
    /// Positions with their records, in order.
    committed: Vec<(u8, Rec)>,
    purged: [u8; R],
    doubt: u8,
    need: [(u8, u8); R],
    losses: u8,
}

fn used(log: &Log) -> u8 {
    (0..LSNS).filter(|l| log[*l] != Rec::default()).map(|l| 1 << l).sum()
}

impl Replication {
    /// `design/Replication.cfg`, with so many leader ids.
    pub fn with_leaders(max_leader: u8) -> Replication {
        Replication {
            max_leader,
            max_lsn: 2,
            keys: 2,
            rule: Rule::Lineage,
            closure: true,
            max_purge: 0,
            purge_any: false,
            above_all: true,
            max_loss: 0,
            doubt_votes: false,
            jump: true,
            believe: false,
            excuse: false,
            promises: true,
            knows: true,
        }
    }

    fn leaders(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.max_leader
    }

    fn lsns(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.max_lsn
    }

    fn matches_lineage(s: &State, c: u8, l: u8, rec: Rec) -> bool {
        let at = (c - 1) as usize;
        match l <= s.base[at] {
            true => rec.author != 0 && rec.author == s.llog[at][(l - 1) as usize].author,
            false => rec.author == c,
        }
    }

    /// `Survivors`, of which the first is taken.
    fn survivor(&self, s: &State, q: u8, c: u8, l: u8) -> Rec {
        let at = (l - 1) as usize;
        let held = |r: &usize| Some(s.log[*r][at]).filter(|slot| *slot != Slot::default());
        let slots = || bits(q).filter_map(|r| held(&r));
        let found = match self.rule {
            _ if c == 0 => None,
            Rule::Lineage => {
                slots().map(|slot| slot.rec).find(|rec| Self::matches_lineage(s, c, l, *rec))
            }
            Rule::MaxCommitter => bits(q)
                .filter(|r| s.committer[*r] == c)
                .filter_map(|r| held(&r))
                .map(|slot| slot.rec)
                .min(),
            Rule::PerSlot => {
                let greatest = slots().map(|slot| slot.bal).max();
                slots().filter(|slot| Some(slot.bal) == greatest).map(|slot| slot.rec).min()
            }
        };
        found.unwrap_or_default()
    }

    /// `Close`: drops what depends on something that neither survived nor is gone.
    fn close(&self, mut p: Log, gone: u8) -> Log {
        loop {
            let real: u8 = (0..LSNS).filter(|l| p[*l].is_real()).map(|l| 1 << l).sum();
            let bad = |rec: &Rec| rec.is_real() && rec.deps & !gone & !real != 0;
            if !self.closure || !p.iter().any(bad) {
                return p;
            }
            p = p.map(|rec| if bad(&rec) { Rec::default() } else { rec });
        }
    }

    fn elect(&self, s: &State, b: u8, q: u8) -> Option<State> {
        let may =
            |r: usize| (!self.promises || s.voted[r] < b) && (!has(s.doubt, r) || self.doubt_votes);
        if !bits(q).all(may) {
            return None;
        }
        let c = bits(q).map(|r| s.committer[r]).max().unwrap_or_default();
        let gone = bits(q).fold(0, |gone, r| gone | s.purged[r]);
        let mut p = Log::default();
        for l in self.lsns() {
            p[(l - 1) as usize] = self.survivor(s, q, c, l);
        }
        let p = self.close(p, gone);
        let top = if self.above_all { top(used(&p) | gone) } else { top(used(&p)) };
        let mut next = s.clone();
        let at = (b - 1) as usize;
        for l in 1..=top {
            let rec = p[(l - 1) as usize];
            let author = match c {
                0 => 0,
                c if l <= s.base[(c - 1) as usize] => {
                    s.llog[(c - 1) as usize][(l - 1) as usize].author
                }
                c => c,
            };
            next.llog[at][(l - 1) as usize] = match rec == Rec::default() {
                true if gone & bit(l) != 0 => Rec { author, key: EMPTY, deps: 0 },
                true => Rec { author: b, key: VOID, deps: 0 },
                false => rec,
            };
        }
        next.base[at] = top;
        bits(q).for_each(|r| next.voted[r] = next.voted[r].max(b));
        next.leading |= bit(b);
        Some(next)
    }

    fn adopted(&self, s: &State, b: u8, r: usize) -> [Slot; LSNS] {
        let at = (b - 1) as usize;
        if s.committer[r] == b {
            return s.log[r];
        }
        match self.rule {
            Rule::MaxCommitter => Default::default(),
            Rule::PerSlot => s.log[r],
            Rule::Lineage => std::array::from_fn(|l| {
                let rec = s.log[r][l].rec;
                let inside = l < s.base[at] as usize && rec.author != 0;
                match inside && rec.author == s.llog[at][l].author {
                    true => Slot { rec, bal: b },
                    false => Slot::default(),
                }
            }),
        }
    }

    /// `Chosen`: what is committed now that leader `b` has these acknowledgements.
    fn choose(s: &mut State, b: u8) {
        let at = (b - 1) as usize;
        loop {
            let settled = |s: &State, d: usize| {
                let rec = s.llog[at][d];
                rec.key == EMPTY || s.committed.contains(&(d as u8 + 1, rec))
            };
            let more = (0..LSNS).find(|l| {
                let rec = s.llog[at][*l];
                ![NONE, EMPTY].contains(&rec.key)
                    && is_quorum(s.acks[at][*l])
                    && bits(rec.deps).all(|d| settled(s, d))
                    && !s.committed.contains(&(*l as u8 + 1, rec))
            });
            let Some(l) = more else { return };
            s.committed.push((l as u8 + 1, s.llog[at][l]));
            s.committed.sort_unstable();
        }
    }

    fn accept(&self, s: &State, b: u8, r: usize, l: u8) -> Option<State> {
        let at = (b - 1) as usize;
        let rec = s.llog[at][(l - 1) as usize];
        if rec.key == EMPTY || s.purged[r] & bit(l) != 0 {
            return None;
        }
        let mut now = self.adopted(s, b, r);
        now[(l - 1) as usize] = Slot { rec, bal: b };
        if s.committer[r] == b && now == s.log[r] {
            return None;
        }
        let mut next = s.clone();
        next.log[r] = now;
        for (m, slot) in now.iter().enumerate() {
            if slot.bal == b || s.purged[r] & 1 << m != 0 && m < self.max_lsn as usize {
                next.acks[at][m] |= 1 << r;
            }
        }
        Self::choose(&mut next, b);
        (next.voted[r], next.committer[r]) = (b, b);
        Some(next)
    }

    fn is_done(s: &State, r: usize, l: u8) -> bool {
        s.purged[r] & bit(l) != 0 || s.committed.contains(&(l, s.log[r][(l - 1) as usize].rec))
    }

    fn purge(&self, s: &State, r: usize, l: u8) -> Option<State> {
        let rec = s.log[r][(l - 1) as usize].rec;
        let below = (1..l).all(|k| self.purge_any || s.purged[r] & bit(k) != 0);
        let room = s.purged[r].count_ones() < u32::from(self.max_purge);
        let fits = room && below && s.purged[r] & bit(l) == 0;
        let done = s.committed.contains(&(l, rec));
        if !fits || !done || !bits(rec.deps).all(|d| Self::is_done(s, r, d as u8 + 1)) {
            return None;
        }
        let mut next = s.clone();
        next.purged[r] |= bit(l);
        next.log[r][(l - 1) as usize] = Slot::default();
        Some(next)
    }

    fn install(s: &State, r: usize, from: usize) -> Option<State> {
        let (own, theirs) = (s.purged[r], s.purged[from]);
        if own == theirs || own & !theirs != 0 {
            return None;
        }
        let mut next = s.clone();
        next.purged[r] = theirs;
        bits(theirs).for_each(|l| next.log[r][l] = Slot::default());
        next.voted[r] = s.voted[r].max(s.committer[from]);
        Some(next)
    }

    /// Every way in which a disk may lose something.
    fn lose(&self, s: &State, r: usize, take: &mut dyn FnMut(State)) {
        for c in 0..=s.committer[r] {
            if c != 0 && s.leading & bit(c) == 0 {
                continue;
            }
            let keeps = |l: &u8| {
                let slot = s.log[r][(*l - 1) as usize];
                slot != Slot::default() && c != 0 && Self::matches_lineage(s, c, *l, slot.rec)
            };
            let all: u8 = self.lsns().filter(keeps).map(bit).sum();
            let least = if self.jump { s.voted[r] } else { c };
            for kept in (0..=all).filter(|kept| kept & !all == 0) {
                for v in least..=self.max_leader {
                    let mut next = s.clone();
                    for l in 0..LSNS {
                        let rec = s.log[r][l].rec;
                        next.log[r][l] = match kept & 1 << l != 0 {
                            true => Slot { rec, bal: c },
                            false => Slot::default(),
                        };
                    }
                    (next.committer[r], next.voted[r]) = (c, v);
                    if self.knows {
                        next.doubt |= 1 << r;
                    }
                    next.need[r] = (0, 0);
                    next.losses += 1;
                    take(next);
                }
            }
        }
    }

    fn hear(&self, s: &State, b: u8, r: usize) -> Option<State> {
        if !has(s.doubt, r) || s.need[r].0 == b {
            return None;
        }
        let log = &s.llog[(b - 1) as usize];
        let wanted = |l: &usize| log[*l].key != NONE && (log[*l].key != EMPTY || !self.excuse);
        let mut next = s.clone();
        next.need[r] = (b, (0..LSNS).filter(wanted).map(|l| 1 << l).sum());
        Some(next)
    }

    fn repair(&self, s: &State, b: u8, r: usize) -> Option<State> {
        let at = (b - 1) as usize;
        let follows = s.voted[r] == b && s.committer[r] == b;
        if !has(s.doubt, r) || s.need[r].0 != b || !follows {
            return None;
        }
        let given = |l: usize| match self.believe {
            true => has(s.acks[at][l], r),
            false => s.log[r][l].rec == s.llog[at][l],
        };
        if !bits(s.need[r].1 & !s.purged[r]).all(given) {
            return None;
        }
        let mut next = s.clone();
        next.doubt &= !(1 << r);
        Some(next)
    }

    /// `Propose`: each command at the next position.
    fn propose(&self, s: &State, b: u8, take: &mut dyn FnMut(State, Action)) {
        let at = (b - 1) as usize;
        let filled = used(&s.llog[at]);
        let n = filled.count_ones() as u8 + 1;
        if n > self.max_lsn {
            return;
        }
        for key in KEY..KEY + self.keys {
            let same = |l: &usize| s.llog[at][*l].key == key;
            let deps = (0..LSNS).filter(same).map(|l| 1 << l).sum();
            let mut next = s.clone();
            next.llog[at][(n - 1) as usize] = Rec { author: b, key, deps };
            take(next, Action::Place(b, n));
        }
    }
}
