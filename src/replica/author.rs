//! Authoring a record (algorithm.md, Authoring), and what becomes of proposals.

use super::forwards::{Forwards, Known};
use super::lead::Leadership;
use super::{Input, Output, Placement, Rejection, Replica, Role};
use crate::base::{Command, LeaderId, Lsn, Payload, Record, ReplicaId, TailBitmap, mutant};
use crate::message::{Forward, ForwardOutcome, ForwardReply, Message, Ticket};
use std::collections::{BTreeMap, VecDeque};

/// How many settled positions a command that runs for long may keep above the floor; what comes
/// later waits for it. It bounds the sets of a record: 2 KiB each.
const HELD_UP_POSITIONS_MAX: u64 = 1 << 14;

/// Which client waits for which position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposals {
    /// Placed here, by position from `base`.
    base: u64,
    own: VecDeque<Option<Own>>,
    /// Placed by another leader for a client of this replica.
    placed: BTreeMap<Lsn, (LeaderId, u64)>,
    /// Passed on and not yet known to be placed: (proposal, since when in ticks).
    forwarded: BTreeMap<u64, u64>,
    /// What others passed on to this replica, and what it answered.
    received: Forwards,
}

/// A client that waits for a record placed here.
#[derive(Clone, Copy, Debug)]
struct Own {
    proposal: u64,
    /// It waits for what the command returns, and not only until the record is settled.
    returns: bool,
}

impl Proposals {
    fn note(&mut self, lsn: Lsn, own: Own) {
        if self.own.is_empty() {
            self.base = lsn.0;
        }
        let at = (lsn.0 - self.base) as usize;
        if at > self.own.len() {
            self.own.resize(at, None);
        }
        self.own.push_back(Some(own));
    }

    /// Whether nobody waits for any position.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.placed.is_empty()
    }

    /// Who waits for the record at `lsn`, placed by `author`; from now on nobody does.
    pub(crate) fn take(
        &mut self,
        lsn: Lsn,
        author: impl FnOnce() -> Option<LeaderId>,
    ) -> Option<u64> {
        if let Some(own) = self.own_at(lsn) {
            return Some(self.take_own(lsn, own));
        }
        if self.placed.is_empty() {
            return None;
        }
        let (placed_by, proposal) = self.placed.remove(&lsn)?;
        (Some(placed_by) == author()).then_some(proposal)
    }

    /// The same once the record is settled: not if whoever waits for it waits for what it returns.
    /// Of one placed elsewhere only the record tells whether it `returns` something.
    pub(crate) fn take_settled(
        &mut self,
        lsn: Lsn,
        returns: impl FnOnce() -> bool,
        author: impl FnOnce() -> Option<LeaderId>,
    ) -> Option<u64> {
        match self.own_at(lsn) {
            Some(own) if own.returns => None,
            Some(own) => Some(self.take_own(lsn, own)),
            None if self.placed.is_empty() || returns() => None,
            None => self.take(lsn, author),
        }
    }

    /// Who waits for a record placed here.
    fn own_at(&self, lsn: Lsn) -> Option<Own> {
        let at = lsn.0.checked_sub(self.base)?;
        *self.own.get(at as usize)?
    }

    fn take_own(&mut self, lsn: Lsn, own: Own) -> u64 {
        self.own[(lsn.0 - self.base) as usize] = None;
        while let Some(None) = self.own.front() {
            self.own.pop_front();
            self.base += 1;
        }
        own.proposal
    }

    /// The leadership of `author` ends: takes those whose record is not settled. The others will
    /// still be executed here and are answered then.
    fn close(&mut self, author: LeaderId, settled: &TailBitmap) -> Vec<u64> {
        let mut open = Vec::new();
        for (at, own) in self.own.drain(..).enumerate() {
            let lsn = Lsn(self.base + at as u64);
            match own.map(|own| own.proposal) {
                Some(proposal) if settled.contains(lsn) => {
                    self.placed.insert(lsn, (author, proposal));
                }
                Some(proposal) => open.push(proposal),
                None => {}
            }
        }
        open
    }

    /// Takes those whose record `lost` says is not in the log any more.
    pub(crate) fn take_placed(&mut self, lost: impl Fn(Lsn, LeaderId) -> bool) -> Vec<u64> {
        let gone = self.placed.extract_if(.., |lsn, (author, _)| lost(*lsn, *author));
        gone.map(|(_, (_, proposal))| proposal).collect()
    }

    /// Takes those whose record lies below.
    pub(crate) fn take_below(&mut self, below: Lsn) -> Vec<u64> {
        let own = below.0.saturating_sub(self.base).min(self.own.len() as u64);
        self.base += own;
        let own = self.own.drain(..own as usize).flatten().map(|own| own.proposal);
        let later = self.placed.split_off(&below);
        let placed = std::mem::replace(&mut self.placed, later);
        own.chain(placed.into_values().map(|(_, proposal)| proposal)).collect()
    }

    /// Takes those that were passed on at or before `tick` and never heard of again.
    fn take_forwarded(&mut self, tick: u64) -> Vec<u64> {
        self.forwarded.extract_if(.., |_, at| *at <= tick).map(|(proposal, _)| proposal).collect()
    }
}

impl Replica {
    pub(super) fn on_propose(&mut self, proposal: u64, command: Command) {
        match self.admit(&command) {
            Ok(()) => {
                let returns = !command.footprint.is_blind();
                let lsn = self.place(Payload::Command(command));
                self.proposals.note(lsn, Own { proposal, returns });
            }
            Err(Rejection::NotLeader { hint: Some(leader) }) if self.options.forwarding => {
                self.proposals.forwarded.insert(proposal, self.now);
                let to = self.role.leader();
                let ticket = self.ticket(proposal);
                self.send(leader, Message::Forward(Forward { leader: to, ticket, command }));
            }
            Err(reason) => self.outputs.push(Output::Rejected { proposal, reason }),
        }
    }

    /// Whether a command may be placed now.
    fn admit(&self, command: &Command) -> Result<(), Rejection> {
        let (size, max) = (command.size(), self.options.command_bytes_max);
        if size > max {
            return Err(Rejection::TooLarge { size, max });
        }
        let Role::Leader(lead) = &self.role else {
            return Err(Rejection::NotLeader { hint: self.leader_hint() });
        };
        if let Some(reason) = self.transferring() {
            return Err(reason);
        }
        let open = lead.next.0 - lead.settled.offset().0;
        let full = lead.unsettled_bytes + size > self.options.unsettled_bytes_max
            || open >= self.options.open_positions_max / 2;
        if full { Err(Rejection::Busy) } else { Ok(()) }
    }

    /// The floor of the next command: not above the first position that the leader does not know
    /// settled, nor above what runs here. Whoever applies a record must have passed everything
    /// below its floor, so a higher one would make all wait for a command that takes long; a lower
    /// one is as true, and only makes sets wider. It began at the greatest floor in the log and
    /// never falls (I-11).
    fn floor(&self, lead: &Leadership) -> Lsn {
        let settled = lead.settled.offset();
        let passed = self.schedule.passed().offset();
        let least = Lsn(settled.0.saturating_sub(HELD_UP_POSITIONS_MAX));
        let known = mutant!(FloorAboveAHole, settled.min(passed.max(least)), lead.settled.end());
        known.max(lead.floor)
    }

    /// Authors the record of `payload` at the next position.
    pub(super) fn place(&mut self, payload: Payload) -> Lsn {
        let Role::Leader(lead) = &self.role else { unreachable!("only a leader places") };
        let floor = self.floor(lead);
        let Role::Leader(lead) = &mut self.role else { unreachable!("only a leader places") };
        let (lsn, author) = (lead.next, lead.id);
        lead.next = lsn.next();
        lead.stirred = true;
        let (floor, Placement { depends, overrides }) = match &payload {
            Payload::Command(command) => {
                lead.floor = floor;
                let log = |lsn| self.log.get(lsn);
                let overriding = self.options.overriding;
                (floor, lead.index.place(&command.footprint, floor, overriding, log))
            }
            Payload::Void | Payload::Membership(_) => (Lsn::ZERO, Placement::default()),
        };
        let brief = self.log.put(Record { lsn, author, floor, depends, overrides, payload });
        self.note_put(lsn, brief);
        let write = self.writes.newest();
        if let (Role::Leader(lead), Some(record)) = (&mut self.role, self.log.get(lsn)) {
            debug_assert!(record.is_well_formed(), "I-2 ill-formed {record}");
            lead.index.insert(record, |lsn| self.log.get(lsn));
            lead.unsettled_bytes += brief.size as usize;
            match lead.own.back_mut() {
                Some((number, _, to)) if *number == write && *to == lsn => *to = lsn.next(),
                _ => lead.own.push_back((write, lsn, lsn.next())),
            }
        }
        lsn
    }

    /// This replica leads since now.
    pub(super) fn expect_forwards(&mut self, leader: LeaderId) {
        self.proposals.received.begin(leader);
    }

    /// Places a command for a client of another replica, which answers when it sees it settled. A
    /// further copy gets the answer of the first: placed again it would take effect twice, and
    /// called rejected it would be asked for again.
    pub(super) fn on_forward(&mut self, from: ReplicaId, message: Forward) {
        let Forward { leader, ticket, command } = message;
        let outcome = match self.proposals.received.known(from, leader, ticket) {
            Known::Nothing => return,
            Known::Answered(outcome) if mutant!(ForwardsPlacedTwice, true, false) => outcome,
            Known::New | Known::Answered(_) => match self.admit(&command) {
                Ok(()) => {
                    let lsn = self.place(Payload::Command(command));
                    self.owe(from, lsn);
                    ForwardOutcome::Placed(leader, lsn)
                }
                Err(_) => ForwardOutcome::Rejected,
            },
        };
        self.proposals.received.answered(from, ticket, outcome);
        let reply = ForwardReply { ticket, outcome };
        self.send(from, Message::ForwardReply(reply));
    }

    /// Where everybody hears, whoever passed it on concludes by itself that it is settled.
    fn owe(&mut self, to: ReplicaId, lsn: Lsn) {
        if let Role::Leader(lead) = &mut self.role
            && !self.options.acknowledge_to_all
        {
            lead.owe(to, lsn);
        }
    }

    pub(super) fn on_forward_reply(&mut self, message: ForwardReply) {
        let Ticket { life, number: proposal } = message.ticket;
        if life != self.life || self.proposals.forwarded.remove(&proposal).is_none() {
            return;
        }
        match message.outcome {
            ForwardOutcome::Rejected => {
                let reason = Rejection::NotLeader { hint: self.leader_hint() };
                self.outputs.push(Output::Rejected { proposal, reason });
            }
            ForwardOutcome::Placed(author, lsn) => self.await_placed(proposal, author, lsn),
        }
    }

    /// The answer may come after the record: a blind one that is settled is answered at once; the
    /// result of one that has been executed is gone.
    fn await_placed(&mut self, proposal: u64, author: LeaderId, lsn: Lsn) {
        let held = self.log.get(lsn).filter(|record| record.author == author);
        let blind = held.is_some_and(|record| record.is_blind());
        if blind && self.settled.contains(lsn) {
            self.outputs.push(Output::Settled { proposal });
        } else if self.schedule.started(lsn) {
            self.outputs.push(Output::Unknown { proposal });
        } else {
            self.proposals.placed.insert(lsn, (author, proposal));
        }
    }

    /// A forward that was lost may have been placed all the same.
    pub(super) fn tick_proposals(&mut self) {
        let patience = self.options.election_ticks + self.options.resend_ticks;
        if self.now > patience && !self.proposals.forwarded.is_empty() {
            let lost = self.proposals.take_forwarded(self.now - patience);
            self.outputs.extend(lost.into_iter().map(|proposal| Output::Unknown { proposal }));
        }
    }

    /// This replica leads no more: whether its open proposals survive is for others to decide.
    pub(super) fn abandon_proposals(&mut self, author: LeaderId) {
        let open = self.proposals.close(author, &self.settled);
        let end = |proposal| {
            mutant!(
                UnknownIsRejected,
                Output::Unknown { proposal },
                super::wrong::rejected(proposal)
            )
        };
        self.outputs.extend(open.into_iter().map(end));
    }

    /// Who leads, as far as this replica knows.
    pub(super) fn leader_hint(&self) -> Option<ReplicaId> {
        match &self.role {
            Role::Leader(lead) => Some(lead.id.node),
            // Its own id it followed when it led: it does not any more, and names nobody.
            Role::Follower { leader } if *leader == self.lineage.leader() => {
                let somebody = *leader != LeaderId::NOBODY && leader.node != self.options.id;
                somebody.then_some(leader.node)
            }
            _ => None,
        }
    }
}

impl From<(u64, Command)> for Input {
    fn from((proposal, command): (u64, Command)) -> Input {
        Input::Propose { proposal, command }
    }
}
