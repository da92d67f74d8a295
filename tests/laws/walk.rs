//! The walk of `docs/membership.md`: its calls are run here, and the page is held to them.

use crate::network::*;
use traft::base::*;
use traft::replica::*;

/// The replica that leads and is not cut off.
fn leader(network: &Network) -> u64 {
    let leads = |id: &&u64| network.leads(**id);
    let greatest =
        network.peers.keys().filter(leads).max_by_key(|id| network.replica(**id).voted());
    *greatest.expect("a leader")
}

/// Changes to the membership of this notation, and waits until the change is complete. A command
/// commits while it is under way.
fn change(network: &mut Network, request: u64, text: &str) {
    let (leader, proposal) = (leader(network), 1_000 + request);
    let membership: Membership = text.parse().expect("a membership");
    let input = Input::Change { proposal, request, membership, force: false };
    network.input(leader, input);
    let write = network.propose(leader, "k");
    network.pass(20);
    assert!(network.answered.contains(&proposal), "{text}: {:?}", network.rejected);
    assert!(network.answered.contains(&write));
    let force = network.replica(leader).memberships();
    assert_eq!(force.iter().map(Membership::to_string).collect::<Vec<_>>().len(), 1);
}

#[test]
fn one_three_five_three_and_three_zones() {
    let mut network = Network::new(1);
    network.campaign(1);
    (2..=5).for_each(|id| network.join(id));
    change(&mut network, 1, "(n1 n2 n3)");
    change(&mut network, 2, "(n1 n2 n3 n4 n5)");
    assert_eq!(network.log(5), network.log(1));
    change(&mut network, 3, "(n1 n2 n3)");
    [4, 5].iter().for_each(|id| assert_eq!(network.role(*id), RoleName::Follower));
    (6..=9).for_each(|id| network.join(id));
    let zones = "2 of (2 of (n1 n2 n3); 2 of (n4 n5 n6); 2 of (n7 n8 n9))";
    change(&mut network, 4, zones);
    (1..=3).for_each(|id| network.isolate(id));
    network.pass(4 * ELECTION);
    let leader = leader(&network);
    assert!(leader > 3, "n{leader} leads");
    let proposal = network.write(leader, "k");
    assert!(network.answered.contains(&proposal));
    // One more than the zone: the two left of n7 n8 n9 are still a quorum of theirs.
    network.isolate(if leader == 9 { 8 } else { 9 });
    let proposal = network.write(leader, "k");
    network.pass(3);
    assert!(network.answered.contains(&proposal));
    network.input(leader, Input::Transfer { to: None });
    network.pass(3);
    assert!(!network.leads(leader), "{:?}", network.transfers_failed);
}

/// A change is taken back by its number.
#[test]
fn a_change_is_taken_back() {
    let mut network = Network::new(1);
    network.campaign(1);
    network.join(2);
    let (leader, request) = (1, 7);
    network.change(leader, request, "(n1 n2)".parse().expect("a membership"));
    let proposal = 1_000;
    network.input(leader, Input::CancelChange { proposal, request });
    network.pass(40);
    assert!(network.answered.contains(&proposal));
    assert_eq!(network.replica(leader).memberships().len(), 1);
    assert_eq!(network.log(leader).len(), 0);
}

/// Every line of code of the page stands here.
#[test]
fn the_page_says_what_is_run() {
    let (page, code) = (include_str!("../../docs/membership.md"), include_str!("walk.rs"));
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let (mut inside, mut found) = (false, 0);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```rust,ignore";
        } else if inside {
            assert!(lines.contains(&line.trim()), "docs/membership.md says {line}");
            found += 1;
        }
    }
    assert!(found > 10, "{found} lines of code");
}
