//! The bug bank: a few known bugs are put back and found, in little time; all of them are hunted by
//! `traft check mutants` (docs/mutants.md). In a build with the feature `mutants` only.
//!
//! One test, because which bug is on is one number for the whole process.
#![cfg(feature = "mutants")]

use std::path::Path;
use traft::apply::kv::Kv;
use traft::base::{Membership, Mutant, ReplicaId, switch_mutant};
use traft::check::model::{Model, Setting};
use traft::check::search::one_by_one;
use traft::disk::SimDisk;
use traft::runtime::{Loopback, Node, NodeError, NodeOptions, Start};
use traft::sim::storm;

/// Of each layer some that few seeds find.
const QUICK: [Mutant; 10] = [
    Mutant::VictimsDependenciesImplied,
    Mutant::OffersAboveOffset,
    Mutant::AdoptionErases,
    Mutant::AcceptBeforeDurable,
    Mutant::HolesNeverRepaired,
    Mutant::ReadAfterPromise,
    Mutant::SnapshotOverHoles,
    Mutant::JointNeverLeft,
    Mutant::UnknownIsRejected,
    Mutant::UnsyncedSnapshot,
];

const SEEDS_MAX: u64 = 80;

/// What the model finds in its first states, and in which setting.
const SHALLOW: [(Mutant, &str); 9] = [
    (Mutant::VoteForgotten, "two-leaders"),
    (Mutant::VoteBeforeDurable, "crash"),
    (Mutant::LowerIdInTerm, "one-write"),
    (Mutant::MixedLeaders, "one-write"),
    (Mutant::LowerLeaderAccepted, "updates"),
    (Mutant::AcceptBeforeDurable, "crash"),
    (Mutant::LeaderCountsUndurable, "crash"),
    (Mutant::CommitsBeforeDependencies, "updates"),
    (Mutant::IncrementsCommute, "updates"),
];

const STATES_MAX: u64 = 150_000;

#[test]
fn known_bugs_are_found_and_nobody_starts_with_one() {
    each_has_one_site();
    // Most of them end in a panic that says so.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for mutant in QUICK {
        switch_mutant(Some(mutant));
        if (0..SEEDS_MAX).all(|seed| storm::run(seed, None, false).violation.is_none()) {
            missed.push(mutant.name());
        }
    }
    let unseen = SHALLOW.iter().filter(|(mutant, setting)| !is_in_model(*mutant, setting));
    let unseen: Vec<String> = unseen.map(|(mutant, _)| mutant.name()).collect();
    let held: Vec<String> = schedules().into_iter().filter_map(held_by_its_schedule).collect();
    switch_mutant(Some(Mutant::UnsyncedSnapshot));
    let refused = open();
    switch_mutant(None);
    drop(std::panic::take_hook());
    assert_eq!(missed, [""; 0], "not found in {SEEDS_MAX} seeds");
    assert_eq!(unseen, [""; 0], "not found in {STATES_MAX} states");
    assert_eq!(held, [""; 0], "not found by the schedule that once did");
    let name = Mutant::UnsyncedSnapshot.name();
    assert_eq!(refused.err(), Some(NodeError::Mutant { name }));
    assert!(open().is_ok());
}

/// Whether the model finds it, with a schedule to show.
fn is_in_model(mutant: Mutant, setting: &str) -> bool {
    switch_mutant(Some(mutant));
    let setting = Setting::all().into_iter().find(|known| known.name == setting);
    let model = Model::new(setting.expect("a setting"));
    let report = model.search(STATES_MAX, &one_by_one, &|_| {});
    let Some(wrong) = report.wrong else { return false };
    println!("{}: {} states\n{}", mutant.name(), report.states, model.story(&wrong));
    model.story(&wrong).contains(&wrong.what)
}

/// The short schedules of `tests/schedules`, by the names of their bugs.
fn schedules() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schedules");
    let read = |file: std::fs::DirEntry| {
        let name = file.path().file_stem().unwrap_or_default().to_string_lossy().to_string();
        (name, std::fs::read_to_string(file.path()).expect("a schedule"))
    };
    std::fs::read_dir(folder).expect("a folder").flatten().map(read).collect()
}

/// The name of the bug, if its schedule does not find it. Schedules of bugs that are mended are
/// there, too.
fn held_by_its_schedule((name, text): (String, String)) -> Option<String> {
    switch_mutant(Some(Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name)?));
    let outcome = storm::replay(&text, false).expect("a schedule");
    outcome.violation.is_none().then_some(name)
}

fn open() -> Result<(), NodeError> {
    let mut options = NodeOptions::new(ReplicaId(1), Membership::majority([ReplicaId(1)]));
    options.start = Start::First;
    Node::open(SimDisk::new(), options, Kv::new(), &Loopback::new())?.close()
}

/// Each bug stands in the file that its list names, and nowhere else.
fn each_has_one_site() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = Vec::new();
    read(&root, &mut texts);
    for mutant in Mutant::ALL {
        let site = format!("mutant!({mutant:?},");
        let found: Vec<(String, usize)> = texts
            .iter()
            .map(|(path, text)| (path.clone(), squeezed(text).matches(&site).count()))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(found, [(mutant.file().to_string(), 1)], "{mutant:?}");
    }
}

/// Without line breaks after an opening parenthesis.
fn squeezed(text: &str) -> String {
    let mut all = String::new();
    for line in text.lines() {
        all.push_str(if all.ends_with('(') { line.trim_start() } else { line });
    }
    all
}

fn read(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            read(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let inside = path.to_string_lossy().replace('\\', "/");
            let name = inside.rsplit_once("/src/").map_or("", |(_, name)| name).to_string();
            texts.push((name, text));
        }
    }
}
