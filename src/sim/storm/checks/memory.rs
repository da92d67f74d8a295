//! Memory is bounded: of what is done, no more than the options say stays in memory.

use super::super::node::{Alive, LOG_BYTES_MAX};
use super::super::plan::Plan;
use super::Check;
use crate::base::Lsn;

/// A record may be as long as a command of a client and what it depends on.
const RECORD_BYTES_MAX: usize = 1_000;

/// Everything is done: what is still in memory fits. While a replica waits for its disk nothing
/// leaves its memory; it does when the write has landed.
pub(super) fn bounded(alive: &[&Alive], plan: &Plan) -> Check {
    let [_, _, memory] = plan.narrow;
    for alive in alive.iter().filter(|alive| memory && !alive.unsynced && !alive.syncing) {
        let replica = &alive.replica;
        let (first, end) = (replica.first_in_memory(), replica.done().offset());
        let held = (first.0..end.0).filter_map(|lsn| replica.record(Lsn(lsn)));
        let bytes: usize = held.map(|record| record.size()).sum();
        if bytes > LOG_BYTES_MAX + RECORD_BYTES_MAX {
            let id = replica.id();
            return Err(format!("{id} keeps {bytes} bytes that are done, at most {LOG_BYTES_MAX}"));
        }
    }
    Ok(())
}
