//! One key at a time: `traft get`, `put` and `watch`.

use super::url::Url;
use crate::resp::Value;
use crate::serve::client::{Client, ClientError};
use clap::Args;
use std::io::Write;
use std::time::Duration;

/// Of `traft get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// Which
    #[arg(value_name = "KEY")]
    key: String,
    /// Whom to ask
    #[arg(long, value_name = "URL", env = "TRAFT_URL", default_value = "redis://127.0.0.1:6379")]
    url: Url,
}

/// Of `traft put`.
#[derive(Args, Debug)]
pub struct PutArgs {
    /// Which
    #[arg(value_name = "KEY")]
    key: String,
    /// What
    #[arg(value_name = "VALUE")]
    value: String,
    /// For how many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    expire: Option<u64>,
    /// Whom to ask
    #[arg(long, value_name = "URL", env = "TRAFT_URL", default_value = "redis://127.0.0.1:6379")]
    url: Url,
}

/// Of `traft watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Which
    #[arg(value_name = "KEY")]
    key: String,
    /// How often it is read: changes in between are seen as one
    #[arg(long, value_name = "MS", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..))]
    every_ms: u64,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Whom to ask
    #[arg(long, value_name = "URL", env = "TRAFT_URL", default_value = "redis://127.0.0.1:6379")]
    url: Url,
}

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that has said the password.
pub(super) fn connect(url: &Url) -> Result<Client, String> {
    connect_within(url, PATIENCE)
}

/// The same; it and each reply is waited for so long.
pub(super) fn connect_within(url: &Url, patience: Duration) -> Result<Client, String> {
    let failed = |error: ClientError| format!("{}: {error}", url.address);
    let mut client = Client::connect(&url.address, Some(patience)).map_err(failed)?;
    if let Some(password) = &url.password {
        match client.ask(&["AUTH", password]).map_err(failed)? {
            Value::Error(why) => return Err(said(&why)),
            _ => return Ok(client),
        }
    }
    Ok(client)
}

fn said(why: &[u8]) -> String {
    String::from_utf8_lossy(why).into_owned()
}

fn ask(client: &mut Client, words: &[&str]) -> Result<Value, String> {
    match client.ask(words) {
        Ok(Value::Error(why)) => Err(said(&why)),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}; whether it was done is not known")),
    }
}

fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // The reader may have seen enough.
    let _ = out.write_all(bytes).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// `traft get`: prints the value; says whether there is one.
///
/// # Errors
///
/// One sentence.
pub(super) fn get(args: &GetArgs) -> Result<bool, String> {
    match ask(&mut connect(&args.url)?, &["GET", &args.key])? {
        Value::Bulk(value) => {
            print(&value);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `traft put`.
///
/// # Errors
///
/// One sentence.
pub(super) fn put(args: &PutArgs) -> Result<(), String> {
    let mut client = connect(&args.url)?;
    let seconds = args.expire.map(|seconds| seconds.to_string());
    let mut words = vec!["SET", &args.key, &args.value];
    if let Some(seconds) = &seconds {
        words.extend(["EX", seconds]);
    }
    ask(&mut client, &words).map(drop)
}

/// `traft watch`: prints the value, and again whenever it is another one.
///
/// # Errors
///
/// One sentence.
pub(super) fn watch(args: &WatchArgs) -> Result<(), String> {
    let mut client = connect(&args.url)?;
    let (mut last, mut seen) = (None, 0);
    loop {
        let value = ask(&mut client, &["GET", &args.key])?;
        if last.as_ref() != Some(&value) {
            match &value {
                Value::Bulk(value) => print(value),
                _ => print(b"(nothing)"),
            }
            seen += 1;
            last = Some(value);
        }
        if args.count.is_some_and(|count| seen >= count) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(args.every_ms));
    }
}
