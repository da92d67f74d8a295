//! `traft status`: what the replicas of a cluster say of themselves, side by side.

use super::data::connect;
use super::operate::{At, survey};
use super::url::Url;
use clap::Args;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// What follows the options of `traft status --help`.
pub(super) const GUIDE: &str = "\
Asks the replica of --url, and all others that it knows the addresses of, what they are.

  role      leader, follower, candidate, pre-candidate
  leader    the leader id that it follows or holds: term#replica
  accepted  the set of positions that it holds: {..7 9} is all below 7, and 9
  done      how far everything is done there
  holes     positions below its last one that it lacks: lawful, and repaired in the background
  lag       positions that the leader has placed and does not know accepted there
  silent    how long the leader has not heard it, in ms
  per s     commands that its clients were answered (with --watch), else all so far

Examples:
  traft status --url redis://127.0.0.1:6381
      once
  traft status --watch --url redis://127.0.0.1:6381
      every second
  traft status --json --url redis://127.0.0.1:6381
      everything that they say, for other programs

Exit codes:
  0  somebody answered
  2  nobody answers";

/// Of `traft status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    at: At,
    /// Again every second, until it is interrupted
    #[arg(long)]
    watch: bool,
    /// With --watch, so many times
    #[arg(long, value_name = "N", requires = "watch")]
    count: Option<u64>,
    /// Print one JSON document for each time
    #[arg(long)]
    json: bool,
}

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// What one replica says: names and values, in its order.
type Lines = Vec<(String, String)>;

/// All that were asked: by address, what they said or why they did not.
type All = BTreeMap<String, Result<Lines, String>>;

/// `traft status`.
pub(super) fn run(args: &StatusArgs) -> Result<(), String> {
    let mut before: Option<(Instant, All)> = None;
    for round in 1.. {
        let all = look(&args.at);
        if let Some(why) = all.values().find_map(|said| said.as_ref().err())
            && all.values().all(Result::is_err)
        {
            return Err(why.clone());
        }
        let text = if args.json { json(&all) } else { table(&all, before.as_ref()) };
        let mut out = std::io::stdout().lock();
        let clear =
            if args.watch && !args.json && out.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        // The reader may have seen enough.
        if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        if !args.watch || args.count.is_some_and(|count| round >= count) {
            return Ok(());
        }
        before = Some((Instant::now(), all));
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// Asks those that are named, and then those that they name.
fn look(at: &At) -> All {
    let mut all = All::new();
    let mut wanted: Vec<Url> = at.url.clone();
    let password = at.url.iter().find_map(|url| url.password.clone());
    while let Some(url) = wanted.pop() {
        if all.contains_key(&url.address) {
            continue;
        }
        let said = connect(&url).and_then(|mut client| survey(&mut client));
        for (_, address) in said.iter().flatten().filter(|(name, _)| name.starts_with("seat_")) {
            wanted.push(Url { address: address.clone(), password: password.clone() });
        }
        all.insert(url.address, said);
    }
    all
}

fn get<'a>(lines: &'a Lines, name: &str) -> Option<&'a str> {
    lines.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// A part of what the leader says of a follower: `lag=3`.
fn of_follower<'a>(leader: Option<&'a Lines>, id: &str, name: &str) -> Option<&'a str> {
    let line = get(leader?, &format!("follower_{id}"))?;
    line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// `{..7 9}` as 7.
fn prefix(set: &str) -> &str {
    set.trim_start_matches("{..").split([' ', '}']).next().unwrap_or_default()
}

fn answered(lines: &Lines) -> u64 {
    get(lines, "answered").and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn table(all: &All, before: Option<&(Instant, All)>) -> String {
    let said = || all.iter().filter_map(|(at, said)| Some((at, said.as_ref().ok()?)));
    let leader = said().map(|(_, lines)| lines).find(|l| get(l, "role") == Some("leader"));
    let mut rows: Vec<[String; 10]> = Vec::new();
    for (address, lines) in said() {
        let field = |name| get(lines, name).unwrap_or("-").to_string();
        let id = field("id");
        let seen = |name| of_follower(leader, &id, name).unwrap_or("-").to_string();
        let count = answered(lines);
        let rate = match before.and_then(|(at, all)| Some((at, all.get(address)?.as_ref().ok()?))) {
            Some((at, earlier)) => {
                let more = count.saturating_sub(answered(earlier));
                format!("{:.0}", more as f64 / at.elapsed().as_secs_f64().max(1e-3))
            }
            None => count.to_string(),
        };
        let role = match (get(lines, "full"), get(lines, "doubtful")) {
            (_, Some("1")) => format!("{}, in doubt", field("role")),
            (Some("1"), _) => format!("{}, full", field("role")),
            _ => field("role"),
        };
        let (done, accepted) = (prefix(&field("done")).to_string(), field("accepted"));
        rows.push([
            format!("n{id}"),
            role,
            field("leader"),
            done,
            field("holes"),
            seen("lag"),
            seen("silent_ms"),
            rate,
            address.clone(),
            accepted,
        ]);
    }
    rows.sort();
    let head = ["", "role", "leader", "done", "holes", "lag", "silent", "per s", "at", "accepted"];
    rows.insert(0, head.map(String::from));
    let mut text = aligned(&rows);
    for (address, why) in all.iter().filter_map(|(at, said)| Some((at, said.as_ref().err()?))) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address} does not answer: {why}");
    }
    let newest = leader.or(said().map(|(_, lines)| lines).next());
    for (name, value) in newest.into_iter().flatten() {
        if matches!(name.as_str(), "membership" | "goal") {
            let _ = writeln!(text, "{name:10} {value}");
        }
    }
    text
}

fn aligned(rows: &[[String; 10]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..10).map(width).collect();
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// All that was said; names that come more than once become lists.
fn json(all: &All) -> String {
    let one = |(address, said): (&String, &Result<Lines, String>)| {
        let mut fields = Map::new();
        fields.insert("at".into(), Json::from(address.as_str()));
        match said {
            Err(why) => drop(fields.insert("error".into(), Json::from(why.as_str()))),
            Ok(lines) => {
                for (name, value) in lines {
                    let number = value.parse::<u64>().map(Json::from);
                    let value = number.unwrap_or_else(|_| Json::from(value.as_str()));
                    if name != "membership" {
                        fields.insert(name.clone(), value);
                    } else if let Some(Json::Array(list)) = fields.get_mut("memberships") {
                        list.push(value);
                    } else {
                        fields.insert("memberships".into(), Json::Array(vec![value]));
                    }
                }
            }
        }
        Json::Object(fields)
    };
    format!("{}\n", Json::Array(all.iter().map(one).collect()))
}
