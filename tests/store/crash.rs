//! Power is lost after every change of the disk, with a snapshot being taken, received, installed,
//! and the log being purged.

use super::{carry, done, first_step, load, meta, open, options, pair, state, step, take};
use traft::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use traft::disk::{Op, SimDisk, State};
use traft::replica::{Input, Options, Replica, Write};
use traft::snapshot::Parcel;
use traft::store::{Heard, Home};

/// What is owed after a crash.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    /// So many changes of the disk had been made when it was reported.
    ops: usize,
    /// Every record below is there, or done in a snapshot.
    records: u64,
    /// A snapshot has done everything below.
    below: u64,
    /// The promise.
    promise: u64,
}

struct Run {
    disk: SimDisk,
    owed: Vec<Owed>,
}

impl Run {
    /// This was reported.
    fn owes(&mut self, change: impl FnOnce(&mut Owed)) {
        let mut owed = self.owed.last().copied().unwrap_or_default();
        change(&mut owed);
        owed.ops = self.disk.recorded();
        self.owed.push(owed);
    }

    fn sync(&mut self, home: &mut Home<SimDisk>, write: &Write, records: u64) {
        home.append(write).expect("room");
        assert_eq!(home.sync(), Ok(write.number));
        let promise = write.voted.map_or(0, |voted| voted.term);
        self.owes(|owed| {
            owed.records = owed.records.max(records);
            owed.promise = owed.promise.max(promise);
        });
    }
}

/// A life: records, snapshots of the own state while records go on, one of another replica that is
/// longer and has a greater committer behind it, and more of both.
fn life() -> Run {
    let disk = SimDisk::new();
    disk.record();
    let mut run = Run { disk: disk.clone(), owed: Vec::new() };
    let mut home = open(&disk, 2).expect("a new store").home;
    run.owes(|_| {});
    run.sync(&mut home, &first_step(), 0);
    run.sync(&mut home, &step(2, 0..20), 20);
    for (number, below) in [(3, 10), (4, 18), (5, 33)] {
        let meta = meta(below, 1);
        let draft = home.take(&meta).expect("a sound disk").expect("it is longer");
        let records = (number - 2) * 20;
        run.sync(&mut home, &step(number, records..records + 20), records + 20);
        assert_eq!(home.taken(draft.write(state(&meta.done))), Ok(Some(Lsn(below))));
        run.owes(|owed| owed.below = below);
    }
    let mut theirs = sender();
    let mut back = Vec::new();
    // A first transfer breaks off in the middle.
    let offer = theirs.offer(ReplicaId(2), Lsn(60)).expect("it is long enough");
    home.hear(offer.clone(), &done(33), &mut back).expect("a sound disk");
    let mut chunks = Vec::new();
    theirs.hear(back.remove(0), &done(60), &mut chunks).expect("a sound disk");
    home.hear(chunks.remove(0), &done(33), &mut back).expect("a sound disk");
    drop(home);
    let opened = open(&disk, 2).expect("it was there");
    assert_eq!(opened.state, Some(state(&done(33))));
    let mut home = opened.home;
    let Heard::Arrived(snapshot) = carry(&mut theirs, &mut home, offer, &done(33)) else {
        panic!("it did not arrive")
    };
    run.owes(|owed| owed.below = 60);
    // The replica takes it: in one step with the promise that it asks for.
    let write =
        Write { snapshot: Some(snapshot), voted: Some(LeaderId::new(4, 1)), ..step(6, 80..85) };
    run.sync(&mut home, &write, 85);
    run.sync(&mut home, &step(7, 85..120), 120);
    take(&mut home, 110);
    run.owes(|owed| owed.below = 110);
    run
}

/// Another replica, with a snapshot of everything below 60 behind which there is leader 4#1.
fn sender() -> Home<SimDisk> {
    let disk = SimDisk::new();
    let mut home = open(&disk, 1).expect("a new store").home;
    let meta = meta(60, 4);
    let draft = home.take(&meta).expect("a sound disk").expect("it is longer");
    home.taken(draft.write(state(&meta.done))).expect("a sound disk");
    home
}

/// Disks as a crash can leave them: nothing kept of what was not synced, everything, each half,
/// each single thing alone and each missing alone, as far as there are not too many.
fn crashes(state: &State) -> Vec<State> {
    let parts = state.unsynced();
    let mut images = vec![
        state.crash(|_| false),
        state.crash(|_| true),
        state.crash(|part| part % 2 == 0),
        state.crash(|part| part % 2 == 1),
    ];
    for single in (0..parts).filter(|part| *part < 6 || part + 6 > parts) {
        images.push(state.crash(|part| part == single));
        images.push(state.crash(|part| part != single));
    }
    images
}

#[test]
fn nothing_that_was_reported_is_lost_at_any_moment() {
    let run = life();
    let ops: Vec<Op> = run.disk.ops();
    let mut disk = State::default();
    let (mut images, mut prefixes) = (0, std::collections::BTreeSet::new());
    for made in 0..=ops.len() {
        if let Some(op) = made.checked_sub(1) {
            disk.apply(&ops[op]);
        }
        let reported = run.owed.partition_point(|owed| owed.ops <= made);
        let owed = reported.checked_sub(1).map(|at| run.owed[at]).unwrap_or_default();
        for image in crashes(&disk) {
            images += 1;
            prefixes.insert(look(&image, owed, made));
        }
    }
    // Every snapshot was the newest after some crash.
    assert_eq!(Vec::from_iter(prefixes), [0, 10, 18, 33, 60, 110]);
    assert!(images > 1_500, "{images}");
}

/// Opens what a crash left; says what its snapshot has done.
fn look(image: &State, owed: Owed, made: usize) -> u64 {
    let disk = SimDisk::of(image.clone());
    let opened = open(&disk, 2).unwrap_or_else(|error| panic!("after {made} changes: {error}"));
    let (recovered, mut home) = (opened.recovered, opened.home);
    let context = || format!("after {made} changes, {owed:?}: {recovered}");
    assert!(recovered.doubt.is_none() && opened.damaged.is_empty(), "{}", context());
    // The applied set never shrinks, and the state is that of its snapshot.
    let durable = recovered.durable.clone();
    let prefix = durable.snapshot.as_ref().map_or(0, |snapshot| snapshot.done.offset().0);
    assert!(prefix >= owed.below && prefix >= recovered.purged.0, "{}", context());
    let expected = durable.snapshot.as_ref().map(|snapshot| state(&snapshot.done));
    assert_eq!(opened.state, expected, "{}", context());
    // What was accepted is done there, or held.
    let held = |lsn| durable.records.iter().any(|record| record.lsn == Lsn(lsn));
    for lsn in prefix..owed.records {
        assert!(held(lsn), "{lsn} is lost {}", context());
    }
    let leftover = |name: &&str| name.ends_with(".aside") || name.ends_with(".snap");
    let left = disk.state();
    let names: Vec<&str> = left.names().filter(leftover).collect();
    let own = home.snapshot().map(|own| own.name().to_string());
    assert_eq!(names, Vec::from_iter(own.as_deref()), "{}", context());
    // The promise is not below what the state shows, whether or not the step with both is there.
    let members = options().initial;
    let replica = Replica::new(Options::new(ReplicaId(2), members), durable);
    let behind = if prefix == 60 { 4 } else { 0 };
    assert!(
        replica.voted().term >= owed.promise.max(behind),
        "promise {} {}",
        replica.voted(),
        context()
    );
    assert_eq!((replica.purged(), replica.done().offset()), (Lsn(prefix), Lsn(prefix)));
    // It goes on, and the next crash loses nothing either.
    let voted = Some(LeaderId::new(4, 1));
    home.append(&Write { voted, ..first_step() }).expect("room");
    home.append(&step(9, [500])).expect("room");
    home.sync().expect("a sound disk");
    drop(home);
    let again = open(&SimDisk::of(disk.state().crash(|_| false)), 2).expect("it was there");
    assert!(again.recovered.durable.records.iter().any(|record| record.lsn == Lsn(500)));
    assert_eq!(again.state, opened.state, "{}", context());
    prefix
}

/// What was received of a snapshot is not sent again after a crash.
#[test]
fn a_transfer_goes_on_after_a_crash() {
    let (disks, [mut ours, mut theirs]) = pair();
    let offer = ours.offer(ReplicaId(2), Lsn(60)).expect("it is long enough");
    let (mut wants, mut chunks) = (Vec::new(), Vec::new());
    let nothing = TailBitmap::new();
    theirs.hear(offer.clone(), &nothing, &mut wants).expect("a sound disk");
    // Both ends of the file, and the index.
    for _ in 0..2 {
        wants.drain(..).for_each(|want: Parcel| {
            ours.hear(want, &done(60), &mut chunks).expect("a sound disk");
        });
        for chunk in chunks.drain(..) {
            theirs.hear(chunk, &nothing, &mut wants).expect("a sound disk");
        }
    }
    let before = theirs.progress().expect("it is on its way").received;
    assert!(before > 0);
    drop(theirs);
    let image = disks[1].state().crash(|_| true);
    let mut theirs = open(&SimDisk::of(image), 2).expect("it was there").home;
    theirs.hear(offer.clone(), &nothing, &mut wants).expect("a sound disk");
    assert_eq!(theirs.progress().map(|progress| progress.reused >= before), Some(true));
    wants.clear();
    drop(theirs.tick(&mut wants));
    let again = carry(&mut ours, &mut theirs, offer, &nothing);
    // The same offer is no news: what it asked for is asked for again in time.
    assert_eq!(again, Heard::Nothing);
    let mut heard = Heard::Nothing;
    for _ in 0..20 {
        theirs.tick(&mut wants).expect("a sound disk");
        for want in std::mem::take(&mut wants) {
            ours.hear(want, &done(60), &mut chunks).expect("a sound disk");
        }
        for chunk in std::mem::take(&mut chunks) {
            match theirs.hear(chunk, &nothing, &mut wants).expect("a sound disk") {
                Heard::Nothing => {}
                other => heard = other,
            }
        }
    }
    assert_eq!(heard, Heard::Arrived(Box::new(meta(60, 1))));
    let arrived = theirs.state(&done(60)).map(|snapshot| load(snapshot));
    assert_eq!(arrived, Some(Ok(state(&done(60)))));
    // And a replica that was told of it takes it without a promise of its own.
    let mut replica =
        Replica::new(Options::new(ReplicaId(2), options().initial), Default::default());
    replica.handle(Input::Install(Box::new(meta(60, 4))));
    let mut outputs = Vec::new();
    replica.drain(&mut outputs);
    assert_eq!((replica.voted(), replica.purged()), (LeaderId::new(4, 1), Lsn(60)));
}
