//! When a record is settled, and who learns it: part 2AB.

use crate::network::*;
use std::collections::BTreeMap;
use traft::base::*;
use traft::message::*;

/// Restated: the leader's own record counts like a follower's, once it is durable.
#[test]
fn law_progress_leader_2ab() {
    let mut network = Network::new(3);
    network.isolate(3);
    network.campaign(1);
    network.peers.get_mut(&1).expect("replica 1").holds = true;
    let proposal = network.write(1, "a");
    assert!(network.replica(2).accepted().contains(Lsn(0)));
    assert!(!network.answered.contains(&proposal), "only one replica has it");
    network.persist(1);
    assert!(network.answered.contains(&proposal));
}

#[test]
fn law_single_node_commit_2ab() {
    let mut network = Network::new(1);
    network.campaign(1);
    let proposals = [network.write(1, "a"), network.write(1, "b")];
    assert!(proposals.iter().all(|proposal| network.answered.contains(proposal)));
    assert_eq!(network.settled(1), 2);
}

/// Restated: a new leader's followers accept the recovered records by taking its lineage, so old
/// ones commit without an entry of the new term and without a client.
#[test]
fn law_commit_without_new_term_entry_2ab() {
    let mut network = Network::new(5);
    network.campaign(1);
    [3, 4, 5].into_iter().for_each(|id| network.cut(1, id));
    network.write(1, "a");
    network.write(1, "b");
    assert_eq!(network.settled(1), 0);
    network.recover();
    network.hup(2);
    assert!(network.leads(2));
    assert_eq!(network.settled(2), 2);
    assert_eq!(network.replica(2).leading().map(|(next, ..)| next), Some(Lsn(2)));
}

/// Restated: what the leader sends again is the set that an answer shows to be missing.
#[test]
fn law_commit_with_heartbeat_2ab() {
    let mut network = Network::new(5);
    network.campaign(1);
    [3, 4, 5].into_iter().for_each(|id| network.cut(1, id));
    network.write(1, "a");
    network.write(1, "b");
    assert_eq!(network.settled(1), 0);
    network.recover();
    network.pass(8);
    for id in 1..=5 {
        assert_eq!((network.settled(id), network.log(id)), (2, network.log(1)), "n{id}");
    }
}

/// Restated: a follower learns settled positions in any order, and those it had missed later.
#[test]
fn law_heartbeat_update_commit_2ab() {
    for (missed, then) in [(1, 1), (5, 3), (5, 10)] {
        let mut network = Network::new(5);
        network.campaign(1);
        network.write(1, "a");
        network.isolate(5);
        for i in 0..missed {
            network.write(1, &format!("k{i}"));
        }
        assert_eq!(network.settled(5), 0, "not even the first was told to be settled");
        network.recover();
        for i in 0..then {
            network.write(1, &format!("l{i}"));
        }
        network.pass(8);
        assert_eq!(network.settled(1), 1 + missed + then);
        assert_eq!(network.settled(5), network.settled(1));
        assert_eq!(network.log(5), network.log(1));
    }
}

/// A proposal is answered only with a quorum.
#[test]
fn law_proposal_2ab() {
    for (n, dead, succeeds) in
        [(3, 0, true), (3, 1, true), (3, 2, false), (4, 2, false), (5, 2, true)]
    {
        let mut network = Network::new(n);
        network.campaign(1);
        (2..2 + dead).for_each(|id| network.isolate(id));
        let proposal = network.write(1, "a");
        network.pass(HEARTBEAT);
        assert_eq!(network.answered.contains(&proposal), succeeds, "{n} replicas, {dead} dead");
        for id in 2 + dead..=n {
            assert_eq!(network.settled(id), u64::from(succeeds), "n{id}");
        }
    }
}

/// What is settled is given out at the leader and announced with the next message.
#[test]
fn law_leader_commit_entry_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal));
    assert_eq!(network.peer(1).applied.len(), 1);
    let sent = network.tick(1, HEARTBEAT);
    for to in [2, 3] {
        let announces = |e: &Envelope| {
            e.to == ReplicaId(to)
                && matches!(&e.message, Message::Replicate(m) if m.settled.contains(Lsn(0)))
        };
        assert!(sent.iter().any(announces), "to n{to}");
    }
}

/// A record is settled exactly when those that accepted it are a write quorum.
#[test]
fn law_leader_acknowledge_commit_2ab() {
    let table: [(u64, &[u64], bool); 9] = [
        (1, &[], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[2, 3], true),
        (5, &[], false),
        (5, &[2], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], true),
        (5, &[2, 3, 4, 5], true),
    ];
    for (n, acceptors, settled) in table {
        let mut network = Network::new(n);
        network.campaign(1);
        let leader = network.replica(1).role().1;
        network.propose(1, "a");
        for from in acceptors {
            let message = reply(leader, TailBitmap::below(Lsn(1)));
            network.step(*from, 1, message);
        }
        assert_eq!(network.settled(1) == 1, settled, "{n} replicas, accepted by {acceptors:?}");
    }
}

fn reply(leader: LeaderId, accepted: TailBitmap) -> Message {
    Message::ReplicateReply(ReplicateReply {
        leader,
        accepted,
        round: 0,
        window: u64::MAX,
        committed_membership: None,
        incarnation: 0,
        doubtful: false,
    })
}

/// Restated: only what was accepted under the leader's own id counts. An answer to an older
/// leadership of the same replica does not, though it speaks of the very same record.
#[test]
fn law_leader_only_commits_log_from_current_term_2ab() {
    let mut network = Network::new(3);
    network.campaign(1);
    let old = network.replica(1).role().1;
    network.propose(1, "a");
    network.mail.clear();
    network.restart(1);
    network.hup(2);
    network.ignore(|message| matches!(message, Message::ReplicateReply(_)));
    network.hup(1);
    // The record was on the disk of replica 1 alone. Now replica 2 has it; its answer was lost.
    assert!(network.leads(1));
    let new = network.replica(1).role().1;
    assert!(new > old);
    assert_eq!(network.log(1).len(), 1);
    assert_eq!(network.settled(1), 0);
    network.step(2, 1, reply(old, TailBitmap::below(Lsn(1))));
    assert_eq!(network.settled(1), 0);
    network.step(2, 1, reply(new, TailBitmap::below(Lsn(1))));
    assert_eq!(network.settled(1), 1);
}

/// Restated: settled records are executed in any order that agrees with interference, not in the
/// order of the log.
#[test]
fn law_follower_commit_entry_2ab() {
    let leader = LeaderId::new(1, 2);
    let mut later = Record::clone(&record(1, leader, "a"));
    later.depends.insert(Lsn(0));
    let records = BTreeMap::from([
        (0, record(0, leader, "a")),
        (1, later.into()),
        (2, record(2, leader, "b")),
    ]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut network = Network::new(3);
        network.step(2, 1, hello(Lineage::new(leader), Vec::new()));
        for lsn in order {
            let Message::Replicate(mut message) = hello(Lineage::new(leader), Vec::new()) else {
                panic!("a leader's message");
            };
            message.records = vec![records[&lsn].clone()].into();
            message.settled = TailBitmap::below(Lsn(3));
            network.step(2, 1, Message::Replicate(message));
        }
        let applied: Vec<u64> = network.peer(1).applied.iter().map(|r| r.lsn.0).collect();
        let at = |lsn| applied.iter().position(|applied| *applied == lsn);
        assert_eq!(applied.len(), 3, "{order:?}");
        assert!(at(0) < at(1), "{order:?} was executed as {applied:?}");
        let came = |lsn| order.iter().position(|came| *came == lsn);
        let overtakes = came(2) < came(0);
        assert_eq!(at(2) < at(0), overtakes, "{order:?} was executed as {applied:?}");
    }
}
