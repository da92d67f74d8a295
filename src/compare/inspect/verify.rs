//! `traft inspect verify`: every byte of what a replica keeps, and whether it fits together.

use super::Outcome;
use super::place::{File, Log, Place};
use super::print::{bitmap, damage_document};
use crate::base::Lsn;
use crate::wal::WalError;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Everything that was looked at.
struct Found {
    logs: Vec<Log>,
    snapshots: Vec<Result<File, (PathBuf, String)>>,
    unfinished: Vec<PathBuf>,
}

pub(super) fn run(dir: &Path, as_json: bool) -> Outcome {
    let place = Place::read(dir)?;
    if place.logs.is_empty() && place.snapshots.is_empty() {
        return Err(format!("{}: there is neither a log nor a snapshot", dir.display()));
    }
    let file = |path: &PathBuf| File::read(path).map_err(|why| (path.clone(), why));
    let found = Found {
        logs: place.logs.iter().map(|dir| Log::read(dir)).collect(),
        snapshots: place.snapshots.iter().map(file).collect(),
        unfinished: place.unfinished,
    };
    let complaints = found.complaints();
    let text = match as_json {
        true => format!("{:#}\n", found.document(dir, &complaints)),
        false => found.page(dir, &complaints),
    };
    Ok((text, complaints))
}

impl Found {
    fn complaints(&self) -> Vec<String> {
        // One that was never begun has nothing that could be missing.
        let begun = self.logs.iter().filter(|log| !matches!(log.found, Err(WalError::Empty)));
        let logs = begun.flat_map(Log::complaints);
        let files = self.snapshots.iter().flat_map(|file| match file {
            Ok(file) => file.complaints(),
            // It has the name of one.
            Err((_, why)) => vec![why.clone()],
        });
        logs.chain(files).chain(self.strangers()).chain(self.lost()).collect()
    }

    /// Files that are not of one cluster.
    fn strangers(&self) -> Option<String> {
        let logs = self.logs.iter().filter_map(|log| {
            let found = log.found.as_ref().ok()?;
            Some((log.dir.display().to_string(), found.identity.cluster))
        });
        let files = self.snapshots.iter().filter_map(|file| {
            let file = file.as_ref().ok()?;
            Some((file.path.display().to_string(), file.snapshot.as_ref()?.header().cluster))
        });
        let mut all = logs.chain(files);
        let (first, cluster) = all.next()?;
        let (path, other) = all.find(|(_, other)| *other != cluster)?;
        Some(format!("{path} is of cluster {other}, and {first} of cluster {cluster}"))
    }

    /// What the log has purged and no whole snapshot has.
    fn lost(&self) -> Option<String> {
        let covered = self.snapshots.iter().filter_map(|file| {
            let file = file.as_ref().ok().filter(|file| file.damaged == 0)?;
            Some(file.snapshot.as_ref()?.header().done.offset())
        });
        let covered = covered.max().unwrap_or(Lsn::ZERO);
        let purged = |log: &Log| Some((log.dir.clone(), log.found.as_ref().ok()?.recovered.purged));
        let (dir, purged) =
            self.logs.iter().filter_map(purged).find(|(_, purged)| *purged > covered)?;
        let dir = dir.display();
        Some(format!(
            "{dir}: records below {purged} were dropped, and no whole snapshot here has all of \
             them: get one from another replica"
        ))
    }

    fn page(&self, dir: &Path, complaints: &[String]) -> String {
        let mut text = format!("verified {}\n", dir.display());
        // Writing to a string does not fail.
        let mut line = |what: &str, path: &Path, rest: String| {
            let _ = writeln!(text, "  {what:<10}  {}: {rest}", path.display());
        };
        for log in &self.logs {
            let rest = match &log.found {
                Ok(found) => format!(
                    "{} of cluster {}, promise {}, {} records in {} segments, purged below {}{}{}",
                    found.identity.replica,
                    found.identity.cluster,
                    found.recovered.durable.voted,
                    found.recovered.durable.records.len(),
                    found.segments.len(),
                    found.recovered.purged,
                    if log.is_held { ", held by a running process" } else { "" },
                    if log.is_damaged() { "; DAMAGED" } else { "" },
                ),
                Err(error) => error.to_string(),
            };
            line("log", &log.dir, rest);
        }
        for file in &self.snapshots {
            match file {
                Ok(file) => line("snapshot", &file.path, about(file)),
                Err((path, why)) => line("snapshot", path, why.clone()),
            }
        }
        for path in &self.unfinished {
            line("unfinished", path, "was being built or arriving; it does not count".into());
        }
        let verdict = match complaints.len() {
            0 => "clean".into(),
            count => format!("damaged: {count} complaints on standard error"),
        };
        let _ = writeln!(text, "  {verdict}");
        text
    }

    fn document(&self, dir: &Path, complaints: &[String]) -> Value {
        let log = |log: &Log| match &log.found {
            Ok(found) => super::log::document(log, found, false),
            Err(error) => json!({
                "log": log.dir.display().to_string(),
                "error": error.to_string(),
            }),
        };
        let snapshot = |file: &Result<File, (PathBuf, String)>| match file {
            Ok(file) => json!({
                "snapshot": file.path.display().to_string(),
                "keys": file.snapshot.as_ref().map(|snapshot| snapshot.len()),
                "done": file.snapshot.as_ref().map(|snapshot| bitmap(&snapshot.header().done)),
                "damaged_parts": file.damaged,
                "damage": file.damage.iter().map(damage_document).collect::<Vec<_>>(),
            }),
            Err((path, why)) => json!({"snapshot": path.display().to_string(), "error": why}),
        };
        json!({
            "directory": dir.display().to_string(),
            "clean": complaints.is_empty(),
            "logs": self.logs.iter().map(log).collect::<Vec<_>>(),
            "snapshots": self.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
            "unfinished":
                self.unfinished.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "complaints": complaints,
        })
    }
}

fn about(file: &File) -> String {
    let Some(snapshot) = &file.snapshot else { return "DAMAGED: nothing can be read".into() };
    let header = snapshot.header();
    let damage = match file.damaged {
        0 => String::new(),
        count => format!("; DAMAGED in {count} parts"),
    };
    format!(
        "made by {} of cluster {}, {} keys, done {}{damage}",
        header.replica,
        header.cluster,
        snapshot.len(),
        bitmap(&header.done)
    )
}
