//! Which of the known bugs (docs/mutants.md) break a scenario: those that hardly any seed of the
//! simulator finds must break the one that was written for them.

use super::files;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use traft::base::{Mutant, switch_mutant};
use traft::check::scenario;

/// What `traft check mutants` may miss, and a scenario does not.
const ONLY_HERE: [Mutant; 22] = [
    Mutant::EmptyVictimForgotten,
    Mutant::CandidateAlone,
    Mutant::ClosureDropsOverridden,
    Mutant::PromiseStaysAtInstall,
    Mutant::InstallWithoutHeldCheck,
    Mutant::StaleMembershipAfterSnapshot,
    Mutant::StartsBelowLostPromise,
    Mutant::RepairedTooSoon,
    Mutant::ExcusePurgedElsewhere,
    Mutant::LowerIdInTerm,
    Mutant::PerPosition,
    Mutant::LeaseKeptOverTransfer,
    Mutant::OlderSnapshotInstalled,
    Mutant::HeardUnderAnyLeader,
    Mutant::HeardBeforeDependencies,
    Mutant::HeardWithoutTheLeader,
    Mutant::HeardReadsByKnowledge,
    Mutant::AnyWideReads,
    Mutant::OutIsForgotten,
    // Seeds find these only since more changes are forced on new voters that have not caught up.
    Mutant::CoveredIsNoHolding,
    Mutant::MembershipWithoutBarrier,
    Mutant::OnlyNotedReads,
];

#[test]
fn rare_bugs_break_a_scenario() {
    let texts: Vec<(String, String)> = files("")
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
            (name, std::fs::read_to_string(path).expect("a scenario"))
        })
        .collect();
    let fails = |text: &str| {
        let run = catch_unwind(AssertUnwindSafe(|| scenario::run(text).failure(text).is_some()));
        run.unwrap_or(true)
    };
    assert!(texts.iter().all(|(_, text)| !fails(text)), "without a bug they hold");
    // Many end in a panic that says so.
    std::panic::set_hook(Box::new(|_| {}));
    let mut broken: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for mutant in Mutant::ALL {
        switch_mutant(Some(*mutant));
        let names = texts.iter().filter(|(_, text)| fails(text)).map(|(name, _)| &name[..]);
        broken.insert(mutant.name(), names.collect());
    }
    switch_mutant(None);
    drop(std::panic::take_hook());
    for (mutant, files) in &broken {
        println!("{mutant}: {}", files.join(" "));
    }
    let missed = ONLY_HERE.iter().map(|mutant| mutant.name());
    let missed: Vec<String> = missed.filter(|name| broken[name].is_empty()).collect();
    assert_eq!(missed, [""; 0], "no scenario is broken by these");
}
