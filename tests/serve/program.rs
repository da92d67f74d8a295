//! `traft cluster up` as a process of its own, with real files, this program's own client commands,
//! and the tools of Redis where they are installed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use traft::resp::Value;
use traft::serve::Client;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn traft() -> Command {
    Command::new(env!("CARGO_BIN_EXE_traft"))
}

pub(crate) struct Up {
    child: Child,
    pub(crate) urls: Vec<String>,
}

impl Drop for Up {
    /// A test that fails leaves nobody behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn empty_dir(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn up(dir: &PathBuf) -> Up {
    up_with(dir, &[])
}

pub(crate) fn up_with(dir: &PathBuf, more: &[&str]) -> Up {
    let mut command = traft();
    command.args(["cluster", "up", "--snapshot-records", "200"]).args(more).arg(dir);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let urls: Vec<String> = lines.take(3).map(|line| line.expect("a line")).collect();
    assert!(urls.len() == 3 && urls.iter().all(|url| url.starts_with("redis://127.0.0.1:")));
    Up { child, urls }
}

/// As ctrl-c does.
pub(crate) fn interrupt(mut up: Up) {
    let sent = Command::new("kill").args(["-INT", &up.child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let status = up.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "ctrl-c ends it in good order");
}

pub(crate) fn client(up: &Up, at: usize) -> Client {
    let address = up.urls[at].strip_prefix("redis://").expect("an address");
    let mut client = Client::connect(address, Some(PATIENCE)).expect("a connection");
    let end = Instant::now() + PATIENCE;
    while client.ask(&["SET", "ready", "yes"]).expect("a reply") != Value::OK {
        assert!(Instant::now() < end, "nobody leads");
    }
    client
}

fn run(args: &[&str], url: &str) -> Output {
    traft().args(args).args(["--url", url]).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let dir = empty_dir("cluster-up");
    let first = up(&dir);
    let mut one = client(&first, 0);
    // Enough for snapshots, some keys with an end, and a number.
    for n in 0..1_000 {
        one.push(&["SET", &format!("key{n}"), &format!("value{n}")]);
        one.push(&["INCR", "number"]);
    }
    one.push(&["SET", "limited", "v", "EX", "100000"]);
    one.send().expect("sent");
    for _ in 0..2_001 {
        assert!(!matches!(one.receive().expect("a reply"), Value::Error(_)));
    }
    interrupt(first);
    let again = up(&dir);
    for at in 0..3 {
        let mut client = client(&again, at);
        assert_eq!(client.ask(&["GET", "number"]).expect("a reply"), Value::text("1000"));
        assert_eq!(client.ask(&["GET", "key999"]).expect("a reply"), Value::text("value999"));
        assert_eq!(client.ask(&["DBSIZE"]).expect("a reply"), Value::Number(1_003));
        let left = client.ask(&["TTL", "limited"]).expect("a reply");
        assert!(matches!(left, Value::Number(99_000..=100_000)), "{left:?}");
    }
    interrupt(again);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

#[test]
fn the_clients_of_the_program() {
    let dir = empty_dir("cluster-clients");
    let cluster = up(&dir);
    client(&cluster, 0);
    let (url, other) = (&cluster.urls[0], &cluster.urls[1]);
    assert_eq!(run(&["get", "greeting"], url).status.code(), Some(1), "there is none");
    assert!(run(&["put", "greeting", "hello"], url).status.success());
    let got = run(&["get", "greeting"], other);
    assert_eq!((got.status.code(), &*text(&got)), (Some(0), "hello\n"));
    let watched = run(&["watch", "greeting", "--count", "1"], other);
    assert_eq!(text(&watched), "hello\n");
    let both = format!("{url},{other}");
    let short = ["--fill", "--keys", "100", "--seconds", "2", "--clients", "8"];
    for more in [&["--mix", "a", "--json"][..], &["--mix", "f", "--rate", "200", "--json"]] {
        let args: Vec<&str> = ["load"].iter().chain(&short).chain(more).copied().collect();
        let loaded = run(&args, &both);
        let complaint = String::from_utf8_lossy(&loaded.stderr).into_owned();
        assert!(loaded.status.success(), "{complaint}");
        let report: serde_json::Value = serde_json::from_slice(&loaded.stdout).expect("JSON");
        let count = |field: &str| report[field]["count"].as_u64().unwrap_or(0);
        assert!(count("reads") > 10 && count("writes") + count("modifies") > 10, "{report}");
        assert!(report["lost"] == 0 && report["errors"] == serde_json::json!({}), "{report}");
        let rate = report["per_second"].as_f64().unwrap_or(0.0);
        // What was held up before the measured second may be answered in it.
        assert!(more[1] == "a" || rate <= 400.0, "a stated rate is kept: {rate}");
    }
    let nobody = run(&["get", "x"], "redis://127.0.0.1:1");
    assert_eq!(nobody.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(complaint.starts_with("traft: 127.0.0.1:1: ") && complaint.lines().count() == 1);
    interrupt(cluster);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// Whether a program is there; says so if not.
fn installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: {program} is not installed (Debian: redis-tools)");
    }
    there
}

#[test]
fn the_tools_of_redis_run_unmodified() {
    if !installed("redis-cli") || !installed("redis-benchmark") {
        return;
    }
    let dir = empty_dir("cluster-redis");
    let cluster = up(&dir);
    client(&cluster, 0);
    for at in 0..3 {
        let port = cluster.urls[at].rsplit(':').next().expect("a port").to_string();
        let cli = |args: &[&str]| {
            let output = Command::new("redis-cli").args(["-p", &port]).args(args).output();
            text(&output.expect("it runs")).trim_end().to_string()
        };
        assert_eq!(cli(&["set", "a", "1"]), "OK");
        assert_eq!(cli(&["-3", "incr", "a"]), "2");
        assert_eq!(cli(&["--scan", "--pattern", "a"]), "a");
        assert!(cli(&["info", "server"]).contains("traft_version"));
        for more in [&["-c", "16"][..], &["-c", "4", "-P", "16"], &["-c", "4", "-3"]] {
            let output = Command::new("redis-benchmark")
                .args(["-p", &port, "-t", "set,get,incr,mset", "-n", "400", "-q"])
                .args(more)
                .output()
                .expect("it runs");
            assert!(output.status.success() && !text(&output).contains("rror"), "{output:?}");
            for test in ["SET", "GET", "INCR", "MSET"] {
                assert!(text(&output).contains(test), "{}", text(&output));
            }
        }
    }
    interrupt(cluster);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// How soon a cluster is well again says little on a machine that has other tests to run.
const RECOVERY_MS: &str = "60000";

/// A few seconds of what `traft nemesis` does for minutes.
#[test]
fn what_clients_of_a_broken_cluster_are_told_can_be_explained() {
    nemesis("nemesis", &["--minutes", "0.2"]);
    nemesis("nemesis-churn", &["--minutes", "0.1", "--faults", "churn"]);
}

#[cfg(feature = "net")]
#[test]
fn the_same_with_a_process_for_each_replica() {
    nemesis("nemesis-processes", &["--processes", "--trace", "--minutes", "0.25"]);
    let churn = ["--processes", "--trace", "--minutes", "0.1", "--faults", "churn,kill"];
    nemesis("nemesis-processes-churn", &churn);
}

/// Seed after seed, as for minutes: nothing is left of what is well.
#[cfg(feature = "net")]
#[test]
fn a_cluster_for_each_seed() {
    let dir = empty_dir("nemesis-seeds");
    let output = traft()
        .args(["nemesis", "--processes", "--clients", "4", "--seeds", "0..2"])
        .args(["--each-seconds", "2", "--recovery-ms", RECOVERY_MS])
        .arg(&dir)
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output));
    assert!(said.contains("seed 0: ") && said.contains("seed 1: "), "{said}");
    let sums = text(&output);
    assert!(sums.contains("seeds       2, something is wrong with 0"), "{sums}");
    assert!(sums.contains("held against the specifications"), "{sums}");
    assert_eq!(std::fs::read_dir(&dir).expect("it is there").count(), 0);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// What the replicas recorded.
fn is_drawn(steps: &std::path::Path) {
    let files = std::fs::read_dir(steps).expect("they recorded").map(|entry| entry.unwrap().path());
    let drawn = traft()
        .args(["explain", "--from", "500", "--steps", "100", "--classic", "--trace"])
        .args(files)
        .output()
        .expect("it runs");
    assert_eq!(drawn.status.code(), Some(0), "{}", String::from_utf8_lossy(&drawn.stderr));
    let story = text(&drawn);
    assert!(story.contains(" has synced\n") && story.contains("n1  "), "{story}");
}

fn nemesis(name: &str, more: &[&str]) {
    let dir = empty_dir(name);
    let history = dir.with_extension("jsonl");
    let output = traft()
        .args(["nemesis", "--clients", "6", "--recovery-ms", RECOVERY_MS])
        .args(more)
        .arg("--history")
        .arg(&history)
        .arg(&dir)
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output));
    assert!(text(&output).contains("history     linearizable"), "{}", text(&output));
    assert!(text(&output).contains("states      equal"), "{}", text(&output));
    let traced = text(&output).lines().any(|line| line.ends_with(", all allowed"));
    assert_eq!(traced, more.contains(&"--trace"), "{}", text(&output));
    if traced {
        is_drawn(&dir.join("steps"));
    }
    // The record says the same to another reader.
    let checked = traft().args(["check", "history"]).arg(&history).output().expect("it runs");
    assert_eq!(checked.status.code(), Some(0));
    // What is there now is in no record.
    let again = traft().arg("nemesis").arg(&dir).output().expect("it runs");
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && why.contains("name another"), "{why}");
    let lines = std::fs::read_to_string(&history).expect("a record").lines().count();
    assert!(lines > 100, "{lines} requests");
    std::fs::remove_dir_all(dir).expect("it made the directory");
    std::fs::remove_file(history).expect("it made the file");
}
