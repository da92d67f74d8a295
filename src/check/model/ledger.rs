//! What is committed, counted from what is on the disks and from nothing else; and what each leader
//! had in its log. It is a part of each state: what was committed once has to stay so.

use crate::base::{LeaderId, Lsn, Payload, Record, SharedRecord, Tail};
use crate::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};

/// Something that happened at one replica.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// It leads since now, with this log.
    Leads(Log),
    /// It placed a record on top of its log.
    Authored(SharedRecord),
    /// These, each with its author, are on the disk of the replica of this bit, whose committer is
    /// this leader.
    Holds(LeaderId, u8, Vec<(Lsn, LeaderId)>),
    /// It calls these settled, each with its author, under this leader.
    Calls(LeaderId, Vec<(Lsn, LeaderId)>),
}

/// The log of a leader: as it rebuilt it, and what it placed since.
#[derive(Clone, Debug)]
pub(super) struct Log {
    id: LeaderId,
    base: Lsn,
    /// Below it some voter has purged: there an empty position may be a settled one.
    purged: Lsn,
    /// From `base` on; `None` where the position is empty.
    slots: Vec<Option<SharedRecord>>,
}

impl Log {
    /// The log that `replica`, which leads, has now.
    pub(super) fn of(replica: &Replica) -> Log {
        let next = replica.leading().map_or(Lsn::ZERO, |(next, ..)| next);
        let base = replica.first_in_memory();
        let slots = (base.0..next.0.max(base.0)).map(|lsn| replica.shared_record(Lsn(lsn)));
        let (id, purged) = (replica.role().1, replica.purged_by_voters());
        Log { id, base, purged, slots: slots.collect() }
    }

    fn next(&self) -> Lsn {
        Lsn(self.base.0 + self.slots.len() as u64)
    }

    fn get(&self, lsn: Lsn) -> Option<&SharedRecord> {
        self.slots.get(lsn.0.checked_sub(self.base.0)? as usize)?.as_ref()
    }

    fn author(&self, lsn: Lsn) -> Option<LeaderId> {
        self.get(lsn).map(|record| record.author)
    }

    fn records(&self) -> impl Iterator<Item = &SharedRecord> {
        self.slots.iter().flatten()
    }

    /// Whether `author`'s record at `lsn` is here, or the position is empty.
    fn has(&self, lsn: Lsn, author: LeaderId) -> bool {
        lsn < self.base || self.author(lsn).map_or(lsn < self.next(), |own| own == author)
    }
}

/// A record that a quorum has accepted under one leader id, with every bit of `depends` settled.
#[derive(Clone, Debug)]
struct Commit {
    record: SharedRecord,
    /// The leader id under which a quorum holds it.
    held_at: LeaderId,
    /// The least leader id that it is known to be committed at: what it depends on may have come to
    /// be settled under a later one.
    at: LeaderId,
}

/// A record that is settled at some position: that of an author, or what the record of a position
/// and author overrides, which its author did not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Settled {
    Record(LeaderId),
    By(Lsn, LeaderId),
}

/// By position: what is settled there, and at which leader id at the least.
type AllSettled = BTreeMap<(Lsn, Settled), LeaderId>;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    replicas: u32,
    /// Whether quorums are counted: majorities of all replicas.
    counts: bool,
    logs: BTreeMap<LeaderId, Log>,
    /// Whose disk had the record of this author, under this committer: a bit each.
    held: BTreeMap<(LeaderId, Lsn, LeaderId), u8>,
    /// What was called settled where nothing is counted: the author, and the least leader.
    called: BTreeMap<Lsn, (LeaderId, LeaderId)>,
}

/// What follows from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Everything that is settled, whether anybody knows it or not: a bit for each position.
    pub(super) settled: u64,
    /// Something is committed above what is not settled.
    pub(super) above_a_hole: bool,
    /// What one leader authored was committed under another.
    pub(super) inherited: bool,
    /// Two leaders had the same term.
    pub(super) in_term: bool,
    /// A leader closed a hole.
    pub(super) voids: bool,
    /// A record that a new leader found was dropped, as what it depends on was lost.
    pub(super) dropped: bool,
}

impl Ledger {
    /// With nothing in it, for so many replicas. Without `counts`, what replicas call settled is
    /// believed, and held against the logs of later leaders.
    pub(super) fn new(replicas: u32, counts: bool) -> Ledger {
        Ledger { replicas, counts, ..Ledger::default() }
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// The number of the invariant that does not hold, and why.
    pub(super) fn take(&mut self, news: &[News]) -> Result<Account, String> {
        for news in news {
            match news {
                News::Leads(log) => self.leads(log)?,
                News::Authored(record) => self.authored(record)?,
                News::Holds(committer, bit, records) => {
                    for (lsn, author) in records {
                        *self.held.entry((*committer, *lsn, *author)).or_default() |= bit;
                    }
                }
                News::Calls(leader, records) => {
                    for (lsn, author) in records {
                        let known = self.called.entry(*lsn).or_insert((*author, *leader));
                        if known.0 != *author {
                            let other = known.0;
                            return Err(format!("I-6 {author} and {other} settled at {lsn}"));
                        }
                        known.1 = known.1.min(*leader);
                    }
                }
            }
        }
        self.count()
    }

    fn leads(&mut self, log: &Log) -> Result<(), String> {
        if self.logs.contains_key(&log.id) {
            return Err(format!("I-2 {} leads a second time", log.id));
        }
        for other in self.logs.values() {
            matching(other, log)?;
        }
        log.records().try_for_each(|record| self.same(record))?;
        self.logs.insert(log.id, log.clone());
        Ok(())
    }

    /// I-2: `(lsn, author)` names one record.
    fn same(&self, record: &SharedRecord) -> Result<(), String> {
        for other in self.logs.values().filter_map(|log| log.get(record.lsn)) {
            if other.author == record.author && **other != **record {
                return Err(format!("I-2 {other} and {record}"));
            }
        }
        Ok(())
    }

    fn authored(&mut self, record: &SharedRecord) -> Result<(), String> {
        self.same(record)?;
        let settled = Account::prefix(self.count()?.settled);
        let Some(log) = self.logs.get_mut(&record.author) else { return Ok(()) };
        if record.lsn < log.next() {
            return Ok(());
        }
        let floors = log.records().filter(|earlier| earlier.command().is_some());
        let greatest = floors.map(|earlier| earlier.floor).max().unwrap_or_default();
        if record.command().is_some() && record.floor < greatest {
            return Err(format!("I-11 the floor of {record} is below an earlier one, {greatest}"));
        }
        if self.counts && record.floor > settled.max(log.purged) {
            return Err(format!("I-11 {settled} is open and below the floor of {record}"));
        }
        log.slots.resize((record.lsn.0 - log.base.0) as usize, None);
        log.slots.push(Some(record.clone()));
        Ok(())
    }

    /// Counts quorums, and holds what is committed against all logs.
    fn count(&self) -> Result<Account, String> {
        let (commits, settled) = self.commits();
        for (nth, commit) in commits.iter().enumerate() {
            let record = &commit.record;
            let other = commits[..nth].iter().find(|other| other.record.lsn == record.lsn);
            if let Some(other) = other.filter(|other| other.record.author != record.author) {
                return Err(format!("I-6 {record} and {} are both committed", other.record));
            }
            let later = |log: &&Log| log.id >= commit.at && log.id > commit.held_at;
            if let Some(log) =
                self.logs.values().filter(later).find(|log| !log.has(record.lsn, record.author))
            {
                let (id, at) = (log.id, commit.at);
                return Err(format!("I-5 the log of {id} lost {record}, committed at {at}"));
            }
            if let Some(log) = self.logs.get(&commit.at) {
                ordered(log, record)?;
            }
        }
        for (lsn, (author, leader)) in &self.called {
            let lost = |log: &&Log| log.id > *leader && !log.has(*lsn, *author);
            if let Some(log) = self.logs.values().find(lost) {
                let (id, of) = (log.id, author);
                return Err(format!("I-5 the log of {id} lost {lsn} of {of}, which was settled"));
            }
        }
        Ok(self.account(&commits, &settled))
    }

    fn account(&self, commits: &[Commit], settled: &AllSettled) -> Account {
        let mut account = Account::default();
        for (lsn, _) in settled.keys() {
            account.settled |= 1 << lsn.0.min(63);
        }
        let end = Account::prefix(account.settled);
        account.above_a_hole = commits.iter().any(|commit| commit.record.lsn > end);
        account.inherited = commits.iter().any(|commit| commit.record.author != commit.held_at);
        let ids: Vec<LeaderId> = self.logs.keys().copied().collect();
        account.in_term = ids.windows(2).any(|pair| pair[0].term == pair[1].term);
        account.voids = self
            .logs
            .values()
            .any(|log| log.records().any(|record| record.payload == Payload::Void));
        account.dropped = self.held.keys().any(|(_, lsn, author)| {
            let Some(record) = self.logs.get(author).and_then(|log| log.get(*lsn)) else {
                return false;
            };
            let lost = |log: &Log, d: Lsn| log.author(d) != self.logs[author].author(d);
            let later = self.logs.values().filter(|log| log.id > *author && log.base <= *lsn);
            later
                .clone()
                .any(|log| !log.has(*lsn, *author) && record.depends.iter().any(|d| lost(log, d)))
        });
        account
    }

    /// All that is committed, and what is settled by that.
    fn commits(&self) -> (Vec<Commit>, AllSettled) {
        let (mut commits, mut settled) = (Vec::new(), AllSettled::new());
        let mut open: BTreeSet<(LeaderId, Lsn, LeaderId)> = self
            .held
            .iter()
            .filter(|(_, holders)| 2 * holders.count_ones() > self.replicas)
            .map(|(key, _)| *key)
            .collect();
        loop {
            let before = open.len();
            for key in open.clone() {
                let (held_at, lsn, author) = key;
                let Some(log) = self.logs.get(&held_at) else { continue };
                let Some(record) = log.get(lsn).filter(|record| record.author == author) else {
                    continue;
                };
                let at = record
                    .depends
                    .iter()
                    .try_fold(held_at, |at, d| Some(at.max(settled_at(log, d, &settled)?)));
                let Some(at) = at else { continue };
                open.remove(&key);
                for lsn in record.overrides.iter().chain([lsn]) {
                    let of = match self.logs.get(&record.author).and_then(|log| log.author(lsn)) {
                        Some(author) => Settled::Record(author),
                        None => Settled::By(record.lsn, record.author),
                    };
                    let least = settled.entry((lsn, of)).or_insert(at);
                    *least = at.min(*least);
                }
                commits.push(Commit { record: record.clone(), held_at, at });
            }
            if open.len() == before {
                return (commits, settled);
            }
        }
    }
}

impl Account {
    /// The first position that is not in this set.
    pub(super) fn prefix(settled: u64) -> Lsn {
        Lsn(u64::from(settled.trailing_ones()))
    }
}

/// The least leader id at which what `log` has at `lsn` is known to be settled, if it is. It does
/// not help it that another record is that came to be at the same position: what depended on the
/// old one died with it.
fn settled_at(log: &Log, lsn: Lsn, settled: &AllSettled) -> Option<LeaderId> {
    if lsn < log.base || (lsn < log.purged && log.get(lsn).is_none()) {
        return Some(LeaderId::NOBODY);
    }
    let here = settled.iter().filter(|((at, _), _)| *at == lsn);
    let mut same = here.filter(|((_, of), _)| match of {
        Settled::Record(author) => log.author(lsn) == Some(*author),
        Settled::By(by, author) => log.author(*by) == Some(*author),
    });
    same.next().map(|(_, at)| *at)
}

/// I-3, log matching, generalized: if two leaders' logs hold the same record at `m`, then below `m`
/// each position holds the same record in both, or one of them is void or empty there.
fn matching(a: &Log, b: &Log) -> Result<(), String> {
    let base = a.base.max(b.base);
    let end = a.next().min(b.next()).max(base);
    let same = |lsn: &Lsn| a.author(*lsn).is_some() && a.author(*lsn) == b.author(*lsn);
    let Some(m) = (base.0..end.0).rev().map(Lsn).find(same) else { return Ok(()) };
    for lsn in (base.0..m.0).map(Lsn) {
        let (Some(x), Some(y)) = (a.get(lsn), b.get(lsn)) else { continue };
        let void = x.payload == Payload::Void || y.payload == Payload::Void;
        if x.author != y.author && !void {
            let (a, b) = (a.id, b.id);
            return Err(format!("I-3 the logs of {a} and {b} agree at {m} and hold {x} and {y}"));
        }
    }
    Ok(())
}

/// I-8: every earlier record of the log that interferes with a committed one lies below its floor,
/// or is reached through `depends` and `overrides`.
fn ordered(log: &Log, record: &Record) -> Result<(), String> {
    let mut reached = Tail::new();
    let mut open: Vec<Lsn> = record.depends.iter().chain(record.overrides.iter()).collect();
    while let Some(lsn) = open.pop() {
        if lsn < record.floor || !reached.insert(lsn) {
            continue;
        }
        if let Some(next) = log.get(lsn) {
            open.extend(next.depends.iter().chain(next.overrides.iter()));
            (record.floor.0..next.floor.0).for_each(|below| {
                reached.insert(Lsn(below));
            });
        }
    }
    let earlier = log.records().filter(|r| (record.floor..record.lsn).contains(&r.lsn));
    for earlier in earlier.filter(|earlier| earlier.interferes(record)) {
        if !reached.contains(earlier.lsn) {
            return Err(format!("I-8 nothing orders {record} after {earlier}"));
        }
    }
    Ok(())
}
