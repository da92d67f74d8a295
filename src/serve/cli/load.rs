//! `traft load` on the command line.

use super::url::Url;
use crate::serve::load::{self, Arrivals, Mix, Plan, Requests};
use clap::Args;
use std::io::IsTerminal;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// What follows the options of `traft load --help`.
pub(super) const GUIDE: &str = "\
Mixes (of the Yahoo! Cloud Serving Benchmark, without its scans, and two plain ones):
  a      half reads, half updates
  b      95 % reads, 5 % updates
  c      reads
  d      95 % reads of what is new, 5 % inserts
  f      half reads, half reads followed by an update of the same key
  read   reads
  write  updates

Times are those from the sending of a request to its reply; with --rate, from the moment it was due,
so that what a slow server keeps waiting counts.

Examples:
  traft load --url redis://127.0.0.1:7000 --fill
      64 clients, mix a, 10 s
  traft load --url redis://127.0.0.1:7000,redis://127.0.0.1:7001 --mix write --clients 256
      clients of two replicas
  traft load --url redis://127.0.0.1:7000 --rate 5000 --mix b --json
      5,000 requests in each second, whatever the server does

Exit codes:
  0  done
  2  the command line is wrong, nobody was there, or the server does not let it in";

/// Of `traft load`.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// Whom to ask; clients are spread over several
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        env = "TRAFT_URL",
        default_value = "redis://127.0.0.1:6379"
    )]
    url: Vec<Url>,
    /// How many connections
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,
    /// Requests in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate",
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pipeline: u64,
    /// Requests in each second, whatever the server does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Which requests (listed below)
    #[arg(long, value_name = "NAME", default_value = "a")]
    mix: String,
    /// How many keys
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(2..=100_000_000))]
    keys: u64,
    /// All keys alike, instead of few hot ones
    #[arg(long)]
    uniform: bool,
    /// The length of values
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    value_bytes: u64,
    /// For how long
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How much of that is not measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    warm_up: u64,
    /// Write every key before
    #[arg(long)]
    fill: bool,
    /// Decides the keys and kinds of requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// `traft load`: prints what came of it.
///
/// # Errors
///
/// One sentence.
pub(super) fn run(args: &LoadArgs) -> Result<(), String> {
    let names = || Mix::ALL.map(|mix| mix.name).join(", ");
    let mix = Mix::named(&args.mix)
        .ok_or_else(|| format!("unknown mix {:?}; there are: {}", args.mix, names()))?;
    if args.warm_up >= args.seconds {
        return Err(format!("--warm-up must be below --seconds, not {}", args.warm_up));
    }
    let mut addresses = Vec::new();
    for url in &args.url {
        let found = url.address.to_socket_addrs().map_err(|error| error.to_string());
        let found = found.and_then(|mut all| all.next().ok_or("no address".into()));
        addresses.push(found.map_err(|error| format!("{}: {error}", url.address))?);
    }
    let value_bytes = args.value_bytes as usize;
    let plan = Plan {
        addresses,
        password: args.url.iter().find_map(|url| url.password.clone()),
        clients: args.clients as usize,
        arrivals: match args.rate {
            Some(rate) => Arrivals::Open { rate: rate as f64 },
            None => Arrivals::Closed { depth: args.pipeline as usize },
        },
        requests: Requests::new(mix, args.keys, !args.uniform, value_bytes, args.seed),
        time: Duration::from_secs(args.seconds),
        warm_up: Duration::from_secs(args.warm_up),
        fill: args.fill,
    };
    let live = std::io::stderr().is_terminal();
    let report = load::run(&plan, |progress| {
        if live {
            eprintln!("{progress}");
        }
    });
    let report = report.map_err(|error| error.to_string())?;
    let text = if args.json { report.json() } else { report.to_string() };
    // The reader may have seen enough.
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
    Ok(())
}
