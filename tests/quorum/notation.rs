//! The notation: what is printed reads as the same value, and what does not read says where.

use super::systems::{ids, membership, sensible, system};
use proptest::prelude::*;
use traft::base::{Fault, Malformed, Membership, NotationError, QuorumSystem, ReplicaId};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_system_reads_as_it_prints(system in sensible()) {
        prop_assert_eq!(system.check(), Ok(()));
        prop_assert_eq!(system.to_string().parse(), Ok(system));
    }

    #[test]
    fn a_membership_reads_as_it_prints(membership in membership()) {
        prop_assert_eq!(membership.check(), Ok(()));
        prop_assert_eq!(membership.to_string().parse(), Ok(membership));
    }

    /// What does not pass the check does not read either, if it can be printed at all.
    #[test]
    fn what_reads_is_well_formed(read in system(), write in system()) {
        let text = Membership::of(read, write).to_string();
        if let Ok(membership) = text.parse::<Membership>() {
            prop_assert_eq!(membership.check(), Ok(()));
        }
    }

    /// Characters changed, taken out or put in: an error within the text, or another membership.
    #[test]
    fn damage_never_panics(
        membership in membership(),
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..3_u8, "[n0-9 ();:|,a-zé]"), 1..4,
        ),
    ) {
        let mut text: Vec<char> = membership.to_string().chars().collect();
        for (at, kind, c) in damage {
            let (at, c) = (at.index(text.len()), c.chars().next().unwrap_or(' '));
            match kind {
                0 => text[at] = c,
                1 => drop(text.remove(at)),
                _ => text.insert(at, c),
            }
        }
        let text: String = text.into_iter().collect();
        match text.parse::<Membership>() {
            Ok(other) => prop_assert_eq!(other.to_string().parse(), Ok(other)),
            Err(error) => prop_assert!(error.at <= text.chars().count(), "{}", error),
        }
    }
}

fn read(text: &str) -> Membership {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn short_forms_mean_what_they_say() {
    let three = Membership::majority(ids([1, 2, 3]));
    for text in
        ["(n1 n2 n3)", "(n3 n1 n2; read 2, write 2)", "majority (n1 n2 n3)", "2 of(n1 n2 n3)"]
    {
        assert_eq!(read(text), three, "{text}");
    }
    let zones = || [ids([1, 2, 3]), ids([4, 5, 6]), ids([7, 8, 9])];
    let tree = "majority (majority (n1 n2 n3); majority (n4 n5 n6); majority (n7 n8 n9))";
    assert_eq!(read(tree), Membership::hierarchical(zones()));
    assert_eq!(read(tree).to_string(), "2 of (2 of (n1 n2 n3); 2 of (n4 n5 n6); 2 of (n7 n8 n9))");
    let grid = "grid (n1 n2 n3|n4 n5 n6|n7 n8 n9)";
    assert_eq!(read(grid), Membership::grid(zones()));
    assert_eq!(read(grid).to_string(), grid);
    let weighted = Membership::weighted([(2, 1), (1, 3)].map(|(n, w)| (ReplicaId(n), w)), 3, 2);
    assert_eq!(read("(n1:3 n2; read 3, write 2)"), weighted);
    assert_eq!(read("(n1:3 n2:2)").to_string(), "(n1:3 n2:2; read 3, write 3)");
    assert_eq!(read("3 of (n1:1 n2:1 n3:1)").to_string(), "(n1:1 n2:1 n3:1; read 3, write 3)");
    let learning = read("(n1) learners (n3 n2)");
    assert_eq!((learning.voters(), learning.members()), (ids([1]), ids([1, 2, 3])));
    assert_eq!(learning.to_string(), "(n1; read 1, write 1) learners (n2 n3)");
    let joint = Membership::joint([&three, &learning]);
    assert_eq!(joint.to_string(), "all (2 of (n1 n2 n3); 1 of (n1))");
}

#[test]
fn what_does_not_read_says_where_and_why() {
    let cases = [
        ("", "character 1: expected a quorum system: 2 of (..), majority, any or all"),
        ("(n1 n2", "character 7: expected a replica, ; or )"),
        ("(n1 n2) n3", "character 9: expected `learners` or the end"),
        ("(n1 m2)", "character 5: expected a replica, ; or )"),
        ("(x1)", "character 2: expected a replica such as n1, or read"),
        ("(n1 n2 n1)", "character 8: n1 is listed twice or out of order"),
        ("(n1 n2; read 3, write 1)", "character 1: 3 of 2 cannot be a quorum"),
        ("(n1 n2; read 0, write 2)", "character 1: 0 of 2 cannot be a quorum"),
        ("(n1 n2; write 2)", "character 9: expected read"),
        ("(n1:0 n2)", "character 1: n1 weighs nothing; a replica that does not count is a learner"),
        ("any (n1|n2:2)", "character 9: expected names without weights"),
        (
            "2 of (1 of (n1); é)",
            "character 18: expected a quorum system: 2 of (..), majority, any \
         or all",
        ),
        ("1 of (n99999999999999999999)", "character 7: the number is too large"),
        ("(n1) learners (n1)", "character 6: n1 is a voter and a learner"),
        ("(read 1 of (n1) write 1 of (n1))", "character 17: expected ,"),
    ];
    for (text, why) in cases {
        let error = text.parse::<Membership>().expect_err(text);
        assert_eq!(error.to_string(), why, "{text}");
    }
}

#[test]
fn hostile_texts_are_refused() {
    let nested = |depth| format!("{}1 of (n1){}", "all (".repeat(depth), ")".repeat(depth));
    assert!(nested(7).parse::<QuorumSystem>().is_ok());
    let deep = NotationError { at: 40, fault: Fault::Malformed(Malformed::Deep) };
    assert_eq!(nested(8).parse::<QuorumSystem>(), Err(deep.clone()));
    assert_eq!(nested(100_000).parse::<QuorumSystem>(), Err(deep));
    let long: String = (0..2_000).map(|n| format!("n{n} ")).collect();
    let large = NotationError { at: 0, fault: Fault::Malformed(Malformed::Large) };
    assert_eq!(format!("({long})").parse::<Membership>(), Err(large));
    let heavy = format!("(n1:{} n2:{})", u64::MAX, u64::MAX).parse::<Membership>();
    assert_eq!(heavy.expect_err("heavy").fault, Fault::Malformed(Malformed::Heavy));
}
