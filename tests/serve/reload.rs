//! Certificates and the password change while replicas run.

use super::processes::{PATIENCE, until};
use super::program::empty_dir;
use rustix::process::Signal;
use std::net::SocketAddr;
use traft::base::ReplicaId;
use traft::resp::Value;
use traft::serve::fleet::{Fleet, Plan};
use traft::serve::{Client, certs};

/// A client that has been let in, if this is the password.
fn let_in(address: SocketAddr, password: &str) -> Option<Client> {
    let mut client = Client::connect(address, Some(PATIENCE)).ok()?;
    (client.ask(&["AUTH", password]).ok()? == Value::OK).then_some(client)
}

fn writes(address: SocketAddr, password: &str, key: &str) {
    until("a write", || {
        let_in(address, password)?.ask(&["SET", key, "v"]).ok().filter(|reply| *reply == Value::OK)
    });
}

#[test]
fn certificates_and_the_password_are_read_again() {
    let dir = empty_dir("reload");
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join("password");
    std::fs::write(&file, "old\n").expect("a file");
    let plan = Plan {
        program: env!("CARGO_BIN_EXE_traft").into(),
        dir: dir.clone(),
        replicas: 3,
        members: None,
        port: 0,
        flags: vec![format!("--password-file={}", file.display())],
    };
    let mut fleet = Fleet::new(plan).expect("a fleet");
    let ids: Vec<ReplicaId> = fleet.places().keys().copied().collect();
    ids.iter().for_each(|id| drop(fleet.start(*id, &["--new"]).expect("it starts")));
    let addresses = fleet.addresses();
    addresses.iter().for_each(|address| writes(*address, "old", "before"));
    let mut guest = let_in(addresses[0], "old").expect("the password");
    // Another authority: whoever goes by one of them hears nobody who goes by the other.
    std::fs::remove_dir_all(dir.join("certs")).expect("certificates");
    certs::make(&dir.join("certs"), ids.iter().copied()).expect("certificates");
    std::fs::write(&file, "new\n").expect("a file");
    let again = |fleet: &Fleet| {
        ids.iter().for_each(|id| fleet.signal(*id, Signal::HUP).expect("it runs"));
    };
    again(&fleet);
    for address in &addresses {
        until("the new password", || let_in(*address, "new"));
        assert!(let_in(*address, "old").is_none());
        writes(*address, "new", "after");
    }
    assert_eq!(guest.ask(&["GET", "after"]).expect("a reply"), Value::text("v"), "it stays");
    // What is of no use changes nothing.
    std::fs::write(dir.join("certs/1/authority.pem"), "nonsense").expect("a file");
    std::fs::write(&file, "newest\n").expect("a file");
    again(&fleet);
    until("the newest password", || let_in(addresses[1], "newest"));
    addresses[1..].iter().for_each(|address| writes(*address, "newest", "last"));
    writes(addresses[0], "new", "last");
    drop(fleet);
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
