//! Inputs and outputs of one replica: part 2AC.

use crate::network::*;
use traft::base::*;
use traft::replica::*;

fn drain(replica: &mut Replica) -> Vec<Output> {
    let mut outputs = Vec::new();
    replica.drain(&mut outputs);
    outputs
}

/// The number of the only write among the outputs, and its records.
fn write(outputs: &[Output]) -> (u64, usize) {
    let writes: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Persist(write) => Some((write.number, write.records.len())),
            _ => None,
        })
        .collect();
    assert_eq!(writes.len(), 1, "{outputs:?}");
    writes[0]
}

/// Start, campaign, propose: what is asked of the driver, step by step.
#[test]
fn law_raw_node_start_2ac() {
    let mut replica = Replica::new(options(1, 1), Durable::default());
    assert_eq!(drain(&mut replica), []);
    replica.handle(Input::Campaign);
    let (number, _) = write(&drain(&mut replica));
    assert_ne!(replica.role().0, RoleName::Leader, "its own promise is not durable");
    replica.handle(Input::Persisted(number));
    let (number, _) = write(&drain(&mut replica));
    assert_eq!(replica.role(), (RoleName::Leader, LeaderId::new(1, 1)));
    replica.handle(Input::Persisted(number));
    assert_eq!(drain(&mut replica), []);
    replica.handle(Input::Propose { proposal: 7, command: command("a") });
    let (number, records) = write(&drain(&mut replica));
    assert_eq!(records, 1);
    assert!(replica.settled().is_empty());
    replica.handle(Input::Persisted(number));
    let outputs = drain(&mut replica);
    assert!(outputs.contains(&Output::Settled { proposal: 7 }), "{outputs:?}");
    let given = |output: &Output| match output {
        Output::Apply(tasks) => tasks.iter().any(|task| task.lsn == Lsn(0)),
        _ => false,
    };
    assert!(outputs.iter().any(given), "{outputs:?}");
    assert!(replica.done().is_empty());
    replica.handle(Input::Applied(Lsn(0)));
    assert!(replica.done().contains(Lsn(0)));
    assert_eq!(drain(&mut replica), []);
}

/// A write that is given back says the same as its number, and nothing of it is in a later one.
#[test]
fn a_write_that_is_given_back_comes_out_empty() {
    let mut replica = Replica::new(options(1, 1), Durable::default());
    let write_back = |replica: &mut Replica| {
        let mut written = Vec::new();
        for output in drain(replica) {
            if let Output::Persist(write) = output {
                written.push(Write::clone(&write));
                replica.handle(Input::Written(write));
            }
        }
        written
    };
    replica.handle(Input::Campaign);
    let promise = write_back(&mut replica);
    assert!(promise[0].voted.is_some());
    let lineage = write_back(&mut replica);
    assert!(lineage[0].lineage.is_some(), "its promise is durable, so it leads");
    replica.handle(Input::Propose { proposal: 7, command: command("a") });
    let [write] = &write_back(&mut replica)[..] else { panic!("one write for what was placed") };
    let Write { number, records, .. } = write.clone();
    assert_eq!((number, records.len()), (lineage[0].number + 1, 1));
    assert_eq!(*write, Write { number, records, ..Write::default() });
    assert!(drain(&mut replica).contains(&Output::Settled { proposal: 7 }));
}

/// A restart keeps promise, lineage and records, asks for nothing, and executes again what it
/// learns to be settled.
#[test]
fn law_raw_node_restart_2ac() {
    let leader = LeaderId::new(2, 2);
    let durable = Durable {
        voted: LeaderId::new(3, 3),
        lineage: Lineage::new(leader),
        records: vec![record(0, leader, "a"), record(2, leader, "b")].into(),
        ..Durable::default()
    };
    let mut replica = Replica::new(options(1, 3), durable.clone());
    assert_eq!(drain(&mut replica), []);
    assert_eq!(replica.role().0, RoleName::Follower);
    assert_eq!((replica.voted(), replica.lineage()), (durable.voted, &durable.lineage));
    assert_eq!(replica.accepted(), &[Lsn(0), Lsn(2)].into_iter().collect());
    assert!(replica.settled().is_empty() && replica.done().is_empty());
    let mut network = Network::with(3, |_| durable.clone());
    network.campaign(1);
    assert!(network.replica(1).voted() > durable.voted, "it never resumes an old leader id");
    assert_eq!(network.peer(1).applied.len(), 2);
}
