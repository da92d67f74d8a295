//! A path through the states, as a person reads it.

use super::node::{Event, Parcel};
use super::{Model, Space as _, State, replica};
use crate::base::Records;
use crate::check::search::Wrong;
use crate::message::{Message, VoteReply};
use std::fmt::Write as _;

impl Model {
    /// What happens, step by step, until something does not hold: who does what, why, and what it
    /// sends.
    pub fn story(&self, wrong: &Wrong) -> String {
        let mut state = self.first().1;
        let mut text = String::new();
        for (nth, wanted) in wrong.path.iter().enumerate() {
            let Some((line, next)) = self.told(&state, *wanted) else { break };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:>4}  {line}", nth + 1);
            state = next;
        }
        let _ = writeln!(text, "      {}", wrong.what);
        text
    }

    /// The step of this number in words, and the state after it.
    fn told(&self, state: &State, wanted: u32) -> Option<(String, State)> {
        let (mut nth, mut found) = (0, None);
        self.each_event(state, &mut |at, event, change| {
            if nth == wanted {
                let mut line = format!("{} {}", replica(at), words(&event()));
                for parcel in &change.sends {
                    let parcel = self.parcels.known(*parcel);
                    let _ = write!(line, "\n          to {}: {}", parcel.to(), content(&parcel));
                }
                found = Some((line, change.state(state)));
            }
            nth += 1;
        });
        found
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Campaign => "campaigns".into(),
        Event::Propose(nth) => format!("is asked for command {nth}"),
        Event::Change => "is asked for the change of membership".into(),
        Event::Persist => "has its oldest write on the disk".into(),
        Event::Crash(kept) => format!("starts again with {kept} of the writes that were out"),
        Event::Snapshot => "takes a snapshot and purges".into(),
        Event::Deliver(Parcel::Message(envelope)) => {
            format!("hears {}: {}", envelope.from, said(&envelope.message))
        }
        Event::Deliver(parcel) => format!("gets {}", content(parcel)),
    }
}

fn content(parcel: &Parcel) -> String {
    match parcel {
        Parcel::Message(envelope) => said(&envelope.message),
        Parcel::Snapshot(_, snapshot) => {
            format!("a snapshot that has done {}", snapshot.meta.done)
        }
    }
}

/// A message in a few words.
fn said(message: &Message) -> String {
    match message {
        Message::Vote(m) => format!("vote for {}", m.candidate),
        Message::VoteReply(VoteReply { candidate, grant: Some(grant), .. }) => {
            let (lineage, accepted) = (&grant.lineage, &grant.accepted);
            format!("granted to {candidate}: has {accepted} of {}", lineage.leader())
        }
        Message::VoteReply(m) => format!("refused to {}, promised {}", m.candidate, m.voted),
        Message::Replicate(m) => {
            let lineage = m.lineage.as_ref().map_or(String::new(), |l| format!(" lineage {l}"));
            let settled = &m.settled;
            format!("{}{lineage}{} settled {settled}", m.leader, records(&m.records))
        }
        Message::ReplicateReply(m) => format!("{}: has {}", m.leader, m.accepted),
        Message::Refuse(m) => format!("{} is refused, promised {}", m.leader, m.voted),
        Message::Fetch(m) => format!("{} asks for {}", m.candidate, m.positions),
        Message::FetchReply(m) => format!("for {}:{}", m.candidate, records(&m.records)),
        Message::TakeOver(m) => format!("{} hands over", m.leader),
        other => format!("{other:?}"),
    }
}

fn records(records: &Records) -> String {
    records.iter().map(|record| format!(" {record}")).collect()
}
