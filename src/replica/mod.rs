//! The algorithm: a pure replica. Inputs go in, outputs come out as values; no clock, no thread,
//! no disk, no randomness of its own. The same inputs give the same outputs.
//!
//! One file, one section of `design/algorithm.md`:
//!
//! | section | file |
//! | --- | --- |
//! | Authoring a record | `author.rs`, with `index.rs` for what interferes |
//! | Electing | `elect.rs`, and `gather.rs` for what the log of a candidate lacks |
//! | Rebuilding the log | `rebuild.rs` |
//! | Replicating | `lead.rs` and `peer.rs` at the leader, `follow.rs` at the follower |
//! | Words: committed, settled | `commit.rs`; away from the leader `hearing.rs` |
//! | Applying | `schedule.rs` |
//! | Reading | `read.rs` at the leader, `read_here.rs` elsewhere, `shown.rs`, `lease.rs` |
//! | Purging | `snapshot.rs` |
//! | Doubt | `doubt.rs` |
//! | Words: cluster, incarnation | `identity.rs` |
//! | Membership | `member.rs`, and the barrier in `commit.rs` |
//! | Membership 1: a change is complete; Electing 4 | `change.rs`, `handover.rs` |
//! | Membership 6: catching up | `catch_up.rs` |
//!
//! | message \ role | follower | pre-candidate | candidate | leader |
//! | --- | --- | --- | --- | --- |
//! | `PreVote` | answer | answer | answer | refuse |
//! | `Vote`, id at or above the promise | grant | grant, follow | grant, follow | grant, step down |
//! | `Vote`, id below | refuse | refuse | refuse | refuse |
//! | `PreVoteReply` | | count | | |
//! | `VoteReply`, `FetchReply` | | | count, gather | |
//! | `Fetch` | answer | answer | answer | answer |
//! | `Replicate`, id at or above | accept | accept, follow | accept, follow | accept, step down |
//! | `Replicate`, id below | refuse | refuse | refuse | refuse |
//! | `ReplicateReply`, `Refuse`, `Anew` | conclude | | | commit; step down; begin anew |
//! | `Forward`, for a leadership of this life | reject | reject | reject | place once |
//! | `SnapshotRequest` | send | send | send | send |
//! | `TakeOver` | campaign | | | |
//! | `ReadRequest` | refuse | refuse | refuse | confirm, answer |
//! | `ReadPoint` | read when done | | | |

mod author;
mod boxes;
mod catch_up;
mod change;
mod commit;
mod departed;
mod doubt;
mod elect;
mod follow;
mod forwards;
mod gather;
mod handover;
mod hearing;
mod identity;
mod index;
mod io;
mod kinds;
mod lead;
mod lease;
mod log;
mod member;
mod memory;
mod options;
mod owed;
mod peer;
mod read;
mod read_here;
mod rebuild;
mod schedule;
mod shown;
mod snapshot;
mod state;
mod step;
mod view;
mod writes;
#[cfg(feature = "mutants")]
mod wrong;

pub use index::{Index, Placement};
pub use io::{
    Doubt, Durable, Input, Output, ReadError, ReadLevel, Rejection, RoleName, SnapshotMeta, Task,
    TransferError, Write,
};
pub use options::{Lease, Options};
pub use step::Step;
pub use view::Follower;

use crate::base::{LeaderId, Lineage, Lsn, ReplicaId, TailBitmap, mutant};
use crate::message::{Envelope, Message};
use schedule::Schedule;
use std::collections::BTreeMap;

/// A replica. Owned by one thread; feed it with [`handle`](Self::handle), carry out what
/// [`drain`](Self::drain) gives.
#[derive(Clone, Debug)]
pub struct Replica {
    options: Options,
    // Durable, as of the newest write composed.
    voted: LeaderId,
    lineage: Lineage,
    log: log::Log,
    accepted: TailBitmap,
    purged: Lsn,
    /// The greatest committer behind what is done here.
    behind: LeaderId,
    memberships: member::InForce,
    incarnation: u64,
    life: u64,
    /// The newest life heard of, of each replica that ever lost something.
    lives: BTreeMap<ReplicaId, u64>,
    /// Something acknowledged may be missing: it must not vote.
    doubt: Option<Doubt>,
    // Volatile.
    settled: TailBitmap,
    schedule: Schedule,
    /// A snapshot that takes the state's place as soon as nothing is out for execution.
    installing: Option<Box<SnapshotMeta>>,
    proposals: author::Proposals,
    role: Role,
    writes: writes::Writes,
    outputs: Vec<Output>,
    boxes: boxes::Boxes,
    /// Whoever waits for records that have left memory.
    loans: BTreeMap<ReplicaId, LeaderId>,
    /// The greatest promise heard of.
    seen: LeaderId,
    /// The greatest round of the leader followed.
    round: u64,
    /// What others have acknowledged ([`Options::acknowledge_to_all`]).
    hearing: hearing::Hearing,
    reply_due: bool,
    /// Something was handled that a drain may have to answer.
    awake: bool,
    scratch: Vec<(u64, u64)>,
    /// Ticks since the start; begins at one election timeout, so that "never" is long ago.
    now: u64,
    heard_leader_at: u64,
    /// With leases: it votes for no other leader before this tick.
    bound_until: u64,
    /// Reads that are served here by what the leader says.
    reads_here: read_here::ReadsHere,
    campaign_at: u64,
    random: u64,
}

/// A role owns its data.
#[derive(Clone, Debug)]
enum Role {
    Follower { leader: LeaderId },
    PreCandidate(elect::PreCandidacy),
    Candidate(Box<elect::Candidacy>),
    Leader(Box<lead::Leadership>),
}

impl Replica {
    /// A replica that starts from what its earlier life made durable; [`Durable::default`] for a
    /// new one. It starts as a follower and never resumes a leader id: it could author a second
    /// record at a position that it had sent but not kept (Electing 1).
    pub fn new(options: Options, durable: Durable) -> Replica {
        let snapshot = durable.snapshot.map(|snapshot| *snapshot).unwrap_or_default();
        let membership = [durable.membership, snapshot.membership]
            .into_iter()
            .flatten()
            .max_by_key(|(lsn, _)| *lsn);
        let memberships = member::InForce::new(options.initial.clone(), membership);
        let purged = snapshot.done.offset();
        let leader = LeaderId::NOBODY;
        let mut replica = Replica {
            voted: durable.voted,
            lineage: durable.lineage,
            log: log::Log::starting_at(purged),
            accepted: TailBitmap::below(purged),
            purged,
            behind: snapshot.committer,
            memberships,
            incarnation: durable.incarnation,
            life: durable.life,
            lives: BTreeMap::new(),
            doubt: durable.doubt,
            settled: TailBitmap::below(purged),
            schedule: Schedule::of(snapshot.done),
            installing: None,
            proposals: author::Proposals::default(),
            role: Role::Follower { leader },
            writes: writes::Writes::default(),
            outputs: Vec::new(),
            boxes: boxes::Boxes::default(),
            loans: BTreeMap::new(),
            seen: LeaderId::NOBODY,
            round: 0,
            hearing: hearing::Hearing::default(),
            reply_due: false,
            awake: true,
            scratch: Vec::new(),
            now: options.election_ticks,
            heard_leader_at: 0,
            bound_until: 0,
            reads_here: read_here::ReadsHere::default(),
            campaign_at: 0,
            random: options.seed,
            options,
        };
        replica.reset_election_timer();
        // It may have granted a lease right before it stopped.
        if replica.voted != LeaderId::NOBODY {
            replica.grant_lease();
        }
        let mut floor = Lsn::ZERO;
        for batch in durable.records.batches() {
            for record in batch.records().iter().filter(|record| record.lsn >= purged) {
                floor = floor.max(record.floor);
                replica.accepted.insert(record.lsn);
                mutant!(PendingForgotten, replica.memberships.note(record), false);
            }
            if batch.records().first().is_some_and(|first| first.lsn >= purged) {
                replica.log.put_batch(batch);
            } else {
                let held = batch.records().iter().filter(|record| record.lsn >= purged);
                held.for_each(|record| {
                    replica.log.put(record.clone());
                });
            }
        }
        replica.log.take_unwritten();
        replica.settle(&TailBitmap::below(floor));
        // A snapshot came into its place, and the step that raised the promise with it did not
        // become durable: so it does now, and does not rest on the snapshot alone.
        replica.raise_promise(replica.voted.max(snapshot.committer));
        replica.promise_above_what_was_lost();
        replica.pump();
        replica.trim();
        replica
    }

    /// Takes one input. What it leads to is given by [`drain`](Self::drain); several inputs may be
    /// handled before, and then share messages and writes.
    pub fn handle(&mut self, input: Input) {
        // What has become durable or was executed mostly releases outputs that are there already.
        self.awake |= !matches!(
            input,
            Input::Persisted(_)
                | Input::Written(_)
                | Input::Applied(_)
                | Input::AppliedAll(_)
                | Input::AppliedTasks(_)
        );
        match input {
            Input::Tick => self.on_tick(),
            Input::Receive(envelope) => self.on_receive(envelope),
            Input::Propose { proposal, command } => self.on_propose(proposal, command),
            Input::Change { proposal, request, membership, force } => {
                self.on_change(proposal, request, membership, force);
            }
            Input::CancelChange { proposal, request } => self.on_cancel(proposal, request),
            Input::Read { read, footprint, level } => self.on_read(read, footprint, level),
            Input::Persisted(number) => self.on_persisted(number),
            Input::Written(write) => {
                self.on_persisted(write.number);
                self.writes.keep(write);
            }
            Input::Applied(lsn) => self.on_applied(|schedule, log| schedule.applied(lsn, log)),
            Input::AppliedAll(lsns) => {
                self.on_applied(|schedule, log| schedule.applied_all(&lsns, log));
            }
            Input::AppliedTasks(tasks) => {
                self.on_applied(|schedule, log| schedule.applied_tasks(tasks, log));
            }
            Input::Loaded(records) => self.on_loaded(records),
            Input::Purge(below) => self.on_purge(below),
            Input::Install(snapshot) => self.on_install(snapshot),
            Input::Campaign => self.on_campaign(),
            Input::Transfer { to } => self.on_transfer(to),
        }
    }

    /// Gives what is to be done since the last drain, appended to `outputs`.
    pub fn drain(&mut self, outputs: &mut Vec<Output>) {
        if !self.is_asleep() {
            self.awake = false;
            self.check_barrier();
            self.look_after_leadership();
            self.log.seal();
            self.replicate();
            self.reply();
            self.say_own_word();
            self.conclude();
            self.confirm_alone();
            self.pump();
            if self.writes.is_dirty() {
                self.writes.issue(self.log.take_unwritten(), &mut self.outputs);
            }
            self.trim();
        }
        self.sign();
        if outputs.is_empty() {
            std::mem::swap(outputs, &mut self.outputs);
        } else {
            outputs.append(&mut self.outputs);
        }
        self.check();
    }

    /// Whether a drain would give nothing: what was handled since the last one asks for nothing.
    /// A driver may leave out such a drain.
    pub fn is_idle(&self) -> bool {
        self.outputs.is_empty() && self.is_asleep()
    }

    /// Whether a drain has nothing to compose: nobody waits for anything but what is out already.
    fn is_asleep(&self) -> bool {
        !self.awake
            && !self.writes.is_dirty()
            && !self.schedule.has_ready()
            && !self.hearing.is_stirred()
            && self.installing.is_none()
            && self.reads_here.is_empty()
            && match &self.role {
                Role::Leader(lead) => lead.is_asleep() && self.memberships.is_settled(),
                _ => true,
            }
    }

    fn on_tick(&mut self) {
        self.now += 1;
        self.tick_proposals();
        self.tick_reads_here();
        match self.role {
            Role::Leader(_) => self.tick_leader(),
            _ if self.now >= self.campaign_at => self.on_election_timeout(),
            Role::Candidate(_) => self.tick_candidate(),
            Role::Follower { .. } | Role::PreCandidate(_) => {}
        }
    }

    fn on_receive(&mut self, mut envelope: Box<Envelope>) {
        let (from, to) = (envelope.from, envelope.to);
        if to != self.options.id || from == to || self.is_of_another_life(&envelope) {
            return;
        }
        match &mut envelope.message {
            // Handled where they lie: there are many of these, and they are long.
            Message::Replicate(m) => self.on_replicate(from, m),
            Message::ReplicateReply(m) => self.on_replicate_reply(from, m),
            other => {
                let message = std::mem::replace(other, boxes::nothing());
                self.on_rare(from, message);
            }
        }
        self.boxes.keep(envelope);
    }

    /// All that does not come with each command: neither of the two above.
    fn on_rare(&mut self, from: ReplicaId, message: Message) {
        match message {
            Message::PreVote(m) => self.on_pre_vote(from, m),
            Message::PreVoteReply(m) => self.on_pre_vote_reply(from, m),
            Message::Vote(m) => self.on_vote(from, m),
            Message::VoteReply(m) => self.on_vote_reply(from, m),
            Message::Fetch(m) => self.on_fetch(from, m),
            Message::FetchReply(m) => self.on_fetch_reply(from, m),
            Message::Replicate(_) | Message::ReplicateReply(_) => {}
            Message::Refuse(m) => self.on_refuse(m),
            Message::Forward(m) => self.on_forward(from, m),
            Message::ForwardReply(m) => self.on_forward_reply(m),
            Message::SnapshotRequest(m) => self.on_snapshot_request(from, m),
            Message::TakeOver(m) => self.on_take_over(from, m),
            Message::ReadRequest(m) => self.on_read_request(from, m),
            Message::ReadPoint(m) => self.on_read_point(m),
            Message::Anew(m) => self.on_anew(from, m),
        }
    }

    fn on_persisted(&mut self, number: u64) {
        self.writes.persisted(number, &mut self.outputs);
        self.hearing.persisted(self.writes.durable());
        match &self.role {
            Role::Leader(_) => self.own_persisted(),
            Role::Candidate(_) => self.grant_own_vote(),
            Role::Follower { .. } | Role::PreCandidate(_) => {}
        }
        // While it was under way nothing left memory, and nothing else may come for a while.
        self.trim();
    }

    /// What was executed is needed less from now on.
    fn on_applied(&mut self, note: impl FnOnce(&mut Schedule, &log::Log)) {
        note(&mut self.schedule, &self.log);
        self.trim();
    }

    /// Gives out what became ready to run, and answers reads that waited for what is done.
    fn pump(&mut self) {
        if self.installing.is_some() && self.schedule.is_idle() {
            self.restore();
        }
        if self.schedule.has_ready() && self.installing.is_none() {
            let waited_for = !self.proposals.is_empty();
            let mut tasks = self.schedule.take_ready();
            if waited_for {
                for task in &mut tasks {
                    let author = || self.log.get(task.lsn).map(|record| record.author);
                    task.proposal = self.proposals.take(task.lsn, author);
                }
            }
            Output::put(&mut self.outputs, || Output::Apply(tasks));
        }
        self.serve_reads();
        self.serve_reads_here();
    }

    /// A leader that is a quorum by itself confirms itself.
    fn confirm_alone(&mut self) {
        if let Role::Leader(lead) = &self.role
            && lead.reads.is_confirmed(lead.bit)
        {
            self.confirm_reads();
        }
    }

    fn reset_election_timer(&mut self) {
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let patience = self.options.election_ticks.max(1);
        self.campaign_at = self.now + patience + z % patience;
    }

    /// Sends a message that promises nothing.
    fn send(&mut self, to: ReplicaId, message: Message) {
        let send = self.boxes.pack(self.options.id, to, message);
        self.outputs.push(Output::Send(send));
    }

    fn check(&self) {
        assert!(
            self.lineage.leader() <= self.voted,
            "I-1 committer {} above the promise {}",
            self.lineage.leader(),
            self.voted
        );
    }
}
