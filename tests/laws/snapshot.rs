//! Snapshots: part 2C.

use crate::network::*;
use traft::base::*;
use traft::message::*;
use traft::replica::*;

fn meta(done: TailBitmap, committer: LeaderId) -> SnapshotMeta {
    SnapshotMeta { done, committer, membership: None }
}

fn drain(replica: &mut Replica) -> Vec<Output> {
    let mut outputs = Vec::new();
    replica.drain(&mut outputs);
    outputs
}

/// Restated: a snapshot brings its done set and its membership, and the promise rises to the
/// committer behind it, in the durable step that puts it in the state's place.
#[test]
fn law_restore_snapshot_2c() {
    let mut done = TailBitmap::below(Lsn(11));
    done.insert(Lsn(13));
    let membership = Membership::majority([1, 2, 3].map(ReplicaId));
    let committer = LeaderId::new(11, 2);
    let snapshot =
        SnapshotMeta { membership: Some((Lsn(4), membership.clone())), ..meta(done, committer) };
    let mut replica = Replica::new(options(1, 2), Durable::default());
    replica.handle(Input::Install(Box::new(snapshot.clone())));
    let outputs = drain(&mut replica);
    assert!(outputs.contains(&Output::Restore(Box::new(snapshot.clone()))), "{outputs:?}");
    let written = outputs.iter().find_map(|output| match output {
        Output::Persist(write) => Some(write),
        _ => None,
    });
    let written = written.expect("the step is durable");
    assert_eq!(written.snapshot.as_deref(), Some(&snapshot));
    assert_eq!((written.voted, &written.membership), (Some(committer), &snapshot.membership));
    assert_eq!(replica.done(), &snapshot.done);
    assert_eq!((replica.purged(), replica.voted()), (Lsn(11), committer));
    assert_eq!(replica.memberships(), [membership]);
    assert_eq!(replica.snapshot_meta(), snapshot);
}

/// Restated: a snapshot without a longer prefix is ignored, and so is one with a longer prefix
/// that lacks what is done here and could not be done again: what is done never shrinks.
#[test]
fn law_restore_ignore_snapshot_2c() {
    let mut done = TailBitmap::below(Lsn(3));
    done.insert(Lsn(5));
    let committer = LeaderId::new(2, 1);
    let own = meta(done.clone(), committer);
    let durable = Durable {
        voted: committer,
        lineage: Lineage::new(committer),
        snapshot: Some(Box::new(own)),
        ..Durable::default()
    };
    let mut replica = Replica::new(options(2, 3), durable);
    for below in [0, 2, 3, 4, 5] {
        let offered = meta(TailBitmap::below(Lsn(below)), committer);
        replica.handle(Input::Install(Box::new(offered)));
        let outputs = drain(&mut replica);
        let restored = outputs.iter().any(|output| matches!(output, Output::Restore(_)));
        assert!(!restored && replica.done() == &done, "everything below {below} is done there");
    }
    replica.handle(Input::Install(Box::new(meta(TailBitmap::below(Lsn(6)), committer))));
    drain(&mut replica);
    assert_eq!(replica.done(), &TailBitmap::below(Lsn(6)), "this one has it all");
}

/// A follower lacks what the leader has purged: the leader asks for a snapshot to be sent.
#[test]
fn law_provide_snap_2c() {
    let mut network = slow_node();
    network.recover();
    network.pass(ELECTION);
    let (from, to, below) = *network.wanted.first().expect("a snapshot is to be sent");
    assert_eq!((from, to), (1, 3));
    assert!(below <= network.replica(1).purged() && below > Lsn::ZERO);
}

/// n3 is away while much is written and dropped.
fn slow_node() -> Network {
    let mut network = Network::new(3);
    network.campaign(1);
    network.isolate(3);
    for n in 0..100 {
        network.write(1, &format!("key {n}"));
    }
    network.pass(HEARTBEAT);
    for id in [1, 2] {
        network.purge(id);
        assert_eq!(network.replica(id).purged(), Lsn(100), "n{id}");
    }
    network
}

/// Restated: a snapshot may come from anybody and names no leader. It names the committer behind
/// its state; whoever has it refuses every leader below, and follows that one when it is heard.
#[test]
fn law_restore_from_snap_msg_2c() {
    let mut network = Network::new(3);
    let committer = LeaderId::new(5, 1);
    network.install(3, meta(TailBitmap::below(Lsn(4)), committer));
    assert_eq!(network.replica(3).voted(), committer);
    assert_eq!(network.replica(3).leader(), None);
    let lesser = LeaderId::new(4, 2);
    let sent = network.step(2, 3, hello(Lineage::new(lesser), Vec::new()));
    assert!(sent.iter().any(|e| matches!(&e.message, Message::Refuse(m) if m.leader == lesser)));
    network.step(1, 3, hello(Lineage::new(committer), Vec::new()));
    assert_eq!(network.replica(3).leader(), Some(ReplicaId(1)));
}

/// The membership of the snapshot takes the place of the one that is known; they are not merged.
#[test]
fn law_restore_from_snap_with_overlaping_peers_msg_2c() {
    let mut replica = Replica::new(options(1, 3), Durable::default());
    let membership = Membership::majority([2, 3, 4].map(ReplicaId));
    let snapshot = SnapshotMeta {
        membership: Some((Lsn(9), membership.clone())),
        ..meta(TailBitmap::below(Lsn(11)), LeaderId::new(11, 2))
    };
    replica.handle(Input::Install(Box::new(snapshot)));
    drain(&mut replica);
    assert_eq!(replica.memberships(), [membership]);
}

/// Whoever was away gets the state by a snapshot, and from then on records.
#[test]
fn law_slow_node_restore_2c() {
    let mut network = slow_node();
    network.recover();
    network.pass(ELECTION);
    assert!(network.peer(3).restored.is_empty());
    network.send_snapshots();
    assert_eq!(network.peer(3).restored.len(), 1);
    assert_eq!(network.replica(3).done().offset(), Lsn(100));
    assert!(network.peer(3).applied.is_empty(), "nothing is executed again");
    let proposal = network.write(1, "after");
    assert!(network.answered.contains(&proposal));
    network.pass(HEARTBEAT);
    assert_eq!(network.settled(3), 101);
    assert_eq!(network.peer(3).applied.len(), 1);
    // And it can do without the others' past.
    network.restart(3);
    assert_eq!(network.replica(3).purged(), Lsn(100));
    network.hup(3);
    assert!(network.leads(3));
    network.pass(HEARTBEAT);
    assert_eq!(network.replica(3).done(), network.replica(2).done());
}

/// A restart begins with the state of the snapshot: what it has done is not executed again.
#[test]
fn law_raw_node_restart_from_snapshot_2c() {
    let leader = LeaderId::new(1, 1);
    let durable = Durable {
        voted: leader,
        lineage: Lineage::new(leader),
        records: vec![record(2, leader, "c"), record(4, leader, "e")].into(),
        snapshot: Some(Box::new(meta(TailBitmap::below(Lsn(2)), leader))),
        ..Durable::default()
    };
    let mut replica = Replica::new(options(2, 3), durable);
    assert_eq!(drain(&mut replica), []);
    assert_eq!((replica.done(), replica.purged()), (&TailBitmap::below(Lsn(2)), Lsn(2)));
    assert!(replica.accepted().contains(Lsn(0)) && replica.accepted().contains(Lsn(4)));
    let Message::Replicate(hello) = hello(Lineage::new(leader), Vec::new()) else {
        panic!("a leader begins with this message")
    };
    let message = Message::Replicate(Replicate { settled: TailBitmap::below(Lsn(5)), ..hello });
    let envelope = Envelope::new(ReplicaId(1), ReplicaId(2), message);
    replica.handle(Input::Receive(Box::new(envelope)));
    let outputs = drain(&mut replica);
    let applied: Vec<Lsn> = outputs
        .iter()
        .flat_map(|output| match output {
            Output::Apply(tasks) => &tasks[..],
            _ => &[],
        })
        .map(|task| task.lsn)
        .collect();
    assert_eq!(applied, [Lsn(2), Lsn(4)], "{outputs:?}");
}
