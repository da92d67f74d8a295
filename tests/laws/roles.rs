//! Who gives way to whom, and heartbeats: parts 2AA and 2AB.

use crate::elect::in_role;
use crate::network::*;
use traft::base::*;
use traft::message::*;
use traft::replica::{Durable, Input, RoleName};

#[test]
fn law_follower_update_term_from_message_2aa() {
    updates_term(RoleName::Follower);
}

#[test]
fn law_candidate_update_term_from_message_2aa() {
    updates_term(RoleName::Candidate);
}

#[test]
fn law_leader_update_term_from_message_2aa() {
    updates_term(RoleName::Leader);
}

/// A message of a greater leader: its id is promised and it is followed.
fn updates_term(role: RoleName) {
    let mut network = in_role(role);
    let greater = LeaderId::new(5, 2);
    network.step(2, 1, hello(Lineage::new(greater), Vec::new()));
    assert_eq!(network.replica(1).voted(), greater);
    assert_eq!(network.replica(1).role(), (RoleName::Follower, greater));
    assert_eq!(network.peer(1).durable.voted, greater);
}

#[test]
fn law_recv_message_type_msg_beat_2aa() {
    for role in [RoleName::Follower, RoleName::Candidate, RoleName::Leader] {
        let mut network = in_role(role);
        let sent = network.tick(1, HEARTBEAT);
        let beats = sent.iter().any(|e| matches!(e.message, Message::Replicate(_)));
        assert_eq!(beats, role == RoleName::Leader, "{role:?}");
    }
}

#[test]
fn law_leader_bcast_beat_2aa() {
    let mut network = in_role(RoleName::Leader);
    let sent = network.tick(1, HEARTBEAT);
    for to in [2, 3] {
        let beat = |e: &Envelope| {
            e.to == ReplicaId(to)
                && matches!(&e.message, Message::Replicate(m) if m.leader.term == 1)
        };
        assert!(sent.iter().any(beat), "to n{to}");
    }
}

/// Restated: not "of its term or a later one" but "of a leader id not below its own", for several
/// leader ids share a term.
#[test]
fn law_candidate_fallback_2aa() {
    for (leader, gives_way) in
        [(LeaderId::new(1, 2), true), (LeaderId::new(2, 2), true), (LeaderId::new(1, 0), false)]
    {
        let mut network = in_role(RoleName::Candidate);
        assert_eq!(network.replica(1).voted(), LeaderId::new(1, 1));
        network.step(leader.node.0, 1, hello(Lineage::new(leader), Vec::new()));
        let follows = network.replica(1).role() == (RoleName::Follower, leader);
        assert_eq!(follows, gives_way, "{leader}");
    }
}

/// Restated: the candidate yields to a leader whose id is not below its own; being cut off, it has
/// raised no promise, so it yields to any leader that a quorum has elected.
#[test]
fn law_candidate_concede_2ab() {
    let mut network = Network::new(3);
    network.isolate(1);
    network.hup(1);
    assert_eq!(network.role(1), RoleName::PreCandidate);
    network.hup(3);
    assert!(network.leads(3));
    network.recover();
    network.write(3, "a");
    network.pass(5);
    assert_eq!(network.replica(1).role(), (RoleName::Follower, network.replica(3).role().1));
    assert_eq!(network.log(1), network.log(3));
    assert_eq!(network.settled(1), 1);
}

/// Restated: of two candidates in one term the greater one wins inside the term, though its log is
/// stale; it leads with all that its voter holds.
#[test]
fn law_dueling_candidates_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    network.isolate(3);
    network.write(1, "a");
    assert_eq!(network.settled(1), 1);
    network.restart(1);
    network.recover();
    network.cut(2, 3);
    network.quiet();
    network.input(2, Input::Campaign);
    network.input(3, Input::Campaign);
    network.run();
    assert_eq!(network.replica(3).role(), (RoleName::Leader, LeaderId::new(1, 3)));
    assert_eq!(network.log(3), network.log(1));
    network.recover();
    network.pass(2 * ELECTION);
    assert_eq!((1..=3).filter(|id| network.leads(*id)).count(), 1);
    assert!((1..=3).all(|id| network.settled(id) == 1));
}

/// Any role gives way to a greater leader id, in a vote or from a leader.
#[test]
fn law_all_server_stepdown_2ab() {
    use RoleName::{Candidate, Follower, Leader, PreCandidate};
    let greater = LeaderId::new(3, 2);
    for role in [Follower, PreCandidate, Candidate, Leader] {
        for message in [vote(greater), hello(Lineage::new(greater), Vec::new())] {
            let mut network = in_role(role);
            network.step(2, 1, message);
            assert_eq!(network.replica(1).role(), (Follower, greater), "{role:?}");
            assert_eq!(network.replica(1).voted(), greater);
        }
    }
}

/// Restated: "has voted for another in this term" becomes "has promised a greater leader id"; what
/// the candidate's log holds makes no difference.
#[test]
fn law_recv_message_type_msg_request_vote_2ab() {
    let promise = LeaderId::new(3, 2);
    for term in 1..5 {
        for node in [2, 3] {
            let candidate = LeaderId::new(term, node);
            let mut network =
                Network::with(3, |_| Durable { voted: promise, ..Default::default() });
            let sent = network.step(node, 1, vote(candidate));
            let granted = candidate >= promise;
            let voted = promise.max(candidate);
            let answers = |e: &Envelope| {
                matches!(&e.message, Message::VoteReply(m)
                    if m.grant.is_some() == granted && m.voted == voted)
            };
            assert!(sent.iter().any(answers), "{candidate} asks, promised {promise}");
            assert_eq!(network.replica(1).voted(), voted);
        }
    }
}
