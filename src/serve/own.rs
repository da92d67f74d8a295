//! Commands about the connection and the server.

use super::command::{KNOWN, Kind, Known, Surroundings};
use super::connection::Connection;
use super::parse::{is, number};
use crate::apply::redis::{Op, matches};
use crate::disk::Mood;
use crate::resp::{Protocol, Value};
use bytes::Bytes;
use std::time::Duration;

/// What a connection asks of the server that it is one of.
pub trait Server {
    /// What words depend on.
    fn around(&self) -> &dyn Surroundings;

    /// Whether commands are placed in the order in which they are given out here: the replica
    /// leads.
    fn keeps_order(&self) -> bool;

    /// Gives a number to where a scan is to go on.
    fn keep_cursor(&mut self, key: Bytes) -> u64;

    /// Where the client is to go instead, as an error.
    fn redirect(&self, known: &Known, op: &Op<'_>) -> Option<String>;

    /// The longest command that the replica takes, in bytes.
    fn command_bytes_max(&self) -> usize;

    /// Whether clients have to say a password.
    fn has_password(&self) -> bool;

    /// Whether this is the password. Takes as long for a wrong one as for the right one.
    fn is_password(&self, word: &[u8]) -> bool;

    /// What the server is: pairs under a heading, for `INFO`.
    fn info(&self) -> Vec<(&'static str, Vec<(&'static str, String)>)>;

    /// Settings and their values, for `CONFIG GET`.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// Cuts a replica off from the others, or joins it to them again; says whether it may.
    fn cut(&self, id: u64, cut: bool) -> bool;

    /// Has the disk of this replica fare like this; says whether it may.
    fn trouble(&self, mood: Mood) -> bool;

    /// The replicas with the addresses that clients reach them at, the leader first, for `CLUSTER`.
    fn seats(&self) -> Vec<Seat>;
}

/// A replica as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its number.
    pub id: u64,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is the one that is asked.
    pub is_this: bool,
}

impl Seat {
    /// As a line of `TRAFT STATUS`.
    pub(super) fn line(&self) -> String {
        format!("seat_{}:{}:{}\r\n", self.id, self.host, self.port)
    }
}

/// What version of Redis the commands here are those of.
const REDIS_VERSION: &str = "7.2.0";

/// Whether a client that has not said the password may say this.
pub(super) fn is_for_strangers(name: &str) -> bool {
    matches!(name, "auth" | "hello" | "quit" | "reset")
}

fn simple(text: &'static str) -> Value {
    Value::Simple(Bytes::from_static(text.as_bytes()))
}

fn bulk(word: &[u8]) -> Value {
    Value::Bulk(Bytes::copy_from_slice(word))
}

/// The reply to a command of [`Kind::Own`], the number of words of which fits.
pub(super) fn answer(
    connection: &mut Connection,
    name: &str,
    words: &[&[u8]],
    server: &dyn Server,
) -> Value {
    match (name, &words[1..]) {
        ("ping", []) => simple("PONG"),
        ("ping" | "echo", [word]) => bulk(word),
        ("auth", [password]) | ("auth", [_, password]) => auth(connection, password, server),
        ("select", [word]) => match number(word) {
            Ok(0) => Value::OK,
            Ok(_) => Value::error("ERR DB index is out of range"),
            Err(refused) => Value::error(refused),
        },
        ("hello", rest) => hello(connection, rest, server),
        ("client", rest) => client(connection, rest),
        ("config", rest) => config(rest, server),
        ("command", rest) => command(rest),
        ("info", rest) => info(rest, server),
        ("cluster", rest) => cluster(rest, server),
        ("fault", [what, mood]) if is(what, "disk") => disk_fault(mood, server),
        ("fault", [what, id]) => fault(what, id, server),
        ("time", _) => {
            let now = server.around().now();
            let part = |number: u64| Value::text(number.to_string());
            Value::Array(vec![part(now / 1_000), part(now % 1_000 * 1_000)])
        }
        ("readonly" | "readwrite" | "unwatch", _) => Value::OK,
        ("watch", _) => Value::error("ERR WATCH is not supported; use SET with NX, XX or GET"),
        _ => Value::error("ERR syntax error"),
    }
}

fn auth(connection: &mut Connection, password: &[u8], server: &dyn Server) -> Value {
    if !server.has_password() {
        return Value::error("ERR AUTH called without any password configured for this server");
    }
    if !server.is_password(password) {
        return Value::error("WRONGPASS invalid password");
    }
    connection.trusted = true;
    Value::OK
}

fn hello(connection: &mut Connection, mut words: &[&[u8]], server: &dyn Server) -> Value {
    let mut protocol = connection.protocol;
    if let [version, rest @ ..] = words {
        protocol = match *version {
            b"2" => Protocol::Resp2,
            b"3" => Protocol::Resp3,
            _ => return Value::error("NOPROTO unsupported protocol version"),
        };
        words = rest;
    }
    let mut name = None;
    loop {
        words = match words {
            [] => break,
            [word, _user, password, rest @ ..] if is(word, "auth") => {
                let reply = auth(connection, password, server);
                if reply != Value::OK {
                    return reply;
                }
                rest
            }
            [word, called, rest @ ..] if is(word, "setname") => {
                name = Some(Bytes::copy_from_slice(called));
                rest
            }
            _ => return Value::error("ERR syntax error in HELLO"),
        };
    }
    if !connection.trusted {
        return Value::error("NOAUTH HELLO must be called with the client already authenticated");
    }
    connection.protocol = protocol;
    connection.name = name.unwrap_or(std::mem::take(&mut connection.name));
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    let pair = |key: &str, value: Value| (Value::text(key), value);
    Value::Map(vec![
        pair("server", Value::text("redis")),
        pair("version", Value::text(REDIS_VERSION)),
        pair("proto", Value::Number(version)),
        pair("id", Value::Number(connection.id as i64)),
        pair("mode", Value::text("standalone")),
        pair("role", Value::text("master")),
        pair("modules", Value::Array(Vec::new())),
    ])
}

fn client(connection: &mut Connection, words: &[&[u8]]) -> Value {
    let Some((what, rest)) = words.split_first() else { return Value::error("ERR syntax error") };
    let line = |connection: &Connection| {
        let name = connection.name.escape_ascii();
        let resp = if connection.protocol == Protocol::Resp3 { 3 } else { 2 };
        format!("id={} name={name} db=0 resp={resp}\n", connection.id)
    };
    match (what.to_ascii_lowercase().as_slice(), rest) {
        (b"id", []) => Value::Number(connection.id as i64),
        (b"getname", []) if connection.name.is_empty() => Value::Null,
        (b"getname", []) => Value::Bulk(connection.name.clone()),
        (b"setname", [name]) if name.iter().all(u8::is_ascii_graphic) && name.len() <= 256 => {
            connection.name = Bytes::copy_from_slice(name);
            Value::OK
        }
        (b"setname", [_]) => {
            Value::error("ERR Client names cannot contain spaces, newlines or special characters.")
        }
        (b"setinfo", [_, _]) | (b"no-evict" | b"no-touch", [_]) => Value::OK,
        (b"info" | b"list", []) => Value::text(line(connection)),
        _ => Value::error("ERR unknown subcommand or wrong number of arguments for 'client'"),
    }
}

fn config(words: &[&[u8]], server: &dyn Server) -> Value {
    match words {
        [get, patterns @ ..] if is(get, "get") && !patterns.is_empty() => {
            let wanted = |name: &str| {
                let name = name.as_bytes();
                patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
            };
            let settings = server.settings().into_iter().filter(|(name, _)| wanted(name));
            Value::Map(settings.map(|(k, v)| (Value::text(k), Value::text(v))).collect())
        }
        [reset] if is(reset, "resetstat") => Value::OK,
        _ => Value::error("ERR settings are read with CONFIG GET, and changed by a restart"),
    }
}

fn info(words: &[&[u8]], server: &dyn Server) -> Value {
    let all = ["all", "default", "everything"];
    let wanted = |heading: &str| {
        words.is_empty()
            || words.iter().any(|word| is(word, heading) || all.iter().any(|all| is(word, all)))
    };
    let mut text = String::new();
    for (heading, pairs) in server.info().into_iter().filter(|(heading, _)| wanted(heading)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {heading}\r\n"));
        pairs.iter().for_each(|(key, value)| text.push_str(&format!("{key}:{value}\r\n")));
    }
    Value::text(text)
}

fn described(known: &Known) -> Value {
    let flags: &[&'static str] = match known.kind {
        Kind::Read => &["readonly", "fast"],
        Kind::Write => &["write", "denyoom"],
        Kind::Own => &["loading", "stale"],
    };
    let (first, last, step) = known.keys;
    let number = |number: i32| Value::Number(i64::from(number));
    Value::Array(vec![
        Value::text(known.name),
        number(known.arity),
        Value::Set(flags.iter().map(|flag| simple(flag)).collect()),
        number(first),
        number(last),
        number(step),
    ])
}

fn command(words: &[&[u8]]) -> Value {
    match words {
        [] => Value::Array(KNOWN.iter().map(described).collect()),
        [count] if is(count, "count") => Value::Number(KNOWN.len() as i64),
        [docs, ..] if is(docs, "docs") => Value::Map(Vec::new()),
        [list] if is(list, "list") => {
            Value::Array(KNOWN.iter().map(|known| Value::text(known.name)).collect())
        }
        [info, names @ ..] if is(info, "info") => {
            let find = |name: &&[u8]| KNOWN.iter().find(|known| is(name, known.name));
            let one = |name| find(name).map_or(Value::Null, described);
            Value::Array(names.iter().map(one).collect())
        }
        _ => Value::error("ERR unknown subcommand or wrong number of arguments for 'command'"),
    }
}

/// For `traft nemesis`, and only where it is allowed.
fn fault(what: &[u8], id: &[u8], server: &dyn Server) -> Value {
    let cut = is(what, "cut");
    let id = number(id).ok().and_then(|id| u64::try_from(id).ok());
    match id {
        Some(id) if (cut || is(what, "join")) && server.cut(id, cut) => Value::OK,
        _ => Value::error("ERR no such fault, or none are allowed"),
    }
}

/// The same for what becomes of a disk: a word, or the milliseconds that a sync takes longer.
fn disk_fault(mood: &[u8], server: &dyn Server) -> Value {
    let late = || number(mood).ok().and_then(|ms| u64::try_from(ms).ok());
    let mood = match () {
        () if is(mood, "well") => Some(Mood::Well),
        () if is(mood, "full") => Some(Mood::Full),
        () if is(mood, "hung") => Some(Mood::Hung),
        () if is(mood, "failing") => Some(Mood::Failing),
        () => late().map(|ms| Mood::Late(Duration::from_millis(ms))),
    };
    match mood {
        Some(mood) if server.trouble(mood) => Value::OK,
        _ => Value::error("ERR no such fault, or none are allowed"),
    }
}

/// The slots of Redis Cluster: all of them are here.
const SLOTS: u16 = 16_384;

fn cluster(words: &[&[u8]], server: &dyn Server) -> Value {
    let seats = server.seats();
    let name = |seat: &Seat| Value::text(node_name(seat.id));
    match words {
        [what] if is(what, "info") => Value::text(format!(
            "cluster_enabled:0\r\ncluster_state:ok\r\ncluster_slots_assigned:{SLOTS}\r\n\
             cluster_slots_ok:{SLOTS}\r\ncluster_known_nodes:{}\r\ncluster_size:1\r\n",
            seats.len()
        )),
        [what] if is(what, "myid") => {
            seats.iter().find(|seat| seat.is_this).map_or(Value::Null, name)
        }
        [what] if is(what, "slots") => {
            let node = |seat: &Seat| {
                let port = Value::Number(i64::from(seat.port));
                Value::Array(vec![Value::text(seat.host.clone()), port, name(seat)])
            };
            let ends = [Value::Number(0), Value::Number(i64::from(SLOTS) - 1)];
            Value::Array(vec![Value::Array(
                ends.into_iter().chain(seats.iter().map(node)).collect(),
            )])
        }
        [what] if is(what, "nodes") => Value::text(nodes(&seats)),
        [what, key] if is(what, "keyslot") => Value::Number(i64::from(slot(key))),
        _ => Value::error("ERR unknown subcommand or wrong number of arguments for 'cluster'"),
    }
}

/// As a name of 40 letters, which is what clients expect.
fn node_name(id: u64) -> String {
    format!("{id:040x}")
}

fn nodes(seats: &[Seat]) -> String {
    let first = seats.first().map_or(0, |seat| seat.id);
    let line = |(at, seat): (usize, &Seat)| {
        let (this, own) = (if seat.is_this { "myself," } else { "" }, node_name(seat.id));
        let (role, of, slots) = match at {
            0 => ("master", "-".into(), format!(" 0-{}", SLOTS - 1)),
            _ => ("slave", node_name(first), String::new()),
        };
        let (host, port) = (&seat.host, seat.port);
        format!("{own} {host}:{port}@{port} {this}{role} {of} 0 0 1 connected{slots}\n")
    };
    seats.iter().enumerate().map(line).collect()
}

/// The slot of a key: its CRC-16, of what is between braces if there are any.
pub fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let inner = &key[open + 1..];
        let close = inner.iter().position(|byte| *byte == b'}')?;
        (close > 0).then_some(&inner[..close])
    });
    let mut crc = 0_u16;
    for byte in tag.unwrap_or(key) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc % SLOTS
}
