//! The settings of the crate.

use crate::replica::ReadLevel;
use crate::sim::Spec;
use crate::sim::weather::{below, mix};
use raft::{Config, ReadOnlyOption};

/// Where the bytes in flight are bounded: a message of a megabyte would hold up all others.
const PACED_MESSAGE: u64 = 64 << 10;

/// The best options known: see the module.
pub(super) fn config(spec: &Spec, id: usize, resend_ticks: u64, applied: u64) -> Config {
    let election_tick = (spec.election_timeout.0 / spec.tick.0).max(2) as usize;
    let (max_size_per_msg, max_inflight_msgs) = match spec.in_flight_bytes {
        Some(bytes) => (PACED_MESSAGE, (bytes as u64).div_ceil(PACED_MESSAGE).max(2) as usize),
        None => (1 << 20, 4096),
    };
    Config {
        id: id as u64 + 1,
        election_tick,
        heartbeat_tick: (resend_ticks as usize / 3).clamp(1, election_tick / 2),
        applied,
        max_size_per_msg,
        max_inflight_msgs,
        check_quorum: true,
        pre_vote: true,
        // The crate draws from the thread's generator; the driver overrules it, from the seed.
        min_election_tick: election_tick,
        max_election_tick: 4 * election_tick,
        skip_bcast_commit: true,
        batch_append: false,
        read_only_option: match spec.read_level {
            ReadLevel::Lease => ReadOnlyOption::LeaseBased,
            _ => ReadOnlyOption::Safe,
        },
        ..Config::default()
    }
}

/// A replica's election timeout in a term: one to two times the least one.
pub(super) fn election_ticks(spec: &Spec, id: u64, term: u64) -> usize {
    let least = (spec.election_timeout.0 / spec.tick.0).max(2);
    let draw = below(mix(mix(mix(spec.seed) ^ id) ^ term), least);
    let ticks = match spec.successor {
        Some(successor) if successor as u64 + 1 == id => least,
        Some(_) => 2 * least + draw,
        None => least + draw,
    };
    ticks as usize
}
