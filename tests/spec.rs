//! The specifications as Rust reach exactly the states that a checker of TLA+ counts: the number at
//! the top of each configuration of `design`, which `design/check-specs` prints.

use traft::check::search::Report;
use traft::check::spec::{Membership, Overrides, Replication, count};

/// The text of a configuration.
fn configuration(name: &str) -> String {
    let path = format!("{}/design/{name}.cfg", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a configuration")
}

/// `12,345 distinct states` in the comments at its top.
fn counted(text: &str) -> u64 {
    let comments = text.lines().filter_map(|line| line.strip_prefix("\\* "));
    let words: Vec<&str> = comments.flat_map(str::split_whitespace).collect();
    let at =
        words.windows(2).position(|pair| pair[0] == "distinct" && pair[1].starts_with("states"));
    let number = at.and_then(|at| words.get(at.checked_sub(1)?)).expect("a count");
    number.replace(',', "").parse().expect("a number")
}

/// The value of a constant.
fn constant<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "));
    value.unwrap_or_else(|| panic!("no {name}"))
}

fn number(text: &str, name: &str) -> u8 {
    constant(text, name).parse().expect("a number")
}

fn flag(text: &str, name: &str) -> bool {
    constant(text, name) == "TRUE"
}

fn holds(name: &str, report: &Report) {
    let expected = counted(&configuration(name));
    assert_eq!((report.wrong.as_ref(), report.whole), (None, true), "{name}");
    assert_eq!(report.states, expected, "{name}");
}

/// `Replication` with the constants of a configuration.
fn replication(name: &str) -> Replication {
    let text = configuration(name);
    assert_eq!(constant(&text, "Rule"), "\"lineage\"");
    Replication {
        max_leader: number(&text, "MaxLeader"),
        max_lsn: number(&text, "MaxLsn"),
        keys: constant(&text, "Keys").split(',').count() as u8,
        closure: flag(&text, "Closure"),
        max_purge: number(&text, "MaxPurge"),
        purge_any: flag(&text, "PurgeAny"),
        above_all: flag(&text, "AboveAll"),
        max_loss: number(&text, "MaxLoss"),
        doubt_votes: flag(&text, "DoubtVotes"),
        jump: flag(&text, "Jump"),
        believe: flag(&text, "Believe"),
        excuse: flag(&text, "Excuse"),
        ..Replication::with_leaders(2)
    }
}

#[test]
fn replication_has_the_states_of_its_specification() {
    for name in ["Replication", "Replication-purge", "Replication-doubt"] {
        holds(name, &count(&replication(name), u64::MAX));
    }
}

#[test]
fn overrides_have_the_states_of_their_specification() {
    let text = configuration("Overrides");
    let spec = Overrides {
        max_leader: number(&text, "MaxLeader"),
        max_lsn: number(&text, "MaxLsn"),
        holding_counts: flag(&text, "HoldingCounts"),
        void_covered: flag(&text, "VoidCovered"),
        depend_on_victims: flag(&text, "DependOnVictims"),
        reads_b: constant(&text, "Reads") == "\"b\"",
        two: text.contains("Commands <- Two"),
    };
    holds("Overrides", &count(&spec, u64::MAX));
}

#[test]
fn memberships_have_the_states_of_their_specification() {
    let text = configuration("Membership");
    let set = |name: &str| {
        let value = constant(&text, name);
        (1..=3).filter(|r| value.contains(&format!("r{r}"))).map(|r| 1 << (r - 1)).sum::<u8>()
    };
    let spec = Membership {
        max_leader: number(&text, "MaxLeader"),
        max_lsn: number(&text, "MaxLsn"),
        members: ["Members1", "Members2", "Members3"].map(set),
        read: ["Read1", "Read2", "Read3"].map(|name| number(&text, name)),
        barrier: flag(&text, "Barrier"),
        fixpoint: flag(&text, "Fixpoint"),
        pending: flag(&text, "Pending"),
        ..Membership::small()
    };
    holds("Membership", &count(&spec, u64::MAX));
}

/// A rule that is wrong makes other states, so the numbers are no accident.
#[test]
fn a_wrong_rule_has_other_states() {
    let spec = Replication { closure: false, ..replication("Replication") };
    let report = count(&spec, u64::MAX);
    assert_ne!(report.states, counted(&configuration("Replication")));
}
