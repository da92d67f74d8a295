//! A process with three replicas, killed under load: what was acknowledged is there. And a disk
//! that lies about it is found out.

#![cfg(all(feature = "compare", unix))]

use std::path::PathBuf;
use std::process::{Command, Output};

/// How many times; `traft check kill` does it 200 times.
const ROUNDS: &str = "6";

fn check(name: &str, more: &[&str]) -> Output {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_traft"));
    command.args(["check", "kill", "--rounds", ROUNDS, "--json", "--dir"]).arg(&dir).args(more);
    let output = command.output().expect("the program runs");
    std::fs::remove_dir_all(&dir).expect("it made the directory");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_acknowledged_is_lost() {
    let output = check("kill", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |field: &str| report[field].as_u64().unwrap_or(0);
    assert!(count("killed") == 7 && count("acknowledged") > 100, "{report}");
    assert!(count("values") > 0 && count("equal") > 0, "{report}");
}

#[test]
fn a_disk_that_lies_is_found_out() {
    // Where the kill falls decides what is seen first, and the first thing ends a run: states that
    // are apart, or the acknowledged writes that are gone. Every run must fail, and the lost writes
    // must be named by one of them.
    let named = (1..=5).any(|seed| {
        let output = check("kill-unwritten", &["--unwritten", "--seed", &seed.to_string()]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("FAIL round"), "{}", said(&output));
        said(&output).contains("was acknowledged")
    });
    assert!(named, "lost writes were never named");
}
