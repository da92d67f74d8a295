//! `traft inspect snapshot`: what a snapshot holds, and whether all of it can be read.

use super::Outcome;
use super::place::File;
use super::print::{bitmap, damage_document, hex};
use crate::disk::RealDisk;
use crate::snapshot::{Snapshot, VERSION, text};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn run(path: &Path, as_json: bool) -> Outcome {
    let file = File::read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = match (&file.snapshot, as_json) {
        (_, true) => document(&name, &file),
        (Some(snapshot), false) => page(&name, snapshot, file.damaged),
        (None, false) => format!("snapshot {name}\n"),
    };
    Ok((text, file.complaints()))
}

fn page(name: &str, snapshot: &Snapshot<RealDisk>, damaged: usize) -> String {
    let (header, layout) = (snapshot.header(), snapshot.layout());
    let keys = snapshot.ends().map_or(String::new(), |(first, last)| {
        format!(", from {} to {}", text(&first), text(&last))
    });
    let at = header.committed_at.map_or("from the start".into(), |lsn| format!("at {lsn}"));
    let damage = match damaged {
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
        bitmap(&header.done),
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

fn document(name: &str, file: &File) -> String {
    let mut document: Value = json!({
        "file": name,
        "format": VERSION,
        "damaged_parts": file.damaged,
        "damage": file.damage.iter().map(damage_document).collect::<Vec<_>>(),
    });
    if let Some(snapshot) = &file.snapshot {
        let (header, layout) = (snapshot.header(), snapshot.layout());
        let ends = snapshot.ends();
        document["cluster"] = json!(header.cluster);
        document["replica"] = json!(header.replica.0);
        document["done"] = json!(bitmap(&header.done));
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
