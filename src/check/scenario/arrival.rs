//! A message that has come to a replica, in a few words.

use crate::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use crate::message::{Envelope, Message};
use std::fmt;

/// A message that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub from: ReplicaId,
    /// To whom it came.
    pub to: ReplicaId,
    /// What it says.
    pub what: String,
    /// The last of the records in it.
    pub newest: Option<Lsn>,
    /// Whether it tells a leader what the sender has accepted.
    pub is_report: bool,
    /// For whom it asks for a vote.
    pub asks: Option<LeaderId>,
}

impl Arrival {
    pub(crate) fn of(envelope: &Envelope) -> Arrival {
        let newest = match &envelope.message {
            Message::Replicate(m) => m.records.iter().map(|record| record.lsn).max(),
            _ => None,
        };
        let what = what(&envelope.message);
        let is_report = matches!(envelope.message, Message::ReplicateReply(_));
        let asks = match &envelope.message {
            Message::Vote(m) => Some(m.candidate),
            _ => None,
        };
        Arrival { from: envelope.from, to: envelope.to, what, newest, is_report, asks }
    }

    /// A follower says what it has accepted.
    #[cfg(feature = "compare")]
    pub(crate) fn report(
        from: ReplicaId,
        to: ReplicaId,
        leader: LeaderId,
        accepted: &TailBitmap,
    ) -> Arrival {
        let what = accepts(accepted, leader);
        Arrival { from, to, what, newest: None, is_report: true, asks: None }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.from, self.to, self.what)
    }
}

fn what(message: &Message) -> String {
    match message {
        Message::PreVote(m) => format!("would you vote for {}?", m.candidate),
        Message::PreVoteReply(m) if m.granted => format!("would vote for {}", m.candidate),
        Message::PreVoteReply(m) => format!("would not vote for {}", m.candidate),
        Message::Vote(m) => format!("vote for {}!", m.candidate),
        Message::VoteReply(m) if m.grant.is_some() => format!("votes for {}", m.candidate),
        Message::VoteReply(m) => format!("has promised {}, no vote for {}", m.voted, m.candidate),
        Message::Fetch(_) => "asks for records".into(),
        Message::FetchReply(_) => "gives records".into(),
        Message::Replicate(m) => {
            let records: Vec<String> = m.records.iter().map(|r| r.lsn.to_string()).collect();
            let lineage = if m.lineage.is_some() { " lineage" } else { "" };
            let of = format!("of {}:{lineage} {}", m.leader, records.join(" "));
            format!("{}; settled {}", of.trim_end(), short(&m.settled))
        }
        Message::ReplicateReply(m) => accepts(&m.accepted, m.leader),
        Message::Refuse(m) => format!("refuses {}", m.leader),
        Message::Forward(_) => "passes a command on".into(),
        Message::ForwardReply(_) => "answers what was passed on".into(),
        Message::SnapshotRequest(_) => "asks for a snapshot".into(),
        Message::TakeOver(_) => "take over!".into(),
        Message::ReadRequest(_) => "asks for a read point".into(),
        Message::ReadPoint(_) => "gives a read point".into(),
        Message::Anew(_) => "has lost something".into(),
    }
}

fn accepts(accepted: &TailBitmap, leader: LeaderId) -> String {
    format!("has accepted {} under {leader}", short(accepted))
}

/// `{..118 120-131 133}`: runs of three and more by their ends.
fn short(set: &TailBitmap) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for lsn in set.tail().iter() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == lsn.0 => *last = lsn.0,
            _ => runs.push((lsn.0, lsn.0)),
        }
    }
    let prefix = (set.offset() > Lsn::ZERO).then(|| format!("..{}", set.offset()));
    let run = |(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first} {last}"),
        _ => format!("{first}-{last}"),
    };
    let words: Vec<String> = prefix.into_iter().chain(runs.iter().map(run)).collect();
    format!("{{{}}}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_by_their_runs() {
        let set = |lsns: &[u64]| lsns.iter().map(|lsn| Lsn(*lsn)).collect::<TailBitmap>();
        assert_eq!(short(&set(&[])), "{}");
        assert_eq!(short(&set(&[0, 1, 3, 5, 6, 8, 9, 10])), "{..2 3 5 6 8-10}");
    }
}
