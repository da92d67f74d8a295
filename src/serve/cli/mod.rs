//! The commands of `traft` about the store, for the program's command line.

#[cfg(feature = "net")]
mod cert;
#[cfg(feature = "net")]
mod checks;
mod data;
#[cfg(feature = "net")]
mod join;
mod load;
mod nemesis;
mod operate;
#[cfg(feature = "net")]
mod processes;
#[cfg(feature = "net")]
mod serve;
#[cfg(feature = "net")]
mod settings;
mod status;
mod steps;
mod up;
mod url;

pub use url::{Url, UrlError};

use super::PASSWORD;
use clap::Subcommand;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the program does with the store.
#[derive(Subcommand, Debug)]
pub enum StoreTask {
    /// Run one replica of a store that speaks the Redis protocol
    #[cfg(feature = "net")]
    #[command(after_help = serve::GUIDE)]
    Serve(Box<settings::ServeArgs>),
    /// Run a whole store on this machine
    #[command(subcommand, disable_help_subcommand = true)]
    Cluster(up::ClusterTask),
    /// Make certificates for replicas
    #[cfg(feature = "net")]
    #[command(subcommand, disable_help_subcommand = true)]
    Cert(cert::CertTask),
    /// Show and change who is a member of a store that runs
    #[command(subcommand, disable_help_subcommand = true, after_help = operate::GUIDE)]
    Member(operate::MemberTask),
    /// Hand leadership to another replica
    Transfer(operate::TransferArgs),
    /// Snapshots of a store that runs
    #[command(subcommand, disable_help_subcommand = true)]
    Snapshot(operate::SnapshotTask),
    /// Print what the replicas are: roles, leader ids, what they hold and lack
    #[command(after_help = status::GUIDE)]
    Status(status::StatusArgs),
    /// Print the value of a key
    Get(data::GetArgs),
    /// Set a key
    Put(data::PutArgs),
    /// Print the value of a key whenever it changes
    Watch(data::WatchArgs),
    /// Put load on servers of the Redis protocol, and say how long requests take
    #[command(after_help = load::GUIDE)]
    Load(load::LoadArgs),
    /// Kill, pause and cut a cluster under load, and look for what cannot be explained
    #[command(after_help = nemesis::GUIDE)]
    Nemesis(nemesis::NemesisArgs),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is done.
    Well,
    /// There is nothing of what was asked for.
    Nothing,
    /// It was judged: what is to be said, and what is wrong.
    Judged(String, Vec<String>),
    /// It went well for a while, and then not.
    Failed(String),
}

/// Does it.
///
/// # Errors
///
/// One sentence about what was asked for.
pub fn run(task: &StoreTask) -> Result<Ended, String> {
    let well = |()| Ended::Well;
    match task {
        #[cfg(feature = "net")]
        StoreTask::Serve(args) => serve::run(args),
        StoreTask::Cluster(up::ClusterTask::Up(args)) => up::up(args).map(well),
        #[cfg(feature = "net")]
        StoreTask::Cert(task) => cert::run(task).map(well),
        StoreTask::Member(task) => operate::member(task).map(refused),
        StoreTask::Transfer(args) => operate::transfer(args).map(refused),
        StoreTask::Snapshot(task) => operate::snapshot(task).map(refused),
        StoreTask::Status(args) => status::run(args).map(well),
        StoreTask::Get(args) => {
            data::get(args).map(|found| if found { Ended::Well } else { Ended::Nothing })
        }
        StoreTask::Put(args) => data::put(args).map(well),
        StoreTask::Watch(args) => data::watch(args).map(well),
        StoreTask::Load(args) => load::run(args).map(well),
        StoreTask::Nemesis(args) => {
            nemesis::run(args).map(|(text, complaints)| Ended::Judged(text, complaints))
        }
    }
}

fn refused(why: Option<String>) -> Ended {
    why.map_or(Ended::Well, Ended::Failed)
}

/// At least the life and the incarnation of every life of a replica that was wiped: earlier ones
/// were smaller than the seconds since 1970.
fn wiped_after() -> Result<u64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(since.map_err(|_| "the clock of this machine is before 1970")?.as_secs())
}

/// The password that clients have to say, if there is one.
fn password() -> Result<Option<String>, String> {
    match std::env::var(PASSWORD) {
        Ok(password) if password.is_empty() => Ok(None),
        Ok(password) => Ok(Some(password)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{PASSWORD}: {error}")),
    }
}
