//! Logs and who has them: part 2AB.

use crate::network::*;
use traft::base::*;
use traft::message::*;
use traft::replica::{Durable, Input};

/// Restated: records that no quorum had may be replaced though their leader id is greater; those
/// that were committed never are.
#[test]
fn law_leader_election_overwrite_newer_logs_2ab() {
    let mut network = Network::new(5);
    network.hup(3);
    network.isolate(3);
    network.write(3, "lost");
    assert_eq!(network.log(3).len(), 1);
    network.hup(1);
    assert!(network.leads(1));
    let proposal = network.write(1, "kept");
    assert!(network.answered.contains(&proposal));
    network.recover();
    network.pass(10);
    for id in 1..=5 {
        assert_eq!(network.log(id), network.log(1), "n{id}");
        assert_eq!(network.settled(id), 1);
    }
    network.hup(3);
    assert!(network.leads(3));
    assert_eq!(network.log(3), network.log(2), "the committed one is in every later log");
    assert_eq!(network.peer(3).applied.len(), 1);
}

#[test]
fn law_log_replication_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    network.write(1, "a");
    all_have(&mut network, 1);
    network.hup(2);
    assert!(network.leads(2));
    network.write(2, "b");
    all_have(&mut network, 2);
}

fn all_have(network: &mut Network, count: u64) {
    network.pass(HEARTBEAT);
    for id in 1..=3 {
        assert_eq!(network.settled(id), count, "n{id}");
        assert_eq!(network.log(id).len() as u64, count);
        assert_eq!(network.peer(id).applied.len() as u64, count);
    }
}

/// A leader below the promise is refused, always.
#[test]
fn law_old_messages_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    network.hup(2);
    network.hup(1);
    assert!(network.leads(1));
    let old = LeaderId::new(1, 2);
    assert!(old < network.replica(1).voted());
    let sent = network.step(2, 1, hello(Lineage::new(old), vec![record(0, old, "old")]));
    assert!(sent.iter().any(|e| matches!(&e.message, Message::Refuse(m) if m.leader == old)));
    let sent = network.step(2, 3, hello(Lineage::new(old), vec![record(0, old, "old")]));
    assert!(sent.iter().any(|e| matches!(&e.message, Message::Refuse(m) if m.leader == old)));
    network.write(1, "new");
    network.pass(HEARTBEAT);
    for id in 1..=3 {
        assert_eq!(network.log(id), network.log(1), "n{id}");
        assert_eq!(network.settled(id), 1);
    }
    assert!(network.log(1)[0].contains("new"));
}

/// Restated: the leader keeps the record and sends it to all at once; the message names no record
/// before it, because none has to be there.
#[test]
fn law_leader_start_replication_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    network.propose(1, "a");
    assert_eq!(network.log(1).len(), 1);
    assert_eq!(network.settled(1), 0);
    for to in [2, 3] {
        let carries = |e: &&Envelope| {
            let carried = matches!(&e.message, Message::Replicate(m)
                if m.records.iter().map(|r| r.lsn).eq([Lsn(0)]) && m.settled.is_empty());
            e.to == ReplicaId(to) && carried
        };
        assert_eq!(network.mail.iter().filter(carries).count(), 1, "to n{to}");
    }
    assert!(network.peer(1).durable.records.iter().any(|record| record.lsn == Lsn(0)));
}

/// A log as in figure 7 of the Raft paper: the term of each entry.
fn figure_7(terms: &[u64]) -> Durable {
    let last = terms.last().copied().unwrap_or_default();
    let author = |term| LeaderId::new(term, 9);
    let mut lineage = Lineage::new(author(last));
    let mut records = Vec::new();
    for (lsn, term) in (0..).zip(terms) {
        lineage.push(author(*term), Lsn(lsn + 1));
        records.push(record(lsn, author(*term), &format!("k{lsn}")));
    }
    Durable { voted: LeaderId::new(8, 9), lineage, records: records.into(), ..Durable::default() }
}

/// Restated: in figure 7 each follower ends with the set of records of the leader, whichever of
/// its own were missing or foreign.
#[test]
fn law_leader_sync_follower_log_2ab() {
    let ours = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let table: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for theirs in table {
        let mut network = Network::with(3, |id| figure_7(if id == 2 { theirs } else { &ours }));
        network.isolate(2);
        network.hup(1);
        assert!(network.leads(1));
        network.recover();
        network.write(1, "new");
        network.pass(12);
        assert_eq!(network.log(1).len(), ours.len() + 1);
        assert_eq!(network.log(2), network.log(1), "from {theirs:?}");
        assert_eq!(network.settled(2), ours.len() as u64 + 1);
    }
}

/// Restated: instead of the last index and term, a candidate sends the lineage it took last and
/// what it holds under it.
#[test]
fn law_vote_request_2ab() {
    for terms in [&[1][..], &[1, 2, 2], &[1, 1, 4, 4, 6]] {
        let mut network = Network::with(3, |_| figure_7(terms));
        network.quiet();
        network.input(1, Input::Campaign);
        let reply = pre_vote_reply(network.replica(1).role().1);
        let sent = network.step(2, 1, Message::PreVoteReply(reply));
        let (lineage, accepted) =
            (figure_7(terms).lineage, TailBitmap::below(Lsn(terms.len() as u64)));
        for to in [2, 3] {
            let asks = |e: &Envelope| {
                let same = matches!(&e.message, Message::Vote(m)
                    if m.candidate == network.replica(1).voted()
                        && m.lineage == lineage && m.accepted == accepted);
                e.to == ReplicaId(to) && same
            };
            assert!(sent.iter().any(asks), "to n{to}");
        }
    }
}

/// Restated: a voter does not refuse a log that is behind its own, it grants and sends along what
/// the candidate lacks; so who is behind can lead, and nothing that was committed is lost.
#[test]
fn law_voter_2ab() {
    let table: [(&[u64], &[u64]); 6] = [
        (&[1], &[1]),
        (&[1], &[1, 1]),
        (&[1, 1], &[1]),
        (&[1], &[1, 2]),
        (&[1, 2], &[1]),
        (&[], &[1, 1, 2]),
    ];
    for (mine, voters) in table {
        let mut network = Network::with(3, |id| figure_7(if id == 1 { mine } else { voters }));
        let vote = Vote {
            candidate: LeaderId::new(9, 1),
            lineage: figure_7(mine).lineage,
            accepted: TailBitmap::below(Lsn(mine.len() as u64)),
            hands_over: None,
        };
        let sent = network.step(1, 2, Message::Vote(vote));
        let lacking = voters.len().saturating_sub(mine.len());
        let grants = |e: &Envelope| match &e.message {
            Message::VoteReply(VoteReply { grant: Some(grant), .. }) => {
                grant.records.len() == lacking && grant.accepted.len() == voters.len() as u64
            }
            _ => false,
        };
        assert!(sent.iter().any(grants), "{mine:?} asks {voters:?}");
        network.hup(1);
        assert!(network.leads(1));
        assert!(network.log(1).len() >= voters.len(), "{mine:?} asked {voters:?}");
    }
}
