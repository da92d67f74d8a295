//! The specifications as Rust reach exactly the states that a checker of TLA+ counts: the number at
//! the top of each configuration of `design`, which `design/check-specs` prints.

use traft::check::search::Report;
use traft::check::spec::{Membership, Overrides, Reads, Replication, count};

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
    let lines = text.lines().map(|line| line.trim().trim_start_matches("CONSTANTS "));
    let value = lines.into_iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
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

/// `Membership` with the constants of a configuration.
fn membership(name: &str) -> Membership {
    let text = configuration(name);
    let set = |name: &str| {
        let value = constant(&text, name);
        (1..=3).filter(|r| value.contains(&format!("r{r}"))).map(|r| 1 << (r - 1)).sum::<u8>()
    };
    let changes = constant(&text, "Changes");
    let to = |cfg: &u8| changes.contains(&format!("\"cfg{cfg}\""));
    Membership {
        max_leader: number(&text, "MaxLeader"),
        max_lsn: number(&text, "MaxLsn"),
        members: ["Members1", "Members2", "Members3"].map(set),
        read: ["Read1", "Read2", "Read3"].map(|name| number(&text, name)),
        changes: (1..=3).filter(to).map(|cfg| 1 << (cfg - 1)).sum(),
        barrier: flag(&text, "Barrier"),
        fixpoint: flag(&text, "Fixpoint"),
        pending: flag(&text, "Pending"),
    }
}

/// With one change and with two that are pending at once, read quorums of another size than write
/// quorums, and a change that is taken back.
#[test]
fn memberships_have_the_states_of_their_specification() {
    let small = ["Membership", "Membership-pending"];
    let large =
        ["flexible", "slide-2", "swap", "cancel"].map(|name| format!("full/Membership-{name}"));
    for name in small.into_iter().chain(large.iter().map(String::as_str)) {
        holds(name, &count(&membership(name), u64::MAX));
    }
}

/// `Reads` with the constants of a configuration.
fn reads(name: &str) -> Reads {
    let text = configuration(name);
    let wide = |l: &u8| constant(&text, "Wide").contains(&l.to_string());
    Reads {
        replicas: constant(&text, "Replicas").split(',').count() as u8,
        read_q: number(&text, "ReadQ"),
        write_q: number(&text, "WriteQ"),
        max_leader: number(&text, "MaxLeader"),
        max_lsn: number(&text, "MaxLsn"),
        wide: (1..=3).filter(wide).map(|l| 1 << (l - 1)).sum(),
        elsewhere: flag(&text, "Elsewhere"),
        hears: flag(&text, "Hears"),
        by_position: flag(&text, "ByPosition"),
        note: flag(&text, "Note"),
        confirm: flag(&text, "Confirm"),
        later: flag(&text, "Later"),
        first: flag(&text, "First"),
        promised: flag(&text, "Promised"),
        same: flag(&text, "Same"),
        beginning: text.contains("INVARIANT Beginning"),
    }
}

#[test]
fn reads_have_the_states_of_their_specification() {
    let small = ["Reads", "Reads-elsewhere", "Reads-one-key", "Reads-one-key-elsewhere"];
    let large = ["Reads-heard-elsewhere", "full/Reads-majority", "full/Reads", "full/Reads-heard"];
    let wide = ["full/Reads-wide-elsewhere"];
    // Minutes.
    let all =
        std::env::var_os("SPECS_ALL").map(|_| ["full/Reads-heard-elsewhere", "full/Reads-wide"]);
    for name in small.into_iter().chain(large).chain(wide).chain(all.into_iter().flatten()) {
        holds(name, &count(&reads(name), u64::MAX));
    }
}

/// Rules of reading left out, as in `design/broken`: each shows a stale read.
#[test]
fn a_read_that_leaves_a_rule_out_is_stale() {
    let small = Reads::small();
    let one_leader = |max_lsn| Reads { max_leader: 1, max_lsn, ..Reads::small() };
    let wrong = [
        Reads { note: false, ..small.clone() },
        Reads { confirm: false, replicas: 3, read_q: 2, ..small },
        Reads { later: false, ..one_leader(2) },
        Reads { later: false, elsewhere: true, ..one_leader(3) },
        Reads { first: false, wide: 0b100, ..one_leader(3) },
        Reads { hears: true, ..one_leader(2) },
    ];
    for spec in wrong {
        let wrong = count(&spec, u64::MAX).wrong.unwrap_or_else(|| panic!("{spec:?} holds"));
        assert!(wrong.what.starts_with("I-9"), "{spec:?}: {wrong:?}");
    }
}

/// A rule that is wrong makes other states, so the numbers are no accident.
#[test]
fn a_wrong_rule_has_other_states() {
    let spec = Replication { closure: false, ..replication("Replication") };
    let report = count(&spec, u64::MAX);
    assert_ne!(report.states, counted(&configuration("Replication")));
}
