//! `traft member`, `transfer`, `snapshot`: orders to a cluster that runs.

use super::data::connect;
use super::url::Url;
use crate::resp::Value;
use crate::serve::client::Client;
use clap::{Args, Subcommand};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What follows the options of `traft member --help`.
pub(super) const GUIDE: &str = "\
A change is asked of the replica that leads, which is found by itself, and is done when the command
returns: then replicas that left may be switched off. New voters have to run, and to be in the
`peers` of all others; they catch up before they count, while commands go on.

A change has a number, which --request says; without one it is the time in milliseconds. Asking
again with the same number is asking for the same change, so a command that was interrupted can be
repeated with the number that it printed.

Examples:
  traft member show --url redis://127.0.0.1:6381
      who is a member
  traft member add 4 --url redis://127.0.0.1:6381
      one voter more, where majorities decide
  traft member set '2 of (2 of (n1 n2 n3); 2 of (n4 n5 n6); 2 of (n7 n8 n9))'
      three zones; what it needs is said before by `traft plan`
  traft member cancel 1764000000000
      take back a change that has not committed

Exit codes:
  0  done
  1  it was refused; the reason is on standard error
  2  the command line is wrong, or nobody answers: ask again with the same number

What a change is, and how memberships are written: docs/membership.md, docs/quorums.md";

/// Who is a member.
#[derive(Subcommand, Debug)]
pub enum MemberTask {
    /// Print the memberships in force, and what is to follow
    Show(At),
    /// One voter more, in a cluster where majorities decide
    Add(OneArgs),
    /// One replica less, in a cluster where majorities decide
    Remove(OneArgs),
    /// Another membership, whatever it is
    Set(SetArgs),
    /// Take back a change that has not committed
    Cancel(CancelArgs),
}

/// Whom to ask.
#[derive(Args, Clone, Debug)]
pub struct At {
    /// Whom to ask; of several, whoever answers first
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        env = "TRAFT_URL",
        default_value = "redis://127.0.0.1:6379"
    )]
    pub(super) url: Vec<Url>,
}

/// Of `traft member add` and `remove`.
#[derive(Args, Debug)]
pub struct OneArgs {
    /// The number of the replica
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The number of the change
    #[arg(long, value_name = "NUMBER")]
    request: Option<u64>,
    #[command(flatten)]
    at: At,
}

/// Of `traft member set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// As `traft plan` takes it: '(n1 n2 n3)', '(n1 n2 n3) learners (n4)' and so on
    #[arg(value_name = "MEMBERSHIP")]
    membership: String,
    /// The number of the change
    #[arg(long, value_name = "NUMBER")]
    request: Option<u64>,
    /// Do not wait for new voters: while a write quorum of them is not there, nothing commits
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    at: At,
}

/// Of `traft member cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// The number of the change
    #[arg(value_name = "NUMBER")]
    request: u64,
    #[command(flatten)]
    at: At,
}

/// Of `traft transfer`.
#[derive(Args, Debug)]
pub struct TransferArgs {
    /// To this replica; without it, to the one that lacks least
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    #[command(flatten)]
    at: At,
}

/// Snapshots.
#[derive(Subcommand, Debug)]
pub enum SnapshotTask {
    /// Have each replica that is asked save its state now, so that it can drop its log
    Take(At),
    /// Have the replica that is asked offer another one the snapshot that it has
    Send(SendArgs),
}

/// Of `traft snapshot send`.
#[derive(Args, Debug)]
pub struct SendArgs {
    /// To this replica, which fetches it if it lacks something in it
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
    #[command(flatten)]
    at: At,
}

/// What became of an order: nothing, or why it was refused.
type Done = Result<Option<String>, String>;

/// An answer is waited for as long as somebody leads, or will soon.
const PATIENCE: Duration = Duration::from_secs(15);

/// A new voter that does not answer may have started a moment ago: the leader dials it again within
/// a second. So the change is asked for again for so long.
const SILENCE: Duration = Duration::from_secs(2);

/// What the refusal of such a change says.
const SILENT: &str = "does not answer; start it";

/// Before somebody is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// `traft member`.
pub(super) fn member(task: &MemberTask) -> Done {
    match task {
        MemberTask::Show(at) => show(at).map(|()| None),
        MemberTask::Add(args) => one("ADD", args),
        MemberTask::Remove(args) => one("REMOVE", args),
        MemberTask::Set(args) => {
            let number = request(args.request)?;
            let mut words = vec!["TRAFT", "MEMBER", "SET", &args.membership, "REQUEST", &number];
            words.extend(args.force.then_some("FORCE"));
            order(&args.at, &words)
        }
        MemberTask::Cancel(args) => {
            let number = args.request.to_string();
            order(&args.at, &["TRAFT", "MEMBER", "CANCEL", &number])
        }
    }
}

fn one(what: &str, args: &OneArgs) -> Done {
    let (id, number) = (args.id.to_string(), request(args.request)?);
    order(&args.at, &["TRAFT", "MEMBER", what, &id, "REQUEST", &number])
}

/// The number of a change; said if it was drawn here, so that it can be used again.
fn request(said: Option<u64>) -> Result<String, String> {
    if let Some(number) = said {
        return Ok(number.to_string());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.map_err(|_| "the clock of this machine is before 1970")?;
    let number = since.as_millis().to_string();
    eprintln!("traft: this is request {number}");
    Ok(number)
}

/// `traft transfer`.
pub(super) fn transfer(args: &TransferArgs) -> Done {
    match args.to {
        Some(to) => order(&args.at, &["TRAFT", "TRANSFER", &to.to_string()]),
        None => order(&args.at, &["TRAFT", "TRANSFER"]),
    }
}

/// `traft snapshot`.
pub(super) fn snapshot(task: &SnapshotTask) -> Done {
    let at = match task {
        SnapshotTask::Take(at) => at,
        SnapshotTask::Send(args) => {
            let words = ["TRAFT", "SNAPSHOT", "SEND", &args.to.to_string()];
            return order(&args.at, &words);
        }
    };
    for url in &at.url {
        let said = ask(&mut connect(url)?, &["TRAFT", "SNAPSHOT"])?;
        if let Value::Error(why) = said {
            return Ok(Some(text(&why)));
        }
    }
    Ok(None)
}

fn show(at: &At) -> Result<(), String> {
    let status = survey(&mut any(at)?)?;
    for (at, (_, membership)) in status.iter().filter(|(name, _)| name == "membership").enumerate()
    {
        println!("{:10} {membership}", if at == 0 { "in force" } else { "pending" });
    }
    for (name, value) in &status {
        match name.as_str() {
            "goal" => println!("{:10} {value}", "to come"),
            "request" => println!("{:10} {value}", "request"),
            _ => {}
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ask(client: &mut Client, words: &[&str]) -> Result<Value, String> {
    client.ask(words).map_err(|error| error.to_string())
}

/// A connection to the first that is there.
fn any(at: &At) -> Result<Client, String> {
    let mut last = String::new();
    for url in &at.url {
        match connect(url) {
            Ok(client) => return Ok(client),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// What a replica says of itself, in its order.
pub(super) fn survey(client: &mut Client) -> Result<Vec<(String, String)>, String> {
    match ask(client, &["TRAFT", "STATUS"])? {
        Value::Bulk(lines) => {
            let split = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_string(), value.to_string()))
            };
            Ok(text(&lines).lines().filter_map(split).collect())
        }
        Value::Error(why) => Err(text(&why)),
        _ => Err("what came is no status".into()),
    }
}

/// Has the replica that leads carry an order out: whoever does not lead says who does.
fn order(at: &At, words: &[&str]) -> Done {
    let began = Instant::now();
    let end = began + PATIENCE;
    let mut target: Option<Url> = None;
    loop {
        let asked = match &target {
            Some(url) => connect(url),
            None => any(at),
        };
        let why = match asked.and_then(|mut client| ask(&mut client, words)) {
            Ok(Value::Error(why)) => text(&why),
            Ok(_) => return Ok(None),
            Err(why) if Instant::now() >= end => return Err(why),
            Err(_) => "TRYAGAIN".into(),
        };
        target = why.strip_prefix("MOVED 0 ").map(|address| Url {
            address: address.into(),
            password: at.url.iter().find_map(|url| url.password.clone()),
        });
        let silent = why.contains(SILENT) && began.elapsed() < SILENCE;
        let passes =
            silent || target.is_some() || why.starts_with("TRYAGAIN") || why.starts_with("UNKNOWN");
        if !passes {
            return Ok(Some(why.strip_prefix("ERR ").unwrap_or(&why).into()));
        }
        if Instant::now() >= end {
            return Err(format!("not in {} s: {why}", PATIENCE.as_secs()));
        }
        std::thread::sleep(AGAIN);
    }
}
