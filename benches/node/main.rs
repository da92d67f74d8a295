//! What real processes do: three replicas of `traft serve` on this machine, each with its directory
//! on a real disk, joined by gRPC with mutual TLS; 256-byte values, written by clients of the Redis
//! protocol.
//!
//! ```text
//!     cargo bench --profile release --bench node -- rates      1, 64 and 1,024 in flight
//!     cargo bench --profile release --bench node -- away       one replica stands still meanwhile
//!     cargo bench --profile release --bench node -- guests     2,000 idle and 200 hostile callers
//!     cargo bench --profile release --bench node -- upgrade    from wire version 1 to 2
//! ```
//!
//! `--old PROGRAM` has the replicas be those of another build, with which `upgrade` begins.
//! Callers that are sent away come again after a second, or after `--again-ms N`.
//! `--seconds N` says for how long, `--dir DIR` where the replicas keep their files (which are gone
//! when it begins and when it ends): the figures are those of that disk. What has to hold ends it
//! with exit code 1: see each part. By itself, as among the tests, it only shows that it works.

mod away;
mod guests;
mod house;
mod rates;
mod upgrade;

use house::{Failed, House};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// One part: what it is called, for how many seconds it goes on unless said otherwise, and as a
/// test.
struct Part {
    name: &'static str,
    seconds: f64,
    tried: f64,
    run: fn(&mut House, Duration) -> Result<(), Failed>,
}

const PARTS: [Part; 4] = [
    Part { name: "rates", seconds: 10.0, tried: 0.5, run: rates::run },
    Part { name: "away", seconds: 300.0, tried: 1.0, run: away::run },
    Part { name: "guests", seconds: 20.0, tried: 1.0, run: guests::run },
    Part { name: "upgrade", seconds: 10.0, tried: 0.5, run: upgrade::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1))
    };
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let seconds: Option<f64> = given("--seconds").and_then(|text| text.parse().ok());
    let again: Option<u64> = given("--again-ms").and_then(|text| text.parse().ok());
    let named = |part: &&Part| arguments.iter().any(|argument| argument == part.name);
    let all = !PARTS.iter().any(|part| named(&part));
    let dir = given("--dir").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("node-bench"),
        PathBuf::from,
    );
    let new = PathBuf::from(env!("CARGO_BIN_EXE_traft"));
    for part in PARTS.iter().filter(|part| all || named(part)) {
        let usual = if measured { part.seconds } else { part.tried };
        let time = Duration::from_secs_f64(seconds.unwrap_or(usual));
        let old = given("--old").map_or_else(|| new.clone(), PathBuf::from);
        let flags = if part.name == "upgrade" && old == new { upgrade::OLD } else { &[] };
        let ran = House::new(&dir.join(part.name), measured, old, flags).and_then(|mut house| {
            house.again = again.map_or(house.again, Duration::from_millis);
            (part.run)(&mut house, time)
        });
        if let Err(error) = ran {
            eprintln!("{}: {error}", part.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
