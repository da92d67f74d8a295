//! The log against the contract of stores, and deliberately wrong stores against the checker: each
//! clause has one that breaks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use traft::base::{Lsn, Record, Records};
use traft::check::storage::{CLAUSES, IDENTITY, Plan, Report, check, check_log};
use traft::disk::{Disk, DiskError, SimDisk, SimLock};
use traft::replica::Write;
use traft::sim::repair;
use traft::wal::{Identity, Recovered, Row, Store, Wal, WalError, WalOptions};

/// Small segments, so that a short script fills several.
const OPTIONS: WalOptions = WalOptions { segment_bytes: 8 << 10, opened_at: 0 };

#[test]
fn the_log_keeps_every_clause() {
    let report = check_log(1, 2_500);
    assert_eq!(report.violations, [], "{report:#?}");
    assert!(report.images >= 2_500 && report.nested > 500, "{report:#?}");
    assert!((1..=12).all(|clause| report.clauses.contains_key(&clause)), "{report:#?}");
    assert!(Row::ALL.iter().all(|row| report.rows.contains_key(row)), "{report:#?}");
    assert!(report.promises > 0, "{report:#?}");
}

#[test]
fn one_plan_has_one_report() {
    assert_eq!(check_log(7, 1), check_log(7, 1));
}

fn begin<D: Disk + Clone + Sync>(
    disk: D,
    identity: Identity,
    options: WalOptions,
) -> Result<(Wal<D>, Recovered), WalError> {
    match Wal::open(disk.clone(), identity, options) {
        Err(WalError::Empty) => {
            Wal::create(disk, identity, options).map(|wal| (wal, Recovered::default()))
        }
        opened => opened,
    }
}

#[test]
fn any_store_is_checked_by_one_call() {
    let open = |disk: SimDisk, identity| begin(disk, identity, OPTIONS);
    let report = check(&open, Plan { seed: 5, images: 300, reseal: Some(traft::wal::reseal) });
    assert_eq!(report.violations, []);
    assert!((1..=12).all(|clause| report.clauses.contains_key(&clause)), "{report:#?}");
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Reports durable what was only written.
    NeverSyncs,
    /// Forgets that names need a sync.
    NeverSyncsNames,
    /// Makes several steps of one.
    SplitsSteps,
    /// Takes the end of an interrupted write for damage.
    RefusesTornTails,
    /// Does not sync while it opens.
    OpensCarelessly,
    /// Takes whatever it cannot read for the end of the log.
    NeverDoubts,
    /// Trusts a promise that may be old.
    TrustsThePromise,
    /// Forgets a doubt at the next start.
    ForgetsDoubts,
    /// Overlooks that a step says that nothing is missing any more.
    OverlooksRepairs,
    /// Tries a failed sync again, and believes it.
    RetriesSyncs,
    /// Takes a full disk for a broken one.
    PanicsWhenFull,
    /// Gives the record of the position before.
    LoadsNeighbours,
    /// Keeps everything that was ever written.
    NeverShrinks,
    /// Does without a lock.
    SharesItsDirectory,
    /// Opens the log of anybody.
    OpensAnybodys,
}

/// A disk through the eyes of a wrong store.
#[derive(Clone)]
struct Bent {
    disk: SimDisk,
    wrong: Wrong,
    opening: Arc<AtomicBool>,
}

impl Disk for Bent {
    type Lock = Option<SimLock>;

    fn lock(&self) -> Result<Option<SimLock>, DiskError> {
        match self.wrong {
            Wrong::SharesItsDirectory => Ok(self.disk.lock().ok()),
            _ => self.disk.lock().map(Some),
        }
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        self.disk.create(name)
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(name, offset, buffer)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(name, offset, bytes)
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.disk.preallocate(name, len)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.disk.truncate(name, len)
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        match self.wrong {
            Wrong::NeverSyncs => Ok(()),
            Wrong::OpensCarelessly if self.opening.load(Ordering::Relaxed) => Ok(()),
            Wrong::RetriesSyncs => self.disk.sync(name).or_else(|_| self.disk.sync(name)),
            _ => self.disk.sync(name),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        if self.wrong == Wrong::NeverSyncsNames { Ok(()) } else { self.disk.sync_dir() }
    }
}

struct Bad {
    wal: Wal<Bent>,
    wrong: Wrong,
}

impl Bad {
    fn open(disk: SimDisk, identity: Identity, wrong: Wrong) -> Result<(Bad, Recovered), WalError> {
        let opening = Arc::new(AtomicBool::new(true));
        let disk = Bent { disk, wrong, opening: opening.clone() };
        let identity = if wrong == Wrong::OpensAnybodys { IDENTITY } else { identity };
        let large = WalOptions { segment_bytes: 512 << 10, ..OPTIONS };
        let options = if wrong == Wrong::NeverShrinks { large } else { OPTIONS };
        let (mut wal, mut found) = begin(disk, identity, options)?;
        opening.store(false, Ordering::Relaxed);
        match wrong {
            Wrong::NeverDoubts => found.doubt = None,
            Wrong::TrustsThePromise => {
                found.doubt.iter_mut().for_each(|doubt| doubt.promise = false);
            }
            Wrong::ForgetsDoubts => wal.repaired()?,
            Wrong::RefusesTornTails if found.flaws.iter().any(|f| f.row == Row::TornTail) => {
                return Err(WalError::Broken);
            }
            _ => {}
        }
        Ok((Bad { wal, wrong }, found))
    }
}

impl Store for Bad {
    type Error = WalError;

    fn append(&mut self, write: &Write) -> Result<(), WalError> {
        if self.wrong == Wrong::OverlooksRepairs {
            return self.wal.append(&Write { repaired: false, ..write.clone() });
        }
        if self.wrong != Wrong::SplitsSteps || write.records.is_empty() {
            return self.wal.append(write);
        }
        self.wal.append(&Write { records: Records::new(), ..write.clone() })?;
        for record in &write.records {
            let records = vec![record.clone()].into();
            self.wal.append(&Write { number: write.number, records, ..Write::default() })?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, WalError> {
        self.wal.sync()
    }

    fn load(&mut self, lsn: Lsn) -> Result<Option<Arc<Record>>, WalError> {
        let neighbour = Lsn(lsn.0.saturating_sub(1));
        self.wal.load(if self.wrong == Wrong::LoadsNeighbours { neighbour } else { lsn })
    }

    fn purge(&mut self, below: Lsn) -> Result<usize, WalError> {
        self.wal.purge(below)
    }

    fn repaired(&mut self) -> Result<(), WalError> {
        self.wal.repaired()
    }

    fn idle(&mut self) -> Result<(), WalError> {
        self.wal.idle()
    }

    fn is_full(error: &WalError) -> bool {
        Wal::<Bent>::is_full(error)
    }
}

/// A store for which no disk is ever full.
struct Proud(Bad);

impl Store for Proud {
    type Error = WalError;

    fn append(&mut self, write: &Write) -> Result<(), WalError> {
        self.0.append(write)
    }

    fn sync(&mut self) -> Result<u64, WalError> {
        self.0.sync()
    }

    fn load(&mut self, lsn: Lsn) -> Result<Option<Arc<Record>>, WalError> {
        self.0.load(lsn)
    }

    fn purge(&mut self, below: Lsn) -> Result<usize, WalError> {
        self.0.purge(below)
    }

    fn repaired(&mut self) -> Result<(), WalError> {
        self.0.repaired()
    }

    fn idle(&mut self) -> Result<(), WalError> {
        self.0.idle()
    }

    fn is_full(_: &WalError) -> bool {
        false
    }
}

fn report(wrong: Wrong) -> Report {
    // Some of them are found out seldom, and these files are large.
    let images = if wrong == Wrong::NeverShrinks { 1 } else { 1_500 };
    let plan = Plan { seed: 3, images, reseal: None };
    if wrong == Wrong::PanicsWhenFull {
        let open = |disk: SimDisk, identity| {
            Bad::open(disk, identity, wrong).map(|(bad, found)| (Proud(bad), found))
        };
        return check(&open, plan);
    }
    check(&|disk: SimDisk, identity| Bad::open(disk, identity, wrong), plan)
}

/// Who breaks which clause.
const CASES: [(Wrong, u32); 15] = [
    (Wrong::NeverSyncs, 1),
    (Wrong::NeverSyncsNames, 1),
    (Wrong::SplitsSteps, 2),
    (Wrong::RefusesTornTails, 3),
    (Wrong::OpensCarelessly, 4),
    (Wrong::NeverDoubts, 5),
    (Wrong::TrustsThePromise, 6),
    (Wrong::ForgetsDoubts, 7),
    (Wrong::OverlooksRepairs, 7),
    (Wrong::RetriesSyncs, 8),
    (Wrong::PanicsWhenFull, 9),
    (Wrong::LoadsNeighbours, 10),
    (Wrong::NeverShrinks, 11),
    (Wrong::SharesItsDirectory, 12),
    (Wrong::OpensAnybodys, 12),
];

#[test]
fn wrong_stores_are_found_out() {
    for (wrong, clause) in CASES {
        let report = report(wrong);
        let clauses: Vec<u32> = report.violations.iter().map(|found| found.clause).collect();
        assert!(clauses.contains(&clause), "{wrong:?} breaks C-{clause}, not {clauses:?}");
    }
}

/// Rows of a table that begin with the number of a clause, cell by cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let lines = lines.filter(|line| line.starts_with("| C-"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_page_has_every_clause_and_this_code() {
    let (page, code) = (include_str!("../docs/storage.md"), include_str!("storage.rs"));
    let rows_of_page = rows(page);
    assert_eq!(rows_of_page.len(), CLAUSES.len());
    for (row, (clause, about)) in rows_of_page.iter().zip(CLAUSES) {
        assert_eq!(row[..2], [&format!("C-{clause}")[..], about]);
        let broken_by: Vec<String> = CASES
            .iter()
            .filter(|(_, of)| *of == clause)
            .map(|(wrong, _)| format!("`{wrong:?}`"))
            .collect();
        assert_eq!(row[3], broken_by.join(", "), "C-{clause}");
        assert!(row[2].len() > 40, "C-{clause}: how it is checked");
    }
    // The contract in the module has the same numbers.
    let module = rows(include_str!("../src/check/storage/mod.rs"));
    let numbers =
        |rows: &[Vec<&str>]| rows.iter().map(|row| row[0].to_string()).collect::<Vec<_>>();
    assert_eq!(numbers(&module), numbers(&rows_of_page));
    let blocks = page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<&str> = blocks.collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in blocks {
        assert!(code.contains(block), "not in tests/storage.rs:\n{block}");
    }
}

#[test]
fn every_bad_sector_is_noticed_and_repaired_by_peers() {
    let report = repair::check(1, 1);
    assert_eq!(report.violations, []);
    assert!(report.runs > 400, "{}", report.runs);
    for way in repair::Way::ALL {
        for kind in [
            "head",
            "promise",
            "lineage",
            "membership",
            "record",
            "purged",
            "oldest",
            "end",
            "mark",
            "snapshot header",
            "snapshot values",
            "snapshot keys",
            "snapshot directory",
        ] {
            let cell = report.cells.get(&(kind, way)).copied().unwrap_or_default();
            // A lost write of the mark says nothing and loses nothing.
            let harmless = (kind, way) == ("mark", repair::Way::Lose);
            assert!(cell.runs > 0, "{kind}, {}", way.name());
            assert!(harmless || cell.repaired > 0, "{kind}, {}: {cell:?}", way.name());
        }
    }
}

#[test]
fn replicas_that_vote_in_doubt_are_found() {
    let report = repair::check_careless(1, 1);
    assert!(report.violations.iter().any(|found| found.clause == 4), "{:?}", report.violations);
}
