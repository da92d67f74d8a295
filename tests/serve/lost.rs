//! Directories that are lost: one of three, which the others give back, and two of three, after
//! which somebody has to accept what may be lost. With the program's own commands.

use super::program::{Up, client, empty_dir, interrupt, traft, up_with};
use bytes::Bytes;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use traft::apply::Request;
use traft::apply::redis::{Answer, Op, Store};
use traft::base::{Command, Membership, ReplicaId};
use traft::disk::RealDisk;
use traft::resp::Value;
use traft::runtime::{Loopback, Node, NodeOptions};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the program says when it does not do what it is asked: its exit code and its complaint.
fn refused(args: &[&str], dir: &Path) -> (Option<i32>, String) {
    let output = traft().args(args).arg(dir).output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn set(up: &Up, at: usize, value: &str) {
    let said = client(up, at).ask(&["SET", "k", value]).expect("a reply");
    assert_eq!(said, Value::OK);
}

/// A directory that was emptied is not taken for that of a new replica: it would vote for whoever
/// lacks what it has acknowledged.
#[test]
fn an_emptied_directory_is_no_new_replica() {
    let dir = empty_dir("emptied");
    let first = up_with(&dir, &[]);
    set(&first, 0, "kept");
    interrupt(first);
    let wrong = refused(&["cluster", "up", "-n", "5"], &dir);
    assert!(wrong.0 == Some(2) && wrong.1.contains("has a cluster of 3: say -n 3"), "{wrong:?}");
    std::fs::remove_dir_all(dir.join("2")).expect("nobody holds it");
    let lost = refused(&["cluster", "up"], &dir);
    let why = "replica 2 does not start: there is no log in the directory";
    assert!(lost.0 == Some(2) && lost.1.contains(why), "{lost:?}");
    let stranger = refused(&["cluster", "up", "--wiped", "4"], &dir);
    assert!(stranger.1.contains("--wiped 4: there are replicas 1 to 3"), "{stranger:?}");
    // It is known: the replica is given everything back, and reads there find it.
    let again = up_with(&dir, &["--wiped", "2"]);
    let mut second = client(&again, 1);
    assert_eq!(second.ask(&["GET", "k"]).expect("a reply"), Value::text("kept"));
    interrupt(again);
    // From then on it is as the others.
    let third = up_with(&dir, &[]);
    assert_eq!(client(&third, 1).ask(&["GET", "k"]).expect("a reply"), Value::text("kept"));
    interrupt(third);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// A read of the store, as a command of the machine.
struct Get;

impl Request for Get {
    type Answer = Answer;

    fn command(&self) -> Command {
        Op::Get { key: b"k" }.command().expect("a short key")
    }

    fn answer(result: &Bytes) -> Answer {
        Answer::decode(result).expect("an answer of the machine")
    }
}

/// What a replica reads that is a cluster of its own.
fn read_alone(dir: &Path, id: u64) -> Answer {
    let members = Membership::majority((1..=3).map(ReplicaId));
    let options = NodeOptions::new(ReplicaId(id), members);
    let disk = RealDisk::new(dir.join(id.to_string())).expect("its directory");
    let node = Node::open(disk, options, Store::new(), &Loopback::new()).expect("it opens");
    let end = Instant::now() + PATIENCE;
    loop {
        node.campaign();
        let read = node.read(&Get).expect("room").wait_for(Duration::from_secs(1));
        if let Some(Ok(answer)) = read {
            assert_eq!(node.close(), Ok(()));
            return answer;
        }
        assert!(Instant::now() < end, "it does not lead itself");
    }
}

fn recover(dir: &Path, survivors: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = traft();
    command.arg("recover").args(survivors.iter().map(|survivor| dir.join(survivor))).args(more);
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn a_lost_majority_is_gone_on_without_only_on_demand() {
    let dir = empty_dir("majority");
    let began = ["--started-with", "(n1 n2 n3)"];
    let running = up_with(&dir, &[]);
    set(&running, 0, "kept");
    // Each has it, so that the outcome does not depend on who is left.
    for at in 0..3 {
        let read = client(&running, at).ask(&["GET", "k"]).expect("a reply");
        assert_eq!(read, Value::text("kept"));
    }
    let held = recover(&dir, &["3"], &began);
    assert!(held.0 == Some(2) && held.2.lines().count() == 1, "it is running: {held:?}");
    interrupt(running);

    let needless = recover(&dir, &["2", "3"], &began);
    assert!(needless.0 == Some(2) && needless.2.contains("nothing is lost"), "{needless:?}");
    let nowhere = recover(&dir, &["7"], &began);
    assert!(nowhere.0 == Some(2) && !dir.join("7").exists(), "{nowhere:?}");
    let wrong = recover(&dir, &["3"], &["--started-with", "(n1"]);
    assert!(wrong.0 == Some(2) && wrong.2.contains("--started-with"), "{wrong:?}");

    for id in ["1", "2"] {
        std::fs::remove_dir_all(dir.join(id)).expect("nobody holds it");
    }
    let told = recover(&dir, &["3"], &began);
    assert_eq!(told.0, Some(1), "{told:?}");
    assert!(told.1.contains("given up     n1 n2; they must never start again"), "{told:?}");
    assert!(told.1.contains("MAY BE LOST") && told.1.contains("nothing was changed"), "{told:?}");
    // Nothing was: it is told the same again.
    assert_eq!(recover(&dir, &["3"], &began), told);

    let done = recover(&dir, &["3"], &[began[0], began[1], "--accept-loss"]);
    assert!(done.0 == Some(0) && done.1.contains("done; start all survivors"), "{done:?}");
    assert_eq!(read_alone(&dir, 3), Answer::Value(Bytes::from_static(b"kept")));
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
