//! Handing leadership over: part 3A.

use crate::network::*;
use traft::base::*;
use traft::message::*;
use traft::replica::*;

fn led_by_1(n: u64) -> Network {
    let mut network = Network::new(n);
    network.campaign(1);
    network
}

#[test]
fn law_leader_transfer_to_up_to_date_node_3a() {
    let mut network = led_by_1(3);
    network.transfer(1, 2);
    assert!(network.leads(2) && !network.leads(1));
    network.write(2, "a");
    network.transfer(2, 1);
    assert!(network.leads(1) && !network.leads(2));
    network.write(1, "b");
    assert_eq!(network.settled(1), 2);
}

/// Restated: a follower does not pass the wish on, it says who leads.
#[test]
fn law_leader_transfer_to_up_to_date_node_from_follower_3a() {
    let mut network = led_by_1(3);
    network.transfer(2, 2);
    let hint = Some(ReplicaId(1));
    assert_eq!(network.transfers_failed, [TransferError::NotLeader { hint }]);
    network.transfer(1, 2);
    assert!(network.leads(2));
}

#[test]
fn law_leader_transfer_to_slow_follower_3a() {
    let mut network = led_by_1(3);
    network.isolate(3);
    network.write(1, "a");
    network.recover();
    network.transfer(1, 3);
    network.pass(5);
    assert!(network.leads(3));
    assert_eq!(network.log(3), network.log(1));
}

/// The successor lacks what the leader has purged: it leads once it has the snapshot.
#[test]
fn law_leader_transfer_after_snapshot_3a() {
    let mut network = led_by_1(3);
    network.isolate(3);
    for key in ["a", "b", "c"] {
        network.write(1, key);
    }
    network.purge(1);
    assert_eq!(network.replica(1).purged(), Lsn(3));
    network.recover();
    network.transfer(1, 3);
    // What was lost on its way is given up first.
    network.pass(5);
    assert!(network.leads(1));
    network.send_snapshots();
    network.pass(4);
    assert!(network.leads(3), "{:?}", network.transfers_failed);
    assert_eq!(network.replica(3).done().offset(), Lsn(3));
}

#[test]
fn law_leader_transfer_to_self_3a() {
    let mut network = led_by_1(3);
    network.transfer(1, 1);
    assert!(network.leads(1));
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal));
}

#[test]
fn law_leader_transfer_to_non_existing_node_3a() {
    let mut network = led_by_1(3);
    network.transfer(1, 4);
    let to = ReplicaId(4);
    assert_eq!(network.transfers_failed, [TransferError::NotVoter { to }]);
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal));
}

#[test]
fn law_leader_transfer_receive_higher_term_vote_3a() {
    let mut network = led_by_1(3);
    network.isolate(3);
    network.transfer(1, 3);
    let proposal = network.write(1, "a");
    assert_eq!(network.rejected[&proposal], Rejection::Transferring { to: ReplicaId(3) });
    network.step(2, 1, vote(LeaderId::new(7, 2)));
    assert_eq!(network.role(1), RoleName::Follower);
    assert_eq!(network.replica(1).voted(), LeaderId::new(7, 2));
}

/// Restated: the change is refused while leadership is on its way, so the successor stays one.
#[test]
fn law_leader_transfer_remove_node_3a() {
    let mut network = led_by_1(3);
    network.ignore(|message| matches!(message, Message::TakeOver(_)));
    network.transfer(1, 3);
    let two = Membership::majority([1, 2].map(ReplicaId));
    let proposal = network.change(1, 1, two.clone());
    assert_eq!(network.rejected[&proposal], Rejection::Transferring { to: ReplicaId(3) });
    network.pass(ELECTION + 1);
    let to = ReplicaId(3);
    assert_eq!(network.transfers_failed, [TransferError::Silent { to }]);
    let proposal = network.change(1, 1, two);
    network.pass(5);
    assert!(network.leads(1) && network.answered.contains(&proposal));
}

#[test]
fn law_leader_transfer_back_3a() {
    let mut network = led_by_1(3);
    network.isolate(3);
    network.transfer(1, 3);
    network.transfer(1, 1);
    assert!(network.leads(1));
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal));
}

#[test]
fn law_leader_transfer_second_transfer_to_another_node_3a() {
    let mut network = led_by_1(3);
    network.isolate(3);
    network.transfer(1, 3);
    network.transfer(1, 2);
    assert!(network.leads(2));
}

/// A replica that no membership names is told to take over, and does not campaign.
#[test]
fn law_transfer_non_member_3a() {
    let mut network = led_by_1(3);
    let two = Membership::majority([1, 2].map(ReplicaId));
    network.change(1, 1, two);
    network.pass(5);
    let (_, leader) = network.replica(1).role();
    let sent = network.step(1, 3, Message::TakeOver(TakeOver { leader }));
    assert_eq!((sent.len(), network.role(3)), (0, RoleName::Follower));
}
