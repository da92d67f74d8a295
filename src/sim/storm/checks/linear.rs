//! The history of all clients is linearizable, for each key and over those that one command touches
//! together. No read is stale, and nothing acknowledged is lost: the last reads are in it.

use super::Check;
use crate::check::history::{Event, check};

/// So many configurations of one object are looked at.
const STEPS_MAX: u64 = 2_000_000;

/// How many were looked at, and what came of it; `None` if nothing came of it.
pub(super) fn linearizable(history: &[Event]) -> (u64, Option<Check>) {
    let report = check(history, STEPS_MAX);
    let verdict = match report.anomalies.first() {
        Some(anomaly) => Some(Err(anomaly.to_string())),
        None if report.undecided.is_empty() => Some(Ok(())),
        None => None,
    };
    (report.steps, verdict)
}
