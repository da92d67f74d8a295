//! Plans against all sets of replicas.

use super::systems::{dumb_is_quorum, every_set, ids, meet, membership, names, number, quorums};
use proptest::prelude::*;
use traft::base::{Malformed, Membership, QuorumSystem, ReplicaId};
use traft::quorum::{End, Outlook, Plan, PlanError, Stage, Unsound, plan, soundness};

fn sound() -> impl Strategy<Value = Membership> {
    membership().prop_filter("sound", |membership| soundness(membership).is_ok())
}

/// The sets that are a quorum of each.
fn joint<'a>(systems: impl IntoIterator<Item = &'a QuorumSystem>) -> Vec<u32> {
    let systems: Vec<_> = systems.into_iter().collect();
    let good = |set: &u32| systems.iter().all(|system| dumb_is_quorum(system, *set));
    every_set().filter(good).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// I-10: what is elected in one phase meets what is committed in it and in the next ones to it.
    #[test]
    fn neighbouring_phases_meet(from in sound(), to in sound()) {
        let plan = plan(&from, &to, &[]).expect("both are sound");
        let memberships = plan.phases.each_ref().map(|phase| &phase.membership);
        let stages = plan.phases.each_ref().map(|phase| phase.stage);
        prop_assert_eq!(stages, [Stage::Before, Stage::Pending, Stage::After]);
        for (at, one) in memberships.iter().enumerate() {
            for other in &memberships[at.saturating_sub(1)..(at + 2).min(3)] {
                prop_assert!(meet(&one.read, &other.write), "{} and {}", one, other);
            }
        }
        let [_, pending, _] = memberships;
        prop_assert_eq!(quorums(&pending.read), joint([&from.read, &to.read]));
        prop_assert_eq!(quorums(&pending.write), joint([&from.write, &to.write]));
        prop_assert_eq!(soundness(pending), Ok(()));
    }

    /// What works in a phase, and who is critical, by looking for quorums among those who are up.
    #[test]
    fn a_phase_works_if_a_quorum_is_up(from in sound(), to in sound(), down in every_set()) {
        let plan = plan(&from, &to, &names(down)).expect("both are sound");
        let within = |sets: &[u32], up: u32| sets.iter().any(|set| set & up == *set);
        let sides = [vec![&from], vec![&from, &to], vec![&to]];
        for (phase, sides) in plan.phases.iter().zip(&sides) {
            let reads = joint(sides.iter().map(|m| &m.read));
            let writes = joint(sides.iter().map(|m| &m.write));
            prop_assert_eq!(phase.elects, within(&reads, !down), "{:?}", phase.stage);
            prop_assert_eq!(phase.commits, within(&writes, !down), "{:?}", phase.stage);
            let stops = |set: &u32| {
                let less = !down & !set;
                phase.elects && !within(&reads, less) || phase.commits && !within(&writes, less)
            };
            let critical: u32 = (0..6).map(|bit| 1 << bit).filter(stops).sum();
            prop_assert_eq!(number(&phase.critical), critical, "{:?}", phase.stage);
        }
        let [before, pending, after] = plan.phases.each_ref().map(|phase| phase.works());
        prop_assert_eq!(pending, before && after);
        let outlook = match (from == to, before, after) {
            (true, ..) => Outlook::Nothing,
            (_, false, _) => Outlook::Lost,
            (_, true, true) => Outlook::Works,
            (_, true, false) => Outlook::WouldLose,
        };
        prop_assert_eq!(plan.outlook(), outlook);
    }

    /// The barrier: who has to have everything before the change commits.
    #[test]
    fn who_must_catch_up_is_who_a_write_quorum_misses(
        from in sound(), to in sound(), down in every_set(),
    ) {
        let plan = plan(&from, &to, &names(down)).expect("both are sound");
        let (old, new) = (number(&from.voters()), number(&to.voters()));
        prop_assert_eq!(number(&plan.joining), new & !old);
        prop_assert_eq!(number(&plan.promoted), number(&from.learners) & new);
        let leaving = number(&from.members()) & !number(&to.members());
        prop_assert_eq!(number(&plan.leaving), leaving);
        let (stay, join) = (old & !down, new & !old & !down);
        let writes = quorums(&to.write);
        let has = |set: u32| writes.iter().any(|quorum| quorum & set == *quorum);
        let least: Vec<u32> = every_set()
            .filter(|set| set & join == *set && has(stay | set))
            .filter(|set| (0..6).all(|bit| set >> bit & 1 == 0 || !has(stay | (set & !(1 << bit)))))
            .collect();
        match &plan.enough {
            None => prop_assert!(least.is_empty() && plan.needed.is_empty()),
            Some(enough) => {
                prop_assert!(least.contains(&number(enough)), "{:?} {:?}", enough, &least);
                let needed = least.iter().fold(!0, |all, set| all & set);
                prop_assert_eq!(number(&plan.needed), needed);
            }
        }
    }
}

fn planned(from: &str, to: &str, down: &[u64]) -> Plan {
    let read = |text: &str| text.parse::<Membership>().expect(text);
    plan(&read(from), &read(to), &ids(down.iter().copied())).expect("sound")
}

#[test]
fn replacing_one_of_three() {
    let plan = planned("(n1 n2 n3)", "(n1 n2 n4)", &[]);
    assert_eq!((plan.joining.clone(), plan.leaving.clone()), (ids([4]), ids([3])));
    // n1 and n2 have everything: nobody has to be waited for.
    assert_eq!((plan.enough.clone(), plan.needed.clone()), (Some(vec![]), vec![]));
    assert_eq!(plan.phases[1].membership.to_string(), "all (2 of (n1 n2 n3); 2 of (n1 n2 n4))");
    assert_eq!((plan.outlook(), plan.phases[1].critical.clone()), (Outlook::Works, vec![]));
    // With n2 down, n4 has to catch up, and everybody is needed while the change is pending.
    let plan = planned("(n1 n2 n3)", "(n1 n2 n4)", &[2]);
    assert_eq!((plan.enough.clone(), plan.needed.clone()), (Some(ids([4])), ids([4])));
    assert_eq!((plan.outlook(), plan.phases[1].critical.clone()), (Outlook::Works, ids([1, 3, 4])));
    // Dead new voters cost the quorum, where the old three would have survived.
    let plan = planned("(n1 n2 n3)", "(n1 n4 n5)", &[4, 5]);
    assert_eq!((plan.outlook(), plan.enough.clone()), (Outlook::WouldLose, None));
    assert_eq!(planned("(n1 n2 n3)", "(n1)", &[2, 3]).outlook(), Outlook::Lost);
    assert_eq!(planned("(n1)", "(n1; read 1, write 1)", &[9]).strangers, ids([9]));
}

#[test]
fn what_may_not_be_in_force_has_no_plan() {
    let good = Membership::majority(ids([1, 2, 3]));
    let split = Membership::flexible(ids([1, 2]), 1, 1);
    let disjoint = Unsound::Disjoint { read: ids([1]), write: ids([2]) };
    let unsound = PlanError::Unsound(End::To, disjoint.clone());
    assert_eq!(plan(&good, &split, &[]), Err(unsound));
    assert_eq!(plan(&split, &good, &[]), Err(PlanError::Unsound(End::From, disjoint)));
    let nobody = Membership::majority(Vec::<ReplicaId>::new());
    let malformed = PlanError::Malformed(End::To, Malformed::Empty);
    assert_eq!(plan(&good, &nobody, &[]), Err(malformed));
}
