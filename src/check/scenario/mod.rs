//! Text scenarios: files that a person reads, run against real replicas (`tests/scenarios`).
//!
//! A file is a list of paragraphs. A paragraph is a few commands and, after `----`, what the
//! replicas did, compared verbatim; `BLESS=1` writes what they did into the file, and the diff is
//! a decision. The comment at the top names the rule and its section of `design/algorithm.md`,
//! and what goes wrong without it. The notation is that of `design/losing-schedules.md`; where a
//! schedule there could not be driven as it stands, its order of events was kept and its names
//! were not: a leader id starts at term 1, a leader takes its own records in the order of its
//! writes, and its own replica learns at once what it knows settled.
//!
//! Snapshots are taken, sent and installed by hand, until `heal`: from then on whoever is asked for
//! one sends it.
//!
//! Each of the numbered invariants I-2, I-5, I-6, I-8, I-9 and I-12 is checked throughout; one
//! that is broken fails the scenario whatever its file says.

mod arrival;
mod checks;
mod doubt;
mod frame;
mod node;
mod script;
mod stage;
mod steps;
mod suspect;
mod verbs;

pub use arrival::Arrival;
pub(crate) use frame::Seen;
pub use frame::{Frame, Slot, View};
pub use script::{Outcome, run, watch};

#[cfg(feature = "mutants")]
macro_rules! texts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../tests/scenarios/", $name, ".txt")))),*]
    };
}

/// Those that were written for bugs which chance hardly ever meets: names and texts.
#[cfg(feature = "mutants")]
pub const RARE: &[(&str, &str)] = texts! {
    "author-victims-of-victims"
    "doubt-does-not-vote"
    "doubt-promise-is-raised"
    "doubt-purged-elsewhere"
    "doubt-wiped"
    "elect-duel"
    "elect-lower-is-refused"
    "fault-m3-snapshot-replaces-a-change"
    "fault-m9-quorum-of-all-in-force"
    "hear-after-dependencies"
    "hear-in-the-memberships-of-the-leader"
    "hear-not-of-another-leader"
    "member-any-voter-knows"
    "purge-snapshot-raises-the-promise"
    "purge-snapshot-takes-nothing-back"
    "read-begins-where-everybody-hears"
    "read-no-lease-after-handing-over"
    "read-what-is-out-may-be-seen"
    "rebuild-dead-above-a-commit"
    "rebuild-keeps-what-is-overridden"
};
