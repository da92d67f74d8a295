//! The store beside etcd and Redis: the same requests, from the same generator, to one after the
//! other, each with its files in the same directory and every write synced before it is answered.
//!
//! - traft: three processes of `traft serve`, joined by gRPC in the clear.
//! - etcd: three members, each a process, joined by HTTP in the clear, as they come.
//! - Redis: one process, with `appendonly yes` and `appendfsync always`.
//!
//! All of one kind are started in an empty directory, asked, and ended before the next kind is: so
//! nobody runs beside what is measured but the generator, which has one thread. A client has one
//! request in flight and sends the next when it is answered. Clients talk to the replica that leads
//! (to etcd over a few connections, since HTTP/2 has many requests on one, and with one connection
//! for each client it is slower). Values have 256 bytes; keys are drawn evenly of 10,000, which are
//! all there. Reads are linearizable.
//!
//! ```text
//!     cargo bench --profile release --bench beside -- --dir DIR --seconds 2 --rounds 3
//! ```
//!
//! `etcd` and `redis-server` have to be installed; what is not is left out and said. By itself, as
//! among the tests, it only shows that it works.

mod clients;
mod servers;

use clients::{Load, What};
use servers::{Kind, Servers};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const CLIENTS: [usize; 3] = [1, 64, 256];

/// What is to be done.
struct Args {
    dir: PathBuf,
    seconds: f64,
    rounds: usize,
    kinds: Vec<Kind>,
    clients: Vec<usize>,
    /// Somebody wants figures.
    measures: bool,
}

fn args() -> Result<Args, String> {
    let mut words = std::env::args().skip(1).peekable();
    let mut args = Args {
        dir: std::env::temp_dir().join(format!("beside-{}", std::process::id())),
        seconds: 0.3,
        rounds: 1,
        kinds: Kind::ALL.to_vec(),
        clients: CLIENTS.to_vec(),
        measures: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--dir" => args.dir = value()?.into(),
            "--seconds" => {
                args.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?;
                args.measures = true;
            }
            "--rounds" => args.rounds = value()?.parse().map_err(|e| format!("--rounds: {e}"))?,
            "--clients" => {
                let one = |n: &str| n.parse().map_err(|e| format!("--clients: {e}"));
                args.clients = value()?.split(',').map(one).collect::<Result<_, _>>()?;
            }
            "--only" => {
                let names = value()?;
                args.kinds.retain(|kind| names.split(',').any(|name| name == kind.name()));
            }
            // What cargo says to every bench.
            "--bench" | "--test" => {}
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(args)
}

/// What one kind did in one round.
struct Run {
    round: usize,
    kind: Kind,
    what: What,
    clients: usize,
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn main() -> ExitCode {
    match args().and_then(|args| measure(&args)) {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            failed.iter().for_each(|why| eprintln!("beside: {why}"));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("beside: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Says what could not be measured: the rest of the table is there all the same.
fn measure(args: &Args) -> Result<Vec<String>, String> {
    let kinds: Vec<Kind> = args.kinds.iter().copied().filter(|kind| kind.is_there()).collect();
    for kind in args.kinds.iter().filter(|kind| !kinds.contains(kind)) {
        println!("{} is not installed and is left out", kind.name());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        for at in 0..kinds.len() {
            // Each goes first as often as the others.
            let kind = kinds[(at + round) % kinds.len()];
            let dir = args.dir.join(kind.name());
            let servers = Servers::start(kind, &dir)?;
            for why in runtime.block_on(one(args, round, &servers, &mut runs)) {
                failed.push(format!("round {round}, {}: {why}", kind.name()));
            }
            drop(servers);
            std::fs::remove_dir_all(&dir).map_err(|error| error.to_string())?;
        }
    }
    print(args, &kinds, &runs);
    Ok(failed)
}

/// Gives what failed.
async fn one(args: &Args, round: usize, servers: &Servers, runs: &mut Vec<Run>) -> Vec<String> {
    let mut failed = Vec::new();
    let target = match servers.leader().await {
        Ok(target) => target,
        Err(why) => return vec![why],
    };
    if let Err(why) = clients::fill(&target).await {
        return vec![format!("writing every key once: {why}")];
    }
    for what in [What::Write, What::Read] {
        for clients in &args.clients {
            let load =
                Load { what, clients: *clients, time: Duration::from_secs_f64(args.seconds) };
            let times = match clients::run(&target, load).await {
                Ok(times) => times,
                Err(why) => {
                    failed.push(format!("{} by {clients}: {why}", what.name()));
                    continue;
                }
            };
            let quantile = |q| Duration::from_micros(times.value_at_quantile(q));
            let run = Run {
                round,
                kind: servers.kind(),
                what,
                clients: *clients,
                per_second: times.len() as f64 / args.seconds,
                p50: quantile(0.5),
                p99: quantile(0.99),
            };
            if args.measures {
                eprintln!(
                    "round {round} {:5} {:5} {:3} clients: {:8.0}/s, p50 {:?}, p99 {:?}",
                    run.kind.name(),
                    what.name(),
                    clients,
                    run.per_second,
                    run.p50,
                    run.p99
                );
            }
            runs.push(run);
        }
    }
    failed
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => (all[n / 2 - 1] + all[n / 2]) / 2.0,
        n => all[n / 2],
    }
}

/// A table of medians, and of the medians of the ratios of the same round.
fn print(args: &Args, kinds: &[Kind], runs: &[Run]) {
    if !args.measures {
        let answered = runs.iter().filter(|run| run.per_second > 0.0).count();
        println!("{} runs, requests were answered in {answered} of them", runs.len());
        return;
    }
    let of = |kind, what, clients| {
        let fits = move |run: &&Run| (run.kind, run.what, run.clients) == (kind, what, clients);
        runs.iter().filter(fits)
    };
    let first = kinds[0];
    let heads = kinds.iter().map(|kind| format!("{}/s (p50, p99 ms) | ", kind.name()));
    let ratios = kinds[1..].iter().map(|kind| format!("{}/{} | ", first.name(), kind.name()));
    println!("| | clients | {}{}", heads.collect::<String>(), ratios.collect::<String>());
    println!("|{}", " --- |".repeat(2 + kinds.len() * 2 - 1));
    for what in [What::Write, What::Read] {
        for clients in &args.clients {
            let figures = kinds.iter().map(|kind| {
                let middle =
                    |f: fn(&Run) -> f64| median(of(*kind, what, *clients).map(f).collect());
                format!(
                    "{:.0} ({:.2}, {:.2}) | ",
                    middle(|run| run.per_second),
                    middle(|run| run.p50.as_secs_f64() * 1e3),
                    middle(|run| run.p99.as_secs_f64() * 1e3),
                )
            });
            let ratios = kinds[1..].iter().map(|kind| {
                let ratio = |run: &Run| {
                    let other = of(*kind, what, *clients).find(|other| other.round == run.round);
                    other.map(|other| run.per_second / other.per_second)
                };
                format!("{:.2} | ", median(of(first, what, *clients).filter_map(ratio).collect()))
            });
            let (figures, ratios) = (figures.collect::<String>(), ratios.collect::<String>());
            println!("| {} | {clients} | {figures}{ratios}", what.name());
        }
    }
}
