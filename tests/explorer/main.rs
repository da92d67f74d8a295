//! A random explorer of the production replica: any message may be lost, doubled or late, writes
//! become durable and records are executed when chance says so, replicas crash and restart with
//! only what is durable. No time is kept: a tick is a step like any other.
//!
//! Checked at every step: I-2, I-5, I-6, I-8, I-9. After every run the faults stop, and everything
//! must be done everywhere (I-12), equal to running the settled records one by one, with the very
//! results that clients were given. One order must explain what clients were told and what their
//! reads showed. Snapshots are taken, purged behind, sent, doubled and installed at
//! any time. Disks lose what they had, and peers give it back (I-13).

mod apply;
mod checks;
mod disk;
mod losses;
mod reads;
mod world;

use world::{Plan, World};

/// How many seeds a test takes; `EXPLORER_SEEDS` and `EXPLORER_FROM` ask for others.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let get = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let from = get("EXPLORER_FROM").unwrap_or(0);
    from..from + get("EXPLORER_SEEDS").unwrap_or(default)
}

fn explore(plan: Plan, default: u64) {
    let (mut settled, mut elections, mut reads, mut restored, mut lost) = (0, 0, 0, 0, 0);
    for seed in seeds(default) {
        let mut world = World::new(plan, seed);
        world.run();
        settled += world.settled_records();
        elections += world.elections();
        reads += world.reads_served();
        restored += world.snapshots_restored();
        lost += world.losses();
    }
    println!(
        "{plan:?}: settled {settled}, elections {elections}, reads {reads}, restored {restored}, \
         lost {lost}"
    );
    assert!(settled > 0 && elections > 0, "the explorer did nothing");
    assert!(!plan.snapshots || restored > 0, "no snapshot was ever installed");
    assert!(!plan.losses || lost > 0, "nothing was ever lost");
}

#[test]
fn quiet_three() {
    explore(
        Plan {
            replicas: 3,
            faults: 0,
            keys: 3,
            steps: 400,
            membership: false,
            snapshots: false,
            losses: false,
            hearing: false,
        },
        200,
    );
}

#[test]
fn faults_three() {
    explore(
        Plan {
            replicas: 3,
            faults: 3,
            keys: 3,
            steps: 600,
            membership: false,
            snapshots: false,
            losses: false,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn faults_five_one_key() {
    explore(
        Plan {
            replicas: 5,
            faults: 2,
            keys: 1,
            steps: 800,
            membership: false,
            snapshots: false,
            losses: false,
            hearing: false,
        },
        300,
    );
}

#[test]
fn membership_changes() {
    explore(
        Plan {
            replicas: 4,
            faults: 2,
            keys: 2,
            steps: 700,
            membership: true,
            snapshots: false,
            losses: false,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn snapshots_three() {
    explore(
        Plan {
            replicas: 3,
            faults: 3,
            keys: 3,
            steps: 700,
            membership: false,
            snapshots: true,
            losses: false,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn fault_m10_membership_and_everything_else() {
    explore(
        Plan {
            replicas: 4,
            faults: 2,
            keys: 2,
            steps: 700,
            membership: true,
            snapshots: true,
            losses: false,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn losses_three() {
    explore(
        Plan {
            replicas: 3,
            faults: 3,
            keys: 3,
            steps: 900,
            membership: false,
            snapshots: false,
            losses: true,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn losses_and_snapshots() {
    explore(
        Plan {
            replicas: 3,
            faults: 3,
            keys: 2,
            steps: 900,
            membership: false,
            snapshots: true,
            losses: true,
            hearing: false,
        },
        1500,
    );
}

#[test]
fn everybody_hears() {
    explore(
        Plan {
            replicas: 4,
            faults: 3,
            keys: 2,
            steps: 700,
            membership: true,
            snapshots: true,
            losses: false,
            hearing: true,
        },
        1500,
    );
}

#[test]
fn everybody_hears_and_disks_lose() {
    explore(
        Plan {
            replicas: 3,
            faults: 3,
            keys: 2,
            steps: 900,
            membership: false,
            snapshots: true,
            losses: true,
            hearing: true,
        },
        1000,
    );
}

/// Few faults and several keys: many reads are served while much is in flight.
#[test]
fn everybody_hears_and_reads() {
    explore(
        Plan {
            replicas: 3,
            faults: 1,
            keys: 3,
            steps: 500,
            membership: false,
            snapshots: false,
            losses: false,
            hearing: true,
        },
        4000,
    );
}
