//! A small network in memory with the verbs cut, isolate, drop, recover and ignore. Disks and
//! workers do at once what they are asked, unless a replica holds its writes.

use std::collections::{BTreeMap, BTreeSet};
use traft::base::*;
use traft::message::*;
use traft::replica::*;

/// The settings of every replica here, in ticks.
pub(crate) const HEARTBEAT: u64 = 2;
pub(crate) const ELECTION: u64 = 10;

/// A replica with what it has made durable and what came out of it.
pub(crate) struct Peer {
    pub(crate) replica: Replica,
    pub(crate) durable: Durable,
    /// Its disk does not write.
    pub(crate) holds: bool,
    pub(crate) writes: Vec<Write>,
    pub(crate) applied: Vec<SharedRecord>,
    /// The snapshots that took the state's place.
    pub(crate) restored: Vec<SnapshotMeta>,
}

/// Replicas `1..=n` and what is on the way between them.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) peers: BTreeMap<u64, Peer>,
    /// The cluster started with `1..=founders`.
    founders: u64,
    lost: BTreeSet<(u64, u64)>,
    ignored: Vec<fn(&Message) -> bool>,
    pub(crate) mail: Vec<Envelope>,
    pub(crate) answered: BTreeSet<u64>,
    pub(crate) rejected: BTreeMap<u64, Rejection>,
    /// Who is to send a snapshot to whom, and below what it must have done everything.
    pub(crate) wanted: Vec<(u64, u64, Lsn)>,
    /// Reads that were to be served at once when they came out.
    pub(crate) read_now: BTreeSet<u64>,
    set: Option<fn(&mut Options)>,
    pub(crate) transfers_failed: Vec<TransferError>,
    proposals: u64,
}

pub(crate) fn options(id: u64, n: u64) -> Options {
    let mut options = Options::new(ReplicaId(id), Membership::majority((1..=n).map(ReplicaId)));
    options.heartbeat_ticks = HEARTBEAT;
    options.election_ticks = ELECTION;
    options.resend_ticks = 3;
    options
}

pub(crate) fn command(key: &str) -> Command {
    let keys = KeySet::point(key.to_string());
    Command { footprint: Footprint::write(keys), body: Key::new() }
}

/// A write of `key` by itself, as some leader may have authored it.
pub(crate) fn record(lsn: u64, author: LeaderId, key: &str) -> SharedRecord {
    Record::bare(Lsn(lsn), author, Payload::Command(command(key))).into()
}

impl Network {
    pub(crate) fn new(n: u64) -> Network {
        Network::with(n, |_| Durable::default())
    }

    /// Replicas that start from what they have made durable before.
    pub(crate) fn with(n: u64, durable: impl Fn(u64) -> Durable) -> Network {
        let mut network = Network { founders: n, ..Network::default() };
        for id in 1..=n {
            let durable = durable(id);
            let replica = Replica::new(options(id, n), durable.clone());
            let (writes, applied, restored) = (Vec::new(), Vec::new(), Vec::new());
            let peer = Peer { replica, durable, holds: false, writes, applied, restored };
            network.peers.insert(id, peer);
        }
        network
    }

    /// Replicas with other settings.
    pub(crate) fn set(n: u64, set: fn(&mut Options)) -> Network {
        let mut network = Network::new(n);
        network.set = Some(set);
        (1..=n).for_each(|id| network.restart(id));
        network
    }

    /// A client at `id` wants to read `key`; what is sent waits in the mail.
    pub(crate) fn read(&mut self, id: u64, key: &str, level: ReadLevel) -> u64 {
        self.proposals += 1;
        let read = self.proposals;
        let footprint = Footprint::read(KeySet::point(key.to_string()));
        self.input(id, Input::Read { read, footprint, level });
        read
    }

    /// Neither hears the other.
    pub(crate) fn cut(&mut self, a: u64, b: u64) {
        self.drop(a, b);
        self.drop(b, a);
    }

    /// What `from` sends to `to` is lost.
    pub(crate) fn drop(&mut self, from: u64, to: u64) {
        self.lost.insert((from, to));
    }

    /// `id` neither hears nor is heard.
    pub(crate) fn isolate(&mut self, id: u64) {
        let others: Vec<u64> = self.peers.keys().copied().filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| self.cut(id, other));
    }

    /// Messages of this kind are lost.
    pub(crate) fn ignore(&mut self, kind: fn(&Message) -> bool) {
        self.ignored.push(kind);
    }

    /// Nothing is lost any more.
    pub(crate) fn recover(&mut self) {
        self.lost.clear();
        self.ignored.clear();
    }

    pub(crate) fn peer(&self, id: u64) -> &Peer {
        &self.peers[&id]
    }

    pub(crate) fn replica(&self, id: u64) -> &Replica {
        &self.peers[&id].replica
    }

    fn peer_mut(&mut self, id: u64) -> &mut Peer {
        self.peers.get_mut(&id).expect("a replica of the network")
    }

    /// Gives one input; what is sent waits in the mail.
    pub(crate) fn input(&mut self, id: u64, input: Input) {
        self.peer_mut(id).replica.handle(input);
        let mut outputs = Vec::new();
        self.peer_mut(id).replica.drain(&mut outputs);
        let mut done = Vec::new();
        for output in outputs {
            match output {
                Output::Send(envelope) => self.mail.push(*envelope),
                Output::Persist(write) => self.peer_mut(id).writes.push(*write),
                Output::Apply(tasks) => {
                    for Task { lsn, proposal, .. } in tasks {
                        self.answered.extend(proposal);
                        done.push(lsn);
                        let peer = self.peer_mut(id);
                        peer.applied.extend(peer.replica.shared_record(lsn));
                    }
                }
                Output::Settled { proposal } => {
                    self.answered.insert(proposal);
                }
                Output::Rejected { proposal, reason } => {
                    self.rejected.insert(proposal, reason);
                }
                Output::SendSnapshot { to, below } => self.wanted.push((id, to.0, below)),
                Output::Restore(meta) => {
                    let peer = self.peer_mut(id);
                    peer.applied.clear();
                    peer.restored.push(*meta);
                }
                Output::ReadReady { read } => {
                    self.read_now.insert(read);
                }
                Output::TransferFailed { reason } => self.transfers_failed.push(reason),
                _ => {}
            }
        }
        if !self.peer(id).holds {
            self.persist(id);
        }
        done.into_iter().for_each(|lsn| self.input(id, Input::Applied(lsn)));
    }

    /// The writes that are out become durable.
    pub(crate) fn persist(&mut self, id: u64) {
        let peer = self.peer_mut(id);
        let Some(last) = peer.writes.last().map(|write| write.number) else { return };
        for write in std::mem::take(&mut peer.writes) {
            keep(&mut peer.durable, write);
        }
        self.input(id, Input::Persisted(last));
    }

    /// Takes a snapshot of what is done, and drops what it makes needless.
    pub(crate) fn purge(&mut self, id: u64) {
        let peer = self.peer_mut(id);
        let snapshot = peer.replica.snapshot_meta();
        let below = snapshot.done.offset();
        peer.durable.records.retain(|record| record.lsn >= below);
        peer.durable.snapshot = Some(Box::new(snapshot));
        self.input(id, Input::Purge(below));
    }

    /// A snapshot has come to `id`, whole.
    pub(crate) fn install(&mut self, id: u64, snapshot: SnapshotMeta) {
        self.input(id, Input::Install(Box::new(snapshot)));
    }

    /// Every snapshot that is wanted arrives.
    pub(crate) fn send_snapshots(&mut self) {
        for (from, to, _) in std::mem::take(&mut self.wanted) {
            let snapshot = self.replica(from).snapshot_meta();
            self.install(to, snapshot);
        }
        self.run();
    }

    /// Starts again from what is durable.
    pub(crate) fn restart(&mut self, id: u64) {
        let mut options = options(id, self.founders);
        self.set.into_iter().for_each(|set| set(&mut options));
        let peer = self.peer_mut(id);
        peer.writes.clear();
        peer.applied.clear();
        peer.replica = Replica::new(options, peer.durable.clone());
    }

    /// Hands a message over and gives what is sent because of it.
    pub(crate) fn step(&mut self, from: u64, to: u64, message: Message) -> Vec<Envelope> {
        let waiting = std::mem::take(&mut self.mail);
        let envelope = Envelope::new(ReplicaId(from), ReplicaId(to), message);
        self.input(to, Input::Receive(Box::new(envelope)));
        std::mem::replace(&mut self.mail, waiting)
    }

    /// Delivers until nothing is on the way.
    pub(crate) fn run(&mut self) {
        for _ in 0..10_000 {
            if self.mail.is_empty() {
                return;
            }
            for envelope in std::mem::take(&mut self.mail) {
                let (from, to) = (envelope.from.0, envelope.to.0);
                let ignored = self.ignored.iter().any(|kind| kind(&envelope.message));
                if !ignored && !self.lost.contains(&(from, to)) {
                    self.input(to, Input::Receive(Box::new(envelope)));
                }
            }
        }
        panic!("messages never end");
    }

    /// Nothing is heard for an election timeout.
    pub(crate) fn quiet(&mut self) {
        for _ in 0..ELECTION {
            self.peers.keys().copied().collect::<Vec<_>>().into_iter().for_each(|other| {
                self.input(other, Input::Tick);
            });
            self.mail.clear();
        }
    }

    /// Nothing is heard for an election timeout; then `id` campaigns.
    pub(crate) fn hup(&mut self, id: u64) {
        self.quiet();
        self.campaign(id);
    }

    /// `id` campaigns at once, whatever is heard.
    pub(crate) fn campaign(&mut self, id: u64) {
        self.input(id, Input::Campaign);
        self.run();
    }

    /// Time passes at `id` alone, and nothing is delivered; gives what it sends.
    pub(crate) fn tick(&mut self, id: u64, ticks: u64) -> Vec<Envelope> {
        let waiting = std::mem::take(&mut self.mail);
        (0..ticks).for_each(|_| self.input(id, Input::Tick));
        std::mem::replace(&mut self.mail, waiting)
    }

    /// Time passes at all and what is sent is delivered at once.
    pub(crate) fn pass(&mut self, ticks: u64) {
        for _ in 0..ticks {
            for id in self.peers.keys().copied().collect::<Vec<_>>() {
                self.input(id, Input::Tick);
            }
            self.run();
        }
    }

    /// A client wants `key` written at `id`; what is sent waits in the mail.
    pub(crate) fn propose(&mut self, id: u64, key: &str) -> u64 {
        self.proposals += 1;
        let proposal = self.proposals;
        self.input(id, Input::Propose { proposal, command: command(key) });
        proposal
    }

    /// An operator wants a membership; `request` is its number for the change.
    pub(crate) fn change(&mut self, id: u64, request: u64, membership: Membership) -> u64 {
        self.proposals += 1;
        let (proposal, force) = (self.proposals, false);
        self.input(id, Input::Change { proposal, request, membership, force });
        proposal
    }

    /// An operator wants leadership to go from `id` to `to`.
    pub(crate) fn transfer(&mut self, id: u64, to: u64) {
        self.input(id, Input::Transfer { to: Some(ReplicaId(to)) });
        self.run();
    }

    /// A replica that starts with nothing, and knows the membership that the cluster started with.
    pub(crate) fn join(&mut self, id: u64) {
        let replica = Replica::new(options(id, self.founders), Durable::default());
        let (durable, writes) = (Durable::default(), Vec::new());
        let (applied, restored) = (Vec::new(), Vec::new());
        let peer = Peer { replica, durable, holds: false, writes, applied, restored };
        self.peers.insert(id, peer);
    }

    /// And everything is delivered.
    pub(crate) fn write(&mut self, id: u64, key: &str) -> u64 {
        let proposal = self.propose(id, key);
        self.run();
        proposal
    }

    pub(crate) fn role(&self, id: u64) -> RoleName {
        self.replica(id).role().0
    }

    pub(crate) fn leads(&self, id: u64) -> bool {
        self.role(id) == RoleName::Leader
    }

    /// What `id` holds: the authors and keys of its records.
    pub(crate) fn log(&self, id: u64) -> Vec<String> {
        let replica = self.replica(id);
        let end = replica.accepted().end().0;
        (0..end).filter_map(|lsn| replica.record(Lsn(lsn))).map(|r| r.to_string()).collect()
    }

    /// How many positions `id` knows settled from the start without a gap.
    pub(crate) fn settled(&self, id: u64) -> u64 {
        self.replica(id).settled().offset().0
    }
}

/// What the leader of `lineage` says first, with some records.
pub(crate) fn hello(lineage: Lineage, records: Vec<SharedRecord>) -> Message {
    Message::Replicate(Replicate {
        leader: lineage.leader(),
        lineage: Some(Box::new(lineage)),
        records: records.into(),
        settled: TailBitmap::new(),
        committed_membership: None,
        round: 0,
        repaired: None,
    })
}

/// Yes to whoever asks whether it would be granted `candidate`.
pub(crate) fn pre_vote_reply(candidate: LeaderId) -> PreVoteReply {
    let voted = LeaderId::NOBODY;
    PreVoteReply { candidate, granted: true, voted, committed_membership: None }
}

/// What a candidate that holds nothing asks.
pub(crate) fn vote(candidate: LeaderId) -> Message {
    let (lineage, accepted) = (Lineage::default(), TailBitmap::new());
    Message::Vote(Vote { candidate, lineage, accepted, hands_over: None })
}

fn keep(durable: &mut Durable, write: Write) {
    durable.voted = write.voted.unwrap_or(durable.voted);
    if let Some(lineage) = write.lineage {
        durable.records.retain(|record| lineage.author(record.lsn) == record.author);
        durable.lineage = lineage;
    }
    let new: BTreeSet<Lsn> = write.records.iter().map(|record| record.lsn).collect();
    durable.records.retain(|old| !new.contains(&old.lsn));
    let mut records: Vec<Record> = durable.records.iter().chain(&write.records).cloned().collect();
    records.sort_by_key(|record| record.lsn);
    durable.records = records.into();
    durable.membership = write.membership.or(durable.membership.take());
    if let Some(snapshot) = write.snapshot {
        durable.records.retain(|record| record.lsn >= snapshot.done.offset());
        durable.snapshot = Some(snapshot);
    }
}
