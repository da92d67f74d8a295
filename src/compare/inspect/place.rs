//! Which files of a directory are a log or a snapshot.

use crate::disk::RealDisk;
use crate::snapshot::{Damage, Snapshot, SnapshotError, is_snapshot_name};
use crate::wal::{Inspection, WalError, is_segment_name};
use std::path::{Path, PathBuf};

/// What lies in a directory and directly below it.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Directories that have segments of a log.
    pub(super) logs: Vec<PathBuf>,
    /// Snapshots, in order of directory and name.
    pub(super) snapshots: Vec<PathBuf>,
    /// Files that were being built or were arriving.
    pub(super) unfinished: Vec<PathBuf>,
}

impl Place {
    pub(super) fn read(dir: &Path) -> Result<Place, String> {
        let mut place = Place::default();
        for below in place.note(dir)? {
            // What it holds that concerns nobody here, it may keep for itself.
            let _ = place.note(&below);
        }
        Ok(place)
    }

    /// Notes the files of a directory; gives the directories in it.
    fn note(&mut self, dir: &Path) -> Result<Vec<PathBuf>, String> {
        let whole = |error: std::io::Error| format!("{}: {error}", dir.display());
        let entries = std::fs::read_dir(dir).map_err(whole)?;
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(whole));
        let mut paths: Vec<PathBuf> = paths.by_ref().collect::<Result<_, _>>()?;
        paths.sort();
        let (below, files): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(|path| path.is_dir());
        let mut has_log = false;
        for path in files {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let unfinished = name.strip_suffix(".aside").or(name.strip_suffix(".part"));
            if is_segment_name(name) {
                has_log = true;
            } else if is_snapshot_name(name) {
                self.snapshots.push(path);
            } else if unfinished.is_some_and(is_snapshot_name) {
                self.unfinished.push(path);
            }
        }
        if has_log {
            self.logs.push(dir.into());
        }
        Ok(below)
    }

    /// The one log that there is.
    pub(super) fn log(&self, dir: &Path) -> Result<&Path, String> {
        match &self.logs[..] {
            [log] => Ok(log),
            [] => Err(format!("{}: there is no log in the directory", dir.display())),
            _ => Err(format!("{}: there are several logs; say which one", dir.display())),
        }
    }
}

/// A log that was looked at.
pub(super) struct Log {
    pub(super) dir: PathBuf,
    /// Whether a process has it open.
    pub(super) is_held: bool,
    /// What it holds, or why that cannot be said.
    pub(super) found: Result<Inspection, WalError>,
}

impl Log {
    pub(super) fn read(dir: &Path) -> Log {
        let disk = RealDisk::read_only(dir);
        let held = |disk: &RealDisk| disk.is_held().unwrap_or(false);
        let before = held(&disk);
        let found = Inspection::read(&disk, before);
        Log { dir: dir.into(), is_held: before || held(&disk), found }
    }

    /// Something acknowledged may be missing, as far as one can see.
    pub(super) fn is_damaged(&self) -> bool {
        match &self.found {
            Ok(inspection) => inspection.recovered.doubt.is_some(),
            Err(error) => matches!(error, WalError::Nameless { .. }),
        }
    }

    /// What is wrong with it, a line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let dir = self.dir.display();
        let found = match &self.found {
            Ok(inspection) => &inspection.recovered,
            Err(error) => return vec![format!("{dir}: {error}")],
        };
        let doubtful = found.flaws.iter().filter(|flaw| flaw.is_doubtful());
        let mut lines: Vec<String> =
            doubtful.map(|flaw| super::print::flaw_line(&self.dir, flaw)).collect();
        if let Some(doubt) = &found.doubt {
            lines.push(format!(
                "{dir}: {doubt}; the replica must not vote until its peers have given it back"
            ));
        }
        lines
    }
}

/// More damaged parts than this are counted and not kept.
const DAMAGE_MAX: usize = super::print::LISTED_MAX;

/// A snapshot of which every byte was looked at.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Absent if its ends are damaged.
    pub(super) snapshot: Option<Snapshot<RealDisk>>,
    /// The first parts that are damaged.
    pub(super) damage: Vec<Damage>,
    /// How many are.
    pub(super) damaged: usize,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<File, String> {
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|_| path.is_file()) else {
            return Err(format!("{shown}: there is no such file"));
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let disk = RealDisk::read_only(folder.unwrap_or(".".as_ref()));
        let mut file = File { path: path.into(), snapshot: None, damage: Vec::new(), damaged: 0 };
        match Snapshot::open(disk, name, 0) {
            Ok(snapshot) => {
                let verified = snapshot.verify(|found| file.note(found));
                verified.map_err(|error| format!("{shown}: {error}"))?;
                file.snapshot = Some(snapshot);
            }
            Err(SnapshotError::Damaged(found)) => file.note(*found),
            Err(error) => return Err(format!("{shown}: {error}")),
        }
        Ok(file)
    }

    fn note(&mut self, damage: Damage) {
        self.damaged += 1;
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(damage);
        }
    }

    /// What is wrong with it, a line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let line = |found: &Damage| super::print::damage_line(&self.path, found);
        self.damage.iter().map(line).collect()
    }
}
