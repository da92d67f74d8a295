//! What a leader knows of one follower, and what it sends it next.

use super::doubt::Loss;
use super::log::Log;
use super::options::Options;
use super::owed::Owed;
use crate::base::{Lsn, Record, Records, ReplicaId, SharedRecord, Tail, TailBitmap, mutant};
use crate::quorum::Mask;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// How many positions are asked back from disk at a time.
const LOAD_MAX: u64 = 256;

/// How much more than a voter one that catches up may have on its way.
const CATCH_UP_SHARE: u64 = 2;

/// How many bytes of records go in the first message to a follower that has not answered yet.
const GREETING_BYTES_MAX: usize = 1 << 10;

/// A follower as its leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Who it is.
    pub(crate) id: ReplicaId,
    /// Its bit in the leader's masks.
    pub(crate) bit: Mask,
    /// A membership in force names it, as a voter or a learner.
    pub(crate) member: bool,
    /// It is a voter of a membership in force. One that is not helps nobody by having new records
    /// before old ones: it is sent the log in order, and nothing before it has the state.
    pub(crate) counts: bool,
    /// It does not count and waits for its turn to catch up: it is sent no records.
    pub(crate) waits: bool,
    /// It has answered under this leader: it has taken the lineage, and `accepted` is known.
    pub(crate) known: bool,
    /// Accepted there under this leader.
    pub(crate) accepted: TailBitmap,
    /// Overridden by a settled record that it has accepted.
    pub(crate) covered: Tail,
    /// When it was last heard, in ticks.
    pub(crate) heard_at: u64,
    /// The greatest round that it echoed.
    pub(crate) round: u64,
    /// The newest committed membership it is known to have.
    pub(crate) membership: Option<Lsn>,
    /// How many bytes it is ready to take.
    pub(crate) window: u64,
    /// When something was last sent to it, in ticks.
    pub(crate) sent_at: u64,
    /// The greatest round that was sent to it.
    pub(crate) sent_round: u64,
    /// Which incarnation of it all this is of.
    pub(crate) incarnation: u64,
    /// It has lost something, and waits to be given it back.
    pub(crate) loss: Option<Loss>,
    /// The next new record to send.
    pub(crate) next: Lsn,
    /// Everything below was accepted, covered or in flight when last looked at.
    scan: Lsn,
    /// Sent, not accepted, not given up.
    in_flight: Tail,
    in_flight_bytes: usize,
    /// The part of it that was not new when it was sent.
    backlog: Tail,
    backlog_bytes: usize,
    /// What was sent when: (tick, range), oldest first.
    sent: VecDeque<(u64, Lsn, Lsn)>,
    /// Wanted from disk for it.
    wanted: Tail,
    /// When a snapshot was last asked for on its behalf, in ticks.
    snapshot_at: Option<u64>,
    /// What was placed for its clients, to be told when it is settled.
    pub(crate) owed: Owed,
}

/// What the leader's log is to a peer: records in memory, records read back from disk, and the
/// positions that have none.
pub(crate) struct Source<'a> {
    pub(crate) log: &'a Log,
    pub(crate) loaded: &'a BTreeMap<Lsn, SharedRecord>,
    pub(crate) empties: &'a Tail,
    pub(crate) end: Lsn,
    pub(crate) purged: Lsn,
}

impl Source<'_> {
    fn get(&self, lsn: Lsn) -> Option<&Record> {
        self.log.get(lsn).or_else(|| self.loaded.get(&lsn).map(|record| &**record))
    }
}

impl Peer {
    /// What its leader decides by ([`Replica::write_state`](super::Replica::write_state)).
    pub(crate) fn write_state(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let Peer { id, bit, member, counts, waits, known, accepted, covered, .. } = self;
        let Peer { heard_at: _, round, membership, window: _, sent_at, sent_round, .. } = self;
        let Peer { incarnation, loss, next, scan, in_flight, in_flight_bytes: _, backlog, .. } =
            self;
        let Peer { backlog_bytes: _, sent: _, wanted, snapshot_at, owed, .. } = self;
        write!(out, "{id} {bit} {member} {counts} {waits} {known} {accepted} {covered} {round} ")?;
        write!(out, "{membership:?} {} {sent_round} {incarnation} {loss:?} ", *sent_at > 0)?;
        write!(out, "{next} {scan} {in_flight} {backlog} {wanted} {snapshot_at:?} {owed} ")
    }

    /// A follower that nothing is known of; the leader's new records start at `next`.
    pub(crate) fn new(id: ReplicaId, bit: Mask, next: Lsn, now: u64) -> Peer {
        Peer {
            id,
            bit,
            member: true,
            counts: true,
            waits: false,
            known: false,
            accepted: TailBitmap::new(),
            covered: Tail::new(),
            heard_at: now,
            round: 0,
            membership: None,
            window: u64::MAX,
            sent_at: 0,
            sent_round: 0,
            incarnation: 0,
            loss: None,
            next,
            scan: Lsn::ZERO,
            in_flight: Tail::new(),
            in_flight_bytes: 0,
            backlog: Tail::new(),
            backlog_bytes: 0,
            sent: VecDeque::new(),
            wanted: Tail::new(),
            snapshot_at: None,
            owed: Owed::default(),
        }
    }

    /// The same, counting or not.
    pub(crate) fn counting(self, counts: bool) -> Peer {
        Peer { counts, ..self }
    }

    /// It counts from now on, or no longer. Made a voter while more than
    /// [`behind_positions_max`](Options::behind_positions_max) of what is settled was never sent to
    /// it, it has new records first from now on. What is placed and not settled is new to the
    /// others as well: where the link is full that can be much, and whoever jumped over it would be
    /// given it as a backlog, while its change waits for it to have everything.
    pub(crate) fn stands(&mut self, counts: bool, next: Lsn, settled: Lsn, options: &Options) {
        let behind = settled.0.saturating_sub(self.next.0);
        if counts && !self.counts && behind > options.behind_positions_max {
            self.next = next;
        }
        self.counts = counts;
    }

    /// Its answer: all that it has accepted. `news` gets the words that were not known before.
    pub(crate) fn accept(&mut self, accepted: &TailBitmap, log: &Log, news: &mut Vec<(u64, u64)>) {
        self.known = true;
        self.accepted.take_in(accepted, news);
        if accepted.offset() >= self.next {
            self.all_landed();
        } else {
            self.note_landed(news, log);
        }
        self.covered.remove_below(self.accepted.offset());
        self.scan = self.scan.max(self.accepted.offset());
    }

    /// It has everything that was ever sent to it.
    fn all_landed(&mut self) {
        self.in_flight = Tail::new();
        self.backlog = Tail::new();
        self.sent.clear();
        self.settle_accounts();
    }

    /// It has accepted these.
    fn note_landed(&mut self, news: &[(u64, u64)], log: &Log) {
        for &(index, word) in news {
            let landed = word & self.in_flight.word(index);
            let bytes = |word| log.size_of_word(index, word);
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes(landed));
            let late = bytes(landed & self.backlog.word(index));
            self.backlog_bytes = self.backlog_bytes.saturating_sub(late);
        }
        self.in_flight.remove_below(self.accepted.offset());
        self.in_flight.difference_with(self.accepted.tail());
        self.settle_accounts();
        while self.sent.front().is_some_and(|(_, _, to)| *to <= self.accepted.offset()) {
            self.sent.pop_front();
        }
    }

    /// Sizes are not known of what left memory while it was on the way: the accounts are set right
    /// when nothing is left.
    fn settle_accounts(&mut self) {
        if self.in_flight.is_empty() {
            self.in_flight_bytes = 0;
        }
        if !self.backlog.is_empty() {
            self.backlog.intersect_with(&self.in_flight);
        }
        if self.backlog.is_empty() {
            self.backlog_bytes = 0;
        }
    }

    /// It has accepted a settled record with these overrides: they need not be sent any more.
    pub(crate) fn cover(&mut self, overrides: &Tail) {
        // Mostly it has accepted them all as well.
        if overrides.last() >= Some(self.accepted.offset()) {
            self.covered.union_with(overrides);
            self.covered.remove_below(self.accepted.offset());
        }
    }

    /// Accepted or covered: what counts for the barrier of a membership.
    pub(crate) fn passed(&self) -> TailBitmap {
        let mut passed = self.accepted.clone();
        passed.insert_all(&self.covered);
        passed
    }

    /// Everything below has [`passed`](Self::passed).
    pub(crate) fn reached(&self) -> Lsn {
        if self.covered.is_empty() { self.accepted.offset() } else { self.passed().offset() }
    }

    /// As much is on its way to it as may be.
    pub(crate) fn is_full(&self, options: &Options) -> bool {
        self.in_flight_bytes as u64 >= (options.in_flight_bytes_max as u64).min(self.window)
    }

    /// Gives up what has been on the way for longer than the resend timeout.
    pub(crate) fn time_out(&mut self, now: u64, options: &Options) {
        while let Some(&(at, from, to)) = self.sent.front() {
            if now <= at + options.resend_ticks {
                return;
            }
            self.sent.pop_front();
            let mut range = Tail::new();
            range.insert_range(from, to);
            range.intersect_with(&self.in_flight);
            if let Some(lost) = range.first() {
                self.scan = self.scan.min(lost);
                self.in_flight.difference_with(&range);
                self.settle_accounts();
            }
        }
    }

    /// The records to send now: new ones first, then what is missing, as far as the windows allow
    /// (algorithm.md, Replicating 4 and 5).
    pub(crate) fn pick(&mut self, source: &Source, now: u64, options: &Options) -> Records {
        if !self.counts {
            if self.waits || !self.known || self.accepted.offset() < source.purged {
                return Records::new();
            }
            // What has left memory comes from disk, as all that is missing.
            self.next = self.next.max(self.accepted.offset()).max(source.log.first());
        }
        // Where the link is full, whoever catches up must gain on those that count, or never does.
        let share = if self.counts { 1 } else { CATCH_UP_SHARE };
        let window = (share * options.in_flight_bytes_max as u64).min(self.window) as usize;
        let most =
            if self.is_kept_short() { GREETING_BYTES_MAX } else { options.message_bytes_max };
        let mut budget = most.min(window.saturating_sub(self.in_flight_bytes));
        if self.in_flight_bytes == 0 {
            budget = budget.max(1);
        }
        let mut picked = self.pick_new(source, now, &mut budget);
        if mutant!(HolesNeverRepaired, self.known, false) && self.scan < source.end {
            // Of whoever catches up all is backlog, and nothing has to go before it.
            let most = if self.counts { options.backlog_bytes_max } else { window };
            let backlog = most.saturating_sub(self.backlog_bytes);
            self.pick_missing(source, now, budget.min(backlog), &mut picked);
        }
        picked
    }

    /// Whether the next message is short: the first one with records to a follower that has not
    /// answered yet. A new leader has what its clients kept for it to send, all of it at once; so
    /// the oldest of it, and whatever waits for the leadership to be confirmed, arrive early.
    pub(crate) fn is_kept_short(&self) -> bool {
        !self.known && self.in_flight_bytes == 0
    }

    /// Mostly these are what was placed since the last drain: the same batch for all followers.
    fn pick_new(&mut self, source: &Source, now: u64, budget: &mut usize) -> Records {
        let from = self.next;
        let whole = if from < source.end { source.log.batches(from, source.end) } else { None };
        let picked = match whole.filter(|(_, bytes)| bytes <= budget) {
            Some((records, bytes)) => {
                *budget -= bytes;
                self.in_flight_bytes += bytes;
                self.next = source.end;
                records
            }
            None => self.pick_one_by_one(source, budget),
        };
        if from < self.next {
            self.in_flight.insert_range(from, self.next);
            self.sent.push_back((now, from, self.next));
            if self.scan == from {
                self.scan = self.next;
            }
        }
        picked
    }

    fn pick_one_by_one(&mut self, source: &Source, budget: &mut usize) -> Records {
        let mut picked = Vec::new();
        while *budget > 0 && self.next < source.end {
            let known = !self.counts && self.accepted.contains(self.next);
            if let Some(record) = source.get(self.next).filter(|_| !known) {
                *budget = budget.saturating_sub(record.size());
                self.in_flight_bytes += record.size();
                picked.push(record.clone());
            }
            self.next = self.next.next();
        }
        Records::from(picked)
    }

    /// Looks for what is neither accepted, nor on the way, nor needless, from `scan` up.
    fn pick_missing(&mut self, source: &Source, now: u64, mut budget: usize, picked: &mut Records) {
        let mut found: Vec<Record> = Vec::new();
        let mut stop = self.next;
        // What is purged comes as a snapshot.
        let from = self.scan.max(source.purged);
        for lsn in self.accepted.holes_beside(&self.in_flight, from, self.next) {
            if !self.needs(lsn, source) {
                continue;
            }
            if budget == 0 {
                stop = lsn;
                break;
            }
            let Some(record) = source.get(lsn) else {
                // It has left memory: ask for it, and go on from here when it is back.
                self.wanted.insert_range(lsn, Lsn(lsn.0 + LOAD_MAX).min(source.log.first()));
                stop = lsn;
                break;
            };
            budget = budget.saturating_sub(record.size());
            found.push(record.clone());
        }
        self.scan = stop;
        for record in &found {
            let (lsn, size) = (record.lsn, record.size());
            self.in_flight_bytes += size;
            self.backlog_bytes += size;
            self.in_flight.insert(lsn);
            self.backlog.insert(lsn);
            match self.sent.back_mut() {
                Some((at, _, to)) if *at == now && *to == lsn => *to = lsn.next(),
                _ => self.sent.push_back((now, lsn, lsn.next())),
            }
        }
        picked.extend(found);
    }

    /// Replicating 4: an empty position has nothing to send, a covered one needs nothing, unless
    /// one of its victims is neither accepted nor covered there and is empty in the leader's log.
    fn needs(&self, lsn: Lsn, source: &Source) -> bool {
        if source.empties.contains(lsn) {
            return false;
        }
        if !self.covered.contains(lsn) {
            return true;
        }
        let Some(record) = source.get(lsn) else { return !source.empties.is_empty() };
        let here = |lsn| self.accepted.contains(lsn) || self.covered.contains(lsn);
        record.overrides.iter().any(|victim| source.empties.contains(victim) && !here(victim))
    }

    /// What it lacks below this has to come as a snapshot: what is purged here; and for one in
    /// doubt also what is empty here and purged elsewhere, which no record gives back (Doubt 3).
    pub(crate) fn gone_below(&self, purged: Lsn, gone: Lsn) -> Lsn {
        match &self.loss {
            Some(loss) if loss.repaired().is_none() => purged.max(gone),
            _ => purged,
        }
    }

    /// Whether it lacks something below this, and nobody has asked for a snapshot on its
    /// behalf for `patience`.
    pub(crate) fn wants_snapshot(&mut self, below: Lsn, now: u64, patience: u64) -> bool {
        let lacks = |lsn| !self.covered.contains(lsn) && !self.in_flight.contains(lsn);
        let wants = self.known
            && self.accepted.offset() < below
            && self.snapshot_at.is_none_or(|at| now >= at + patience)
            && self.accepted.holes(below).any(lacks);
        if wants {
            self.snapshot_at = Some(now);
        }
        wants
    }

    /// Whether nothing below `end` is to be sent to it before something on its way is given up.
    pub(crate) fn is_sent_all(&self, end: Lsn) -> bool {
        self.known && self.next >= end && self.scan >= end
    }

    /// Whether it wants something from disk.
    pub(crate) fn wants_loading(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Takes what it wants from disk.
    pub(crate) fn take_wanted(&mut self) -> Tail {
        std::mem::take(&mut self.wanted)
    }

    /// The lowest position that it may still need.
    pub(crate) fn scan(&self) -> Lsn {
        self.scan
    }
}
