//! Changing the membership: part 3A, and the faults of memberships that a crash at any point shows.

use crate::network::*;
use traft::base::*;
use traft::replica::*;

fn majority(ids: &[u64]) -> Membership {
    Membership::majority(ids.iter().copied().map(ReplicaId))
}

/// The voters of each membership in force at `id`.
fn in_force(network: &Network, id: u64) -> Vec<Vec<u64>> {
    let voters = |m: &Membership| m.voters().into_iter().map(|id| id.0).collect();
    network.replica(id).memberships().iter().map(voters).collect()
}

/// Restated: a membership is a record like any other; it is in force from its record on, jointly
/// until it commits, and no second call is needed.
#[test]
fn law_raw_node_propose_and_conf_change_3a() {
    let mut network = Network::new(1);
    network.campaign(1);
    network.peers.get_mut(&1).expect("a replica").holds = true;
    let learner = Membership { learners: vec![ReplicaId(2)], ..majority(&[1]) };
    let proposal = network.change(1, 1, learner.clone());
    let written = network.peer(1).writes.iter().flat_map(|write| &write.records);
    let payloads: Vec<&Payload> = written.map(|record| &record.payload).collect();
    assert!(matches!(payloads[..], [Payload::Membership(m)] if m.learners == learner.learners));
    assert_eq!(network.replica(1).memberships().len(), 2);
    assert!(!network.answered.contains(&proposal));
    network.peers.get_mut(&1).expect("a replica").holds = false;
    network.persist(1);
    assert_eq!(network.replica(1).memberships().len(), 1);
    assert!(network.answered.contains(&proposal));
}

/// Restated: not the same node but the same request; it is answered each time and placed once.
#[test]
fn law_raw_node_propose_add_duplicate_node_3a() {
    let mut network = Network::new(1);
    network.campaign(1);
    network.join(2);
    let first = network.change(1, 7, majority(&[1, 2]));
    let again = network.change(1, 7, majority(&[1, 2]));
    network.pass(10);
    let held = network.log(1).len();
    let late = network.change(1, 7, majority(&[1, 2]));
    network.pass(10);
    assert!([first, again, late].iter().all(|proposal| network.answered.contains(proposal)));
    assert_eq!(network.log(1).len(), held);
    assert_eq!(in_force(&network, 1), [[1, 2]]);
}

#[test]
fn law_add_node_3a() {
    let mut network = Network::new(1);
    network.campaign(1);
    network.write(1, "a");
    network.join(2);
    let proposal = network.change(1, 1, majority(&[1, 2]));
    network.pass(10);
    assert!(network.answered.contains(&proposal));
    assert_eq!(in_force(&network, 1), [[1, 2]]);
    assert_eq!(in_force(&network, 2), [[1, 2]]);
    assert_eq!(network.log(2), network.log(1));
}

#[test]
fn law_remove_node_3a() {
    let mut network = Network::new(2);
    network.campaign(1);
    let proposal = network.change(1, 1, majority(&[1]));
    network.pass(10);
    assert!(network.answered.contains(&proposal));
    assert_eq!(in_force(&network, 1), [[1]]);
    network.isolate(2);
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal), "the removed one is not missed");
    network.pass(10 * ELECTION);
    assert!(network.leads(1) && network.role(2) == RoleName::Follower);
}

/// A command that was placed while the removed one counted commits when that one has it.
#[test]
fn law_commit_after_remove_node_3a() {
    let mut network = Network::new(2);
    network.campaign(1);
    network.drop(2, 1);
    network.change(1, 1, majority(&[1]));
    let proposal = network.write(1, "a");
    assert!(!network.answered.contains(&proposal));
    network.recover();
    network.pass(5);
    assert!(network.answered.contains(&proposal));
    network.isolate(2);
    let alone = network.write(1, "b");
    assert!(network.answered.contains(&alone));
}

/// A cluster of 1, 2, 3 in the middle of going to 3, 4, 5, after `steps` messages.
fn under_way(steps: usize) -> Network {
    let mut network = Network::new(3);
    network.campaign(1);
    network.write(1, "a");
    network.join(4);
    network.join(5);
    network.change(1, 7, majority(&[3, 4, 5]));
    for _ in 0..steps {
        if network.mail.is_empty() {
            let ids: Vec<u64> = network.peers.keys().copied().collect();
            ids.into_iter().for_each(|id| network.input(id, Input::Tick));
        }
        if !network.mail.is_empty() {
            let envelope = network.mail.remove(0);
            network.input(envelope.to.0, Input::Receive(Box::new(envelope)));
        }
    }
    network
}

/// The leader is lost at any point of a change; the others leave the joint quorums within ten
/// election timeouts, either back or forth, and serve.
#[test]
fn fault_m4_joint_is_left_whenever_the_leader_dies() {
    let mut carried = 0;
    for steps in 0..60 {
        let mut network = under_way(steps);
        network.mail.clear();
        network.isolate(1);
        network.pass(10 * ELECTION);
        let leader = (2..=5).find(|id| network.leads(*id)).expect("a leader");
        let force = in_force(&network, leader);
        assert_eq!(force.len(), 1, "after {steps} messages: {force:?}");
        carried += u64::from(force == [[3, 4, 5]]);
        let proposal = network.write(leader, "b");
        assert!(network.answered.contains(&proposal), "after {steps} messages");
    }
    assert!((1..60).contains(&carried), "{carried} changes were carried out");
}

/// What is in force is durable: whoever restarts, at any point of a change, goes by the same.
#[test]
fn fault_m8_memberships_survive_a_restart() {
    for steps in 0..60 {
        let mut network = under_way(steps);
        for id in 1..=5 {
            let before = network.replica(id).memberships();
            network.restart(id);
            assert_eq!(network.replica(id).memberships(), before, "n{id} after {steps} messages");
        }
    }
}

/// More replicas than a word has bits: one becomes 101 in one change, fifty of them are not missed,
/// one more is. A leader counts 128.
#[test]
fn a_hundred_and_one_voters() {
    let mut network = Network::new(1);
    network.campaign(1);
    (2..=101).for_each(|id| network.join(id));
    let all: Vec<u64> = (1..=129).collect();
    let proposal = network.change(1, 1, majority(&all));
    let refused = Rejection::TooManyReplicas { replicas: 129 };
    assert_eq!(network.rejected.get(&proposal), Some(&refused));
    let proposal = network.change(1, 2, majority(&all[..101]));
    network.pass(2 * ELECTION);
    assert!(network.answered.contains(&proposal), "{:?}", network.rejected);
    assert_eq!(
        network.replica(101).memberships(),
        [majority(&all[..101])].map(|m| Membership {
            change: network.replica(1).memberships()[0].change.clone(),
            ..m
        })
    );
    (52..=101).for_each(|id| network.isolate(id));
    let proposal = network.write(1, "a");
    assert!(network.answered.contains(&proposal), "51 of 101");
    network.isolate(51);
    let proposal = network.write(1, "b");
    assert!(!network.answered.contains(&proposal), "50 of 101");
}

/// Three of five are replaced where as much is on its way to a voter as may be: two of the new ones
/// are enough, because with any one of the new five missing three are left that have everything.
/// The third is a voter all the same, and catches up then.
#[test]
fn a_change_waits_for_as_many_as_it_takes() {
    let mut network = Network::set(5, |options| options.in_flight_bytes_max = 1);
    network.campaign(1);
    for _ in 0..9 {
        network.write(1, "a");
    }
    // Its disk is slow: what is sent to it stays on its way.
    network.peers.get_mut(&5).expect("a replica").holds = true;
    network.write(1, "a");
    (6..=8).for_each(|id| network.join(id));
    let proposal = network.change(1, 1, majority(&[1, 2, 6, 7, 8]));
    network.pass(8 * ELECTION);
    assert!(network.answered.contains(&proposal), "{:?}", network.rejected);
    assert_eq!(in_force(&network, 1), [[1, 2, 6, 7, 8]]);
    (6..=8).for_each(|id| assert_eq!(network.log(id), network.log(1), "n{id}"));
}
