//! A replica that is told of some others, and nothing else, joins their cluster: with a process for
//! each. What it is told when it may not.

use super::operate::done;
use super::processes::{ask, fleet, until};
use super::program::{empty_dir, traft};
use super::smoke::up;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use traft::base::ReplicaId;
use traft::resp::Value;
use traft::serve::ClusterOptions;
use traft::serve::fleet::Fleet;

/// Not in the range of those of a fleet, so that nobody else has them by chance.
fn free_port() -> u16 {
    let any = TcpListener::bind("127.0.0.1:0").expect("a port");
    any.local_addr().expect("it has one").port()
}

/// A replica that is started by hand.
struct Newcomer {
    args: Vec<String>,
    at: String,
    child: Option<Child>,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Newcomer {
    fn new(dir: &Path, id: u64) -> Newcomer {
        let (at, peers) = (format!("127.0.0.1:{}", free_port()), free_port());
        let own = |what: &str| dir.join(what).join(id.to_string()).display().to_string();
        let args = [
            "--id",
            &id.to_string(),
            "--dir",
            &own("newcomers"),
            "--certs",
            &own("certs"),
            "--listen",
            &at,
            "--peer-listen",
            &format!("127.0.0.1:{peers}"),
        ];
        Newcomer { args: args.map(String::from).to_vec(), at, child: None }
    }

    fn start(&mut self, more: &[&str]) {
        let mut command = serve();
        command.args(&self.args).args(more).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        self.child = Some(child);
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert!(line.starts_with("redis://"), "{line:?}");
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `traft serve`, in an environment that says nothing.
fn serve() -> Command {
    let mut command = traft();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRAFT_")) {
        command.env_remove(name);
    }
    command.arg("serve").stdin(Stdio::null());
    command
}

fn start(fleet: &mut Fleet, ids: std::ops::RangeInclusive<u64>) {
    ids.for_each(|id| drop(fleet.start(ReplicaId(id), &["--new"]).expect("it starts")));
}

fn more_certificates(dir: &Path, count: &str) {
    let made = traft().args(["cert", "init", "-n", count]).arg(dir.join("certs")).output();
    assert!(made.expect("the program runs").status.success());
}

/// They are told of those that were there, and not of each other; what replicas talk over they
/// learn as well. In the end those that joined are needed, and call each other.
#[cfg(feature = "quic")]
#[test]
fn replicas_join_that_nobody_named() {
    let dir = empty_dir("join");
    let mut fleet = fleet(&dir, 3, None, "quic");
    let at = fleet.addresses();
    start(&mut fleet, 1..=3);
    until("a write", || ask(at[0], &["SET", "a", "1"]));
    more_certificates(&dir, "5");
    // Nobody is at the first one.
    let seeds = format!("127.0.0.1:1,{},redis://{},{}", at[0], at[1], at[2]);
    let [mut four, mut five] = [4, 5].map(|id| Newcomer::new(&dir, id));
    four.start(&["--join", &seeds]);
    assert!(!done(at[0], &["member", "show"]).contains("n4"), "it counts for nothing");
    done(at[0], &["member", "add", "4"]);
    five.start(&["--join", &seeds]);
    done(at[0], &["member", "add", "5"]);
    assert!(done(at[0], &["member", "show"]).contains("(n1 n2 n3 n4 n5;"));
    // One that has lost its directory is not taken for a new one: its word counted.
    five.end();
    std::fs::remove_dir_all(dir.join("newcomers/5")).expect("it lived there");
    let told = refusal(&five.args, &["--join", &seeds]);
    assert!(told.1.contains("n5 is a member already") && told.0 == Some(2), "{}", told.1);
    five.start(&["--join", &seeds, "--wiped"]);
    let status = || ask(&*five.at, &["TRAFT", "STATUS"]).filter(|said| holds(said, "doubtful:0"));
    until("it has been given everything back", status);
    // From now on four asks nobody, whether it is told to or not.
    four.end();
    four.start(&["--join", "127.0.0.1:1"]);
    four.end();
    four.start(&[]);
    [1, 2].into_iter().for_each(|id| fleet.stop(ReplicaId(id)).expect("it ends"));
    let write = || ask(&*four.at, &["SET", "a", "2"]).filter(|reply| *reply == Value::OK);
    until("a write by one that is left and two that joined", write);
    let read = until("a read", || ask(&*five.at, &["GET", "a"]));
    assert_eq!(read, Value::text("2"));
    drop((four, five, fleet));
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

fn holds(said: &Value, line: &str) -> bool {
    matches!(said, Value::Bulk(text) if String::from_utf8_lossy(text).lines().any(|l| l == line))
}

/// Who it is, whom it asks, what it is told besides; how it ends, and what it says.
type Case<'a> = (u64, &'a [&'a str], &'a [&'a str], i32, &'a str);

/// What it says, with one sentence, when it does not start.
fn refusal(args: &[String], more: &[&str]) -> (Option<i32>, String) {
    let output: Output = serve().args(args).args(more).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{more:?}: {said}");
    (output.status.code(), said)
}

#[test]
fn whoever_cannot_join_is_told_why_and_what_to_do() {
    let dir = empty_dir("join-refused");
    let mut fleet = fleet(&dir, 2, Some("(n1)"), "grpc");
    let at = fleet.addresses();
    start(&mut fleet, 1..=1);
    until("a write", || ask(at[0], &["SET", "a", "1"]));
    more_certificates(&dir, "4");
    let loopback = up(&ClusterOptions::default());
    let within = loopback.addresses()[0].to_string();
    let seed = at[0].to_string();
    let four = Newcomer::new(&dir, 4).args.clone();
    let join: &[&str] = &["--join", &seed];
    let cases: &[Case<'_>] = &[
        (1, join, &[], 2, "n1 is a member already, as 127.0.0.1:"),
        (2, join, &[], 2, "take another number if that is another replica, else say --peers 2=127"),
        (4, join, &["--cluster", "other"], 2, "belongs to the cluster \"local\", and this one is"),
        (4, join, &["--members", "(n1 n2)"], 2, "started with (n1; read 1, write 1), and this one"),
        (4, join, &["--transport", "quic"], 2, "talks over grpc, and this one says quic: leave"),
        (4, &["--join", &within], &[], 2, "(it says nothing of its cluster)"),
        (4, &["--join", "127.0.0.1:1"], &[], 1, "nobody to join in 5 s (127.0.0.1:1: "),
        (4, &["--join", "a:b"], &[], 2, "\"a:b\" is not HOST:PORT"),
    ];
    for (id, join, more, code, why) in cases {
        let args = Newcomer::new(&dir, *id).args.clone();
        let told = refusal(&args, &[*join, *more].concat());
        assert_eq!(told.0, Some(*code), "{join:?} {more:?}: {}", told.1);
        assert!(told.1.contains(why), "{join:?} {more:?}: {} says nothing of {why}", told.1);
        assert!(!dir.join("newcomers").join(id.to_string()).exists(), "nothing is left of it");
    }
    // In the clear nobody is heard who was not named.
    let open: Vec<String> = four.iter().filter(|arg| !arg.contains("cert")).cloned().collect();
    let told = refusal(&open, join);
    assert!(told.1.contains("hears nobody whom it was not told of: name n4"), "{}", told.1);
    let anywhere = four.iter().map(|arg| if arg.contains(':') { "0.0.0.0:7379" } else { arg });
    let anywhere: Vec<String> = anywhere.map(String::from).collect();
    let told = refusal(&anywhere, join);
    assert!(told.1.contains("say --peers 4=HOST:PORT"), "{}", told.1);
    // A password that is none of that cluster's.
    let output = serve().args(&four).args(join).env("TRAFT_PASSWORD", "x").output();
    let said = String::from_utf8_lossy(&output.expect("it runs").stderr).into_owned();
    assert!(said.contains("say the password of that cluster with TRAFT_PASSWORD"), "{said}");
    // Somebody lived there who did not join.
    let lived = dir.join("lived");
    std::fs::create_dir_all(&lived).expect("a directory");
    std::fs::write(lived.join("0000000000000000.wal"), b"").expect("a file");
    let mut args = four;
    args[3] = lived.display().to_string();
    let told = refusal(&args, join);
    assert!(told.1.contains("is not empty, so it asks nobody of --join"), "{}", told.1);
    // What it would do, without doing anything.
    let mut command = serve();
    command.args(&args[..2]).args(["--dir", "none"]).args(&args[4..]).args(join);
    let output = command.arg("--check-config").output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("replica           n4, which joins"), "{told}");
    assert!(told.contains(&format!("all else          as {seed} says")), "{told}");
    drop((fleet, loopback));
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
