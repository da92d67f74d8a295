//! The program `traft compare` from outside: what it prints, and how it ends.

use serde_json::Value;
use std::process::{Command, Output};

fn traft(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_traft"));
    command.args(args).output().expect("the program starts")
}

fn compare(args: &[&str]) -> Output {
    traft(&[&["compare"], args].concat())
}

/// Standard output of a run that must succeed.
fn stdout(args: &[&str]) -> String {
    let output = compare(args);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {complaint}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn rows(args: &[&str]) -> Vec<Value> {
    rows_of(&stdout(&[args, &["--json"]].concat()))
}

fn rows_of(text: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(text).expect("one JSON document");
    document["rows"].as_array().expect("rows").clone()
}

/// A file of this test, with this content.
fn file(name: &str, content: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("a writable directory");
    path.to_str().expect("a readable path").to_string()
}

/// The quickest scenario that both exercises links and has bounds.
const QUICK: [&str; 4] = ["--scenario", "overwrite", "--network", "lan"];

#[test]
fn bad_input_is_one_sentence_and_exit_code_2() {
    let bad_trace = file("bad.csv", "# a trace\nseconds,op,lbn,sectors\n0,W,1,8\n0,W,x,8\n");
    let crooked = file("crooked.toml", "regions = [\"a\", \"b\"]\nrtt_ms = [[0, 1], [1]]\n");
    let cache = file("cache.csv", "0,a,1,256,7,get,0\n0,a,1,10,7,set,86400\n");
    let block = ["--scenario", "block"];
    let cases: [(&[&str], &[&str]); 11] = [
        (&block, &["the scenario block needs --trace FILE"]),
        (
            &[&block[..], &["--trace", &cache]].concat(),
            &["the scenario block needs a trace of requests to a disk", "this one is of a cache"],
        ),
        (&["--scenario", "storm"], &["unknown scenario \"storm\"", "quiet", "trace"]),
        (&["--trace", &bad_trace], &["bad.csv, line 4", "lbn must be a whole number"]),
        (&["--matrix", &crooked], &["crooked.toml", "not square"]),
        (&["--trace", "no/such/file.csv"], &["no/such/file.csv"]),
        (&["--matrix", "no/such/file.toml"], &["no/such/file.toml"]),
        (&["--seed", "minus one"], &["--seed", "minus one"]),
        (&["--sed", "1"], &["--sed"]),
        (&["--interference", "200"], &["--interference", "200"]),
        (&["--json", "--csv"], &["--json", "--csv"]),
    ];
    for (args, words) in cases {
        let output = compare(args);
        let complaint = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{args:?}: {complaint}");
        assert!(words.iter().all(|word| complaint.contains(word)), "{args:?}: {complaint}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn without_a_command_the_program_says_which_there_is() {
    let output = traft(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("traft compare"));
}

#[test]
fn help_teaches() {
    let help = stdout(&["--help"]);
    for word in ["Examples:", "Scenarios:", "Exit codes:", "slow-command", "calibration", "--seed"]
    {
        assert!(help.contains(word), "{word} is missing:\n{help}");
    }
    assert_eq!(traft(&["--version"]).status.code(), Some(0));
}

#[test]
fn json_has_every_promised_field_in_every_row() {
    let text = stdout(&[&QUICK[..], &["--json", "--seed", "5"]].concat());
    let document: Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(document["seed"], 5);
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4, "{text}");
    for row in rows {
        for field in ["scenario", "network", "link", "side"] {
            assert!(row[field].is_string(), "{field}: {row}");
        }
        let times = ["mean_ms", "p50_ms", "p99_ms", "p999_ms", "max_ms", "rtt_ms"];
        assert!(times.iter().all(|field| row[field].as_f64().is_some_and(|t| t > 0.0)), "{row}");
        let counts = ["ops", "unfinished", "messages", "records_sent", "records_applied", "bytes"];
        assert!(counts.iter().all(|field| row[field].is_u64()), "{row}");
        for bound in ["bound", "bound_ordered"] {
            assert!(row[bound]["p50_ms"].as_f64().is_some_and(|t| t > 0.0), "{row}");
            assert!(row[bound]["p99_ms"].is_f64() && row[bound]["p999_ms"].is_f64(), "{row}");
        }
        assert_eq!(row["violations"], 0);
        assert_eq!(row["rtt_ms"], 0.5);
        assert_eq!(row["param"], "keys=10");
        assert!(row.get("interference").is_some());
    }
}

#[test]
fn one_seed_gives_the_same_bytes_and_another_seed_others() {
    let run = |seed: &str| stdout(&[&QUICK[..], &["--json", "--seed", seed]].concat());
    let loss = |seed: &str| {
        stdout(&[
            "--scenario",
            "loss",
            "--network",
            "lan",
            "--interference",
            "2",
            "--csv",
            "--seed",
            seed,
        ])
    };
    assert_eq!(run("3"), run("3"));
    assert_eq!(loss("3"), loss("3"));
    assert_ne!(loss("3"), loss("4"));
}

#[test]
fn csv_is_a_table_with_the_fields_of_json() {
    let text = stdout(&[&QUICK[..], &["--csv"]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("scenario,network,link,side,interference,param,mean_ms,p50_ms"));
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns), "{text}");
}

#[test]
fn filters_leave_only_what_was_asked_for() {
    let rows = rows(&[&QUICK[..], &["--side", "raft", "--link", "ordered"]].concat());
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["side"], &rows[0]["link"]), (&"raft".into(), &"ordered".into()));
}

#[test]
fn a_trace_runs_in_a_closed_loop() {
    let requests: String = (0..2_000)
        .map(|n| format!("{},{},{},8\n", n / 100, if n % 3 == 0 { "R" } else { "W" }, n % 64 * 4))
        .collect();
    let path = file("good.csv", &requests);
    let rows = rows(&["--trace", &path, "--network", "loss", "--depth", "4"]);
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!((&row["scenario"], &row["param"]), (&"trace".into(), &"depth=4".into()));
        assert_eq!((&row["ops"], &row["unfinished"]), (&2_000.into(), &0.into()), "{row}");
    }
}

/// A block trace on devices that take time: by depth, in each weather.
#[test]
fn a_block_store_is_faster_with_more_in_flight() {
    let requests: String = (0..600)
        .map(|n| format!("{},{},{},8\n", n / 100, if n % 5 == 0 { "R" } else { "W" }, n % 97 * 4))
        .collect();
    let path = file("block.csv", &requests);
    let run = |more: &[&str]| {
        let args = ["--scenario", "block", "--trace", &path, "--depth", "1,16", "--json"];
        stdout(&[&args, more].concat())
    };
    let text = run(&[]);
    assert!(text == run(&[]), "the same bytes");
    let rows = rows_of(&text);
    let weathers = ["lan", "loss", "jitter", "slow-leader", "all-at-once"];
    assert_eq!(rows.len(), weathers.len() * 2 * 6, "{text}");
    let per_second = |network: &str, side: &str, depth: &str| {
        let is = |row: &&Value| {
            (&row["network"], &row["side"], &row["link"], &row["param"])
                == (&network.into(), &side.into(), &"unordered".into(), &depth.into())
        };
        let row = rows.iter().find(is).expect("a row");
        assert_eq!((&row["ops"], &row["unfinished"]), (&600.into(), &0.into()), "{row}");
        assert!(row["read_mean_ms"].is_f64() && row["write_p99_ms"].is_f64(), "{row}");
        assert!(row["bound"].is_null(), "{row}");
        row["per_second"].as_f64().expect("a rate")
    };
    for network in weathers {
        let rates = ["depth=1", "depth=16"].map(|depth| per_second(network, "traft", depth));
        assert!(rates[1] > 2.0 * rates[0], "{network}: {rates:?}");
    }
    let calm = per_second("lan", "traft", "depth=16");
    assert!(calm > 1.2 * per_second("lan", "raft", "depth=16"), "one command at a time");
    assert!(calm > 1.5 * per_second("slow-leader", "traft", "depth=16"), "a slow leader is slow");
    // Everything that a trace of a disk is for, and the page with the commands over its tables.
    let page = file("block.html", "");
    let some = ["--all", "--trace", &path, "--network", "lan", "--depth", "1,2,4"];
    let all = rows_of(&stdout(&[&some[..], &["--report", &page, "--json"]].concat()));
    let scenarios: Vec<&Value> = all.iter().map(|row| &row["scenario"]).collect();
    assert!(scenarios.contains(&&"trace".into()) && scenarios.contains(&&"block".into()));
    let page = std::fs::read_to_string(page).expect("a page");
    let command = "traft compare --seed 1 --scenario block --network lan --depth 1,2,4 --trace ";
    assert!(page.contains(command) && page.contains("answered a second, by depth"));
    let one = run(&["--network", "slow-leader", "--side", "raft", "--link", "ordered"]);
    for row in rows_of(&one) {
        assert!(rows.contains(&row), "a row by itself is the same row: {row}");
    }
}

#[test]
fn a_matrix_from_a_file_is_a_network() {
    let path = file(
        "two-ways.toml",
        "regions = [\"a\", \"b\", \"c\"]\nrtt_ms = [[0, 8, 9], [8, 0, 4], [9, 4, 0]]\n",
    );
    let rows = rows(&["--matrix", &path, "--scenario", "quiet", "--side", "raft"]);
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!((&row["network"], &row["rtt_ms"]), (&"two-ways".into(), &4.0.into()));
        // The bytes of a command and its acknowledgement take their time to leave.
        assert!((4.0..4.1).contains(&row["p50_ms"].as_f64().expect("a time")), "{row}");
    }
}
