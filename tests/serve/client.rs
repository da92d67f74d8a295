//! Every command of the store through the usual Rust client, in both versions of the protocol.

use super::smoke::{PATIENCE, settled, up};
use redis::{
    Client, Connection, ConnectionLike, ErrorKind, ExistenceCheck, Expiry, IntegerReplyOrNoOp,
    RedisError, RedisResult, SetExpiry, SetOptions, TypedCommands, Value, ValueType, cmd, pipe,
};
use std::collections::{BTreeMap, BTreeSet};
use traft::resp::{Limits, Requests};
use traft::serve::{ClusterOptions, KNOWN};

/// The client's connection, and the names of the commands that went over it.
struct Noting {
    connection: Connection,
    names: BTreeSet<String>,
}

impl Noting {
    fn open(url: &str) -> Noting {
        let connection = Client::open(url).and_then(|client| client.get_connection());
        let connection = connection.expect("a connection");
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Noting { connection, names: BTreeSet::new() }
    }

    fn note(&mut self, sent: &[u8]) {
        let mut requests = Requests::new(Limits::default());
        requests.feed(sent);
        while let Some(words) = requests.next().expect("the client speaks the protocol") {
            self.names.insert(String::from_utf8_lossy(words[0]).to_lowercase());
        }
    }

    fn is_refused(&mut self, line: &str) -> bool {
        let refused: RedisResult<Value> = self.say(line);
        refused.is_err_and(|error| is_said(&error))
    }

    fn say<T: redis::FromRedisValue>(&mut self, line: &str) -> RedisResult<T> {
        let mut words = line.split(' ');
        let mut command = cmd(words.next().unwrap_or_default());
        for word in words {
            command.arg(word);
        }
        command.query(self)
    }

    fn told<T: redis::FromRedisValue>(&mut self, line: &str) -> T {
        self.say(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

/// The store said no; the connection is as before.
fn is_said(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

impl ConnectionLike for Noting {
    fn req_packed_command(&mut self, sent: &[u8]) -> RedisResult<Value> {
        self.note(sent);
        self.connection.req_packed_command(sent)
    }

    fn req_packed_commands(
        &mut self,
        sent: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.note(sent);
        self.connection.req_packed_commands(sent, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.connection.check_connection()
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

fn strings(to: &mut Noting) -> RedisResult<()> {
    let options = SetOptions::default;
    to.set("a", 1)?;
    assert_eq!(to.get("a"), Ok(Some("1".into())));
    assert_eq!(to.get("none"), Ok(None));
    let only_new = options().conditional_set(ExistenceCheck::NX);
    assert_eq!(to.set_options("a", 2, only_new), Ok(None));
    let only_old = options().conditional_set(ExistenceCheck::XX).get(true);
    assert_eq!(to.set_options("a", 2, only_old), Ok(Some("1".into())));
    let limited = options().with_expiration(SetExpiry::EX(1_000));
    assert_eq!(to.set_options("a", 3, limited), Ok(Some("OK".into())));
    assert_eq!(to.ttl("a"), Ok(IntegerReplyOrNoOp::IntegerReply(1_000)));
    let milliseconds = options().with_expiration(SetExpiry::PX(1_000_000));
    assert_eq!(to.set_options("a", 4, milliseconds), Ok(Some("OK".into())));
    let left = to.pttl("a")?.raw();
    assert!((990_000..=1_000_000).contains(&left), "{left}");
    assert_eq!(to.persist("a"), Ok(true));
    assert_eq!(to.ttl("a"), Ok(IntegerReplyOrNoOp::ExistsButNotRelevant));
    assert_eq!(to.set_nx("a", "x"), Ok(false));
    to.set_ex("b", "x", 100)?;
    to.pset_ex("b", "x", 100_000)?;
    assert_eq!(to.getset("b", "y"), Ok(Some("x".into())));
    assert_eq!(to.get_ex("b", Expiry::EX(50)), Ok(Some("y".into())));
    assert_eq!(to.get_del("b"), Ok(Some("y".into())));
    assert_eq!(to.append("a", "56"), Ok(3));
    assert_eq!(to.strlen("a"), Ok(3));
    assert_eq!(to.told::<i64>("INCR a"), 457);
    assert_eq!(to.incr("a", 3), Ok(460));
    assert_eq!(to.told::<i64>("DECR a"), 459);
    assert_eq!(to.decr("a", 9), Ok(450));
    to.mset(&[("m1", "x"), ("m2", "y")])?;
    assert_eq!(to.mset_nx(&[("m1", "x"), ("m3", "y")]), Ok(false));
    let values: Vec<Option<String>> = to.mget(&["m1", "m2", "none"])?;
    assert_eq!(values, [Some("x".into()), Some("y".into()), None]);
    assert!(to.is_refused("INCR m1"), "it is no number");
    Ok(())
}

fn keys(to: &mut Noting) -> RedisResult<()> {
    assert_eq!(to.exists("a"), Ok(true));
    assert_eq!(to.told::<i64>("EXISTS a m1 none"), 2);
    assert_eq!(to.told::<i64>("TOUCH a none"), 1);
    assert_eq!(to.key_type("a"), Ok(ValueType::String));
    assert_eq!(to.expire("a", 100), Ok(true));
    assert_eq!(to.pexpire("a", 100_000), Ok(true));
    assert_eq!(to.expire_at("a", 33_177_117_420), Ok(true));
    assert_eq!(to.expire_time("a"), Ok(IntegerReplyOrNoOp::IntegerReply(33_177_117_420)));
    assert_eq!(to.pexpire_at("a", 33_177_117_420_123), Ok(true));
    assert_eq!(to.pexpire_time("a"), Ok(IntegerReplyOrNoOp::IntegerReply(33_177_117_420_123)));
    let mut found: Vec<String> = to.keys("m*")?;
    found.sort_unstable();
    assert_eq!(found, ["m1", "m2"]);
    let scanned: RedisResult<BTreeSet<String>> = to.scan_match("m*")?.collect();
    assert_eq!(scanned?, BTreeSet::from(["m1".into(), "m2".into()]));
    assert_eq!(to.told::<i64>("DBSIZE"), 3);
    assert_eq!(to.del(&["m1", "none"]), Ok(1));
    assert_eq!(to.unlink("m2"), Ok(1));
    Ok(())
}

fn several_at_once(to: &mut Noting) -> RedisResult<()> {
    let mut together = pipe();
    together.atomic().set("t", 1).ignore().incr("t", 1).get("t");
    assert_eq!(together.query::<(i64, String)>(to)?, (2, "2".into()));
    let mut one_by_one = pipe();
    for n in 0..200 {
        one_by_one.set(format!("p{n}"), n).get(format!("p{n}"));
    }
    let replies: Vec<String> = one_by_one.query(to)?;
    let expected: Vec<String> = (0..200).flat_map(|n| ["OK".into(), n.to_string()]).collect();
    assert_eq!(replies, expected);
    // One that is refused spoils the transaction, and the connection goes on.
    let spoiled: RedisResult<()> = pipe().atomic().cmd("NONSENSE").set("t", 9).query(to);
    assert!(spoiled.is_err());
    assert_eq!(to.get("t"), Ok(Some("2".into())));
    assert_eq!(to.told::<String>("MULTI"), "OK");
    assert_eq!(to.told::<String>("DISCARD"), "OK");
    assert!(to.is_refused("WATCH t"));
    assert_eq!(to.told::<String>("UNWATCH"), "OK");
    Ok(())
}

fn servers(to: &mut Noting) -> RedisResult<()> {
    assert_eq!(to.ping(), Ok("PONG".into()));
    assert_eq!(to.ping_message("hi"), Ok("hi".into()));
    assert_eq!(to.told::<String>("ECHO hi"), "hi");
    assert_eq!(to.told::<String>("SELECT 0"), "OK");
    assert!(to.is_refused("AUTH secret"), "there is no password");
    to.client_setname("me")?;
    assert_eq!(to.client_getname(), Ok(Some("me".into())));
    assert!(to.client_id()? > 0);
    let settings: BTreeMap<String, String> = to.told("CONFIG GET append*");
    assert_eq!(settings["appendfsync"], "always");
    assert!(to.is_refused("CONFIG SET save x"));
    assert_eq!(to.told::<usize>("COMMAND COUNT"), KNOWN.len());
    let info: redis::InfoDict = to.told("INFO server");
    assert_eq!(info.get::<String>("redis_mode"), Some("standalone".into()));
    assert!(to.told::<String>("CLUSTER INFO").contains("cluster_state:ok"));
    assert_eq!(to.told::<u16>("CLUSTER KEYSLOT foo{bar}"), 5_061);
    assert!(to.told::<Vec<u64>>("TIME")[0] > 1_700_000_000);
    assert_eq!(to.told::<String>("READONLY"), "OK");
    assert_eq!(to.told::<String>("READWRITE"), "OK");
    assert!(to.told::<String>("TRAFT STATUS").contains("membership:(n1 n2 n3"));
    assert!(!to.told::<String>("DEBUG DIGEST").is_empty());
    assert!(to.is_refused("FAULT cut 1"), "none are allowed here");
    assert!(to.is_refused("NONSENSE"));
    Ok(())
}

/// Which version it is, and the end of it.
fn hello_and_goodbye(to: &mut Noting, version: i64) {
    let hello: BTreeMap<String, Value> = to.told(&format!("HELLO {version}"));
    assert_eq!(hello["proto"], Value::Int(version));
    assert!(to.is_refused("HELLO 4"));
    assert_eq!(to.told::<String>("RESET"), "RESET");
    assert_eq!(to.told::<String>("QUIT"), "OK");
    let after: RedisResult<Value> = to.say("PING");
    assert!(after.is_err_and(|error| error.is_io_error()), "closed");
}

#[test]
fn every_command_through_the_rust_client() {
    let cluster = up(&ClusterOptions::default());
    settled(&cluster);
    for address in cluster.addresses() {
        for version in [2, 3] {
            let url = format!("redis://{address}/?protocol=resp{version}");
            let mut to = Noting::open(&url);
            to.flushall().expect("flushed");
            for part in [strings, keys, several_at_once, servers] {
                part(&mut to).unwrap_or_else(|error| panic!("{url}: {error}"));
            }
            to.flushdb().expect("flushed");
            assert_eq!(to.told::<i64>("DBSIZE"), 0);
            hello_and_goodbye(&mut to, version);
            for known in KNOWN {
                assert!(to.names.contains(known.name), "{} was not tried", known.name);
            }
        }
    }
}
