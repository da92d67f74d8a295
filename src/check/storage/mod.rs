//! The contract of a [`Store`], clause by numbered clause, and a kit that checks any store against
//! it on a simulated disk: every crash that the disk allows, every way in which a disk goes bad.
//!
//! Whoever writes another store calls [`check`] in a test and expects no violation; docs/storage.md
//! shows how, and how each clause is checked.
//!
//! | clause | what a store owes |
//! | --- | --- |
//! | C-1 | what `sync` reported durable is there after any crash |
//! | C-2 | a step is there as a whole or not at all, and no step is there without those before it |
//! | C-3 | after a crash without a fault of the disk, the store opens without a doubt |
//! | C-4 | a crash while it opens, or just after, changes nothing: opening again gives the same |
//! | C-5 | when the disk goes bad, what is missing is doubted; what is given is true |
//! | C-6 | of a doubt: the promise, the lineage are what they were unless they are doubted too |
//! | C-7 | a doubt stays until `repaired`, and goes with it |
//! | C-8 | after a failed sync nothing more is reported durable; opening again finds what was, and what it finds stays |
//! | C-9 | a full disk is reported as such; nothing is lost, records can be read, and it goes on when there is room |
//! | C-10 | `load` gives the record held at a position, synced or not, before and after a restart, and nothing else |
//! | C-11 | `purge` keeps every record at and above its bound, and what is kept does not hold up the space of what is not |
//! | C-12 | a second opener is refused, and so is another replica, and nothing is changed |
//!
//! Not checked: time, threads, and a disk that both loses a synced write and everything that could
//! tell so.

mod crash;
mod damage;
mod play;
mod report;
mod script;
mod trouble;

pub use crate::wal::Row;
pub use report::{CLAUSES, Report, Violation};

use crate::base::ReplicaId;
use crate::disk::SimDisk;
use crate::wal::{self, Identity, Recovered, Store, Wal, WalError, WalOptions};
use rustc_hash::FxHashSet;

/// How much is checked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything: one plan, one report.
    pub seed: u64,
    /// At least so many distinct images of crashed disks are opened.
    pub images: usize,
    /// Makes a sector that was tampered with look right again, for stores with checksums; the store
    /// then owes no more than not to fall over.
    pub reseal: Option<fn(&mut [u8])>,
}

/// The replica whose store is checked.
pub const IDENTITY: Identity = Identity { cluster: 0x7261_6674, replica: ReplicaId(1) };

/// What the kit needs to know of a store: how to open one on a disk for a replica, beginning a new
/// one if the disk has none.
pub trait Opener {
    /// The store.
    type Store: Store;

    /// Opens it, or begins it.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    #[allow(clippy::type_complexity, reason = "a pair and an error")]
    fn open(
        &self,
        disk: SimDisk,
        identity: Identity,
    ) -> Result<(Self::Store, Recovered), <Self::Store as Store>::Error>;
}

impl<S: Store, F: Fn(SimDisk, Identity) -> Result<(S, Recovered), S::Error>> Opener for F {
    type Store = S;

    fn open(&self, disk: SimDisk, identity: Identity) -> Result<(S, Recovered), S::Error> {
        self(disk, identity)
    }
}

/// Checks the log of this crate, in segments so small that a script fills several.
pub fn check_log(seed: u64, images: usize) -> Report {
    let options = WalOptions { segment_bytes: 8 << 10, ..WalOptions::default() };
    let open = |disk: SimDisk, identity| match Wal::open(disk.clone(), identity, options) {
        Err(WalError::Empty) => {
            Wal::create(disk, identity, options).map(|wal| (wal, Recovered::default()))
        }
        opened => opened,
    };
    check(&open, Plan { seed, images, reseal: Some(wal::reseal) })
}

/// Checks every clause. Stops early once many violations are found.
pub fn check(opener: &impl Opener, plan: Plan) -> Report {
    let mut report = Report::default();
    let mut seen = FxHashSet::default();
    let mut seed = plan.seed;
    let enough = |report: &Report| report.violations.len() >= report::VIOLATIONS_MAX;
    while !enough(&report) && (report.images < plan.images || report.scripts == 0) {
        let script = script::Script::random(seed);
        let run = play::Run::record(opener, &script, &mut report);
        crash::check(opener, &run, &mut seen, &mut report);
        damage::check(opener, &run, plan.reseal, &mut report);
        trouble::check(opener, &script, &mut report);
        report.scripts += 1;
        seed = script::mix(seed);
    }
    report
}
