//! One replica of the model: the production replica, a disk, a machine. What it does in one step
//! depends on nothing but itself and on what happens to it.

use super::ledger::{Log, News};
use super::machine::Machine;
use super::setting::Setting;
use crate::base::{LeaderId, Lsn, Record, Records, ReplicaId, SharedRecord};
use crate::message::{Envelope, Message, PreVoteReply};
use crate::replica::{
    Durable, Input, Options, Output, Replica, RoleName, SnapshotMeta, Task, Write,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// A state together with its done set, on its way or on a disk.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) meta: SnapshotMeta,
    machine: Machine,
}

/// Something on the network.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Message(Box<Envelope>),
    Snapshot(ReplicaId, Box<Snapshot>),
}

impl Parcel {
    /// Whose it is.
    pub(super) fn to(&self) -> ReplicaId {
        match self {
            Parcel::Message(envelope) => envelope.to,
            Parcel::Snapshot(to, _) => *to,
        }
    }
}

/// Something that happens to a replica.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// It campaigns, and is told that nobody minds: a pre-vote promises nothing.
    Campaign,
    /// A client asks for the command of this number.
    Propose(u8),
    /// An operator asks for the change.
    Change,
    /// Its oldest write that is out becomes durable.
    Persist,
    /// So many of its writes become durable, and it starts again.
    Crash(u8),
    /// It takes a snapshot and purges what that has done.
    Snapshot,
    /// Something arrives.
    Deliver(Parcel),
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
struct Disk {
    /// Without the records.
    durable: Durable,
    records: BTreeMap<Lsn, SharedRecord>,
    machine: Machine,
    /// Snapshots of others, whole.
    aside: Vec<Snapshot>,
}

impl Disk {
    fn write(&mut self, write: Write) {
        self.durable.voted = write.voted.unwrap_or(self.durable.voted);
        if let Some(lineage) = write.lineage {
            self.records.retain(|lsn, record| lineage.author(*lsn) == record.author);
            self.durable.lineage = lineage;
        }
        let purged = self.purged();
        let written = write.records.iter_shared().filter(|record| record.lsn >= purged);
        self.records.extend(written.map(|record| (record.lsn, record)));
        if write.membership.is_some() {
            self.durable.membership = write.membership;
        }
        if let Some(meta) = write.snapshot
            && meta.done.offset() > purged
            && let Some(found) = self.aside.iter().find(|aside| aside.meta == *meta).cloned()
        {
            self.keep(found);
        }
    }

    /// A snapshot stands in its place, and what it has done without a gap is dropped.
    fn keep(&mut self, snapshot: Snapshot) {
        self.machine = snapshot.machine;
        self.records = self.records.split_off(&snapshot.meta.done.offset());
        self.durable.snapshot = Some(Box::new(snapshot.meta));
    }

    fn purged(&self) -> Lsn {
        self.durable.snapshot.as_ref().map_or(Lsn::ZERO, |snapshot| snapshot.done.offset())
    }

    fn durable(&self) -> Durable {
        Durable { records: Records::gather(self.records.values()), ..self.durable.clone() }
    }
}

/// A replica with what it has.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) replica: Replica,
    disk: Disk,
    writes: VecDeque<Write>,
    machine: Machine,
}

/// What comes of a step.
#[derive(Debug, Default)]
pub(super) struct Deed {
    pub(super) sends: Vec<Parcel>,
    pub(super) news: Vec<News>,
    pub(super) wrong: Option<String>,
    /// A record was dropped at first contact.
    pub(super) drops: bool,
    /// A snapshot took the state's place.
    pub(super) restores: bool,
    /// Writes were lost in a crash.
    pub(super) loses: bool,
}

impl Node {
    /// A new one.
    pub(super) fn new(id: ReplicaId, setting: &Setting) -> Node {
        let disk = Disk::default();
        let replica = start(id, setting, &disk);
        Node { replica, disk, writes: VecDeque::new(), machine: Machine::default() }
    }

    /// What decides what it does from here on, as text.
    pub(super) fn text(&self) -> String {
        let Node { replica, disk, writes, machine } = self;
        let Disk { durable, records, machine: kept, aside } = disk;
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = replica.write_state(&mut text);
        let _ = write!(text, "disk {durable:?} {:?} {kept:?} {aside:?} ", records.values());
        for write in writes {
            let _ = write!(text, "{:?} ", Write { number: 0, ..write.clone() });
        }
        let _ = write!(text, "{machine:?}");
        text
    }

    /// How many writes are out.
    pub(super) fn writes(&self) -> usize {
        self.writes.len()
    }

    /// Whether it could purge anything.
    pub(super) fn has_done_more_than_its_snapshot(&self) -> bool {
        self.replica.done().offset() > self.disk.purged()
    }

    /// A bit for each position that it calls settled.
    pub(super) fn settled(&self) -> u64 {
        self.replica.settled().word(0)
    }

    /// Whether it is done with a record that it does not hold and has not purged.
    pub(super) fn is_done_without_holding(&self) -> bool {
        let done = self.replica.done().word(0) & !self.replica.accepted().word(0);
        done >> self.replica.purged().0.min(63) != 0
    }

    /// I-9: who has done the same shows the same.
    pub(super) fn agrees_with(&self, other: &Node) -> bool {
        self.replica.done() != other.replica.done() || self.machine.shows_the_same(&other.machine)
    }

    /// What comes of `event`.
    pub(super) fn after(&self, event: &Event, setting: &Setting) -> (Node, Deed) {
        let mut doing = Doing { node: self.clone(), deed: Deed::default(), setting };
        let settled = self.replica.settled().clone();
        doing.happen(event);
        let Doing { node, mut deed, .. } = doing;
        let replica = &node.replica;
        if !setting.counts() {
            let new = replica.settled().difference_iter(&settled);
            let named = |lsn| replica.record(lsn).map(|record| (lsn, record.author));
            let calls: Vec<(Lsn, LeaderId)> = new.filter_map(named).collect();
            if !calls.is_empty() {
                deed.news.push(News::Calls(replica.lineage().leader(), calls));
            }
        }
        (node, deed)
    }
}

fn start(id: ReplicaId, setting: &Setting, disk: &Disk) -> Replica {
    let mut options = Options::new(id, setting.initial.clone());
    options.forwarding = false;
    if setting.talkative {
        options.heartbeat_ticks = 0;
    }
    Replica::new(options, disk.durable())
}

/// A step in the making.
struct Doing<'a> {
    node: Node,
    deed: Deed,
    setting: &'a Setting,
}

impl Doing<'_> {
    fn happen(&mut self, event: &Event) {
        match event {
            Event::Campaign => self.campaign(),
            Event::Propose(nth) => {
                let command = self.setting.command(*nth as usize);
                self.input(Input::Propose { proposal: u64::from(*nth), command });
            }
            Event::Change => {
                let Some(membership) = self.setting.change.clone() else { return };
                let (proposal, request, force) = (u64::MAX, 1, true);
                self.input(Input::Change { proposal, request, membership, force });
            }
            Event::Persist => self.persist(),
            Event::Crash(kept) => self.crash(*kept as usize),
            Event::Snapshot => self.snapshot(),
            Event::Deliver(Parcel::Message(envelope)) => {
                self.input(Input::Receive(envelope.clone()));
            }
            Event::Deliver(Parcel::Snapshot(_, snapshot)) => {
                let meta = snapshot.meta.clone();
                if self.node.disk.aside.iter().all(|aside| aside.meta != meta) {
                    self.node.disk.aside.push((**snapshot).clone());
                    self.node.disk.aside.sort_by_key(|aside| aside.meta.done.offset());
                }
                self.input(Input::Install(Box::new(meta)));
            }
        }
    }

    fn campaign(&mut self) {
        self.input(Input::Campaign);
        let (role, candidate) = self.node.replica.role();
        let me = self.node.replica.id();
        if role != RoleName::PreCandidate {
            return;
        }
        for membership in self.node.replica.memberships() {
            for from in membership.voters().into_iter().filter(|from| *from != me) {
                let (granted, voted) = (true, LeaderId::NOBODY);
                let reply = PreVoteReply { candidate, granted, voted, committed_membership: None };
                let envelope = Envelope::new(from, me, Message::PreVoteReply(reply));
                self.input(Input::Receive(Box::new(envelope)));
            }
        }
    }

    /// Hands in an input and carries out what comes of it.
    fn input(&mut self, input: Input) {
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            let led = self.leading();
            self.node.replica.handle(input);
            let mut outputs = Vec::new();
            self.node.replica.drain(&mut outputs);
            let leads = self.leading();
            if leads.is_some() && leads != led {
                self.deed.news.push(News::Leads(Log::of(&self.node.replica)));
            }
            for output in outputs {
                self.carry_out(output, &mut queue);
            }
        }
        while !self.setting.slow_disks && !self.node.writes.is_empty() {
            self.persist();
        }
    }

    fn leading(&self) -> Option<LeaderId> {
        self.node.replica.leading().map(|_| self.node.replica.role().1)
    }

    fn carry_out(&mut self, output: Output, queue: &mut VecDeque<Input>) {
        match output {
            Output::Send(envelope) => self.send(envelope),
            Output::Persist(write) => {
                let own = |record: &SharedRecord| Some(record.author) == self.leading();
                let authored = write.records.iter_shared().filter(own);
                let news: Vec<News> = authored.map(News::Authored).collect();
                self.deed.news.extend(news);
                self.node.writes.push_back(*write);
            }
            Output::Apply(tasks) => {
                for Task { lsn, .. } in tasks {
                    self.execute(lsn);
                    queue.push_back(Input::Applied(lsn));
                }
            }
            Output::Load(wanted) => {
                let records = &self.node.disk.records;
                let found: Vec<SharedRecord> =
                    wanted.iter().filter_map(|lsn| records.get(&lsn).cloned()).collect();
                queue.push_back(Input::Loaded(Records::gather(&found)));
            }
            Output::SendSnapshot { to, below } => {
                if self.node.disk.purged() < below {
                    self.take(queue);
                }
                if let Some(meta) = self.node.disk.durable.snapshot.as_deref().cloned() {
                    let machine = self.node.disk.machine.clone();
                    let snapshot = Box::new(Snapshot { meta, machine });
                    self.deed.sends.push(Parcel::Snapshot(to, snapshot));
                }
            }
            Output::TakeSnapshot { .. } => self.take(queue),
            Output::Restore(meta) => {
                let found = self.node.disk.aside.iter().find(|aside| aside.meta == *meta);
                match found {
                    Some(found) => self.node.machine = found.machine.clone(),
                    None => self.wrong("it restores a snapshot that it was not offered".into()),
                }
                self.deed.restores = true;
            }
            // Clients are told only what rests on what is settled.
            _ => {}
        }
    }

    fn wrong(&mut self, what: String) {
        self.deed.wrong.get_or_insert(format!("{}: {what}", self.node.replica.id()));
    }

    fn execute(&mut self, lsn: Lsn) {
        let Some(record) = self.node.replica.shared_record(lsn) else {
            return self.wrong(format!("it gives {lsn} out and does not hold it"));
        };
        if let Err(what) = self.node.machine.execute(&record) {
            self.wrong(what);
        }
    }

    fn send(&mut self, envelope: Box<Envelope>) {
        if matches!(envelope.message, Message::PreVote(_) | Message::PreVoteReply(_)) {
            return;
        }
        if let Err(what) = self.is_durable(&envelope.message) {
            self.wrong(what);
        }
        self.deed.sends.push(Parcel::Message(envelope));
    }

    /// I-1: what a message promises is on the disk.
    fn is_durable(&self, message: &Message) -> Result<(), String> {
        let disk = &self.node.disk;
        let (promise, reply) = match message {
            Message::Vote(m) => (m.candidate, None),
            Message::VoteReply(m) if m.grant.is_some() => (m.candidate, None),
            Message::Replicate(m) => (m.leader, None),
            Message::ReplicateReply(m) => (m.leader, Some(m)),
            _ => return Ok(()),
        };
        if disk.durable.voted < promise {
            let voted = disk.durable.voted;
            return Err(format!("I-1 it speaks of {promise} and has promised {voted}"));
        }
        let Some(reply) = reply else { return Ok(()) };
        let committer = disk.durable.lineage.leader();
        if committer != promise {
            return Err(format!("I-1 it answers {promise} under committer {committer}"));
        }
        let held = |lsn: &Lsn| *lsn < disk.purged() || disk.records.contains_key(lsn);
        let all = (0..reply.accepted.end().0).map(Lsn).filter(|lsn| reply.accepted.contains(*lsn));
        match all.into_iter().find(|lsn| !held(lsn)) {
            Some(lsn) => Err(format!("I-1 it says that it accepted {lsn}, which is not durable")),
            None => Ok(()),
        }
    }

    /// The oldest write becomes durable.
    fn persist(&mut self) {
        let Some(write) = self.node.writes.pop_front() else { return };
        let number = write.number;
        self.store(write);
        self.input(Input::Persisted(number));
    }

    fn store(&mut self, write: Write) {
        let disk = &mut self.node.disk;
        let (voted, committer) = (disk.durable.voted, disk.durable.lineage.leader());
        let (all, before) = (write.lineage.is_some(), disk.records.len());
        let written: Vec<SharedRecord> = write.records.iter_shared().collect();
        disk.write(write);
        self.deed.drops |= disk.records.len() < before;
        let now = (disk.durable.voted, disk.durable.lineage.leader());
        if now.0 < voted || now.1 < committer || now.1 > now.0 {
            let what = format!("I-1 promise and committer are {voted} {committer}, then {now:?}");
            return self.wrong(what);
        }
        // First contact: what was kept counts under the new committer.
        let name = |record: &SharedRecord| {
            let record: &Record = record;
            (record.lsn, record.author)
        };
        let held: Vec<(Lsn, LeaderId)> = match all {
            true => disk.records.values().map(name).collect(),
            false => written.iter().map(name).collect(),
        };
        if self.setting.counts() && !held.is_empty() {
            let bit = 1 << (self.node.replica.id().0 - 1);
            self.deed.news.push(News::Holds(now.1, bit, held));
        }
    }

    fn crash(&mut self, kept: usize) {
        let mut writes = std::mem::take(&mut self.node.writes);
        self.deed.loses = kept < writes.len();
        writes.drain(..kept.min(writes.len())).for_each(|write| self.store(write));
        self.node.replica = start(self.node.replica.id(), self.setting, &self.node.disk);
        self.node.machine = self.node.disk.machine.clone();
        let mut outputs = Vec::new();
        self.node.replica.drain(&mut outputs);
        let mut queue = VecDeque::new();
        outputs.into_iter().for_each(|output| self.carry_out(output, &mut queue));
        queue.into_iter().for_each(|input| self.input(input));
        while !self.setting.slow_disks && !self.node.writes.is_empty() {
            self.persist();
        }
    }

    fn snapshot(&mut self) {
        let mut queue = VecDeque::new();
        self.take(&mut queue);
        queue.into_iter().for_each(|input| self.input(input));
    }

    /// Takes a snapshot and purges what it has done without a gap.
    fn take(&mut self, queue: &mut VecDeque<Input>) {
        let meta = self.node.replica.snapshot_meta();
        let below = meta.done.offset();
        if below > self.node.disk.purged() {
            let machine = self.node.machine.snapshot();
            self.node.disk.keep(Snapshot { meta, machine });
            queue.push_back(Input::Purge(below));
        }
    }
}
