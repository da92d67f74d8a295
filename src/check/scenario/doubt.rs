//! Disks that lose what they had, in a script.

use super::stage::{Stage, set};
use super::verbs::{leader, positions};
use crate::base::*;
use crate::replica::Doubt;

/// `n1 restarts without {0 2}`, `n1 restarts without {} and its promise above 1#1`.
pub(super) fn run(
    stage: &mut Stage,
    id: ReplicaId,
    words: &[&str],
    line: &str,
) -> Result<(), String> {
    let ["restarts", "without", ref rest @ ..] = *words else { return Err("unknown".into()) };
    let lost = positions(line)?;
    let promise = rest.iter().position(|word| *word == "promise").map(|at| rest.get(at + 2));
    let disk = &mut stage.node(id).disk;
    disk.lose(&lost);
    let mut doubt = Doubt::Records;
    if let Some(above) = promise {
        disk.durable.voted = leader(above.ok_or("above what?")?)?;
        doubt = Doubt::Promise;
    }
    disk.durable.doubt = disk.durable.doubt.max(Some(doubt));
    disk.durable.incarnation += 1;
    stage.restart(id);
    let held = stage.node(id).replica.accepted().clone();
    let held = set(held.difference_iter(&TailBitmap::new()));
    stage.say(format!("{id} is in doubt; holds {held}"));
    Ok(())
}
