//! Disks that go bad in a cluster: whatever one replica loses, it notices, does not vote meanwhile,
//! and is given back by the others (algorithm.md, Doubt; I-13).
//!
//! A short history of three replicas, with the production core, log and snapshots on simulated
//! disks. Then, for each replica, each sector that it has written and each way in which a sector
//! goes bad: all three start again, with that sector bad.
//!
//! | clause | what a replica owes |
//! | --- | --- |
//! | R-1 | it starts; what it may have lost it doubts, and what it does not doubt is there |
//! | R-2 | in doubt it neither votes nor campaigns |
//! | R-3 | the doubt ends, and everybody has done everything |
//! | R-4 | everything acknowledged is there, once, and the states are equal |
//! | R-5 | the cluster goes on: commands that come now are done |
//! | R-6 | started once more, nobody is in doubt |

mod cluster;
mod history;

use crate::base::ReplicaId;
use crate::disk::{Disk as _, SECTOR, SimDisk, State};
use crate::snapshot::Snapshot;
use crate::wal;
use cluster::{Cluster, identity};
use history::History;
use std::collections::BTreeMap;

/// The clauses, each with a few words.
pub const CLAUSES: [(u32, &str); 6] = [
    (1, "it starts, and doubts what it may have lost"),
    (2, "in doubt it neither votes nor campaigns"),
    (3, "the doubt ends, and everything is done everywhere"),
    (4, "what was acknowledged is there, and states are equal"),
    (5, "the cluster goes on"),
    (6, "started once more, nobody is in doubt"),
];

/// How a sector goes bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A bit changes.
    Flip,
    /// What was written went to another sector.
    Misdirect,
    /// It was reported written and was not.
    Lose,
    /// It cannot be read.
    Unreadable,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 4] = [Way::Flip, Way::Misdirect, Way::Lose, Way::Unreadable];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Way::Flip => "flip",
            Way::Misdirect => "misdirect",
            Way::Lose => "lost write",
            Way::Unreadable => "read error",
        }
    }
}

/// What became of the sectors with one kind of contents that went bad in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// So many there were.
    pub runs: usize,
    /// In so many runs nothing was lost, and nothing was doubted.
    pub harmless: usize,
    /// So many were doubted, the promise known.
    pub doubted: usize,
    /// So many were doubted, the promise too.
    pub promises: usize,
    /// So many were repaired by peers.
    pub repaired: usize,
}

/// A clause that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the clause.
    pub clause: u32,
    /// What happened to which sector, and what came of it.
    pub what: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By kind of contents and way. A sector with several kinds counts for each.
    pub cells: BTreeMap<(&'static str, Way), Cell>,
    /// How many times a cluster was started with a bad sector.
    pub runs: usize,
    /// The greatest number of ticks that a repair took; an election timeout is 10 to 20.
    pub ticks_max: u64,
    /// The clauses that were broken.
    pub violations: Vec<Violation>,
}

/// Runs `histories` histories, the first drawn from `seed` and each other from the next number, and
/// spoils every sector of every replica in every way: some 460 starts for each history.
pub fn check(seed: u64, histories: usize) -> Report {
    check_replicas(seed, histories, true)
}

/// The same for replicas that vote in doubt: what the check is there to find.
pub fn check_careless(seed: u64, histories: usize) -> Report {
    check_replicas(seed, histories, false)
}

fn check_replicas(seed: u64, histories: usize, careful: bool) -> Report {
    let mut report = Report::default();
    for n in 0..histories as u64 {
        match History::play(seed.wrapping_add(n)) {
            Ok(history) => spoil_all(&history, careful, &mut report),
            Err(what) => report.violations.push(Violation { clause: 5, what }),
        }
    }
    report
}

fn spoil_all(history: &History, careful: bool, report: &mut Report) {
    for (replica, state) in history.disks.iter().enumerate() {
        for ((name, sector), kinds) in contents(state, replica) {
            for way in Way::ALL {
                let bad = Bad { history, careful, replica, name: &name, sector, way };
                let mut cell = Cell::default();
                if let Err((clause, what)) = bad.run(&mut cell, &mut report.ticks_max) {
                    let id = ReplicaId(replica as u64 + 1);
                    let place = format!("{} of sector {sector} of {name} of {id}", way.name());
                    let what = format!("history {}, {place}: {what}", history.seed);
                    report.violations.push(Violation { clause, what });
                }
                report.runs += 1;
                for kind in &kinds {
                    report.cells.entry((kind, way)).or_default().add(cell);
                }
            }
        }
    }
}

impl Cell {
    fn add(&mut self, other: Cell) {
        self.runs += 1;
        self.harmless += other.harmless;
        self.doubted += other.doubted;
        self.promises += other.promises;
        self.repaired += other.repaired;
    }
}

/// What lies in each sector of a disk.
fn contents(state: &State, replica: usize) -> BTreeMap<(String, u32), Vec<&'static str>> {
    let disk = SimDisk::of(state.clone());
    let mut all = wal::sectors(&disk, identity(replica)).unwrap_or_default();
    for name in disk.list().unwrap_or_default() {
        let Ok(snapshot) = Snapshot::open(disk.clone(), &name, 0) else { continue };
        let layout = snapshot.layout();
        let ends = [
            (layout.header_bytes, "snapshot header"),
            (layout.header_bytes + layout.blocks_bytes, "snapshot values"),
            (layout.file_bytes - layout.directory_bytes, "snapshot keys"),
            (layout.file_bytes, "snapshot directory"),
        ];
        for sector in 0..layout.file_bytes.div_ceil(SECTOR as u64) {
            let (from, to) = (sector * SECTOR as u64, (sector + 1) * SECTOR as u64);
            let mut begin = 0;
            for (end, kind) in ends {
                if begin < to && end > from {
                    all.entry((name.clone(), sector as u32)).or_default().push(kind);
                }
                begin = end;
            }
        }
    }
    all
}

/// One bad sector.
struct Bad<'a> {
    history: &'a History,
    careful: bool,
    replica: usize,
    name: &'a str,
    sector: u32,
    way: Way,
}

impl Bad<'_> {
    fn run(&self, cell: &mut Cell, ticks_max: &mut u64) -> Result<(), (u32, String)> {
        let mut disks: Vec<SimDisk> =
            self.history.disks.iter().map(|state| SimDisk::of(state.clone())).collect();
        disks[self.replica] = self.spoilt();
        let mut cluster =
            Cluster::open(&disks, self.history.seed, self.careful).map_err(|what| (1, what))?;
        let found = cluster.recovered(self.replica);
        match found.durable.doubt {
            Some(doubt) => {
                cell.doubted += usize::from(doubt == crate::replica::Doubt::Records);
                cell.promises += usize::from(doubt == crate::replica::Doubt::Promise);
            }
            None if self.history.is_all(self.replica, found) => cell.harmless += 1,
            None => return Err((1, format!("no doubt, and something is lost: {found}"))),
        }
        let ticks = cluster.settle()?;
        *ticks_max = (*ticks_max).max(ticks);
        cell.repaired += usize::from(cluster.was_in_doubt(self.replica));
        self.history.holds(&cluster).map_err(|what| (4, what))?;
        let set = cluster.propose_and_settle()?;
        drop(cluster);
        let again =
            Cluster::open(&disks, self.history.seed, self.careful).map_err(|what| (6, what))?;
        match (0..disks.len()).find(|at| again.recovered(*at).durable.doubt.is_some()) {
            Some(at) => Err((6, format!("n{} is still in doubt after {set}", at + 1))),
            None => Ok(()),
        }
    }

    fn spoilt(&self) -> SimDisk {
        let mut state = self.history.disks[self.replica].clone();
        let at = self.sector as usize * SECTOR;
        let part = move |contents: &mut [u8], f: &mut dyn FnMut(&mut [u8])| {
            let end = contents.len().min(at + SECTOR);
            f(&mut contents[at.min(end)..end]);
        };
        match self.way {
            Way::Flip => state.spoil(self.name, |c| {
                part(c, &mut |s| {
                    // Anywhere in it, the same for the same sector.
                    let nth = (at / SECTOR * 37 + 11) % s.len().max(1);
                    s.iter_mut().skip(nth).take(1).for_each(|byte| *byte ^= 1 << (at / SECTOR % 8));
                });
            }),
            Way::Lose => state.spoil(self.name, |c| part(c, &mut |s| s.fill(0))),
            Way::Misdirect => {
                let mut moved = Vec::new();
                state.spoil(self.name, |c| {
                    part(c, &mut |s| {
                        moved = s.to_vec();
                        s.fill(0);
                    });
                });
                // The next sector of the same file, or the one before at its end.
                state.spoil(self.name, |c| {
                    let next = if at + 2 * SECTOR <= c.len() {
                        at + SECTOR
                    } else {
                        at.saturating_sub(SECTOR)
                    };
                    let end = c.len().min(next + moved.len());
                    c[next..end].copy_from_slice(&moved[..end - next]);
                });
            }
            Way::Unreadable => {}
        }
        let disk = SimDisk::of(state);
        if self.way == Way::Unreadable {
            disk.fail_reads(self.name, at as u64);
        }
        disk
    }
}
