//! What operators ask of a cluster that runs: over the protocol of the clients, and with the
//! program's own commands. The walk of docs/membership.md, with a process for each replica.

use super::processes::{ask, fleet, until};
use super::program::{empty_dir, traft};
use super::smoke::{client, settled, show, shown, up};
use std::net::SocketAddr;
use std::process::Output;
use traft::base::ReplicaId;
use traft::resp::Value;
use traft::serve::ClusterOptions;
use traft::serve::fleet::Fleet;

#[test]
fn operators_use_the_protocol_of_the_clients() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let mut clients: Vec<_> = (0..3).map(|at| client(&cluster, at)).collect();
    let documented = include_str!("../../docs/redis.md");
    let help = shown(&mut clients[0], "TRAFT HELP");
    let lines: Vec<&str> = help.split('"').filter(|part| part.starts_with("TRAFT")).collect();
    assert!(lines.len() == 9, "{help}");
    for line in lines {
        assert!(documented.contains(&format!("| `{line}` |")), "docs/redis.md lacks {line}");
    }
    for (wrong, why) in [
        ("TRAFT", "ERR wrong number"),
        ("TRAFT SING", "ERR unknown subcommand"),
        ("TRAFT MEMBER ADD x", "ERR expected the number of a replica"),
        ("TRAFT MEMBER SET (n1", "ERR "),
    ] {
        let words: Vec<&str> = wrong.split(' ').collect();
        match clients[0].ask(&words).expect("a reply") {
            Value::Error(said) => assert!(said.starts_with(why.as_bytes()), "{wrong}: {said:?}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    // Whoever does not lead says who does; whoever leads says why not.
    let refusals = |clients: &mut Vec<_>, line: &str| -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let one = |client: &mut traft::serve::Client| client.ask(&words).expect("a reply");
        clients.iter_mut().map(|client| show_whole(&one(client))).collect()
    };
    let said = refusals(&mut clients, "TRAFT MEMBER ADD 2");
    assert_eq!(said.iter().filter(|s| s.starts_with("MOVED 0 127.0.0.1:")).count(), 2, "{said:?}");
    assert!(said.iter().any(|s| s == "ERR n2 is already a member"), "{said:?}");
    let said = refusals(&mut clients, "TRAFT TRANSFER 9");
    assert!(said.iter().any(|s| s == "ERR n9 does not vote in the newest membership"), "{said:?}");
    let said = refusals(&mut clients, "TRAFT MEMBER CANCEL 9");
    assert!(said.iter().any(|s| s == "ERR no change of this number is under way"), "{said:?}");
    let nothing = "ERR there is no snapshot here; have one taken";
    assert_eq!(refusals(&mut clients, "TRAFT SNAPSHOT SEND 4"), [nothing; 3]);
    assert_eq!(refusals(&mut clients, "TRAFT SNAPSHOT"), ["OK", "OK", "OK"]);
    let own = "ERR n3 is the one that is asked";
    assert_eq!(refusals(&mut clients, "TRAFT SNAPSHOT SEND 3"), ["OK", "OK", own]);
    for (client, id) in clients.iter_mut().zip(1..) {
        let status = shown(client, "TRAFT STATUS");
        for line in [format!("id:{id}"), "membership:(n1 n2 n3; read 2, write 2)".into()] {
            assert!(status.contains(&format!("{line}\\r\\n")), "{status} lacks {line}");
        }
        assert!(status.contains("snapshots_taken:1") && status.contains("seat_3:127.0.0.1:"));
    }
}

/// An error whole, and anything else as elsewhere.
fn show_whole(value: &Value) -> String {
    match value {
        Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
        other => show(other),
    }
}

#[test]
fn operators_say_the_password_as_others_do() {
    let cluster = up(&ClusterOptions { password: Some("secret".into()), ..Default::default() });
    let mut stranger = client(&cluster, 0);
    for line in ["TRAFT STATUS", "TRAFT TRANSFER", "TRAFT MEMBER REMOVE 1"] {
        assert_eq!(shown(&mut stranger, line), "!NOAUTH", "{line}");
    }
    assert_eq!(shown(&mut stranger, "AUTH secret"), "OK");
    assert!(shown(&mut stranger, "TRAFT STATUS").contains("role:"));
}

/// A command of the program, about the replica of this address.
fn run(at: SocketAddr, args: &[&str]) -> Output {
    let url = format!("redis://{at}");
    traft().args(args).args(["--url", &url]).output().expect("the program runs")
}

/// The same, which has to go well; gives what it prints.
pub(crate) fn done(at: SocketAddr, args: &[&str]) -> String {
    let output = run(at, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn set(at: SocketAddr, value: &str) {
    until("a write", || ask(at, &["SET", "walk", value]));
}

fn start(fleet: &mut Fleet, ids: std::ops::RangeInclusive<u64>) {
    ids.for_each(|id| drop(fleet.start(ReplicaId(id), &["--new"]).expect("it starts")));
}

#[test]
fn the_walk_of_the_membership_page_with_commands() {
    let dir = empty_dir("walk");
    let mut fleet = fleet(&dir, 5, Some("(n1)"), "grpc");
    let at = fleet.addresses();
    start(&mut fleet, 1..=1);
    set(at[0], "alone");
    let dead = run(at[0], &["member", "add", "2"]);
    let why = String::from_utf8_lossy(&dead.stderr).into_owned();
    assert_eq!(dead.status.code(), Some(1), "{why}");
    assert!(why.contains("n2 would vote and does not answer; start it, or force the change"));
    // One, three, five.
    start(&mut fleet, 2..=3);
    done(at[0], &["member", "add", "2", "--request", "1"]);
    // Asked again, it is the same change.
    done(at[0], &["member", "add", "2", "--request", "1"]);
    done(at[0], &["member", "add", "3"]);
    set(at[1], "three");
    start(&mut fleet, 4..=5);
    done(at[2], &["member", "set", "(n1 n2 n3 n4 n5)"]);
    let shown = done(at[3], &["member", "show"]);
    assert!(shown.starts_with("in force   (n1 n2 n3 n4 n5; read 3, write 3)\n"), "{shown}");
    set(at[4], "five");
    // Leadership goes to one that stays, then it shrinks; those that left may be switched off.
    done(at[0], &["transfer", "2"]);
    done(at[4], &["member", "set", "(n1 n2 n3)"]);
    (4..=5).for_each(|id| fleet.stop(ReplicaId(id)).expect("it ends in good order"));
    set(at[2], "shrunk");
    done(at[0], &["member", "remove", "1"]);
    let read = until("a read", || ask(at[1], &["GET", "walk"]));
    assert_eq!(read, Value::text("shrunk"));
    done(at[1], &["snapshot", "take"]);
    done(at[1], &["snapshot", "send", "3"]);

    let table = done(at[1], &["status", "--watch", "--count", "2"]);
    assert!(table.contains("n2  ") && table.contains("leader") && table.contains("follower"));
    assert!(table.contains("does not answer: ") && table.contains("membership (n2 n3; read 2"));
    let json = done(at[1], &["status", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let of = |id: u64| {
        let found = all.as_array().expect("a list").iter().find(|one| one["id"] == id);
        found.expect("it answers").clone()
    };
    assert_eq!(of(2)["memberships"], serde_json::json!(["(n2 n3; read 2, write 2)"]));
    assert!(of(2)["snapshots_taken"].as_u64() > Some(0), "{json}");
    drop(fleet);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
