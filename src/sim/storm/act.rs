//! What is done to a cluster from outside, at a time.

use crate::base::Membership;
use std::fmt;

/// Moments and durations of a run, in microseconds of virtual time.
pub(super) type Micros = u64;

/// One thing that is done to it. Replicas are counted from zero here and printed from one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Nothing goes from one to the other any more. One direction.
    Cut { from: usize, to: usize },
    /// One replica hears nobody, or nobody hears it, or both.
    Isolate { at: usize, hears: bool, speaks: bool },
    /// Every link carries again.
    Heal,
    /// The process ends after so many more outputs; it starts again later. What was not synced is
    /// torn as `tear` says.
    Crash { at: usize, outputs: u64, tear: Tear, away: Micros },
    /// The same, and a bit of some file is another one afterwards.
    Flip { at: usize, away: Micros },
    /// The same, and the directory is empty afterwards.
    Wipe { at: usize, away: Micros },
    /// The process stands still; what comes waits.
    Pause { at: usize, lasts: Micros },
    /// Each sync takes this long.
    Slow { at: usize, sync: Micros, lasts: Micros },
    /// The next sync fails.
    FailSync { at: usize },
    /// Nothing more fits on the disk.
    Fill { at: usize, lasts: Micros },
    /// A tick takes this long from now on.
    Rate { at: usize, tick: Micros },
    /// So many ticks pass at once.
    Jump { at: usize, ticks: u64 },
    /// It takes a snapshot.
    Snapshot { at: usize },
    /// It offers its snapshot, wanted or not.
    Offer { from: usize, to: usize },
    /// An operator asks it to campaign.
    Campaign { at: usize },
    /// A word of the leader that is followed, that it hands over, comes to a replica: late, or of
    /// one that thought better of it.
    Usurp { at: usize },
    /// An operator asks whoever leads to hand over.
    Transfer { to: Option<usize> },
    /// An operator asks whoever leads for another membership.
    Change { membership: Membership, force: bool },
    /// An operator takes the last change back.
    Cancel,
}

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tear {
    Nothing,
    Everything,
    /// Each sector by itself.
    Some,
}

impl Act {
    /// What kind of act it is.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Act::Cut { .. } => "cut",
            Act::Isolate { .. } => "isolate",
            Act::Heal => "heal",
            Act::Crash { .. } => "crash",
            Act::Flip { .. } => "flip a bit",
            Act::Wipe { .. } => "wipe",
            Act::Pause { .. } => "pause",
            Act::Slow { .. } => "slow disk",
            Act::FailSync { .. } => "fail a sync",
            Act::Fill { .. } => "fill a disk",
            Act::Rate { .. } => "clock rate",
            Act::Jump { .. } => "clock jump",
            Act::Snapshot { .. } => "snapshot",
            Act::Offer { .. } => "offer",
            Act::Campaign { .. } => "campaign",
            Act::Usurp { .. } => "usurp",
            Act::Transfer { .. } => "transfer",
            Act::Change { .. } => "change",
            Act::Cancel => "cancel",
        }
    }

    /// The replicas that it names.
    pub(super) fn replicas(&self) -> Vec<usize> {
        match self {
            Act::Cut { from, to } | Act::Offer { from, to } => vec![*from, *to],
            Act::Heal | Act::Transfer { to: None } | Act::Change { .. } | Act::Cancel => Vec::new(),
            Act::Transfer { to: Some(at) }
            | Act::Isolate { at, .. }
            | Act::Crash { at, .. }
            | Act::Flip { at, .. }
            | Act::Wipe { at, .. }
            | Act::Pause { at, .. }
            | Act::Slow { at, .. }
            | Act::FailSync { at }
            | Act::Fill { at, .. }
            | Act::Rate { at, .. }
            | Act::Jump { at, .. }
            | Act::Snapshot { at }
            | Act::Campaign { at }
            | Act::Usurp { at } => vec![*at],
        }
    }

    /// Whether something goes wrong by it, and is not only asked for.
    pub(super) fn is_fault(&self) -> bool {
        !matches!(
            self,
            Act::Heal
                | Act::Snapshot { .. }
                | Act::Offer { .. }
                | Act::Transfer { .. }
                | Act::Change { .. }
                | Act::Cancel
        )
    }
}

/// As a person reads it: `crash n2 after 3 outputs, tear some, away 120 ms`.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |at: &usize| format!("n{}", at + 1);
        let ms = |micros: &Micros| format!("{}.{:03} ms", micros / 1_000, micros % 1_000);
        match self {
            Act::Cut { from, to } => write!(f, "cut {} to {}", n(from), n(to)),
            Act::Isolate { at, hears, speaks } => {
                let what = match (hears, speaks) {
                    (false, false) => "both",
                    (true, _) => "speaking",
                    _ => "hearing",
                };
                write!(f, "isolate {} {what}", n(at))
            }
            Act::Heal => f.write_str("heal"),
            Act::Crash { at, outputs, tear, away } => {
                let tear = match tear {
                    Tear::Nothing => "nothing",
                    Tear::Everything => "everything",
                    Tear::Some => "some",
                };
                write!(
                    f,
                    "crash {} after {outputs} outputs, {tear} unsynced stays, {} away",
                    n(at),
                    ms(away)
                )
            }
            Act::Flip { at, away } => write!(f, "flip a bit of {}, {} away", n(at), ms(away)),
            Act::Wipe { at, away } => write!(f, "wipe {}, {} away", n(at), ms(away)),
            Act::Pause { at, lasts } => write!(f, "pause {} {}", n(at), ms(lasts)),
            Act::Slow { at, sync, lasts } => {
                write!(f, "slow {}: a sync takes {}, for {}", n(at), ms(sync), ms(lasts))
            }
            Act::FailSync { at } => write!(f, "fail a sync of {}", n(at)),
            Act::Fill { at, lasts } => write!(f, "fill the disk of {} for {}", n(at), ms(lasts)),
            Act::Rate { at, tick } => write!(f, "clock of {}: a tick is {}", n(at), ms(tick)),
            Act::Jump { at, ticks } => write!(f, "clock of {} jumps {ticks} ticks", n(at)),
            Act::Snapshot { at } => write!(f, "snapshot {}", n(at)),
            Act::Offer { from, to } => write!(f, "{} offers {} its snapshot", n(from), n(to)),
            Act::Campaign { at } => write!(f, "campaign {}", n(at)),
            Act::Usurp { at } => write!(f, "{} is told to take over", n(at)),
            Act::Transfer { to: Some(to) } => write!(f, "transfer to {}", n(to)),
            Act::Transfer { to: None } => f.write_str("transfer"),
            Act::Change { membership, force } => {
                write!(f, "change to {membership}{}", if *force { ", forced" } else { "" })
            }
            Act::Cancel => f.write_str("cancel the change"),
        }
    }
}
