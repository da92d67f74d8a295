//! Clients that others wrote, where they are installed.

use super::program::{client, empty_dir, interrupt, up_with};
use std::process::Command;

/// A Python that has the client; says so if there is none.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import redis"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    // The one of the system has the packages of the system.
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if found.is_none() {
        eprintln!("skipped: no Python with `redis` (Debian: python3-redis; or pip install redis)");
    }
    found
}

#[test]
fn every_command_through_the_python_client() {
    let Some(python) = python() else { return };
    let dir = empty_dir("python");
    let cluster = up_with(&dir, &[]);
    client(&cluster, 0);
    for url in &cluster.urls {
        let port = url.rsplit(':').next().expect("a port");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/client.py");
        let output = Command::new(python).args([script, port]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    }
    interrupt(cluster);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
