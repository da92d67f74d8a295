//! A cluster that is cut apart, and what it tells of itself.

use crate::smoke::{PATIENCE, client, settled, show, shown, up};
use std::time::Instant;
use traft::serve::{Client, ClusterOptions};

#[test]
fn a_replica_that_is_cut_off_catches_up_and_has_the_same_state() {
    let cluster = up(&ClusterOptions { faults: true, ..Default::default() });
    settled(&cluster);
    let mut clients: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    // Whoever leads, two of three go on.
    for id in 1..=3 {
        assert_eq!(
            show(&clients[0].ask(&["FAULT", "cut", &id.to_string()]).expect("a reply")),
            "OK"
        );
        let other = (id + 1) % 3;
        let end = Instant::now() + PATIENCE;
        while show(&clients[other].ask(&["INCR", "n"]).expect("a reply")).starts_with('!') {
            assert!(Instant::now() < end, "two of three go on");
        }
        clients[other].ask(&["SET", &format!("k{id}"), "v", "EX", "1000"]).expect("a reply");
        assert_eq!(
            show(&clients[0].ask(&["FAULT", "join", &id.to_string()]).expect("a reply")),
            "OK"
        );
        settled(&cluster);
    }
    let digests: Vec<String> =
        clients.iter_mut().map(|client| shown(client, "DEBUG DIGEST")).collect();
    assert!(
        digests.iter().all(|digest| digest.len() == 40 && *digest == digests[0]),
        "{digests:?}"
    );
}

/// What an address says over HTTP.
fn page(address: std::net::SocketAddr, request: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).expect("connected");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut page = String::new();
    socket.read_to_string(&mut page).expect("text");
    page
}

#[test]
fn figures_are_those_of_the_documented_list() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let address = "127.0.0.1:0".parse().expect("an address");
    let metrics = traft::serve::Metrics::start(address, cluster.boards()).expect("a port");
    // Of those that the leader was asked for one in 64 is timed, whoever leads.
    for at in 0..3 {
        let mut client = client(&cluster, at);
        (0..400).for_each(|n| assert_eq!(shown(&mut client, &format!("SET figure{n} 1")), "OK"));
    }
    let list = include_str!("../../docs/redis.md");
    let documented: Vec<&str> =
        list.lines().filter_map(|line| line.strip_prefix("| `traft_")?.split('`').next()).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let text = page(metrics.address(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE traft_"));
        let named: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(named, documented, "docs/redis.md, Watching it");
        let leads = text.lines().filter(|l| l.starts_with("traft_leads") && l.ends_with(" 1"));
        let count = "traft_command_seconds_count{replica=\"1\",kind=\"write\"} ";
        let writes = text.lines().find_map(|line| line.strip_prefix(count)?.parse::<u64>().ok());
        // The one that leads knows of two others, and they have all that was acknowledged.
        let idle = |l: &&str| l.starts_with("traft_peer_lag{") && l.ends_with(" 0");
        let caught_up = text.lines().filter(idle).count() == 2;
        let timed = ["queued", "synced", "quorum", "settled", "applied"].iter().all(|stage| {
            let label = format!("stage=\"{stage}\"}} ");
            let counts = text.lines().filter(|l| l.starts_with("traft_stage_seconds_count"));
            counts.filter_map(|line| line.split_once(&label)).any(|(_, count)| count != "0")
        });
        if leads.count() == 1 && writes >= Some(400) && caught_up && timed {
            break;
        }
        assert!(Instant::now() < end, "{text}");
    }
    let says = |path: &str| page(metrics.address(), &format!("GET {path} HTTP/1.1\r\n\r\n"));
    assert!(says("/health").starts_with("HTTP/1.1 200"));
    assert!(says("/ready").starts_with("HTTP/1.1 200"));
    assert!(says("/else").starts_with("HTTP/1.1 404"));
    let posted = page(metrics.address(), "POST /metrics HTTP/1.1\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 400"));
    cluster.local().stop(traft::base::ReplicaId(2));
    // Its clients are not left waiting.
    let mut orphan = crate::smoke::client(&cluster, 1);
    let reply = orphan.ask(&["SET", "x", "1"]).expect("a reply");
    assert!(matches!(&show(&reply)[..], "!UNKNOWN" | "!TRYAGAIN" | "OK"), "{reply:?}");
    while says("/health").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "a replica has stopped");
    }
}
