//! A request has one name wherever it goes: one search finds it in what all replicas say.

use super::processes::{ask, until};
use super::program::empty_dir;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::thread;
use traft::base::ReplicaId;
use traft::serve::fleet::{Fleet, Plan};

/// What replicas have said so far: who, and a line.
type Said = Arc<Mutex<Vec<(u64, String)>>>;

/// What each replica has said of this request, in its order.
fn of(said: &Said, request: &str) -> Vec<(u64, String)> {
    let word = format!("request={request}");
    let said = said.lock().expect("no panic");
    let is_meant = |line: &str| line.split(' ').any(|part| part == word);
    said.iter().filter(|(_, line)| is_meant(line)).cloned().collect()
}

/// Which request a line is about.
fn name(line: &str) -> Option<&str> {
    line.split(' ').find_map(|part| part.strip_prefix("request="))
}

/// A request of which one replica has said all of the first, and another one all of the second.
fn found(said: &Said, here: &[&str], there: &[&str]) -> Option<String> {
    let mut names: Vec<String> = {
        let said = said.lock().expect("no panic");
        said.iter().filter_map(|(_, line)| name(line)).map(String::from).collect()
    };
    names.dedup();
    names.into_iter().rev().find(|request| {
        let of = of(said, request);
        let has = |at: u64, all: &[&str]| {
            let one = |what: &&str| {
                let what = format!("request: {what} ");
                of.iter().any(|(by, line)| *by == at && line.contains(&what))
            };
            all.iter().all(one)
        };
        let at = (1..=3).find(|at| request.starts_with(&format!("n{at}-")) && has(*at, here));
        at.is_some_and(|at| (1..=3).any(|other| other != at && has(other, there)))
    })
}

#[test]
fn a_request_is_found_under_one_name_at_both_replicas() {
    let dir = empty_dir("trail");
    let plan = Plan {
        program: env!("CARGO_BIN_EXE_traft").into(),
        dir: dir.clone(),
        replicas: 3,
        members: None,
        port: 0,
        flags: vec!["--log=debug".into()],
    };
    let mut fleet = Fleet::new(plan).expect("a fleet");
    let said = Said::default();
    let readers: Vec<_> = (1..=3)
        .map(|id| {
            let lines = fleet.start(ReplicaId(id), &["--new"]).expect("it starts");
            let said = said.clone();
            thread::spawn(move || {
                for line in BufReader::new(lines).lines().map_while(Result::ok) {
                    said.lock().expect("no panic").push((id, line));
                }
            })
        })
        .collect();
    let addresses = fleet.addresses();
    let round = |words: &[&str]| addresses.iter().for_each(|address| drop(ask(*address, words)));
    until("a write that is found at both", || {
        round(&["SET", "k", "v"]);
        let here = ["asked", "passed on", "told what became of it", "answered"];
        found(&said, &here, &["asked to place it", "placed"])
    });
    until("a read that is found at both", || {
        round(&["GET", "k"]);
        let here = ["asked", "asks what it has to see", "told what it has to see", "answered"];
        found(&said, &here, &["asked what it has to see", "says what it has to see"])
    });
    drop(fleet);
    readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
