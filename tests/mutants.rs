//! The bug bank: a few known bugs are put back and found, in little time; all of them are hunted by
//! `traft check mutants` (docs/mutants.md). In a build with the feature `mutants` only.
//!
//! One test, because which bug is on is one number for the whole process.
#![cfg(feature = "mutants")]

use std::path::Path;
use traft::apply::kv::Kv;
use traft::base::{Membership, Mutant, ReplicaId, switch_mutant};
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
    Mutant::ReadNotesNothing,
    Mutant::SnapshotOverHoles,
    Mutant::CoveredIsNoHolding,
    Mutant::UnknownIsRejected,
    Mutant::UnsyncedSnapshot,
];

const SEEDS_MAX: u64 = 80;

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
    let refused = open();
    switch_mutant(None);
    drop(std::panic::take_hook());
    assert_eq!(missed, [""; 0], "not found in {SEEDS_MAX} seeds");
    let name = Mutant::UnsyncedSnapshot.name();
    assert_eq!(refused.err(), Some(NodeError::Mutant { name }));
    assert!(open().is_ok());
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
