//! `traft check history` on files: a bad history of each kind, and the good one beside it.
#![cfg(feature = "compare")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history").join(name)
}

/// Exit code, standard output, standard error.
fn check(args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_traft"));
    command.args(["check", "history"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn every_bad_history_is_rejected_and_its_neighbour_is_not() {
    let bad = files("bad");
    assert!(bad.len() >= 12, "{bad:?}");
    for file in bad {
        let (code, said, complaint) = check(&[&file.to_string_lossy()], "");
        assert_eq!(code, 1, "{}: {said}", file.display());
        assert!(complaint.starts_with("FAIL ") && complaint.contains("\n  ? "), "{complaint}");
        let good = folder("good").join(file.file_name().expect("a name"));
        let (code, said, complaint) = check(&[&good.to_string_lossy()], "");
        assert_eq!(code, 0, "{}: {said}{complaint}", good.display());
    }
    assert_eq!(files("bad").len(), files("good").len());
}

#[test]
fn the_complaint_shows_what_does_not_fit() {
    let file = folder("bad").join("stale-read.jsonl");
    let (_, said, complaint) = check(&["--json", &file.to_string_lossy()], "");
    let shown = complaint.split_once(": ").expect("a name in front").1;
    assert_eq!(
        shown,
        "not linearizable: x; 2 events fit, and then x=2\n    0..10 c1 put x=1: ok\n    \
         20..30 c1 put x=2: ok\n  ? 40..50 c2 get x: 1\n"
    );
    let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(document[0]["linearizable"], false);
    assert_eq!(document[0]["anomalies"][0]["stuck"][0]["out"], "1");
}

#[test]
fn exit_codes_and_sentences() {
    let get = "{\"client\":1,\"op\":\"get\",\"key\":\"x\",\"out\":null,\"call\":0,\"return\":1}\n";
    let (code, said, _) = check(&["-"], get);
    assert_eq!(code, 0);
    assert!(said.starts_with("-: linearizable; 1 operations"), "{said}");
    let (code, _, complaint) = check(&["-", "--steps", "0"], &get.replace("null", "\"1\""));
    assert_eq!((code, &*complaint), (2, "-: x took more than 0 steps\n"));
    let cases = [
        ("no json", "-: line 1: expected ident at line 1 column 2"),
        ("[]", "-: line 1: an event is an object in braces"),
        (
            &*get.replace("get", "walk"),
            "-: line 1: no op \"walk\"; there are get, put, del, cas, append, incr",
        ),
        (
            &get.replace("\"return\":1", "\"return\":-1"),
            "-: line 1: \"return\" must be nanoseconds from zero up, not -1",
        ),
        (&get.replace("\"call\":0", "\"call\":7"), "-: line 1: \"return\" lies before \"call\""),
        (
            &get.replace("\"x\"", "[\"x\",\"y\"]"),
            "-: line 1: \"out\" must have one value for each key",
        ),
        (&get.replace("\"x\"", "[\"x\",\"x\"]"), "-: line 1: \"key\" says a key twice"),
        (&get.replace("get", "put"), "-: line 1: \"value\" must be a string or a number, not null"),
        (&get.replace("get", "cas"), "-: line 1: \"ok\" must say whether the cas wrote"),
        (
            &format!("{get}\n{}", get.replace("\"client\"", "\"customer\"")),
            "-: line 3: \"client\" must be nanoseconds from zero up, not null",
        ),
    ];
    for (input, sentence) in cases {
        let (code, _, complaint) = check(&["-"], input);
        assert_eq!((code, &*complaint), (2, &*format!("traft: {sentence}\n")), "{input}");
    }
}
