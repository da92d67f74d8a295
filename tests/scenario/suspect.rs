//! Can a scenario fail? Expectations that are altered, and replicas that are driven in ways that
//! no disk and no leader may behave, must be noticed.

use traft::check::scenario;

fn text(name: &str) -> String {
    let path = format!("{}/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a scenario")
}

/// The scenario says `from`; with `to` in its place it must fail at that very line.
fn altered(name: &str, from: &str, to: &str) {
    let text = text(name);
    assert!(text.contains(from), "{name} does not say {from}");
    let text = text.replacen(from, to, 1);
    let outcome = scenario::run(&text);
    let failure = outcome.failure(&text).expect("the altered scenario fails");
    assert!(failure.contains(from) && failure.contains(to), "{failure}");
}

/// The scenario with `from` driven as `to` must fail, and say `why`.
fn misdriven(name: &str, from: &str, to: &str, why: &str) {
    let text = text(name);
    assert!(text.contains(from), "{name} does not say {from}");
    let text = text.replacen(from, to, 1);
    let failure = scenario::run(&text).failure(&text).expect("the misdriven scenario fails");
    assert!(failure.contains(why), "{failure}");
}

#[test]
fn altered_expectations_are_noticed() {
    altered("author-between-is-a-victim", "at 2, depends {1}", "at 2, overrides {0}");
    altered("author-floors-never-fall", "overrides {1}, floor 1", "overrides {0 1}");
    altered("rebuild-closure", "2#1 leads; log [0:by 1#2]", "2#1 leads; log [0:by 1#2, 3:by 1#2]");
    altered("rebuild-an-overridden-hole-stays-empty", "[0:empty, 1:by 1#3]", "[0:void by 2#1]");
    altered("apply-each-bit-done", "n0 may not apply 1", "n0 done {1}");
    altered("read-promise-is-still-its-own", "read 0 is not served", "read 0 returns a=- b=-");
    altered("member-has-all-below", "1#2 is not elected", "1#2 leads; log []");
}

#[test]
fn a_missing_step_is_noticed() {
    misdriven(
        "quorum-one-node",
        "n0 accepts 0 from 1#0",
        "n0 shows",
        "the proposal at 0 is answered",
    );
    misdriven("elect-promise-is-durable", "n1 holds its writes\n", "", "1#2 leads");
}

#[test]
fn a_disk_that_forgets_is_noticed() {
    let (from, to) = ("crash n0\nn1 n2 promise 2#1", "n1 forgets everything\nn2 promise 2#2");
    let text = text("rebuild-from-any-voter").replacen(from, to, 1);
    let text = text.replacen("2#1 elected by n2", "n1 promise 2#2\n2#2 elected by n1", 1);
    let failure = scenario::run(&text).failure(&text).expect("an acknowledged write is lost");
    assert!(failure.contains("BROKEN I-5"), "{failure}");
}

#[test]
fn a_leader_that_lies_is_noticed() {
    let lie = "n2 is told by 1#1 that {0 1 2} is settled\n\nheal by n0";
    misdriven("quorum-override-trap", "heal by n0", lie, "BROKEN I-5");
}
