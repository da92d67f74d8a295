//! How soon a replica with a large snapshot answers, and how much memory it has then.
//!
//! ```text
//!     cargo bench --profile release --bench start -- --mib 2048 --dir DIR
//! ```
//!
//! A process of `traft serve`, the only member of its cluster, gets values of 1 KiB, saves its
//! state and is ended. Then another one is started on the same directory, the file being in the
//! page cache, and asked for keys as soon as its port is open; time counts from before the process
//! is made. By itself, as among the tests, it does that with little and only shows that it works.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use traft::resp::Value;
use traft::serve::Client;

/// In a command, so that it is about half of what one may have.
const PAIRS: usize = 400;

const VALUE_BYTES: usize = 1_024;

const PATIENCE: Duration = Duration::from_secs(120);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended, nothing is there to be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(dir: &Path, port: u16, peer: u16, more: &[&str]) -> Result<Server, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_traft"));
        command.args(["serve", "--cluster", "start", "--id", "1", "--with-parent"]);
        command.args(["--peers", &format!("1=127.0.0.1:{peer}")]).arg("--dir").arg(dir);
        command.args(["--listen", &format!("127.0.0.1:{port}")]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Server).map_err(|error| error.to_string())
    }

    /// In good order.
    fn end(mut self) -> Result<(), String> {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status();
        let ended = sent.and_then(|_| self.0.wait()).map_err(|error| error.to_string())?;
        if ended.success() { Ok(()) } else { Err(format!("it ended with {ended}")) }
    }

    /// What the system says of its memory, in MiB: that is, without what it has of the file in the
    /// page cache, which is not its own.
    fn memory(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.0.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) >> 10
    }
}

/// The first reply that is no error, of a port that may not be open yet.
fn ask(port: u16, words: &[&str]) -> Result<Value, String> {
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        match Client::connect(("127.0.0.1", port), Some(PATIENCE)) {
            Ok(mut client) => match client.ask(words) {
                Ok(Value::Error(text)) => last = String::from_utf8_lossy(&text).into_owned(),
                Ok(reply) => return Ok(reply),
                Err(error) => last = error.to_string(),
            },
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{words:?}: {last}"))
}

fn key(n: usize) -> String {
    format!("key{n:012}")
}

/// Nothing that a compressor would find short; the same for the same key.
fn value(n: usize) -> String {
    let mut state = n as u64;
    let mut text = String::with_capacity(VALUE_BYTES);
    while text.len() < VALUE_BYTES {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.push_str(&format!("{:016x}", state));
    }
    text
}

fn fill(port: u16, keys: usize) -> Result<(), String> {
    ask(port, &["SET", "ready", "yes"])?;
    let failed = |error| format!("filling: {error}");
    let mut client =
        Client::connect(("127.0.0.1", port), Some(PATIENCE)).map_err(|e| e.to_string());
    let client = client.as_mut().map_err(|error| error.clone())?;
    let mut open = 0;
    for first in (0..keys).step_by(PAIRS) {
        let mut words = vec!["MSET".to_string()];
        for n in first..keys.min(first + PAIRS) {
            words.extend([key(n), value(n)]);
        }
        client.push(&words.iter().map(String::as_str).collect::<Vec<_>>());
        client.send().map_err(|error| failed(error.to_string()))?;
        open += 1;
        if open == 8 {
            open -= 1;
            told(client.receive().map_err(|error| failed(error.to_string()))?)?;
        }
    }
    for _ in 0..open {
        told(client.receive().map_err(|error| failed(error.to_string()))?)?;
    }
    told(client.ask(&["TRAFT", "SNAPSHOT"]).map_err(|error| failed(error.to_string()))?)
}

fn told(reply: Value) -> Result<(), String> {
    if reply == Value::OK { Ok(()) } else { Err(format!("{reply:?}")) }
}

fn run(dir: &Path, mib: usize, rounds: usize, resident: &str) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(dir);
    let port =
        || -> std::io::Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
    let text = |error: std::io::Error| error.to_string();
    let (own, peer) = (port().map_err(text)?, port().map_err(text)?);
    let keys = (mib << 20) / (VALUE_BYTES + 20);
    let resident = ["--resident-mib", resident];
    let first = Server::start(dir, own, peer, &[&["--new"][..], &resident].concat())?;
    fill(own, keys)?;
    first.end()?;
    let files = std::fs::read_dir(dir).map_err(text)?.flatten();
    let snapshots = files.filter(|file| file.file_name().to_string_lossy().ends_with(".snap"));
    let bytes: u64 = snapshots.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    println!("{keys} keys of {VALUE_BYTES} bytes, snapshot {} MiB", bytes >> 20);
    for round in 1..=rounds {
        let began = Instant::now();
        let server = Server::start(dir, own, peer, &resident)?;
        let wanted = keys / 3 * round % keys;
        let reply = ask(own, &["GET", &key(wanted)])?;
        let first = began.elapsed();
        if reply != Value::text(value(wanted)) {
            return Err(format!("{} is {reply:?}", key(wanted)));
        }
        let mut client = Client::connect(("127.0.0.1", own), Some(PATIENCE))
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        let asked = 1_000.min(keys);
        for n in 0..asked {
            let wanted = n.wrapping_mul(2_654_435_761) % keys;
            let reply = client.ask(&["GET", &key(wanted)]).map_err(|error| error.to_string())?;
            if reply != Value::text(value(wanted)) {
                return Err(format!("{} is {reply:?}", key(wanted)));
            }
        }
        let each = began.elapsed() / asked as u32;
        let count = ask(own, &["DBSIZE"])?;
        let (now, peak) = (server.memory("VmRSS:"), server.memory("VmHWM:"));
        println!(
            "start {round}: first read after {first:.0?}, {asked} more of all keys {each:.0?} \
             each, DBSIZE {count:?}, memory {now} MiB (at most {peak})"
        );
        server.end()?;
    }
    std::fs::remove_dir_all(dir).map_err(text)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    let number = |name: &str| after(name).and_then(|word| word.parse().ok());
    let own = std::env::temp_dir().join(format!("start-{}", std::process::id()));
    let dir = after("--dir").map_or(own, PathBuf::from).join("1");
    let mib = number("--mib");
    // With little the same is tried by saying that even that is much.
    let resident =
        after("--resident-mib").unwrap_or(if mib.is_some() { "256" } else { "1" }.into());
    match run(&dir, mib.unwrap_or(8), number("--rounds").unwrap_or(3), &resident) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("start: {why}");
            ExitCode::FAILURE
        }
    }
}
