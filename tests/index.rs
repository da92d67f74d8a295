//! The interference index against its dumb twin: the rule of algorithm.md, Authoring, carried out
//! word by word over the whole log.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use traft::base::{
    Command, Footprint, Key, KeyRange, KeySet, LeaderId, Lsn, Payload, Record, Tail,
};
use traft::replica::{Index, Placement};

/// A leader's log and what surrounds the index in a leader.
#[derive(Default)]
struct World {
    log: Vec<Option<Arc<Record>>>,
    floor: u64,
    index: Index,
}

/// What the literal rule says.
struct Literal {
    overrides: BTreeSet<u64>,
    /// `depends` with the last step and without it.
    exact: BTreeSet<u64>,
    loose: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum Step {
    Propose {
        footprint: Footprint,
        overriding: bool,
    },
    /// A void or a membership takes the next position.
    Void,
    /// So many more positions at the floor become settled.
    Settle(u64),
    /// Everything below the floor, less so many positions, is forgotten.
    Trim(u64),
    /// A new leader rebuilds the log without these positions above the floor, counted from the top.
    Rebuild(BTreeSet<u64>),
}

fn held(log: &[Option<Arc<Record>>], lsn: Lsn) -> Option<&Record> {
    log.get(lsn.0 as usize)?.as_deref()
}

impl World {
    fn end(&self) -> u64 {
        self.log.len() as u64
    }

    fn held(&self, lsn: u64) -> Option<&Record> {
        held(&self.log, Lsn(lsn))
    }

    fn literal(&self, footprint: &Footprint, overriding: bool) -> Literal {
        let window = || (self.floor..self.end()).filter_map(|lsn| self.held(lsn));
        let keys = |record: &Record| record.command().unwrap().footprint.clone();
        let mut victims: BTreeSet<u64> = BTreeSet::new();
        for v in window().collect::<Vec<_>>().into_iter().rev() {
            let writes = &keys(v).writes;
            let blind_write = v.is_blind() && !writes.is_empty();
            let again = footprint.is_blind() && footprint.writes.covers(writes);
            let free = window()
                .filter(|u| u.lsn > v.lsn && u.interferes(v))
                .all(|u| victims.contains(&u.lsn.0));
            if overriding && blind_write && again && free {
                victims.insert(v.lsn.0);
            }
        }
        let mut overrides = victims.clone();
        for v in &victims {
            let theirs = self.held(*v).unwrap().overrides.iter().map(|lsn| lsn.0);
            overrides.extend(theirs.filter(|lsn| *lsn >= self.floor));
        }
        let interfering = window().filter(|u| keys(u).interferes(footprint));
        let mut loose: BTreeSet<u64> =
            interfering.map(|u| u.lsn.0).filter(|lsn| !overrides.contains(lsn)).collect();
        for lsn in loose.clone() {
            for overridden in self.held(lsn).unwrap().overrides.iter() {
                loose.remove(&overridden.0);
            }
        }
        let reached = self.closure(&loose, |record| record.depends.clone());
        let exact = &loose - &reached;
        Literal { overrides, exact, loose }
    }

    /// What `start` leads to in one or more steps along `edges`.
    fn closure(&self, start: &BTreeSet<u64>, edges: impl Fn(&Record) -> Tail) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut open: Vec<u64> = start.iter().copied().collect();
        while let Some(lsn) = open.pop() {
            let Some(record) = self.held(lsn) else { continue };
            open.extend(edges(record).iter().map(|l| l.0).filter(|l| found.insert(*l)));
        }
        found
    }

    fn propose(&mut self, footprint: &Footprint, overriding: bool) -> (Placement, Literal) {
        let literal = self.literal(footprint, overriding);
        let floor = Lsn(self.floor);
        let placement = self.index.place(footprint, floor, overriding, |lsn| held(&self.log, lsn));
        let command = Command { footprint: footprint.clone(), body: Key::new() };
        let record = Record {
            floor: Lsn(self.floor),
            depends: placement.depends.clone(),
            overrides: placement.overrides.clone(),
            ..Record::bare(Lsn(self.end()), LeaderId::new(1, 1), Payload::Command(command))
        };
        assert!(record.is_well_formed(), "{record}");
        self.index.insert(&record, |lsn| held(&self.log, lsn));
        self.log.push(Some(Arc::new(record)));
        (placement, literal)
    }

    /// Rebuilding 1 to 4 after the loss of `lost`, none of it settled.
    fn rebuild(&mut self, lost: &BTreeSet<u64>) {
        for back in lost {
            let lsn = self.end().saturating_sub(1 + back);
            if lsn >= self.floor && lsn < self.end() {
                self.log[lsn as usize] = None;
            }
        }
        loop {
            let kept: Vec<&Record> = self.log.iter().flatten().map(|r| &**r).collect();
            let gone = |record: &&&Record| {
                record.depends.iter().any(|lsn| self.held(lsn.0).is_none())
                    && !kept.iter().any(|other| other.overrides.contains(record.lsn))
            };
            let Some(dropped) = kept.iter().find(gone).map(|record| record.lsn) else { break };
            self.log[dropped.0 as usize] = None;
        }
        // What the new leader knows settled is what the floors of its log say.
        self.floor = self.log.iter().flatten().map(|record| record.floor.0).max().unwrap_or(0);
        self.index = Index::new();
        for record in self.log.iter().flatten() {
            self.index.insert(record, |lsn| held(&self.log, lsn));
        }
        self.trim(self.floor);
    }

    fn trim(&mut self, below: u64) {
        self.index.trim(Lsn(below));
    }

    fn run(&mut self, step: &Step) -> Option<(Placement, Literal)> {
        match step {
            Step::Propose { footprint, overriding } => {
                return Some(self.propose(footprint, *overriding));
            }
            Step::Void => self.log.push(None),
            Step::Settle(count) => self.floor = self.end().min(self.floor + count),
            Step::Trim(kept) => self.trim(self.floor.saturating_sub(*kept)),
            Step::Rebuild(lost) => self.rebuild(lost),
        }
        None
    }
}

fn positions(tail: &Tail) -> BTreeSet<u64> {
    tail.iter().map(|lsn| lsn.0).collect()
}

fn key() -> impl Strategy<Value = Key> {
    (0..7u8).prop_map(|at| Key::copy_from_slice(&[b'a' + at]))
}

fn range() -> impl Strategy<Value = KeyRange> {
    let all = Just(KeyRange::ALL);
    let within = (0..8u8, 1..4u8)
        .prop_map(|(from, len)| KeyRange::new(vec![b'a' + from], vec![b'a' + from + len]));
    let open = key().prop_map(|start| KeyRange { start, end: None });
    prop_oneof![1 => all, 12 => within, 1 => open]
}

fn keys(ranges: bool) -> impl Strategy<Value = KeySet> {
    let ranges = proptest::collection::vec(range(), 0..if ranges { 3 } else { 1 });
    (proptest::collection::vec(key(), 0..4), ranges).prop_map(|(p, r)| KeySet::from_parts(p, r))
}

fn footprint(ranges: bool) -> impl Strategy<Value = Footprint> {
    let both = (keys(ranges), keys(ranges));
    prop_oneof![
        4 => keys(ranges).prop_map(Footprint::write),
        2 => keys(ranges).prop_map(Footprint::read),
        2 => keys(ranges).prop_map(Footprint::update),
        3 => both.prop_map(|(reads, writes)| Footprint { reads, writes }),
        3 => key().prop_map(|key| Footprint::write(KeySet::point(key))),
        1 => key().prop_map(|key| Footprint::read(KeySet::point(key))),
        u32::from(ranges) => Just(Footprint::everything()),
    ]
}

/// One key a command, none of them a range.
fn single() -> impl Strategy<Value = Footprint> {
    (key(), 0..3u8).prop_map(|(key, kind)| match kind {
        0 => Footprint::write(KeySet::point(key)),
        1 => Footprint::read(KeySet::point(key)),
        _ => Footprint::update(KeySet::point(key)),
    })
}

fn steps(footprints: impl Strategy<Value = Footprint>) -> impl Strategy<Value = Vec<Step>> {
    let propose = (footprints, prop::bool::weighted(0.9))
        .prop_map(|(footprint, overriding)| Step::Propose { footprint, overriding });
    let step = prop_oneof![
        30 => propose,
        2 => Just(Step::Void),
        3 => (1..6u64).prop_map(Step::Settle),
        3 => (0..4u64).prop_map(Step::Trim),
        1 => proptest::collection::btree_set(0..12u64, 0..6).prop_map(Step::Rebuild),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Runs `steps` and compares each placement; says how many had a bit more than the exact rule.
fn compare(steps: &[Step]) -> Result<usize, TestCaseError> {
    let mut world = World::default();
    let mut inexact = 0;
    for step in steps {
        let Some((placement, literal)) = world.run(step) else { continue };
        let depends = positions(&placement.depends);
        let record = world.log.last().unwrap().as_ref().unwrap();
        prop_assert_eq!(positions(&placement.overrides), literal.overrides, "{}", record);
        prop_assert!(literal.exact.is_subset(&depends), "{} lacks {:?}", record, literal.exact);
        prop_assert!(depends.is_subset(&literal.loose), "{} beyond {:?}", record, literal.loose);
        inexact += usize::from(depends != literal.exact);
    }
    world.trim(world.end());
    prop_assert!(world.index.is_empty(), "trimming leaves {:?}", world.index);
    Ok(inexact)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn places_points_as_the_literal_rule_does(steps in steps(footprint(false))) {
        compare(&steps)?;
    }

    #[test]
    fn places_ranges_as_the_literal_rule_does(steps in steps(footprint(true))) {
        compare(&steps)?;
    }

    /// With one key a command nothing is left that another dependency reaches.
    #[test]
    fn single_keys_are_exact(steps in steps(single())) {
        prop_assert_eq!(compare(&steps)?, 0);
    }

    /// The writers that a read notes are writers of its keys, and all others are done before them.
    #[test]
    fn latest_writers_stand_for_all(steps in steps(footprint(true)), reads in keys(true)) {
        let mut world = World::default();
        steps.iter().for_each(|step| drop(world.run(step)));
        let window = (world.floor..world.end()).filter_map(|lsn| world.held(lsn));
        let writers: BTreeSet<u64> = window
            .filter(|record| record.command().unwrap().footprint.writes.intersects(&reads))
            .map(|record| record.lsn.0)
            .collect();
        let mut index = world.index.clone();
        let latest = index.latest_writers(&reads, Lsn(world.floor), |lsn| held(&world.log, lsn));
        let latest: BTreeSet<u64> = latest.iter().map(|lsn| lsn.0).collect();
        prop_assert!(latest.is_subset(&writers));
        let done = world.closure(&latest, |record| {
            let mut before = record.depends.clone();
            before.union_with(&record.overrides);
            before
        });
        prop_assert!(writers.is_subset(&(&latest | &done)), "{:?} {:?}", latest, writers);
    }
}

fn write(keys: &[&'static str]) -> Footprint {
    let points = keys.iter().map(|key| Key::from_static(key.as_bytes()));
    Footprint::write(KeySet::from_parts(points, []))
}

fn propose(world: &mut World, footprint: Footprint) -> String {
    world.propose(&footprint, true);
    world.log.last().unwrap().as_ref().unwrap().to_string()
}

/// The examples of algorithm.md and losing-schedules.md, Authoring.
#[test]
fn the_examples_of_the_page() {
    let mut world = World::default();
    assert_eq!(propose(&mut world, write(&["a"])), "<1#1 @0 w:a>");
    assert_eq!(propose(&mut world, write(&["b", "c"])), "<1#1 @1 w:b,c>");
    // The override trap: 1 keeps c and is depended on, 0 goes.
    assert_eq!(propose(&mut world, write(&["a", "c"])), "<1#1 @2 w:a,c dep{1} over{0}>");
    // The overrides of a victim are added; its dependencies are inherited.
    assert_eq!(propose(&mut world, write(&["a", "c", "d"])), "<1#1 @3 w:a,c,d dep{1} over{0 2}>");
    // A reader between: neither it nor what is under it is a victim.
    let reads_c = Footprint { reads: KeySet::point("c"), writes: KeySet::point("e") };
    assert_eq!(propose(&mut world, reads_c), "<1#1 @4 r:c w:e dep{3}>");
    assert_eq!(propose(&mut world, write(&["a", "c", "d"])), "<1#1 @5 w:a,c,d dep{4}>");
}

/// A command that interferes with everything names each latest record once, and what follows
/// names only that command.
#[test]
fn everything_waits_for_all_and_all_for_it() {
    let mut world = World::default();
    propose(&mut world, write(&["a"]));
    propose(&mut world, write(&["a"]));
    propose(&mut world, Footprint::read(KeySet::point("b")));
    assert_eq!(propose(&mut world, Footprint::everything()), "<1#1 @3 * dep{1 2}>");
    assert_eq!(propose(&mut world, Footprint::everything()), "<1#1 @4 * dep{3}>");
    assert_eq!(propose(&mut world, write(&["z"])), "<1#1 @5 w:z dep{4}>");
    assert_eq!(propose(&mut world, write(&["z"])), "<1#1 @6 w:z dep{4} over{5}>");
    assert_eq!(propose(&mut world, Footprint::default()), "<1#1 @7 ->");
}

/// What a victim overrides is overridden too, held or not, down to the floor.
#[test]
fn empty_positions_are_inherited() {
    let mut world = World::default();
    propose(&mut world, write(&["a"]));
    propose(&mut world, write(&["a"]));
    world.rebuild(&BTreeSet::from([1]));
    assert!(world.held(0).is_none());
    assert_eq!(propose(&mut world, write(&["a", "b"])), "<1#1 @2 w:a,b over{0 1}>");
    world.floor = 1;
    world.trim(1);
    assert_eq!(propose(&mut world, write(&["a", "b"])), "<1#1 @3 w:a,b over{1 2} floor 1>");
}
