//! Leases: a read without asking anybody, within the bound on clocks and outside of it.

use crate::network::*;
use traft::base::*;
use traft::replica::*;

/// The others may count at most a quarter more than the leader.
const LEASE: Lease = Lease { ticks: ELECTION, drift_permille: 250 };

fn leased() -> Network {
    let lease = |options: &mut Options| options.lease = Some(LEASE);
    let mut network = Network::set(3, lease);
    network.campaign(1);
    network.pass(2 * HEARTBEAT);
    network.write(1, "a");
    network
}

#[test]
fn a_lease_answers_at_once() {
    let mut network = leased();
    let sent = network.mail.len();
    let read = network.read(1, "a", ReadLevel::Lease);
    assert!(network.read_now.contains(&read));
    let read = network.read(1, "a", ReadLevel::Confirmed);
    assert!(!network.read_now.contains(&read) && network.mail.len() > sent);
    network.run();
    assert!(network.read_now.contains(&read));
}

/// A leader that hears nobody has no lease when the others may vote again.
#[test]
fn a_lease_ends_before_the_others_vote() {
    // Clocks run alike, the leader's is the slower one within the bound, or far beyond it.
    for (slow, of, expected) in [(1, 1, false), (4, 5, false), (1, 8, true)] {
        let mut network = leased();
        network.isolate(1);
        let (mut ticks, mut stale) = (0, false);
        while !(network.leads(2) || network.leads(3)) {
            ticks += 1;
            if ticks % of < slow {
                network.input(1, Input::Tick);
            }
            network.input(2, Input::Tick);
            network.input(3, Input::Tick);
            network.run();
            assert!(ticks < 10 * ELECTION, "nobody was elected");
        }
        let leader = if network.leads(2) { 2 } else { 3 };
        network.write(leader, "a");
        let read = network.read(1, "a", ReadLevel::Lease);
        stale |= network.read_now.contains(&read);
        assert_eq!(stale, expected, "the leader counts {slow} of {of} ticks");
    }
}

/// Others vote for nobody else while they are bound, whoever asks; after a restart neither.
#[test]
fn a_lease_binds_voters() {
    let greater = LeaderId::new(5, 3);
    let mut network = leased();
    network.step(3, 2, vote(greater));
    assert!(network.replica(2).voted() < greater);
    network.restart(2);
    network.step(3, 2, vote(greater));
    assert!(network.replica(2).voted() < greater);
    network.tick(2, ELECTION);
    network.step(3, 2, vote(greater));
    assert_eq!(network.replica(2).voted(), greater);
}

/// openraft 1747: leadership is handed over while the lease lasts. The leader gives it up before.
#[test]
fn a_lease_ends_when_somebody_is_told_to_take_over() {
    let mut network = leased();
    network.input(1, Input::Transfer { to: Some(ReplicaId(3)) });
    let read = network.read(1, "a", ReadLevel::Lease);
    assert!(!network.read_now.contains(&read));
    network.run();
    assert!(network.leads(3), "votes for a successor are not bound");
}

/// What the leader has not done yet is waited for, lease or not.
#[test]
fn a_lease_reads_nothing_that_is_on_its_way() {
    let mut network = leased();
    network.propose(1, "b");
    let read = network.read(1, "b", ReadLevel::Lease);
    assert!(!network.read_now.contains(&read));
    let other = network.read(1, "a", ReadLevel::Lease);
    assert!(network.read_now.contains(&other));
    network.run();
    assert!(network.read_now.contains(&read));
}

/// A stale read asks nobody, anywhere.
#[test]
fn a_stale_read_is_answered_by_anybody() {
    let mut network = leased();
    network.isolate(2);
    network.write(1, "a");
    let read = network.read(2, "a", ReadLevel::Stale);
    assert!(network.read_now.contains(&read));
}
