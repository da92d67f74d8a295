//! Three replicas, each with a server, and a client: every command once, and what a client must be
//! able to rely on.

use std::time::{Duration, Instant};
use traft::disk::SimDisk;
use traft::resp::Value;
use traft::runtime::Start;
use traft::serve::{Client, Cluster, ClusterOptions, KNOWN, Kind};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn up(options: &ClusterOptions) -> Cluster {
    let options = ClusterOptions { start: Start::First, ..options.clone() };
    Cluster::up((0..3).map(|_| SimDisk::new()).collect(), &options).expect("a cluster")
}

pub(crate) fn client(cluster: &Cluster, at: usize) -> Client {
    Client::connect(cluster.addresses()[at], Some(PATIENCE)).expect("a connection")
}

/// Tries until it is no longer said that nobody leads.
pub(crate) fn settled(cluster: &Cluster) {
    let end = Instant::now() + PATIENCE;
    for at in 0..3 {
        let mut client = client(cluster, at);
        while shown(&mut client, "SET ready yes") != "OK" {
            assert!(Instant::now() < end, "nobody leads");
        }
    }
}

/// The reply as one would write it down.
pub(crate) fn show(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Simple(text) => text.escape_ascii().to_string(),
        Value::Error(text) => {
            format!("!{}", text.split(|byte| *byte == b' ').next().unwrap_or(text).escape_ascii())
        }
        Value::Number(number) => number.to_string(),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "-".into(),
        Value::Array(values) | Value::Set(values) | Value::Push(values) => {
            format!("[{}]", all(values))
        }
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| format!("{}={}", show(key), show(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        Value::Bool(yes) => yes.to_string(),
        Value::Double(number) => number.to_string(),
    }
}

pub(crate) fn shown(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    show(&client.ask(&words).expect("a reply"))
}

/// Each command and what it gives, one after the other, on an empty store.
const SESSION: &[(&str, &str)] = &[
    ("FLUSHALL", "OK"),
    ("PING", "PONG"),
    ("PING hi", "\"hi\""),
    ("ECHO hi", "\"hi\""),
    ("SELECT 0", "OK"),
    ("SELECT 1", "!ERR"),
    ("GET a", "-"),
    ("SET a 1", "OK"),
    ("get a", "\"1\""),
    ("SET a 2 NX", "-"),
    ("SET a 2 XX", "OK"),
    ("SET b 2 XX", "-"),
    ("SET a 3 GET", "\"2\""),
    ("SET c 3 GET", "-"),
    ("SET a 3 NX GET", "\"3\""),
    ("SET a 3 NX XX", "!ERR"),
    ("SET a 3 EX 0", "!ERR"),
    ("SET a 3 EX x", "!ERR"),
    ("SET a 3 EX 10 PX 10", "!ERR"),
    ("SET a 3 EX 1000", "OK"),
    ("TTL a", "1000"),
    ("SET a 4 KEEPTTL", "OK"),
    ("TTL a", "1000"),
    ("PERSIST a", "1"),
    ("PERSIST a", "0"),
    ("TTL a", "-1"),
    ("TTL none", "-2"),
    ("PTTL a", "-1"),
    ("EXPIRE a 100", "1"),
    ("EXPIRE none 100", "0"),
    ("EXPIRE a 100 NX", "0"),
    ("EXPIRE a 50 GT", "0"),
    ("EXPIRE a 50 LT", "1"),
    ("EXPIRE a 60 XX", "1"),
    ("EXPIREAT a 33177117420", "1"),
    ("EXPIRETIME a", "33177117420"),
    ("PEXPIREAT a 33177117420123", "1"),
    ("PEXPIRETIME a", "33177117420123"),
    ("PEXPIRE a 100000", "1"),
    ("TTL a", "100"),
    ("EXPIRE a -1", "1"),
    ("EXISTS a", "0"),
    ("SETEX a 1000 x", "OK"),
    ("PSETEX a 1000000 x", "OK"),
    ("TTL a", "1000"),
    ("GETEX a PERSIST", "\"x\""),
    ("TTL a", "-1"),
    ("GETEX a EX 10", "\"x\""),
    ("TTL a", "10"),
    ("SETNX a y", "0"),
    ("SETNX d y", "1"),
    ("GETSET d z", "\"y\""),
    ("GETDEL d", "\"z\""),
    ("GETDEL d", "-"),
    ("MSET e 1 f 2", "OK"),
    ("MSET e 1 f", "!ERR"),
    ("MSETNX e 5 g 6", "0"),
    ("MSETNX g 6 h 7", "1"),
    ("MGET e f none", "[\"1\" \"2\" -]"),
    ("INCR e", "2"),
    ("INCRBY e 40", "42"),
    ("DECR e", "41"),
    ("DECRBY e 41", "0"),
    ("INCR a", "!ERR"),
    ("INCRBY e x", "!ERR"),
    ("APPEND e 99", "3"),
    ("STRLEN e", "3"),
    ("STRLEN none", "0"),
    ("TYPE e", "string"),
    ("TYPE none", "none"),
    ("EXISTS e e none", "2"),
    ("TOUCH e none", "1"),
    ("DEL e none", "1"),
    ("UNLINK f", "1"),
    ("DBSIZE", "4"),
    ("KEYS *", "[\"a\" \"c\" \"g\" \"h\"]"),
    ("KEYS [ag]", "[\"a\" \"g\"]"),
    ("SCAN 0", "[\"0\" [\"a\" \"c\" \"g\" \"h\"]]"),
    ("SCAN 0 MATCH h* COUNT 100", "[\"0\" [\"h\"]]"),
    ("SCAN 0 TYPE list", "[\"0\" []]"),
    ("SCAN 99999", "!ERR"),
    ("MULTI", "OK"),
    ("MULTI", "!ERR"),
    ("SET a 1", "QUEUED"),
    ("INCR a", "QUEUED"),
    ("INCR c", "QUEUED"),
    ("GET g", "QUEUED"),
    ("EXEC", "[OK 2 4 \"6\"]"),
    ("EXEC", "!ERR"),
    ("MULTI", "OK"),
    ("SET a 9", "QUEUED"),
    ("MSET b 9 c 9", "QUEUED"),
    ("EXEC", "[OK OK]"),
    ("MULTI", "OK"),
    ("GET a", "QUEUED"),
    ("TTL a", "QUEUED"),
    ("EXEC", "[\"9\" -1]"),
    ("MULTI", "OK"),
    ("EXEC", "[]"),
    ("MULTI", "OK"),
    ("SET a 8", "QUEUED"),
    ("DISCARD", "OK"),
    ("DISCARD", "!ERR"),
    ("GET a", "\"9\""),
    ("MULTI", "OK"),
    ("NONSENSE", "!ERR"),
    ("SET a 7", "QUEUED"),
    ("EXEC", "!EXECABORT"),
    ("GET a", "\"9\""),
    ("DEBUG SLEEP 1", "!ERR"),
    ("FAULT cut 1", "!ERR"),
    ("WATCH a", "!ERR"),
    ("UNWATCH", "OK"),
    ("AUTH secret", "!ERR"),
    ("CLIENT SETNAME me", "OK"),
    ("CLIENT GETNAME", "\"me\""),
    ("CLIENT SETINFO lib-name x", "OK"),
    ("CONFIG GET appendonly", "[\"appendonly\" \"yes\"]"),
    ("CONFIG GET save", "[\"save\" \"\"]"),
    ("CONFIG SET save x", "!ERR"),
    ("COMMAND COUNT", "59"),
    ("COMMAND INFO get", "[[\"get\" 2 [readonly fast] 1 1 1]]"),
    ("COMMAND DOCS", "[]"),
    ("CLUSTER KEYSLOT foo{bar}", "5061"),
    ("READONLY", "OK"),
    ("READWRITE", "OK"),
    ("GET", "!ERR"),
    ("GET a b", "!ERR"),
    ("RESET", "RESET"),
    ("FLUSHDB ASYNC", "OK"),
    ("DBSIZE", "0"),
];

#[test]
fn every_command_at_every_replica() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    for at in 0..3 {
        let mut client = client(&cluster, at);
        for (line, expected) in SESSION {
            assert_eq!(shown(&mut client, line), *expected, "{line} at replica {}", at + 1);
        }
        let names = |line: &str| line.split(' ').next().unwrap_or_default().to_lowercase();
        for known in KNOWN.iter().filter(|known| known.kind != Kind::Own) {
            assert!(SESSION.iter().any(|(line, _)| names(line) == known.name), "{}", known.name);
        }
        assert!(shown(&mut client, "INFO").contains("# Replication\\r\\nrole:master"));
        assert!(!shown(&mut client, "INFO server").contains("# Replication"));
        assert!(shown(&mut client, "CLUSTER SLOTS").starts_with("[[0 16383 [\"127.0.0.1\" "));
        assert!(shown(&mut client, "CLUSTER INFO").contains("cluster_state:ok"));
        assert!(shown(&mut client, "CLUSTER NODES").contains("myself,"));
        assert_eq!(shown(&mut client, "CLUSTER MYID").len(), 42);
        assert!(shown(&mut client, "CLIENT ID").parse::<u64>().is_ok());
        assert!(shown(&mut client, "TIME").starts_with("[\"1"));
        assert!(shown(&mut client, "COMMAND").contains("\"append\" 3"));
        let hello = shown(&mut client, "HELLO 3 SETNAME x");
        assert!(hello.starts_with("{\"server\"=\"redis\"") && hello.contains("\"proto\"=3"));
        assert_eq!(shown(&mut client, "GET none"), "-");
        assert_eq!(shown(&mut client, "HELLO 4"), "!NOPROTO");
        assert_eq!(shown(&mut client, "QUIT"), "OK");
        assert!(client.receive().is_err(), "closed");
    }
}

#[test]
fn replies_come_in_the_order_of_requests() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    for at in 0..3 {
        let mut client = client(&cluster, at);
        client.ask(&["DEL", "n"]).expect("a reply");
        // Reads between writes of the same key, and others in between.
        for round in 0..300 {
            client.push(&["INCR", "n"]);
            client.push(&["GET", "n"]);
            client.push(&["SET", &format!("k{round}"), "x"]);
            client.push(&["PING"]);
            client.push(&["GET", &format!("k{round}")]);
        }
        client.send().expect("sent");
        for round in 1..=300 {
            let replies: Vec<String> =
                (0..5).map(|_| show(&client.receive().expect("a reply"))).collect();
            let number = format!("\"{round}\"");
            assert_eq!(replies, [&round.to_string(), &number, "OK", "PONG", "\"x\""]);
        }
    }
}

#[test]
fn what_one_client_was_told_every_other_one_sees() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let mut clients: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    for round in 0..100_usize {
        let value = round.to_string();
        assert_eq!(show(&clients[round % 3].ask(&["SET", "x", &value]).expect("a reply")), "OK");
        let read = clients[(round + 1) % 3].ask(&["GET", "x"]).expect("a reply");
        assert_eq!(show(&read), format!("\"{round}\""));
    }
}

#[test]
fn a_key_ends_for_everybody() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let mut clients: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    let began = Instant::now();
    for (at, client) in clients.iter_mut().enumerate() {
        let key = format!("k{at}");
        assert_eq!(show(&client.ask(&["SET", &key, "v", "PX", "150"]).expect("a reply")), "OK");
        client.ask(&["SET", &format!("stays{at}"), "v", "EX", "1000"]).expect("a reply");
    }
    // Set again without an end, it stays.
    clients[2].ask(&["SET", "k2", "again"]).expect("a reply");
    while shown(&mut clients[0], "EXISTS k0 k1") != "0" {
        assert!(began.elapsed() < PATIENCE, "they do not end");
    }
    assert!(began.elapsed() >= Duration::from_millis(140), "too early");
    for client in &mut clients {
        assert_eq!(shown(client, "MGET k0 k1 k2"), "[- - \"again\"]");
        assert_eq!(shown(client, "EXISTS stays0 stays1 stays2"), "3");
    }
}

#[test]
fn strangers_are_asked_for_the_password() {
    let options = ClusterOptions { password: Some("open sesame".into()), ..Default::default() };
    let cluster = up(&options);
    let mut client = client(&cluster, 0);
    for line in ["GET a", "PING", "INFO", "CONFIG GET *"] {
        assert_eq!(shown(&mut client, line), "!NOAUTH");
    }
    assert_eq!(show(&client.ask(&["HELLO", "3"]).expect("a reply")), "!NOAUTH");
    assert_eq!(show(&client.ask(&["AUTH", "open"]).expect("a reply")), "!WRONGPASS");
    assert_eq!(show(&client.ask(&["AUTH", "open sesame!"]).expect("a reply")), "!WRONGPASS");
    assert_eq!(show(&client.ask(&["AUTH", "default", "open sesame"]).expect("a reply")), "OK");
    assert_eq!(shown(&mut client, "PING"), "PONG");
}

#[test]
fn a_follower_sends_clients_to_the_leader_if_it_is_told_to() {
    let cluster = up(&ClusterOptions { redirect: true, ..Default::default() });
    let addresses: Vec<u16> = cluster.addresses().iter().map(|address| address.port()).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let replies: Vec<Value> = (0..3)
            .map(|at| client(&cluster, at).ask(&["SET", "foo", "1"]).expect("a reply"))
            .collect();
        let moved: Vec<&Value> = replies.iter().filter(|reply| show(reply) == "!MOVED").collect();
        if moved.len() == 2 {
            let leader = replies.iter().position(|reply| *reply == Value::OK).expect("one leads");
            let to = format!("MOVED 12182 127.0.0.1:{}", addresses[leader]);
            assert!(moved.iter().all(|reply| **reply == Value::error(&to)), "{replies:?}");
            break;
        }
        assert!(Instant::now() < end, "{replies:?}");
    }
}

#[test]
fn hostile_clients_are_told_and_closed_and_nobody_else_notices() {
    use std::io::{Read, Write};
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let mut good = client(&cluster, 0);
    let hostile: [&[u8]; 6] = [
        b"*1\r\n$99999999999\r\n",
        b"*-5\r\n*x\r\n",
        b"*1\r\n%1\r\n",
        b"GET \"a\r\n",
        &[b'x'; 70_000],
        b"*2\r\n$3\r\nGET\r\n$1\r\nabc",
    ];
    for bytes in hostile {
        let mut socket = std::net::TcpStream::connect(cluster.addresses()[0]).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        // The server may close before it has read all of it.
        let _ = socket.write_all(bytes);
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply);
        assert!(reply.is_empty() || reply.starts_with(b"-ERR Protocol error"), "{reply:?}");
        assert_eq!(shown(&mut good, "PING"), "PONG");
    }
    // Half a request, and gone.
    let mut half = std::net::TcpStream::connect(cluster.addresses()[0]).expect("connected");
    half.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na").expect("sent");
    drop(half);
    let long = "v".repeat(1 << 20);
    assert_eq!(show(&good.ask(&["SET", "a", &long]).expect("a reply")), "!ERR");
    assert_eq!(shown(&mut good, "GET a"), "-");
}

#[test]
fn scans_see_every_key_that_stays() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    let mut client = client(&cluster, 1);
    for n in 0..500 {
        client.push(&["SET", &format!("key{n}"), "v"]);
    }
    client.send().expect("sent");
    (0..500).for_each(|_| assert_eq!(client.receive().expect("a reply"), Value::OK));
    let (mut cursor, mut seen, mut turn) = ("0".to_string(), Vec::new(), 0);
    loop {
        let words = ["SCAN", &cursor, "MATCH", "key*", "COUNT", "37"];
        let Value::Array(parts) = client.ask(&words).expect("a reply") else { panic!("no page") };
        let [Value::Bulk(next), Value::Array(keys)] = &parts[..] else { panic!("{parts:?}") };
        seen.extend(keys.iter().map(show));
        // What comes and goes meanwhile changes nothing for the others.
        client.ask(&["SET", &format!("key{turn}x"), "v"]).expect("a reply");
        turn += 1;
        cursor = String::from_utf8_lossy(next).into_owned();
        if cursor == "0" {
            break;
        }
    }
    let stayed = |n: usize| seen.iter().filter(|key| **key == format!("\"key{n}\"")).count();
    assert!((0..500).all(|n| stayed(n) == 1), "each once");
}
