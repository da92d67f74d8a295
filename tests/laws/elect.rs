//! Elections: part 2AA.

use crate::network::*;
use std::collections::BTreeSet;
use traft::base::*;
use traft::message::*;
use traft::replica::{Durable, Input, RoleName};

#[test]
fn law_leader_election_2aa() {
    let table = [(3, 0, true), (3, 1, true), (3, 2, false), (4, 2, false), (5, 2, true)];
    for (n, dead, elected) in table {
        let mut network = Network::new(n);
        (2..2 + dead).for_each(|id| network.isolate(id));
        network.hup(1);
        assert_eq!(network.leads(1), elected, "{n} replicas, {dead} dead");
    }
}

#[test]
fn law_leader_cycle_2aa() {
    let mut network = Network::new(3);
    for id in 1..=3 {
        network.hup(id);
        let leaders: Vec<u64> = (1..=3).filter(|other| network.leads(*other)).collect();
        assert_eq!(leaders, [id]);
    }
}

#[test]
fn law_single_node_candidate_2aa() {
    let mut network = Network::new(1);
    network.campaign(1);
    assert!(network.leads(1));
}

/// Every role: a greater leader id is granted, though the candidate holds nothing.
#[test]
fn law_vote_from_any_state_2aa() {
    use RoleName::{Candidate, Follower, Leader, PreCandidate};
    for role in [Follower, PreCandidate, Candidate, Leader] {
        let mut network = in_role(role);
        let greater = LeaderId::new(9, 2);
        let sent = network.step(2, 1, vote(greater));
        let granted = |e: &Envelope| match &e.message {
            Message::VoteReply(m) => m.voted == greater && m.grant.is_some(),
            _ => false,
        };
        assert!(sent.iter().any(granted), "{role:?}");
        assert_eq!(network.replica(1).voted(), greater);
        assert_eq!(network.role(1), Follower);
    }
}

/// Replica 1 of three in a role; the others have heard of nothing.
pub(crate) fn in_role(role: RoleName) -> Network {
    let mut network = Network::new(3);
    network.ignore(|message| match message {
        Message::VoteReply(_) => true,
        other => matches!(other, Message::Replicate(_)),
    });
    match role {
        RoleName::Follower => {}
        RoleName::PreCandidate => network.input(1, Input::Campaign),
        RoleName::Candidate => network.campaign(1),
        RoleName::Leader => {
            network.recover();
            network.campaign(1);
        }
    }
    network.mail.clear();
    network.recover();
    assert_eq!(network.role(1), role);
    network
}

#[test]
fn law_candidate_reset_term_message_type_msg_heartbeat_2aa() {
    reset_by(|_| {});
}

#[test]
fn law_candidate_reset_term_message_type_msg_append_2aa() {
    reset_by(|network| {
        network.write(1, "a");
    });
}

/// A replica that was cut off and asks for votes follows the leader again when it hears it.
fn reset_by(news: impl Fn(&mut Network)) {
    let mut network = Network::new(3);
    network.campaign(1);
    assert!(network.leads(1));
    network.isolate(3);
    network.tick(3, 2 * ELECTION);
    assert_ne!(network.role(3), RoleName::Follower);
    network.recover();
    news(&mut network);
    network.pass(HEARTBEAT);
    assert_eq!(network.replica(3).role(), (RoleName::Follower, network.replica(1).role().1));
    assert_eq!(network.replica(3).voted(), network.replica(1).voted());
    assert_eq!(network.log(3), network.log(1));
}

#[test]
fn law_campaign_while_leader_2aa() {
    let mut network = Network::new(3);
    network.campaign(1);
    let before = network.replica(1).role();
    assert_eq!(before.0, RoleName::Leader);
    network.campaign(1);
    assert_eq!(network.replica(1).role(), before);
}

#[test]
fn law_start_as_follower_2aa() {
    let network = Network::new(3);
    assert_eq!(network.replica(1).role(), (RoleName::Follower, LeaderId::NOBODY));
}

/// On its timeout a follower takes the next term, promises itself and asks all; before that it asks
/// whether it would be granted, which changes nothing.
#[test]
fn law_follower_start_election_2aa() {
    let mut network = Network::new(3);
    start_election(&mut network, LeaderId::new(1, 1));
}

/// The same for a candidate that nobody has answered.
#[test]
fn law_candidate_start_new_election_2aa() {
    let mut network = in_role(RoleName::Candidate);
    start_election(&mut network, LeaderId::new(2, 1));
}

fn start_election(network: &mut Network, id: LeaderId) {
    let asked = network.tick(1, 2 * ELECTION);
    let asks = |e: &&Envelope| matches!(&e.message, Message::PreVote(m) if m.candidate == id);
    let voters: BTreeSet<ReplicaId> = asked.iter().filter(asks).map(|e| e.to).collect();
    assert_eq!(voters, BTreeSet::from([ReplicaId(2), ReplicaId(3)]));
    let reply = pre_vote_reply(id);
    let sent = network.step(2, 1, Message::PreVoteReply(reply));
    let campaigns = |e: &&Envelope| matches!(&e.message, Message::Vote(m) if m.candidate == id);
    let asked: BTreeSet<ReplicaId> = sent.iter().filter(campaigns).map(|e| e.to).collect();
    assert_eq!(asked, voters);
    assert_eq!(network.replica(1).role(), (RoleName::Candidate, id));
    assert_eq!(network.peer(1).durable.voted, id);
}

/// Won, lost or undecided, as the quorum system says.
#[test]
fn law_leader_election_in_one_round_rpc_2aa() {
    use RoleName::{Candidate, Follower, Leader};
    let table: [(u64, &[bool], RoleName); 13] = [
        (1, &[], Leader),
        (3, &[true, true], Leader),
        (3, &[true], Leader),
        (5, &[true, true, true, true], Leader),
        (5, &[true, true, true], Leader),
        (5, &[true, true], Leader),
        (3, &[false, false], Follower),
        (5, &[false, false, false, false], Follower),
        (5, &[true, false, false, false], Follower),
        (3, &[], Candidate),
        (5, &[true], Candidate),
        (5, &[false, false], Candidate),
        (5, &[], Candidate),
    ];
    for (n, votes, outcome) in table {
        let mut network = Network::new(n);
        network.ignore(|message| matches!(message, Message::Vote(_)));
        network.campaign(1);
        let id = network.replica(1).voted();
        for (voter, granted) in (2..).zip(votes) {
            let voted = if *granted { id } else { LeaderId::new(1, 9) };
            let grant = granted.then(|| empty_grant(n));
            let reply = VoteReply { candidate: id, voted, grant: grant.map(Box::new) };
            network.step(voter, 1, Message::VoteReply(reply));
        }
        assert_eq!(network.role(1), outcome, "{n} replicas, votes {votes:?}");
    }
}

/// What a voter that holds nothing answers.
pub(crate) fn empty_grant(n: u64) -> Grant {
    let memberships = Memberships {
        committed_at: None,
        committed: Membership::majority((1..=n).map(ReplicaId)),
        pending: Vec::new(),
    };
    Grant {
        lineage: Lineage::default(),
        accepted: TailBitmap::new(),
        purged: Lsn::ZERO,
        memberships,
        records: Records::new(),
    }
}

/// Replica 1 of `n` has asked for votes, under the id that comes last; all have followed the leader
/// that comes second, which is dead. Only what a test says is heard from now on.
fn campaigning(n: u64) -> (Network, LeaderId, LeaderId) {
    let dead = LeaderId::new(1, n.min(4));
    let holds = Durable { voted: dead, lineage: Lineage::new(dead), ..Durable::default() };
    let mut network = Network::with(n, |_| holds.clone());
    network.ignore(|message| !matches!(message, Message::PreVote(_) | Message::PreVoteReply(_)));
    network.campaign(1);
    let candidate = network.replica(1).voted();
    (network, dead, candidate)
}

/// Of a chain of updates of one key the first is missing: all others fall, in one go. One pass over
/// the log for each link would take minutes.
#[test]
fn a_long_chain_falls_at_once() {
    let (mut network, dead, candidate) = campaigning(3);
    let length = 50_000;
    let link = |lsn| {
        let mut link = Record::clone(&record(lsn, dead, "x"));
        link.depends.insert(Lsn(lsn - 1));
        link
    };
    let mut grant = Grant { lineage: Lineage::new(dead), ..empty_grant(3) };
    grant.records = (1..length).map(link).collect();
    grant.accepted.insert_range(Lsn(1), Lsn(length));
    let reply = VoteReply { candidate, voted: candidate, grant: Some(Box::new(grant)) };
    network.step(2, 1, Message::VoteReply(reply));
    assert!(network.leads(1));
    let (next, empties, _) = network.replica(1).leading().expect("it leads");
    assert_eq!((next, empties.is_empty()), (Lsn(0), true), "nothing survived");
    assert!(network.replica(1).accepted().is_empty());
}

/// Electing 2: an answer with a part of what was fetched asks for the rest, of whoever sent it and
/// of nobody else, and the last one elects.
#[test]
fn a_part_of_a_fetch_asks_for_the_rest() {
    let (mut network, dead, candidate) = campaigning(5);
    let range = |from, to| (from..to).map(Lsn).collect::<Tail>();
    let fetches = |sent: Vec<Envelope>| -> Vec<(u64, Tail)> {
        let fetch = |envelope: Envelope| match envelope.message {
            Message::Fetch(fetch) => Some((envelope.to.0, fetch.positions)),
            _ => None,
        };
        sent.into_iter().filter_map(fetch).collect()
    };
    let mut sent = Vec::new();
    for (voter, from, to) in [(2, 0, 10), (3, 10, 20)] {
        let mut grant = Grant { lineage: Lineage::new(dead), ..empty_grant(5) };
        grant.accepted.insert_all(&range(from, to));
        let reply = VoteReply { candidate, voted: candidate, grant: Some(Box::new(grant)) };
        sent.extend(network.step(voter, 1, Message::VoteReply(reply)));
    }
    assert_eq!(fetches(sent), [(2, range(0, 10)), (3, range(10, 20))]);
    let mut bring = |voter, from, to| {
        let records = (from..to).map(|lsn| record(lsn, dead, "x")).collect();
        fetches(network.step(voter, 1, Message::FetchReply(FetchReply { candidate, records })))
    };
    assert_eq!(bring(2, 0, 4), [(2, range(4, 10))]);
    assert_eq!(bring(3, 10, 17), [(3, range(17, 20))]);
    assert_eq!(bring(2, 4, 10), [], "the other one is asked already");
    assert_eq!(bring(3, 17, 20), []);
    assert!(network.leads(1));
    assert_eq!(network.replica(1).accepted(), &TailBitmap::below(Lsn(20)));
}

/// Electing 2: a candidate that records come to, a part in each half of an election timeout, goes
/// on until it leads. It does not start over after the usual time, and has to ask for all again.
#[test]
fn a_candidate_that_is_brought_records_goes_on() {
    let (mut network, dead, candidate) = campaigning(3);
    let mut grant = Grant { lineage: Lineage::new(dead), ..empty_grant(3) };
    grant.accepted.insert_range(Lsn(0), Lsn(20));
    let reply = VoteReply { candidate, voted: candidate, grant: Some(Box::new(grant)) };
    network.step(2, 1, Message::VoteReply(reply));
    let half = options(1, 3).election_ticks / 2;
    for lsn in 0..20 {
        assert_eq!(network.role(1), RoleName::Candidate);
        network.tick(1, half);
        assert_eq!(network.replica(1).voted(), candidate, "after {lsn} records it started over");
        let records = [record(lsn, dead, "x")].into_iter().collect();
        network.step(2, 1, Message::FetchReply(FetchReply { candidate, records }));
    }
    assert!(network.leads(1));
}

#[test]
fn law_follower_election_timeout_randomized_2aa() {
    randomized(RoleName::Follower);
}

#[test]
fn law_candidate_election_timeout_randomized_2aa() {
    randomized(RoleName::Candidate);
}

/// The timeouts of a replica differ from one to the next, and each is an election timeout plus a
/// part of up to as much again.
fn randomized(role: RoleName) {
    let mut timeouts = BTreeSet::new();
    let mut network = in_role(role);
    for _ in 0..50 * ELECTION {
        let mut ticks = 0;
        loop {
            ticks += 1;
            let sent = network.tick(1, 1);
            if sent.iter().any(|e| matches!(e.message, Message::PreVote(_))) {
                break;
            }
        }
        timeouts.insert(ticks);
    }
    assert_eq!(timeouts, (ELECTION..2 * ELECTION).collect());
}
