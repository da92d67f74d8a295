//! `traft plan` from outside, and every example of docs/quorums.md: what is written there is what
//! the program says.

use serde_json::Value;
use std::process::{Command, Output};
use traft::base::Membership;
use traft::quorum::soundness;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/quorums.md");
    std::fs::read_to_string(path).expect("the page on quorums")
}

fn plan(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_traft"));
    command.arg("plan").args(args).output().expect("the program starts")
}

/// The words of a command line, in which only single quotes mean something.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
    }
    words
}

#[test]
fn the_page_shows_what_the_program_says() {
    let page = page();
    let mut sessions = 0;
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for session in block.split("$ traft plan ").skip(1) {
            let (line, expected) = session.split_once('\n').expect("a command and its output");
            let output = plan(&words(line));
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).expect("UTF-8");
            let code = output.status.code().expect("an exit code");
            assert_eq!(format!("{said}[exit code {code}]\n"), expected, "traft plan {line}");
            sessions += 1;
        }
    }
    assert!(sessions >= 5, "{sessions} commands found on the page");
}

#[test]
fn every_membership_of_the_page_reads_and_is_sound() {
    let page = page();
    // In a table a bar is written with a backslash.
    let page = page.replace("\\|", "|");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut texts: Vec<&str> = rows.map(|(text, _)| text).collect();
    let code =
        page.lines().filter_map(|line| line.split_once("Membership = \"")?.1.split('"').next());
    texts.extend(code);
    assert!(texts.len() >= 11, "{texts:?}");
    for text in texts {
        let membership: Membership = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(soundness(&membership), Ok(()), "{text}");
        assert_eq!(membership.to_string().parse(), Ok(membership));
    }
}

#[test]
fn bad_input_is_one_sentence_and_exit_code_2() {
    let cases: [(&[&str], &str); 7] = [
        (&["(n1"], "<TO>"),
        (&["(n1", "(n1)"], "FROM, character 4: expected a replica, ; or )"),
        (&["(n1)", "(n1 n1)"], "TO, character 5: n1 is listed twice"),
        (&["(n1)", "(n1 n2; read 1, write 1)"], "(n1) does not meet the write quorum (n2)"),
        (&["(n1)", "(n2)", "--down", "n3"], "--down names n3, which neither membership knows"),
        (&["(n1)", "(n2)", "--down", "n1,2"], "--down: expected a replica such as n1, not \"2\""),
        (&["(n1)", "(n2)", "--dwon", "n1"], "try `traft plan --help`"),
    ];
    for (args, words) in cases {
        let output = plan(args);
        let complaint = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaint}");
        assert!(complaint.contains(words), "{args:?}: {complaint}");
        assert!(complaint.lines().count() == 1 && output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn json_has_every_fact() {
    let run = |args: &[&str]| -> (Value, Option<i32>) {
        let output = plan(&[args, &["--json"]].concat());
        (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code())
    };
    let zones = "majority (majority (n1 n2 n3); majority (n4 n5 n6); majority (n7 n8 n9))";
    let (found, code) = run(&["(n1 n2 n3) learners (n4)", zones, "--down", "n3,n9"]);
    assert_eq!((&found["outlook"], code), (&Value::from("works"), Some(0)));
    let list = |name: &str| found[name].to_string();
    assert_eq!(list("joining"), r#"["n4","n5","n6","n7","n8","n9"]"#);
    assert_eq!((list("promoted"), list("leaving")), (r#"["n4"]"#.into(), "[]".into()));
    assert_eq!((list("needed"), list("enough")), ("[]".into(), r#"["n4","n5"]"#.into()));
    let phases = found["phases"].as_array().expect("phases");
    let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str()).collect();
    assert_eq!(names, [Some("before"), Some("pending"), Some("after")]);
    assert_eq!(phases[0]["critical"].to_string(), r#"["n1","n2"]"#);
    assert_eq!(phases[1]["critical"].to_string(), r#"["n1","n2"]"#);
    assert_eq!(phases[2]["critical"].to_string(), "[]");
    assert_eq!(phases[0]["read"], "2 of (n1 n2 n3)");
    assert!(phases.iter().all(|phase| phase["elects"] == true && phase["commits"] == true));

    let (lost, code) = run(&["(n1 n2 n3)", "(n1)", "--down", "n2,n3"]);
    assert_eq!((&lost["outlook"], code), (&Value::from("lost"), Some(1)));
    let (worse, code) = run(&["(n1)", "(n1 n2)", "--down", "n2"]);
    assert_eq!((&worse["outlook"], code), (&Value::from("would-lose"), Some(1)));
    assert!(worse["enough"].is_null());
    let (same, code) = run(&["(n1 n2)", "2 of (n2 n1)"]);
    assert_eq!((&same["outlook"], code), (&Value::from("nothing"), Some(0)));
}
