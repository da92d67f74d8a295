//! The fault simulator: fixed seeds hold, and one seed is one run.

use traft::sim::storm::{replay, run, run_mapped, schedule};

/// Seeds that something was wrong with once: a doubt that nobody could end, a change of membership
/// that waited for an empty position which was covered, and two false alarms (a client that never
/// asked the one replica left, a check that took a purged position for an open one); then one of
/// the mapping (603), a change that waited for what had left the leader's memory, and memory that
/// was not given back; and a third false alarm (a replica that waits for its disk keeps what is
/// done).
const ONCE_FAILED: [u64; 8] = [1383, 1532, 2343, 2856, 603, 4083, 14035, 25880];

/// In these the mapping complained of what the specifications allow: a snapshot that is durable
/// before anything is written about it, a doubt whose end alone survives a crash, a state of a
/// greater leader counted for a lesser one, a membership that only a later leader has.
const ONCE_NOT_MAPPED: [u64; 4] = [8130, 10112, 13394, 18477];

#[test]
fn fixed_seeds_hold_and_reach_what_there_is() {
    let mut reached = std::collections::BTreeMap::new();
    let mut acknowledged = 0;
    for seed in (0..150).chain(ONCE_FAILED) {
        let outcome = run(seed, None, false);
        assert_eq!(outcome.violation, None, "traft sim --seed {seed}");
        acknowledged += outcome.acknowledged;
        for (what, count) in outcome.counts {
            *reached.entry(what).or_insert(0) += count;
        }
    }
    assert!(acknowledged > 15_000, "{acknowledged}");
    let wanted = [
        "crash",
        "cut",
        "isolate",
        "pause",
        "clock rate",
        "clock jump",
        "slow disk",
        "fill a disk",
        "fail a sync",
        "flip a bit",
        "wipe",
        "change",
        "transfer",
        "lost message",
        "doubled message",
        "restart",
        "start in doubt",
        "repaired by peers",
        "snapshot installed",
        "membership changed",
        "settled above a hole",
        "switch inside a term",
        "store failed",
    ];
    for what in wanted {
        assert!(reached.get(what).is_some_and(|count| *count > 0), "{what} of {reached:?}");
    }
}

/// Byte for byte, with the trace and without.
#[test]
fn one_seed_is_one_run() {
    for seed in 0..6 {
        let first = run(seed, None, true);
        assert_eq!(first, run(seed, None, true), "seed {seed}");
        assert!(first.text.len() > 10_000);
        let short = run(seed, None, false);
        assert_eq!((first.trace, first.steps), (short.trace, short.steps), "seed {seed}");
    }
}

/// A run that ends early is the beginning of the whole one.
#[test]
fn the_first_steps_are_the_same() {
    let (whole, part) = (run(3, None, true), run(3, Some(2_000), true));
    assert_eq!(part.steps, 2_000);
    assert!(whole.text.starts_with(&part.text));
}

/// The steps of the production code are those of the specifications, and every action is taken.
#[test]
fn every_step_is_one_of_the_specifications() {
    let mut taken = std::collections::BTreeMap::new();
    for seed in (0..40).chain(ONCE_FAILED).chain(ONCE_NOT_MAPPED) {
        let outcome = run_mapped(seed, None, false);
        assert_eq!(outcome.violation, None, "traft sim --seeds {seed}..{} --mapped", seed + 1);
        assert_eq!(outcome.trace, run(seed, None, false).trace, "mapping changes nothing: {seed}");
        for (what, count) in outcome.counts {
            *taken.entry(what).or_insert(0) += count;
        }
    }
    let actions = [
        "spec Elect",
        "spec Elect (a promise)",
        "spec Propose",
        "spec Accept (first contact)",
        "spec Accept",
        "spec Commit",
        "spec Learn",
        "spec Purge",
        "spec Install",
        "spec Lose",
        "spec Repair",
        "spec (executed)",
    ];
    for action in actions {
        assert!(taken.get(action).is_some_and(|count| *count > 0), "{action} of {taken:?}");
    }
}

/// Schedules that broke a known bug, made short: without the bug they hold.
#[test]
fn schedules_of_known_bugs_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schedules");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().collect();
    files.sort_by_key(|file| file.path());
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("a schedule");
        let outcome = replay(&text, false).unwrap_or_else(|bad| panic!("{file:?}: {bad}"));
        assert_eq!(outcome.violation, None, "traft sim --schedule {}", file.path().display());
    }
}

#[test]
fn a_schedule_runs_as_its_seed_does() {
    for seed in 0..30 {
        let text = format!("# of a test\n{}# => nothing\n", schedule(seed));
        let outcome = replay(&text, false).unwrap_or_else(|bad| panic!("{bad} of\n{text}"));
        let drawn = run(seed, None, false);
        assert_eq!((outcome.trace, outcome.steps), (drawn.trace, drawn.steps), "{text}");
    }
    for line in ["seed x", "1.000 dance", "1.000 crash n2 after", "replicas 9", "9.9 snapshot n1"] {
        assert!(replay(line, false).is_err(), "{line}");
    }
    assert!(replay("1.000 snapshot n4", false).is_err(), "there are three");
}
