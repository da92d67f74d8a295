//! `traft inspect snapshot`: what a snapshot holds, and whether all of it can be read.

use crate::disk::Disk;
use crate::snapshot::{Damage, Snapshot, VERSION, range_text, text};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// More damaged parts than this are counted and not listed.
const DAMAGE_LISTED_MAX: usize = 100;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct SnapshotArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Reads the whole file and looks at every checksum, every hash and every key. Keys are shown with
escapes for what is not printable.

Examples:
  traft inspect snapshot data/000000000000002a.snap
  traft inspect snapshot data/000000000000002a.snap --json

Exit codes:
  0  whole
  1  damaged; where, and what that means, is on standard error
  2  the command line is wrong, or the file is no snapshot";

/// What it is: the text for standard output, and complaints for standard error; or one sentence
/// that says why it is nothing.
#[cfg(unix)]
pub(super) fn snapshot(args: &SnapshotArgs) -> Result<(String, Vec<String>), String> {
    use crate::disk::RealDisk;
    use crate::snapshot::SnapshotError;
    let path = args.file.display();
    let name = args.file.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| args.file.is_file()) else {
        return Err(format!("{path}: there is no such file"));
    };
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let disk = RealDisk::new(folder.unwrap_or(".".as_ref())).map_err(|e| e.to_string())?;
    let mut damage = Found::default();
    let opened = match Snapshot::open(disk, name, 0) {
        Ok(snapshot) => {
            let verified = snapshot.verify(|found| damage.note(found));
            verified.map_err(|error| format!("{path}: {error}"))?;
            Some(snapshot)
        }
        Err(SnapshotError::Damaged(found)) => {
            damage.note(*found);
            None
        }
        Err(error) => return Err(format!("{path}: {error}")),
    };
    let text = match (&opened, args.json) {
        (opened, true) => document(name, opened.as_ref(), &damage),
        (Some(snapshot), false) => page(name, snapshot, &damage),
        (None, false) => format!("snapshot {name}\n"),
    };
    let complaint = |found: &Damage| format!("{path}: {found}; {}", found.meaning());
    Ok((text, damage.listed.iter().map(complaint).collect()))
}

/// The disk port has no real disk elsewhere.
#[cfg(not(unix))]
pub(super) fn snapshot(_: &SnapshotArgs) -> Result<(String, Vec<String>), String> {
    Err("files can be inspected on Unix only".into())
}

#[derive(Default)]
struct Found {
    listed: Vec<Damage>,
    count: usize,
}

impl Found {
    fn note(&mut self, damage: Damage) {
        self.count += 1;
        if self.listed.len() < DAMAGE_LISTED_MAX {
            self.listed.push(damage);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn page<D: Disk>(name: &str, snapshot: &Snapshot<D>, damage: &Found) -> String {
    let (header, layout) = (snapshot.header(), snapshot.layout());
    let keys = snapshot.ends().map_or(String::new(), |(first, last)| {
        format!(", from {} to {}", text(&first), text(&last))
    });
    let at = header.committed_at.map_or("from the start".into(), |lsn| format!("at {lsn}"));
    let damage = match damage.count {
        0 => "none".into(),
        count => format!("{count} parts"),
    };
    format!(
        "snapshot {name}
  format      {VERSION}
  made by     {} of cluster {}
  done        {}
  membership  {} {at}
  lineage     {}
  sessions    {} bytes
  keys        {}{keys}
  file        {} bytes: header {}, values {}, keys {}, directory {}; {} segments
  root        {}
  damage      {damage}
",
        header.replica,
        header.cluster,
        header.done,
        header.membership,
        header.lineage,
        header.sessions.len(),
        snapshot.len(),
        layout.file_bytes,
        layout.header_bytes,
        layout.blocks_bytes,
        layout.index_bytes,
        layout.directory_bytes,
        layout.segments,
        hex(&snapshot.root()),
    )
}

fn document<D: Disk>(name: &str, snapshot: Option<&Snapshot<D>>, damage: &Found) -> String {
    let damaged: Vec<Value> = damage
        .listed
        .iter()
        .map(|found| {
            json!({
                "part": found.part.to_string(),
                "offset": found.offset,
                "bytes": found.bytes,
                "keys": range_text(&found.keys),
                "cause": found.cause.to_string(),
                "meaning": found.meaning(),
            })
        })
        .collect();
    let mut document = json!({
        "file": name,
        "format": VERSION,
        "damaged_parts": damage.count,
        "damage": damaged,
    });
    if let Some(snapshot) = snapshot {
        let (header, layout) = (snapshot.header(), snapshot.layout());
        let ends = snapshot.ends();
        document["cluster"] = json!(header.cluster);
        document["replica"] = json!(header.replica.0);
        document["done"] = json!(header.done.to_string());
        document["done_below"] = json!(header.done.offset().0);
        document["membership"] = json!(header.membership.to_string());
        document["membership_at"] = json!(header.committed_at.map(|lsn| lsn.0));
        document["lineage"] = json!(header.lineage.to_string());
        document["sessions_bytes"] = json!(header.sessions.len());
        document["keys"] = json!(snapshot.len());
        document["first_key"] = json!(ends.as_ref().map(|(first, _)| text(first)));
        document["last_key"] = json!(ends.as_ref().map(|(_, last)| text(last)));
        document["file_bytes"] = json!(layout.file_bytes);
        document["header_bytes"] = json!(layout.header_bytes);
        document["values_bytes"] = json!(layout.blocks_bytes);
        document["keys_bytes"] = json!(layout.index_bytes);
        document["directory_bytes"] = json!(layout.directory_bytes);
        document["segments"] = json!(layout.segments);
        document["root"] = json!(hex(&snapshot.root()));
    }
    format!("{document:#}\n")
}
