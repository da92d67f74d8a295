//! What a replica has done, in the words of the specifications: for whoever checks its steps
//! against them (`check::refine`), in a simulation or from what a cluster has recorded.

use super::{Durable, Input, Output, Write};
use crate::base::{LeaderId, Lineage, Lsn, Membership, ReplicaId, TailBitmap};
use crate::message::{Envelope, Grant, Message};

/// One step of a replica. A driver says what it does in the order in which it does it: a
/// [`Step::Writes`] before anything of the same drain is sent, a [`Step::Stores`] before the
/// replica hears that it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A life begins with this.
    Starts(Box<Durable>),
    /// It asks for a write.
    Writes(Box<Write>),
    /// Every write up to this number is durable.
    Stores(u64),
    /// Its durable snapshot has done everything below, and it may drop the records.
    Purges(Lsn),
    /// It gives these out for execution, in this order.
    Applies(Vec<Lsn>),
    /// Its state is that of a snapshot that has done these.
    Restores(TailBitmap),
    /// It asks for votes.
    Campaigns(LeaderId),
    /// It grants its vote.
    Grants {
        /// To whom.
        candidate: LeaderId,
        /// Whose lineage it took last.
        committer: LeaderId,
        /// What it says that it holds under it.
        accepted: TailBitmap,
        /// What it has dropped.
        purged: Lsn,
    },
    /// A grant has come.
    Hears {
        /// Of whom.
        from: ReplicaId,
        /// In which life of that one.
        incarnation: u64,
        /// To which candidate.
        candidate: LeaderId,
        /// What that one has dropped.
        purged: Lsn,
        /// The newest membership that it knows committed; `None`: that of the beginning.
        known: Option<(Lsn, Membership)>,
    },
    /// As a follower it says what it has accepted.
    Accepts {
        /// Under whom.
        leader: LeaderId,
        /// All of it.
        accepted: TailBitmap,
    },
    /// As a leader it says something to a follower.
    Leads {
        /// The leader id.
        leader: LeaderId,
        /// The authors of its log, if it says so.
        lineage: Option<Lineage>,
        /// The positions and authors of the records that it sends.
        records: Vec<(Lsn, LeaderId)>,
        /// What it says is settled.
        settled: TailBitmap,
    },
}

impl Step {
    /// What it means that this comes to a replica, if the specifications know of it.
    pub fn of_input(input: &Input) -> Option<Step> {
        match input {
            Input::Persisted(number) => Some(Step::Stores(*number)),
            Input::Written(write) => Some(Step::Stores(write.number)),
            Input::Purge(below) => Some(Step::Purges(*below)),
            Input::Receive(envelope) => Step::heard(envelope),
            _ => None,
        }
    }

    /// What it means that a replica wants this, if the specifications know of it.
    pub fn of_output(output: &Output) -> Option<Step> {
        match output {
            Output::Persist(write) => Some(Step::Writes(write.clone())),
            Output::Apply(tasks) => Some(Step::Applies(tasks.iter().map(|t| t.lsn).collect())),
            Output::Restore(meta) => Some(Step::Restores(meta.done.clone())),
            Output::Send(envelope) => Step::said(&envelope.message),
            _ => None,
        }
    }

    /// What a drain means: its writes first, since what is sent may speak of them.
    pub fn of_drain(outputs: &[Output]) -> impl Iterator<Item = Step> + '_ {
        let is_write = |output: &&Output| matches!(output, Output::Persist(_));
        let writes = outputs.iter().filter(is_write);
        let others = outputs.iter().filter(move |output| !is_write(output));
        writes.chain(others).filter_map(Step::of_output)
    }

    fn heard(envelope: &Envelope) -> Option<Step> {
        let Message::VoteReply(reply) = &envelope.message else { return None };
        let Grant { purged, memberships, .. } = reply.grant.as_deref()?;
        Some(Step::Hears {
            from: envelope.from,
            incarnation: envelope.incarnation,
            candidate: reply.candidate,
            purged: *purged,
            known: memberships.committed_at.map(|at| (at, memberships.committed.clone())),
        })
    }

    fn said(message: &Message) -> Option<Step> {
        match message {
            Message::Vote(vote) => Some(Step::Campaigns(vote.candidate)),
            Message::VoteReply(reply) => {
                let Grant { lineage, accepted, purged, .. } = reply.grant.as_deref()?;
                Some(Step::Grants {
                    candidate: reply.candidate,
                    committer: lineage.leader(),
                    accepted: accepted.clone(),
                    purged: *purged,
                })
            }
            Message::ReplicateReply(reply) => {
                let (leader, accepted) = (reply.leader, reply.accepted.clone());
                Some(Step::Accepts { leader, accepted })
            }
            Message::Replicate(said) => Some(Step::Leads {
                leader: said.leader,
                lineage: said.lineage.as_deref().cloned(),
                records: said.records.iter().map(|record| (record.lsn, record.author)).collect(),
                settled: said.settled.clone(),
            }),
            _ => None,
        }
    }
}
