//! Replicas that are driven as no disk and no leader may behave, to see that it is noticed.

use super::stage::Stage;
use super::verbs::{leader, positions};
use crate::base::ReplicaId;

/// Verbs that break what a replica rests on; no file uses them.
pub(super) fn run(
    stage: &mut Stage,
    id: ReplicaId,
    words: &[&str],
    line: &str,
) -> Result<(), String> {
    match words {
        // The disk loses what it said was durable.
        ["forgets", "everything"] => {
            stage.nodes.remove(&id);
            stage.node(id);
            Ok(())
        }
        // The leader claims what it does not know.
        ["is", "told", "by", from, "that", .., "is", "settled"] => {
            let (from, settled) = (leader(from)?, positions(line)?);
            stage.tell(from, id, |message| message.settled = settled);
            Ok(())
        }
        _ => Err("unknown".to_string()),
    }
}
